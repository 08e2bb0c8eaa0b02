"""webhooks → events and samples → alerts → incidents → notifications queue.

A batch is parsed (`parse`), its inputs are gathered by incident (`gather`), and each incident is folded with all of its
inputs and saved once (`commit`). A worker that dies before a save has notified nobody, and its messages come back; one
that dies after a save has lost nothing.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from chalicelib import log
from chalicelib.core.errors import NotStoredError, ParseError, ProcessedError
from chalicelib.core.event import Event, Severity, Status
from chalicelib.core.ports import Store
from chalicelib.core.rule import Rules
from chalicelib.log import reason_of
from chalicelib.messages.queue import Events, Failure, Message, Queues, events_messages, read_message
from chalicelib.process.batch import Batch
from chalicelib.process.commit import settle
from chalicelib.process.gather import take
from chalicelib.process.parse import read_content
from chalicelib.process.rates import SourceRates

REPORTED_AT = (timedelta(minutes=5), timedelta(hours=2))
"""What still fails at this age is reported, and tried on: the table may be away for hours. One of the ages may be missed."""
REPORTED_FOR = timedelta(minutes=15)
"""No try comes later than this after the one before, unless there was no worker. All reports of a message are one event."""
DEAD_LETTERED_AT = timedelta(hours=4)
"""What still fails at this age is dead-lettered here, with its reason. SQS, which knows none, would do so far later."""
DEAD_LETTERED = "It is parked in the dead-letter queue."


def process(
    messages: Sequence[Message],
    *,
    rules: Rules,
    store: Store,
    queues: Queues,
    now: datetime,
    on_read: Callable[[object], None] = lambda content: None,
    rates: SourceRates | None = None,
) -> list[Failure]:
    """Work through a batch; the failures are those that must come back or be dead-lettered. Twice changes nothing.

    Events that only count are put on the queue `counts`: `process_counts` folds them some seconds later, together.
    `on_read` is called with each content that could be read. `rates` are kept from call to call; None: no source is capped.
    """
    return _processed(messages, Batch(rules, store, queues, now, store.context(), waiting={}, rates=rates), on_read)


def process_counts(
    messages: Sequence[Message], *, rules: Rules, store: Store, queues: Queues, now: datetime
) -> list[Failure]:
    """Work through a batch of events that have waited; like `process`, but nothing waits again."""
    return _processed(messages, Batch(rules, store, queues, now, store.context()), lambda content: None)


def _processed(messages: Sequence[Message], batch: Batch, on_read: Callable[[object], None]) -> list[Failure]:
    store, rules, now = batch.store, batch.rules, batch.now
    failures: dict[str, Failure] = {}
    for message in messages:
        try:
            content = read_content(message.body, store, rules)
            on_read(content)
            take(batch, content, message.id)
        except ProcessedError:  # SQS delivered it once more: the delivery before did all that there is to do
            log.line("process", again=True, message=message.id)
        except ParseError as error:
            failures[message.id] = Failure(message.id, str(error), dead_letter=True)
            reason = f"{error}. {DEAD_LETTERED}"
            own = _own_event("webhook.unreadable", "A webhook could not be read", message, reason, now)
            take(batch, Events((*error.read, own)), message.id)
        except Exception as error:  # whatever is wrong with one message is not the others' trouble
            failures[message.id] = Failure(message.id, reason_of(error))
    failures |= {each.id: each for each in settle(batch)}
    return [_at_last(batch, message, failures[message.id]) for message in messages if message.id in failures]


def _at_last(batch: Batch, message: Message, failure: Failure) -> Failure:
    """Report what keeps failing. Dead-letter it at last, while its reason is known: SQS would give none."""
    age = message.age(batch.now)
    parks = age >= DEAD_LETTERED_AT
    if failure.dead_letter or not (parks or any(at <= age < at + REPORTED_FOR for at in REPORTED_AT)):
        return failure
    if not _is_about_router(message):
        title = f"A message could not be dealt with{'' if parks else ' so far'}"
        what_next = (
            DEAD_LETTERED if parks else "It is tried again for some hours, then parked in the dead-letter queue."
        )
        own = _own_event("message.failed", title, message, f"{failure.reason}. {what_next}", batch.now, last=parks)
        try:
            batch.queues.webhooks.put(events_messages([own]))
        except NotStoredError:
            return failure
    return replace(failure, dead_letter=parks)


def _is_about_router(message: Message) -> bool:
    content = read_message(message.body)
    return isinstance(content, Events) and all(event.source == "router" for event in content.events)


def _own_event(kind: str, title: str, message: Message, summary: str, now: datetime, *, last: bool = False) -> Event:
    return Event(
        id=f"{kind}:{message.id}{':last' if last else ''}",
        source="router",
        kind=kind,
        status=Status.FIRING,
        severity=Severity.WARNING,
        title=title,
        summary=summary,
        occurred_at=now,
        identity=kind,
    )
