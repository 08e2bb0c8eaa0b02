"""Keep open: which incidents a person keeps open, and what it is once something fires there again."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from chalicelib.core.alert import Acknowledgement, Alert, AlertState
from chalicelib.core.event import Action, ActionKind
from chalicelib.core.incident import Episode, EscalationClock, Incident, Truncated
from chalicelib.core.keeping import is_kept, kept, not_kept, resumed
from chalicelib.core.notified import NotifiedAlerts, NotifiedState
from chalicelib.core.outcome import Result, outcome, sentence
from chalicelib.core.rule import Target
from chalicelib.messages import codec

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
SLACK = Target("slack_channel", "#inc")


def alert(state: AlertState, *, starts_at: datetime = NOW - 9 * MINUTE, ends_at: datetime | None = None) -> Alert:
    """Return the one alert of the incident."""
    return Alert(fingerprint="a", rule="Down", name="Down", state=state, starts_at=starts_at, ends_at=ends_at)


OVER = Incident(
    key="k",
    id="i",
    alerts={"a": alert(AlertState.RESOLVED, ends_at=NOW - MINUTE)},
    announced={SLACK.key: NotifiedState(SLACK, open=True, alerts=NotifiedAlerts({"a": 0}))},
    episode=Episode(started_at=NOW - 9 * MINUTE, opened_at=NOW - 9 * MINUTE),
)
KEPT = kept(OVER, "ana", NOW)
FIRES = replace(KEPT, alerts={"a": alert(AlertState.FIRING, starts_at=NOW + MINUTE)})
ENDED = replace(OVER, episode=replace(OVER.episode, ended_at=NOW))


def ended_at(at: datetime) -> Incident:
    """Return the kept incident whose alert ended then."""
    return replace(KEPT, alerts={"a": alert(AlertState.RESOLVED, ends_at=at)})


@pytest.mark.parametrize(
    ("incident", "expected"),
    [
        (OVER, False),
        (KEPT, True),
        (not_kept(KEPT), False),
        (FIRES, False),
        (ended_at(NOW), True),
        (ended_at(NOW + MINUTE), False),
        (replace(KEPT, truncated=Truncated(alerts={"b": 0.0})), False),
        (replace(KEPT, episode=replace(KEPT.episode, ended_at=NOW)), False),
    ],
)
def test_an_incident_is_kept_while_nothing_fires_in_it_nor_did_since(incident: Incident, expected: bool) -> None:
    """Given an incident that a person keeps open or not → it is kept only before something fires in it."""
    assert is_kept(incident) is expected


def test_an_end_by_a_clock_that_is_ahead_is_kept() -> None:
    """Given an alert that ended a minute from now by its sender's clock, when a person keeps it open → it is kept."""
    ahead = replace(OVER, alerts={"a": alert(AlertState.RESOLVED, ends_at=NOW + MINUTE)})
    assert is_kept(kept(ahead, "ana", NOW))


def test_what_fires_again_is_nobodys_and_known_to_no_target() -> None:
    """Given a kept incident that was acknowledged, when it fires → nobody has it, and its escalation starts then."""
    held = replace(FIRES.alerts["a"], ack=Acknowledgement(by="ana", at=NOW - MINUTE))
    found = resumed(replace(FIRES, alerts={"a": held}))
    assert found.alerts["a"].ack.by is None
    assert found.announced[SLACK.key].alerts == NotifiedAlerts(anew=True)
    assert found.escalation == EscalationClock(NOW + MINUTE)
    assert not found.episode.kept_by and resumed(found) == found


def test_a_kept_incident_stays_as_it_is_until_something_fires() -> None:
    """Given an incident of which nothing fires, or that nobody keeps → it is as it was."""
    assert resumed(KEPT) == KEPT
    fires = replace(OVER, alerts=FIRES.alerts)
    assert resumed(fires) == fires


@pytest.mark.parametrize(
    ("incident", "result", "accepted", "words"),
    [
        (OVER, Result.DONE, True, "i is kept open by ben"),
        (KEPT, Result.ALREADY, False, "ana keeps i open already since 2026-11-24T12:00:00Z"),
        (
            FIRES,
            Result.FIRES,
            False,
            "i still fires, so it stays open by itself; it can be kept open once nothing fires",
        ),
        (ENDED, Result.ENDED, False, "i is resolved since 2026-11-24T12:00:00Z"),
    ],
)
def test_what_keep_open_comes_to(incident: Incident, result: Result, accepted: bool, words: str) -> None:
    """Given Keep open of an incident in each state → its result, whether it changes anything, and the answer."""
    act = Action(ActionKind.KEEP, "ben", NOW, incident="i")
    found = outcome([incident], act, NOW)
    assert (found.result, found.accepted) == (result, accepted)
    assert sentence(found, act) == words


def test_a_stored_incident_of_the_version_before_is_kept_by_nobody() -> None:
    """Given an incident stored without the new fields → it reads as one that nobody keeps open."""
    stored = {name: value for name, value in codec.encode(KEPT).items() if not name.startswith("kept")}
    assert codec.decode(Incident, stored) == OVER
