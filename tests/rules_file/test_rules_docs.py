"""docs/rules.md: every example on the page is run, and the grammar is the parser's own."""

import re
from pathlib import Path

import pytest

from chalicelib.core import grammar
from chalicelib.core.condition import ConditionError, describe, parse
from chalicelib.core.expression import FUNCTIONS
from chalicelib.rules_file import RuleForm, check

PAGE = (Path(__file__).parents[2] / "docs" / "rules.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)


def blocks(kind):
    """The fenced blocks of a kind."""
    return [text for name, text in BLOCKS if name == kind]


def rows(kind):
    """The lines `left → right` of the fenced blocks of a kind."""
    return [tuple(part.strip() for part in line.split("→")) for text in blocks(kind) for line in text.splitlines()]


@pytest.mark.parametrize("text", blocks("yaml"), ids=lambda text: text.split("\n")[0])
def test_every_example_of_a_file_loads(text):
    """Each YAML block is a whole rules file without a mistake."""
    report = check(text)
    assert (report.mistakes, report.warnings) == ((), ())


@pytest.mark.parametrize(("condition", "words"), rows("condition"))
def test_every_condition_means_what_is_said(condition, words):
    """Each condition on the page parses, and is described as the page says."""
    assert describe(parse(condition)) == words


@pytest.mark.parametrize(("condition", "message"), rows("wrong"))
def test_every_refusal_is_the_one_shown(condition, message):
    """Each wrong condition is refused in the words of the page."""
    with pytest.raises(ConditionError) as caught:
        parse(condition)
    assert caught.value.advice == message


def test_the_grammar_is_that_of_the_parser():
    """The page and the parser's module show the same grammar."""
    written = [line.strip() for line in blocks("grammar")[0].splitlines()]
    assert written == [line.strip() for line in (grammar.__doc__ or "").splitlines() if " = " in line]


def test_nothing_is_left_out():
    """Every function and every key of a rule is on the page."""
    for name in FUNCTIONS:
        assert f"`{name}(" in PAGE or f"`{name}`" in PAGE, name
    for name, field in RuleForm.model_fields.items():
        assert f"`{field.alias or name}`" in PAGE, name
    assert {name for name, _ in BLOCKS} == {"yaml", "condition", "wrong", "grammar"}
