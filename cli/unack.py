"""tocsin unack INCIDENT …: take an acknowledgement back: reminders and escalation start again."""

import argparse

from cli.acts import act, add_incident_arguments

HELP = "take an acknowledgement back: reminders and escalation start again"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add_incident_arguments(parser, several=True)
    parser.add_argument("--note", default="", metavar="TEXT", help="why; it is kept in the timeline")
    parser.add_argument(
        "--match", action="append", metavar="MATCHER", help="only those of its alerts: service=api, zone=~eu-.*"
    )


def run(arguments: argparse.Namespace) -> int:
    """Have it done."""
    return act(arguments, "unack", {"note": arguments.note, "matchers": arguments.match})
