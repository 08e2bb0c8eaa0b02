"""What a dead letter is and why it was given up, in words. The command and the page share it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from chalicelib.core.delivery.notification import Notification
from chalicelib.core.delivery.writing import cut, one_line
from chalicelib.core.errors import ParseError
from chalicelib.messages.queue import Feedback, feedback_message, read_message
from chalicelib.messages.webhook import Webhook

BY_TOPIC = "the function mail_feedback failed each time, or could not be called"
BY_SQS = "received too often: the worker failed each time"


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One dead letter of a queue: what it is, why it was given up, and when."""

    queue: str
    what: str
    why: str
    at: datetime


def dead_letter(queue: str, message: Mapping[str, str]) -> DeadLetter:
    """Return a message of a dead-letter queue in words. `reason` and `sent`, in milliseconds, are those of the queue."""
    at = datetime.fromtimestamp(int(message.get("sent") or 0) / 1_000, UTC)
    return DeadLetter(queue, described(message["body"])[0], why(message["body"], message.get("reason", "")), at)


def described(body: str) -> tuple[str, tuple[str, ...]]:
    """Return what a message is, and the ids by which it may be asked for. No payload is in it."""
    try:
        content = read_message(body)
    except ParseError as error:
        return f"a message that cannot be read ({error})", ()
    if isinstance(content, Notification):
        shown = f"{content.reason.value} to {content.target.shown}: {cut(one_line(content.title), 80)}"
        return shown, (content.id, content.incident.id)
    if isinstance(content, Webhook):
        return f"a webhook of {content.source}, received {content.received_at:%Y-%m-%d %H:%M} UTC", ()
    return type(content).__name__.lower(), ()


def why(body: str, reason: str) -> str:
    """Return why a message was given up. One without a reason was dead-lettered by AWS."""
    return reason or (BY_TOPIC if _is_of_topic(body) else BY_SQS)


def _is_of_topic(body: str) -> bool:
    """Return whether AWS dead-lettered it on the way from the topic of bounces to the queue, in a form of its own."""
    try:
        content = read_message(body)
    except ParseError:
        return False
    return isinstance(content, Feedback) and body != feedback_message(content.message)
