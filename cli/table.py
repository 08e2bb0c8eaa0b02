"""Tables, times and colours for people at a terminal."""

import json
import os
import shutil
import sys
import unicodedata
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, TextIO

from chalicelib.core.instants import RFC3339

GAP = "  "
MIN_LAST_COLUMN = 12
COLOURS = {"critical": "31", "warning": "33", "firing": "1", "head": "2"}
_UNITS = (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1))


def print_table(heads: Sequence[str], rows: Sequence[Sequence[str]], *, out: TextIO | None = None) -> None:
    """Columns under their heads, as wide as they must be; the last one is cut to what the terminal has left."""
    out = out or sys.stdout
    widths = [max(width(row[column]) for row in (heads, *rows)) for column in range(len(heads))]
    if out.isatty():
        left = shutil.get_terminal_size().columns - sum(widths[:-1]) - len(GAP) * (len(widths) - 1)
        widths[-1] = max(MIN_LAST_COLUMN, min(widths[-1], left))
    print(coloured(_line(heads, widths), "head", out), file=out)
    for row in rows:
        severity = next((cell for cell in row if cell in COLOURS), "")
        print(coloured(_line(row, widths), severity, out), file=out)


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    return GAP.join(_fitted(clean(cell), size) for cell, size in zip(row, widths, strict=True)).rstrip()


def _fitted(text: str, size: int) -> str:
    while width(text) > size:
        text = text[:-2] + "…"
    return text + " " * (size - width(text))


def width(text: str) -> int:
    """The cells that a text takes on a terminal."""
    return sum(
        0 if unicodedata.combining(each) else 2 if unicodedata.east_asian_width(each) in "WF" else 1 for each in text
    )


def clean(text: str) -> str:
    """The text on one line, without what could steer a terminal: it comes from outside."""
    return "".join(each if each.isprintable() else " " for each in text)


def coloured(text: str, name: str, out: TextIO | None = None) -> str:
    """The text in the colour of a severity, where that can be seen and NO_COLOR does not forbid it."""
    out = out or sys.stdout
    if name not in COLOURS or not out.isatty() or os.environ.get("NO_COLOR"):
        return text
    return f"\x1b[{COLOURS[name]}m{text}\x1b[0m"


def print_json(value: Any) -> None:
    """For tools."""
    print(json.dumps(value, indent=2, ensure_ascii=False))


def ago(at: str | None, now: datetime | None = None) -> str:
    """How long ago an RFC 3339 time was, in its two largest units: `2h 5m`."""
    if not at:
        return ""
    seconds = round(((now or datetime.now(UTC)) - instant(at)).total_seconds())
    return ("in " if seconds < 0 else "") + span(abs(seconds))


def span(seconds: int) -> str:
    """A duration as people say it: its largest unit, and the next one where that still matters."""
    for place, (unit, size) in enumerate(_UNITS):
        if seconds >= size:
            smaller = seconds % size // _UNITS[place + 1][1] if unit != "s" and seconds < 10 * size else 0
            return f"{seconds // size}{unit}" + (f" {smaller}{_UNITS[place + 1][0]}" if smaller else "")
    return "0s"


def clock(at: str | None) -> str:
    """An RFC 3339 time by this machine's clock: `26 Nov 12:00:05`."""
    return f"{instant(at).astimezone():%d %b %H:%M:%S}" if at else ""


def zoned(at: str) -> str:
    """Return an RFC 3339 time by this machine's clock, with its zone: `26 Nov 12:00:05 CET`."""
    return f"{instant(at).astimezone():%d %b %H:%M:%S %Z}"


def localized(text: str) -> str:
    """Return the text with each RFC 3339 instant by this machine's clock."""
    return RFC3339.sub(lambda found: clock(found[0]), text)


def instant(at: str) -> datetime:
    """An RFC 3339 time."""
    return datetime.fromisoformat(at.replace("Z", "+00:00"))


def labels(given: Mapping[str, str]) -> str:
    """`service=api environment=production`"""
    return " ".join(f"{name}={value}" for name, value in sorted(given.items()))
