"""tocsin resolve INCIDENT …: resolve by hand, and notify every target of the incident of its end."""

import argparse

from cli.acts import act, add_alert_arguments

HELP = "resolve by hand: every target of the incident is notified of its end"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add_alert_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Have it done."""
    return act(arguments, "resolve", {"note": arguments.note, "matchers": arguments.match})
