"""The slowest statements of a database, as its probe saw them last: rows of what a run leaves (`core/probe_state.py`).

They are evidence of `query_time_ms`, masked before they leave the probe. The page of infrastructure shows them.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from chalicelib.core.metrics.sample import Sample
from chalicelib.core.ports import Store
from chalicelib.core.probe_state import STATE, read
from chalicelib.schedule.reconciliation import instant_or_none

METRIC, SEEN = "query_time_ms", "slowest"
_EACH = re.compile(r"; (?=[\d,]+ ms × \d+: )")
"""What stands between two statements in the words of the probe."""
MAX_KEPT = 10
"""So many databases at most are kept."""


@dataclass(frozen=True, slots=True)
class Slowest:
    """Statements with their mean time and their calls, the slowest first, and when they were read."""

    at: datetime
    statements: tuple[str, ...]


def slowest_after(before: Mapping[str, Any], samples: Iterable[Sample]) -> dict[str, Any]:
    """Return the rows of the slowest statements after a run, those of the databases that were read last."""
    found = dict(before)
    for each in samples:
        if each.metric == METRIC and each.observed.get(SEEN):
            found[_name(each.labels)] = [each.at.isoformat(), _EACH.split(each.observed[SEEN])]
    return dict(sorted(found.items(), key=lambda row: str(row[1][0]))[-MAX_KEPT:])


def slowest_of(store: Store, labels: Mapping[str, str]) -> Slowest | None:
    """Return the slowest statements of the database of a probe; None where they were never read."""
    name = _name(labels)
    marks = store.marks([STATE, name])
    row = read(marks.get(STATE)).slowest.get(name) or _of_the_version_before(marks.get(name))
    at = instant_or_none(row[0]) if row else None
    return None if at is None else Slowest(at, tuple(row[1]))


def _of_the_version_before(text: str | None) -> Sequence[Any]:
    """Return the row of a mark that the version before wrote for one database."""
    found = json.loads(text) if text else {}
    return [found["at"], found["statements"]] if found else ()


def _name(labels: Mapping[str, str]) -> str:
    return f"slowest:{labels.get('probe', '')} {labels.get('database', '')}"
