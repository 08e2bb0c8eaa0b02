"""Events of RDS, read by their number: which fires, and which ends what.

https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_Events.Messages.html
"""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from chalicelib.core.event import Event, Severity, Status
from chalicelib.core.payload import coerce
from chalicelib.sources._aws_event import console, event_id, made, region_of

FAULTS = frozenset({"failure", "failover", "low storage", "availability"})
"""Categories that mean that a database is not as it should be."""

ENDS = {
    "0006": ("0004", "0022", "0224"),  # restarted: shutdown, reboot failed, operation did not complete
    "0088": ("0004", "0087"),  # started: shutdown, stopped
    "0015": ("0013", "0034"),  # failover complete: started, not attempted
    "0049": ("0013", "0034"),
    "0051": ("0013", "0034"),  # activation of several zones complete
    "0065": ("0013", "0034"),  # recovered from a partial failover
    "0071": ("0069", "0070", "0072", "0073"),  # failover of a cluster complete: failed, started in one of three ways
}
"""The numbers that are good news, with the numbers of the faults that they end. All other faults end by `resolve_timeout`."""

INFORMS = frozenset({"0050"})
"""Numbers that are no fault in a category of faults: an activation that began after a good recovery."""

_NUMBER = re.compile(r"RDS-EVENT-(\d{4})")

_MESSAGES = {"db instance restarted": "0006", "db instance shutdown": "0004"}
"""Whole messages of events without a number, as older ones are."""


def database_event(envelope: Mapping[str, Any], detail: Mapping[str, Any], received_at: datetime) -> Event:
    """Read an event of RDS by its number. Words decide nothing: `the operation didn't complete` is no good news."""
    categories = [coerce.line(each, 60).lower() for each in coerce.items(detail.get("eventCategories"))[:10]]
    number = coerce.line(detail.get("eventID"), 60)
    message = coerce.text(detail.get("message"), 1_000)
    status, about = _meaning(number, categories, message)
    arn = coerce.line(detail.get("sourceArn"), 200) or event_id(envelope)
    name = coerce.line(detail.get("sourceIdentifier"), 200)
    return made(
        envelope,
        received_at,
        status=status,
        severity=Severity.INFO if status is Status.INFO else Severity.WARNING,
        title=f"RDS {name}: {coerce.head(message) or number or 'event'}".replace("  ", " "),
        summary=message,
        url=console(region_of(envelope), f"rds/home?region={region_of(envelope)}#databases:"),
        service=name,
        occurred_at=coerce.first_instant(detail.get("date"), envelope.get("time")) or received_at,
        identity=f"rds:{arn}:{about[0]}",
        ends_also=[f"rds:{arn}:{each}" for each in about[1:]],
        name=number,
        labels=[("event", number), ("category", ", ".join(categories)), ("source_type", detail.get("sourceType"))],
    )


def _meaning(number: str, categories: list[str], message: str) -> tuple[Status, tuple[str, ...]]:
    """Return the status, and what the event is about: its own number, of an end the numbers of what it ends."""
    found = _NUMBER.fullmatch(number)
    short = found[1] if found else _MESSAGES.get(message.lower().rstrip("."), "") if not number else ""
    if ended := ENDS.get(short):
        return Status.RESOLVED, tuple(f"RDS-EVENT-{each}" for each in ended)
    fires = bool(FAULTS.intersection(categories)) and short not in INFORMS
    named = f"RDS-EVENT-{short}" if short else number or coerce.digest([categories, message])
    return Status.FIRING if fires else Status.INFO, (named,)
