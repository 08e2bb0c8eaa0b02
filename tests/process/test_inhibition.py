"""Active causes in the context: each is known as its alert is now."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import permutations

import pytest

from chalicelib.core.alert import Alert, AlertState
from chalicelib.core.context import Context
from chalicelib.core.event import Severity, Status
from chalicelib.core.incident import Incident
from chalicelib.core.match import parse_matchers
from chalicelib.core.mute import mutings_of
from chalicelib.core.rule import Inhibition, Rules
from chalicelib.messages.queue import events_messages
from chalicelib.process.inhibition import with_new, without_ended
from simulation.simulator import Simulator
from tests.rule_files import rules_of
from tests.scenario import event

NOW = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)
RULES = Rules(inhibitions=(Inhibition(parse_matchers({"alertname": "Down"}), parse_matchers({"alertname": "Slow"})),))
DOWN = Alert("d1", name="Down", severity=Severity.WARNING, state=AlertState.FIRING, starts_at=NOW)


def incident(*alerts):
    """An incident of these alerts."""
    return Incident(key="k", route="default", group={}, alerts={each.fingerprint: each for each in alerts})


def causes(context, *alerts):
    """The causes after the incident was looked at."""
    return with_new(context, incident(*alerts), RULES, NOW).causes


def test_a_firing_cause_becomes_known_once():
    """A second look at the same alert leaves the very same context."""
    first = with_new(Context(), incident(DOWN), RULES, NOW)
    assert [(each.fingerprint, each.alert, each.since) for each in first.causes] == [("k/d1", "d1", NOW)]
    assert with_new(first, incident(DOWN), RULES, NOW) is first


CHANGES = [
    ("a late event shows that it began earlier", {"starts_at": NOW - timedelta(minutes=5)}),
    ("it became worse", {"severity": Severity.CRITICAL}),
]


@pytest.mark.parametrize("change", [row[1] for row in CHANGES], ids=[row[0] for row in CHANGES])
def test_a_known_cause_changes_with_its_alert(change):
    """The context holds the same cause as if the alert had been so from the start."""
    before = with_new(Context(), incident(DOWN), RULES, NOW)
    assert causes(before, replace(DOWN, **change)) == causes(Context(), replace(DOWN, **change)) != before.causes


def test_a_cause_that_ended_is_none():
    """An alert that no longer fires is dropped, and those of other incidents stay."""
    other = with_new(Context(), replace(incident(DOWN), key="other"), RULES, NOW)
    both = with_new(other, incident(DOWN), RULES, NOW)
    assert without_ended(both, incident(replace(DOWN, state=AlertState.RESOLVED))).causes == other.causes


CIRCLE = """
defaults: {group_by: [alertname], group_wait: 0s, group_interval: 1m}
default: {notification: [{webhook: ops}]}
inhibit:
  - {cause: {alertname: A}, symptom: {alertname: B}}
  - {cause: {alertname: B}, symptom: {alertname: C}}
  - {cause: {alertname: C}, symptom: {alertname: A}}
"""
LATER = NOW + timedelta(minutes=10)
FIRES = [event(name, Status.FIRING, NOW + timedelta(seconds=number), {}) for number, name in enumerate("ABC")]
ALL = [*FIRES, event("A", Status.RESOLVED, NOW + timedelta(minutes=5), {})]


def after(*batches):
    """The router after these batches of events, each of which arrives ten minutes after the one before."""
    found = Simulator(rules_of(CIRCLE), LATER)
    for number, batch in enumerate(batches):
        found.run_until(LATER + timedelta(minutes=10 * number), inclusive=True)
        found.post(events_messages(batch))
        found.settle()
    found.run_until(found.now + timedelta(minutes=10), inclusive=True)
    return found


def muted(router):
    """What each muted alert is muted by, by name."""
    context, incidents = router.store.context(), router.store.incidents()
    names = {alert.fingerprint: alert.name for incident in incidents for alert in incident.firing}
    found = [mutings_of(incident, router.rules, context, router.now) for incident in incidents]
    return {
        names[name]: [each.labels["alertname"] for each in muting.causes] for by in found for name, muting in by.items()
    }


@pytest.mark.parametrize(
    "order", list(permutations(ALL)), ids=lambda order: " ".join(f"{e.name}-{e.status}" for e in order)
)
def test_a_circle_is_the_same_in_whatever_order_its_events_arrive(order):
    """Given three alerts in a circle of which the first has ended, the second mutes the third, in one batch or in four."""
    for router in (after(order), after(*([each] for each in order))):
        assert muted(router) == {"C": ["B"]}
        assert "B" in {alert.name for sent in router.sent for alert in sent.notification.alerts}


@pytest.mark.parametrize("order", list(permutations(FIRES)), ids=lambda order: " ".join(each.name for each in order))
def test_of_a_circle_in_one_batch_only_the_first_is_notified(order):
    """Given a batch with all alerts of a circle and no group_wait, only the alert that fired first is notified."""
    router = after(order)
    assert [[alert.name for alert in sent.notification.alerts] for sent in router.sent] == [["A"]]
    assert [alert.name for alert in router.sent[0].notification.evidence] == ["B", "C"]
    assert muted(router) == {"B": ["A"], "C": ["A"]}
