"""Rows of open incidents, the worst first: from the index of rows where it has them all, else from the incidents."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from chalicelib.core.context import Context
from chalicelib.core.glance import Glance
from chalicelib.core.glancing import as_of, fires, glance_of, has_turned, may_mute
from chalicelib.core.incident import IncidentStatus
from chalicelib.core.listing import listed, whole
from chalicelib.core.picture import Picture, picture_of
from chalicelib.core.ports import Store
from chalicelib.core.rule import Rules
from chalicelib.core.summary import Summary
from chalicelib.schedule.open_counts import OpenCounts


@dataclass(frozen=True, slots=True)
class Look:
    """What rows are judged by: the store, the rules, the time and the zone of the reader, and what the tick counted.

    `read_context` gives the context that one view reads once; without it each use reads it.
    """

    store: Store
    rules: Rules
    now: datetime
    timezone: str
    counts: OpenCounts | None = None
    read_context: Callable[[], Context] | None = None

    def context(self) -> Context:
        """Return what every decision looks at."""
        return (self.read_context or self.store.context)()


def indexed_rows(look: Look, limit: int | None = None, known: Sequence[Glance] | None = None) -> list[Glance] | None:
    """Return the worst rows as of now; None where the index lacks some. `known` are all rows, read before."""
    if look.counts is None or not look.counts.has_rows(look.now):
        return None
    rows = known[:limit] if known is not None else look.store.worst(limit)
    return None if rows is None else _as_of_now(rows, look)


def _as_of_now(rows: Sequence[Glance], look: Look) -> list[Glance]:
    """Return rows under the windows and silences of now. What a silence mutes that has turned since is read."""
    context = look.context() if rows else Context()
    found = [as_of(each, look.rules, look.now) for each in rows]
    turned = {
        row.id: [each for each in context.all_silences if has_turned(each, row, look.now)] for row in rows if fires(row)
    }
    if not any(turned.values()):
        return found
    about = [each for each in listed(look.store) if turned.get(each.name) and may_mute(turned[each.name], each)]
    anew = {each.incident.id: glance_of(each, look.now) for each in _pictures(about, look, context)}
    return [anew.get(each.id, each) for each in found]


def read_rows(chosen: Sequence[Summary], look: Look) -> list[Glance]:
    """Return the rows of these incidents, in this order, made from the incidents."""
    return [glance_of(each, look.now) for each in _pictures(chosen, look)]


def pictures_of(store: Store, chosen: Sequence[Summary], rules: Rules, now: datetime, timezone: str) -> list[Picture]:
    """Return the incidents that are still open, in this order. A summary may be a moment older than its incident."""
    return _pictures(chosen, Look(store, rules, now, timezone))


def pictures_of_rows(rows: Sequence[Glance], look: Look) -> list[Picture]:
    """Return the incidents of these rows, read whole."""
    return _pictures([Summary(each.key, each.id, IncidentStatus.OPEN) for each in rows], look)


def _pictures(chosen: Sequence[Summary], look: Look, context: Context | None = None) -> list[Picture]:
    read = whole(look.store, chosen)
    there = [read[each.name] for each in chosen if each.name in read]
    there = [each for each in there if each.status is IncidentStatus.OPEN]
    if not there:
        return []
    known = context if context is not None else look.context()
    return [picture_of(each, look.rules, known, look.now, look.timezone) for each in there]


def place(each: Summary) -> tuple[int, str, str]:
    """Return where an incident is in a list: worst first, then the oldest."""
    return each.severity.rank, each.at.isoformat() if each.at else "", each.name


def row_place(each: Glance) -> tuple[int, datetime, str]:
    """Return where a row is in a list: worst first, then the oldest."""
    return each.severity.rank, each.since, each.id
