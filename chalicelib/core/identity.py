"""Where a fault is: an event goes first to the incidents that hold its fault, whatever it carries now.

A fault is what its sender calls it (`Event.fingerprint`): an issue, a tunnel, a check. Its severity, environment, labels,
rule and route may differ from event to event. So an end finds its fire, a repeat finds its alert, and what fires is not
opened again after a changed rule. Only what no open incident holds is led by rules and routes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from chalicelib.core.alert import Alert, AlertState
from chalicelib.core.event import Event, Severity, Status, fingerprint
from chalicelib.core.incident import CORRELATED, Incident, IncidentStatus, incident_key
from chalicelib.core.match import matches_all
from chalicelib.core.rule import JOIN_WITHIN, Route, Rule

CLAIMED = timedelta(minutes=10)
"""How long a holder counts whose incident does not know the alert: its worker is about to save it, or died."""


MAX_ENDS = 8
"""Ends remembered of a fault that no incident holds: as many episodes may arrive in reverse."""


@dataclass(frozen=True, slots=True)
class Holder:
    """An incident (by its key) that holds an alert of a fault, with what is needed to fold the next event into it.

    `alert` is the alert's fingerprint, `rank` that of its severity when it began, `at` when the holder was written.
    """

    key: str
    alert: str
    rule: str
    route: str
    group: Mapping[str, str]
    rank: int
    at: datetime


@dataclass(frozen=True, slots=True)
class End:
    """An end that arrived while no open incident held its fault: a beginning that is older and late is resolved."""

    id: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Fault:
    """What is stored of a fault: its holders by slot, and its newest ends that met none, oldest first.

    A slot is the alert's fingerprint, so that one alert has one home. An alert that got worse may have a second home on
    another route: its slot names the key as well.
    """

    holders: Mapping[str, Holder] = field(default_factory=dict)
    ends: tuple[End, ...] = ()


@dataclass(frozen=True, slots=True)
class Proposal:
    """Where rules and routes would lead an event that no open incident holds. `key` is that of the incident.

    `routes` are the ids of the routes by which it would come to a correlated incident, `home` is the key of that one, and
    `group` its `by` values. Any other incident is that of the route and the group.
    """

    rule: Rule | None
    route: Route
    group: Mapping[str, str]
    routes: tuple[str, ...] = ()
    home: str = ""
    key: str = field(init=False, compare=False)

    def __post_init__(self) -> None:
        """Make the key once: each event is compared by it with all that is stored of its fault."""
        object.__setattr__(self, "key", self.home or incident_key(self.route, self.group))

    @property
    def is_correlated(self) -> bool:
        """Return whether it leads to a correlated incident."""
        return bool(self.routes)

    def alert(self, event: Event) -> str:
        """Return the fingerprint of the alert that the event would be there."""
        return fingerprint(self.rule.name if self.rule else "", event.fingerprint)

    def severity(self, event: Event) -> Severity:
        """Return the severity that the alert would have."""
        return (self.rule.severity if self.rule else None) or event.severity


Ends = Mapping[tuple[str, str], datetime]
"""When alerts ended, by the key of their incident and their fingerprint."""


@dataclass(frozen=True, slots=True)
class Leading:
    """Where an event goes: to these holders, and to these proposals as a new alert.

    `left` are holders where the alert has ended too long ago by what is not saved yet. Another worker may still fire it
    there: they stay holders, so that the next end reaches them.
    """

    holders: tuple[Holder, ...] = ()
    new: tuple[Proposal, ...] = ()
    left: tuple[Holder, ...] = ()


def led(
    event: Event,
    proposals: Sequence[Proposal],
    fault: Fault,
    incidents: Mapping[str, Incident | None],
    now: datetime,
    join_within: timedelta = JOIN_WITHIN,
    ended: Ends | None = None,
) -> Leading:
    """Return where an event goes. `incidents` are the stored ones of all keys that fault and proposals name.

    An alert that ended in a correlated incident goes back there for `join_within`. `ended` are the ends that are led and
    not saved yet.
    """
    unlisted = _unlisted(event, proposals, fault, incidents)
    unlisted = [each for each in unlisted if not _is_begun_by(event, _alert_of(each, incidents))]
    everywhere = [*fault.holders.values(), *unlisted]
    holders = [
        each
        for each in everywhere
        if _holds(each, incidents.get(each.key), now)
        and not _ended_long_ago(event, _end_at(each, incidents, ended or {}), each, join_within)
    ]
    if not holders:
        holders = [each for each in everywhere if is_history(event, _alert_of(each, incidents))]
        if holders:
            return Leading(tuple(holders))
    places = {each.key: number for number, each in enumerate(proposals)}
    holders.sort(key=lambda each: places.get(each.key, len(places)))
    if event.status is Status.RESOLVED:
        lately = (each for each in everywhere if each not in holders and _ended_lately(incidents.get(each.key), now))
        return Leading((*holders, *lately))
    new = [each for each in proposals if _is_new(each, event, holders, fault, incidents)]
    left = [each for each in everywhere if (each.key, each.alert) in (ended or {}) and each not in holders]
    return Leading(tuple(holders), tuple(new), tuple(left))


def _is_begun_by(event: Event, alert: Alert | None) -> bool:
    """Return whether an ended alert would fire again by the event. Where no holder is stored its end would be lost."""
    if alert is None or alert.active or event.status is not Status.FIRING:
        return False
    return not is_history(event, alert)


def is_history(event: Event, alert: Alert | None) -> bool:
    """Return whether the event belongs to the past of an alert that has ended: its end, or what began before that."""
    if alert is None:
        return False
    if event.status is Status.RESOLVED:
        return True
    return alert.ends_at is not None and (event.starts_at or event.occurred_at) <= alert.ends_at


def _holds(holder: Holder, incident: Incident | None, now: datetime) -> bool:
    """Return whether the alert is active there, resolved in a group that still lives, or about to be saved there."""
    alert = incident.alerts.get(holder.alert) if incident is not None else None
    if incident is None or alert is None:
        return now < holder.at + CLAIMED
    if alert.active or (alert.state is AlertState.RESOLVED and incident.status is IncidentStatus.OPEN):
        return True
    return now < holder.at + CLAIMED and _is_claimed_again(holder, incident, alert)


def _ended_long_ago(event: Event, ended_at: datetime | None, holder: Holder, join_within: timedelta) -> bool:
    """Return whether an alert of a correlated incident begins so long after its end that it is a new one."""
    if ended_at is None or event.status is Status.RESOLVED or not holder.key.startswith(CORRELATED):
        return False
    return (event.starts_at or event.occurred_at) > ended_at + join_within


def _end_at(holder: Holder, incidents: Mapping[str, Incident | None], ended: Ends) -> datetime | None:
    """Return when the alert of a holder ended; None while it fires."""
    if (known := ended.get((holder.key, holder.alert))) is not None:
        return known
    alert = _alert_of(holder, incidents)
    return alert.ends_at if alert is not None and alert.state is AlertState.RESOLVED else None


def _is_claimed_again(holder: Holder, incident: Incident, alert: Alert) -> bool:
    """Return whether the holder was written after its alert was over: the fire of that claim is about to be saved."""
    over_at = incident.episode.ended_at if alert.state is AlertState.RESOLVED else alert.received.refreshed_at
    return over_at is not None and holder.at > over_at


def _ended_lately(incident: Incident | None, now: datetime) -> bool:
    """Return whether another worker may have read the incident while it was open, and fire there again after this end."""
    times = (
        (incident.episode.ended_at, incident.flush.last_at)
        if incident is not None and incident.status is IncidentStatus.ENDED
        else ()
    )
    return any(at is not None and now < at + CLAIMED for at in times)


def _unlisted(
    event: Event, proposals: Sequence[Proposal], fault: Fault, incidents: Mapping[str, Incident | None]
) -> list[Holder]:
    """Return the incidents that know the alert under a key that rules lead to, though no holder is stored."""
    found = []
    for each in proposals:
        incident, name = incidents.get(each.key), each.alert(event)
        alert = incident.alerts.get(name) if incident is not None else None
        listed = any(holder.key == each.key and holder.alert == name for holder in fault.holders.values())
        if alert is not None and not alert.moved_to and not listed:
            found.append(holder_of(each, event, event.occurred_at))
    return found


def _is_new(
    proposal: Proposal,
    event: Event,
    holders: Sequence[Holder],
    fault: Fault,
    incidents: Mapping[str, Incident | None],
) -> bool:
    name = proposal.alert(event)
    if any(each.key == proposal.key and each.alert == name for each in holders):
        return False
    if proposal.is_correlated and any(each.key.startswith(CORRELATED) and each.alert == name for each in holders):
        return False
    if not holders or _is_lost(proposal, name, fault, incidents):
        return True
    elsewhere = all(each.route != proposal.route.id for each in holders)
    if elsewhere and proposal.severity(event).rank < min(_rank(each, incidents) for each in holders):
        return True
    return name not in {each.alert for each in holders} and not _is_covered(proposal, name, holders, fault, incidents)


def _is_lost(proposal: Proposal, name: str, fault: Fault, incidents: Mapping[str, Incident | None]) -> bool:
    """Return whether the alert was claimed at that key, but the incident does not know it: its worker died before a save."""
    claims = (each for each in fault.holders.values() if (each.key, each.alert) == (proposal.key, name))
    return any(_alert_of(each, incidents) is None for each in claims)


def _rank(holder: Holder, incidents: Mapping[str, Incident | None]) -> int:
    alert = _alert_of(holder, incidents)
    return alert.severity.rank if alert is not None else holder.rank


def _alert_of(holder: Holder, incidents: Mapping[str, Incident | None]) -> Alert | None:
    incident = incidents.get(holder.key)
    return incident.alerts.get(holder.alert) if incident is not None else None


def _is_covered(
    proposal: Proposal,
    name: str,
    holders: Sequence[Holder],
    fault: Fault,
    incidents: Mapping[str, Incident | None],
) -> bool:
    """Return whether what is proposed is notified already: an event that no rule matches, of a fault that is open; or a
    rule that was renamed, added or changed since the alert began, since it would have matched the alert itself."""
    if proposal.rule is None:
        return True
    if any(each.alert == name for each in fault.holders.values()):
        return False  # it was begun before, perhaps by a worker that died before its save
    alerts = (alert for each in holders if (alert := _alert_of(each, incidents)) is not None)
    return any(_matched_as_sent(alert, proposal.rule) for alert in alerts)


def _matched_as_sent(alert: Alert, rule: Rule) -> bool:
    labels = {**alert.match_labels(), "alertname": alert.sender.event_name or alert.name}
    return matches_all(rule.matchers, labels)


def holder_of(proposal: Proposal, event: Event, now: datetime) -> Holder:
    """Return the holder that stands for a new alert of an event."""
    return Holder(
        key=proposal.key,
        alert=proposal.alert(event),
        rule=proposal.rule.name if proposal.rule else "",
        route=proposal.route.id,
        group=proposal.group,
        rank=proposal.severity(event).rank,
        at=now,
    )


def slot_of(holder: Holder, live: Sequence[Holder]) -> str:
    """Return the slot of a new holder: the alert's own, or a second one where the alert has a live home elsewhere."""
    elsewhere = any(each.alert == holder.alert and each.key != holder.key for each in live)
    return home_slot(holder) if elsewhere else holder.alert


def home_slot(holder: Holder) -> str:
    """Return the slot of an alert at one incident, for alerts that may be active at several."""
    return f"{holder.alert}/{fingerprint(holder.key)}"


def merged(faults: Sequence[Fault]) -> Fault:
    """Return what is stored of one fault under several names."""
    if len(faults) == 1:
        return faults[0]
    holders = {slot: each for fault in reversed(faults) for slot, each in fault.holders.items()}
    ends = {end.id: end for fault in faults for end in fault.ends}
    return Fault(holders, tuple(sorted(ends.values(), key=lambda end: end.at)))


def with_end(fault: Fault, end: End) -> Fault:
    """Return the fault with one more end that met no holder; the oldest are forgotten."""
    ends = {each.id: each for each in (*fault.ends, end)}
    return replace(fault, ends=tuple(sorted(ends.values(), key=lambda each: each.at))[-MAX_ENDS:])


def late_ends(event: Event, fault: Fault, now: datetime) -> list[Event]:
    """Return the ends that arrived before any beginning, as events: a late beginning that is older has ended already.

    An end that the clock of another worker put after `now` is one of now: it is not one to come.
    """
    return [_end_of(event, end, min(end.at, now)) for end in fault.ends]


def _end_of(event: Event, end: End, at: datetime) -> Event:
    ended = replace(event, id=end.id, status=Status.RESOLVED, occurred_at=at, starts_at=None, ends_at=None)
    return replace(ended, action=None)
