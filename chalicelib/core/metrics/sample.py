"""What was measured: one value of one metric at one time.

Ratios are 0 to 1 (an error rate of 3 % is 0.03), latencies milliseconds, sizes bytes unless the metric's name ends in
a unit (`db_size_gb`). A value of None was measured, but there was nothing to divide by.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

MAX_VALUE = 1e100
"""A larger number is not a measurement. Sums and products of values up to here are still numbers."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One measured value. `labels` identify its series (zone, service, database, probe).

    `observed` is what its probe saw, in words for people (`core/observed.py`). It is not stored with the value.
    """

    metric: str
    value: float | None
    at: datetime
    labels: Mapping[str, str] = field(default_factory=dict)
    observed: Mapping[str, str] = field(default_factory=dict, compare=False)


@dataclass(frozen=True, slots=True)
class Bucket:
    """Samples of one series over a short time, merged; a single sample is a bucket with `count` 1.

    `count` are the samples with a value, `nulls` those without one (measured, nothing to divide by). `last` is the
    newest value by event time; `sketch` maps a logarithmic bin to its count, for p95 and p99 within 2 %. An hour also
    knows its `opening` value and the `rise` of a counter since then, restarts counted; a merge does not know them.
    """

    first_at: datetime
    last_at: datetime
    count: int
    total: float
    low: float
    high: float
    last: float | None
    nulls: int = 0
    sketch: Mapping[int, int] = field(default_factory=dict)
    opening: float | None = None
    rise: float | None = None


class Series(Protocol):
    """What a condition is evaluated over: the samples of one set of labels and the events of one alert."""

    def buckets(self, metric: str, since: datetime, until: datetime) -> Sequence[Bucket]:
        """Return buckets with since < last_at <= until, oldest first; none when nothing was measured."""
        ...

    def event_times(self) -> Sequence[datetime]:
        """Return the times of the events that the rule matched, oldest first, each counted once."""
        ...
