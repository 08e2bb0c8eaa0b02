"""How late the stage is: the oldest notification that no target has, and the oldest timer that nothing woke."""

import json
from dataclasses import replace
from datetime import timedelta

import httpx
import pytest

from chalicelib.core.delivery.delivery_log import DeliveryLog, delivery_log_key
from chalicelib.core.delivery.target_state import FORGOTTEN, SILENT_RANK, Slot, TargetState
from chalicelib.core.rule import Rules
from chalicelib.schedule.lateness import NAMESPACE, OVERDUE, READ_AT_ONCE, UNDELIVERED, Lateness, oldest_undelivered
from chalicelib.schedule.tick import tick
from simulation.memory_store import MemoryStore
from tests.scenario import START, Router, VendorClients, rules_of

RULES = rules_of("""
defaults: {group_by: [alertname], group_wait: 0s, group_interval: 1m, repeat_interval: 10m}
default: {notification: [{webhook: ops}]}
fallback: {notification: [{email: ops@example.com}]}
""")
TARGET = "webhook:ops"
NOW = START + timedelta(days=3)
MINUTE = timedelta(minutes=1)


class Reading(MemoryStore):
    """A store that counts the delivery logs that are read."""

    def __init__(self) -> None:
        super().__init__()
        self.read = 0

    def delivery_logs(self, keys):  # type: ignore[no-untyped-def]
        """Count, and read."""
        self.read += len(keys)
        return super().delivery_logs(keys)


def slot(minutes: float, seq: int = 1, **more: object) -> Slot:
    """A slot since so many minutes."""
    return replace(Slot(seq, NOW - minutes * MINUTE, since=NOW - minutes * MINUTE), **more)  # type: ignore[arg-type]


def stored(done: dict[str, int] | None = None, **slots: Slot) -> Reading:
    """A store with a target that has these slots, by incident, and delivery logs that are so far."""
    store = Reading()
    store.save_target_state(TargetState(TARGET, slots=slots, version=1))
    for incident, seq in (done or {}).items():
        store.save_delivery_log(DeliveryLog(delivery_log_key(incident, TARGET), done_seq=seq, version=1))
    return store


def minutes(store: MemoryStore, rules: Rules = RULES) -> float:
    """The age of the oldest undelivered notification."""
    return oldest_undelivered(rules=rules, store=store, now=NOW) / MINUTE


@pytest.mark.parametrize(
    ("done", "slots", "age"),
    [
        ({}, {}, 0),
        ({}, {"a": slot(7), "b": slot(9)}, 9),
        ({"b": 1}, {"a": slot(7), "b": slot(9)}, 7),
        ({"b": 1}, {"b": slot(9, seq=2)}, 9),
        ({}, {"a": slot(9, rank=SILENT_RANK)}, 0),
        ({}, {"a": slot(0.5)}, 0),
        ({}, {"a": slot(FORGOTTEN / MINUTE)}, 0),
        ({}, {"a": slot(300, at=NOW + 5 * MINUTE, tries=20)}, 300),
        ({}, {"a": slot(3, leased_until=NOW + MINUTE)}, 3),
    ],
    ids=["none", "oldest", "done", "newer", "silent", "young", "forgotten", "fails for hours", "under way"],
)
def test_the_oldest_that_a_target_should_have(done: dict[str, int], slots: dict[str, Slot], age: float) -> None:
    """Given slots of a target and what its delivery logs have done → the age of the oldest that is not done."""
    assert minutes(stored(done, **slots)) == age


def test_a_quiet_stage_costs_one_read_of_the_targets() -> None:
    """Given slots of what was delivered a day ago or a moment ago → no delivery log is read."""
    store = stored(a=slot(FORGOTTEN / MINUTE), b=slot(0.5))
    assert (minutes(store), store.read) == (0, 0)


def test_the_oldest_are_read_first() -> None:
    """Given hundreds that wait → the logs of some are read, and no more once an undelivered one is found."""
    store = stored(**{f"i{n}": slot(2 + n / 1_000) for n in range(5 * READ_AT_ONCE)})
    assert minutes(store) == pytest.approx(2 + (5 * READ_AT_ONCE - 1) / 1_000)
    assert store.read == READ_AT_ONCE
    done = stored({f"i{n}": 1 for n in range(5 * READ_AT_ONCE)}, **{f"i{n}": slot(2) for n in range(5 * READ_AT_ONCE)})
    assert minutes(done) == 0


def test_targets_that_no_rule_names_are_not_looked_at() -> None:
    """Given a target that the rules do not name any more → what waited for it counts no longer."""
    assert minutes(stored(a=slot(9)), rules_of("default: {notification: [{webhook: other}]}")) == 0


@pytest.fixture
def router():  # type: ignore[no-untyped-def]
    """A router, closed afterwards."""
    made = Router(RULES)
    yield made
    made.close()


class Refusing(VendorClients):
    """Vendors that answer nothing but 503 at first."""

    refuses = True

    def _serve(self, request: httpx.Request) -> httpx.Response:
        return httpx.Response(503) if self.refuses else super()._serve(request)


def late(router: Router) -> dict[str, float]:
    """What a tick finds out now."""
    found = Lateness()
    tick(rules=router.rules, now=router.now, on_overdue=found.overdue, **router.ports)
    return found.seconds(rules=router.rules, store=router.store, now=router.now)


def test_a_target_that_fails_for_six_minutes_is_seen(router: Router) -> None:
    """Given a target that refuses every try → the age of what waits grows; once it takes it, nothing is late."""
    router.clients = Refusing(router.inbox, router.sites)
    router.fire("Down", service="api").run(minutes=6.5)
    assert 360 <= late(router)[UNDELIVERED] <= 400
    router.clients.refuses = False
    router.run(minutes=10)
    assert late(router) == {UNDELIVERED: 0, OVERDUE: 0}
    assert router.told()["webhook"][0] == "Down opened"


def test_a_timer_that_nothing_woke_is_seen(router: Router) -> None:
    """Given ticks that did not run for an hour in which a reminder was due → the first one says for how long it was."""
    router.fire("Down", service="api").run(minutes=2)
    assert late(router)[OVERDUE] < 60
    router.now += timedelta(hours=1)
    assert 40 * 60 < late(router)[OVERDUE] < 60 * 60
    assert late(router)[OVERDUE] == 0


def test_the_names_are_those_of_the_line() -> None:
    """Given nothing late → both metrics all the same, so that the alarms see a healthy value."""
    found = Lateness().seconds(rules=RULES, store=MemoryStore(), now=NOW)
    assert json.loads(json.dumps(found)) == {UNDELIVERED: 0.0, OVERDUE: 0.0}
    assert NAMESPACE == "Tocsin"
