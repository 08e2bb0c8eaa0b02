"""What a person who acted in Slack is answered, from the result of the act. Pure; Slack's mrkdwn."""

from chalicelib.core.event import Action, ActionKind
from chalicelib.core.outcome import Outcome, Result, sentence
from chalicelib.slack.command import dated, said

MAX_CHARACTERS = 600
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
    ActionKind.NOTE: "📝 Noted on `{id}`.",
}


def answered(found: Outcome, act: Action) -> str:
    """Return what the person who acted is answered."""
    if found.result is Result.DONE and not found.still:
        return _DONE[act.kind].format(id=found.id, note=said(act.note))
    text = dated(said(sentence(found, act), MAX_CHARACTERS))
    return f"{_MARKS.get(found.result, '⚠️')} {text[:1].upper()}{text[1:]}."
