"""What an index of the store shows of each incident: enough to sort, to match and to choose, so that few are read whole.

A summary may be a moment older than its incident. Who decides by it reads the incident, or looks once more later.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from chalicelib.core.alert import Alert, AlertState, Origin
from chalicelib.core.event import Severity
from chalicelib.core.incident import Incident, IncidentStatus, in_episode
from chalicelib.core.match import Matcher, matches_all

MAX_ALERTS = 20
"""An incident with more alerts is summarised without them: it is read where they matter."""
PAGE = 1_000
"""So many summaries at most are in a page of the store."""


@dataclass(frozen=True, slots=True)
class AlertSummary:
    """One alert of a summary. `labels` are those that matchers see. `shown` says that it fires, or ended in this episode."""

    fingerprint: str
    state: AlertState
    severity: Severity
    labels: Mapping[str, str] = field(default_factory=dict)
    event_name: str = ""
    shown: bool = True
    origin: Origin = Origin.EVENT

    @property
    def name(self) -> str:
        """Return the name of the alert."""
        return self.labels.get("alertname", "")

    @property
    def fires(self) -> bool:
        """Return whether it fires."""
        return self.state is AlertState.FIRING

    @property
    def active(self) -> bool:
        """Return whether it is pending or fires."""
        return self.state in (AlertState.PENDING, AlertState.FIRING)

    def match_labels(self) -> Mapping[str, str]:
        """Return the labels that matchers see."""
        return self.labels

    def matched_by(self, matchers: Sequence[Matcher]) -> bool:
        """Return whether the matchers hold for it as its rule or as its sender names it, as for the alert itself."""
        if matches_all(matchers, self.labels):
            return True
        return bool(self.event_name) and matches_all(matchers, {**self.labels, "alertname": self.event_name})


@dataclass(frozen=True, slots=True)
class Summary:
    """An incident in short. `at` is when it began, or ended if it has ended.

    `alerts` are the shown and the active ones; with `cut` there are too many, and only the incident has them. `waits` says
    that it is not open and has a timer. `archived` says that another one may have replaced it under its key.
    """

    key: str
    id: str = ""
    status: IncidentStatus = IncidentStatus.QUIET
    severity: Severity = Severity.WARNING
    at: datetime | None = None
    alerts: tuple[AlertSummary, ...] = ()
    cut: bool = False
    waits: bool = False
    archived: bool = False

    @property
    def name(self) -> str:
        """Return what names the incident among all: its id, or the key of one that never began."""
        return self.id or self.key

    @property
    def firing(self) -> tuple[AlertSummary, ...]:
        """Return the alerts that fire; none where they are cut."""
        return tuple(alert for alert in self.alerts if alert.fires)

    def is_listed(self, ended_since: datetime | None = None, *, quiet: bool = False) -> bool:
        """Return whether it is open, or ended after that time, or, if those are asked for, waits to begin."""
        if self.status is IncidentStatus.OPEN or (quiet and self.waits):
            return True
        ended_at = self.at if self.status is IncidentStatus.ENDED else None
        return ended_since is not None and ended_at is not None and ended_at > ended_since


@dataclass(frozen=True, slots=True)
class SummaryPage:
    """Some summaries, and the `after` of the next page; empty at the end."""

    summaries: tuple[Summary, ...] = ()
    next: str = ""


def summary_of(incident: Incident, *, archived: bool = False) -> Summary:
    """Return an incident in short."""
    episode, status = incident.episode, incident.status
    alerts = [alert for alert in incident.alerts.values() if _matters(alert, incident)]
    cut = len(alerts) > MAX_ALERTS
    return Summary(
        key=incident.key,
        id=incident.id,
        status=status,
        severity=incident.severity,
        at=episode.ended_at or episode.started_at,
        alerts=() if cut else tuple(alert_summary(alert, incident) for alert in alerts),
        cut=cut,
        waits=status is not IncidentStatus.OPEN and incident.wake_at is not None,
        archived=archived,
    )


def without_alerts(summary: Summary) -> Summary:
    """Return the summary of an incident whose alerts have too many or too long labels."""
    return Summary(
        summary.key, summary.id, summary.status, summary.severity, summary.at, (), True, summary.waits, summary.archived
    )


def alert_summaries(incident: Incident) -> Iterator[AlertSummary]:
    """Yield the shown and the active alerts of an incident, however many."""
    return (alert_summary(alert, incident) for alert in incident.alerts.values() if _matters(alert, incident))


def alert_summary(alert: Alert, incident: Incident) -> AlertSummary:
    """Return an alert in short."""
    return AlertSummary(
        fingerprint=alert.fingerprint,
        state=alert.state,
        severity=alert.severity,
        labels=alert.match_labels(),
        event_name=alert.sender.event_name if alert.sender.event_name != alert.name else "",
        shown=in_episode(alert, incident),
        origin=alert.origin,
    )


def _matters(alert: Alert, incident: Incident) -> bool:
    return alert.active or in_episode(alert, incident)
