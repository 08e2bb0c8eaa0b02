"""The incidents of a batch, one after another: led, loaded, folded, decided and saved under a version condition.

What became due is put on the notifications queue before the save: `deliver` sends only what a saved incident has
committed to. After a conflict the incident is loaded and folded again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from chalicelib.core.alert import Alert, AlertState, Origin
from chalicelib.core.alert_snapshot import SnapshotInput
from chalicelib.core.coalesce import waits_until
from chalicelib.core.correlation import with_news
from chalicelib.core.delivery.delivery_log import delivery_log_key
from chalicelib.core.delivery.internal_alerts import over, pager_silent, silent_of
from chalicelib.core.delivery.notification import Notification, Reason
from chalicelib.core.due import Decision, due
from chalicelib.core.errors import ConflictError, NotStoredError
from chalicelib.core.evaluation import never_rechecked
from chalicelib.core.event import Status
from chalicelib.core.fold import Folded, folded, with_late
from chalicelib.core.glancing import is_stale, with_glance
from chalicelib.core.identity import home_slot, is_history
from chalicelib.core.incident import Incident, IncidentStatus, group_labels, notified_of
from chalicelib.core.inputs import EventInput, Input, Measured, MovedAlert, alert_fingerprint
from chalicelib.core.limits import bounded
from chalicelib.core.match import matches_all
from chalicelib.core.observed import BESIDE
from chalicelib.core.optimistic import MAX_TRIES, known_first, updated
from chalicelib.core.routing import alert_labels, route_of, routed_labels, routes_of
from chalicelib.core.rule import Route, RouteAlerts, Rules
from chalicelib.core.snapshot import with_symptoms
from chalicelib.core.storms import with_acts_shown, with_joined_at
from chalicelib.core.timeline import paged, recorded
from chalicelib.core.visible import reminded
from chalicelib.core.waves import MAX_WAVES
from chalicelib.log import reason_of
from chalicelib.messages.glances import fitted
from chalicelib.messages.queue import Failure, events_messages, notification_message, wake_message
from chalicelib.process import acts, displaced, joining, storms
from chalicelib.process.batch import Batch, IncidentUpdate
from chalicelib.process.counts import note_counts, store_counts
from chalicelib.process.inhibition import add_causes, drop_causes, relate, symptoms_of, without_ended
from chalicelib.process.lead import indexed_alerts, lead
from chalicelib.process.rules_digest import rules_digest
from chalicelib.process.series import evaluations_of, watches_silence

MAX_DELAY = timedelta(minutes=15)
"""What SQS can delay a message; a later timer is found by the minute tick."""


class _EndedMeanwhileError(Exception):
    """An incident ended between the reading of it and its saving: what was led to it must be led again."""


def settle(batch: Batch) -> list[Failure]:
    """Update every incident of the batch, causes before symptoms; a failure names a message that must come back.

    The failure of what no message asked for (the tick did) names none: its id is empty.
    """
    failures: dict[str, str] = {}
    for _ in range(MAX_TRIES):
        failures |= _lead(batch)
        failures |= _update_all(batch)
        if not batch.arrivals and all(update.done for update in batch.updates.values()):
            break
    failures |= {each.message: "its incident ended again and again before it was saved" for each in batch.arrivals}
    try:
        _put_waiting(batch)
    except NotStoredError as error:
        waited = (*batch.waits.values(), *(update.messages for update in batch.updates.values()))
        failures |= {message: str(error) for messages in waited for message in messages}
    store_counts(batch)
    return [Failure(message, reason) for message, reason in failures.items()]


def _lead(batch: Batch) -> dict[str, str]:
    """Give everything that arrived its incidents. Return the messages that failed, with the reason."""
    failures: dict[str, str] = {}
    arrived = {each.message for each in batch.arrivals} | {each.message for each in batch.routed}
    try:
        lead(batch)
    except Exception as error:  # what could not be led comes back; what was led before is worked through
        failures |= dict.fromkeys(arrived, reason_of(error))
    for action, message in batch.actions:
        try:
            acts.lead(batch, action, message)
        except Exception as error:  # an act that finds no store comes back, and holds up nothing else
            failures[message] = reason_of(error)
    batch.actions.clear()
    return failures


def _update_all(batch: Batch) -> dict[str, str]:
    """Update the incidents that were not yet. Return the messages that failed, with the reason."""
    failures: dict[str, str] = {}
    undone = [(key, update) for key, update in batch.updates.items() if not update.done]
    for key, update in sorted(undone, key=lambda item: not _may_cause(item[1], batch.rules)):
        try:
            batch.stored[key] = saved = _saved(batch, key, update)
            acts.answer(batch, saved, update.inputs)
            storms.forward(batch, saved, update.inputs)
            update.inputs, update.led, update.done = [], [], True
        except _EndedMeanwhileError:
            batch.take_back(key)
        except Exception as error:  # one incident that fails must not stop the others
            failures |= {message: reason_of(error) for message in update.messages}
            update.done = True
    return failures


def _put_waiting(batch: Batch) -> None:
    """Put the events that only count on their queue. A worker that dies before has their webhook back."""
    for until, events in sorted((batch.waiting or {}).items()):
        batch.queues.counts.put(events_messages(tuple(events.values())), delay=until - batch.now)


def _urgent(batch: Batch, update: IncidentUpdate, stored: Incident | None) -> list[Input]:
    """Return the inputs without the events that can wait, which are set aside."""
    if batch.waiting is None:
        return update.inputs
    urgent: list[Input] = []
    for given in update.inputs:
        until = waits_until(stored, given, batch.now) if isinstance(given, EventInput) else None
        if until is None or not isinstance(given, EventInput):
            urgent.append(given)
        else:
            batch.set_aside(given.event, until)
    return urgent


def _may_cause(update: IncidentUpdate, rules: Rules) -> bool:
    for given in update.inputs:
        if isinstance(given, EventInput | Measured):
            labels = (
                alert_labels(given.event, given.rule)
                if isinstance(given, EventInput)
                else routed_labels(given.rule, given.labels)
            )
            if any(matches_all(inhibition.cause, labels) for inhibition in rules.inhibitions):
                return True
    return False


def _saved(batch: Batch, key: str, update: IncidentUpdate) -> Incident:
    """Load, fold, notify, save; again when somebody else saved first.

    Raise _EndedMeanwhileError where the incident ended since events were led to it: others may have given their faults
    another home since, so a fault fires there again only by a new claim.
    """
    before = batch.stored[key] if key in batch.stored else batch.store.load(key)

    def save(stored: Incident | None) -> Incident:
        if (update.led and _has_ended(before, stored)) or _joins_ended(update, stored):
            raise _EndedMeanwhileError
        return _folded_and_saved(batch, key, update, stored)

    return updated("an incident", known_first(before, lambda: batch.store.load(key)), save)


def _joins_ended(update: IncidentUpdate, stored: Incident | None) -> bool:
    """Return whether an alert would join a correlated incident that has ended: nothing begins there any more."""
    if stored is None or stored.is_storm or not stored.is_correlated or stored.status is not IncidentStatus.ENDED:
        return False
    return any(isinstance(each, MovedAlert) for each in update.inputs) or any(
        given.event.status is Status.FIRING and not is_history(given.event, stored.alerts.get(alert_fingerprint(given)))
        for given, _ in update.led
        if isinstance(given, EventInput)
    )


def _has_ended(before: Incident | None, stored: Incident | None) -> bool:
    """Return whether an incident ended after it was read, though it may have begun again."""
    if stored is before:
        return False
    if stored is None or before is None:
        return stored is not None and stored.status is IncidentStatus.ENDED
    return stored.id != before.id or (
        stored.status is IncidentStatus.ENDED and stored.episode.ended_at != before.episode.ended_at
    )


def _folded_and_saved(batch: Batch, key: str, update: IncidentUpdate, stored: Incident | None) -> Incident:
    inputs: Sequence[Input] = _urgent(batch, update, stored)
    if stored is not None and update.inputs and not inputs and (stored.wake_at is None or stored.wake_at > batch.now):
        return stored
    base = stored or Incident(key=key, route=update.route.id, group=update.group)
    goes_by_rules = base.is_correlated and not base.is_storm
    base = replace(base, options=batch.rules.options if goes_by_rules else update.route.options)
    inputs = [*inputs, *storms.inputs_of(batch, base)] if base.is_storm else inputs
    base, inputs = with_late(base, inputs, rules=batch.rules, now=batch.now)
    base = joining.with_alerts_back(batch, base, inputs)
    decision = _with_evidence(batch, update.route, _decided(batch, update.route, base, inputs))
    digest = rules_digest(batch.rules)
    stale = is_stale(stored, decision.incident, decision.mutings, digest)
    if decision.incident == (stored or base) and not stale:
        drop_causes(batch, decision.incident)
        return decision.incident
    _notify(batch, decision.notifications)
    _warn_of_waves(batch, base, decision)
    storms.report(batch, stored, replace(decision.incident, version=(stored.version if stored else 0) + 1))
    if not base.is_storm and _ends(base, decision.incident):
        decision = replace(decision, incident=_without_watches(batch, decision.incident))
    incident = _stored(batch, stored, base, decision)
    note_counts(batch, stored, incident)
    drop_causes(batch, incident)
    _schedule_wake(batch, incident, stored)
    return incident


def _decided(batch: Batch, route: Route, base: Incident, inputs: Sequence[Input]) -> Decision:
    """Return the incident after its inputs, and who is notified of it. Its causes are made known first."""
    base = displaced.stopped(base, inputs, batch.rules)
    evaluations = evaluations_of(base, batch.rules, batch.store, batch.now)
    found = folded(
        base,
        inputs,
        rules=batch.rules,
        now=batch.now,
        evaluations=evaluations,
        leaves=joining.leaves(batch.rules, base, route),
    )
    incident = _without_leaving(batch, route, found)
    incident = bounded(_pruned(incident, base, batch.rules))
    if base.is_storm:
        return _decided_storm(batch, route, base, incident)
    add_causes(batch, incident)
    decision = _due(batch, route, incident)
    into = storms.taken(batch, incident, decision.notifications)
    decision = _due(batch, route, incident, into) if into else decision
    news = with_news(base, decision.incident, decision.mutings, batch.rules.correlation)
    return replace(decision, incident=news) if news is not decision.incident else decision


def _due(batch: Batch, route: Route, incident: Incident, into: Mapping[str, str] | None = None) -> Decision:
    """Return who is notified of an incident; its beginning goes `into` the storms of some targets."""
    routes = routes_of(incident, batch.rules, route)
    return due(
        incident,
        routes=routes,
        rules=batch.rules,
        context=without_ended(batch.context, incident),
        now=batch.now,
        delivered=_deliveries(batch, incident, routes),
        storms=into,
    )


def _decided_storm(batch: Batch, route: Route, base: Incident, storm: Incident) -> Decision:
    """Return a storm after its incidents reported, and what its target is notified of."""
    decision = _due(batch, route, with_acts_shown(base, storm))
    return replace(decision, incident=with_joined_at(base, decision.incident, batch.now))


def _without_leaving(batch: Batch, route: Route, found: Folded) -> Incident:
    """Return the incident with marks in place of the alerts that leave it, which are in a saved incident by then.

    A worker that dies between the two saves finds the alert in its new incident when it comes again.
    """
    key = found.incident.key
    stay = {alert.fingerprint: joining.stand_in(alert, _moved(batch, route, alert, key)) for alert in found.leaving}
    return replace(found.incident, alerts={**found.incident.alerts, **stay}) if stay else found.incident


def _without_watches(batch: Batch, incident: Incident) -> Incident:
    """Return a correlated incident at its end. What is pending, or fires when nothing is measured, waits in its group again."""
    back = {
        alert.fingerprint: alert
        for alert in incident.alerts.values()
        if alert.moved_from and (alert.state is AlertState.PENDING or _watches_silence(batch.rules, alert.rule))
    }
    for alert in back.values():
        route = route_of(batch.rules, next(iter(alert.routes), ""))
        group = group_labels(route, alert.match_labels())
        waits = MovedAlert(replace(alert, routes=(), moved_from=""))
        _saved(batch, alert.moved_from, IncidentUpdate(route, group, inputs=[waits]))
    here = {name: joining.stays_ended(alert) for name, alert in back.items()}
    return replace(incident, alerts={**incident.alerts, **here}) if here else incident


def _moved(batch: Batch, route: Route, alert: Alert, key_before: str) -> str:
    """Save an alert that began to fire in its correlated incident. Return the key of that."""
    values = joining.values_of(batch.rules, route, alert)
    moved = MovedAlert(replace(alert, routes=(route.id,), moved_from=key_before, moved_to=""))
    for _ in range(MAX_TRIES):
        beside = alert.observed.get(BESIDE, "").splitlines()
        key = joining.home(batch, values, alert.fingerprint, alert.starts_at or batch.now, alert.severity, beside)
        try:
            batch.stored[key] = _saved(batch, key, IncidentUpdate(route, values, inputs=[moved]))
        except _EndedMeanwhileError:
            joining.forget(batch, values, key)
        else:
            return key
    raise ConflictError(f"the incidents of {alert.name} ended again and again before it was saved")


def _with_evidence(batch: Batch, route: Route, decision: Decision) -> Decision:
    """Return the decision with what the incident mutes elsewhere in its notifications: read only when somebody is notified."""
    if not decision.notifications or not batch.rules.inhibitions:
        return decision
    context = without_ended(batch.context, decision.incident)
    symptoms = symptoms_of(decision.incident, batch, context)
    basis = SnapshotInput(rules=batch.rules, context=context, route=route, now=batch.now)
    whole = [with_symptoms(each, symptoms, decision.incident.group, basis) for each in decision.notifications]
    return replace(decision, notifications=tuple(whole))


def _notify(batch: Batch, notifications: Sequence[Notification]) -> None:
    """Put notifications on their queue, each with how many incidents were decided with it."""
    if notifications:
        crowd = len(batch.updates.keys() | batch.waits.keys())
        whole = [replace(each, hints=replace(each.hints, crowd=crowd)) for each in notifications]
        batch.queues.notifications.put([notification_message(each) for each in whole])


def _ends(before: Incident, incident: Incident) -> bool:
    return before.status is IncidentStatus.OPEN and incident.status is IncidentStatus.ENDED


def _warn_of_waves(batch: Batch, before: Incident, decision: Decision) -> None:
    """Report to the fallback a pager whose last wave begins, and its end with that of the incident. Twice is one event.

    Without a fallback nobody is: in the groups of the default the report could be an alert of the same incident, which
    then never ends.
    """
    fallback, events = batch.rules.fallback, []
    for each in decision.notifications if fallback.targets and before.route != fallback.id else ():
        known = before.announced.get(each.target.key)
        if each.wave != MAX_WAVES or known is None:
            continue
        if each.reason is Reason.RESOLVED:
            trouble, title = silent_of(each.incident.id), f"{each.target.shown}: the incident has ended"
            events.append(over(trouble, each.target.key, batch.now, title))
        elif known.pager.wave < MAX_WAVES:
            events.append(pager_silent(each, MAX_WAVES, batch.now))
    if events:
        batch.queues.webhooks.put(events_messages(events))


def _stored(batch: Batch, stored: Incident | None, base: Incident, decision: Decision) -> Incident:
    """Save the incident of a decision with its timeline. An ended incident that it replaces is archived."""
    incident, page = paged(stored, recorded(stored, decision.incident, decision.mutings, batch.now))
    incident = with_glance(
        stored,
        incident,
        decision.mutings,
        digest=rules_digest(batch.rules),
        rules=batch.rules,
        context=batch.context,
        now=batch.now,
        fitted=fitted,
    )
    incident = replace(incident, version=(stored.version if stored else 0) + 1)
    _index(batch, stored, incident)
    relate(batch, stored, incident)
    if page:
        batch.store.keep_timeline(incident.id, incident.timeline.pages, page)
    batch.store.save(incident, archive=base if base.id != incident.id and _is_kept(base) else None)
    return incident


def _is_kept(incident: Incident) -> bool:
    """Return whether an ended incident is kept for people: somebody was notified of it, or acted on it."""
    acted_on = any(each.act for each in incident.timeline.entries)
    return incident.status is IncidentStatus.ENDED and (incident.episode.was_opened or acted_on)


def _deliveries(batch: Batch, incident: Incident, routes: Sequence[RouteAlerts]) -> dict[str, datetime]:
    """Return when the targets that may need a reminder received their newest notification.

    One whose newest is still on its way counts from now on, so that nobody is reminded of what they have not received.
    One that was given up counts from its decision, so that it is tried again.
    """
    found: dict[str, datetime] = {}
    for key in reminded(incident, routes, batch.now):
        announced, log = incident.announced[key], batch.store.delivery_log(delivery_log_key(incident.id, key))
        if log.done_seq < announced.last.seq:
            found[key] = batch.now
        elif received_at := log.received_at(announced.last.seq):
            found[key] = received_at
    return found


def _index(batch: Batch, stored: Incident | None, incident: Incident) -> None:
    """Make a new incident, alias or measured alert known before it is saved. A worker that dies here loses nothing."""
    known = {stored.id, *stored.episode.aliases} if stored is not None else set()
    names = {incident.id, *incident.episode.aliases} - known - {""}
    if names:
        batch.store.locate(names, incident.key)
    for name, holder in indexed_alerts(stored, incident).items():
        slot = home_slot(holder)
        fault = batch.store.claim(name, slot, holder, over=None)
        if fault.holders.get(slot) != holder:
            batch.store.claim(name, slot, holder, over=fault.holders.get(slot))


def _schedule_wake(batch: Batch, incident: Incident, stored: Incident | None) -> None:
    """Have the incident looked at to the second, when its next timer is near; the tick sees to the others."""
    if incident.wake_at is None or incident.wake_at > batch.now + MAX_DELAY:
        return
    if stored is not None and stored.wake_at == incident.wake_at and incident.wake_at > batch.now:
        return
    delay = max(timedelta(0), incident.wake_at - batch.now)
    batch.queues.webhooks.put([wake_message(incident.key)], delay=delay)


def _pruned(incident: Incident, before: Incident, rules: Rules) -> Incident:
    """Return the incident without measured alerts that are quiet.

    They are kept where their silence could be an alert, and while the notification of their end is still to come.
    """
    notified = notified_of(incident)
    kept: dict[str, Alert] = {}
    for name, alert in incident.alerts.items():
        if alert.state is not AlertState.INACTIVE or not alert.has_condition or name in notified or alert.moved_to:
            kept[name] = alert
        elif alert.origin is Origin.SERIES and _watches_silence(rules, alert.rule):
            old = before.alerts.get(name)
            kept[name] = old if old is not None and _same_watch(old, alert) else alert
        elif alert.origin is Origin.COUNT:
            kept[name] = alert if _watches_silence(rules, alert.rule) else never_rechecked(alert)
    return replace(incident, alerts=kept) if kept != incident.alerts else incident


def _watches_silence(rules: Rules, name: str) -> bool:
    rule = rules.by_name.get(name)
    return rule is not None and watches_silence(rule)


def _same_watch(old: Alert, alert: Alert) -> bool:
    """Return whether the stored date is kept: moving it with each sample of a quiet series would cost a write each."""
    return (
        old.state is AlertState.INACTIVE
        and old.evaluation.recheck_at is not None
        and (
            alert.evaluation.recheck_at is None
            or (alert.received.refreshed_at is not None and old.evaluation.recheck_at > alert.received.refreshed_at)
        )
    )
