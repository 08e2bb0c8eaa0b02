"""What a Sentry webhook means.

Bodies name no type: that is in the header `Sentry-Hook-Resource`, and read from the body where the header is lost. One
occurrence can arrive as `issue.created`, `event_alert.triggered` and `error.created`: all three are about the same
issue, and one alert. Uptime and cron monitors have no resource of their own; they arrive as issues.
"""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from chalicelib.core import reading
from chalicelib.core.event import Event, Severity, Status

NAME = "sentry"

_FIRES = frozenset([
    "created", "unresolved", "triggered", "critical", "warning", "open", "opened", "reopened", "regressed",
    "regression", "escalating", "escalated",
])  # fmt: skip
_ENDS = frozenset({"resolved", "ignored", "archived", "closed", "muted", "deleted", "ok"})
_FAULTS = frozenset({"event_alert", "error", "issue", "metric_alert"})
"""Resources that are about a fault; everything else is information."""
_METRIC_SEVERITY = {"critical": Severity.CRITICAL}
_METRIC_STATUS = {"1": "open", "2": "resolved", "10": "warning", "20": "critical"}
_OWN_TAGS = frozenset([
    "browser", "browser.name", "os", "os.name", "os.rooted", "device", "device.family", "client_os",
    "client_os.name", "user", "sentry:user", "url", "ip", "ip_address", "level", "environment", "release", "dist",
    "sentry:release", "sentry:dist", "trace", "trace.ctx", "trace.span", "replayid", "replay_id", "event_id", "geo",
    "email", "username", "transaction_id",
])  # fmt: skip
"""Tags that are labels anyway, differ for each event, or are personal."""


def parse(headers: Mapping[str, str], body: bytes, *, received_at: datetime) -> list[Event]:
    """The one event of a delivery; raises ParseError when the body is no JSON object."""
    payload = reading.json_object(body)
    sent_at = reading.instant(headers.get("sentry-hook-timestamp"))
    if _is_legacy(payload):
        return [_occurrence(_from_legacy(payload), "event_alert", "triggered", received_at)]
    resource = reading.word(headers.get("sentry-hook-resource")) or _resource(payload)
    data = reading.table(payload.get("data"))
    action = _action(payload, resource, data)
    if resource in ("event_alert", "error"):
        return [_occurrence(_event_data(data, resource), resource, action, received_at)]
    if resource == "metric_alert":
        told = {**data, "organization": _organization(payload, data)}
        return [_metric_alert(told, action, sent_at, received_at)]
    if resource in ("issue", "activity_alert"):
        return [_issue(data, resource, action, headers, sent_at, received_at)]
    return [_information(payload, data, resource, action, sent_at or received_at)]


def _is_legacy(payload: Mapping[str, Any]) -> bool:
    """Bodies of the plugin and of service hooks; the oldest plugins sent no event at all."""
    if "data" in payload or payload.get("action"):
        return False
    return isinstance(payload.get("event"), dict) or (
        "project" in payload and ("message" in payload or "id" in payload)
    )


def _resource(payload: Mapping[str, Any]) -> str:
    """The resource by what the body holds, for bodies whose header is lost."""
    data = reading.table(payload.get("data"))
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
    told = re.match(r"Sentry ([a-z_]{1,40})\.", reading.line(payload.get("text")))
    return told[1] if told else "unknown"


def _action(payload: Mapping[str, Any], resource: str, data: Mapping[str, Any]) -> str:
    """The action; where it is lost, what the resource's state says."""
    if said := reading.word(payload.get("action")).replace(".", "_"):
        return said
    if resource == "event_alert":
        return "triggered"
    if resource == "error":
        return "created"
    if resource == "metric_alert":
        return _METRIC_STATUS.get(reading.line(reading.at(data, "metric_alert", "status")), "unknown")
    status = reading.word(reading.at(data, "issue", "status"))
    return status if status in ("resolved", "ignored", "unresolved") else "unknown"


def _status(resource: str, action: str) -> Status:
    if resource in _FAULTS:
        begin = action.partition("_")[0]
        if begin in _ENDS:
            return Status.RESOLVED
        if begin in _FIRES:
            return Status.FIRING
    return Status.INFO


def _severity(status: Status, *levels: Any) -> Severity:
    """By level; nothing said is a warning, unless it is only information."""
    return reading.severity(*levels, default=Severity.INFO if status is Status.INFO else Severity.WARNING)


# ---------------------------------------------------------------------------------------------------------------------
# Occurrences: event_alert, error, the legacy plugin, service hooks


def _event_data(data: Mapping[str, Any], resource: str) -> dict[str, Any]:
    """`data` with what occurred under `event`, whichever resource brings it."""
    found = reading.table(data.get(resource)) if resource == "error" else {}
    found = found or reading.table(data.get("event")) or reading.table(data.get("error"))
    issue = reading.table(data.get("issue"))
    if issue:
        known = {key: value for key, value in found.items() if value is not None}
        found = {**issue, "issue_id": issue.get("id"), "event_id": None, **known}
    return {**data, "event": found}


def _from_legacy(payload: Mapping[str, Any]) -> dict[str, Any]:
    """The plugin's body, and that of a service hook, in the form of an event alert."""
    group = reading.table(payload.get("group"))
    outer = {**group, **payload}
    rules = [reading.line(each) for each in reading.items(payload.get("triggering_rules"))]
    event = dict(reading.table(payload.get("event")))
    event.setdefault("web_url", reading.address(payload.get("url")) or group.get("permalink"))
    event.setdefault("level", payload.get("level") or group.get("level"))
    event.setdefault("culprit", outer.get("culprit"))
    event["issue_id"] = event.get("issue_id") or payload.get("id") or group.get("id")
    event["message"] = event.get("message") or payload.get("message")
    event["event_id"] = event.get("event_id") or event.get("id")
    project = payload.get("project")
    named = reading.table(project).get("slug") or reading.table(project).get("name")
    slug = payload.get("project_slug") or named or reading.line(project) or payload.get("project_name")
    return {"event": event, "triggered_rule": ", ".join(filter(None, rules)), "project_slug": slug}


def _occurrence(data: Mapping[str, Any], resource: str, action: str, received_at: datetime) -> Event:
    event = reading.table(data.get("event"))
    tags = _tags(event.get("tags"))
    rule = reading.first_line(data.get("triggered_rule"), reading.at(data, "issue_alert", "title"))
    project = _project(data, event)
    status = _status(resource, action)
    occurred_at = reading.first_instant(event.get("datetime"), event.get("timestamp"), event.get("received"))
    event_id = reading.line(event.get("event_id") or event.get("eventID"), 100)
    return reading.made_event(
        id=f"event:{event_id}" if event_id else f"{resource}.{action}:{reading.digest(data)}",
        source=NAME,
        kind=f"{resource}.{action}",
        status=status,
        severity=_severity(status, event.get("level"), tags.get("level"), reading.at(event, "occurrence", "level")),
        title=_event_title(event) or rule or _fallback_title(resource, action, project),
        summary=_event_summary(event),
        url=_people_address(event.get("web_url"), event.get("permalink"), data.get("web_url")),
        service=project,
        environment=reading.first_line(event.get("environment"), tags.get("environment")),
        occurred_at=occurred_at or received_at,
        identity=_event_identity(event, data, project, rule),
        labels=_event_labels(event, tags, project, rule),
    )


def _event_labels(event: Mapping[str, Any], tags: Mapping[str, Any], project: str, rule: str) -> dict[str, str]:
    own = [
        ("project", project),
        ("level", reading.first_line(event.get("level"), tags.get("level"))),
        ("release", reading.first_line(event.get("release"), tags.get("release"), tags.get("sentry:release"))),
        ("environment", reading.first_line(event.get("environment"), tags.get("environment"))),
        ("platform", event.get("platform")),
        ("culprit", event.get("culprit")),
        ("transaction", reading.first_line(event.get("transaction"), tags.get("transaction"))),
        ("rule", rule),
        ("issue", _issue_id(event)),
        ("logger", event.get("logger")),
        ("location", event.get("location")),
    ]
    return reading.labels([*own, *((name, each) for name, each in tags.items() if name.lower() not in _OWN_TAGS)])


def _event_title(event: Mapping[str, Any]) -> str:
    return (
        reading.first_line(event.get("title"), limit=reading.MAX_TITLE_CHARACTERS)
        or _metadata_title(event.get("metadata"))
        or reading.head(reading.at(event, "occurrence", "issueTitle"))
        or reading.head(event.get("message"))
        or reading.head(_logged(event))
        or _exception_title(event)
        or reading.first_line(event.get("culprit"), limit=reading.MAX_TITLE_CHARACTERS)
    )


def _logged(event: Mapping[str, Any]) -> str:
    entry = event.get("logentry") or event.get("sentry.interfaces.Message")
    return reading.text(reading.at(entry, "formatted"), 1_000) or reading.text(reading.at(entry, "message"), 1_000)


def _metadata_title(metadata: Any) -> str:
    found = reading.table(metadata)
    kind, value = reading.line(found.get("type"), 200), reading.head(found.get("value"))
    if kind or value:
        return ": ".join(filter(None, (kind, value)))
    return reading.head(found.get("title"))


def _exception_title(event: Mapping[str, Any]) -> str:
    exception = event.get("exception") or event.get("sentry.interfaces.Exception")
    values = reading.items(reading.at(exception, "values"))
    return _metadata_title(values[-1]) if values else ""


def _event_summary(event: Mapping[str, Any]) -> str:
    title = _event_title(event)
    said = reading.text(event.get("message"), 2_000) or _logged(event) or _metadata_title(event.get("metadata"))
    evidence = reading.text(reading.at(event, "occurrence", "subtitle"), 500)
    parts = [said if said != title else "", evidence, reading.line(event.get("culprit"))]
    return "\n".join(dict.fromkeys(part for part in parts if part and part != title))


def _event_identity(event: Mapping[str, Any], data: Mapping[str, Any], project: str, rule: str) -> str:
    if issue := _issue_id(event):
        return f"issue:{issue}"
    hashes = event.get("hashes") or event.get("fingerprint")
    if hashes:
        return f"group:{reading.digest([project, hashes, _event_title(event)])}"
    if event:
        return f"group:{reading.digest([project, _event_title(event), reading.line(event.get('culprit'))])}"
    return f"rule:{reading.line(reading.at(data, 'issue_alert', 'id')) or rule or 'unknown'}"


def _issue_id(event: Mapping[str, Any]) -> str:
    """The issue's id, from its address where the field is missing; never the event's."""
    said = event.get("issue_id") or event.get("issueId") or event.get("group_id") or event.get("groupID")
    if found := reading.line(said, 100):
        return found
    for key in ("issue_url", "web_url", "permalink", "url"):
        match = re.search(r"/issues/([A-Za-z0-9_-]{1,60})(?:[/?#]|$)", reading.line(event.get(key), 2_000))
        if match:
            return match[1]
    return ""


def _project(data: Mapping[str, Any], event: Mapping[str, Any]) -> str:
    """The project's slug; its name or number where there is nothing better."""
    project = event.get("project")
    within = re.search(r"/projects/[^/\s]{1,100}/([^/\s?#]{1,100})/", reading.line(event.get("url"), 2_000))
    own = reading.table(project)
    return reading.first_line(
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


def _tags(value: Any) -> dict[str, Any]:
    """Tags by name: Sentry sends pairs in a list; objects and lists of objects are read too."""
    found: dict[str, Any] = dict(value) if isinstance(value, dict) else {}
    for each in reading.items(value)[:200]:
        if isinstance(each, list) and len(each) >= 2 and isinstance(each[0], str):
            found.setdefault(each[0], each[1])
        elif isinstance(each, dict) and isinstance(each.get("key"), str):
            found.setdefault(each["key"], each.get("value"))
    return found


def _people_address(*values: Any) -> str | None:
    """The first address that is a page: those of the API are of no use to people."""
    found = (reading.address(value) for value in values)
    return next((each for each in found if each and "/api/0/" not in each), None)


def _fallback_title(resource: str, action: str, subject: str) -> str:
    said = f"Sentry: {resource} {action}".replace("_", " ")
    return f"{said} in {subject}" if subject else said


# ---------------------------------------------------------------------------------------------------------------------
# Issues and activity on them


def _issue(
    data: Mapping[str, Any],
    resource: str,
    action: str,
    headers: Mapping[str, str],
    sent_at: datetime | None,
    received_at: datetime,
) -> Event:
    issue = reading.table(data.get("issue"))
    status = _status(resource, action)
    number = _issue_id({**issue, "issue_id": issue.get("id") or issue.get("issue_id") or data.get("issue_id")})
    project = _issue_project(data, issue)
    return reading.made_event(
        id=_issue_event_id(data, issue, resource, action, number, headers),
        source=NAME,
        kind=f"{resource}.{action}",
        status=status,
        severity=_severity(status, issue.get("level"), _tags(issue.get("tags")).get("level")),
        title=_issue_title(issue) or _activity_title(data) or f"Sentry issue {number or 'of unknown id'}",
        summary=_issue_summary(data, issue),
        url=_people_address(issue.get("web_url"), issue.get("permalink")),
        service=project,
        environment=reading.first_line(issue.get("environment"), _tags(issue.get("tags")).get("environment")),
        occurred_at=_issue_time(issue, action, sent_at, received_at),
        identity=f"issue:{number}" if number else f"group:{reading.digest([project, _issue_title(issue)])}",
        labels=_issue_labels(data, issue, project, number),
        annotations=_issue_counts(data, issue),
    )


def _issue_project(data: Mapping[str, Any], issue: Mapping[str, Any]) -> str:
    project = reading.table(issue.get("project"))
    return reading.first_line(
        project.get("slug"), project.get("name"), project.get("id"), issue.get("project"), data.get("project_slug")
    )


def _issue_title(issue: Mapping[str, Any]) -> str:
    return (
        reading.first_line(issue.get("title"), limit=reading.MAX_TITLE_CHARACTERS)
        or _metadata_title(issue.get("metadata"))
        or reading.first_line(issue.get("culprit"), issue.get("shortId"))
    )


def _activity_title(data: Mapping[str, Any]) -> str:
    kind = reading.line(reading.at(data, "activity", "type"), 100)
    alert = reading.first_line(reading.at(data, "alert", "title"), reading.at(data, "issue_alert", "title"))
    return ": ".join(filter(None, (alert, kind.replace("_", " "))))


def _issue_summary(data: Mapping[str, Any], issue: Mapping[str, Any]) -> str:
    details = reading.at(data, "activity", "details")
    parts = [
        reading.text(reading.at(details, "summary"), 2_000),
        _metadata_title(issue.get("metadata")),
        reading.line(issue.get("culprit")),
        _issue_facts(issue),
    ]
    title = _issue_title(issue)
    return "\n".join(dict.fromkeys(part for part in parts if part and part != title))


def _issue_facts(issue: Mapping[str, Any]) -> str:
    """`412 events, 31 users, first seen 2026-11-24 08:00 UTC, last seen …`, as far as it is said."""
    said = []
    for word, key in (("event", "count"), ("user", "userCount")):
        if (number := reading.number(issue.get(key))) is not None:
            said.append(f"{number:.0f} {word}" if number == 1 else f"{number:.0f} {word}s")
    for words, key in (("first seen", "firstSeen"), ("last seen", "lastSeen")):
        if at := reading.instant(issue.get(key)):
            said.append(f"{words} {at:%Y-%m-%d %H:%M} UTC")
    return ", ".join(said)


def _issue_labels(data: Mapping[str, Any], issue: Mapping[str, Any], project: str, number: str) -> dict[str, str]:
    tags = _tags(issue.get("tags"))
    own = [
        ("project", project),
        ("level", issue.get("level")),
        ("release", _release(issue)),
        ("environment", reading.first_line(issue.get("environment"), tags.get("environment"))),
        ("platform", reading.first_line(issue.get("platform"), reading.at(issue, "project", "platform"))),
        ("culprit", issue.get("culprit")),
        ("issue", number),
        ("short_id", issue.get("shortId")),
        ("issue_type", issue.get("issueType")),
        ("issue_category", issue.get("issueCategory")),
        ("priority", issue.get("priority")),
        ("substatus", issue.get("substatus")),
        ("logger", issue.get("logger")),
        ("rule", reading.at(data, "alert", "title")),
        ("activity", reading.at(data, "activity", "type")),
        ("resolution_type", data.get("resolution_type")),
    ]
    return reading.labels([*own, *((name, each) for name, each in tags.items() if name.lower() not in _OWN_TAGS)])


def _release(issue: Mapping[str, Any]) -> str:
    for key in ("lastRelease", "firstRelease", "release"):
        found = issue.get(key)
        if said := reading.first_line(reading.at(found, "version"), found):
            return said
    return ""


def _issue_counts(data: Mapping[str, Any], issue: Mapping[str, Any]) -> dict[str, str]:
    assignee = data.get("assignee") or issue.get("assignedTo")
    return reading.labels(
        [
            ("events", issue.get("count")),
            ("users", issue.get("userCount")),
            ("first_seen", issue.get("firstSeen")),
            ("last_seen", issue.get("lastSeen")),
            ("assignee", reading.first_line(reading.at(assignee, "name"), assignee)),
        ]
    )


def _issue_time(issue: Mapping[str, Any], action: str, sent_at: datetime | None, received_at: datetime) -> datetime:
    """When it happened: an issue is created with its first event; for what people do the body has no time, and
    `lastSeen` is only the earliest that it can have been."""
    last_seen = reading.instant(issue.get("lastSeen"))
    if action == "created":
        return reading.instant(issue.get("firstSeen")) or last_seen or sent_at or received_at
    said_at = sent_at or received_at
    return max(said_at, last_seen) if last_seen else said_at


def _issue_event_id(
    data: Mapping[str, Any],
    issue: Mapping[str, Any],
    resource: str,
    action: str,
    number: str,
    headers: Mapping[str, str],
) -> str:
    """Equal on every delivery. An issue is created once; resolving it twice without a new event in between differs
    only in when it was said, and a second end does no harm."""
    begin = f"{resource}.{action}:{number}"
    if action == "created" and number:
        return begin
    said = [issue.get(key) for key in ("lastSeen", "status", "substatus", "statusDetails", "title")]
    moment = headers.get("idempotency-key") or headers.get("sentry-hook-timestamp") if action in _ENDS else None
    rest = [data.get("assignee"), data.get("resolution_type"), data.get("activity"), moment]
    return f"{begin}:{reading.digest([*said, *rest])}"


# ---------------------------------------------------------------------------------------------------------------------
# Metric alerts


def _metric_alert(data: Mapping[str, Any], action: str, sent_at: datetime | None, received_at: datetime) -> Event:
    alert = reading.table(data.get("metric_alert"))
    rule = reading.table(alert.get("alert_rule"))
    projects = alert.get("projects") or rule.get("projects")
    project = _first_project(projects)
    status = _status("metric_alert", action)
    name = reading.first_line(rule.get("name"), alert.get("title"))
    return reading.made_event(
        id=f"metric_alert.{action}:{reading.digest(data)}",
        source=NAME,
        kind=f"metric_alert.{action}",
        status=status,
        severity=_METRIC_SEVERITY.get(action, Severity.INFO if status is Status.INFO else Severity.WARNING),
        title=reading.first_line(data.get("description_title"), name, limit=reading.MAX_TITLE_CHARACTERS)
        or _fallback_title("metric_alert", action, project),
        summary=reading.text(_unescaped(data.get("description_text")), reading.MAX_SUMMARY_CHARACTERS),
        url=_people_address(data.get("web_url"), alert.get("web_url")),
        service=project,
        environment=_environment(rule.get("environment")),
        occurred_at=_metric_time(alert, action, sent_at, received_at),
        identity=_metric_identity(alert, rule, data, name, project),
        labels=reading.labels(
            [
                ("project", project),
                ("rule", name),
                ("environment", _environment(rule.get("environment"))),
                ("aggregate", rule.get("aggregate")),
                ("query", rule.get("query")),
                ("dataset", rule.get("dataset")),
                ("time_window_minutes", rule.get("time_window")),
                ("alert_rule_id", rule.get("id")),
            ]
        ),
        annotations=reading.labels([("first_seen", alert.get("date_started")), ("incident", alert.get("identifier"))]),
    )


def _unescaped(value: Any) -> Any:
    """Descriptions are documented with a backslash and an n where a line ends."""
    return value.replace("\\n", "\n") if isinstance(value, str) else value


def _first_project(projects: Any) -> str:
    for each in reading.items(projects) or [projects]:
        if found := reading.first_line(reading.at(each, "slug"), reading.at(each, "name"), each, limit=200):
            return found
    return ""


def _environment(value: Any) -> str:
    return reading.first_line(reading.at(value, "name"), *reading.items(value)[:1], value, limit=200)


def _metric_time(alert: Mapping[str, Any], action: str, sent_at: datetime | None, received_at: datetime) -> datetime:
    """The time of sending, which tells one change of an incident from the next; without it the body's own times."""
    ended = alert.get("date_closed") if action in _ENDS else None
    began = (alert.get("date_detected"), alert.get("date_started"), alert.get("date_created"))
    return sent_at or reading.first_instant(ended, *began) or received_at


def _metric_identity(
    alert: Mapping[str, Any], rule: Mapping[str, Any], data: Mapping[str, Any], name: str, project: str
) -> str:
    organisation = reading.first_line(
        alert.get("organization_id"), rule.get("organization_id"), data.get("organization"), limit=100
    )
    if number := reading.first_line(rule.get("id"), data.get("alert_rule_id")):
        return f"metric:{organisation}:{number}"
    if number := reading.first_line(alert.get("id"), alert.get("identifier")):
        return f"metric-incident:{organisation}:{number}"
    return f"metric-name:{organisation}:{name}:{project}"


# ---------------------------------------------------------------------------------------------------------------------
# Comments, installations, Seer, artifacts, and whatever comes next


def _information(
    payload: Mapping[str, Any], data: Mapping[str, Any], resource: str, action: str, received_at: datetime
) -> Event:
    issue = reading.first_line(data.get("issue_id"), data.get("group_id"), reading.at(data, "issue", "id"), limit=100)
    project = reading.first_line(data.get("project_slug"), reading.at(data, "project", "slug"), limit=200)
    about = _about(payload, data)
    return reading.made_event(
        id=f"{resource}.{action}:{reading.digest(payload)}",
        source=NAME,
        kind=f"{resource}.{action}",
        status=Status.INFO,
        severity=_severity(Status.INFO, data.get("level")),
        title=_information_title(payload, data, resource, action, issue),
        summary=_information_summary(data),
        url=_people_address(data.get("web_url"), data.get("url"), reading.at(data, "issue", "web_url")),
        service=project,
        occurred_at=reading.first_instant(data.get("timestamp"), data.get("datetime")) or received_at,
        identity=f"issue:{issue}" if issue else f"{resource}:{about}",
        labels=reading.labels(
            [
                ("project", project),
                ("issue", issue),
                ("organization", _organization(payload, data)),
                ("app", reading.at(data, "installation", "app", "slug")),
                ("state", data.get("state")),
            ]
        ),
    )


def _about(payload: Mapping[str, Any], data: Mapping[str, Any]) -> str:
    found = reading.first_line(
        data.get("run_id"),
        data.get("artifact_id"),
        reading.at(data, "preprod_artifact", "id"),
        data.get("comment_id"),
        data.get("id"),
        reading.at(data, "installation", "uuid"),
        reading.at(payload, "installation", "uuid"),
        limit=100,
    )
    return found or reading.digest(data)


def _organization(payload: Mapping[str, Any], data: Mapping[str, Any]) -> str:
    return reading.first_line(
        reading.at(data, "installation", "organization", "slug"),
        reading.at(payload, "installation", "organization", "slug"),
    )


def _information_title(
    payload: Mapping[str, Any], data: Mapping[str, Any], resource: str, action: str, issue: str
) -> str:
    if said := reading.first_line(data.get("title"), data.get("name"), limit=reading.MAX_TITLE_CHARACTERS):
        return said
    subject = f"issue {issue}" if issue else _organization(payload, data)
    said = f"Sentry: {resource} {action}".replace("_", " ")
    return f"{said} ({subject})" if subject else said


def _information_summary(data: Mapping[str, Any]) -> str:
    return (
        reading.text(data.get("comment"), 2_000)
        or reading.text(reading.at(data, "root_cause", "one_line_description"), 2_000)
        or reading.text(reading.at(data, "solution", "one_line_description"), 2_000)
        or reading.text(data.get("summary"), 2_000)
        or reading.text(data.get("error_message"), 2_000)
    )
