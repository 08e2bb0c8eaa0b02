"""Who may do what: the pure half of the `access:` block. Without a word about an act everybody may do it.

A group lists accounts (`slack:T1/U1`, `token:ana`, `pagerduty:PABC123`) and names. A name means the holder of the named
token (`token:ana`), or a person without an account. It never means a person of another door who is called so: what
people are called in Slack, and what a request with a shared token says, proves nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from chalicelib.core.account import SHARED_TOKEN
from chalicelib.core.event import ActionKind


class Act(StrEnum):
    """What the block can give to some people only."""

    ACK = "ack"
    UNACK = "unack"
    RESOLVE = "resolve"
    ASSIGN = "assign"
    NOTE = "note"
    SILENCE = "silence"
    ROLL_BACK = "roll_back"


@dataclass(frozen=True, slots=True)
class Access:
    """`groups` are accounts and names by the name of their group; `allowed` the groups, accounts and names of each act."""

    groups: Mapping[str, Sequence[str]] = field(default_factory=dict)
    allowed: Mapping[Act, Sequence[str]] = field(default_factory=dict)


def act_of(kind: ActionKind) -> Act:
    """Return the act of the block that a kind of action is. KeyError for a link, which is nobody's act."""
    return _ACTS[kind]


_ACTS: Mapping[ActionKind, Act] = {
    ActionKind.ACK: Act.ACK,
    ActionKind.UNACK: Act.UNACK,
    ActionKind.RESOLVE: Act.RESOLVE,
    ActionKind.REASSIGN: Act.ASSIGN,
    ActionKind.NOTE: Act.NOTE,
    ActionKind.ROLL_BACK: Act.ROLL_BACK,
}


def may(who: str, act: Act, access: Access) -> bool:
    """Return whether an account, or a name where there is no account, may do an act."""
    if act not in access.allowed:
        return True
    return any(_is(who, member) for each in access.allowed[act] for member in access.groups.get(each, (each,)))


def _is(who: str, member: str) -> bool:
    """Return whether `who` is a member of that name. A shared token is nobody, unless the block names it."""
    if not who or not member or ":" in member:
        return bool(who) and who == member
    if ":" in who:
        return who == f"{SHARED_TOKEN}{member}"
    return who.casefold() == member.casefold()
