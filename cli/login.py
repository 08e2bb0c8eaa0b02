"""tocsin login --stage STAGE: a one-time link that signs you in at the page. It is valid once, for five minutes.

tocsin login                    the stage that `make run` keeps up on this machine
tocsin login --stage prod       a stage on AWS
tocsin login --stage prod --open    open it in the browser of this machine
"""

import argparse
import webbrowser

from cli.output import printed
from cli.remote import add_api_arguments, remote, who_acts

HELP = "a one-time link to the page"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument("--open", action="store_true", help="open the link in the browser of this machine")
    add_api_arguments(parser, acts=True)


def run(arguments: argparse.Namespace) -> int:
    """Print the link."""
    stage = remote(arguments)
    made = stage.do("POST", "login", {"by": who_acts(arguments)})
    url = f"{stage.url}{made['path']}"
    if printed(arguments, {**made, "url": url}):
        return 0
    print(url)
    if arguments.open:
        webbrowser.open(url)
    return 0
