"""Tocsin on a virtual clock: the real stages, an in-memory store, and targets that answer as they are told to.

The queues are heaps of (time, number, message); the minute tick runs when something could be due. Nothing here
decides anything: what is told, and when, comes from the same `process`, `tick` and `deliver` that run on Lambda.
"""

import heapq
import random
import re
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from types import SimpleNamespace
from typing import Any

import httpx

from chalicelib.core.delivery.delivery_log import DeliveryLog
from chalicelib.core.delivery.notification import Notification, Reason, Receipt
from chalicelib.core.errors import TocsinError
from chalicelib.core.rule import Rules
from chalicelib.deliver.send import Send, completed, sender
from chalicelib.deliver.worker import deliver
from chalicelib.messages.queue import Message, Queues
from chalicelib.process.rates import SourceRates
from chalicelib.process.worker import process, process_counts
from chalicelib.schedule.tick import PERIOD, tick
from chalicelib.targets import kinds
from simulation.memory_store import MemoryStore

DEFAULT_TIMEOUT = timedelta(seconds=10)
"""How long a target may take to answer, where the rules file does not say (`timeout: 5s`)."""

NOWHERE = "192.0.2.1"
"""An address that is nobody's (RFC 5737)."""


MAX_FAILURES = 20
"""So often a message is tried: the store of a simulation is there at once, or not at all."""


class StuckError(TocsinError):
    """A message fails whenever it is tried."""


@dataclass(frozen=True, slots=True)
class TargetAnswer:
    """What a target answers once: an HTTP status with a body and headers, or an error of the network."""

    status: int = 200
    body: Any = None
    retry_after: float | None = None
    latency: timedelta = timedelta(0)
    error: str | None = None

    @property
    def refuses(self) -> bool:
        """Return whether the target takes nothing."""
        return self.error is not None or self.status >= 300

    @property
    def refuses_content(self) -> bool:
        """Return whether the target may take another form of the message: 400 and 413."""
        return self.error is None and self.status in (400, 413)


@dataclass(slots=True)
class Limit:
    """So many answers in so long; above that 429 with Retry-After."""

    count: int
    per: timedelta
    taken: list[datetime] = field(default_factory=list)

    def wait(self, now: datetime) -> timedelta | None:
        """Return None when one more fits (and is taken); else how long until one does."""
        self.taken = [at for at in self.taken if at > now - self.per]
        if len(self.taken) < self.count:
            self.taken.append(now)
            return None
        return self.taken[0] + self.per - now


@dataclass(slots=True)
class FakeTarget:
    """One target: the answers it will give (the last one stays) and its limit."""

    answers: list[TargetAnswer] = field(default_factory=list)
    limit: Limit | None = None

    def next(self, now: datetime) -> TargetAnswer:
        """Return the answer to the next try."""
        if self.limit is not None:
            wait = self.limit.wait(now)
            if wait is not None:
                return TargetAnswer(429, retry_after=wait.total_seconds())
        if not self.answers:
            return TargetAnswer()
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


class FakeClients:
    """Clients whose every request is answered by the fake of the target that is being told."""

    def __init__(self) -> None:
        self.answer = TargetAnswer()
        self.further: Callable[[], TargetAnswer] = TargetAnswer
        self.taken: Any = "ok"
        self.served = 0
        self.numbers = iter(range(1, 1_000_000_000))
        self._http = httpx.Client(transport=httpx.MockTransport(self._serve), trust_env=False)
        self._kinds = kinds()
        self._settings = {name: text for each in self._kinds.values() for name, text in each.sample.settings.items()}

    def begin(self, answer: TargetAnswer, kind: str, further: Callable[[], TargetAnswer] | None = None) -> None:
        """Begin the next try, of a target of that kind.

        Its first request gets this answer. What more it asks is taken. After a refusal of the content it gets a
        further answer, since the target sends another form of the message then.
        """
        self.answer = answer
        self.further = further or (lambda: answer)
        self.taken = self._kinds[kind].sample.answer if kind in self._kinds else "ok"
        self.served = 0

    def http(self) -> httpx.Client:
        """Return a client that reaches nothing but the fake."""
        return self._http

    def aws(self, service: str) -> Any:
        """Return a client of SES whose `send_email` is answered by the fake."""
        return SimpleNamespace(send_email=self._send_email, exceptions=SimpleNamespace())

    def secret(self, name: str) -> str | None:
        """Return a value for every secret, which is none."""
        return f"https://{NOWHERE}/" if name.endswith("_URL") else "replay"

    def setting(self, name: str, default: str = "") -> str:
        """Return a setting of a router that never leaves this process."""
        if name == "ALLOW_LOOPBACK_TARGETS":
            return "1"
        return self._settings.get(name, default)

    def _next(self) -> TargetAnswer:
        first, self.served = self.served == 0, self.served + 1
        if not first and self.answer.refuses_content:
            self.answer = self.further()
            return self.answer
        return self.answer if first or self.answer.refuses else TargetAnswer()

    def _serve(self, request: httpx.Request) -> httpx.Response:
        answer = self._next()
        if answer.error is not None:
            if answer.error == "timeout":
                raise httpx.ReadTimeout("timed out", request=request)
            raise httpx.ConnectError(answer.error, request=request)
        headers = {} if answer.retry_after is None else {"Retry-After": _seconds(answer.retry_after)}
        body = answer.body if answer.body is not None else self._body(answer.status)
        if isinstance(body, str):
            return httpx.Response(answer.status, text=body, headers=headers)
        return httpx.Response(answer.status, json=body, headers=headers)

    def _body(self, status: int) -> Any:
        return self.taken if status < 300 else ""

    def _send_email(self, **request: Any) -> Mapping[str, str]:
        answer = self._next()
        if answer.refuses:
            raise _ses_error(answer)
        return {"MessageId": f"mail-{next(self.numbers)}"}


def _seconds(value: float) -> str:
    return str(int(value)) if float(value).is_integer() else str(value)


def _ses_error(answer: TargetAnswer) -> Exception:
    from botocore.exceptions import ClientError, EndpointConnectionError, ReadTimeoutError

    if answer.error == "timeout":
        return ReadTimeoutError(endpoint_url="ses")
    if answer.error is not None:
        return EndpointConnectionError(endpoint_url="ses")
    code = {429: "TooManyRequestsException", 400: "MessageRejected", 403: "AccountSuspendedException"}.get(
        answer.status, "InternalServiceError" if answer.status >= 500 else "BadRequestException"
    )
    headers = {} if answer.retry_after is None else {"retry-after": _seconds(answer.retry_after)}
    return ClientError(
        {
            "Error": {"Code": code, "Message": code},
            "ResponseMetadata": {
                "HTTPStatusCode": answer.status,
                "HTTPHeaders": headers,
                "HostId": "",
                "RequestId": "",
                "RetryAttempts": 0,
            },
        },
        "SendEmail",
    )


Sender = Callable[[Any, datetime], Send]
"""Makes the way to a target; the real one renders what the vendor would get."""


class HeapQueue:
    """A queue on the virtual clock."""

    def __init__(self, clock: "Simulator") -> None:
        self._clock = clock
        self.heap: list[tuple[datetime, int, str]] = []

    def put(self, bodies: Sequence[str], *, delay: timedelta = timedelta(0)) -> None:
        """Put messages, visible after the delay."""
        for body in bodies:
            heapq.heappush(self.heap, (self._clock.now + delay, next(self._clock.numbers), body))

    def visible(self, now: datetime) -> list[str]:
        """Take every message that is visible, oldest first."""
        found = []
        while self.heap and self.heap[0][0] <= now:
            found.append(heapq.heappop(self.heap)[2])
        return found

    def next_at(self) -> datetime | None:
        """Return when the next message is visible."""
        return self.heap[0][0] if self.heap else None


@dataclass(frozen=True, slots=True)
class Sent:
    """A notification that was delivered or given up."""

    at: datetime
    notification: Notification
    delivered: bool
    attempts: int
    tried_at: tuple[datetime, ...]
    error: str | None


class Simulator:
    """The router on a virtual clock. `run_until` lets time pass; what was told comes back in order."""

    def __init__(self, rules: Rules, start: datetime) -> None:
        self.now = start
        self.numbers: Iterator[int] = iter(range(1_000_000_000))
        self.rules = rules
        self.store: MemoryStore = MemoryStore()
        self.webhooks, self.notifications, self.counts = HeapQueue(self), HeapQueue(self), HeapQueue(self)
        self.targets: dict[str, FakeTarget] = {}
        self.clients = FakeClients()
        self.rates = SourceRates()
        self.on_read: Callable[[object], None] = lambda content: None
        self.sender: Sender = lambda clients, now: sender(clients, now, self.rules)
        self.events = 0
        self.down_until: datetime | None = None
        self.sent: list[Sent] = []
        self.dead_lettered: list[str] = []
        self._tries: dict[str, list[datetime]] = {}
        self._failed: Counter[str] = Counter()
        self._next_tick = start
        self._redeployed = False
        self._latency = timedelta(0)
        self.tick()
        self.store.writes = 0

    # -- what happens ------------------------------------------------------------------------------------------------

    @property
    def queues(self) -> Queues:
        """Return the queues, as the stages know them."""
        return Queues(self.webhooks, self.notifications, self.counts)

    def tick(self) -> None:
        """Run the minute tick."""
        tick(rules=self.rules, store=self.store, queues=self.queues, now=self.now)
        self._next_tick = self.now + PERIOD
        self._redeployed = False

    def post(self, bodies: Sequence[str]) -> None:
        """Post messages to the webhooks queue."""
        self.webhooks.put(bodies)

    def redeploy(self, rules: Rules) -> None:
        """Change the rules. The first tick after that notices."""
        self.settle()
        self.rules = rules
        self._redeployed = True

    def contend(self, body: str, copies: int, seed: int | None) -> None:
        """Give one message to so many workers at once, interleaved at every store and queue call as the seed says."""
        self.contend_each([body] * copies, seed)

    def contend_each(self, bodies: Sequence[str], seed: int | None) -> None:
        """Give each of these messages a worker of its own at once, as `contend` does with one message."""
        messages = [[Message(f"copy-{number}", body, "")] for number, body in enumerate(bodies)]
        if seed is None:
            for each in messages:
                self._process(each, self.store, self.queues)
            return
        turns = _Turns(random.Random(f"{seed}/{self.now.isoformat()}"))
        store, queues = _Yielding(self.store, turns), _yielding(self.queues, turns)
        turns.run([partial(self._process, each, store, queues) for each in messages])

    # -- time --------------------------------------------------------------------------------------------------------

    def run_until(self, until: datetime, *, inclusive: bool) -> None:
        """Do everything that is due before `until` (with `inclusive`, at it) at its time; then it is `until`."""
        while True:
            at = self._next_at()
            if at is None or at > until or (at == until and not inclusive):
                break
            self.now = max(self.now, at)
            self._step()
        self.now = max(self.now, until)

    def settle(self) -> None:
        """Do everything that is due now."""
        self.run_until(self.now, inclusive=True)

    def _next_at(self) -> datetime | None:
        queues = (self.webhooks, self.notifications, self.counts)
        times = [*(queue.next_at() for queue in queues), self._tick_at()]
        found = min((at for at in times if at is not None), default=None)
        if found is not None and self.down_until is not None:
            return max(found, self.down_until)
        return found

    def _tick_at(self) -> datetime | None:
        """Return when a tick is needed: those that would find nothing to do are left out."""
        wake_at = self.store.next_wake()
        needed = [self._next_tick] if self._watches() else []
        needed += [self.now] if self._redeployed else []
        if wake_at is not None:
            steps = max(0, (wake_at - self._next_tick) // PERIOD)
            needed.append(self._next_tick + steps * PERIOD)
        return min(needed, default=None)

    def _watches(self) -> bool:
        return any(
            rule.condition is not None
            and rule.condition.metrics
            and (rule.no_data == "alert" or "absent" in rule.condition.text)
            for rule in self.rules.rules
        )

    def _step(self) -> None:
        if self.down_until is not None and self.now >= self.down_until:
            self.down_until = None
        bodies = self.webhooks.visible(self.now)
        if bodies:
            names = [Message(f"m{next(self.numbers)}", body, "") for body in bodies]
            self._process(names, self.store, self.queues)
            return
        if self._process_counts(self.counts.visible(self.now)):
            return
        notifications = self.notifications.visible(self.now)
        if notifications:
            for body in notifications:
                self._deliver(body)
            return
        tick_at = self._tick_at()
        if tick_at is not None and tick_at <= self.now:
            self._next_tick = tick_at
            self.tick()
            self._next_tick = max(self._next_tick, tick_at + PERIOD)

    def _process(self, messages: Sequence[Message], store: Any, queues: Any) -> None:
        failures = process(
            messages,
            rules=self.rules,
            store=store,
            queues=queues,
            now=self.now,
            on_read=self.on_read,
            rates=self.rates,
        )
        failed = {failure.id for failure in failures}
        for message in messages:
            if message.id not in failed:
                self._failed.pop(message.body, None)
        for failure in failures:
            message = next(each for each in messages if each.id == failure.id)
            if failure.dead_letter:
                self.dead_lettered.append(failure.reason)
            else:
                self._note_failure(message.body, failure.reason)
                self.webhooks.put([message.body], delay=timedelta(seconds=1))

    def _note_failure(self, body: str, reason: str) -> None:
        """Raise StuckError when a message fails again and again: nothing here fails for a while only."""
        self._failed[body] += 1
        if self._failed[body] >= MAX_FAILURES:
            raise StuckError(f"what arrived by {self.now.isoformat()} fails {MAX_FAILURES} times in a row: {reason}")

    def count(self) -> None:
        """Fold the events that wait to be counted: who asks now is told of every event."""
        bodies = [body for _, _, body in sorted(self.counts.heap)]
        self.counts.heap.clear()
        self._process_counts(bodies)

    def _process_counts(self, bodies: Sequence[str]) -> bool:
        messages = [Message(f"m{next(self.numbers)}", body, "") for body in bodies]
        failures = process_counts(messages, rules=self.rules, store=self.store, queues=self.queues, now=self.now)
        again = {failure.id: failure.reason for failure in failures if not failure.dead_letter}
        for each in messages:
            if each.id in again:
                self._note_failure(each.body, again[each.id])
            else:
                self._failed.pop(each.body, None)
        self.counts.put([each.body for each in messages if each.id in again], delay=timedelta(seconds=1))
        return bool(messages)

    # -- delivery ----------------------------------------------------------------------------------------------------

    def _deliver(self, body: str) -> None:
        real = self.sender(self.clients, self.now)
        self._latency = timedelta(0)

        def send(notification: Notification, delivery_log: DeliveryLog) -> Receipt:
            if notification.reason is Reason.SYNC:
                return self._brought_up_to_date(real, notification, delivery_log)
            target = self.targets.setdefault(notification.target.key, FakeTarget())
            answer = target.next(self.now)
            self._tries.setdefault(notification.id, []).append(self.now)
            limit = notification.target.timeout or DEFAULT_TIMEOUT
            if answer.error is None and answer.latency > limit:
                answer = replace(answer, error="timeout", latency=limit)
            self.clients.begin(answer, notification.target.kind, lambda: target.next(self.now))
            self._latency = answer.latency
            return real(_unresolved(notification), delivery_log)

        outcome = deliver(
            body, rules=self.rules, store=self.store, queues=self.queues, clients=self.clients, now=self.now, send=send
        )
        if outcome.retry_after is not None:
            self.notifications.put([body], delay=outcome.retry_after + self._latency)
            return
        if outcome.notification is None or not (outcome.delivered or outcome.dead_lettered):
            return
        notification = completed(outcome.notification, self.clients)
        if notification.reason is Reason.SYNC:
            return
        tried = tuple(self._tries.pop(notification.id, [self.now]))
        self.sent.append(
            Sent(self.now + self._latency, notification, outcome.delivered, len(tried), tried, outcome.dead_lettered)
        )

    def _brought_up_to_date(self, real: Send, notification: Notification, delivery_log: DeliveryLog) -> Receipt:
        """Send without using up an answer that a timeline gives: the message notifies nobody, and proves nothing of the target."""
        self.clients.begin(TargetAnswer(), notification.target.kind)
        return replace(real(_unresolved(notification), delivery_log), sent=False)

    def taken(self) -> list[Sent]:
        """Return what was sent since the last call."""
        found, self.sent = self.sent, []
        return found


def _unresolved(notification: Notification) -> Notification:
    """Return the notification with an address of no name, so that checking it asks no resolver: nothing leaves this process."""
    address = re.sub(r"^https://[^/?#]*", f"https://{NOWHERE}", notification.target.address)
    return replace(notification, target=replace(notification.target, address=address))


class _Turns:
    """Runs workers as threads of which only one moves, handing over at every call to store or queue."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._turn = threading.Condition()
        self._alive: list[int] = []
        self._current = -1
        self._errors: list[BaseException] = []

    def run(self, workers: Sequence[Callable[[], None]]) -> None:
        """Run until all are done; raise the first error of a worker."""
        self._alive = list(range(len(workers)))
        threads = [threading.Thread(target=self._one, args=(n, work)) for n, work in enumerate(workers)]
        self._current = self._chance.choice(self._alive)
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if self._errors:
            raise self._errors[0]

    def _one(self, number: int, work: Callable[[], None]) -> None:
        with self._turn:
            self._turn.wait_for(lambda: self._current == number)
        try:
            work()
        except BaseException as error:  # handed to the caller of `run`
            self._errors.append(error)
        with self._turn:
            self._alive.remove(number)
            self._current = self._chance.choice(self._alive) if self._alive else -1
            self._turn.notify_all()

    def pause(self) -> None:
        """Hand over to a worker drawn by chance, and wait for the next turn."""
        name = threading.current_thread()
        with self._turn:
            mine = self._current
            self._current = self._chance.choice(self._alive)
            self._turn.notify_all()
            self._turn.wait_for(lambda: self._current == mine)
        assert name is threading.current_thread()


class _Yielding:
    """A port that hands over before every call."""

    def __init__(self, port: Any, turns: _Turns) -> None:
        self._port = port
        self._turns = turns

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._port, name)
        if not callable(found):
            return found

        def call(*arguments: Any, **named: Any) -> Any:
            self._turns.pause()
            return found(*arguments, **named)

        return call


def _yielding(queues: Queues, turns: _Turns) -> Queues:
    """Return the queues behind ports that hand over before every call."""
    each = (_Yielding(port, turns) for port in (queues.webhooks, queues.notifications, queues.counts))
    return Queues(*each)
