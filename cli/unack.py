"""tocsin unack INCIDENT …: take an acknowledgement back: reminders and escalation start again."""

import argparse
from typing import Any

from cli.acts import act, parser_of


def add_parser(subparsers: Any) -> None:
    """Add the command to the command line."""
    parser = parser_of(
        subparsers, "unack", "take an acknowledgement back: reminders and escalation start again", __doc__, several=True
    )
    parser.add_argument("--note", default="", metavar="TEXT", help="why; it is kept in the timeline")
    parser.add_argument(
        "--match", action="append", metavar="MATCHER", help="only those of its alerts: service=api, zone=~eu-.*"
    )


def run(arguments: argparse.Namespace) -> int:
    """Have it done."""
    return act(arguments, "unack", {"note": arguments.note, "matchers": arguments.match})
