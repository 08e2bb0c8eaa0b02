"""An incident after what happened: its inputs applied, its alerts' timers run, its episodes told apart.

Pure, and folding an input twice changes nothing. What is said of one fault is applied at once, in the order of time.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial

from chalicelib.core import heartbeat
from chalicelib.core.acknowledgement import end_notified
from chalicelib.core.actions import acted, is_about, lifted, silenced
from chalicelib.core.alert import Alert, AlertState, LastEvaluation, Origin, Sender, SenderText
from chalicelib.core.evaluation import counted, evaluated, never_rechecked, recounted
from chalicelib.core.event import Action, Event, Severity, Status, fingerprint
from chalicelib.core.incident import CORRELATED, Entry, Incident, IncidentStatus, Truncated, in_episode, notified_of
from chalicelib.core.inputs import (
    AlertInput,
    EventInput,
    HeartbeatInput,
    Input,
    Measured,
    MovedAlert,
    Report,
    RuleRemoved,
    TimedEvaluation,
    TimelineNote,
    alert_fingerprint,
    counted_labels,
)
from chalicelib.core.instants import from_seconds
from chalicelib.core.lifecycle import (
    Terms,
    ended,
    is_timed_out,
    next_change,
    no_longer_pending,
    settled,
    terms_of,
    times_out_at,
)
from chalicelib.core.room import Room
from chalicelib.core.rule import RouteOptions, Rule, Rules
from chalicelib.core.transitions import absorbed, short_id

_EVER = datetime.min.replace(tzinfo=UTC)
TermsOfRule = Callable[[Rule | None], Terms]
MAX_TRUNCATED = 1_000
MEMORY = timedelta(hours=24)
"""How long a resolved alert is remembered after its incident, so that late deliveries are known as history."""


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
    """The incident after the inputs and after all timers of its alerts that are due at `now`.

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
    incident = _filled(_begun(incident), inputs, rules, now)
    alerts = dict(incident.alerts)
    terms = _TermsOf(incident, rules)
    notified = notified_of(incident)
    for name, alert in alerts.items():
        old = before.alerts.get(name)
        was_active = old is not None and old.active
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
    incident = _restarted(before, lifted(incident), now)
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
    return (old is None or old.state is not AlertState.FIRING) and _began(old, alert)


class _TermsOf:
    """The terms of each alert of an incident: those of its rule, with the options of the route by which it came."""

    def __init__(self, incident: Incident, rules: Rules) -> None:
        self._incident = incident
        self._rules = rules
        self._known: dict[tuple[str, tuple[str, ...]], Terms] = {}

    def __call__(self, alert: Alert) -> Terms:
        key = (alert.rule, alert.routes)
        if key not in self._known:
            options = options_by(alert.routes, self._incident, self._rules)
            self._known[key] = _terms(self._incident, options, self._rules.by_name.get(alert.rule))
        return self._known[key]


def _terms(incident: Incident, options: RouteOptions, rule: Rule | None) -> Terms:
    """Return the terms of a rule. The end of a correlated incident waits for what flaps: its alerts do not, unless asked."""
    terms = terms_of(rule, options)
    if not incident.is_correlated or (rule is not None and rule.flap_changes):
        return terms
    return replace(terms, flap_changes=-1)


def options_by(routes: Sequence[str], incident: Incident, rules: Rules) -> RouteOptions:
    """Return the options of the first of these routes; those of the incident where it is gone, or none is named."""
    known = next((rules.routes_by_id[id] for id in routes if id in rules.routes_by_id), None)
    return known.options if known is not None else incident.options


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
    """The incident with what the inputs say of its alerts; what is over `max_alerts` is only counted."""
    room, truncated = Room(incident, notified_of(incident)), incident.truncated
    for fault, group in _by_fault(inputs).items():
        if fault not in room.alerts and not room.has_room():
            forgotten = room.forget_idlest() if _active_at_last(group) else None
            if forgotten is None:
                truncated = _counted_only(truncated, fault, group, now)
                continue
            if incident.status is not IncidentStatus.QUIET and in_episode(forgotten, incident):
                truncated = replace(truncated, events=truncated.events + forgotten.received.events)
        room.put(fault, _applied(room.alerts.get(fault), fault, group, _terms_for(incident, fault, group, rules), now))
        truncated = truncated.without(fault)
    return replace(incident, alerts=room.alerts, truncated=truncated)


def _terms_for(incident: Incident, fault: str, group: Sequence[AlertInput], rules: Rules) -> TermsOfRule:
    """Return the terms of an alert by its rule. In a correlated incident each has the options of its own routes."""
    if not incident.is_correlated:
        return partial(_terms, incident, incident.options)
    options = options_by(_routes_of(incident.alerts.get(fault), group), incident, rules)
    return partial(_terms, incident, options)


def _counted_only(truncated: Truncated, fault: str, group: Sequence[AlertInput], now: datetime) -> Truncated:
    """Return the alerts over the limit after what the inputs say of one of them."""
    new = [mark for mark in map(_mark_of, group) if mark and mark not in truncated.event_ids]
    alerts = dict(truncated.alerts)
    alerts.pop(fault, None)
    if _active_at_last(group) and len(alerts) < MAX_TRUNCATED:
        alerts[fault] = now.timestamp()
    return Truncated(alerts, truncated.events + len(set(new)), (*truncated.event_ids, *new)[-MAX_TRUNCATED:])


def _mark_of(given: AlertInput) -> str:
    """The short id of an event that says that a fault fires; empty for anything else."""
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


def _begun(incident: Incident) -> Incident:
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


def _restarted(before: Incident, incident: Incident, now: datetime) -> Incident:
    """Give a beginning its id; put an incident that stays ended back as it was, with what its alerts remember."""
    if incident.episode.started_at is not None:
        return _begun_earlier(before, incident, incident.episode.started_at)
    begun = [alert for name, alert in incident.alerts.items() if _began(before.alerts.get(name), alert)]
    if before.status is IncidentStatus.ENDED:
        if incident.is_correlated:
            kept = {name: before.alerts.get(name) if alert.active else alert for name, alert in incident.alerts.items()}
            return replace(before, alerts={name: alert for name, alert in kept.items() if alert is not None})
        if not begun and not any(alert.active for alert in incident.alerts.values()):
            return replace(before, alerts=incident.alerts)
        incident = replace(incident, alerts=_remembered(incident, before, now))
    if not begun:
        return incident
    started_at = min(alert.starts_at or now for alert in begun)
    name = fingerprint(incident.key, started_at.isoformat(), str(incident.version))
    if incident.is_correlated:
        name = incident.key.removeprefix(CORRELATED)
    entry = Entry(started_at, "began", kind="began")
    return replace(
        incident,
        id=name,
        episode=replace(incident.episode, started_at=started_at),
        timeline=replace(incident.timeline, entries=(entry,)),
    )


def _begun_earlier(before: Incident, incident: Incident, started_at: datetime) -> Incident:
    """An alert that comes late may have begun first: the incident began with it, but not before another one was over."""
    begun = [
        alert.starts_at
        for name, alert in incident.alerts.items()
        if alert.starts_at and _began(before.alerts.get(name), alert)
    ]
    earliest = min(begun, default=started_at)
    over = [alert.ends_at for alert in before.alerts.values() if alert.ends_at and not in_episode(alert, before)]
    if earliest >= started_at or any(ended_at >= earliest for ended_at in over):
        return incident
    return replace(incident, episode=replace(incident.episode, started_at=earliest))


def _remembered(incident: Incident, before: Incident, now: datetime) -> dict[str, Alert]:
    """The alerts as a new episode begins: each with its events since, and what ended long ago forgotten."""
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


def _began(before: Alert | None, alert: Alert) -> bool:
    """True when the alert fires, or fired and ended since it was last looked at."""
    if alert.state is AlertState.FIRING:
        return True
    if alert.state is not AlertState.RESOLVED or alert.starts_at is None:
        return False
    return before is None or before.ends_at is None or alert.starts_at > before.ends_at


def _caught_up(before: Incident, incident: Incident, inputs: Sequence[Input], now: datetime) -> Incident:
    """What was said while the router was away has missed its flush: it is told now, not at the next one."""
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


def _applied(
    alert: Alert | None,
    fault: str,
    group: Sequence[AlertInput],
    terms: TermsOfRule,
    now: datetime,
) -> Alert:
    before, reports = alert, [each for each in group if not isinstance(each, MovedAlert)]
    if len(reports) < len(group):
        for moved in group:
            alert = _moved(alert, moved.alert) if isinstance(moved, MovedAlert) else alert
    if alert is not None and not reports:
        return alert
    return _with_routes(before, _reported(alert, fault, reports, terms, now), reports)


def _moved(alert: Alert | None, moved: Alert) -> Alert:
    """Return the alert that comes from another incident. One that is active here goes on, by its routes too."""
    if alert is None or alert.moved_to or not alert.active:
        return moved
    return replace(alert, routes=tuple(dict.fromkeys((*alert.routes, *moved.routes))))


def _routes_of(alert: Alert | None, group: Sequence[AlertInput]) -> tuple[str, ...]:
    """Return the ids of the routes by which an alert came to its incident."""
    if alert is not None and alert.routes:
        return alert.routes
    found = (each.alert.routes if isinstance(each, MovedAlert) else _named(each) for each in group)
    return next(filter(None, found), ())


def _named(given: AlertInput) -> tuple[str, ...]:
    return given.routes if isinstance(given, EventInput) else ()


def _with_routes(before: Alert | None, alert: Alert, group: Sequence[AlertInput]) -> Alert:
    """Return the alert with the routes by which it came. One that got worse goes by those of its new severity too."""
    if not alert.routes and not _named(group[-1]):
        return alert
    if before is not None and before.routes and alert.severity.rank >= before.severity.rank:
        return alert
    found = tuple(dict.fromkeys((*alert.routes, *(id for each in group for id in _named(each)))))
    return replace(alert, routes=found) if found != alert.routes else alert


def _reported(alert: Alert | None, fault: str, group: Sequence[Report], terms: TermsOfRule, now: datetime) -> Alert:
    first = group[0]
    if isinstance(first, HeartbeatInput):
        return heartbeat.beaten(
            alert or _beat_alert(first, fault), [each for each in group if isinstance(each, HeartbeatInput)]
        )
    if isinstance(first, Measured):
        measured = [each for each in group if isinstance(each, Measured)]
        return _measured(alert or _measured_alert(first, fault), measured, terms(first.rule))
    events = [each.event for each in group if isinstance(each, EventInput)]
    alert = alert or _event_alert(first, fault)
    own = terms(first.rule)
    if first.rule is not None and first.rule.condition is not None:
        fires = [event for event in events if event.status is not Status.RESOLVED]
        return counted(alert, fires, rule=first.rule, terms=own)
    return _severed(absorbed(alert, events, terms=own, now=now), first.rule)


def _measured(alert: Alert, group: Sequence[Measured], terms: Terms) -> Alert:
    """The alert of a series after it was judged, in the order of time, whatever the order in which samples came.

    What fires is not judged again in its past, since that is told; only how long it is kept firing is counted anew.
    """
    by_time = {evaluation.at: evaluation for each in group for evaluation in each.evaluations}
    moments, before = sorted(by_time), alert
    if not moments:
        return alert
    if (
        alert.state is AlertState.PENDING
        and alert.timers.pending_at is not None
        and moments[0] < alert.timers.pending_at
    ):
        alert = no_longer_pending(alert)
    known = {AlertState.FIRING: alert.received.refreshed_at, AlertState.RESOLVED: alert.ends_at}.get(alert.state)
    if alert.state is AlertState.FIRING and alert.timers.cleared_at is not None:
        known = alert.starts_at
        alert = (
            alert
            if alert.timers.cleared_at < moments[0]
            else replace(alert, timers=replace(alert.timers, cleared_at=None))
        )
    for at in moments:
        if known is not None and at < known:
            continue
        found = by_time[at]
        alert = evaluated(alert, found.found, at, rule=group[0].rule, terms=terms, clear=found.clear)
        alert = replace(alert, received=replace(alert.received, refreshed_at=at, last_event_at=at))
    return _with_observed(before, alert, next((each.observed for each in reversed(group) if each.observed), {}))


def _with_observed(before: Alert, alert: Alert, observed: Mapping[str, str]) -> Alert:
    """Return the alert with what was seen of it. A new beginning forgets what was seen of the one before."""
    if not alert.active:
        return alert
    found = {**(before.observed if before.active else {}), **observed}
    return replace(alert, observed=found) if found != alert.observed else alert


def _severed(alert: Alert, rule: Rule | None) -> Alert:
    """Return the alert with its rule's severity, where the rule names one: its events cannot change that."""
    if rule is None or rule.severity is None or (alert.severity is rule.severity and alert.ack.worse_at is None):
        return alert
    labels = {**alert.labels, "severity": rule.severity.value} if "severity" in alert.labels else alert.labels
    return replace(alert, severity=rule.severity, labels=labels, ack=replace(alert.ack, worse_at=None))


def _event_alert(given: EventInput, fault: str) -> Alert:
    event, rule = given.event, given.rule
    counts = rule is not None and rule.condition is not None
    labels = event.all_labels()
    own = counted_labels(rule, labels) if rule is not None and counts else _own_labels(event, labels)
    if rule is not None and rule.severity is not None and "severity" in own:
        own["severity"] = rule.severity.value
    return Alert(
        fingerprint=fault,
        rule=rule.name if rule else "",
        name=rule.name if rule else (event.name or event.kind),
        labels={**own, **(rule.labels if rule else {})},
        severity=(rule.severity if rule else None) or event.severity,
        text=SenderText(title=event.title),
        sender=Sender(event.source, event.kind, "" if counts else (event.name or event.kind)),
        origin=Origin.COUNT if counts else Origin.EVENT,
        evaluation=LastEvaluation(condition=rule.condition.text if rule and rule.condition else ""),
    )


def _own_labels(event: Event, labels: Mapping[str, str]) -> dict[str, str]:
    """Return the labels that people see: those the sender gave, in normalised words, with service and environment."""
    implied = {"source", "kind", "severity", "alertname"} - event.labels.keys() | {"alertname"}
    return {name: text for name, text in labels.items() if name not in implied}


def _measured_alert(given: Measured, fault: str) -> Alert:
    return Alert(
        fingerprint=fault,
        rule=given.rule.name,
        name=given.rule.name,
        labels={**given.labels, **given.rule.labels},
        severity=given.rule.severity or Severity.WARNING,
        sender=Sender("probe", "measured"),
        origin=Origin.SERIES,
        evaluation=LastEvaluation(condition=given.rule.condition.text if given.rule.condition else ""),
    )


def _beat_alert(given: HeartbeatInput, fault: str) -> Alert:
    return Alert(
        fingerprint=fault,
        name=given.name,
        labels=given.labels,
        severity=given.severity,
        text=SenderText(title=f"No heartbeat of {given.name}"),
        sender=Sender("heartbeat", "heartbeat"),
        origin=Origin.HEARTBEAT,
        schedule=given.spec,
    )


def advanced(
    alert: Alert, rule: Rule | None, terms: Terms, evaluation: TimedEvaluation | None, now: datetime, *, notified: bool
) -> Alert:
    """Return the alert after whatever is due at `now` without any news.

    `notified` says that some target was notified of it. A time-out ends only such an alert: one that was muted the
    whole time is kept, and announced when that ends.
    """
    if alert.origin is Origin.HEARTBEAT:
        return heartbeat.advanced(alert, now)
    if alert.active and alert.timers.expires_at is not None and alert.timers.expires_at <= now:
        return ended(alert, alert.timers.expires_at)
    if alert.has_condition and (why := why_gone(alert, rule)):
        return _orphaned(alert, now, why)
    if alert.origin is Origin.SERIES:
        return _measured_at(alert, rule, terms, evaluation, now, notified=notified)
    if notified and alert.state is AlertState.FIRING and is_timed_out(alert, terms, now):
        return timed_out(alert, terms)
    if alert.origin is Origin.COUNT:
        return recounted(alert, now, rule=rule, terms=terms) if rule is not None else alert
    if alert.state is AlertState.PENDING:
        return settled(alert, now, active=True, terms=terms)
    if alert.timers.cleared_at is not None:
        return settled(alert, now, active=False, terms=terms)
    return alert


def _measured_at(
    alert: Alert, rule: Rule | None, terms: Terms, evaluation: TimedEvaluation | None, now: datetime, *, notified: bool
) -> Alert:
    """Return the measured alert at `now`: ended once its series is silent for `resolve_timeout`."""
    if rule is None or evaluation is None:
        return alert
    after = evaluated(alert, evaluation.found, now, rule=rule, terms=terms, clear=evaluation.clear)
    is_silent = evaluation.found.truth is None and rule.no_data == "keep" and is_timed_out(after, terms, now)
    if is_silent and after.state is AlertState.PENDING:
        return no_longer_pending(after)
    return timed_out(after, terms) if is_silent and notified and after.state is AlertState.FIRING else after


def why_gone(alert: Alert, rule: Rule | None) -> str:
    """Return why the alert of a measured series or a count has no condition any more; else an empty text."""
    if rule is None:
        return "rule gone"
    asks_the_same = rule.condition is not None and rule.condition.counts_events is (alert.origin is Origin.COUNT)
    return "" if asks_the_same else "rule changed"


def timed_out(alert: Alert, terms: Terms) -> Alert:
    """Return the firing alert as ended by the silence of its sender or of its series."""
    at = times_out_at(alert, terms)
    assert at is not None
    return ended(alert, at, by="no data" if alert.origin is Origin.SERIES else "resolve_timeout")


def _orphaned(alert: Alert, now: datetime, why: str) -> Alert:
    """Return the alert without its rule, probe or schedule: resolved, with nothing left that could fire it again."""
    return replace(never_rechecked(ended(alert, now, by=why) if alert.active else alert), schedule={})


def _withdrawn(incident: Incident, given: RuleRemoved, now: datetime) -> Incident:
    alerts = dict(incident.alerts)
    for name in given.fingerprints:
        if name in alerts:
            alerts[name] = _orphaned(alerts[name], now, given.why)
    return replace(incident, alerts=alerts)


def next_alert_change(incident: Incident, rules: Rules, now: datetime) -> datetime | None:
    """Return the earliest time at which one of its alerts changes without news."""
    notified = notified_of(incident)
    times: list[datetime | None] = []
    alerts = incident.alerts.values()
    terms = _TermsOf(incident, rules)
    for alert in alerts:
        if alert.origin is Origin.HEARTBEAT:
            times.append(heartbeat.next_change(alert))
        elif alert.active or alert.evaluation.recheck_at:
            times.append(next_change(alert, terms(alert), now, notified=alert.fingerprint in notified))
    if incident.truncated.alerts:
        times.append(from_seconds(min(incident.truncated.alerts.values())) + incident.options.resolve_timeout)
    return min((at for at in times if at is not None), default=None)
