"""One fault in several incidents: each of them gets every event of the fault, however the event looks."""

from dataclasses import replace
from datetime import timedelta

import pytest

from chalicelib.core.context import Context
from chalicelib.core.event import Severity, Status
from chalicelib.messages.queue import events_messages
from simulation.simulator import Simulator
from tests.rule_files import rules_of
from tests.scenario import START, event

MINUTE = timedelta(minutes=1)
HEAD = "defaults: {group_by: [service], group_wait: 0s, group_interval: 1m, repeat_interval: 100d}\n"
TWO_ROUTES = f"""{HEAD}
alerts: []
routes:
  - {{match: {{severity: critical}}, continue: true, notification: [{{webhook: a}}]}}
  - {{match: {{severity: critical}}, notification: [{{webhook: b}}]}}
default: {{notification: [{{webhook: c}}]}}
"""
TWO_RULES = f"""{HEAD}
alerts:
  - {{name: A, match: {{severity: critical}}, notification: [{{webhook: a}}]}}
  - {{name: B, match: {{kind: check}}, notification: [{{webhook: b}}]}}
default: {{notification: [{{webhook: c}}]}}
"""
FIRES = event("Down", Status.FIRING, START, {"severity": "critical", "service": "api"})
BARE = replace(FIRES, severity=Severity.WARNING, service=None, labels={}, kind="other")


def played(rules, *happened):
    """What was sent, as `target reason`, after events at minutes."""
    router = Simulator(rules_of(rules), START)
    for minutes, status, made in happened:
        router.run_until(START + minutes * MINUTE, inclusive=True)
        made = replace(made, id=f"{status} {minutes}", status=Status(status), occurred_at=router.now)
        router.post(events_messages([made]))
    router.run_until(router.now + 10 * MINUTE, inclusive=True)
    return sorted(f"{sent.notification.target.address} {sent.notification.reason.value}" for sent in router.sent)


ONCE = ["a opened", "a resolved", "b opened", "b resolved"]


@pytest.mark.parametrize("rules", [TWO_ROUTES, TWO_RULES], ids=["two routes", "two rules"])
class TestTwoHomes:
    """A fault that begins in two incidents at once."""

    def test_an_end_without_labels_ends_both(self, rules):
        """Given an end that rules lead nowhere near, then both incidents are resolved."""
        assert played(rules, (0, "firing", FIRES), (5, "resolved", BARE)) == ONCE

    def test_a_repeat_without_labels_opens_nothing(self, rules):
        """Given a repeat that rules lead elsewhere, then nothing opens, and the end ends both."""
        assert played(rules, (0, "firing", FIRES), (2, "firing", BARE), (5, "resolved", BARE)) == ONCE

    def test_a_second_life_ends_at_both_too(self, rules):
        """Given a fault that ended and fires again, then both incidents are opened and resolved again."""
        life = ((0, "firing", FIRES), (5, "resolved", BARE), (30, "firing", FIRES), (35, "resolved", BARE))
        assert played(rules, *life) == sorted(ONCE * 2)


def test_what_got_worse_first_and_began_at_both_later_ends_at_both():
    """Given homes claimed one after the other in one life, when both begin together in the next, then both end."""
    rules = TWO_ROUTES.replace("default: {", "default: {group_by: [], ")
    mild = replace(FIRES, severity=Severity.WARNING, labels={"service": "api"})
    happened = ((0, "firing", mild), (2, "firing", FIRES), (5, "resolved", BARE))
    mildly = ["c opened", "c resolved", "c updated"]
    assert played(rules, *happened) == sorted([*ONCE, *mildly])
    again = ((30, "firing", FIRES), (35, "resolved", BARE))
    assert played(rules, *happened, *again) == sorted([*ONCE * 2, *mildly])


@pytest.mark.parametrize("indexed", [True, False], ids=["after the first tick", "before the first tick"])
def test_both_homes_of_an_earlier_version_are_found(indexed):
    """Given two incidents of one fault that an earlier version left without holders, then its end ends both."""
    router = Simulator(rules_of(TWO_ROUTES), START)
    router.post(events_messages([FIRES]))
    router.run_until(START + 5 * MINUTE, inclusive=True)
    router.store._faults.clear()
    router.store._context = Context()
    if indexed:
        router.tick()
    router.post(events_messages([replace(BARE, id="end", status=Status.RESOLVED, occurred_at=router.now)]))
    router.run_until(router.now + 10 * MINUTE, inclusive=True)
    assert (
        sorted(f"{each.notification.target.address} {each.notification.reason.value}" for each in router.sent) == ONCE
    )
