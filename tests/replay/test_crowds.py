"""Many events, many workers: every event counted, a bounded handful of messages, nothing told twice."""

import random
from collections import Counter
from typing import Any

import pytest

from chalicelib.rules.file import load
from simulation.engine import Replay

RULES = load(
    """
defaults: {group_by: [service], group_wait: 30s, group_interval: 5m}
alerts: []
default: {notification: [{webhook: ops}]}
""",
    filename="rules.yaml",
)


def run(*lines: dict[str, Any], seed: int | None = None) -> list[dict[str, Any]]:
    """What comes out of a timeline."""
    return list(Replay(RULES, list(enumerate(lines, 1)), seed=seed).run())


def event(at: float, name: str, service: str = "web", **more: Any) -> dict[str, Any]:
    """A line of an event."""
    return {"at": at, "event": {"name": name, "labels": {"service": service}, **more}}


def told(lines: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    """When, why, and how many alerts and events."""
    return [
        (each["at"], each["reason"], len(each["alerts"]), each["events"])
        for each in lines
        if each["type"] == "notification"
    ]


def test_a_storm_is_a_handful_of_messages_and_every_event_is_counted():
    """Two thousand events of forty faults in a minute: one message a service, and less than half a write an event."""
    lines = [event(round(n * 0.03, 2), f"fault {n % 40}", f"service {n % 4}") for n in range(2_000)]
    found = run(*lines, event(75, "critical", "other"), {"at": 290, "show": "incidents"})
    assert Counter(reason for _, reason, *_ in told(found)) == {"opened": 5}
    assert told(found)[-1] == (105, "opened", 1, 1)
    *_, incidents, end = found
    assert sum(each["events"] for each in incidents["incidents"]) == end["events"] == 2_001
    assert end["writes"] < 1_000


@pytest.mark.parametrize("seed", range(20))
def test_however_workers_meet_one_thing_is_told_once(seed: int):
    """Five workers get each event at once, interleaved at every call: the story is that of one worker."""
    fire, join = {**event(0, "Slow"), "copies": 5}, {**event(10, "Errors"), "copies": 4}
    over = {**event(70, "Slow", status="resolved"), "copies": 3}
    lines = run(fire, join, over, event(75, "Errors", status="resolved"), {"at": 900, "end": True}, seed=seed)
    assert told(lines) == [(30, "opened", 2, 2), (330, "resolved", 2, 2)]


@pytest.mark.parametrize("seed", range(5))
def test_a_seed_is_a_story_that_can_be_told_again(seed: int):
    """The same number gives the same interleaving, to the write."""
    lines = [{**event(n, f"fault {n}"), "copies": 3} for n in range(5)]
    assert run(*lines, seed=seed) == run(*lines, seed=seed)


def test_doubled_and_shuffled_events_leave_the_same_alerts():
    """Whatever order they come in and however often, the alerts at the end are the same."""
    events = [
        {"name": name, "labels": {"service": "web"}, "id": f"{name}{at}", "starts_at": at}
        if fires
        else {"name": name, "labels": {"service": "web"}, "id": f"{name}{at}", "status": "resolved", "ends_at": at}
        for name, at, fires in [("A", 0, 1), ("A", 50, 0), ("A", 80, 1), ("B", 10, 1), ("B", 60, 0), ("C", 20, 1)]
    ]
    seen = set()
    for number in range(20):
        chance = random.Random(number)
        order = [*events, *chance.sample(events, 3)]
        chance.shuffle(order)
        lines = [{"at": 100 + n, "event": each} for n, each in enumerate(order)]
        *_, shown, _ = run(*lines, {"at": 1000, "show": "alerts"})
        seen.add(str([(each["name"], each["state"], each["starts_at"], each["ends_at"]) for each in shown["alerts"]]))
    assert seen == {"[('A', 'firing', 80, None), ('C', 'firing', 20, None), ('B', 'resolved', 10, 60)]"}
