"""A source above its cap: repeats are counted together; a beginning, an end and a worse severity get through."""

from datetime import timedelta

import pytest

from chalicelib.core.event import Event, Severity, Status
from chalicelib.messages.queue import Events, events_messages, read_message
from chalicelib.process.rates import MAX_SOURCES, SourceRates
from simulation.simulator import Simulator
from tests.rule_files import rules_of
from tests.sources.bodies import NOW

RULES = """
alerts: []
defaults: {group_by: [], group_wait: 0s}
default: {notification: [{slack_channel: "#all"}]}
"""
COUNTED = """
alerts:
  - {name: Many, match: {source: shop}, condition: "events[10m] > 2", notification: [{slack_channel: "#many"}]}
default: {notification: [{slack_channel: "#all"}]}
"""
SECOND = timedelta(seconds=1)


def fault(number: int, name: str = "disk", status: str = "firing", severity: str = "warning") -> Event:
    """The event of that number about a fault."""
    return Event(
        id=f"{name}-{number}", source="shop", kind="check", status=Status(status), severity=Severity(severity),
        title=name, occurred_at=NOW - SECOND + number * timedelta(milliseconds=1), identity=name,
    )  # fmt: skip


def router_of(rules: str = RULES, limit: int = 5) -> Simulator:
    """A router whose sources may send so many events a minute."""
    found = Simulator(rules_of(rules), NOW)
    found.rates = SourceRates(limit)
    return found


def sent(router: Simulator, *events: Event) -> None:
    """The events arrive in one batch."""
    router.post(events_messages(events))
    router.settle()


def waiting(router: Simulator) -> list[Event]:
    """The events that wait to be counted."""
    contents = (read_message(body) for _, _, body in router.counts.heap)
    return [event for content in contents if isinstance(content, Events) for event in content.events]


def firing(router: Simulator) -> dict[str, tuple[str, int]]:
    """What fires: severity and how many events, by title."""
    router.count()
    found = (alert for incident in router.store.incidents() for alert in incident.firing)
    return {alert.text.title: (alert.severity.value, alert.received.events) for alert in found}


def test_repeats_above_the_cap_are_counted_together() -> None:
    """Given 40 repeats above a cap of five → one event waits for them, and the alert has counted all."""
    router = router_of()
    sent(router, fault(0))
    sent(router, *(fault(number) for number in range(1, 41)))
    found = waiting(router)
    assert len(found) == 5
    assert sum(1 + each.repeats for each in found) == 40
    assert firing(router) == {"disk": ("warning", 41)}


def test_below_the_cap_each_is_an_event_of_its_own() -> None:
    """Given as many below the cap → each waits by itself; in the next minute a source begins anew."""
    router = router_of(limit=100)
    sent(router, fault(0))
    sent(router, *(fault(number) for number in range(1, 41)))
    assert len(waiting(router)) == 40
    rates = SourceRates(2)
    assert [rates.is_over(fault(0), NOW) for _ in range(3)] == [False, False, True]
    assert not rates.is_over(fault(0), NOW + 60 * SECOND)


def test_what_is_news_gets_through_above_the_cap() -> None:
    """Given a beginning, a worse severity and an end among repeats above the cap → none is dropped."""
    router = router_of()
    sent(router, fault(0), fault(0, "other"))
    repeats = [fault(number) for number in range(1, 20)]
    sent(router, *repeats, fault(20, "fan"), fault(21, severity="critical"), fault(22, "other", "resolved"))
    assert firing(router) == {"disk": ("critical", 21), "fan": ("warning", 1)}


def test_one_source_does_not_cap_another() -> None:
    """Given two sources → each has its own count; with very many sources the counts begin anew and stay few."""
    rates = SourceRates(1)
    other = Event("x", "web", "check", Status.FIRING, Severity.WARNING, "x", NOW, "x")
    assert [rates.is_over(each, NOW) for each in (fault(0), other, fault(1), other)] == [False, False, True, True]
    for number in range(MAX_SOURCES * 2):
        rates.is_over(Event("x", f"s{number}", "k", Status.FIRING, Severity.WARNING, "x", NOW, "x"), NOW)
    assert len(rates.counts) <= MAX_SOURCES


def test_what_a_rule_counts_is_never_capped() -> None:
    """Given a rule that counts the events → each is counted, whatever the cap is."""
    router = router_of(COUNTED, limit=1)
    sent(router, *(fault(number, f"fault {number}") for number in range(4)))
    assert [each.name for incident in router.store.incidents() for each in incident.firing] == ["Many"]


def test_the_same_event_again_is_one_repeat() -> None:
    """Given an event twice in one batch above the cap → it is counted once."""
    router = router_of(limit=1)
    sent(router, fault(0))
    sent(router, fault(1), fault(2), fault(2), fault(3))
    assert firing(router) == {"disk": ("warning", 4)}


@pytest.mark.parametrize("repeats", [0, 7])
def test_repeats_survive_the_queue(repeats: int) -> None:
    """Given an event that stands for others → the message that carries it holds how many."""
    (body,) = events_messages([Event("x", "s", "k", Status.FIRING, Severity.INFO, "x", NOW, "x", repeats=repeats)])
    content = read_message(body)
    assert isinstance(content, Events) and content.events[0].repeats == repeats
