"""When silence is unusual."""

from datetime import UTC, datetime, timedelta

import pytest

from chalicelib.schedule.last_seen import SourceActivity, activity_from, is_quiet, seen_again, silence_allowed

START = datetime(2026, 11, 2, tzinfo=UTC)
HOUR = timedelta(hours=1)


def heard(times):
    """The record after a source was heard at these hours."""
    found = None
    for hour in times:
        found = seen_again(found, START + hour * HOUR)
    return found


EVERY_HOUR = list(range(24 * 15))
OFFICE_HOURS = [24 * day + hour for day in range(14) if day % 7 < 5 for hour in range(8, 18)]
QUIET = [
    ("steady, a moment ago", EVERY_HOUR, 0.5, False),
    ("steady, nearly twice its longest silence", EVERY_HOUR, 1.9, False),
    ("steady, more than twice", EVERY_HOUR, 2.1, True),
    ("every minute, within the hour", [n / 60 for n in range(60 * 24 * 8)], 0.9, False),
    ("every minute, over an hour", [n / 60 for n in range(60 * 24 * 8)], 1.1, True),
    ("office hours, over a weekend", OFFICE_HOURS, 63, False),
    ("office hours, gone for a week", OFFICE_HOURS, 170, True),
    ("known for three days, eight times", list(range(72)), 3.9, False),
    ("known for three days, long enough", list(range(72)), 6.1, True),
    ("known for a morning", [n / 10 for n in range(40)], 100, False),
    ("spoke seldom", [n * 24 for n in range(15)], 1000, False),
]


@pytest.mark.parametrize(("times", "later", "quiet"), [row[1:] for row in QUIET], ids=[row[0] for row in QUIET])
def test_quiet(times, later, quiet):
    """Twice the longest silence of two weeks is unusual; who is hardly known is never quiet."""
    found = heard(times)
    assert is_quiet(found, found.last_at + later * HOUR) is quiet


def test_old_times_and_echoes_change_nothing():
    """What was heard is heard once, in whatever order it is told."""
    found = heard([0, 1, 2])
    assert seen_again(found, START) == found
    assert seen_again(found, found.last_at + timedelta(seconds=59)) == found


def test_a_longest_silence_is_forgotten_after_two_weeks():
    """One outage does not blind it for ever."""
    found = heard([*range(48), *range(96, 96 + 24 * 20)])
    assert silence_allowed(found) == timedelta(hours=2)


def test_the_record_is_a_short_text():
    """What is stored comes back; garbage is nothing."""
    found = heard(EVERY_HOUR)
    assert activity_from(str(found)) == found
    assert len(str(found)) < 80
    for text in ("", "x", "1 2 3", "1 2 3 4 5 x", "99999999999999999 1 1 1 1 1"):
        assert activity_from(text) is None
    assert activity_from(str(SourceActivity(START, START))) == SourceActivity(START, START, turned_at=START)
