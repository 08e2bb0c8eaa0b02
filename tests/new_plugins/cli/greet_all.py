"""tocsin greet-all: greet somebody."""

import argparse

HELP = "greet somebody"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the name."""
    parser.add_argument("who")


def run(arguments: argparse.Namespace) -> int:
    """Print the greeting and return 0."""
    print(f"hello {arguments.who}")
    return 0
