"""Times, durations and numbers that people and senders write: within bounds in which all arithmetic holds."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.core.instants import BEGINNING, END, instant_at, instant_of
from chalicelib.core.language.durations import LONGEST, duration_of
from chalicelib.core.metrics.rollup import bucket_of, merged
from chalicelib.core.metrics.sample import MAX_VALUE, Sample
from chalicelib.core.payload import coerce
from chalicelib.probes import common_mistakes
from tests import extremes

NOW = datetime(2026, 11, 26, 15, 30, tzinfo=UTC)
ZONES = (UTC, ZoneInfo("Pacific/Kiritimati"), ZoneInfo("Etc/GMT+12"))


@pytest.mark.parametrize("zone", ZONES, ids=str)
@pytest.mark.parametrize("text", [*extremes.TIMES, "", "soon", "2026-13-01", "9" * 5_000], ids=lambda text: text[:30])
def test_a_time_outside_of_our_years_is_refused(text, zone):
    """The error names the time and the years."""
    with pytest.raises(ValueError, match=r"no time( of the years 1970 to 2199)?$"):
        instant_of(text, zone)


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("1970-01-01T00:00:00Z", datetime(1970, 1, 1, tzinfo=UTC)),
        ("1970-01-01T00:00:00+14:00", datetime(1969, 12, 31, 10, tzinfo=UTC)),
        ("2199-12-31T23:59:59-12:00", datetime(2200, 1, 1, 11, 59, 59, tzinfo=UTC)),
        ("2026-11-27", datetime(2026, 11, 27, tzinfo=UTC)),
    ],
)
def test_a_time_of_our_years_is_an_instant(text, at):
    """The year that is written decides, whatever the offset."""
    assert instant_of(text) == at
    assert at - LONGEST < at < at + LONGEST


@pytest.mark.parametrize("seconds", [BEGINNING - 1, END, -1e17, 1e17, 1e19, 1e308, 10**400, float("inf"), float("nan")])
def test_seconds_outside_of_our_years_are_refused(seconds):
    """Any number is an instant or a ValueError."""
    with pytest.raises(ValueError, match="no time of the years 1870 to 2199"):
        instant_at(seconds)


def test_seconds_before_1970_are_an_instant():
    """An event of a timeline may have occurred before its time 0."""
    assert instant_at(-5) == datetime(1969, 12, 31, 23, 59, 55, tzinfo=UTC)
    assert instant_at(BEGINNING) - LONGEST < instant_at(BEGINNING)


@pytest.mark.parametrize(
    "value",
    [*extremes.DURATIONS, 1e308, -1e308, 10**400, float("inf"), float("nan"), 3_153_600_001],
    ids=lambda value: str(value)[:30],
)
def test_a_duration_beyond_a_hundred_years_is_refused(value):
    """Any text or number is a duration or a ValueError that says what is allowed."""
    with pytest.raises(ValueError, match="allowed"):
        duration_of(value)


def test_the_longest_duration_is_one():
    """A hundred years may be written in any unit."""
    assert duration_of("36500d") == duration_of(3_153_600_000) == LONGEST
    assert duration_of(-5) == timedelta(seconds=-5)


@pytest.mark.parametrize("field", ["every", "timeout"])
@pytest.mark.parametrize(
    "value", [*extremes.DURATIONS, 10**400, 1e308, float("inf"), float("nan")], ids=lambda value: str(value)[:30]
)
def test_a_probe_with_such_a_duration_is_a_mistake(field, value):
    """The mistake names the field."""
    (mistake,) = common_mistakes({"name": "a", field: value}, required=(), allowed=())
    assert mistake.startswith(field)


@pytest.mark.parametrize(
    "value",
    [*extremes.TIMES, 10**30, -(10**400), 1e308, float("inf"), float("nan"), "9" * 19, "1e400", True, [], {}],
    ids=lambda value: str(value)[:30],
)
def test_a_sender_s_time_outside_of_our_years_is_none(value):
    """The field is ignored. Digits may still be the milliseconds of one of our years."""
    found = coerce.instant(value)
    assert found is None or (isinstance(value, str) and value.isdigit())


@given(st.one_of(st.integers(), st.floats(), st.text(max_size=40), st.datetimes().map(datetime.isoformat)))
def test_any_time_of_a_sender_can_be_counted_from(value):
    """What is read as a time takes the longest duration in both directions."""
    found = coerce.instant(value)
    assert found is None or found - LONGEST < found < found + LONGEST


@pytest.mark.parametrize("value", [1e101, -1e308, 10**400, float("inf"), float("-inf"), float("nan"), None])
def test_a_value_that_nothing_measures_is_a_sample_without_one(value):
    """Sums of such values are no numbers: a function over them would stop the worker."""
    bucket = bucket_of(Sample("m", value, NOW))
    assert (bucket.count, bucket.nulls, bucket.last) == (0, 1, None)


def test_the_largest_values_have_a_sum():
    """A value at the limit counts."""
    one = bucket_of(Sample("m", MAX_VALUE, NOW))
    assert merged(one, bucket_of(Sample("m", MAX_VALUE, NOW + timedelta(seconds=1)))).total == 2 * MAX_VALUE
