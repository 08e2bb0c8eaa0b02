"""An alert after a condition was evaluated: that of a measured series, or that of a count of its events."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from chalicelib.core.alert import Alert, AlertState, LastEvaluation, ReceivedEvents
from chalicelib.core.event import Event
from chalicelib.core.faults import FaultCounter
from chalicelib.core.instants import from_seconds
from chalicelib.core.language.condition import Evaluation, evaluate
from chalicelib.core.lifecycle import Terms, settled
from chalicelib.core.metrics.sample import Bucket
from chalicelib.core.rule import Rule
from chalicelib.core.transitions import described, short_id

MAX_COUNTED = 2_000
"""Ids remembered of an alert whose events are counted."""


@dataclass(frozen=True, slots=True)
class EventSeries:
    """The events of one alert as a condition's series."""

    times: tuple[datetime, ...]

    def buckets(self, metric: str, since: datetime, until: datetime) -> Sequence[Bucket]:
        """Return nothing: events are not measured."""
        return ()

    def event_times(self) -> Sequence[datetime]:
        """Return the times, oldest first."""
        return self.times


def counted(alert: Alert, events: Sequence[Event], *, rule: Rule, terms: Terms) -> Alert:
    """Return the alert of a rule that counts events, after more of them, each judged at its own time.

    A late event can complete a count that is already over: it fires all the same, and ends when it is judged next.
    """
    if rule.condition is None:
        return alert
    known = {short for _, short in alert.received.recent}
    counter = FaultCounter(alert.received.recent, alert.faults)
    added: list[float] = []
    for event in events:
        short = short_id(event)
        if short in known:
            continue
        known.add(short)
        counter.add(event, short)
        added.append(event.occurred_at.timestamp())
        if alert.received.last_event_at is None or event.occurred_at >= alert.received.last_event_at:
            alert = described(alert, event)
    if not added:
        return alert
    received = ReceivedEvents(
        events=alert.received.events + len(added),
        last_event_at=alert.received.last_event_at,
        refreshed_at=alert.received.last_event_at,
        recent=counter.recent(MAX_COUNTED),
    )
    alert = replace(alert, received=received, faults=counter.counted(MAX_COUNTED))
    return _judged_at_events(alert, added, rule=rule, terms=terms)


def _judged_at_events(alert: Alert, added: list[float], *, rule: Rule, terms: Terms) -> Alert:
    assert rule.condition is not None
    window = rule.condition.event_window.total_seconds()
    times = [at for at, _ in alert.received.recent]
    first, last = min(added), max(added)
    moments = sorted({at for at in times if first <= at < last + window})
    series = EventSeries(tuple(from_seconds(at) for at in times))
    if alert.state is AlertState.FIRING:
        alert = _began_earlier(alert, moments, series, rule=rule, terms=terms)
        moments = moments[-1:]
    for moment in moments:
        at = from_seconds(moment)
        if alert.ends_at is not None and at <= alert.ends_at:
            continue
        alert = evaluated(alert, evaluate(rule.condition, series, at), at, rule=rule, terms=terms, may_end=False)
        if alert.state is AlertState.FIRING:
            final = evaluate(rule.condition, series, from_seconds(moments[-1]))
            shown = replace(alert.evaluation, value=final.shown or alert.evaluation.value, recheck_at=final.changes_at)
            return replace(alert, evaluation=shown)
    return alert


def _began_earlier(alert: Alert, moments: Sequence[float], series: EventSeries, *, rule: Rule, terms: Terms) -> Alert:
    """Return the firing alert, begun earlier when late events show that its count was reached before it was known to be."""
    assert rule.condition is not None and alert.starts_at is not None
    times = alert.changes.times
    before = times[-2] if len(times) > 1 else from_seconds(0)
    for moment in moments:
        at = from_seconds(moment)
        if at + terms.hold >= alert.starts_at:
            break
        if at > before and evaluate(rule.condition, series, at).truth:
            changes = replace(alert.changes, times=(*times[:-1], at + terms.hold))
            return replace(alert, starts_at=at + terms.hold, changes=changes)
    return alert


def recounted(alert: Alert, now: datetime, *, rule: Rule, terms: Terms) -> Alert:
    """Return the alert of a rule that counts events, judged at `now`; what left every window is forgotten."""
    if rule.condition is None:
        return alert
    series = EventSeries(tuple(from_seconds(at) for at, _ in alert.received.recent))
    clear = evaluate(rule.clear, series, now) if rule.clear is not None else None
    return evaluated(alert, evaluate(rule.condition, series, now), now, rule=rule, terms=terms, clear=clear)


def evaluated(
    alert: Alert,
    found: Evaluation,
    at: datetime,
    *,
    rule: Rule,
    terms: Terms,
    clear: Evaluation | None = None,
    may_end: bool = True,
) -> Alert:
    """Return the alert after its condition was evaluated at `at`. `no_data` decides on an unknown result."""
    active = _is_active(alert, found, clear, rule)
    if active is None and alert.timers.cleared_at is not None:
        active = False  # an unknown value does not stop the `keep_firing_for` of an alert that has cleared
    alert = replace(
        alert,
        evaluation=LastEvaluation(
            value=found.shown or alert.evaluation.value,
            threshold=found.threshold_shown or alert.evaluation.threshold,
            condition=rule.condition.text if rule.condition else "",
            no_data=found.truth is None and rule.no_data == "alert",
            recheck_at=_earliest(found.changes_at, clear.changes_at if clear else None),
        ),
    )
    if active is None or (not active and not may_end):
        return alert
    return settled(alert, at, active=active, terms=terms)


def never_rechecked(alert: Alert) -> Alert:
    """Return the alert whose condition is evaluated again only on news."""
    return replace(alert, evaluation=replace(alert.evaluation, recheck_at=None))


def _is_active(alert: Alert, found: Evaluation, clear: Evaluation | None, rule: Rule) -> bool | None:
    if found.truth is None:
        return {"ok": False, "alert": True}.get(rule.no_data)
    if not found.truth and alert.state is AlertState.FIRING and rule.clear is not None and not alert.timers.cleared_at:
        return not (clear is not None and clear.truth)
    return found.truth


def _earliest(*times: datetime | None) -> datetime | None:
    return min((at for at in times if at is not None), default=None)
