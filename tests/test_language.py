"""The words of documents and of the command line: those of the field, and none of those that readers stumble over."""

import re

import pytest

from tests.project import ROOT

AVOIDED = r"told|tells?|telling|hears?|heard|burns?|burning|mends?|mended|owes?|owed|harms?|harmed"
PAGES = sorted(
    path
    for pattern in (
        "*.md",
        "docs/*.md",
        "runbook/**/*.md",
        "monitoring/*.md",
        "bench/*.md",
        "alert-rules.yaml",
        ".env.example",
    )
    for path in ROOT.glob(pattern)
)
QUOTED = re.compile(r"```.*?```|`[^`\n]*`|^    .*?$", re.DOTALL | re.MULTILINE)
"""Commands, fields and what programs print: their words are those of a public format."""


def prose(text: str) -> str:
    """Return a text without what it quotes."""
    return QUOTED.sub(lambda found: "\n" * found[0].count("\n"), text)


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_page_uses_the_words_of_the_field(path):
    """Given a document → it says notify, receive, report, fire, resolve, fix, and none of the words in their place."""
    lines = enumerate(prose(path.read_text("utf-8")).split("\n"), 1)
    found = [
        f"{path.name}:{number}: {word}"
        for number, line in lines
        for word in re.findall(rf"(?i)\b(?:{AVOIDED})\b", line)
    ]
    assert found == []


def test_the_check_finds_a_word():
    """Given a sentence with an avoided word, and a field with the same name → the sentence alone is found."""
    assert re.findall(AVOIDED, prose("The field `told` lists who was told.\n```\ntold\n```")) == ["told"]
