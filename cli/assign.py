"""tocsin assign INCIDENT NAME: say who is to take care of an incident."""

import argparse
from typing import Any

from cli.acts import act, parser_of


def add_parser(subparsers: Any) -> None:
    """Add the command to the command line."""
    parser = parser_of(subparsers, "assign", "say who is to take care of an incident", __doc__)
    parser.add_argument("to", metavar="NAME", help="who it is given to")


def run(arguments: argparse.Namespace) -> int:
    """Have it assigned."""
    return act(arguments, "assign", {"to": arguments.to})
