"""tocsin assign INCIDENT NAME: say who is to take care of an incident."""

import argparse

from cli.acts import act, add_incident_arguments

HELP = "say who is to take care of an incident"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add_incident_arguments(parser)
    parser.add_argument("to", metavar="NAME", help="who it is given to")


def run(arguments: argparse.Namespace) -> int:
    """Have it assigned."""
    return act(arguments, "assign", {"to": arguments.to})
