"""Messages of a topic that are neither an alarm nor an event of AWS: anybody's JSON, and texts.

JSON is read as that of a declared source without an entry (`_generic.py`), with the subject of the message where it has no
title. A text fires, unless its subject or its first line has another state. What both are about is less their state.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from chalicelib.core.event import Event, Status
from chalicelib.core.payload import coerce
from chalicelib.sources._aws_posted import Posted, topic_name
from chalicelib.sources._generic import USUAL, Entry, Reading
from chalicelib.sources._generic_paths import pairs
from chalicelib.sources._generic_words import ENDS, FIRES, INFORMS, severity_of, status_of

MAX_TITLE_OF_CONTENT = 120
MAX_CONTENT_DEPTH = 8
_SHOWN = frozenset({"title", "status", "state", "severity"})
"""Fields that every message to people shows by itself."""
_NAMELESS = frozenset({"value", "values", "val", "v", "text", "data", "plain", "raw", "content"})
"""Keys that say nothing of what is below them; the name above does."""
FIELDS: Mapping[str, Any] = {
    **USUAL,
    "title": "title || name || subject || Subject || summary || message || text",
    "occurred_at": f"{USUAL['occurred_at']} || Timestamp",
}
"""The usual names, with those of what SNS puts around a message."""


class Message(Reading):
    """JSON of a topic: what no usual name finds is shown as it is, and fires."""

    default_kind = "message"

    def fits(self, titled: str) -> bool:
        """Return True: a topic has no entry that its message could miss."""
        return True

    def untitled(self, kind: str) -> str:
        """Return the first field of the content: one, since the masks know a line by one name."""
        return coerce.cut(next(_content(self.item), ""), MAX_TITLE_OF_CONTENT) or f"A message of {self.entry.source}"

    def summary(self) -> str:
        """Return the text below the title, else the content that is not shown beside it."""
        rest = {key: value for key, value in self.item.items() if key not in _SHOWN}
        return super().summary() or coerce.text("\n".join(_content(rest)), coerce.MAX_SUMMARY_CHARACTERS)


def of_object(payload: Mapping[str, Any], own: str, posted: Posted, received_at: datetime) -> Event:
    """Return the event of JSON by the names that most use."""
    entry = Entry({**FIELDS, "source": own}, posted.at or received_at)
    outer = {"Subject": posted.subject, "Timestamp": posted.at.isoformat() if posted.at else None}
    found = entry.event(payload, outer, Message)
    return replace(
        found,
        id=coerce.bounded(posted.id or found.id, 200),
        identity=coerce.bounded(f"message:{posted.topic}:{found.identity}"),
        labels=coerce.labels([("topic", posted.topic), *found.labels.items()]),
        ends_also=(),
    )


def _content(value: Any, name: str = "", depth: int = 0) -> Iterator[str]:
    """Yield `name: value` of each value that says something.

    The last part of a name shows the masks whether a value is a secret: a list has the name of its key, a pair
    (`{"name": "TOKEN", "value": …}`) that of its name, and `{"secret": {"value": …}}` that of the table.
    """
    if depth > MAX_CONTENT_DEPTH:
        return
    if isinstance(value, dict):
        pair = list(pairs([value])) if len(value) == 2 else []
        for key, each in pair or value.items():
            part = coerce.line(key, coerce.MAX_NAME_CHARACTERS)
            inner = name if part.lower() in _NAMELESS and name else f"{name}.{part}" if name else part
            yield from _content(each, inner, depth + 1)
    elif isinstance(value, list):
        for each in value:
            yield from _content(each, name, depth + 1)
    elif said := coerce.line(value):
        yield f"{name or 'value'}: {said}"


# ---------------------------------------------------------------------------------------------------------------------
# Texts

_BRACKETED = re.compile(r"\[ *([A-Za-z][A-Za-z_ -]{1,30}?) *(?:[:|][^\]]{0,40})?\]")
"""`[RESOLVED]`, `[FIRING:1]`, `[OK|prod]`."""
_LEADING = re.compile(
    r"\A\W{0,6}([A-Za-z][A-Za-z_-]{1,20})(?:\W{0,2}:\s*(?=\S)|\s+[-|\u2013\u2014]\s+|\W*$)"
    r"|\A\W{0,6}([A-Z]{2,20})\s+(?=\S*[a-z0-9])"
)
"""`OK: disk`, `Fixed - disk`, `OK` alone; without a sign in capitals before a word that is not: `** RECOVERY Host`."""
_INNER = re.compile(r"\bis ([A-Z]{2,20})\b")
"""`Host Alert: web1 is UP`: in capitals, since `no node is healthy` is no good news."""
_KNOWN = FIRES | ENDS | INFORMS


def of_text(text: str, own: str, posted: Posted, received_at: datetime) -> Event:
    """Return the event of a text. It fires, unless its subject or first line has another state."""
    first = posted.subject or coerce.head(text)
    said, about = _state(first)
    said = said or _state(coerce.head(text))[0]
    status = status_of(said, {})[0]
    title = first or f"A message of the topic {topic_name(posted.topic)}".strip()
    return coerce.made_event(
        id=posted.id or coerce.digest([text, posted.topic, posted.subject]),
        source=own,
        kind="message",
        status=status,
        severity=severity_of(said if status is Status.FIRING else None, {}, status),
        title=title,
        summary=text if text != title else "",
        occurred_at=posted.at or received_at,
        identity=f"message:{posted.topic}:{about}",
        labels=coerce.labels([("topic", posted.topic)]),
    )


def _state(line: str) -> tuple[str, str]:
    """Return the word for a state in a line, empty where it has none, and the line without its states."""
    words: list[str] = []
    for pattern in (_BRACKETED, _LEADING, _INNER):
        known = (each for each in pattern.finditer(line) if _word(each) in _KNOWN)
        if found := next(known, None):
            words.append(_word(found))
            line = f"{line[: found.start()]} {line[found.end() :]}"
    return (words[0], " ".join(line.split()).strip(" *:|-\u2013\u2014")) if words else ("", line)


def _word(found: re.Match[str]) -> str:
    return str(found[1] or found[2]).lower() if found.re is _LEADING else str(found[1]).lower()
