"""tocsin who INCIDENT | LABEL=VALUE … | --service NAME: who is notified of an incident, or of what has these labels.

tocsin who 3f2a91c0                              an incident
tocsin who --service api                         whose a service is, what it needs, and who is notified by severity
tocsin who service=api environment=production    any labels
"""

import argparse
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from chalicelib.core.errors import RequestError
from cli.output import printed
from cli.remote import add_api_arguments, remote
from cli.table import clean, clock, localized, print_table

HEADS = ("OF", "SEVERITY", "NOTIFIED", "AGAIN", "WHEN NOBODY ACKNOWLEDGES")


HELP = "who is notified of a service or an incident"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument("of", metavar="INCIDENT | LABEL=VALUE", nargs="*", help="an incident's id, or labels")
    parser.add_argument("--service", metavar="NAME", help="a service, by its name here or by that of a sender")
    add_api_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print them."""
    found = remote(arguments).get("who", query(arguments.of, arguments.service))
    if printed(arguments, found if arguments.service else found["who"]):
        return 0
    for line in service_lines(found.get("service"), arguments.service):
        print(clean(line))
    show(found["who"])
    return 0


def service_lines(found: Mapping[str, Any] | None, asked: str | None = None) -> Iterator[str]:
    """Yield whose a service is, what it needs and what needs it, and its pages."""
    if found is None:
        if asked:
            yield f"The rules of this stage have no service {asked!r}. By that label:"
        return
    owner = f"owner {found['owner']}" if found["owner"] else "no owner"
    yield f"{found['name']}: {owner}" + ("" if found["tier"] is None else f", tier {found['tier']}")
    needs = [_owned(each) for each in found["depends_on"]]
    for word, names in (("depends on", needs), ("needed by", found["needed_by"])):
        if names:
            yield f"{word}: {', '.join(names)}"
    for name, address in found["links"].items():
        yield f"{name}: {address}"


def _owned(service: Mapping[str, str]) -> str:
    return f"{service['name']} ({service['owner']})" if service["owner"] else service["name"]


def show(found: Sequence[Mapping[str, Any]]) -> None:
    """Print the targets as a table, and why nobody is notified or reminded now."""
    print_table(HEADS, [_row(each) for each in found])
    for each in found:
        if each.get("message"):
            print(clean(localized(each["message"])))


def query(words: list[str], service: str | None = None) -> list[tuple[str, str]]:
    """Return the query of the words: labels, or one id."""
    if not words and not service:
        raise RequestError("nothing is asked: expected is an incident, LABEL=VALUE or --service NAME")
    if len(words) == 1 and "=" not in words[0] and not service:
        return [("incident", words[0])]
    wrong = [word for word in words if "=" not in word]
    if wrong:
        raise RequestError(f"{wrong[0][:40]!r} is no label; expected is LABEL=VALUE, such as service=api")
    labels = [(word.partition("=")[0].strip(), word.partition("=")[2].strip()) for word in words]
    return [*labels, ("service", service)] if service else labels


def _row(each: Mapping[str, Any]) -> list[str]:
    steps = "; ".join(f"after {step['after']} {', '.join(step['targets'])}" for step in each["escalate"])
    of = each.get("rule") or each.get("incident") or "anything else"
    named = ", ".join(each["targets"]) or "nobody"
    if not each.get("reminds", True):
        return [of, "", named if each["notified"] else "nobody now", "", ""]
    if each["quiet_now"]:
        until = f" until {clock(each['quiet_until'])}" if each["quiet_until"] else ""
        named += f" (quiet now: {', '.join(each['quiet_now'])}{until})"
    return [of, each.get("severity", ""), named, _again(each["repeats_every"]), steps]


def _again(every: str) -> str:
    return every if every == "never" else f"every {every}"
