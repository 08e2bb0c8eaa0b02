"""What the tick looks at after silences or causes changed: what they may mute, however much else is open."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from chalicelib.core.context import EVERYTHING, MAX_CHANGED, Context, Silence
from chalicelib.core.match import Matcher
from chalicelib.core.summary import PAGE, SummaryPage
from chalicelib.messages import codec
from chalicelib.messages.queue import Affected, SetSilence, affected_message, read_message
from chalicelib.process.gather import MAX_PAGES
from simulation.memory_store import MemoryStore
from tests.scenario import Router, rules_of

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
RULES = rules_of("""
defaults: {group_by: [alertname, service], group_wait: 0s, group_interval: 1m, repeat_interval: 10h}
default: {notification: [{webhook: ops}]}
inhibit: [{cause: {alertname: Down}, symptom: {alertname: Slow}, equal: [service]}]
""")
SERVICES = 40


def test_what_changed_is_remembered_until_it_was_looked_at():
    """Given changes of two silences → both are named, until a tick has had looked at them."""
    context = Context().with_changed(["silence:a"], NOW).with_changed(["silence:b", "silence:a"], NOW)
    assert (context.changed_at, context.changed) == (NOW, ("silence:a", "silence:b"))
    assert (context.looked_at().changed_at, context.looked_at().changed) == (None, ())


def test_a_change_of_the_version_before_is_one_of_everything():
    """Given a context that the version before changed, which names nothing → a further change leaves it so."""
    context = Context(changed_at=NOW).with_changed(["silence:a"], NOW)
    assert context.changed == (EVERYTHING,)
    assert context.with_changed(["silence:b"], NOW).changed == (EVERYTHING,)


def test_too_many_changes_are_everything():
    """Given more names than the context has room for → everything is looked at."""
    assert len(Context().with_changed(map(str, range(MAX_CHANGED)), NOW).changed) == MAX_CHANGED
    assert Context().with_changed(map(str, range(MAX_CHANGED + 1)), NOW).changed == (EVERYTHING,)


class CountedStore(MemoryStore):
    """Counts the incidents that are read whole by their keys, and shows pages of a few."""

    def __init__(self):
        super().__init__()
        self.read = 0

    def load_all(self, keys):
        """Read some."""
        self.read += len(keys)
        return super().load_all(keys)

    def load(self, key):
        """Read one."""
        self.read += 1
        return super().load(key)

    def summaries(self, after="", *, ended_since=None, limit=PAGE) -> SummaryPage:
        """Return a page of three."""
        return super().summaries(after, ended_since=ended_since, limit=min(limit, 3))


@pytest.fixture
def router():
    """A router with forty services, of which each is slow, an hour after its first tick."""
    found = Router(RULES, store=CountedStore())
    found.run(minutes=2)
    for number in range(SERVICES):
        found.fire("Slow", service=f"s{number}")
    found.run(minutes=60)
    yield found
    found.close()


def read_in_ticks(router, minutes=3):
    """How many incidents some minutes read."""
    before = router.store.read
    router.run(minutes=minutes)
    return router.store.read - before


def without_wakes(router, begin):
    """Let something happen whose messages to other incidents are lost."""
    begin()
    router.process(router.webhooks.receive())
    router.webhooks.waiting.clear()


def mutes(router):
    """The services of which the newest message says that they are muted or inhibited."""
    return [
        each.group["service"] for each in router.store.incidents() if "silence" in str(each.timeline.entries[-1].kind)
    ]


def test_the_tick_looks_at_what_a_changed_silence_may_mute(router):
    """Given a silence of one service → the ticks after it read that service, not the forty others."""
    quiet = read_in_ticks(router)
    router.silence("s1", minutes=300, service="s7")
    assert read_in_ticks(router) - quiet < 10
    assert router.store.context().changed_at is None


def test_the_tick_looks_at_what_a_changed_cause_may_mute(router):
    """Given a cause whose end woke nobody, since its worker died → the tick wakes its symptom alone."""
    router.fire("Down", service="s3").run(minutes=1)
    assert [cause.labels["service"] for cause in router.store.context().causes] == ["s3"]
    router.run(minutes=2)
    quiet = read_in_ticks(router)
    without_wakes(router, lambda: router.resolve("Down", service="s3"))
    assert len(router.store.context().changed) == 1
    assert read_in_ticks(router) - quiet < 10
    assert router.store.context().changed == ()


def test_after_a_change_of_the_version_before_everything_is_looked_at(router):
    """Given a context that says when something changed, not what → the tick looks at all that fires."""
    context = router.store.context()
    router.store.save_context(replace(context, changed_at=router.now, version=context.version + 1))
    assert read_in_ticks(router) >= SERVICES
    assert router.store.context().changed_at is None


def test_a_silence_over_more_pages_than_a_message_looks_through_reaches_all(router):
    """Given more pages of incidents than one message looks through → each message goes on with the next, and all know it."""
    assert MAX_PAGES * 3 < SERVICES
    router.silence("s1", minutes=300, alertname="Slow").run(seconds=30)
    assert len(mutes(router)) == SERVICES


def test_the_message_of_further_pages_is_the_decision_to_the_version_before():
    """Given a message that goes on from a page → read again it is the same, and without the page it is the decision."""
    silence = Silence("s1", (Matcher("service", "=", "api"),), NOW, NOW + timedelta(hours=1), "ana", at=NOW)
    affected = Affected(SetSilence(silence), after="open open#1 - incident#k")
    body = affected_message(affected)
    assert read_message(body) == affected
    assert '"keys"' not in body
    assert codec.decode(Silence, codec.encode(silence)) == silence
