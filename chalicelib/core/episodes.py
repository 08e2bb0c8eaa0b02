"""The lives of an incident: it ends, begins anew under a new id, and may have begun earlier than was known."""

from dataclasses import replace
from datetime import datetime, timedelta

from chalicelib.core.acknowledgement import end_notified
from chalicelib.core.alert import Alert, AlertState
from chalicelib.core.event import fingerprint
from chalicelib.core.incident import CORRELATED, Entry, Incident, IncidentStatus, in_episode

MEMORY = timedelta(hours=24)
"""How long a resolved alert is remembered after its incident, so that late deliveries are known as history."""


def begun_anew(incident: Incident) -> Incident:
    """Return the next episode of an incident that has ended, with what its alerts remember; any other as it is."""
    if incident.status is not IncidentStatus.ENDED:
        return incident
    return Incident(
        key=incident.key,
        version=incident.version,
        route=incident.route,
        group=incident.group,
        options=incident.options,
        alerts={name: end_notified(alert) for name, alert in incident.alerts.items()},
        committed=incident.committed,
    )


def with_beginning(before: Incident, incident: Incident, now: datetime) -> Incident:
    """Give a beginning its id; put an incident that stays ended back as it was, with what its alerts remember."""
    if incident.episode.started_at is not None:
        return _begun_earlier(before, incident, incident.episode.started_at)
    begun = [alert for name, alert in incident.alerts.items() if has_begun(before.alerts.get(name), alert)]
    if before.status is IncidentStatus.ENDED:
        if incident.is_correlated and not incident.is_storm:
            kept = {name: before.alerts.get(name) if alert.active else alert for name, alert in incident.alerts.items()}
            return replace(before, alerts={name: alert for name, alert in kept.items() if alert is not None})
        if not begun and not any(alert.active for alert in incident.alerts.values()):
            return replace(before, alerts=incident.alerts)
        incident = replace(incident, alerts=_remembered(incident, before, now))
    if not begun:
        return incident
    started_at = min(alert.starts_at or now for alert in begun)
    name = fingerprint(incident.key, started_at.isoformat(), str(incident.version))
    if incident.is_correlated and not incident.is_storm:
        name = incident.key.removeprefix(CORRELATED)
    entry = Entry(started_at, "began", kind="began")
    return replace(
        incident,
        id=name,
        episode=replace(incident.episode, started_at=started_at),
        timeline=replace(incident.timeline, entries=(entry,)),
    )


def _begun_earlier(before: Incident, incident: Incident, started_at: datetime) -> Incident:
    """Return the incident, begun with an alert that comes late and began first, but not before another one was over."""
    begun = [
        alert.starts_at
        for name, alert in incident.alerts.items()
        if alert.starts_at and has_begun(before.alerts.get(name), alert)
    ]
    earliest = min(begun, default=started_at)
    over = [alert.ends_at for alert in before.alerts.values() if alert.ends_at and not in_episode(alert, before)]
    if earliest >= started_at or any(ended_at >= earliest for ended_at in over):
        return incident
    return replace(incident, episode=replace(incident.episode, started_at=earliest))


def _remembered(incident: Incident, before: Incident, now: datetime) -> dict[str, Alert]:
    """Return the alerts as a new episode begins: each with its events since, and what ended long ago forgotten."""
    found: dict[str, Alert] = {}
    for name, alert in incident.alerts.items():
        old = before.alerts.get(name)
        if alert.state is not AlertState.RESOLVED or (alert.ends_at or now) > now - MEMORY:
            found[name] = _since_before(alert, old) if old else alert
    return found


def _since_before(alert: Alert, old: Alert) -> Alert:
    """Return the alert with the events that it received since it was the old one."""
    if not old.received.events:
        return alert
    return replace(alert, received=replace(alert.received, events=alert.received.events - old.received.events))


def has_begun(before: Alert | None, alert: Alert) -> bool:
    """Return whether the alert fires, or fired and ended since it was last looked at."""
    if alert.state is AlertState.FIRING:
        return True
    if alert.state is not AlertState.RESOLVED or alert.starts_at is None:
        return False
    return before is None or before.ends_at is None or alert.starts_at > before.ends_at
