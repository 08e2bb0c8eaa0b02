"""What people write, as values: matchers, times, silences."""

from datetime import UTC, datetime, timedelta

import pytest

from chalicelib.api.requests import (
    check_matchers,
    check_times,
    clauses_of,
    matchers_of,
    new_silence,
    parse_match,
    parse_words,
    person,
)
from chalicelib.core.alert import Alert, AlertState
from chalicelib.core.errors import RequestError
from chalicelib.core.incident import Episode, Incident
from chalicelib.core.match import Matcher
from chalicelib.core.rule import RouteOptions

NOW = datetime(2026, 11, 26, 15, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("word", "matcher"),
    [
        ("service=api", Matcher("service", "=", "api")),
        ("service = api", Matcher("service", "=", "api")),
        ("severity!=info", Matcher("severity", "!=", "info")),
        ("instance=~web-.*", Matcher("instance", "=~", "web-.*")),
        ("zone!~test|dev", Matcher("zone", "!~", "test|dev")),
        ('title="a = b"', Matcher("title", "=", "a = b")),
        ("empty=", Matcher("empty", "=", "")),
        ("a=b=c", Matcher("a", "=", "b=c")),
    ],
)
def test_a_word_is_a_matcher(word, matcher):
    """A label, an operator and a value; quotes may stand around the value."""
    assert parse_words([word]) == (matcher,)


@pytest.mark.parametrize("given", [["service"], ["=x"], ["1a=b"], ["a=~("], "a=b", 3, {"a": None}, {"a": ["x"]}, [1]])
def test_what_is_no_matcher_is_told(given):
    """The person is told what a matcher looks like."""
    with pytest.raises(RequestError):
        parse_match(given)


def test_a_mapping_is_read_as_in_the_rules_file():
    """The operator stands at the start of the value, else it is equality; numbers are texts."""
    assert parse_match({"b": "=~x|y", "a": "z", "c": 5}) == (
        Matcher("a", "=", "z"),
        Matcher("b", "=~", "x|y"),
        Matcher("c", "=", "5"),
    )


@pytest.mark.parametrize("label", ["", " ", "a\nb"])
def test_a_matcher_needs_a_label(label):
    """One for none would mute nothing, and look as if it did."""
    with pytest.raises(RequestError, match="has no label"):
        parse_match({label: "x"})


def test_matchers_can_be_written_back():
    """As a rule's `match`, whatever the value begins with."""
    matchers = parse_words(["a=b", "c!=d", "e=~f"])
    assert parse_match(clauses_of(matchers)) == matchers
    odd = (Matcher("a", "=", "=x"),)
    assert parse_match(clauses_of(odd)) == odd
    with pytest.raises(RequestError, match="one for each label"):
        clauses_of(parse_words(["a=b", "a!=c"]))


FIRST, LAST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("starts_at", "ends_at", "words"),
    [(FIRST, FIRST, "ends before it begins"), (FIRST, LAST, "too long"), (LAST, LAST, "ends before it begins")],
)
def test_the_limits_of_a_silence_hold_for_any_dates(starts_at, ends_at, words):
    """The length of a silence is compared without a date beyond the last one."""
    check_times(LAST - timedelta(days=1), LAST)
    with pytest.raises(RequestError, match=words):
        check_times(starts_at, ends_at)


def test_a_stored_pattern_that_re2_refuses_is_not_kept_by_an_edit():
    """A silence of an older version whose matchers nobody changes is refused with words."""
    with pytest.raises(RequestError, match="the pattern for a is no regular expression of RE2: column 1: look-ahead"):
        new_silence([Matcher("a", "=~", "(?=x)x")], ends_at=NOW + timedelta(hours=1), by="ana", at=NOW)


def test_a_silence_from_later_on_begins_then():
    """A silence may be planned; one from earlier begins now."""
    match = parse_words(["service=api"])
    later = NOW + timedelta(hours=1)
    end = NOW + timedelta(hours=2)
    assert new_silence(match, ends_at=end, by="ana", at=NOW, starts_at=later).starts_at == later
    assert new_silence(match, ends_at=end, by="ana", at=NOW, starts_at=NOW - timedelta(1)).starts_at == NOW


@pytest.mark.parametrize("name", [None, "", "  ", 5, "\x00"])
def test_nobody_acts_without_a_name(name):
    """Every act is somebody's."""
    with pytest.raises(RequestError, match="by"):
        person(name)


def incident(group, *labels, group_by=("service", "environment")):
    """An incident whose alerts fire with these labels."""
    alerts = {
        str(number): Alert(str(number), name="Down", labels=each, state=AlertState.FIRING)
        for number, each in enumerate(labels)
    }
    return Incident(
        "k", group=group, options=RouteOptions(group_by=group_by), alerts=alerts, episode=Episode(started_at=NOW)
    )


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (incident({"service": "a"}, {"service": "a"}), ["alertname=Down", "environment=", "service=a"]),
        (incident({}, {"zone": "eu"}), ["alertname=Down", "environment=", "service="]),
        (incident({}, {}, group_by=()), ["alertname=Down"]),
        (incident({}, {}, group_by=("alertname",)), ["alertname=Down"]),
        (incident({}, {"service": "a"}, {}, group_by=("service",)), ["alertname=Down", "service=~|a"]),
        (
            incident({"service": "a"}, {"service": "a"}, {"service": "b.c"}, group_by=("service",)),
            ["alertname=Down", "service=~a|b\\.c"],
        ),
        (incident({"zone": "eu"}, {"zone": "eu"}, group_by=("...",)), ["alertname=Down", "zone=eu"]),
        (incident({"severity": "warning"}, {}, group_by=("severity",)), ["alertname=Down", "severity=warning"]),
    ],
)
def test_the_matchers_of_an_incident_choose_it_alone(found, words):
    """Given an incident → a matcher for each label of its group_by, empty where its alerts lack the label."""
    matchers = matchers_of(found)
    assert [each.written() for each in matchers] == words
    assert all(alert.matched_by(matchers) for alert in found.firing)
    check_matchers(matchers)


def test_a_silence_of_what_lacks_a_label_alone_is_refused():
    """Given a matcher for an empty value and no other → refused: it holds for most of what fires."""
    with pytest.raises(RequestError, match="would mute everything"):
        check_matchers(parse_words(["service="]))
