"""Which incident a new alert joins: the newest of its `by` values, while that is young and has news.

An alert that is known somewhere is found by its identity (identity.py), never by this. A new one joins the head of its
values: their newest incident. The decision is made once; nothing waits for it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import lru_cache

from chalicelib.core.alert import Alert, AlertState
from chalicelib.core.event import Severity, fingerprint
from chalicelib.core.incident import CORRELATED, Incident, IncidentStatus
from chalicelib.core.lifecycle import last_end
from chalicelib.core.rule import Correlate, Route, Rule, Rules

AGAIN = timedelta(hours=24)
"""An incident that begins so soon after the end of another one of the same values names that."""
LINK = "linked"
"""The kind of the lines of a timeline that name another incident which may have the same cause."""
LINKED = "linked to "
LONGEST_HOLD = timedelta(minutes=15)


@dataclass(frozen=True, slots=True)
class Head:
    """The newest incident of some `by` values, by its key. `at` is when its first alert began."""

    key: str
    at: datetime


def linked(incident: Incident) -> list[str]:
    """Return the ids of the incidents that may have the same cause as this one."""
    lines = (each.text for each in incident.timeline.entries if each.kind == LINK)
    return list(dict.fromkeys(text.removeprefix(LINKED).partition(":")[0] for text in lines))


def by_values(rules: Rules, rule: Rule | None, routes: Sequence[Route], labels: Mapping[str, str]) -> dict[str, str]:
    """Return the values by which an alert is correlated; empty where it is not, and goes to the groups of its routes."""
    correlate = rules.correlate
    if correlate is None or (rule is not None and not rule.correlates):
        return {}
    if not all(route.correlates for route in routes):
        return {}
    found = {name: labels[name] for name in correlate.by if labels.get(name)}
    return found if len(found) == len(correlate.by) else {}


def head_name(values: Mapping[str, str]) -> str:
    """Return the name under which the head of these values is stored: readable where it is short."""
    return _head_name(tuple(sorted(values.items())))


@lru_cache(maxsize=1_024)
def _head_name(values: tuple[tuple[str, str], ...]) -> str:
    """Return the name of sorted values. Each event of a storm asks for one of few."""
    text = "|".join(f"{name}={value}" for name, value in values)
    if len(text) <= 160 and text.isprintable():
        return text
    return f"{text[:120].encode('ascii', 'replace').decode()}|{fingerprint(text)}"


def new_key(values: Mapping[str, str], alert: str, started_at: datetime) -> str:
    """Return the key of an incident that begins with this alert. A worker that decides it again finds the same."""
    return CORRELATED + fingerprint(head_name(values), alert, started_at.isoformat())


def why_not_joined(
    head: Head,
    incident: Incident | None,
    started_at: datetime,
    correlate: Correlate,
    *,
    news_at: datetime | None = None,
    severity: Severity = Severity.WARNING,
) -> str:
    """Return why an alert that began then does not join the head; empty where it does.

    `incident` is None while nothing of it is saved. `news_at` is later news that is not saved yet. What is over
    `max_alerts` is only counted, which must not happen to a critical alert: it begins an incident of its own.
    """
    began_at = head.at
    if incident is not None and incident.episode.started_at is not None:
        began_at = incident.episode.started_at
        if incident.status is IncidentStatus.ENDED:
            return "it has ended"
        if incident.episode.closed_via:
            return "a person resolved it"
        if severity is Severity.CRITICAL and len(incident.alerts) >= incident.options.max_alerts:
            return "it is full"
    known = (began_at, news_at, incident.episode.news_at if incident is not None else None)
    news = max(at for at in known if at is not None)
    if started_at > news + correlate.join_within:
        return f"its last news is older than {correlate.join_within}"
    if started_at < began_at - correlate.join_within:
        return f"it began more than {correlate.join_within} later"
    if started_at > began_at + correlate.max_age:
        return f"it is older than {correlate.max_age}"
    return ""


def with_news(before: Incident, incident: Incident, muted: Mapping[str, object], correlate: Correlate) -> Incident:
    """Return a correlated incident with the time of its newest news: an alert that joined, or a severity that rose.

    A repeat, a flap, an end and an act of a person are none, nor is what is muted.
    """
    if not incident.is_correlated:
        return incident
    times = [
        at
        for alert in incident.firing
        if alert.fingerprint not in muted
        and (at := _news_of(before.alerts.get(alert.fingerprint), alert, correlate)) is not None
    ]
    newest = max([*times, *([incident.episode.news_at] if incident.episode.news_at else [])], default=None)
    if newest == incident.episode.news_at:
        return incident
    return replace(incident, episode=replace(incident.episode, news_at=newest))


def _news_of(old: Alert | None, alert: Alert, correlate: Correlate) -> datetime | None:
    if old is None or (not was_firing(old) and last_end(old) is None):
        return alert.starts_at
    if alert.severity.rank < old.severity.rank:
        return alert.received.last_event_at or alert.ack.worse_at or alert.starts_at
    is_new = alert.starts_at is not None and last_end(old) is not None and not flapped(old, alert.starts_at, correlate)
    return alert.starts_at if is_new else None


def was_firing(alert: Alert) -> bool:
    """Return whether the alert fires, or fired before its end."""
    return alert.state in (AlertState.FIRING, AlertState.RESOLVED)


def flapped(ended: Alert, started_at: datetime, correlate: Correlate) -> bool:
    """Return whether an alert that begins at a time has only flapped, as it ended shortly before."""
    ended_at = last_end(ended)
    return ended_at is None or started_at <= ended_at + correlate.join_within


def hold_of(alerts: Sequence[Alert], interval: timedelta, since: datetime | None) -> timedelta:
    """Return how long a target's alerts, which have ended, are waited for before its end: longer after they flapped.

    `since` is when the incident began.
    """
    flaps = max((_flaps(alert, since) for alert in alerts), default=0)
    return min(interval * min(flaps + 1, 3), max(LONGEST_HOLD, interval))


def _flaps(alert: Alert, since: datetime | None) -> int:
    """Return how often an alert that has ended began anew in its incident."""
    starts = [at for at in alert.changes.times[-2::-2] if since is None or at >= since]
    return max(0, len(starts) - 1)
