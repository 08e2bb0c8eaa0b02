"""tocsin tokens: named tokens of the API, for a person or a program. An admin of `access:` makes and revokes them.

    tocsin tokens list --stage prod
    tocsin tokens create ana --scope act --stage prod
    tocsin tokens revoke 3f2a91c0 --stage prod

The value is printed once, and stored nowhere. A scope is the most that a token may do: `read` looks, `act` also acknowledges,
silences and resolves, `admin` also makes tokens.
"""

import argparse
import sys
from collections.abc import Mapping
from typing import Any

from chalicelib.core.tokens import SCOPES
from cli.output import is_wide, printed
from cli.remote import Remote, add_api_arguments, remote, who_acts
from cli.silence import quoted_id
from cli.table import ago, print_table

HELP = "make, list and revoke named tokens of the API"
HEADS = ("TOKEN", "NAME", "SCOPE", "STATE", "MADE", "BY", "LAST USED")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    acts = parser.add_subparsers(metavar="list | create | revoke", required=True)
    found = acts.add_parser("list", help="the live and the revoked ones")
    add_api_arguments(found)
    found.set_defaults(do=listed)
    found = acts.add_parser("create", help="make one and print its value")
    found.add_argument("name", metavar="NAME", help="whose it is; what is done with it is done by that name")
    found.add_argument("--scope", choices=tuple(SCOPES), default="act", help="the most that it may do (act)")
    add_api_arguments(found, acts=True)
    found.set_defaults(do=created)
    found = acts.add_parser("revoke", help="revoke one: it opens nothing from then on")
    found.add_argument("id", metavar="ID", help="its id, as `list` shows it")
    add_api_arguments(found, acts=True)
    found.set_defaults(do=revoked)


def run(arguments: argparse.Namespace) -> int:
    """Do what was asked for."""
    done: int = arguments.do(arguments, remote(arguments))
    return done


def listed(arguments: argparse.Namespace, api: Remote) -> int:
    """Print the tokens, without their values."""
    found = api.get("tokens")["tokens"]
    if printed(arguments, found):
        return 0
    if found:
        print_table(HEADS, [_row(each) for each in found], wide=is_wide(arguments))
    else:
        print("there is no named token")
    return 0


def created(arguments: argparse.Namespace, api: Remote) -> int:
    """Make one. Only its value goes to standard output, so that a script can take it."""
    by = who_acts(arguments)
    made = api.do("POST", "tokens", {"name": arguments.name, "scope": arguments.scope, "by": by})
    if printed(arguments, made):
        return 0
    print(f"token {made['id']} of {made['name']} ({made['scope']}); it is shown this once:", file=sys.stderr)
    print(made["token"])
    return 0


def revoked(arguments: argparse.Namespace, api: Remote) -> int:
    """Revoke one."""
    found = api.do("DELETE", f"tokens/{quoted_id(arguments.id)}", {"by": who_acts(arguments)})
    if not printed(arguments, found):
        print(f"token {found['id']} of {found['name']} is revoked")
    return 0


def _row(each: Mapping[str, Any]) -> list[str]:
    state = f"revoked by {each['revoked_by']}" if each["revoked_at"] else "live"
    made = f"{ago(each['made_at'])} ago"
    return [each["id"], each["name"], each["scope"], state, made, each["made_by"], each["last_used_on"] or "never"]
