"""Keep open: a person has an incident stay open, though nothing of it fires any more.

Its targets are not notified of the end before somebody resolves it, or something fires in it again. That is then as a
beginning: the targets notice it, nobody has it, and its escalation starts anew.
"""

from dataclasses import replace
from datetime import datetime

from chalicelib.core.acknowledgement import unacknowledged
from chalicelib.core.incident import Incident, IncidentStatus, restarted
from chalicelib.core.notified import NotifiedAlerts


def is_kept(incident: Incident) -> bool:
    """Return whether a person keeps an incident open of which nothing fires, nor did since."""
    kept_at = incident.episode.kept_at
    if kept_at is None or incident.status is not IncidentStatus.OPEN:
        return False
    if incident.firing or incident.truncated.alerts:
        return False
    return all(alert.ends_at is None or alert.ends_at <= kept_at for alert in incident.shown)


def kept(incident: Incident, by: str, at: datetime) -> Incident:
    """Return the incident that a person keeps open. What ended by the clock of its sender later than now ended before."""
    ends = [alert.ends_at for alert in incident.shown if alert.ends_at is not None]
    return replace(incident, episode=replace(incident.episode, kept_by=by, kept_at=max([at, *ends])))


def not_kept(incident: Incident) -> Incident:
    """Return the incident that nobody keeps open any more."""
    if incident.episode.kept_at is None:
        return incident
    return replace(incident, episode=replace(incident.episode, kept_by="", kept_at=None))


def resumed(incident: Incident) -> Incident:
    """Return an incident that somebody kept open and in which something fires: that is as a beginning."""
    firing, kept_at = incident.firing, incident.episode.kept_at
    if kept_at is None or not firing:
        return incident
    since = max([kept_at, *(alert.starts_at for alert in firing if alert.starts_at is not None)])
    alerts = {alert.fingerprint: unacknowledged(alert) for alert in firing}
    announced = {key: replace(each, alerts=NotifiedAlerts(anew=True)) for key, each in incident.announced.items()}
    incident = replace(incident, alerts={**incident.alerts, **alerts}, announced=announced)
    return not_kept(restarted(incident, firing, since))
