"""What a person is answered about silences in Slack: what a new one mutes, and what ending one would end."""

from collections.abc import Mapping, Sequence
from typing import Any

from chalicelib.messages.interaction import COMMAND
from chalicelib.slack.command import escaped, silences_listed


def made(row: Mapping[str, Any], warnings: Sequence[str]) -> str:
    """Return the answer to a request for a silence."""
    return "\n".join((silences_listed([row]), *(f"⚠️ {escaped(each)}" for each in warnings[1:])))


def is_shown(row: Mapping[str, Any], incident: str) -> bool:
    """Return whether the message of an incident shows all that a silence mutes."""
    return {each["incident"] for each in row["mutes"]} == {incident}


def asks(row: Mapping[str, Any], incident: str) -> str:
    """Return the question before a silence is ended that mutes more than an incident; empty when it does not."""
    others = len({each["incident"] for each in row["mutes"]} - {incident})
    if not others:
        return ""
    incidents = "incident" if others == 1 else "incidents"
    return (
        f"{silences_listed([row])}\nIt is not ended, since it mutes {others:,} more {incidents}. "
        f"`{COMMAND} unsilence {row['id']}` ends it for all."
    )
