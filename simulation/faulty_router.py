"""One stage of the router on faulty ports: the real handlers, three workers of each kind, what Lambda and app.py do.

A handler gets the time at which its worker began. Its calls take time, so that workers overlap and leases run out.
"""

import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from random import Random
from typing import Any

from chalicelib.api.acting import accepted
from chalicelib.aws.batches import BatchError, back_soon, settle_messages
from chalicelib.core.delivery.notification import Notification
from chalicelib.core.errors import TocsinError
from chalicelib.core.event import ROUTER, Action
from chalicelib.core.incident import Incident
from chalicelib.core.rule import Rules
from chalicelib.deliver.dispatch import dispatch
from chalicelib.messages.interaction import ANSWER, Interaction
from chalicelib.messages.queue import Events, Failure, Message, Queues, read_message
from chalicelib.process.worker import process, process_counts
from chalicelib.schedule.tick import PERIOD, tick
from simulation.faulty import Calls, FaultyQueue, FaultyStore, Rates
from simulation.memory_store import MemoryStore
from simulation.vendors import Request, Vendors
from simulation.workers import Clock, Death

WORKERS = 3
LIFETIME = timedelta(seconds=60)
MAX_RECEIVES = {"webhooks": 1000, "counts": 1000, "notifications": 1000}
BATCHES = {"webhooks": 10, "counts": 100, "notifications": 1}
MAX_HELD = 20
"""Minutes for which the schedule is throttled, at most."""
STAGES = ("webhooks", "counts", "notifications", "tick")


class FaultyRouter:
    """The router, its queues and its vendors. `trace` has a line for everything that happened."""

    def __init__(self, rules: Rules, start: datetime, chance: Random, rates: Rates) -> None:
        self.clock = Clock(start)
        self.chance = chance
        self.calls = Calls(self.clock, chance, rates)
        self.vendors = Vendors(self.calls, seen=self._requested)
        self.memory = MemoryStore()
        self.store = FaultyStore(self.memory, self.calls, self._saved)
        self.queues = {
            name: FaultyQueue(name, self.calls, MAX_RECEIVES[name], self._waker(name)) for name in MAX_RECEIVES
        }
        self.rules = dict.fromkeys(STAGES, rules)
        self.down_until = self._held_until = start
        self._held = 0
        """Ticks that are held back."""
        self.decided: dict[str, Notification] = {}
        self.router_events: list[tuple[datetime, str, str, str]] = []
        """Time, kind, target and status of each event about the router itself that was accepted."""
        self.died_sending: set[tuple[str, str]] = set()
        """Target and incident of each delivery whose worker died: whether it arrived is in doubt."""
        self.known_alerts: set[str] = set()
        """Fingerprints and rules of all alerts that were ever saved."""
        self.known_events: set[str] = set()
        """Short ids of all events that a saved alert remembers."""
        self.saved_at: dict[str, datetime] = {}
        self.accepted_acts: dict[str, Action] = {}
        """The acts that a door accepted, by their id."""
        self.answers: set[str] = set()
        """The ids of the answers that were put for people whose act came to something else than they were answered."""
        self.trace: list[tuple[datetime, str, str]] = []
        """Time, incident (or group key, or nothing) and what happened."""
        self.faults_in_code: list[str] = []
        self.clean_ticks: list[datetime] = []
        self.skip_idle_ticks = False
        """Whether nothing happens any more but timers: then only the ticks that find one are run."""
        self._busy = dict.fromkeys(STAGES, 0)
        self.clock.at(start, self._tick)

    # -- what happens from outside -----------------------------------------------------------------------------------

    def accept(self, bodies: Sequence[str]) -> None:
        """Take messages as the ingest path does: they are in the queue before the sender has its answer."""
        self.queues["webhooks"].add(bodies)

    def act(self, action: Action) -> None:
        """Have a person act by the door of Slack, which puts only what changes something as of now."""
        with suppress(TocsinError):
            found, act = accepted(action, store=self.memory, webhooks=_Door(self), now=self.clock.now)
            self.note(found.id, f"{act.by}: {act.kind.value} {found.id}: {found.result.value}")
            if found.accepted:
                self.accepted_acts[act.id] = act

    def redeploy(self, rules: Rules, spread: timedelta) -> None:
        """Give every function other rules, each at its own moment."""
        for stage in STAGES:
            at = self.clock.now + self.chance.random() * spread
            self.clock.at(at, lambda stage=stage: self.rules.update({stage: rules}))  # type: ignore[misc]
        self.note("", "redeployed")

    def down(self, until: datetime) -> None:
        """Start no worker before that time."""
        self.down_until = max(self.down_until, until)
        self.note("", f"the router is down until {until:%H:%M:%S}")
        for stage in MAX_RECEIVES:
            self.clock.at(self.down_until, lambda stage=stage: self._pump(stage))  # type: ignore[misc]

    def note(self, about: str, text: str) -> None:
        """Add a line to the trace."""
        self.trace.append((self.clock.now, about, text))

    @property
    def idle(self) -> bool:
        """Return whether no message waits and no worker works."""
        return not any(queue.waiting for queue in self.queues.values()) and not any(self._busy.values())

    # -- workers -----------------------------------------------------------------------------------------------------

    def _waker(self, stage: str) -> Callable[[datetime], None]:
        return lambda at: self.clock.at(at, lambda: self._pump(stage))

    def _pump(self, stage: str) -> None:
        """Start workers while some are free and messages can be seen."""
        queue = self.queues[stage]
        while self.clock.now >= self.down_until and self._busy[stage] < WORKERS:
            messages = queue.receive(BATCHES[stage])
            if not messages:
                return
            work = self._deliver if stage == "notifications" else self._process
            self._start(stage, lambda messages=messages, work=work: work(stage, messages))  # type: ignore[misc]

    def _start(self, stage: str, work: Callable[[], None]) -> None:
        self._busy[stage] += 1

        def run() -> None:
            try:
                self._survive(stage, work)
            finally:
                self._busy[stage] -= 1
                if stage in self.queues:
                    self.clock.at(self.clock.now, lambda: self._pump(stage))

        self.clock.start(run, lives=LIFETIME)

    def _survive(self, stage: str, work: Callable[[], None]) -> None:
        try:
            work()
        except Death as death:
            self.note("", f"{stage}: a worker died at {death}")
            raise
        except (TocsinError, BatchError) as error:
            self.note("", f"{stage}: {type(error).__name__}: {error}")
        except Exception as error:  # a fault in the code under test, reported as such
            self.faults_in_code.append(f"{stage}: {type(error).__name__}: {error}")

    def _ports(self) -> tuple[Any, Queues]:
        notifications = _Noting(self.queues["notifications"], self._decide)
        webhooks = _Noting(self.queues["webhooks"], self._announce)
        return self.store, Queues(webhooks, notifications, self.queues["counts"])

    def _process(self, stage: str, messages: Sequence[Message]) -> None:
        store, queues = self._ports()
        queue, work = self.queues[stage], process if stage == "webhooks" else process_counts
        with back_soon(messages, lambda: queue):
            failures = work(messages, rules=self.rules[stage], store=store, queues=queues, now=self.clock.now)
            self._judge(stage, failures)
            settle_messages(messages, failures, queue=queue, dead=queue)
        self.calls.call("lambda.delete", lambda: queue.drop([each.receipt for each in messages]))

    def _deliver(self, stage: str, messages: Sequence[Message]) -> None:
        (message,) = messages
        content = read_message(message.body)
        store, queues = self._ports()
        queue, now = self.queues[stage], self.clock.now
        before = len(self.vendors.requests)
        try:
            with back_soon([message], lambda: queue):
                outcome = dispatch(
                    message, rules=self.rules[stage], store=store, queues=queues, clients=self.vendors, now=now
                )
        except BaseException:
            if isinstance(content, Notification):
                self.died_sending.add((content.target.key, content.incident.id))
            raise
        about = content.incident.id if isinstance(content, Notification) else ""
        if outcome.dead_lettered or len(self.vendors.requests) > before or outcome.note:
            fate = outcome.dead_lettered or outcome.note or ("delivered" if outcome.delivered else "")
            self.note(about, f"deliver {content.id if isinstance(content, Notification) else ''}: {fate}")
        if outcome.dead_lettered and "fault in the code" in outcome.dead_lettered:
            self.faults_in_code.append(f"{stage}: {outcome.dead_lettered}")
        if outcome.retry_after is not None:
            queue.put([message.body], delay=outcome.retry_after)
        dead_lettered = [Failure(message.id, outcome.dead_lettered, dead_letter=True)] if outcome.dead_lettered else []
        settle_messages([message], dead_lettered, queue=queue, dead=queue)
        self.calls.call("lambda.delete", lambda: queue.drop([message.receipt]))

    def _tick(self) -> None:
        """Do what EventBridge does: tick once a minute, now and then twice, or not for a while and then all at once."""
        self.clock.at(self.clock.now + self._until_next_tick(), self._tick)
        if self.clock.now < self.down_until:
            return
        if self._held_back():
            return
        for _ in range(self._held + (2 if self.calls.happens(self.calls.rates.doubled) else 1)):
            self._start("tick", self._ticked)
        self._held = 0

    def _held_back(self) -> bool:
        """Return whether the function is throttled just now, so that its runs come later."""
        if self._held == 0 and not self.skip_idle_ticks and self.calls.happens(self.calls.rates.held):
            self._held_until = self.clock.now + PERIOD * self.chance.randint(1, MAX_HELD)
        if self.clock.now >= self._held_until:
            return False
        self._held += 1
        return True

    def _until_next_tick(self) -> timedelta:
        """Return a minute; with `skip_idle_ticks` so many that a timer is due by then, an hour at most."""
        if not self.skip_idle_ticks:
            return PERIOD
        wake_at = self.memory.next_wake() or self.clock.now + timedelta(hours=1)
        minutes = (wake_at - self.clock.now) // PERIOD
        return PERIOD * max(1, min(minutes, 60))

    def _ticked(self) -> None:
        store, queues = self._ports()
        began = self.clock.now
        failures = tick(rules=self.rules["tick"], store=store, queues=queues, now=began)
        self._judge("tick", failures)
        if not failures:
            self.clean_ticks.append(began)

    def _judge(self, stage: str, failures: Sequence[Failure]) -> None:
        for failure in failures:
            self.note("", f"{stage}: {failure.id or 'the tick'} comes back: {failure.reason}")
            if "fault in the code" in failure.reason:
                self.faults_in_code.append(f"{stage}: {failure.reason}")

    # -- what is written down ----------------------------------------------------------------------------------------

    def _decide(self, body: str) -> None:
        content = read_message(body)
        if isinstance(content, Interaction) and content.kind == ANSWER:
            self.answers.add(content.id)
            self.note(content.incident, f"answered {content.id} {content.words}")
        if isinstance(content, Notification):
            self.decided[content.id] = content
            self.note(
                content.incident.id, f"decided {content.id} {content.reason.value} {content.seq} {content.target.key}"
            )

    def _announce(self, body: str) -> None:
        content = read_message(body)
        for event in content.events if isinstance(content, Events) else ():
            if event.source == ROUTER:
                where = event.labels.get("target", "")
                self.router_events.append((self.clock.now, event.kind, where, event.status.value))
                self.note(_incident_of(event.identity), f"announced {event.status.value} {event.identity}")

    def _saved(self, incident: Incident) -> None:
        self.known_alerts.update(incident.alerts)
        self.known_alerts.update(each.rule for each in incident.alerts.values() if each.rule)
        for alert in incident.alerts.values():
            self.known_events.update(short for _, short in alert.received.recent)
        self.saved_at[incident.key] = self.clock.now
        states = ", ".join(f"{each.name} {each.state.value}" for each in incident.alerts.values())
        wake = f"{incident.wake_at:%H:%M:%S}" if incident.wake_at else "never"
        text = f"saved {incident.key} v{incident.version} {incident.status}: {states}; wakes {wake}"
        self.note(incident.id or incident.key, text)

    def _requested(self, request: Request) -> None:
        notification = self.decided.get(request.notification)
        self.note(request.incident or (notification.incident.id if notification else ""), f"request {request}")


class _Door:
    """The webhooks queue as a door sees it: what is put is there."""

    def __init__(self, router: FaultyRouter) -> None:
        self._router = router

    def put(self, bodies: Sequence[str], *, delay: timedelta = timedelta(0)) -> None:
        """Take the bodies."""
        self._router.accept(bodies)


class _Noting:
    """A queue that writes down what is put there, once it is there."""

    def __init__(self, queue: FaultyQueue, note: Callable[[str], None]) -> None:
        self._queue = queue
        self._note = note

    def put(self, bodies: Sequence[str], *, delay: timedelta = timedelta(0)) -> None:
        """Write them down and put them."""
        for body in bodies:
            with suppress(TocsinError):
                self._note(body)
        self._queue.put(bodies, delay=delay)


def _incident_of(identity: str) -> str:
    found = re.match(r"delivery\.failed:(.+?):[a-z_]+:", identity)
    return found.group(1) if found else ""
