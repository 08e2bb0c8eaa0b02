"""Stand-ins that keep the promises of the ports, in memory."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import count
from math import ceil
from random import Random
from typing import Any

from chalicelib.core.errors import NotStoredError
from chalicelib.messages.queue import Message


class FixedSecrets:
    """Secrets by name; `stored` is what reading again finds, `broken` makes both fail."""

    def __init__(self, values: dict[str, str]) -> None:
        self.in_hand = dict(values)
        self.stored = dict(values)
        self.broken = False

    def values(self, names: Sequence[str]) -> list[str]:
        """All live values in hand."""
        if self.broken:
            raise NotStoredError("secrets are away")
        return [value for name in names for value in self.in_hand.get(name, "").split(",") if value]

    def renewed(self, names: Sequence[str]) -> list[str]:
        """All live values, read again."""
        self.in_hand = dict(self.stored)
        return self.values(names)

    def get(self, name: str) -> str | None:
        """One value."""
        return self.in_hand.get(name)


class MemoryQueue:
    """A queue that keeps what is put, deleted, hidden and parked; `fail_at` names calls that fail, by number from 1."""

    def __init__(self) -> None:
        self.bodies: list[str] = []
        self.delays: list[timedelta] = []
        self.deleted: list[str] = []
        self.hidden: dict[str, timedelta] = {}
        self.dead_lettered: list[tuple[str, str]] = []
        self.taken = 0
        self.calls = 0
        self.fail_at: set[int] = set()

    def put(self, bodies: Sequence[str], *, delay: timedelta = timedelta(0)) -> None:
        """Keep the bodies."""
        self._called()
        self.bodies += bodies
        self.delays += [delay] * len(bodies)

    def take(self) -> list[dict[str, str]]:
        """Ten of those that nobody took."""
        some = self.bodies[self.taken : self.taken + 10]
        found = [{"messageId": f"m{n}", "receiptHandle": f"r{n}", "body": b} for n, b in enumerate(some, self.taken)]
        self.taken += len(some)
        return found

    def held(self) -> tuple[int, int]:
        """What is there and nobody took."""
        return len(self.bodies) - self.taken, 0

    def delete(self, receipts: Sequence[str]) -> None:
        """Remember what is done."""
        self._called()
        self.deleted += receipts

    def hide(self, receipt: str, delay: timedelta) -> None:
        """Remember what comes back when."""
        self._called()
        self.hidden[receipt] = delay

    def dead_letter(self, body: str, reason: str) -> None:
        """Remember what was parked and why."""
        self._called()
        self.dead_lettered.append((body, reason))

    def _called(self) -> None:
        self.calls += 1
        if self.calls in self.fail_at:
            raise NotStoredError("the queue is away")


VISIBILITY = timedelta(seconds=90)
MAX_RECEIVES = 1000


@dataclass
class Waiting:
    """A message of a `WaitingQueue`."""

    id: str
    body: str
    visible_at: datetime
    received_count: int = 0
    first_received_at: datetime | None = None


class WaitingQueue:
    """A standard SQS queue on a clock: at least once, hidden while it is worked on, dead after so many receives."""

    def __init__(self, clock: Callable[[], datetime], *, name: str = "queue", max_receives: int = MAX_RECEIVES) -> None:
        self.name = name
        self.waiting: dict[str, Waiting] = {}
        self.dead_lettered: list[tuple[str, str]] = []
        self._clock = clock
        self._max_receives = max_receives
        self._numbers = count(1)

    def put(self, bodies: Sequence[str], *, delay: timedelta = timedelta(0)) -> None:
        """Keep the bodies, to be seen after the delay, in whole seconds as SQS counts it."""
        for body in bodies:
            name = f"{self.name}-{next(self._numbers)}"
            delayed = timedelta(seconds=ceil(delay.total_seconds()))
            self.waiting[name] = Waiting(name, body, self._clock() + delayed)

    def receive(self, most: int = 10, *, chance: Random | None = None) -> list[Message]:
        """At most so many of what can be seen, oldest first or in any order; what came too often is parked by SQS."""
        visible = sorted((each for each in self.waiting.values() if each.visible_at <= self._clock()), key=_seen)
        if chance is not None:
            chance.shuffle(visible)
        taken = []
        for each in visible[:most]:
            each.received_count += 1
            if each.received_count > self._max_receives:
                self.dead_lettered.append((self.waiting.pop(each.id).body, "received too often"))
                continue
            each.visible_at = self._clock() + VISIBILITY
            each.first_received_at = each.first_received_at or self._clock()
            taken.append(Message(each.id, each.body, each.id, each.received_count, each.first_received_at))
        return taken

    def delete(self, receipts: Sequence[str]) -> None:
        """Those are done."""
        for receipt in receipts:
            self.waiting.pop(receipt, None)

    def hide(self, receipt: str, delay: timedelta) -> None:
        """That one is seen again after the delay."""
        if receipt in self.waiting:
            self.waiting[receipt].visible_at = self._clock() + timedelta(seconds=ceil(delay.total_seconds()))

    def dead_letter(self, body: str, reason: str) -> None:
        """Its dead letters."""
        self.dead_lettered.append((body, reason))

    def next_at(self) -> datetime | None:
        """When the next message can be seen."""
        return min((each.visible_at for each in self.waiting.values()), default=None)


def _seen(waiting: Waiting) -> tuple[datetime, int]:
    return waiting.visible_at, int(waiting.id.rpartition("-")[2])


class Death(BaseException):
    """A worker dies here: no code of its own runs any more."""


@dataclass(slots=True)
class Sites:
    """Every call that goes through here has a number, from 0; the one with number `at`, or the next of that name, fails.

    `after` false: it is never made. True: it is made, and its caller never learns that.
    """

    at: int | str | None = None
    after: bool = False
    error: Callable[[str], BaseException] = Death
    names: list[str] = field(default_factory=list)
    failed: str = ""

    def call(self, name: str, make: Callable[[], Any], error: Callable[[str], BaseException] | None = None) -> Any:
        """Make the call, unless it is its turn to fail; `error` is what this kind of call raises in place of NotStored."""
        number = len(self.names)
        self.names.append(name)
        if self.at not in (number, name):
            return make()
        self.at, self.failed = None, name
        if self.after:
            make()
        raise (self.error if error is None or self.error is Death else error)(name)


class Through:
    """A port whose every call goes through the sites."""

    def __init__(self, port: Any, sites: Sites, name: str) -> None:
        self._port = port
        self._sites = sites
        self._name = name

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._port, name)
        if not callable(found):
            return found
        return lambda *given, **named: self._sites.call(f"{self._name}.{name}", lambda: found(*given, **named))


async def no_pause(seconds: float) -> None:
    """Wait for nothing."""
