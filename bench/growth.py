"""What grows with what: CPU time, read units, items and bytes, each as the ratio for ten times as much, in one run.

Curves of an event are measured in memory, for each event; 1.0 means that it costs the same with ten times as many rules,
labels and so on. Curves of open incidents are whole acts (a list, a silence, a tick) on the store of DynamoDB over a table in
this process, which counts what would be billed; 10.0 means that everything is read.
Run: python bench/growth.py [--only NAME] [--most 100000]
"""

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from causes import cost
from causes import storm as storm_of_causes
from counted_table import CountedTable
from storm import BATCH, MINUTE, START, Queue, Router

from chalicelib.api import views
from chalicelib.api.paging import Paging
from chalicelib.aws.dynamodb import DynamoStore
from chalicelib.core.context import Context, Silence
from chalicelib.core.event import Action, ActionKind, Event, Severity, Status
from chalicelib.core.incident import Entry, Incident, Timeline, incident_key
from chalicelib.core.match import Matcher
from chalicelib.core.metrics.sample import Sample
from chalicelib.core.rule import Rules
from chalicelib.messages.queue import (
    Message,
    Queues,
    action_message,
    events_messages,
    samples_messages,
    silence_message,
)
from chalicelib.process.worker import process
from chalicelib.rules.file import load
from chalicelib.schedule.missed import _active_identities
from chalicelib.schedule.tick import tick

SUPERLINEAR = 1.3
"""A cost for each event that grows by more for ten times as much is marked."""
EVENTS = 2_000
RULES = """
defaults: {group_by: [service], group_wait: 10s, max_alerts: 10000}
default: {notification: [{slack_channel: "#incidents"}]}
alerts:
  - {name: Fault, match: {source: sentry}, severity: critical}
"""


@dataclass(frozen=True, slots=True)
class Cost:
    """What one size cost: CPU seconds; counts of the table, where it is read."""

    cpu: float
    counts: dict[str, int] = field(default_factory=dict)


Curve = Callable[[int], Cost]


def rules_of(more: str = "") -> Rules:
    """Return one rule for everything, and more."""
    return load(RULES + more, filename="alert-rules.yaml")


def event(number: int, at: datetime, *, service: str = "service-0", labels: dict[str, str] | None = None) -> Event:
    """Return a fault of its own begins."""
    return Event(
        id=f"e{number}", source="sentry", kind="issue.created", status=Status.FIRING, severity=Severity.CRITICAL, title=f"Fault {number}", occurred_at=at,
        identity=f"fault-{number}", service=service, labels=labels or {},
    )  # fmt: skip


def times(count: int, span: timedelta = MINUTE) -> Iterator[tuple[int, datetime]]:
    """Yield so many numbers, each with its time."""
    return ((number, START + span * number / count) for number in range(count))


def stormed(rules: Rules, listed: Sequence[tuple[datetime, str]], context: Context | None = None) -> Cost:
    """Return what a storm costs in memory, for each of its messages."""
    router = Router(rules)
    tick(rules=rules, store=router.store, queues=router.queues, now=START)
    if context is not None:
        before = router.store.context()
        router.store.save_context(replace(context, marks=before.marks, version=before.version + 1))
    began = time.process_time()
    router.run(listed)
    return Cost((time.process_time() - began) / len(listed))


def messages(events: Sequence[Event]) -> list[tuple[datetime, str]]:
    """Return a message for each."""
    return [(each.occurred_at, body) for each in events for body in events_messages([each])]


# ---------------------------------------------------------------------------------------------------------------------
# For each event


def of_rules(size: int) -> Cost:
    """Measure rules that match other services."""
    lines = [
        f"  - {{name: R{n}, match: {{source: sentry, service: other-{n}}}, severity: info}}\n" for n in range(size)
    ]
    return stormed(rules_of("".join(lines)), messages([event(n, at) for n, at in times(EVENTS)][:500]))


def of_services(size: int) -> Cost:
    """Measure services of which each has causes and symptoms."""
    rules = load(Path("alert-rules.yaml").read_text(encoding="utf-8"), filename="alert-rules.yaml")
    found = cost(rules, storm_of_causes(4_000, size))
    return Cost(found.cpu / 4_000, {"items": round(found.read / 4)})


def of_alerts(size: int) -> Cost:
    """Measure alerts of one incident, which come within a minute in batches of ten."""
    return stormed(rules_of(), messages([event(n, at) for n, at in times(size)]))


def of_alerts_in_one_batch(size: int) -> Cost:
    """Return the same, a thousand in a batch, as the queue of counts hands them out: the incident is packed seldom."""
    router, listed = Router(rules_of()), messages([event(n, at) for n, at in times(size)])
    began = time.process_time()
    router.run(listed, 1_000)
    return Cost((time.process_time() - began) / size)


def of_labels(size: int) -> Cost:
    """Measure labels of each event."""
    labels = {f"label_{n}": f"value {n}" for n in range(size)}
    return stormed(
        rules_of(), messages([event(n, at, service=f"s{n}", labels=labels) for n, at in times(EVENTS)][:300])
    )


def of_history(size: int) -> Cost:
    """Measure lines that the timeline of the incident has already; what is older than 200 is in pages of its own."""
    router = Router(rules_of())
    router.run(messages([event(0, START)]))
    (found,) = router.store.incidents()
    lines = tuple(Entry(START, f"note {n}", kind="note") for n in range(size))
    router.store.save(replace(found, version=found.version + 1, timeline=Timeline(lines)))
    listed = messages([event(n, at + 2 * MINUTE) for n, at in times(200)])
    began = time.process_time()
    router.run(listed)
    return Cost((time.process_time() - began) / len(listed))


def of_silences(size: int) -> Cost:
    """Measure silences that mute other services."""
    silences = tuple(
        Silence(f"s{n}", (Matcher("service", "=", f"other-{n}"),), START, START + timedelta(hours=2), "ana")
        for n in range(size)
    )
    listed = messages([event(n, at, service=f"s{n}") for n, at in times(EVENTS)][:500])
    return stormed(rules_of(), listed, Context(silences=silences))


def of_probes(size: int) -> Cost:
    """Measure probes whose samples come in one message a minute, and are evaluated by a rule; for each sample."""
    rules = rules_of('  - {name: Down, condition: "uptime < 99%", severity: critical}\n')
    samples = [
        Sample("uptime", 1.0, START + MINUTE * minute, {"probe": f"p{number}"})
        for minute in range(5)
        for number in range(size)
    ]
    listed = [(each.at, body) for minute in range(5) for each in [samples[minute * size]] for body in
              samples_messages(samples[minute * size : (minute + 1) * size])]  # fmt: skip
    found = stormed(rules, listed)
    return Cost(found.cpu * len(listed) / len(samples))


# ---------------------------------------------------------------------------------------------------------------------
# For an act, among so many open incidents


class Stage:
    """A stage over a table, which it may change."""

    def __init__(self, table: CountedTable) -> None:
        self.table, self.rules, self.now = table, rules_of(), START + 10 * MINUTE
        self.store = DynamoStore(self.table, "t", clock=lambda: self.now.timestamp())  # type: ignore[arg-type]
        self.queue = Queue(self)  # type: ignore[arg-type]
        self.queues = Queues(self.queue, self.queue, self.queue)

    def act(self, body: str) -> None:
        """Give a worker one message, then all that it put on the queue of webhooks at once."""
        bodies = [body]
        while bodies:
            found = [Message(f"m{n}", each, "") for n, each in enumerate(bodies[:BATCH])]
            failures = process(found, rules=self.rules, store=self.store, queues=self.queues, now=self.now)
            assert not failures, failures
            bodies = bodies[BATCH:] + [each for each in self.queue.taken(10_000) if '"notification"' not in each]

    def tick(self) -> None:
        """Let a minute pass."""
        self.now += MINUTE
        tick(rules=self.rules, store=self.store, queues=self.queues, now=self.now)


def table_of(size: int) -> CountedTable:
    """Return the table of a stage with so many open incidents, ten of each service, one alert in each."""
    stage = Stage(CountedTable())
    tick(rules=stage.rules, store=stage.store, queues=stage.queues, now=START)
    for each in incidents(size, stage.rules):
        stage.store.save(each)
    stage.store.locate(["id-1"], key_of(1))
    return stage.table


def incidents(size: int, rules: Rules) -> Iterator[Incident]:
    """Yield copies of an incident that was notified, each of its own fault."""
    router = Router(rules)
    router.run(messages([event(0, START, labels={"host": "web-1", "team": "payments"})]))
    (found,) = router.store.incidents()
    ((_, alert),) = found.alerts.items()
    for number in range(size):
        name = f"{number:016x}"
        labels = {**alert.labels, "service": service_of(number), "host": f"web-{number}"}
        own = replace(alert, fingerprint=name, labels=labels)
        yield replace(
            found, key=key_of(number), id=f"id-{number}", group={"service": labels["service"]}, version=1,
            alerts={name: own}, wake_at=None,
        )  # fmt: skip


def service_of(number: int) -> str:
    """Return the service of an incident: ten incidents are of one service."""
    return f"service-{number // 10}"


def key_of(number: int) -> str:
    """Return the key of the incident's group."""
    return incident_key(rules_of().default, {"service": service_of(number), "number": str(number)})


def muting(number: int, at: datetime) -> str:
    """Return a person silences one service of those that are there."""
    return silence_message(
        Silence("s1", (Matcher("service", "=", service_of(number)),), at, at + timedelta(hours=2), "ana")
    )


def acknowledging(at: datetime) -> str:
    """Acknowledge one incident as a person does."""
    return action_message(Action(ActionKind.ACK, "ana", at, incident="id-1", via="api", id="a1"))


PAGE = Paging(limit=50)
ACTS: dict[str, Callable[[Stage], object]] = {
    "list a page": lambda stage: views.incidents(stage.store, stage.rules, stage.now, asked=PAGE),
    "list one service": lambda stage: views.incidents(
        stage.store, stage.rules, stage.now, asked=PAGE, matchers=(Matcher("service", "=", "service-0"),)
    ),
    "list alerts": lambda stage: views.alerts(stage.store, stage.rules, stage.now, asked=PAGE),
    "an id by its first characters": lambda stage: views.candidates(stage.store, "id-1", stage.now),
    "first characters of none": lambda stage: views.candidates(stage.store, "abcdef", stage.now - timedelta(days=900)),
    "acknowledge": lambda stage: stage.act(acknowledging(stage.now)),
    "silence a service": lambda stage: stage.act(muting(0, stage.now)),
    "list silences": lambda stage: (stage.act(muting(0, stage.now)), views.silences(stage.store, stage.now))[1],
    "silence and the two ticks after it": lambda stage: (stage.act(muting(0, stage.now)), stage.tick(), stage.tick()),
    "a quiet tick": lambda stage: stage.tick(),
    "issues to look for at a vendor": lambda stage: _active_identities(stage.store, "sentry", "host"),
}


def of_act(act: Callable[[Stage], object], table: CountedTable) -> Cost:
    """Return what an act costs among the incidents of a table."""
    stage = Stage(table.copy())
    began = time.process_time()
    act(stage)
    return Cost(time.process_time() - began, dict(stage.table.counts))


def acts(names: Sequence[str], sizes: Sequence[int]) -> dict[str, list[Cost]]:
    """Return what each act costs with so many open incidents; each size of the table is made once."""
    found: dict[str, list[Cost]] = {name: [] for name in names}
    for size in sizes if names else ():
        table = table_of(size)
        for name in names:
            found[name].append(of_act(ACTS[name], table))
    return found


EACH: dict[str, tuple[Curve, Sequence[int]]] = {
    "rules": (of_rules, (10, 100, 1_000)),
    "services with causes": (of_services, (20, 200, 2_000)),
    "alerts of an incident": (of_alerts, (100, 1_000, 10_000)),
    "alerts, 1,000 a batch": (of_alerts_in_one_batch, (100, 1_000, 10_000)),
    "labels of an event": (of_labels, (10, 100, 1_000)),
    "lines of the timeline": (of_history, (10, 100, 1_000)),
    "silences of others": (of_silences, (5, 50, 500)),
    "probes": (of_probes, (10, 100, 1_000)),
}
BOUNDED = ("an id by its first characters", "acknowledge", "a quiet tick")
"""The acts that read as much among 100,000 open incidents as among ten. Lists and silences read the summaries of all."""
SIZES = (10, 100, 1_000, 10_000, 100_000)


def report(name: str, found: Sequence[Cost], *, each: bool) -> None:
    """Print what each size costs, and the ratio to the size before."""
    ratios = "  ".join(f"{after.cpu / before.cpu:5.2f}" for before, after in pairwise(found))
    mark = "  superlinear" if each and any(b.cpu / a.cpu > SUPERLINEAR for a, b in pairwise(found)) else ""
    print(f"{name:<36} CPU         {_row([each.cpu * 1e6 for each in found])} µs   x {ratios}{mark}", flush=True)
    for count in ("read units", "items", "bytes", "write units"):
        if any(each.counts.get(count) for each in found):
            shown = [each.counts.get(count, 0) for each in found]
            ratios = "  ".join(f"{after / max(1, before):5.2f}" for before, after in pairwise(shown))
            print(f"{'':<36} {count:<11} {_row(shown)}      x {ratios}", flush=True)


def print_row(name: str, sizes: Sequence[int], found: Sequence[Cost]) -> None:
    """Print the figure of an act: what it reads with each size, and whether that stays the same."""
    units = [each.counts.get("read units", 0) for each in found]
    budget = "does not grow" if name in BOUNDED else "–"
    listed = ", ".join(f"{each:,}" for each in sizes)
    print(
        f"| read units, {name}, with {listed} open incidents | {budget} | {', '.join(f'{each:,}' for each in units)} |"
    )


def _row(values: Sequence[float]) -> str:
    return " ".join(f"{value:11,.0f}" for value in values)


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="curves whose name holds this")
    parser.add_argument("--most", type=int, default=100_000, help="open incidents, up to so many")
    options = parser.parse_args()
    print("for each event (or sample), ten times as many:")
    for name, (curve, sizes) in EACH.items():
        if options.only in name:
            report(name, [curve(size) for size in sizes], each=True)
    sizes = [size for size in SIZES if size <= options.most]
    print(f"for an act, with {', '.join(f'{size:,}' for size in sizes)} open incidents:")
    for name, found in acts([name for name in ACTS if options.only in name], sizes).items():
        report(name, found, each=False)
        print_row(name, sizes, found)
    return 0


if __name__ == "__main__":
    sys.exit(main())
