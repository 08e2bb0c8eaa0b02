"""Load: what one webhook takes of each service of AWS, by count, and at how many webhooks a second each limit is met.

Three kinds of webhooks of Sentry's, 5 kB each, on the real stages over a table that moto keeps in this process:

    lone         each is another fault of another service: an incident that one target is notified of
    storm        many about 200 faults of 20 services, in batches of ten; incidents are grouped by service
    one service  the same about one service: the most that one item of the table gets

Counted are requests, invocations, units of the table and of its index, and the units of the item that has the most of them. A
count times a rate is a load; a limit divided by a count is the rate at which it is met. The minute tick is left out: it does
not grow with webhooks. So are recording (`bench/history.py`), time (`bench/store.py`), and money (`bench/month.py`).
These are counts: they do not depend on the machine.
Run: python bench/load.py [--events 2000]
"""

import argparse
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from math import ceil
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

import boto3
from moto import mock_aws
from samples import item_bytes
from storm import START, webhooks

from chalicelib.aws.dynamodb import DynamoStore
from chalicelib.messages.queue import Message
from deploy.concurrency import concurrency
from deploy.table import table
from tests.aws.tables import OverBoto
from tests.fakes import WaitingQueue
from tests.scenario import Router, rules_of

FAULTS, SERVICES, BATCH = 200, 20, 10
LONE, APART = 60, timedelta(seconds=5)
WINDOW = timedelta(seconds=3)
"""How long Lambda gathers events that only count."""
RULES = """
defaults: {group_by: [service], group_wait: 30s}
default: {notification: [{webhook: ops}]}
alerts: [{name: Sentry Issue, match: {source: sentry}, severity: critical}]
"""
DAYS = {"1 million": 1_000_000, "100 million": 100_000_000}
LIMITS = {
    "API Gateway requests": 10_000,
    "table write units": 4_000,
    "table read units": 12_000,
    "index write units of one key": 1_000,
    "write units of one item": 1_000,
    "read units of one item": 3_000,
}
"""Documented limits a second, of an account, of a new table, and of a key or an item: docs/scaling.md has the links."""


class Table:
    """A client that counts units as DynamoDB bills them: whole kilobytes written, four read at once, each index entry beside."""

    def __init__(self, client: OverBoto) -> None:
        self._client = client
        self.on = False
        self.calls: Counter[str] = Counter()
        self.written: Counter[str] = Counter()
        self.read: Counter[str] = Counter()
        self.indexed: Counter[str] = Counter()
        self._entries: dict[str, tuple[str, str] | None] = {}

    def get_item(self, **call: Any) -> Any:
        """Read an item, consistently."""
        answer = self._client.get_item(**call)
        self._reads("GetItem", call["Key"]["pk"]["S"], item_bytes(answer.get("Item", {})))
        return answer

    def batch_get_item(self, **call: Any) -> Any:
        """Read items, consistently; one that is not there costs as much as a small one."""
        answer = self._client.batch_get_item(**call)
        ((_, asked),) = call["RequestItems"].items()
        there = {item["pk"]["S"]: item_bytes(item) for items in answer["Responses"].values() for item in items}
        self.calls["BatchGetItem"] += self.on
        for key in asked["Keys"]:
            self._reads("", key["pk"]["S"], there.get(key["pk"]["S"], 0))
        return answer

    def query(self, **call: Any) -> Any:
        """Read a page; of the index for half of the price."""
        answer = self._client.query(**call)
        size = sum(map(item_bytes, answer["Items"]))
        self._reads("Query", call.get("IndexName", "query"), size if call.get("ConsistentRead") else size // 2)
        return answer

    def put_item(self, **call: Any) -> Any:
        """Write an item; a refused write costs as much."""
        self._writes("PutItem", call["Item"]["pk"]["S"], item_bytes(call["Item"]))
        answer = self._client.put_item(**call)
        self._index(call["Item"])
        return answer

    def update_item(self, **call: Any) -> Any:
        """Change an item, which costs as much as to write all of it."""
        answer = self._client.update_item(**call)
        found = self._client.get_item(TableName=call["TableName"], Key=call["Key"]).get("Item", {})
        self._writes("UpdateItem", call["Key"]["pk"]["S"], item_bytes(found))
        return answer

    def _reads(self, action: str, pk: str, size: int) -> None:
        if self.on:
            self.read[pk] += max(1, ceil(size / 4096))
            self.calls[action or "keys read"] += 1

    def _writes(self, action: str, pk: str, size: int) -> None:
        if self.on:
            self.written[pk] += max(1, ceil(size / 1024))
            self.calls[action] += 1

    def _index(self, item: Mapping[str, Any]) -> None:
        """Count the index's own writes: one for an entry that comes or goes, two for one that moves."""
        pk, now = item["pk"]["S"], None
        if "wake_at" in item:
            now = item["wake_shard"]["S"], item["wake_at"]["N"]
        before = self._entries.get(pk)
        if before != now and self.on:
            for entry in filter(None, (before, now)):
                self.indexed[entry[0]] += 1
        self._entries[pk] = now


class Queue(WaitingQueue):
    """A queue that counts requests: of up to ten messages that are put, a receive and a delete of what a worker gets."""

    requests = 0
    least = timedelta(0)

    def put(self, bodies: Sequence[str], *, delay: timedelta = timedelta(0)) -> None:
        """Count a request for every started 64 KB."""
        for start in range(0, len(bodies), 10):
            self.requests += max(1, ceil(sum(map(len, bodies[start : start + 10])) / 65_536))
        super().put(bodies, delay=max(delay, self.least))

    def receive(self, most: int = 10, **more: Any) -> list[Message]:
        """Receive ten messages at most, and delete as many at once."""
        found: list[Message] = super().receive(most, **more)
        self.requests += 2 * ceil(len(found) / 10)
        return found


class Counted(Router):
    """A router that counts; what the minute tick does is not in it."""

    def __post_init__(self) -> None:
        """Make queues that count."""
        super().__post_init__()
        self.invocations: Counter[str] = Counter()
        for name in ("webhooks", "counts", "notifications"):
            setattr(self, name, Queue(lambda: self.now, name=name, max_receives=1000))
        self.counts.least = WINDOW  # type: ignore[attr-defined]

    def process(self, messages: Sequence[Message]) -> None:
        """Count an invocation of `process_webhooks`."""
        self.invocations["process_webhooks"] += 1
        super().process(messages)

    def count(self, messages: Sequence[Message]) -> None:
        """Count an invocation of `process_counts`."""
        self.invocations["process_counts"] += 1
        super().count(messages)

    def deliver(self, message: Message) -> None:
        """Count an invocation of `deliver_notification`."""
        self.invocations["deliver_notification"] += 1
        super().deliver(message)

    def tick(self) -> None:
        """Count nothing."""
        meter, requests = self.store._client, [each.requests for each in self.queues]  # type: ignore[attr-defined]
        on, meter.on = meter.on, False
        super().tick()
        meter.on = on
        for queue, before in zip(self.queues, requests, strict=True):
            queue.requests = before  # type: ignore[attr-defined]


@dataclass
class Load:
    """What one webhook takes, on average."""

    webhooks: int
    each: dict[str, float] = field(default_factory=dict)
    hottest: tuple[str, str] = ("", "")


def measured(arrivals: Sequence[tuple[datetime, Sequence[str]]]) -> Load:
    """Return what the webhooks take that arrive so, with the timers of the two minutes after them."""
    with mock_aws():
        client = boto3.client("dynamodb", "us-east-1", aws_access_key_id="x", aws_secret_access_key="x")
        table(client, "bench", "local")
        meter = Table(OverBoto(client))
        router = Counted(rules_of(RULES), store=DynamoStore(meter, "bench"), now=START)  # type: ignore[arg-type]
        router.run(minutes=1)
        meter.on, late = True, router.now - START
        for at, bodies in arrivals:
            router.run(seconds=max(0.0, (at + late - router.now).total_seconds()))
            router.webhooks.put(bodies)
            router.webhooks.requests += len(bodies) - 1  # type: ignore[attr-defined]
        router.run(minutes=2)
        router.close()
    if router.errors or router.undone:
        raise SystemExit(f"something failed: {(router.errors + router.undone)[0]}")
    return load_of(router, meter, sum(len(bodies) for _, bodies in arrivals))


def load_of(router: Counted, meter: Table, webhooks: int) -> Load:
    """Return the averages. Each webhook is a request and an invocation of the ingest path, and the sending of one message."""
    (item, most), (read, reads) = meter.written.most_common(1)[0], meter.read.most_common(1)[0]
    totals = {
        "API Gateway requests": webhooks,
        "Lambda invocations": webhooks + router.invocations.total(),
        **{f"  {name}": count for name, count in router.invocations.items()},
        "SQS requests": sum(each.requests for each in router.queues),  # type: ignore[attr-defined]
        "calls of the table": sum(count for name, count in meter.calls.items() if name != "keys read"),
        "table write units": meter.written.total(),
        "table read units": meter.read.total(),
        "index write units": meter.indexed.total(),
        "index write units of one key": max(meter.indexed.values(), default=0),
        "write units of one item": most,
        "read units of one item": reads,
    }
    each = {name: count / webhooks for name, count in totals.items()}
    return Load(webhooks, each, (item.partition("#")[0], read.partition("#")[0]))


def batches(events: int, services: int) -> Iterator[tuple[datetime, list[str]]]:
    """Yield a storm, ten webhooks at a time."""
    storm = list(webhooks(events, FAULTS, services))
    for start in range(0, events, BATCH):
        some = storm[start : start + BATCH]
        yield some[-1][0], [body for _, body in some]


def lone() -> list[tuple[datetime, list[str]]]:
    """Return webhooks that have nothing to do with each other."""
    storm = webhooks(LONE, LONE, LONE)
    return [(START + number * APART, [body]) for number, (_, body) in enumerate(storm)]


def main() -> int:
    """Count and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=2_000)
    events = parser.parse_args().events
    loads = {
        "lone": measured(lone()),
        "storm": measured(list(batches(events, SERVICES))),
        "one service": measured(list(batches(events, 1))),
    }
    printed("a webhook takes", loads, lambda load, name: f"{load.each.get(name, 0):,.3f}", loads["storm"].each)
    print("the item with the most: written, read   " + "; ".join(" and ".join(each.hottest) for each in loads.values()))
    for words, count in DAYS.items():
        rate = count / 86_400
        title = f"{words} a day: {rate:,.1f} webhooks a second; of each a second"
        printed(
            title, loads, lambda load, name, rate=rate: f"{load.each.get(name, 0) * rate:,.1f}", loads["storm"].each
        )
    title = "webhooks a second at which a limit is met"
    printed(title, loads, lambda load, name: met(LIMITS[name], load.each.get(name, 0)), LIMITS)
    for worker, most in concurrency(1_000).workers.items():
        for words, count in DAYS.items():
            takes = [load.each.get(f"  {worker}", 0) * count / 86_400 for load in loads.values()]
            shown = "".join(f"{f'{most / each * 1e3:,.0f} ms' if each else '-':>14}" for each in takes)
            print(f"{f'{worker}, {most} at once, {words} a day: each may take':<62}{shown}")
    return 0


def met(limit: float, each: float) -> str:
    """Return the rate at which a limit is met; nothing where the kind of webhook takes nothing of it."""
    return f"{limit / each:,.0f}" if each else "-"


def printed(title: str, loads: Mapping[str, Load], text: Callable[[Load, str], str], names: Mapping[str, Any]) -> None:
    """Print a table: a row for each name, a column for each kind of webhook."""
    print(f"\n{title:<62}" + "".join(f"{name:>14}" for name in loads))
    for name in names:
        print(f"  {name:<60}" + "".join(f"{text(load, name):>14}" for load in loads.values()))


if __name__ == "__main__":
    with suppress(BrokenPipeError):
        sys.exit(main())
