"""What a Sentry webhook means.

Bodies name no type: that is in the header `Sentry-Hook-Resource`, and read from the body where the header is lost. One
occurrence can arrive as `issue.created`, `event_alert.triggered` and `error.created`: all three are about the same
issue, and one alert. Uptime and cron monitors have no resource of their own; they arrive as issues.
"""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from chalicelib.core.event import Event
from chalicelib.core.payload import coerce
from chalicelib.sources._sentry_events import event_data, from_legacy, occurrence
from chalicelib.sources._sentry_information import information, organization_of
from chalicelib.sources._sentry_issues import issue_event
from chalicelib.sources._sentry_metrics import metric_alert

KINDS = (
    "error.created", "issue.created", "issue.resolved", "issue.unresolved", "issue.assigned", "issue.archived", "issue.ignored",
    "event_alert.triggered", "activity_alert.triggered", "metric_alert.critical", "metric_alert.warning", "metric_alert.resolved",
    "metric_alert.open", "comment.created", "comment.updated", "comment.deleted", "installation.created", "installation.deleted",
    "seer.root_cause_started", "seer.root_cause_completed", "seer.solution_started", "seer.solution_completed",
    "seer.coding_started", "seer.coding_completed", "seer.iteration_started", "seer.iteration_completed", "seer.pr_created",
)  # fmt: skip
"""The kinds that Sentry's resources and their actions come to."""
METRIC_STATUS = {"1": "open", "2": "resolved", "10": "warning", "20": "critical"}


def parse(headers: Mapping[str, str], body: bytes, *, received_at: datetime) -> list[Event]:
    """Return the one event of a delivery. Raise ParseError when the body is no JSON object."""
    payload = coerce.json_object(body)
    sent_at = coerce.instant(headers.get("sentry-hook-timestamp"))
    if _is_legacy(payload):
        return [occurrence(from_legacy(payload), "event_alert", "triggered", received_at)]
    resource = coerce.word(headers.get("sentry-hook-resource")) or _resource(payload)
    data = coerce.table(payload.get("data"))
    action = _action(payload, resource, data)
    if resource in ("event_alert", "error"):
        return [occurrence(event_data(data, resource), resource, action, received_at)]
    if resource == "metric_alert":
        whole = {**data, "organization": organization_of(payload, data)}
        return [metric_alert(whole, action, sent_at, received_at)]
    if resource in ("issue", "activity_alert"):
        return [issue_event(data, resource, action, headers, sent_at, received_at)]
    return [information(payload, data, resource, action, sent_at or received_at)]


def _is_legacy(payload: Mapping[str, Any]) -> bool:
    """Return whether a body is the plugin's or a service hook's; the oldest plugins sent no event at all."""
    if "data" in payload or payload.get("action"):
        return False
    return isinstance(payload.get("event"), dict) or (
        "project" in payload and ("message" in payload or "id" in payload)
    )


def _resource(payload: Mapping[str, Any]) -> str:
    """Return the resource by what the body holds, for bodies whose header is lost."""
    data = coerce.table(payload.get("data"))
    by_key = (
        ("metric_alert", "metric_alert"),
        ("activity", "activity_alert"),
        ("triggered_rule", "event_alert"),
        ("issue_alert", "event_alert"),
        ("event", "event_alert"),
        ("error", "error"),
        ("comment_id", "comment"),
        ("installation", "installation"),
        ("issue", "issue"),
        ("run_id", "seer"),
        ("root_cause", "seer"),
        ("preprod_artifact", "preprod_artifact"),
        ("artifact_id", "preprod_artifact"),
        ("description_title", "metric_alert"),
    )
    for key, resource in by_key:
        if key in data:
            return resource
    named = re.match(r"Sentry ([a-z_]{1,40})\.", coerce.line(payload.get("text")))
    return named[1] if named else "unknown"


def _action(payload: Mapping[str, Any], resource: str, data: Mapping[str, Any]) -> str:
    """Return the action, or where it is lost the state of the resource."""
    if said := coerce.word(payload.get("action")).replace(".", "_"):
        return said
    if resource == "event_alert":
        return "triggered"
    if resource == "error":
        return "created"
    if resource == "metric_alert":
        return METRIC_STATUS.get(coerce.line(coerce.at(data, "metric_alert", "status")), "unknown")
    status = coerce.word(coerce.at(data, "issue", "status"))
    return status if status in ("resolved", "ignored", "unresolved") else "unknown"
