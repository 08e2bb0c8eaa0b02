"""tocsin note INCIDENT TEXT: keep a note in the timeline of an incident."""

import argparse

from cli.acts import act, add_incident_arguments

HELP = "keep a note in the timeline of an incident"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add_incident_arguments(parser)
    parser.add_argument("text", metavar="TEXT", nargs="+", help="what to keep")


def run(arguments: argparse.Namespace) -> int:
    """Have it kept."""
    return act(arguments, "note", {"note": " ".join(arguments.text)})
