"""What `make run` says of itself on this machine: its address, and how its embedded AWS is found."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

PROGRAM = Path(__file__).resolve().parent.parent
"""Where the program is: a checkout, or within a wheel that was installed."""
INSTALLED = PROGRAM.name == "_project"
ROOT = Path.cwd() if INSTALLED else PROGRAM
"""Where the rules are, and what `make run` keeps: the checkout, or with an installed program the folder it is called in."""
START, TOCSIN = ("tocsin run", "tocsin") if INSTALLED else ("make run", ".venv/bin/tocsin")
"""What starts the local stage, and how the command line is called beside it."""
FILE = ROOT / ".tocsin" / "running.json"


@dataclass(frozen=True, slots=True)
class Running:
    """The stage `local`: where it answers, the variables by which AWS's tools find its AWS, and its inbox."""

    url: str
    aws: Mapping[str, str]
    inbox: str = ""


def running() -> Running | None:
    """Return what runs on this machine; None when nothing does."""
    try:
        found = json.loads(FILE.read_text(encoding="utf-8"))
        variables = {str(name): str(value) for name, value in found["aws"].items()}
        return Running(str(found["url"]), variables, str(found.get("inbox") or ""))
    except (OSError, ValueError, KeyError, AttributeError, TypeError):
        return None
