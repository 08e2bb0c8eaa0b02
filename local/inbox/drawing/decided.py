"""Messages of an outage for the pictures, as the router decides them: the shipped rules on a virtual clock.

The services are those of a team that has a web application, an API and a database.
"""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from chalicelib.core.delivery.delivery_log import DeliveryLog
from chalicelib.core.delivery.notification import Notification, Receipt
from chalicelib.deliver.send import Send
from chalicelib.rules.file import load
from simulation.engine import Replay

ROOT = Path(__file__).resolve().parents[3]
CHANNEL = "slack_channel:#incidents"
SERVICES = "{web: {depends_on: [api]}, api: {depends_on: [database], owner: team-core}, database: {owner: team-data}}"

Line = dict[str, Any]


def begins(at: str, title: str, service: str) -> Line:
    """Return the line of an alert that begins at a time of the day."""
    labels = {"source": "alertmanager", "service": service, "environment": "production"}
    event = {"name": title, "title": title, "severity": "critical", "identity": f"{title} {service}", "labels": labels}
    return {"at": _time(at), "event": event}


def ends(at: str, title: str, service: str) -> Line:
    """Return the line of its end."""
    line = begins(at, title, service)
    return {**line, "event": {**line["event"], "status": "resolved"}}


def acknowledges(at: str, who: str, service: str) -> Line:
    """Return the line of an acknowledgement of what fires in a service."""
    return {"at": _time(at), "ack": {"matchers": {"service": service}, "by": who}}


def _time(at: str) -> str:
    return f"2026-11-24T{at}Z"


def decided(lines: Sequence[Line], until: str) -> tuple[Notification, ...]:
    """Return what #incidents is sent of the lines until a time of the day, edits of its message included."""
    found: list[Notification] = []

    def sender(clients: object, now: datetime) -> Send:
        def send(notification: Notification, delivery_log: DeliveryLog) -> Receipt:
            found.append(notification)
            return Receipt()

        return send

    text = (ROOT / "alert-rules.yaml").read_text(encoding="utf-8")
    rules = load(text.replace("\nservices:\n", f"\nservices: {SERVICES}\n"), filename="alert-rules.yaml")
    for _ in Replay(rules, list(enumerate([*lines, {"at": _time(until), "end": True}], 1)), sender=sender).run():
        pass
    return tuple(each for each in found if each.target.key == CHANNEL)
