"""The functions of the rule language: each a pure function over the buckets of its window.

To add one, add it to FUNCTIONS: its words, how many further arguments it takes, its unit, and what it makes of what was
measured. None is unknown. `absent` is apart, in `expression.py`: it is a truth, not a number.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

from chalicelib.core.language.units import DAYS, PLAIN_NUMBER, PLAIN_RATIO, Unit
from chalicelib.core.metrics.rollup import step_up
from chalicelib.core.metrics.sample import Bucket
from chalicelib.core.metrics.sketch import sketch_bin, sketch_quantile

SAME_WITHIN = 1e-9
"""Values closer than this share are equal: a sum must not depend on the order in which its samples came."""
MIN_SPAN_SHARE = 0.1
"""A line foretells only if its points span this share of their window: one step in two hours foretells no week."""


def mean(found: Sequence[Bucket]) -> float | None:
    """Return the mean of all samples that have a value."""
    count = sum(bucket.count for bucket in found)
    return math.fsum(bucket.total for bucket in found) / count if count else None


def least(found: Sequence[Bucket]) -> float | None:
    """Return the smallest value."""
    return min((bucket.low for bucket in found if bucket.count), default=None)


def greatest(found: Sequence[Bucket]) -> float | None:
    """Return the largest value."""
    return max((bucket.high for bucket in found if bucket.count), default=None)


def total(found: Sequence[Bucket]) -> float | None:
    """Return the sum of the values; of nothing it is unknown."""
    return math.fsum(bucket.total for bucket in found) if any(bucket.count for bucket in found) else None


def samples(found: Sequence[Bucket]) -> float | None:
    """Return how many samples have a value."""
    return float(sum(bucket.count for bucket in found))


def quantile(found: Sequence[Bucket], share: float) -> float | None:
    """Return the quantile by nearest rank: exact over single samples, within 2 % over roll-ups."""
    valued = [bucket for bucket in found if bucket.count]
    if not valued:
        return None
    if all(bucket.count == 1 for bucket in valued):
        values = sorted(bucket.total for bucket in valued)
        return values[max(1, math.ceil(share * len(values))) - 1]
    counts: dict[int, int] = {}
    for bucket in valued:
        sketch = bucket.sketch or {sketch_bin(bucket.total / bucket.count): bucket.count}
        for number, count in sketch.items():
            counts[number] = counts.get(number, 0) + count
    value = sketch_quantile(counts, share)
    low, high = min(bucket.low for bucket in valued), max(bucket.high for bucket in valued)
    return None if value is None else min(max(value, low), high)


def increase_per_second(found: Sequence[Bucket]) -> float | None:
    """Return how fast a counter grows: the sum of its steps up by the time between; after a restart it counts from zero."""
    valued = [bucket for bucket in found if bucket.last is not None]
    if not valued:
        return None
    first = valued[0]
    began = first.last_at if first.rise is None else first.first_at
    seconds = (valued[-1].last_at - began).total_seconds()
    if seconds <= 0:
        return None
    within = [bucket.rise for bucket in valued if bucket.rise is not None]
    between = [step_up(before.last or 0.0, _opening(after)) for before, after in pairwise(valued)]
    return math.fsum([*within, *between]) / seconds


def _opening(bucket: Bucket) -> float:
    """Return the value with which a bucket began, where its rise since then is known; else its newest."""
    return (bucket.last if bucket.rise is None or bucket.opening is None else bucket.opening) or 0.0


@dataclass(frozen=True, slots=True)
class Line:
    """Least squares: value at `origin` plus `slope` a second. `first_at` to `last_at` is what was measured."""

    origin: datetime
    value: float
    slope: float
    first_at: datetime
    last_at: datetime

    def at(self, when: datetime) -> float:
        """Return the value of the line then."""
        return self.value + self.slope * (when - self.origin).total_seconds()


def line(found: Sequence[Bucket], span: timedelta = timedelta(0)) -> Line | None:
    """Return the line of least squares through the samples; None when they are fewer than two or within less than
    `span`.

    A roll-up counts as its samples at their mean, in the middle of its time.
    """
    valued = [bucket for bucket in found if bucket.count]
    if sum(bucket.count for bucket in valued) < 2:
        return None
    first_at, last_at = min(bucket.first_at for bucket in valued), max(bucket.last_at for bucket in valued)
    if last_at - first_at < span:
        return None
    points = [
        (((b.first_at - first_at) + (b.last_at - first_at)).total_seconds() / 2, b.total / b.count, b.count)
        for b in valued
    ]
    weight = math.fsum(count for _, _, count in points)
    mean_time = math.fsum(time * count for time, _, count in points) / weight
    mean_value = math.fsum(value * count for _, value, count in points) / weight
    spread = math.fsum(count * (time - mean_time) ** 2 for time, _, count in points)
    if spread <= 0:
        return None
    slope = math.fsum(count * (time - mean_time) * (value - mean_value) for time, value, count in points) / spread
    if abs(slope) * (last_at - first_at).total_seconds() <= SAME_WITHIN * abs(mean_value):
        slope = 0.0
    return Line(first_at + timedelta(seconds=mean_time), mean_value, slope, first_at, last_at)


def growth(found: Sequence[Bucket]) -> float | None:
    """Return how much the line grew between the first and the last sample, as a share of where it began."""
    fit = line(found)
    if fit is None:
        return None
    start = fit.at(fit.first_at)
    return (fit.at(fit.last_at) - start) / abs(start) if start else None


def forecast(found: Sequence[Bucket], now: datetime, window: timedelta, seconds: float) -> float | None:
    """Return where the line is so many seconds from now."""
    fit = line(found, window * MIN_SPAN_SHARE)
    return None if fit is None else fit.at(now + timedelta(seconds=seconds))


def days_until(found: Sequence[Bucket], now: datetime, window: timedelta, limit: float) -> float | None:
    """Return days until the line reaches the limit: 0 when it is reached, without end when it does not grow."""
    fit = line(found, window * MIN_SPAN_SHARE)
    if fit is None:
        return None
    last = max((bucket for bucket in found if bucket.last is not None), key=lambda each: each.last_at, default=None)
    if fit.at(now) >= limit or (last is not None and last.last is not None and last.last >= limit):
        return 0.0
    if fit.slope <= 0:
        return math.inf
    return (limit - fit.at(now)) / fit.slope / 86_400


Apply = Callable[[Sequence[Bucket], datetime, timedelta, list[Any]], float | None]


@dataclass(frozen=True, slots=True)
class Function:
    """`unit` None is that of the metric; `arguments` names what follows the window, `duration` or `value`.

    `of_events` are its words over `events`; empty where it does not take them.
    """

    words: str
    apply: Apply
    unit: Unit | None = None
    arguments: tuple[str, ...] = ()
    of_events: str = ""


def _quantile(share: float) -> Apply:
    return lambda found, now, window, numbers: quantile(found, share)


def _of(apply: Callable[[Sequence[Bucket]], float | None]) -> Apply:
    return lambda found, now, window, numbers: apply(found)


FUNCTIONS: dict[str, Function] = {
    "avg": Function("the average of {} over {}", _of(mean)),
    "min": Function("the lowest {} in {}", _of(least)),
    "max": Function("the highest {} in {}", _of(greatest)),
    "sum": Function("the sum of {} over {}", _of(total)),
    "count": Function(
        "the number of samples of {} in {}", _of(samples), PLAIN_NUMBER, of_events="the number of events in {}"
    ),
    "last": Function("the last {} of {}", _of(mean)),
    "p50": Function("the median of {} over {}", _quantile(0.5)),
    "p90": Function("the 90th percentile of {} over {}", _quantile(0.9)),
    "p95": Function("the 95th percentile of {} over {}", _quantile(0.95)),
    "p99": Function("the 99th percentile of {} over {}", _quantile(0.99)),
    "rate": Function(
        "the growth of {} a second over {}", _of(increase_per_second), of_events="the events a second over {}"
    ),
    "growth": Function("the growth of {} over {}", _of(growth), PLAIN_RATIO),
    "forecast": Function(
        "the {0} foretold from {1} for {2} ahead",
        lambda found, now, window, numbers: forecast(found, now, window, numbers[0]),
        arguments=("duration",),
    ),
    "days_until": Function(
        "the days until {0} reaches {2}, foretold from {1},",
        lambda found, now, window, numbers: days_until(found, now, window, numbers[0]),
        DAYS,
        arguments=("value",),
    ),
}
"""Every function over a window."""
