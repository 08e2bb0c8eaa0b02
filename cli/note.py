"""tocsin note INCIDENT TEXT: keep a note in the timeline of an incident."""

import argparse
from typing import Any

from cli.acts import act, parser_of


def add_parser(subparsers: Any) -> None:
    """Add the command to the command line."""
    parser = parser_of(subparsers, "note", "keep a note in the timeline of an incident", __doc__)
    parser.add_argument("text", metavar="TEXT", nargs="+", help="what to keep")


def run(arguments: argparse.Namespace) -> int:
    """Have it kept."""
    return act(arguments, "note", {"note": " ".join(arguments.text)})
