"""Messages of the notifications queue whose tries never end well are given up in time, and reported."""

from dataclasses import dataclass, replace
from datetime import timedelta

import pytest

from chalicelib.core.errors import NotStoredError, TocsinError
from chalicelib.deliver.dispatch import FAILING_FOR, MAX_FAILURES, MAX_RECEIVES, UNANSWERED_FOR, dispatch
from chalicelib.messages.queue import Message, Queues, notification_message, read_message
from tests.fakes import Death, MemoryQueue, Sites
from tests.scenario import START, Router, rules_of
from tests.targets.samples import NOTIFICATION

ONE_TARGET = """
defaults: {group_by: [alertname], group_wait: 0s, group_interval: 1m, repeat_interval: 12h}
default: {notification: [{slack_channel: "#incidents"}]}
fallback: {notification: [{email: ops@example.com}]}
"""
RULES = rules_of(ONE_TARGET.replace('"#incidents"}', '"#incidents"}, {webhook: ops}'))


@dataclass(slots=True)
class Deadly(Sites):
    """Every call to Slack ends its worker."""

    def call(self, name, make, error=None):
        """Die, or make the call."""
        if name.endswith("chat.postMessage"):
            raise Death(name)
        return make()


def test_a_delivery_whose_worker_always_dies_is_with_the_fallback_within_a_quarter_of_an_hour():
    """Given a target whose every try kills its worker, then the fallback is notified and other targets are not held up."""
    router = Router(RULES, sites=Deadly())
    router.fire("Down", service="api").run(minutes=15)
    router.close()
    assert router.told()["webhook"] == ["Down opened"]
    assert "slack_channel:#incidents opened" in router.told()["email"]
    assert len(router.notifications.dead_lettered) == 1
    assert "the worker died 5 times" in router.notifications.dead_lettered[0][1]


class Away:
    """A store that does not answer."""

    def __getattr__(self, name):
        raise NotStoredError("the table did not answer")


@dataclass(slots=True)
class Faulty(Sites):
    """The first delivery meets a fault of ours, as often as it is tried."""

    left: int = MAX_FAILURES + 1
    """With their delays so many tries take FAILING_FOR."""

    def call(self, name, make, error=None):
        """Raise, or make the call."""
        if name == "store.delivery_log" and self.left:
            self.left -= 1
            raise TocsinError("a fault of ours")
        return make()


class Broken:
    """A port that raises whatever is asked of it."""

    def __getattr__(self, name):
        raise OverflowError("a fault of ours")


LATE, EARLY = FAILING_FOR, FAILING_FOR - timedelta(seconds=1)


@pytest.mark.parametrize(
    ("received", "age", "gives_up"),
    [(1, LATE, False), (MAX_FAILURES - 1, LATE, False), (MAX_FAILURES, LATE, True), (40, EARLY, False)],
)
def test_a_fault_of_ours_comes_back_and_is_given_up_at_last(received, age, gives_up):
    """Given a try that raises, then the message comes back, and is reported and dead-lettered after enough tries."""
    queues = Queues(MemoryQueue(), MemoryQueue(), MemoryQueue())
    message = Message("m1", notification_message(NOTIFICATION), "r1", received, START - age)
    ask = {"rules": RULES, "store": Broken(), "queues": queues, "clients": Broken(), "now": START}
    if not gives_up:
        with pytest.raises(OverflowError):
            dispatch(message, **ask)
        assert queues.webhooks.bodies == []
        return
    assert "OverflowError" in dispatch(message, **ask).dead_lettered
    (event,) = read_message(queues.webhooks.bodies[0]).events
    assert (event.source, event.kind) == ("router", "delivery.failed")


@pytest.mark.parametrize("received", [MAX_FAILURES, MAX_RECEIVES])
def test_a_table_that_is_away_gives_nothing_up(received):
    """Given a table that does not answer, then the message comes back, for longer than after a fault in the code."""
    queues = Queues(MemoryQueue(), MemoryQueue(), MemoryQueue())
    message = Message("m1", notification_message(NOTIFICATION), "r1", received, START - timedelta(hours=2))
    with pytest.raises(NotStoredError):
        dispatch(message, rules=RULES, store=Away(), queues=queues, clients=Broken(), now=START)
    assert queues.webhooks.bodies == []


def test_what_the_router_gave_up_is_recorded_and_ends_with_the_next_success():
    """Given a delivery given up after a fault in the code, when another is delivered → the fallback has one resolve."""
    router = Router(rules_of(ONE_TARGET), sites=Faulty())
    router.fire("Down", service="api").run(minutes=20)
    assert [reason for _, reason in router.notifications.dead_lettered] == ["a fault of ours"]
    assert router.told()["email"] == ["slack_channel:#incidents opened"]
    router.fire("Up", service="api").run(minutes=20)
    assert router.told()["email"] == ["slack_channel:#incidents opened", "slack_channel:#incidents resolved"]


def test_what_was_received_too_often_is_not_tried():
    """Given more receives than any throttling explains, then nothing is tried: the try may be what ends the worker."""
    queues = Queues(MemoryQueue(), MemoryQueue(), MemoryQueue())
    message = Message("m1", notification_message(replace(NOTIFICATION, at=START)), "r1", MAX_RECEIVES + 1, START)
    ask = {"rules": RULES, "store": Broken(), "queues": queues, "clients": Broken()}
    with pytest.raises(OverflowError):  # so many receives in a short time are those of a throttled function
        dispatch(message, now=START + FAILING_FOR / 2, **ask)
    outcome = dispatch(message, now=START + UNANSWERED_FOR, **ask)
    assert "no try of it ended" in outcome.dead_lettered
    assert len(queues.webhooks.bodies) == 1
