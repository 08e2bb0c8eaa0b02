"""Changed rules: a new route, group or rule name neither loses a resolve nor opens again what fires."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from chalicelib.core.delivery.notification import Reason
from chalicelib.core.event import Severity, Status
from chalicelib.core.metrics.sample import Sample
from chalicelib.messages.queue import events_messages, samples_messages
from simulation.simulator import Simulator
from tests.rule_files import rules_of
from tests.scenario import event

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
LABELS = {"service": "api", "environment": "production"}
BEFORE = """
defaults: {group_by: [service], group_wait: 0s, group_interval: 1m, repeat_interval: 100h}
alerts:
  - {name: Checks, match: {kind: check}, notification: [{webhook: ops}]}
  - {name: Errors, condition: "error_rate > 1%", severity: critical, notification: [{webhook: measured}]}
  - {name: Spike, match: {kind: error}, condition: "events[1m] > 2", notification: [{webhook: counted}]}
routes: [{match: {severity: critical}, notification: [{webhook: critical}]}]
default: {notification: [{webhook: others}]}
"""
CHANGES = {
    "nothing": BEFORE,
    "group_by": BEFORE.replace("group_by: [service]", "group_by: [service, environment]"),
    "a route above": BEFORE.replace("routes: [", "routes: [{match: {service: web}, notification: [{webhook: web}]}, "),
    "the route's matchers": BEFORE.replace(
        "routes: [{match: {severity: critical}", "routes: [{match: {severity: '=~crit.*'}"
    ),
    "the rule's name": BEFORE.replace("name: Checks", "name: Checked"),
    "another rule first": BEFORE.replace(
        "alerts:\n", "alerts:\n  - {name: All, match: {service: api, kind: check}, notification: [{webhook: ops}]}\n"
    ),
    "an alias of the service": BEFORE + "services: {shop: {aliases: {service: api}}}\n",
    "an alias by a label": BEFORE + "services: {shop: {aliases: {environment: production}}}\n",
    "group_by of one rule": BEFORE.replace("{name: Errors, ", "{name: Errors, group_by: [environment], "),
}


def told(kind, status, at, *, number=0, severity=Severity.CRITICAL):
    """An event of a sender: the same fault each time, but for errors, which are faults of their own."""
    labels = LABELS | ({"n": str(number)} if kind == "error" else {})
    made = event(kind.title(), status, at, labels, id=f"{kind}-{status}-{at.isoformat()}-{number}")
    return replace(made, kind=kind, severity=severity)


def fire(router, seconds):
    """Everything fires, or fires on."""
    at = START + timedelta(seconds=seconds)
    router.run_until(at, inclusive=True)
    made = [told("check", Status.FIRING, at), told("other", Status.FIRING, at)]
    made += [told("error", Status.FIRING, at, number=number) for number in range(5)]
    router.post([*events_messages(made), *samples_messages([Sample("error_rate", 0.5, at, LABELS)])])
    router.settle()


def reasons(router):
    """What each target was sent, in order."""
    found = {}
    for sent in router.sent:
        found.setdefault(sent.notification.target.address, []).append(sent.notification.reason.value)
    return found


@pytest.mark.parametrize("changed", CHANGES.values(), ids=CHANGES)
@pytest.mark.parametrize("noticed", [True, False], ids=["after the tick", "before the tick"])
def test_what_fires_goes_on_where_it_was(changed, noticed):
    """Given changed rules while everything fires, when it fires on and ends, then every target has one beginning and end."""
    router = Simulator(rules_of(BEFORE), START)
    fire(router, 0)
    fire(router, 50)
    router.redeploy(rules_of(changed))
    if noticed:
        router.tick()
        router.settle()
    fire(router, 100)
    fire(router, 130)
    at = router.now + timedelta(seconds=10)
    router.run_until(at, inclusive=True)
    ends = [
        told("check", Status.RESOLVED, at, severity=Severity.WARNING),
        told("other", Status.RESOLVED, at, severity=Severity.WARNING),
    ]
    router.post([*events_messages(ends), *samples_messages([Sample("error_rate", 0.0, at, LABELS)])])
    router.run_until(at + timedelta(minutes=10), inclusive=True)
    ends = {name: [word for word in said if word in ("opened", "resolved")] for name, said in reasons(router).items()}
    assert ends == {name: ["opened", "resolved"] for name in ("ops", "measured", "counted", "critical")}


TWO_ROUTES = """
defaults: {group_by: [service], group_wait: 0s, group_interval: 1m, repeat_interval: 100h}
alerts: [{name: Errors, condition: "error_rate > 1%", severity: critical}]
routes:
  - {match: {severity: critical}, continue: true, notification: [{webhook: first}]}
  - {match: {service: api}, notification: [{webhook: second}]}
"""


def test_a_series_on_two_routes_goes_on_at_both():
    """Given a series that fires on two routes and another group_by, when it ends → both have one resolve, at once."""
    router = Simulator(rules_of(TWO_ROUTES), START)
    router.post(samples_messages([Sample("error_rate", 0.5, START, LABELS)]))
    router.settle()
    router.redeploy(rules_of(TWO_ROUTES.replace("group_by: [service]", "group_by: [service, environment]")))
    router.tick()
    for minute in range(1, 31):
        at = START + timedelta(minutes=minute)
        router.run_until(at, inclusive=True)
        router.post(samples_messages([Sample("error_rate", 0.5 if minute < 30 else 0.0, at, LABELS)]))
    router.run_until(START + timedelta(minutes=40), inclusive=True)
    assert reasons(router) == {name: ["opened", "resolved"] for name in ("first", "second")}
    ends = [sent.at for sent in router.sent if sent.notification.reason is Reason.RESOLVED]
    assert len(set(ends)) == 1


def test_a_fault_that_moved_comes_back_in_no_group_that_only_remembers_it():
    """Given a fault that fires under another group_by, when its old group fires anew → a bare end ends all of it."""
    by_name = "defaults: {group_by: [alertname], group_wait: 0s, group_interval: 1m, repeat_interval: 100h}\n"
    by_name += "default: {notification: [{webhook: ops}]}"
    rules = [rules_of(by_name.replace("alertname", name)) for name in ("service", "alertname")]
    labels = {"service": "api"}
    router = Simulator(rules[0], START)
    lived = (
        (0, "Disk", "firing"),
        (1, "Disk", "resolved"),
        (10, "redeploy", 1),
        (11, "Disk", "firing"),
        (12, "redeploy", 0),
        (13, "Slow", "firing"),
        (14, "Disk", "firing"),
        (15, "Disk", "resolved"),
        (16, "Slow", "resolved"),
    )
    for minute, name, what in lived:
        router.run_until(START + timedelta(minutes=minute), inclusive=True)
        if name == "redeploy":
            router.redeploy(rules[what])
            continue
        made = event(name, Status(what), router.now, labels, id=f"{name} {minute}")
        router.post(events_messages([made if what == "firing" else replace(made, service=None, labels={})]))
    router.run_until(START + timedelta(minutes=30), inclusive=True)
    assert list(router.store.incidents()) == []
    found = sorted(f"{sent.notification.alerts[0].name} {sent.notification.reason.value}" for sent in router.sent)
    assert found == ["Disk opened"] * 2 + ["Disk resolved"] * 2 + ["Slow opened", "Slow resolved"]


COUNTS = """
defaults: {group_wait: 0s, group_interval: 1m, repeat_interval: 100h}
alerts:
  - {name: Spike, match: {kind: error}, condition: "events[1m] > 2", group_by: [service], notification: [{webhook: ops}]}
  - {name: Other, match: {kind: job}, condition: "events[1m] > 2", group_by: [service], notification: [{webhook: jobs}]}
default: {notification: [{webhook: others}]}
"""
SPIKE_BY_ENVIRONMENT = COUNTS.replace(
    '> 2", group_by: [service], notification: [{webhook: ops}',
    '> 2", group_by: [service, environment], notification: [{webhook: ops}',
)
REGROUPED = {
    "a label more": [SPIKE_BY_ENVIRONMENT],
    "a label more, then another rule": [
        SPIKE_BY_ENVIRONMENT,
        SPIKE_BY_ENVIRONMENT.replace(
            "group_by: [service], notification: [{webhook: jobs}", "group_by: [], notification: [{webhook: jobs}"
        ),
    ],
    "a label more, twice": [
        SPIKE_BY_ENVIRONMENT,
        SPIKE_BY_ENVIRONMENT.replace("[service, environment]", "[service, environment, kind]"),
    ],
    "there and back": [SPIKE_BY_ENVIRONMENT, COUNTS],
}


@pytest.mark.parametrize("changes", REGROUPED.values(), ids=REGROUPED)
def test_a_count_goes_on_under_each_changed_group_by(changes):
    """Given a count that fires alone, when its rule is grouped otherwise once or twice → it has one beginning and one end."""
    router = Simulator(rules_of(COUNTS), START)
    texts = dict(zip((12, 24), changes, strict=False))
    for step in range(40):
        at = START + timedelta(seconds=10 * step)
        router.run_until(at, inclusive=True)
        if step in texts:
            router.redeploy(rules_of(texts[step]))
        router.post(events_messages([told("error", Status.FIRING, at)]))
        router.settle()
    router.run_until(router.now + timedelta(minutes=10), inclusive=True)
    assert reasons(router) == {"ops": ["opened", "resolved"]}
