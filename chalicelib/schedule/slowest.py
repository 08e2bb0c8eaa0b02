"""The slowest statements of a database, as its probe saw them last: a mark in the table, written by each run that has them.

They are evidence of `query_time_ms`, masked before they leave the probe. The page of infrastructure shows them.
"""

import json
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from chalicelib.core.errors import NotStoredError
from chalicelib.core.metrics.sample import Sample
from chalicelib.core.ports import Store
from chalicelib.schedule.reconciliation import instant_or_none

METRIC, SEEN = "query_time_ms", "slowest"
_EACH = re.compile(r"; (?=[\d,]+ ms × \d+: )")
"""What stands between two statements in the words of the probe."""
MAX_KEPT = 10
"""So many databases at most are kept by one run of the probes."""


@dataclass(frozen=True, slots=True)
class Slowest:
    """Statements with their mean time and their calls, the slowest first, and when they were read."""

    at: datetime
    statements: tuple[str, ...]


def keep_slowest(store: Store, samples: Iterable[Sample]) -> None:
    """Keep what the samples say of slow statements; a table that is away costs the page a minute, and the run nothing."""
    found = [each for each in samples if each.metric == METRIC and each.observed.get(SEEN)]
    with suppress(NotStoredError):
        for each in found[:MAX_KEPT]:
            text = {"at": each.at.isoformat(), "statements": _EACH.split(each.observed[SEEN])}
            store.put_mark(_name(each.labels), json.dumps(text, ensure_ascii=False))


def slowest_of(store: Store, labels: Mapping[str, str]) -> Slowest | None:
    """Return the slowest statements of the database of a probe; None where they were never read."""
    text = store.marks([_name(labels)]).get(_name(labels))
    found = json.loads(text) if text else {}
    at = instant_or_none(found.get("at"))
    return None if at is None else Slowest(at, tuple(found["statements"]))


def _name(labels: Mapping[str, str]) -> str:
    return f"slowest:{labels.get('probe', '')} {labels.get('database', '')}"
