"""Cron times: tables of expressions, both clock changes, mistakes, and two references: a walk over each minute, and croniter."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import takewhile
from zoneinfo import ZoneInfo

import pytest
from croniter import croniter
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.core.language.cron import following, parse


def utc(text: str) -> datetime:
    """The instant of an ISO text; without an offset it is UTC."""
    found = datetime.fromisoformat(text)
    return found if found.tzinfo else found.replace(tzinfo=UTC)


FOLLOWING = [
    # an expression, its zone, a time, the next run
    ("0 10 * * *", "Europe/Riga", "2026-01-05T07:59:59", "2026-01-05T08:00"),
    ("0 10 * * *", "Europe/Riga", "2026-01-05T08:00", "2026-01-06T08:00"),
    ("0 10 * * *", "Europe/Riga", "2026-07-05T00:00", "2026-07-05T07:00"),
    ("*/15 8-18 * * mon-fri", "UTC", "2026-11-27T18:45", "2026-11-30T08:00"),
    ("30 2 29 2 *", "UTC", "2025-01-01T00:00", "2028-02-29T02:30"),
    ("0 0 29 2 *", "UTC", "2097-01-01T00:00", "2104-02-29T00:00"),
    ("0 0 13 * 5", "UTC", "2026-11-07T00:00", "2026-11-13T00:00"),
    ("0 0 13 * 5", "UTC", "2026-11-13T00:00", "2026-11-20T00:00"),
    ("0 0 */2 * 1", "UTC", "2026-11-24T00:00", "2026-12-07T00:00"),
    ("0 0 * * 7", "UTC", "2026-11-24T00:00", "2026-11-29T00:00"),
    ("0 0 * * sat-sun", "UTC", "2026-11-28T00:00", "2026-11-29T00:00"),
    ("5/20 * ? JAN,jun ?", "UTC", "2026-02-01T00:00", "2026-06-01T00:05"),
    ("@weekly", "UTC", "2026-11-24T00:00", "2026-11-29T00:00"),
    ("@hourly", "Asia/Kolkata", "2026-11-24T00:00", "2026-11-24T00:30"),
    # Riga goes from 03:00 to 04:00 on 29 March 2026, at 01:00 UTC.
    ("30 3 * * *", "Europe/Riga", "2026-03-28T12:00", "2026-03-29T01:00"),
    ("30 3 * * *", "Europe/Riga", "2026-03-29T01:00", "2026-03-30T00:30"),
    ("*/10 3 * * *", "Europe/Riga", "2026-03-29T01:00", "2026-03-30T00:00"),
    ("0 4 * * *", "Europe/Riga", "2026-03-28T12:00", "2026-03-29T01:00"),
    # Riga has 03:00 to 04:00 twice on 25 October 2026, first at 00:00 UTC.
    ("30 3 * * *", "Europe/Riga", "2026-10-24T12:00", "2026-10-25T00:30"),
    ("30 3 * * *", "Europe/Riga", "2026-10-25T00:30", "2026-10-26T01:30"),
    # What runs each hour or minute goes by the time that passes.
    ("0 * * * *", "Europe/Riga", "2026-10-25T00:00", "2026-10-25T01:00"),
    ("0 * * * *", "Europe/Riga", "2026-03-29T00:00", "2026-03-29T01:00"),
    ("*/10 3 * * *", "Europe/Riga", "2026-10-25T00:50", "2026-10-25T01:00"),
    # Lord Howe Island changes by half an hour; in Santiago midnight itself is skipped; Samoa skipped a whole day.
    ("15 2 * * *", "Australia/Lord_Howe", "2026-10-03T12:00", "2026-10-03T15:30"),
    ("0 0 * * *", "America/Santiago", "2026-09-05T12:00", "2026-09-06T04:00"),
    ("0 12 30 12 *", "Pacific/Apia", "2011-12-29T23:00", "2011-12-30T10:00"),
]


@pytest.mark.parametrize(("cron", "zone", "at", "expected"), FOLLOWING)
def test_following(cron: str, zone: str, at: str, expected: str) -> None:
    """The next run is the earliest one strictly later."""
    assert following(cron, zone, utc(at)) == utc(expected)


MISTAKES = [
    ("* * * *", "has 4 fields; allowed are five"),
    ("60 * * * *", "minute '60' is not understood; allowed is 0 to 59"),
    ("* 24 * * *", "hour '24' is not understood; allowed is 0 to 23"),
    ("* * 0 * *", "day of the month '0' is not understood; allowed is 1 to 31"),
    ("* * * 13 *", "month '13' is not understood; allowed is 1 to 12 or jan to dec"),
    ("* * * * 8", "day of the week '8' is not understood; allowed is 0 to 7 or sun to sat"),
    ("*/0 * * * *", "minute '*/0'"),
    ("*/x * * * *", "minute '*/x'"),
    ("5-1 * * * *", "minute '5-1'"),
    ("1,,2 * * * *", "minute '1,,2'"),
    ("-1 * * * *", "minute '-1'"),
    ("² * * * *", "minute '²'"),
    ("? * * * *", "minute '?'"),
    ("0 0 30 2 *", "never comes in month '2'"),
    ("0 0 31 4,6 *", "never comes in month '4,6'"),
    ("@often", "has 1 fields"),
]


@pytest.mark.parametrize(("cron", "words"), MISTAKES)
def test_mistakes(cron: str, words: str) -> None:
    """A mistake names its field and what the field allows."""
    with pytest.raises(ValueError, match=re.escape(words)):
        parse(cron)


@pytest.mark.parametrize("zone", ["Europe/Atlantis", "", "../etc/passwd", "/etc/passwd"])
def test_unknown_zone(zone: str) -> None:
    """A time zone that does not exist is told, with an example of what is allowed."""
    with pytest.raises(ValueError, match="allowed are names of the IANA database"):
        following("* * * * *", zone, utc("2026-01-01T00:00"))


def test_every_minute_around_the_skipped_hour() -> None:
    """Every minute runs once a minute through the gap, with nothing doubled."""
    at, found = utc("2026-03-29T00:58"), []
    for _ in range(4):
        at = following("* * * * *", "Europe/Riga", at)
        found.append(at)
    assert found == [utc(f"2026-03-29T0{text}") for text in ("0:59", "1:00", "1:01", "1:02")]


ZONES = ["Europe/Riga", "America/Sao_Paulo", "Australia/Lord_Howe", "America/St_Johns", "UTC"]
CHANGES = [utc("2026-03-29T01:00"), utc("2026-10-25T01:00"), utc("2026-04-04T15:00"), utc("2018-11-04T03:00")]


def reference(minutes: set[int], hours: set[int], zone: ZoneInfo, start: datetime, count: int) -> list[datetime]:
    """Runs found by walking every UTC minute: first passes of wall times, and ends of gaps that swallowed one."""
    found, last_wall = [], (start - timedelta(minutes=1)).astimezone(zone).replace(tzinfo=None)
    for number in range(count):
        at = start + timedelta(minutes=number)
        local = at.astimezone(zone)
        wall = local.replace(tzinfo=None)
        reached = last_wall + timedelta(minutes=1)
        due = False
        while reached <= wall and not local.fold:
            due = due or (reached.minute in minutes and reached.hour in hours)
            reached += timedelta(minutes=1)
        if due:
            found.append(at)
        last_wall = max(last_wall, wall)
    return found


@given(
    minutes=st.sets(st.integers(0, 59), min_size=1, max_size=4),
    hours=st.sets(st.integers(0, 23), min_size=1, max_size=24),
    zone=st.sampled_from(ZONES),
    change=st.sampled_from(CHANGES),
)
def test_equals_a_walk_over_every_minute(minutes: set[int], hours: set[int], zone: str, change: datetime) -> None:
    """Around any clock change fixed times run as a walk over every minute says: cron(8) of Debian."""
    start, count = change - timedelta(hours=30), 60 * 60
    expected = reference(minutes, hours, ZoneInfo(zone), start, count)
    cron = f"{','.join(map(str, minutes))} {','.join(map(str, hours))} * * *"
    end, at, forwards = start + timedelta(minutes=count - 1), start - timedelta(seconds=1), []
    while (at := following(cron, zone, at)) <= end:
        forwards.append(at)
    assert forwards == expected


def real_time(fits: Callable[[datetime], bool], zone: ZoneInfo, start: datetime, count: int) -> list[datetime]:
    """Runs of what Debian's cron counts as a wildcard job: every real minute whose local time fits."""
    times = (start + timedelta(minutes=number) for number in range(count))
    return [at for at in times if fits(at.astimezone(zone))]


@pytest.mark.parametrize("zone", ["Europe/Riga", "America/New_York", "America/Sao_Paulo", "Australia/Sydney"])
@pytest.mark.parametrize("change", ["2026-03-29T01:00", "2026-10-25T01:00", "2026-03-08T07:00", "2026-11-01T06:00"])
@pytest.mark.parametrize(
    ("cron", "fits"),
    [
        ("0 * * * *", lambda local: local.minute == 0),
        ("30 */1 * * *", lambda local: local.minute == 30),
        ("*/15 * * * *", lambda local: local.minute % 15 == 0),
        ("*/20 2 * * *", lambda local: local.minute % 20 == 0 and local.hour == 2),
        ("45 */6 * * *", lambda local: local.minute == 45 and local.hour % 6 == 0),
    ],
)
def test_what_runs_each_hour_or_minute_goes_by_real_time(
    cron: str, fits: Callable[[datetime], bool], change: str, zone: str
) -> None:
    """Around both clock changes a wildcard job runs as a walk over the real minutes says (cron(8) of Debian)."""
    start, count = utc(change) - timedelta(hours=30), 60 * 60
    expected = real_time(fits, ZoneInfo(zone), start, count)
    end, at, found = start + timedelta(minutes=count - 1), start - timedelta(seconds=1), []
    while (at := following(cron, zone, at)) <= end:
        found.append(at)
    assert found == expected


REFERENCE_ZONES = {
    "Europe/Berlin": ("2026-03-29T01:00", "2026-10-25T01:00"),
    "America/New_York": ("2026-03-08T07:00", "2026-11-01T06:00"),
    "America/Sao_Paulo": ("2018-11-04T03:00", "2018-02-18T02:00"),
}
"""Both clock changes of each: the skipped hour, then the one that comes twice."""
FIXED = [
    "30 2 * * *", "0 2 * * *", "15 1 * * *", "0 3 * * *", "30 0 * * *", "30 23 * * *", "30 1,2,3 * * *", "10 0-4 * * *",
    "0 9 * * *", "0 12 * * sun",
]  # fmt: skip
WILDCARD = ["* * * * *", "0 * * * *", "30 */1 * * *", "*/15 * * * *", "*/20 2 * * *", "*/20 1 * * *"]


def by_croniter(cron: str, zone: str, start: datetime, end: datetime) -> list[datetime]:
    """Return the runs that croniter finds."""
    times = (at.astimezone(UTC) for at in croniter(cron, start.astimezone(ZoneInfo(zone)), ret_type=datetime))
    return list(takewhile(lambda at: at <= end, times))


@pytest.mark.parametrize(
    ("cron", "changes"), [*((each, (0, 1)) for each in FIXED), *((each, (1,)) for each in WILDCARD)]
)
@pytest.mark.parametrize("zone", REFERENCE_ZONES)
def test_equals_croniter_where_debians_cron_does(cron: str, changes: tuple[int, ...], zone: str) -> None:
    """Around both clock changes → the runs that croniter finds, but for two rules of cron(8) of Debian that it does not have.

    croniter runs a fixed time again in the hour that comes twice, and what has `*` also right after the skipped hour.
    """
    for change in (REFERENCE_ZONES[zone][each] for each in changes):
        start, end = utc(change) - timedelta(hours=30), utc(change) + timedelta(hours=30)
        expected = by_croniter(cron, zone, start, end)
        if cron in FIXED:
            expected = [at for at in expected if not at.astimezone(ZoneInfo(zone)).fold]
        at, found = start, []
        while (at := following(cron, zone, at)) <= end:
            found.append(at)
        assert found == expected != []
