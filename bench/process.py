"""Processing: CPU time for each event of a storm, from the raw webhook on the queue to the decision, store in memory.

Ten thousand webhooks of 5 kB about two hundred faults come within a minute, in batches of ten, through the shipped rules.
CPU time, which other work on the machine does not disturb; the decision is `fold` and `due` of the incidents. Printed as
well as a ratio to what `json.loads` of the same bodies takes in the same run: that depends on no machine.
Run: python bench/process.py [--events 10000] [--faults 200] [--profile]
"""

import argparse
import cProfile
import json
import pstats
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

from storm import ROOT, Router, bodies, webhooks

from chalicelib.process import commit
from chalicelib.rules.loader import load_rules

BUDGET_MICROSECONDS, DECISION_MICROSECONDS = 250, 40
SERVICES = 20


class Timed:
    """A function that adds up the CPU time of its calls."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.seconds = 0.0
        self._function = function

    def __call__(self, *given: Any, **named: Any) -> Any:
        """Call it."""
        began = time.process_time()
        try:
            return self._function(*given, **named)
        finally:
            self.seconds += time.process_time() - began


def main() -> int:
    """Measure and print; 1 when it is over a budget or an event was not counted."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=10_000)
    parser.add_argument("--faults", type=int, default=200)
    parser.add_argument("--profile", action="store_true", help="where the time goes, instead of the figures")
    options = parser.parse_args()
    rules = load_rules(ROOT)
    storm = list(webhooks(options.events, options.faults, SERVICES))
    Router(rules).run(storm[:500])
    if options.profile:
        with cProfile.Profile() as profile:
            Router(rules).run(storm)
        pstats.Stats(profile).sort_stats("cumtime").print_stats(90)
        return 0
    parts = [Timed(commit.folded), Timed(commit.due)]
    raw = [body for _, body in bodies(options.events, options.faults, SERVICES)]
    reading = best(lambda: read_all(raw)) / options.events * 1e6
    whole = best(lambda: Router(rules).run(storm)) / options.events * 1e6
    commit.folded, commit.due = parts  # type: ignore[assignment]
    router = Router(rules)
    router.run(storm)
    decision = sum(part.seconds for part in parts) / options.events * 1e6
    size, message = (sum(map(len, each)) / options.events for each in (raw, [text for _, text in storm]))
    print(f"{options.events} events of {options.faults} faults of {SERVICES} services")
    print(f"a body               {size:6.0f} bytes, {message:.0f} as a message, json.loads {reading:.1f} µs")
    print(
        f"process, an event    {whole:6.1f} µs CPU   (budget {BUDGET_MICROSECONDS} µs)   {whole / reading:.1f} x json.loads"
    )
    print(f"  of it the decision {decision:6.1f} µs CPU   (budget {DECISION_MICROSECONDS} µs)")
    print(
        f"| process, from raw 5 kB bodies, in a storm | under {BUDGET_MICROSECONDS} µs CPU an event | {met(whole, BUDGET_MICROSECONDS)}"
        f"{whole:.0f} µs, {whole / reading:.1f} times `json.loads` of the same bodies ({reading:.0f} µs) |"
    )
    print(
        f"| of it the decision | under {DECISION_MICROSECONDS} µs | {met(decision, DECISION_MICROSECONDS)}{decision:.0f} µs |"
    )
    print(f"counted              {router.events():6} events")
    return int(whole > BUDGET_MICROSECONDS or decision > DECISION_MICROSECONDS or router.events() != options.events)


def met(found: float, budget: float) -> str:
    """Return the words before a figure that is over its budget."""
    return "not met: " if found >= budget else ""


def read_all(raw: Sequence[bytes]) -> None:
    """Read bodies as JSON, and forget each."""
    for body in raw:
        json.loads(body)


def best(work: Callable[[], object], runs: int = 3) -> float:
    """Return the least CPU seconds of some runs."""
    found = []
    for _ in range(runs):
        began = time.process_time()
        work()
        found.append(time.process_time() - began)
    return min(found)


if __name__ == "__main__":
    sys.exit(main())
