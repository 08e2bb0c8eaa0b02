"""The state and severity of a declared source: by the entry's own words, then by usual ones."""

from collections.abc import Mapping
from typing import Any

from chalicelib.core.event import NO_STATUS, Severity, Status
from chalicelib.core.payload import coerce
from chalicelib.core.payload.state_words import FAULT, FINE

MAX_WORD_CHARACTERS = 60

FIRES = FAULT | {
    "alert", "trigger", "re-triggered", "renotify", "open", "opened", "warn", "re-warn", "err", "fail", "problem", "bad",
    "active", "activated", "new", "created", "true", "raised", "fired", "no data", "re-no data", "in_alarm",
}  # fmt: skip
ENDS = FINE | {
    "resolve", "closed", "close", "inactive", "clear", "false", "good", "done", "mended", "warn recovered",
    "no data recovered", "deactivated", "paid",
}  # fmt: skip
INFORMS = frozenset([
    "info", "information", "informational", "notice", "debug", "test", "ping", "pending", "queued", "waiting",
    "running", "in_progress", "in progress", "requested", "scheduled", "maintenance", "paused", "skipped", "muted",
    "silenced", "suppressed", "canceled", "cancelled", "acknowledged", "acked", "update", "updated", "insufficient_data",
    "neutral", "stale", "manual", "unconfirmed",
])  # fmt: skip
"""Words that say neither that something is broken nor that it is well: no one need be asked about them."""


def word_of(value: Any) -> str:
    """Return the word in small letters. `none` is a word here: some senders mean by it that all is well."""
    return coerce.spelled(value, MAX_WORD_CHARACTERS).lower()


def meanings(table: Any) -> dict[str, str]:
    """Return the entry's own words with what they mean, both in small letters."""
    named = ((word_of("null" if key is None else key), str(each).lower()) for key, each in coerce.table(table).items())
    return {word: meant for word, meant in named if word}


def status_of(value: Any, own: Mapping[str, str], *, is_lacking: bool = False) -> tuple[Status, str]:
    """Return the status, and the word where neither the entry nor the usual ones know it.

    An empty field fires, and so does a number that the entry does not name: no number means the same to two senders. A word
    that nobody knows is information, and is reported. `is_lacking` says that the body has no field where the entry looks: so
    it is with bodies that are about something else, which are information and reported too.
    """
    word = word_of(value)
    if not word and is_lacking:
        return Status.INFO, NO_STATUS
    meant = own.get(word, word)
    if meant in INFORMS:
        return Status.INFO, ""
    if not meant or meant in FIRES:
        return Status.FIRING, ""
    if meant in ENDS:
        return Status.RESOLVED, ""
    return (Status.FIRING if _is_number(word) else Status.INFO), word


def _is_number(word: str) -> bool:
    return word.replace(".", "", 1).removeprefix("-").isdigit()


def severity_of(value: Any, own: Mapping[str, str], status: Status) -> Severity:
    """Return how bad it is: by the entry's own words, then by usual ones."""
    default = Severity.INFO if status is Status.INFO else Severity.WARNING
    return coerce.severity(own.get(word_of(value), value), default=default)
