"""Leads the events of a batch to the incidents that hold their faults; only what is nowhere yet goes by rules and routes.

Three bounded reads serve a whole batch: the incidents that the rules would choose, the faults (but those of events that
only repeat what such an incident knows), and the incidents that these faults name. A new alert costs one write, which
also settles which of two workers gives it a home.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace

from chalicelib.core.alert import Origin
from chalicelib.core.coalesce import only_counts, waits_until
from chalicelib.core.event import Event, Status, fingerprint
from chalicelib.core.identity import CLAIMED, End, Fault, Holder, Proposal, holder_of, late_ends, led, merged, slot_of
from chalicelib.core.incident import Incident
from chalicelib.core.inputs import EventInput, alert_fingerprint
from chalicelib.core.routing import route_by_id, route_of
from chalicelib.core.rule import Rule
from chalicelib.process import displaced, joining
from chalicelib.process.batch import Arrival, Batch

INDEXED = "indexed"
"""The mark of the context that says since when every open incident is found by its faults and its id."""
INDEXED_RULES = "indexed_rules"
"""The rules of alerts that an earlier version left open, one a line: these are indexed by the alert, not by the fault."""


def lead(batch: Batch) -> None:
    """Give each event that arrived its incidents. Events of one fault are led in the order of their times."""
    displaced.lead(batch)
    arrivals, batch.arrivals = joining.at_heads(batch, batch.arrivals), []
    if not arrivals:
        return
    arrivals = [*arrivals, *(further for arrival in arrivals for further in _further_ends(arrival))]
    batch.read({each.key for arrival in arrivals for each in arrival.proposals})
    unsure = {arrival.event.fingerprint for arrival in arrivals if not _only_repeats(arrival, batch)}
    faults = _where_moved(batch, _faults(batch, unsure))
    for arrival in sorted(arrivals, key=_order):
        name = arrival.event.fingerprint
        if name not in unsure and _is_set_aside(arrival, batch):
            continue
        faults[name] = _led(batch, arrival, faults.get(name, Fault()))


def _further_ends(arrival: Arrival) -> Iterable[Arrival]:
    """Yield the ends of the same event under its other names (`Event.ends_also`): each ends only what is stored."""
    event = arrival.event
    for number, identity in enumerate(event.ends_also if event.status is Status.RESOLVED else ()):
        further = replace(event, id=f"{event.id}/{number}", identity=identity, ends_also=())
        yield Arrival(further, arrival.proposals, arrival.message, only_if_held=True)


def reached(batch: Batch) -> list[tuple[str, str]]:
    """Return the incident's key and the alert's fingerprint of everything that the events that arrived would reach.

    Nothing is claimed and nothing is folded: for who only wants to know.
    """
    batch.arrivals = joining.at_heads(batch, batch.arrivals)
    batch.read({each.key for arrival in batch.arrivals for each in arrival.proposals})
    faults = _where_moved(batch, _faults(batch, {arrival.event.fingerprint for arrival in batch.arrivals}))
    counted = [(each.key, each.given) for each in batch.routed]
    found = [(key, alert_fingerprint(given)) for key, given in counted if isinstance(given, EventInput)]
    for arrival in batch.arrivals:
        fault = faults.get(arrival.event.fingerprint, Fault())
        join_within = batch.rules.correlation.join_within
        where = led(arrival.event, arrival.proposals, fault, batch.stored, batch.now, join_within)
        found += [(each.key, each.alert) for each in where.holders]
        found += [(each.key, each.alert(arrival.event)) for each in where.new]
        if not where.holders and not where.new:
            found += [(each.key, each.alert(arrival.event)) for each in arrival.proposals]
    return found


def _where_moved(batch: Batch, faults: Mapping[str, Fault]) -> dict[str, Fault]:
    """Return the faults with the incidents where their alerts fire by now; both are read."""
    batch.read({each.key for fault in faults.values() for each in fault.holders.values()})
    moved = {
        name: {slot: replace(each, key=moved_to(batch, each.key, each.alert)) for slot, each in fault.holders.items()}
        for name, fault in faults.items()
    }
    batch.read({each.key for holders in moved.values() for each in holders.values()})
    return {name: replace(fault, holders=moved[name]) for name, fault in faults.items()}


def moved_to(batch: Batch, key: str, alert: str) -> str:
    """Return the key of the incident where an alert fires that was read in this one: another one if it moved there."""
    incident = batch.stored.get(key)
    known = incident.alerts.get(alert) if incident is not None else None
    return known.moved_to if known is not None and known.moved_to else key


def _order(arrival: Arrival) -> tuple[object, ...]:
    event = arrival.event
    return event.occurred_at, event.status is Status.RESOLVED, event.id


def _only_repeats(arrival: Arrival, batch: Batch) -> bool:
    """Return whether every incident that the rules choose knows the alert, and the event adds nothing but a count."""
    return bool(arrival.proposals) and all(_is_known(each, arrival.event, batch) for each in arrival.proposals)


def _is_known(proposal: Proposal, event: Event, batch: Batch) -> bool:
    incident = batch.stored.get(proposal.key)
    alert = incident.alerts.get(proposal.alert(event)) if incident is not None else None
    return alert is not None and only_counts(alert, EventInput(event, proposal.rule))


def _is_set_aside(arrival: Arrival, batch: Batch) -> bool:
    """Set an event aside whose every incident can wait for it. Return whether it was: in a storm most events are."""
    if batch.waiting is None:
        return False
    times = {}
    for each in arrival.proposals:
        until = waits_until(batch.stored[each.key], EventInput(arrival.event, each.rule), batch.now)
        if until is None:
            return False
        times[each.key] = until
    for key, until in times.items():
        batch.set_aside(arrival.event, until)
        batch.waits.setdefault(key, set()).add(arrival.message)
    return bool(times)


def _faults(batch: Batch, names: Collection[str]) -> dict[str, Fault]:
    """Return the stored faults by name, with what an earlier version left under the names of its alerts."""
    if not names:
        return {}
    if INDEXED not in batch.context.marks:
        return _scanned(batch, names)
    rules = batch.context.marks.get(INDEXED_RULES)
    older = [] if rules is None else rules.split("\n")
    asked = {name: [name, *(fingerprint(rule, name) for rule in older)] for name in names}
    stored = batch.store.faults({each for listed in asked.values() for each in listed})
    return {
        name: merged(found)
        for name, listed in asked.items()
        if (found := [stored[each] for each in listed if each in stored])
    }


def _scanned(batch: Batch, names: Collection[str]) -> dict[str, Fault]:
    """Return the faults of a stage whose incidents are not indexed yet: until the first tick of this version."""
    homes: dict[str, dict[str, Holder]] = {}
    rules = {""}
    for incident in batch.store.incidents():
        batch.stored.setdefault(incident.key, incident)
        for alert, holder in _holders_in(incident):
            known = homes.setdefault(alert, {})
            known[slot_of(holder, [*known.values()])] = holder
            rules.add(holder.rule)
    stored = batch.store.faults(names)
    found = {}
    for name in names:
        older = [Fault(homes[alert]) for rule in rules if (alert := fingerprint(rule, name)) in homes]
        found[name] = merged([stored.get(name, Fault()), *older])
    return found


def _holders_in(incident: Incident) -> Iterable[tuple[str, Holder]]:
    """Yield each active alert of an incident, by its fingerprint, as the holder that stands for it."""
    for alert in incident.alerts.values():
        if alert.active and incident.episode.started_at is not None:
            yield (
                alert.fingerprint,
                Holder(
                    incident.key,
                    alert.fingerprint,
                    alert.rule,
                    incident.route,
                    incident.group,
                    alert.severity.rank,
                    incident.episode.started_at,
                ),
            )


def _led(batch: Batch, arrival: Arrival, fault: Fault) -> Fault:
    """Add an event to the updates of its incidents; the fault with the holders that it began."""
    event = arrival.event
    join_within = batch.rules.correlation.join_within
    found = led(event, arrival.proposals, fault, batch.stored, batch.now, join_within, batch.ended)
    if arrival.only_if_held and not found.holders:
        return fault
    ends = [
        each
        for each in late_ends(event, fault, batch.now)
        if each.occurred_at >= (event.starts_at or event.occurred_at)
    ]
    for holder in found.holders:
        _follow(batch, holder, arrival)
        for end in ends if event.status is Status.FIRING else ():
            _follow(batch, holder, arrival, end)
    live = [*found.holders, *found.left]
    for proposal in found.new:
        fault = _begin(batch, proposal, arrival, fault, live)
        live.append(holder_of(proposal, event, batch.now))
    if event.status is Status.RESOLVED:
        return _ended(batch, arrival, fault, found.holders)
    return fault


def _ended(batch: Batch, arrival: Arrival, fault: Fault, reached: tuple[Holder, ...]) -> Fault:
    """Remember the end with its fault, and fold it where another worker began the fault meanwhile.

    A worker that begins the fault elsewhere, from an older event, either finds the end there or is found here.
    """
    event = arrival.event
    end = End(event.id, event.ends_at or event.occurred_at)
    after = fault if end in fault.ends else batch.store.end_fault(event.fingerprint, end)
    after = _where_moved(batch, {"": after})[""]
    begun = [
        each
        for slot, each in after.holders.items()
        if each not in reached and (fault.holders.get(slot) != each or batch.now < each.at + CLAIMED)
    ]
    batch.read({each.key for each in begun})
    for holder in begun:
        _follow(batch, holder, arrival)
    return after


def _follow(batch: Batch, holder: Holder, arrival: Arrival, end: Event | None = None) -> None:
    """Fold the event, or its end, into the incident that holds its fault, under the rule that began the alert."""
    incident = batch.stored.get(holder.key)
    route = route_by_id(batch.rules, incident) if incident is not None else route_of(batch.rules, holder.route)
    group = incident.group if incident is not None else holder.group
    named = (
        id for each in arrival.proposals if (each.rule.name if each.rule else "") == holder.rule for id in each.routes
    )
    given = EventInput(end or arrival.event, _rule(batch, holder), routes=tuple(named))
    batch.lead(holder.key, route, group, given, arrival)


def _rule(batch: Batch, holder: Holder) -> Rule | None:
    """Return the rule of the alert; a bare one where the rule is gone, or counts events by now."""
    if not holder.rule:
        return None
    known = batch.rules.by_name.get(holder.rule)
    return known if known is not None and known.condition is None else Rule(holder.rule)


def _begin(batch: Batch, proposal: Proposal, arrival: Arrival, fault: Fault, live: Sequence[Holder]) -> Fault:
    """Claim the home of a new alert and fold the event there; another worker's home where that one was first."""
    event = arrival.event
    if proposal.is_correlated:
        started_at = event.starts_at or event.occurred_at
        found = joining.home(batch, proposal.group, proposal.alert(event), started_at, proposal.severity(event))
        proposal = replace(proposal, home=found)
    mine = holder_of(proposal, event, batch.now)
    slot = slot_of(mine, live)
    before = fault.holders.get(slot)
    after = batch.store.claim(event.fingerprint, slot, mine, over=before)
    home = after.holders.get(slot, mine)
    if home not in (mine, before):
        batch.read({home.key})
        _follow(batch, home, arrival)
        return replace(fault, holders={**fault.holders, slot: home})
    for each in (event, *late_ends(event, after, batch.now)):
        given = EventInput(each, proposal.rule, routes=proposal.routes)
        batch.lead(mine.key, proposal.route, proposal.group, given, arrival)
    return replace(after, holders={**fault.holders, **after.holders, slot: mine})


def index(batch: Batch) -> dict[str, str]:
    """Make every open incident of an earlier version known by its id and its alerts. Return the marks that say so."""
    rules: set[str] = set()
    homes: dict[str, list[Holder]] = {}
    for incident in batch.store.incidents():
        if incident.id:
            batch.store.locate([incident.id, *incident.episode.aliases], incident.key)
        for name, holder in _holders_in(incident):
            known = homes.setdefault(name, [])
            batch.store.claim(name, slot_of(holder, known), holder, over=None)
            known.append(holder)
            if incident.alerts[name].origin is Origin.EVENT:
                rules.add(holder.rule)
    marks = {INDEXED: batch.now.isoformat()}
    return {**marks, INDEXED_RULES: "\n".join(sorted(rules))} if rules else marks


def indexed_alerts(before: Incident | None, incident: Incident) -> Mapping[str, Holder]:
    """Return the holders of measured, counted and awaited alerts that began to fire, by the alert's fingerprint."""
    old = {alert.fingerprint for alert in before.firing} if before is not None else frozenset()
    begun = {alert.fingerprint for alert in incident.firing if alert.origin is not Origin.EVENT} - old
    return {name: holder for name, holder in _holders_in(incident) if name in begun} if begun else {}
