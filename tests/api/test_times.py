"""Times as people write them: what each of them means, what is no time, and where a time ends and a reason begins."""

from datetime import UTC, datetime, timedelta

import pytest

from chalicelib.api.times import parse_for, parse_until, parse_when, time_and_reason
from chalicelib.core.errors import RequestError
from tests import extremes

NOW = datetime(2026, 11, 26, 15, 30, tzinfo=UTC)
"""A Thursday."""


def at(day, hour, minute=0, month=11):
    """An instant of the week."""
    return datetime(2026, month, day, hour, minute, tzinfo=UTC)


TIMES = [
    ("2h", "UTC", NOW + timedelta(hours=2)),
    ("1h30m", "UTC", NOW + timedelta(minutes=90)),
    ("1d 12h", "UTC", NOW + timedelta(hours=36)),
    ("1d12h", "UTC", NOW + timedelta(hours=36)),
    ("  1D   12H ", "UTC", NOW + timedelta(hours=36)),
    ("for 2h", "UTC", NOW + timedelta(hours=2)),
    ("FOR 1d, 12h", "UTC", NOW + timedelta(hours=36)),
    ("tomorrow", "UTC", at(27, 9)),
    ("Tomorrow", "UTC", at(27, 9)),
    ("until tomorrow", "America/Sao_Paulo", at(27, 12)),
    ("tomorrow 14:00", "UTC", at(27, 14)),
    ("tomorrow, 14:00", "UTC", at(27, 14)),
    ("tomorrow at 2 PM", "UTC", at(27, 14)),
    ("until  Tomorrow  14:00", "America/Sao_Paulo", at(27, 17)),
    ("friday", "UTC", at(27, 9)),
    ("Friday", "UTC", at(27, 9)),
    ("fri", "UTC", at(27, 9)),
    ("FRI 18:30", "UTC", at(27, 18, 30)),
    ("friday 6:30 pm", "UTC", at(27, 18, 30)),
    ("mon", "UTC", at(30, 9)),
    ("monday", "Europe/Riga", at(30, 7)),
    ("thursday", "UTC", at(3, 9, month=12)),
    ("thursday 15:31", "UTC", at(26, 15, 31)),
    ("thursday 15:30", "UTC", at(3, 15, 30, month=12)),
    ("6pm", "UTC", at(26, 18)),
    ("6 pm", "UTC", at(26, 18)),
    ("6:30 pm", "UTC", at(26, 18, 30)),
    ("6:30PM", "UTC", at(26, 18, 30)),
    ("3am", "UTC", at(27, 3)),
    ("12am", "UTC", at(27, 0)),
    ("12:15 pm", "UTC", at(27, 12, 15)),
    ("18:30", "UTC", at(26, 18, 30)),
    ("until 18:30", "UTC", at(26, 18, 30)),
    ("9:00", "UTC", at(27, 9)),
    ("15:30", "UTC", at(27, 15, 30)),
    ("13:00", "America/Sao_Paulo", at(26, 16)),
    ("18:30 UTC", "America/Sao_Paulo", at(26, 18, 30)),
    ("18:30 Europe/Riga", "UTC", at(26, 16, 30)),
    ("18:30 +02:00", "UTC", at(26, 16, 30)),
    ("2026-11-28", "UTC", at(28, 0)),
    ("2026-11-28 10:00", "Europe/Riga", at(28, 8)),
    ("2026-11-28T10:00", "Europe/Riga", at(28, 8)),
    ("2026-11-28 6pm", "UTC", at(28, 18)),
    ("until 2026-11-28 10:00", "UTC", at(28, 10)),
    ("2026-11-28T10:00Z", "Europe/Riga", at(28, 10)),
    ("2026-11-28t10:00:00z", "Europe/Riga", at(28, 10)),
    ("2026-11-28 10:00 UTC", "Europe/Riga", at(28, 10)),
    ("2026-11-28T10:00:00+02:00", "UTC", at(28, 8)),
    ("2026-11-28 10:00 +0200", "UTC", at(28, 8)),
]


@pytest.mark.parametrize(("text", "zone", "meant"), TIMES)
def test_times_are_read_as_people_write_them(text, zone, meant):
    """Given a duration, a time, a day or an instant → when it is, in the zone of the person."""
    assert parse_when(text, NOW, zone) == meant


@pytest.mark.parametrize(
    ("text", "now", "meant"),
    [
        ("tomorrow", at(26, 23, 59), at(27, 9)),
        ("tomorrow", at(27, 0), at(27, 9)),
        ("tomorrow", at(27, 1), at(27, 9)),
        ("tomorrow", at(27, 4, 59), at(27, 9)),
        ("tomorrow", at(27, 5), at(28, 9)),
        ("tomorrow 14:00", at(27, 1), at(27, 14)),
        ("tomorrow 0:30", at(27, 1), at(28, 0, 30)),
        ("friday", at(27, 1), at(27, 9)),
        ("friday", at(27, 8, 59), at(27, 9)),
        ("friday", at(27, 9), at(4, 9, month=12)),
    ],
)
def test_until_five_in_the_morning_it_is_the_day_before(text, now, meant):
    """Given `tomorrow` between midnight and 05:00 → the day that the calendar has already."""
    assert parse_when(text, now) == meant


def test_a_morning_after_the_clocks_change_is_nine_by_the_wall():
    """Given `tomorrow` on the day before summer time ends → an hour later in UTC."""
    eve = datetime(2026, 10, 24, 12, tzinfo=UTC)
    assert parse_when("tomorrow", eve, "Europe/Riga") == datetime(2026, 10, 25, 7, tzinfo=UTC)


def test_a_time_that_clocks_show_twice_is_the_next_of_both():
    """Given 03:30 between the two 03:30 of the day when summer time ends → the second one."""
    between = datetime(2026, 10, 25, 0, 45, tzinfo=UTC)
    assert parse_when("3:30", between, "Europe/Riga") == datetime(2026, 10, 25, 1, 30, tzinfo=UTC)


NO_TIMES = [
    "", " ", "for", "until", "soon", "2", "2 h", "2h!", "24:00", "25:00", "6:60", "13pm", "0pm", "6 p m", "-2h", "2h ago",
    "tomorrow 14", "tomorrow soon", "tomorrow tomorrow", "friday monday", "14:00 tomorrow", "2h 18:30", "18:30 2h",
    "for 18:30", "until 2h", "until for 2h", "for for 2h", "2026-13-01", "2026-02-30", "2026-11-28 25:00", "20261128",
    "2026-W10-4", "1830", "18h30", "18:30 Mars", "18:30 +99:00", "18:3٠", "9999999999999d", "1d" * 60,
]  # fmt: skip


@pytest.mark.parametrize("text", NO_TIMES)
def test_what_is_not_read_whole_is_refused(text):
    """Given a text of which a part is no time → an error with what is allowed."""
    with pytest.raises(RequestError, match=r"no time.*expected is a duration \(2h, 1d 12h\), 18:30"):
        parse_when(text, NOW)


@pytest.mark.parametrize("read", [parse_when, parse_until, parse_for])
@pytest.mark.parametrize("word", [*extremes.TIMES, *extremes.DURATIONS], ids=lambda word: word[:30])
def test_a_time_that_is_no_date_is_refused(read, word):
    """Given a time outside of our years, or a duration that leads there → an error with what is allowed."""
    with pytest.raises(RequestError, match="no time"):
        read(word, NOW)


@pytest.mark.parametrize("zone", ["UTC", "Pacific/Kiritimati", "America/Sao_Paulo"])
@pytest.mark.parametrize("word", [*extremes.TIMES, *extremes.DURATIONS], ids=lambda word: word[:30])
def test_a_time_that_is_no_date_is_refused_in_any_zone(word, zone):
    """Given such a time and a zone far from UTC → an error as well."""
    with pytest.raises(RequestError, match="no time"):
        parse_when(word, NOW, zone)


def test_for_takes_durations_and_until_takes_instants():
    """Given `for` or `until` with the other kind → an error that names what is expected."""
    assert parse_for("1d 12h", NOW) == parse_for("for 36h", NOW) == NOW + timedelta(hours=36)
    assert parse_until("until friday 18:30", NOW) == parse_until("Friday 18:30", NOW) == at(27, 18, 30)
    with pytest.raises(RequestError, match="'18:30' is no time from now; expected is a duration"):
        parse_for("18:30", NOW)
    with pytest.raises(RequestError, match="'2h' is no time but a duration, which `for` takes"):
        parse_until("2h", NOW)


@pytest.mark.parametrize("zone", ["", "Mars", "Europe", "../etc/passwd", "a\0b", "\ud800", "x" * 5_000])
def test_an_unknown_zone_is_named(zone):
    """Given a name that is no zone → an error with an example of one."""
    with pytest.raises(RequestError, match="no time zone"):
        parse_when("18:30", NOW, zone)


@pytest.mark.parametrize(
    ("typed", "time", "reason"),
    [
        ("2h", "2h", ""),
        ("2h deploying", "2h", "deploying"),
        ("for 2h deploying now", "2h", "deploying now"),
        ("1d 12h deploying", "1d 12h", "deploying"),
        ("tomorrow 14:00 deploying", "tomorrow 14:00", "deploying"),
        ("Until tomorrow at 2 pm deploying", "tomorrow at 2 pm", "deploying"),
        ("tomorrow, 14:00, deploying", "tomorrow, 14:00,", "deploying"),
        ("2026-03-05 16:00 deploying", "2026-03-05 16:00", "deploying"),
        ("friday 6:30 PM the move", "friday 6:30 PM", "the move"),
        ("18:30 UTC the move", "18:30 UTC", "the move"),
        ("2h for the move", "2h", "for the move"),
        ("2h at the office", "2h", "at the office"),
        ("2h 500 errors are known", "2h", "500 errors are known"),
        ("2h - until the fix is live", "2h", "- until the fix is live"),
        ("2h AWS has an outage", "2h", "AWS has an outage"),
    ],
)
def test_the_longest_time_is_the_time(typed, time, reason):
    """Given the words behind an id → the longest time at their beginning, and the reason."""
    assert time_and_reason(typed.split()) == (time, reason)


@pytest.mark.parametrize(
    ("typed", "named"),
    [
        ("2h 18:30", "18:30"),
        ("1d 12", "12"),
        ("2h 30 min", "30"),
        ("tomorrow 14 the move", "14"),
        ("tomorrow noon", "noon"),
        ("tomorrow at noon", "at noon"),
        ("tomorrow morning", "morning"),
        ("tomorrow 25:00 x", "25:00"),
        ("tomorrow 18h30 x", "18h30"),
        ("18:30 28.11. x", "28.11."),
        ("friday, monday", "monday"),
        ("18:30 CET", "CET"),
        ("18:30 pm", "pm"),
        ("2h until 18:30", "until 18:30"),
        ("1d and 12h", "and 12h"),
        ("1d + 12h", "+ 12h"),
        ("2h UTC", "UTC"),
        ("2h (18:30)", "(18:30)"),
    ],
)
def test_a_reason_does_not_begin_like_a_time(typed, named):
    """Given a word behind the time that could belong to it → an error that names both."""
    with pytest.raises(RequestError, match="looks like a part of a time") as raised:
        time_and_reason(typed.split())
    assert repr(named) in str(raised.value)


def test_words_without_a_time_are_refused():
    """Given words that begin with no time → an error with what is allowed."""
    with pytest.raises(RequestError, match="'soon' begins with no time; expected is a duration"):
        time_and_reason(["soon"])


@pytest.mark.parametrize("typed", ["until 2h deploying", "for 18:30", "for tomorrow 14:00"])
def test_the_wrong_word_before_a_time_is_named(typed):
    """Given `until` before a duration, or `for` before an instant → the error says which takes which."""
    with pytest.raises(RequestError, match="no time: `for` takes a duration and `until` takes a time"):
        time_and_reason(typed.split())
    with pytest.raises(RequestError, match="no time: `for` takes a duration and `until` takes a time"):
        parse_when(typed, NOW)
