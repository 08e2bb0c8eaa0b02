"""Sentry's occurrences: event_alert, error, the legacy plugin and service hooks, all in the form of an event alert."""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from chalicelib.core.event import Event
from chalicelib.core.payload import coerce
from chalicelib.core.source_maps import LABEL as MINIFIED
from chalicelib.sources._sentry_fields import (
    NAME,
    OWN_TAGS,
    evidence_of,
    fallback_title,
    feedback_of,
    issue_id,
    metadata_title,
    page_of,
    severity_of,
    status_of,
    tags_of,
)

SCRIPTS = ("javascript", "node")
MAX_FRAMES = 30
FARTHEST_COLUMN, LONGEST_LINE = 300, 300
"""People write no line so long; a minifier writes nothing else."""
_PROJECT = re.compile(r"/projects/[^/\s]{1,100}/([^/\s?#]{1,100})/")


def event_data(data: Mapping[str, Any], resource: str) -> dict[str, Any]:
    """Return `data` with what occurred under `event`, whichever resource brings it."""
    found = coerce.table(data.get(resource)) if resource == "error" else {}
    found = found or coerce.table(data.get("event")) or coerce.table(data.get("error"))
    issue = coerce.table(data.get("issue"))
    if issue:
        known = {key: value for key, value in found.items() if value is not None}
        found = {**issue, "issue_id": issue.get("id"), "event_id": None, **known}
    return {**data, "event": found}


def from_legacy(payload: Mapping[str, Any]) -> dict[str, Any]:
    """Return the plugin's body, or that of a service hook, in the form of an event alert."""
    group = coerce.table(payload.get("group"))
    outer = {**group, **payload}
    rules = [coerce.line(each) for each in coerce.items(payload.get("triggering_rules"))]
    event = dict(coerce.table(payload.get("event")))
    event.setdefault("web_url", coerce.address(payload.get("url")) or group.get("permalink"))
    event.setdefault("level", payload.get("level") or group.get("level"))
    event.setdefault("culprit", outer.get("culprit"))
    event["issue_id"] = event.get("issue_id") or payload.get("id") or group.get("id")
    event.setdefault("firstSeen", group.get("firstSeen"))
    event["message"] = event.get("message") or payload.get("message")
    event["event_id"] = event.get("event_id") or event.get("id")
    project = payload.get("project")
    named = coerce.table(project).get("slug") or coerce.table(project).get("name")
    slug = payload.get("project_slug") or named or coerce.line(project) or payload.get("project_name")
    return {"event": event, "triggered_rule": ", ".join(filter(None, rules)), "project_slug": slug}


def occurrence(data: Mapping[str, Any], resource: str, action: str, received_at: datetime) -> Event:
    """Return the event of an occurrence. Its id is that of the occurrence, whichever resource brought it."""
    event = coerce.table(data.get("event"))
    tags = tags_of(event.get("tags"))
    rule = coerce.first_line(data.get("triggered_rule"), coerce.at(data, "issue_alert", "title"))
    project = _project(data, event)
    status, title = status_of(resource, action), _event_title(event)
    occurred_at = coerce.first_instant(event.get("datetime"), event.get("timestamp"), event.get("received"))
    event_id = coerce.line(event.get("event_id") or event.get("eventID"), 100)
    return coerce.made_event(
        id=f"event:{event_id}" if event_id else f"{resource}.{action}:{coerce.digest(data)}",
        source=NAME,
        kind=f"{resource}.{action}",
        status=status,
        severity=severity_of(status, event.get("level"), tags.get("level"), coerce.at(event, "occurrence", "level")),
        title=title or rule or fallback_title(resource, action, project),
        summary=_event_summary(event, title),
        url=page_of(event.get("web_url"), event.get("permalink"), data.get("web_url")),
        service=project,
        environment=coerce.first_line(event.get("environment"), tags.get("environment")),
        occurred_at=occurred_at or received_at,
        identity=_event_identity(event, data, project, rule),
        labels=_event_labels(event, tags, project, rule),
        annotations=coerce.labels([("first_seen", event.get("firstSeen"))]),
    )


def _event_labels(event: Mapping[str, Any], tags: Mapping[str, Any], project: str, rule: str) -> dict[str, str]:
    own = [
        ("project", project),
        ("level", coerce.first_line(event.get("level"), tags.get("level"))),
        ("release", coerce.first_line(event.get("release"), tags.get("release"), tags.get("sentry:release"))),
        ("environment", coerce.first_line(event.get("environment"), tags.get("environment"))),
        ("platform", event.get("platform")),
        ("culprit", event.get("culprit")),
        ("transaction", coerce.first_line(event.get("transaction"), tags.get("transaction"))),
        ("rule", rule),
        ("issue", issue_id(event)),
        ("logger", event.get("logger")),
        ("location", event.get("location")),
        (MINIFIED, "yes" if _is_minified(event) else None),
    ]
    return coerce.labels([*own, *((name, each) for name, each in tags.items() if name.lower() not in OWN_TAGS)])


def _is_minified(event: Mapping[str, Any]) -> bool:
    """Return whether a script's own frames are minified: then Sentry has found no source map of the release."""
    if coerce.word(event.get("platform")) not in SCRIPTS:
        return False
    exception = event.get("exception") or event.get("sentry.interfaces.Exception")
    stacks = [coerce.at(each, "stacktrace", "frames") for each in coerce.items(coerce.at(exception, "values"))]
    frames = [each for stack in stacks for each in coerce.items(stack)[-MAX_FRAMES:] if isinstance(each, dict)]
    own = [each for each in frames if coerce.truth(each.get("in_app") or each.get("inApp"))]
    return bool(own) and all(map(_is_minified_frame, own))


def _is_minified_frame(frame: Mapping[str, Any]) -> bool:
    file = coerce.first_line(frame.get("filename"), frame.get("abs_path"), limit=2_000).partition("?")[0]
    column = coerce.number(frame.get("colno") or frame.get("colNo")) or 0
    line = frame.get("context_line")
    readable = isinstance(line, str) and 0 < len(line) <= LONGEST_LINE and "{snip}" not in line
    short = 0 < len(coerce.line(frame.get("function"), 100)) <= 2
    return file.endswith(".js") and (column > FARTHEST_COLUMN or short) and not readable


def _event_title(event: Mapping[str, Any]) -> str:
    return (
        coerce.first_line(event.get("title"), limit=coerce.MAX_TITLE_CHARACTERS)
        or metadata_title(event.get("metadata"))
        or coerce.head(coerce.at(event, "occurrence", "issueTitle"))
        or coerce.head(event.get("message"))
        or coerce.head(_logged(event))
        or _exception_title(event)
        or coerce.first_line(event.get("culprit"), limit=coerce.MAX_TITLE_CHARACTERS)
    )


def _logged(event: Mapping[str, Any]) -> str:
    entry = event.get("logentry") or event.get("sentry.interfaces.Message")
    return coerce.text(coerce.at(entry, "formatted"), 1_000) or coerce.text(coerce.at(entry, "message"), 1_000)


def _exception_title(event: Mapping[str, Any]) -> str:
    exception = event.get("exception") or event.get("sentry.interfaces.Exception")
    values = coerce.items(coerce.at(exception, "values"))
    return metadata_title(values[-1]) if values else ""


def _event_summary(event: Mapping[str, Any], title: str) -> str:
    said = coerce.text(event.get("message"), 2_000) or _logged(event) or metadata_title(event.get("metadata"))
    evidence = coerce.text(coerce.at(event, "occurrence", "subtitle"), 500)
    parts = [
        feedback_of(event),
        said if said != title else "",
        evidence,
        evidence_of(event),
        coerce.line(event.get("culprit")),
    ]
    return "\n".join(dict.fromkeys(part for part in parts if part and part != title))


def _event_identity(event: Mapping[str, Any], data: Mapping[str, Any], project: str, rule: str) -> str:
    if issue := issue_id(event):
        return f"issue:{issue}"
    hashes = event.get("hashes") or event.get("fingerprint")
    if hashes:
        return f"group:{coerce.digest([project, hashes, _event_title(event)])}"
    if event:
        return f"group:{coerce.digest([project, _event_title(event), coerce.line(event.get('culprit'))])}"
    return f"rule:{coerce.line(coerce.at(data, 'issue_alert', 'id')) or rule or 'unknown'}"


def _project(data: Mapping[str, Any], event: Mapping[str, Any]) -> str:
    """Return the project's slug, or its name or number where there is nothing better."""
    project = event.get("project")
    within = _PROJECT.search(coerce.line(event.get("url"), 2_000))
    own = coerce.table(project)
    return coerce.first_line(
        data.get("project_slug"),
        event.get("project_slug"),
        own.get("slug"),
        within[1] if within else None,
        own.get("name"),
        event.get("project_name"),
        own.get("id"),
        project,
        limit=200,
    )
