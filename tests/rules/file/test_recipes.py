"""docs/recipes.md: every recipe is a whole rules file that is checked, and its tests are run."""

import re
from pathlib import Path

import pytest

from chalicelib.rules.file import check
from cli.main import main
from tests.rule_files import but_unmeasured

PAGE = (Path(__file__).parents[3] / "docs" / "recipes.md").read_text(encoding="utf-8")
SECTIONS = re.findall(r"^### (How do I .*?)$(.*?)(?=^##|\Z)", PAGE, re.DOTALL | re.MULTILINE)
RECIPES = [
    pytest.param(text, id=question)
    for question, section in SECTIONS
    for text in re.findall(r"^```yaml\n(.*?)^```$", section, re.DOTALL | re.MULTILINE)
]
TESTED = [recipe for recipe in RECIPES if "\ntests:" in str(recipe.values[0])]


def test_each_question_has_one_answer():
    """Each of thirty or more questions has exactly one rules file, and no file stands outside of a question."""
    assert len(SECTIONS) >= 30
    assert [recipe.id for recipe in RECIPES] == [question for question, _ in SECTIONS]
    assert PAGE.count("```yaml") == len(RECIPES)


@pytest.mark.parametrize("text", RECIPES)
def test_each_recipe_is_clean(text):
    """A recipe has neither mistakes nor warnings."""
    report = check(text)
    assert (report.mistakes, but_unmeasured(report.warnings)) == ((), [])


@pytest.mark.parametrize("text", TESTED)
def test_each_test_of_a_recipe_holds(text, tmp_path, capsys):
    """The tests that a recipe carries hold under `tocsin test`."""
    (tmp_path / "rules.yaml").write_text(text, encoding="utf-8")
    assert main(["test", str(tmp_path / "rules.yaml")]) == 0, capsys.readouterr().out
