"""Where rules lead an event: remembered by its labels, and the same as without a memory."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.core.destinations import MAX_REMEMBERED, Destinations, destinations
from chalicelib.core.event import Event, Severity, Status
from chalicelib.core.rule import Rules
from tests.scenario import rules_of

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
RULES = rules_of("""
defaults: {group_by: [service]}
default: {notification: [{slack_channel: "#rest"}]}
fallback: {notification: [{email: ops@example.com}]}
routes:
  - {match: {team: db}, notification: [{slack_channel: "#db"}], continue: true}
  - {match: {severity: critical}, notification: [{slack_channel: "#pages"}], group_by: [service, team]}
alerts:
  - {name: Broken, match: {kind: check}, severity: critical}
  - {name: Own, match: {source: router, kind: probe.failed}}
  - {name: Often, match: {source: sentry}, condition: "events[5m] > 3"}
""")
EVENTS = st.builds(
    Event,
    id=st.uuids().map(str),
    source=st.sampled_from(["sentry", "test", "router"]),
    kind=st.sampled_from(["check", "issue", "probe.failed", "delivery.failed"]),
    status=st.sampled_from([*Status]),
    severity=st.sampled_from([*Severity]),
    title=st.just("Disk is full"),
    occurred_at=st.just(NOW),
    identity=st.sampled_from(["disk", "cpu"]),
    service=st.sampled_from([None, "shop"]),
    labels=st.dictionaries(st.sampled_from(["team", "severity", "source", "kind"]), st.sampled_from(["db", "web", ""])),
)


def fresh() -> Rules:
    """The rules, which have decided nothing yet."""
    return replace(RULES)


@given(st.lists(EVENTS, max_size=20))
def test_a_memory_changes_nothing(events: list[Event]) -> None:
    """Given any events one after another → each is led where rules that decide for the first time lead it."""
    rules = fresh()
    for event in events:
        assert destinations(rules, event) == destinations(fresh(), event)


def disk(number: int = 0, status: Status = Status.FIRING) -> Event:
    """An event of a team of its own."""
    return Event("1", "test", "check", status, Severity.WARNING, "t", NOW, "disk", labels={"team": f"t{number}"})


def test_labels_that_were_seen_are_not_decided_again() -> None:
    """Given an event with the labels of another, of another fault → the decision of the first is taken."""
    rules = fresh()
    first = destinations(rules, disk())
    assert destinations(rules, replace(disk(), id="2", identity="cpu")) is first
    assert first.proposals


def test_information_is_led_nowhere_though_a_fault_of_its_labels_is() -> None:
    """Given information with the labels of a fault → it is led nowhere, and the fault still is."""
    rules = fresh()
    fault = destinations(rules, disk())
    assert destinations(rules, disk(status=Status.INFO)) == Destinations()
    assert destinations(rules, disk()) is fault


@pytest.mark.parametrize(("names", "values"), [({"a": "b"}, {"b": "a"}), ({"a": "b", "b": "c"}, {"a": "c", "b": "b"})])
def test_names_and_values_are_told_apart(names: dict[str, str], values: dict[str, str]) -> None:
    """Given labels of the same words in other places → they are decided apart."""
    rules = fresh()
    destinations(rules, replace(disk(), labels=names))
    destinations(rules, replace(disk(), labels=values))
    assert len(rules.remembered) == 2


def test_what_is_remembered_is_limited() -> None:
    """Given an event of other labels again and again → no more decisions are kept than the limit."""
    rules = fresh()
    for number in range(2 * MAX_REMEMBERED + 5):
        destinations(rules, disk(number))
    assert 0 < len(rules.remembered) <= MAX_REMEMBERED
