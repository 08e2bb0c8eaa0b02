"""What a rule means, in one English sentence, and who is notified of it: `tocsin check` and the page say the same."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from chalicelib.core.event import Severity
from chalicelib.core.language.condition import describe
from chalicelib.core.language.units import duration_words
from chalicelib.core.match import Matcher
from chalicelib.core.rule import Route, Rule, Rules, Target
from chalicelib.targets import kinds


def sentence(rule: Rule) -> str:
    """Return what a rule means, in one English sentence."""
    said = _severity(rule)
    severity = said.value if said else "with the severity of its event"
    if rule.condition is None:
        source = f"with {_clauses(rule.matchers)}" if rule.matchers else "of any kind"
        found = f"{severity}, for each fault {source}, from its first firing event until it is resolved"
    else:
        among = f", among what has {_clauses(rule.matchers)}," if rule.matchers else ""
        found = f"{severity} when{among} {describe(rule.condition)}"
    if rule.hold:
        found += f", for {duration_words(rule.hold)}"
    if rule.clear is not None:
        found += f", until {describe(rule.clear)}"
    if rule.keep_firing_for:
        found += f", and {duration_words(rule.keep_firing_for)} longer"
    if rule.condition is not None and rule.no_data != "keep":
        found += ", no data counting as " + {"ok": "fine", "alert": "an alert"}[rule.no_data]
    return found[0].upper() + found[1:] + "."


def _severity(rule: Rule) -> Severity | None:
    """Return the severity; None where it is the event's. What is measured has no event, and is a warning."""
    if rule.severity is None and rule.condition is not None and not rule.condition.counts_events:
        return Severity.WARNING
    return rule.severity


def _clauses(matchers: Sequence[Matcher]) -> str:
    return " and ".join(str(matcher) for matcher in matchers)


@dataclass(frozen=True, slots=True)
class PossibleRoute:
    """A route that an alert may take, and the clauses that are not known to hold: its other labels decide."""

    route: Route
    when: tuple[Matcher, ...] = ()


def possible_routes(rules: Rules, known: Mapping[str, str]) -> list[PossibleRoute]:
    """Return the routes that alerts with these labels, and any others, may take: in the order of the walk, the default last."""
    found, ends = _possible(rules.routes, known, ())
    return found if ends else [*found, PossibleRoute(rules.default)]


def _possible(
    routes: Sequence[Route], known: Mapping[str, str], above: tuple[Matcher, ...]
) -> tuple[list[PossibleRoute], bool]:
    """Return the routes of one level that may be taken, and whether one of them is taken whatever the other labels are."""
    found: list[PossibleRoute] = []
    for route in routes:
        if any(each.label in known and not each.matches(known) for each in route.matchers):
            continue
        when = tuple(each for each in route.matchers if each.label not in known)
        pinned = {each.label: each.value for each in when if each.operator == "="}
        below, is_below = _possible(route.routes, {**known, **pinned}, (*above, *when))
        found += below if is_below else [*below, PossibleRoute(route, (*above, *when))]
        if not when and not route.continues:
            return found, True
    return found, False


def notified_of(rule: Rule, rules: Rules) -> str:
    """Return who is notified of a rule's alerts, for after "notifies"."""
    if rule.route is not None:
        return route_targets(rule.route)
    severity = _severity(rule)
    known = _pinned(rule) if severity is None else {**_pinned(rule), "severity": severity.value}
    return f"by the routes, {'; '.join(_possible_words(possible_routes(rules, known)))}"


def _possible_words(routes: Sequence[PossibleRoute]) -> list[str]:
    """Return each route with its clauses: `with severity=critical #incidents`, `otherwise #alerts`."""
    found: list[str] = []
    certain = False
    for each in routes:
        without = "also " if certain else "otherwise " if found else ""
        when = f"with {_clauses(each.when)} " if each.when else without
        certain = certain or not each.when
        found.append(f"{when}{route_targets(each.route)}")
    return found


def _pinned(rule: Rule) -> dict[str, str]:
    found = {each.label: each.value for each in rule.matchers if each.operator == "="}
    return {**found, **rule.labels, "alertname": rule.name}


def route_targets(route: Route) -> str:
    """Return the targets of a route, those of its escalation, and its windows."""
    found = _targets(route.targets) or route.target_names
    for step in route.escalate:
        found += f", after {duration_words(step.after)} {_targets(step.targets)}"
    if route.mute:
        found += f", not in {' and '.join(route.mute)}"
    if route.active:
        found += f", only in {' and '.join(route.active)}"
    return found


def _targets(targets: Sequence[Target]) -> str:
    return " and ".join(target_words(target) for target in targets)


def target_words(target: Target) -> str:
    """Return a target for people; of an address that may hold a secret only its host."""
    return kinds()[target.kind].shown(target.address)
