"""Lists in pages: a cursor is the sort key of the last row, so that what comes and goes moves no other row. Pure.

A row that is sorted elsewhere between two pages, because it got worse or ended, may be listed twice or left out.
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar

from chalicelib.core.errors import RequestError

MAX_CURSOR_CHARACTERS = 1_000
_FAR_MICROSECONDS = 10**18
Row = TypeVar("Row")
Other = TypeVar("Other")


@dataclass(frozen=True, slots=True)
class Paging:
    """Which page is asked for: the rows behind the cursor `after`, so many of them; without a limit all."""

    after: str = ""
    limit: int | None = None


ALL = Paging()


@dataclass(frozen=True, slots=True)
class Page(Generic[Row]):
    """Rows in order, how many there are on all pages, and the cursor of the next page."""

    rows: Sequence[Row]
    total: int
    next: str | None = None

    def with_rows(self, rows: Sequence[Other]) -> "Page[Other]":
        """Return the same page of what its rows are shown as."""
        return Page(rows, self.total, self.next)


def page(name: str, found: Iterable[Row], key: Callable[[Row], str], asked: Paging) -> Page[Row]:
    """Return the asked page of the list of that name, sorted by `key`, which is different for each row."""
    keyed = sorted(((key(row), row) for row in found), key=lambda each: each[0])
    start = _read(name, asked.after) if asked.after else ""
    rest = [each for each in keyed if each[0] > start] if asked.after else keyed
    rows = rest[: asked.limit]
    following = cursor(name, rows[-1][0]) if rows and len(rows) < len(rest) else None
    return Page([row for _, row in rows], len(keyed), following)


def cursor(name: str, key: str) -> str:
    """Return a sort key as text that clients give back unread."""
    return urlsafe_b64encode(f"{name}\0{key}".encode("utf-8", "surrogatepass")).decode().rstrip("=")


def _read(name: str, text: str) -> str:
    try:
        plain = urlsafe_b64decode(text[:MAX_CURSOR_CHARACTERS] + "==").decode("utf-8", "surrogatepass")
    except ValueError:
        plain = ""
    kind, found, key = plain.partition("\0")
    if not found or kind != name:
        raise RequestError("`after` is no cursor of this list; expected is the `next` of an answer")
    return key


def ascending(at: datetime | None) -> str:
    """Return an instant as text that sorts the oldest first."""
    return f"{_microseconds(at):019d}"


def descending(at: datetime | None) -> str:
    """Return an instant as text that sorts the newest first."""
    return f"{_FAR_MICROSECONDS - _microseconds(at):019d}"


def _microseconds(at: datetime | None) -> int:
    return round(at.timestamp() * 1_000_000) if at else 0
