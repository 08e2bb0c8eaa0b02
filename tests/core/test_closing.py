"""The message that says that nothing fires any more, before the end is notified: when it is edited, and how often."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from chalicelib.core.closing import SHORTEST_HOLD, closing_of, closing_syncs, shown_after
from chalicelib.core.context import Context
from chalicelib.core.delivery.notification import ClosingSnapshot, Reason
from chalicelib.core.due import due
from chalicelib.core.event import Event, Severity, Status
from chalicelib.core.fold import fold
from chalicelib.core.incident import Episode, Incident
from chalicelib.core.inputs import EventInput
from chalicelib.core.notified import NotifiedState, ShownClosing
from chalicelib.core.rule import Route, RouteAlerts, RouteOptions, Rules, Target
from chalicelib.core.visible import TargetView, VisibleAlerts
from chalicelib.messages import codec
from tests.rule_files import KINDS

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)
SLACK, PAGER, MAIL = Target("slack_channel", "#inc"), Target("pagerduty", "default"), Target("email", "ops@example.com")
OPTIONS = RouteOptions(group_wait=timedelta(0), group_interval=5 * MINUTE)
ROUTE = Route("default", targets=(SLACK, PAGER, MAIL), options=OPTIONS)
RULES = Rules(default=ROUTE, kinds=KINDS)


class Life:
    """An incident and what its targets are notified of, event by event."""

    def __init__(self, route=ROUTE):
        self.route, self.incident, self.told = route, Incident("k", route="default", options=route.options), []
        self.number = 0

    def say(self, status, seconds):
        """One event of its fault."""
        at = NOW + timedelta(seconds=seconds)
        self.number += 1
        event = Event(f"e{self.number}", "s", "down", status, Severity.CRITICAL, "Down", at, "x")
        self._decide([EventInput(event, None)], at)

    def look(self, seconds):
        """What is due at a time."""
        self._decide([], NOW + timedelta(seconds=seconds))

    def _decide(self, inputs, at):
        folded = fold(self.incident, inputs, rules=RULES, now=at)
        found = due(folded, routes=[RouteAlerts(self.route)], rules=RULES, context=Context(), now=at)
        self.incident = found.incident
        self.told += [(round((at - NOW).total_seconds()), each) for each in found.notifications]

    def of(self, kind="slack_channel"):
        """Seconds and reasons of what a target was sent."""
        return [(at, each.reason) for at, each in self.told if each.target.kind == kind]


def opened(route=ROUTE):
    """An incident that fires, with its targets notified."""
    life = Life(route)
    life.say(Status.FIRING, 0)
    life.look(0)
    return life


def test_only_messages_that_can_be_edited_say_that_nothing_fires():
    """Given an end between two flushes → Slack's message is edited at once; nobody else is sent anything until then."""
    life = opened()
    life.say(Status.RESOLVED, 60)
    assert life.of() == [(0, Reason.OPENED), (60, Reason.SYNC)]
    assert life.of("pagerduty") == life.of("email") == [(0, Reason.OPENED)]
    content = life.told[-1][1]
    assert content.closing == ClosingSnapshot(NOW + MINUTE, NOW + 5 * MINUTE)
    assert content.closing.at == life.incident.flush.next_at
    life.look(300)
    assert life.of()[-1] == (300, Reason.RESOLVED)
    assert life.told[-1][1].closing is None


def test_what_fires_again_is_said_once():
    """Given an end and a beginning before the flush → the second edit says that it fires; a repeat says nothing."""
    life = opened()
    life.say(Status.RESOLVED, 60)
    life.say(Status.FIRING, 90)
    life.say(Status.FIRING, 100)
    assert life.of()[1:] == [(60, Reason.SYNC), (90, Reason.SYNC)]
    assert life.told[-1][1].closing is None


def test_a_flap_edits_at_most_twice_in_an_interval():
    """Given an alert that ends and begins every ten seconds → two edits of its message in each five minutes."""
    life = opened()
    for second in range(10, 1_500, 20):
        life.say(Status.RESOLVED, second)
        life.say(Status.FIRING, second + 10)
    edits = [at for at, reason in life.of() if reason is Reason.SYNC]
    assert edits
    assert all(sum(start <= at < start + 300 for at in edits) <= 2 for start in range(0, 1_500, 10))


def test_an_end_that_is_notified_at_once_needs_no_edit():
    """Given an end shortly before the flush → the message goes straight to resolved."""
    life = opened()
    life.say(Status.RESOLVED, 280)
    life.look(300)
    assert life.of() == [(0, Reason.OPENED), (300, Reason.RESOLVED)]


def test_a_target_that_wants_no_ends_has_its_message_left_alone():
    """Given `send_resolved: false` → no edit."""
    life = opened(replace(ROUTE, targets=(replace(SLACK, send_resolved=False),)))
    life.say(Status.RESOLVED, 60)
    assert life.of() == [(0, Reason.OPENED)]


def test_deciding_again_edits_nothing_more():
    """Given an incident that is looked at again while it is about to close → no second edit."""
    life = opened()
    life.say(Status.RESOLVED, 60)
    life.look(61)
    life.look(120)
    assert life.of()[1:] == [(60, Reason.SYNC)]


CLOSING = ClosingSnapshot(NOW, NOW + 4 * MINUTE)


@pytest.mark.parametrize(
    ("closing", "shown", "edits"),
    [
        (CLOSING, ShownClosing(), True),
        (CLOSING, ShownClosing(True, NOW - MINUTE), False),
        (CLOSING, ShownClosing(False, NOW - MINUTE), False),
        (CLOSING, ShownClosing(False, NOW - 5 * MINUTE), True),
        (replace(CLOSING, at=NOW + SHORTEST_HOLD - SECOND), ShownClosing(), False),
        (replace(CLOSING, at=NOW + SHORTEST_HOLD), ShownClosing(), True),
        (None, ShownClosing(), False),
    ],
)
def test_when_a_message_is_edited(closing, shown, edits):
    """Given what the message says, since when, and for how long the end is held back → whether it is edited."""
    state = NotifiedState(SLACK, open=True, closing=shown)
    incident = Incident("k", announced={SLACK.key: state})
    audience = {SLACK.key: TargetView(SLACK, VisibleAlerts(), OPTIONS)}
    found = closing_syncs(incident, audience, {SLACK.key: closing} if closing else {}, RULES, NOW)
    assert found == ({SLACK.key: Reason.SYNC} if edits else {})


def test_nothing_closes_that_has_not_begun_or_still_fires():
    """Given alerts that fire unseen, or an incident without an end → it is not about to close."""
    life = opened()
    life.say(Status.RESOLVED, 60)
    at = NOW + 5 * MINUTE
    assert closing_of(life.incident, view(), at) == ClosingSnapshot(NOW + MINUTE, at)
    assert closing_of(life.incident, view(muted={"a": 0}), at) is None
    assert closing_of(life.incident, view(truncated=True), at) is None
    assert closing_of(life.incident, view(), None) is None
    ended = replace(life.incident, episode=Episode(NOW, NOW, NOW + MINUTE))
    assert closing_of(ended, view(), at) is None


def view(ends_from=None, **seen):
    """What Slack sees."""
    return TargetView(SLACK, VisibleAlerts(**seen), OPTIONS, ends_from=ends_from)


def test_a_target_of_a_correlated_incident_closes_by_its_own_alerts():
    """Given a correlated incident in which another target's alert fires → this one closes when its own ended."""
    life = opened()
    life.say(Status.RESOLVED, 60)
    correlated = replace(life.incident, key="c|1")
    at = NOW + 6 * MINUTE
    assert closing_of(correlated, view(ends_from=at), NOW) == ClosingSnapshot(NOW + MINUTE, at)
    assert closing_of(correlated, view(), NOW) is None


def test_what_the_message_says_is_stored_and_missing_in_old_items():
    """Given a state that says that it is about to close → it is read as it was written; an old one says nothing."""
    state = NotifiedState(SLACK, open=True, closing=ShownClosing(True, NOW))
    stored = codec.encode(state)
    assert codec.decode(NotifiedState, stored) == state
    old = {name: each for name, each in stored.items() if "closing" not in name}
    assert codec.decode(NotifiedState, old).closing == ShownClosing()


def test_a_notification_of_another_kind_forgets_it():
    """Given a message that is about to close → any notification without that says that it fires, or has ended."""
    life = opened()
    content = life.told[0][1]
    assert shown_after(ShownClosing(True, NOW), content) == ShownClosing(False, NOW)
    assert shown_after(ShownClosing(), content) == ShownClosing()
