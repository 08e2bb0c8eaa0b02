"""Broken promises of correlated incidents are seen, and kept ones are not."""

from dataclasses import replace
from datetime import timedelta
from random import Random

import pytest

from chalicelib.core.alert import Acknowledgement, Alert, AlertState
from chalicelib.core.delivery.notification import Reason, Why
from chalicelib.core.event import Severity
from chalicelib.core.incident import CORRELATED, Episode, Incident
from chalicelib.core.notified import LastNotification, NotifiedState
from chalicelib.core.rule import Target
from simulation import invariants
from simulation.faulty import Rates
from simulation.faulty_router import FaultyRouter
from simulation.random_life import START, all_rules
from tests.targets.samples import NOTIFICATION

SLACK = Target("slack_channel", "#incidents")
MINUTE = timedelta(minutes=1)
ACKED = Acknowledgement("ana", START + MINUTE, Severity.CRITICAL)


def alert(name, ack, starts_at):
    """Return a critical alert that fires, and that came by the route of what is critical."""
    return Alert(
        name,
        name=name,
        labels={"severity": "critical"},
        severity=Severity.CRITICAL,
        state=AlertState.FIRING,
        starts_at=starts_at,
        ack=ack,
    )


def decided(router, at, names, *, reason=Reason.UPDATED, why=None, ended_at=None):
    """Have a notification of these alerts decided for Slack at a time."""
    shown = [replace(NOTIFICATION.alerts[0], fingerprint=name, status="firing", ends_at=None) for name in names]
    if ended_at is not None:
        shown = [replace(each, status="resolved", ends_at=ended_at) for each in shown]
    about = replace(NOTIFICATION.incident, id="i1")
    made = replace(NOTIFICATION, id=f"{at}", incident=about, target=SLACK, reason=reason, why=why, at=at)
    router.decided[made.id] = replace(made, alerts=tuple(shown))


def router_with(second):
    """Return a router with a correlated incident of two alerts, of which ana has the first."""
    rules = next(each for each in all_rules() if each.correlate is not None)
    router = FaultyRouter(rules, START, Random(1), Rates())
    alerts = {"a": alert("a", ACKED, START), "b": second}
    announced = {SLACK.key: NotifiedState(SLACK, open=True, last=LastNotification(2, "n2"))}
    episode = Episode(started_at=START, opened_at=START)
    incident = Incident(f"{CORRELATED}i1", id="i1", version=1, alerts=alerts, announced=announced, episode=episode)
    router.memory.save(incident)
    router.saved_at[incident.key] = START
    router.clock.now = START + 30 * MINUTE
    decided(router, START, ["a"], reason=Reason.OPENED)
    return router


SECOND = alert("b", Acknowledgement(), START + 2 * MINUTE)
ROWS = [
    ("silently", SECOND, 5, None, 1),
    ("with a sound", SECOND, 5, Why.UNSEEN, 0),
    ("a moment ago", SECOND, 29, None, 0),
    ("acknowledged since", replace(SECOND, ack=ACKED), 5, None, 0),
    ("as a warning", replace(SECOND, severity=Severity.WARNING), 5, None, 0),
]


@pytest.mark.parametrize(("second", "at", "why", "broken"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS])
def test_what_is_critical_and_joined_what_somebody_has_makes_a_sound(second, at, why, broken):
    """Given a critical alert that joined and that nobody acknowledged → a target that was shown it silently is found."""
    router = router_with(second)
    decided(router, START + at * MINUTE, ["a", "b"], why=why)
    assert len(list(invariants.critical_is_noticed(router))) == broken


@pytest.mark.parametrize(("minutes", "broken"), [(0.5, 1), (1, 0)])
def test_an_end_waits_for_what_flaps(minutes, broken):
    """Given an end that is notified so long after the last alert ended → one without a hold is found."""
    router = router_with(SECOND)
    decided(router, START + (10 + minutes) * MINUTE, ["a", "b"], reason=Reason.RESOLVED, ended_at=START + 10 * MINUTE)
    assert len(list(invariants.ends_wait(router, resolved_by_hand=False))) == broken
    assert list(invariants.ends_wait(router, resolved_by_hand=True)) == []


def test_an_end_while_something_fires_is_found():
    """Given an end that is notified with an alert that fires → it is found, also where a person resolved something."""
    router = router_with(SECOND)
    decided(router, START + 20 * MINUTE, ["a"], reason=Reason.RESOLVED)
    assert len(list(invariants.ends_wait(router, resolved_by_hand=True))) == 1
