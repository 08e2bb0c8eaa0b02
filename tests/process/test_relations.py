"""Causes and symptoms are found by what they have in common: the work does not grow with what else fires."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from chalicelib.core.event import Event, Status
from chalicelib.messages.queue import events_messages
from chalicelib.process.inhibition import RELATED
from simulation.memory_store import MemoryStore
from simulation.simulator import Simulator
from tests.rule_files import rules_of
from tests.scenario import event

NOW = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
SERVICES = 30
RULES = """
defaults: {group_by: [alertname, service], group_wait: 0s, group_interval: 1m}
default: {notification: [{webhook: ops}]}
inhibit:
  - {cause: {alertname: Down}, symptom: {alertname: Slow}, equal: [service]}
"""
OTHER = RULES.replace("{alertname: Slow}", '{alertname: "=~Slow|Full"}')


class CountingStore(MemoryStore):
    """Counts the incidents that are read while many are open."""

    read = 0

    def load_all(self, keys):
        """Read some."""
        self.read += len(keys)
        return super().load_all(keys)

    def load(self, key):
        """Read one."""
        self.read += 1
        return super().load(key)

    def incidents(self, **asked):
        """Read all."""
        found = list(super().incidents(**asked))
        self.read += len(found)
        return found


def fire(name: str, service: str, at: datetime, status: Status = Status.FIRING) -> Event:
    """An event about a service."""
    return event(name, status, at, {"service": service})


def post(router: Simulator, *events: Event) -> None:
    """Let the router work through events."""
    router.post(events_messages(events))
    router.settle()


@pytest.fixture
def router() -> Simulator:
    """A router with many services that are slow, after its first tick."""
    found = Simulator(rules_of(RULES), NOW)
    found.store = CountingStore()
    found.tick()
    post(found, *(fire("Slow", f"s{number}", NOW) for number in range(SERVICES)))
    found.taken()
    return found


def told(router: Simulator) -> Mapping[str, list[str]]:
    """The reasons of what was sent, by service."""
    found: dict[str, list[str]] = {}
    for sent in router.taken():
        notification = sent.notification
        found.setdefault(notification.incident.group["service"], []).append(notification.reason.value)
    return found


def test_a_cause_reads_the_symptoms_of_its_service_alone(router: Simulator) -> None:
    """Given 30 slow services, when one is down → a few incidents are read, and its message shows what it mutes."""
    before = router.store.read
    post(router, fire("Down", "s7", NOW))
    assert router.store.read - before < SERVICES
    (down,) = (each.notification for each in router.taken() if each.notification.title.startswith("Down"))
    assert [(each.name, each.labels["service"]) for each in down.evidence] == [("Slow", "s7")]


def test_the_end_of_a_cause_lets_its_symptoms_speak_at_once(router: Simulator) -> None:
    """Given a symptom that began while its cause fired, when the cause ends → it is notified without a tick, no other is."""
    post(router, fire("Down", "new", NOW))
    post(router, fire("Slow", "new", NOW))
    assert told(router) == {"new": ["opened"]}
    router.run_until(NOW + MINUTE, inclusive=True)
    told(router)
    before = router.store.read
    post(router, fire("Down", "new", router.now, Status.RESOLVED))
    assert router.store.read - before < SERVICES
    assert "opened" in told(router)["new"]


@pytest.mark.parametrize("ticked", [False, True], ids=["before the first tick", "after the first tick"])
def test_what_an_earlier_version_left_open_is_found(ticked: bool) -> None:
    """Given incidents that were saved without relations, when their cause ends → the symptom is notified at once."""
    router = Simulator(rules_of(RULES), NOW)
    router.tick()
    post(router, fire("Slow", "api", NOW), fire("Down", "api", NOW))
    assert told(router) == {"api": ["opened"]}
    router.store._relations.clear()
    context = router.store.context()
    marks = {name: text for name, text in context.marks.items() if name != RELATED}
    router.store.save_context(replace(context, marks=marks, version=context.version + 1))
    if ticked:
        router.tick()
        router.settle()
        assert router.store.context().marks[RELATED]
    router.run_until(NOW + MINUTE, inclusive=True)
    post(router, fire("Down", "api", router.now, Status.RESOLVED))
    assert "opened" in told(router)["api"]


def test_relations_follow_changed_rules(router: Simulator) -> None:
    """Given an alert that only the new rules mute, when its cause begins after the redeploy → it is found and shown."""
    post(router, fire("Full", "s3", NOW))
    router.taken()
    router.rules = rules_of(OTHER)
    router.tick()
    router.settle()
    router.taken()
    before = router.store.read
    post(router, fire("Down", "s3", router.now))
    assert router.store.read - before < SERVICES
    (down,) = (each.notification for each in router.taken() if each.notification.title.startswith("Down"))
    assert sorted(each.name for each in down.evidence) == ["Full", "Slow"]
