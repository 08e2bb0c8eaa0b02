"""The page of one incident: its alerts and why they are together, what happened, who was notified, what one can do."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from chalicelib.api.views import find
from chalicelib.core.account import with_door
from chalicelib.core.alert import Origin
from chalicelib.core.context import Context
from chalicelib.core.delivery.delivery_log import Result, delivery_log_key
from chalicelib.core.delivery.notification import Reason
from chalicelib.core.incident import Entry, Incident
from chalicelib.core.notified import NotifiedState
from chalicelib.core.picture import Picture, picture_of
from chalicelib.core.ports import Store
from chalicelib.core.rule import Rules
from chalicelib.core.timeline import in_order, notified_counts
from chalicelib.web.counted import counted_curve
from chalicelib.web.curve import Curve, curve_of

MAX_LINES = 200
SIGNS: Mapping[str, str] = {
    "fired": "critical",
    "worse": "critical",
    "flapping": "warning",
    "resolved": "ok",
    "ended": "ok",
    "told": "sent",
    "ack": "ack",
    "unack": "ack",
    "keep": "closing",
    "ack_expired": "ack",
    "ack_lifted": "ack",
    "silence": "silenced",
}
"""The shape beside a line of the timeline, by its kind."""
NOTIFIED_OF: Mapping[str, str] = {
    "opened": "of the beginning",
    "updated": "of news",
    "reminder": "again, as a reminder",
    "escalated": "by escalation",
    "resolved": "of the end",
}
"""Of what a target was notified, by the reason that the line begins with."""
Name = Callable[[str], str]
"""Returns a target's name for people, by its key."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the timeline. `delivery` is what came of a notification, in words."""

    at: datetime
    sign: str
    text: str
    by: str = ""
    delivery: str = ""


@dataclass(frozen=True, slots=True)
class Notified:
    """What one target was notified of: when last, and what the newest delivery came to."""

    target: str
    at: datetime | None
    count: int
    error: str = ""
    open: bool = True


@dataclass(frozen=True, slots=True)
class IncidentView:
    """One incident, its whole timeline with the newest line first, and its targets."""

    picture: Picture
    lines: tuple[Line, ...]
    notified: tuple[Notified, ...]
    earlier: int = 0
    curve: Curve | None = None

    @property
    def group(self) -> Sequence[tuple[str, str]]:
        """Return the labels that its alerts have in common."""
        return sorted(self.picture.incident.group.items())


def incident_view(store: Store, rules: Rules, now: datetime, *, id: str, timezone: str, name: Name) -> IncidentView:
    """Return the page of an incident, by its id or the first characters of it. Raise NotFoundError or NotUniqueError."""
    found = find(store, id, now)
    context = store.context()
    picture = picture_of(found, rules, context, now, timezone)
    results = _results(store, found)
    older = store.timeline(found.id) if found.timeline.pages else ()
    entries = in_order((*older, *found.timeline.entries))
    entries.reverse()
    counts = notified_counts(entries)
    return IncidentView(
        picture,
        tuple(_line(each, results, name) for each in entries[:MAX_LINES]),
        tuple(_notified(each, results.get(each.target.key, ()), counts, name) for each in picture.notified),
        max(0, len(entries) - MAX_LINES),
        _curve(found, rules, store, context, now),
    )


def _curve(found: Incident, rules: Rules, store: Store, context: Context, now: datetime) -> Curve | None:
    """Return the curve of the worst measured alert that fires, or fired; else of the worst one that counts events."""
    alerts = sorted(found.firing or found.shown, key=lambda each: (each.severity.rank, each.name))
    measured = next((each for each in alerts if each.origin is Origin.SERIES), None)
    if measured is not None:
        return curve_of(found, measured, rules, store, context, now)
    counted = next((each for each in alerts if each.origin is Origin.COUNT), None)
    return counted_curve(found, counted, rules, store, context, now) if counted is not None else None


def _results(store: Store, incident: Incident) -> dict[str, Sequence[Result]]:
    keys = {delivery_log_key(incident.id, target): target for target in incident.announced}
    return {keys[key]: log.results for key, log in store.delivery_logs(list(keys)).items()}


def _line(entry: Entry, results: Mapping[str, Sequence[Result]], name: Name) -> Line:
    came_of = next((each for each in results.get(entry.target, ()) if each.seq == entry.seq), None)
    return Line(
        entry.at,
        SIGNS.get(entry.kind, "remark"),
        _text(entry, name),
        with_door(entry.by, entry.via, entry.account) if entry.by else "",
        _delivery(came_of) if entry.target else "",
    )


def _text(entry: Entry, name: Name) -> str:
    if entry.target:
        return f"{name(entry.target)} notified {NOTIFIED_OF.get(entry.text.partition(' ')[0], '')}".rstrip()
    return f"“{entry.text}”" if entry.kind == "note" else f"{entry.text[:1].upper()}{entry.text[1:]}"


def _delivery(result: Result | None) -> str:
    if result is None:
        return "on its way"
    if not result.delivered:
        return f"not delivered: {result.error or 'without a reason'}"
    tries = f"delivered at the {_ordinal(result.attempts)} try" if result.attempts > 1 else "delivered"
    return f"{tries}; {result.note}" if result.note else tries


def _ordinal(count: int) -> str:
    return {2: "second", 3: "third"}.get(count, f"{count}th")


def _notified(each: NotifiedState, results: Sequence[Result], counts: Mapping[str, int], name: Name) -> Notified:
    sent = [result for result in results if result.reason != Reason.SYNC]
    error = sent[-1].error if sent and not sent[-1].delivered else ""
    received = next((result.at for result in reversed(sent) if result.delivered), None)
    key = each.target.key
    return Notified(name(key), received or each.last.at, counts.get(key, 0), error, each.open)
