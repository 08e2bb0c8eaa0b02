"""Storms: what is opened on its own, what goes into one message, and what survives a lost or early report."""

from dataclasses import replace
from datetime import timedelta

import pytest

from chalicelib.core.event import Action, ActionKind, Status
from chalicelib.core.storms import copies, members
from chalicelib.messages.queue import StormReport, action_message, events_messages, read_message, storm_message
from simulation.simulator import HeapQueue, Simulator
from tests.rule_files import rules_of
from tests.scenario import START, event

MINUTE = timedelta(minutes=1)
TEXT = """
defaults: {group_by: [service], group_wait: 30s, group_interval: 5m, repeat_interval: 4h}
correlate: {by: [service], storm: {openings: 2, within: 5m}}
alerts: []
default: {notification: [{slack_channel: "#inc"}]}
"""
RULES = rules_of(TEXT)


class LosingQueue(HeapQueue):
    """A queue that loses the reports of incidents to storms."""

    def put(self, bodies, *, delay=timedelta(0)):
        """Keep all but these reports."""
        super().put([each for each in bodies if not isinstance(read_message(each), StormReport)], delay=delay)


def fires(service, name="Down", status=Status.FIRING, minutes=0):
    """Return the message of an event of a service."""
    at = START + minutes * MINUTE
    return events_messages([event(name, status, at, {"service": service}, id=f"{service} {status} {minutes}")])[0]


def router_with(*services):
    """Return a router to which the alerts of these services came at once, a minute later."""
    router = Simulator(RULES, START)
    router.post([fires(each) for each in services])
    router.run_until(START + MINUTE, inclusive=True)
    return router


def storms(router):
    """Return the open storms."""
    return [each for each in router.store.incidents() if each.is_storm]


def others(router):
    """Return the open incidents that are none, by their service."""
    return {each.group["service"]: each for each in router.store.incidents() if not each.is_storm}


def reasons(router):
    """Return which notifications were sent since, each as its reason and how many incidents of a storm it has."""
    return [(each.notification.reason.value, each.notification.storm) for each in router.taken()]


def acted(kind, incident, minutes):
    """Return the message of what ana does to an incident."""
    return action_message(Action(kind, "ana", START + minutes * MINUTE, incident=incident.id, id=f"{kind}{minutes}"))


def test_an_acknowledgement_of_a_storm_is_one_of_each_incident_in_it():
    """Given a storm of two incidents, when it is acknowledged → these are, and those that were opened before are not."""
    router = router_with("a", "b", "c", "d")
    (storm,) = storms(router)
    router.post([acted(ActionKind.ACK, storm, 2)])
    router.run_until(START + 2 * MINUTE, inclusive=True)
    by = {name: {alert.ack.by for alert in each.firing} for name, each in others(router).items()}
    assert sorted(by.values(), key=str) == [{"ana"}, {"ana"}, {None}, {None}]
    assert {alert.ack.by for alert in storms(router)[0].firing} == {"ana"}


def test_a_resolve_of_a_storm_resolves_each_incident_in_it_and_is_sent_once():
    """Given a storm of two incidents, when it is resolved → these are over, and the target is sent one end."""
    router = router_with("a", "b", "c", "d")
    router.taken()
    (storm,) = storms(router)
    router.post([acted(ActionKind.RESOLVE, storm, 2)])
    router.run_until(START + 20 * MINUTE, inclusive=True)
    assert (storms(router), len(others(router)), reasons(router)) == ([], 2, [("resolved", 2)])


def test_an_acknowledgement_of_an_incident_is_shown_by_its_storm():
    """Given a storm of one incident, when that is acknowledged → the message of the storm is brought up to date."""
    router = router_with("a", "b", "c")
    router.taken()
    (storm,) = storms(router)
    member = router.store.load(members(storm)[0])
    router.post([acted(ActionKind.ACK, member, 2)])
    router.run_until(START + 2 * MINUTE, inclusive=True)
    (after,) = storms(router)
    assert {alert.ack.by for alert in after.firing} == {"ana"}
    assert [each.last.seq for each in after.announced.values()] == [2]


def test_a_storm_finds_what_its_incidents_failed_to_report():
    """Given reports of ends that were lost → the storm compares itself with its incidents, and ends."""
    router = router_with("a", "b", "c", "d")
    router.taken()
    losing = LosingQueue(router)
    losing.heap, router.webhooks = router.webhooks.heap, losing
    router.post([fires(each, status=Status.RESOLVED, minutes=1) for each in "abcd"])
    router.run_until(START + 30 * MINUTE, inclusive=True)
    assert storms(router) == []
    assert reasons(router).count(("resolved", 2)) == 1


def test_a_report_that_comes_before_its_incident_is_saved_comes_again():
    """Given a report of a change that is saved later → the storm waits for it."""
    router = router_with("a", "b", "c")
    (storm,) = storms(router)
    (key,) = members(storm)
    member = router.store.load(key)
    router.post([storm_message(StormReport(storm.key, key, member.version + 1))])
    router.run_until(router.now + timedelta(seconds=3), inclusive=True)
    later = {name: replace(alert, severity=alert.severity.CRITICAL) for name, alert in member.alerts.items()}
    router.store.save(replace(member, alerts=later, version=member.version + 1))
    router.run_until(router.now + timedelta(seconds=2), inclusive=True)
    assert {alert.severity.value for alert in storms(router)[0].firing} == {"critical"}


def test_an_incident_that_comes_to_a_storm_as_that_ends_is_sent():
    """Given a storm that ended, when an incident reports that joined it before → the target is sent a new message."""
    router = router_with("a", "b", "c")
    (storm,) = storms(router)
    (key,) = members(storm)
    router.post([acted(ActionKind.RESOLVE, storm, 2)])
    router.run_until(START + 10 * MINUTE, inclusive=True)
    assert storms(router) == []
    router.taken()
    member = router.store.load(key)
    late = replace(
        member,
        key="c|late",
        id="late",
        version=1,
        alerts={name: replace(each, starts_at=router.now, ends_at=None) for name, each in _firing(member).items()},
        announced={name: replace(each, open=True, alerts=_known(member)) for name, each in member.announced.items()},
        episode=replace(member.episode, ended_at=None, closed_via=""),
    )
    router.store.save(late)
    assert copies(late, storm.key)
    router.post([storm_message(StormReport(storm.key, "c|late", 1))])
    router.run_until(router.now + MINUTE, inclusive=True)
    assert reasons(router) == [("opened", 1)]


def _firing(member):
    state = next(iter(member.alerts.values())).state
    return {name: replace(each, state=type(state).FIRING) for name, each in member.alerts.items()}


def _known(member):
    alerts = next(iter(member.announced.values())).alerts
    return replace(alerts, firing=dict.fromkeys(member.alerts, 1))


@pytest.mark.parametrize("seed", range(20))
def test_however_workers_meet_no_more_are_opened_and_none_is_lost(seed):
    """Six workers bring one service each at once, in 20 orders of their calls: two are opened, four are in one storm."""
    router = Simulator(RULES, START)
    router.contend_each([fires(each) for each in "abcdef"], seed)
    router.run_until(START + 6 * MINUTE, inclusive=True)
    sent = [each.notification for each in router.taken()]
    assert [each.storm for each in sent if each.reason.value == "opened"].count(0) <= 2
    (storm,) = storms(router)
    alone = {each.incident.group["service"] for each in sent if not each.storm}
    assert {alert.labels["service"] for alert in storm.firing} | alone == set("abcdef")
    assert len(storm.firing) == 6 - len(alone)
