"""Labelled days for `bench/signals.py`: what the senders of a team say, with the fault that each signal belongs to.

A fault is one thing that went wrong. Its signals come from several senders, under rules of their own. The label `fault` says
which one it is; no rule asks for it. The same seed is the same day.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random

from chalicelib.core.event import Event, Severity, Status
from chalicelib.core.metrics.sample import Sample
from chalicelib.messages.queue import events_messages, samples_messages

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
DEPENDENTS = ("mail", "search", "cart", "login", "orders", "reports")
MEASURED: Mapping[str, tuple[str, float, float]] = {
    "down": ("uptime", 0.0, 1.0),
    "rate": ("error_rate", 0.2, 0.0),
    "slow": ("p95_latency_ms", 900.0, 100.0),
}
"""Each metric with a value that is bad and one that is not."""
SENT: Mapping[str, tuple[str, str, str, Severity]] = {
    "page": ("alertmanager", "alert", "alert", Severity.CRITICAL),
    "warn": ("alertmanager", "alert", "alert", Severity.WARNING),
    "edge": ("cloudflare", "http_alert_origin_error", "http_alert_origin_error", Severity.CRITICAL),
    "issue": ("sentry", "issue.created", "issue.resolved", Severity.WARNING),
}
"""The source of each event, its kind at the beginning and at the end, and its severity."""


@dataclass(frozen=True, slots=True)
class Signal:
    """What one sender says of a fault: from a minute of the day to another one. It is the same alert each time it comes back."""

    fault: str
    service: str
    kind: str
    begins: float
    ends: float
    name: str = ""

    @property
    def pages(self) -> bool:
        """Return whether the shipped rules page for it."""
        return self.kind in ("page", "edge", "down")


@dataclass(frozen=True, slots=True)
class Day:
    """A day of one kind."""

    kind: str
    signals: tuple[Signal, ...]
    needs: Mapping[str, Sequence[str]]


Draw = Callable[[Random, int], Iterator[Signal]]


def plain(chance: Random, size: int) -> Iterator[Signal]:
    """Yield faults of one service, hours apart, each seen by three senders within some minutes."""
    for number in range(size):
        at, fault = 150.0 * number + chance.uniform(0, 60), f"f{number}"
        length = chance.uniform(15, 45)
        for kind in ("issue", chance.choice(("slow", "warn")), chance.choice(("page", "edge")), "rate"):
            yield Signal(fault, "api", kind, at + chance.uniform(0, 5), at + length)


def overlap(chance: Random, size: int) -> Iterator[Signal]:
    """Yield pairs of faults of one service that have nothing to do with each other, the second while the first one goes on."""
    for number in range(size):
        at, apart = 400.0 * number, chance.choice((chance.uniform(7, 15), chance.uniform(15, 90)))
        yield Signal(f"a{number}", "api", "page", at, at + apart + chance.uniform(20, 60))
        yield Signal(f"b{number}", "api", "page", at + apart, at + apart + chance.uniform(15, 60))


def dependency(chance: Random, size: int) -> Iterator[Signal]:
    """Yield outages of a database that six services need; two of them fall back once, and one has a fault of its own."""
    for number in range(size):
        at, fault, length = 500.0 * number, f"f{number}", chance.uniform(25, 60)
        yield Signal(fault, "database", "page", at, at + length)
        for service in DEPENDENTS:
            began = at + chance.uniform(0, 12)
            yield Signal(fault, service, "page", began, at + length + chance.uniform(0, 3))
        for service in chance.sample(DEPENDENTS[1:], 2):
            again = at + length + chance.uniform(4, 8)
            yield Signal(fault, service, "page", again, again + chance.uniform(3, 8))
        yield Signal(f"certificate{number}", "mail", "page", at + chance.uniform(13, 20), at + length + 90)


def flaps(chance: Random, size: int) -> Iterator[Signal]:
    """Yield a pool that flaps for an hour, and a bad deploy within it."""
    for number in range(size):
        at = 400.0 * number
        for flap in range(8):
            yield Signal(f"pool{number}", "api", "warn", at + 7 * flap, at + 7 * flap + 3)
        deployed = at + chance.uniform(20, 40)
        for kind in ("issue", "rate", "page"):
            yield Signal(f"deploy{number}", "api", kind, deployed + chance.uniform(0, 4), deployed + 30)


def slow_burn(chance: Random, size: int) -> Iterator[Signal]:
    """Yield faults that take fifty minutes from slow to down, each symptom 5 to 14 minutes after the one before."""
    for number in range(size):
        at, fault, ends = 300.0 * number, f"f{number}", 300.0 * number + 90
        for kind in ("slow", "issue", "rate", "warn", "page"):
            yield Signal(fault, "api", kind, at, ends)
            at += chance.uniform(5, 14)


def region(chance: Random, size: int) -> Iterator[Signal]:
    """Yield a region that fails: all services within ten minutes, and a name server of another provider after a quarter of an hour."""
    for number in range(25 * size):
        yield Signal("region", f"service-{number}", "page", chance.uniform(0, 10), 50 + chance.uniform(0, 10))
    yield Signal("dns", "dns", "page", 15, 70)


def night(chance: Random, size: int) -> Iterator[Signal]:
    """Yield a night of warnings: each service has one fault of an hour with a few warnings, one after the other."""
    for number, service in enumerate(("api", "web", "mail", "search", "cart")[: size + 2]):
        at = chance.uniform(0, 240)
        for kind, name in (("slow", ""), ("issue", ""), ("warn", "disk"), ("warn", "queue")):
            yield Signal(f"f{number}", service, kind, at, at + chance.uniform(15, 60), name)
            at += chance.uniform(3, 14)


KINDS: Mapping[str, Draw] = {
    "plain": plain,
    "overlap": overlap,
    "dependency": dependency,
    "flap and deploy": flaps,
    "slow burn": slow_burn,
    "region": region,
    "night": night,
}


def day_of(kind: str, seed: int, size: int) -> Day:
    """Return a day of a kind; `size` says how many faults it has."""
    needs = dict.fromkeys(DEPENDENTS, ("database",)) if kind == "dependency" else {}
    return Day(kind, tuple(KINDS[kind](Random(f"{kind}/{seed}"), size)), needs)


def messages_of(day: Day) -> list[tuple[datetime, list[str]]]:
    """Return what arrives on the queue of webhooks, in the order of time."""
    found = [each for number, signal in enumerate(day.signals) for each in _messages(number, signal)]
    return sorted(found, key=lambda each: each[0])


def _messages(number: int, signal: Signal) -> Iterator[tuple[datetime, list[str]]]:
    begins, ends = START + MINUTE * signal.begins, START + MINUTE * signal.ends
    if signal.kind in MEASURED:
        yield from _measured(signal, begins, ends)
        return
    for status, at in ((Status.FIRING, begins), (Status.RESOLVED, ends)):
        yield at, events_messages([_event(number, signal, status, at)])


def _measured(signal: Signal, begins: datetime, ends: datetime) -> Iterator[tuple[datetime, list[str]]]:
    """Yield a sample a minute, until the metric has been good for long enough to end its alert."""
    metric, bad, good = MEASURED[signal.kind]
    labels = {"service": signal.service, "fault": signal.fault}
    at = begins
    while at < ends + 8 * MINUTE:
        yield at, samples_messages([Sample(metric, bad if at < ends else good, at, labels)])
        at += MINUTE


def _event(number: int, signal: Signal, status: Status, at: datetime) -> Event:
    source, begun, ended, severity = SENT[signal.kind]
    return Event(
        id=f"{signal.fault}-{number}-{status.value}", source=source, kind=begun if status is Status.FIRING else ended,
        status=status, severity=severity, title=f"{signal.kind} of {signal.fault}", occurred_at=at,
        identity=f"{signal.fault}/{signal.service}/{signal.kind}/{signal.name}", name=signal.name or signal.kind,
        service=signal.service, labels={"fault": signal.fault},
    )  # fmt: skip
