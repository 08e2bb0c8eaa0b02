"""Who hears of what: the routes of events, of the router's own events, of heartbeats, and of incidents that exist."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta

from chalicelib.core.alert import lives_on_word
from chalicelib.core.delivery import internal_alerts
from chalicelib.core.event import Event, Severity, with_words
from chalicelib.core.incident import Incident
from chalicelib.core.inputs import Beat
from chalicelib.core.match import matches_all
from chalicelib.core.rule import Route, Rule, Rules, Target


def alert_labels(event: Event, rule: Rule | None) -> dict[str, str]:
    """The labels of the alert that an event makes under a rule: what routes, inhibitions and `group_by` see."""
    labels = event.all_labels()
    if rule is None:
        return labels
    severity = (rule.severity or event.severity).value
    return {**labels, **rule.labels, "severity": severity, "alertname": rule.name}


def measured_labels(rule: Rule, labels: Mapping[str, str]) -> dict[str, str]:
    """Return the labels of the alert that a measured rule makes of a series: what its incident is grouped by."""
    words = {"severity": (rule.severity or Severity.WARNING).value, "alertname": rule.name}
    return with_words({**labels, **rule.labels}, words)


def routed_labels(rule: Rule, labels: Mapping[str, str]) -> dict[str, str]:
    """Return what routes and inhibitions see of a measured series: its labels, from the source `probe`."""
    return with_words(measured_labels(rule, labels), {"source": "probe", "kind": "measured"})


def router_routes(rules: Rules, event: Event, matched: bool) -> tuple[Route, ...]:
    """Who hears of the router's own troubles: the fallback, always of troubles with delivery; else the default.

    The fallback waits for nothing: what could not be delivered must be with somebody within a minute.
    """
    if matched and event.kind not in internal_alerts.KINDS:
        return ()
    if not rules.fallback.targets:
        return () if matched else (rules.default,)
    return (_prompt(rules.fallback),)


def heartbeat_route(rules: Rules, beat: Beat) -> tuple[Route, Mapping[str, str]]:
    """The route of a heartbeat and its labels: that of the first rule that matches it, else the tree's."""
    labels = {
        **beat.labels,
        "alertname": beat.name,
        "source": "heartbeat",
        "kind": "heartbeat",
        "severity": beat.severity.value,
    }
    for rule in rules.rules:
        if rule.condition is None and rule.route is not None and rule.matchers and matches_all(rule.matchers, labels):
            return rule.route, labels
    return rules.routes_for(None, labels)[0], labels


def route_of(rules: Rules, id: str) -> Route:
    """Return the route of that id under today's rules; where it is gone, the default, so that somebody is notified."""
    return next((route for route in _all_routes(rules) if route.id == id), rules.default)


def route_by_id(rules: Rules, incident: Incident) -> Route:
    """The incident's route under today's rules; where it is gone, one that tells nobody new, unless nobody knows yet."""
    for route in _all_routes(rules):
        if route.id == incident.route:
            return _prompt(route) if route.id == rules.fallback.id else route
    return Route(
        id=incident.route, rhythm=incident.rhythm, targets=() if incident.announced else _heirs(rules, incident)
    )


def _heirs(rules: Rules, incident: Incident) -> tuple[Target, ...]:
    """Who hears, under today's rules, of what no rule matches: what burns untold must not be lost with its route."""
    found: dict[str, Target] = {}
    for alert in incident.alerts.values():
        if alert.burning and lives_on_word(alert):
            for route in rules.routes_for(None, alert.match_labels()):
                found |= {target.key: target for target in route.targets}
    return tuple(found.values())


def _prompt(fallback: Route) -> Route:
    rhythm = replace(
        fallback.rhythm, group_by=("target", "probe"), group_wait=timedelta(0), group_interval=timedelta(minutes=1)
    )
    return replace(fallback, rhythm=rhythm)


def _all_routes(rules: Rules) -> list[Route]:
    found = [rule.route for rule in rules.rules if rule.route is not None]
    stack = [*rules.routes, rules.default, rules.fallback]
    while stack:
        route = stack.pop()
        found.append(route)
        stack.extend(route.routes)
    return found


def all_targets(rules: Rules) -> tuple[Target, ...]:
    """Every target that the rules name, once each."""
    found: dict[str, Target] = {}
    for route in _all_routes(rules):
        for target in (*route.targets, *(target for step in route.escalate for target in step.targets)):
            found.setdefault(target.key, target)
    return tuple(found.values())
