"""Which correlated incident an alert joins that arrives later than it began."""

from datetime import timedelta

from chalicelib.core.event import Status
from chalicelib.messages.queue import events_messages
from simulation.simulator import Simulator
from tests.rule_files import rules_of
from tests.scenario import START, event

MINUTE = timedelta(minutes=1)
RULES = """
defaults: {group_by: [service], group_wait: 30s, group_interval: 5m, repeat_interval: 4h}
correlate: {by: [service]}
alerts: []
default: {notification: [{webhook: a}]}
"""


def incidents(*arrivals):
    """Return the names of the alerts of each open incident, after alerts that arrive and began at these minutes."""
    router = Simulator(rules_of(RULES), START)
    for arrives, name, began in arrivals:
        router.run_until(START + arrives * MINUTE, inclusive=True)
        at = START + began * MINUTE
        router.post(events_messages([event(name, Status.FIRING, at, {"service": "api"}, starts_at=at)]))
    router.run_until(router.now + MINUTE, inclusive=True)
    return sorted(sorted(alert.name for alert in each.firing) for each in router.store.incidents())


def test_alerts_that_are_older_than_the_newest_incident_share_one():
    """Given alerts that began long before the newest incident, then they are one incident beside it."""
    assert incidents((100, "New", 100), (101, "Old", 20), (102, "Older", 18), (103, "Late", 30)) == [
        ["Late", "Old", "Older"],
        ["New"],
    ]


def test_an_alert_that_arrives_late_joins_the_incident_before_the_newest():
    """Given a newer incident, when an alert arrives that began with the one before, then it joins that one."""
    assert incidents((0, "First", 0), (20, "Second", 20), (21, "Late", 3)) == [["First", "Late"], ["Second"]]


def test_an_alert_that_arrives_late_joins_the_one_of_many_incidents_that_it_began_with():
    """Given four newer incidents, when alerts arrive that began with the first and the second → each joins its own."""
    opened = [(20 * number, f"At{number}", 20 * number) for number in range(5)]
    assert incidents(*opened, (81, "Late0", 3), (82, "Late1", 24), (83, "Late2", 44)) == [
        ["At0", "Late0"],
        ["At1", "Late1"],
        ["At2", "Late2"],
        ["At3"],
        ["At4"],
    ]


def test_of_many_older_incidents_the_newest_are_kept():
    """Given ten newer incidents, when an alert arrives that began with the first → it begins an incident of its own."""
    opened = [(20 * number, f"At{number}", 20 * number) for number in range(11)]
    found = incidents(*opened, (201, "Late0", 3), (202, "Late3", 63))
    assert ["Late0"] in found and ["At3", "Late3"] in found


def test_an_alert_that_began_shortly_before_the_newest_incident_joins_it():
    """Given the newest incident, when an alert arrives that began less than join_within before it, then it joins."""
    assert incidents((100, "New", 100), (101, "Older", 90)) == [["New", "Older"]]
