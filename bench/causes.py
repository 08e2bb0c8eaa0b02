"""A storm of causes: what inhibition costs, against the same storm under rules without `inhibit`, store in memory.

Half of the events are causes: samples that say a service is down. The others are samples of its error rate, which the rules
mute while it is down, and issues of Sentry. Shipped rules. CPU time an event, messages on the queue of webhooks and incidents read an event,
each as a ratio to the same without `inhibit`; and incidents read an event from 25 to 2,000 services, which must not grow.
Run: python bench/causes.py [--events 4000] [--profile]
"""

import argparse
import cProfile
import pstats
import sys
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

from storm import MINUTE, ROOT, START, Router, webhooks

from chalicelib.core.incident import Incident
from chalicelib.core.metrics.sample import Sample
from chalicelib.core.rule import Rules
from chalicelib.messages.queue import samples_messages
from chalicelib.rules.loader import load_rules
from chalicelib.schedule.tick import tick
from simulation.memory_store import MemoryStore

CPU_BUDGET, MESSAGES_BUDGET = 1.2, 1.1
GROWTH = (25, 200, 2_000)


class CountingStore(MemoryStore):
    """Counts the incidents that are read."""

    def __init__(self) -> None:
        super().__init__()
        self.read = 0

    def load(self, key: str) -> Incident | None:
        """Read one."""
        self.read += 1
        return super().load(key)

    def load_all(self, keys: Collection[str]) -> Mapping[str, Incident]:
        """Read some."""
        self.read += len(keys)
        return super().load_all(keys)

    def incidents(self, **asked: Any) -> Iterable[Incident]:
        """Read all that are asked for."""
        found = list(super().incidents(**asked))
        self.read += len(found)
        return found


@dataclass(frozen=True, slots=True)
class Cost:
    """What a storm cost: CPU seconds, messages put on the queue of webhooks, incidents read."""

    cpu: float
    messages: int
    read: int


def storm(events: int, services: int) -> Sequence[tuple[Any, str]]:
    """Return half samples that say a service is down, a quarter that its error rate is high, a quarter issues; in a minute."""
    listed = list(webhooks(events // 4, services, services))
    for metric, value, count in (("uptime", 0.0, events // 2), ("error_rate", 0.2, events // 4)):
        for number in range(count):
            at = START + MINUTE * number / count
            labels = {"service": f"service-{number * 7919 % services}"}
            listed += [(at, body) for body in samples_messages([Sample(metric, value, at, labels)])]
    return sorted(listed, key=lambda each: each[0])


def cost(rules: Rules, listed: Sequence[tuple[Any, str]]) -> Cost:
    """Let the storm go through a router, and a minute more."""
    router = Router(rules)
    router.store = CountingStore()
    put = router.webhooks.put
    messages = 0

    def counted(bodies: Sequence[str], *, delay: timedelta = timedelta(0)) -> None:
        nonlocal messages
        messages += len(bodies)
        put(bodies, delay=delay)

    router.webhooks.put = counted  # type: ignore[method-assign]
    tick(rules=rules, store=router.store, queues=router.queues, now=START)
    began = time.process_time()
    router.run(listed)
    return Cost(time.process_time() - began, messages, router.store.read)


def main() -> int:
    """Measure and print; 1 when a ratio is over its budget."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=4_000)
    parser.add_argument("--services", type=int, default=200)
    parser.add_argument("--profile", action="store_true", help="where the time goes, instead of the figures")
    options = parser.parse_args()
    rules = load_rules(ROOT)
    listed = storm(options.events, options.services)
    if options.profile:
        with cProfile.Profile() as profile:
            cost(rules, listed)
        pstats.Stats(profile).sort_stats("cumtime").print_stats(60)
        return 0
    plain, muted = cost(replace(rules, inhibitions=()), listed), cost(rules, listed)
    cpu, messages = muted.cpu / plain.cpu, muted.messages / plain.messages
    print(f"{options.events} events, half of them causes, of {options.services} services")
    print(
        f"CPU an event         {muted.cpu / options.events * 1e6:8.0f} µs   {cpu:6.2f} x without inhibit (budget {CPU_BUDGET})"
    )
    print(f"messages             {muted.messages:8}      {messages:6.2f} x   (budget {MESSAGES_BUDGET})")
    print(f"incidents read       {muted.read:8}      {muted.read / plain.read:6.2f} x")
    read = []
    for services in GROWTH:
        found = cost(rules, storm(options.events, services))
        print(
            f"  {services:5} services      {found.read / options.events:8.1f} incidents read an event, {found.cpu / options.events * 1e6:6.0f} µs"
        )
        read.append(found.read / options.events)
    print(
        f"| a storm with causes, {options.services} services, against rules without `inhibit` | "
        f"CPU at most {CPU_BUDGET}, messages at most {MESSAGES_BUDGET} | CPU {cpu:.2f}, messages {messages:.2f} |"
    )
    print(
        f"| incidents read an event, {GROWTH[0]} to {GROWTH[-1]:,} services | does not grow | {', '.join(f'{each:.1f}' for each in read)} |"
    )
    return int(cpu > CPU_BUDGET or messages > MESSAGES_BUDGET)


if __name__ == "__main__":
    sys.exit(main())
