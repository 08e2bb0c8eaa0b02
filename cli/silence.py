"""tocsin silence: mute what matches until a time; list, edit and end silences.

    tocsin silence                                            what is silenced, and what that mutes now
    tocsin silence add service=api --for 2h --comment deploy
    tocsin silence add --incident 3f2a --until tomorrow       what that incident is about
    tocsin silence add service=api --for 2h --maintenance     holds back new alerts only
    tocsin silence edit ID --until 18:30
    tocsin silence end ID

ID may be cut to its first four characters.
--for takes a duration (2h, "1d 12h"); --until takes 18:30, 6pm, tomorrow (09:00), "tomorrow 14:00", "friday 18:30",
"2026-11-27 09:00" or RFC 3339, in --timezone, else in this machine's zone, else in that of the rules file.
"""

import argparse
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cli.output import add_watch_argument, is_wide, printed
from cli.remote import Remote, add_api_arguments, remote, who_acts
from cli.remote import listed as rows_of
from cli.table import ago, clean, clock, labels, print_table

HEADS = ("SILENCE", "STATE", "ENDS", "BY", "MUTES NOW", "MATCHERS", "COMMENT")


HELP = "mute what matches until a time; list, edit and end silences"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    add_api_arguments(parser)
    parser.add_argument("--all", action="store_true", help="also those that ended in the last week")
    add_watch_argument(parser)
    parser.set_defaults(do=listed)
    acts = parser.add_subparsers(metavar="add | edit | end | list")
    found = acts.add_parser("list", help="what is silenced, and what that mutes now")
    add_api_arguments(found)
    found.add_argument("--all", action="store_true", help="also those that ended in the last week")
    add_watch_argument(found)
    found.set_defaults(do=listed)
    found = acts.add_parser("add", aliases=["create"], help="make one")
    found.add_argument("matchers", metavar="MATCHER", nargs="*", help="service=api, severity!=info, zone=~eu-.*")
    found.add_argument("--incident", metavar="INCIDENT", help="what this incident is about, instead of matchers")
    _terms(found)
    found.set_defaults(do=added)
    found = acts.add_parser("edit", help="change one; what is left out stays")
    found.add_argument("id", metavar="ID")
    found.add_argument("matchers", metavar="MATCHER", nargs="*", help="the new matchers")
    _terms(found)
    found.set_defaults(do=edited)
    found = acts.add_parser("end", aliases=["expire"], help="end one now")
    found.add_argument("id", metavar="ID")
    add_api_arguments(found, acts=True)
    found.set_defaults(do=ended)


def _terms(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--for", dest="duration", metavar="DURATION", help="2h, 30m, '1d 12h'")
    parser.add_argument("--until", metavar="TIME", help="18:30, 'tomorrow 14:00', 'friday 6pm', 2026-11-27T09:00")
    parser.add_argument("--from", dest="since", metavar="TIME", help="when it begins, if not now")
    parser.add_argument("--timezone", metavar="ZONE", help="of these times: Europe/Riga; else this machine's")
    parser.add_argument("--comment", metavar="TEXT", help="why")
    parser.add_argument("--maintenance", action="store_true", default=None, help="hold back new alerts only")
    add_api_arguments(parser, acts=True)


def run(arguments: argparse.Namespace) -> int:
    """Do what was asked for."""
    done: int = arguments.do(arguments, remote(arguments))
    return done


def listed(arguments: argparse.Namespace, api: Remote) -> int:
    """List all silences, with what they mute now."""
    found = rows_of(api, "silences", [("ended", "true")] if arguments.all else [])
    if printed(arguments, found):
        return 0
    if found:
        print_table(HEADS, [_row(each) for each in found], wide=is_wide(arguments))
    else:
        print("nothing is silenced")
    return 0


def added(arguments: argparse.Namespace, api: Remote) -> int:
    """Create a silence and print it."""
    return _said(arguments, api.do("POST", "silences", {**_form(arguments), "incident": arguments.incident}))


def edited(arguments: argparse.Namespace, api: Remote) -> int:
    """Edit a silence and print it."""
    return _said(arguments, api.do("PUT", f"silences/{named(api, arguments.id)}", _form(arguments)))


def ended(arguments: argparse.Namespace, api: Remote) -> int:
    """End a silence and print it."""
    by = who_acts(arguments)
    answer = api.do("DELETE", f"silences/{named(api, arguments.id)}", {"by": by})
    if not printed(arguments, answer):
        print(f"{answer['id']} ended by {by}")
    return 0


def named(api: Remote, id: str) -> str:
    """Return the whole id, as part of a path, of the silence that an id or the first characters of one mean."""
    return quoted_id(str(api.get(f"silences/{quoted_id(id)}")["silence"]["id"]))


def quoted_id(id: str) -> str:
    """Return a silence's id as part of a path."""
    return "".join(each for each in id if each.isalnum() or each in "-_.") or "-"


def _form(arguments: argparse.Namespace) -> dict[str, Any]:
    return {
        "matchers": arguments.matchers or None,
        "for": arguments.duration,
        "until": arguments.until,
        "from": arguments.since,
        "timezone": arguments.timezone or (timezone() if arguments.until or arguments.since else None),
        "comment": arguments.comment,
        "maintenance": arguments.maintenance,
        "by": who_acts(arguments),
    }


def timezone(environment: Mapping[str, str] = os.environ, localtime: Path = Path("/etc/localtime")) -> str:
    """Return the name of this machine's time zone; empty where the machine names none."""
    if name := environment.get("TZ", "").lstrip(":"):
        return name.rpartition("/zoneinfo/")[2]
    _, found, name = str(localtime.resolve()).partition("/zoneinfo/")
    return name if found else ""


def _said(arguments: argparse.Namespace, answer: Mapping[str, Any]) -> int:
    if printed(arguments, answer):
        return 0
    each = answer["silence"]
    word = "maintenance" if each["maintenance"] else "silence"
    print(f"{word} {each['id']} until {clock(each['ends_at'])}: {clean(', '.join(each['matchers']))}")
    if each["state"] == "pending":
        print(f"it begins at {clock(each['starts_at'])}")
        return 0
    for line in answer.get("warnings", ()):
        print(clean(line))
    if each["mutes"]:
        print(f"it mutes {len(each['mutes'])} of the alerts that fire now:")
    for alert in each["mutes"][:10]:
        print(f"  {alert['incident'][:8]}  {clean(alert['name'])}  {clean(labels(alert['labels']))}")
    return 0


def _row(each: Mapping[str, Any]) -> list[str]:
    state = each["state"] + (" (maintenance)" if each["maintenance"] else "")
    ends = f"{ago(each['ends_at'])}" if each["state"] != "ended" else f"{ago(each['ends_at'])} ago"
    return [
        each["id"], state, ends, each["by"], str(len(each["mutes"])), ", ".join(each["matchers"]), each["comment"],
    ]  # fmt: skip
