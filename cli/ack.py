"""tocsin ack INCIDENT …: acknowledge: no reminders and no escalation until it is resolved or ack_timeout passes."""

import argparse

from cli.acts import act, add_incident_arguments

HELP = "acknowledge: no reminders and no escalation until it is resolved or ack_timeout passes"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add_incident_arguments(parser, several=True)
    parser.add_argument("--note", default="", metavar="TEXT", help="why; it is kept in the timeline")
    parser.add_argument(
        "--match", action="append", metavar="MATCHER", help="only those of its alerts: service=api, zone=~eu-.*"
    )


def run(arguments: argparse.Namespace) -> int:
    """Have it done."""
    return act(arguments, "ack", {"note": arguments.note, "matchers": arguments.match})
