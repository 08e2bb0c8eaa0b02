"""tocsin incidents [MATCHER …]: the open incidents, worst first; with --all also those that ended lately."""

import argparse
from collections.abc import Mapping
from typing import Any

from cli.labels import say_unknown_labels
from cli.output import add_watch_argument, is_wide, printed
from cli.remote import add_api_arguments, listed, queries, remote
from cli.table import ago, print_table

HEADS = ("INCIDENT", "SEVERITY", "STATUS", "FOR", "ALERTS", "EVENTS", "WHO HAS IT", "TITLE")


HELP = "open incidents, and what ended lately"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument("matchers", metavar="MATCHER", nargs="*", help="service=api, severity!=info, zone=~eu-.*")
    parser.add_argument("--all", action="store_true", help="also those that ended")
    parser.add_argument("--since", default="1d", metavar="DURATION", help="with --all: that ended since then (1d)")
    add_api_arguments(parser)
    add_watch_argument(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print them."""
    query = list(queries(arguments.matchers))
    query += [("status", "all"), ("since", arguments.since)] if arguments.all else []
    api = remote(arguments)
    found = listed(api, "incidents", query)
    if printed(arguments, found):
        return 0
    if found:
        print_table(HEADS, [_row(each) for each in found], wide=is_wide(arguments))
    else:
        print("no incident is open")
        say_unknown_labels(api, arguments.matchers)
    return 0


def _row(each: Mapping[str, Any]) -> list[str]:
    counts = each["counts"]
    return [
        each["id"][:8],
        each["severity"],
        status(each),
        ago(each["started_at"]) if not each["ended"] else f"{ago(each['ended_at'])} ago",
        f"{counts['firing']}" + (f" of {counts['firing'] + counts['resolved']}" if counts["resolved"] else ""),
        str(each["events"]),
        each["assigned_to"] or each["acked_by"] or "",
        each["title"],
    ]


def status(each: Mapping[str, Any]) -> str:
    """Return what it is in: firing, acked, muted, both, resolved or ended."""
    if each["ended"] or each["status"] == "resolved":
        return "ended" if each["ended"] else "resolved"
    counts = each["counts"]
    marks = ["acked"] if each["acked_by"] else []
    marks += ["muted"] if counts["firing"] and counts["muted"] >= counts["firing"] else []
    return ", ".join(marks) or str(each["status"])
