"""What the local stage is deployed from where there is no checkout: the program with the rules of a folder."""

from pathlib import Path

import pytest

from local.project import ProjectError, assembled
from tests.project import ROOT

RULES = "default: {notification: [{slack_channel: '#a'}]}\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder that has a rules file."""
    (tmp_path / "alert-rules.yaml").write_text(RULES)
    return tmp_path


def test_the_rules_are_those_of_the_folder(folder: Path) -> None:
    """Given a folder with a rules file → the project has it wherever a deploy reads it, and the program around it."""
    made = assembled(ROOT, folder, folder / "state" / "project")
    assert (made / "alert-rules.yaml").read_text() == RULES
    assert (made / "chalicelib" / "alert-rules.yaml").read_text() == RULES
    assert (made / "app.py").read_text() == (ROOT / "app.py").read_text()
    assert (made / ".chalice" / "config.json").is_file()
    assert len(list(made.glob(".chalice/policy-*.json"))) == len(list(ROOT.glob(".chalice/policy-*.json")))
    assert not [path for path in made.rglob("*") if path.is_symlink() or path.name == "__pycache__"]


def test_pages_of_the_folder_take_the_place_of_those_of_the_program(folder: Path) -> None:
    """Given a folder without pages, then with one → the program's pages, then that one alone."""
    target = folder / "state" / "project"
    assert (assembled(ROOT, folder, target) / "runbook" / "error-spike.md").is_file()
    (folder / "runbook").mkdir()
    (folder / "runbook" / "mine.md").write_text("# Mine\n")
    made = assembled(ROOT, folder, target)
    for place in (made, made / "chalicelib", made / "vendor" / "chalicelib"):
        assert [path.name for path in (place / "runbook").iterdir()] == ["mine.md"]


def test_what_chalice_built_stays(folder: Path) -> None:
    """Given a project that was deployed before → a second start keeps the packages, and drops files of the version before."""
    target = folder / "state" / "project"
    made = assembled(ROOT, folder, target)
    (made / ".chalice" / "deployments").mkdir()
    (made / ".chalice" / "deployments" / "x.zip").write_text("")
    (made / "chalicelib" / "gone.py").write_text("")
    assembled(ROOT, folder, target)
    assert (made / ".chalice" / "deployments" / "x.zip").exists()
    assert not (made / "chalicelib" / "gone.py").exists()


def test_a_folder_without_rules_is_told_apart(tmp_path: Path) -> None:
    """Given a folder without a rules file → an error that says where to begin, and nothing is made."""
    with pytest.raises(ProjectError, match=r"there is no alert-rules.yaml in this folder: write one, or begin with "):
        assembled(ROOT, tmp_path, tmp_path / "project")
    assert not (tmp_path / "project").exists()
