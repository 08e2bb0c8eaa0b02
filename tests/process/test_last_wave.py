"""What the router reports when a pager has called people as often as it may for one incident."""

from datetime import timedelta

from chalicelib.core.event import Action, ActionKind, Status
from chalicelib.core.waves import MAX_WAVES
from chalicelib.messages.queue import action_message, events_messages
from simulation.simulator import Simulator
from tests.rule_files import rules_of
from tests.scenario import START, event

MINUTE = timedelta(minutes=1)
RULES = rules_of(
    """
defaults: {group_by: [service], group_wait: 30s, group_interval: 5m, repeat_interval: 1d}
alerts: []
default: {notification: [{pagerduty: true}]}
fallback: {notification: [{email: late@example.com}]}
"""
)


def reported(router):
    """Return what the fallback received, each as its status and title."""
    sent = [each.notification for each in router.taken() if each.notification.target.kind == "email"]
    return [(each.status, each.alerts[0].title) for each in sent]


def called(waves, rules=RULES):
    """Return a router that called people so often for one incident: each time somebody acknowledged, and more came."""
    router = Simulator(rules, START)
    for number in range(waves):
        at = START + 10 * number * MINUTE
        router.run_until(at, inclusive=True)
        router.post(events_messages([event(f"Down {number}", Status.FIRING, at, {"service": "api"})]))
        router.run_until(at + MINUTE, inclusive=True)
        router.post([action_message(Action(ActionKind.ACK, "ana", router.now, id=f"ack {number}"))])
    router.run_until(router.now + MINUTE, inclusive=True)
    return router


def test_the_fallback_is_notified_when_the_last_wave_begins_and_when_the_incident_ends():
    """Given ten calls for one incident → the fallback is notified once, and once more when the incident has ended."""
    router = called(MAX_WAVES)
    (told,) = reported(router)
    assert told[0] == "firing"
    assert told[1].startswith("pagerduty:default calls nobody again for:")
    at = router.now
    ends = [event(f"Down {n}", Status.RESOLVED, at, {"service": "api"}) for n in range(MAX_WAVES)]
    router.post(events_messages(ends))
    router.run_until(at + 20 * MINUTE, inclusive=True)
    assert [status for status, _ in reported(router)] == ["resolved"]


def test_the_fallback_is_not_notified_of_the_waves_before():
    """Given nine calls for one incident → the fallback is notified of nothing."""
    assert reported(called(MAX_WAVES - 1)) == []


def test_without_a_fallback_nobody_is_notified_and_the_incident_ends():
    """Given no fallback and one group of everything → the report of the last wave holds no incident open."""
    rules = rules_of("defaults: {group_by: []}\nalerts: []\ndefault: {notification: [{pagerduty: true}]}\n")
    router = called(MAX_WAVES, rules)
    at = router.now
    ends = [event(f"Down {n}", Status.RESOLVED, at, {"service": "api"}) for n in range(MAX_WAVES)]
    router.post(events_messages(ends))
    router.run_until(at + 20 * MINUTE, inclusive=True)
    assert list(router.store.incidents()) == []
