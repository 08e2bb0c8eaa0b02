"""What `tocsin check` doubts in the pages of a runbook: missing headings, dead links, and reviews that are long ago.

Pages directly in the folder are those of alerts: they have the four headings. README.md is the index. Pages in folders
below are procedures, such as runbook/app/deployment.md, and have headings of their own.

A page says at its top who keeps it and when it was last read against reality, as front matter or as lines before its
first section: `owner: Platform team` and `reviewed: 2026-12-01`. Once one page of a folder has either, all need both.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from chalicelib.core.language.tokens import nearest
from chalicelib.rules.file import Mistake
from chalicelib.rules.file.outside import HEADINGS, missing_headings

INDEX = "README.md"
REVIEW_MONTHS = 6
ONE_DAY = timedelta(days=1)
"""Somewhere it is tomorrow already: a review of tomorrow is not in the future."""
_FENCES = ("```", "~~~")
_FRONT_MATTER = "---"
_FIELD = re.compile(r"[\s>*_-]*(owner|last review(?:ed)?|reviewed)[*_]*\s*:[*_]*\s*(.*?)[*_.\s]*", re.IGNORECASE)
_HEADING = re.compile(r"(#{1,6})\s+(.*?)\s*#*\s*")
_CODE = re.compile(r"(`+)(?!`).*?(?<!`)\1(?!`)")
_INLINE = re.compile(r"\]\(\s*(?:<([^>]*)>|((?:[^()\s]|\([^()\s]*\))*))(?:\s+(?:\"[^\"]*\"|'[^']*'))?\s*\)")
_DEFINED = re.compile(r" {0,3}\[[^\]^][^\]]*\]:\s*(?:<([^>]*)>|(\S+))")
_BARE = re.compile(r"<(https?:[^>\s]*)>()")
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*:", re.IGNORECASE)
_HOST = re.compile(r"[a-z0-9_]([a-z0-9_.-]*[a-z0-9])?|[0-9a-f:.]+", re.IGNORECASE)
_ANCHOR = re.compile(r"""<a\s[^>]*?(?:id|name)=["']([^"']+)""", re.IGNORECASE)
_LINK_TEXT = re.compile(r"!?\[([^\]]*)\]\([^)]*\)")

Line = tuple[int, str]


class Doubt(NamedTuple):
    """Something doubtful in a page."""

    line: int
    column: int
    what: str
    allowed: str = ""
    suggestion: str = ""


@dataclass(frozen=True, slots=True)
class Page:
    """One page: its path from the folder, and its lines with their numbers. Blocks of code are left out."""

    name: str
    text: str
    front_matter: tuple[Line, ...]
    lines: tuple[Line, ...]

    @property
    def is_of_an_alert(self) -> bool:
        """Return whether the page is what an alert leads to."""
        return "/" not in self.name and self.name != INDEX

    def fields(self) -> dict[str, tuple[int, str]]:
        """Return `owner` and `reviewed` with their lines."""
        found: dict[str, tuple[int, str]] = {}
        for number, line in (*self.front_matter, *self._top()):
            if field := _FIELD.fullmatch(line):
                name = "owner" if field[1].lower() == "owner" else "reviewed"
                found.setdefault(name, (number, field[2]))
        return found

    def _top(self) -> Iterator[Line]:
        """Yield the lines before the first section."""
        for number, line in self.lines:
            heading = _HEADING.fullmatch(line)
            if heading and len(heading[1]) > 1:
                return
            yield number, line


def page_of(name: str, text: str) -> Page:
    """Return a page of its text."""
    numbered = list(enumerate(text.splitlines(), 1))
    front: list[Line] = []
    if numbered and numbered[0][1].strip() == _FRONT_MATTER:
        end = next((number for number, line in numbered[1:] if line.strip() == _FRONT_MATTER), 0)
        front, numbered = numbered[1 : max(end - 1, 0)], numbered[end:]
    return Page(name, text, tuple(front), tuple(_without_code(numbered)))


def _without_code(lines: list[Line]) -> Iterator[Line]:
    fence = ""
    for number, line in lines:
        mark = line.strip()[:3]
        if mark in _FENCES and fence in ("", mark):
            fence = "" if fence else mark
        elif not fence:
            # The places of what follows stay.
            yield number, _CODE.sub(lambda found: " " * len(found[0]), line)


def doubts_of(folder: Path, today: date) -> list[Mistake]:
    """Return what is doubtful in the pages of a folder and the folders below it, by page and line."""
    files = sorted(folder.rglob("*.md")) if folder.is_dir() else []
    pages = [
        page_of(path.relative_to(folder).as_posix(), path.read_text(encoding="utf-8", errors="replace"))
        for path in files
    ]
    is_kept = any(page.fields() for page in pages)
    look = _Look(folder, {page.name: page for page in pages})
    return [
        Mistake(*found, kind="warning", file=str(folder / page.name))
        for page in pages
        for found in sorted(
            (*_heading_doubts(page), *_review_doubts(page, today, is_kept=is_kept), *link_doubts(page, look.why))
        )
    ]


def _heading_doubts(page: Page) -> Iterator[Doubt]:
    if page.is_of_an_alert and (missing := missing_headings(page.text)):
        allowed = f"the headings {', '.join(HEADINGS)}; a procedure is in a folder below, such as app/"
        yield Doubt(_title_line(page), 1, f"the page lacks {', '.join(missing)}", allowed)


def _title_line(page: Page) -> int:
    return next((number for number, line in page.lines if _HEADING.fullmatch(line)), 1)


# ---------------------------------------------------------------------------------------------------------------------
# Reviews


def _review_doubts(page: Page, today: date, *, is_kept: bool) -> Iterator[Doubt]:
    fields = page.fields()
    if is_kept and not fields.get("owner", (0, ""))[1]:
        yield Doubt(
            fields.get("owner", (1, ""))[0], 1, "the page has no owner", "owner: a team or a person, at its top"
        )
    line, written = fields.get("reviewed", (1, ""))
    if written:
        yield from (Doubt(line, 1, *why) for why in _review_doubt(written, today))
    elif is_kept:
        yield Doubt(line, 1, "the page has no date of its last review", "reviewed: 2026-12-01, at its top")


def _review_doubt(written: str, today: date) -> Iterator[tuple[str, str]]:
    try:
        reviewed = date.fromisoformat(written)
    except ValueError:
        yield f"the date of the last review is {written[:40]!r}", "a date, such as 2026-12-01"
        return
    if reviewed > today + ONE_DAY:
        yield f"the last review, {reviewed}, is in the future", "the day on which somebody read the page"
    if reviewed < months_before(today, REVIEW_MONTHS):
        what = f"the last review was on {reviewed}, more than six months ago"
        yield what, "a newer one: read the page against reality, then set its date"


def months_before(day: date, months: int) -> date:
    """Return the day so many months earlier, or the last of its month."""
    year, month = divmod(day.year * 12 + day.month - 1 - months, 12)
    following = date(year + month // 11, (month + 1) % 12 + 1, 1)
    return min(date(year, month + 1, 1) + timedelta(days=day.day - 1), following - ONE_DAY)


# ---------------------------------------------------------------------------------------------------------------------
# Links


def link_doubts(page: Page, why: Callable[[Page, str], tuple[str, str]]) -> Iterator[Doubt]:
    """Yield the dead links of a page. `why`: what is wrong with one, and the nearest right one; two empty texts for none."""
    for number, line in page.lines:
        for pattern in (_INLINE, _DEFINED, _BARE):
            for found in pattern.finditer(line) if pattern is not _DEFINED else filter(None, [pattern.match(line)]):
                place = 1 if found[1] is not None else 2
                what, suggestion = why(page, found[place])
                if what:
                    yield Doubt(number, found.start(place) + 1, what, suggestion=suggestion)


class _Look:
    """Looks where links lead: files are looked for on the disk, addresses are looked at in form alone."""

    def __init__(self, folder: Path, pages: Mapping[str, Page]) -> None:
        self._folder, self._pages = folder, pages
        self._anchors = cache(self._anchors_in)

    def why(self, page: Page, link: str) -> tuple[str, str]:
        """Return why a link is dead, and the nearest right one."""
        if not link:
            return "a link leads nowhere: its address is empty", ""
        if link.startswith("//") or _SCHEME.match(link):
            return address_mistake(link), ""
        path, _, anchor = link.partition("#")
        path = unquote(path.partition("?")[0])
        here = self._folder / page.name
        there = self._at(here, path) if path else here
        if not _exists(there):
            return f"the link {link[:80]} leads to no file", self._near(here, path)
        if anchor and there.suffix == ".md" and unquote(anchor).lower() not in (anchors := self._anchors(there)):
            return f"the link {link[:80]} leads to no heading", nearest(anchor, anchors)
        return "", ""

    def _at(self, here: Path, path: str) -> Path:
        """Return the file that a path means: one that begins with / is below the folder that holds the runbook."""
        return self._folder.parent / path.lstrip("/") if path.startswith("/") else here.parent / path

    def _near(self, here: Path, path: str) -> str:
        below = here.parent.relative_to(self._folder)
        return nearest(path, [_from(below, name) for name in self._pages])

    def _anchors_in(self, path: Path) -> tuple[str, ...]:
        page = page_of("", path.read_text(encoding="utf-8", errors="replace"))
        return anchors_of(page)


def _from(below: Path, name: str) -> str:
    """Return the path of a page from a folder below the runbook."""
    if below == Path():
        return name
    inside = f"{below.as_posix()}/"
    return name.removeprefix(inside) if name.startswith(inside) else f"{'../' * len(below.parts)}{name}"


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):
        return False


def anchors_of(page: Page) -> tuple[str, ...]:
    """Return the anchors of a page: those that GitHub gives its headings, and its own."""
    found: list[str] = []
    counts: dict[str, int] = {}
    for heading in _headings(page.text):
        slug = re.sub(r"[^\w\- ]", "", _LINK_TEXT.sub(r"\1", heading).lower()).replace(" ", "-")
        counts[slug] = counts.get(slug, -1) + 1
        found.append(f"{slug}-{counts[slug]}" if counts[slug] else slug)
    return (*found, *(each.lower() for each in _ANCHOR.findall(page.text)))


def _headings(text: str) -> Iterator[str]:
    """Yield the headings of a text, with what they hold in code marks."""
    written = text.splitlines()
    for number, line in page_of("", text).lines:
        if _HEADING.fullmatch(line) and (heading := _HEADING.fullmatch(written[number - 1])):
            yield heading[2]


def address_mistake(link: str) -> str:
    """Return what is wrong with the form of an address. Nothing is asked for it."""
    try:
        parts = urlsplit(link)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return f"the link {link[:80]} is no address"
    if parts.scheme.lower() in ("http", "https", "") and not (host and _HOST.fullmatch(host)):
        return f"the link {link[:80]} names no host"
    return ""
