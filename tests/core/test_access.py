"""Who may do what: the lists of `access:`, and what proves that somebody is meant."""

from datetime import UTC, datetime

import pytest

from chalicelib.core.access import OPEN, Access, Role, role_of
from chalicelib.core.event import Action, ActionKind
from chalicelib.core.incident import Episode, Incident
from chalicelib.core.outcome import Result, outcome, sentence

AT = datetime(2026, 3, 2, 9, tzinfo=UTC)

ACCESS = Access(
    viewer=["guest", "*@nobody", "looks@example.com"],
    responder=["ana", "U024BE7LH", "token:"],
    admin=["ana.admin", "boss@example.com", "pagerduty:PABC123", "slack:T1/U777"],
)

WHO = [
    ("the holder of a named token", "token:ana", "", Role.RESPONDER),
    ("the holder of another token", "token:Ana", "", Role.NONE),
    ("the holder of a token that is called as a Slack id", "token:U024BE7LH", "", Role.NONE),
    ("a shared token, which the block names", "token:", "", Role.RESPONDER),
    ("a person of Slack, by the id", "slack:T1/U024BE7LH", "", Role.RESPONDER),
    ("another workspace's account, named whole", "slack:T2/U777", "", Role.NONE),
    ("an account as it is stored", "slack:T1/U777", "", Role.ADMIN),
    ("a person of Slack whose id is somebody's name", "slack:T1/ana", "", Role.NONE),
    ("a longer id", "slack:T1/U024BE7LHX", "", Role.NONE),
    ("an account of PagerDuty", "pagerduty:PABC123", "", Role.ADMIN),
    ("a proved address", "oidc:accounts.example/77", "Boss@example.com", Role.ADMIN),
    ("an address that was not proved", "oidc:accounts.example/77", "", Role.NONE),
    ("the best of several lists", "token:ana.admin", "looks@example.com", Role.ADMIN),
    ("an account that holds a name", "oidc:ana", "", Role.NONE),
    ("nobody", "", "", Role.NONE),
]


@pytest.mark.parametrize(("account", "mail", "role"), [each[1:] for each in WHO], ids=[each[0] for each in WHO])
def test_the_role_follows_from_what_a_door_has_checked(account, mail, role):
    """Given an account → the best role of the lists that mean it, and none that only sounds like it."""
    assert role_of(account, ACCESS, mail=mail) is role


def test_a_star_means_everybody_who_is_signed_in():
    """Given `*` among the viewers → an unlisted account may look."""
    assert role_of("slack:T1/U9", Access(viewer=["*"], admin=["ana"])) is Role.VIEWER


def test_without_the_block_everybody_is_a_responder():
    """Given no block → whoever is signed in may act, and nobody may change."""
    assert role_of("slack:T1/U9", OPEN) is Role.RESPONDER
    assert role_of("token:ana", Access()) is Role.NONE


@pytest.mark.parametrize("kind", [kind for kind in ActionKind if kind is not ActionKind.LINK])
def test_what_is_not_allowed_is_refused_in_words(kind):
    """Given an act that its person may not do → the result says so, and nothing is accepted."""
    act = Action(kind, "ben", AT, incident="i1", note="x", account="slack:T1/U9")
    found = outcome([Incident("k", "i1", episode=Episode(started_at=AT))], act, AT, allowed=False)
    assert (found.result, found.accepted) == (Result.NOT_ALLOWED, False)
    assert sentence(found, act).startswith("ben may not ")
