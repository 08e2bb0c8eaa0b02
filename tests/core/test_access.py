"""The `access:` block: who may do what."""

from datetime import UTC, datetime

import pytest

from chalicelib.core.access import Access, Act, act_of, may
from chalicelib.core.event import Action, ActionKind
from chalicelib.core.incident import Episode, Incident
from chalicelib.core.outcome import Result, outcome, sentence

AT = datetime(2026, 3, 2, 9, tzinfo=UTC)
SRE = Access(
    groups={"sre": ("slack:T1/U1", "ana", "pagerduty:PABC"), "nobody": ()},
    allowed={
        Act.ROLL_BACK: ("sre",),
        Act.SILENCE: ("sre", "slack:T1/U2", "Bo"),
        Act.RESOLVE: ("nobody",),
        Act.ASSIGN: (),
        Act.NOTE: ("token:",),
    },
)


@pytest.mark.parametrize("act", Act)
@pytest.mark.parametrize("who", ["slack:T1/U1", "token:ana", "token:", "ana", ""])
def test_without_the_block_everybody_may_do_everything(who, act):
    """Given no block → every act of everybody is allowed."""
    assert may(who, act, Access())


@pytest.mark.parametrize(
    ("who", "act", "allowed"),
    [
        ("slack:T1/U1", Act.ROLL_BACK, True),
        ("slack:T2/U1", Act.ROLL_BACK, False),
        ("slack:T1/U10", Act.ROLL_BACK, False),
        ("slack:t1/u1", Act.ROLL_BACK, False),
        ("pagerduty:PABC", Act.ROLL_BACK, True),
        ("pagerduty:PABCD", Act.ROLL_BACK, False),
        ("token:ana", Act.ROLL_BACK, True),
        ("token:Ana", Act.ROLL_BACK, False),
        ("token:ben", Act.ROLL_BACK, False),
        ("token:", Act.ROLL_BACK, False),
        ("ana", Act.ROLL_BACK, True),
        ("Ana", Act.ROLL_BACK, True),
        ("slack:T1/ana", Act.ROLL_BACK, False),
        ("pagerduty:ana", Act.ROLL_BACK, False),
        ("sre", Act.ROLL_BACK, False),
        ("token:sre", Act.ROLL_BACK, False),
        ("", Act.ROLL_BACK, False),
        ("slack:T1/U2", Act.SILENCE, True),
        ("slack:T1/U3", Act.SILENCE, False),
        ("bo", Act.SILENCE, True),
        ("token:ana", Act.SILENCE, True),
        ("slack:T1/U1", Act.RESOLVE, False),
        ("token:ana", Act.ASSIGN, False),
        ("token:", Act.NOTE, True),
        ("token:ana", Act.NOTE, False),
        ("slack:T9/U9", Act.ACK, True),
        ("token:", Act.UNACK, True),
    ],
)
def test_who_may_do_what(who, act, allowed):
    """Given groups of accounts and names → an act is allowed to its members alone, and to everybody where none is named."""
    assert may(who, act, SRE) is allowed


@pytest.mark.parametrize("member", ["", "token:"])
def test_an_empty_member_is_nobody(member):
    """Given an empty name in a group → neither an unknown person nor a person of another account is meant."""
    access = Access(allowed={Act.ACK: (member,)})
    assert not may("", Act.ACK, access)
    assert not may("ana", Act.ACK, access)
    assert may("token:", Act.ACK, access) is (member == "token:")


def test_every_act_of_a_person_is_one_of_the_block():
    """Given each kind of action but a link → it has a name in the block, and silence has one too."""
    kinds = [kind for kind in ActionKind if kind is not ActionKind.LINK]
    assert {act_of(kind) for kind in kinds} | {Act.SILENCE} == set(Act)


@pytest.mark.parametrize("kind", [kind for kind in ActionKind if kind is not ActionKind.LINK])
def test_what_is_not_allowed_is_refused_in_words(kind):
    """Given an act that its person may not do → the result says so, and nothing is accepted."""
    act = Action(kind, "ben", AT, incident="i1", note="x", account="slack:T1/U9")
    found = outcome([Incident("k", "i1", episode=Episode(started_at=AT))], act, AT, allowed=False)
    assert (found.result, found.accepted) == (Result.NOT_ALLOWED, False)
    assert sentence(found, act).startswith("ben may not ")
