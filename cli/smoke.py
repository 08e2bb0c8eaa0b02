"""tocsin smoke: walk the journeys of the rules file now, from this machine, and show each step as it is taken.

    tocsin smoke                              every journey of alert-rules.yaml
    tocsin smoke exam --stage prod            one of them, with the secrets of a stage
    tocsin smoke --file runbook/app/smoke.yaml --base https://preview.example.com

Each journey is walked once, with its own time limit. Nothing is stored, and nobody is notified. Secrets are variables of the
environment, or with --stage those of a stage. Ends with 0 when every journey passed, 1 when one did not.
"""

import argparse
import os
import shutil
import sys
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple, TextIO

from chalicelib.core.errors import RulesError
from chalicelib.core.ports import Clients
from chalicelib.core.rule import Rules
from chalicelib.probes import Progress, journey, name_of, time_words, unwatched
from chalicelib.redact import redact
from chalicelib.rules.compiled import RULES_NAME
from chalicelib.schedule.due import Probe, probes_of
from chalicelib.schedule.probing import Tried
from cli.probe import EnvironmentClients, tried
from cli.stage import stage_of
from cli.table import clean, fitted, width
from simulation.engine import read_rules

HELP = "walk the journeys now, step by step"
KIND = "journey"
BESIDE_NAME = 26
"""Columns of a step's line beside its name."""
MIN_NAME = 8
HOW_TO = "write one under `probes: journey:` (docs/probes.md), or name another file by --file"


class Step(NamedTuple):
    """A step that was taken: how long it took, and why it failed; empty where it passed."""

    name: str
    seconds: float
    why: str


@dataclass(frozen=True, slots=True)
class Walked:
    """A journey that was walked: of how many steps which were taken, and why it failed; empty where it passed."""

    name: str
    steps: tuple[Step, ...]
    of: int
    why: str

    @property
    def words(self) -> str:
        """Return what it came to, in a line."""
        took = time_words(sum(step.seconds for step in self.steps))
        if not self.why:
            return f"{self.name}: passed, {len(self.steps)} step{'' if len(self.steps) == 1 else 's'} in {took}"
        failed = next((number for number, step in enumerate(self.steps, 1) if step.why), 0)
        where = f" at step {failed} of {self.of}" if failed else ""
        return f"{self.name}: FAILED{where} after {took}"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("names", metavar="NAME", nargs="*", help="journeys by name; else all of them")
    parser.add_argument("--file", "--rules", default=RULES_NAME, help=f"a file with `probes: journey:` ({RULES_NAME})")
    parser.add_argument("--base", metavar="URL", help="walk at this address instead of the `base` of the file")
    parser.add_argument("--stage", help="read secrets of this stage; else variables of the environment")


def run(arguments: argparse.Namespace) -> int:
    """Walk, and print; 1 when a journey failed."""
    probes = [based(each, arguments.base) for each in journeys(read_rules(arguments.file), arguments.names)]
    if not probes:
        raise RulesError(f"{Path(arguments.file).name} has no journey; {HOW_TO}")
    clients = stage_of(arguments.stage).clients if arguments.stage else EnvironmentClients(os.environ)
    return show(probes, clients, sys.stdout)


def show(probes: Sequence[Probe], clients: Clients, out: TextIO) -> int:
    """Walk the journeys one after the other, each step on its line. Return 1 when one failed."""
    columns = shutil.get_terminal_size().columns
    failed = 0
    for probe in probes:
        print(clean(f"{name_of(probe[1])} at {probe[1].get('base') or 'the addresses of its steps'}"), file=out)
        found = walk(probe, clients, datetime.now(UTC), Lines(journey.step_names(probe[1]["steps"]), out, columns))
        if found.why and not any(step.why for step in found.steps):
            print(wrapped(found.why, columns, indent=2), file=out)
        print(wrapped(found.words, columns), file=out)
        failed += bool(found.why)
    if len(probes) > 1:
        print(f"{failed} of {len(probes)} journeys failed." if failed else f"{len(probes)} journeys passed.", file=out)
    return int(failed > 0)


def journeys(rules: Rules, names: Sequence[str] = ()) -> list[Probe]:
    """Return the journeys of the rules, or those that are named. RulesError with the names that there are."""
    known = {name_of(params): (kind, params) for kind, params in probes_of(rules) if kind == KIND}
    for name in names:
        if name not in known:
            allowed = f"allowed is one of {', '.join(known)}" if known else HOW_TO
            raise RulesError(f"no journey is named {name[:40]!r}; {allowed}")
    return [known[name] for name in names or known]


def based(probe: Probe, base: str | None) -> Probe:
    """Return the journey at another address. RulesError where that is none."""
    if not base:
        return probe
    kind, params = probe
    moved = {**params, "base": base}
    if mistakes := journey.validate(moved):
        raise RulesError(f"--base: {mistakes[0]}")
    return kind, moved


def walk(probe: Probe, clients: Clients, now: datetime, progress: Progress = unwatched) -> Walked:
    """Walk one journey. `progress` is called for each step as it is taken."""
    steps: list[Step] = []

    def taken(name: str, seconds: float | None, why: str) -> None:
        if seconds is not None:
            steps.append(Step(name, seconds, masked(why)))
        progress(name, seconds, why)

    found = tried(probe, clients, now, taken)
    name, of = name_of(probe[1]), len(probe[1]["steps"])
    return Walked(name, tuple(steps), of, masked(_why(found, steps)))


def _why(found: Tried, steps: Sequence[Step]) -> str:
    broken = next((each.summary for each in found.events if each.status.value == "firing"), "")
    if not found.down:
        return broken
    of_step = next((f"step {step.name!r}: {step.why}" for step in steps if step.why), "")
    return of_step or next((each.observed.get("result", "") for each in found.samples if not each.value), "") or "down"


def masked(text: str) -> str:
    """Return a text of an answer as people may see it."""
    return clean(redact(text))


def wrapped(text: str, columns: int, indent: int = 0) -> str:
    """Return a text in lines of at most so many columns. A longer word stays whole, to be copied."""
    margin = " " * indent
    return textwrap.fill(
        text,
        max(columns, 20),
        initial_indent=margin,
        subsequent_indent=margin,
        break_on_hyphens=False,
        break_long_words=False,
    )


@dataclass(slots=True)
class Lines:
    """Prints a line for each step: its name where it begins, then how long it took and what it came to."""

    names: Sequence[str]
    out: TextIO
    columns: int

    def __call__(self, step: str, seconds: float | None, why: str) -> None:
        """Print the part of the line that is known now."""
        if seconds is None:
            size = min(max(map(width, self.names)), max(MIN_NAME, self.columns - BESIDE_NAME))
            number = f"{self.names.index(step) + 1}/{len(self.names)}"
            print(f"  {number:>5}  {fitted(clean(step), size)}", end="", flush=True, file=self.out)
            return
        print(f"  {time_words(seconds):>7}  {'FAILED' if why else 'ok'}", file=self.out, flush=True)
        if why:
            print(wrapped(masked(why), self.columns, indent=9), file=self.out)
