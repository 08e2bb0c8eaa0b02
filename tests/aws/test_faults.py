"""The store's and the queue's own clients against the embedded AWS while the wire between them fails by a plan.

A store lives a short life that makes every call of `Store`, and comes to the same end as the one in memory: whatever fails,
in few sendings and without long pauses. What fails for good ends each call with NotStoredError.
"""

import itertools
import json
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from random import Random
from typing import Any

import pytest

from chalicelib.aws.body_store import BodyWriter
from chalicelib.aws.dynamodb import DynamoStore
from chalicelib.aws.json_client import AwsError, AwsJsonClient
from chalicelib.aws.queue import SqsQueue
from chalicelib.aws.table_client import FIRST_PAUSE_SECONDS, TRIES, TableClient
from chalicelib.core.context import Context
from chalicelib.core.delivery.delivery_log import DeliveryLog
from chalicelib.core.delivery.target_state import Slot, TargetState
from chalicelib.core.errors import ConflictError, NotStoredError, ProcessedError
from chalicelib.core.glance import Glance
from chalicelib.core.identity import End, Holder
from chalicelib.core.incident import Entry, Episode, Incident
from chalicelib.core.metrics.sample import Sample
from chalicelib.core.ports import Store
from chalicelib.core.summary import Summary
from chalicelib.core.tokens import Token, Tokens
from chalicelib.messages.webhook import compressed
from simulation.memory_store import MemoryStore
from tests import faulty_aws as faults
from tests.aws.tables import KEY, client, new_table, table_client
from tests.faulty_aws import (
    AFTER,
    BEFORE,
    FAULTS,
    Call,
    Fault,
    Plan,
    closed,
    dropped,
    partly,
    short_page,
    throttled,
    unprocessed,
)

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
NUMBERS = itertools.count(1)
LARGE = json.dumps({"noise": Random(3).randbytes(500_000).hex()}).encode()
MAX_SENDINGS = 2 * TRIES
"""Each try of a call is sent twice at most, the second time because a kept connection was dead."""
MAX_PAUSE_SECONDS = 8 * FIRST_PAUSE_SECONDS
"""A call that is done at its third try pauses for up to two of the first; a batch that is read in vain pauses longer each time."""
MORE = 12
"""Sendings after which more is sent than before: a body is kept from its first chunk on, samples are read again after a conflict."""


@dataclass
class Stage:
    """A store whose table is reached through a plan."""

    store: DynamoStore
    json_client: AwsJsonClient
    table: str
    plan: Plan
    pauses: list[float] = field(default_factory=list)

    def keep(self, name: str, body: bytes) -> None:
        """Keep a body as the ingest path does: it never tries again, and its sender does."""
        writer = BodyWriter(self.json_client, self.table, clock=NOW.timestamp)
        for _ in range(20):
            try:
                return writer.keep(name, compressed(body))
            except NotStoredError:
                continue
        raise AssertionError("the body was never kept")


@contextmanager
def staged(emulator: str, plan: Plan, timeout_seconds: float = 10) -> Iterator[Stage]:
    """Give a store whose table is reached through a plan."""
    with faults.faulty_aws(emulator, plan) as url:
        json_client = AwsJsonClient(
            "us-east-1", environment={**KEY.environment(), "AWS_ENDPOINT_URL": url}, timeout_seconds=timeout_seconds
        )
        table, pauses = new_table(client("dynamodb", emulator)), list[float]()
        own = TableClient(json_client, pause=pauses.append, jitter=lambda: 1.0)
        store = DynamoStore(own, table, clock=NOW.timestamp, pause=pauses.append, jitter=lambda: 1.0)
        yield Stage(store, json_client, table, plan, pauses)


def incident(key: str = "a", version: int = 1, **fields: Any) -> Incident:
    """An open incident."""
    return Incident(**{"key": key, "id": key, "version": version, "episode": Episode(NOW), **fields})


def ended(**fields: Any) -> Incident:
    """An incident that has ended."""
    return incident(episode=Episode(NOW - MINUTE, ended_at=NOW), **fields)


def conflict(save: Callable[[], object]) -> bool:
    """Return whether a save meets a conflict."""
    try:
        save()
    except ConflictError:
        return True
    return False


def processed(store: Store, name: str) -> bool:
    """Return whether the webhook of a body counts as processed."""
    try:
        store.get_body(name)
    except ProcessedError:
        return True
    return False


def summaries_of(store: Store) -> Iterator[Summary]:
    """Yield all incidents that are open, wait or ended lately, in short, page after page."""
    page = store.summaries(ended_since=NOW - 2 * MINUTE)
    while True:
        yield from page.summaries
        if not page.next:
            return
        page = store.summaries(page.next, ended_since=NOW - 2 * MINUTE)


def incidents_of(store: Store) -> Iterator[object]:
    """Live through incidents and their timers."""
    for number in range(7):
        store.save(incident(f"k{number}", wake_at=NOW - number * MINUTE))
    yield sorted(store.load_all([f"k{number}" for number in range(9)]))
    yield store.waking(NOW - 2 * MINUTE, 3)
    store.save(ended(wake_at=NOW))
    store.save(incident(version=2, id="b"), archive=ended())
    yield [conflict(partial(store.save, incident(version=number, id="c"))) for number in (1, 2, 4)]
    yield store.load("a"), store.archived("a"), store.load("nobody")
    store.amend(ended(version=2))
    yield store.archived("a"), sorted(store.archives(["a", "nobody"]))
    yield sorted(each.key for each in summaries_of(store))
    store.save(incident("row", glance=Glance(NOW, "row", "row", NOW)))
    yield [each.id for each in store.worst(1, ended_since=NOW - 2 * MINUTE) or ()]
    yield [each.id for each in store.ended_on([NOW.date()], 5) or ()]
    yield sorted(each.id for each in store.incidents(ended_since=NOW - 2 * MINUTE, quiet=True))
    for number in (1, 2, 3):
        store.keep_timeline("a", number, [Entry(NOW, f"line {number}")])
    yield store.timeline("a")


def names_of(store: Store) -> Iterator[object]:
    """Live through faults, places and relations."""
    mine, others = (Holder(key, "a1", "", "default", {"service": "api"}, 1, NOW) for key in ("a", "b"))
    yield store.claim("f", "a1", mine, over=None), store.claim("f", "a1", others, over=None)
    yield store.claim("f", "a1", others, over=mine)
    yield [store.end_fault("f", End(f"e{number}", NOW + number * MINUTE)) for number in range(7)][-1]
    yield store.faults(["f", "g"])
    store.locate(["i", "alias"], "a")
    yield store.located("i"), store.located("alias"), store.located("nobody")
    for key in "abc":
        store.relate(["r"], key)
    yield sorted(store.related(["r", "s"]))


def targets_of(store: Store) -> Iterator[object]:
    """Live through the context and what is known of targets."""
    store.save_context(Context(marks={"a": "b"}, version=1))
    yield store.context(), conflict(lambda: store.save_context(Context(version=1)))
    state, log = TargetState("t", slots={"i": Slot(1, NOW, since=NOW)}, version=1), DeliveryLog("i/t", 1, version=1)
    store.save_target_state(state)
    store.save_delivery_log(log)
    yield conflict(lambda: store.save_target_state(replace(state, slots={})))
    yield conflict(lambda: store.save_delivery_log(replace(log, done_seq=2)))
    yield store.target_state("t"), store.target_states(["t", "u"])
    yield store.delivery_log("i/t"), store.delivery_logs(["i/t", "j/t"])
    store.save_tokens(Tokens((Token("a", "ana", "act", "d", "bo", NOW),), version=1))
    yield store.tokens(), conflict(lambda: store.save_tokens(Tokens(version=1)))
    store.put_mark("run:watch", "now")
    yield store.marks(["run:watch", "run:tick"])
    counted = store.stage_counts().plus({("events", "sentry", "firing"): 2})
    store.save_stage_counts(counted)
    yield store.stage_counts(), conflict(lambda: store.save_stage_counts(replace(counted, sums={})))


def history_of(store: Store) -> Iterator[object]:
    """Live through samples, minutes of schedules and the history."""
    samples = [Sample("rate", number / 10, NOW + number * MINUTE, {"zone": "a"}) for number in range(5)]
    for each in (samples[:2], samples[1:], samples):
        store.add_samples(each)
    yield [(each.count, each.last) for each in store.buckets("rate", {"zone": "a"}, NOW - MINUTE, NOW + 9 * MINUTE)]
    yield store.label_sets("rate")
    yield [store.claim_minute("watch", NOW + minutes * MINUTE) for minutes in (0, 0, 1, 0, 2)]
    for name in "ab":
        store.keep_history("2026-11-26", name, name.encode())
    yield [store.history("2026-11-26", after) for after in ("", "a", "b")]


def bodies_of(store: Store, keep: Callable[[str, bytes], None]) -> Iterator[object]:
    """Live through bodies that are too large for a message."""
    keep("sentry-1", LARGE)
    store.extend_body("sentry-1")
    yield store.get_body("sentry-1"), store.get_body("none"), processed(store, "sentry-1")
    store.drop_body("sentry-1")
    yield processed(store, "sentry-1")


def lived(store: Store, keep: Callable[[str, bytes], None]) -> list[object]:
    """Return all that was found in a life that makes every call of a store."""
    parts = (incidents_of(store), names_of(store), targets_of(store), history_of(store), bodies_of(store, keep))
    return [found for part in parts for found in part]


def in_memory() -> list[object]:
    """Return what the store in memory finds in that life."""
    memory = MemoryStore()
    return lived(memory, lambda name, body: memory.keep_body(name, compressed(body)))


@pytest.fixture(scope="module")
def sendings(emulator: str) -> int:
    """Return how many sendings a life takes in which nothing fails."""
    plan = Plan([], times=0)
    with staged(emulator, plan) as there:
        lived(there.store, there.keep)
    return plan.sent.total()


def test_the_life_makes_every_call_of_a_store() -> None:
    """Given the life that is lived below → it misses no method of Store."""
    made: set[str] = set()

    class Noted(MemoryStore):
        def __getattribute__(self, name: str) -> Any:
            made.add(name)
            return super().__getattribute__(name)

    memory = Noted()
    lived(memory, lambda name, body: memory.keep_body(name, compressed(body)))
    assert {name for name in vars(Store) if not name.startswith("_")} <= made


@pytest.mark.acceptance
@pytest.mark.parametrize(
    ("fault", "times"),
    [*((fault, 2) for fault in FAULTS), *((fault, 1) for fault in (dropped, *AFTER))],
    ids=lambda each: getattr(each, "__name__", None),
)
def test_a_store_comes_to_the_same_end_whatever_fails(emulator: str, sendings: int, fault: Fault, times: int) -> None:
    """Given a fault that meets the first tries of every call → all that is found is what the store in memory finds."""
    with staged(emulator, Plan([fault], times)) as there:
        assert lived(there.store, there.keep) == in_memory()
    assert there.plan.failed.total() >= 40
    assert there.plan.sent.total() <= sendings + there.plan.failed.total() + MORE
    assert max(there.pauses, default=0) <= MAX_PAUSE_SECONDS
    assert sum(there.pauses) <= there.plan.failed.total() * MAX_PAUSE_SECONDS


@pytest.mark.parametrize("start", range(0, len(FAULTS), 4))
def test_a_store_comes_to_the_same_end_when_all_of_it_fails_in_turn(emulator: str, start: int) -> None:
    """Given every kind of fault in turn → all that is found is what the store in memory finds."""
    with staged(emulator, Plan(FAULTS, 2, start)) as there:
        assert lived(there.store, there.keep) == in_memory()
    assert set(there.plan.failed) == {fault.__name__ for fault in FAULTS}


Read = Callable[[Store], object]
CALLS: dict[str, Read] = {
    "load": lambda store: store.load("a"),
    "load_all": lambda store: store.load_all(["a", "b"]),
    "save": lambda store: store.save(incident("new")),
    "relate": lambda store: store.relate(["r"], "a"),
    "related": lambda store: store.related(["r"]),
    "claim": lambda store: store.claim("f", "a1", Holder("a", "a1", "", "default", {}, 1, NOW), over=None),
    "end_fault": lambda store: store.end_fault("f", End("e", NOW)),
    "waking": lambda store: store.waking(NOW, 1),
    "claim_minute": lambda store: store.claim_minute("watch", NOW),
    "add_samples": lambda store: store.add_samples([Sample("rate", 1.0, NOW)]),
}
WHOLE = [fault for fault in FAULTS if fault not in (closed, unprocessed, short_page)]


@pytest.mark.parametrize("fault", WHOLE, ids=lambda fault: fault.__name__)
def test_what_fails_for_good_is_given_up_soon(emulator: str, fault: Fault) -> None:
    """Given a fault that never ends → each call ends with NotStoredError, after few sendings and short pauses."""
    with staged(emulator, Plan([fault], times=float("inf"))) as there:
        for name, call in CALLS.items():
            before = there.plan.sent.total()
            there.pauses.clear()
            with pytest.raises(NotStoredError):
                call(there.store)
            assert 0 < there.plan.sent.total() - before <= MAX_SENDINGS, name
            assert sum(there.pauses) <= MAX_PAUSE_SECONDS


LATE: dict[str, Callable[[Store], object]] = {
    "save": lambda store: (store.save(incident()), store.load("a")),
    "claim_minute": lambda store: store.claim_minute("watch", NOW),
    "load_all": lambda store: store.load_all(["a"]),
}


@pytest.mark.parametrize("name", LATE)
def test_an_answer_that_comes_too_late_is_a_lost_one(emulator: str, name: str) -> None:
    """Given an answer that is not there within the time limit → the call is made again and finds what the first one did."""
    over = threading.Event()

    def late(call: Call) -> None:
        call.made()
        over.wait()
        call.hang_up()

    with staged(emulator, Plan([late], times=1), timeout_seconds=1) as there:
        found = LATE[name](there.store)
        over.set()
    assert found == LATE[name](MemoryStore())
    assert there.plan.failed["late"] >= 1


def then(fault: Fault, act: Callable[[], object]) -> Fault:
    """Return a fault after which somebody else acts before the call is made again."""

    def both(call: Call) -> None:
        fault(call)
        act()

    return both


@pytest.mark.parametrize("fault", [throttled, BEFORE[3]], ids=lambda fault: fault.__name__)
def test_a_write_that_was_surely_not_done_is_not_taken_for_ones_own(emulator: str, fault: Fault) -> None:
    """Given a refused write and another worker that stores the very same meanwhile → a conflict: only one of the two saved."""
    plan = Plan([], times=1)
    with staged(emulator, plan) as there:
        others = DynamoStore(table_client(emulator), there.table)
        plan.faults = [then(fault, lambda: others.save(incident()))]
        with pytest.raises(ConflictError):
            there.store.save(incident())


@pytest.mark.parametrize("fault", [throttled, dropped], ids=lambda fault: fault.__name__)
def test_a_minute_that_another_run_claims_meanwhile_is_its(emulator: str, fault: Fault) -> None:
    """Given a claim that was not done and another run that claims the minute meanwhile → only the other run has it."""
    plan, claimed = Plan([], times=1), list[bool]()
    with staged(emulator, plan) as there:
        others = DynamoStore(table_client(emulator), there.table)
        plan.faults = [then(fault, lambda: claimed.append(others.claim_minute("watch", NOW)))]
        assert (there.store.claim_minute("watch", NOW), claimed) == (False, [True])


SAVES: list[Callable[[Store], object]] = [
    lambda store: store.save(incident()),
    lambda store: store.claim_minute("watch", NOW) or pytest.fail("the run's own minute is taken for another's"),
]


@pytest.mark.parametrize("kept", [False, True], ids=["a new connection", "a kept connection"])
@pytest.mark.parametrize("save", SAVES, ids=["save", "claim_minute"])
@pytest.mark.parametrize("fault", AFTER, ids=lambda fault: fault.__name__)
def test_a_write_whose_answer_was_lost_is_ones_own(
    emulator: str, fault: Fault, save: Callable[[Store], object], kept: bool
) -> None:
    """Given a write that was done without an answer, on a new or a kept connection → it is saved, and its minute claimed."""
    plan = Plan([fault], times=0)
    with staged(emulator, plan) as there:
        if kept:
            there.store.load("nobody")
        plan.times = 1
        save(there.store)
    assert plan.failed.total() == 1 and plan.sent["PutItem"] == 2


def test_a_cancelled_transaction_keeps_its_reasons(emulator: str) -> None:
    """Given a transaction that AWS cancels → its reasons, and the items that they return, are in the error, after one try."""
    reasons = [
        {"Code": "None"},
        {"Code": "ConditionalCheckFailed", "Item": {"pk": {"S": "a"}}, "Message": "the condition"},
        {"Code": "TransactionConflict"},
    ]

    def cancelled(call: Call) -> None:
        code = "com.amazonaws.dynamodb.v20120810#TransactionCanceledException"
        call.answer_json(400, {"__type": code, "CancellationReasons": reasons})

    with staged(emulator, Plan([cancelled])) as there, pytest.raises(AwsError) as found:
        there.json_client.call("dynamodb", "TransactWriteItems", {"TransactItems": []})
    assert (found.value.code, found.value.in_doubt) == ("TransactionCanceledException", False)
    assert found.value.answer["CancellationReasons"] == reasons
    assert there.plan.sent == {"TransactWriteItems": 1}


# ---------------------------------------------------------------------------------------------------------------------
# The queue

BODIES = [f"message {number}" for number in range(15)]


@dataclass
class Sender:
    """A queue that is reached through a plan, and what AWS's own SDK finds in it."""

    queue: SqsQueue
    plan: Plan
    sqs: Any
    url: str

    def waiting(self) -> list[dict[str, str]]:
        """Take all that waits."""
        found: list[dict[str, str]] = []
        while some := self.sqs.receive_message(QueueUrl=self.url, MaxNumberOfMessages=10).get("Messages"):
            found += some
        return found

    def show(self, receipts: list[str]) -> None:
        """Let those that were not deleted come back now. The emulator refuses a receipt of a deleted one, AWS does not."""
        for start in range(0, len(receipts), 10):
            entries = [
                {"Id": str(number), "ReceiptHandle": receipt, "VisibilityTimeout": 0}
                for number, receipt in enumerate(receipts[start : start + 10])
            ]
            self.sqs.change_message_visibility_batch(QueueUrl=self.url, Entries=entries)

    def until_done(self, act: Callable[[], None]) -> int:
        """Act again as a worker whose message comes back does. Return how often."""
        for tries in range(1, 10):
            try:
                act()
            except NotStoredError:
                continue
            return tries
        raise AssertionError("the queue never took it")


@contextmanager
def sending(emulator: str, plan: Plan) -> Iterator[Sender]:
    """Give a new queue that is reached through a plan."""
    sqs, name = client("sqs", emulator), f"q-{os.getpid()}-{next(NUMBERS)}"
    url = sqs.create_queue(QueueName=name)["QueueUrl"]
    with faults.faulty_aws(emulator, plan) as there:
        environment = {**KEY.environment(), "AWS_ENDPOINT_URL": there}
        queue = SqsQueue(AwsJsonClient("us-east-1", environment=environment, timeout_seconds=10), name)
        yield Sender(queue, plan, sqs, url)


QUEUE_FAULTS = (*(fault for fault in FAULTS if fault not in (unprocessed, short_page)), partly)


@pytest.mark.parametrize("fault", QUEUE_FAULTS, ids=lambda fault: fault.__name__)
def test_messages_that_are_put_again_are_all_there(emulator: str, fault: Fault) -> None:
    """Given a fault of the queue, when the worker puts its messages until it succeeds → none is missing, few are doubled."""
    with sending(emulator, Plan([fault], times=1)) as there:
        tries = there.until_done(lambda: there.queue.put(BODIES))
        found = [each["Body"] for each in there.waiting()]
    assert set(found) == set(BODIES)
    assert tries <= 4
    assert there.plan.sent.total() <= 8 and len(found) <= len(BODIES) * 3


@pytest.mark.parametrize("fault", QUEUE_FAULTS, ids=lambda fault: fault.__name__)
def test_messages_that_are_done_are_deleted_at_last(emulator: str, fault: Fault) -> None:
    """Given a fault of the queue, when the worker deletes what is done until it succeeds → nothing is left in the queue."""
    with sending(emulator, Plan([fault], times=0, most=3)) as there:
        there.queue.put(BODIES)
        there.plan.times = 1

        def delete() -> None:
            receipts = [each["ReceiptHandle"] for each in there.waiting()]
            try:
                there.queue.delete(receipts)
            except NotStoredError:
                there.show(receipts)
                raise

        assert there.until_done(delete) <= 4
        counts = there.sqs.get_queue_attributes(QueueUrl=there.url, AttributeNames=["All"])["Attributes"]
    assert [counts[f"ApproximateNumberOfMessages{what}"] for what in ("", "NotVisible")] == ["0", "0"]


def test_a_batch_that_is_taken_in_part_is_not_stored(emulator: str) -> None:
    """Given a batch of which the queue refuses the second half → the sender is refused, and the first half is in the queue."""
    with sending(emulator, Plan([partly], times=0)) as there:
        there.queue.put(["first"])
        there.plan.times = 1
        with pytest.raises(NotStoredError, match=r"refused 5 of 10 messages \(InternalError\)"):
            there.queue.put(BODIES[:10])
        assert {each["Body"] for each in there.waiting()} == {"first", *BODIES[:5]}
