"""Ends that nobody reports: an alert that no target is shown times out, one that was notified late has its time."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from chalicelib.core.acknowledgement import end_notified
from chalicelib.core.advance import timed_out
from chalicelib.core.alert import Alert, Origin
from chalicelib.core.event import Severity
from chalicelib.core.incident import Incident, notified_of
from chalicelib.core.lifecycle import Terms, is_timed_out, refreshed
from chalicelib.core.rule import RouteAlerts, Rules


def never_shown(incident: Incident, routes: Sequence[RouteAlerts], rules: Rules) -> list[Alert]:
    """Return the firing alerts that no target of their routes will ever be shown. Their sender's silence ends them too."""
    shown = [each for each in routes if any(not rules.can(target.kind).pages for target in each.route.all_targets)]
    if any(each.alerts is None for each in shown):
        return []
    known = notified_of(incident)
    return [
        alert
        for alert in incident.firing
        if alert.origin is Origin.EVENT
        and alert.fingerprint not in known
        and not any(each.has(alert.fingerprint) for each in shown)
        and (alert.severity is Severity.INFO or not _has_targets(alert, routes))
    ]


def _has_targets(alert: Alert, routes: Sequence[RouteAlerts]) -> bool:
    return any(each.route.all_targets for each in routes if each.has(alert.fingerprint))


def never_shown_timed_out(incident: Incident, routes: Sequence[RouteAlerts], rules: Rules, now: datetime) -> Incident:
    """Return the incident whose never shown alerts have ended where their senders were silent for `resolve_timeout`."""
    silent = {
        alert.fingerprint: timed_out(alert, terms)
        for alert in never_shown(incident, routes, rules)
        if is_timed_out(alert, terms := timeout_of(alert, routes), now)
    }
    return replace(incident, alerts={**incident.alerts, **silent}) if silent else incident


def timeout_of(alert: Alert, routes: Sequence[RouteAlerts]) -> Terms:
    """Return the terms of an alert that nobody reports any more: those of the first of its routes."""
    route = next((each.route for each in routes if each.has(alert.fingerprint)), routes[0].route)
    return Terms(resolve_timeout=route.options.resolve_timeout)


def kept_when_notified(before: Incident, incident: Incident, routes: Sequence[RouteAlerts], now: datetime) -> Incident:
    """Return the incident whose alerts that were notified late have their whole `resolve_timeout` from now on."""
    late = [
        incident.alerts[name]
        for name in notified_of(incident) - notified_of(before)
        if name in incident.alerts
        and is_timed_out(incident.alerts[name], timeout_of(incident.alerts[name], routes), now)
    ]
    if not late:
        return incident
    return replace(incident, alerts={**incident.alerts, **{a.fingerprint: refreshed(a, now) for a in late}})


def ends_notified(before: Incident, incident: Incident, *, flushes: bool) -> Incident:
    """Return the incident whose acknowledgements end with their alerts: after a flush nobody waits for an end.

    Between two flushes one target may be notified of it, when it is reminded or escalated to.
    """
    known = [
        (each.alerts.firing.keys(), incident.announced[key].alerts.firing.keys())
        for key, each in before.announced.items()
    ]
    gone = set(incident.alerts) if flushes else {name for old, new in known for name in old - new}
    settled = {name: end_notified(incident.alerts[name]) for name in gone & incident.alerts.keys()}
    return replace(incident, alerts={**incident.alerts, **settled}) if settled else incident
