"""Silences, causes and calendars: what holds an alert back at a time."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from chalicelib.core.alert import Alert, AlertState, Sender
from chalicelib.core.calendar import Dates, Days, MonthDays
from chalicelib.core.context import LONG_SILENCE, Silence
from chalicelib.core.event import Severity
from chalicelib.core.match import parse_matchers
from chalicelib.core.mute import (
    cause_from,
    causes_of,
    is_open,
    muting_windows,
    next_change,
    silences_of,
    speaks_again,
)
from chalicelib.core.rule import Inhibition, Route, Window

NIGHTS = Window("nights", Days(week=frozenset(range(5))), 22 * 60, 6 * 60, "UTC")
OFFICE = Window("office", Days(week=frozenset(range(5))), 9 * 60, 17 * 60, "America/Sao_Paulo")
BACKUP = Window("backup", Days(), 2 * 60, 3 * 60, "Europe/Berlin")
HALF = Window("half", Days(), 2 * 60 + 30, 2 * 60 + 45, "Europe/Berlin")
WEEKEND = Window("weekend", Days(week=frozenset({5, 6})), 0, 24 * 60, "UTC")
NEVER = Window("never", Days(week=frozenset()), 0, 24 * 60, "UTC")
HOLIDAYS = Window("holidays", Days(dates=(Dates("12-24", "01-02"), Dates("2026-04-03", "2026-04-03"))), 0, 1440, "UTC")
MONTH_END = Window("month end", Days(month=(MonthDays(-1, -1),)), 22 * 60, 6 * 60, "UTC")
FIRST_MONDAY = Window("first monday", Days(week=frozenset({0}), month=(MonthDays(1, 7),)), 0, 1440, "UTC")
SUMMER = Window("summer", Days(months=frozenset({7, 8})), 0, 1440, "UTC")
EMPTY = Window("empty", Days(), 8 * 60, 8 * 60, "UTC")


def at(text):
    """`03-02 22:00` of 2026, in UTC."""
    return datetime.fromisoformat(f"2026-{text}").replace(tzinfo=UTC)


OPEN = [
    # A Monday is 2 March; clocks go forward in Berlin on 29 March at 01:00 UTC and back on 25 October at 01:00 UTC.
    (NIGHTS, "03-02 21:59", False),
    (NIGHTS, "03-02 22:00", True),
    (NIGHTS, "03-03 05:59", True),
    (NIGHTS, "03-03 06:00", False),
    (NIGHTS, "03-02 05:00", False),  # Sunday's night would reach into Monday
    (NIGHTS, "03-07 05:00", True),  # Friday's night reaches into Saturday
    (NIGHTS, "03-07 23:00", False),
    (OFFICE, "03-02 11:59", False),
    (OFFICE, "03-02 12:00", True),
    (OFFICE, "03-02 19:59", True),
    (OFFICE, "03-02 20:00", False),
    (OFFICE, "03-07 15:00", False),
    (WEEKEND, "03-06 23:59", False),
    (WEEKEND, "03-07 00:00", True),
    (WEEKEND, "03-08 23:59", True),
    (WEEKEND, "03-09 00:00", False),
    (NEVER, "03-07 12:00", False),
    (EMPTY, "03-07 08:00", False),
    (BACKUP, "03-28 01:30", True),
    (BACKUP, "03-29 00:59", False),
    (BACKUP, "03-29 01:00", False),  # 02:00 to 03:00 does not happen
    (BACKUP, "03-30 00:30", True),
    (BACKUP, "10-24 23:59", False),
    (BACKUP, "10-25 00:00", True),
    (BACKUP, "10-25 01:59", True),  # the same hour again
    (BACKUP, "10-25 02:00", False),
    (HALF, "10-25 00:35", True),
    (HALF, "10-25 00:50", False),
    (HALF, "10-25 01:35", True),
    (HOLIDAYS, "12-23 23:59", False),
    (HOLIDAYS, "12-24 00:00", True),
    (HOLIDAYS, "12-31 23:59", True),
    (HOLIDAYS, "01-02 23:59", True),
    (HOLIDAYS, "01-03 00:00", False),
    (HOLIDAYS, "04-03 12:00", True),
    (MONTH_END, "02-28 22:00", True),
    (MONTH_END, "03-01 01:00", True),  # the night of the last of February reaches into March
    (MONTH_END, "03-30 23:00", False),
    (MONTH_END, "03-31 23:00", True),
    (FIRST_MONDAY, "03-02 12:00", True),
    (FIRST_MONDAY, "03-09 12:00", False),
    (FIRST_MONDAY, "03-03 12:00", False),
    (SUMMER, "06-30 12:00", False),
    (SUMMER, "07-01 00:00", True),
    (SUMMER, "08-31 23:59", True),
]


@pytest.mark.parametrize(("window", "time", "open_then"), OPEN, ids=[f"{row[0].name} {row[1]}" for row in OPEN])
def test_a_window_follows_the_wall_clock_of_its_zone(window, time, open_then):
    """Inside is inside, whatever the clocks did that day; midnight belongs to the day on which the window began."""
    assert is_open(window, at(time)) is open_then


CHANGES = [
    (NIGHTS, "03-02 12:00", "03-02 22:00"),
    (NIGHTS, "03-02 23:00", "03-03 06:00"),
    (NIGHTS, "03-07 06:00", "03-09 22:00"),
    (WEEKEND, "03-08 12:00", "03-09 00:00"),
    (BACKUP, "03-29 00:30", "03-30 00:00"),
    (BACKUP, "10-25 00:30", "10-25 02:00"),
    (HALF, "10-25 00:40", "10-25 00:45"),
    (HALF, "10-25 00:50", "10-25 01:30"),
    (NEVER, "03-02 12:00", None),
    (HOLIDAYS, "01-01 12:00", "01-03 00:00"),
    (HOLIDAYS, "01-10 12:00", "04-03 00:00"),
    (HOLIDAYS, "04-04 12:00", "12-24 00:00"),
    (MONTH_END, "03-01 12:00", "03-31 22:00"),
    (MONTH_END, "02-28 23:00", "03-01 06:00"),
    (FIRST_MONDAY, "03-03 12:00", "04-06 00:00"),
    (SUMMER, "07-02 12:00", "09-01 00:00"),
]


@pytest.mark.parametrize(("window", "time", "change"), CHANGES, ids=[f"{row[0].name} {row[1]}" for row in CHANGES])
def test_the_next_change_of_a_window(window, time, change):
    """The first instant at which it opens or closes; none when it never does."""
    assert next_change(window, at(time)) == (at(change) if change else None)


WINDOWS = {each.name: each for each in (NIGHTS, OFFICE, WEEKEND, NEVER, SUMMER, HOLIDAYS)}
ROUTES = [
    # mute, active, at: what mutes, and when it may speak again
    ((), (), "03-02 23:00", (), "03-02 23:00"),
    (("nights",), (), "03-02 23:00", ("nights",), "03-03 06:00"),
    (("nights", "weekend"), (), "03-06 23:00", ("nights",), "03-09 00:00"),
    ((), ("office",), "03-02 13:00", (), "03-02 13:00"),
    ((), ("office",), "03-02 21:00", ("office",), "03-03 12:00"),
    ((), ("office", "weekend"), "03-07 13:00", (), "03-07 13:00"),
    (("weekend",), ("office",), "03-07 13:00", ("weekend", "office"), "03-09 12:00"),
    ((), ("never",), "03-02 13:00", ("never",), None),
    (("summer",), ("office",), "07-01 12:00", ("summer",), "09-01 12:00"),
    (("summer", "weekend"), (), "08-30 12:00", ("summer", "weekend"), "09-01 00:00"),
    ((), ("holidays",), "05-01 12:00", ("holidays",), "12-24 00:00"),
]


@pytest.mark.parametrize(("mute", "active", "time", "muting", "again"), ROUTES)
def test_when_a_route_is_quiet_and_speaks_again(mute, active, time, muting, again):
    """Any of the muting windows mutes; of the active ones one must be open."""
    route = Route("r", mute=mute, active=active)
    assert muting_windows(route, WINDOWS, at(time)) == muting
    if muting:
        assert speaks_again(route, WINDOWS, at(time)) == (at(again) if again else None)


def alert(name="Slow", severity=Severity.WARNING, **labels):
    """An alert that fires."""
    return Alert(
        f"{name}-{sorted(labels.items())}", name=name, labels=labels, severity=severity, state=AlertState.FIRING
    )


def cause(name="Down", sent_as="", **labels):
    """A cause that is active."""
    found = replace(alert(name, Severity.CRITICAL, **labels), sender=Sender(event_name=sent_as))
    return cause_from(found, "other", at("03-02 00:00"))


def inhibition(cause_of, symptom, *equal):
    """An inhibition of clauses."""
    return Inhibition(parse_matchers(cause_of), parse_matchers(symptom), equal)


DOWN = inhibition({"alertname": "Down"}, {"severity": "warning"}, "service")
EVERYTHING = inhibition({"severity": "critical"}, {"severity": "=~critical|warning"}, "service")
CAUSES = [
    ("same service", alert(service="web"), cause(service="web"), DOWN, True),
    ("another service", alert(service="web"), cause(service="db"), DOWN, False),
    ("the label is missing on one side", alert(), cause(service="db"), DOWN, False),
    ("the label is missing on both sides", alert(), cause(), DOWN, True),
    ("no symptom", alert(severity=Severity.CRITICAL, service="web"), cause(service="web"), DOWN, False),
    ("no cause", alert(service="web"), cause("Slow", service="web"), DOWN, False),
    ("it is its own cause", alert("Down", Severity.CRITICAL, service="web"), cause(service="web"), EVERYTHING, False),
    ("both are on both sides", alert("Up", Severity.CRITICAL, service="web"), cause(service="web"), EVERYTHING, False),
    ("one is on both sides", alert(service="web"), cause(service="web"), EVERYTHING, True),
    ("its sender names it", alert(service="web"), cause("My rule", "Down", service="web"), DOWN, True),
    ("nobody names it so", alert(service="web"), cause("My rule", "Up", service="web"), DOWN, False),
]


@pytest.mark.parametrize(
    ("symptom", "active", "rule", "mutes"), [row[1:] for row in CAUSES], ids=[r[0] for r in CAUSES]
)
def test_what_a_cause_mutes(symptom, active, rule, mutes):
    """A cause mutes its symptoms where the labels of `equal` are the same, and never one of its own kind."""
    assert bool(causes_of(symptom, (active,), (rule,))) is mutes


def silence(hours=1.0, **clauses):
    """A silence from noon on."""
    return Silence("s", parse_matchers(clauses), at("03-02 12:00"), at("03-02 12:00") + timedelta(hours=hours), "ana")


SILENCES = [
    ("11:59", {"service": "web"}, False),
    ("12:00", {"service": "web"}, True),
    ("12:59", {"service": "web"}, True),
    ("13:00", {"service": "web"}, False),
    ("12:30", {"service": "!=web"}, False),
    ("12:30", {"alertname": "=~Sl.*"}, True),
    ("12:30", {"alertname": "=~Sl"}, False),
    ("12:30", {"severity": "warning", "service": "web"}, True),
    ("12:30", {"team": ""}, True),
]


@pytest.mark.parametrize(("time", "clauses", "mutes"), SILENCES)
def test_what_a_silence_mutes(time, clauses, mutes):
    """From its start until, not including, its end, whatever all of its matchers are about."""
    found = silences_of(alert(service="web"), [silence(**clauses)], at(f"03-02 {time}"))
    assert bool(found) is mutes


def test_only_a_long_silence_is_spoken_of_before_it_ends():
    """An hour before its end, when it is long enough to be forgotten."""
    assert silence(1).reminds_at is None
    found = silence(LONG_SILENCE.total_seconds() / 3600)
    assert found.reminds_at == found.ends_at - timedelta(hours=1)
