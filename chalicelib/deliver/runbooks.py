"""The packaged pages of runbook/, as far as notifications show them: title, and first steps of the Diagnosis list.

`chalicelib/runbook` is a symlink to the pages at the root, so that they are shipped with the code.
"""

import re
from functools import lru_cache
from pathlib import Path

from chalicelib.core.delivery.notification import Runbook

FOLDER = Path(__file__).parents[1] / "runbook"
SECTION = "diagnosis"
MAX_STEPS = 3
MAX_PAGE_BYTES = 200_000
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,99}")
_HEADING = re.compile(r"(#{1,6})\s+(.*?)\s*#*\s*")
_ITEM = re.compile(r"( *)(?:\d{1,3}[.)]|[-*+])\s+(.*)")
_MARKS = (
    (re.compile(r"!?\[([^\]]*)\]\([^)]*\)"), r"\1"),
    (re.compile(r"(\*\*|__)(?=\S)(.+?)(?<=\S)\1"), r"\2"),
    (re.compile(r"(?<![\w`*])\*(?=\S)([^*`]+?)(?<=\S)\*(?![\w*])"), r"\1"),
    (re.compile(r"`+([^`]+)`+"), r"\1"),
    (re.compile(r"<(https?://[^>\s]+)>"), r"\1"),
)


def find(name: str, folder: Path = FOLDER, base_url: str = "") -> Runbook | None:
    """Return the page `<name>.md` of the folder; None when there is none. `base_url` is where people read the pages.

    A name that is an address is a page that only people can read.
    """
    if name.startswith("https://"):
        return Runbook(name, title="Runbook", url=name)
    return _find(name, Path(folder), base_url.rstrip("/"))


@lru_cache(maxsize=256)
def _find(name: str, folder: Path, base_url: str) -> Runbook | None:
    if not _NAME.fullmatch(name):
        return None
    try:
        with (folder / f"{name}.md").open(encoding="utf-8", errors="replace") as page:
            lines = page.read(MAX_PAGE_BYTES).splitlines()
    except OSError:
        return None
    lines = _without_code_blocks(lines)
    url = f"{base_url}/{name}.md" if base_url else None
    return Runbook(name, title=_title(lines) or name, steps=tuple(_steps(lines)[:MAX_STEPS]), url=url)


def _without_code_blocks(lines: list[str]) -> list[str]:
    """Remove fenced blocks: commands are too long for a message, and a `#` in them is no heading."""
    kept, fence = [], ""
    for line in lines:
        mark = line.strip()[:3]
        if mark in ("```", "~~~") and fence in ("", mark):
            fence = "" if fence else mark
        elif not fence:
            kept.append(line)
    return kept


def _title(lines: list[str]) -> str:
    headings = (_HEADING.fullmatch(line) for line in lines)
    return next((plain(found[2]) for found in headings if found and len(found[1]) == 1), "")


def _steps(lines: list[str]) -> list[str]:
    """Return the items of the first list under the heading Diagnosis; what is nested or continued belongs to its item."""
    steps: list[str] = []
    depth = None
    for line in _section(lines):
        item = _ITEM.fullmatch(line)
        if item and (depth is None or len(item[1]) <= depth):
            depth = len(item[1])
            steps.append(item[2])
        elif steps and line.strip() and not item and line.startswith(" "):
            steps[-1] += f" {line.strip()}"
        elif steps and line.strip() and not line.startswith(" "):
            break
    return [found for found in map(plain, steps) if found]


def _section(lines: list[str]) -> list[str]:
    found: list[str] = []
    level = 0
    for line in lines:
        heading = _HEADING.fullmatch(line)
        if heading and level and len(heading[1]) <= level:
            break
        if level and not heading:
            found.append(line)
        if heading and not level and heading[2].strip().lower() == SECTION:
            level = len(heading[1])
    return found


def plain(text: str) -> str:
    """Return the text without Markdown's marks."""
    for mark, kept in _MARKS:
        text = mark.sub(kept, text)
    return " ".join(text.split())
