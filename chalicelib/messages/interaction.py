"""What a person asked for in Slack, and its form on the notifications queue. Shared by the door, the message's buttons
and the worker that acts; on the cold path, so it imports only the standard library.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from chalicelib.core.errors import ParseError

VERSION = 1
COMMAND = "/tocsin"

ACTION_ACK = "tocsin_ack"
ACTION_UNACK = "tocsin_unack"
ACTION_RESOLVE = "tocsin_resolve"
ACTION_KEEP = "tocsin_hold"
ACTION_SILENCE = "tocsin_silence"
ACTION_UNSILENCE = "tocsin_unsilence"
ACTION_ROLL_BACK = "tocsin_roll_back"
ACTION_ROLL_BACK_CONFIRMED = "tocsin_roll_back_confirmed"
ACTION_LINK = "tocsin_link"
"""Action ids. Buttons carry the incident's id as `value`, a rollback `<incident id>:<deploy id>`, its confirmation
`<incident id>:<id of the deployment that is live, or ->:<deploy id>`; options of the menu carry `<choice>:<incident id>`."""

KINDS: Mapping[str, str] = {
    ACTION_ACK: "ack",
    ACTION_UNACK: "unack",
    ACTION_RESOLVE: "resolve",
    ACTION_KEEP: "keep",
    ACTION_SILENCE: "silence",
    ACTION_UNSILENCE: "unsilence",
    ACTION_ROLL_BACK: "roll_back",
    ACTION_ROLL_BACK_CONFIRMED: "roll_back_confirmed",
}
"""The kind of an interaction by the action id of its button or menu."""

ANSWER = "answer"
"""The kind of an interaction that only carries words for a person, who was answered before."""

SILENCE_CHOICES = (("1h", "1 hour"), ("4h", "4 hours"), ("tomorrow", "Until tomorrow, 9:00"), ("custom", "Custom…"))
SILENCE_MODAL = "tocsin_silence_modal"


@dataclass(frozen=True, slots=True)
class Interaction:
    """`kind` is one of KINDS, or `silence_opened` (fill the modal), `silence_asked` (its submission), `command`, ANSWER.

    `user` is Slack's id of the person, `name` what Slack's request called them. `team` is the id of their workspace or, on
    Enterprise Grid, of their organisation; `enterprise` that of the organisation of their workspace; `workspace` where it
    was done. `words` is what was chosen or typed; `fields` are those of the modal. `reply_to` is the request's response_url: five answers within 30 minutes.
    """

    id: str
    kind: str
    user: str
    at: datetime
    name: str = ""
    team: str = ""
    enterprise: str = ""
    workspace: str = ""
    incident: str = ""
    words: str = ""
    fields: Mapping[str, str] = field(default_factory=dict)
    channel: str = ""
    view: str = ""
    view_hash: str = ""
    reply_to: str = ""


def written(interaction: Interaction) -> str:
    """Return the message that carries it."""
    names = interaction.__dataclass_fields__
    found = {name: getattr(interaction, name) for name in names if getattr(interaction, name)}
    form = {"v": VERSION, "type": "interaction", **found, "at": interaction.at.timestamp()}
    return json.dumps(form, separators=(",", ":"))


def read(form: Mapping[str, Any]) -> Interaction:
    """Return the interaction of a message that was read as JSON; raises ParseError when it is not one."""
    try:
        known = {name: form[name] for name in Interaction.__dataclass_fields__ if name in form}
        fields = {str(name): str(value) for name, value in known.pop("fields", {}).items()}
        at = datetime.fromtimestamp(known.pop("at"), UTC)
        return Interaction(**{name: str(value) for name, value in known.items()}, fields=fields, at=at)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError, OSError) as error:
        raise ParseError(f"an interaction lacks or garbles a field ({type(error).__name__})") from None
