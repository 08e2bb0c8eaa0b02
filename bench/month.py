"""What a month on AWS costs: calls and units counted on the shipped rules, times prices; printed as a table.

Counted: what one webhook, one told incident, one probe and one quiet minute write, read and queue, in the real code over
a table that moto keeps in this process. Assumed: how many of them a team has in a month, and how long AWS bills a
function (BILLED_MS; measured times of the local stack on a full core, tripled, and a vendor's answer for `deliver`).
Prices are those of us-east-1 in US dollars, on demand, of autumn 2026; AWS's free tier is left out unless said.

Run with `python bench/month.py`.
"""

import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from moto import mock_aws

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import boto3
from samples import Meter

from chalicelib.aws.dynamodb import DynamoStore
from chalicelib.core.event import Event, Severity, Status
from chalicelib.core.metrics.sample import Sample
from chalicelib.messages.queue import Message, events_messages, samples_messages
from chalicelib.schedule.lateness import oldest_undelivered
from deploy.policies import FUNCTIONS
from deploy.table import table
from tests.fakes import WaitingQueue
from tests.project import ROOT
from tests.scenario import Router, rules_of

MINUTES = 30 * 24 * 60
HISTORY = {"SQS requests": 1.2, "DynamoDB write units": 0.167}
"""What it costs to record one event: `bench/history.py`."""
POLLS = 5 * 3 * MINUTES
"""Lambda asks an idle queue with five pollers, each waiting up to 20 s."""
BILLED_MS = {"api_handler": 50, "process_webhooks": 200, "process_counts": 400, "deliver_notification": 500,
             "tick": 150, "watch": 1500}  # fmt: skip
LOG_BYTES = 600
"""Of one invocation: our line and Lambda's own three."""
PRICES = {
    "API Gateway requests": 3.50e-6,
    "Lambda requests": 0.20e-6,
    "Lambda GB-seconds": 0.0000166667,
    "SQS requests": 0.40e-6,
    "DynamoDB write units": 0.625e-6,
    "DynamoDB read units": 0.125e-6,
    "mails": 0.16e-3,
    "log GB": 0.50,
}
FREE = {"Lambda requests": 1e6, "Lambda GB-seconds": 400_000, "SQS requests": 1e6}
METRICS = ("uptime", "latency_ms")
"""What an uptime probe measures that is kept; others measure a few more."""


@dataclass(frozen=True)
class Team:
    """What a team has in a month."""

    name: str
    probes: int
    counted: int
    incidents: int


TEAMS = (Team("small", 5, 20_000, 200), Team("busy", 30, 2_000_000, 3_000))


class Counted(Router):
    """A router that counts what is billed."""

    def __post_init__(self) -> None:
        """As usual, with queues and a table that count."""
        super().__post_init__()
        self.bill: Counter[str] = Counter()
        for name in ("webhooks", "counts", "notifications"):
            queue = getattr(self, name)
            setattr(self, name, _CountedQueue(lambda: self.now, self.bill, name=name, max_receives=queue._max_receives))

    def process(self, messages: Sequence[Message]) -> None:
        """An invocation of `process_webhooks`."""
        self.bill["process_webhooks"] += 1
        super().process(messages)

    def count(self, messages: Sequence[Message]) -> None:
        """An invocation of `process_counts`."""
        self.bill["process_counts"] += 1
        super().count(messages)

    def deliver(self, message: Message) -> None:
        """An invocation of `deliver_notification`."""
        self.bill["deliver_notification"] += 1
        super().deliver(message)

    def tick(self) -> None:
        """An invocation of `tick`."""
        self.bill["tick"] += 1
        super().tick()
        oldest_undelivered(rules=self.rules, store=self.store, now=self.now)


class _CountedQueue(WaitingQueue):
    def __init__(self, clock: Callable[[], Any], bill: Counter[str], **more: Any) -> None:
        super().__init__(clock, **more)
        self._bill = bill

    def put(self, bodies: Sequence[str], *, delay: timedelta = timedelta(0)) -> None:
        """Every started 64 KB of a message is a request."""
        self._bill["SQS requests"] += sum(1 + len(body) // 65_536 for body in bodies)
        super().put(bodies, delay=delay)

    def receive(self, most: int = 10, **more: Any) -> list[Any]:
        """What brings messages is a request, and so is taking them away."""
        found = super().receive(most, **more)
        self._bill["SQS requests"] += 2 * bool(found)
        return found


def counted(act: Callable[[Counted], object], quiet: Mapping[str, float] | None = None) -> Counter[str]:
    """What is billed for an act, beyond what the minutes cost that it takes."""
    with mock_aws():
        client = boto3.client("dynamodb", "us-east-1", aws_access_key_id="x", aws_secret_access_key="x")
        table(client, "bench", "local")
        meter = _Meter(client)
        router = Counted(rules_of((ROOT / "alert-rules.yaml").read_text()), store=DynamoStore(meter, "bench"))
        router.run(minutes=2)
        router.bill.clear()
        meter.units.clear()
        began = router.now
        act(router)
        router.close()
        assert router.errors == [], router.errors
    bill = router.bill + Counter({f"DynamoDB {name}": meter.units[name] for name in ("write units", "read units")})
    return bill - times(quiet or {}, (router.now - began) / timedelta(minutes=1))


class _Meter(Meter):
    """Also what the samples' bench does not call; an index costs a write unit more."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def put_item(self, **call: Any) -> Any:
        """The item, and its entry in the index."""
        self.units["write units"] += "wake_at" in call["Item"]
        return super().put_item(**call)

    def batch_get_item(self, **call: Any) -> Any:
        """A read unit at least for each key."""
        self.units["read units"] += sum(len(each["Keys"]) for each in call["RequestItems"].values())
        return self._client.batch_get_item(**call)


def event(router: Counted, number: int, status: Status, kind: str = "metric_alert.critical") -> Event:
    """A fault of a service, or its end."""
    return Event(
        id=f"{kind}{number}{status.value}", source="sentry", kind=kind, status=status, severity=Severity.CRITICAL,
        title="Sign-ups fail", occurred_at=router.now, identity=f"{kind}{number}", service=f"service-{number}",
    )  # fmt: skip


def one_incident(router: Counted) -> None:
    """A fire that is told in Slack and by PagerDuty, and its end half an hour later."""
    router.events(event(router, 1, Status.FIRING)).run(minutes=30)
    router.events(event(router, 1, Status.RESOLVED)).run(minutes=10)
    assert sorted(router.told()) == ["pagerduty", "slack"]


def hundred_errors(router: Counted) -> None:
    """A hundred errors of one service that only count, two a minute."""
    for number in range(100):
        router.webhooks.put(events_messages([event(router, number, Status.FIRING, "error.created")]))
        router.run(seconds=30)


def ten_minutes_of(probes: int) -> Callable[[Counted], None]:
    """What so many probes bring in ten minutes; all of a minute come together."""

    def act(router: Counted) -> None:
        for _ in range(10):
            labels = [{"probe": f"p{number}", "service": f"s{number}"} for number in range(probes)]
            samples = [Sample(metric, 1.0, router.now, each) for each in labels for metric in METRICS]
            router.webhooks.put(samples_messages(samples))
            router.run(minutes=1)

    return act


def times(bill: Mapping[str, float], factor: float) -> Counter[str]:
    """So much of it."""
    return Counter({name: count * factor for name, count in bill.items()})


def month(team: Team, parts: Mapping[str, Counter[str]]) -> dict[str, float]:
    """What is billed in a month."""
    webhooks = team.counted + 2 * team.incidents
    found = times(parts["quiet minute"], MINUTES) + times(parts["error that counts"], team.counted)
    found += times(parts["incident"], team.incidents) + times(parts[f"minute of {team.probes} probes"], MINUTES)
    found += times(HISTORY, webhooks)
    found["watch"] += MINUTES
    found["record"] += MINUTES / 5
    found["repair"] += MINUTES / 5
    found["api_handler"] += webhooks
    invocations = {name: found.pop(name, 0) for name in FUNCTIONS}
    seconds = {name: count * BILLED_MS.get(name, 200) / 1000 for name, count in invocations.items()}
    found["API Gateway requests"] += webhooks
    found["Lambda requests"] += sum(invocations.values())
    found["Lambda GB-seconds"] += sum(seconds[name] * FUNCTIONS[name]["memory"] / 1024 for name in FUNCTIONS)
    found["SQS requests"] += POLLS * 3 + MINUTES / 5
    found["mails"] += 2 * team.incidents
    found["log GB"] += sum(invocations.values()) * LOG_BYTES / 1e9
    return found


def main() -> None:
    """Count and print."""
    quiet = times(counted(lambda router: router.run(minutes=60)), 1 / 60)
    parts = {
        "quiet minute": quiet,
        "error that counts": times(counted(hundred_errors, quiet), 1 / 100),
        "incident": counted(one_incident, quiet),
        **{
            f"minute of {team.probes} probes": times(counted(ten_minutes_of(team.probes), quiet), 1 / 10)
            for team in TEAMS
        },
    }
    for name, bill in parts.items():
        print(f"one {name}: " + ", ".join(f"{count:.2f} {each}" for each, count in sorted(bill.items())))
    for team in TEAMS:
        bill = month(team, parts)
        print(f"\n{team.name} team: {team.probes} probes a minute, {team.counted:,} errors, {team.incidents} incidents")
        for name, price in PRICES.items():
            print(f"  {name:<22} {bill[name]:>14,.1f}   {bill[name] * price:8.2f} USD")
        total = sum(bill[name] * price for name, price in PRICES.items())
        free = sum(min(bill[name], FREE.get(name, 0)) * price for name, price in PRICES.items())
        print(f"  {'together':<22} {'':>14}   {total:8.2f} USD, {total - free:.2f} with AWS's monthly free tier")


if __name__ == "__main__":
    main()
