"""What a person should know of a silence that was just made: that it mutes nothing now, and the likely reason."""

from collections.abc import Collection, Iterator
from typing import Any

from chalicelib.api.requests import MUTES_NOTHING
from chalicelib.api.views import firing_labels
from chalicelib.core.context import Silence
from chalicelib.core.language.tokens import nearest
from chalicelib.core.ports import Store
from chalicelib.core.rule import Route, Rules

COMMON = frozenset(("alertname", "environment", "kind", "service", "severity", "source"))


def warnings(silence: Silence, shown: dict[str, Any], store: Store, rules: Rules) -> list[str]:
    """Return what to warn of, given the silence as it is shown. One that begins later may mute nothing yet."""
    if shown["mutes"] or shown["state"] != "active":
        return []
    known = COMMON | firing_labels(store) | labels_of(rules)
    asked = {each.label for each in silence.matchers if not each.matches({})}
    return [
        f"it {MUTES_NOTHING}",
        *(_unknown(label, known) for label in sorted(asked - known)),
    ]


def _unknown(label: str, known: Collection[str]) -> str:
    near = nearest(label, known)
    return f"no firing alert and no rule has a label {label}" + (f"; did you mean {near}?" if near else "")


def labels_of(rules: Rules) -> frozenset[str]:
    """Return the labels that the rules file names."""
    routes = [rules.default, rules.fallback, *rules.routes, *(each.route for each in rules.rules if each.route)]
    found = {label for route in routes for label in _of_route(route)}
    for rule in rules.rules:
        found |= {*rule.labels, *(each.label for each in rule.matchers), *rule.options.group_by}
    for inhibition in rules.inhibitions:
        found |= {*inhibition.equal, *(each.label for each in (*inhibition.cause, *inhibition.symptom))}
    return frozenset(found)


def _of_route(route: Route) -> Iterator[str]:
    yield from (each.label for each in route.matchers)
    yield from route.options.group_by
    for each in route.routes:
        yield from _of_route(each)
