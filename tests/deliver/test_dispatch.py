"""Messages of the notifications queue whose tries never end well are given up in time, and reported."""

from dataclasses import dataclass, replace
from datetime import timedelta

import pytest

from chalicelib.deliver.dispatch import MAX_FAILURES, MAX_RECEIVES, dispatch
from chalicelib.messages.queue import Message, Queues, notification_message, read_message
from tests.fakes import Death, MemoryQueue, Sites
from tests.scenario import START, Router, rules_of
from tests.targets.samples import NOTIFICATION

RULES = rules_of("""
defaults: {group_by: [alertname], group_wait: 0s, group_interval: 1m, repeat_interval: 12h}
default: {notification: [{slack_channel: "#incidents"}, {webhook: ops}]}
fallback: {notification: [{email: ops@example.com}]}
""")


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
    assert len(router.notifications.parked) == 1
    assert "the worker died 5 times" in router.notifications.parked[0][1]


class Broken:
    """A port that raises whatever is asked of it."""

    def __getattr__(self, name):
        raise OverflowError("a fault of ours")


@pytest.mark.parametrize(("received", "gives_up"), [(1, False), (MAX_FAILURES - 1, False), (MAX_FAILURES, True)])
def test_a_fault_of_ours_comes_back_and_is_given_up_at_last(received, gives_up):
    """Given a try that raises, then the message comes back, and is reported and dead-lettered after enough tries."""
    queues = Queues(MemoryQueue(), MemoryQueue(), MemoryQueue())
    message = Message("m1", notification_message(NOTIFICATION), "r1", received)
    ask = {"rules": RULES, "store": Broken(), "queues": queues, "clients": Broken(), "now": START}
    if not gives_up:
        with pytest.raises(OverflowError):
            dispatch(message, **ask)
        assert queues.webhooks.bodies == []
        return
    assert "OverflowError" in dispatch(message, **ask).parked
    (event,) = read_message(queues.webhooks.bodies[0]).events
    assert (event.source, event.kind) == ("router", "delivery.failed")


def test_what_was_received_too_often_is_not_tried():
    """Given more receives than any throttling explains, then nothing is tried: the try may be what ends the worker."""
    queues = Queues(MemoryQueue(), MemoryQueue(), MemoryQueue())
    message = Message("m1", notification_message(replace(NOTIFICATION, at=START)), "r1", MAX_RECEIVES + 1)
    outcome = dispatch(
        message, rules=RULES, store=Broken(), queues=queues, clients=Broken(), now=START + timedelta(hours=1)
    )
    assert "no try of it ended" in outcome.parked
    assert len(queues.webhooks.bodies) == 1
