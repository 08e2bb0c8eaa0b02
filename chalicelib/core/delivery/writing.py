"""Texts for people: cleaned, on one line, cut on a word; times and durations in words. Nothing here is escaped.

Text from outside loses control characters, halves of surrogate pairs and the marks that turn the writing direction.
"""

import unicodedata
from bisect import bisect_right
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

ELLIPSIS = "…"
MAX_TEXT_CHARACTERS = 50_000
"""More of one text is not even looked at: no target shows as much."""
_ZERO_WIDTH_JOINER = "\u200d"
_DROPPED = frozenset("\u200b\u2060\ufeff\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_LINE_BREAKS = frozenset("\n\r\u2028\u2029\x0b\x0c\x85")


def utf16_units(text: str) -> int:
    """Return the length as JavaScript and Java count it: never less than the number of characters."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def clean(text: str) -> str:
    """Return the text without what could disturb a reader or a parser; line breaks become `\\n`, tabs a space."""
    if text.isprintable():
        return text.strip()
    found = []
    for character in text[:MAX_TEXT_CHARACTERS].replace("\r\n", "\n"):
        if character in _LINE_BREAKS:
            found.append("\n")
        elif character == "\t":
            found.append(" ")
        elif "\ud800" <= character <= "\udfff":
            found.append("\ufffd")
        elif character not in _DROPPED and unicodedata.category(character) != "Cc":
            found.append(character)
    return "".join(found).strip()


def one_line(text: str) -> str:
    """Return the cleaned text on one line, runs of white space as one space."""
    return " ".join(clean(text).split())


def cut(text: str, limit: int, measure: Callable[[str], int] = utf16_units) -> str:
    """Return the text, or as many whole words of it as fit `limit` with an ellipsis.

    `measure` must add up over the characters of a text, and count each as one at least. A first word over the limit
    is cut inside, but never inside a character that people see as one (an emoji, a letter with its accent).
    """
    if measure(text) <= limit:
        return text
    text = text[: limit + 1]
    room = limit - measure(ELLIPSIS)
    end = bisect_right(range(1, len(text)), room, key=lambda count: measure(text[:count]))
    end = _character_start(text, end)
    if not text[end].isspace():
        end = _word_start(text, end)
    return text[:end].rstrip() + ELLIPSIS if end > 0 else ""


def _word_start(text: str, end: int) -> int:
    """Return the start of the word around `end`; `end` itself when that would lose more than half."""
    for place in range(end, end // 2, -1):
        if text[place - 1].isspace():
            return place
    return end


def _character_start(text: str, end: int) -> int:
    """Return the start of the visible character around `end`; bounded, since piled accents never end."""
    lowest = max(0, end - 32)
    while end > lowest and (_joins(text[end]) or text[end - 1] == _ZERO_WIDTH_JOINER):
        end -= 1
    flags = 0
    while flags < end - lowest and _is_flag_letter(text[end - 1 - flags]):
        flags += 1
    return end - 1 if flags % 2 and _is_flag_letter(text[end]) else end


def _joins(character: str) -> bool:
    return (
        character == _ZERO_WIDTH_JOINER
        or "\U0001f3fb" <= character <= "\U0001f3ff"
        or "\U000e0020" <= character <= "\U000e007f"
        or unicodedata.category(character) in ("Mn", "Me", "Mc")
    )


def _is_flag_letter(character: str) -> bool:
    return "\U0001f1e6" <= character <= "\U0001f1ff"


def local_time(at: datetime, timezone: str) -> str:
    """Return `24 Nov 2026, 09:14 CET`: the wall time with its zone. A zone that does not exist is UTC."""
    try:
        zone = ZoneInfo(timezone)
    except (KeyError, ValueError, OSError):
        zone, timezone = ZoneInfo("UTC"), "UTC"
    local = at.astimezone(zone)
    name = local.tzname() or timezone
    return f"{local.day} {_MONTHS[local.month - 1]} {local:%Y, %H:%M} {name if name.isalpha() else timezone}"


_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def duration_words(duration: timedelta) -> str:
    """Return `40 s`, `12 min`, `3 h 5 min`, `2 d 4 h`: the two largest units."""
    seconds = max(0, round(duration.total_seconds()))
    if seconds < 60:
        return f"{seconds} s"
    minutes = seconds // 60
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    days, hours = divmod(hours, 24)
    return f"{days} d {hours} h" if hours else f"{days} d"


def counted_list(values: Sequence[str], limit: int) -> str:
    """Return the first values and how many more there are: `a, b, c and 4 more`."""
    more = len(values) - limit
    return ", ".join(values[:limit]) + (f" and {more} more" if more > 0 else "")
