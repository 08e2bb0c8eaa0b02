"""The values of `${NAME}` in a rules file for commands that know no stage: from a file, else from the environment."""

import argparse
import os
from pathlib import Path

from chalicelib.core.errors import TocsinError
from chalicelib.rules.compiled import Values
from deploy.settings_file import read_settings


def add_variables(parser: argparse.ArgumentParser) -> None:
    """Add `--variables`."""
    words = "lines NAME=value for each ${NAME} of the rules file; what it lacks is taken from the environment"
    parser.add_argument("--variables", type=Path, metavar="FILE", help=words)


def values_of(arguments: argparse.Namespace) -> Values:
    """Return how a variable is looked up. TocsinError where the file is not there."""
    path: Path | None = getattr(arguments, "variables", None)
    if path is None:
        return os.environ.get
    if not path.is_file():
        raise TocsinError(f"{path}: there is no such file; --variables names a file of lines NAME=value")
    given = read_settings(path)
    return lambda name: given.get(name) or os.environ.get(name)
