"""tocsin alerts [MATCHER …]: what is pending or firing now, worst first, and what holds it back."""

import argparse
from collections.abc import Mapping
from typing import Any

from cli.labels import say_unknown_labels
from cli.output import add_watch_argument, is_wide, printed
from cli.remote import add_api_arguments, listed, queries, remote
from cli.table import ago, labels, print_table

HEADS = ("SEVERITY", "STATE", "ALERT", "FOR", "EVENTS", "VALUE", "INCIDENT", "WHERE")


HELP = "what is pending or firing now"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument("matchers", metavar="MATCHER", nargs="*", help="service=api, severity!=info, zone=~eu-.*")
    add_api_arguments(parser)
    add_watch_argument(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print them."""
    api = remote(arguments)
    found = listed(api, "alerts", list(queries(arguments.matchers)))
    if printed(arguments, found):
        return 0
    if found:
        print_table(HEADS, [_row(each) for each in found], wide=is_wide(arguments))
    else:
        print("nothing is pending or firing")
        say_unknown_labels(api, arguments.matchers)
    return 0


def _row(each: Mapping[str, Any]) -> list[str]:
    value = each["value"] + (f" (limit {each['threshold']})" if each["threshold"] else "")
    return [
        each["severity"],
        state(each),
        each["name"],
        ago(each["starts_at"]),
        str(each["events"] or ""),
        value,
        (each["incident"] or "")[:8],
        labels(each["labels"]),
    ]


def state(each: Mapping[str, Any]) -> str:
    """Return what mutes the alert and who has it, else its state; of a resolved one that, and who had it."""
    if each["state"] == "resolved":
        return "resolved" + (f", was acked by {each['acked_by']}" if each["acked_by"] else "")
    acked = f"acked by {each['acked_by']}" if each["acked_by"] else ""
    return ", ".join(filter(None, (held(each), acked))) or str(each["state"])


def held(each: Mapping[str, Any]) -> str:
    """Return what holds the alert back: `silenced by s1`, `inhibited by Service Downtime`, `muted by nights`."""
    if each["silenced_by"]:
        return f"silenced by {', '.join(each['silenced_by'])}"
    if each["inhibited_by"]:
        return f"inhibited by {', '.join(cause.get('alertname', '?') for cause in each['inhibited_by'])}"
    return f"muted by {', '.join(each['muted_by'])}" if each["muted_by"] else ""
