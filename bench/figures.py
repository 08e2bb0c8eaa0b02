"""Runs the programs of this folder and writes the rows that they print into README.md, between its markers.

A row is a line `| what | budget | measured |`. It gets the program and the day. Rows of programs that were not run, that failed
before they printed one, or that skip something which is not installed, stay with their day; and so does the prose.
Run: make bench [ONLY="month growth"]
"""

import os
import platform
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
PAGE = FOLDER / "README.md"
BEGIN, END = "<!-- figures: `make bench` writes what follows -->\n", "<!-- end of the figures -->\n"
HEAD = ("| what | budget | measured | by | on |", "|---|---|---|---|---|")
PRINTED = re.compile(r"\| ([^|]+) \| ([^|]+) \| ([^|]+) \|")
WRITTEN = re.compile(r"\| ([^|]+) \| ([^|]+) \| ([^|]+) \| `bench/(\w+)\.py[^|]*` \| ([^|]+) \|")


@dataclass(frozen=True, slots=True)
class Row:
    """A figure: what was measured, what it may be, what it is, by which program, on which day."""

    what: str
    budget: str
    measured: str
    program: str
    day: str

    def text(self) -> str:
        """Return the line of the table."""
        return f"| {self.what} | {self.budget} | {self.measured} | `bench/{self.program}.py` | {self.day} |"


def printed(text: str, program: str, day: str) -> list[Row]:
    """Return the rows that a program has printed."""
    found = (PRINTED.fullmatch(line.strip()) for line in text.splitlines())
    return [Row(each[1], each[2], each[3], program, day) for each in found if each]


def rows_of(page: str) -> list[Row]:
    """Return the rows that the page has."""
    table = page.partition(BEGIN)[2].partition(END)[0]
    found = (WRITTEN.fullmatch(line) for line in table.splitlines())
    return [Row(each[1], each[2], each[3], each[4], each[5]) for each in found if each]


def replaced(rows: Sequence[Row], fresh: Sequence[Row]) -> list[Row]:
    """Return the rows with fresh ones in the place of those of the same figure; further ones follow those of their program."""
    newest = {each.what: each for each in fresh}
    found = [newest.pop(each.what, each) for each in rows]
    for each in newest.values():
        places = [place for place, known in enumerate(found, 1) if known.program == each.program]
        found.insert(max(places, default=len(found)), each)
    return found


def with_rows(page: str, rows: Sequence[Row], machine: str) -> str:
    """Return the page with these rows between its markers."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise SystemExit(f"{PAGE.name} lacks a marker; expected are {BEGIN.strip()} and {END.strip()}")
    lines = ["", machine, "", *HEAD, *(each.text() for each in rows), ""]
    return before + begin + "\n".join(lines) + "\n" + end + after


def machine(day: str) -> str:
    """Return the line that says where the newest rows were measured."""
    model = next((line for line in cpu_lines() if line.startswith("model name")), f": {platform.machine()}")
    load = os.getloadavg()[0]
    return (
        f"The rows of {day} were measured on {os.cpu_count()} cores ({model.partition(':')[2].strip()}), Python "
        f"{platform.python_version()}, with a load of {load:.1f} after the last of them."
    )


def cpu_lines() -> list[str]:
    """Return what the system says of its processors; nothing where it says it elsewhere."""
    path = Path("/proc/cpuinfo")
    return path.read_text(encoding="utf-8").splitlines() if path.exists() else []


def main(chosen: Sequence[str]) -> int:
    """Run the programs one after the other, and write the page after each. Return 1 when one of them failed or missed a goal."""
    known = sorted(each.stem for each in FOLDER.glob("*.py") if "def main(" in each.read_text(encoding="utf-8"))
    programs = list(chosen) or [each for each in known if each != Path(__file__).stem]
    if unknown := sorted(set(programs) - set(known)):
        raise SystemExit(f"no program of bench/ is called {', '.join(unknown)}; known are {', '.join(known)}")
    missed = []
    for program in programs:
        print(f"== bench/{program}.py", flush=True)
        day = f"{datetime.now(UTC):%Y-%m-%d}"
        done = subprocess.run(
            [sys.executable, str(FOLDER / f"{program}.py")], capture_output=True, text=True, check=False
        )
        print(done.stdout + done.stderr, flush=True)
        missed += [program] if done.returncode else []
        if fresh := printed(done.stdout, program, day):
            page = PAGE.read_text(encoding="utf-8")
            PAGE.write_text(with_rows(page, replaced(rows_of(page), fresh), machine(day)), encoding="utf-8")
    if missed:
        print(f"failed, or over a budget: {', '.join(missed)}")
    return int(bool(missed))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
