"""tocsin keep INCIDENT …: keep an incident open of which nothing fires, until somebody resolves it or it fires again."""

import argparse

from cli.acts import act, add_incident_arguments

HELP = "keep an incident open of which nothing fires, until somebody resolves it or it fires again"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add_incident_arguments(parser, several=True)


def run(arguments: argparse.Namespace) -> int:
    """Have it kept open."""
    return act(arguments, "keep", {})
