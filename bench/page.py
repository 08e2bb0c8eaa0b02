"""What each page costs with 10, 200 and 2,000 open incidents and a month of samples: time, bytes, read units.

The pages' own code in this process, on the real store over the embedded AWS. Time to first byte is from the request to the
whole answer, since a page is sent whole; the median of some warm views, without API Gateway and Lambda. Bytes are those of
gzip, with the style sheet and the script. A read unit is 4 KB of a consistent read and 8 KB of one of an index.
Run: python bench/page.py [--incidents 10 200 2000] [--days 30]
"""

import argparse
import statistics
import sys
import tempfile
import time
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from math import ceil
from operator import itemgetter
from pathlib import Path
from time import sleep
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

import boto3
from counted_table import item_bytes
from storm import Router

from chalicelib.aws.dynamodb import DynamoStore
from chalicelib.aws.json_client import WORKER_TIMEOUT_SECONDS, AwsJsonClient
from chalicelib.aws.table_client import TableClient
from chalicelib.core.event import Event, Severity, Status
from chalicelib.core.incident import IncidentStatus
from chalicelib.core.metrics.sample import Sample
from chalicelib.core.rule import Rules
from chalicelib.core.sign_in import SESSION_LASTS, Person, Session, session_text
from chalicelib.deliver import runbooks
from chalicelib.messages.queue import Message, events_messages
from chalicelib.process.worker import process
from chalicelib.rules.file import load
from chalicelib.schedule.open_counts import MARK, OpenCounts, count_open, read_counts, written
from chalicelib.web.exchange import PageReply, PageRequest
from chalicelib.web.handle import answer
from chalicelib.web.render import ASSETS, asset_name
from chalicelib.web.visitor import PageContext
from deploy.table import table
from local.cloud import Cloud

TABLE, KEY = "bench", "a key of at least thirty-two characters"
MAX_UNITS, MAX_BYTES, MAX_SECONDS = 20, 100_000, 0.2
JUDGED = 200
"""The budgets are those of so many open incidents."""
VIEWS = 7
HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
PAGES = ("/", "/errors", "/performance", "/infrastructure", "/uptime", "/silences", "/rules", "/router")
FILTERS = {
    "/?service=…": ("/", {"service": ["service-3"]}),
    "/?q=severity=critical": ("/", {"q": ["severity=critical"]}),
    "/silences?matchers=…": ("/silences", {"matchers": ["service=service-3"]}),
}
METRICS = {
    "p95_latency_ms": 400.0,
    "p99_latency_ms": 900.0,
    "error_rate": 0.4,
    "requests_per_min": 900.0,
    "active_users": 120.0,
    "db_size_gb": 6.0,
    "connections_used": 40.0,
    "cache_hit_rate": 97.0,
    "query_time_ms": 12.0,
    "latency_ms": 180.0,
    "uptime": 1.0,
}
RULES = """
defaults: {group_by: [service, fault], group_wait: 0s}
services: {service-1: {owner: team-core}, service-3: {owner: team-exams}}
alerts:
  - {name: Fault, match: {source: sentry}, group_by: [service, fault], escalate: [{after: 15m, notification: [{pagerduty: true}]}],
     notification: [{slack_channel: "#incidents"}]}
  - {name: Slow, condition: "p95_latency_ms > 500", severity: warning, notification: [{slack_channel: "#incidents"}]}
  - {name: Disk, condition: "db_size_gb > 8", severity: warning, notification: [{slack_channel: "#incidents"}]}
  - {name: Spike, match: {source: sentry}, condition: "events[1m] > 10", notification: [{slack_channel: "#incidents"}]}
default: {notification: [{slack_channel: "#rest"}]}
"""


class Metered:
    """A client of the table that counts the read units of what it answers."""

    def __init__(self, client: TableClient) -> None:
        self._client = client
        self.units = 0.0

    def __getattr__(self, name: str) -> Any:
        def call(**arguments: Any) -> Any:
            found = getattr(self._client, name)(**arguments)
            self.units += _units(name, arguments, found)
            return found

        return call


def _units(name: str, arguments: Any, answer: Any) -> float:
    if name == "query":
        size = sum(map(item_bytes, answer["Items"]))
        return max(1, ceil(size / 4096)) / (2 if "IndexName" in arguments else 1)
    if name == "get_item":
        return max(1, ceil(item_bytes(answer.get("Item") or {}) / 4096))
    if name == "batch_get_item":
        found = [item for items in answer["Responses"].values() for item in items]
        asked = sum(len(each["Keys"]) for each in arguments["RequestItems"].values())
        return sum(max(1, ceil(item_bytes(item) / 4096)) for item in found) + max(0, asked - len(found))
    return 0.0


class Site:
    """The pages over a store, for somebody who is signed in."""

    def __init__(self, store: DynamoStore, rules: Rules, now: datetime) -> None:
        self._store, self._rules, self._now = store, rules, now
        session = Session(Person("Ana", "token:"), "0" * 32, now + SESSION_LASTS)
        self._cookie = f"__Host-tocsin={session_text(session, KEY)}"

    def load(self, path: str, names: dict[str, str], query: dict[str, list[str]]) -> PageReply:
        """Return the answer to a request."""
        headers = {"host": "tocsin.example", "cookie": self._cookie}
        request = PageRequest("GET", path, names, query, b"", headers, "192.0.2.1")
        return answer(request, self._context())

    def _context(self) -> PageContext:
        return PageContext(self._store, Unasked(), self._rules, Keys(), "bench", self._now, str, runbooks.find)


class Unasked:
    """A queue to which nothing is put here."""

    def put(self, bodies: Sequence[str], *, delay: timedelta = timedelta(0)) -> None:
        """Refuse."""
        raise AssertionError("a view puts nothing on a queue, and all that is open has its row")


class Keys:
    """The key that signs sessions."""

    def values(self, names: Any) -> tuple[str, ...]:
        """Return it."""
        return (KEY,)


def main() -> int:
    """Measure and print; 1 when a budget is missed with 200 open incidents."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--incidents", type=int, nargs="+", default=[10, 200, 2_000])
    parser.add_argument("--days", type=int, default=30)
    options = parser.parse_args()
    missed, most = False, {"units": ("", 0.0), "kB": ("", 0.0), "ms": ("", 0.0)}
    with tempfile.TemporaryDirectory(prefix="tocsin-bench-") as folder, Cloud(Path(folder), persist=False) as cloud:
        table(boto3.client("dynamodb", **cloud.client_arguments()), TABLE, "local")
        small = AwsJsonClient("us-east-1", timeout_seconds=WORKER_TIMEOUT_SECONDS, environment=cloud.environment())
        metered = Metered(TableClient(small, pause=sleep))
        store: DynamoStore = DynamoStore(metered, TABLE, pause=sleep)  # type: ignore[arg-type]
        now = datetime.now(UTC).replace(second=0, microsecond=0)
        rules = load(RULES, filename="alert-rules.yaml")
        fill_samples(store, now, options.days)
        known = 0
        print(f"{'page':<24} {'open':>6} {'first byte':>11} {'CPU':>8} {'gzip kB':>8} {'read units':>11}")
        for count in sorted(options.incidents):
            id = fill_incidents(store, rules, now, known, count)
            known = count
            settle(store, now)
            for row in rows(Site(store, rules, now), metered, id, count):
                print(row[0])
                missed |= row[1] and count == JUDGED
                if count == JUDGED:
                    most = {name: max(most[name], (row[2], row[3][name]), key=itemgetter(1)) for name in most}
        for name, what, limit in (
            ("units", "read units of a view of the page", f"at most {MAX_UNITS}"),
            ("kB", "kB of a page with style sheet and script, gzip", f"at most {MAX_BYTES / 1e3:.0f}"),
            ("ms", "ms to the first byte of a page, warm, embedded AWS", f"under {MAX_SECONDS * 1e3:.0f}"),
        ):
            print(f"| {what}, {JUDGED} open incidents, the most | {limit} | {most[name][1]:.1f} ({most[name][0]}) |")
    return int(missed)


def fill_samples(store: DynamoStore, now: datetime, days: int) -> None:
    """Store samples of each metric, an hour at a time: one a minute of the last 26 hours, two an hour before."""
    labels = {"probe": "main", "service": "service-1"}
    for hour in reversed(range(days * 24)):
        at = now - HOUR * hour
        minutes = range(0, 60, 1 if hour < 26 else 30)
        moved = {n: 1 + ((hour * 7 + n * 13) % 97) / 1_000 for n in minutes}
        store.add_samples(
            [
                Sample(metric, 1.0 if metric == "uptime" else level * factor, at - MINUTE * n, labels)
                for metric, level in METRICS.items()
                for n, factor in moved.items()
            ]
        )


def fill_incidents(store: DynamoStore, rules: Rules, now: datetime, known: int, count: int) -> str:
    """Store open incidents up to a count, a tenth as many that ended in the week. Return the id of an open one."""
    router = Router(rules)
    began = now - timedelta(minutes=20)
    for number in range(known, count):
        at = began + timedelta(milliseconds=number)
        take(router, [event(number, at)], at)
    for number in range(known, count, 10):
        at = began - timedelta(days=1 + number % 6)
        take(router, [event(-number - 1, at)], at)
        take(router, [event(-number - 1, at + MINUTE, Status.RESOLVED)], at + MINUTE)
    found = ""
    for each in router.store.incidents(ended_since=now - timedelta(days=8)):
        store.save(replace(each, version=1))
        store.locate([each.id], each.key)
        found = each.id if each.status is IncidentStatus.OPEN else found
    return found


def take(router: Router, events: list[Event], at: datetime) -> None:
    """Process events."""
    messages = [Message(f"m{n}", body, "") for n, body in enumerate(events_messages(events))]
    process(messages, rules=router.rules, store=router.store, queues=router.queues, now=at)


def event(number: int, at: datetime, status: Status = Status.FIRING) -> Event:
    """Return a fault of its own."""
    return Event(
        id=f"e{number}{status}", source="sentry", kind="issue.created", status=status,
        severity=Severity.CRITICAL if number % 4 == 0 else Severity.WARNING,
        title=f"TypeError: cannot read properties of undefined (reading 'grade{number}')", occurred_at=at,
        identity=f"fault-{number}", service=f"service-{number % 20}", environment="production",
        labels={"fault": f"f{number}", "release": "exam-api@2.31.4", "project": "exam-api"},
        summary="in submitAnswers of exams/answers.ts, seen by 12 users",
    )  # fmt: skip


def settle(store: DynamoStore, now: datetime) -> None:
    """Count what is open, as ticks of the last week would have."""
    count_open(store, Unasked(), now)
    found = read_counts(store, now)
    assert found is not None and found.whole_since is not None, "incidents without a row"
    whole: OpenCounts = replace(found, whole_since=now - timedelta(days=9))
    store.put_mark(MARK, written(whole))


def rows(site: Site, metered: Metered, id: str, count: int) -> Iterator[tuple[str, bool, str, Mapping[str, float]]]:
    """Yield a line for each page, whether it misses a budget, which page it is, and what that needs."""
    shared = sum(
        packed(site.load("/assets/{name}", {"name": asset_name(name)}, {}).body) for name in ("page.css", "page.js")
    )
    assert {"page.css", "page.js"} <= ASSETS.keys()
    asked: list[tuple[str, str, dict[str, str], dict[str, list[str]]]] = [(path, path, {}, {}) for path in PAGES]
    asked += [(shown, path, {}, query) for shown, (path, query) in FILTERS.items()]
    asked.append(("/incident/…", "/incident/{id}", {"id": id}, {}))
    for shown, path, names, query in asked:
        site.load(path, names, query)
        times, cpu = [], []
        for _ in range(VIEWS):
            metered.units, start, began = 0, time.perf_counter(), time.process_time()
            reply = site.load(path, names, query)
            times.append(time.perf_counter() - start)
            cpu.append(time.process_time() - began)
        assert reply.status == 200, (path, reply.status)
        size, seconds = packed(reply.body) + shared, statistics.median(times)
        missed = metered.units > MAX_UNITS or size > MAX_BYTES or seconds > MAX_SECONDS
        mark = "  over" if missed else ""
        yield (
            f"{shown:<24} {count:>6,} {seconds * 1e3:>8.0f} ms {statistics.median(cpu) * 1e3:>5.0f} ms {size / 1e3:>8.1f} {metered.units:>11.1f}{mark}",
            missed,
            shown,
            {"units": metered.units, "kB": size / 1e3, "ms": seconds * 1e3},
        )


def packed(text: str) -> int:
    """Return the bytes of a text after gzip."""
    return len(zlib.compress(text.encode(), 6))


if __name__ == "__main__":
    sys.exit(main())
