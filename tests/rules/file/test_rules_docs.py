"""docs/rules.md: every example on the page is run, and the grammar is the parser's own."""

import re
from pathlib import Path

import pytest

from chalicelib.core.language import grammar
from chalicelib.core.language.condition import ConditionError, describe, parse
from chalicelib.core.language.functions import FUNCTIONS
from chalicelib.core.pattern import PatternError, compiled
from chalicelib.rules.file import check, load
from chalicelib.rules.file.form import RuleForm
from cli.main import main
from simulation.engine import Replay
from tests.rule_files import but_unmeasured

PAGE = (Path(__file__).parents[3] / "docs" / "rules.md").read_text(encoding="utf-8")
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
    assert (report.mistakes, but_unmeasured(report.warnings)) == ((), [])


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


@pytest.mark.parametrize(("pattern", "message"), rows("pattern"))
def test_every_refused_pattern_is_the_one_shown(pattern, message):
    """Each regular expression of the block is refused in the words of the page."""
    with pytest.raises(PatternError) as caught:
        compiled(pattern)
    assert str(caught.value) == message


def test_the_grammar_is_that_of_the_parser():
    """The page and the parser's module show the same grammar."""
    written = [line.strip() for line in blocks("grammar")[0].splitlines()]
    assert written == [line.strip() for line in (grammar.__doc__ or "").splitlines() if " = " in line]


LETTERS = {"pending": "p", "firing": "F", "no_data": "F"}


def letter(alerts, text):
    """How the page writes the state of the only alert."""
    if not alerts or alerts[0]["state"] not in LETTERS:
        return "."
    return "f" if "flapping" in text else LETTERS[alerts[0]["state"]]


@pytest.mark.parametrize("text", blocks("time"), ids=lambda text: text.split("\n")[0])
def test_every_story_in_time_is_true(text):
    """Each column of a story is a minute of measuring, and the alert is in the state that the page shows."""
    terms, measured, states = text.splitlines()
    rule = f"{{name: A, notification: [{{slack_channel: '#a'}}], {terms.strip()[1:]}"
    metric, *values = measured.split()
    lines = []
    for minute, value in enumerate(values):
        number = None if value == "?" else float(value.removesuffix("%")) / 100
        sample = {"metric": metric, "value": number, "labels": {"service": "api"}}
        at = 60 * minute
        lines += [{"at": at, "sample": sample}, {"at": at, "show": "alerts"}, {"at": at, "explain": {"matchers": {}}}]
    found = list(Replay(load(f"alerts: [{rule}]"), list(enumerate(lines, 1))).run())
    shown = [line["alerts"] for line in found if line["type"] == "alerts"]
    why = [str(line["alerts"]) for line in found if line["type"] == "explain"]
    assert " ".join(map(letter, shown, why)) == " ".join(states.split()[1:])


def test_every_test_on_the_page_holds(tmp_path, capsys):
    """`tocsin test` runs the tests of each YAML block."""
    (text,) = [text for text in blocks("yaml") if "\ntests:" in text]
    (tmp_path / "rules.yaml").write_text(text, encoding="utf-8")
    assert main(["test", str(tmp_path / "rules.yaml")]) == 0, capsys.readouterr().out
    assert "3 passed." in capsys.readouterr().out


def test_nothing_is_left_out():
    """Every function and every key of a rule is on the page."""
    for name in FUNCTIONS:
        assert f"`{name}(" in PAGE or f"`{name}`" in PAGE, name
    for name, field in RuleForm.model_fields.items():
        assert f"`{field.alias or name}`" in PAGE, name
    assert {name for name, _ in BLOCKS} == {"yaml", "condition", "time", "wrong", "grammar", "pattern", "text"}
