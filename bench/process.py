"""Processing: CPU time for each event of a storm, from the raw webhook on the queue to the decision, store in memory.

Ten thousand webhooks of 5 kB about two hundred faults come within a minute, in batches of ten, through the shipped rules.
CPU time, which other work on the machine does not disturb; the decision is `fold` and `due` of the incidents.
Run: python bench/process.py [--events 10000] [--faults 200] [--profile]
"""

import argparse
import cProfile
import pstats
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

from storm import ROOT, Router, webhooks

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
    parts = [Timed(commit.fold), Timed(commit.due)]
    whole = best(lambda: Router(rules).run(storm)) / options.events * 1e6
    commit.fold, commit.due = parts  # type: ignore[assignment]
    router = Router(rules)
    router.run(storm)
    decision = sum(part.seconds for part in parts) / options.events * 1e6
    size = sum(len(body) for _, body in storm) / options.events
    print(f"{options.events} events of {options.faults} faults of {SERVICES} services, {size:.0f} bytes a message")
    print(f"process, an event    {whole:6.1f} µs CPU   (budget {BUDGET_MICROSECONDS} µs)")
    print(f"  of it the decision {decision:6.1f} µs CPU   (budget {DECISION_MICROSECONDS} µs)")
    print(f"counted              {router.events():6} events")
    return int(whole > BUDGET_MICROSECONDS or decision > DECISION_MICROSECONDS or router.events() != options.events)


def best(work: Callable[[], object], runs: int = 3) -> float:
    """The least CPU seconds of some runs."""
    found = []
    for _ in range(runs):
        began = time.process_time()
        work()
        found.append(time.process_time() - began)
    return min(found)


if __name__ == "__main__":
    sys.exit(main())
