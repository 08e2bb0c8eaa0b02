"""An alert after the events of its fault, in whatever order they came.

Late and doubled events change nothing: an event counts once (`recent`), a firing event not newer than what resolved
the alert is history, and so is a resolve older than the newest firing event.
"""

from bisect import insort
from collections.abc import Container, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from chalicelib.core.alert import Alert, AlertState, Origin, ReceivedEvents, SenderText, StateChanges, Timers
from chalicelib.core.event import RAW, Event, Severity, Status, fingerprint
from chalicelib.core.instants import from_seconds
from chalicelib.core.lifecycle import Terms, ended, refreshed, settled

MAX_RECENT = 200
"""Ids remembered of an alert whose events are not counted in a window."""
END_MARK = "~"
"""Before the short id of an event that says that its fault ended; it sorts after everything that fires at the same instant."""
SEVERITY_RAW = f"severity{RAW}"
RETRIED_FOR = timedelta(minutes=5)
"""A body without a time that comes again so soon after the end of its alert is taken for a late retry of the sender."""
REFRESH = timedelta(minutes=5)
"""A repeat that says nothing new is only noted this often: it costs a write."""


def absorbed(alert: Alert, events: Sequence[Event], *, terms: Terms, now: datetime) -> Alert:
    """Return the alert after the events of one fault, in whatever order and however often they came.

    What an event says becomes transitions in time: firing since, ended at. In order, a transition is one step; one
    that comes late has the alert rebuilt from its start.
    """
    recent = list(alert.received.recent)
    known = {transition for _, transition in recent}
    repeats: list[Event] = []
    alert = _refreshed(alert, now, terms)
    for event in sorted(events, key=_order):
        event = _renewed(alert, event, recent, now) or _distinct_start(alert, event, known)
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
            alert = _expiring(alert, event.ends_at)
        elif event.status is Status.FIRING and alert.active and event.ends_at and alert.timers.expires_at:
            alert = _expiring(alert, max(event.ends_at, alert.timers.expires_at))
    return _repeated(alert, repeats, tuple(recent[-MAX_RECENT:]))


def _renewed(alert: Alert, event: Event, recent: Sequence[tuple[float, str]], now: datetime) -> Event | None:
    """Return a firing event as another one where it renews an alert whose announced end has passed; else None.

    A sender that announces ends (Alertmanager's API v2) repeats the same alert with a later end. What it ended itself,
    or a person did, begins anew only by another start.
    """
    if event.status is not Status.FIRING or event.ends_at is None or event.ends_at <= now:
        return None
    if alert.state is not AlertState.RESOLVED or alert.ends_at is None or alert.changes.ended_by:
        return None
    ended_by_sender = bool(recent) and recent[-1][1].startswith(END_MARK)
    if ended_by_sender or event.occurred_at <= alert.ends_at:
        return None
    return replace(event, id=f"{event.id}@{event.ends_at.isoformat()}")


def _distinct_start(alert: Alert, event: Event, known: Container[str]) -> Event:
    """Return a firing event that an ended alert has counted as another one, where it comes too late to be a retry.

    A sender whose bodies have no time and no id sends the same body when its fault begins again.
    """
    if event.status is not Status.FIRING or alert.state is not AlertState.RESOLVED or short_id(event) not in known:
        return event
    if alert.ends_at is None or (event.starts_at or event.occurred_at) <= alert.ends_at + RETRIED_FOR:
        return event
    return replace(event, id=f"{event.id}@{event.occurred_at.isoformat()}")


def _only_repeats(alert: Alert, event: Event) -> bool:
    """Return whether a firing event adds nothing but a count: most do in a storm, and they are folded together."""
    if (
        alert.state is not AlertState.FIRING
        or alert.timers.cleared_at
        or alert.timers.expires_at
        or alert.starts_at is None
    ):
        return False
    return (
        event.status is Status.FIRING
        and event.ends_at is None
        and (event.starts_at or event.occurred_at) >= alert.starts_at
    )


def _repeated(alert: Alert, repeats: Sequence[Event], recent: tuple[tuple[float, str], ...] | None = None) -> Alert:
    """Return the alert after events that only repeat, oldest first, and with these ids: in one step, since a copy costs."""
    received = alert.received if recent is None else replace(alert.received, recent=recent)
    if repeats:
        return _noted(alert, repeats[-1], received, count=sum(1 + each.repeats for each in repeats))
    return alert if recent is None else replace(alert, received=received)


def _noted(alert: Alert, newest: Event, received: ReceivedEvents, *, count: int) -> Alert:
    """Return the alert after so many more events, in the words of the newest, unless a newer one was there before."""
    at, last_event_at = newest.occurred_at, received.last_event_at
    changes: dict[str, Any] = {}
    if last_event_at is None or at >= last_event_at:
        changes = _description(alert, newest)
        last_event_at = last_event_at if newest.status is Status.RESOLVED else at
    changes["received"] = ReceivedEvents(
        events=received.events + count,
        last_event_at=last_event_at,
        refreshed_at=max(received.refreshed_at or at, at),
        recent=received.recent,
    )
    return replace(alert, **changes)


def _order(event: Event) -> tuple[datetime, bool, str]:
    return event.occurred_at, event.status is Status.RESOLVED, event.id


def short_id(event: Event) -> str:
    """Return by what an event is remembered, so that it counts once."""
    return fingerprint(event.source, event.id)[:10]


def _refreshed(alert: Alert, now: datetime, terms: Terms) -> Alert:
    if alert.received.refreshed_at is not None and now < alert.received.refreshed_at + min(
        REFRESH, terms.resolve_timeout / 10
    ):
        return alert
    return refreshed(alert, now)


def _transitions(event: Event, now: datetime) -> list[tuple[float, str]]:
    """Return what the event says by `now`: since when its fault fires, and when it ended. An end to come is no transition yet."""
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
    was_active, goes_on = alert.active, not new[-1][1].startswith(END_MARK)
    is_news = not recent or new[0] > recent[-1]
    late = not is_news or _is_within(alert, new[0])
    for transition in new:
        insort(recent, transition)
    if late:
        alert = _replayed(alert, recent, terms, now)
    else:
        for transition in new:
            alert = _applied(alert, transition, terms)
    said_at = alert.received.last_event_at or event.occurred_at
    if goes_on and alert.active:
        alert = _expiring(alert, _latest_end(alert, event, said_at, terms) if was_active else event.ends_at)
    counts = event.status is not Status.RESOLVED and (goes_on or is_news)
    return _noted(alert, event, alert.received, count=(1 + event.repeats) * counts)


def _is_within(alert: Alert, transition: tuple[float, str]) -> bool:
    """Return whether the alert has ended by now, but not by then: it was kept firing."""
    return (
        alert.state is AlertState.RESOLVED and alert.ends_at is not None and transition[0] <= alert.ends_at.timestamp()
    )


def _applied(alert: Alert, transition: tuple[float, str], terms: Terms) -> Alert:
    """Return the alert after its next transition; first it becomes what it was by then."""
    at, active = from_seconds(transition[0]), not transition[1].startswith(END_MARK)
    alert = _advanced_to(alert, at, terms)
    if not active and alert.state is AlertState.RESOLVED and alert.ends_at is not None and not alert.changes.ended_by:
        return replace(alert, ends_at=max(alert.ends_at, at + terms.keep))
    return settled(alert, at, active=active, terms=terms)


def _advanced_to(alert: Alert, at: datetime, terms: Terms) -> Alert:
    """Return the alert at a time, with nothing new said of it."""
    if alert.state is AlertState.PENDING or alert.timers.cleared_at is not None:
        return settled(alert, at, active=alert.state is AlertState.PENDING, terms=terms)
    return alert


def _replayed(alert: Alert, recent: Sequence[tuple[float, str]], terms: Terms, now: datetime) -> Alert:
    """Return the alert after all its transitions, by now. Those that were forgotten are remembered by its start."""
    rebuilt = replace(
        alert,
        state=AlertState.INACTIVE,
        ends_at=None,
        timers=Timers(expires_at=alert.timers.expires_at),
        changes=StateChanges(flapping=alert.changes.flapping),
    )
    for transition in recent:
        rebuilt = _applied(rebuilt, transition, terms)
    rebuilt = _advanced_to(rebuilt, now, terms)
    if alert.state is AlertState.FIRING and rebuilt.state is not AlertState.RESOLVED:
        rebuilt = _kept_firing(alert, rebuilt)
    if alert.state is rebuilt.state is AlertState.RESOLVED and alert.ends_at and rebuilt.ends_at:
        changes = replace(rebuilt.changes, ended_by=alert.changes.ended_by)
        rebuilt = replace(rebuilt, ends_at=max(alert.ends_at, rebuilt.ends_at), changes=changes)
    return _with_forgotten_start(alert, rebuilt, recent)


def _kept_firing(alert: Alert, rebuilt: Alert) -> Alert:
    """Return an alert that fires, perhaps with targets notified: if it never should have fired, it ends."""
    if rebuilt.state is AlertState.FIRING:
        return rebuilt
    return alert if rebuilt.state is AlertState.PENDING else ended(alert, alert.starts_at or alert.ends_at or _EVER)


_EVER = from_seconds(0)


def _with_forgotten_start(alert: Alert, rebuilt: Alert, recent: Sequence[tuple[float, str]]) -> Alert:
    if len(recent) < MAX_RECENT or alert.starts_at is None or rebuilt.starts_at is None:
        return rebuilt
    if not _unbroken(alert.starts_at, rebuilt.starts_at, recent):
        return rebuilt
    return replace(rebuilt, starts_at=min(alert.starts_at, rebuilt.starts_at))


def _unbroken(start: datetime, later: datetime, recent: Sequence[tuple[float, str]]) -> bool:
    """Return whether nothing is known to have ended between the two."""
    first, last = start.timestamp(), later.timestamp()
    return not any(first <= at < last for at, transition in recent if transition.startswith(END_MARK))


def _expiring(alert: Alert, at: datetime | None) -> Alert:
    """Return the alert with the end that its sender announced."""
    return replace(alert, timers=replace(alert.timers, expires_at=at)) if at != alert.timers.expires_at else alert


def _latest_end(alert: Alert, event: Event, said_at: datetime, terms: Terms) -> datetime | None:
    """Return the later of the known end and the event's; whoever says none later takes back an end before its own time-out."""
    if alert.timers.expires_at is not None and event.ends_at is not None:
        return max(alert.timers.expires_at, event.ends_at)
    ends_at = alert.timers.expires_at or event.ends_at
    ends_newest = (event.ends_at is not None) == (event.occurred_at >= said_at)
    if ends_at is None or ends_newest or ends_at > max(event.occurred_at, said_at) + terms.resolve_timeout:
        return ends_at
    return None


def described(alert: Alert, event: Event) -> Alert:
    """Return the alert in the words of its newest event; a resolve changes only what it says itself."""
    received = alert.received
    if event.status is not Status.RESOLVED:
        received = replace(received, last_event_at=event.occurred_at)
    return replace(alert, **_description(alert, event), received=received)


def _description(alert: Alert, event: Event) -> dict[str, Any]:
    if event.status is Status.RESOLVED:
        return {"text": replace(alert.text, annotations=event.annotations)} if event.annotations else {}
    text = SenderText(event.title, event.summary, event.url or alert.text.url, event.annotations)
    return {"text": text} if alert.has_condition else {"text": text, **_severity(alert, event)}


def _severity(alert: Alert, event: Event) -> dict[str, Any]:
    found: dict[str, Any] = {"severity": event.severity}
    if event.severity is not alert.severity:
        found["labels"] = _labels_of_severity(alert, event)
    if alert.state is AlertState.FIRING and event.severity.rank < _worst_known(alert):
        found["ack"] = replace(alert.ack, worse_at=event.occurred_at)
    if (eased_at := _eased_at(alert, event)) != alert.changes.eased_at:
        found["changes"] = replace(alert.changes, eased_at=eased_at)
    return found


def _eased_at(alert: Alert, event: Event) -> datetime | None:
    """Return since when an alert that fires is no longer critical; None where it is, or never was."""
    if event.severity is Severity.CRITICAL or alert.state is not AlertState.FIRING:
        return None
    return event.occurred_at if alert.severity is Severity.CRITICAL else alert.changes.eased_at


def _labels_of_severity(alert: Alert, event: Event) -> dict[str, str]:
    """Return the alert's labels with the event's severity, where they hold one, and with its sender's word for it."""
    found = {name: text for name, text in alert.labels.items() if name != SEVERITY_RAW}
    if "severity" in found:
        found["severity"] = event.severity.value
    word = event.all_labels().get(SEVERITY_RAW)
    return found if word is None else {**found, SEVERITY_RAW: word}


def _worst_known(alert: Alert) -> int:
    """Return the rank of its severity now, or when it was acknowledged if that was worse."""
    acked = alert.ack.severity if alert.ack.at is not None else None
    return min(alert.severity.rank, acked.rank if acked is not None else alert.severity.rank)


def closed_by_hand(alert: Alert, at: datetime, by: str) -> Alert:
    """Return the alert, resolved by a person: what its source said until then is history."""
    newest = alert.received.recent[-1][0] if alert.received.recent and not alert.has_condition else 0.0
    alert = ended(alert, at, by=by)
    if alert.origin is Origin.HEARTBEAT:
        return refreshed(alert, at)
    if alert.has_condition:
        return alert
    transition = (max(at.timestamp(), newest), END_MARK + fingerprint("person", by, at.isoformat())[:10])
    recent = (*alert.received.recent, transition)[-MAX_RECENT:]
    return replace(alert, received=replace(alert.received, recent=recent))
