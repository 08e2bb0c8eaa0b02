"""What a person who acted in Slack is answered, from the result of the act. Pure; Slack's mrkdwn."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from chalicelib.core.event import Action, ActionKind
from chalicelib.core.outcome import Outcome, Result, sentence
from chalicelib.slack.command import dated, said
from chalicelib.slack.rollback import Answered

MAX_CHARACTERS = 600


@dataclass(frozen=True, slots=True)
class Question:
    """An answer with a button that confirms; `text` is ready-made mrkdwn. `replaces` the message that was pressed.

    Without a label it is only an answer in that place.
    """

    text: str
    label: str = ""
    action: str = ""
    value: str = ""
    replaces: bool = False

    @property
    def blocks(self) -> list[Mapping[str, Any]]:
        """Return the text and the button as blocks."""
        text = {"type": "section", "text": {"type": "mrkdwn", "text": self.text, "verbatim": True}}
        if not self.label:
            return [text]
        label = {"type": "plain_text", "text": self.label, "emoji": True}
        button = {
            "type": "button",
            "action_id": self.action,
            "text": label,
            "value": self.value,
            "style": "danger",
        }
        return [text, {"type": "actions", "elements": [button]}]


_MARKS = {
    Result.ALREADY: "👀",
    Result.NOBODYS: "👐",
    Result.RESOLVED: "✅",
    Result.ENDED: "✅",
}
_DONE = {
    ActionKind.ACK: "👀 You have `{id}`.",
    ActionKind.UNACK: "👐 `{id}` is nobody's now.",
    ActionKind.RESOLVE: "✅ `{id}` is resolved.",
    ActionKind.REASSIGN: "👉 `{id}` is assigned to {note}.",
    ActionKind.KEEP: "⏳ `{id}` stays open until somebody resolves it, or it fires again.",
    ActionKind.NOTE: "📝 Noted on `{id}`.",
    ActionKind.ROLL_BACK: "⏪ The deployment before `{id}` is rolled back.",
}


def of_rollback(done: Answered) -> str:
    """Return what a person who pressed Roll back is answered."""
    text = dated(said(done.text, MAX_CHARACTERS))
    return f"{'⏪' if done.note and not done.failed else '⚠️'} {_begun(text)}"


def _begun(text: str) -> str:
    """Return a sentence with a capital, where it does not begin with an id."""
    return text[:1].upper() + text[1:] if text.partition(" ")[0].isalpha() else text


def answered(found: Outcome, act: Action) -> str:
    """Return what the person who acted is answered."""
    if found.result is Result.DONE and not found.still:
        return _DONE[act.kind].format(id=found.id, note=said(act.note))
    text = dated(said(sentence(found, act), MAX_CHARACTERS))
    return f"{_MARKS.get(found.result, '⚠️')} {_begun(text)}."
