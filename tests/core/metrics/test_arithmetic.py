"""Uptime, percentiles, rates, growth and forecasts over minutes and hours, against brute force over the samples themselves."""

import math
import random
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import groupby, pairwise

import pytest

from chalicelib.core.language.functions import (
    days_until,
    forecast,
    growth,
    increase_per_second,
    line,
    mean,
    quantile,
)
from chalicelib.core.metrics.rollup import bucket_of, hour_start, rolled_up
from chalicelib.core.metrics.sample import Bucket, Sample
from chalicelib.core.metrics.sketch import SKETCH_ZERO_BIN, sketch_bin, sketch_quantile, sketch_value

START = datetime(2026, 11, 1, tzinfo=UTC)
DAY = 24 * 60
SEEDS = range(5)


def minutes(values: Sequence[float], every: int = 1) -> list[Bucket]:
    """A bucket for each value, so many minutes apart."""
    return [
        bucket_of(Sample("m", value, START + number * timedelta(minutes=every))) for number, value in enumerate(values)
    ]


def hours(found: Sequence[Bucket]) -> list[Bucket]:
    """The same as hours."""
    groups = [list(group) for _, group in groupby(found, lambda each: hour_start(each.last_at))]
    return [hour for group in groups if (hour := rolled_up(group)) is not None]


def nearest_rank(values: Sequence[float], share: float) -> float:
    """The quantile by its definition."""
    return sorted(values)[max(1, math.ceil(share * len(values))) - 1]


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("share", [0.5, 0.9, 0.95, 0.99])
@pytest.mark.parametrize(
    "form", [lambda r: r.lognormvariate(5, 1), lambda r: r.gauss(0, 5), lambda r: -r.lognormvariate(1, 2)]
)
def test_quantiles_of_hours_are_within_two_per_cent(
    seed: int, share: float, form: Callable[[random.Random], float]
) -> None:
    """Given values above, around or below zero → the quantile of the roll-ups is within 2 % of that of the values."""
    order = random.Random(seed)
    values = [form(order) for _ in range(900)]
    found = minutes(values)
    assert quantile(found, share) == nearest_rank(values, share)
    assert quantile(hours(found), share) == pytest.approx(nearest_rank(values, share), rel=0.0201)


def test_bins_are_in_the_order_of_their_values() -> None:
    """Given values from far below zero to far above → bins that rise with them, each within 2 % of its value."""
    values = [
        sign * 10.0**power for sign, powers in ((-1, range(99, -99, -3)), (1, range(-99, 99, 3))) for power in powers
    ]
    bins = [sketch_bin(value) for value in values]
    assert bins == sorted(bins) and len(set(bins)) == len(bins)
    assert [sketch_value(number) for number in bins] == pytest.approx(values, rel=0.0201)
    assert sketch_bin(0.0) == SKETCH_ZERO_BIN and sketch_value(SKETCH_ZERO_BIN) == 0.0


def test_a_sketch_of_the_version_before_is_read() -> None:
    """Given a sketch whose values below zero are in the bin of zero → they still count as the smallest."""
    assert sketch_quantile({SKETCH_ZERO_BIN: 6, sketch_bin(10.0): 4}, 0.5) == 0.0
    assert sketch_quantile({SKETCH_ZERO_BIN: 4, sketch_bin(10.0): 6}, 0.5) == pytest.approx(10, rel=0.02)


def risen(values: Sequence[float]) -> float:
    """How much a counter rose, restarts counted, by its definition."""
    return sum(after - before if after >= before else after for before, after in pairwise(values))


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("restarts_every", [25, 90, 240, 10_000])
def test_a_rate_counts_restarts_within_hours(seed: int, restarts_every: int) -> None:
    """Given a counter that starts again every so many minutes → the rate of minutes and of hours is the true one."""
    order, value, values = random.Random(seed), 0.0, []
    for number in range(2 * DAY):
        value = 0.0 if number % restarts_every == 0 else value + order.randrange(10)
        values.append(value)
    expected = risen(values) / ((len(values) - 1) * 60)
    assert increase_per_second(minutes(values)) == pytest.approx(expected)
    assert increase_per_second(hours(minutes(values))) == pytest.approx(expected)
    mixed = [*hours(minutes(values)[: 20 * 60]), *minutes(values)[20 * 60 :]]
    assert increase_per_second(mixed) == pytest.approx(expected)


def test_hours_of_the_version_before_have_a_rate() -> None:
    """Given hours without their rise → the steps between their newest values, as before."""
    old = [
        Bucket(START + n * timedelta(hours=1), START + n * timedelta(hours=1), 60, 0.0, 0.0, 0.0, 60.0 * n)
        for n in range(5)
    ]
    assert increase_per_second(old) == pytest.approx(1 / 60)


@pytest.mark.parametrize("seed", SEEDS)
def test_uptime_of_a_month(seed: int) -> None:
    """Given a month of runs, a minute apart, some missing → the share that succeeded, to the last run."""
    order = random.Random(seed)
    runs = [float(order.random() > 0.001) for _ in range(30 * DAY)]
    found = [each for each in minutes(runs) if order.random() > 0.01]
    kept = [each.last or 0.0 for each in found]
    assert mean(hours(found)) == pytest.approx(sum(kept) / len(kept), abs=1e-12)


def least_squares(points: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """(value at time 0, slope) by the normal equations."""
    n, sx, sy = len(points), sum(x for x, _ in points), sum(y for _, y in points)
    sxx, sxy = sum(x * x for x, _ in points), sum(x * y for x, y in points)
    slope = (n * sxy - sx * sy) / (n * sxx - sx * sx)
    return (sy - slope * sx) / n, slope


@pytest.mark.parametrize("seed", SEEDS)
def test_lines_agree_with_least_squares(seed: int) -> None:
    """Given a size that grows unevenly over a week → forecast, days until and growth are those of the normal equations."""
    order, size, sizes = random.Random(seed), 4.0, []
    for _ in range(7 * 24 * 12):
        size += order.random() * 0.001
        sizes.append(size)
    found, now = minutes(sizes, 5), START + timedelta(days=7)
    value, slope = least_squares([(number * 5 / DAY, each) for number, each in enumerate(sizes)])
    week = timedelta(days=7)
    assert forecast(found, now, week, 14 * 86_400) == pytest.approx(value + slope * 21)
    assert days_until(found, now, week, 100.0) == pytest.approx((100 - value) / slope - 7)
    last = (len(sizes) - 1) * 5 / DAY
    assert growth(found) == pytest.approx(slope * last / value)
    assert forecast(hours(found), now, week, 14 * 86_400) == pytest.approx(value + slope * 21, rel=1e-3)


@pytest.mark.parametrize(("hours_there", "known"), [(1.75, False), (16, False), (17, True), (100, True)])
def test_nothing_is_foretold_from_a_part_of_the_first_day(hours_there: float, known: bool) -> None:
    """Given one migration of 100 MB within the first hours of a window of a week → unknown until a tenth of it is there."""
    count = int(hours_there * 12) + 1
    sizes = [2.0 if number < count // 2 else 2.1 for number in range(count)]
    found, week = minutes(sizes, 5), timedelta(days=7)
    now = found[-1].last_at
    assert (forecast(found, now, week, 14 * 86_400) is not None) is known
    assert (days_until(found, now, week, 8.0) is not None) is known
    assert line(found) is not None
