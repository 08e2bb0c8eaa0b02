"""What the commands ack, unack, resolve, note and assign have in common."""

import argparse
import sys
from collections.abc import Mapping
from typing import Any

from chalicelib.core.errors import RequestError
from cli.output import printed
from cli.remote import RefusedError, Remote, add_api_arguments, remote, who_acts
from cli.show import quoted

FAILED = 1


def add_incident_arguments(parser: argparse.ArgumentParser, *, several: bool = False) -> None:
    """Add the arguments of an act on an incident, or on several."""
    parser.add_argument(
        "incidents",
        metavar="INCIDENT",
        nargs="+" if several else 1,
        help="its id, or the first characters of it" + (", for one or several" if several else ""),
    )
    add_api_arguments(parser, acts=True)


def add_alert_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of an act on the alerts of incidents, or on some of these alerts."""
    add_incident_arguments(parser, several=True)
    parser.add_argument("--note", default="", metavar="TEXT", help="why; it is kept in the timeline")
    parser.add_argument(
        "--match", action="append", metavar="MATCHER", help="only those of its alerts: service=api, zone=~eu-.*"
    )


def act(arguments: argparse.Namespace, name: str, form: Mapping[str, Any]) -> int:
    """Act on each incident and print what came of it. Of several, one that is refused stops no other."""
    api, form = remote(arguments), {"by": who_acts(arguments), **form}
    if len(arguments.incidents) == 1:
        answer = _done(api, arguments.incidents[0], name, form)
        if not printed(arguments, answer):
            print(_words(answer))
        return 0
    answers = [
        _tried(api, each, name, form, quiet=arguments.output not in (None, "wide")) for each in arguments.incidents
    ]
    printed(arguments, answers)
    return FAILED if any("error" in each for each in answers) else 0


def _done(api: Remote, id: str, name: str, form: Mapping[str, Any]) -> Mapping[str, Any]:
    return api.do("POST", f"incidents/{quoted(id)}/{name}", form)


def _tried(api: Remote, id: str, name: str, form: Mapping[str, Any], *, quiet: bool) -> Mapping[str, Any]:
    try:
        answer = _done(api, id, name, form)
    except (RefusedError, RequestError) as error:
        print(f"tocsin: {error}", file=sys.stderr)
        return {"incident": id, "error": str(error)}
    if not quiet:
        print(_words(answer))
    return answer


def _words(answer: Mapping[str, Any]) -> str:
    return str(answer["message"]).replace(answer["incident"], answer["incident"][:8])
