"""The terms of each alert of an incident: those of its rule, with the options of the route by which it came."""

from collections.abc import Sequence
from dataclasses import replace

from chalicelib.core.alert import Alert
from chalicelib.core.incident import Incident
from chalicelib.core.lifecycle import Terms, terms_of
from chalicelib.core.rule import RouteOptions, Rule, Rules


class TermsOf:
    """The terms of each alert of an incident: those of its rule, with the options of the route by which it came."""

    def __init__(self, incident: Incident, rules: Rules) -> None:
        self._incident = incident
        self._rules = rules
        self._known: dict[tuple[str, tuple[str, ...]], Terms] = {}

    def __call__(self, alert: Alert) -> Terms:
        key = (alert.rule, alert.routes)
        if key not in self._known:
            options = options_by(alert.routes, self._incident, self._rules)
            self._known[key] = terms_in(self._incident, options, self._rules.by_name.get(alert.rule))
        return self._known[key]


def terms_in(incident: Incident, options: RouteOptions, rule: Rule | None) -> Terms:
    """Return the terms of a rule. The end of a correlated incident waits for what flaps: its alerts do not, unless asked."""
    terms = terms_of(rule, options)
    if not incident.is_correlated or (rule is not None and rule.flap_changes):
        return terms
    return replace(terms, flap_changes=-1)


def options_by(routes: Sequence[str], incident: Incident, rules: Rules) -> RouteOptions:
    """Return the options of the first of these routes; those of the incident where it is gone, or none is named."""
    known = next((rules.routes_by_id[id] for id in routes if id in rules.routes_by_id), None)
    return known.options if known is not None else incident.options
