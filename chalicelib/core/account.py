"""Whose act it was: which names prove nothing, and how the timeline shows a person with the door. Pure.

An account is what a door has checked: `slack:T1/U1` (workspace and user), `token:ana` (the holder of a named token),
`pagerduty:PABC123`. `token:` alone is a shared token: the name beside it is only what the request says.
"""

from collections.abc import Collection, Mapping
from typing import Any
from unicodedata import normalize

SHARED_TOKEN = "token:"
_EVERYBODY = frozenset({"@here", "@channel", "@everyone"})


def is_reserved(name: str, programs: Collection[str]) -> bool:
    """Return whether a name is that of one of these programs, or a mention of everybody."""
    plain = " ".join(normalize("NFKC", name).casefold().split())
    return plain in _EVERYBODY or plain.removeprefix("@") in programs


def shown_by(line: Mapping[str, Any]) -> str:
    """Return who acted, for a line of a timeline as the API shows it; one of an earlier version has no door."""
    return with_door(line["by"] or "", line.get("via") or "", line.get("account") or "")


def with_door(by: str, via: str, account: str) -> str:
    """Return a person with the door of the act: `ana (slack)`; a shared token is named, since it proves no name."""
    door = "shared token" if account == SHARED_TOKEN else via
    return f"{by} ({door})" if by and door else by
