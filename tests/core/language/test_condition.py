"""The rule language: what conditions answer, what they refuse, and that order and doubles change nothing."""

import math
import pickle
import random
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.core.language.condition import Condition, ConditionError, describe, evaluate, parse
from chalicelib.core.language.functions import FUNCTIONS
from chalicelib.core.language.units import KNOWN_METRICS, duration_text, parse_duration, shown, unit_of
from chalicelib.core.metrics.rollup import bucket_of, merged_all
from chalicelib.core.metrics.sample import Bucket, Sample

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
DAY = 86_400


@dataclass(frozen=True)
class Measured:
    """A series of what was measured and what happened, in whatever order it came."""

    found: tuple[Bucket, ...] = ()
    names: tuple[str, ...] = ()
    times: tuple[datetime, ...] = ()

    def buckets(self, metric, since, until):
        """The buckets of the metric whose end is within the time, oldest first."""
        pairs = zip(self.names, self.found, strict=True)
        chosen = [bucket for name, bucket in pairs if name == metric and since < bucket.last_at <= until]
        return sorted(chosen, key=lambda bucket: bucket.last_at)

    def event_times(self):
        """The times of the events, oldest first."""
        return sorted(self.times)


def ago(seconds):
    """The time so many seconds before NOW."""
    return NOW - timedelta(seconds=seconds)


def series(events=(), **metrics):
    """A series from `metric=[(seconds ago, value), …]`, or `metric=value` for one sample of now."""
    names, buckets = [], []
    for name, given_samples in metrics.items():
        samples = given_samples if isinstance(given_samples, list) else [(0, given_samples)]
        for seconds, value in samples:
            names.append(name)
            buckets.append(bucket_of(Sample(name, value, ago(seconds))))
    return Measured(tuple(buckets), tuple(names), tuple(ago(seconds) for seconds in events))


def truth(text, measured, **more):
    """The answer of a condition over a series at NOW."""
    return evaluate(parse(text, **more), measured, NOW).truth


GROWING = [(7 * DAY - 3600 * hour, 4.0 + hour / 168) for hour in range(1, 169)]
"""4 GB a week ago, 5 GB now, an hour apart."""

TABLE = [
    # condition, series, answer
    ("error_rate > 1%", series(error_rate=0.011), True),
    ("error_rate > 1%", series(error_rate=0.01), False),
    ("error_rate >= 1%", series(error_rate=0.01), True),
    ("error_rate > 1 %", series(error_rate=0.02), True),
    ("error_rate > 0.5%", series(error_rate=0.004), False),
    ("error_rate > 1%", series(), None),
    ("error_rate > 1%", series(error_rate=None), None),
    ("error_rate > 1%", series(error_rate=[(60, 0.5), (0, None)]), None),
    ("error_rate > 1%", series(error_rate=[(60, None), (0, 0.5)]), True),
    ("1% < error_rate", series(error_rate=0.02), True),
    ("error_rate < 1%", series(error_rate=0), True),
    ("error_rate == 0%", series(error_rate=0), True),
    ("error_rate != 0%", series(error_rate=0), False),
    # How old a bare metric may be, on both sides.
    ("error_rate > 1%", series(error_rate=[(299, 0.5)]), True),
    ("error_rate > 1%", series(error_rate=[(300, 0.5)]), None),
    ("db_size_gb > 8", series(db_size_gb=[(599, 9)]), True),
    ("db_size_gb > 8", series(db_size_gb=[(600, 9)]), None),
    ("error_rate > 1%", series(error_rate=[(120, 0.5), (60, 0.001)]), False),
    # Latency: milliseconds, durations.
    ("p95_latency_ms > 500", series(p95_latency_ms=500), False),
    ("p95_latency_ms > 500", series(p95_latency_ms=500.1), True),
    ("p95_latency_ms > 500ms", series(p95_latency_ms=501), True),
    ("p95_latency_ms > 0.5s", series(p95_latency_ms=501), True),
    ("p95_latency_ms >= 0.7s", series(p95_latency_ms=700), True),
    ("p95_latency_ms > 0.7s", series(p95_latency_ms=700), False),
    ("response_seconds > 500ms", series(response_seconds=0.6), True),
    ("response_seconds > p95_latency_ms", series(response_seconds=0.6, p95_latency_ms=500), True),
    ("tls_days_left < 2w", series(tls_days_left=13), True),
    ("tls_days_left < 14", series(tls_days_left=14), False),
    # Sizes in the unit of the metric.
    ("db_size_gb > 8GB", series(db_size_gb=8), False),
    ("db_size_gb > 8192MB", series(db_size_gb=8.01), True),
    ("db_size_gb >= 0.0078125TB", series(db_size_gb=8), True),
    ("memory_bytes > 1KB", series(memory_bytes=1024), False),
    ("memory_bytes > 1KB", series(memory_bytes=1025), True),
    ("db_growth_gb_per_day > 512MB", series(db_growth_gb_per_day=0.6), True),
    # Uptime is what the last five minutes were.
    ("uptime < 99%", series(uptime=[(60 * n, 1) for n in range(5)]), False),
    ("uptime < 99%", series(uptime=[(240, 1), (180, 1), (120, 1), (60, 1), (0, 0)]), True),
    ("uptime < 99%", series(uptime=[(300, 0), (60, 1)]), False),
    ("uptime < 99%", series(uptime=[(299, 0), (60, 1)]), True),
    ("uptime < 99%", series(), None),
    ("uptime[24h] < 99.9%", series(uptime=[(60 * n, 0 if n in (5, 700) else 1) for n in range(1440)]), True),
    ("uptime[24h] < 99.9%", series(uptime=[(60 * n, 1) for n in range(1440)]), False),
    ("uptime < 99%", series(uptime=[(n, 0 if n == 7 else 1) for n in range(100)]), False),
    ("1 - uptime > 1%", series(uptime=[(0, 0), (60, 1)]), True),
    # Events: always known, by their own times.
    ("events[1m] > 10", series(events=range(11)), True),
    ("events[1m] > 10", series(events=range(10)), False),
    ("events[1m] > 10", series(), False),
    ("events[1m] >= 1", series(events=[59.999]), True),
    ("events[1m] >= 1", series(events=[60]), False),
    ("events[1m] >= 1", series(events=[-1]), False),
    ("events[1m] < 1", series(events=[60]), True),
    ("count(events[1m]) == 2", series(events=[1, 1]), True),
    ("rate(events[1m]) >= 0.5", series(events=range(30)), True),
    ("absent(events[1h])", series(events=[3599]), False),
    ("absent(events[1h])", series(events=[3600]), True),
    # In a row.
    ("failures >= 2", series(failures=[(60, 1), (0, 2)]), True),
    ("failures >= 2", series(failures=[(60, 2), (0, 0)]), False),
    ("successes >= 3", series(successes=3), True),
    # Kleene's logic.
    ("error_rate > 1% and requests_per_min >= 200", series(error_rate=0.5, requests_per_min=200), True),
    ("error_rate > 1% and requests_per_min >= 200", series(error_rate=0.5, requests_per_min=199), False),
    ("error_rate > 1% and requests_per_min >= 200", series(error_rate=0.5), None),
    ("error_rate > 1% and requests_per_min >= 200", series(error_rate=0.001), False),
    ("error_rate > 1% and requests_per_min >= 200", series(requests_per_min=5), False),
    ("error_rate > 1% or requests_per_min >= 200", series(error_rate=0.5), True),
    ("error_rate > 1% or requests_per_min >= 200", series(error_rate=0.001), None),
    ("error_rate > 1% or requests_per_min >= 200", series(), None),
    ("not error_rate > 1%", series(), None),
    ("not error_rate > 1%", series(error_rate=0.5), False),
    ("not not error_rate > 1%", series(error_rate=0.5), True),
    ("not (error_rate > 1% or failures >= 2)", series(error_rate=0, failures=0), True),
    ("failures >= 2 or failures >= 1 and successes >= 1", series(failures=2, successes=0), True),
    ("(failures >= 2 or failures >= 1) and successes >= 1", series(failures=2, successes=0), False),
    # Aggregates.
    ("avg(p95_latency_ms[5m]) > 500", series(p95_latency_ms=[(0, 400), (60, 601)]), True),
    ("avg(p95_latency_ms[5m]) > 500", series(p95_latency_ms=[(0, 400), (60, 600)]), False),
    ("avg(error_rate[5m]) > 1%", series(error_rate=[(n, 0.01) for n in range(10)]), False),
    ("avg(error_rate[5m]) >= 1%", series(error_rate=[(n, 0.01) for n in range(10)]), True),
    ("avg(error_rate[5m]) > 1%", series(error_rate=[(0, None), (60, 0.02)]), True),
    ("avg(error_rate[5m]) > 1%", series(error_rate=None), None),
    ("min(latency_ms[5m]) > 100", series(latency_ms=[(0, 101), (60, 100)]), False),
    ("max(latency_ms[5m]) > 100", series(latency_ms=[(0, 99), (60, 101)]), True),
    ("sum(requests_per_min[5m]) >= 30", series(requests_per_min=[(0, 10), (60, 20)]), True),
    ("sum(requests_per_min[5m]) < 1", series(), None),
    ("count(latency_ms[5m]) == 2", series(latency_ms=[(0, 1), (60, 2), (300, 3)]), True),
    ("count(latency_ms[5m]) < 1", series(), None),
    ("last(db_size_gb[1d]) > 8", series(db_size_gb=[(7200, 9), (3600, 7)]), False),
    ("p95(latency_ms[5m]) > 500", series(latency_ms=[(n, 500) for n in range(20)]), False),
    ("p95(latency_ms[5m]) == 19", series(latency_ms=[(n, n + 1) for n in range(20)]), True),
    ("p99(latency_ms[5m]) == 20", series(latency_ms=[(n, n + 1) for n in range(20)]), True),
    ("latency_ms[5m] > 15", series(latency_ms=[(0, 10), (60, 30)]), True),
    ("rate(requests_total[1m]) == 2", series(requests_total=[(30, 100), (15, 130), (0, 160)]), True),
    ("rate(requests_total[1m]) == 1", series(requests_total=[(30, 100), (15, 110), (0, 20)]), True),
    ("rate(requests_total[1m]) > 1", series(requests_total=5), None),
    # Nothing is neither zero nor fine.
    ("absent(requests_per_min[10m])", series(), True),
    ("absent(requests_per_min[10m])", series(requests_per_min=[(599, 5)]), False),
    ("absent(requests_per_min[10m])", series(requests_per_min=[(600, 5)]), True),
    ("absent(error_rate[10m])", series(error_rate=None), False),
    ("not absent(error_rate[10m]) and error_rate > 1%", series(error_rate=0.5), True),
    # Arithmetic.
    ("requests_per_min / active_users > 2", series(requests_per_min=10, active_users=0), None),
    ("requests_per_min / active_users > 2", series(requests_per_min=10, active_users=4), True),
    ("requests_per_min / active_users > 200%", series(requests_per_min=10, active_users=4), True),
    ("requests_per_min - 2 * active_users < 3", series(requests_per_min=10, active_users=4), True),
    ("(requests_per_min - 2) * active_users < 33", series(requests_per_min=10, active_users=4), True),
    ("p95_latency_ms > avg(p95_latency_ms[1h]) * 1.5", series(p95_latency_ms=[(3000, 100), (0, 300)]), False),
    ("p95_latency_ms > avg(p95_latency_ms[1h]) * 120%", series(p95_latency_ms=[(3000, 100), (0, 300)]), True),
    ("p95_latency_ms - 100 > 0.3s", series(p95_latency_ms=401), True),
    ("-failures < -1", series(failures=2), True),
    ("error_rate * requests_per_min > 5", series(error_rate=0.1, requests_per_min=60), True),
    ("requests_per_min + failures > 1", series(requests_per_min=5), None),
    # Growth.
    ("growth(db_size_gb[7d]) > 20%", series(db_size_gb=GROWING), True),
    ("growth(db_size_gb[7d]) > 25%", series(db_size_gb=GROWING), False),
    ("growth(db_size_gb[7d]) > 20%", series(db_size_gb=5), None),
    ("growth(db_size_gb[7d]) > 20%", series(db_size_gb=[(60, 4), (0, 5)]), True),
    ("growth(db_size_gb[7d]) > 25%", series(db_size_gb=[(60, 4), (0, 5)]), False),
    ("growth(db_size_gb[7d]) > 20%", series(db_size_gb=[(60, 0), (0, 5)]), None),
    # Two values of one minute foretell nothing of two weeks.
    ("forecast(db_size_gb[7d], 14d) > 8GB", series(db_size_gb=[(60, 4), (0, 5)]), None),
    ("days_until(db_size_gb[7d], 8GB) < 14", series(db_size_gb=[(60, 4), (0, 5)]), None),
    ("days_until(db_size_gb[7d], 8GB) < 14", series(db_size_gb=[(16 * 3600, 4), (0, 5)]), None),
    ("days_until(db_size_gb[7d], 8GB) < 14", series(db_size_gb=[(17 * 3600, 4), (0, 5)]), True),
    ("forecast(db_size_gb[7d], 14d) > 6.9GB", series(db_size_gb=GROWING), True),
    ("forecast(db_size_gb[7d], 14d) > 7.1", series(db_size_gb=GROWING), False),
    ("days_until(db_size_gb[7d], 8GB) < 22", series(db_size_gb=GROWING), True),
    ("days_until(db_size_gb[7d], 8GB) < 3w", series(db_size_gb=GROWING), False),
    ("days_until(db_size_gb[7d], 4GB) <= 0", series(db_size_gb=GROWING), True),
    ("days_until(db_size_gb[7d], 8GB) < 14", series(db_size_gb=[(3 * DAY, 5), (0, 5)]), False),
    ("days_until(db_size_gb[7d], 8GB) < 14", series(db_size_gb=[(3 * DAY, 5), (0, 4)]), False),
    ("days_until(db_size_gb[7d], 8GB) < 14", series(), None),
    # Metrics that say no unit meet every unit.
    ("queue_depth > 100", series(queue_depth=101), True),
    ("cpu > 90%", series(cpu=0.91), True),
    ("heap > 1MB", series(heap=2**20 + 1), True),
    ("lag > 2s", series(lag=2001), True),
]


@pytest.mark.parametrize(("text", "measured", "answer"), TABLE, ids=[f"{n}: {row[0]}" for n, row in enumerate(TABLE)])
def test_conditions_answer(text, measured, answer):
    """Each condition answers true, false or unknown over its series."""
    assert truth(text, measured) is answer


def test_threshold_may_have_a_unit():
    """The bare word is the rule's threshold, a number in the unit of the other side or a value with its own."""
    measured = series(db_size_gb=8.5)
    assert truth("db_size_gb > threshold", measured, threshold=8) is True
    assert truth("db_size_gb > threshold", measured, threshold=8.5) is False
    assert truth("db_size_gb > threshold", measured, threshold="8GB") is True
    assert truth("db_size_gb > threshold", measured, threshold="9000MB") is False
    assert truth("error_rate > threshold", series(error_rate=0.02), threshold="1%") is True
    assert parse("db_size_gb > threshold", threshold="8GB").threshold == 8.0


SHOWN = [
    ("error_rate > 1%", series(error_rate=0.032), "3.2 %", "1 %"),
    ("error_rate > 1%", series(error_rate=0.0100001), "1.00001 %", "1 %"),
    ("uptime < 99.9%", series(uptime=[(0, 0.99999)]), "99.999 %", "99.9 %"),
    ("p95_latency_ms > 0.5s", series(p95_latency_ms=812), "812 ms", "500 ms"),
    ("db_size_gb > threshold", series(db_size_gb=8.4), "8.4 GB", "8 GB"),
    ("db_size_gb > 8192MB", series(db_size_gb=8.4), "8.4 GB", "8 GB"),
    ("memory_bytes > 1GB", series(memory_bytes=1.5 * 2**30), "1.5 GB", "1 GB"),
    ("events[1m] > 10", series(events=range(11)), "11", "10"),
    ("requests_per_min > 10000", series(requests_per_min=12345), "12,345", "10,000"),
    ("cpu > 90%", series(cpu=0.95), "95 %", "90 %"),
    ("10 < events[1m]", series(events=range(11)), "11", "10"),
    ("error_rate > 1%", series(), "no data", "1 %"),
    ("error_rate > 1% and requests_per_min > 5", series(error_rate=0.02, requests_per_min=3), "3", "5"),
    ("error_rate > 1% or requests_per_min > 5", series(error_rate=0.001, requests_per_min=9), "9", "5"),
    ("absent(error_rate[10m])", series(), "nothing for 10 minutes", ""),
    ("days_until(db_size_gb[7d], 8GB) < 14", series(db_size_gb=[(3 * DAY, 5), (0, 5)]), "never", "14 days"),
    ("tls_days_left < 14", series(tls_days_left=1), "1 day", "14 days"),
    ("growth(db_size_gb[7d]) > 20%", series(db_size_gb=[(3 * DAY, 4), (0, 5)]), "25 %", "20 %"),
]


@pytest.mark.parametrize(("text", "measured", "value", "threshold"), SHOWN, ids=[row[0] for row in SHOWN])
def test_value_and_threshold_are_shown_with_their_unit(text, measured, value, threshold):
    """The deciding comparison is shown as people write it, with enough digits to tell both sides apart."""
    found = evaluate(parse(text, threshold=8), measured, NOW)
    assert (found.shown, found.threshold_shown) == (value, threshold)


CHANGES = [
    ("error_rate > 1%", series(error_rate=[(60, 0.5)]), 240),
    ("error_rate > 1%", series(), None),
    ("db_size_gb > 8", series(db_size_gb=[(60, 9)]), 540),
    ("events[1m] > 10", series(events=range(11)), 50),
    ("events[1m] > 10", series(events=range(15)), 50),
    ("events[1m] > 10", series(events=range(5)), None),
    ("events[1m] < 3", series(events=[10, 20, 30]), 30),
    ("events[1m] == 2", series(events=[10, 20, 30]), 30),
    ("events[1m] > 10", series(events=[-7]), 7),
    ("avg(p95_latency_ms[5m]) > 500", series(p95_latency_ms=[(200, 1), (10, 2)]), 100),
    ("absent(error_rate[10m])", series(error_rate=[(200, 1), (10, 2)]), 590),
    ("absent(error_rate[10m])", series(), None),
    ("error_rate > 1% and failures >= 2", series(error_rate=[(60, 0.5)], failures=[(100, 2)]), 200),
]


@pytest.mark.parametrize(("text", "measured", "seconds"), CHANGES, ids=[row[0] for row in CHANGES])
def test_next_change_without_news_is_known(text, measured, seconds):
    """`changes_at` is when something leaves its window far enough for another answer, or None."""
    found = evaluate(parse(text), measured, NOW).changes_at
    assert found == (None if seconds is None else NOW + timedelta(seconds=seconds))


@given(st.lists(st.integers(0, 90), max_size=30), st.sampled_from(["> 3", ">= 3", "< 3", "<= 3", "== 3", "!= 3"]))
def test_nothing_changes_before_the_time_given(seconds, comparison):
    """Up to `changes_at` the answer stays, and a count that has one changes there."""
    condition, measured = parse(f"events[1m] {comparison}"), series(events=seconds)
    found = evaluate(condition, measured, NOW)
    until = found.changes_at or NOW + timedelta(seconds=120)
    for step in range(int((until - NOW).total_seconds())):
        assert evaluate(condition, measured, NOW + timedelta(seconds=step)).truth is found.truth
    if found.changes_at and comparison[0] in "<>":
        assert evaluate(condition, measured, found.changes_at).truth is not found.truth


def test_what_a_condition_looks_at_is_known():
    """Metrics, event counts and windows are told apart, so that a stage asks only for what is needed."""
    found = parse("avg(error_rate[10m]) > 1% and requests_per_min > 5 or growth(db_size_gb[7d]) > 5%")
    assert found.metrics == {"error_rate", "requests_per_min", "db_size_gb"}
    assert (found.counts_events, found.event_window, found.window) == (False, timedelta(0), timedelta(days=7))
    counted = parse("events[1m] > 10 or absent(events[1h])")
    assert (counted.metrics, counted.counts_events, counted.event_window) == (set(), True, timedelta(hours=1))


REFUSED = [
    ("error_rate > 1", "column 14: error_rate is a ratio and 1 is a bare number; allowed is a percentage, such as 1%; did you mean 1%"),
    ("error_rate > 0.01", "column 14: error_rate is a ratio and 0.01 is a bare number; allowed is a percentage, such as 1%; did you mean 1%"),
    ("uptime < 99", "column 10: uptime is a ratio and 99 is a bare number; allowed is a percentage, such as 1%; did you mean 99%"),
    ("99 > uptime", "column 1: uptime is a ratio and 99 is a bare number; allowed is a percentage, such as 1%; did you mean 99%"),
    ("growth(db_size_gb[7d]) > 20", "column 26: growth(db_size_gb[1w]) is a ratio and 20 is a bare number; allowed is a percentage, such as 1%; did you mean 20%"),
    ("p95_latency_ms > 8GB", "column 18: p95_latency_ms is a time and 8GB is a size; allowed is 500, 500ms or 0.5s"),
    ("error_rate > 5s", "column 14: error_rate is a ratio and 5s is a time; allowed is a percentage, such as 1%"),
    ("db_size_gb > 5%", "column 14: db_size_gb is a size and 5% is a ratio; allowed is a number of GB, or a size such as 8GB"),
    ("events[1m] > 10%", "column 14: events[1m] is a plain number and 10% is a ratio; allowed is a plain number, such as 10"),
    ("failures + 5s > 1", "column 12: failures is a plain number and 5s is a time; allowed is a plain number, such as 10"),
    ("events > 3", "column 1: events needs a window; allowed is a window right after it; did you mean events[1m]"),
    ("x = 3", "column 3: '=' is not a sign of the language; allowed is > >= < <= == != + - * / ( ) [ ] and or not; did you mean =="),
    ("1 < x < 3", "column 7: a second '<': comparisons do not chain; allowed is two comparisons joined by and"),
    ("avg(x) > 1", "column 6: avg needs a window after x; allowed is a number and one of ms, s, m, h, d, w, such as 30s, 0.5s, 5m, 1h30m, 1d; did you mean avg(x[5m])"),
    ("x[5] > 1", "column 3: the window '5' of x has no unit of time; allowed is a number and one of ms, s, m, h, d, w, such as 30s, 0.5s, 5m, 1h30m, 1d; did you mean x[5m]"),
    ("x[0s] > 1", "column 3: the window '0s' of x is out of range; allowed is 1s to 90d, in whole milliseconds"),
    ("x[91d] > 1", "column 3: the window '91d' of x is out of range; allowed is 1s to 90d, in whole milliseconds"),
    ("x[8GB] > 1", "column 3: the window '8GB' of x is not a duration; allowed is a number and one of ms, s, m, h, d, w, such as 30s, 0.5s, 5m, 1h30m, 1d"),
    ("x > 8gb", "column 6: 'gb' is not a unit; allowed is %, ms, s, m, h, d, w, B, KB, MB, GB, TB; did you mean 8GB"),
    ("x > 5min", "column 6: 'min' is not a unit; allowed is %, ms, s, m, h, d, w, B, KB, MB, GB, TB; did you mean 5m"),
    ("x > 1 AND y > 2", "column 7: 'AND' is not a word of the language; allowed is and, or, not; did you mean and"),
    ("x > threshold", "column 5: the condition names threshold, and the rule has none; allowed is threshold: 8 beside condition, or in defaults: thresholds:"),
    ("forecast(x[7d]) > 1", "column 15: forecast needs 2 arguments; allowed is forecast(db_size_gb[7d], 14d)"),
    ("forecast(x[7d], 5) > 1", "column 17: 5 is not a time ahead; allowed is a duration up to 3660d; did you mean forecast(db_size_gb[7d], 14d)"),
    ("days_until(db_size_gb[7d], 5%) > 1", "column 28: db_size_gb is a size and 5% is a ratio; allowed is a number of GB, or a size such as 8GB"),
    ("avg(x[5m], 3) > 1", "column 12: avg takes one argument; allowed is avg(metric[5m])"),
    ("p95(events[5m]) > 1", "column 5: p95 does not take events; allowed is events[1m], rate(events[5m]) or absent(events[1h])"),
    ("x{a=1} > 1", "column 2: '{' is not a sign of the language; allowed is labels in the rule's match"),
    ("x > 'a'", "column 5: text cannot be compared; allowed is numbers here, and labels in the rule's match"),
    ("1 > 2", "column 1: the condition measures nothing; allowed is a metric or events, such as events[1m] > 10"),
    ("(x > 1", "column 7: ')' is missing after '(' of column 1, before the end; allowed is )"),
    ("x > 1)", "column 6: ')' closes nothing; allowed is one ')' for each '('"),
    ("x >", "column 4: the condition breaks off; allowed is a number or a metric at its end"),
    ("x", "column 1: the condition is a number, neither true nor false; allowed is a comparison, such as x > 10"),
    ("x and y > 1", "column 1: 'and' joins comparisons, and x is a number; allowed is a comparison, such as x > 10"),
    ("not x", "column 5: 'not' denies a comparison, and x is a number; allowed is a comparison, such as x > 10"),
    ("(x > 1) > 1", "column 1: x > 1 is true or false and cannot be compared; allowed is numbers on both sides"),
    ("(x > 1) + 1 > 1", "column 1: x > 1 is true or false and cannot be part of a calculation; allowed is numbers"),
    ("avg > 1", "column 1: avg is a function without its '('; allowed is avg(metric[5m])"),
    ("x > 1.2.3", "column 5: '1.2.3' is not a number; allowed is up to 15 digits, a point and up to 15 more, such as 0.5"),
    ("", "column 1: the condition is empty; allowed is a comparison, such as error_rate > 1%"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "message"), REFUSED, ids=[row[0] for row in REFUSED])
def test_what_is_wrong_is_told_with_its_column(text, message):
    """A condition that cannot be understood says what, where, what is allowed and what was probably meant."""
    with pytest.raises(ConditionError) as caught:
        parse(text)
    assert str(caught.value) == message


def test_unknown_function_names_the_nearest():
    """All functions are listed, and the most similar one is offered."""
    with pytest.raises(ConditionError) as caught:
        parse("avrg(x[5m]) > 1")
    assert (caught.value.column, caught.value.suggestion) == (1, "avg")
    assert set(FUNCTIONS) < set(caught.value.allowed.split(", "))


# ---------------------------------------------------------------------------------------------------------------------
# Whatever is written

METRICS = st.sampled_from(sorted(KNOWN_METRICS))
WINDOWS = st.sampled_from(["1s", "30s", "5m", "1h30m", "7d", "2w", "90s"])
OPERATORS = st.sampled_from([">", ">=", "<", "<=", "==", "!="])


@st.composite
def comparisons(draw):
    """A comparison whose units fit."""
    metric, window = draw(METRICS), draw(WINDOWS)
    kind = unit_of(metric).kind
    value = draw(st.integers(0, 10_000)) / draw(st.sampled_from([1, 2, 4, 8]))
    left = draw(
        st.sampled_from(
            [metric, f"{metric}[{window}]", f"avg({metric}[{window}])", f"-max({metric}[{window}])", f"2*{metric}"]
        )
    )
    unit = {"ratio": "%", "time": "s", "size": "MB"}.get(kind, "")
    if draw(st.booleans()):
        return f"events[{window}] {draw(OPERATORS)} {value:g}"
    if draw(st.booleans()):
        return f"absent({metric}[{window}])"
    return f"{left} {draw(OPERATORS)} {format(value, 'f')}{unit}"


CONDITIONS = st.recursive(
    comparisons(),
    lambda inner: st.one_of(
        st.builds("({} and {})".format, inner, inner),
        st.builds("({}) or {}".format, inner, inner),
        st.builds("not ({})".format, inner),
    ),
    max_leaves=6,
)


@given(CONDITIONS)
def test_a_condition_written_again_is_the_same(text):
    """`str` of a condition parses to the same parts, and a pickled condition is equal."""
    found = parse(text)
    assert parse(str(found)).root == found.root
    assert parse(found.text) == found
    assert pickle.loads(pickle.dumps(found)) == found
    assert hash(found) == hash(parse(text))
    assert describe(found)


SIGNS = "error_rate events [ ] ( ) 1m 5 > < >= and or not threshold avg forecast , + - * / % 8GB absent uptime . é 1.5s"
WORDS = st.sampled_from(SIGNS.split())


@settings(max_examples=400)
@given(st.one_of(st.text(max_size=60), st.lists(WORDS, max_size=14).map(" ".join)))
def test_no_text_breaks_the_parser(text):
    """Any text is a condition or a ConditionError."""
    try:
        found = parse(text, threshold=5)
    except ConditionError as error:
        assert str(error)
        assert 1 <= error.column <= len(text) + 1
    else:
        assert isinstance(found, Condition)
        assert evaluate(found, series(), NOW).truth in (True, False, None)


@pytest.mark.parametrize("text", ["(" * 3000, "-" * 1000 + "x > 1", "not " * 400 + "x > 1", "x" + "+1" * 900 + " > 1"])
def test_deep_nesting_is_refused(text):
    """What is nested too deep or too long is told, not a crash."""
    with pytest.raises(ConditionError):
        parse(text)


# ---------------------------------------------------------------------------------------------------------------------
# Order and doubles

ASKED = [
    "avg(latency_ms[5m]) > 50",
    "max(latency_ms[5m]) > 90",
    "p95(latency_ms[5m]) > 90",
    "latency_ms > 50",
    "growth(latency_ms[5m]) > 5%",
    "sum(latency_ms[5m]) > 500",
]


@given(
    st.dictionaries(st.integers(0, 400), st.floats(0.1, 100), min_size=1, max_size=20),
    st.sampled_from(ASKED),
    st.randoms(use_true_random=False),
)
def test_the_order_of_samples_changes_nothing(samples, text, shuffle):
    """Shuffled samples give the same answer, value and next change."""
    ordered = list(samples.items())
    shuffled = ordered[:]
    shuffle.shuffle(shuffled)
    first = evaluate(parse(text), series(latency_ms=ordered), NOW)
    second = evaluate(parse(text), series(latency_ms=shuffled), NOW)
    assert (first.truth, first.shown, first.changes_at) == (second.truth, second.shown, second.changes_at)


@given(st.lists(st.integers(0, 90), max_size=30))
def test_the_order_of_events_changes_nothing(seconds):
    """Shuffled events give the same count."""
    shuffled = random.Random(1).sample(seconds, len(seconds))
    condition = parse("events[1m] > 10")
    assert evaluate(condition, series(events=seconds), NOW) == evaluate(condition, series(events=shuffled), NOW)


# ---------------------------------------------------------------------------------------------------------------------
# Lines of least squares


def reference_line(points):
    """Slope and intercept by the textbook's normal equations, over hours from now, in exact fractions."""
    exact = [(Fraction(x), Fraction(y)) for x, y in points]
    n = len(exact)
    sx, sy = sum(x for x, _ in exact), sum(y for _, y in exact)
    sxx, sxy = sum(x * x for x, _ in exact), sum(x * y for x, y in exact)
    slope = (n * sxy - sx * sy) / (n * sxx - sx * sx)
    return slope, (sy - slope * sx) / n


POINTS = st.dictionaries(st.integers(0, 7 * 24 - 1), st.floats(1, 20), min_size=3, max_size=60).filter(
    lambda points: max(points) - min(points) >= 24
)


@given(POINTS)
def test_growth_and_forecast_agree_with_the_reference(points):
    """The line of the language is that of the normal equations."""
    slope, intercept = reference_line([(-hour, value) for hour, value in points.items()])
    measured = series(db_size_gb=[(hour * 3600, value) for hour, value in points.items()])
    ahead = evaluate(parse("forecast(db_size_gb[7d], 14d) > 8GB"), measured, NOW).value
    assert ahead == pytest.approx(float(intercept + slope * 14 * 24), rel=1e-7, abs=1e-7)
    start, end = intercept - slope * max(points), intercept - slope * min(points)
    grown = evaluate(parse("growth(db_size_gb[7d]) > 8%"), measured, NOW).value
    if abs(start) > 1e-3:
        assert grown == pytest.approx(float((end - start) / abs(start)), rel=1e-6, abs=1e-7)


@given(POINTS)
def test_days_until_agrees_with_the_reference(points):
    """The days are those until the reference line reaches the limit; none when it is there, no end when it falls."""
    slope, intercept = reference_line([(-hour, value) for hour, value in points.items()])
    measured = series(db_size_gb=[(hour * 3600, value) for hour, value in points.items()])
    found = evaluate(parse("days_until(db_size_gb[7d], 100GB) < 14"), measured, NOW).value
    if slope > 1e-6:
        assert found == pytest.approx(float((100 - intercept) / slope / 24), rel=1e-6)
    elif slope < -1e-6:
        assert found == math.inf


def test_roll_ups_give_the_line_of_their_samples():
    """An hour of minutes as one roll-up hardly moves the line."""
    minutes = [(minute * 60, 5 - minute / 1440) for minute in range(3 * 1440)]
    exact = evaluate(parse("days_until(db_size_gb[7d], 8GB) < 14"), series(db_size_gb=minutes), NOW)
    hours = [
        merged_all([bucket_of(Sample("x", v, ago(s))) for s, v in minutes[i : i + 60]])
        for i in range(0, len(minutes), 60)
    ]
    rolled = Measured(tuple(hours), ("db_size_gb",) * len(hours))
    merged_value = evaluate(parse("days_until(db_size_gb[7d], 8GB) < 14"), rolled, NOW).value
    assert exact.value == pytest.approx(3.0, rel=1e-6)
    assert merged_value == pytest.approx(exact.value, rel=0.01)


def test_quantiles_of_roll_ups_are_within_two_per_cent():
    """p95 and p99 over merged minutes are near those over the samples themselves."""
    values = [100 * 1.01**n for n in range(300)]
    buckets = [bucket_of(Sample("x", value, ago(n))) for n, value in enumerate(values)]
    rolled = [merged_all(buckets[i : i + 60]) for i in range(0, 300, 60)]
    measured = Measured(tuple(rolled), ("latency_ms",) * len(rolled))
    for name, share in (("p95", 0.95), ("p99", 0.99)):
        found = evaluate(parse(f"{name}(latency_ms[10m]) > 1"), measured, NOW).value
        assert found == pytest.approx(values[math.ceil(share * 300) - 1], rel=0.021)


# ---------------------------------------------------------------------------------------------------------------------
# Words and units


def test_conditions_are_said_in_english():
    """A condition reads as a phrase."""
    assert describe(parse("error_rate > 1%")) == "error rate is above 1 %"
    assert describe(parse("p95_latency_ms >= 0.5s")) == "p95 latency is at least 500 ms"
    assert describe(parse("avg(latency_ms[5m]) > 500 and failures >= 2")) == (
        "the average of latency over 5 minutes is above 500 ms and failures is at least 2"
    )
    assert describe(parse("days_until(db_size_gb[7d], 8GB) < 14")) == (
        "the days until db size reaches 8 GB, foretold from 7 days, is below 14 days"
    )


@given(st.integers(1, 10**10))
def test_durations_written_again_are_the_same(milliseconds):
    """A duration written in the language reads back as itself."""
    duration = timedelta(milliseconds=milliseconds)
    if duration <= timedelta(days=3660):
        assert parse_duration(duration_text(duration)) == duration


@pytest.mark.parametrize("text", ["", "5", "m", "5 m", "1m1h", "5min", "-5m", "1.5.5s", "99999d", "1h 30m"])
def test_what_is_no_duration_is_refused(text):
    """Durations have units, the larger first, and no signs or spaces."""
    with pytest.raises(ValueError, match=r"duration|too long"):
        parse_duration(text)


def test_shown_values_do_not_mislead():
    """A small value is not shown as zero, and nearly all is not shown as all."""
    assert shown(0.00001, unit_of("error_rate")) == "0.001 %"
    assert shown(0.999999, unit_of("uptime")) == "99.9999 %"
    assert shown(1.0, unit_of("uptime")) == "100 %"
    assert shown(None, unit_of("uptime")) == "no data"
    assert shown(math.nan, unit_of("uptime")) == "no data"
