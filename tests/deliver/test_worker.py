"""What `deliver` owes to the incident that decided: nothing a saved incident has committed to is dropped, nothing else
is sent. How targets fail and recover is in tests/deliver/test_delivery.py."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta

import pytest

from chalicelib.core.errors import NotStoredError
from chalicelib.core.incident import MAX_COMMITTED
from chalicelib.deliver.delivery import MAX_AGE
from chalicelib.deliver.worker import COMMIT_WAIT, deliver
from chalicelib.messages.queue import Queues, notification_message, read_message
from tests.fakes import MemoryQueue
from tests.scenario import Router, rules_of

RULES = rules_of("""
defaults: {group_by: [alertname], group_wait: 0s, group_interval: 1m, repeat_interval: 12h}
default: {notification: [{slack_channel: "#incidents"}, {webhook: ops}]}
fallback: {notification: [{email: ops@example.com}]}
""")


def test_a_target_that_was_down_for_hours_receives_its_incident_once():
    """Given more notifications of one incident than ever during an outage, then Slack gets one, then each change."""
    router = Router(RULES)
    router.inbox.answer("slack", "chat.postMessage", [{"status": 503}], stay=True)
    for number in range(MAX_COMMITTED):
        router.fire("Down", service=f"s{number}").run(minutes=2)
    router.inbox.faults.clear()
    router.run(minutes=60)
    for number in range(MAX_COMMITTED):
        router.resolve("Down", service=f"s{number}")
    router.run(minutes=60)
    router.close()
    told = router.told()
    assert len(told["webhook"]) > MAX_COMMITTED
    assert len(told["slack"]) < 20
    assert told["slack"][-1] == told["webhook"][-1] == "Down resolved"
    assert router.undone == []


def decided(router):
    """The only notification for Slack on the queue, and the queues."""
    bodies = [each.body for each in router.notifications.waiting.values()]
    return next(each for each in map(read_message, bodies) if each.target.kind == "slack_channel")


def delivered(router, notification, later=timedelta(0), store=None):
    """The outcome of one delivery, some time later."""
    queues = Queues(MemoryQueue(), MemoryQueue(), MemoryQueue())
    return deliver(
        notification_message(notification),
        rules=RULES,
        store=store or router.store,
        queues=queues,
        clients=router.clients,
        now=router.now + later,
    )


def test_only_what_a_saved_incident_committed_to_is_sent():
    """What lost against another worker's save is dropped, at once or when no save can come any more."""
    router = Router(RULES)
    router.fire("Down", service="api")
    router.process(router.webhooks.receive())
    router.process(router.webhooks.receive())
    won = decided(router)
    lost = replace(won, id="another")
    ahead = replace(won, id="another", seq=2)
    assert "superseded" in delivered(router, lost).note
    assert delivered(router, ahead).retry_after is not None
    assert "superseded" in delivered(router, ahead, COMMIT_WAIT).note
    assert router.told() == {}
    assert delivered(router, won).delivered
    assert delivered(router, won).note == "done before"
    assert router.told() == {"slack": ["Down opened"]}
    router.close()


def test_a_save_may_take_as_long_as_its_worker_may_live():
    """The worker that decides may live for a minute: a notification is waited for longer than that."""
    assert timedelta(minutes=2) <= COMMIT_WAIT


@dataclass
class Meanwhile:
    """A store for which something happens just before a call of that name, the first time."""

    store: object
    name: str
    happen: Callable[[], object] | None

    def __getattr__(self, name):
        if name == self.name and self.happen is not None:
            happen, self.happen = self.happen, None
            happen()
        return getattr(self.store, name)


def unrecorded():
    """Fail as a table does that does not answer."""
    raise NotStoredError("the table did not answer")


@pytest.mark.parametrize("call", ["target_state", "delivery_log", "save_target_state", "save_delivery_log"])
def test_what_one_worker_gives_up_no_other_sends(call):
    """Given a post that was not recorded, when two workers give it up hours later → neither posts it again."""
    router = Router(RULES)
    router.fire("Down", service="api")
    router.process(router.webhooks.receive())
    router.process(router.webhooks.receive())
    opening = decided(router)
    with pytest.raises(NotStoredError):
        delivered(router, opening, store=Meanwhile(router.store, "save_delivery_log", unrecorded))
    later = MAX_AGE + timedelta(hours=1)
    other = Meanwhile(router.store, call, lambda: delivered(router, opening, later))
    assert delivered(router, opening, later, other).dead_lettered
    assert router.told() == {"slack": ["Down opened"]}
    router.close()


def test_an_edit_that_says_that_nothing_fires_keeps_the_sound_that_it_superseded():
    """Given something worse that Slack could not take, when all of it ends → it is still a reply shown in the channel."""
    rules = rules_of("""
defaults: {group_by: [alertname], group_wait: 0s, group_interval: 30m}
default: {notification: [{slack_channel: "#incidents"}]}
fallback: {notification: [{email: ops@example.com}]}
""")
    router = Router(rules)
    router.fire("Down", service="a", severity="warning").run(minutes=3)
    router.inbox.answer("slack", "chat.update", [{"status": 503}], stay=True)
    router.inbox.answer("slack", "chat.postMessage", [{"status": 503}], stay=True)
    router.fire("Down", service="b", severity="critical").run(minutes=2)
    router.resolve("Down", service="a", severity="warning").resolve("Down", service="b", severity="critical").run(
        minutes=1
    )
    router.inbox.faults.clear()
    router.run(minutes=12)
    assert router.store.incidents(), "its end is not notified yet"
    replies = [each for each in router.inbox.messages if each.get("thread_ts") not in (None, each["ts"])]
    assert [each["text"].splitlines()[0] for each in replies] == ["⏳ It got worse: 2 resolved."]
    assert "Closing at" in str(next(each for each in router.inbox.messages if each not in replies))
    router.close()
