"""docs/api.md: every request on it exists, and every one that exists is on it; every command is understood."""

import re
import shlex

import pytest

import app
from cli.main import _parser
from tests.project import ROOT

PAGES = {name: (ROOT / "docs" / name).read_text(encoding="utf-8") for name in ("api.md", "history.md")}
ACTS = ("ack", "unack", "resolve", "keep", "note", "assign")


def test_the_page_has_every_request_and_no_other():
    """Methods and paths are those of app.py."""
    written = set(re.findall(r"`(GET|POST|PUT|DELETE) (/api/[^`?]*)`", PAGES["api.md"]))
    there = {
        (method, path.replace("{act}", act))
        for path, methods in app.app.routes.items()
        if path.startswith("/api/")
        for method in methods
        for act in (ACTS if "{act}" in path else ("",))
    }
    assert written == there


COMMANDS = [
    line
    for page in PAGES.values()
    for line in (*re.findall(r"^tocsin [^\n>]+", page, re.MULTILINE), *re.findall(r"\| `(tocsin [^`]+)`", page))
]


@pytest.mark.parametrize("line", COMMANDS)
def test_every_command_on_the_pages_is_understood(line):
    """The words and options exist."""
    words = shlex.split(line)[1:]
    assert _parser(words).parse_args(words)


def test_the_commands_are_found():
    """The pages have some."""
    assert len(COMMANDS) > 12
