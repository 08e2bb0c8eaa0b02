"""Which incident an alert joins whose service needs another one, with several events at once and several workers."""

from datetime import timedelta
from itertools import permutations

import pytest

from chalicelib.core.correlation import linked
from chalicelib.core.event import Status
from chalicelib.core.metrics.sample import Sample
from chalicelib.messages.queue import events_messages, samples_messages
from simulation.simulator import Simulator
from tests.rule_files import rules_of
from tests.scenario import START, event

MINUTE = timedelta(minutes=1)
RULES = """
defaults: {group_by: [service], group_wait: 30s, group_interval: 5m, repeat_interval: 4h}
correlate: {by: [service]}
services: {web: {depends_on: [api]}, api: {depends_on: [database]}, mail: {depends_on: [database]}, database: {}}
alerts:
  - {name: Size, condition: "db_size_gb > 8", severity: critical, notification: [{webhook: a}]}
  - {name: Slow, condition: "latency_ms > 300", severity: critical, notification: [{webhook: a}]}
default: {notification: [{webhook: a}]}
"""


def fires(service, minutes=0.0, status=Status.FIRING, severity="critical"):
    """An event of a service."""
    return event("Down", status, START + minutes * MINUTE, {"service": service, "severity": severity})


def began(router):
    """Return the services of each incident that began, those that fire first."""
    found = router.store.incidents(ended_since=START)
    return sorted(sorted(alert.labels["service"] for alert in each.shown) for each in found if each.is_correlated)


def after(*batches):
    """Return the services of each incident after batches of events, each a webhook."""
    router = Simulator(rules_of(RULES), START)
    for batch in batches:
        router.now = max(router.now, max(each.occurred_at for each in batch))
        router.post(events_messages(list(batch)))
    router.run_until(router.now + MINUTE, inclusive=True)
    return began(router)


@pytest.mark.parametrize("order", list(permutations(["database", "api", "web"])), ids="-".join)
def test_all_of_an_outage_in_one_webhook_is_one_incident(order):
    """Given three services of a chain in one webhook, in any order → they are one incident."""
    assert after([fires(name, number / 60) for number, name in enumerate(order)]) == [["api", "database", "web"]]


@pytest.mark.parametrize("order", list(permutations(["database", "api", "web"])), ids="-".join)
def test_the_same_order_in_webhooks_of_their_own_is_led_alike(order):
    """Given the same events one by one → they are led as those of one webhook."""
    made = [fires(name, number / 60) for number, name in enumerate(order)]
    assert after(*([each] for each in made)) == after(made)


def test_a_cause_that_ended_in_the_same_webhook_explains_nothing():
    """Given a cause, its end, and a later alert of what needs it in one webhook → these are two incidents."""
    batch = [fires("database"), fires("database", 1, Status.RESOLVED), fires("api", 2)]
    assert after(batch) == [["api"], ["database"]]


SAVED_FIRST = "inhibit: [{cause: {service: database}, symptom: {alertname: Nothing}, equal: [service]}]\n"
"""Incidents that may hold a cause of an inhibition are saved before the others of a batch."""


@pytest.mark.parametrize("more", ["", SAVED_FIRST], ids=["saved last", "saved first"])
def test_what_is_measured_joins_a_cause_of_the_same_batch(more):
    """Given a critical event of the database and a measured alert of the API at once → they are one incident."""
    router = Simulator(rules_of(RULES + more), START)
    slow = Sample("latency_ms", 400.0, START, {"service": "api"})
    router.post([*events_messages([fires("database")]), *samples_messages([slow])])
    router.run_until(router.now + MINUTE, inclusive=True)
    assert began(router) == [["api", "database"]]


def test_workers_that_race_leave_one_incident_for_each_head():
    """Given three workers with alerts of a database and of two services that need it → none is lost, each has one home."""
    for seed in range(30):
        router = Simulator(rules_of(RULES), START)
        made = [fires("database"), fires("api"), fires("mail", 0.01)]
        router.contend_each([message for each in made for message in events_messages([each])], seed)
        router.run_until(START + 2 * MINUTE, inclusive=True)
        services = [service for each in began(router) for service in each]
        assert sorted(services) == ["api", "database", "mail"], seed
        opened = [each for each in router.sent if each.notification.reason.value == "opened"]
        assert len(opened) == len(began(router)), seed


def test_workers_that_race_for_a_cause_join_one_incident():
    """Given an open incident of the API, when three workers bring alerts of its database → all join it."""
    for seed in range(20):
        router = Simulator(rules_of(RULES), START)
        router.post(events_messages([fires("api")]))
        router.run_until(START + MINUTE, inclusive=True)
        made = [
            event(name, Status.FIRING, router.now, {"service": "database", "severity": "critical"}) for name in "ABC"
        ]
        router.contend_each([message for each in made for message in events_messages([each])], seed)
        router.run_until(router.now + MINUTE, inclusive=True)
        assert began(router) == [["api", "database", "database", "database"]], seed


def test_incidents_that_one_cause_may_explain_name_each_other():
    """Given incidents of two services, when what both need fails → the cause joins the older one, and both are linked."""
    text = """
defaults: {group_by: [service], group_wait: 30s, group_interval: 5m}
correlate: {by: [service]}
services: {web: {depends_on: [database]}, api: {depends_on: [database]}, database: {}}
alerts: [{name: Rate, match: {service: database}, condition: "events[10m] > 0", severity: critical, group_by: [service]}]
default: {notification: [{webhook: ops}]}
"""
    router = Simulator(rules_of(text), START)
    for minute, service in enumerate(("api", "web", "database")):
        at = START + timedelta(minutes=minute)
        router.run_until(at, inclusive=True)
        router.post(events_messages([event("Down", Status.FIRING, at, {"service": service})]))
    router.run_until(router.now + timedelta(minutes=1), inclusive=True)
    found = {each.group["service"]: each for each in router.store.incidents() if each.is_correlated}
    assert sorted(found) == ["api", "web"]
    assert linked(found["api"]) == [found["web"].id]
    assert linked(found["web"]) == [found["api"].id]
    assert "Rate" in {alert.name for alert in found["api"].firing}
