"""Set-up: the right Python, the right packages, and one line when something is missing."""

import ast
from pathlib import Path

import pytest

from local import prepare
from local.prepare import SetupError, check_python, check_writable, reason, version_of
from tests.project import ROOT


@pytest.mark.parametrize("version", [(3, 11), (3, 12), (3, 13)])
def test_known_pythons_are_taken(version: tuple[int, int]) -> None:
    """3.11 to 3.13 run it."""
    check_python(version)


@pytest.mark.parametrize("version", [(3, 9), (3, 10), (3, 14), (4, 0)])
def test_other_pythons_are_told(version: tuple[int, int]) -> None:
    """The line says which are allowed, which was found, and how to name one."""
    with pytest.raises(SetupError, match=rf"3\.11, 3\.12 or 3\.13 .* not {version[0]}\.{version[1]}: .*PYTHON="):
        check_python(version)


def test_an_old_python_can_read_it() -> None:
    """Python 3.7 parses the file, so that it can say that it is too old."""
    ast.parse((ROOT / "local" / "prepare.py").read_text(), feature_version=(3, 7))


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    """The line names the folder and what to do."""
    with pytest.raises(SetupError, match=rf"no permission to write to {tmp_path / 'none'}: .*chown"):
        check_writable(tmp_path / "none")


def test_the_reason_of_a_failure_is_one_line() -> None:
    """Of a tool's output the line that says why."""
    output = b"Collecting x\nERROR: No matching distribution found for x==1\n\n[notice] a new release\n"
    assert reason(output) == "ERROR: No matching distribution found for x==1"
    assert reason(b"") == "it failed and said nothing"


def test_an_environment_knows_its_python() -> None:
    """The version in pyvenv.cfg; none where there is no environment."""
    assert version_of(ROOT / ".venv")[:1] == (3,)
    assert version_of(ROOT / "docs") == ()


def test_every_requirement_is_pinned() -> None:
    """All of what is installed is an exact version."""
    for names in prepare.ENVIRONMENTS.values():
        for name in names:
            lines = [line.split("#")[0].strip() for line in (ROOT / name).read_text().splitlines()]
            assert [line for line in lines if line and not line.startswith("-") and "==" not in line] == []


def test_a_repeated_set_up_installs_nothing() -> None:
    """What is there for the same Python and requirements is up to date."""
    for name in prepare.ENVIRONMENTS:
        first = prepare.wanted(name)
        assert first == prepare.wanted(name)
        assert "requirements" not in first
