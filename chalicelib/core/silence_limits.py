"""How large one silence may be: the API, Slack, the command line and the simulation all check it here.

Every silence is part of the one item that every decision reads, so none may take the room of the others. Of what people
change later, a silence keeps the newest changes in short form.
"""

from collections.abc import Sequence
from dataclasses import replace

from chalicelib.core.context import Silence, SilenceChange
from chalicelib.core.errors import RequestError
from chalicelib.core.match import Matcher

MAX_MATCHERS = 32
MAX_LABEL_CHARACTERS = 100
MAX_VALUE_CHARACTERS = 2_000
MAX_MATCHERS_BYTES = 3_000
"""Of all matchers together, one a line: what the form in Slack holds."""
MAX_COMMENT_CHARACTERS = 1_000
MAX_NAME_CHARACTERS = 100
"""Of an id, and of the name of a person."""
MAX_CHANGES = 10
MAX_CHANGE_CHARACTERS = 300


def check_silence(silence: Silence) -> None:
    """Raise RequestError when a part of the silence is too large; the text says which, and what is allowed."""
    check_matchers_size(silence.matchers)
    _check_length("the id", silence.id, MAX_NAME_CHARACTERS)
    _check_length("`by`", silence.by, MAX_NAME_CHARACTERS)
    _check_length("the comment", silence.comment, MAX_COMMENT_CHARACTERS)


def check_matchers_size(matchers: Sequence[Matcher]) -> None:
    """Raise RequestError when there are too many matchers, or one or all of them are too long."""
    if len(matchers) > MAX_MATCHERS:
        raise RequestError(f"{len(matchers)} matchers are too many; allowed are {MAX_MATCHERS}")
    for each in matchers:
        _check_length(f"the label {each.label[:20]}…", each.label, MAX_LABEL_CHARACTERS)
        _check_length(f"the value for {each.label}", each.value, MAX_VALUE_CHARACTERS)
    size = len("\n".join(each.written() for each in matchers).encode("utf-8", "surrogatepass"))
    if size > MAX_MATCHERS_BYTES:
        raise RequestError(f"the matchers have {size:,} bytes together; allowed are {MAX_MATCHERS_BYTES:,}")


def _check_length(what: str, text: str, most: int) -> None:
    if len(text) > most:
        raise RequestError(f"{what} has {len(text):,} characters; allowed are {most:,}")


def with_change(silence: Silence, change: SilenceChange) -> tuple[SilenceChange, ...]:
    """Return the newest changes of the silence, the given one last. Only that one keeps the matchers from before."""
    older = (replace(each, before=()) for each in silence.changes)
    return (*older, replace(change, text=_cut(change.text)))[-MAX_CHANGES:]


def _cut(text: str) -> str:
    return text if len(text) <= MAX_CHANGE_CHARACTERS else text[: MAX_CHANGE_CHARACTERS - 1] + "…"
