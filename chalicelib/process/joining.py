"""The homes of new alerts among the correlated incidents: joins the head of their values, or makes a new one.

A head is stored as the one holder of a fault of its own (`head|<values>`), so the store settles which of two workers
makes it. It is written before its incident is saved: a head without an incident is joined as a young one.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial

from chalicelib.core.alert import Alert, AlertState, Origin
from chalicelib.core.alert_terms import options_by, terms_in
from chalicelib.core.correlation import LINK, LINKED, Head, by_values, head_name, new_key, was_firing, why_not_joined
from chalicelib.core.dependencies import fires_critically
from chalicelib.core.evaluation import never_rechecked
from chalicelib.core.event import Event, Severity
from chalicelib.core.identity import Fault, Holder, Proposal
from chalicelib.core.incident import CORRELATED, Entry, Incident, IncidentStatus, in_episode
from chalicelib.core.inputs import AlertInput, EventInput, Input, Measured, MovedAlert, TimelineNote, alert_fingerprint
from chalicelib.core.lifecycle import no_longer_pending
from chalicelib.core.optimistic import MAX_TRIES
from chalicelib.core.reported import begins_anew_at
from chalicelib.core.routing import route_by_id
from chalicelib.core.rule import Route, Rules
from chalicelib.core.services import SERVICE
from chalicelib.process.batch import Arrival, Batch, Routed

SLOT = "head"
OLDER = "older"
"""The slot of the newest incident of these values that is not the head: what is older than the head joins it."""
SLOTS_OF_OLDER = (OLDER, *(f"{OLDER}{number}" for number in range(2, 9)))
"""Those of all older incidents that are kept. The version before knows the first one only."""
_EVER = datetime.min.replace(tzinfo=UTC)


def stored_name(values: Mapping[str, str]) -> str:
    """Return the name of the fault that holds the head of these values."""
    return f"head|{head_name(values)}"


def at_heads(batch: Batch, arrivals: Iterable[Arrival]) -> list[Arrival]:
    """Return the arrivals whose proposals name the head of their values: what only repeats is known there."""
    found = list(arrivals)
    if batch.rules.correlate is None:
        return found
    read_heads(batch, {stored_name(p.group) for each in found for p in each.proposals if p.is_correlated})
    return [_with_heads(batch, each) for each in found]


def _with_heads(batch: Batch, each: Arrival) -> Arrival:
    if not any(proposal.is_correlated for proposal in each.proposals):
        return each
    proposals = tuple([_at_head(batch, proposal, each.event) for proposal in each.proposals])
    return Arrival(each.event, proposals, each.message, each.only_if_held)


def _at_head(batch: Batch, proposal: Proposal, event: Event) -> Proposal:
    if not proposal.is_correlated:
        return proposal
    head = batch.heads[stored_name(proposal.group)]
    started_at = event.starts_at or event.occurred_at
    key = head.key if head is not None else new_key(proposal.group, proposal.alert(event), started_at)
    return Proposal(proposal.rule, proposal.route, proposal.group, proposal.routes, key)


def read_heads(batch: Batch, names: Collection[str]) -> None:
    """Read the heads of these names that were not read yet."""
    missing = [name for name in names if name not in batch.heads]
    if missing:
        found = batch.store.faults(missing)
        batch.heads |= {name: _head(found.get(name), SLOT) for name in missing}
        batch.older |= {name: _older(found.get(name)) for name in missing}


def _head(fault: Fault | None, slot: str) -> Head | None:
    holder = fault.holders.get(slot) if fault is not None else None
    return Head(holder.key, holder.at) if holder is not None else None


def _older(fault: Fault | None) -> dict[str, Head]:
    found = {slot: _head(fault, slot) for slot in SLOTS_OF_OLDER}
    return {slot: head for slot, head in found.items() if head is not None}


def home(
    batch: Batch,
    values: Mapping[str, str],
    alert: str,
    started_at: datetime,
    severity: Severity,
    beside: Sequence[str] = (),
) -> str:
    """Return the key of the incident where an alert of these values that began then fires: the head, or a new one.

    What explains it, or what it explains, may have one (dependencies.py); so may the services `beside` it, whose probes fail
    together with its own. `alert` is its fingerprint. An alert that is older than the head and does not fit it joins the
    newest of the incidents before, or gets one beside the head.
    """
    name = stored_name(values)
    read_heads(batch, [name])
    for _ in range(MAX_TRIES):
        slot, head = SLOT, batch.heads[name]
        found = head if head is not None and _joins(batch, head, started_at, severity) else None
        if found is None and head is not None and started_at < head.at:
            slot = OLDER
            found = _older_home(batch, name, started_at, severity)
        if found is not None:
            return _joined(batch, found, started_at)
        impact_of = explained_at(batch, values, started_at, severity, beside)
        if impact_of is not None:
            return impact_of
        before = head if slot == SLOT else batch.older[name].get(OLDER)
        mine = Head(new_key(values, f"{alert}{before.key if before else ''}", started_at), started_at)
        affected = affected_heads(batch, values, started_at, severity) if slot == SLOT else ()
        mine = affected[0] if affected else mine
        if slot == SLOT:
            after = batch.heads[name] = _claimed(batch, name, slot, values, mine, head)
        else:
            after = _keep(batch, name, values, mine)
        if after == mine:
            _link(batch, affected, values, started_at)
            if slot == SLOT and head is not None:
                _keep_older(batch, name, values, head)
            break
    return _joined(batch, mine, started_at)


def _joined(batch: Batch, head: Head, started_at: datetime) -> str:
    """Return the key of the incident where an alert that began then fires by now: that is news of it."""
    batch.news[head.key] = max(started_at, batch.news.get(head.key, started_at))
    return head.key


def _keep_older(batch: Batch, name: str, values: Mapping[str, str], head: Head) -> None:
    """Remember the head before as long as it is open: alerts that began with it may still arrive."""
    incident = batch.stored.get(head.key)
    if incident is None or incident.status is IncidentStatus.OPEN:
        _keep(batch, name, values, head)


def _keep(batch: Batch, name: str, values: Mapping[str, str], head: Head) -> Head | None:
    """Keep one more older incident in the first slot, and the one that had that in another. Return which one has it then.

    What began so long before that nothing joins it any more leaves its slot, as does the oldest where all are taken.
    """
    known = batch.older[name]
    before = known.get(OLDER)
    if before is not None and head.at <= before.at + batch.rules.correlation.max_age:
        slot = _slot_for(known)
        moved = _claimed(batch, name, slot, values, before, known.get(slot))
        known |= {slot: moved} if moved is not None else {}
    after = _claimed(batch, name, OLDER, values, head, before)
    known |= {OLDER: after} if after is not None else {}
    return after


def _slot_for(known: Mapping[str, Head]) -> str:
    """Return the slot for one more older incident beside the first: an empty one, else that of the oldest."""
    free = [slot for slot in SLOTS_OF_OLDER[1:] if slot not in known]
    return free[0] if free else min(SLOTS_OF_OLDER[1:], key=lambda slot: known[slot].at)


def _older_home(batch: Batch, name: str, started_at: datetime, severity: Severity) -> Head | None:
    """Return the newest older incident that an alert joins. Those whose time it does not fit are not read."""
    correlate = batch.rules.correlation
    heads = sorted(batch.older[name].values(), key=lambda head: head.at, reverse=True)
    young = (head for head in heads if head.at - correlate.join_within <= started_at <= head.at + correlate.max_age)
    return next((head for head in young if _joins(batch, head, started_at, severity)), None)


def _joins(batch: Batch, head: Head, started_at: datetime, severity: Severity) -> bool:
    batch.read({head.key})
    incident, news_at = batch.stored[head.key], batch.news.get(head.key)
    correlate = batch.rules.correlation
    return not why_not_joined(head, incident, started_at, correlate, news_at=news_at, severity=severity)


def explained_at(
    batch: Batch, values: Mapping[str, str], started_at: datetime, severity: Severity, beside: Sequence[str] = ()
) -> str | None:
    """Return the key of the incident of a service that fires critically: what an alert's own needs, or one `beside` it."""
    own = values.get(SERVICE, "")
    needed = [*batch.rules.services.needed_by(own), *(each for each in beside if SERVICE in values and each != own)]
    heads = _heads_of(batch, values, needed)
    for service, head in heads.items():
        if _joins(batch, head, started_at, severity) and _fires_critically(batch, service, head.key):
            return _joined(batch, head, started_at)
    return None


def affected_heads(batch: Batch, values: Mapping[str, str], started_at: datetime, severity: Severity) -> Sequence[Head]:
    """Return the young incidents of the services that a critical alert explains; the oldest becomes its head as well."""
    if severity is not Severity.CRITICAL:
        return ()
    heads = _heads_of(batch, values, batch.rules.services.affected_by(values.get(SERVICE, "")))
    began = {head.key: _began_at(batch, head) for head in heads.values()}
    latest = started_at - batch.rules.correlation.join_within
    young = [head for head in heads.values() if began[head.key] >= latest and _joins(batch, head, started_at, severity)]
    return sorted({head.key: head for head in young}.values(), key=lambda head: began[head.key])


def _link(batch: Batch, affected: Sequence[Head], values: Mapping[str, str], started_at: datetime) -> None:
    """Write a line in each incident that a service affects: the cause is in the first one, and the others stay apart."""
    service = values.get(SERVICE, "")
    for first, head in ((affected[0], each) for each in affected[1:]):
        _note_link(batch, head, first, f"what fires in {service} may explain it", started_at)
        _note_link(batch, first, head, f"{service} may explain that one, too", started_at)


def _note_link(batch: Batch, head: Head, other: Head, text: str, at: datetime) -> None:
    incident = batch.stored[head.key]
    if incident is not None:
        entry = Entry(at, f"{LINKED}{other.key.removeprefix(CORRELATED)}: {text}", kind=LINK)
        batch.wake(head.key, route_by_id(batch.rules, incident), incident.group, given=TimelineNote(entry))


def _heads_of(batch: Batch, values: Mapping[str, str], services: Sequence[str]) -> dict[str, Head]:
    """Return the heads of these services with the same values otherwise; their incidents are read."""
    names = {service: stored_name({**values, SERVICE: service}) for service in services}
    read_heads(batch, names.values())
    found = {service: head for service, name in names.items() if (head := batch.heads[name]) is not None}
    batch.read({head.key for head in found.values()})
    return found


def _began_at(batch: Batch, head: Head) -> datetime:
    incident = batch.stored[head.key]
    return (incident.episode.started_at if incident is not None else None) or head.at


def _fires_critically(batch: Batch, service: str, key: str) -> bool:
    update = batch.updates.get(key)
    return fires_critically(service, batch.stored[key], update.inputs if update is not None else ())


def _claimed(
    batch: Batch, name: str, slot: str, values: Mapping[str, str], mine: Head, before: Head | None
) -> Head | None:
    over = _holder(before, values) if before is not None else None
    return _head(batch.store.claim(name, slot, _holder(mine, values), over=over), slot)


def _holder(head: Head, values: Mapping[str, str]) -> Holder:
    return Holder(key=head.key, alert="", rule="", route="", group=values, rank=0, at=head.at)


def forget(batch: Batch, values: Mapping[str, str], key: str) -> None:
    """Read the head of these values and its incident anew: it ended meanwhile."""
    batch.heads.pop(stored_name(values), None)
    batch.older.pop(stored_name(values), None)
    batch.news.pop(key, None)
    batch.stored.pop(key, None)


# ---------------------------------------------------------------------------------------------------------------------
# Alerts with a condition or a `for:`, which wait in the incident of their group until they fire


def values_of(rules: Rules, route: Route, alert: Alert) -> dict[str, str]:
    """Return the values by which an alert is correlated that waits on a route; empty where it stays in its group."""
    return by_values(rules, rules.by_name.get(alert.rule), (route,), alert.match_labels())


def leaves(rules: Rules, incident: Incident, route: Route) -> Callable[[Alert], bool] | None:
    """Return which alerts leave the incident of their group when they begin to fire; None where none does."""
    if rules.correlate is None or incident.is_correlated:
        return None

    def does(alert: Alert) -> bool:
        if alert.origin is Origin.HEARTBEAT or not values_of(rules, route, alert):
            return False
        rule = rules.by_name.get(alert.rule)
        return (alert.has_condition or bool(rule and rule.hold)) and not _lives_here(incident, alert)

    return does


def _lives_here(incident: Incident, alert: Alert) -> bool:
    """Return whether an open incident had the alert firing before: one from before alerts were correlated."""
    old = incident.alerts.get(alert.fingerprint)
    if old is None or incident.status is not IncidentStatus.OPEN:
        return False
    return was_firing(old) and in_episode(old, incident)


def stand_in(alert: Alert, key: str) -> Alert:
    """Return what stays of an alert that fires in another incident by now."""
    return Alert(
        fingerprint=alert.fingerprint,
        rule=alert.rule,
        name=alert.name,
        labels=alert.labels,
        severity=alert.severity,
        origin=alert.origin,
        sender=alert.sender,
        moved_to=key,
    )


def stays_ended(alert: Alert) -> Alert:
    """Return what stays of an alert in an incident that has ended, once it waits in its group again."""
    if alert.state is AlertState.PENDING:
        alert = no_longer_pending(alert)
    return never_rechecked(alert)


def goes_on_elsewhere(batch: Batch, routed: Sequence[Routed]) -> list[Routed]:
    """Give what was measured or counted to the incidents where the alerts fire. Return the rest; all are read."""
    batch.read({each.key for each in routed})
    moved = {id(each): _moved_to(batch, each) for each in routed}
    batch.read({key for key in moved.values() if key})
    rest = []
    goes_on: dict[str, list[Routed]] = {}
    for each in routed:
        incident = batch.stored.get(moved[id(each)])
        if incident is None or not _goes_on(batch, incident, each.given):
            rest.append(each)
        else:
            goes_on.setdefault(incident.key, []).append(each)
    for key, found in goes_on.items():
        rest += _go_on(batch, batch.stored[key], found)
    return rest


def _go_on(batch: Batch, incident: Incident | None, routed: Sequence[Routed]) -> list[Routed]:
    """Give an incident what is about its alerts. Return what is of a later beginning: that goes where the rules lead."""
    assert incident is not None
    anew_at, later = _anew_at(batch, incident, routed), []
    for each in routed:
        now, then = _cut(each.given, anew_at.get(alert_fingerprint(each.given)))
        given = replace(now, routes=(each.route.id,)) if isinstance(now, EventInput) else now
        if given is not None:
            batch.wake(incident.key, route_by_id(batch.rules, incident), incident.group, each.message, given)
        if then is not None:
            later.append(replace(each, given=then))
    if later:
        batch.update_first(incident.key)
    return later


def _anew_at(batch: Batch, incident: Incident, routed: Sequence[Routed]) -> dict[str, datetime]:
    """Return from when on what was measured of an alert is of another incident, by its fingerprint."""
    measured: dict[str, list[Measured]] = {}
    for each in routed:
        if isinstance(each.given, Measured) and incident.is_correlated:
            measured.setdefault(alert_fingerprint(each.given), []).append(each.given)
    found = {}
    for name, group in measured.items():
        alert = incident.alerts[name]
        terms = partial(terms_in, incident, options_by(alert.routes, incident, batch.rules))
        found[name] = begins_anew_at(alert, group, terms, batch.now, batch.rules.correlation.join_within)
    return {name: at for name, at in found.items() if at is not None}


def _cut(given: AlertInput, at: datetime | None) -> tuple[AlertInput | None, AlertInput | None]:
    """Return what of an input is from before that time, and what is not."""
    if at is None or not isinstance(given, Measured):
        return given, None
    before = tuple(each for each in given.evaluations if each.at < at)
    after = given.evaluations[len(before) :]
    return replace(given, evaluations=before) if before else None, replace(given, evaluations=after) if after else None


def _moved_to(batch: Batch, routed: Routed) -> str:
    incident = batch.stored.get(routed.key)
    alert = incident.alerts.get(alert_fingerprint(routed.given)) if incident is not None else None
    return alert.moved_to if alert is not None else ""


def _goes_on(batch: Batch, incident: Incident, given: AlertInput) -> bool:
    """Return whether the alert of an input is active in an incident, or ended there so lately that it only flaps."""
    alert = incident.alerts.get(alert_fingerprint(given))
    if alert is None or incident.status is not IncidentStatus.OPEN:
        return False
    if alert.active or alert.state is not AlertState.RESOLVED or alert.ends_at is None:
        return alert.active
    return _time_of(given) <= alert.ends_at + batch.rules.correlation.join_within


def _time_of(given: AlertInput) -> datetime:
    if isinstance(given, EventInput):
        return given.event.occurred_at
    if isinstance(given, Measured):
        return given.evaluations[-1].at
    return given.alert.starts_at or given.alert.ends_at or _EVER if isinstance(given, MovedAlert) else given.at


def with_alerts_back(batch: Batch, incident: Incident, inputs: Sequence[Input]) -> Incident:
    """Return an incident with the alerts that inputs are about and that fired elsewhere, as they are there by now.

    They wait here again, with the events that they remember.
    """
    names = {alert_fingerprint(each) for each in inputs if isinstance(each, AlertInput)}
    gone = [alert for name in names if (alert := incident.alerts.get(name)) is not None and alert.moved_to]
    if not gone:
        return incident
    batch.read({alert.moved_to for alert in gone})
    back = {alert.fingerprint: _back(batch, alert) for alert in gone}
    return replace(incident, alerts={**incident.alerts, **back})


def _back(batch: Batch, alert: Alert) -> Alert:
    there = batch.stored.get(alert.moved_to)
    known = there.alerts.get(alert.fingerprint) if there is not None else None
    if there is not None and known is not None and known.active and there.status is IncidentStatus.OPEN:
        return alert
    return replace(known or alert, routes=(), moved_to="", moved_from="")
