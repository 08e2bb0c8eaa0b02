"""Set-up: the right Python, the right packages, and one line when something is missing."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from local import prepare
from local.prepare import SetupError, check_writable, install_packages, reason, version_of
from tests.project import ROOT


@pytest.fixture
def python(tmp_path: Path) -> Callable[[str], Path]:
    """A Python that says it is of another version."""

    def made(version: str) -> Path:
        path = tmp_path / f"python{version}"
        pretend = f"import sys; sys.version_info = ({version.replace('.', ', ')}, 0, 'final', 0); exec(sys.argv[1])"
        path.write_text(f'#!/bin/sh\nshift\nexec {sys.executable} -c "{pretend}" "$1"\n')
        path.chmod(0o755)
        return path

    return made


def made(goal: str, python: Path | str) -> subprocess.CompletedProcess[str]:
    """A goal of the Makefile with that Python."""
    outside = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    command = ["make", goal, f"PYTHON={python}"]
    return subprocess.run(command, cwd=ROOT, env=outside, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("version", ["3.11", "3.12", "3.13"])
def test_known_pythons_are_taken(version: str, python: Callable[[str], Path]) -> None:
    """3.11 to 3.13 run it."""
    assert made("python", python(version)).returncode == 0


@pytest.mark.parametrize("version", ["2.7", "3.6", "3.10", "3.14", "4.0"])
def test_other_pythons_are_told(version: str, python: Callable[[str], Path]) -> None:
    """One line says which are allowed, which was found, and how to name one; nothing is installed."""
    done = made("run", python(version))
    said = f"set-up: Python 3.11, 3.12 or 3.13 is needed, not {version}: name one, as in: make run PYTHON=python3.12"
    assert (done.stdout, done.stderr.splitlines()[0]) == ("", said)


def test_a_missing_python_is_told() -> None:
    """The line names the packages."""
    done = made("setup", "python9.9")
    assert done.stderr.splitlines()[0] == "set-up: python9.9 is missing: apt-get install python3 python3-venv"


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    """The line names the folder and what to do."""
    with pytest.raises(SetupError, match=rf"no permission to write to {tmp_path / 'none'}: .*chown"):
        check_writable(tmp_path / "none")


def test_missing_system_packages_are_told() -> None:
    """Who is not root gets the one command that installs them all."""
    said = r"system packages are missing; install them first: sudo apt-get install .* postgresql redis-server$"
    with pytest.raises(SetupError, match=said):
        install_packages(["postgresql", "redis-server"], root=False)
    install_packages([], root=False)


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
    for path in ROOT.glob("requirements*.txt"):
        lines = [line.split("#")[0].strip() for line in path.read_text().splitlines()]
        assert [line for line in lines if line and not line.startswith("-") and "==" not in line] == []


@pytest.mark.parametrize("name", prepare.ENVIRONMENTS)
def test_a_repeated_set_up_installs_nothing(name: str) -> None:
    """An environment is up to date until its Python or a file of its requirements changes; tests need more of them."""
    files = prepare.ENVIRONMENTS[name]
    assert prepare.wanted(files) == prepare.wanted(files)
    assert prepare.wanted(files) != prepare.wanted(files[:-1])
    assert set(files) <= set(prepare.TESTS[name])
