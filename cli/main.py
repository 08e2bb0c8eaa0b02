"""`tocsin`: the command line. Every file of cli/ with `add_arguments` and `run` is a command of its name.

Only the command that was asked for is loaded, so a command that is broken or slow to load does not affect the others.
"""

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn, Protocol, cast

import cli
from chalicelib import VERSION, plugins
from chalicelib.core.errors import TocsinError
from chalicelib.core.language.tokens import nearest
from cli.output import repeated
from cli.running import INSTALLED

FAILED, MISUSED, INTERRUPTED = 1, 2, 130
_REMEDY = "use a checkout" if INSTALLED else "run `make setup`"
COMPLETING = "_ARGCOMPLETE"
"""Set where a shell asks for completions."""


def main(given: Sequence[str] | None = None) -> int:
    """Run one command; its exit status. Errors we know are one line."""
    words = list(sys.argv[1:] if given is None else given)
    try:
        parser = _parser(words)
        if COMPLETING in os.environ:
            _complete(parser)
        arguments = parser.parse_args(words)
        return int(repeated(arguments.run, arguments) or 0)
    except TocsinError as error:
        print(f"tocsin: {error}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read the output has seen enough; Python would complain once more when it closes it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


class CommandModule(Protocol):
    """What a file of a command provides. Its docstring is the description."""

    HELP: str
    """What the command does, in one line."""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add its arguments to its parser."""
        ...

    def run(self, arguments: argparse.Namespace) -> int:
        """Do it. Return the exit status."""
        ...


def commands() -> list[str]:
    """Return the names of all commands: the files of this package that have what a command has. None is imported."""
    files = (Path(folder) / f"{name}.py" for folder in cli.__path__ for name in plugins.names_in([folder]))
    return sorted({path.stem for path in files if _is_command(path.read_text("utf-8"))})


def _is_command(text: str) -> bool:
    return "\ndef add_arguments(" in text and "\ndef run(" in text


def _parser(words: Sequence[str]) -> argparse.ArgumentParser:
    parser = _Parser(prog="tocsin", description="Tocsin, an alert router: alerts, rules, deploys.")
    parser.add_argument("--version", action="version", version=f"tocsin {VERSION}")
    subparsers = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    asked = next((word for word in words if not word.startswith("-")), "").replace("-", "_")
    names = commands()
    if asked and asked not in names:
        parser.error(_unknown(asked.replace("_", "-"), [name.replace("_", "-") for name in names]))
    for name in [asked] if asked in names else names:
        _add(name, subparsers, needed=name == asked)
    return parser


def _add(name: str, subparsers: Any, *, needed: bool) -> None:
    """Load a command; one that cannot be loaded is named in the list, and reported when it is the one needed."""
    word = name.replace("_", "-")
    try:
        module = cast(CommandModule, importlib.import_module(f"cli.{name}"))
    except ImportError as error:
        if needed:
            raise TocsinError(f"{name} cannot be loaded: {error}; {_REMEDY}") from None
        subparsers.add_parser(word, help=f"cannot be loaded: {error}")
        return
    parser: argparse.ArgumentParser = subparsers.add_parser(word, help=module.HELP, description=module.__doc__)
    module.add_arguments(parser)
    parser.set_defaults(run=module.run)


def _unknown(word: str, names: Sequence[str]) -> str:
    near = nearest(word, names)
    return f"there is no command {word!r}" + (f"; did you mean {near}?" if near else "; `tocsin --help` lists them")


def _complete(parser: argparse.ArgumentParser) -> None:
    """Answer a shell that asks for completions, and end. All commands are loaded, since none is complete yet."""
    import argcomplete

    argcomplete.autocomplete(parser)


class _Parser(argparse.ArgumentParser):
    """argparse, which without a command shows all of them, and whose errors begin as all others do."""

    def error(self, message: str) -> NoReturn:
        """Print what is wrong and end with 2."""
        if "COMMAND" in message and "required" in message:
            self.print_help(sys.stderr)
            sys.exit(MISUSED)
        if self.prog != "tocsin":
            self.print_usage(sys.stderr)
        self.exit(MISUSED, f"tocsin: {message}\n")


if __name__ == "__main__":
    sys.exit(main())
