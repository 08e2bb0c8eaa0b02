"""Which incident a new alert joins, what is news there, and how long its end waits."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from chalicelib.core.alert import Alert, AlertState, ReceivedEvents, StateChanges
from chalicelib.core.correlation import Head, by_values, head_name, hold_of, new_key, why_not_joined, with_news
from chalicelib.core.event import Severity
from chalicelib.core.incident import CORRELATED, Episode, Incident
from chalicelib.core.rule import Correlate, Route, Rule, Rules

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
CORRELATE = Correlate(by=("service", "environment"))
RULES = Rules(correlate=CORRELATE)
VALUES = {"service": "api", "environment": "prod"}
HEAD = Head("c|1", NOW - HOUR)
OPEN = Incident("c|1", "1", episode=Episode(started_at=NOW - HOUR, news_at=NOW - 10 * MINUTE))

PLACES = [
    ("all labels are there", RULES, None, Route("r"), {**VALUES, "pod": "1"}, VALUES),
    ("one is missing", RULES, None, Route("r"), {"service": "api"}, {}),
    ("one is empty", RULES, None, Route("r"), {**VALUES, "environment": ""}, {}),
    ("no correlate", Rules(), None, Route("r"), VALUES, {}),
    ("a rule that stays apart", RULES, Rule("A", correlates=False), Route("r"), VALUES, {}),
    ("a route that stays apart", RULES, None, Route("r", correlates=False), VALUES, {}),
]


@pytest.mark.parametrize(
    ("rules", "rule", "route", "labels", "values"), [r[1:] for r in PLACES], ids=[r[0] for r in PLACES]
)
def test_what_is_correlated(rules, rule, route, labels, values):
    """Given the labels of an alert, then it is correlated by the values of by, if it has all of them."""
    assert by_values(rules, rule, (route,), labels) == values


def opened(**episode):
    """The open incident with another episode."""
    return replace(OPEN, episode=replace(OPEN.episode, **episode))


JOINS = [
    ("news is as old as it may be", OPEN, NOW + 5 * MINUTE, ""),
    ("news is a second older", OPEN, NOW + 5 * MINUTE + timedelta(seconds=1), "its last news is older than"),
    ("nothing joined it since it began", opened(news_at=None), NOW - 44 * MINUTE, "its last news is older than"),
    ("it is two hours old", opened(news_at=NOW + 55 * MINUTE), NOW + HOUR, ""),
    (
        "it is older than two hours",
        opened(news_at=NOW + 55 * MINUTE),
        NOW + HOUR + timedelta(seconds=1),
        "it is older than",
    ),
    ("it began 15 minutes later", OPEN, NOW - HOUR - 15 * MINUTE, ""),
    ("it began more than 15 minutes later", OPEN, NOW - HOUR - 16 * MINUTE, "it began more than"),
    ("it has ended", opened(ended_at=NOW), NOW, "it has ended"),
    ("a person resolved it", opened(closed_via="slack"), NOW, "a person resolved it"),
    ("nothing of it is saved yet", None, NOW - 50 * MINUTE, ""),
    ("nothing of it was saved for long", None, NOW, "its last news is older than"),
]


@pytest.mark.parametrize(("incident", "started_at", "why"), [row[1:] for row in JOINS], ids=[row[0] for row in JOINS])
def test_what_joins(incident, started_at, why):
    """Given the newest incident of its values, then a new alert joins it while that is young and has news."""
    found = why_not_joined(HEAD, incident, started_at, CORRELATE)
    assert found.startswith(why) and bool(found) is bool(why)


def test_news_of_the_same_batch_counts():
    """Given an alert of the same batch that joins later than all that is saved, then that is news too."""
    assert why_not_joined(HEAD, OPEN, NOW + 20 * MINUTE, CORRELATE)
    assert not why_not_joined(HEAD, OPEN, NOW + 20 * MINUTE, CORRELATE, news_at=NOW + 5 * MINUTE)


def alert(name="a", state=AlertState.FIRING, started=NOW, ended=None, severity=Severity.WARNING, heard=NOW):
    """An alert of the incident."""
    received = ReceivedEvents(last_event_at=heard)
    return Alert(name, name=name, severity=severity, state=state, starts_at=started, ends_at=ended, received=received)


RESOLVED = alert(state=AlertState.RESOLVED, started=NOW - 50 * MINUTE, ended=NOW - 20 * MINUTE)
NEWS = [
    ("a new alert", None, alert(), False, NOW),
    ("a repeat", alert(started=NOW - MINUTE), alert(started=NOW - MINUTE), False, None),
    ("a severity that rose", alert(), alert(severity=Severity.CRITICAL, heard=NOW + MINUTE), False, NOW + MINUTE),
    ("a severity that fell", alert(severity=Severity.CRITICAL), alert(), False, None),
    ("an alert that ended", alert(), RESOLVED, False, None),
    ("a flap", RESOLVED, alert(started=NOW - 5 * MINUTE), False, None),
    ("an alert that ended long ago and begins anew", RESOLVED, alert(started=NOW), False, NOW),
    ("a new alert that is muted", None, alert(), True, None),
]


@pytest.mark.parametrize(("old", "new", "muted", "at"), [row[1:] for row in NEWS], ids=[row[0] for row in NEWS])
def test_what_is_news(old, new, muted, at):
    """Given an alert before and after, then a new one and a severity that rose are news."""
    before = replace(OPEN, alerts={"a": old} if old else {})
    after = with_news(before, replace(OPEN, alerts={"a": new}), {"a": ()} if muted else {}, CORRELATE)
    assert after.episode.news_at == (at or OPEN.episode.news_at)


def test_other_incidents_have_no_news():
    """Given the incident of a group, then nothing is written."""
    group = replace(OPEN, key="default|service=api", alerts={"a": alert()})
    assert with_news(replace(group, alerts={}), group, {}, CORRELATE) is group


def flapped(times):
    """An alert that began and ended so often, a minute apart, and has ended."""
    return replace(RESOLVED, changes=StateChanges(tuple(NOW + MINUTE * number for number in range(2 * times))))


@pytest.mark.parametrize(("times", "minutes"), [(1, 5), (2, 10), (3, 15), (9, 15)])
def test_the_end_waits_longer_for_what_flaps(times, minutes):
    """Given an alert that began and ended so often, then its end waits once, twice or three times group_interval."""
    assert hold_of([flapped(times)], 5 * MINUTE, NOW) == minutes * MINUTE
    assert hold_of([flapped(1), flapped(times)], 5 * MINUTE, NOW) == minutes * MINUTE


def test_flaps_of_an_earlier_incident_do_not_count():
    """Given an alert that flapped before the incident began, then its end waits once."""
    assert hold_of([flapped(4)], 5 * MINUTE, NOW + 6 * MINUTE) == 5 * MINUTE


def test_the_end_waits_a_quarter_of_an_hour_at_most_unless_once_is_longer():
    """Given a long group_interval, then the wait is not multiplied beyond 15 minutes."""
    assert hold_of([flapped(3)], 10 * MINUTE, NOW) == 15 * MINUTE
    assert hold_of([flapped(3)], HOUR, NOW) == HOUR


def test_keys_are_made_of_the_first_alert():
    """Given the same beginning, then the same key, which no other has; long values are shortened."""
    key = new_key(VALUES, "fp", NOW)
    assert key == new_key(dict(reversed(VALUES.items())), "fp", NOW) and key.startswith(CORRELATED)
    others = {
        new_key({**VALUES, "service": "web"}, "fp", NOW),
        new_key(VALUES, "fq", NOW),
        new_key(VALUES, "fp", NOW + MINUTE),
    }
    assert key not in others and len(others) == 3
    assert head_name(VALUES) == "environment=prod|service=api"
    assert len(head_name({"service": "x" * 500})) < 200
    assert head_name({"service": "x" * 500}) != head_name({"service": "x" * 501})
