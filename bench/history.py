"""What recorded history costs: bytes an event in the table, messages and writes for a million, CPU time of a worker.

    .venv/bin/python -m bench.history

Events are those of the senders' payloads under tests/, with other ids, times and hosts each, alone (one webhook a
batch) and in a storm (ten webhooks a batch). Prices are those of us-east-1 on demand in 2026: SQS $0.40 a million
requests of 64 KB, DynamoDB $0.625 a million write units of 1 KB and $0.25 a GB and month.
"""

import json
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from chalicelib.core.errors import ParseError
from chalicelib.core.event import Event
from chalicelib.core.metrics.sample import Sample
from chalicelib.core.rule import Rules
from chalicelib.messages.queue import Events, Recorded, Samples, read_message
from chalicelib.process.parse import parsed
from chalicelib.process.record import Line, Recorder, chunks
from simulation.memory_store import MemoryStore

FIXTURES = Path(__file__).parent.parent / "tests" / "sources" / "fixtures"
START = datetime(2026, 11, 26, tzinfo=UTC)
RUN = timedelta(minutes=5)
COUNT = 20_000
MILLION = 1_000_000
SQS_DOLLARS, SQS_BYTES = 0.40, 64 * 1024
WRITE_DOLLARS, STORED_DOLLARS = 0.625, 0.25


class Bodies:
    """A queue that keeps what is put."""

    def __init__(self) -> None:
        self.bodies: list[str] = []

    def put(self, bodies: list[str], *, delay: timedelta = timedelta(0)) -> None:
        """Keep them."""
        self.bodies += bodies


def known() -> list[Event]:
    """Return the events of the payloads."""
    found = []
    for path in sorted(FIXTURES.glob("*/*.json")):
        data = json.loads(path.read_text())
        headers = {name.lower(): str(value) for name, value in (data.get("headers") or {}).items()}
        body = json.dumps(data.get("body", data)).encode()
        try:
            found += parsed(path.parent.name, headers if "body" in data else {}, body, Rules(), START)
        except ParseError:
            continue
    return [event for event in found if event.action is None]


def events(count: int) -> Iterator[Event]:
    """Yield so many different ones."""
    kinds, chance = known(), random.Random(1)
    for number in range(count):
        event = chance.choice(kinds)
        labels = {**event.labels, "host": f"web-{chance.randrange(40)}"}
        at = START + timedelta(seconds=number * 0.7)
        yield replace(event, id=f"{chance.getrandbits(128):032x}", occurred_at=at, labels=labels)


def samples(count: int) -> Iterator[Sample]:
    """Yield twenty probes, four metrics each, one sample a minute."""
    chance = random.Random(2)
    for number in range(count):
        probe, metric = number % 20, ("latency_ms", "uptime", "failures", "successes")[number // 20 % 4]
        value = round(chance.gauss(180, 40), 3) if metric == "latency_ms" else float(metric == "uptime")
        yield Sample(metric, value, START + timedelta(seconds=number // 80 * 60 + probe), {"probe": f"p{probe}"})


def put(contents: list[Events | Samples], per_batch: int, step: timedelta) -> tuple[Bodies, float]:
    """Return the messages of the contents, so many in a batch, and the CPU seconds that making them took."""
    queue, at, took = Bodies(), START, 0.0
    for start in range(0, len(contents), per_batch):
        began = time.process_time()
        recorder = Recorder(MemoryStore(), at)
        for content in contents[start : start + per_batch]:
            recorder.add(content)
        recorder.put(history=queue, webhooks=queue)
        took += time.process_time() - began
        at += step
    return queue, took


def stored(queue: Bodies) -> list[bytes]:
    """Return the items that the runs of `record` make of them, five minutes each."""
    runs: dict[int, list[Line]] = {}
    for body in queue.bodies:
        content = read_message(body)
        assert isinstance(content, Recorded)
        for line in content.lines:
            runs.setdefault(int(line[0] // RUN.total_seconds()), []).append(line)
    return [data for lines in runs.values() for _, _, data in chunks(lines)]


def report(name: str, contents: list[Events | Samples], per_batch: int, step: timedelta) -> None:
    """Print one line of the table."""
    queue, took = put(contents, per_batch, step)
    items = stored(queue)
    count, total = len(contents), sum(map(len, items))
    per_million = MILLION / count
    requests = sum(-(-len(body) // SQS_BYTES) for body in queue.bodies) * (1 + 0.2) * per_million
    units = sum(-(-len(item) // 1024) for item in items) * per_million
    money = [
        requests / MILLION * SQS_DOLLARS,
        units / MILLION * WRITE_DOLLARS,
        total * per_million / 1e9 * STORED_DOLLARS,
    ]
    print(
        f"{name:<22}{total / count:>8.0f}{took / count * 1e6:>8.0f}{requests:>12,.0f}{units:>12,.0f}{len(items):>7}"
        + "".join(f"{each:>9.3f}" for each in (*money, sum(money)))
    )


def main() -> None:
    """Print the table."""
    make: Callable[[Event], Events] = lambda event: Events((event,))  # noqa: E731
    found: list[Events | Samples] = [make(event) for event in events(COUNT)]
    measured = list(samples(COUNT))
    minutes: list[Events | Samples] = [Samples(tuple(measured[n : n + 80])) for n in range(0, COUNT, 80)]
    print(
        f"{'':<22}{'bytes':>8}{'µs CPU':>8}{'requests':>12}{'write units':>12}{'items':>7}{'SQS $':>9}{'write $':>9}{'month $':>9}{'sum $':>9}"
    )
    report("events, alone", found, 1, timedelta(seconds=10))
    report("events, in a storm", found, 10, timedelta(milliseconds=60))
    report("80 samples a minute", minutes, 1, timedelta(minutes=1))


if __name__ == "__main__":
    main()
