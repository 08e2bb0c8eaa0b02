"""A try in doubt may have arrived: it is never left out, whatever the incident is by then."""

from datetime import UTC, datetime, timedelta

import pytest

from chalicelib.core.context import Silence
from chalicelib.core.delivery.notification import Receipt
from chalicelib.core.errors import TargetUnavailableError
from chalicelib.core.event import Status
from chalicelib.core.match import parse_matchers
from chalicelib.messages.queue import events_messages, silence_message
from simulation.simulator import Simulator
from tests.rule_files import rules_of
from tests.scenario import event

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
RULES = """
defaults: {group_by: [service], group_wait: 0s, group_interval: 1m, repeat_interval: 1d}
alerts: []
default: {notification: [{slack_channel: "#ops"}]}
"""


def test_a_try_in_doubt_is_not_left_out_when_all_that_fires_is_silenced():
    """Given an opening in doubt and a silence over all of it, when the target works and the alert ends → it gets the end."""
    router, labels = Simulator(rules_of(RULES), START), {"service": "web"}
    works_at, sent = START + timedelta(seconds=200), []

    def sender(clients, now):
        def send(notification, delivery_log):
            if now < works_at:
                raise TargetUnavailableError("no answer", ambiguous=True)
            sent.append((notification.reason.value, delivery_log.in_doubt))
            return Receipt(values={"ts": "1.1"})

        return send

    router.sender = sender
    silence = Silence("s1", parse_matchers({"service": "web"}), START, START + timedelta(hours=3), "ana")
    for seconds, bodies in (
        (0, events_messages([event("Slow", Status.FIRING, START, labels)])),
        (20, silence_message(silence)),
        (1000, events_messages([event("Slow", Status.RESOLVED, START + timedelta(seconds=1000), labels)])),
    ):
        router.run_until(START + timedelta(seconds=seconds), inclusive=True)
        router.post(bodies if isinstance(bodies, list) else [bodies])
    router.run_until(START + timedelta(hours=1), inclusive=True)
    assert [reason for reason, _ in sent][-1:] == ["resolved"]
    assert sent[0][1]


CORRELATED = """
defaults: {group_by: [service], group_wait: 0s, group_interval: 1m, repeat_interval: 1d}
correlate: {by: [service]}
alerts:
  - {name: Latency, match: {alertname: Slow}, severity: warning, notification: [{slack_channel: "#alerts"}]}
  - {name: Errors, match: {alertname: Errors}, severity: critical, notification: [{slack_channel: "#ops"}]}
  - {name: Down, match: {alertname: Down}, severity: critical, notification: [{slack_channel: "#ops"}]}
"""


BEGINS_ANEW = [("Errors", Status.RESOLVED, 10), ("Down", Status.FIRING, 90)]


@pytest.mark.parametrize(
    ("last", "expected"),
    [
        ([("Errors", Status.FIRING, 100)], ["opened", "sync", "resolved", "opened"]),
        ([("Down", Status.RESOLVED, 260)], ["opened", "sync", "resolved", "resolved"]),
    ],
)
def test_a_beginning_anew_in_doubt_is_noticed_or_ended(last: list[tuple[str, Status, int]], expected: list[str]):
    """Given a second opening in doubt, then superseded → it makes its sound; once all of it is over it gets the end."""
    router, labels, sent = Simulator(rules_of(CORRELATED), START), {"service": "web"}, []

    def sender(clients, now):
        def send(notification, delivery_log):
            if notification.target.address == "#ops":
                if timedelta(seconds=80) <= now - START < timedelta(seconds=330):
                    raise TargetUnavailableError("no answer", ambiguous=True)
                sent.append(notification.reason.value)
            return Receipt(values={"ts": "1.1"})

        return send

    router.sender = sender
    begins = [("Slow", Status.FIRING, 0), ("Errors", Status.FIRING, 1)]
    for name, status, seconds in [*begins, *BEGINS_ANEW, *last]:
        at = START + timedelta(seconds=seconds)
        router.run_until(at, inclusive=True)
        router.post(events_messages([event(name, status, at, labels)]))
    router.run_until(START + timedelta(hours=1), inclusive=True)
    assert sent == expected
