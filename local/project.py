"""The folder that the local stage is deployed from: the checkout, or the installed program with the rules of a folder.

A wheel cannot be deployed from where it is installed: Chalice writes into its project, and the rules are somebody else's.
"""

import shutil
from pathlib import Path

from chalicelib.core.errors import TocsinError
from chalicelib.rules.compiled import COMPILED_NAME, RULES_NAME
from cli.running import INSTALLED, PROGRAM, ROOT

PARTS = ("app.py", "requirements.txt", "chalicelib", "vendor")
CHALICE = (".chalice/config.json", ".chalice/policy-*.json")
RUNBOOK = "runbook"
LEFT_OUT = shutil.ignore_patterns("__pycache__", "*.pyc", COMPILED_NAME)


class ProjectError(TocsinError):
    """There is nothing to deploy; the text says what is missing."""


def project(state: Path) -> Path:
    """Return the folder that is deployed. With an installed program it is made anew below the state of the stage."""
    return assembled(PROGRAM, ROOT, deployed_from(state)) if INSTALLED else PROGRAM


def deployed_from(state: Path) -> Path:
    """Return where that folder is."""
    return state / "project" if INSTALLED else PROGRAM


def assembled(program: Path, folder: Path, target: Path) -> Path:
    """Make a project of the program and of the rules and pages of a folder. What Chalice built before stays there."""
    if not (folder / RULES_NAME).is_file():
        raise ProjectError(
            f"there is no {RULES_NAME} in this folder: write one, or begin with {program / 'chalicelib' / RULES_NAME}"
        )
    for name in PARTS:
        _copy(program / name, target / name)
    for pattern in CHALICE:
        for path in sorted(program.glob(pattern)):
            _copy(path, target / path.relative_to(program))
    for place in (target, target / "chalicelib"):
        _copy(folder / RULES_NAME, place / RULES_NAME)
    pages = folder / RUNBOOK if (folder / RUNBOOK).is_dir() else program / "chalicelib" / RUNBOOK
    for place in (target, target / "chalicelib", target / "vendor" / "chalicelib"):
        _copy(pages, place / RUNBOOK)
    return target


def _copy(source: Path, target: Path) -> None:
    """Put a file or a folder in the place of what is there, links followed."""
    if target.is_dir():
        shutil.rmtree(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target, ignore=LEFT_OUT)
    else:
        shutil.copy(source, target)
