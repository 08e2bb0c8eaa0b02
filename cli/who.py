"""tocsin who INCIDENT | LABEL=VALUE …: who hears of an incident, or of what has these labels (service=api)."""

import argparse
from collections.abc import Mapping, Sequence
from typing import Any

from chalicelib.core.errors import RequestError
from cli.remote import add_api_arguments, remote
from cli.table import clean, clock, localized, print_json, print_table

HEADS = ("OF", "SEVERITY", "HEARS", "AGAIN", "WHEN NOBODY ACKNOWLEDGES")


HELP = "who hears of a service or an incident"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument("of", metavar="INCIDENT | LABEL=VALUE", nargs="+", help="an incident's id, or labels")
    add_api_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print them."""
    found = remote(arguments).get("who", query(arguments.of))["who"]
    if arguments.json:
        print_json(found)
    else:
        show(found)
    return 0


def show(found: Sequence[Mapping[str, Any]]) -> None:
    """Print the targets as a table, and why nobody is notified or reminded now."""
    print_table(HEADS, [_row(each) for each in found])
    for each in found:
        if each.get("message"):
            print(clean(localized(each["message"])))


def query(words: list[str]) -> list[tuple[str, str]]:
    """The query of the words: labels, or one id."""
    if len(words) == 1 and "=" not in words[0]:
        return [("incident", words[0])]
    wrong = [word for word in words if "=" not in word]
    if wrong:
        raise RequestError(f"{wrong[0][:40]!r} is no label; expected is LABEL=VALUE, such as service=api")
    return [(word.partition("=")[0].strip(), word.partition("=")[2].strip()) for word in words]


def _row(each: Mapping[str, Any]) -> list[str]:
    steps = "; ".join(f"after {step['after']} {', '.join(step['targets'])}" for step in each["escalate"])
    of = each.get("rule") or each.get("incident") or "anything else"
    heard = ", ".join(each["targets"]) or "nobody"
    if not each.get("reminds", True):
        return [of, "", heard if each["notified"] else "nobody now", "", ""]
    if each["quiet_now"]:
        until = f" until {clock(each['quiet_until'])}" if each["quiet_until"] else ""
        heard += f" (quiet now: {', '.join(each['quiet_now'])}{until})"
    return [of, each.get("severity", ""), heard, f"every {each['repeats_every']}", steps]
