"""An incident after what happened: its inputs applied, its alerts' timers run, its episodes separated.

Pure, and folding an input twice changes nothing. What is said of one fault is applied at once, in the order of time.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial

from chalicelib.core import heartbeat
from chalicelib.core.actions import acted, is_about, lifted, silenced
from chalicelib.core.advance import advanced, orphaned
from chalicelib.core.alert import Alert, AlertState, Origin
from chalicelib.core.alert_terms import TermsOf, options_by, terms_in
from chalicelib.core.episodes import begun_anew, has_begun, with_beginning
from chalicelib.core.event import Action, Status
from chalicelib.core.incident import Incident, IncidentStatus, Truncated, in_episode, notified_of
from chalicelib.core.inputs import (
    AlertInput,
    EventInput,
    Input,
    Measured,
    MovedAlert,
    RuleRemoved,
    TimedEvaluation,
    TimelineNote,
    alert_fingerprint,
)
from chalicelib.core.instants import from_seconds
from chalicelib.core.keeping import resumed
from chalicelib.core.lifecycle import next_change
from chalicelib.core.reported import TermsOfRule, applied, routes_by
from chalicelib.core.room import Room
from chalicelib.core.rule import Rules
from chalicelib.core.transitions import short_id

_EVER = datetime.min.replace(tzinfo=UTC)
MAX_TRUNCATED = 1_000


@dataclass(frozen=True, slots=True)
class Folded:
    """An incident after what happened, and the alerts that began to fire and leave it for another one."""

    incident: Incident
    leaving: tuple[Alert, ...] = ()


def fold(
    incident: Incident,
    inputs: Sequence[Input],
    *,
    rules: Rules,
    now: datetime,
    evaluations: Mapping[str, TimedEvaluation] | None = None,
) -> Incident:
    """Return the incident after the inputs and after all timers of its alerts that are due at `now`.

    `evaluations` are the conditions of its measured alerts as of now, by fingerprint. An incident that ended begins
    anew, under a new id, when an alert fires again; a correlated one never does. People act on the incident as it is
    after all that happened.
    """
    return folded(incident, inputs, rules=rules, now=now, evaluations=evaluations).incident


def folded(
    incident: Incident,
    inputs: Sequence[Input],
    *,
    rules: Rules,
    now: datetime,
    evaluations: Mapping[str, TimedEvaluation] | None = None,
    leaves: Callable[[Alert], bool] | None = None,
) -> Folded:
    """Return what `fold` does, without the alerts that begin to fire now and that `leaves` says go elsewhere."""
    before = incident
    incident = _filled(begun_anew(incident), inputs, rules, now)
    alerts = dict(incident.alerts)
    terms = TermsOf(incident, rules)
    notified = notified_of(incident)
    for name, alert in alerts.items():
        old = before.alerts.get(name)
        was_active = old is not None and old.active
        if incident.is_storm:
            continue
        if was_active or alert.evaluation.recheck_at or alert.timers.pending_at or alert.origin is Origin.HEARTBEAT:
            fresh = not was_active and alert.state is AlertState.FIRING
            evaluation = (evaluations or {}).get(name)
            rule = rules.by_name.get(alert.rule)
            alerts[name] = (
                alert if fresh else advanced(alert, rule, terms(alert), evaluation, now, notified=name in notified)
            )
    leaving = tuple(alert for name, alert in alerts.items() if leaves and _fires_now(before, alert) and leaves(alert))
    for alert in leaving:
        del alerts[alert.fingerprint]
    incident = replace(incident, alerts=alerts, truncated=_still_truncated(incident, now))
    incident = with_beginning(before, resumed(lifted(incident)), now)
    for each in inputs:
        if isinstance(each, Action):
            incident = acted(incident, each, rules, now)
        elif isinstance(each, RuleRemoved):
            incident = _withdrawn(incident, each, now)
        elif isinstance(each, TimelineNote):
            incident = silenced(incident, each.entry) if incident.status is IncidentStatus.OPEN else incident
    return Folded(_caught_up(before, incident, inputs, now), leaving)


def _fires_now(before: Incident, alert: Alert) -> bool:
    """Return whether the alert began to fire since the incident was saved, though it may have ended again."""
    old = before.alerts.get(alert.fingerprint)
    return (old is None or old.state is not AlertState.FIRING) and has_begun(old, alert)


def with_late(
    incident: Incident, inputs: Sequence[Input], *, rules: Rules, now: datetime
) -> tuple[Incident, Sequence[Input]]:
    """Return the ended incident with the late events of its own time and people's acts on it, and the inputs that are left.

    In one batch with a new beginning they would be in neither incident. Late events that would begin a new incident
    themselves are left with the others.
    """
    ended_at = incident.episode.ended_at
    if ended_at is None:
        return incident, inputs
    acts = [each for each in inputs if isinstance(each, Action) and each.incident and is_about(each, incident)]
    for each in acts:
        incident = acted(incident, each, rules, now)
    inputs = [each for each in inputs if each not in acts]
    late = [each for each in inputs if isinstance(each, EventInput) and each.event.occurred_at <= ended_at]
    if not late or len(late) == len(inputs):
        return incident, inputs
    after = fold(incident, late, rules=rules, now=now)
    if after.id != incident.id or after.status is not IncidentStatus.ENDED:
        return incident, inputs
    return after, [each for each in inputs if each not in late]


def _filled(incident: Incident, inputs: Sequence[Input], rules: Rules, now: datetime) -> Incident:
    """Return the incident with what the inputs say of its alerts; what is over `max_alerts` is only counted."""
    room, truncated = Room(incident, notified_of(incident)), incident.truncated
    for fault, group in _by_fault(inputs).items():
        if fault not in room.alerts and not room.has_room():
            forgotten = room.forget_idlest() if _active_at_last(group) else None
            if forgotten is None:
                truncated = _counted_only(truncated, fault, group, now)
                continue
            if incident.status is not IncidentStatus.QUIET and in_episode(forgotten, incident):
                truncated = replace(truncated, events=truncated.events + forgotten.received.events)
        room.put(fault, applied(room.alerts.get(fault), fault, group, _terms_for(incident, fault, group, rules), now))
        truncated = truncated.without(fault)
    return replace(incident, alerts=room.alerts, truncated=truncated)


def _terms_for(incident: Incident, fault: str, group: Sequence[AlertInput], rules: Rules) -> TermsOfRule:
    """Return the terms of an alert by its rule. In a correlated incident each has the options of its own routes."""
    if not incident.is_correlated:
        return partial(terms_in, incident, incident.options)
    options = options_by(routes_by(incident.alerts.get(fault), group), incident, rules)
    return partial(terms_in, incident, options)


def _counted_only(truncated: Truncated, fault: str, group: Sequence[AlertInput], now: datetime) -> Truncated:
    """Return the alerts over the limit after what the inputs say of one of them."""
    new = [mark for mark in map(_mark_of, group) if mark and mark not in truncated.event_ids]
    alerts = dict(truncated.alerts)
    alerts.pop(fault, None)
    if _active_at_last(group) and len(alerts) < MAX_TRUNCATED:
        alerts[fault] = now.timestamp()
    return Truncated(alerts, truncated.events + len(set(new)), (*truncated.event_ids, *new)[-MAX_TRUNCATED:])


def _mark_of(given: AlertInput) -> str:
    """Return the short id of an event that says that a fault fires; empty for anything else."""
    if isinstance(given, EventInput) and given.event.status is not Status.RESOLVED:
        return short_id(given.event)
    return ""


def _active_at_last(group: Sequence[AlertInput]) -> bool:
    """Return whether the newest input of a fault says that it is active."""
    newest = group[-1]
    if isinstance(newest, MovedAlert):
        return newest.alert.active
    if isinstance(newest, EventInput):
        return newest.event.status is not Status.RESOLVED
    return isinstance(newest, Measured) and newest.evaluations[-1].found.truth is True


def _still_truncated(incident: Incident, now: datetime) -> Truncated:
    """Return the alerts over the limit whose sources are not silent for longer than they may."""
    truncated = incident.truncated
    oldest = (now - incident.options.resolve_timeout).timestamp()
    if all(at > oldest for at in truncated.alerts.values()):
        return truncated
    return replace(truncated, alerts={name: at for name, at in truncated.alerts.items() if at > oldest})


def _caught_up(before: Incident, incident: Incident, inputs: Sequence[Input], now: datetime) -> Incident:
    """Return the incident with what arrived while the router was away. Its flush is due now, not at the next interval."""
    if not incident.flush.has_begun or incident.status is IncidentStatus.ENDED:
        return incident
    times = [_said_at(each) for each in inputs if not isinstance(each, RuleRemoved | TimelineNote)]
    changed = any(
        name not in before.alerts or before.alerts[name].state is not alert.state
        for name, alert in incident.alerts.items()
    )
    if not times or not changed or incident.flush.point_after(incident.options.group_interval, min(times)) >= now:
        return incident
    return replace(incident, flush=replace(incident.flush, next_at=now))


def _said_at(given: AlertInput | Action) -> datetime:
    if isinstance(given, MovedAlert):
        return given.alert.starts_at or _EVER
    if isinstance(given, EventInput):
        return given.event.occurred_at
    return given.evaluations[0].at if isinstance(given, Measured) else given.at


def _by_fault(inputs: Iterable[Input]) -> dict[str, list[AlertInput]]:
    found: dict[str, list[AlertInput]] = {}
    for each in inputs:
        if isinstance(each, AlertInput):
            found.setdefault(alert_fingerprint(each), []).append(each)
    return found


def _withdrawn(incident: Incident, given: RuleRemoved, now: datetime) -> Incident:
    alerts = dict(incident.alerts)
    for name in given.fingerprints:
        if name in alerts:
            alerts[name] = orphaned(alerts[name], now, given.why)
    return replace(incident, alerts=alerts)


def next_alert_change(incident: Incident, rules: Rules, now: datetime) -> datetime | None:
    """Return the earliest time at which one of its alerts changes without news."""
    notified = notified_of(incident)
    times: list[datetime | None] = []
    alerts = incident.alerts.values()
    terms = TermsOf(incident, rules)
    for alert in alerts if not incident.is_storm else ():
        if alert.origin is Origin.HEARTBEAT:
            times.append(heartbeat.next_change(alert))
        elif alert.active or alert.evaluation.recheck_at:
            times.append(next_change(alert, terms(alert), now, notified=alert.fingerprint in notified))
    if incident.truncated.alerts:
        times.append(from_seconds(min(incident.truncated.alerts.values())) + incident.options.resolve_timeout)
    return min((at for at in times if at is not None), default=None)
