"""The life of an alert: pending, firing, resolved.

All that drives an alert comes down to one question asked at a time: is it active? `settled` answers what that makes of
the alert: `hold` before it fires, `keep` before it ends, and flapping, which holds it open until it calms.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from chalicelib.core.alert import Alert, AlertState, Origin, StateChanges, Timers
from chalicelib.core.rule import RouteOptions, Rule

MAX_CHANGES = 64
FLAP_CHANGES = 6
"""More changes than this within `flap_window` (30 minutes) is flapping, where a rule does not say otherwise."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What a rule and its route say about the life of an alert."""

    hold: timedelta = timedelta(0)
    keep: timedelta = timedelta(0)
    resolve_timeout: timedelta = timedelta(hours=24)
    flap_changes: int = FLAP_CHANGES
    flap_window: timedelta = timedelta(minutes=30)


def terms_of(rule: Rule | None, options: RouteOptions) -> Terms:
    """Return the terms of an alert of this rule (None: of an event that no rule matched)."""
    if rule is None:
        return Terms(resolve_timeout=options.resolve_timeout)
    return Terms(
        hold=rule.hold,
        keep=rule.keep_firing_for,
        resolve_timeout=options.resolve_timeout,
        flap_changes=rule.flap_changes or FLAP_CHANGES,
        flap_window=rule.flap_window,
    )


def settled(alert: Alert, at: datetime, *, active: bool, terms: Terms) -> Alert:
    """Return the alert at `at`, given whether it is active then."""
    if active:
        return _activated(alert, at, terms)
    if alert.state is AlertState.PENDING:
        return no_longer_pending(alert)
    if alert.state is AlertState.FIRING:
        return _cleared(alert, at, terms)
    return alert


def _activated(alert: Alert, at: datetime, terms: Terms) -> Alert:
    if alert.state is AlertState.FIRING:
        return replace(alert, timers=replace(alert.timers, cleared_at=None)) if alert.timers.cleared_at else alert
    since = alert.timers.pending_at if alert.state is AlertState.PENDING and alert.timers.pending_at else at
    if at < since + terms.hold:
        return replace(alert, state=AlertState.PENDING, timers=replace(alert.timers, pending_at=since))
    starts_at = since + terms.hold
    return replace(
        alert,
        state=AlertState.FIRING,
        starts_at=starts_at,
        ends_at=None,
        timers=Timers(expires_at=alert.timers.expires_at),
        changes=StateChanges(_with_change(alert.changes.times, starts_at), is_flapping(alert, starts_at, terms)),
    )


def no_longer_pending(alert: Alert) -> Alert:
    """Return the pending alert as it was before: one that had ended is remembered as ended."""
    state = AlertState.RESOLVED if alert.ends_at else AlertState.INACTIVE
    return replace(alert, state=state, timers=replace(alert.timers, pending_at=None))


def _cleared(alert: Alert, at: datetime, terms: Terms) -> Alert:
    cleared_at = alert.timers.cleared_at or at
    alert = replace(alert, timers=replace(alert.timers, cleared_at=cleared_at))
    if at < cleared_at + terms.keep:
        return alert
    ends_at = cleared_at + terms.keep
    if alert.changes.flapping or is_flapping(alert, ends_at, terms):
        if at < cleared_at + max(terms.keep, terms.flap_window):
            return replace(alert, changes=replace(alert.changes, flapping=True))
        ends_at = cleared_at + max(terms.keep, terms.flap_window)
    return ended(alert, ends_at)


def ended(alert: Alert, at: datetime, *, by: str = "") -> Alert:
    """Return the alert, resolved at `at`; `by` says who or what ended it, where it was not its sender."""
    return replace(
        alert,
        state=AlertState.RESOLVED,
        ends_at=at,
        timers=Timers(),
        evaluation=replace(alert.evaluation, no_data=False) if alert.evaluation.no_data else alert.evaluation,
        changes=StateChanges(
            () if alert.changes.flapping else _with_change(alert.changes.times, at),
            ended_by=by,
            eased_at=alert.changes.eased_at,
        ),
    )


def last_end(alert: Alert) -> datetime | None:
    """Return when the alert ended last, also where it is pending again by now; None while it fires."""
    if alert.ends_at is not None or alert.state in (AlertState.FIRING, AlertState.RESOLVED) or alert.starts_at is None:
        return alert.ends_at
    return max((at for at in alert.changes.times if at > alert.starts_at), default=None)


def _with_change(changes: tuple[datetime, ...], at: datetime) -> tuple[datetime, ...]:
    return (*changes, at)[-MAX_CHANGES:]


def is_flapping(alert: Alert, at: datetime, terms: Terms) -> bool:
    """Return whether the alert changed more often than its terms allow, counting the change that is about to happen."""
    if terms.flap_changes < 0:
        return False
    recent = sum(1 for change in alert.changes.times if at - terms.flap_window < change <= at)
    return recent + 1 > terms.flap_changes


def next_change(alert: Alert, terms: Terms, now: datetime, *, notified: bool = True) -> datetime | None:
    """Return when the alert changes if nothing more is received; None when it stays as it is.

    `notified` says that some target was notified of it: only such an alert times out. A time of a measured alert that
    has passed was consumed by the answer at `now`, unknown included. A passed time of another alert is due at once.
    """
    times = _change_times(alert, terms, notified=notified)
    if alert.origin is Origin.SERIES:
        times = [at for at in times if at > now]
    if alert.evaluation.recheck_at:
        times.append(alert.evaluation.recheck_at)
    return min(times, default=None)


def _change_times(alert: Alert, terms: Terms, *, notified: bool) -> list[datetime]:
    times: list[datetime] = []
    if alert.state is AlertState.PENDING and alert.timers.pending_at:
        times.append(alert.timers.pending_at + terms.hold)
    if alert.state is AlertState.FIRING and alert.timers.cleared_at:
        held = max(terms.keep, terms.flap_window) if alert.changes.flapping else terms.keep
        times.append(alert.timers.cleared_at + held)
    if alert.active and alert.timers.expires_at:
        times.append(alert.timers.expires_at)
    elif (notified and alert.state is AlertState.FIRING) or (
        alert.origin is Origin.SERIES and alert.state is AlertState.PENDING
    ):
        times += [at for at in [times_out_at(alert, terms)] if at is not None]
    return times


def refreshed(alert: Alert, at: datetime) -> Alert:
    """Return the alert with its last news at that time."""
    return replace(alert, received=replace(alert.received, refreshed_at=at))


def times_out_at(alert: Alert, terms: Terms) -> datetime | None:
    """Return when the silence of its sender, or of its series, ends the alert; None for one that it never ends."""
    if alert.received.refreshed_at is None or alert.origin not in (Origin.EVENT, Origin.SERIES):
        return None
    return alert.received.refreshed_at + terms.resolve_timeout


def is_timed_out(alert: Alert, terms: Terms, now: datetime) -> bool:
    """Return whether the silence of its sender, or of its series, has lasted long enough to end the alert."""
    at = times_out_at(alert, terms)
    return at is not None and now >= at
