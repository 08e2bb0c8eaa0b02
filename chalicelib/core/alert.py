"""One series of one rule: pending, firing or resolved.

An alert is driven by events (a fault that begins and ends), by the count of its events, by measured values or by beats
that stay away. All four come down to one question asked at a time: does it burn? `settled` answers what that makes of
the alert: `hold` before it fires, `keep` before it ends, and flapping, which holds it open until it calms.

Late and doubled events change nothing: an event counts once (`recent`), a firing event not newer than what resolved
the alert is history, and so is a resolve older than the newest firing event.
"""

from bisect import insort
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from chalicelib.core.condition import Evaluation, evaluate
from chalicelib.core.event import Event, Severity, Status, fingerprint
from chalicelib.core.match import Matcher, matches_all
from chalicelib.core.rule import Rhythm, Rule
from chalicelib.core.sample import Bucket

MAX_RECENT = 200
"""Ids remembered of an alert whose events are not counted in a window."""
MAX_COUNTED = 2_000
"""Ids remembered of an alert whose events are counted."""
MAX_CHANGES = 64
FLAP_CHANGES = 6
"""More changes than this within `flap_window` (30 minutes) is flapping, where a rule does not say otherwise."""
REFRESH = timedelta(minutes=5)
"""A repeat that says nothing new is only noted this often: it costs a write."""


class State(StrEnum):
    """What an alert is in. INACTIVE is only remembered, never shown."""

    INACTIVE = "inactive"
    PENDING = "pending"
    FIRING = "firing"
    RESOLVED = "resolved"


@dataclass(frozen=True, slots=True)
class Alert:
    """`recent` holds (time, short id) of the newest events, oldest first.

    `recheck_at` is when the answer of its condition could change without news; `cleared_at` since when it no longer
    burns while it is kept firing; `expires_at` an end the sender announced; `refreshed_at` the last news at all.
    """

    fingerprint: str
    rule: str = ""
    name: str = ""
    event_name: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    severity: Severity = Severity.WARNING
    title: str = ""
    summary: str = ""
    url: str | None = None
    source: str = ""
    kind: str = ""
    measured: bool = False
    state: State = State.INACTIVE
    pending_at: datetime | None = None
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    cleared_at: datetime | None = None
    expires_at: datetime | None = None
    refreshed_at: datetime | None = None
    recheck_at: datetime | None = None
    last_event_at: datetime | None = None
    resolved_event_at: datetime | None = None
    events: int = 0
    recent: tuple[tuple[float, str], ...] = ()
    value: str = ""
    threshold: str = ""
    condition: str = ""
    no_data: bool = False
    acked_by: str | None = None
    acked_at: datetime | None = None
    ended_by: str = ""
    changes: tuple[datetime, ...] = ()
    flapping: bool = False
    beat: Mapping[str, str] = field(default_factory=dict)

    def match_labels(self) -> dict[str, str]:
        """The labels that matchers and `group_by` see."""
        found = dict(self.labels)
        found["alertname"] = self.name
        found.setdefault("source", self.source)
        found.setdefault("kind", self.kind)
        found["severity"] = self.severity.value
        return found

    def matched_by(self, matchers: Iterable[Matcher]) -> bool:
        """True when the matchers hold for it under its rule's name or under the name its sender gave it."""
        clauses = tuple(matchers)
        labels = self.match_labels()
        if matches_all(clauses, labels):
            return True
        return bool(self.event_name) and matches_all(clauses, {**labels, "alertname": self.event_name})

    @property
    def burning(self) -> bool:
        """True while it is pending or firing."""
        return self.state in (State.PENDING, State.FIRING)


@dataclass(frozen=True, slots=True)
class Terms:
    """What a rule and its route say about the life of an alert."""

    hold: timedelta = timedelta(0)
    keep: timedelta = timedelta(0)
    resolve_timeout: timedelta = timedelta(hours=24)
    flap_changes: int = FLAP_CHANGES
    flap_window: timedelta = timedelta(minutes=30)


def terms_of(rule: Rule | None, rhythm: Rhythm) -> Terms:
    """The terms of an alert of this rule (None: of an event that no rule matched)."""
    if rule is None:
        return Terms(resolve_timeout=rhythm.resolve_timeout)
    return Terms(
        hold=rule.hold,
        keep=rule.keep_firing_for,
        resolve_timeout=rhythm.resolve_timeout,
        flap_changes=rule.flap_changes or FLAP_CHANGES,
        flap_window=rule.flap_window,
    )


def settled(alert: Alert, at: datetime, *, burns: bool, terms: Terms) -> Alert:
    """The alert at `at`, knowing whether it burns then."""
    if burns:
        return _burns(alert, at, terms)
    if alert.state is State.PENDING:
        return replace(alert, state=State.INACTIVE, pending_at=None)
    if alert.state is State.FIRING:
        return _cools(alert, at, terms)
    return alert


def _burns(alert: Alert, at: datetime, terms: Terms) -> Alert:
    if alert.state is State.FIRING:
        return replace(alert, cleared_at=None) if alert.cleared_at else alert
    since = alert.pending_at if alert.state is State.PENDING and alert.pending_at else at
    if at < since + terms.hold:
        return replace(alert, state=State.PENDING, pending_at=since, ends_at=None)
    return replace(
        alert,
        state=State.FIRING,
        pending_at=None,
        starts_at=since + terms.hold,
        ends_at=None,
        cleared_at=None,
        acked_by=None,
        acked_at=None,
        ended_by="",
        changes=_with_change(alert.changes, since + terms.hold),
    )


def _cools(alert: Alert, at: datetime, terms: Terms) -> Alert:
    cleared_at = alert.cleared_at or at
    alert = replace(alert, cleared_at=cleared_at)
    if at < cleared_at + terms.keep:
        return alert
    ends_at = cleared_at + terms.keep
    if alert.flapping or is_flapping(alert, ends_at, terms):
        if at < cleared_at + max(terms.keep, terms.flap_window):
            return replace(alert, flapping=True)
        ends_at = cleared_at + max(terms.keep, terms.flap_window)
    return ended(alert, ends_at)


def ended(alert: Alert, at: datetime, *, by: str = "") -> Alert:
    """The alert, resolved at `at`; `by` says who or what ended it, where it was not its sender."""
    return replace(
        alert,
        state=State.RESOLVED,
        ends_at=at,
        cleared_at=None,
        pending_at=None,
        expires_at=None,
        flapping=False,
        no_data=False,
        ended_by=by,
        changes=() if alert.flapping else _with_change(alert.changes, at),
    )


def _with_change(changes: tuple[datetime, ...], at: datetime) -> tuple[datetime, ...]:
    return (*changes, at)[-MAX_CHANGES:]


def is_flapping(alert: Alert, at: datetime, terms: Terms) -> bool:
    """True when the alert changed more often than its terms allow, counting the change that is about to happen."""
    if terms.flap_changes < 0:
        return False
    recent = sum(1 for change in alert.changes if at - terms.flap_window < change <= at)
    return recent + 1 > terms.flap_changes


def next_change(alert: Alert, terms: Terms) -> datetime | None:
    """When the alert changes if nothing more is heard of it; None when it stays as it is."""
    times: list[datetime] = []
    if alert.state is State.PENDING and alert.pending_at:
        times.append(alert.pending_at + terms.hold)
    if alert.state is State.FIRING and alert.cleared_at:
        held = max(terms.keep, terms.flap_window) if alert.flapping else terms.keep
        times.append(alert.cleared_at + held)
    if alert.state in (State.FIRING, State.PENDING):
        if alert.expires_at:
            times.append(alert.expires_at)
        elif times_out(alert) and alert.refreshed_at:
            times.append(alert.refreshed_at + terms.resolve_timeout)
    if alert.recheck_at:
        times.append(alert.recheck_at)
    return min(times, default=None)


def times_out(alert: Alert) -> bool:
    """True for alerts that live on their sender's word alone: its silence ends them."""
    return not alert.condition and not alert.beat and not alert.measured


# ---------------------------------------------------------------------------------------------------------------------
# Events


def absorbed(alert: Alert, events: Sequence[Event], *, terms: Terms, now: datetime) -> Alert:
    """The alert after the events of one fault, in whatever order and however often they came."""
    known = {short for _, short in alert.recent}
    recent = list(alert.recent)
    for event in sorted(events, key=_order):
        short = _short(event)
        alert = _refreshed(alert, now)
        if short in known:
            continue
        known.add(short)
        insort(recent, (event.occurred_at.timestamp(), short))
        alert = _after_event(alert, event, terms, now)
    return replace(alert, recent=tuple(recent[-MAX_RECENT:]))


def _order(event: Event) -> tuple[datetime, bool, str]:
    return event.occurred_at, event.status is Status.RESOLVED, event.id


def _short(event: Event) -> str:
    return fingerprint(event.source, event.id)[:10]


def _refreshed(alert: Alert, now: datetime) -> Alert:
    if alert.refreshed_at is not None and now < alert.refreshed_at + REFRESH:
        return alert
    return replace(alert, refreshed_at=now)


def _after_event(alert: Alert, event: Event, terms: Terms, now: datetime) -> Alert:
    if event.status is Status.RESOLVED:
        return _after_resolve(alert, event.ends_at or event.occurred_at, terms, now)
    started_at = event.starts_at or event.occurred_at
    alert = replace(alert, events=alert.events + 1)
    if event.ends_at is not None and event.ends_at <= now:
        alert = _after_fire(alert, event, started_at, terms) if _is_news(alert, started_at) else alert
        return _after_resolve(alert, event.ends_at, terms, now)
    if not _is_news(alert, event.occurred_at):
        return alert
    return _after_fire(alert, event, started_at, terms)


def _is_news(alert: Alert, at: datetime) -> bool:
    return alert.resolved_event_at is None or at > alert.resolved_event_at


def _after_fire(alert: Alert, event: Event, started_at: datetime, terms: Terms) -> Alert:
    newest = alert.last_event_at is None or event.occurred_at >= alert.last_event_at
    was_firing = alert.burning
    if newest:
        alert = described(alert, event)
    alert = replace(alert, expires_at=_latest_end(alert, event, terms) if was_firing else event.ends_at)
    alert = settled(alert, started_at if not was_firing else event.occurred_at, burns=True, terms=terms)
    if alert.state is State.FIRING and alert.starts_at is not None and not terms.hold:
        alert = replace(alert, starts_at=min(alert.starts_at, started_at))
    return replace(alert, refreshed_at=max(alert.refreshed_at or event.occurred_at, event.occurred_at))


def _latest_end(alert: Alert, event: Event, terms: Terms) -> datetime | None:
    if alert.expires_at is None or event.ends_at is None:
        return event.ends_at or (
            alert.expires_at
            if alert.expires_at and alert.expires_at > event.occurred_at + terms.resolve_timeout
            else None
        )
    return max(alert.expires_at, event.ends_at)


def described(alert: Alert, event: Event) -> Alert:
    """The alert in the words of its newest event."""
    return replace(
        alert,
        annotations=event.annotations or alert.annotations,
        severity=event.severity if not alert.condition else alert.severity,
        title=event.title,
        summary=event.summary,
        url=event.url or alert.url,
        last_event_at=event.occurred_at,
    )


def _after_resolve(alert: Alert, at: datetime, terms: Terms, now: datetime) -> Alert:
    if alert.last_event_at is not None and at < alert.last_event_at:
        return alert
    if at > now and alert.burning:
        return replace(alert, expires_at=at)
    resolved_at = max(at, alert.resolved_event_at or at)
    return settled(replace(alert, resolved_event_at=resolved_at, expires_at=None), at, burns=False, terms=terms)


# ---------------------------------------------------------------------------------------------------------------------
# Conditions


@dataclass(frozen=True, slots=True)
class EventSeries:
    """The events of one alert as a condition's series."""

    times: tuple[datetime, ...]

    def buckets(self, metric: str, since: datetime, until: datetime) -> Sequence[Bucket]:
        """None: events are not measured."""
        return ()

    def event_times(self) -> Sequence[datetime]:
        """Oldest first."""
        return self.times


def counted(alert: Alert, events: Sequence[Event], *, rule: Rule, terms: Terms) -> Alert:
    """The alert of a rule that counts events, after more of them, each judged at its own time.

    A late event can complete a count that is already over: it fires all the same, and ends when it is judged next.
    """
    if rule.condition is None:
        return alert
    known = {short for _, short in alert.recent}
    recent = list(alert.recent)
    added: list[float] = []
    for event in events:
        short = _short(event)
        if short in known:
            continue
        known.add(short)
        insort(recent, (event.occurred_at.timestamp(), short))
        added.append(event.occurred_at.timestamp())
        if alert.last_event_at is None or event.occurred_at >= alert.last_event_at:
            alert = described(alert, event)
    if not added:
        return alert
    alert = replace(
        alert,
        recent=tuple(recent[-MAX_COUNTED:]),
        events=alert.events + len(added),
        refreshed_at=alert.last_event_at,
    )
    return _judged_at_events(alert, added, rule=rule, terms=terms)


def _judged_at_events(alert: Alert, added: list[float], *, rule: Rule, terms: Terms) -> Alert:
    assert rule.condition is not None
    window = rule.condition.event_window.total_seconds()
    times = [at for at, _ in alert.recent]
    first, last = min(added), max(added)
    moments = sorted({at for at in times if first <= at < last + window})
    if alert.state is State.FIRING:
        moments = moments[-1:]
    series = EventSeries(tuple(_instant(at) for at in times))
    for moment in moments:
        at = _instant(moment)
        if alert.ends_at is not None and at <= alert.ends_at:
            continue
        alert = judged(alert, evaluate(rule.condition, series, at), at, rule=rule, terms=terms, may_end=False)
        if alert.state is State.FIRING:
            final = evaluate(rule.condition, series, _instant(moments[-1]))
            return replace(alert, value=final.shown or alert.value, recheck_at=final.changes_at)
    return alert


def _instant(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def recounted(alert: Alert, now: datetime, *, rule: Rule, terms: Terms) -> Alert:
    """The alert of a rule that counts events, judged at `now`; what left every window is forgotten."""
    if rule.condition is None:
        return alert
    series = EventSeries(tuple(_instant(at) for at, _ in alert.recent))
    clear = evaluate(rule.clear, series, now) if rule.clear is not None else None
    return judged(alert, evaluate(rule.condition, series, now), now, rule=rule, terms=terms, clear=clear)


def judged(
    alert: Alert,
    found: Evaluation,
    at: datetime,
    *,
    rule: Rule,
    terms: Terms,
    clear: Evaluation | None = None,
    may_end: bool = True,
) -> Alert:
    """The alert after its condition was evaluated at `at`. Unknown is neither true nor false: `no_data` decides."""
    burns = _burning(alert, found, clear, rule)
    alert = replace(
        alert,
        value=found.shown or alert.value,
        threshold=found.threshold_shown or alert.threshold,
        condition=rule.condition.text if rule.condition else "",
        no_data=found.truth is None and rule.no_data == "alert",
        recheck_at=_earliest(found.changes_at, clear.changes_at if clear else None),
    )
    if burns is None or (not burns and not may_end):
        return alert
    return settled(alert, at, burns=burns, terms=terms)


def _burning(alert: Alert, found: Evaluation, clear: Evaluation | None, rule: Rule) -> bool | None:
    if found.truth is None:
        return {"ok": False, "alert": True}.get(rule.no_data)
    if not found.truth and alert.state is State.FIRING and rule.clear is not None and not alert.cleared_at:
        return not (clear is not None and clear.truth)
    return found.truth


def _earliest(*times: datetime | None) -> datetime | None:
    return min((at for at in times if at is not None), default=None)
