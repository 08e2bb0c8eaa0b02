"""A storm for other programs here: webhooks of Sentry's, 5 kB each, and a router in memory that they go through.

The bodies are a captured one, with the frames, tags and breadcrumbs that the event of a web request has beside it, and
another issue, project, event and time in each. Time is virtual: events come spread over a minute, each wait (a timer, the
queue of events that only count) ends when its time has come.
"""

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from chalicelib.core.rule import Rules
from chalicelib.messages.queue import Failure, Message, Queues
from chalicelib.messages.webhook import Webhook, compressed, written
from chalicelib.process.worker import process, process_counts
from simulation.memory_store import MemoryStore

BODY = ROOT / "tests" / "sources" / "fixtures" / "sentry" / "event_alert_exception_python.json"
HEADERS = {"sentry-hook-resource": "event_alert", "content-type": "application/json"}
START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
BATCH = 10
"""What SQS hands to the worker of webhooks at once."""
COUNTS_BATCH = 1_000
"""And to that of events that only count."""


TAGS = {
    "environment": "production",
    "release": "shop@2026.3.1",
    "transaction": "/api/orders/{id}/",
    "handled": "no",
    "mechanism": "django",
    "browser.name": "Firefox",
    "url": "https://shop.example.com/api/orders/",
}


def webhooks(events: int, faults: int, services: int) -> Iterator[tuple[datetime, str]]:
    """Yield the messages of so many events, spread over a minute, each with its time."""
    for number, (at, body) in enumerate(bodies(events, faults, services)):
        yield at, written(Webhook(f"d{number}", "sentry", body, at, HEADERS), compressed(body))


def bodies(events: int, faults: int, services: int) -> Iterator[tuple[datetime, bytes]]:
    """Yield the bodies as Sentry writes them, each with its time."""
    original = enlarged(json.loads(BODY.read_bytes()))
    for number in range(events):
        at = START + MINUTE * number / events
        fault = number * 7919 % faults
        event = original["data"]["event"]
        event |= {
            "event_id": f"{number:032x}",
            "project": fault % services,
            "title": f"Error: fault {fault}",
            "timestamp": at.timestamp(),
            "received": at.timestamp(),
            "datetime": at.isoformat(),
            "url": f"https://sentry.io/api/0/projects/acme/service-{fault % services}/events/{number:032x}/",
            "web_url": f"https://sentry.io/organizations/acme/issues/{fault}/events/{number:032x}/",
            "issue_url": f"https://sentry.io/api/0/issues/{fault}/",
            "issue_id": str(fault),
        }
        yield at, json.dumps(original, separators=(",", ":")).encode()


def enlarged(body: dict[str, Any]) -> dict[str, Any]:
    """Return the captured body of a script with what the event of a web request has beside it: 5 kB."""
    event = body["data"]["event"]
    frames = event["exception"]["values"][0]["stacktrace"]["frames"]
    called = {**frames[0], "vars": {"self": "<orders.views.OrderView object>", "pk": "4711"}, "pre_context": ["", ""]}
    frames += [{**called, "function": name, "lineno": 40 + len(name)} for name in ("dispatch", "charge")]
    event["tags"] += [list(each) for each in TAGS.items()]
    event["breadcrumbs"] = {
        "values": [
            {"type": "default", "category": "query", "level": "info", "message": f"SELECT * FROM orders WHERE id = {n}"}
            for n in range(5)
        ]
    }
    return body


@dataclass
class Queue:
    """Keeps what is put, with the time from which it can be seen."""

    clock: "Router"
    waiting: list[tuple[datetime, str]] = field(default_factory=list)

    def put(self, bodies: Sequence[str], *, delay: timedelta = timedelta(0)) -> None:
        """Keep them."""
        self.waiting += [(self.clock.now + delay, body) for body in bodies]

    def taken(self, most: int) -> list[str]:
        """Return what can be seen now, at most so many."""
        found = [each for each in self.waiting if each[0] <= self.clock.now][:most]
        for each in found:
            self.waiting.remove(each)
        return [body for _, body in found]

    def next_at(self) -> datetime | None:
        """Return when the next can be seen."""
        return min((at for at, _ in self.waiting), default=None)


class Router:
    """`process` and `process_counts` over a store and queues in memory."""

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self.now = START
        self.store = MemoryStore()
        self.webhooks, self.notifications, self.counts = Queue(self), Queue(self), Queue(self)
        self.queues = Queues(self.webhooks, self.notifications, self.counts)
        self._numbers = 0

    def run(self, storm: Sequence[tuple[datetime, str]], batch: int = BATCH) -> None:
        """Run the whole storm in batches, the timers between them, and what is due within a minute after it."""
        for start in range(0, len(storm), batch):
            some = storm[start : start + batch]
            self.wait(some[-1][0])
            self.work(process, [body for _, body in some])
        self.wait(storm[-1][0] + MINUTE)

    def wait(self, until: datetime) -> None:
        """Let time pass, and do what is due."""
        while True:
            times = [at for at in (self.webhooks.next_at(), self.counts.next_at()) if at is not None]
            if not times or min(times) > until:
                break
            self.now = max(self.now, min(times))
            if bodies := self.webhooks.taken(BATCH):
                self.work(process, bodies)
            elif bodies := self.counts.taken(COUNTS_BATCH):
                self.work(process_counts, bodies)
        self.now = until

    def work(self, stage: Callable[..., list[Failure]], bodies: Sequence[str]) -> None:
        """Run one invocation; nothing may fail."""
        messages = []
        for body in bodies:
            self._numbers += 1
            messages.append(Message(f"m{self._numbers}", body, ""))
        failures = stage(messages, rules=self.rules, store=self.store, queues=self.queues, now=self.now)
        if failures:
            raise SystemExit(f"a message failed: {failures[0].reason}")

    def events(self) -> int:
        """Return how many events the open incidents say."""
        return sum(each.events for each in self.store.incidents())
