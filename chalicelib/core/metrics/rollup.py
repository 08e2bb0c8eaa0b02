"""Samples merged into minutes and hours, and a probe's result as samples.

Merging is commutative and associative (sums up to the last bit of a float), so that late and shuffled samples give
the same roll-up. A minute remembers the instants it has counted: within one series an instant is counted once, the
first value it came with stays.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from chalicelib.core.metrics.sample import MAX_VALUE, Bucket, Sample
from chalicelib.core.metrics.sketch import sketch_bin

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
MICROSECOND = timedelta(microseconds=1)

MAX_INSTANTS_PER_MINUTE = 600
"""Ten samples a second of one series. What comes above that within one minute is not counted."""


@dataclass(frozen=True, slots=True)
class Minute:
    """One minute of one series; `seen` are the counted instants, in microseconds since the minute's start."""

    start: datetime
    bucket: Bucket
    seen: frozenset[int]


def minute_start(at: datetime) -> datetime:
    """Return the start of the minute, in UTC."""
    return at.astimezone(UTC).replace(second=0, microsecond=0)


def hour_start(at: datetime) -> datetime:
    """Return the start of the hour, in UTC."""
    return at.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def bucket_of(sample: Sample) -> Bucket:
    """Return a single sample as a bucket, with its exact time.

    A sample without a value up to MAX_VALUE is a null; its low and high are then 0.
    """
    at, value = sample.at.astimezone(UTC), sample.value
    if value is None or not abs(value) <= MAX_VALUE:
        return Bucket(at, at, count=0, total=0.0, low=0.0, high=0.0, last=None, nulls=1)
    value = float(value)
    return Bucket(at, at, count=1, total=value, low=value, high=value, last=value, sketch={sketch_bin(value): 1})


def merged(a: Bucket, b: Bucket) -> Bucket:
    """Return both as one. `last` is that of the newer; at the same instant a value wins over none, the larger over the smaller."""
    valued = [each for each in (a, b) if each.count]
    return Bucket(
        first_at=min(a.first_at, b.first_at),
        last_at=max(a.last_at, b.last_at),
        count=a.count + b.count,
        total=a.total + b.total,
        low=min((each.low for each in valued), default=0.0),
        high=max((each.high for each in valued), default=0.0),
        last=max((a, b), key=_recency).last,
        nulls=a.nulls + b.nulls,
        sketch=_added_counts(a.sketch, b.sketch),
    )


def merged_all(buckets: Iterable[Bucket]) -> Bucket | None:
    """Return all of them as one; None when there are none."""
    whole: Bucket | None = None
    for bucket in buckets:
        whole = bucket if whole is None else merged(whole, bucket)
    return whole


def rolled_up(minutes: Sequence[Bucket]) -> Bucket | None:
    """Return minutes, oldest first, as one hour that knows how much a counter rose in it; None when there are none."""
    whole = merged_all(minutes)
    valued = [each.last for each in minutes if each.last is not None]
    if whole is None or len(valued) < 2:
        return whole
    rise = math.fsum(step_up(before, after) for before, after in pairwise(valued))
    return replace(whole, opening=valued[0], rise=rise)


def step_up(before: float, after: float) -> float:
    """Return how much a counter rose between two readings: after a restart it counts from zero."""
    return after - before if after >= before else after


def _recency(bucket: Bucket) -> tuple[datetime, bool, float]:
    return bucket.last_at, bucket.last is not None, bucket.last or 0.0


def _added_counts(a: Mapping[int, int], b: Mapping[int, int]) -> dict[int, int]:
    counts = dict(a)
    for number, count in b.items():
        counts[number] = counts.get(number, 0) + count
    return counts


def with_sample(minute: Minute | None, sample: Sample) -> Minute:
    """Return the minute with the sample counted; the very same minute when its instant is counted already or it is full."""
    start = minute_start(sample.at)
    instant = (sample.at.astimezone(UTC) - start) // MICROSECOND
    bucket = bucket_of(sample)
    if minute is None:
        return Minute(start, bucket, frozenset({instant}))
    if instant in minute.seen or len(minute.seen) >= MAX_INSTANTS_PER_MINUTE:
        return minute
    return Minute(start, merged(minute.bucket, bucket), minute.seen | {instant})


def streaks(previous: tuple[int, int], ok: bool) -> tuple[int, int]:
    """Return (failures, successes), each in a row, after one more run."""
    failures, successes = previous
    return (0, successes + 1) if ok else (failures + 1, 0)


def streak_samples(run: Sample, previous: tuple[int, int]) -> list[Sample]:
    """Return the samples `failures` and `successes` of a probe's run, given as its `uptime` sample."""
    failures, successes = streaks(previous, bool(run.value))
    return [
        Sample("failures", float(failures), run.at, run.labels),
        Sample("successes", float(successes), run.at, run.labels),
    ]


def expand_probe_result(
    name: str,
    ok: bool,
    latency_ms: float | None,
    labels: Mapping[str, str],
    at: datetime,
    previous: tuple[int, int],
) -> list[Sample]:
    """Return a probe's result as samples with the label `probe`; `previous` is (failures, successes) in a row before
    it.

    Without a latency (nothing answered) there is no sample `latency_ms`.
    """
    series = {**labels, "probe": name}
    run = Sample("uptime", 1.0 if ok else 0.0, at, series)
    found = [run, *streak_samples(run, previous)]
    if latency_ms is not None:
        found.append(Sample("latency_ms", float(latency_ms), at, series))
    return found


@dataclass(frozen=True, slots=True)
class Rate:
    """A metric that is the growth of one counter over the growth of others: `scale` × Δ`part` / ΣΔ`whole`.

    A hit rate is Rate("cache_hit_rate", "hits", ("hits", "misses")). Counters start again at zero with their server,
    so a counter that went down makes no sample; a whole that did not grow makes one without a value.
    """

    metric: str
    part: str
    whole: tuple[str, ...]
    scale: float = 1.0

    @property
    def counters(self) -> tuple[str, ...]:
        """Return all counters it reads, each once."""
        return tuple(dict.fromkeys((self.part, *self.whole)))


def rate_sample(
    rate: Rate, before: Mapping[str, float], after: Mapping[str, float], at: datetime, labels: Mapping[str, str]
) -> Sample | None:
    """Return the rate between two readings of its counters; None when one is missing or went down."""
    if any(counter not in before or counter not in after for counter in rate.counters):
        return None
    growth = {counter: after[counter] - before[counter] for counter in rate.counters}
    if min(growth.values()) < 0:
        return None
    whole = sum(growth[counter] for counter in rate.whole)
    return Sample(rate.metric, rate.scale * growth[rate.part] / whole if whole else None, at, labels)


def newest_value(buckets: Sequence[Bucket]) -> float | None:
    """Return the value of the newest sample; None when there is none or it had no value."""
    return buckets[-1].last if buckets else None
