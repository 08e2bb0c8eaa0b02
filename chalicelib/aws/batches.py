"""A batch of SQS messages, right whether the mapping reports partial failures or not.

Chalice cannot switch on ReportBatchItemFailures, and without it an answer that names failed messages deletes them all.
So a worker returns only when every message is dealt with, and Lambda deletes them; else what is done is deleted here
and then BatchError is raised, which brings the rest back. A message that can never work is dead-lettered, and only then done.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Protocol
from zlib import crc32

from chalicelib.core.errors import NotStoredError, TocsinError
from chalicelib.core.ports import DeadLetters
from chalicelib.messages.queue import Failure, Message

FIRST_DELAY = timedelta(seconds=2)
MAX_DELAY = timedelta(minutes=10)
"""A message waits no longer than this, and half as much for some, however often SQS has counted a receive."""


class BatchError(TocsinError):
    """Some messages of a batch come back; the text says how many and why."""


class Received(Protocol):
    """The queue that the batch came from."""

    def delete(self, receipts: Sequence[str]) -> None:
        """Delete messages that are done."""
        ...

    def hide(self, receipt: str, delay: timedelta) -> None:
        """Let that message come back after the delay."""
        ...


def messages_of(records: Iterable[Mapping[str, Any]]) -> list[Message]:
    """Return the messages of a Lambda event's `Records`."""
    return [
        Message(
            id=str(record["messageId"]),
            body=str(record["body"]),
            receipt=str(record["receiptHandle"]),
            received_count=int(record.get("attributes", {}).get("ApproximateReceiveCount", 1)),
            first_received_at=_first_received_at(record.get("attributes", {})),
        )
        for record in records
    ]


def _first_received_at(attributes: Mapping[str, str]) -> datetime | None:
    """Return when SQS first handed the message out, else when it was sent; both are in milliseconds since 1970."""
    found = attributes.get("ApproximateFirstReceiveTimestamp") or attributes.get("SentTimestamp")
    return datetime.fromtimestamp(int(found) / 1000, UTC) if found else None


class Finish(Protocol):
    """What a stage does with messages that do not come back."""

    def __call__(self, *, done: Sequence[Message], dead_lettered: Sequence[Message]) -> None:
        """Clean up after them. Raise nothing: the batch is settled."""
        ...


def _nothing(*, done: Sequence[Message], dead_lettered: Sequence[Message]) -> None:
    """Leave nothing to clean up."""


def settle_messages(
    messages: Sequence[Message],
    failures: Sequence[Failure],
    *,
    queue: Received,
    dead: DeadLetters,
    finish: Finish = _nothing,
) -> None:
    """Dead-letter what can never work, delete what is done, raise BatchError if anything must come back.

    What comes back does so soon, and later the more often it failed, not after the queue's visibility time-out. A
    failure of an unknown id counts against the whole batch. What could not be dead-lettered or deleted comes back too.
    `finish` gets what does not come back, after it was dead-lettered or deleted, or as the last step before Lambda deletes it.
    """
    known = {message.id for message in messages}
    returning = {failure.id: failure.reason for failure in failures if not failure.dead_letter}
    if not known.issuperset(failure.id for failure in failures):
        raise BatchError("a failure names a message that is not in the batch: all of it comes back")
    returning |= _parked(messages, failures, dead)
    gone = [message for message in messages if message.id not in returning]
    finished = _finished(gone, failures, finish)
    if not returning:
        finished()
        return
    reasons = "; ".join(sorted(set(returning.values())))
    text = f"{len(returning)} of {len(messages)} messages come back: {reasons}"
    try:
        if gone:
            queue.delete([message.receipt for message in gone])
        finished()
        for message in messages:
            if message.id in returning:
                queue.hide(message.receipt, delay_of(message))
    except NotStoredError as error:
        raise BatchError(f"{text}; some of what is done comes back too, or later: {error}") from None
    raise BatchError(text)


@contextmanager
def back_soon(messages: Sequence[Message], queue: Callable[[], Received]) -> Iterator[None]:
    """Let the messages come back after their delay when the worker fails before it settles them.

    Otherwise they come back after the queue's visibility time. What the worker raised is raised on.
    """
    try:
        yield
    except BatchError:  # some are deleted, and the others were given their delay
        raise
    except Exception:
        with suppress(TocsinError):
            received = queue()
            for message in messages:
                received.hide(message.receipt, delay_of(message))
        raise


def delay_of(message: Message) -> timedelta:
    """Return when a message that failed comes back: 2, 4, 8 s … 10 min, half as much again for some: conflicts must part."""
    plain = min(FIRST_DELAY * (1 << min(message.received_count - 1, 12)), MAX_DELAY)
    return plain * (1 + crc32(f"{message.id}/{message.received_count}".encode()) % 100 / 200)


def _finished(gone: Sequence[Message], failures: Sequence[Failure], finish: Finish) -> Callable[[], None]:
    """Return the call of `finish` with what is gone: those with a failure were dead-lettered, the others are done."""
    dead_lettered = {failure.id for failure in failures}
    return partial(
        finish,
        done=[message for message in gone if message.id not in dead_lettered],
        dead_lettered=[message for message in gone if message.id in dead_lettered],
    )


def _parked(messages: Sequence[Message], failures: Sequence[Failure], dead: DeadLetters) -> dict[str, str]:
    """Dead-letter what asks for it; what could not be dead-lettered, with the reason."""
    bodies = {message.id: message.body for message in messages}
    failed = {}
    for failure in failures:
        if not failure.dead_letter:
            continue
        try:
            dead.dead_letter(bodies[failure.id], failure.reason)
        except NotStoredError as error:
            failed[failure.id] = f"could not be parked: {error}"
    return failed
