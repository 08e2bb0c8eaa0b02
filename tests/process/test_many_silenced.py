"""A silence over many incidents: one invocation's work is bounded, all are done at last, and a dead worker loses none."""

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest

from chalicelib.core.context import Silence
from chalicelib.core.match import Matcher
from chalicelib.messages.queue import (
    Affected,
    ExpireSilence,
    Message,
    SetSilence,
    affected_message,
    read_message,
    silence_message,
    unsilence_message,
)
from chalicelib.process.gather import MAX_AFFECTED
from chalicelib.process.worker import process
from chalicelib.schedule.tick import MAX_INLINE, tick
from simulation.memory_store import MemoryStore
from tests.outage import OPEN_BY, Outage

BATCH = 10
"""Messages that one invocation gets."""
CALLS_OF_ONE = 4
"""Calls to the store and the queues for one incident: notifications, the save, a wake-up, and a read after a conflict."""
REST = 15
"""Calls that do not depend on the number of incidents: the context, its save, the list of open incidents, the queue."""


class WorkerDiedError(BaseException):
    """The worker ends here."""


class Calls:
    """Counts the calls to ports. The worker dies before call number `dies_at`."""

    def __init__(self, dies_at: int = 0) -> None:
        self.counts: Counter[str] = Counter()
        self.dies_at = dies_at

    @property
    def total(self) -> int:
        """All calls."""
        return self.counts.total()

    def of(self, port: Any, name: str) -> Any:
        """Return the port with its calls counted."""
        return _Counted(port, name, self)

    def count(self, name: str) -> None:
        """Count one call, or die."""
        self.counts[name] += 1
        if self.total == self.dies_at:
            raise WorkerDiedError(name)


class _Counted:
    def __init__(self, port: Any, name: str, calls: Calls) -> None:
        self._port, self._name, self._calls = port, name, calls

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._port, name)

        def call(*arguments: Any, **named: Any) -> Any:
            self._calls.count(f"{self._name}.{name}")
            return found(*arguments, **named)

        return call


class _Queues:
    def __init__(self, queues: Any, calls: Calls) -> None:
        self.webhooks = calls.of(queues.webhooks, "webhooks")
        self.notifications = calls.of(queues.notifications, "notifications")
        self.counts = calls.of(queues.counts, "counts")


def invoke(outage: Outage, bodies: Sequence[str], calls: Calls) -> Calls:
    """One invocation of the worker with these messages."""
    router = outage.router
    messages = [Message(f"m{number}", body, "") for number, body in enumerate(bodies)]
    store, queues = calls.of(router.store, "store"), _Queues(router.queues, calls)
    assert process(messages, rules=router.rules, store=store, queues=queues, now=router.now) == []
    return calls


def drain(outage: Outage) -> list[Calls]:
    """Invoke the worker until nothing on its queue is visible."""
    done = []
    while bodies := outage.router.queues.webhooks.visible(outage.router.now):
        for start in range(0, len(bodies), BATCH):
            done.append(invoke(outage, bodies[start : start + BATCH], Calls()))
    return done


def silence(at: datetime) -> Silence:
    """Ana's silence of the outage."""
    return Silence("s1", (Matcher("alertname", "=", "Slow"),), at, at + timedelta(hours=1), "ana", at=at)


def hold(at: datetime) -> str:
    """Ana makes it."""
    return silence_message(silence(at))


def maintenance(at: datetime) -> str:
    """Ana makes it as maintenance."""
    return silence_message(silence(at), maintenance=True)


def release(at: datetime) -> str:
    """Ben ends it."""
    return unsilence_message("s1", "ben", at)


def remembered(outage: Outage, text: str) -> list[int]:
    """How often the text is in the timeline of each incident."""
    return [sum(text in entry.text for entry in each.timeline.entries) for each in outage.open()]


@pytest.mark.acceptance
@pytest.mark.parametrize(
    ("before", "act", "text"),
    [
        (None, hold, "silenced until"),
        (None, maintenance, "maintenance until"),
        (hold, release, "ended before its time"),
    ],
    ids=["silence", "maintenance", "end of a silence"],
)
def test_the_work_of_one_invocation_is_bounded(
    before: Callable[[datetime], str] | None, act: Callable[[datetime], str], text: str
) -> None:
    """Given 500 incidents, when a silence is made or ended → each invocation makes few calls, and all know it at last."""
    outage = Outage(500)
    if before is not None:
        invoke(outage, [before(outage.router.now)], Calls())
        drain(outage)
        outage.until(OPEN_BY + 20)
    first = invoke(outage, [act(outage.router.now)], Calls())
    assert first.total <= CALLS_OF_ONE * MAX_AFFECTED + REST
    assert first.counts["store.summaries"] == 1
    others = drain(outage)
    assert max(each.total for each in others) <= BATCH * CALLS_OF_ONE * MAX_AFFECTED + REST
    assert sum(each.counts["store.summaries"] for each in others) == 0
    assert remembered(outage, text) == [1] * 500


@pytest.mark.acceptance
@pytest.mark.parametrize("dies_at", [1, 2, 3, 4, 5, 6, 7, 8, 9, 30, 54])
@pytest.mark.parametrize("act", [hold, release])
def test_a_worker_that_dies_in_the_middle_loses_nothing(act: Callable[[datetime], str], dies_at: int) -> None:
    """Given a worker that dies at any call, when its message comes again → every incident knows it, once."""
    outage = Outage(2 * MAX_AFFECTED + 5)
    if act is release:
        invoke(outage, [hold(outage.router.now)], Calls())
        drain(outage)
        outage.until(OPEN_BY + 20)
    body = act(outage.router.now)
    calls = Calls(dies_at)
    with pytest.raises(WorkerDiedError):
        invoke(outage, [body], calls)
    invoke(outage, [body], Calls())
    drain(outage)
    text = "silenced until" if act is hold else "ended before its time"
    assert remembered(outage, text) == [1] * (2 * MAX_AFFECTED + 5)


def test_what_follows_a_decision_names_it_and_its_incidents() -> None:
    """Given a decision with the keys of some incidents, when it is written and read → it is the same."""
    at = Outage(1).router.now
    marked = SetSilence(silence(at), only_new=True, renews=True)
    for decision in (
        SetSilence(silence(at)),
        marked,
        SetSilence(silence(at), maintenance=True),
        ExpireSilence("s1", "ben", at),
    ):
        affected = Affected(decision, ("a", "b"))
        assert read_message(affected_message(affected)) == affected


def test_what_follows_an_edit_reaches_what_the_edit_left() -> None:
    """Given an edit that leaves many incidents → those are in the further messages too, and look again."""
    outage = Outage(60)
    invoke(outage, [hold(outage.router.now)], Calls())
    drain(outage)
    outage.until(OPEN_BY + 20)
    at = outage.router.now
    edited = Silence("s1", (Matcher("alertname", "=", "Other"),), at, at + timedelta(hours=2), "ben", at=at)
    invoke(outage, [silence_message(edited)], Calls())
    drain(outage)
    assert remembered(outage, "silenced until") == [2] * 60


def test_an_older_decision_does_not_come_back_with_what_follows_it() -> None:
    """Given a silence that has ended, when a message that follows its making comes late → it stays ended."""
    outage = Outage(1)
    at = outage.router.now
    invoke(outage, [hold(at), release(at + timedelta(seconds=1))], Calls())
    context = outage.router.store.context()
    outage.until(OPEN_BY + 5)
    keys = tuple(each.key for each in outage.open())
    invoke(outage, [affected_message(Affected(SetSilence(silence(at)), keys))], Calls())
    assert outage.router.store.context().silences == context.silences


@pytest.mark.acceptance
def test_the_tick_after_a_silence_leaves_the_rest_to_the_workers() -> None:
    """Given more firing incidents than a tick looks at, when silences changed → it looks at those, and queues the rest."""
    outage = Outage(MAX_INLINE + 40)
    invoke(outage, [hold(outage.router.now)], Calls())
    calls = Calls()
    router = outage.router
    store, queues = calls.of(router.store, "store"), _Queues(router.queues, calls)
    assert isinstance(router.store, MemoryStore)
    assert tick(rules=router.rules, store=store, queues=queues, now=router.now) == []
    waiting = [body for at, _, body in router.queues.webhooks.heap if at <= router.now]
    assert sum('"type":"wake"' in body for body in waiting) == 40
    drain(outage)
    assert remembered(outage, "silenced until") == [1] * (MAX_INLINE + 40)
