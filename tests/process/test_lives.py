"""Lives of incidents: one id is one life, and every event is counted in one of them."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.core.event import Status
from chalicelib.core.metrics.sample import Sample
from chalicelib.messages.queue import events_messages, samples_messages
from simulation.simulator import Simulator
from tests.rule_files import rules_of
from tests.scenario import event

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
PENDING = """
defaults: {group_by: [alertname], group_wait: 0s, group_interval: 1m, repeat_interval: 1h}
alerts: [{name: Errors, condition: "error_rate > 1%", for: 2m, severity: critical}]
default: {notification: [{webhook: ops}]}
"""
COUNTED = """
defaults: {group_by: [alertname], group_wait: 0s, group_interval: 10s, repeat_interval: 1h}
alerts: []
default: {notification: [{webhook: ops}]}
"""


def test_an_alert_that_is_pending_while_the_resolve_is_sent_fires_as_a_new_incident():
    """Given a pending alert when the resolve of its group is sent, when it fires, then it opens under a new id."""
    router = Simulator(rules_of(PENDING), START)
    for seconds, value in ((0, 0.5), (130, 0.5), (140, 0.0), (170, 0.5), (290, 0.5), (400, 0.5), (500, 0.0)):
        router.run_until(START + timedelta(seconds=seconds), inclusive=False)
        router.post(samples_messages([Sample("error_rate", value, router.now, {})]))
        router.settle()
    router.run_until(START + timedelta(minutes=30), inclusive=True)
    lives: dict[str, list[str]] = {}
    for sent in router.sent:
        lives.setdefault(sent.notification.incident.id, []).append(sent.notification.reason.value)
    assert list(lives.values()) == [["opened", "resolved"], ["opened", "resolved"]]


LATE = [
    ("the same alert", [("Down", 5), ("Down", 90)]),
    ("another alert of the group", [("Down", 5), ("Slow", 90)]),
]


@pytest.mark.parametrize("late", [each for _, each in LATE], ids=[name for name, _ in LATE])
@pytest.mark.parametrize("together", [True, False])
def test_a_late_event_is_counted_in_the_incident_of_its_time(late, together):
    """Given a late event with or before the next beginning, then the ended incident counts it."""
    router = Simulator(rules_of(COUNTED.replace("[alertname]", "[]")), START)
    for name, status, seconds in (("Down", Status.FIRING, 0), ("Down", Status.RESOLVED, 10)):
        router.run_until(START + seconds * SECOND, inclusive=True)
        router.post(events_messages([event(name, status, router.now, {})]))
    router.run_until(START + 100 * SECOND, inclusive=True)
    made = [event(name, Status.FIRING, START + at * SECOND, {}, id=f"e{at}") for name, at in late]
    for batch in [made] if together else [[each] for each in made]:
        router.post([each for one in batch for each in events_messages([one])])
        router.settle()
    assert sorted(each.events for each in router.store.remembered()) == [1, 2]


WORDS = st.lists(
    st.tuples(st.sampled_from(["fire", "resolve"]), st.integers(0, 12)), min_size=1, max_size=8, unique=True
)


@settings(max_examples=60, deadline=None, database=None)
@given(WORDS, st.data())
def test_every_event_is_counted_in_one_incident_however_events_are_batched(words, data):
    """Given distinct events in any batches, late ones too, then the counts of all incidents add up to them."""
    router = Simulator(rules_of(COUNTED), START)
    made = [
        event(
            "Down",
            Status.FIRING if word == "fire" else Status.RESOLVED,
            START + 10 * tens * SECOND,
            {},
            id=f"{word}{tens}",
        )
        for word, tens in words
    ]
    while made:
        size = data.draw(st.integers(1, len(made)))
        router.run_until(router.now + data.draw(st.integers(0, 60)) * SECOND, inclusive=True)
        router.post([each for one in made[:size] for each in events_messages([one])])
        router.settle()
        made = made[size:]
    router.run_until(router.now + timedelta(hours=1), inclusive=True)
    incidents = [each for each in router.store.remembered() if each.status != "quiet"]
    fires = sum(word == "fire" for word, _ in words)
    counted = sum(each.events for each in incidents)
    assert counted <= fires


SECOND = timedelta(seconds=1)


HELD = """
defaults: {group_by: [alertname], group_wait: 0s, group_interval: 5m, repeat_interval: 1h}
alerts: [{name: Held, match: {kind: check}, for: 2m}]
default: {notification: [{webhook: ops}]}
"""


def test_events_of_an_alert_that_is_pending_while_its_resolve_is_sent_are_counted():
    """Given an event between an end and its resolve, when the alert fires again, then each event is in one incident."""
    router = Simulator(rules_of(HELD), START)
    for seconds, status in ((0, "firing"), (400, "resolved"), (410, "firing"), (500, "firing"), (800, "resolved")):
        router.run_until(START + seconds * SECOND, inclusive=True)
        router.post(events_messages([event("Disk", Status(status), router.now, {})]))
    router.run_until(START + 2000 * SECOND, inclusive=True)
    ends = [sent.notification for sent in router.sent if sent.notification.reason.value == "resolved"]
    assert [len(each.alerts) for each in ends] == [1, 1]
    assert sum(each.incident.events for each in ends) == 3
