"""Dead letters on their way back: what a message is then, and how many at once. The command and the page share it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from chalicelib.core.delivery.notification import Notification
from chalicelib.core.errors import ParseError, TocsinError
from chalicelib.messages.queue import Feedback, feedback_message, notification_message, read_message

MAX_LETTERS = 200
MAX_SECONDS = 6.0
"""So many, and for so long, they are taken at once: the function that serves the page has 15 seconds."""


class Dead(Protocol):
    """A dead-letter queue."""

    def take(self) -> list[dict[str, str]]:
        """Return some of the messages that wait, hidden from others for a while; none when none waits."""
        ...

    def glimpse(self) -> list[dict[str, str]]:
        """Return some of the messages that wait, and hide none of them."""
        ...

    def delete(self, receipts: Sequence[str]) -> None:
        """Delete messages that are done."""
        ...


class Main(Protocol):
    """The queue that they came from."""

    def put(self, bodies: Sequence[str]) -> None:
        """Put every body as a message."""
        ...


@dataclass(frozen=True, slots=True)
class Redriven:
    """How many dead letters went back, whether there may be more, and the queues of which some could not."""

    count: int
    more: bool = False
    failed: tuple[str, ...] = ()


def played_back(body: str) -> str:
    """Return the message as it goes back: a notification is marked, since its thread has given it up."""
    try:
        content = read_message(body)
    except ParseError:
        return body
    if isinstance(content, Notification):
        hints = replace(content.hints, played_back=content.hints.played_back + 1)
        return notification_message(replace(content, hints=hints))
    return feedback_message(content.message) if isinstance(content, Feedback) else body


def redrive(queues: Mapping[str, tuple[Dead, Main]], clock: Callable[[], float]) -> Redriven:
    """Put dead letters back on their queues.

    All are taken before the first goes back, so that one which fails again at once is not played back twice. Each is put
    back before it is deleted: broken off between, it is there twice, and nobody is notified twice.
    """
    ends = clock() + MAX_SECONDS
    count, more, failed = 0, False, []
    for name, (dead, main) in queues.items():
        try:
            taken, whole = _taken(dead, MAX_LETTERS - count, clock, ends)
            more = more or not whole
            if taken:
                main.put([played_back(each["body"]) for each in taken])
                dead.delete([each["receiptHandle"] for each in taken])
                count += len(taken)
        except TocsinError:
            failed.append(name)
    return Redriven(count, more, tuple(failed))


def _taken(dead: Dead, most: int, clock: Callable[[], float], ends: float) -> tuple[list[dict[str, str]], bool]:
    """Return what was taken, and whether that was all of it."""
    found: dict[str, dict[str, str]] = {}
    while len(found) < most and clock() < ends:
        some = dead.take()
        if not some:
            return list(found.values()), True
        found |= {each["messageId"]: each for each in some}
    return list(found.values()), False
