"""Changed rules among more incidents than a tick looks at: a page each message, and only by the rules that changed."""

import pytest

from chalicelib.core.summary import PAGE, SummaryPage
from chalicelib.messages.queue import Look, Wake, look_message, read_message, wake_message
from chalicelib.process.rules_digest import rules_digest
from chalicelib.schedule.tick import LOOKED_PAGES
from simulation.memory_store import MemoryStore
from tests.scenario import Router, rules_of

HEAD = """
defaults: {group_by: [service], group_wait: 0s, group_interval: 1m, repeat_interval: 100h}
default: {notification: [{webhook: ops}]}
"""
MEASURED = rules_of(HEAD + "alerts: [{name: Errors, condition: 'error_rate > 1%', severity: critical}]")
PLAIN = rules_of(HEAD)
SERVICES, SMALL = 20, 3


class SmallPages(MemoryStore):
    """Shows three incidents a page, and counts the pages."""

    def __init__(self):
        super().__init__()
        self.pages = 0

    def summaries(self, after="", *, ended_since=None, limit=PAGE) -> SummaryPage:
        """Return a small page."""
        self.pages += 1
        return super().summaries(after, ended_since=ended_since, limit=min(limit, SMALL))


@pytest.fixture
def router():
    """A router of which twenty services have an error rate that is too high, and one another fault."""
    found = Router(MEASURED, store=SmallPages())
    found.run(minutes=2)
    for number in range(SERVICES):
        found.measure("error_rate", 0.5, service=f"s{number}")
    found.fire("Down", service="x").run(minutes=7)
    assert len(list(found.store.incidents())) == SERVICES + 1
    yield found
    found.close()


def looks(router):
    """The messages that wait to have a page, or an incident for changed rules, looked at."""
    read = [read_message(each.body) for each in router.webhooks.waiting.values()]
    pages = [each for each in read if isinstance(each, Look)]
    return pages, [each for each in read if isinstance(each, Wake) and each.rules]


def test_what_a_removed_rule_fired_ends_on_every_page(router):
    """Given more incidents than pages that a tick looks at, when a rule is removed → all of its alerts end, no other."""
    router.rules = PLAIN
    router.run(minutes=3)
    assert [each.group["service"] for each in router.store.incidents()] == ["x"]
    resolved = [text for text in router.told()["webhook"] if "resolved" in text]
    assert len(resolved) == SERVICES


def test_a_tick_looks_at_two_pages_itself(router):
    """Given changed rules → the tick lists two pages for its look, and puts one message for those that follow."""
    router.rules = PLAIN
    router.tick()
    pages, wakes = looks(router)
    assert [each.rules for each in pages] == [rules_digest(PLAIN)]
    assert wakes == []
    ended = sum(not each.firing for each in router.store.incidents())
    assert LOOKED_PAGES * SMALL - 1 <= ended <= LOOKED_PAGES * SMALL


def test_a_worker_with_other_rules_ends_nothing(router):
    """Given a wake-up for changed rules, when a worker of the version before takes it → the alert stays."""
    (incident, *_) = [each for each in router.store.incidents() if each.group["service"] == "s1"]
    router.webhooks.put([wake_message(incident.key, rules_digest(PLAIN))])
    router.process(router.webhooks.receive())
    assert router.store.load(incident.key).firing
    router.rules = PLAIN
    router.webhooks.put([wake_message(incident.key, rules_digest(PLAIN))])
    router.process(router.webhooks.receive())
    assert not router.store.load(incident.key).firing


def test_messages_of_looks_come_back_as_they_were():
    """A look and a wake-up for changed rules are read as they were written; a wake-up for a timer is that of before."""
    for look in (Look("open open#1 - incident#k", "d"), Look("x", silences=("s1", "s2"))):
        assert read_message(look_message(look)) == look
    assert read_message(wake_message("k", "d")) == Wake("k", "d")
    assert wake_message("k") == '{"v":1,"type":"wake","key":"k"}'
