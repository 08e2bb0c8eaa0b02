"""tocsin ack INCIDENT …: acknowledge: no reminders and no escalation until it is resolved or ack_timeout passes."""

import argparse
from typing import Any

from cli.acts import act, parser_of


def add_parser(subparsers: Any) -> None:
    """Add the command to the command line."""
    parser = parser_of(
        subparsers,
        "ack",
        "acknowledge: no reminders and no escalation until it is resolved or ack_timeout passes",
        __doc__,
        several=True,
    )
    parser.add_argument("--note", default="", metavar="TEXT", help="why; it is kept in the timeline")
    parser.add_argument(
        "--match", action="append", metavar="MATCHER", help="only those of its alerts: service=api, zone=~eu-.*"
    )


def run(arguments: argparse.Namespace) -> int:
    """Have it done."""
    return act(arguments, "ack", {"note": arguments.note, "matchers": arguments.match})
