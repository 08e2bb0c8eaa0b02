"""What became of each rule in a week, counted at most every five minutes where many incidents are to be counted.

The page of rules is loaded every ten seconds wherever it is open. Of a few incidents the rows are read each time. Of many,
the first view keeps what it has counted as a mark, and the page says when that was.
"""

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from chalicelib.core.errors import NotStoredError
from chalicelib.core.glance import Glance
from chalicelib.core.instants import from_seconds
from chalicelib.core.ports import Store
from chalicelib.core.rule import Rules
from chalicelib.schedule.open_counts import OpenCounts
from chalicelib.web.rules import NO_RECORD, Record, Week, record_of, week_of

MARK = "week_of_rules"
MANY = 200
"""So many incidents are counted anew for each view: a read unit has the rows of some 25."""
COUNTED_EVERY = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Tally:
    """What became of the rules: `incidents` in the week, of `read` it is known; `others` are alerts without a rule."""

    at: datetime
    incidents: int = 0
    read: int = 0
    others: int = 0
    records: Mapping[str, Record] = field(default_factory=dict)

    def of(self, name: str) -> Record:
        """Return what became of a rule."""
        return self.records.get(name, NO_RECORD)


def tally_and_open(
    store: Store, rules: Rules, counts: OpenCounts | None, now: datetime, *, many: int = MANY
) -> tuple[Tally, tuple[Glance, ...] | None]:
    """Return what became of the rules, and the rows of what is open where they were read for it.

    What more than `many` incidents came to is kept.
    """
    kept = _kept(store, now)
    if kept is not None:
        return kept, None
    week = week_of(store, counts, now)
    found = tally_of(week, rules, now)
    if week.total > many:
        with suppress(NotStoredError):
            store.put_mark(MARK, written(found))
    return found, week.open


def tally_of(week: Week, rules: Rules, now: datetime) -> Tally:
    """Return what became of the rules of today in a week."""
    names = {rule.name for rule in rules.rules}
    records = {name: record_of(name, count, week.known) for name, count in week.fired.items() if name in names}
    others = sum(count for name, count in week.fired.items() if name not in names)
    return Tally(now, week.total, len(week.known), others, records)


def _kept(store: Store, now: datetime) -> Tally | None:
    """Return what was counted within COUNTED_EVERY; None of none, and of what another version wrote in another form."""
    with suppress(NotStoredError, ValueError, TypeError):
        if text := store.marks([MARK]).get(MARK):
            found = read(text)
            return found if found.at <= now < found.at + COUNTED_EVERY else None
    return None


def written(tally: Tally) -> str:
    """Return the text of the mark."""
    records = {
        name: (each.fired, each.read, _seconds(each.last_at), each.acted, each.soon, each.never)
        for name, each in tally.records.items()
    }
    values = (_seconds(tally.at), tally.incidents, tally.read, tally.others, records)
    return json.dumps(values, separators=(",", ":"), ensure_ascii=False)


def read(text: str) -> Tally:
    """Return what a mark says."""
    at, incidents, known, others, records = json.loads(text)
    return Tally(from_seconds(at), incidents, known, others, {name: _record(*each) for name, each in records.items()})


def _record(fired: int, known: int, last: float | None, acted: int, soon: int, never: int) -> Record:
    return Record(fired, known, None if last is None else from_seconds(last), acted, soon, never)


def _seconds(at: datetime | None) -> Any:
    return None if at is None else at.timestamp()
