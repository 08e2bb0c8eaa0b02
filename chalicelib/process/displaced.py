"""Alerts of series, counts and heartbeats that changed rules would give another home: they go on where they are.

An event finds its incident by its fault. A series, a count or a heartbeat has none: it is found by its rule and labels, in
the incident of its group. After a changed route or `group_by` an active alert is in another incident than the one to which
the rules lead now. The alert is then looked up by its fingerprint, but only while the context says that there is such an
alert, or while the tick has not looked at the changed rules yet: without that no read is added.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime

from chalicelib.core.alert import Alert, lives_on_word
from chalicelib.core.event import fingerprint, labels_fingerprint
from chalicelib.core.identity import Fault, Holder
from chalicelib.core.incident import Incident, group_labels, incident_key, labels_of_group
from chalicelib.core.inputs import Beat, Occurred, alert_fingerprint, counted_by, counted_labels
from chalicelib.core.routing import alert_labels, heartbeat_route, measured_labels, route_by_id, routed_labels
from chalicelib.core.rule import Rule, Rules
from chalicelib.process.batch import Batch, Routed

DISPLACED = "displaced"
"""The mark of the context: some active alert is not where today's rules lead."""
GROUPING = "grouping"
"""The mark of the context: the `group_by` of each counting rule, as the rules were that the tick looked at last."""
GROUPING_BEFORE = "grouping_before"
"""The same of the rules before those."""
RULES = "rules"
"""The mark of the context: the digest of the rules that the tick looked at last."""

_digests: dict[int, tuple[Rules, str]] = {}


def rules_digest(rules: Rules) -> str:
    """Return a text that changes when the rules do."""
    known = _digests.get(id(rules))
    if known is None or known[0] is not rules:
        _digests.clear()
        _digests[id(rules)] = (rules, fingerprint(repr(rules)))
    return _digests[id(rules)][1]


def lead(batch: Batch) -> None:
    """Give what was measured, counted and heard its incidents: where its alert is active, else where the rules lead."""
    routed, batch.routed = batch.routed, []
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
        if holder is None:
            batch.add_routed(each)
        else:
            _follow(batch, holder, each)


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
    return alert is not None and alert.burning


def _names(batch: Batch, routed: Routed) -> list[str]:
    """Return the fingerprints under which the alert may be active: its own, and those under earlier `group_by`s."""
    given = routed.given
    found = [alert_fingerprint(given)]
    if isinstance(given, Occurred) and given.rule is not None:
        labels = alert_labels(given.event, given.rule)
        for mark in (GROUPING, GROUPING_BEFORE):
            before = json.loads(batch.context.marks.get(mark, "{}")).get(given.rule.name)
            if before is not None:
                found.append(labels_fingerprint(given.rule.name, labels_of_group(before, labels)))
    return found


def _active(batch: Batch, names: Iterable[str], faults: Mapping[str, Fault]) -> Iterable[Holder]:
    for name in names:
        for holder in faults.get(name, Fault()).holders.values():
            incident = batch.stored.get(holder.key)
            alert = incident.alerts.get(holder.alert) if incident is not None else None
            if alert is not None and alert.burning:
                yield holder


def _follow(batch: Batch, holder: Holder, routed: Routed) -> None:
    incident, given = batch.stored[holder.key], routed.given
    assert incident is not None
    if isinstance(given, Occurred):
        given = replace(given, alert=holder.alert)
    batch.wake(holder.key, route_by_id(batch.rules, incident), incident.group, routed.message, given)


# ---------------------------------------------------------------------------------------------------------------------
# What the tick writes


def marks_of(rules: Rules, marks: Mapping[str, str]) -> dict[str, str]:
    """Return the marks that say how the rules group what they count, and how the rules before did."""
    now = json.dumps({rule.name: list(counted_by(rule)) for rule in rules.rules if _counts(rule)}, sort_keys=True)
    before = marks.get(GROUPING, now)
    return {GROUPING: now, GROUPING_BEFORE: before if before != now else marks.get(GROUPING_BEFORE, now)}


def _counts(rule: Rule) -> bool:
    return rule.condition is not None and rule.condition.counts_events


def any_displaced(incidents: Iterable[Incident], rules: Rules) -> bool:
    """Return whether some active alert of a series, a count or a heartbeat is not where the rules lead."""
    by_name = {rule.name: rule for rule in rules.rules}
    return any(
        incident.key not in _homes(alert, by_name.get(alert.rule), rules)
        for incident in incidents
        for alert in incident.alerts.values()
        if alert.burning and not lives_on_word(alert)
    )


def _homes(alert: Alert, rule: Rule | None, rules: Rules) -> list[str]:
    """Return the keys of the incidents to which the rules lead such an alert; none where they would begin another one."""
    if alert.beat:
        route, labels = heartbeat_route(rules, Beat(alert.name, _ANY_TIME, alert.beat, alert.labels, alert.severity))
        return [incident_key(route, group_labels(route, None, labels))]
    if rule is None:
        return []
    if alert.measured:
        labels, routed = measured_labels(rule, alert.labels), routed_labels(rule, alert.labels)
    else:
        labels = routed = alert.match_labels()
        if labels_fingerprint(rule.name, counted_labels(rule, labels)) != alert.fingerprint:
            return []
    return [incident_key(route, group_labels(route, None, labels)) for route in rules.routes_for(rule, routed)]


_ANY_TIME = datetime.fromtimestamp(0, UTC)
