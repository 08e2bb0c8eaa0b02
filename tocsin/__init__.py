"""Tocsin as an installed program. A wheel holds the folders of the project in `tocsin/_project`, a checkout beside `tocsin/`.

So nothing but `tocsin` is a name in the environment that the wheel is installed into.
"""

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
PROGRAM = HERE / "_project" if (HERE / "_project").is_dir() else HERE.parent


def enter() -> None:
    """Let the folders of the project be found before all others."""
    if str(PROGRAM) not in sys.path[:1]:
        sys.path.insert(0, str(PROGRAM))


def main() -> int:
    """Run the command line. Return its exit status."""
    enter()
    from cli.main import main as run

    return run()
