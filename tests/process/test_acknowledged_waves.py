"""Acknowledgements at a pager of one wave of a correlated incident after the other."""

from datetime import timedelta

from chalicelib.core.delivery.notification import Reason
from chalicelib.core.event import Action, ActionKind, Status
from chalicelib.messages.queue import action_message, events_messages
from simulation.simulator import Simulator
from tests.rule_files import rules_of
from tests.scenario import START, event

MINUTE = timedelta(minutes=1)
RULES = """
defaults: {group_by: [service], group_wait: 30s, group_interval: 5m, repeat_interval: 4h}
correlate: {by: [service]}
alerts: []
default: {notification: [{slack_channel: "#inc"}, {pagerduty: true}]}
"""


def at(router, minutes):
    """Let time pass until so many minutes after the start."""
    router.run_until(START + minutes * MINUTE, inclusive=True)


def fires(router, name):
    """Post a critical alert that begins now."""
    labels = {"service": "api", "severity": "critical"}
    router.post(events_messages([event(name, Status.FIRING, router.now, labels)]))


def acknowledged(router, by, wave):
    """Post what PagerDuty sends when a person acknowledges the incident of a wave."""
    (incident,) = router.store.incidents()
    name = incident.id if wave == 1 else f"{incident.id}:{wave}"
    act = Action(ActionKind.ACK, by, router.now, incident=name, via="pagerduty", id=f"{by}-{wave}")
    router.post([action_message(act)])


def test_a_wave_that_is_acknowledged_there_covers_what_it_was_opened_with():
    """Given a first wave that ana has, when ben acknowledges the second, then each has one alert, and Slack shows both."""
    router = Simulator(rules_of(RULES), START)
    fires(router, "Errors")
    at(router, 4)
    acknowledged(router, "ana", 1)
    at(router, 10)
    fires(router, "Down")
    at(router, 12)
    acknowledged(router, "ben", 2)
    at(router, 13)
    (incident,) = router.store.incidents()
    assert {alert.name: alert.ack.by for alert in incident.firing} == {"Errors": "ana", "Down": "ben"}
    assert [each.by for each in incident.timeline.entries if each.kind == "ack"] == ["ana", "ben"]
    pages = [sent.notification for sent in router.sent if sent.notification.target.kind == "pagerduty"]
    assert [(each.reason, each.wave) for each in pages if each.sounds] == [(Reason.OPENED, 1), (Reason.UPDATED, 2)]
    assert incident.announced["slack_channel:#inc"].last.acts_until == START + 12 * MINUTE
