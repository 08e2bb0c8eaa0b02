"""Ports that fail as the real ones do: a store, queues and the calls between, by chance and by rates.

The store is consistent, but for its indexes, which lag: `waking` and `incidents` find keys there and read the values
consistently, `summaries` are as old as the index. A call may be throttled before it is made. A write may succeed although its call failed. A batch may
be written in part. A worker may die before or after any call. A message may come twice, late and in any order.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import count
from math import ceil
from random import Random
from typing import Any, TypeVar

from chalicelib.core.errors import NotStoredError
from chalicelib.core.glance import Glance
from chalicelib.core.incident import Incident, IncidentStatus
from chalicelib.core.summary import Summary, SummaryPage, summary_of
from chalicelib.messages.queue import Message
from simulation.memory_store import MemoryStore, ended_of, paged, rows_of
from simulation.workers import Clock, Death

VISIBILITY = timedelta(seconds=90)
FEW = 5
"""So few summaries are in a page, so that most lists have several."""
WRITES = frozenset(
    [
        "save",
        "save_context",
        "save_delivery_log",
        "save_target_state",
        "save_tokens",
        "claim",
        "end_fault",
        "locate",
        "relate",
        "keep_timeline",
        "add_samples",
        "keep_history",
        "claim_minute",
        "put_mark",
        "save_stage_counts",
        "keep_body",
    ]
)
Found = TypeVar("Found")


@dataclass(slots=True)
class Rates:
    """How often something goes wrong, as shares of the calls."""

    death: float = 0.0
    throttled: float = 0.0
    unheard: float = 0.0
    """A write succeeds and its call fails."""
    partial: float = 0.0
    doubled: float = 0.0
    delayed: float = 0.0
    slow: float = 0.0
    """A call that takes seconds in place of milliseconds."""
    lag: timedelta = timedelta(0)
    held: float = 0.0
    """The schedule is throttled for some minutes; then its runs come all at once."""
    unrun: float = 0.0
    """Lambda takes messages and is throttled: they are hidden, counted, and no worker sees them."""


class Calls:
    """Makes every call of a worker: it takes time, and fails by chance."""

    def __init__(self, clock: Clock, chance: Random, rates: Rates) -> None:
        self.clock = clock
        self.chance = chance
        self.rates = rates

    def happens(self, share: float) -> bool:
        """Draw whether something of that rate happens."""
        return share > 0 and self.chance.random() < share

    def call(
        self,
        name: str,
        make: Callable[[], Found],
        *,
        writes: bool = True,
        part: Callable[[], object] | None = None,
    ) -> Found:
        """Make one call, with whatever goes wrong before, during and after it."""
        rates = self.rates
        self.reach(name, make if writes else None)
        if self.happens(rates.throttled):
            raise NotStoredError(f"{name}: throttled")
        if writes and part is not None and self.happens(rates.partial):
            part()
            raise NotStoredError(f"{name}: written in part")
        if writes and self.happens(rates.unheard):
            make()
            raise NotStoredError(f"{name}: the answer was lost")
        return make()

    def reach(self, name: str, make: Callable[[], object] | None) -> None:
        """Let a call take its time. The worker may die instead, after it was made."""
        self.clock.spend(self._time())
        if self.happens(self.rates.death):
            if make is not None and self.chance.random() < 0.5:
                make()
            raise Death(name)

    def _time(self) -> timedelta:
        if self.happens(self.rates.slow):
            return timedelta(seconds=self.chance.uniform(0.5, 12))
        return timedelta(milliseconds=self.chance.randint(1, 30))


class FaultyStore:
    """A MemoryStore behind `Calls`, with an index that lags. `saved` is called with each incident that was stored."""

    def __init__(self, inner: MemoryStore, calls: Calls, saved: Callable[[Incident], None]) -> None:
        self.inner = inner
        self._calls = calls
        self._saved = saved
        self._indexed: dict[str, Incident] = {}
        self._coming: list[tuple[datetime, Incident]] = []

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.inner, name)

        def call(*given: Any, **named: Any) -> Any:
            return self._calls.call(f"store.{name}", lambda: found(*given, **named), writes=name in WRITES)

        return call

    def save(self, incident: Incident, *, archive: Incident | None = None) -> None:
        """Save under the version condition. The index follows later."""

        def make() -> None:
            self.inner.save(incident, archive=archive)
            self._saved(incident)
            lag = self._calls.chance.uniform(0, 1) * self._calls.rates.lag
            self._coming.append((self._calls.clock.now + lag, incident))

        self._calls.call(f"store.save {incident.id or incident.key}", make)

    def locate(self, names: Iterable[str], key: str) -> None:
        """Remember where the incident is. Each name is a write of its own."""
        listed = sorted(names)
        self._calls.call(
            "store.locate",
            lambda: self.inner.locate(listed, key),
            part=lambda: self.inner.locate(listed[: len(listed) // 2], key),
        )

    def relate(self, names: Iterable[str], key: str) -> None:
        """Remember the incident's relations. Each name is a write of its own."""
        listed = sorted(names)
        self._calls.call(
            "store.relate",
            lambda: self.inner.relate(listed, key),
            part=lambda: self.inner.relate(listed[: len(listed) // 2], key),
        )

    def waking(self, now: datetime, limit: int) -> Sequence[tuple[datetime, str]]:
        """Return the timers that are due as the index knows them."""

        def make() -> Sequence[tuple[datetime, str]]:
            entries = self._index().values()
            due = sorted((each.wake_at, each.key) for each in entries if each.wake_at is not None)
            return [entry for entry in due if entry[0] <= now][:limit]

        return self._calls.call("store.waking", make, writes=False)

    def incidents(self, *, ended_since: datetime | None = None, quiet: bool = False) -> Iterable[Incident]:
        """Return those that the index lists, as they are stored by now."""

        def make() -> Iterable[Incident]:
            known = {
                key
                for key, each in self._index().items()
                if each.status is IncidentStatus.OPEN or each.wake_at is not None
            }
            everyone = self.inner.incidents(ended_since=ended_since, quiet=quiet)
            return [each for each in everyone if each.key in known or each.status is IncidentStatus.ENDED]

        return self._calls.call("store.incidents", make, writes=False)

    def summaries(self, after: str = "", *, ended_since: datetime | None = None, limit: int = FEW) -> SummaryPage:
        """Return a small page of what the index shows, which is older than what is stored."""

        def make() -> SummaryPage:
            archived = self.inner.archived_summaries()
            return paged([*map(summary_of, self._index().values()), *archived], after, ended_since, min(limit, FEW))

        return self._calls.call("store.summaries", make, writes=False)

    def worst(self, limit: int | None = None, *, ended_since: datetime | None = None) -> Sequence[Glance] | None:
        """Return the rows that the index shows, which are older than what is stored."""

        def make() -> Sequence[Glance] | None:
            archived = self.inner.archives(self.inner.archived_ids())
            return rows_of([*self._index().values(), *archived.values()], limit, ended_since)

        return self._calls.call("store.worst", make, writes=False)

    def ended_on(self, days: Collection[date], limit: int) -> Sequence[Summary]:
        """Return what the index shows, which is older than what is stored."""

        def make() -> Sequence[Summary]:
            archived = self.inner.archived_summaries()
            return ended_of([*map(summary_of, self._index().values()), *archived], days, limit)

        return self._calls.call("store.ended_on", make, writes=False)

    def _index(self) -> dict[str, Incident]:
        """Return the newest entry of each key that has reached the index. A later save never comes before an earlier."""
        late: set[str] = set()
        left = []
        for at, incident in self._coming:
            if at <= self._calls.clock.now and incident.key not in late:
                self._indexed[incident.key] = incident
            else:
                late.add(incident.key)
                left.append((at, incident))
        self._coming = left
        return self._indexed


@dataclass(slots=True)
class Waiting:
    """A message of a queue."""

    id: str
    body: str
    visible_at: datetime
    received_count: int = 0
    first_received_at: datetime | None = None


class FaultyQueue:
    """A standard SQS queue: at least once, in any order, hidden while a worker has it, dead after so many receives.

    `put_at` is called with the time at which something can be received.
    """

    def __init__(self, name: str, calls: Calls, max_receives: int, put_at: Callable[[datetime], None]) -> None:
        self.name = name
        self.waiting: dict[str, Waiting] = {}
        self.dead_lettered: list[tuple[str, str]] = []
        self.unrun: list[tuple[datetime, str]] = []
        """Time and body of each message that was received when no worker could run: it is hidden for VISIBILITY."""
        self._calls = calls
        self._max_receives = max_receives
        self._put_at = put_at
        self._numbers = count(1)

    def put(self, bodies: Sequence[str], *, delay: timedelta = timedelta(0)) -> None:
        """Send the bodies, in part where the call fails so."""
        half = len(bodies) // 2
        self._calls.call(
            f"{self.name}.put", lambda: self.add(bodies, delay), part=lambda: self.add(bodies[:half], delay)
        )

    def add(self, bodies: Sequence[str], delay: timedelta = timedelta(0)) -> None:
        """Keep the bodies, to be seen after the delay, or some time later."""
        for body in bodies:
            after = timedelta(seconds=ceil(delay.total_seconds()))
            if self._calls.happens(self._calls.rates.delayed):
                after += timedelta(seconds=self._calls.chance.uniform(0, 40))
            copies = 2 if self._doubles(body) else 1
            for _ in range(copies):
                name = f"{self.name}-{next(self._numbers)}"
                self.waiting[name] = Waiting(name, body, self._calls.clock.now + after)
                self._put_at(self._calls.clock.now + after)

    def receive(self, most: int) -> list[Message]:
        """Return some of those that can be seen, in any order. SQS parks what came too often.

        None is returned where Lambda took some and was not allowed to run: SQS counts that as a receive.
        """
        now = self._calls.clock.now
        unrun = self._calls.happens(self._calls.rates.unrun)
        visible = [each for each in self.waiting.values() if each.visible_at <= now]
        self._calls.chance.shuffle(visible)
        taken = []
        for each in visible[: self._calls.chance.randint(1, most) if len(visible) > 1 else 1]:
            each.received_count += 1
            if each.received_count > self._max_receives:
                self.dead_lettered.append((self.waiting.pop(each.id).body, "received too often"))
                continue
            each.first_received_at = each.first_received_at or now
            each.visible_at = now + VISIBILITY
            self._put_at(each.visible_at)
            if unrun:
                self.unrun.append((now, each.body))
                continue
            if self._doubles(each.body, of=1):
                each.visible_at = now
                self._put_at(now)
            taken.append(Message(each.id, each.body, each.id, each.received_count, each.first_received_at))
        return taken

    def _doubles(self, body: str, of: int = 0) -> bool:
        """Draw whether a message is doubled. One that has a copy is not: copies of copies would be without end."""
        if not self._calls.happens(self._calls.rates.doubled):
            return False
        return sum(each.body == body for each in self.waiting.values()) <= of

    def delete(self, receipts: Sequence[str]) -> None:
        """Delete those, in part where the call fails so."""
        self._calls.call(
            f"{self.name}.delete", lambda: self.drop(receipts), part=lambda: self.drop(receipts[: len(receipts) // 2])
        )

    def drop(self, receipts: Sequence[str]) -> None:
        """Delete those without fail."""
        for receipt in receipts:
            self.waiting.pop(receipt, None)

    def hide(self, receipt: str, delay: timedelta) -> None:
        """Have that one seen again after the delay."""

        def make() -> None:
            if receipt in self.waiting:
                at = self._calls.clock.now + timedelta(seconds=ceil(delay.total_seconds()))
                self.waiting[receipt].visible_at = at
                self._put_at(at)

        self._calls.call(f"{self.name}.hide", make)

    def dead_letter(self, body: str, reason: str) -> None:
        """Keep it with the dead letters."""
        self._calls.call(f"{self.name}.dead_letter", lambda: self.dead_lettered.append((body, reason)))


def calm(rates: Rates) -> None:
    """Let nothing go wrong any more. The index still lags."""
    for name in ("death", "throttled", "unheard", "partial", "doubled", "delayed", "slow", "unrun", "held"):
        setattr(rates, name, 0.0)
