"""Sentry's issues, and activity on them."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from chalicelib.core.event import Event, Status
from chalicelib.core.payload import coerce
from chalicelib.core.unknown_values import LABEL
from chalicelib.sources._sentry_fields import (
    NAME,
    OWN_TAGS,
    activity_status,
    evidence_of,
    feedback_of,
    issue_id,
    metadata_title,
    page_of,
    severity_of,
    status_of,
    tags_of,
)

MAX_FEEDBACK_IN_TITLE = 80
ACTIVITIES = frozenset([
    "assigned", "unassigned", "note", "comment", "first_seen", "create_issue", "merge", "mark_reviewed", "release",
    "set_unresolved", "set_ignored", "set_archived", "set_public", "set_private", "auto_set_ongoing", "set_priority",
    "unresolved", "ignored", "archived", "resolved",
])  # fmt: skip
"""What happens to issues every day: the status of the issue says what it means. Sentry documents no activity of one that
came back or got worse, so that such a word is reported."""


def issue_event(
    data: Mapping[str, Any],
    resource: str,
    action: str,
    headers: Mapping[str, str],
    sent_at: datetime | None,
    received_at: datetime,
) -> Event:
    """Return the event of what happened to an issue."""
    issue = coerce.table(data.get("issue"))
    status = _issue_status(data, issue, resource, action)
    number = issue_id({**issue, "issue_id": issue.get("id") or issue.get("issue_id") or data.get("issue_id")})
    project = _issue_project(data, issue)
    return coerce.made_event(
        id=_issue_event_id(data, issue, f"{resource}.{action}", status, number, headers),
        source=NAME,
        kind=f"{resource}.{action}",
        status=status,
        severity=severity_of(status, issue.get("level"), tags_of(issue.get("tags")).get("level")),
        title=_shown_title(data, issue) or _activity_title(data) or f"Sentry issue {number or 'of unknown id'}",
        summary=_issue_summary(data, issue),
        url=page_of(issue.get("web_url"), issue.get("permalink")),
        service=project,
        environment=coerce.first_line(issue.get("environment"), tags_of(issue.get("tags")).get("environment")),
        occurred_at=_issue_time(issue, action, sent_at, received_at),
        identity=f"issue:{number}" if number else f"group:{coerce.digest([project, _issue_title(issue)])}",
        labels=_issue_labels(data, issue, project, number),
        annotations=_issue_counts(data, issue),
    )


def _issue_status(data: Mapping[str, Any], issue: Mapping[str, Any], resource: str, action: str) -> Status:
    if resource != "activity_alert":
        return status_of(resource, action)
    activity = coerce.word(coerce.at(data, "activity", "type"))
    return activity_status(activity, coerce.word(issue.get("status")), coerce.word(issue.get("substatus")))


def _issue_project(data: Mapping[str, Any], issue: Mapping[str, Any]) -> str:
    project = coerce.table(issue.get("project"))
    return coerce.first_line(
        project.get("slug"), project.get("name"), project.get("id"), issue.get("project"), data.get("project_slug")
    )


def _shown_title(data: Mapping[str, Any], issue: Mapping[str, Any]) -> str:
    """Return the title; of feedback with the beginning of what the user wrote."""
    title, written = _issue_title(issue), coerce.head(feedback_of(issue, coerce.table(data.get("event"))))
    if not written or written in title:
        return title
    return coerce.cut(
        f"{title or 'User Feedback'}: {coerce.cut(written, MAX_FEEDBACK_IN_TITLE)}", coerce.MAX_TITLE_CHARACTERS
    )


def _issue_title(issue: Mapping[str, Any]) -> str:
    return (
        coerce.first_line(issue.get("title"), limit=coerce.MAX_TITLE_CHARACTERS)
        or metadata_title(issue.get("metadata"))
        or coerce.first_line(issue.get("culprit"), issue.get("shortId"))
    )


def _activity_title(data: Mapping[str, Any]) -> str:
    kind = coerce.line(coerce.at(data, "activity", "type"), 100)
    alert = coerce.first_line(coerce.at(data, "alert", "title"), coerce.at(data, "issue_alert", "title"))
    return ": ".join(filter(None, (alert, kind.replace("_", " "))))


def _issue_summary(data: Mapping[str, Any], issue: Mapping[str, Any]) -> str:
    details = coerce.at(data, "activity", "details")
    parts = [
        coerce.text(coerce.at(details, "summary"), 2_000),
        feedback_of(issue, coerce.table(data.get("event"))),
        evidence_of(issue, coerce.table(data.get("event")), data),
        metadata_title(issue.get("metadata")),
        coerce.line(issue.get("culprit")),
        _issue_facts(issue),
    ]
    title = _issue_title(issue)
    return "\n".join(dict.fromkeys(part for part in parts if part and part != title))


def _issue_facts(issue: Mapping[str, Any]) -> str:
    """Return `412 events, 31 users, first seen 2026-11-24 08:00 UTC, last seen …`, as far as it is said."""
    said = []
    for word, key in (("event", "count"), ("user", "userCount")):
        if (number := coerce.number(issue.get(key))) is not None:
            said.append(f"{number:.0f} {word}" if number == 1 else f"{number:.0f} {word}s")
    for words, key in (("first seen", "firstSeen"), ("last seen", "lastSeen")):
        if at := coerce.instant(issue.get(key)):
            said.append(f"{words} {at:%Y-%m-%d %H:%M} UTC")
    return ", ".join(said)


def _issue_labels(data: Mapping[str, Any], issue: Mapping[str, Any], project: str, number: str) -> dict[str, str]:
    tags = tags_of(issue.get("tags"))
    own = [
        ("project", project),
        ("level", issue.get("level")),
        ("release", _release(issue)),
        ("environment", coerce.first_line(issue.get("environment"), tags.get("environment"))),
        ("platform", coerce.first_line(issue.get("platform"), coerce.at(issue, "project", "platform"))),
        ("culprit", issue.get("culprit")),
        ("issue", number),
        ("short_id", issue.get("shortId")),
        ("issue_type", issue.get("issueType")),
        ("issue_category", issue.get("issueCategory")),
        ("priority", issue.get("priority")),
        ("substatus", issue.get("substatus")),
        ("logger", issue.get("logger")),
        ("rule", coerce.at(data, "alert", "title")),
        ("activity", coerce.word(coerce.at(data, "activity", "type"))),
        ("resolution_type", data.get("resolution_type")),
        (LABEL, _unknown_activity(data)),
    ]
    return coerce.labels([*own, *((name, each) for name, each in tags.items() if name.lower() not in OWN_TAGS)])


def _unknown_activity(data: Mapping[str, Any]) -> str:
    activity = coerce.word(coerce.at(data, "activity", "type"))
    known = activity in ACTIVITIES or activity.startswith(("set_resolved", "seer_"))
    return f"activity.type {activity}" if activity and not known else ""


def _release(issue: Mapping[str, Any]) -> str:
    for key in ("lastRelease", "firstRelease", "release"):
        found = issue.get(key)
        if said := coerce.first_line(coerce.at(found, "version"), found):
            return said
    return ""


def _issue_counts(data: Mapping[str, Any], issue: Mapping[str, Any]) -> dict[str, str]:
    assignee = data.get("assignee") or issue.get("assignedTo")
    return coerce.labels(
        [
            ("events", issue.get("count")),
            ("users", issue.get("userCount")),
            ("first_seen", issue.get("firstSeen")),
            ("last_seen", issue.get("lastSeen")),
            ("assignee", coerce.first_line(coerce.at(assignee, "name"), assignee)),
        ]
    )


def _issue_time(issue: Mapping[str, Any], action: str, sent_at: datetime | None, received_at: datetime) -> datetime:
    """Return when it happened: an issue is created with its first event.

    For what people do the body has no time, and `lastSeen` is only the earliest that it can have been.
    """
    last_seen = coerce.instant(issue.get("lastSeen"))
    if action == "created":
        return coerce.instant(issue.get("firstSeen")) or last_seen or sent_at or received_at
    said_at = sent_at or received_at
    return max(said_at, last_seen) if last_seen else said_at


def _issue_event_id(
    data: Mapping[str, Any],
    issue: Mapping[str, Any],
    kind: str,
    status: Status,
    number: str,
    headers: Mapping[str, str],
) -> str:
    """Return what is equal on every delivery. An issue is created once.

    What people do with it again, without a new event in between, differs only in when it was sent: a second end changes
    nothing, and a second beginning is news.
    """
    begin = f"{kind}:{number}"
    if kind == "issue.created" and number:
        return begin
    said = [issue.get(key) for key in ("lastSeen", "status", "substatus", "statusDetails", "title")]
    changes = status is not Status.INFO
    moment = headers.get("idempotency-key") or headers.get("sentry-hook-timestamp") if changes else None
    rest = [data.get("assignee"), data.get("resolution_type"), data.get("activity"), moment]
    return f"{begin}:{coerce.digest([*said, *rest])}"
