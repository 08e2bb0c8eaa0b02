"""What the commands ack, unack, resolve, note and assign have in common."""

import argparse
from collections.abc import Mapping
from typing import Any

from cli.remote import add_arguments, remote, who_acts
from cli.show import quoted
from cli.table import print_json


def parser_of(subparsers: Any, name: str, help: str, description: str | None) -> argparse.ArgumentParser:
    """The parser of an act on incidents."""
    parser: argparse.ArgumentParser = subparsers.add_parser(name, help=help, description=description)
    parser.add_argument("incident", metavar="INCIDENT", help="its id, or the first characters of it")
    add_arguments(parser, acts=True)
    return parser


def act(arguments: argparse.Namespace, name: str, form: Mapping[str, Any]) -> int:
    """Have it done and say so."""
    by = who_acts(arguments)
    path = f"incidents/{quoted(arguments.incident)}/{name}"
    answer = remote(arguments).do("POST", path, {"by": by, **form})
    if arguments.json:
        print_json(answer)
    else:
        print(answer["message"].replace(answer["incident"], answer["incident"][:8]))
    return 0
