"""The deliveries of one incident to one target, in order: who may send now, and what the target answered.

One stored item for each thread carries the claim and the receipt, so that a notification costs two writes (claim and
record) and the next one of the thread waits for the one before it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum

MAX_RESULTS = 100
LEASE = timedelta(seconds=90)
"""Longer than any send (the worker's time limit is 60 s): a lease that ran out belongs to a dead worker."""


class Claim(StrEnum):
    """The three answers to "may I send this?"."""

    MINE = "mine"
    BUSY = "busy"
    DONE = "done"


@dataclass(frozen=True, slots=True)
class Result:
    """What came of one notification: `at` is when it was delivered or given up, `error` why it was given up."""

    seq: int
    at: datetime
    reason: str
    delivered: bool
    attempts: int = 1
    error: str = ""


@dataclass(frozen=True, slots=True)
class Thread:
    """`done_seq` is the newest notification delivered or given up; `attempts` and `first_tried_at` are of the next one.

    `results` are those of the newest notifications: they are written with the record, so that a timeline costs nothing.
    `in_doubt` is true when an earlier try of the next one may have reached the target (time-out, dead worker).
    """

    key: str
    done_seq: int = 0
    leased_seq: int = 0
    leased_until: datetime | None = None
    attempts: int = 0
    first_tried_at: datetime | None = None
    in_doubt: bool = False
    receipt: Mapping[str, str] = field(default_factory=dict)
    results: tuple[Result, ...] = ()
    version: int = 0


def thread_key(incident: str, target: str) -> str:
    """The stored key of the thread of an incident (its id) and a target (its key)."""
    return f"{incident}/{target}"


def claimed(thread: Thread, seq: int, now: datetime) -> tuple[Claim, Thread]:
    """Whether `seq` may be sent now, and the thread as it must be saved when the answer is MINE."""
    if seq <= thread.done_seq:
        return Claim.DONE, thread
    if seq != thread.done_seq + 1:
        return Claim.BUSY, thread
    if thread.leased_until is not None and now < thread.leased_until:
        return Claim.BUSY, thread
    died = thread.leased_until is not None
    return Claim.MINE, replace(
        thread,
        leased_seq=seq,
        leased_until=now + LEASE,
        attempts=thread.attempts + 1,
        first_tried_at=thread.first_tried_at or now,
        in_doubt=thread.in_doubt or died,
        version=thread.version + 1,
    )


def released(thread: Thread, *, in_doubt: bool) -> Thread:
    """After a try that did not arrive: the next worker may claim at once."""
    return replace(thread, leased_until=None, in_doubt=thread.in_doubt or in_doubt, version=thread.version + 1)


def finished(thread: Thread, seq: int, receipt: Mapping[str, str], result: Result | None = None) -> Thread:
    """After a delivery, or after giving up: the next one's turn. Receipts add up; new values win."""
    results = (*thread.results, result)[-MAX_RESULTS:] if result is not None else thread.results
    return replace(
        thread,
        done_seq=seq,
        leased_until=None,
        attempts=0,
        first_tried_at=None,
        in_doubt=False,
        receipt={**thread.receipt, **receipt},
        results=results,
        version=thread.version + 1,
    )
