"""What happened to an incident, in lines for people: kept with it, so that writing it costs nothing.

What people did and who was notified is noted where that is decided; `recorded` adds what the alerts did, by comparing the
incident with what was stored, and folds the events between two such lines into one count. Lines that would outgrow the
incident's item move to pages of PAGE lines, one more write for every hundred.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from chalicelib.core.alert import Alert, AlertState
from chalicelib.core.incident import MAX_TIMELINE, Entry, Incident, IncidentStatus, Timeline
from chalicelib.core.mute import Muting
from chalicelib.core.payload.coerce import cut

PAGE = 100
PAGED_FROM = 150
MAX_NAMED = 3
MAX_NAME_CHARACTERS = 100
_ORDER = {kind: rank for rank, kind in enumerate(("began", "fired", "resolved", "flapping", "worse", "events"))}
_ENDED = 99

Changed = tuple[Alert | None, Alert]
"""An alert as it was stored, and as it is."""


def recorded(before: Incident | None, after: Incident, mutings: Mapping[str, Muting], now: datetime) -> Incident:
    """Return the incident with lines for what its alerts did since `before`, which is what was stored."""
    if not after.id or (before is not None and before.id == after.id and before.status is IncidentStatus.ENDED):
        return after
    known = before.alerts if before is not None else {}
    changed = [(known.get(name), alert) for name, alert in after.alerts.items() if known.get(name) is not alert]
    entries = [*_fired(changed, mutings), *_resolved(changed), *_altered(changed, now)]
    events = sum(_new_events(was, alert) for was, alert in changed)
    events += max(0, after.truncated.events - (before.truncated.events if before is not None else 0))
    noted = after.timeline.entries
    lines = _counted(noted, entries, events, [alert for _, alert in changed], now)
    if lines is noted:
        return after
    return replace(after, timeline=replace(after.timeline, entries=lines[-MAX_TIMELINE:]))


def _new_events(before: Alert | None, alert: Alert) -> int:
    if before is None or alert.received.events < before.received.events:
        return alert.received.events
    return alert.received.events - before.received.events


def paged(before: Incident | None, after: Incident) -> tuple[Incident, tuple[Entry, ...]]:
    """Return the incident without its oldest lines, and those, when it holds too many; the page of that number is kept
    first.

    A page follows from what was stored alone, so two workers at once keep the same one.
    """
    if before is None or before.id != after.id or len(before.timeline.entries) < PAGED_FROM:
        return after, ()
    page, lines = before.timeline.entries[:PAGE], after.timeline.entries
    if lines[:PAGE] != page:
        return after, ()
    return replace(after, timeline=Timeline(lines[PAGE:], after.timeline.pages + 1)), page


def notified_counts(entries: Iterable[Entry]) -> Counter[str]:
    """Return how many notifications each target was sent, by its key: silent changes of a message are none."""
    return Counter(target for target, _ in {(each.target, each.seq) for each in entries if each.kind == "told"})


def in_order(entries: Iterable[Entry]) -> list[Entry]:
    """Return the entries by time; at one time a fire before its notifications, and the end last."""
    return sorted(entries, key=lambda each: (each.at, _ENDED if each.kind == "ended" else _ORDER.get(each.kind, 50)))


def _fired(changed: Sequence[Changed], mutings: Mapping[str, Muting]) -> list[Entry]:
    fired = [alert for before, alert in changed if alert.state is AlertState.FIRING and _is_new(before, alert)]
    if not fired:
        return []
    at = min(alert.starts_at for alert in fired if alert.starts_at)
    text = f"{_names(fired)} {'fires' if len(fired) == 1 else 'fire'}"
    if len(fired) == 1 and fired[0].evaluation.value:
        last = fired[0].evaluation
        text += f": {last.value}" + (f" (limit {last.threshold})" if last.threshold else "")
    muted = {name for alert in fired if alert.fingerprint in mutings for name in mutings[alert.fingerprint].names}
    if muted:
        text += f", muted: {'; '.join(sorted(muted)[:MAX_NAMED])}"
    return [Entry(at, text, kind="fired")]


def _is_new(before: Alert | None, alert: Alert) -> bool:
    if before is None or before.state is not AlertState.FIRING:
        return True
    return before.starts_at is not None and alert.starts_at is not None and alert.starts_at > before.starts_at


def _resolved(changed: Sequence[Changed]) -> list[Entry]:
    over = [alert for before, alert in changed if alert.state is AlertState.RESOLVED and _was_firing(before)]
    if not over:
        return []
    at = max(alert.ends_at for alert in over if alert.ends_at)
    by = sorted({alert.changes.ended_by for alert in over if alert.changes.ended_by})
    text = f"{_names(over)} {'is' if len(over) == 1 else 'are'} over"
    return [Entry(at, text + (f" ({', '.join(by)})" if by else ""), kind="resolved")]


def _was_firing(before: Alert | None) -> bool:
    return before is not None and before.state is AlertState.FIRING


def _altered(changed: Sequence[Changed], now: datetime) -> list[Entry]:
    both = [(was, alert) for was, alert in changed if was is not None and alert.state is was.state is AlertState.FIRING]
    flapping = [alert for was, alert in both if alert.changes.flapping and not was.changes.flapping]
    worse = [alert for was, alert in both if alert.severity.rank < was.severity.rank]
    found = []
    if flapping:
        found.append(Entry(now, f"{_names(flapping)}: flapping, held open until it calms", kind="flapping"))
    if worse:
        severity = min(worse, key=lambda alert: alert.severity.rank).severity.value
        found.append(Entry(now, f"{_names(worse)}: {severity} now", kind="worse"))
    return found


def _names(alerts: Sequence[Alert]) -> str:
    names = list(dict.fromkeys(short_name(alert) for alert in alerts))
    if len(alerts) == 1:
        return names[0]
    return f"{len(alerts)} alerts ({', '.join(names[:MAX_NAMED])}{', …' if len(names) > MAX_NAMED else ''})"


def short_name(alert: Alert) -> str:
    """Return the name of its rule where that measures or counts, else the title of its event, cut."""
    return cut(alert.name if alert.has_condition else alert.text.title or alert.name, MAX_NAME_CHARACTERS)


def _counted(
    timeline: tuple[Entry, ...], entries: list[Entry], events: int, changed: Iterable[Alert], now: datetime
) -> tuple[Entry, ...]:
    """Return the lines with the new ones; the new events are counted on the first of them, else folded into the last line."""
    newest = max((alert.received.last_event_at for alert in changed if alert.received.last_event_at), default=now)
    if events > 0 and entries:
        entries[0] = replace(entries[0], count=events, until=newest)
        events = 0
    if entries:
        return (*timeline, *entries)
    if events <= 0:
        return timeline
    last = timeline[-1] if timeline else None
    if last is not None and last.kind == "events":
        total = last.count + events
        return (*timeline[:-1], replace(last, text=_events(total), count=total, until=max(newest, last.at)))
    return (*timeline, Entry(newest, _events(events), kind="events", count=events, until=newest))


def _events(count: int) -> str:
    return f"{count} more event{'' if count == 1 else 's'}"
