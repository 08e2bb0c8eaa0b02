"""What a month on AWS costs: calls and units counted on the shipped rules, times prices; printed as tables.

Counted: what one webhook, one told incident, one probe and one quiet minute write, read, queue and compute, in the real code
over a table that moto keeps in this process. A function is billed for the CPU time measured here, stretched by the share of
a core that its memory gives it, and for the waits of its calls. Assumed, since nothing here can show it: what a team has in a
month, how long AWS and vendors take to answer (WAITS_MS), how often an environment starts cold (COLD_SHARE, COLD_A_DAY), and
that a core here is one of Lambda's. Counts hold; times move the cents.

Prices are those of us-east-1 in US dollars, on demand, of autumn 2026. FREE is what an account has each month without an
end; two stages share it.

Run with `python bench/month.py`.
"""

import contextlib
import statistics
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from math import ceil
from pathlib import Path
from time import thread_time
from typing import Any

from moto import mock_aws

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import boto3
import warm_ingest
from samples import Meter, item_bytes

from chalicelib.aws.dynamodb import DynamoStore
from chalicelib.core.event import Event, Severity, Status
from chalicelib.core.metrics.sample import Sample
from chalicelib.messages.queue import Message, events_messages, samples_messages
from chalicelib.schedule.health import DEAD_LETTERS, LATE_RUNS, WAITING, look
from chalicelib.schedule.lateness import OVERDUE, UNDELIVERED, oldest_undelivered
from chalicelib.schedule.reconcile import repair
from chalicelib.schedule.reporting import leave_report
from chalicelib.schedule.runs import RunMarks
from chalicelib.schedule.watch import watch
from deploy.alarms import wanted_alarms
from deploy.policies import FUNCTIONS, RETENTION_DAYS
from deploy.table import table
from tests.fakes import WaitingQueue
from tests.project import ROOT
from tests.scenario import Router, rules_of

Bill = Counter[str]

MINUTES = 30 * 24 * 60
MILLION = 1_000_000
GATEWAY = "HTTP API requests"
POLLS = 5 * 3 * MINUTES
"""Of an idle queue: Lambda asks it with five pollers, each waiting up to 20 s."""
CORE_MB = 1769
"""With so much memory a function has one core: https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html"""
WAITS_MS = {"DynamoDB": 5.0, "SQS": 10.0}
"""Until AWS has answered a call, CPU time here left out."""
CALL_CPU_MS = 0.3
"""CPU time of one call of the own client: `bench/store.py`, docs/scaling.md."""
OVERHEAD_MS = 2.0
"""Of an invocation, before our code runs and after it, and rounding up."""
RECORD_MS = WAITS_MS["SQS"] + CALL_CPU_MS
HISTORY_ALONE = {
    "SQS requests": 1.2,
    "DynamoDB write units": 0.167,
    "GB written": 153e-9,
    "process_webhooks ms": RECORD_MS,
}
HISTORY_IN_A_STORM = {name: each / 10 for name, each in HISTORY_ALONE.items()} | {
    "DynamoDB write units": 0.083,
    "GB written": 85e-9,
}
"""What it costs to record one event: `bench/history.py`. A batch is recorded by one call."""
VENDOR_MS = 400.0
"""Until a target has taken a notification."""
COLD_SHARE = 0.01
"""Of webhooks and of what follows from them: one in a hundred starts a new environment."""
COLD_A_DAY = 12
"""How often Lambda replaces the environment of a function that runs each minute or each five."""
INIT_CPU_MS = {"api_handler": 97.0}
WORKER_INIT_CPU_MS = 260.0
"""CPU time until a cold function has made its first call: `bench/cold_start.py`, `bench/cold_worker.py`."""
LOG_BYTES = 600
"""Of one invocation: our line and Lambda's own three."""
KEPT_SECRETS = 3
"""SecureStrings that `repair` reads anew at each run. Each is a request to KMS. The other functions read what they need when
they are called, and in an idle stage the operator's own patterns, which are not set unless somebody sets them."""
ANSWER_BYTES = 600
"""Of the answer to a webhook, its headers and what TLS adds; and of what is sent to a vendor ten times as much."""
DEPLOYED_PARAMETERS = 0
"""Advanced ones: what a deploy keeps fits into one of the free tier (`tests/deploy/test_chalice_record.py`)."""
METRICS = (UNDELIVERED, OVERDUE, LATE_RUNS, WAITING, DEAD_LETTERS)
"""Metrics of our own in CloudWatch."""
PRICES = {
    "REST API requests": 3.50e-6,
    "HTTP API requests": 1.00e-6,
    "Lambda requests": 0.20e-6,
    "Lambda GB-seconds": 0.0000166667,
    "SQS requests": 0.40e-6,
    "DynamoDB write units": 0.625e-6,
    "DynamoDB read units": 0.125e-6,
    "GB written": 0.25 + 0.20,
    "mails": 0.16e-3,
    "KMS requests": 0.03e-4,
    "log GB": 0.50,
    "stored log GB": 0.03,
    "GB out": 0.09,
    "alarms": 0.10,
    "metrics": 0.30,
    "advanced parameters": 0.05,
}
"""A GB written is a month in the table and in its backups."""
FREE = {
    "Lambda requests": 1e6,
    "Lambda GB-seconds": 400_000,
    "SQS requests": 1e6,
    "GB written": 25 * 0.25 / (0.25 + 0.20),
    "KMS requests": 20_000,
    "log GB": 5,
    "stored log GB": 5,
    "GB out": 100,
    "alarms": 10,
    "metrics": 10,
}
MEASURED = ("uptime", "latency_ms")
"""What an uptime probe measures that is kept; others measure a few more."""


@dataclass(frozen=True)
class Team:
    """What a team has in a month."""

    name: str
    probes: int
    counted: int
    incidents: int


TEAMS = (Team("small", 5, 20_000, 200), Team("busy", 30, 2_000_000, 3_000))


# ---------------------------------------------------------------------------------------------------------------------
# Counting


class Counted(Router):
    """A router that counts what is billed."""

    def __post_init__(self) -> None:
        """Set up queues that count."""
        super().__post_init__()
        self.bill: Bill = Counter()
        self.marks = RunMarks()
        self.dead = {
            name: _CountedQueue(lambda: self.now, self.bill, name=name)
            for name in ("webhooks", "counts", "notifications", "history")
        }
        for name in ("webhooks", "counts", "notifications"):
            queue = getattr(self, name)
            setattr(self, name, _CountedQueue(lambda: self.now, self.bill, name=name, max_receives=queue._max_receives))

    def process(self, messages: Sequence[Message]) -> None:
        """Count an invocation of `process_webhooks`."""
        with self._invoked("process_webhooks"):
            super().process(messages)

    def count(self, messages: Sequence[Message]) -> None:
        """Count an invocation of `process_counts`."""
        with self._invoked("process_counts"):
            super().count(messages)

    def deliver(self, message: Message) -> None:
        """Count an invocation of `deliver_notification`. The vendor's answer is assumed, not measured."""
        with self._invoked("deliver_notification", cpu=False):
            super().deliver(message)
        self.bill["deliver_notification ms"] += VENDOR_MS
        self.bill["GB out"] += 10 * ANSWER_BYTES / 1e9

    def tick(self) -> None:
        """Count an invocation of `tick`, and those of the other schedules in a minute."""
        with self._invoked("tick"):
            super().tick()
            oldest_undelivered(rules=self.rules, store=self.store, now=self.now)
            emptied = {"webhooks": self.webhooks, "counts": self.counts, "notifications": self.notifications}
            health = look(store=self.store, queues=emptied, dead=self.dead, now=self.now)  # type: ignore[arg-type]
            leave_report(rules=self.rules, store=self.store, health=health, seconds={}, now=self.now)
        with self._invoked("watch"):
            watch(rules=self.rules, clients=self.clients, now=self.now, pause=_no_pause, **self.ports)
        if self.now.minute % 5 == 0:
            with self._invoked("repair"):
                repair(rules=self.rules, clients=self.clients, now=self.now, readers={}, **self.ports)
            with self._invoked("record"):
                self.bill["SQS requests"] += 1
            self.bill["KMS requests"] += KEPT_SECRETS

    @contextlib.contextmanager
    def _invoked(self, name: str, *, cpu: bool = True) -> Iterator[None]:
        """Count an invocation and the milliseconds that it is billed for."""
        meter = self.store._client
        began, inside, calls = thread_time(), meter.seconds, meter.units["calls"]
        queued = self.bill["SQS calls"]
        yield
        if name != "tick":
            self.marks.mark(self.store, name, self.now)
        seconds = thread_time() - began - (meter.seconds - inside)
        calls, queued = meter.units["calls"] - calls, self.bill["SQS calls"] - queued
        own = (seconds * 1_000 if cpu else 0) + CALL_CPU_MS * (calls + queued)
        self.bill[name] += 1
        self.bill[f"{name} ms"] += own / share(name) + _waits(calls, queued)


def _waits(calls: float, queued: float) -> float:
    return OVERHEAD_MS + WAITS_MS["DynamoDB"] * calls + WAITS_MS["SQS"] * queued


async def _no_pause(seconds: float) -> None:
    """Wait for nothing."""


def share(name: str) -> float:
    """Return the share of a core that a function has."""
    return min(1.0, FUNCTIONS[name]["memory"] / CORE_MB)


class _CountedQueue(WaitingQueue):
    def __init__(self, clock: Callable[[], Any], bill: Bill, **more: Any) -> None:
        super().__init__(clock, **more)
        self._bill = bill

    def put(self, bodies: Sequence[str], *, delay: timedelta = timedelta(0)) -> None:
        """Count ten messages as one request, and every started 64 KB of it as one."""
        for start in range(0, len(bodies), 10):
            self._bill["SQS calls"] += 1
            self._bill["SQS requests"] += ceil(sum(map(len, bodies[start : start + 10])) / 65_536)
        super().put(bodies, delay=delay)

    def held(self) -> tuple[int, int]:
        """Count a request for how much is in it."""
        self._bill["SQS calls"] += 1
        self._bill["SQS requests"] += 1
        seen = sum(each.visible_at <= self._clock() for each in self.waiting.values())
        return seen, 0

    def receive(self, most: int = 10, **more: Any) -> list[Any]:
        """Count one request for taking ten messages, and one for deleting them."""
        found = super().receive(most, **more)
        self._bill["SQS requests"] += 2 * ceil(len(found) / 10)
        return found


INDEXES = (
    ("wake_shard", "wake_at", ()),
    ("wake_shard", "pk", ("summary",)),
    ("worst_shard", "worst_place", ("glance",)),
)
"""Of the table: the keys of each, and what it shows besides."""


def _entry_units(
    before: Mapping[str, Any], item: Mapping[str, Any], names: tuple[str, str], shown: Sequence[str]
) -> int:
    """Return what the write of an item costs in the index that has all items with these keys, which shows these attributes."""
    old, new = ([each[name] for name in names] if set(names) <= set(each) else None for each in (before, item))
    units = max(1, ceil(item_bytes({name: item[name] for name in ("pk", "sk", *shown) if name in item}) / 1024))
    if old == new:
        same = all(before.get(name) == item.get(name) for name in shown)
        return 0 if new is None or same else units
    return (old is not None) + (units if new is not None else 0)


@dataclass
class _Meter(Meter):
    """Also what the samples' bench does not call, and the indexes; a read that may be late costs half.

    An entry of an index is written when what it shows changed: a unit for each started KB, twice when its key moved.
    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/GSI.html
    """

    _client: Any
    units: Bill = field(default_factory=Counter)
    seconds: float = 0.0
    entries: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def put_item(self, **call: Any) -> Any:
        """Return the item, and its entries in the indexes."""
        item = call["Item"]
        name = (item["pk"]["S"], item["sk"]["S"])
        before = self.entries.get(name, {})
        self.entries[name] = item
        for hashed, key, shown in INDEXES:
            self.units["write units"] += _entry_units(before, item, (hashed, key), shown)
        return self._timed(super().put_item, call)

    def update_item(self, **call: Any) -> Any:
        """Return the item as it is afterwards, a KB where the table does not give it back."""
        self.units["calls"] += 1
        answer = self._timed(self._client.update_item, call)
        self.units["write units"] += max(1, ceil(item_bytes(answer.get("Attributes", {})) / 1024))
        return answer

    def get_item(self, **call: Any) -> Any:
        """Count one consistent read."""
        return self._timed(super().get_item, call)

    def query(self, **call: Any) -> Any:
        """Count one query; the index is never read consistently."""
        before = self.units["read units"]
        answer = self._timed(super().query, call)
        if not call.get("ConsistentRead"):
            self.units["read units"] -= (self.units["read units"] - before) / 2
        return answer

    def batch_get_item(self, **call: Any) -> Any:
        """Return a read unit for each started 4 KB of each key."""
        self.units["calls"] += 1
        answer = self._timed(self._client.batch_get_item, call)
        found = [ceil(item_bytes(item) / 4096) - 1 for items in answer["Responses"].values() for item in items]
        self.units["read units"] += sum(found) + sum(len(each["Keys"]) for each in call["RequestItems"].values())
        return answer

    def _timed(self, make: Callable[..., Any], call: Mapping[str, Any]) -> Any:
        began = thread_time()
        try:
            return make(**call)
        finally:
            self.seconds += thread_time() - began


def counted(act: Callable[[Counted], object], quiet: Mapping[str, float] | None = None) -> Bill:
    """Return what is billed for an act, beyond what the minutes cost that it takes."""
    with mock_aws():
        client = boto3.client("dynamodb", "us-east-1", aws_access_key_id="x", aws_secret_access_key="x")
        table(client, "bench", "local")
        meter = _Meter(client)
        rules = rules_of((ROOT / "alert-rules.yaml").read_text())
        router = Counted(rules, store=DynamoStore(meter, "bench", clock=lambda: router.now.timestamp()))
        router.run(minutes=10)
        router.bill.clear()
        meter.units.clear()
        began = router.now
        act(router)
        router.close()
        assert router.errors == [], router.errors
    units = {f"DynamoDB {name}": meter.units[name] for name in ("write units", "read units")}
    return only_more(router.bill + Counter(units), times(quiet or {}, (router.now - began) / timedelta(minutes=1)))


def only_more(bill: Bill, quiet: Bill) -> Bill:
    """Return a bill less what the quiet minutes in it cost; never less than nothing."""
    return Counter({name: max(0.0, count - quiet[name]) for name, count in bill.items()})


def event(
    router: Counted,
    number: int,
    status: Status,
    kind: str = "metric_alert.critical",
    *,
    identity: str = "",
    service: int = 0,
) -> Event:
    """Return a fault of a service, or its end."""
    return Event(
        id=f"{kind}{number}{status.value}", source="sentry", kind=kind, status=status, severity=Severity.CRITICAL,
        title="Sign-ups fail", occurred_at=router.now, identity=identity or f"{kind}{number}", service=f"service-{service}",
    )  # fmt: skip


def one_incident(router: Counted) -> None:
    """Notify Slack and PagerDuty of an alert, and of its end half an hour later."""
    router.events(event(router, 1, Status.FIRING)).run(minutes=30)
    router.events(event(router, 1, Status.RESOLVED)).run(minutes=10)
    assert sorted(router.told()) == ["pagerduty", "slack"]


def hundred_errors(router: Counted) -> None:
    """Send a hundred errors of one service that only count, two a minute."""
    for number in range(100):
        router.webhooks.put(events_messages([event(router, number, Status.FIRING, "error.created")]))
        router.run(seconds=30)


STORM, FAULTS, SERVICES = 10_000, 200, 20
"""The storm of the other programs here: so many events in a minute, of so many faults in so many services."""


def storm(router: Counted) -> None:
    """Send errors of many faults within a minute, a message each, which Lambda hands over in tens."""
    for number in range(STORM):
        fault = number * 7919 % FAULTS
        error = event(
            router, number, Status.FIRING, "error.created", identity=f"fault-{fault}", service=fault % SERVICES
        )
        router.webhooks.put(events_messages([error]))
        if number % 160 == 159:
            router.run(seconds=1)
    router.run(minutes=10)


def ten_minutes_of(probes: int) -> Callable[[Counted], None]:
    """Return what so many probes bring in ten minutes; all of a minute come together."""

    def act(router: Counted) -> None:
        for _ in range(10):
            labels = [{"probe": f"p{number}", "service": f"s{number}"} for number in range(probes)]
            samples = [Sample(metric, 1.0, router.now, each) for each in labels for metric in MEASURED]
            router.webhooks.put(samples_messages(samples))
            router.bill["DynamoDB write units"] += 1  # of the minute that a run of `watch` claims
            router.bill["watch ms"] += 1_000  # until what is probed has answered
            router.run(minutes=1)

    return act


def ingest_ms() -> float:
    """Return the CPU time of one webhook of 5 kB at the door: the median of many."""
    event = warm_ingest.event_of(warm_ingest.body_of(5_000))
    return statistics.median(cpu for _, cpu in warm_ingest.taken_by(event, 300))


# ---------------------------------------------------------------------------------------------------------------------
# A month


def times(bill: Mapping[str, float], factor: float) -> Bill:
    """Return so much of it."""
    return Counter({name: count * factor for name, count in bill.items()})


def webhook(door_ms: float) -> Bill:
    """Return what the door costs for one webhook."""
    own = (door_ms + CALL_CPU_MS) / share("api_handler") + _waits(0, 1)
    return Counter({"api_handler": 1, "api_handler ms": own, GATEWAY: 1, "GB out": ANSWER_BYTES / 1e9})


def watching(stage: str = "prod") -> Bill:
    """Return what watches a stage, whatever happens."""
    return Counter(
        {"alarms": len(wanted_alarms(stage)), "metrics": len(METRICS), "advanced parameters": DEPLOYED_PARAMETERS}
    )


def idle(parts: Mapping[str, Bill]) -> Bill:
    """Return a month of a stage to which nothing comes."""
    found = times(parts["quiet minute"], MINUTES) + watching()
    found["SQS requests"] += POLLS * sum("takes" in needs for needs in FUNCTIONS.values())
    return found


def month(team: Team, parts: Mapping[str, Bill]) -> Bill:
    """Return what a team's stage is billed for in a month."""
    webhooks = team.counted + 2 * team.incidents
    found = idle(parts) + times(parts["error that counts"], team.counted)
    found += times(parts["incident"], team.incidents) + times(parts[f"minute of {team.probes} probes"], MINUTES)
    found += times(HISTORY_ALONE, webhooks) + times(parts["webhook"], webhooks)
    found["mails"] += 2 * team.incidents
    return found


def billed(bill: Mapping[str, float], *, scheduled: float = 0) -> Bill:
    """Return what AWS lists for what was counted: invocations become GB-seconds and logs. `scheduled` months of schedules."""
    found = Counter(bill)
    found.pop("SQS calls", None)
    for name, needs in FUNCTIONS.items():
        count, ms = found.pop(name, 0), found.pop(f"{name} ms", 0)
        cold = 30 * COLD_A_DAY * scheduled if name in ("tick", "watch", "repair", "record") else count * COLD_SHARE
        ms += cold * INIT_CPU_MS.get(name, WORKER_INIT_CPU_MS) / share(name)
        found["Lambda requests"] += count
        found["Lambda GB-seconds"] += ms / 1_000 * needs["memory"] / 1024
        found["log GB"] += count * LOG_BYTES / 1e9
    found["stored log GB"] = found["log GB"] * RETENTION_DAYS["prod"] / 30 * 0.15  # CloudWatch keeps them compressed
    return found


def show(title: str, bill: Bill) -> None:
    """Print a bill, a line for each price."""
    print(f"\n{title}")
    for name in (name for name in PRICES if bill[name]):
        print(f"  {name:<22} {bill[name]:>14,.1f}   {bill[name] * PRICES[name]:8.2f} USD")
    total = sum(bill[name] * price for name, price in PRICES.items())
    print(f"  {'together':<22} {'':>14}   {total:8.2f} USD, {after_free(bill):.2f} after what AWS gives an account")


def after_free(bill: Bill, *, of: Mapping[str, float] = FREE) -> float:
    """Return the price of what is beyond an account's allowances."""
    return sum(max(0.0, bill[name] - of.get(name, 0)) * price for name, price in PRICES.items())


def listed(bill: Bill) -> float:
    """Return the list price of a bill."""
    return sum(bill[name] * price for name, price in PRICES.items())


def main() -> None:
    """Count and print."""
    quiet = times(counted(lambda router: router.run(minutes=60)), 1 / 60)
    parts = {
        "quiet minute": quiet,
        "webhook": webhook(ingest_ms()),
        "error that counts": times(counted(hundred_errors, quiet), 1 / 100),
        "error in a storm": times(counted(storm, quiet), 1 / STORM),
        "incident": counted(one_incident, quiet),
        **{
            f"minute of {team.probes} probes": times(counted(ten_minutes_of(team.probes), quiet), 1 / 10)
            for team in TEAMS
        },
    }
    for name, bill in parts.items():
        print(f"one {name}: " + ", ".join(f"{count:.3g} {each}" for each, count in sorted(bill.items()) if count))
    alone = times(parts["webhook"] + parts["error that counts"] + Counter(HISTORY_ALONE), MILLION)
    together = times(parts["webhook"] + parts["error in a storm"] + Counter(HISTORY_IN_A_STORM), MILLION)
    show("a million webhooks, each alone", billed(alone))
    show("a million webhooks in a storm, in tens", billed(together))
    for team in TEAMS:
        title = f"{team.name} team: {team.probes} probes a minute, {team.counted:,} errors, {team.incidents} incidents"
        show(title, billed(month(team, parts), scheduled=1))
    first = billed(idle(parts), scheduled=1)
    show("an idle stage", first)
    second = after_free(first + first) - after_free(first)
    print(f"| a million webhooks at list prices, each alone | at most 6.50 USD | {listed(billed(alone)):.2f} |")
    print(f"| the same in a storm | at most 3.50 USD | {listed(billed(together)):.2f} |")
    print(
        "| an idle stage a month, after AWS's allowances, its watching included | at most 0.60 USD | "
        f"{after_free(first):.2f}; a second one beside it {second:.2f} |"
    )
    print("\nGoals, USD: at list prices, and an idle stage after what AWS gives an account")
    print(f"  a million webhooks, each alone   {listed(billed(alone)):6.2f}   (at most 6.50)")
    print(f"  a million webhooks in a storm    {listed(billed(together)):6.2f}   (at most 3.50)")
    print(
        f"  an idle stage, a month           {after_free(first):6.2f}   (at most 0.60; a second one beside it {second:.2f})"
    )


if __name__ == "__main__":
    main()
