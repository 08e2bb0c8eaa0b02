"""tocsin unack INCIDENT …: take an acknowledgement back: reminders and escalation start again."""

import argparse

from cli.acts import act, add_alert_arguments

HELP = "take an acknowledgement back: reminders and escalation start again"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add_alert_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Have it done."""
    return act(arguments, "unack", {"note": arguments.note, "matchers": arguments.match})
