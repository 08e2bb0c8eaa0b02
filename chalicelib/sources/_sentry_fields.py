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
CAME_BACK = frozenset({"regressed", "escalating"})
"""Substatus of an issue that was fine before, or is worse than it was."""
MAX_EVIDENCE = 8
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
    """Return whether a fault begins, ends, or neither. Unknown actions are information."""
    if resource in _FAULTS:
        begin = action.partition("_")[0]
        if begin in ENDS:
            return Status.RESOLVED
        if begin in _FIRES:
            return Status.FIRING
    return Status.INFO


def activity_status(activity: str, issue_status: str, substatus: str) -> Status:
    """Return whether an activity ends an issue, is its news, or neither: by its kind, else by the issue's status.

    Seer's steps are information, whatever the issue is in. A kind that is not known here follows the issue.
    """
    if activity.startswith("seer_"):
        return Status.INFO
    if activity.startswith("set_resolved") or issue_status in ENDS:
        return Status.RESOLVED
    return Status.FIRING if issue_status == "unresolved" and substatus in CAME_BACK else Status.INFO


def severity_of(status: Status, *levels: Any) -> Severity:
    """Return the severity of a level. Without one it is a warning, unless it is only information."""
    return coerce.severity(*levels, default=Severity.INFO if status is Status.INFO else Severity.WARNING)


def metadata_title(metadata: Any) -> str:
    """Return `ValueError: bad value`, or the title among the metadata; empty when they say nothing."""
    found = coerce.table(metadata)
    kind, value = coerce.line(found.get("type"), 200), coerce.head(found.get("value"))
    if kind or value:
        return ": ".join(filter(None, (kind, value)))
    return coerce.head(found.get("title"))


def issue_id(event: Mapping[str, Any]) -> str:
    """Return the issue's id, from its address where the field is missing; never the event's."""
    said = event.get("issue_id") or event.get("issueId") or event.get("group_id") or event.get("groupID")
    if found := coerce.line(said, 100):
        return found
    for key in ("issue_url", "web_url", "permalink", "url"):
        match = re.search(r"/issues/([A-Za-z0-9_-]{1,60})(?:[/?#]|$)", coerce.line(event.get(key), 2_000))
        if match:
            return match[1]
    return ""


def tags_of(value: Any) -> dict[str, Any]:
    """Return tags by name: Sentry sends pairs in a list; objects and lists of objects are read too."""
    found: dict[str, Any] = dict(value) if isinstance(value, dict) else {}
    for each in coerce.items(value)[:200]:
        if isinstance(each, list) and len(each) >= 2 and isinstance(each[0], str):
            found.setdefault(each[0], each[1])
        elif isinstance(each, dict) and isinstance(each.get("key"), str):
            found.setdefault(each["key"], each.get("value"))
    return found


def page_of(*values: Any) -> str | None:
    """Return the first address that is a page: those of the API are of no use to people."""
    found = (coerce.address(value) for value in values)
    return next((each for each in found if each and "/api/0/" not in each), None)


def fallback_title(resource: str, action: str, subject: str) -> str:
    """Return `Sentry: metric alert critical in web`, for what has no title of its own."""
    said = f"Sentry: {resource} {action}".replace("_", " ")
    return f"{said} in {subject}" if subject else said


def evidence_of(*holders: Mapping[str, Any]) -> str:
    """Return why an uptime or cron monitor fails, a line for each fact that Sentry shows; empty where there is none."""
    for holder in holders:
        for found in (holder, coerce.table(holder.get("occurrence"))):
            facts = coerce.items(found.get("evidenceDisplay") or found.get("evidence_display"))
            lines = [_fact(each) for each in facts[:MAX_EVIDENCE] if isinstance(each, dict)]
            if any(lines):
                return "\n".join(filter(None, lines))
    return ""


def _fact(fact: Mapping[str, Any]) -> str:
    name, value = coerce.line(fact.get("name"), 100), coerce.line(fact.get("value"), 500)
    return f"{name}: {value}" if name and value else value


def feedback_of(*holders: Mapping[str, Any]) -> str:
    """Return what a user wrote as feedback; empty for anything else."""
    for holder in holders:
        metadata, context = coerce.table(holder.get("metadata")), coerce.at(holder, "contexts", "feedback")
        is_feedback = "feedback" in (holder.get("issueCategory"), holder.get("issueType"), holder.get("category"))
        message = coerce.text(coerce.at(context, "message"), 2_000)
        if message or (is_feedback and (message := coerce.text(metadata.get("message"), 2_000))):
            return message
    return ""
