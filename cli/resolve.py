"""tocsin resolve INCIDENT …: resolve by hand: whoever was told the fire is told the end."""

import argparse
from typing import Any

from cli.acts import act, parser_of


def add_parser(subparsers: Any) -> None:
    """Add the command to the command line."""
    parser = parser_of(
        subparsers, "resolve", "resolve by hand: whoever was told the fire is told the end", __doc__, several=True
    )
    parser.add_argument("--note", default="", metavar="TEXT", help="why; it is kept in the timeline")
    parser.add_argument(
        "--match", action="append", metavar="MATCHER", help="only those of its alerts: service=api, zone=~eu-.*"
    )


def run(arguments: argparse.Namespace) -> int:
    """Have it done."""
    return act(arguments, "resolve", {"note": arguments.note, "matchers": arguments.match})
