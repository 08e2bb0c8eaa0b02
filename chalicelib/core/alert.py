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
from typing import Any

from chalicelib.core.event import RAW, Event, Severity, Status, fingerprint, with_words
from chalicelib.core.language.condition import Evaluation, evaluate
from chalicelib.core.match import Matcher, matches_all
from chalicelib.core.metrics.sample import Bucket
from chalicelib.core.rule import RouteOptions, Rule

MAX_RECENT = 200
"""Ids remembered of an alert whose events are not counted in a window."""
MAX_COUNTED = 2_000
"""Ids remembered of an alert whose events are counted."""
END_MARK = "~"
"""Before the short id of an event that says that its fault ended; it sorts after all that burns at the same instant."""
SEVERITY_RAW = f"severity{RAW}"
MAX_CHANGES = 64
FLAP_CHANGES = 6
"""More changes than this within `flap_window` (30 minutes) is flapping, where a rule does not say otherwise."""
REFRESH = timedelta(minutes=5)
"""A repeat that says nothing new is only noted this often: it costs a write."""


class AlertState(StrEnum):
    """What an alert is in. INACTIVE is only remembered, never shown."""

    INACTIVE = "inactive"
    PENDING = "pending"
    FIRING = "firing"
    RESOLVED = "resolved"


@dataclass(frozen=True, slots=True)
class Alert:
    """`recent` holds (time, short id) of the newest events, oldest first; of an end, the short id after ENDED.

    `recheck_at` is when the answer of its condition could change without news; `cleared_at` since when it no longer
    burns while it is kept firing; `expires_at` an end the sender announced; `refreshed_at` the last news at all;
    `worse_at` when its sender last raised its severity while it fired, above that at which it was acknowledged
    (`acked_severity`, which counts only while it is acknowledged). `notified_end` is the newest end of it of which
    people were notified, `given_back_at` when somebody last gave it back: an acknowledgement from before covers neither.
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
    state: AlertState = AlertState.INACTIVE
    pending_at: datetime | None = None
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    cleared_at: datetime | None = None
    expires_at: datetime | None = None
    refreshed_at: datetime | None = None
    recheck_at: datetime | None = None
    last_event_at: datetime | None = None
    events: int = 0
    recent: tuple[tuple[float, str], ...] = ()
    value: str = ""
    threshold: str = ""
    condition: str = ""
    no_data: bool = False
    acked_by: str | None = None
    acked_at: datetime | None = None
    acked_severity: Severity | None = None
    worse_at: datetime | None = None
    given_back_at: datetime | None = None
    notified_end: datetime | None = None
    ended_by: str = ""
    changes: tuple[datetime, ...] = ()
    flapping: bool = False
    beat: Mapping[str, str] = field(default_factory=dict)

    def match_labels(self) -> dict[str, str]:
        """Return the labels that matchers and `group_by` see, with the words that people see."""
        words = {"source": self.source, "kind": self.kind, "severity": self.severity.value}
        return {**with_words(self.labels, words), "alertname": self.name}

    def matched_by(self, matchers: Iterable[Matcher]) -> bool:
        """True when the matchers hold for it as its rule or as its sender names it, and how bad it is."""
        clauses = tuple(matchers)
        for each in clauses:  # most that do not match already differ in their name, before there is a dict of labels
            if each.label == "alertname" and each.operator == "=" and each.value not in (self.name, self.event_name):
                return False
        labels = self.match_labels()
        if matches_all(clauses, labels):
            return True
        return bool(self.event_name) and matches_all(clauses, {**labels, "alertname": self.event_name})

    @property
    def active(self) -> bool:
        """True while it is pending or firing."""
        return self.state in (AlertState.PENDING, AlertState.FIRING)

    @property
    def since(self) -> datetime | None:
        """When it began to be what it is: of a pending one not when it fired the last time."""
        return self.pending_at if self.state is AlertState.PENDING else self.starts_at or self.pending_at


@dataclass(frozen=True, slots=True)
class Terms:
    """What a rule and its route say about the life of an alert."""

    hold: timedelta = timedelta(0)
    keep: timedelta = timedelta(0)
    resolve_timeout: timedelta = timedelta(hours=24)
    flap_changes: int = FLAP_CHANGES
    flap_window: timedelta = timedelta(minutes=30)


def terms_of(rule: Rule | None, options: RouteOptions) -> Terms:
    """The terms of an alert of this rule (None: of an event that no rule matched)."""
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
    """The alert at `at`, knowing whether it burns then."""
    if active:
        return _burns(alert, at, terms)
    if alert.state is AlertState.PENDING:
        return no_longer_pending(alert)
    if alert.state is AlertState.FIRING:
        return _cools(alert, at, terms)
    return alert


def _burns(alert: Alert, at: datetime, terms: Terms) -> Alert:
    if alert.state is AlertState.FIRING:
        return replace(alert, cleared_at=None) if alert.cleared_at else alert
    since = alert.pending_at if alert.state is AlertState.PENDING and alert.pending_at else at
    if at < since + terms.hold:
        return replace(alert, state=AlertState.PENDING, pending_at=since)
    return replace(
        alert,
        state=AlertState.FIRING,
        pending_at=None,
        starts_at=since + terms.hold,
        ends_at=None,
        cleared_at=None,
        ended_by="",
        flapping=is_flapping(alert, since + terms.hold, terms),
        changes=_with_change(alert.changes, since + terms.hold),
    )


def no_longer_pending(alert: Alert) -> Alert:
    """Return the pending alert as it was before: one that had ended is remembered as ended."""
    return replace(alert, state=AlertState.RESOLVED if alert.ends_at else AlertState.INACTIVE, pending_at=None)


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
        state=AlertState.RESOLVED,
        ends_at=at,
        cleared_at=None,
        pending_at=None,
        expires_at=None,
        flapping=False,
        no_data=False,
        ended_by=by,
        changes=() if alert.flapping else _with_change(alert.changes, at),
    )


def last_end(alert: Alert) -> datetime | None:
    """Return when the alert ended last, also where it is pending again by now; None while it fires."""
    if alert.ends_at is not None or alert.state in (AlertState.FIRING, AlertState.RESOLVED) or alert.starts_at is None:
        return alert.ends_at
    return max((at for at in alert.changes if at > alert.starts_at), default=None)


def _with_change(changes: tuple[datetime, ...], at: datetime) -> tuple[datetime, ...]:
    return (*changes, at)[-MAX_CHANGES:]


def is_flapping(alert: Alert, at: datetime, terms: Terms) -> bool:
    """True when the alert changed more often than its terms allow, counting the change that is about to happen."""
    if terms.flap_changes < 0:
        return False
    recent = sum(1 for change in alert.changes if at - terms.flap_window < change <= at)
    return recent + 1 > terms.flap_changes


def next_change(alert: Alert, terms: Terms, now: datetime, *, notified: bool = True) -> datetime | None:
    """Return when the alert changes if nothing more is received; None when it stays as it is.

    `notified` says that some target was notified of it: only such an alert times out. A time of a measured alert that
    has passed was consumed by the answer at `now`, unknown included. A passed time of another alert is due at once.
    """
    times = _change_times(alert, terms, notified=notified)
    if alert.measured:
        times = [at for at in times if at > now]
    if alert.recheck_at:
        times.append(alert.recheck_at)
    return min(times, default=None)


def _change_times(alert: Alert, terms: Terms, *, notified: bool) -> list[datetime]:
    times: list[datetime] = []
    if alert.state is AlertState.PENDING and alert.pending_at:
        times.append(alert.pending_at + terms.hold)
    if alert.state is AlertState.FIRING and alert.cleared_at:
        held = max(terms.keep, terms.flap_window) if alert.flapping else terms.keep
        times.append(alert.cleared_at + held)
    if alert.active and alert.expires_at:
        times.append(alert.expires_at)
    elif (notified and alert.state is AlertState.FIRING) or (alert.measured and alert.state is AlertState.PENDING):
        times += [at for at in [times_out_at(alert, terms)] if at is not None]
    return times


def lives_on_word(alert: Alert) -> bool:
    """Return whether only its sender's word keeps the alert: no condition, no heartbeat, nothing measured."""
    return not alert.condition and not alert.beat and not alert.measured


def times_out_at(alert: Alert, terms: Terms) -> datetime | None:
    """Return when the silence of its sender, or of its series, ends the alert; None for one that it never ends."""
    if alert.refreshed_at is None or not (lives_on_word(alert) or alert.measured):
        return None
    return alert.refreshed_at + terms.resolve_timeout


# ---------------------------------------------------------------------------------------------------------------------
# Events


def absorbed(alert: Alert, events: Sequence[Event], *, terms: Terms, now: datetime) -> Alert:
    """The alert after the events of one fault, in whatever order and however often they came.

    What an event says becomes transitions in time: firing since, ended at. In order, a transition is one step; one
    that comes late has the line told again from its start.
    """
    recent = list(alert.recent)
    known = {transition for _, transition in recent}
    repeats: list[Event] = []
    alert = _refreshed(alert, now, terms)
    for event in sorted(events, key=_order):
        new = [transition for transition in _transitions(event, now) if transition[1] not in known]
        known.update(transition for _, transition in new)
        if new and _only_repeats(alert, event):
            insort(recent, new[0])
            repeats.append(event)
            continue
        alert = _repeated(alert, repeats)
        repeats.clear()
        if new:
            alert = _marked(alert, event, new, recent, terms, now)
        elif event.status is Status.RESOLVED and alert.active and (event.ends_at or now) > now:
            alert = replace(alert, expires_at=event.ends_at)
    return _repeated(alert, repeats, recent=tuple(recent[-MAX_RECENT:]))


def _only_repeats(alert: Alert, event: Event) -> bool:
    """True when an event says of a fire what is known: most do in a storm, and they are told together."""
    if alert.state is not AlertState.FIRING or alert.cleared_at or alert.expires_at or alert.starts_at is None:
        return False
    return (
        event.status is Status.FIRING
        and event.ends_at is None
        and (event.starts_at or event.occurred_at) >= alert.starts_at
    )


def _repeated(alert: Alert, repeats: Sequence[Event], **changes: Any) -> Alert:
    """The alert after events that only repeat, oldest first, and these changes: in one step, since a copy costs."""
    if repeats:
        newest = repeats[-1]
        if alert.last_event_at is None or newest.occurred_at >= alert.last_event_at:
            changes |= _description(alert, newest)
        changes["events"] = alert.events + len(repeats)
        changes["refreshed_at"] = max(alert.refreshed_at or newest.occurred_at, newest.occurred_at)
    return replace(alert, **changes) if changes else alert


def _order(event: Event) -> tuple[datetime, bool, str]:
    return event.occurred_at, event.status is Status.RESOLVED, event.id


def short_id(event: Event) -> str:
    """By which an event is remembered, so that it counts once."""
    return fingerprint(event.source, event.id)[:10]


def _refreshed(alert: Alert, now: datetime, terms: Terms) -> Alert:
    if alert.refreshed_at is not None and now < alert.refreshed_at + min(REFRESH, terms.resolve_timeout / 10):
        return alert
    return replace(alert, refreshed_at=now)


def _transitions(event: Event, now: datetime) -> list[tuple[float, str]]:
    """What the event says by `now`: since when its fault fires, and when it ended. An end to come is no transition yet."""
    short = short_id(event)
    if event.status is Status.RESOLVED:
        ended_at = event.ends_at or event.occurred_at
        return [(ended_at.timestamp(), END_MARK + short)] if ended_at <= now else []
    found = [(min(event.starts_at or event.occurred_at, now).timestamp(), short)]
    if event.ends_at is not None and event.ends_at <= now:
        found.append((event.ends_at.timestamp(), END_MARK + short))
    return found


def _marked(
    alert: Alert,
    event: Event,
    new: Sequence[tuple[float, str]],
    recent: list[tuple[float, str]],
    terms: Terms,
    now: datetime,
) -> Alert:
    burned, goes_on = alert.active, not new[-1][1].startswith(END_MARK)
    is_news = not recent or new[0] > recent[-1]
    late = not is_news or _is_within(alert, new[0])
    for transition in new:
        insort(recent, transition)
    if late:
        alert = _replayed(alert, recent, terms, now)
    else:
        for transition in new:
            alert = _applied(alert, transition, terms)
    said_at = alert.last_event_at or event.occurred_at
    if event.occurred_at >= said_at:
        alert = described(alert, event)
    if event.status is not Status.RESOLVED and (goes_on or is_news):
        alert = replace(alert, events=alert.events + 1)
    if goes_on and alert.active:
        alert = replace(alert, expires_at=_latest_end(alert, event, said_at, terms) if burned else event.ends_at)
    return replace(alert, refreshed_at=max(alert.refreshed_at or event.occurred_at, event.occurred_at))


def _is_within(alert: Alert, transition: tuple[float, str]) -> bool:
    """True when the alert has ended by now, but not by then: it was kept firing."""
    return (
        alert.state is AlertState.RESOLVED and alert.ends_at is not None and transition[0] <= alert.ends_at.timestamp()
    )


def _applied(alert: Alert, transition: tuple[float, str], terms: Terms) -> Alert:
    """Return the alert after its next transition; first it becomes what it was by then."""
    at, active = _instant(transition[0]), not transition[1].startswith(END_MARK)
    alert = _advanced_to(alert, at, terms)
    if not active and alert.state is AlertState.RESOLVED and alert.ends_at is not None and not alert.ended_by:
        return replace(alert, ends_at=max(alert.ends_at, at + terms.keep))
    return settled(alert, at, active=active, terms=terms)


def _advanced_to(alert: Alert, at: datetime, terms: Terms) -> Alert:
    """The alert at a time, with nothing new said of it."""
    if alert.state is AlertState.PENDING or alert.cleared_at is not None:
        return settled(alert, at, active=alert.state is AlertState.PENDING, terms=terms)
    return alert


def _replayed(alert: Alert, recent: Sequence[tuple[float, str]], terms: Terms, now: datetime) -> Alert:
    """Return the alert after all its transitions, by now. Those that were forgotten are remembered by its start."""
    told = replace(
        alert, state=AlertState.INACTIVE, pending_at=None, cleared_at=None, ends_at=None, changes=(), ended_by=""
    )
    for transition in recent:
        told = _applied(told, transition, terms)
    told = _advanced_to(told, now, terms)
    if alert.state is AlertState.FIRING and told.state is not AlertState.RESOLVED:
        told = _kept_firing(alert, told)
    if alert.state is told.state is AlertState.RESOLVED and alert.ends_at and told.ends_at:
        told = replace(told, ends_at=max(alert.ends_at, told.ends_at), ended_by=alert.ended_by)
    return _with_forgotten_start(alert, told, recent)


def _kept_firing(alert: Alert, told: Alert) -> Alert:
    """An alert that fires has perhaps been told: if it never should have, it ends."""
    if told.state is AlertState.FIRING:
        return told
    return alert if told.state is AlertState.PENDING else ended(alert, alert.starts_at or alert.ends_at or _EVER)


_EVER = datetime.fromtimestamp(0, UTC)


def _with_forgotten_start(alert: Alert, told: Alert, recent: Sequence[tuple[float, str]]) -> Alert:
    if len(recent) < MAX_RECENT or alert.starts_at is None or told.starts_at is None:
        return told
    if not _unbroken(alert.starts_at, told.starts_at, recent):
        return told
    return replace(told, starts_at=min(alert.starts_at, told.starts_at))


def _unbroken(start: datetime, later: datetime, recent: Sequence[tuple[float, str]]) -> bool:
    """True when nothing is known to have ended between the two."""
    first, last = start.timestamp(), later.timestamp()
    return not any(first <= at < last for at, transition in recent if transition.startswith(END_MARK))


def _latest_end(alert: Alert, event: Event, said_at: datetime, terms: Terms) -> datetime | None:
    """The later of the known end and the event's; whoever says none later takes back an end before its own time-out."""
    if alert.expires_at is not None and event.ends_at is not None:
        return max(alert.expires_at, event.ends_at)
    ends_at = alert.expires_at or event.ends_at
    ends_newest = (event.ends_at is not None) == (event.occurred_at >= said_at)
    if ends_at is None or ends_newest or ends_at > max(event.occurred_at, said_at) + terms.resolve_timeout:
        return ends_at
    return None


def described(alert: Alert, event: Event) -> Alert:
    """The alert in the words of its newest event; a resolve changes only what it says itself."""
    return replace(alert, **_description(alert, event))


def _description(alert: Alert, event: Event) -> dict[str, Any]:
    if event.status is Status.RESOLVED:
        return {"annotations": event.annotations or alert.annotations}
    found = {
        "annotations": event.annotations,
        "title": event.title,
        "summary": event.summary,
        "url": event.url or alert.url,
        "last_event_at": event.occurred_at,
    }
    return found if alert.condition else found | _severity(alert, event)


def _severity(alert: Alert, event: Event) -> dict[str, Any]:
    found: dict[str, Any] = {"severity": event.severity}
    if event.severity is not alert.severity:
        found["labels"] = _labels_of_severity(alert, event)
    if alert.state is AlertState.FIRING and event.severity.rank < _worst_known(alert):
        found["worse_at"] = event.occurred_at
    return found


def _labels_of_severity(alert: Alert, event: Event) -> dict[str, str]:
    """Return the alert's labels with the event's severity, where they hold one, and with its sender's word for it."""
    found = {name: text for name, text in alert.labels.items() if name != SEVERITY_RAW}
    if "severity" in found:
        found["severity"] = event.severity.value
    word = event.all_labels().get(SEVERITY_RAW)
    return found if word is None else {**found, SEVERITY_RAW: word}


def _worst_known(alert: Alert) -> int:
    """Return the rank of its severity now, or when it was acknowledged if that was worse."""
    acked = alert.acked_severity if alert.acked_at is not None else None
    return min(alert.severity.rank, acked.rank if acked is not None else alert.severity.rank)


def covers(acked_at: datetime, alert: Alert) -> bool:
    """Return whether an acknowledgement of that time covers the alert, which had begun by then.

    It does until people are notified of an end, through any flap; but not once the alert got worse, or was given back.
    """
    lost = [at for at in (alert.notified_end, alert.given_back_at) if at is not None]
    return all(at < acked_at for at in lost) and (alert.worse_at is None or alert.worse_at <= acked_at)


def lives_since(alert: Alert) -> datetime | None:
    """Return the first start of the alert since the newest end of which people were notified."""
    after = alert.notified_end
    starts = alert.changes[-1::-2] if alert.state is AlertState.FIRING else alert.changes[-2::-2]
    known = [at for at in (alert.starts_at, *starts) if at is not None and (after is None or at > after)]
    return min(known, default=alert.starts_at)


def is_end_pending(alert: Alert) -> bool:
    """Return whether the alert has ended and people were not notified of that."""
    if alert.state is not AlertState.RESOLVED or alert.ends_at is None:
        return False
    return alert.notified_end is None or alert.notified_end < alert.ends_at


def end_notified(alert: Alert) -> Alert:
    """Return the alert after people were notified of its end: an acknowledgement until now covers no new start."""
    if alert.state is AlertState.FIRING:
        return alert
    ends = [at for at in (alert.ends_at, alert.acked_at, alert.notified_end, *alert.changes[-1:]) if at is not None]
    newest = max(ends, default=None)
    return replace(alert, notified_end=newest) if newest != alert.notified_end else alert


def closed_by_hand(alert: Alert, at: datetime, by: str) -> Alert:
    """The alert, resolved by a person: what its source said until then is history."""
    newest = alert.recent[-1][0] if alert.recent and not alert.condition else 0.0
    alert = ended(alert, at, by=by)
    if alert.beat:
        return replace(alert, refreshed_at=at)
    if alert.condition or alert.measured:
        return alert
    transition = (max(at.timestamp(), newest), END_MARK + fingerprint("person", by, at.isoformat())[:10])
    return replace(alert, recent=(*alert.recent, transition)[-MAX_RECENT:])


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
        short = short_id(event)
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
    series = EventSeries(tuple(_instant(at) for at in times))
    if alert.state is AlertState.FIRING:
        alert = _began_earlier(alert, moments, series, rule=rule, terms=terms)
        moments = moments[-1:]
    for moment in moments:
        at = _instant(moment)
        if alert.ends_at is not None and at <= alert.ends_at:
            continue
        alert = evaluated(alert, evaluate(rule.condition, series, at), at, rule=rule, terms=terms, may_end=False)
        if alert.state is AlertState.FIRING:
            final = evaluate(rule.condition, series, _instant(moments[-1]))
            return replace(alert, value=final.shown or alert.value, recheck_at=final.changes_at)
    return alert


def _began_earlier(alert: Alert, moments: Sequence[float], series: EventSeries, *, rule: Rule, terms: Terms) -> Alert:
    """The firing alert, when late events show that its count was reached before it was known to be."""
    assert rule.condition is not None and alert.starts_at is not None
    before = alert.changes[-2] if len(alert.changes) > 1 else _instant(0)
    for moment in moments:
        at = _instant(moment)
        if at + terms.hold >= alert.starts_at:
            break
        if at > before and evaluate(rule.condition, series, at).truth:
            changes = (*alert.changes[:-1], at + terms.hold)
            return replace(alert, starts_at=at + terms.hold, changes=changes)
    return alert


def _instant(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def recounted(alert: Alert, now: datetime, *, rule: Rule, terms: Terms) -> Alert:
    """The alert of a rule that counts events, judged at `now`; what left every window is forgotten."""
    if rule.condition is None:
        return alert
    series = EventSeries(tuple(_instant(at) for at, _ in alert.recent))
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
    """The alert after its condition was evaluated at `at`. Unknown is neither true nor false: `no_data` decides."""
    active = _is_active(alert, found, clear, rule)
    if active is None and alert.cleared_at is not None:
        active = False  # an unknown value does not stop the `keep_firing_for` of an alert that has cleared
    alert = replace(
        alert,
        value=found.shown or alert.value,
        threshold=found.threshold_shown or alert.threshold,
        condition=rule.condition.text if rule.condition else "",
        no_data=found.truth is None and rule.no_data == "alert",
        recheck_at=_earliest(found.changes_at, clear.changes_at if clear else None),
    )
    if active is None or (not active and not may_end):
        return alert
    return settled(alert, at, active=active, terms=terms)


def _is_active(alert: Alert, found: Evaluation, clear: Evaluation | None, rule: Rule) -> bool | None:
    if found.truth is None:
        return {"ok": False, "alert": True}.get(rule.no_data)
    if not found.truth and alert.state is AlertState.FIRING and rule.clear is not None and not alert.cleared_at:
        return not (clear is not None and clear.truth)
    return found.truth


def _earliest(*times: datetime | None) -> datetime | None:
    return min((at for at in times if at is not None), default=None)
