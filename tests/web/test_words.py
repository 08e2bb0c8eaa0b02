"""Ages, times and zones in words, at their edges."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from chalicelib.web.words import age, clock, counted, in_utc, zone_of, zone_words

NOW = datetime(2026, 11, 30, 5, 46, 20, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-5, "0 s"), (0, "0 s"), (59, "59 s"), (59.9, "59 s"), (60, "1 min"), (3599, "59 min"), (3600, "1 h"),
        (3661, "1 h 1 min"), (22_380, "6 h 13 min"), (86_399, "23 h 59 min"), (86_400, "1 d"), (90_000, "1 d 1 h"),
        (133_200, "1 d 13 h"), (86_400 * 400, "400 d"),
    ],
)  # fmt: skip
def test_an_age_has_two_parts_at_most(seconds, words):
    """Given a length of time → whole units, never more than has passed."""
    assert age(timedelta(seconds=seconds)) == words


@pytest.mark.parametrize(
    ("at", "zone", "words"),
    [
        (NOW, "UTC", "05:46"),
        (NOW, "America/Sao_Paulo", "02:46"),
        (NOW - timedelta(hours=3), "America/Sao_Paulo", "29 Nov, 23:46"),
        (NOW - timedelta(hours=3), "UTC", "02:46"),
        (NOW - timedelta(days=366), "UTC", "29 Nov 2025, 05:46"),
        (NOW + timedelta(days=1), "Asia/Kolkata", "1 Dec, 11:16"),
    ],
)
def test_a_time_of_today_is_its_hour(at, zone, words):
    """Given an instant → only the hour where it is the reader's today, else with the day, else with the year."""
    assert clock(at, ZoneInfo(zone), NOW) == words


def test_seconds_and_utc():
    """Given an instant → its seconds where order matters, and UTC whatever the zone is."""
    assert clock(NOW, ZoneInfo("UTC"), NOW, seconds=True) == "05:46:20"
    assert in_utc(NOW.astimezone(ZoneInfo("Asia/Tokyo"))) == "30 Nov 2026 05:46:20 UTC"


@pytest.mark.parametrize(
    ("zone", "words"),
    [("UTC", "UTC"), ("Europe/London", "London, UTC"), ("America/Sao_Paulo", "Sao Paulo, UTC−3"),
     ("Asia/Kolkata", "Kolkata, UTC+5:30"), ("America/St_Johns", "St Johns, UTC−3:30")],
)  # fmt: skip
def test_a_zone_is_named_by_its_city(zone, words):
    """Given a zone → its city and how far it is from UTC now."""
    assert zone_words(ZoneInfo(zone), NOW) == words


@pytest.mark.parametrize("names", [("", "nowhere"), ("../../etc/passwd",), ("/etc/localtime",), ("\0",), ("A" * 500,)])
def test_what_is_no_zone_is_utc(names):
    """Given names that are no zones → UTC."""
    assert zone_of(*names).key == "UTC"


def test_counts():
    """Given a count → its word in the right number."""
    assert (counted(1, "alert"), counted(1840, "alert"), counted(2, "fish", "fish")) == (
        "1 alert",
        "1,840 alerts",
        "2 fish",
    )
