"""Alerts of series, counts and heartbeats that changed rules would give another home: they go on where they are.

An event finds its incident by its fault. A series, a count or a heartbeat has none: it is found by its rule and labels, in
the incident of its group. After a changed route or `group_by` an active alert is in another incident than the one to which
the rules lead now. The alert is then looked up by its fingerprint, but only while the context says that there is such an
alert, or while the tick has not looked at the changed rules yet: without that no read is added.
"""

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace

from chalicelib.core.alert import Alert, Origin
from chalicelib.core.evaluation import never_rechecked
from chalicelib.core.event import Event, labels_fingerprint
from chalicelib.core.identity import Fault, Holder
from chalicelib.core.incident import Incident, group_labels, incident_key, labels_of_group
from chalicelib.core.inputs import (
    AlertInput,
    EventInput,
    HeartbeatInput,
    Input,
    alert_fingerprint,
    counted_by,
    counted_labels,
)
from chalicelib.core.instants import from_seconds
from chalicelib.core.routing import alert_labels, heartbeat_route, measured_labels, route_by_id, routed_labels
from chalicelib.core.rule import Rule, Rules
from chalicelib.core.services import SERVICE, Services
from chalicelib.core.withdrawn import probe_names
from chalicelib.process import joining
from chalicelib.process.batch import Batch, Routed
from chalicelib.process.gather import beat_of
from chalicelib.process.rules_digest import rules_digest

DISPLACED = "displaced"
"""The mark of the context: some active alert is not where today's rules lead."""
GROUPINGS = "groupings"
"""The mark of the context: the `group_by`s of each counting rule, of the rules that the tick looked at last and before."""
MAX_GROUPINGS = 4
"""A count that fires is found again after so many changes of its rule's `group_by`, less one."""
RULES = "rules"
"""The mark of the context: the digest of the rules that the tick looked at last."""


def lead(batch: Batch) -> None:
    """Give what was measured, counted and received its incidents: where its alert is active, else where the rules lead."""
    routed, batch.routed = joining.goes_on_elsewhere(batch, batch.routed), []
    if not routed:
        return
    if not _may_be_displaced(batch):
        for each in routed:
            batch.add_routed(each)
        return
    batch.read({each.key for each in routed})
    elsewhere = {id(each): _names(batch, each) for each in routed if not _is_at_home(batch, each)}
    faults = batch.store.faults({name for names in elsewhere.values() for name in names})
    batch.read({holder.key for fault in faults.values() for holder in fault.holders.values()})
    taken = {(alert_fingerprint(each.given), each.key): each.key for each in routed if id(each) not in elsewhere}
    for each in routed:
        holder = _home(batch, each, elsewhere.get(id(each), ()), faults, taken)
        if holder is not None:
            _follow(batch, holder, each)
        if holder is None or (isinstance(each.given, HeartbeatInput) and each.given.heard):
            batch.add_routed(each)  # a beat that ends an alert elsewhere begins the next wait where the rules lead


def _home(
    batch: Batch,
    routed: Routed,
    names: Iterable[str],
    faults: Mapping[str, Fault],
    taken: dict[tuple[str, str], str],
) -> Holder | None:
    """Return where the alert is active elsewhere; None where it stays, or begins, where the rules lead.

    An alert may be active on several routes. `taken` are the incidents that were given to its routes so far, by the alert
    and the key to which the rules lead: each route keeps its own.
    """
    alert = alert_fingerprint(routed.given)
    others = {home for (name, key), home in taken.items() if name == alert and key != routed.key}
    active = [each for each in _active(batch, names, faults) if each.key not in others]
    if not active:
        return None
    holder = next((each for each in active if each.route == routed.route.id), active[0])
    taken[alert, routed.key] = holder.key
    return holder


def _may_be_displaced(batch: Batch) -> bool:
    marks = batch.context.marks
    return DISPLACED in marks or marks.get(RULES) != rules_digest(batch.rules)


def _is_at_home(batch: Batch, routed: Routed) -> bool:
    incident = batch.stored.get(routed.key)
    alert = incident.alerts.get(alert_fingerprint(routed.given)) if incident is not None else None
    return alert is not None and alert.active


def _names(batch: Batch, routed: Routed) -> list[str]:
    """Return the fingerprints under which the alert may be active: its own, and those of a count under earlier rules.

    These had another `group_by`, or did not have the alias that gives the event the name of its service.
    """
    given = routed.given
    found = [alert_fingerprint(given)]
    if isinstance(given, EventInput) and given.rule is not None:
        name, earlier = given.rule.name, _groupings(batch.context.marks).get(given.rule.name, [])
        labels = alert_labels(given.event, given.rule)
        found += [labels_fingerprint(name, labels_of_group(each, labels)) for each in earlier]
        for unnamed in _unnamed(given.event, labels, batch.rules.services):
            groupings = [counted_by(given.rule), *earlier]
            found += [labels_fingerprint(name, labels_of_group(each, unnamed)) for each in groupings]
    return list(dict.fromkeys(found))


def _unnamed(event: Event, labels: Mapping[str, str], services: Services) -> list[Mapping[str, str]]:
    """Return the labels without the name that an alias gave the event's service; nothing where none did."""
    before = services.unnamed(labels)
    said = before.get(SERVICE, "")
    named = services.labelled(before, {event.source: said} if said else {}).get(SERVICE)
    return [before] if before != labels and named == event.service else []


def _active(batch: Batch, names: Iterable[str], faults: Mapping[str, Fault]) -> Iterable[Holder]:
    for name in names:
        for holder in faults.get(name, Fault()).holders.values():
            incident = batch.stored.get(holder.key)
            alert = incident.alerts.get(holder.alert) if incident is not None else None
            if alert is not None and alert.active:
                yield holder


def _follow(batch: Batch, holder: Holder, routed: Routed) -> None:
    incident, given = batch.stored[holder.key], routed.given
    assert incident is not None
    if isinstance(given, EventInput):
        given = replace(given, alert=holder.alert)
    batch.wake(holder.key, route_by_id(batch.rules, incident), incident.group, routed.message, given)


def stopped(incident: Incident, inputs: Collection[Input], rules: Rules) -> Incident:
    """Return the incident without the clocks of series and heartbeats that are not active and are watched elsewhere now.

    They would fire here by themselves, beside the alert that the rules have in another incident. So would a heartbeat that
    the rules no longer name.
    """
    named = {alert_fingerprint(each) for each in inputs if isinstance(each, AlertInput)}
    gone = {
        alert.fingerprint: replace(never_rechecked(alert), schedule={})
        for alert in incident.alerts.values()
        if _has_clock(alert)
        and alert.fingerprint not in named
        and (_is_unexpected(alert, rules) or _is_elsewhere(alert, incident, rules))
    }
    return replace(incident, alerts={**incident.alerts, **gone}) if gone else incident


def _has_clock(alert: Alert) -> bool:
    return not alert.active and (
        bool(alert.schedule) or (alert.origin is Origin.SERIES and alert.evaluation.recheck_at is not None)
    )


def _is_unexpected(alert: Alert, rules: Rules) -> bool:
    """Return whether the rules no longer name the heartbeat that the alert is of."""
    return alert.origin is Origin.HEARTBEAT and alert.name not in probe_names(rules, "heartbeat")


def _is_elsewhere(alert: Alert, incident: Incident, rules: Rules) -> bool:
    homes = _homes(alert, rules.by_name.get(alert.rule), rules)
    return bool(homes) and (alert.moved_from or incident.key) not in homes


# ---------------------------------------------------------------------------------------------------------------------
# What the tick writes


def marks_of(rules: Rules, marks: Mapping[str, str]) -> dict[str, str]:
    """Return the mark that says how the rules group what they count, and how the rules before did, newest first."""
    before = _groupings(marks)
    found = {rule.name: _newest_first(rule, before.get(rule.name, [])) for rule in rules.rules if _counts(rule)}
    return {GROUPINGS: json.dumps(found, sort_keys=True)}


def _newest_first(rule: Rule, before: list[list[str]]) -> list[list[str]]:
    now = list(counted_by(rule))
    return [now, *(each for each in before if each != now)][:MAX_GROUPINGS]


def _groupings(marks: Mapping[str, str]) -> dict[str, list[list[str]]]:
    found: dict[str, list[list[str]]] = json.loads(marks.get(GROUPINGS, "{}"))
    return found


def _counts(rule: Rule) -> bool:
    return rule.condition is not None and rule.condition.counts_events


def any_displaced(incidents: Iterable[Incident], rules: Rules, marks: Mapping[str, str]) -> bool:
    """Return whether an active alert of a series, a count or a heartbeat may not be where the rules lead.

    `marks` are those of the context, with today's `group_by`s.
    """
    groupings = _groupings(marks)
    return any(
        (alert.moved_from or incident.key) not in _homes(alert, rules.by_name.get(alert.rule), rules)
        or _was_grouped_otherwise(alert, rules.by_name.get(alert.rule), groupings)
        for incident in incidents
        for alert in incident.alerts.values()
        if alert.active and alert.origin is not Origin.EVENT
    )


def _was_grouped_otherwise(alert: Alert, rule: Rule | None, groupings: Mapping[str, list[list[str]]]) -> bool:
    """Return whether a count may have begun under an earlier `group_by`, and its events be led elsewhere by today's.

    An alert has only the labels it was grouped by then. What its events say of a label that was added is not known.
    """
    if rule is None or not _counts(rule):
        return False
    labels, now = alert.match_labels(), list(counted_by(rule))
    earlier = (each for each in groupings.get(rule.name, ()) if each != now)
    return any(labels_fingerprint(rule.name, labels_of_group(each, labels)) == alert.fingerprint for each in earlier)


def _homes(alert: Alert, rule: Rule | None, rules: Rules) -> list[str]:
    """Return the keys of the incidents to which the rules lead such an alert; none where they would begin another one."""
    services = rules.services
    own = services.unnamed(alert.labels)
    if alert.origin is Origin.HEARTBEAT:
        route, labels = heartbeat_route(rules, _beat(alert, rules))
        return [incident_key(route, group_labels(route, labels))]
    if rule is None:
        return []
    if alert.origin is Origin.SERIES:
        named = services.labelled(own)
        labels, routed = measured_labels(rule, named), routed_labels(rule, named)
    else:
        labels = routed = alert.match_labels()
        if labels_fingerprint(rule.name, counted_labels(rule, labels)) != alert.fingerprint or services.may_name(
            labels
        ):
            return []
    return [incident_key(route, group_labels(route, labels)) for route in rules.routes_for(rule, routed)]


def _beat(alert: Alert, rules: Rules) -> HeartbeatInput:
    """Return what the next beat of a heartbeat will be; of one that is gone, what the last one was."""
    for spec in rules.probes.get("heartbeat", ()):
        if spec.get("name") == alert.name:
            return beat_of(spec, _ANY_TIME, rules.services, heard=False)
    return HeartbeatInput(alert.name, _ANY_TIME, alert.schedule, alert.labels, alert.severity)


_ANY_TIME = from_seconds(0)
