"""tocsin secrets: the secrets and settings of a stage, kept as SecureStrings in the Parameter Store.

    tocsin secrets list --stage prod                         what is set, what the rules file reads, never a value
    tocsin secrets set SLACK_BOT_TOKEN --stage prod          the value from a prompt, or from standard input
    tocsin secrets rotate SENTRY_CLIENT_SECRET --stage prod  the new value before the old one: both are live
    tocsin secrets rotate SENTRY_CLIENT_SECRET --finish --stage prod     the new value alone
    tocsin secrets unset VERCEL_TOKEN --stage prod

HEARTBEAT_SECRET is rotated as by `tocsin heartbeat rotate` and `finish`: its new value is made, and nobody is asked for one.

A value is never an argument, since other programs and the shell's history see those. Functions read a new value within
five minutes, without a deploy.
"""

import argparse
import getpass
import sys
from collections.abc import Callable, Mapping
from typing import TextIO

from botocore.exceptions import BotoCoreError, ClientError

from chalicelib.core.delivery.writing import one_line
from chalicelib.core.errors import TocsinError
from chalicelib.ingest import heartbeats
from chalicelib.rules.file import variables_of
from chalicelib.rules.loader import load_rules, rules_text
from cli import heartbeat
from cli.running import PROGRAM, ROOT
from cli.stage import Stage, StageError, stage_of
from cli.table import print_json, print_table
from deploy.known_names import KnownNames, known_names
from deploy.parameters import delete_parameters, parameters, put_parameters

HELP = "list, set, rotate and remove the secrets of a stage"
HEADS = ("NAME", "STATE", "READ BY THE RULES")
LARGEST_VALUE = 4_096
"""The Parameter Store takes so many bytes in a parameter of the standard tier."""


class SecretsError(TocsinError):
    """What was asked for cannot be done; the text names no value."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("what", choices=("list", "set", "rotate", "unset"))
    parser.add_argument("name", metavar="NAME", nargs="?", default="", help="which one, such as SLACK_BOT_TOKEN")
    parser.add_argument("--stage", default="local", help="local (make run), dev, prod, or a name of yours")
    parser.add_argument("--finish", action="store_true", help="with rotate: keep the newest value alone")
    parser.add_argument("--json", action="store_true", help="with list: print JSON, for tools")


def run(arguments: argparse.Namespace) -> int:
    """Do it; one line says what was done."""
    stage = stage_of(arguments.stage)
    known = known_names(load_rules(ROOT, None), PROGRAM, variables_of(rules_text(ROOT)))
    try:
        there = parameters(stage.aws("ssm"), arguments.stage)
        if arguments.what == "list":
            return show(known, there, as_json=arguments.json)
        name = checked_name(arguments.name, arguments.what, known, there)
        print(CHANGES[arguments.what](stage, name, there, known, arguments))
    except (ClientError, BotoCoreError) as error:
        raise StageError(f"AWS refused: {one_line(str(error))}") from None
    return 0


def show(known: KnownNames, there: Mapping[str, str], *, as_json: bool = False) -> int:
    """Print what is set and what the rules file reads. 1 when a declared source has no secret, or nothing reads a name."""
    names = sorted({*known.used, *there})
    rows = [
        {"name": each, "state": _state(each, known, there), "read by the rules": _yes(each in known.used)}
        for each in names
    ]
    if as_json:
        print_json(rows)
    else:
        print_table(HEADS, [[row[head.lower()] for head in HEADS] for row in rows])
    return int(any(not there.get(each) for each in known.declared) or any(not known.is_known(each) for each in there))


def _state(name: str, known: KnownNames, there: Mapping[str, str]) -> str:
    if name not in there:
        return "not set"
    if not known.is_known(name):
        return f"set, and nothing reads it{known.did_you_mean(name, ': ')}"
    live = len(_live(there[name])) if name in known.rotated else 1
    return f"{live} live values" if live > 1 else "set"


def _yes(is_so: bool) -> str:
    return "yes" if is_so else ""


def checked_name(name: str, what: str, known: KnownNames, there: Mapping[str, str]) -> str:
    """Return the name. SecretsError where it is missing, or where nothing reads it and it is not there to be removed."""
    if not name:
        raise SecretsError(f"which one? tocsin secrets {what} NAME")
    if known.is_known(name) or (what == "unset" and name in there):
        return name
    allowed = "allowed is a name of .env.example, or one that the rules file names"
    raise SecretsError(f"nothing reads {name}; {allowed}{known.did_you_mean(name)}")


def _set(stage: Stage, name: str, there: Mapping[str, str], known: KnownNames, _: argparse.Namespace) -> str:
    value = new_value(name)
    put_parameters(stage.aws("ssm"), stage.settings.stage, {name: value}, there=there)
    return f"{name} is {'replaced' if name in there else 'set'}; functions read it within five minutes"


def _rotate(stage: Stage, name: str, there: Mapping[str, str], known: KnownNames, asked: argparse.Namespace) -> str:
    if name == heartbeats.SECRETS[0]:
        return heartbeat.finish(stage) if asked.finish else heartbeat.rotate(stage)
    if name not in known.rotated:
        raise SecretsError(f"{name} has one value at a time; replace it by `tocsin secrets set {name}`")
    live = _live(there.get(name, ""))
    if not live:
        raise SecretsError(f"{name} is not set; begin with `tocsin secrets set {name}`")
    if asked.finish:
        put_parameters(stage.aws("ssm"), stage.settings.stage, {name: live[0]}, there=there)
        return f"{name} has its newest value alone; older ones are refused within five minutes"
    if len(live) > 1:
        raise SecretsError(f"{name} has {len(live)} live values; end that rotation first, by --finish")
    put_parameters(stage.aws("ssm"), stage.settings.stage, {name: f"{new_value(name)},{live[0]}"}, there=there)
    return f"{name} has two live values. Give the sender the new one, then run the same with --finish"


def _unset(stage: Stage, name: str, there: Mapping[str, str], known: KnownNames, _: argparse.Namespace) -> str:
    if name not in there:
        raise SecretsError(f"{name} is not set")
    delete_parameters(stage.aws("ssm"), stage.settings.stage, [name])
    used = "; the rules file still reads it" if name in known.used else ""
    return f"{name} is removed{used}"


CHANGES: Mapping[str, Callable[..., str]] = {"set": _set, "rotate": _rotate, "unset": _unset}


def _live(text: str) -> list[str]:
    return [value.strip() for value in text.split(",") if value.strip()]


def new_value(name: str, source: TextIO | None = None, prompt: Callable[[str], str] = getpass.getpass) -> str:
    """Return a value from a prompt, or the whole of standard input where that is no terminal. SecretsError for none."""
    source = source or sys.stdin
    value = prompt(f"{name}: ") if source.isatty() else source.read()
    value = value.strip()
    if not value:
        raise SecretsError(f"{name}: the value is empty; give it at the prompt or on standard input")
    if len(value.encode()) > LARGEST_VALUE:
        raise SecretsError(f"{name}: the value has {len(value.encode())} bytes; allowed are {LARGEST_VALUE}")
    return value
