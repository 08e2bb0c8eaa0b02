"""Who is notified of what: the routes of events, of the router's own events, of heartbeats, and of incidents that exist."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta

from chalicelib.core.alert import Alert, Origin
from chalicelib.core.delivery import internal_alerts
from chalicelib.core.event import Event, Severity, with_words
from chalicelib.core.incident import Incident
from chalicelib.core.inputs import HeartbeatInput
from chalicelib.core.match import matches_all
from chalicelib.core.rule import Route, RouteAlerts, Rule, Rules, Target
from chalicelib.core.storm_key import is_of

STORM_ROUTE = "storm"
NO_TIMEOUT = timedelta(days=3650)
MAX_STORM_ALERTS = 2_000
"""A storm that is full (storms.py) still has room for what comes to the incidents in it."""


def alert_labels(event: Event, rule: Rule | None) -> dict[str, str]:
    """Return the labels of the alert that an event makes under a rule: what routes, inhibitions and `group_by` see."""
    return labels_under(event.all_labels(), rule)


def labels_under(labels: Mapping[str, str], rule: Rule | None) -> dict[str, str]:
    """Return the labels of the alert that an event with these labels makes under a rule."""
    if rule is None:
        return dict(labels)
    severity = rule.severity.value if rule.severity else labels["severity"]
    return {**labels, **rule.labels, "severity": severity, "alertname": rule.name}


def measured_labels(rule: Rule, labels: Mapping[str, str]) -> dict[str, str]:
    """Return the labels of the alert that a measured rule makes of a series: what its incident is grouped by."""
    words = {"severity": (rule.severity or Severity.WARNING).value, "alertname": rule.name}
    return with_words({**labels, **rule.labels}, words)


def routed_labels(rule: Rule, labels: Mapping[str, str]) -> dict[str, str]:
    """Return what routes and inhibitions see of a measured series: its labels, from the source `probe`."""
    return with_words(measured_labels(rule, labels), {"source": "probe", "kind": "measured"})


def router_routes(rules: Rules, kind: str, matched: bool) -> tuple[Route, ...]:
    """Return who is notified of the router's own troubles of a kind: the fallback, always of those of delivery; else the default.

    The fallback waits for nothing: what could not be delivered must be with somebody within a minute.
    """
    if matched and kind not in internal_alerts.KINDS:
        return ()
    if not rules.fallback.targets:
        return () if matched else (rules.default,)
    return (_prompt(rules.fallback),)


def heartbeat_route(rules: Rules, beat: HeartbeatInput) -> tuple[Route, Mapping[str, str]]:
    """Return the route of a heartbeat and its labels: that of the first rule that matches it, else the tree's."""
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
    return rules.routes_by_id.get(id, rules.default)


def route_by_id(rules: Rules, incident: Incident) -> Route:
    """Return the incident's route under today's rules.

    Where it is gone, one that notifies nobody new: the targets that know of the incident go on under today's route of
    its worst alert, with its rhythm and escalation. An incident that nobody knows of goes to whoever that route names.
    """
    if incident.is_storm:
        return storm_route(rules, incident.key)
    route = rules.routes_by_id.get(incident.route)
    if route is not None:
        return _prompt(route) if route.id == rules.fallback.id else route
    named = _at_position(rules, incident.route)
    if named is not None and (not incident.announced or _known(named, incident)):
        return replace(named, id=incident.route)
    if not incident.announced:
        return Route(id=incident.route, options=incident.options, targets=_heirs(rules, incident))
    return _goes_on(rules, incident)


def routes_of(incident: Incident, rules: Rules, own: Route | None = None) -> tuple[RouteAlerts, ...]:
    """Return the routes of an incident under today's rules, that of the worst alert first. `own` is its own, if known.

    The alerts of a correlated incident came by several. An alert whose route is gone goes by those of its labels.
    """
    if incident.is_storm or not incident.is_correlated:
        return (RouteAlerts(own or route_by_id(rules, incident)),)
    found: dict[str, tuple[Route, set[str]]] = {}
    for alert in sorted(incident.alerts.values(), key=lambda each: each.severity.rank):
        for route in _routes_of_alert(alert, rules):
            found.setdefault(route.id, (route, set()))[1].add(alert.fingerprint)
    known = [RouteAlerts(route, frozenset(names)) for route, names in found.values()]
    return tuple(known) or (RouteAlerts(route_of(rules, incident.route), frozenset()),)


def storm_route(rules: Rules, key: str) -> Route:
    """Return the route of the storm of that key: its target alone, where the rules still name that.

    The rhythm is that of the defaults, but the first message waits for nothing, and no silence of a sender ends a copy.
    """
    options = replace(rules.options, group_wait=timedelta(0), resolve_timeout=NO_TIMEOUT, max_alerts=MAX_STORM_ALERTS)
    return Route(
        id=STORM_ROUTE, options=options, targets=tuple(each for each in all_targets(rules) if is_of(key, each))
    )


def route_of_alert(incident: Incident, alert: Alert, rules: Rules) -> Route:
    """Return the route of an incident by which one of its alerts came; the first of several."""
    routes = routes_of(incident, rules)
    return next((each.route for each in routes if each.has(alert.fingerprint)), routes[0].route)


def whole_route(incident: Incident, rules: Rules) -> Route:
    """Return all that an incident is notified by as one route: each target once, and every step of the escalations.

    A window is one of it only where the incident has no other route. Timers go by each route on its own.
    """
    first, *others = (each.route for each in routes_of(incident, rules))
    if not others:
        return first
    targets = {target.key: target for route in (first, *others) for target in route.targets}
    steps = sorted({step for route in (first, *others) for step in route.escalate}, key=lambda each: each.after)
    return replace(first, targets=tuple(targets.values()), escalate=tuple(steps), mute=(), active=())


def _routes_of_alert(alert: Alert, rules: Rules) -> Sequence[Route]:
    known = [rules.routes_by_id[id] for id in alert.routes if id in rules.routes_by_id]
    return known or rules.routes_for(rules.by_name.get(alert.rule), alert.match_labels())


def _at_position(rules: Rules, id: str) -> Route | None:
    """Return the route at a place (`route/0/1`): how the first version named the routes of the incidents it left open."""
    places = id.split("/")[1:]
    if not id.startswith("route/") or not all(place.isdecimal() for place in places):
        return None
    route, below = None, rules.routes
    for place in map(int, places):
        if place >= len(below):
            return None
        route, below = below[place], below[place].routes
    return route


def _goes_on(rules: Rules, incident: Incident) -> Route:
    gone = Route(id=incident.route, options=incident.options)
    alert = min(incident.firing, key=lambda each: each.severity.rank, default=None)
    if alert is None:
        return gone
    for route in rules.routes_for(rules.by_name.get(alert.rule), alert.match_labels()):
        if known := _known(route, incident):
            return replace(route, id=incident.route, targets=known)
    return gone


def _known(route: Route, incident: Incident) -> tuple[Target, ...]:
    return tuple(target for target in route.targets if target.key in incident.announced)


def _heirs(rules: Rules, incident: Incident) -> tuple[Target, ...]:
    """Return who is notified, under today's rules, of what no rule matches: what fires unseen is not lost with its route."""
    found: dict[str, Target] = {}
    for alert in incident.alerts.values():
        if alert.active and alert.origin is Origin.EVENT:
            for route in rules.routes_for(None, alert.match_labels()):
                found |= {target.key: target for target in route.targets}
    return tuple(found.values())


def _prompt(fallback: Route) -> Route:
    options = replace(
        fallback.options, group_by=("target", "probe"), group_wait=timedelta(0), group_interval=timedelta(minutes=1)
    )
    return replace(fallback, options=options)


def all_targets(rules: Rules) -> tuple[Target, ...]:
    """Return every target that the rules name, once each."""
    found: dict[str, Target] = {}
    for route in rules.all_routes:
        for target in route.all_targets:
            found.setdefault(target.key, target)
    return tuple(found.values())
