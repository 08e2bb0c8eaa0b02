"""Which events only count, until when they may wait, and that waiting changes no count and costs few writes."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from chalicelib.core.alert import Alert, AlertState, ReceivedEvents, Timers
from chalicelib.core.coalesce import MARGIN, PERIOD, next_moment, waits_until
from chalicelib.core.event import Event, Severity, Status
from chalicelib.core.incident import Episode, Incident
from chalicelib.core.inputs import EventInput, alert_fingerprint
from chalicelib.core.rule import Rule
from chalicelib.messages.queue import events_messages
from chalicelib.rules.file import load
from simulation.simulator import Simulator

NOW = datetime(2026, 11, 24, 8, 0, 3, tzinfo=UTC)
MOMENT = datetime(2026, 11, 24, 8, 0, 10, tzinfo=UTC)


def event(**changes: object) -> Event:
    """An error of the service api, three seconds after the moment that starts the minute."""
    found = Event(
        id="e2",
        source="sentry",
        kind="error.created",
        status=Status.FIRING,
        severity=Severity.WARNING,
        title="TypeError",
        occurred_at=NOW,
        identity="issue:1",
        labels={"service": "api"},
    )
    return replace(found, **changes)  # type: ignore[arg-type]


def incident(given: EventInput, wake: timedelta | None = timedelta(minutes=5), **changes: object) -> Incident:
    """One whose alert for the event fires since ten seconds and was last heard of two seconds ago."""
    alert = Alert(
        fingerprint=alert_fingerprint(given),
        state=AlertState.FIRING,
        starts_at=NOW - timedelta(seconds=10),
        received=ReceivedEvents(last_event_at=NOW - timedelta(seconds=2)),
    )
    alert = replace(alert, **changes)  # type: ignore[arg-type]
    wake_at = NOW + wake if wake is not None else None
    return Incident(
        key="k", id="i", episode=Episode(started_at=alert.starts_at), wake_at=wake_at, alerts={alert.fingerprint: alert}
    )


@pytest.mark.parametrize(
    ("alert", "said", "why"),
    [
        ({}, {}, "it fires, and was said two seconds ago"),
        ({}, {"occurred_at": NOW - timedelta(seconds=5)}, "late, but within what is known"),
    ],
)
def test_what_is_known_already_waits_for_the_next_moment(alert: dict, said: dict, why: str) -> None:
    """An event that says once more what burns waits until the moment that all share."""
    given = EventInput(event(**said), None)
    assert waits_until(incident(given, **alert), given, NOW) == MOMENT, why


@pytest.mark.parametrize(
    ("alert", "said", "why"),
    [
        ({"state": AlertState.PENDING}, {}, "it does not fire yet"),
        ({"state": AlertState.RESOLVED}, {}, "it would fire again"),
        ({"timers": Timers(cleared_at=NOW)}, {}, "it would stay"),
        ({"timers": Timers(expires_at=NOW + PERIOD)}, {}, "its end would move"),
        ({"severity": Severity.INFO}, {}, "it is worse than known"),
        (
            {"received": ReceivedEvents(last_event_at=NOW - PERIOD)},
            {},
            "nothing was heard for long: people should see it counted",
        ),
        ({}, {"status": Status.RESOLVED}, "it ends"),
        ({}, {"ends_at": NOW + PERIOD}, "it says when it ends"),
        ({}, {"occurred_at": NOW - timedelta(seconds=11)}, "it began earlier than known"),
        ({}, {"starts_at": NOW - timedelta(hours=1)}, "its sender says that it began earlier"),
        ({}, {"identity": "issue:2"}, "another fault"),
    ],
)
def test_news_does_not_wait(alert: dict, said: dict, why: str) -> None:
    """Whatever changes more than a count is folded now."""
    known = incident(EventInput(event(), None), **alert)
    assert waits_until(known, EventInput(event(**said), None), NOW) is None, why


def test_nothing_waits_for_an_incident_that_is_not_there_or_over() -> None:
    """A first event opens, and one after the end begins anew."""
    given = EventInput(event(), None)
    assert waits_until(None, given, NOW) is None
    open_one = incident(given)
    ended = replace(open_one, episode=replace(open_one.episode, ended_at=NOW))
    assert waits_until(ended, given, NOW) is None


def test_a_rule_with_a_severity_of_its_own_has_no_worse_events() -> None:
    """Then only the rule's severity counts, and a critical event of a firing warning waits."""
    rule = Rule("Sentry", severity=Severity.WARNING)
    given = EventInput(event(severity=Severity.CRITICAL), rule)
    assert waits_until(incident(given), given, NOW) == MOMENT


@pytest.mark.parametrize(
    ("wake", "until"),
    [
        (None, MOMENT),
        (timedelta(seconds=20), MOMENT),
        (timedelta(seconds=8), NOW + timedelta(seconds=8) - MARGIN),
        (timedelta(seconds=3), NOW + timedelta(seconds=3) - MARGIN),
        (timedelta(seconds=2), None),
        (timedelta(0), None),
    ],
)
def test_nothing_waits_past_the_next_timer(wake: timedelta | None, until: datetime | None) -> None:
    """What is told when a timer is due has counted everything that came shortly before."""
    given = EventInput(event(), None)
    assert waits_until(incident(given, wake), given, NOW) == until


def test_moments_are_the_same_for_all() -> None:
    """They follow from the clock alone, and one that has just passed is not the next."""
    assert next_moment(NOW) == next_moment(NOW + timedelta(seconds=6)) == MOMENT
    assert next_moment(MOMENT) == MOMENT + PERIOD


RULES = """
default: {notification: [{slack_channel: "#alerts"}]}
"""


def storm(services: int) -> Simulator:
    """6,000 events of 120 faults within a minute, each at a time of its own; and what a flapping worker brings twice."""
    began = datetime(2026, 11, 24, 8, 0, tzinfo=UTC)
    simulator = Simulator(load(RULES), began)
    for n in range(6_000):
        at = began + timedelta(milliseconds=10 * n)
        simulator.run_until(at, inclusive=False)
        simulator.now = at
        simulator.post(bodies([storm_event(n, at, services)]))
        if n % 100 == 0:
            simulator.post(bodies([storm_event(n, at, services)]))
    simulator.run_until(began + timedelta(minutes=4), inclusive=True)
    return simulator


def storm_event(number: int, at: datetime, services: int) -> Event:
    """The events of a fault follow one another every 1.2 seconds."""
    fault = number % 120
    return event(id=str(number), identity=f"issue:{fault}", occurred_at=at, labels={"service": f"s{fault % services}"})


def bodies(events: Sequence[Event]) -> list[str]:
    """As the webhooks queue has them."""
    return events_messages(tuple(events))


@pytest.mark.parametrize("services", [10, 120])
def test_a_storm_costs_less_than_half_a_write_an_event_and_counts_all(services: int) -> None:
    """One message for each service, every event counted once, few writes: also where each fault has its own incident."""
    simulator = storm(services)
    assert len(simulator.taken()) == services
    assert sum(each.events for each in simulator.store.incidents()) == 6_000
    assert simulator.store.writes < 0.5 * 6_000
