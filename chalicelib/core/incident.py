"""The alerts that are notified together: what people see, acknowledge and resolve, and what was announced to whom.

`fold` (fold.py) takes what happened (inputs.py) and answers with the incident as it is then; `due` compares it with what
was announced to each target and answers what must be sent now. Both are pure: folding an input twice changes nothing, and
`due` on its own answer finds nothing more to send. The rhythm is Alertmanager's: the first flush `group_wait` after the
first alert, later ones on a grid of `group_interval`; nothing wakes the incident between, unless something is waiting.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum

from chalicelib.core.alert import Alert, AlertState
from chalicelib.core.event import Severity, fingerprint
from chalicelib.core.glance import Glance
from chalicelib.core.lifecycle import last_end
from chalicelib.core.notified import NotifiedState
from chalicelib.core.rule import ALL_LABELS, Route, RouteOptions
from chalicelib.core.stored import flat, stored_as

MAX_COMMITTED = 64
"""Ids of the newest notifications, for the version before, which looks for a notification's id here."""
MAX_TIMELINE = 200
CORRELATED = "c|"
"""The keys of correlated incidents begin with it; those of others begin with the id of their route."""
STORM = "storm|"
"""The keys of storms begin with it (storms.py)."""
SHORTEST_INTERVAL = timedelta(milliseconds=100)


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the timeline. `kind` is a word for programs; `act` is equal for one act of a person.

    `via` is the door of an act (`slack`, `api`, `pagerduty`), `account` whose account it was. `result` is set where an
    accepted act came to nothing (core/outcome.py).

    `target` and `seq` find the delivery of what was sent. `count` events were folded into the line, up to `until`.
    """

    at: datetime
    text: str
    by: str = ""
    kind: str = ""
    act: str = ""
    target: str = ""
    seq: int = 0
    count: int = 0
    until: datetime | None = None
    via: str = ""
    account: str = ""
    result: str = ""


@dataclass(frozen=True, slots=True)
class Timeline:
    """The newest lines of an incident. Older ones are in as many `pages`, which are kept beside it."""

    entries: tuple[Entry, ...] = ()
    pages: int = 0

    def added(self, *entries: Entry) -> "Timeline":
        """Return it with more lines; the oldest are dropped where there are too many."""
        return replace(self, entries=(*self.entries, *entries)[-MAX_TIMELINE:])


class IncidentStatus(StrEnum):
    """OPEN while an alert fires or a resolve is pending, ENDED after that, QUIET if it never began."""

    QUIET = "quiet"
    OPEN = "open"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class Episode:
    """One life of an incident, from its first firing alert to its end. `opened_at` is when a target was first notified.

    `aliases` are what vendors call it (`pagerduty:Q1A2B3`). `closed_via` is the door through which a person resolved it.
    `news_at` is when an alert last joined a correlated incident, or got worse (correlation.py). `kept_by` keeps it open
    since `kept_at`, though nothing fires (keeping.py).
    """

    started_at: datetime | None = None
    opened_at: datetime | None = None
    ended_at: datetime | None = None
    aliases: tuple[str, ...] = ()
    closed_via: str = ""
    news_at: datetime | None = None
    kept_by: str = ""
    kept_at: datetime | None = None

    @property
    def status(self) -> IncidentStatus:
        """Return whether it goes on, has ended, or never began."""
        if self.started_at is None:
            return IncidentStatus.QUIET
        return IncidentStatus.OPEN if self.ended_at is None else IncidentStatus.ENDED

    @property
    def was_opened(self) -> bool:
        """Return whether some target was notified of it."""
        return self.opened_at is not None


@dataclass(frozen=True, slots=True)
class FlushClock:
    """When targets are notified of news: on a grid of `group_interval` from the first flush on, which was at `anchor_at`.

    `last_at` is the newest flush. `next_at` is the next one, which may lie between two points of the grid.
    """

    anchor_at: datetime | None = None
    last_at: datetime | None = None
    next_at: datetime | None = None

    @property
    def has_begun(self) -> bool:
        """Return whether there was a flush."""
        return self.anchor_at is not None

    def is_due(self, now: datetime) -> bool:
        """Return whether the next flush is due."""
        return self.next_at is not None and now >= self.next_at

    def flushed(self, now: datetime) -> "FlushClock":
        """Return the clock after a flush."""
        return FlushClock(self.anchor_at or now, now)

    def point_after(self, interval: timedelta, at: datetime) -> datetime:
        """Return the first point of the grid at or after `at`, and after the last flush."""
        anchor = self.anchor_at or at
        interval = max(interval, SHORTEST_INTERVAL)
        steps = max(0, -((anchor - at) // interval))
        found = anchor + steps * interval
        while self.last_at is not None and found <= self.last_at:
            found += interval
        return found


@dataclass(frozen=True, slots=True)
class EscalationClock:
    """How many steps of the escalation are `done`, and when its clock was restarted, if it was.

    It restarts when nobody has the alerts any more: an acknowledgement ran out or was taken back. The clock of a route of
    a correlated incident is first started when a target is notified of an alert that came by the route.
    """

    restarted_at: datetime | None = None
    done: int = 0


@dataclass(frozen=True, slots=True)
class Truncated:
    """The alerts over `max_alerts`, which are only counted.

    `alerts` are the active ones, with the time of their newest event (seconds). `events` counts the events of all of
    them, `event_ids` are the short ids of the newest.
    """

    alerts: Mapping[str, float] = field(default_factory=dict)
    events: int = 0
    event_ids: tuple[str, ...] = ()

    def without(self, fault: str) -> "Truncated":
        """Return them without an alert that is kept, or is over."""
        if fault not in self.alerts:
            return self
        return replace(self, alerts={name: at for name, at in self.alerts.items() if name != fault})


@dataclass(frozen=True, slots=True)
class Incident:
    """The alerts of one group. `key` names the group in all its episodes, `id` this one.

    `announced` is what each target was notified of, by its key. `wake_at` is when it must be looked at again. `sync` asks
    to bring sent messages up to date without notifying anybody: it is the door through which the change came.
    `escalations` are the clocks of a correlated incident, by the id of the route; any other has one, `escalation`.
    `glance` is its row in lists: two incidents that differ by it alone are equal.
    """

    key: str
    id: str = ""
    version: int = 0
    route: str = ""
    group: Mapping[str, str] = field(default_factory=dict)
    options: RouteOptions = stored_as("rhythm", default_factory=RouteOptions)
    alerts: Mapping[str, Alert] = field(default_factory=dict)
    announced: Mapping[str, NotifiedState] = field(default_factory=dict)
    episode: Episode = flat(Episode)
    flush: FlushClock = flat(FlushClock, last_at="flushed_at", next_at="next_flush_at")
    wake_at: datetime | None = None
    escalation: EscalationClock = flat(EscalationClock, restarted_at="escalate_from", done="escalated")
    escalations: Mapping[str, EscalationClock] = field(default_factory=dict)
    sync: str = ""
    truncated: Truncated = flat(Truncated, alerts="beyond", events="overflow", event_ids="overflown")
    committed: tuple[str, ...] = ()
    timeline: Timeline = flat(Timeline, entries="timeline")
    glance: Glance | None = field(default=None, compare=False)

    @property
    def is_correlated(self) -> bool:
        """Return whether it holds the alerts of several rules and routes, since they have the labels of `correlate` in common.

        A storm does, too.
        """
        return self.key.startswith((CORRELATED, STORM))

    @property
    def is_storm(self) -> bool:
        """Return whether it stands for many incidents at one target."""
        return self.key.startswith(STORM)

    @property
    def status(self) -> IncidentStatus:
        """Return whether its episode goes on, has ended, or never began."""
        return self.episode.status

    @property
    def firing(self) -> tuple[Alert, ...]:
        """Return the alerts that fire, in no order."""
        return tuple([alert for alert in self.alerts.values() if alert.state is AlertState.FIRING])

    @property
    def shown(self) -> tuple[Alert, ...]:
        """Return the alerts of this episode that ever fired, as people see them."""
        found = [alert for alert in self.alerts.values() if in_episode(alert, self)]
        return tuple(
            sorted(found, key=lambda alert: (alert.state is not AlertState.FIRING, alert.starts_at, alert.name))
        )

    @property
    def events(self) -> int:
        """Count the distinct events of this episode's alerts."""
        own = sum(alert.received.events for alert in self.alerts.values() if in_episode(alert, self))
        return own + self.truncated.events

    @property
    def severity(self) -> Severity:
        """Return the worst severity among what fires; of all when nothing does."""
        alerts = self.firing or self.shown or tuple(self.alerts.values())
        return min((alert.severity for alert in alerts), key=lambda found: found.rank, default=Severity.WARNING)


def clock_of(incident: Incident, route: Route) -> EscalationClock:
    """Return the clock of a route's escalation."""
    return incident.escalations.get(route.id, incident.escalation)


def escalates_from(incident: Incident, route: Route) -> datetime | None:
    """Return when that clock began or was started again; None before anybody was notified of what came by the route."""
    since = clock_of(incident, route).restarted_at
    return since if since is not None or incident.is_correlated else incident.episode.opened_at


def with_clock(incident: Incident, route: Route, clock: EscalationClock) -> Incident:
    """Return the incident with the clock of a route's escalation."""
    if not incident.is_correlated:
        return replace(incident, escalation=clock)
    return replace(incident, escalations={**incident.escalations, route.id: clock})


def restarted(incident: Incident, alerts: Iterable[Alert], at: datetime) -> Incident:
    """Return the incident with the clocks of the escalations of these alerts started again at that time."""
    if not incident.is_correlated:
        return replace(incident, escalation=EscalationClock(at))
    routes = {id for alert in alerts for id in alert.routes}
    clocks = {id: EscalationClock(at) if id in routes else clock for id, clock in incident.escalations.items()}
    return replace(incident, escalations=clocks)


def in_episode(alert: Alert, incident: Incident) -> bool:
    """Return whether the alert fires, or ended after the incident began; one that is pending again ended too.

    What ended before the incident began is only remembered.
    """
    if alert.state is AlertState.FIRING:
        return True
    if alert.starts_at is None:
        return False
    ended_at = alert.ends_at if alert.state is AlertState.RESOLVED else last_end(alert) or alert.starts_at
    began_at = incident.episode.started_at
    return began_at is None or ended_at is None or ended_at >= began_at


def is_listed(incident: Incident, ended_since: datetime | None, *, quiet: bool) -> bool:
    """Return whether an incident is open, or ended after that time, or, if those are asked for, waits to begin."""
    if incident.status is IncidentStatus.OPEN:
        return True
    if quiet and incident.wake_at is not None:
        return True
    return ended_since is not None and incident.episode.ended_at is not None and incident.episode.ended_at > ended_since


def notified_of(incident: Incident) -> frozenset[str]:
    """Return the fingerprints of the alerts of which some target was notified and not yet of their end."""
    return frozenset(name for each in incident.announced.values() if each.open for name in each.alerts.firing)


def group_labels(route: Route, labels: Mapping[str, str]) -> dict[str, str]:
    """Return the labels by which the alert is grouped: those of `group_by` that it has; all of them for `...`."""
    return labels_of_group(route.options.group_by, labels)


def labels_of_group(group_by: Sequence[str], labels: Mapping[str, str]) -> dict[str, str]:
    """Return the labels of `group_by` that are there; all of them for `...`."""
    if ALL_LABELS in group_by:
        return {name: labels[name] for name in sorted(labels)}
    return {name: labels[name] for name in sorted(group_by) if labels.get(name)}


def incident_key(route: Route, group: Mapping[str, str]) -> str:
    """Return the key of a group: readable where it is short, and never longer than 200 characters."""
    text = "|".join([route.id, *(f"{name}={group[name]}" for name in sorted(group))])
    if len(text) <= 160 and text.isprintable():
        return text
    return f"{text[:120].encode('ascii', 'replace').decode()}|{fingerprint(text)}"


def remarked(incident: Incident, entry: Entry) -> Incident:
    """Return the incident with one more line in its timeline; the same line twice is one."""
    if entry in incident.timeline.entries:
        return incident
    return replace(incident, timeline=incident.timeline.added(entry))
