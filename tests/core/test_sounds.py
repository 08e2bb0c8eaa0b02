"""Which targets must notice something at once: what is worse, what is critical after an acknowledgement, what is new to them."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from chalicelib.core.alert import Acknowledgement, Alert, AlertState
from chalicelib.core.delivery.notification import Why
from chalicelib.core.event import Severity
from chalicelib.core.incident import Episode, Incident
from chalicelib.core.notified import LastNotification, LastSound, NotifiedAlerts, NotifiedState, PagerState
from chalicelib.core.rule import AFTER_ACK, RouteOptions, Rules, Target
from chalicelib.core.sounds import SHORTEST_PAUSE, Sounds, acknowledged_at, sounds_of
from chalicelib.core.visible import TargetView, VisibleAlerts
from chalicelib.core.waves import MAX_WAVES
from tests.rule_files import KINDS

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)
SLACK, PAGER = Target("slack_channel", "#inc"), Target("pagerduty", "default")
RULES = Rules(kinds=KINDS)
CRITICAL, WARNING = Severity.CRITICAL.rank, Severity.WARNING.rank
BEGAN_AT = NOW - timedelta(hours=1)
ACKED_AT = NOW - 10 * MINUTE


def alert(name, started=BEGAN_AT, severity=Severity.CRITICAL, acked_at=None):
    """An alert that fires."""
    ack = Acknowledgement("ana", acked_at, severity) if acked_at else Acknowledgement()
    return Alert(name, name=name, severity=severity, state=AlertState.FIRING, starts_at=started, ack=ack)


def known(target=SLACK, /, *, sounded_at=None, wave=1, wave_at=BEGAN_AT, **firing):
    """What the target was notified of."""
    return NotifiedState(
        target,
        open=True,
        last=LastNotification(1, "n1", BEGAN_AT),
        sound=LastSound(1, sounded_at, Why.WORSE) if sounded_at else LastSound(),
        alerts=NotifiedAlerts(firing or {"a": CRITICAL}),
        pager=PagerState(wave, wave_at, acknowledged=True),
    )


def seen(*alerts, quiet=()):
    """What the target may see."""
    return VisibleAlerts(
        visible={each.fingerprint: each.severity.rank for each in alerts},
        unacked=frozenset(each.fingerprint for each in alerts if each.ack.by is None),
        quiet=quiet,
    )


def found(state, *alerts, quiet=(), also=()):
    """What sounds_of returns for one target."""
    incident = Incident(
        "default",
        "i1",
        alerts={each.fingerprint: each for each in alerts},
        announced={each.target.key: each for each in (state, *also) if each.was_notified},
        episode=Episode(started_at=BEGAN_AT, opened_at=BEGAN_AT),
    )
    view = TargetView(state.target, seen(*alerts, quiet=quiet), RouteOptions())
    return sounds_of(incident, {state.target.key: view}, RULES, NOW)


ACKED = alert("a", acked_at=ACKED_AT)
RIGHT_AFTER, LATER = ACKED_AT + AFTER_ACK, ACKED_AT + AFTER_ACK + SECOND
WARNED = alert("a", severity=Severity.WARNING)
ROWS = [
    ("nothing new", known(), [alert("a")], None),
    ("as bad, nobody acknowledged", known(), [alert("a"), alert("b", NOW)], None),
    ("worse than all that is known", known(a=WARNING), [WARNED, alert("b", NOW)], Why.WORSE),
    ("it rose", known(a=WARNING), [alert("a")], Why.WORSE),
    ("it rose to what another is", known(a=WARNING, b=CRITICAL), [alert("a"), alert("b")], Why.WORSE),
    ("less bad", known(), [ACKED, alert("b", NOW, Severity.WARNING)], None),
    ("critical after an acknowledgement", known(), [ACKED, alert("b", LATER)], Why.AFTER_ACK),
    ("while somebody was acknowledging", known(), [ACKED, alert("b", RIGHT_AFTER)], None),
    ("before the acknowledgement", known(), [ACKED, alert("b", ACKED_AT - SECOND)], None),
    ("acknowledged itself", known(), [ACKED, alert("b", LATER, acked_at=NOW)], None),
    ("known already", known(a=CRITICAL, b=CRITICAL), [ACKED, alert("b", LATER)], None),
    ("an acknowledgement of the episode before", known(), [alert("a", acked_at=BEGAN_AT - SECOND), alert("b", NOW)], None),
]  # fmt: skip


@pytest.mark.parametrize(("state", "alerts", "why"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS])
def test_what_must_be_noticed_at_once(state, alerts, why):
    """Given what a target knows and sees, then it must notice at once what is worse or critical after an acknowledgement."""
    assert found(state, *alerts) == Sounds({state.target.key: why} if why else {})


def test_a_window_that_mutes_holds_sounds_back():
    """Given a route that is muted by a window, then nothing makes a sound."""
    assert found(known(a=WARNING), alert("a"), quiet=("night",)) == Sounds()


OPENINGS = [
    ("critical, while others were notified", alert("b", NOW), [known(SLACK)], True),
    ("a warning, while others were notified", alert("b", NOW, Severity.WARNING), [known(SLACK)], False),
    ("critical, and nobody was notified", alert("b", NOW), [], False),
]


@pytest.mark.parametrize(("new", "also", "opens"), [row[1:] for row in OPENINGS], ids=[row[0] for row in OPENINGS])
def test_a_target_that_knows_nothing_yet(new, also, opens):
    """Given an incident of which others were notified, then what is critical opens it at a target that knows nothing of it."""
    assert found(NotifiedState(PAGER), new, also=also) == Sounds({PAGER.key: Why.OPENING} if opens else {})


WORSE = [WARNED, alert("b", NOW)]
PAUSES = [
    ("a sound just under a minute ago", known(sounded_at=NOW - SHORTEST_PAUSE + SECOND, a=WARNING), SECOND),
    ("a sound a minute ago", known(sounded_at=NOW - SHORTEST_PAUSE, a=WARNING), None),
    ("a page just under a minute ago", known(PAGER, wave_at=NOW - SHORTEST_PAUSE + SECOND, a=WARNING), SECOND),
    ("a page a minute ago", known(PAGER, wave_at=NOW - SHORTEST_PAUSE, a=WARNING), None),
]


@pytest.mark.parametrize(("state", "wait"), [row[1:] for row in PAUSES], ids=[row[0] for row in PAUSES])
def test_sounds_of_one_target_are_a_minute_apart(state, wait):
    """Given a sound, or a page, less than a minute ago, then the next sound waits for the end of that minute."""
    sounds = found(state, *WORSE)
    key = state.target.key
    assert sounds == (Sounds(waiting={key: NOW + wait}) if wait else Sounds({key: Why.WORSE}))


LAST_WAVES = [("nobody acknowledged it there", False, Why.WORSE), ("it is acknowledged there", True, None)]


@pytest.mark.parametrize(("acknowledged", "why"), [row[1:] for row in LAST_WAVES], ids=[row[0] for row in LAST_WAVES])
def test_a_pager_that_opens_no_further_wave_makes_no_sound_once_it_is_acknowledged(acknowledged, why):
    """Given the last wave, when something is worse, then the pager rings only while nobody acknowledged that wave."""
    state = known(PAGER, wave=MAX_WAVES, wave_at=NOW - SECOND, a=WARNING)
    state = replace(state, pager=replace(state.pager, acknowledged=acknowledged))
    assert found(state, *WORSE) == Sounds({PAGER.key: why} if why else {})


def test_an_acknowledgement_counts_until_it_is_given_back():
    """Given acknowledgements of an episode, then the newest counts; one that was given back does not."""
    incident = Incident("default", "i1", alerts={"a": ACKED, "b": alert("b", acked_at=NOW)})
    assert acknowledged_at(incident) == NOW
    given_back = replace(incident, alerts={"a": ACKED, "b": alert("b")})
    assert acknowledged_at(given_back) == ACKED_AT
    assert acknowledged_at(replace(incident, alerts={})) is None
