"""The project's Markdown: its links lead somewhere, and the commands that it names exist."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted(
    [*ROOT.glob("*.md"), *(page for name in ("docs", "runbook", "bench") for page in (ROOT / name).rglob("*.md"))]
)
FENCED = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\]\(\s*<?([^)\s>]+)")
HEADING = re.compile(r"^#+\s+(.*?)\s*$", re.MULTILINE)
OUTSIDE = re.compile(r"[a-z][a-z0-9+.-]*:", re.IGNORECASE)


def name_of(page: Path) -> str:
    """The path from the root, with slashes."""
    return page.relative_to(ROOT).as_posix()


def anchors(text: str) -> set[str]:
    """The anchors that GitHub gives the headings of a page."""
    headings = HEADING.findall(FENCED.sub("", text))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def broken(page: Path, text: str) -> Iterator[str]:
    """The relative links of a page that lead nowhere."""
    for link in LINK.findall(FENCED.sub("", text)):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if OUTSIDE.match(link) or (target == page and anchor in anchors(text)):
            continue
        there = target.is_relative_to(ROOT) and target.exists()
        if not there or (anchor and anchor not in anchors(target.read_text(encoding="utf-8"))):
            yield link


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_relative_link_leads_somewhere(page):
    """A link to a file or a heading of the project finds it there."""
    assert list(broken(page, page.read_text(encoding="utf-8"))) == []


def test_broken_links_are_found():
    """The reader of links sees a missing file, a missing heading and a way out of the project, and nothing else."""
    text = "# A b\n[a](README.md) [b](#a-b) [c](https://x.example) [d](none.md) [e](README.md#none) [f](../x.md)"
    assert list(broken(ROOT / "page.md", text)) == ["none.md", "README.md#none", "../x.md"]


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_command_exists(page):
    """`tocsin NAME` and `make NAME` are commands; files of bench/ and tests/ that are named are there."""
    text = page.read_text(encoding="utf-8")
    commands = {path.stem.replace("_", "-") for path in (ROOT / "cli").glob("*.py") if "def run(" in path.read_text()}
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"(?:`|bin/|^)tocsin ([a-z][a-z-]*)", text, re.MULTILINE)) <= commands
    assert set(re.findall(r"(?:`|^)make ([a-z][a-z-]*)", text, re.MULTILINE)) <= targets
    assert [name for name in re.findall(r"(?:bench|tests)/[\w/]+\.py", text) if not (ROOT / name).exists()] == []
