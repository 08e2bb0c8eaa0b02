"""tocsin ack INCIDENT …: acknowledge: no reminders and no escalation until it is resolved or ack_timeout passes."""

import argparse

from cli.acts import act, add_alert_arguments

HELP = "acknowledge: no reminders and no escalation until it is resolved or ack_timeout passes"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add_alert_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Have it done."""
    return act(arguments, "ack", {"note": arguments.note, "matchers": arguments.match})
