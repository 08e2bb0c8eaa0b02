"""What the infrastructure page shows of a database, a cache or any probe: size with its forecast, use, response times.

The forecast is the line of least squares through 7 days of hourly samples, as `days_until` of the rule language draws it. Its
range is two standard errors of its slope on either side. Days until a limit are rounded down.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from chalicelib.core.language.functions import MIN_SPAN_SHARE, Line, days_until, line, quantile
from chalicelib.core.language.units import unit_of
from chalicelib.core.metrics.rollup import hour_start, merged_all
from chalicelib.core.metrics.sample import Bucket
from chalicelib.core.metrics.sketch import sketch_value
from chalicelib.core.ports import Store
from chalicelib.core.rule import Rules
from chalicelib.schedule.slowest import METRIC, Slowest, slowest_of
from chalicelib.web.curve import Curve, Foretold, Level
from chalicelib.web.measures import (
    DAY,
    HIGHEST,
    Figure,
    Limit,
    Pick,
    Subject,
    chosen,
    curve_of_hours,
    day_start,
    hourly,
    last_of,
    limits_of,
    newest,
    read,
    stretches,
    subjects,
)

SIZE, LATENCY = "db_size_gb", "latency_ms"
TITLES = {
    SIZE: "Database size",
    "connections_used": "Connections in use",
    "cache_hit_rate": "Cache hit rate",
    "query_time_ms": "Query time, mean",
    "memory_used": "Memory in use",
}
FOUND_BY = (SIZE, "connections_used", "cache_hit_rate", "query_time_ms", LATENCY)
OF = {
    "cache_hit_rate": "since the reading before it",
    "query_time_ms": "all statements since the reading before it",
}
"""What a value is of, where its name does not say it."""
LOOKED_BACK, STEP = timedelta(days=7), timedelta(hours=6)
SOONEST_AHEAD, MOST_AHEAD = 28, 56
"""In steps: a week, and two."""
EDGES = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000)
"""The limits of the bars of response times, in milliseconds."""


@dataclass(frozen=True, slots=True)
class Forecast:
    """How fast a size grows, in its unit a day, and in how many days it reaches a limit: None for never, as it is now."""

    per_day: float
    margin: float
    limit: Limit | None = None
    days: int | None = None
    soonest: int | None = None
    latest: int | None = None

    @property
    def rates(self) -> tuple[float, float]:
        """Return the least and the greatest growth a day."""
        return self.per_day - self.margin, self.per_day + self.margin


@dataclass(frozen=True, slots=True)
class Bar:
    """How many response times are over the bar before it, and at most `edge`; None is the last one, without an end."""

    edge: int | None
    count: int

    @property
    def axis(self) -> str:
        """Return what stands below the bar, short."""
        if self.edge is None:
            return "more"
        if self.edge >= 1_000:
            return f"{self.edge // 1_000} s"
        return f"{self.edge} ms" if self.edge == EDGES[0] else str(self.edge)


@dataclass(frozen=True, slots=True)
class Responses:
    """The response times of a probe in 24 hours."""

    bars: tuple[Bar, ...]
    count: int
    p50: float
    p95: float
    p99: float

    @property
    def highest(self) -> int:
        """Return how many are in the highest bar."""
        return max(each.count for each in self.bars)


@dataclass(frozen=True, slots=True)
class InfrastructureView:
    """What the page shows of `subject`; None where nothing was measured. `others` are all there are to choose from."""

    subject: Subject | None
    others: tuple[Subject, ...] = ()
    figures: tuple[Figure, ...] = ()
    size: Curve | None = None
    forecast: Forecast | None = None
    curves: tuple[Curve, ...] = ()
    responses: Responses | None = None
    slowest: Slowest | None = None


def infrastructure_view(store: Store, rules: Rules, now: datetime, *, of: str = "") -> InfrastructureView:
    """Return what the page shows. What has more than response times is the first to choose."""
    found = tuple(sorted(subjects(store, FOUND_BY), key=lambda each: each.metrics == {LATENCY}))
    subject = chosen(found, of)
    if subject is None:
        return InfrastructureView(None)
    start = day_start(now)
    beside = () if SIZE in subject.metrics else ("memory_used",)
    known = [metric for metric in TITLES if metric in subject.metrics or metric in beside]
    since = {metric: hour_start(now) - LOOKED_BACK if metric == SIZE else start for metric in known}
    measured = {name: read(store, name, subject.labels, since[name], now) for name in known}
    limits = {metric: limits_of(rules, metric, subject.labels, now) for metric in known}
    forecast = forecast_of(measured.get(SIZE, ()), limits.get(SIZE, ()), now)
    latencies = read(store, LATENCY, subject.labels, start, now) if LATENCY in subject.metrics else ()
    return InfrastructureView(
        subject,
        found,
        tuple(_figure(metric, each, limits[metric], now) for metric, each in measured.items() if each),
        _size_curve(measured.get(SIZE, ()), limits.get(SIZE, ()), forecast, now),
        forecast,
        tuple(_curves(measured, limits, start)),
        responses_of(latencies),
        slowest_of(store, subject.labels) if METRIC in subject.metrics else None,
    )


def _figure(metric: str, buckets: Sequence[Bucket], limits: tuple[Limit, ...], now: datetime) -> Figure:
    value, at = newest(buckets, now)
    return Figure(metric, TITLES[metric], value, at, OF.get(metric, ""), limits)


def _curves(
    measured: Mapping[str, Sequence[Bucket]], limits: Mapping[str, tuple[Limit, ...]], start: datetime
) -> list[Curve]:
    charts = {metric: buckets for metric, buckets in measured.items() if metric != SIZE and buckets}
    found = [
        curve_of_hours(TITLES[metric], metric, hourly(buckets, start, _worst(metric)), start, limits[metric])
        for metric, buckets in charts.items()
    ]
    return [each for each in found if each is not None]


def _worst(metric: str) -> Pick:
    return _lowest if metric == "cache_hit_rate" else HIGHEST


def _lowest(buckets: Sequence[Bucket]) -> float | None:
    return min((each.low for each in buckets if each.count), default=None)


# ---------------------------------------------------------------------------------------------------------------------
# Forecast


def forecast_of(buckets: Sequence[Bucket], limits: Sequence[Limit], now: datetime) -> Forecast | None:
    """Return the growth, and when the highest limit from above is reached; None where too little was measured to know."""
    fit = line(buckets, LOOKED_BACK * MIN_SPAN_SHARE)
    if fit is None:
        return None
    per_day, margin = fit.slope * DAY.total_seconds(), slope_margin(buckets, fit) * DAY.total_seconds()
    limit = max((each for each in limits if each.above), key=lambda each: each.value, default=None)
    if limit is None:
        return Forecast(per_day, margin)
    days = days_until(buckets, now, LOOKED_BACK, limit.value)
    left = limit.value - fit.at(now)
    soonest, latest = (_days(left, per_day + sign * margin) if days else days for sign in (1, -1))
    return Forecast(per_day, margin, limit, _whole(days), _whole(soonest), _whole(latest))


def slope_margin(buckets: Sequence[Bucket], fit: Line) -> float:
    """Return two standard errors of the slope of a line, a second: how far the points lie from it."""
    points = [(_middle(each), each.total / each.count, each.count) for each in buckets if each.count]
    if len(points) < 3:
        return 0.0
    spread = math.fsum(count * (at - fit.origin).total_seconds() ** 2 for at, _, count in points)
    rest = math.fsum(count * (value - fit.at(at)) ** 2 for at, value, count in points)
    return 2 * math.sqrt(rest / (len(points) - 2) / spread) if spread else 0.0


def _middle(bucket: Bucket) -> datetime:
    return bucket.first_at + (bucket.last_at - bucket.first_at) / 2


def _days(left: float, per_day: float) -> float:
    return math.inf if per_day <= 0 else left / per_day


def _whole(days: float | None) -> int | None:
    return None if days is None or math.isinf(days) else max(0, math.floor(days))


def _size_curve(
    buckets: Sequence[Bucket], limits: Sequence[Limit], forecast: Forecast | None, now: datetime
) -> Curve | None:
    start = hour_start(now) - LOOKED_BACK
    values = tuple(last_of(each) for each in stretches(buckets, start, STEP, LOOKED_BACK // STEP + 1))
    if all(value is None for value in values):
        return None
    return Curve(
        TITLES[SIZE], start, STEP, unit_of(SIZE), values, names=("each 6 hours",), close=True,
        levels=tuple(Level(each.value, each.words) for each in limits),
        foretold=_foretold(values[-1], forecast),
    )  # fmt: skip


def _foretold(size: float | None, forecast: Forecast | None) -> Foretold | None:
    """Return the steps after the newest size: until the limit and a day, at least a week and at most two."""
    if forecast is None or size is None:
        return None
    until = SOONEST_AHEAD if forecast.days is None else (forecast.days + 2) * 4
    ahead = [n * (STEP / DAY) for n in range(1, min(max(SOONEST_AHEAD, until), MOST_AHEAD) + 1)]
    least, greatest = (tuple(max(0.0, size + rate * days) for days in ahead) for rate in forecast.rates)
    return Foretold(tuple(max(0.0, size + forecast.per_day * days) for days in ahead), least, greatest)


# ---------------------------------------------------------------------------------------------------------------------
# Response times


def responses_of(buckets: Sequence[Bucket]) -> Responses | None:
    """Return how response times are spread, within 2 % of each limit; None where nothing answered."""
    whole = merged_all(buckets)
    if whole is None or not whole.count:
        return None
    counts: dict[int | None, int] = dict.fromkeys((*EDGES, None), 0)
    for number, count in whole.sketch.items():
        value = sketch_value(number)
        counts[next((edge for edge in EDGES if value <= edge), None)] += count
    p50, p95, p99 = (quantile(buckets, share) or 0.0 for share in (0.5, 0.95, 0.99))
    return Responses(tuple(Bar(edge, count) for edge, count in counts.items()), whole.count, p50, p95, p99)
