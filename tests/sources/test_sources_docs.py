"""docs/sources.md: every example on the page is run, and its tables name what there is."""

import json
import re
from pathlib import Path

import pytest

from chalicelib import plugins
from chalicelib.redact import redact_event
from chalicelib.rules.file import check, load
from chalicelib.sources import generic
from cli.parse import shown
from tests.sources.bodies import NOW

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "sources.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```([\w ]+)\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
EXAMPLES = [
    (rules, body, event)
    for (one, rules), (two, body), (three, event) in zip(BLOCKS, BLOCKS[1:], BLOCKS[2:], strict=False)
    if (one, two, three) == ("yaml", "json body", "json event")
]


def test_the_examples_are_found():
    """Each YAML block is followed by a body and what it comes to."""
    assert len(EXAMPLES) == len([name for name, _ in BLOCKS if name == "yaml"]) == 4


@pytest.mark.parametrize(
    ("rules", "body", "event"), EXAMPLES, ids=[rules.splitlines()[3].strip() for rules, _, _ in EXAMPLES]
)
def test_every_example_is_what_it_says(rules, body, event):
    """Each is a whole rules file without a mistake, and its first source makes of the body what is shown."""
    report = check(rules)
    assert (report.mistakes, report.warnings) == ((), ())
    entry = load(rules, filename="docs/sources.md").sources[0]
    (found,) = generic.parse({}, body.encode(), received_at=NOW, mapping=entry)
    printed, wanted = shown(redact_event(found)), json.loads(event)
    assert {name: printed[name] for name in wanted} == wanted


def test_the_tables_name_every_sender_and_secret():
    """A file that is added gets its row, with the secrets that it looks for."""
    for name in plugins.names("sources"):
        if name == generic.NAME:
            continue
        assert f"`{name}`" in PAGE, name
        for secret in plugins.load("sources", name).SECRETS:
            assert f"`{secret}`" in PAGE, secret
    for name in plugins.names("histories"):
        assert f"| {plugins.load_source(name).TITLE} |" in PAGE


RULE = re.compile(r"\|(?: ?:?-+:? ?\|)+")


def orphans(text: str) -> list[str]:
    """The first row of each table of a page that has no header: the line below it is no rule."""
    lines = re.sub(r"^```.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE).splitlines()
    starts = [n for n, line in enumerate(lines) if line.startswith("|") and not (n and lines[n - 1].startswith("|"))]
    return [lines[n] for n in starts if not (n + 1 < len(lines) and RULE.fullmatch(lines[n + 1].strip()))]


@pytest.mark.parametrize("page", sorted(DOCS.rglob("*.md")), ids=lambda page: page.name)
def test_each_row_of_a_table_has_a_header(page):
    """Given a page of docs/ → no row of a table stands without a header above it."""
    assert orphans(page.read_text("utf-8")) == []


def test_a_row_after_a_blank_line_has_no_header():
    """Given a table that a blank line parts → the first row below it."""
    assert orphans("| a |\n|---|\n| b |\n\n| c |\n| d |\n") == ["| c |"]


def test_every_way_to_prove_itself_is_shown():
    """The page names each kind of `auth`."""
    for kind in generic.AUTH_KINDS:
        assert f"`{kind}`" in PAGE
