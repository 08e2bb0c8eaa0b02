"""What a rule means, in one English sentence, and who is notified of it: `tocsin check` and the page say the same."""

from collections.abc import Sequence

from chalicelib.core.event import Severity
from chalicelib.core.language.condition import describe
from chalicelib.core.language.units import duration_words
from chalicelib.core.match import Matcher
from chalicelib.core.rule import Route, Rule, Rules, Target
from chalicelib.targets import kinds


def sentence(rule: Rule) -> str:
    """What a rule means, in one English sentence."""
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
    """None: its event's. What is measured has no event, and is a warning."""
    if rule.severity is None and rule.condition is not None and not rule.condition.counts_events:
        return Severity.WARNING
    return rule.severity


def _clauses(matchers: Sequence[Matcher]) -> str:
    return " and ".join(str(matcher) for matcher in matchers)


def notified_of(rule: Rule, rules: Rules) -> str:
    """Return who is notified of a rule's alerts, for after "notifies"."""
    if rule.route is not None:
        return route_targets(rule.route)
    said = _severity(rule)
    if said is not None:
        return f"by the routes, {_by_severity(rule, rules, said)}"
    worst = [f"{each.value}: {_by_severity(rule, rules, each)}" for each in Severity if each is not Severity.INFO]
    return f"by the routes, {'; '.join(worst)}"


def _by_severity(rule: Rule, rules: Rules, severity: Severity) -> str:
    labels = {**_pinned(rule), "severity": severity.value}
    return "; ".join(route_targets(route) for route in rules.routes_for(rule, labels))


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
    """A target for people; of an address that may hold a secret only its host."""
    return kinds()[target.kind].shown(target.address)
