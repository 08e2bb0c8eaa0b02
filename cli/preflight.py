"""tocsin preflight: what of the pre-deploy checklist a program can look at, and the rest as boxes.

    tocsin preflight --stage prod                        preflight.yaml beside the rules, where there is one
    tocsin preflight --stage prod --without monitoring   send no marked test: its box stays

It looks at the variables and migrations that preflight.yaml names and runs its commands, looks at the secrets of probes, at
the stage as doctor does, and at open incidents, walks the journeys, and sends a marked test to every target of the routes.
In PagerDuty the test opens an alert and ends it. Ends with 1 when something is red, 0 otherwise. Boxes are yours.
"""

import argparse
import json
import os
import re
import shutil
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from chalicelib.core.errors import TocsinError
from chalicelib.deliver import runbooks
from cli.checkup import findings
from cli.finding import OK, WARNING, WRONG, Check, Finding
from cli.preflight_checks import Outside, checks
from cli.preflight_file import FILE, Plan, read_plan
from cli.remote import listed, remote
from cli.running import ROOT
from cli.smoke import wrapped
from cli.stage import Stage, stage_of
from cli.table import clean, coloured

HELP = "what of the pre-deploy checklist a program can look at"
CHECKLIST = "app/deployment.md"
SECTION = "pre-deploy checklist"
WORDS = ("variables", "migrations", "checks", "secrets", "stage", "incidents", "smoke", "monitoring")
MARKS = {OK: "ok   ", WARNING: "warn ", WRONG: "RED  "}
COLOURS = {WRONG: "critical", WARNING: "warning"}
INDENT = 5
_BOX = re.compile(r"\s*[-*] \[[ xX]\] +(.*)")
_MARK = re.compile(r"<!--\s*preflight:\s*([a-z]+)\s*-->")
_HEADING = re.compile(r"#{1,6}\s+(.*?)\s*")


class ChecklistError(TocsinError):
    """The page with the checklist cannot be read."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--stage", default="local", help="local (make run), dev or prod")
    parser.add_argument("--file", metavar="FILE", help=f"what to look at beside the stage ({FILE}, where there is one)")
    parser.add_argument("--checklist", metavar="PAGE", help=f"the page with the boxes (runbook/{CHECKLIST})")
    parser.add_argument("--without", metavar="CHECK", action="append", choices=WORDS, default=[], help=", ".join(WORDS))
    parser.add_argument(
        "--wait", type=float, default=30.0, metavar="SECONDS", help="for all marked tests together (30)"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object a line, for tools")


def run(arguments: argparse.Namespace) -> int:
    """Look, and print; 1 when something is red."""
    plan, page = plan_of(arguments.file), checklist(arguments.checklist)
    asked = argparse.Namespace(url=None, stage=arguments.stage)
    outside = Outside(lambda: listed(remote(asked), "incidents", []), os.environ, wait=arguments.wait)
    return examine(stage_of(arguments.stage), checks(plan, outside), page, arguments)


def plan_of(file: str | None) -> Plan:
    """Return what the file says that is named; else the one of the project, or an empty plan."""
    path = Path(file) if file else ROOT / FILE
    return read_plan(path) if file or path.is_file() else Plan(ROOT)


def examine(stage: Stage, wanted: Mapping[str, Check], page: str, arguments: argparse.Namespace) -> int:
    """Print each finding as it is made, then the boxes that are left."""
    chosen = {name: check for name, check in wanted.items() if name not in arguments.without}
    printer = _Json() if arguments.json else _Text(stage.settings.stage)
    looked: dict[str, set[str]] = {}
    for name, found in findings(stage, chosen):
        looked.setdefault(name, set()).add(found.state)
        printer.found(name, found)
    # A check that only warns has not answered its box: there was nothing to walk.
    boxes = list(left(page, {name for name, states in looked.items() if states != {WARNING}}))
    printer.ended(boxes)
    return int(any(WRONG in states for states in looked.values()))


def checklist(page: str | None) -> str:
    """Return the text of the page with the checklist. ChecklistError where it cannot be read."""
    path = Path(page) if page else runbooks.FOLDER / CHECKLIST
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "no UTF-8"
        raise ChecklistError(f"{path}: cannot be read ({why}); expected is a page with {SECTION!r}") from None


def left(page: str, looked: Collection[str]) -> Iterator[str]:
    """Yield the items of the checklist that no check has looked at, without marks."""
    for item in _items(page):
        mark = _MARK.search(item)
        if mark is None or mark[1] not in looked:
            yield runbooks.plain(_MARK.sub("", item))


def _items(page: str) -> Iterator[str]:
    """Yield the boxes of the section; lines that go on with an item belong to it."""
    item, is_inside = "", False
    for line in page.splitlines():
        heading, box = _HEADING.fullmatch(line), _BOX.fullmatch(line)
        if heading or box or not line.strip():
            if item:
                yield item
            item = box[1] if box and is_inside else ""
            is_inside = heading[1].lower() == SECTION if heading else is_inside
        elif item:
            item += f" {line.strip()}"
    if item:
        yield item


class _Text:
    """Prints for people, at most as wide as the terminal."""

    def __init__(self, stage: str) -> None:
        self._columns = shutil.get_terminal_size().columns
        self._counts = dict.fromkeys(MARKS, 0)
        print(f"Preflight of {stage}\n", flush=True)

    def found(self, name: str, found: Finding) -> None:
        """Print a finding, and below it what to do."""
        self._counts[found.state] += 1
        text = wrapped(clean(f"{name}: {found.what}"), self._columns, INDENT)[INDENT:]
        print(coloured(MARKS[found.state], COLOURS.get(found.state, "")) + text)
        if found.do:
            print(wrapped(f"→ {clean(found.do)}", self._columns, INDENT), flush=True)

    def ended(self, boxes: list[str]) -> None:
        """Print the boxes, and what all came to."""
        if boxes:
            print("\nBy hand:\n")
        for box in boxes:
            print(f"[ ] {wrapped(clean(box), self._columns, 4)[4:]}")
        red, warnings, well = self._counts[WRONG], self._counts[WARNING], self._counts[OK]
        verdict = f"Do not deploy: {red} red" if red else "Nothing is red"
        whole = f"{verdict}, {warnings} to look at, {well} ok, {len(boxes)} by hand."
        print(f"\n{wrapped(whole, self._columns)}")


class _Json:
    """Prints for tools: one object a line."""

    def found(self, name: str, found: Finding) -> None:
        """Print a finding."""
        self._line(check=name, state=found.state, what=found.what, do=found.do)

    def ended(self, boxes: list[str]) -> None:
        """Print the boxes."""
        for box in boxes:
            self._line(check="box", state="open", what=box, do="")

    def _line(self, **fields: Any) -> None:
        print(json.dumps(fields, ensure_ascii=False), flush=True)
