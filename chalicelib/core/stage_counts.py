"""What the functions of a stage count of their own work: sums by series, which can be added in any order.

A series is the name of a count with the values of its labels. A time is counted in its bucket, and added to a sum, as a
histogram of Prometheus needs it. A count only grows, so it begins anew only with a new table.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

Series = tuple[str, ...]
Sums = Mapping[Series, float]

RECEIVED, PROCESSED, REFUSED = "webhooks_received", "webhooks_processed", "webhooks_refused"
EVENTS, DELIVERIES, DEAD_LETTERED = "events", "deliveries", "dead_lettered"
PROCESSING, DELIVERY = "processing_seconds", "delivery_seconds"
LABELS: Mapping[str, tuple[str, ...]] = {
    RECEIVED: ("source",),
    PROCESSED: ("source",),
    REFUSED: ("source", "status"),
    EVENTS: ("source", "status"),
    DELIVERIES: ("target", "answer"),
    DEAD_LETTERED: ("queue",),
    PROCESSING: (),
    DELIVERY: ("kind",),
}
"""The labels of each count. A series of a time has one value more, after those of its labels: a bound, or SUM."""
DELIVERED, FAILED, GIVEN_UP = "delivered", "failed", "given_up"
"""What came of a try to deliver: the target took it, it is tried again, or never."""
ANSWERS = (DELIVERED, FAILED, GIVEN_UP)
DEAD_LETTERING = ("webhooks", "notifications")
"""The queues whose worker counts what it dead-letters."""
BOUNDS = (1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0)
"""The upper bounds of the buckets of a time, in seconds."""
BEYOND, SUM = "+Inf", "sum"
MAX_SERIES = 500
"""So many series are kept of a stage: each scrape reads all of them."""
OTHER = "other"
MAX_LABEL_CHARACTERS = 120


class Tally:
    """Sums that grow while a function runs."""

    def __init__(self) -> None:
        self.sums: dict[Series, float] = {}

    def add(self, name: str, *labels: str, times: float = 1) -> None:
        """Count something."""
        series = (name, *(each[:MAX_LABEL_CHARACTERS] for each in labels))
        self.sums[series] = self.sums.get(series, 0) + times

    def add_time(self, name: str, *labels: str, took: timedelta) -> None:
        """Count how long something took. A clock that runs behind makes no negative time."""
        seconds = max(took.total_seconds(), 0.0)
        bound = next((f"{each:g}" for each in BOUNDS if seconds <= each), BEYOND)
        self.add(name, *labels, bound)
        self.add(name, *labels, SUM, times=seconds)

    def add_all(self, sums: Sums) -> None:
        """Add other sums."""
        for series, value in sums.items():
            self.sums[series] = self.sums.get(series, 0) + value


@dataclass(frozen=True, slots=True)
class StageCounts:
    """The stored sums of a stage, each under its series as JSON.

    `month` is the newest one in which anything was counted (`2026-12`), and `before` what was counted until it began:
    processed webhooks and tries to deliver.
    """

    sums: Mapping[str, float] = field(default_factory=dict)
    version: int = 0
    month: str = ""
    before: Mapping[str, float] = field(default_factory=dict)

    def by_series(self) -> dict[Series, float]:
        """Return the sums by their series."""
        return {tuple(json.loads(key)): value for key, value in self.sums.items()}

    def in_month(self, now: datetime) -> tuple[float, float]:
        """Return how many webhooks were processed in the month of `now`, and how often a delivery was tried."""
        if self.month != f"{now:%Y-%m}":
            return 0.0, 0.0
        found = self._activity()
        return found[PROCESSED] - self.before.get(PROCESSED, 0.0), found[DELIVERIES] - self.before.get(DELIVERIES, 0.0)

    def _activity(self) -> dict[str, float]:
        found = dict.fromkeys((PROCESSED, DELIVERIES), 0.0)
        for series, value in self.by_series().items():
            if series[0] in found:
                found[series[0]] += value
        return found

    def plus(self, new: Sums, *, now: datetime | None = None) -> "StageCounts":
        """Return the next version, with what was counted by `now`. Series beyond MAX_SERIES are counted as of OTHER."""
        sums = dict(self.sums)
        month = f"{now:%Y-%m}" if now is not None else self.month
        before = self.before if month == self.month else self._activity()
        for series, value in sorted(new.items()):
            key = _key(series)
            if key not in sums and len(sums) >= MAX_SERIES:
                key = _key(_other(series))
            sums[key] = sums.get(key, 0) + value
        return StageCounts(sums, self.version + 1, month, before)


def _key(series: Series) -> str:
    return json.dumps(series, separators=(",", ":"))


def _other(series: Series) -> Series:
    labels = len(LABELS.get(series[0], series[1:]))
    return (series[0], *([OTHER] * labels), *series[labels + 1 :])
