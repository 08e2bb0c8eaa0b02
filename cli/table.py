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
MIN_COLUMN = 6
WIDE_COLUMNS = 10_000
STYLES = {"critical": "red", "warning": "yellow", "firing": "bold"}
COLOURS = {"critical": "31", "warning": "33", "firing": "1", "head": "2"}
_UNITS = (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1))


def print_table(
    heads: Sequence[str], rows: Sequence[Sequence[str]], *, out: TextIO | None = None, wide: bool = False
) -> None:
    """Print columns under their heads: at a terminal cut to its width, unless `wide`; for programs one line a row, whole."""
    out = out or sys.stdout
    if out.isatty():
        _print_at_terminal(heads, rows, out, wide=wide)
        return
    widths = [max(width(row[column]) for row in (heads, *rows)) for column in range(len(heads))]
    for row in (heads, *rows):
        print(_line(row, widths), file=out)


def _print_at_terminal(heads: Sequence[str], rows: Sequence[Sequence[str]], out: TextIO, *, wide: bool) -> None:
    """Print a table of rich, in the colours of severities unless NO_COLOR is set; the last column gives way first."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    columns = WIDE_COLUMNS if wide else shutil.get_terminal_size().columns
    no_color = bool(os.environ.get("NO_COLOR"))
    console = Console(file=out, width=columns, highlight=False, force_terminal=True, no_color=no_color)
    table = Table(box=None, pad_edge=False, padding=(0, len(GAP), 0, 0), header_style="dim", show_edge=False)
    widths = fitting(
        [max(width(clean(row[column])) for row in (heads, *rows)) for column in range(len(heads))], columns
    )
    for name, size in zip(heads, widths, strict=False):
        table.add_column(Text(name), no_wrap=True, overflow="ellipsis", width=size)
    for row in rows:
        severity = next((cell for cell in row if cell in COLOURS), "")
        table.add_row(*(Text(clean(cell)) for cell in row[: len(widths)]), style=STYLES.get(severity, ""))
    console.print(table)


def fitting(widths: Sequence[int], columns: int) -> list[int]:
    """Return widths that fit a terminal. The last column gives way first, then those before it; the rightmost are left out at last.

    The first column is never cut: it is what people copy, such as an id.
    """
    found = list(widths)
    for place in range(len(found) - 1, 0, -1):
        least = MIN_LAST_COLUMN if place == len(found) - 1 else MIN_COLUMN
        found[place] = max(min(least, found[place]), found[place] - _excess(found, columns))
    while len(found) > 1 and _excess(found, columns):
        found.pop()
    return found


def _excess(widths: Sequence[int], columns: int) -> int:
    """Return by how many cells columns with their gaps are wider than a terminal."""
    return max(0, sum(widths) + len(GAP) * len(widths) - columns)


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    return GAP.join(fitted(clean(cell), size) for cell, size in zip(row, widths, strict=True)).rstrip()


def fitted(text: str, size: int) -> str:
    """Return the text cut or filled to so many cells."""
    while width(text) > size:
        text = text[:-2] + "…"
    return text + " " * (size - width(text))


def width(text: str) -> int:
    """Return the cells that a text takes on a terminal."""
    return sum(
        0 if unicodedata.combining(each) else 2 if unicodedata.east_asian_width(each) in "WF" else 1 for each in text
    )


def clean(text: str) -> str:
    """Return the text on one line, without what could steer a terminal: it comes from outside."""
    return "".join(each if each.isprintable() else " " for each in text)


def coloured(text: str, name: str, out: TextIO | None = None) -> str:
    """Return the text in the colour of a severity, where that can be seen and NO_COLOR does not forbid it."""
    out = out or sys.stdout
    if name not in COLOURS or not out.isatty() or os.environ.get("NO_COLOR"):
        return text
    return f"\x1b[{COLOURS[name]}m{text}\x1b[0m"


def print_json(value: Any) -> None:
    """Print JSON, for tools."""
    print(json.dumps(value, indent=2, ensure_ascii=False))


def ago(at: str | None, now: datetime | None = None) -> str:
    """Return how long ago an RFC 3339 time was, in its two largest units: `2h 5m`."""
    if not at:
        return ""
    seconds = round(((now or utc_now()) - instant(at)).total_seconds())
    return ("in " if seconds < 0 else "") + span(abs(seconds))


def utc_now() -> datetime:
    """Return the time by this machine's clock."""
    return datetime.now(UTC)


def span(seconds: int) -> str:
    """Return a duration as people say it: its largest unit, and the next one where that still matters."""
    for place, (unit, size) in enumerate(_UNITS):
        if seconds >= size:
            smaller = seconds % size // _UNITS[place + 1][1] if unit != "s" and seconds < 10 * size else 0
            return f"{seconds // size}{unit}" + (f" {smaller}{_UNITS[place + 1][0]}" if smaller else "")
    return "0s"


def clock(at: str | None) -> str:
    """Return an RFC 3339 time by this machine's clock, with its zone: `26 Nov 12:00:05 CET`."""
    return f"{instant(at).astimezone():%d %b %H:%M:%S %Z}" if at else ""


def time_of_day(at: str) -> str:
    """Return the time of day of an RFC 3339 time by this machine's clock: `12:00:05`."""
    return f"{instant(at).astimezone():%H:%M:%S}"


def localized(text: str) -> str:
    """Return the text with each RFC 3339 instant by this machine's clock."""
    return RFC3339.sub(lambda found: clock(found[0]), text)


def instant(at: str) -> datetime:
    """Return an RFC 3339 time."""
    return datetime.fromisoformat(at.replace("Z", "+00:00"))


def labels(given: Mapping[str, str]) -> str:
    """Return `service=api environment=production`"""
    return " ".join(f"{name}={value}" for name, value in sorted(given.items()))
