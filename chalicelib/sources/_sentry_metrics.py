"""Sentry's metric alerts: the action says how bad it is, the rule and its organisation what it is about."""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from chalicelib.core.event import Event, Severity, Status
from chalicelib.core.payload import coerce
from chalicelib.sources._sentry_fields import ENDS, NAME, fallback_title, page_of, status_of

_STATE = re.compile(r"\A(?:critical|warning|resolved|open|ok)\s*:\s*(?=\S)", re.IGNORECASE)
_SEVERITIES = {"critical": Severity.CRITICAL}


def metric_alert(data: Mapping[str, Any], action: str, sent_at: datetime | None, received_at: datetime) -> Event:
    """Return the event of a change of a metric alert. Parts of it may be null, since Sentry may time out writing it."""
    alert = coerce.table(data.get("metric_alert"))
    rule = coerce.table(alert.get("alert_rule"))
    projects = alert.get("projects") or rule.get("projects")
    project = _first_project(projects)
    status = status_of("metric_alert", action)
    name = coerce.first_line(rule.get("name"), alert.get("title"))
    return coerce.made_event(
        id=f"metric_alert.{action}:{coerce.digest(data)}",
        source=NAME,
        kind=f"metric_alert.{action}",
        status=status,
        severity=_SEVERITIES.get(action, Severity.INFO if status is Status.INFO else Severity.WARNING),
        title=_without_state(coerce.first_line(data.get("description_title"), limit=coerce.MAX_TITLE_CHARACTERS))
        or name
        or fallback_title("metric_alert", action, project),
        summary=coerce.text(_unescaped(data.get("description_text")), coerce.MAX_SUMMARY_CHARACTERS),
        url=page_of(data.get("web_url"), alert.get("web_url")),
        service=project,
        environment=_environment(rule.get("environment")),
        occurred_at=_metric_time(alert, action, sent_at, received_at),
        identity=_metric_identity(alert, rule, data, name, project),
        labels=coerce.labels(
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
        annotations=coerce.labels([("first_seen", alert.get("date_started")), ("incident", alert.get("identifier"))]),
    )


def _without_state(title: str) -> str:
    """Return the title without the state that Sentry puts before it: every message shows the state by itself."""
    return _STATE.sub("", title, count=1)


def _unescaped(value: Any) -> Any:
    """Return a description with its line breaks, which are documented as a backslash and an n."""
    return value.replace("\\n", "\n") if isinstance(value, str) else value


def _first_project(projects: Any) -> str:
    for each in coerce.items(projects) or [projects]:
        if found := coerce.first_line(coerce.at(each, "slug"), coerce.at(each, "name"), each, limit=200):
            return found
    return ""


def _environment(value: Any) -> str:
    return coerce.first_line(coerce.at(value, "name"), *coerce.items(value)[:1], value, limit=200)


def _metric_time(alert: Mapping[str, Any], action: str, sent_at: datetime | None, received_at: datetime) -> datetime:
    """Return the time of sending, which distinguishes one change of an incident from the next, else the body's own times.

    When the incident began is no time of its end: the end would count as older than the alert.
    """
    began = ("date_detected", "date_started", "date_created")
    names = ("date_closed",) if action in ENDS else began
    return sent_at or coerce.first_instant(*(alert.get(name) for name in names)) or received_at


def _metric_identity(
    alert: Mapping[str, Any], rule: Mapping[str, Any], data: Mapping[str, Any], name: str, project: str
) -> str:
    organisation = coerce.first_line(
        alert.get("organization_id"), rule.get("organization_id"), data.get("organization"), limit=100
    )
    if number := coerce.first_line(rule.get("id"), data.get("alert_rule_id")):
        return f"metric:{organisation}:{number}"
    if number := coerce.first_line(alert.get("id"), alert.get("identifier")):
        return f"metric-incident:{organisation}:{number}"
    return f"metric-name:{organisation}:{name}:{project}"
