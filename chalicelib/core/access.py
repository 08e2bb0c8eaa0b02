"""Who may look, act and change: `access:` of the rules file as values. One answer for every door.

A list names people by what a door has checked, never by what they are called: the holder of a named token by that name
(`ana`), a member of a chat's workspace by the id (`U024BE7LH`), whoever has proved a mail address by that, and any account
as it is stored, kind first (core/account.py). A shared token proves no name: only the entry `token:` means it.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

from chalicelib.core.account import SHARED_TOKEN

EVERYBODY = "*"
"""An entry of a list that means everybody who is signed in."""


class Role(IntEnum):
    """What a person may do; each role may do what those before it may."""

    NONE = 0
    VIEWER = 1
    """May look."""
    RESPONDER = 2
    """May acknowledge, silence, resolve, note and assign."""
    ADMIN = 3
    """May roll back, redrive and make tokens."""


@dataclass(frozen=True, slots=True)
class Access:
    """The lists of the block. `declared` is False where the file has no block."""

    viewer: Sequence[str] = ()
    responder: Sequence[str] = ()
    admin: Sequence[str] = ()
    declared: bool = True


_MEMBER = re.compile("[UW][A-Z0-9]{2,31}")
"""The id of a member: https://docs.slack.dev/reference/objects/user-object."""
_OF_WORKSPACE = re.compile("(?!oidc:)[a-z]+:[A-Z0-9]+/([A-Z0-9]+)")
"""An account with the workspace that it is in. What follows `oidc:` is whatever a provider says."""
OPEN = Access(declared=False)
"""Without the block everybody who is signed in is a responder, and nobody an admin."""


def role_of(account: str, access: Access, *, mail: str = "", known: bool = True) -> Role:
    """Return the role of who is signed in with this account. `mail` is an address that the door has checked.

    Without `known` the person is nobody of ours unless an entry names them: a provider may sign in the whole world.
    """
    if not access.declared:
        return Role.RESPONDER if known else Role.NONE
    lists = ((Role.ADMIN, access.admin), (Role.RESPONDER, access.responder), (Role.VIEWER, access.viewer))
    return next(
        (role for role, members in lists if any(_is(account, mail, each, known) for each in members)), Role.NONE
    )


def _is(account: str, mail: str, member: str, known: bool) -> bool:
    """Return whether an entry means this account, or the person with this mail address."""
    member = member.strip()
    if member == EVERYBODY:
        return known
    if ":" in member:
        return account == member
    if "@" in member:
        return bool(mail) and mail.casefold() == member.casefold()
    if _MEMBER.fullmatch(member):
        found = _OF_WORKSPACE.fullmatch(account)
        return found is not None and found[1] == member
    return bool(member) and account == f"{SHARED_TOKEN}{member}"
