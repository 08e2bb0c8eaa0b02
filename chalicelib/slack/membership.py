"""Who may act from Slack: people of the app's own workspace, and of those that the setting SLACK_TEAMS names. Pure.

A shared channel (Slack Connect) has people of other organisations, who may use apps there. Only documented fields
decide: the workspace of the person in the request, the app's own by auth.test, and what users.info says of guests.
"""

import re
from collections.abc import Collection

from chalicelib.messages.interaction import Interaction

TEAMS = "SLACK_TEAMS"
GUESTS = "SLACK_GUESTS"
_ID = re.compile(r"[TE][A-Z0-9]{2,}")


def teams_of(setting: str) -> frozenset[str]:
    """Return the ids of workspaces (`T…`) and organisations (`E…`) that a setting names."""
    return frozenset(filter(_ID.fullmatch, _words(setting)))


def unreadable(setting: str) -> list[str]:
    """Return the words of the setting that are no ids."""
    return [word for word in _words(setting) if not _ID.fullmatch(word)]


def _words(setting: str) -> list[str]:
    return setting.replace(",", " ").split()


def refusal(
    asked: Interaction,
    home: tuple[str, str] | None,
    teams: Collection[str],
    *,
    is_guest: bool = False,
    is_stranger: bool = False,
    guests_allowed: bool = False,
) -> str:
    """Return why the person may not act; empty when they may. `home` is the app's workspace and organisation, if known.

    Where neither it nor the place of the request is known, nothing can be compared.
    """
    theirs = {asked.team, asked.enterprise} - {""}
    ours = set(home or (asked.workspace,)) - {""}
    if theirs & set(teams):
        return _of_guest(is_guest, guests_allowed)
    if theirs and ours and not theirs & ours:
        return f"people of another workspace ({asked.team}) may not use Tocsin here, unless {TEAMS} names it"
    return _of_guest(is_guest or is_stranger, guests_allowed)


def _of_guest(is_guest: bool, guests_allowed: bool) -> str:
    if is_guest and not guests_allowed:
        return f"guests may not use Tocsin here, unless {GUESTS} is yes"
    return ""
