"""A batch is right whatever fails: nothing done comes back for nothing, nothing undone is lost."""

import contextlib
from datetime import UTC, datetime, timedelta

import pytest

from chalicelib.aws.batches import BatchError, messages_of, settle_messages
from chalicelib.messages.queue import Failure, Message
from tests.fakes import MemoryQueue

BATCH = [Message(id=f"m{n}", body=f"body {n}", receipt=f"r{n}") for n in range(4)]


def settled(failures, *, fail_at=()):
    """The queue and the dead-letter queue after a batch, and whether it was raised. Calls are counted over both."""
    queue, dead = MemoryQueue(), MemoryQueue()
    queue.fail_at = {number for name, number in fail_at if name == "queue"}
    dead.fail_at = {number for name, number in fail_at if name == "dead"}
    try:
        settle_messages(BATCH, failures, queue=queue, dead=dead)
    except BatchError as error:
        return queue, dead, str(error)
    return queue, dead, None


PARK = Failure("m1", "unreadable", dead_letter=True)
PARK_TOO = Failure("m2", "too old", dead_letter=True)
BACK = Failure("m3", "conflict")

CASES = [
    ("all done: Lambda deletes", [], [], [], [], None),
    ("parked and done: Lambda deletes", [PARK], [], [], ["body 1"], None),
    ("all parked", [PARK, PARK_TOO], [], [], ["body 1", "body 2"], None),
    ("one back: the others are deleted", [BACK], [], ["r0", "r1", "r2"], [], "1 of 4"),
    ("one back, one parked", [BACK, PARK], [], ["r0", "r1", "r2"], ["body 1"], "1 of 4"),
    ("all back: nothing to delete", [Failure(m.id, "x") for m in BATCH], [], [], [], "4 of 4"),
    ("parking fails: that one comes back", [PARK], [("dead", 1)], ["r0", "r2", "r3"], [], "could not be parked"),
    ("parking the second fails", [PARK, PARK_TOO], [("dead", 2)], ["r0", "r1", "r3"], ["body 1"], "1 of 4"),
    ("deleting fails: all come back", [BACK], [("queue", 1)], [], [], "comes back too"),
    ("parking and deleting fail", [PARK, BACK], [("dead", 1), ("queue", 1)], [], [], "2 of 4"),
    ("parked, deleting fails", [PARK, BACK], [("queue", 1)], [], ["body 1"], "comes back too"),
    ("an unknown id: all come back", [Failure("other", "x")], [], [], [], "not in the batch"),
    ("an unknown id to park: all come back", [Failure("other", "x", dead_letter=True)], [], [], [], "not in the batch"),
    (
        "back and parked at once: it comes back",
        [BACK, Failure("m3", "y", dead_letter=True)],
        [],
        ["r0", "r1", "r2"],
        None,
        "1 of 4",
    ),
]


@pytest.mark.parametrize(
    ("failures", "fail_at", "deleted", "dead_lettered", "raised"), [c[1:] for c in CASES], ids=[c[0] for c in CASES]
)
def test_settles(failures, fail_at, deleted, dead_lettered, raised):
    """What is deleted here, what is parked, and whether the rest comes back."""
    queue, dead, error = settled(failures, fail_at=fail_at)
    assert queue.deleted == deleted
    assert dead_lettered is None or [body for body, _ in dead.dead_lettered] == dead_lettered
    assert (error is None) == (raised is None)
    assert raised is None or raised in error


@pytest.mark.parametrize(("failures", "fail_at"), [case[1:3] for case in CASES], ids=[case[0] for case in CASES])
def test_nothing_is_lost_with_the_flag_on_or_off(failures, fail_at):
    """Every message is in the end done, parked or back on the queue, however Lambda reads the worker's end.

    A normal end without failures deletes all with either setting; an exception deletes none.
    """
    queue, dead, error = settled(failures, fail_at=fail_at)
    gone = {message.receipt for message in BATCH} if error is None else set(queue.deleted)
    dead_lettered = {body for body, _ in dead.dead_lettered}
    must_stay = {m.receipt for m in BATCH for f in failures if f.id == m.id and not f.dead_letter}
    must_stay |= {
        m.receipt for m in BATCH for f in failures if f.id == m.id and f.dead_letter and m.body not in dead_lettered
    }
    assert gone.isdisjoint(must_stay)


@pytest.mark.parametrize(("received", "least"), [(1, 2), (2, 4), (5, 32), (30, 600)])
def test_what_failed_comes_back_soon_and_later_each_time(received, least):
    """Two to three seconds after the first failure, doubling to ten to fifteen minutes; those of one batch part."""
    queue = MemoryQueue()
    batch = [Message(f"m{number}", "", f"r{number}", received) for number in range(50)]
    with pytest.raises(BatchError):
        settle_messages(batch, [Failure(each.id, "conflict") for each in batch], queue=queue, dead=MemoryQueue())
    found = {wait.total_seconds() for wait in queue.hidden.values()}
    assert len(found) > 20
    assert all(least <= seconds < 1.5 * least for seconds in found)


def test_a_delay_that_cannot_be_set_only_delays():
    """Then it comes back after the queue's visibility time-out: the batch is raised all the same."""
    queue, _, error = settled([BACK], fail_at=[("queue", 2)])
    assert error is not None
    assert queue.deleted == ["r0", "r1", "r2"]


def test_parked_messages_keep_their_reason():
    """The dead-letter queue holds the body as it was and why."""
    _, dead, _ = settled([PARK])
    assert dead.dead_lettered == [("body 1", "unreadable")]


class Finishing(MemoryQueue):
    """A queue that notes, at each call of `finish`, what it had deleted by then."""

    def finish(self, *, done, dead_lettered):
        """Note what is done and what is dead-lettered."""
        self.finished = ([each.id for each in done], [each.id for each in dead_lettered], list(self.deleted))


FINISHED = [
    ("all done", [], [], (["m0", "m1", "m2", "m3"], [], [])),
    ("one parked", [PARK], [], (["m0", "m2", "m3"], ["m1"], [])),
    ("one comes back: after the others are deleted", [BACK], [], (["m0", "m1", "m2"], [], ["r0", "r1", "r2"])),
    ("one comes back, one is parked", [BACK, PARK], [], (["m0", "m2"], ["m1"], ["r0", "r1", "r2"])),
    ("parking fails", [PARK], [("dead", 1)], (["m0", "m2", "m3"], [], ["r0", "r2", "r3"])),
    ("deleting fails: everything comes back", [BACK, PARK], [("queue", 1)], None),
    ("back and parked at once", [BACK, Failure("m3", "y", dead_letter=True)], [], (["m0", "m1", "m2"], [], ["r0", "r1", "r2"])),
    ("an unknown id: everything comes back", [Failure("other", "x")], [], None),
]  # fmt: skip


@pytest.mark.parametrize(("failures", "fail_at", "expected"), [c[1:] for c in FINISHED], ids=[c[0] for c in FINISHED])
def test_only_what_does_not_come_back_is_finished(failures, fail_at, expected):
    """Messages are finished after they were deleted or parked; none that comes back is."""
    queue, dead = Finishing(), MemoryQueue()
    queue.finished = None
    queue.fail_at = {number for name, number in fail_at if name == "queue"}
    dead.fail_at = {number for name, number in fail_at if name == "dead"}
    with contextlib.suppress(BatchError):
        settle_messages(BATCH, failures, queue=queue, dead=dead, finish=queue.finish)
    assert queue.finished == expected


def test_messages_are_read_from_a_lambda_event():
    """Id, receipt, how often and since when it was received come from the record."""
    times = {"SentTimestamp": "1545082649183", "ApproximateFirstReceiveTimestamp": "1545082650000"}
    record = {
        "messageId": "a",
        "body": "b",
        "receiptHandle": "c",
        "attributes": {"ApproximateReceiveCount": "3", **times},
    }
    sent = {"messageId": "d", "body": "e", "receiptHandle": "f", "attributes": {"SentTimestamp": "1545082649183"}}
    assert messages_of([record, sent, {"messageId": "d", "body": "e", "receiptHandle": "f"}]) == [
        Message("a", "b", "c", 3, datetime(2018, 12, 17, 21, 37, 30, tzinfo=UTC)),
        Message("d", "e", "f", 1, datetime(2018, 12, 17, 21, 37, 29, 183_000, tzinfo=UTC)),
        Message("d", "e", "f", 1),
    ]


def test_a_message_has_an_age_since_it_was_first_received():
    """A clock that is behind makes no negative age, and an unknown time none at all."""
    now = datetime(2026, 3, 2, 9, tzinfo=UTC)
    assert Message("a", "b", "c", 3, now - timedelta(minutes=4)).age(now) == timedelta(minutes=4)
    assert Message("a", "b", "c", 3, now + timedelta(minutes=4)).age(now) == timedelta(0)
    assert Message("a", "b", "c", 3).age(now) == timedelta(0)
