"""How a command answers: a table, or what the API answered as JSON, YAML or names; once, or again and again.

`-o name` prints one id a line, for scripts: `tocsin ack $(tocsin incidents -o name severity=critical)`.
"""

import argparse
import sys
from collections.abc import Callable, Mapping
from time import sleep
from typing import Any

from chalicelib.core.errors import TocsinError
from cli.table import print_json

FORMS = {"json": "", "yaml": "", "wide": "nothing is cut", "name": "ids alone"}
SECONDS = 5.0
MIN_SECONDS = 1.0
_NAMES = ("id", "incident", "fingerprint", "name")
_CLEAR = "\x1b[2J\x1b[H"


def add_output_arguments(parser: argparse.ArgumentParser, forms: Mapping[str, str] = FORMS) -> None:
    """Add `-o` with the forms that a command has, and `--json` as it was before there were others."""
    meanings = ", ".join(name + (f" ({meaning})" if meaning else "") for name, meaning in forms.items())
    parser.add_argument("-o", "--output", choices=list(forms), help=meanings)
    parser.add_argument("--json", dest="output", action="store_const", const="json", help="the same as -o json")


def add_watch_argument(parser: argparse.ArgumentParser) -> None:
    """Add `--watch`."""
    parser.add_argument("--watch", action="store_true", help="again and again, until Ctrl-C")
    parser.add_argument("--every", type=float, default=SECONDS, metavar="SECONDS", help=f"with --watch ({SECONDS:g})")


def printed(arguments: argparse.Namespace, value: Any) -> bool:
    """Print what was answered in the form that is asked for; False where that is a table."""
    match arguments.output:
        case "json":
            print_json(value)
        case "yaml":
            _print_yaml(value)
        case "name":
            for each in value if isinstance(value, list) else [value]:
                print(_name(each))
        case _:
            return False
    return True


def is_wide(arguments: argparse.Namespace) -> bool:
    """Return whether nothing is to be cut."""
    return bool(arguments.output == "wide")


def repeated(
    run: Callable[[argparse.Namespace], int],
    arguments: argparse.Namespace,
    pause: Callable[[float], object] = sleep,
) -> int:
    """Run a command once, or with `--watch` until Ctrl-C. A stage that does not answer is asked again."""
    if not getattr(arguments, "watch", False):
        return run(arguments)
    try:
        while True:
            print(_CLEAR if sys.stdout.isatty() else "", end="")
            try:
                run(arguments)
            except TocsinError as error:
                print(f"tocsin: {error}", file=sys.stderr)
            sys.stdout.flush()
            pause(max(MIN_SECONDS, arguments.every))
    except KeyboardInterrupt:
        return 0


def _name(row: Any) -> str:
    return next((str(row[name]) for name in _NAMES if row.get(name)), "") if isinstance(row, dict) else str(row)


def _print_yaml(value: Any) -> None:
    import yaml

    print(yaml.safe_dump(value, sort_keys=False, allow_unicode=True), end="")
