"""An alert after time alone: its timers, the silence of its sender, and the loss of its rule."""

from dataclasses import replace
from datetime import datetime

from chalicelib.core import heartbeat
from chalicelib.core.alert import Alert, AlertState, Origin
from chalicelib.core.evaluation import evaluated, never_rechecked, recounted
from chalicelib.core.inputs import TimedEvaluation
from chalicelib.core.lifecycle import Terms, ended, is_timed_out, no_longer_pending, settled, times_out_at
from chalicelib.core.rule import Rule


def advanced(
    alert: Alert, rule: Rule | None, terms: Terms, evaluation: TimedEvaluation | None, now: datetime, *, notified: bool
) -> Alert:
    """Return the alert after whatever is due at `now` without any news.

    `notified` says that some target was notified of it. A time-out ends only such an alert: one that was muted the
    whole time is kept, and announced when that ends.
    """
    if alert.origin is Origin.HEARTBEAT:
        return heartbeat.advanced(alert, now)
    if alert.active and alert.timers.expires_at is not None and alert.timers.expires_at <= now:
        return ended(alert, alert.timers.expires_at)
    if alert.has_condition and (why := why_gone(alert, rule)):
        return orphaned(alert, now, why)
    if alert.origin is Origin.SERIES:
        return _measured_at(alert, rule, terms, evaluation, now, notified=notified)
    if notified and alert.state is AlertState.FIRING and is_timed_out(alert, terms, now):
        return timed_out(alert, terms)
    if alert.origin is Origin.COUNT:
        return recounted(alert, now, rule=rule, terms=terms) if rule is not None else alert
    if alert.state is AlertState.PENDING:
        return settled(alert, now, active=True, terms=terms)
    if alert.timers.cleared_at is not None:
        return settled(alert, now, active=False, terms=terms)
    return alert


def _measured_at(
    alert: Alert, rule: Rule | None, terms: Terms, evaluation: TimedEvaluation | None, now: datetime, *, notified: bool
) -> Alert:
    """Return the measured alert at `now`: ended once its series is silent for `resolve_timeout`."""
    if rule is None or evaluation is None:
        return alert
    after = evaluated(alert, evaluation.found, now, rule=rule, terms=terms, clear=evaluation.clear)
    is_silent = evaluation.found.truth is None and rule.no_data == "keep" and is_timed_out(after, terms, now)
    if is_silent and after.state is AlertState.PENDING:
        return no_longer_pending(after)
    return timed_out(after, terms) if is_silent and notified and after.state is AlertState.FIRING else after


def why_gone(alert: Alert, rule: Rule | None) -> str:
    """Return why the alert of a measured series or a count has no condition any more; else an empty text."""
    if rule is None:
        return "rule gone"
    asks_the_same = rule.condition is not None and rule.condition.counts_events is (alert.origin is Origin.COUNT)
    return "" if asks_the_same else "rule changed"


def timed_out(alert: Alert, terms: Terms) -> Alert:
    """Return the firing alert as ended by the silence of its sender or of its series."""
    at = times_out_at(alert, terms)
    assert at is not None
    return ended(alert, at, by="no data" if alert.origin is Origin.SERIES else "resolve_timeout")


def orphaned(alert: Alert, now: datetime, why: str) -> Alert:
    """Return the alert without its rule, probe or schedule: resolved, with nothing left that could fire it again."""
    return replace(never_rechecked(ended(alert, now, by=why) if alert.active else alert), schedule={})
