"""What all Sentry webhooks share: what an action means, levels, tags, links, the id of an issue."""

import re
from collections.abc import Mapping
from typing import Any

from chalicelib.core.event import Severity, Status
from chalicelib.core.payload import coerce

NAME = "sentry"
_FIRES = frozenset([
    "created", "unresolved", "triggered", "critical", "warning", "open", "opened", "reopened", "regressed",
    "regression", "escalating", "escalated",
])  # fmt: skip
ENDS = frozenset({"resolved", "ignored", "archived", "closed", "muted", "deleted", "ok"})
_FAULTS = frozenset({"event_alert", "error", "issue", "metric_alert"})
"""Resources that are about a fault; everything else is information."""
OWN_TAGS = frozenset([
    "browser", "browser.name", "os", "os.name", "os.rooted", "device", "device.family", "client_os",
    "client_os.name", "user", "sentry:user", "url", "ip", "ip_address", "level", "environment", "release", "dist",
    "sentry:release", "sentry:dist", "trace", "trace.ctx", "trace.span", "replayid", "replay_id", "event_id", "geo",
    "email", "username", "transaction_id",
])  # fmt: skip
"""Tags that are labels anyway, differ for each event, or are personal."""


def status_of(resource: str, action: str) -> Status:
    """Whether a fault begins, ends, or neither; what is about no fault, and unknown actions, are information."""
    if resource in _FAULTS:
        begin = action.partition("_")[0]
        if begin in ENDS:
            return Status.RESOLVED
        if begin in _FIRES:
            return Status.FIRING
    return Status.INFO


def severity_of(status: Status, *levels: Any) -> Severity:
    """By level; nothing said is a warning, unless it is only information."""
    return coerce.severity(*levels, default=Severity.INFO if status is Status.INFO else Severity.WARNING)


def metadata_title(metadata: Any) -> str:
    """`ValueError: bad value`, or the title among the metadata; empty when they say nothing."""
    found = coerce.table(metadata)
    kind, value = coerce.line(found.get("type"), 200), coerce.head(found.get("value"))
    if kind or value:
        return ": ".join(filter(None, (kind, value)))
    return coerce.head(found.get("title"))


def issue_id(event: Mapping[str, Any]) -> str:
    """The issue's id, from its address where the field is missing; never the event's."""
    said = event.get("issue_id") or event.get("issueId") or event.get("group_id") or event.get("groupID")
    if found := coerce.line(said, 100):
        return found
    for key in ("issue_url", "web_url", "permalink", "url"):
        match = re.search(r"/issues/([A-Za-z0-9_-]{1,60})(?:[/?#]|$)", coerce.line(event.get(key), 2_000))
        if match:
            return match[1]
    return ""


def tags_of(value: Any) -> dict[str, Any]:
    """Tags by name: Sentry sends pairs in a list; objects and lists of objects are read too."""
    found: dict[str, Any] = dict(value) if isinstance(value, dict) else {}
    for each in coerce.items(value)[:200]:
        if isinstance(each, list) and len(each) >= 2 and isinstance(each[0], str):
            found.setdefault(each[0], each[1])
        elif isinstance(each, dict) and isinstance(each.get("key"), str):
            found.setdefault(each["key"], each.get("value"))
    return found


def page_of(*values: Any) -> str | None:
    """The first address that is a page: those of the API are of no use to people."""
    found = (coerce.address(value) for value in values)
    return next((each for each in found if each and "/api/0/" not in each), None)


def fallback_title(resource: str, action: str, subject: str) -> str:
    """`Sentry: metric alert critical in web`, for what has no title of its own."""
    said = f"Sentry: {resource} {action}".replace("_", " ")
    return f"{said} in {subject}" if subject else said
