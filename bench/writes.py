"""Writes to the table: for each event of a storm, and for a lone fire from its webhook to three targets.

Ten thousand webhooks about two hundred faults within a minute, told in one incident for each of twenty services or for
each fault; every event at its own time, as `tocsin replay` runs them, and in batches of ten, as SQS hands them over. The
deliveries are counted too: each costs its claim and its record. These are counts: they do not depend on the machine.
Run: python bench/writes.py [--events 10000] [--faults 200]
"""

import argparse
import sys
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from storm import BATCH, MINUTE, START, Router, webhooks

from chalicelib.core.rule import Rules
from chalicelib.rules.file import load
from simulation.simulator import Simulator

STORM_BUDGET, LONE_BUDGET = 0.5, 10
SERVICES = 20
WRITES_OF_A_DELIVERY = 2
RULES = """
defaults: {{group_by: {group_by}, group_wait: {group_wait}}}
default: {{notification: [{{slack_channel: "#incidents"}}, {{pagerduty: true}}, {{email: ops@example.com}}]}}
alerts: [{{name: Sentry Issue, match: {{source: sentry}}, severity: critical}}]
"""

Storm = Sequence[tuple[datetime, str]]


def rules(group_by: str, group_wait: str = "30s") -> Rules:
    """Return one rule for everything Sentry sends, with three targets."""
    return load(RULES.format(group_by=group_by, group_wait=group_wait), filename="alert-rules.yaml")


def each_at_its_time(group_by: str, storm: Storm) -> tuple[int, int, int]:
    """Return writes, messages to people and counted events, with every event worked on when it comes."""
    simulator = Simulator(rules(group_by), START)
    for at, body in storm:
        simulator.run_until(at, inclusive=False)
        simulator.post([body])
    simulator.run_until(storm[-1][0] + MINUTE, inclusive=True)
    events = sum(each.events for each in simulator.store.incidents())
    return simulator.store.writes, len(simulator.taken()), events


def in_batches(group_by: str, storm: Storm) -> tuple[int, int, int]:
    """Return the same in batches of ten."""
    router = Router(rules(group_by))
    router.run(storm, BATCH)
    told = len(router.notifications.waiting)
    return router.store.writes + WRITES_OF_A_DELIVERY * told, told, router.events()


def lone(group_wait: str) -> int:
    """Return the writes of one webhook until three targets have been told."""
    ((_, body),) = webhooks(1, 1, 1)
    simulator = Simulator(rules("[service]", group_wait), START)
    simulator.post([body])
    simulator.run_until(START + timedelta(minutes=2), inclusive=True)
    told = simulator.taken()
    if len(told) != 3 or not all(each.delivered for each in told):
        raise SystemExit(f"a lone fire was told {len(told)} times instead of to three targets")
    return simulator.store.writes


def main() -> int:
    """Count and print; 1 when it is over a budget or an event was not counted."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=10_000)
    parser.add_argument("--faults", type=int, default=200)
    options = parser.parse_args()
    storm = list(webhooks(options.events, options.faults, SERVICES))
    over, shares = 0, []
    print(f"{'storm':<22}{'events come':<14}{'writes':>7}{'an event':>10}{'messages':>10}{'counted':>9}")
    for name, group_by in (("grouped by service", "[service]"), ("each fault by itself", "...")):
        for way, run in (("one by one", each_at_its_time), (f"in {BATCH}s", in_batches)):
            writes, told, counted = run(group_by, storm)
            ratio = writes / options.events
            print(f"{name:<22}{way:<14}{writes:>7}{ratio:>10.3f}{told:>10}{counted:>9}   (budget {STORM_BUDGET})")
            shares += [f"{name} {ratio:.2f}"] if run is in_batches else []
            over += ratio >= STORM_BUDGET or counted != options.events
    for group_wait in ("0s", "30s"):
        writes = lone(group_wait)
        print(f"a lone fire to three targets, group_wait {group_wait:<4}{writes:>4} writes   (budget {LONE_BUDGET})")
        over += writes > LONE_BUDGET
    print(
        f"| writes in a storm of {options.events:,} events of {options.faults} faults, in {BATCH}s | "
        f"under {STORM_BUDGET} an event | {', '.join(shares)} |"
    )
    print(f"| writes of a lone fire, webhook to three targets | at most {LONE_BUDGET} | {writes} |")
    return int(over > 0)


if __name__ == "__main__":
    sys.exit(main())
