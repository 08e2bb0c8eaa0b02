"""What the performance page shows of a zone or a service: latency, requests, errors and visitors of 24 hours.

A point of a chart is one hour, with the highest interval in it: percentiles of intervals are never averaged into one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import fsum

from chalicelib.core.metrics.sample import Bucket
from chalicelib.core.ports import Store
from chalicelib.core.rule import Rules
from chalicelib.probes import every
from chalicelib.web.curve import Curve
from chalicelib.web.measures import (
    HIGHEST,
    MEAN,
    Figure,
    Subject,
    chosen,
    curve_of_hours,
    day_start,
    hourly,
    limits_of,
    newest,
    read,
    subjects,
)

TITLES = {
    "p95_latency_ms": "p95 latency",
    "p99_latency_ms": "p99 latency",
    "error_rate": "Error rate",
    "requests_per_min": "Requests a minute",
    "active_users": "Active users",
}
"""The metrics of the page, and what people call them."""


@dataclass(frozen=True, slots=True)
class Requests:
    """The requests of 24 hours, from as many samples as there were, of those that were due."""

    count: float
    samples: int
    due: int


@dataclass(frozen=True, slots=True)
class PerformanceView:
    """What the page shows of `subject`; None where nothing was measured. `others` are all there are to choose from."""

    subject: Subject | None
    others: tuple[Subject, ...] = ()
    figures: tuple[Figure, ...] = ()
    requests: Requests | None = None
    curves: tuple[Curve, ...] = ()


def performance_view(store: Store, rules: Rules, now: datetime, *, of: str = "") -> PerformanceView:
    """Return what the page shows."""
    found = subjects(store, TITLES)
    subject = chosen(found, of)
    if subject is None:
        return PerformanceView(None)
    start = day_start(now)
    measured = {name: read(store, name, subject.labels, start, now) for name in TITLES if name in subject.metrics}
    figures = tuple(_figure(rules, subject, metric, buckets, now) for metric, buckets in measured.items())
    return PerformanceView(
        subject,
        found,
        figures,
        _requests(measured.get("requests_per_min", ()), rules, subject, start, now),
        tuple(each for each in _curves(measured, figures, start) if each is not None),
    )


def _figure(rules: Rules, subject: Subject, metric: str, buckets: Sequence[Bucket], now: datetime) -> Figure:
    value, at = newest(buckets, now)
    return Figure(metric, TITLES[metric], value, at, limits=limits_of(rules, metric, subject.labels, now))


def _requests(
    buckets: Sequence[Bucket], rules: Rules, subject: Subject, start: datetime, now: datetime
) -> Requests | None:
    """Return the count; None where nothing says for how long a sample stands."""
    interval = next((every(each) for each in _entries(rules) if each.get("name") == subject.labels.get("probe")), None)
    if interval is None or not buckets:
        return None
    per_sample = interval / timedelta(minutes=1)
    samples = sum(each.count for each in buckets)
    count = fsum(each.total for each in buckets) * per_sample
    return Requests(count, samples, max(samples, int((now - start) / interval)))


def _entries(rules: Rules) -> Sequence[Mapping[str, object]]:
    return [each for found in rules.probes.values() for each in found]


def _curves(
    measured: Mapping[str, Sequence[Bucket]], figures: Sequence[Figure], start: datetime
) -> Sequence[Curve | None]:
    limits = {each.metric: each.limits for each in figures}
    high = {metric: hourly(buckets, start, HIGHEST) for metric, buckets in measured.items()}
    found: list[Curve | None] = []
    if "p95_latency_ms" in high:
        second = high.get("p99_latency_ms", ())
        found.append(
            curve_of_hours(
                "Latency",
                "p95_latency_ms",
                high["p95_latency_ms"],
                start,
                limits["p95_latency_ms"],
                second=second,
                names=("p95", "p99") if second else ("p95",),
                second_limits=limits.get("p99_latency_ms", ()),
            )
        )
    for metric in ("error_rate", "active_users"):
        if metric in high:
            found.append(curve_of_hours(TITLES[metric], metric, high[metric], start, limits[metric]))
    if "requests_per_min" in high:
        means = hourly(measured["requests_per_min"], start, MEAN)
        found.append(
            curve_of_hours(
                TITLES["requests_per_min"],
                "requests_per_min",
                means,
                start,
                limits["requests_per_min"],
                second=high["requests_per_min"],
                names=("mean of the hour", "highest"),
            )
        )
    return found
