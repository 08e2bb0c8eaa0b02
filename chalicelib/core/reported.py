"""An alert after what is reported about it: events, measured values, beats, and alerts that moved here."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from chalicelib.core import heartbeat
from chalicelib.core.alert import Alert, AlertState
from chalicelib.core.evaluation import counted, evaluated
from chalicelib.core.event import Status
from chalicelib.core.first_seen import beat_alert, event_alert, measured_alert
from chalicelib.core.inputs import AlertInput, EventInput, HeartbeatInput, Measured, MovedAlert, Report
from chalicelib.core.lifecycle import Terms, no_longer_pending
from chalicelib.core.rule import Rule
from chalicelib.core.storms import copied
from chalicelib.core.transitions import absorbed

TermsOfRule = Callable[[Rule | None], Terms]


def applied(
    alert: Alert | None,
    fault: str,
    group: Sequence[AlertInput],
    terms: TermsOfRule,
    now: datetime,
) -> Alert:
    """Return the alert after all that the inputs of its fault say, in the order of time."""
    before, reports = alert, [each for each in group if not isinstance(each, MovedAlert)]
    if len(reports) < len(group):
        for moved in group:
            if isinstance(moved, MovedAlert):
                alert = copied(alert, moved.alert) if moved.copied else _moved(alert, moved.alert)
    if alert is not None and not reports:
        return alert
    return _with_routes(before, _reported(alert, fault, reports, terms, now), reports)


def _moved(alert: Alert | None, moved: Alert) -> Alert:
    """Return the alert that comes from another incident. One that is active here goes on, by its routes too."""
    if alert is None or alert.moved_to or not alert.active:
        return moved
    return replace(alert, routes=tuple(dict.fromkeys((*alert.routes, *moved.routes))))


def routes_by(alert: Alert | None, group: Sequence[AlertInput]) -> tuple[str, ...]:
    """Return the ids of the routes by which an alert came to its incident."""
    if alert is not None and alert.routes:
        return alert.routes
    found = (each.alert.routes if isinstance(each, MovedAlert) else _named(each) for each in group)
    return next(filter(None, found), ())


def _named(given: AlertInput) -> tuple[str, ...]:
    return given.routes if isinstance(given, EventInput) else ()


def _with_routes(before: Alert | None, alert: Alert, group: Sequence[AlertInput]) -> Alert:
    """Return the alert with the routes by which it came. One that got worse goes by those of its new severity too."""
    if not alert.routes and not _named(group[-1]):
        return alert
    if before is not None and before.routes and alert.severity.rank >= before.severity.rank:
        return alert
    found = tuple(dict.fromkeys((*alert.routes, *(id for each in group for id in _named(each)))))
    return replace(alert, routes=found) if found != alert.routes else alert


def _reported(alert: Alert | None, fault: str, group: Sequence[Report], terms: TermsOfRule, now: datetime) -> Alert:
    first = group[0]
    if isinstance(first, HeartbeatInput):
        return heartbeat.beaten(
            alert or beat_alert(first, fault), [each for each in group if isinstance(each, HeartbeatInput)]
        )
    if isinstance(first, Measured):
        measured = [each for each in group if isinstance(each, Measured)]
        return _measured(alert or measured_alert(first, fault), measured, terms(first.rule))
    events = [each.event for each in group if isinstance(each, EventInput)]
    alert = alert or event_alert(first, fault)
    own = terms(first.rule)
    if first.rule is not None and first.rule.condition is not None:
        fires = [event for event in events if event.status is not Status.RESOLVED]
        return counted(alert, fires, rule=first.rule, terms=own)
    return _severed(absorbed(alert, events, terms=own, now=now), first.rule)


def _measured(alert: Alert, group: Sequence[Measured], terms: Terms) -> Alert:
    """Return the alert of a series after it was judged, in the order of time, whatever the order in which samples came.

    What fires is not judged again in its past, since that is notified; only how long it is kept firing is counted anew.
    """
    by_time = {evaluation.at: evaluation for each in group for evaluation in each.evaluations}
    moments, before = sorted(by_time), alert
    if not moments:
        return alert
    if (
        alert.state is AlertState.PENDING
        and alert.timers.pending_at is not None
        and moments[0] < alert.timers.pending_at
    ):
        alert = no_longer_pending(alert)
    known = {AlertState.FIRING: alert.received.refreshed_at, AlertState.RESOLVED: alert.ends_at}.get(alert.state)
    if alert.state is AlertState.FIRING and alert.timers.cleared_at is not None:
        known = alert.starts_at
        alert = (
            alert
            if alert.timers.cleared_at < moments[0]
            else replace(alert, timers=replace(alert.timers, cleared_at=None))
        )
    for at in moments:
        if known is not None and at < known:
            continue
        found = by_time[at]
        alert = evaluated(alert, found.found, at, rule=group[0].rule, terms=terms, clear=found.clear)
        alert = replace(alert, received=replace(alert.received, refreshed_at=at, last_event_at=at))
    return _with_observed(before, alert, next((each.observed for each in reversed(group) if each.observed), {}))


def begins_anew_at(
    alert: Alert, group: Sequence[Measured], terms: TermsOfRule, now: datetime, join_within: timedelta
) -> datetime | None:
    """Return from when on what was measured of an active alert is of another incident; None where all is of this one.

    What begins later than `join_within` after the end has not flapped.
    """
    by_time = {
        evaluation.at: replace(each, evaluations=(evaluation,)) for each in group for evaluation in each.evaluations
    }
    moments = sorted(by_time)
    if not moments or moments[-1] <= moments[0] + join_within:
        return None
    for at in moments:
        if alert.state is AlertState.RESOLVED and alert.ends_at is not None and at > alert.ends_at + join_within:
            return at
        alert = applied(alert, alert.fingerprint, [by_time[at]], terms, now)
    return None


def _with_observed(before: Alert, alert: Alert, observed: Mapping[str, str]) -> Alert:
    """Return the alert with what was seen of it. A new beginning forgets what was seen of the one before."""
    if not alert.active:
        return alert
    found = {**(before.observed if before.active else {}), **observed}
    return replace(alert, observed=found) if found != alert.observed else alert


def _severed(alert: Alert, rule: Rule | None) -> Alert:
    """Return the alert with its rule's severity, where the rule names one: its events cannot change that."""
    if rule is None or rule.severity is None or (alert.severity is rule.severity and alert.ack.worse_at is None):
        return alert
    labels = {**alert.labels, "severity": rule.severity.value} if "severity" in alert.labels else alert.labels
    changes = replace(alert.changes, eased_at=None)
    return replace(alert, severity=rule.severity, labels=labels, ack=replace(alert.ack, worse_at=None), changes=changes)
