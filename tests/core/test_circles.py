"""Circles of inhibition: the alert that fired first mutes the others, which mute nothing."""

from datetime import UTC, datetime, timedelta
from itertools import permutations

import pytest

from chalicelib.core.alert import Alert, AlertState, Sender
from chalicelib.core.circles import can_meet, circular, followers_of
from chalicelib.core.event import Severity
from chalicelib.core.match import parse_matchers
from chalicelib.core.mute import cause_from, causes_of
from chalicelib.core.rule import Inhibition

START = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)


def fired(name, minute, *, sent_as="", severity="critical", **labels):
    """An alert that fires since a minute."""
    fingerprint = "-".join((name, *labels.values()))
    return Alert(
        fingerprint, name=name, sender=Sender(event_name=sent_as), labels=labels, severity=Severity(severity), state=AlertState.FIRING,
        starts_at=START + timedelta(minutes=minute),
    )  # fmt: skip


def mutes(cause, symptom, *equal):
    """An inhibition of an alert by another, by name or by clauses."""
    sides = [parse_matchers({"alertname": side} if isinstance(side, str) else side) for side in (cause, symptom)]
    return Inhibition(*sides, equal)


def muted(alerts, inhibitions):
    """The fingerprints of the causes of each alert that is muted, by its own."""
    causes = [cause_from(alert, f"incident-of-{alert.fingerprint}", START) for alert in alerts]
    found = {alert.fingerprint: causes_of(alert, tuple(causes), tuple(inhibitions)) for alert in alerts}
    return {name: sorted(each.alert for each in by) for name, by in found.items() if by}


BOTH_WAYS = [mutes("A", "B"), mutes("B", "A")]
ROUND = [mutes("A", "B"), mutes("B", "C"), mutes("C", "A")]
EACH = [mutes("A", "=~B|C"), mutes("B", "=~A|C"), mutes("C", "=~A|B")]
A, B, C = fired("A", 0), fired("B", 1), fired("C", 2)
LATE_A = fired("A", 9)
TABLE = [
    ("two ways, A first", [A, B], BOTH_WAYS, {"B": ["A"]}),
    ("two ways, B first", [LATE_A, B], BOTH_WAYS, {"A": ["B"]}),
    ("two ways, at the same instant", [fired("A", 1), B], BOTH_WAYS, {"B": ["A"]}),
    ("two ways, one alone", [B], BOTH_WAYS, {}),
    ("three ways, A first", [A, B, C], ROUND, {"B": ["A"], "C": ["A"]}),
    ("three ways, B first", [LATE_A, B, C], ROUND, {"A": ["B"], "C": ["B"]}),
    ("three ways, A has ended", [B, C], ROUND, {"C": ["B"]}),
    ("three ways, B has ended: a chain, which the last of it leads", [A, C], ROUND, {"A": ["C"]}),
    ("each mutes each", [A, B, C], EACH, {"B": ["A"], "C": ["A"]}),
    (
        "two circles that share an alert are one", [A, B, C],
        [*BOTH_WAYS, mutes("B", "C"), mutes("C", "B")], {"B": ["A"], "C": ["A"]},
    ),
    (
        "equal labels make circles of their own",
        [fired("A", 0, service="web"), fired("B", 1, service="web"), fired("A", 4, service="db"), fired("B", 3, service="db")],
        [mutes("A", "B", "service"), mutes("B", "A", "service")],
        {"B-web": ["A-web"], "A-db": ["B-db"]},
    ),
    (
        "equal labels that differ make none", [fired("A", 0, service="web"), fired("B", 1, service="db")],
        [mutes("A", "B", "service"), mutes("B", "A", "service")], {},
    ),
    (
        "equal one way only", [fired("A", 0, service="web"), fired("B", 1, service="db")],
        [mutes("A", "B", "service"), mutes("B", "A")], {"A-web": ["B-db"]},
    ),
    ("a rule that matches itself forms no circle", [A, B], [mutes("=~A|B", "=~A|B")], {}),
    ("both sides matched twice form no circle", [A, B], [mutes("=~A|B", "=~A|B"), mutes({"severity": "critical"}, "=~A|B")], {}),
    (
        "both sides matched by one of two", [A, B],
        [mutes("=~A|B", "=~A|B"), *BOTH_WAYS], {"B": ["A"]},
    ),
    ("a cause outside mutes the first too", [A, B, fired("X", 5)], [*BOTH_WAYS, mutes("X", "A")], {"A": ["X"], "B": ["A"]}),
    (
        "a cause outside mutes another", [A, B, fired("X", 5)],
        [*BOTH_WAYS, mutes("X", "B")], {"B": ["A", "X"]},
    ),
    (
        "a cause outside that is muted itself still mutes", [A, B, fired("X", 5), fired("Y", 6)],
        [*BOTH_WAYS, mutes("X", "A"), mutes("Y", "X")], {"A": ["X"], "B": ["A"], "X": ["Y"]},
    ),
    (
        "the first mutes symptoms outside", [A, B, fired("Slow", 5)],
        [*BOTH_WAYS, mutes("A", "Slow")], {"B": ["A"], "Slow": ["A"]},
    ),
    (
        "the others mute nothing outside", [A, B, fired("Slow", 5)],
        [*BOTH_WAYS, mutes("B", "Slow")], {"B": ["A"]},
    ),
    ("a chain is no circle", [A, B, C], [mutes("A", "B"), mutes("B", "C")], {"B": ["A"], "C": ["B"]}),
    (
        "two circles, one of which mutes the other", [A, B, C, fired("D", 3)],
        [*BOTH_WAYS, mutes("C", "D"), mutes("D", "C"), mutes("A", "C")], {"B": ["A"], "C": ["A"], "D": ["C"]},
    ),
    (
        "a circle through the sender's name", [fired("My rule", 0, sent_as="A"), B],
        [mutes("My rule", "B"), mutes("B", "A")], {"B": ["My rule"]},
    ),
    (
        "a circle through severities", [fired("A", 0), fired("B", 1, severity="warning")],
        [mutes({"severity": "critical"}, {"severity": "warning"}), mutes("B", {"severity": "critical"})], {"B": ["A"]},
    ),
]  # fmt: skip


@pytest.mark.parametrize(
    ("alerts", "inhibitions", "expected"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE]
)
def test_what_each_alert_is_muted_by(alerts, inhibitions, expected):
    """Given alerts in any order, each is muted by the same causes, and at least one of them by none."""
    for order in permutations(alerts):
        assert muted(order, inhibitions) == expected


def test_an_alert_of_two_routes_is_one():
    """Given the same alert in two incidents, its circle has one first alert."""
    causes = tuple(cause_from(each, incident, START) for incident in ("k", "l") for each in (A, B))
    assert causes_of(A, causes, tuple(BOTH_WAYS)) == ()
    assert {each.alert for each in causes_of(B, causes, tuple(BOTH_WAYS))} == {"A"}


def test_of_a_large_circle_one_is_audible():
    """Given 400 alerts that mute each other, 399 are muted by the first one."""
    alerts = [fired(name, number, number=str(number)) for number in range(200) for name in ("A", "B")]
    causes = tuple(cause_from(each, "k", START) for each in alerts)
    followers = followers_of(causes, tuple(BOTH_WAYS))
    assert len(followers) == 399
    assert {each.alert for each in followers.values()} == {"A-0"}


POSSIBLE = [
    ("none", [], []),
    ("one alone", [mutes({"severity": "critical"}, {"severity": "=~critical|warning"})], []),
    ("both ways", BOTH_WAYS, [0, 1]),
    ("by levels", [mutes({"severity": "critical"}, {"severity": "warning"}), mutes({"severity": "warning"}, {"severity": "info"})], []),
    ("three ways by a label", [mutes({"tier": a}, {"tier": b}) for a, b in ("12", "23", "31")], [0, 1, 2]),
    (
        "a chain into a circle",
        [mutes({"tier": "0"}, {"tier": "1"}), mutes({"tier": "1"}, {"tier": "2"}), mutes({"tier": "2"}, {"tier": "1"})],
        [1, 2],
    ),
    ("names never exclude each other: an alert has two", [mutes("A", "B"), mutes("C", "D")], [0, 1]),
    (
        "equal carries what a side says",
        [mutes({"env": "prod", "tier": "1"}, {"tier": "2"}, "env"), mutes({"env": "dev", "tier": "2"}, {"tier": "1"}, "env")],
        [],
    ),
]  # fmt: skip


@pytest.mark.parametrize(("inhibitions", "expected"), [row[1:] for row in POSSIBLE], ids=[row[0] for row in POSSIBLE])
def test_which_inhibitions_may_form_circles(inhibitions, expected):
    """Inhibitions whose symptoms can be causes of each other, around a circle of two at least."""
    assert set(circular(tuple(inhibitions))) == {inhibitions[number] for number in expected}


def test_circles_are_looked_for_only_where_they_can_be():
    """Given inhibitions that cannot form a circle, no alert has a first one before it, and none is computed twice."""
    causes = tuple(cause_from(each, "k", START) for each in (A, B))
    assert followers_of(causes, (mutes("A", "B"),)) == {}
    inhibitions = tuple(BOTH_WAYS)
    assert followers_of(causes, inhibitions) is followers_of(causes, inhibitions)


MEETING = [
    ({"a": "x"}, {"a": "x"}, True),
    ({"a": "x"}, {"a": "y"}, False),
    ({"a": "x"}, {"b": "y"}, True),
    ({"a": "x"}, {"a": "!=x"}, False),
    ({"a": "=~x|y"}, {"a": "y"}, True),
    ({"a": "=~x|y"}, {"a": "z"}, False),
    ({"a": "=~x|y"}, {"a": "=~y|z"}, True),
    ({"a": "=~x|y"}, {"a": "=~v|w"}, False),
    ({"a": "=~x.*"}, {"a": "=~y.*"}, True),
    ({"a": "=~x.*"}, {"a": "xy"}, True),
    ({"a": "=~x.*"}, {"a": "y"}, False),
    ({"a": "!~x.*"}, {"a": "xy"}, False),
    ({"a": "!=x"}, {"a": "!=y"}, True),
    ({"a": "=~("}, {"a": "y"}, True),
    ({}, {}, True),
]


@pytest.mark.parametrize(("one", "other", "meet"), MEETING)
def test_whether_clauses_can_hold_together(one, other, meet):
    """Plain values decide; patterns that name no values are taken to meet."""
    assert can_meet((*parse_matchers(one), *parse_matchers(other))) is meet
    assert can_meet((*parse_matchers(other), *parse_matchers(one))) is meet
