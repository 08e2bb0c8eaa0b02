"""Whose act it was: the name, the door and the account that the timeline shows."""

import pytest

from chalicelib.api.requests import PROGRAMS
from chalicelib.core.account import is_reserved, with_door


@pytest.mark.parametrize(
    ("by", "via", "account", "shown"),
    [
        ("ana", "slack", "slack:T1/U1", "ana (slack)"),
        ("ana", "pagerduty", "pagerduty:PABC", "ana (pagerduty)"),
        ("ana", "api", "token:ana", "ana (api)"),
        ("ceo", "api", "token:", "ceo (shared token)"),
        ("ana", "", "", "ana"),
        ("", "slack", "slack:T1/U1", ""),
    ],
)
def test_a_name_is_shown_with_its_door(by, via, account, shown):
    """Given who acted, by which door → both are shown; a shared token says so, since it proves no name."""
    assert with_door(by, via, account) == shown


@pytest.mark.parametrize(
    ("name", "reserved"),
    [
        ("Tocsin", True),
        ("tocsin", True),
        ("PagerDuty", True),
        ("@PagerDuty", True),
        ("  Slack ", True),
        ("@here", True),
        ("@channel", True),
        ("@everyone", True),
        ("@HERE", True),
        ("＠ｈｅｒｅ", True),
        ("Ｔocsin", True),
        ("ana", False),
        ("Slackman", False),
        ("here", False),
    ],
)
def test_names_of_programs_and_of_everybody_are_reserved(name, reserved):
    """Given a name in any case or width → those of Tocsin, its vendors and of mentions of everybody are reserved."""
    assert is_reserved(name, PROGRAMS) is reserved
