"""Waves of a pager: which one a notification belongs to, what its key is, and what a person's act there means."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from chalicelib.core.actions import is_about
from chalicelib.core.event import Action, ActionKind
from chalicelib.core.incident import Entry, Incident
from chalicelib.core.notified import LastNotification, NotifiedState, PagerState
from chalicelib.core.rule import Rules, Target
from chalicelib.core.waves import (
    MAX_WAVES,
    acted_there,
    after_sending,
    incident_named,
    is_acknowledged,
    next_wave,
    wave_key,
    wave_named,
)
from tests.rule_files import KINDS

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
ID = "0123456789abcdef"
RULES = Rules(kinds=KINDS)
PAGER, OTHER, SLACK = Target("pagerduty", "default"), Target("pagerduty", "db"), Target("slack_channel", "#ops")
SENT_AT = NOW - timedelta(hours=1)
OF_BEFORE = NotifiedState(PAGER, open=True, last=LastNotification(seq=1, at=SENT_AT))


def pager(wave=1, *, acknowledged, wave_at=SENT_AT):
    """What is known of a pager that was notified an hour ago."""
    return replace(OF_BEFORE, pager=PagerState(wave, wave_at, acknowledged))


RINGS, ACKED = pager(acknowledged=False), pager(acknowledged=True)
ACK_LINE = (Entry(NOW - timedelta(minutes=30), "acknowledged", "ana", kind="ack"),)
LOST = (*ACK_LINE, Entry(NOW - timedelta(minutes=20), "unacknowledged", "ana", kind="unack"))

NEXT = [
    ("nothing was sent", NotifiedState(PAGER), (), 1),
    ("it rings", RINGS, (), 1),
    ("it is acknowledged", ACKED, (), 2),
    ("the third is acknowledged", pager(3, acknowledged=True), (), 4),
    ("the third rings", pager(3, acknowledged=False), (), 3),
    ("it began less than a minute ago", pager(acknowledged=True, wave_at=NOW - timedelta(seconds=59)), (), 1),
    ("it began a minute ago", pager(acknowledged=True, wave_at=NOW - timedelta(seconds=60)), (), 2),
    ("it is the last one", pager(MAX_WAVES, acknowledged=True), (), MAX_WAVES),
    ("the version before knows no acknowledgement", OF_BEFORE, (), 1),
    ("the version before knows an acknowledgement", OF_BEFORE, ACK_LINE, 1),
    ("the version before knows one that was given back", OF_BEFORE, LOST, 2),
]


@pytest.mark.parametrize(("known", "timeline", "wave"), [row[1:] for row in NEXT], ids=[row[0] for row in NEXT])
def test_the_wave_of_what_nobody_has(known, timeline, wave):
    """Given what is known of a pager, then a sound is the newest wave or a new one."""
    assert next_wave(known, timeline, NOW, is_worse=False) == wave


@pytest.mark.parametrize(
    ("known", "wave"),
    [(RINGS, 2), (ACKED, 2), (NotifiedState(PAGER), 1), (pager(acknowledged=False, wave_at=NOW), 1)],
)
def test_the_wave_of_what_got_worse(known, wave):
    """Given a page that rings or does not, then what is worse opens one more: it may have been sent as less urgent."""
    assert next_wave(known, (), NOW, is_worse=True) == wave


def test_a_notification_changes_what_is_known_of_the_pager():
    """Given a notification, then a new wave rings unless it is acknowledged with it, and an acknowledged one stays so."""
    second = after_sending(ACKED, 2, (), acknowledged=False, now=NOW)
    assert second.pager == PagerState(2, NOW, acknowledged=False)
    assert after_sending(RINGS, 1, (), acknowledged=True, now=NOW) == ACKED
    assert after_sending(ACKED, 1, (), acknowledged=False, now=NOW) == ACKED
    assert after_sending(OF_BEFORE, 1, LOST, acknowledged=False, now=NOW).pager.acknowledged is True
    opened = after_sending(NotifiedState(PAGER), 1, (), acknowledged=True, now=NOW)
    assert opened.pager == PagerState(1, NOW, acknowledged=True)


@pytest.mark.parametrize("wave", range(1, MAX_WAVES + 1))
def test_a_key_names_its_incident_and_wave(wave):
    """Given the key of any wave, then its incident and its number are read from it."""
    key = wave_key(ID, wave)
    assert (incident_named(key), wave_named(key)) == (ID, wave)
    assert is_about(Action(ActionKind.ACK, "ben", NOW, incident=key), Incident("default", ID))


@pytest.mark.parametrize("name", ["pagerduty:Q1A2B3", "pagerduty:2", f"{ID}:11", f"{ID}:0", f"{ID}:", "", ":2"])
def test_any_other_name_is_left_alone(name):
    """Given a name that is no key of a wave, then it is taken as it is."""
    assert (incident_named(name), wave_named(name)) == (name, 1)


def acted(kind, known=RINGS, *, incident=ID, via="pagerduty", also=()):
    """What is known of the pager after an act."""
    announced = {each.target.key: each for each in (known, *also)}
    found = Incident("default", ID, announced=announced)
    action = Action(ActionKind(kind), "ben", NOW, incident=incident, via=via)
    after = acted_there(found, action, pages=RULES.can(action.via).pages)
    return after.announced[known.target.key].pager.acknowledged


SECOND = pager(2, acknowledged=False)
ACTS = [
    ("an acknowledgement there", acted("ack"), True),
    ("an acknowledgement of the newest wave there", acted("ack", SECOND, incident=f"{ID}:2"), True),
    ("an acknowledgement of an earlier wave there", acted("ack", SECOND), False),
    ("an acknowledgement in Slack", acted("ack", via="slack"), False),
    ("taken back there", acted("unack", ACKED), False),
    ("taken back in Slack", acted("unack", ACKED, via="slack"), True),
    ("an earlier wave taken back there", acted("unack", pager(2, acknowledged=True)), False),
    ("an acknowledgement at one of two pagers", acted("ack", also=[replace(RINGS, target=OTHER)]), False),
    ("an acknowledgement beside Slack", acted("ack", also=[replace(RINGS, target=SLACK)]), True),
    ("a note there", acted("note"), False),
]


@pytest.mark.parametrize(("found", "acknowledged"), [row[1:] for row in ACTS], ids=[row[0] for row in ACTS])
def test_what_an_act_at_the_pager_says_of_its_wave(found, acknowledged):
    """Given an act, then the newest wave is known as acknowledged at the pager, or as one that rings."""
    assert found is acknowledged


def test_an_acknowledgement_is_noted_or_read_from_the_timeline():
    """Given what the version before stored, then its timeline says whether the pager is silent."""
    assert not is_acknowledged(OF_BEFORE, ())
    assert not is_acknowledged(OF_BEFORE, ACK_LINE)
    assert is_acknowledged(OF_BEFORE, LOST)
    assert not is_acknowledged(RINGS, LOST)
    assert not is_acknowledged(NotifiedState(PAGER), LOST)
