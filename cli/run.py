"""tocsin run: everything on this machine, until Ctrl-C: an embedded AWS, Tocsin deployed into it, and an inbox.

It is what `make run` starts in a checkout. With an installed program it runs the rules file of the folder that it is called
in, and keeps what happened in `.tocsin/` there; it needs the extra: pip install 'tocsin[run]'. Settings are read from `.env`.
"""

import argparse
import os

from chalicelib.core.errors import TocsinError
from cli.running import INSTALLED

HELP = "everything on this machine: embedded AWS, inbox, a sample incident"
REMEDY = "pip install 'tocsin[run]'" if INSTALLED else "run `make setup`"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--port", metavar="PORT", help="of the embedded AWS (TOCSIN_PORT, else 7466)")
    parser.add_argument("--inbox-port", metavar="PORT", help="of the inbox (INBOX_PORT, else 8025)")
    parser.add_argument("--without-sample", action="store_true", help="no sample incident, no sample day (DEMO=0)")


def run(arguments: argparse.Namespace) -> int:
    """Run until a signal; 1 with what is wrong when it cannot start."""
    try:
        from local.run import main
    except ImportError as error:
        raise TocsinError(f"a part of the local stage is not installed ({error.name}): {REMEDY}") from None
    given = {"TOCSIN_PORT": arguments.port, "INBOX_PORT": arguments.inbox_port}
    given["DEMO"] = "0" if arguments.without_sample else None
    return main({**os.environ, **{name: value for name, value in given.items() if value is not None}})
