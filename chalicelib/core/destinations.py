"""Where the rules lead an event that no open incident holds, by its labels.

In a storm most events have the labels of one before, and rules decide by labels only: what they decided is remembered
with them (`Rules.remembered`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from chalicelib.core.correlation import by_values
from chalicelib.core.event import ROUTER, Event, Status
from chalicelib.core.identity import Proposal
from chalicelib.core.incident import group_labels
from chalicelib.core.routing import labels_under, router_routes
from chalicelib.core.rule import Route, Rule, Rules

MAX_REMEMBERED = 1_024


@dataclass(frozen=True, slots=True)
class Destinations:
    """The rules that count an event, and the incidents to which the others, or else the route tree, would lead it."""

    counting: tuple[Rule, ...] = ()
    proposals: tuple[Proposal, ...] = ()


def destinations(rules: Rules, event: Event) -> Destinations:
    """Return where the rules lead the event: of its labels the ones that it shares with an earlier event are not asked again."""
    labels, is_fault = event.all_labels(), event.status is not Status.INFO
    key = (is_fault, *labels, *labels.values())
    known: Destinations | None = rules.remembered.get(key)
    if known is None:
        if len(rules.remembered) >= MAX_REMEMBERED:
            rules.remembered.clear()
        known = rules.remembered[key] = _decided(rules, labels, is_fault)
    return known


def _decided(rules: Rules, labels: Mapping[str, str], is_fault: bool) -> Destinations:
    matching = _matching(rules, labels)
    proposals = [*_by_rules(rules, labels, matching), *_unmatched(rules, labels, bool(matching))] if is_fault else []
    counting = tuple(rule for rule in matching if rule.condition is not None)
    return Destinations(counting, tuple(_once_for_each_rule(proposals)))


def _once_for_each_rule(proposals: Sequence[Proposal]) -> list[Proposal]:
    """Return the proposals, those of one rule to one correlated incident as one: it is one alert that comes by all routes."""
    found: dict[tuple[object, ...], Proposal] = {}
    for number, each in enumerate(proposals):
        name = each.rule.name if each.rule else ""
        same = (name,) if each.is_correlated else (name, number)
        known = found.get(same)
        found[same] = replace(known, routes=(*known.routes, *each.routes)) if known is not None else each
    return list(found.values())


def _proposal(rules: Rules, rule: Rule | None, route: Route, labels: Mapping[str, str]) -> Proposal:
    """Return where an alert of the rule would be. One with a `for:` waits in the group of its route until it fires."""
    values = {} if rule is not None and rule.hold else by_values(rules, rule, (route,), labels)
    return Proposal(rule, route, values or group_labels(route, labels), (route.id,) if values else ())


def _matching(rules: Rules, labels: Mapping[str, str]) -> Sequence[Rule]:
    """Return the rules that take events and match this one. The router's own events only reach rules that ask for them."""
    found = rules.of_events.matching(labels)
    if labels["source"] == ROUTER:
        return [rule for rule in found if any(matcher.label == "source" for matcher in rule.matchers)]
    return found


def _by_rules(rules: Rules, labels: Mapping[str, str], matching: Sequence[Rule]) -> list[Proposal]:
    """Return where the rules that do not count would lead an event."""
    found: list[Proposal] = []
    for rule in matching:
        if rule.condition is None:
            own = labels_under(labels, rule)
            found += [_proposal(rules, rule, route, own) for route in rules.routes_for(rule, own)]
    return found


def _unmatched(rules: Rules, labels: Mapping[str, str], matched: bool) -> list[Proposal]:
    """Return where the route tree would lead an event that no rule matches."""
    of_router = labels["source"] == ROUTER
    if matched and not of_router:
        return []
    routes = router_routes(rules, labels["kind"], matched) if of_router else rules.routes_for(None, labels)
    return [_proposal(rules, None, route, labels) for route in routes]
