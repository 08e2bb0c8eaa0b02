"""Roll-ups: merging in any order, instants counted once, streaks and rates."""

import random
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.core.metrics.rollup import (
    MAX_INSTANTS_PER_MINUTE,
    Minute,
    Rate,
    bucket_of,
    expand_probe_result,
    hour_start,
    merged,
    merged_all,
    minute_start,
    newest_value,
    rate_sample,
    streaks,
    with_sample,
)
from chalicelib.core.metrics.sample import Bucket, Sample

START = datetime(2026, 11, 24, 8, 0, tzinfo=UTC)
SAMPLES = st.builds(
    lambda second, value: Sample("m", value, START + timedelta(seconds=second)),
    st.integers(0, 7200),
    st.one_of(st.none(), st.integers(-1000, 1_000_000).map(lambda number: number / 8)),
)


def at(second: float) -> datetime:
    """An instant so many seconds after the start."""
    return START + timedelta(seconds=second)


def test_a_single_sample_keeps_its_exact_time() -> None:
    """A bucket of one sample is that sample."""
    bucket = bucket_of(Sample("m", 3.5, at(1.25)))
    assert (bucket.first_at, bucket.last_at) == (at(1.25), at(1.25))
    assert (bucket.count, bucket.nulls, bucket.total, bucket.low, bucket.high, bucket.last) == (
        1,
        0,
        3.5,
        3.5,
        3.5,
        3.5,
    )
    assert sum(bucket.sketch.values()) == 1


def test_a_sample_without_a_value_is_a_null() -> None:
    """Measured with nothing to divide by is neither zero nor missing."""
    bucket = bucket_of(Sample("m", None, at(0)))
    assert (bucket.count, bucket.nulls, bucket.last, dict(bucket.sketch)) == (0, 1, None, {})
    both = merged(bucket, bucket_of(Sample("m", 5.0, at(-1))))
    assert (both.count, both.nulls, both.low, both.high, both.last) == (1, 1, 5.0, 5.0, None)


@given(st.lists(SAMPLES, min_size=1, max_size=12), st.randoms(use_true_random=False))
def test_any_order_and_grouping_gives_the_same(samples: list[Sample], order: random.Random) -> None:
    """Merging is commutative and associative."""
    straight = merged_all(map(bucket_of, samples))
    order.shuffle(samples)
    buckets = [bucket_of(each) for each in samples]
    while len(buckets) > 1:
        first = buckets.pop(order.randrange(len(buckets)))
        second = buckets.pop(order.randrange(len(buckets)))
        buckets.append(merged(first, second))
    assert buckets == [straight]


def test_nothing_merges_to_nothing() -> None:
    """No buckets are no bucket."""
    assert merged_all([]) is None
    assert newest_value([]) is None


@pytest.mark.parametrize(
    ("first", "second", "last"), [(1.0, 2.0, 2.0), (2.0, 1.0, 2.0), (None, -1.0, -1.0), (-1.0, None, -1.0)]
)
def test_last_at_the_same_instant(first: float | None, second: float | None, last: float) -> None:
    """At one instant a value wins over none and the larger over the smaller, in either order."""
    assert merged(bucket_of(Sample("m", first, at(0))), bucket_of(Sample("m", second, at(0)))).last == last


def counted(samples: list[Sample]) -> Minute:
    """The minute of samples, given one by one."""
    minute: Minute | None = None
    for sample in samples:
        minute = with_sample(minute, sample)
    assert minute is not None
    return minute


@given(st.lists(st.tuples(st.integers(0, 59), st.integers(0, 8)), min_size=1), st.randoms(use_true_random=False))
def test_doubled_and_shuffled_samples_count_once(pairs: list[tuple[int, int]], order: random.Random) -> None:
    """Each instant of a minute counts once, however often and in whatever order it comes."""
    samples = [Sample("m", float(value), at(second)) for second, value in dict(pairs).items()]
    doubled = samples * 3
    order.shuffle(doubled)
    assert counted(doubled) == counted(samples)
    assert counted(samples).bucket.count == len(samples)


def test_a_doubled_sample_changes_nothing() -> None:
    """The very same minute comes back, so that nothing needs to be saved."""
    minute = counted([Sample("m", 1.0, at(5))])
    assert with_sample(minute, Sample("m", 1.0, at(5))) is minute


def test_a_minute_is_bounded() -> None:
    """A minute counts so many instants and no more."""
    minute = counted([Sample("m", 1.0, at(number / 100)) for number in range(MAX_INSTANTS_PER_MINUTE + 5)])
    assert minute.bucket.count == len(minute.seen) == MAX_INSTANTS_PER_MINUTE


def test_starts_are_in_utc() -> None:
    """Minutes and hours begin in UTC whatever zone the instant is in."""
    there = datetime.fromisoformat("2026-11-24T14:15:16.5+05:30")
    assert minute_start(there) == datetime(2026, 11, 24, 8, 45, tzinfo=UTC)
    assert hour_start(there) == START


@pytest.mark.parametrize(
    ("previous", "ok", "expected"),
    [
        ((0, 0), True, (0, 1)),
        ((0, 0), False, (1, 0)),
        ((3, 0), True, (0, 1)),
        ((0, 7), True, (0, 8)),
        ((2, 0), False, (3, 0)),
    ],
)
def test_streaks(previous: tuple[int, int], ok: bool, expected: tuple[int, int]) -> None:
    """Failures and successes are counted in a row: one ends the other."""
    assert streaks(previous, ok) == expected


def test_a_probe_result_as_samples() -> None:
    """A run becomes uptime, failures, successes and its latency, with the label probe beside the given ones."""
    found = expand_probe_result("api", False, 120, {"zone": "eu"}, at(0), (1, 0))
    assert {each.metric: each.value for each in found} == {
        "uptime": 0.0,
        "failures": 2.0,
        "successes": 0.0,
        "latency_ms": 120.0,
    }
    assert all(each.labels == {"probe": "api", "zone": "eu"} and each.at == at(0) for each in found)


def test_a_probe_result_without_an_answer_has_no_latency() -> None:
    """What never answered took no measurable time."""
    found = expand_probe_result("api", True, None, {}, at(0), (4, 0))
    assert {each.metric: each.value for each in found} == {"uptime": 1.0, "failures": 0.0, "successes": 1.0}


HIT_RATE = Rate("cache_hit_rate", "hits", ("hits", "misses"))
RATES = [
    # before, after, the value; "none" where there is no sample
    ({"hits": 10, "misses": 10}, {"hits": 19, "misses": 11}, 0.9),
    ({"hits": 10, "misses": 10}, {"hits": 10, "misses": 10}, None),
    ({"hits": 10, "misses": 10}, {"hits": 2, "misses": 11}, "none"),
    ({"hits": 10}, {"hits": 19, "misses": 11}, "none"),
    ({}, {"hits": 19, "misses": 11}, "none"),
]


@pytest.mark.parametrize(("before", "after", "expected"), RATES)
def test_rates(before: dict[str, float], after: dict[str, float], expected: object) -> None:
    """A rate is over what happened since the last reading; a restarted counter says nothing."""
    found = rate_sample(HIT_RATE, before, after, at(0), {"service": "db"})
    if expected == "none":
        assert found is None
    else:
        assert found == Sample("cache_hit_rate", expected, at(0), {"service": "db"})  # type: ignore[arg-type]


def test_newest_value() -> None:
    """The newest value of a series is that of its newest bucket."""
    buckets: list[Bucket] = [bucket_of(Sample("m", 1.0, at(0))), bucket_of(Sample("m", 2.0, at(60)))]
    assert newest_value(buckets) == 2.0
