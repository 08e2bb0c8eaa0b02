"""The tick: the net under the delayed messages, and what notices that the rules changed."""

from dataclasses import replace
from datetime import timedelta

import pytest

from chalicelib.core.errors import NotStoredError
from chalicelib.core.event import Status
from chalicelib.core.summary import SummaryPage
from chalicelib.schedule.tick import MAX_INLINE, tick
from simulation.memory_store import MemoryStore
from tests.scenario import Router, event, rules_of

HEAD = """
defaults: {group_by: [alertname], group_wait: 10s, group_interval: 1m, repeat_interval: 10m}
default: {notification: [{webhook: ops}]}
"""
RULES = rules_of(HEAD)
MEASURED = rules_of(HEAD + "alerts: [{name: Errors, condition: 'error_rate > 1%', for: 30s, severity: critical}]")
BEATS = rules_of(HEAD + "probes: {heartbeat: [{name: backup, every: 10m, grace: 2m}]}")
WEBHOOK = ["Down opened", "Down resolved"]


@pytest.fixture
def routers():
    """Makes routers, and closes them."""
    made = []

    def make(rules, **more):
        made.append(Router(rules, **more))
        return made[-1]

    yield make
    for each in made:
        each.close()


def test_it_does_what_no_message_woke(routers):
    """Where every delayed wake-up is lost, what is due is told within a minute all the same, once, and so is its end."""
    router = routers(RULES)
    router.fire("Down", service="api")
    for _ in range(60):
        router.run(seconds=10)
        drop_wakes(router)
    router.resolve("Down", service="api")
    for _ in range(30):
        router.run(seconds=10)
        drop_wakes(router)
    assert router.told() == {"webhook": WEBHOOK}


def drop_wakes(router):
    """Lose every wake-up that waits."""
    for name, each in list(router.webhooks.waiting.items()):
        if '"type":"wake"' in each.body:
            del router.webhooks.waiting[name]


def test_after_an_outage_nothing_is_lost_and_nothing_told_twice(routers):
    """While the router is down for an hour a fault begins and another ends; both are told when it is back, once."""
    router = routers(RULES)
    router.fire("Down", service="api").run(minutes=2)
    router.fire("Slow", service="api").resolve("Down", service="api")
    router.now += timedelta(hours=1)
    router.run(minutes=3)
    router.resolve("Slow", service="api").run(minutes=3)
    assert router.told() == {"webhook": [*WEBHOOK, "Slow opened", "Slow resolved"]}


def test_a_repeat_changes_nothing(routers):
    """Two ticks at one time: the second finds nothing to do and writes nothing."""
    router = routers(RULES)
    router.fire("Down", service="api").run(minutes=2)
    router.now += timedelta(minutes=30)
    tick(rules=RULES, now=router.now, **router.ports)
    writes, waiting = router.store.writes, len(router.notifications.waiting)
    tick(rules=RULES, now=router.now, **router.ports)
    assert (router.store.writes, len(router.notifications.waiting)) == (writes, waiting)


def test_what_is_due_before_the_next_tick_is_woken_to_the_second(routers):
    """A timer half a minute ahead gets a delayed message and is not done early."""
    router = routers(MEASURED)
    router.measure("error_rate", 0.5, service="api").step()
    drop_wakes(router)
    router.tick()
    assert [each.visible_at - router.now for each in router.webhooks.waiting.values()] == [timedelta(seconds=30)]
    router.run(seconds=45)
    assert router.told() == {"webhook": ["Errors opened"]}


def test_a_rule_that_is_gone_ends_what_it_fired(routers):
    """After a deploy without the rule its alert is over, and whoever was told hears so."""
    router = routers(MEASURED)
    router.measure("error_rate", 0.5, service="api").run(minutes=2)
    router.rules = RULES
    router.run(minutes=3)
    assert router.told() == {"webhook": ["Errors opened", "Errors resolved"]}


def test_a_rule_that_no_tick_ever_saw_leaves_nothing_behind(routers):
    """In the middle of a deploy one worker knows a rule that no tick will ever know: what it fired ends too."""
    router = routers(RULES)
    router.run(seconds=1)
    router.rules = MEASURED
    router.measure("error_rate", 0.5, service="api").run(seconds=45)
    router.rules = RULES
    router.run(minutes=10)
    assert router.told() == {"webhook": ["Errors opened", "Errors resolved"]}
    assert list(router.store.incidents()) == []


def test_rules_are_not_taken_for_seen_while_an_incident_could_not_be_looked_at(routers):
    """The table refuses one save in the tick after a deploy: the next tick looks again."""
    router = routers(MEASURED)
    router.measure("error_rate", 0.5, service="api").run(minutes=2)
    router.rules = RULES
    router.sites.at, router.sites.error = "store.save", NotStoredError
    router.run(minutes=3)
    assert router.sites.failed == "store.save"
    assert router.told() == {"webhook": ["Errors opened", "Errors resolved"]}


class Lagging(MemoryStore):
    """A store whose index of open incidents does not show some keys yet."""

    def __init__(self):
        super().__init__()
        self.unseen = False

    def incidents(self, **asked):
        """What the index shows: nothing while it lags."""
        return [] if self.unseen else super().incidents(**asked)

    def summaries(self, after="", **asked):
        """The same in short."""
        return SummaryPage() if self.unseen else super().summaries(after, **asked)


class Counting(MemoryStore):
    """A store that counts how often all open incidents were listed."""

    def __init__(self):
        super().__init__()
        self.looked = 0

    def summaries(self, after="", **asked):
        """Count it."""
        self.looked += 1
        return super().summaries(after, **asked)


QUIET = """
defaults: {group_by: [probe], group_wait: 0s, group_interval: 1m, repeat_interval: 100h}
default: {notification: [{webhook: ops}]}
"""
PROBED = (
    QUIET
    + """
alerts: [{name: Unreachable, condition: "failures >= 2", severity: critical}]
probes:
  uptime: [{name: api, url: "https://api.example.com/"}]
"""
)
ROLLED_OUT = {
    "a rule that is gone": (PROBED, PROBED.replace("Unreachable", "Renamed")),
    "a probe that is gone": (PROBED, PROBED.replace("name: api,", "name: web,")),
    "a probe that a second change did not bring back": (
        PROBED,
        PROBED.replace("name: api,", "name: web,"),
        PROBED.replace("name: api,", "name: shop,"),
    ),
}


@pytest.mark.parametrize("versions", ROLLED_OUT.values(), ids=ROLLED_OUT)
@pytest.mark.parametrize("seconds", [1, 59, 100, 200])
def test_what_an_old_worker_saves_after_the_first_look_ends_too(routers, versions, seconds):
    """Given a tick that has seen changed rules, when a worker of the version before saves an alert → it ends in minutes."""
    before, *changes = map(rules_of, versions)
    router = routers(before).run(minutes=2)
    for after in changes:
        router.rules = after
        router.run(minutes=1, seconds=1)
    router.run(seconds=seconds)
    router.rules = before
    router.measure("failures", 3, service="api", probe="api")
    router.process(router.webhooks.receive())
    router.rules = after
    assert len(list(router.store.incidents())) == 1
    router.run(minutes=6)
    assert router.told() in ({}, {"webhook": ["api opened", "api resolved"]})
    assert list(router.store.incidents()) == []


def test_probes_that_went_long_ago_are_forgotten(routers):
    """Given probes that are renamed at each deploy, then the context names those of the last change only."""
    router = routers(rules_of(PROBED)).run(minutes=2)
    for name in ("web", "shop", "blog"):
        router.rules = rules_of(PROBED.replace("name: api,", f"name: {name},"))
        router.run(minutes=10)
    assert router.store.context().marks["gone_probes"] == "shop"


def test_what_the_index_shows_late_ends_too(routers):
    """Given an incident of a removed rule that the index shows minutes after the rules changed → it ends."""
    router = routers(rules_of(PROBED), store=Lagging())
    router.run(minutes=2).measure("failures", 3, service="api", probe="api").run(seconds=30)
    router.store.unseen = True
    router.rules = rules_of(PROBED.replace("Unreachable", "Renamed"))
    router.run(minutes=2)
    assert len(list(MemoryStore.incidents(router.store))) == 1
    router.store.unseen = False
    router.run(minutes=3)
    assert router.told() == {"webhook": ["api opened", "api resolved"]}


def test_everything_is_looked_at_for_some_minutes_only(routers):
    """Given rules that changed five minutes ago, then a tick no longer lists the incidents."""
    router = routers(RULES, store=Counting()).run(minutes=2)
    router.rules, before = BEATS, router.store.looked
    router.run(minutes=7)
    looked = router.store.looked
    assert looked - before >= 5
    router.run(minutes=5)
    assert router.store.looked == looked


def test_what_an_old_worker_leaves_in_another_group_is_known_to_be_elsewhere(routers):
    """Given another group_by and an old worker that saves after the first look → the alert goes on where it is, and ends."""
    before = rules_of(PROBED)
    router = routers(before).run(minutes=2)
    after = router.rules = rules_of(PROBED.replace("group_by: [probe]", "group_by: [service]"))
    router.run(minutes=1, seconds=1)
    router.rules = before
    router.measure("failures", 3, service="api", probe="api")
    router.process(router.webhooks.receive())
    router.rules = after
    router.run(minutes=3)
    router.measure("failures", 4, service="api", probe="api").run(minutes=3)
    router.measure("failures", 0, service="api", probe="api").run(minutes=10)
    assert router.told() == {"webhook": ["api opened", "api resolved"]}


def test_a_change_of_silences_is_looked_at_until_the_index_has_settled(routers):
    """A silence that ends before the index shows what began under it leaves that to the tick after the next."""
    store = Lagging()
    router = routers(rules_of(HEAD.replace("group_wait: 10s", "group_wait: 0s")), store=store)
    router.silence("s1", minutes=300, alertname="Down").run(seconds=57)
    router.fire("Down", service="api").run(seconds=0.5)
    store.unseen = True
    router.unsilence("s1").run(seconds=4)
    assert router.store.context().changed_at is not None
    store.unseen = False
    router.run(minutes=2)
    assert router.told() == {"webhook": ["Down opened"]}
    assert router.store.context().changed_at is None


def test_a_heartbeat_that_was_never_heard_is_late_too(routers):
    """Its clock starts with the first tick that knows it: ten minutes and two of grace later it is told, once."""
    router = routers(BEATS)
    router.run(minutes=11)
    assert router.told() == {}
    router.run(minutes=2)
    assert router.told() == {"webhook": ["backup opened"]}


def test_causes_that_no_longer_fire_are_forgotten(routers):
    """A cause left behind by a worker that died is no cause for longer than a minute."""
    router = routers(rules_of(HEAD + "inhibit: [{cause: {alertname: Down}, symptom: {alertname: Slow}}]"))
    router.fire("Down", service="api").run(minutes=2)
    (cause,) = router.store.context().causes
    router.resolve("Down", service="api").run(minutes=2)
    context = router.store.context()
    assert context.causes == ()
    router.store.save_context(replace(context, causes=(cause,), version=context.version + 1))
    router.fire("Slow", service="api").run(minutes=3)
    assert router.store.context().causes == ()
    assert "Slow opened" in router.told()["webhook"]


@pytest.mark.acceptance
def test_timers_beyond_those_it_works_off_go_to_the_workers(routers):
    """Given more due timers than one tick works off, then every one is woken, and none waits for the next tick."""
    router = routers(rules_of(HEAD.replace("[alertname]", "[service]").replace("10m", "9h")))
    number = MAX_INLINE + 100
    router.events(*(event("Down", Status.FIRING, router.now, {"service": f"s{n}"}) for n in range(number)))
    router.run(seconds=1)
    drop_wakes(router)
    router.now += timedelta(seconds=30)
    router.tick()
    wakes = [each for each in router.webhooks.waiting.values() if '"type":"wake"' in each.body]
    assert sum(each.visible_at <= router.now for each in wakes) >= number - MAX_INLINE
    router.run(seconds=29)
    assert len(router.told()["webhook"]) == number
