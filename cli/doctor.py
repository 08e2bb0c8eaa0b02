"""tocsin doctor: is this stage well? Looks at everything between a webhook and its reader, and changes nothing.

Each line is ok, a warning, or wrong, with what to do. Ends with 1 when something is wrong, 0 otherwise.
"""

import argparse
import json

from cli.checkup import CHECKS, findings
from cli.finding import OK, WRONG, Finding
from cli.stage import Stage, stage_of

MARKS = {"ok": "ok     ", "warning": "warning", "wrong": "WRONG  "}


HELP = "look whether a stage is well"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument("--stage", default="local", help="local (make run), dev, prod, or a name of yours")
    parser.add_argument("--only", choices=[*CHECKS], action="append", help="only this check; may be given again")
    parser.add_argument("--quiet", action="store_true", help="leave out what is ok")
    parser.add_argument("--json", action="store_true", help="one JSON object a line, for tools")


def run(arguments: argparse.Namespace) -> int:
    """Look, and print; 1 when something is wrong."""
    return examine(stage_of(arguments.stage), arguments)


def examine(stage: Stage, arguments: argparse.Namespace) -> int:
    """Print every finding as it is made."""
    checks = {name: check for name, check in CHECKS.items() if not arguments.only or name in arguments.only}
    counts = dict.fromkeys(MARKS, 0)
    for name, found in findings(stage, checks):
        counts[found.state] += 1
        if arguments.json:
            print(json.dumps({"check": name, "state": found.state, "what": found.what, "do": found.do}))
        elif not (arguments.quiet and found.state == OK):
            print(line(name, found))
    if not arguments.json:
        print(f"{counts['ok']} ok, {counts['warning']} warnings, {counts['wrong']} wrong")
    return 1 if counts[WRONG] else 0


def line(check: str, found: Finding) -> str:
    """Return one finding for people."""
    return f"{MARKS[found.state]}  {check:<9}  {found.what}" + (f"\n{'':21}→ {found.do}" if found.do else "")
