"""An acknowledgement is a fact: every target that was notified knows it, and it lasts until the end is notified."""

import pytest

from tests.scenario import Router, rules_of

RULES = """
default:
  notification: [{slack_channel: "#incidents"}, {pagerduty: true}]
  escalate: [{after: 15m, notification: [{email: boss@example.com}]}]
alerts:
  - name: Errors
    severity: critical
    condition: error_rate > 1%
    for: 30s
"""


@pytest.fixture
def router():
    """A router under the default grouping with Slack, PagerDuty, and an escalation by mail after 15 minutes."""
    found = Router(rules_of(RULES))
    yield found
    found.close()


def pages(router):
    """What PagerDuty has: the status of each of its incidents by its key, with our id as `i`."""
    (incident,) = {
        each.id: each for each in (*router.store.incidents(), *router.store.incidents(ended_since=router.now))
    }.values()
    return {each["dedup_key"].replace(incident.id, "i"): each["status"] for each in router.inbox.memory.incidents}


def holder(router):
    """Who has the one alert that there is."""
    (incident,) = router.store.incidents()
    return {alert.acked_by for alert in incident.firing}


def mails(router):
    """The number of mails: each is an escalation."""
    return sum(each.service == "ses" for each in router.inbox.requests)


# ---------------------------------------------------------------------------------------------------------------------
# It survives a flap


def test_an_event_that_flaps_stays_acknowledged(router):
    """Given an acknowledged event, when it ends and fires again before the end is notified, then nobody else is called."""
    router.fire("Down").run(minutes=2).act("ack").run(minutes=1)
    router.resolve("Down").run(seconds=30).fire("Down").run(minutes=60)
    assert (holder(router), mails(router)) == ({"ana"}, 0)


def test_an_end_that_comes_late_leaves_the_acknowledgement(router):
    """Given an acknowledged event that fired again, when the end from between arrives late, then it is still acknowledged."""
    router.fire("Down").run(minutes=2).act("ack").run(minutes=1)
    ended_at = router.now
    router.run(seconds=30).fire("Down").run(seconds=5).resolve("Down", at=ended_at).run(minutes=60)
    assert (holder(router), mails(router)) == ({"ana"}, 0)


@pytest.mark.parametrize("values", [(0.5, 0.0, 0.0, 0.5), (0.5, 0.0, 0.5, 0.0, 0.5)])
def test_a_measured_alert_that_flaps_stays_acknowledged(router, values):
    """Given an acknowledged measured alert, when it is over for less than a flush, pending between or not, then Ana has it."""
    for _ in range(3):
        router.measure("error_rate", 0.5, service="api").run(seconds=30)
    router.act("ack").run(seconds=10)
    for value in values:
        router.measure("error_rate", value, service="api").run(seconds=20)
    for _ in range(100):
        router.measure("error_rate", 0.5, service="api").run(seconds=30)
    assert (holder(router), mails(router)) == ({"ana"}, 0)


def test_what_fires_after_a_notified_end_calls_people_anew(router):
    """Given an acknowledged event whose end was notified, when it fires again, then nobody has it and it is escalated."""
    router.fire("Down").run(minutes=2).act("ack").run(minutes=1).resolve("Down").run(minutes=6)
    router.fire("Down").run(minutes=20)
    assert (holder(router), mails(router)) == ({None}, 1)
