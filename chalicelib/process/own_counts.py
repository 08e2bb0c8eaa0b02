"""What the workers count of their own work (`core/stage_counts.py`), and where it is kept.

A worker writes its counts to no table: they go with its message to the history queue, and `record` adds them up every five
minutes, in one item. A message that SQS delivers twice, or a run of `record` that ends before it has deleted its messages, counts twice.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime

from chalicelib import log
from chalicelib.core.errors import NotStoredError
from chalicelib.core.optimistic import updated
from chalicelib.core.ports import Queue, Store
from chalicelib.core.rule import shown
from chalicelib.core.stage_counts import (
    DEAD_LETTERED,
    DELIVERED,
    DELIVERIES,
    DELIVERY,
    EVENTS,
    FAILED,
    GIVEN_UP,
    PROCESSED,
    PROCESSING,
    RECEIVED,
    REFUSED,
    StageCounts,
    Sums,
    Tally,
)
from chalicelib.ingest.counters import REFUSED as REFUSED_METRIC
from chalicelib.messages.queue import Events, Failure, Handled, Message, Samples, history_messages, webhook_origin

SAVE_TRIES = 10


def count_content(tally: Tally, content: object) -> None:
    """Count the events that a message brought, and the requests that were refused since the last message about those."""
    if isinstance(content, Events):
        for event in content.events:
            if event.action is None:
                tally.add(EVENTS, event.source, event.status.value)
    elif isinstance(content, Samples):
        for sample in content.samples:
            if sample.metric == REFUSED_METRIC:
                tally.add(
                    REFUSED,
                    sample.labels.get("source", ""),
                    sample.labels.get("status", ""),
                    times=max(sample.value or 0, 0),
                )


def count_batch(tally: Tally, messages: Sequence[Message], failures: Sequence[Failure], done: datetime) -> None:
    """Count the webhooks of a batch: those that a worker has for the first time, and those that it is done with."""
    failed: Mapping[str, Failure] = {each.id: each for each in failures}
    for message in messages:
        failure = failed.get(message.id)
        if failure is not None and failure.dead_letter:
            tally.add(DEAD_LETTERED, "webhooks")
        origin = webhook_origin(message.body)
        if origin is None:
            continue
        source, received_at = origin
        if message.received_count == 1:
            tally.add(RECEIVED, source)
        if failure is None:
            tally.add(PROCESSED, source)
            tally.add_time(PROCESSING, took=done - received_at)


def count_delivery(tally: Tally, handled: Handled, done: datetime) -> None:
    """Count what came of a message of the notifications queue. A target is named as people may see it."""
    if handled.dead_lettered is not None:
        tally.add(DEAD_LETTERED, "notifications")
    wanted = handled.notification
    if wanted is None:
        return
    answer = _answer(handled)
    if answer:
        tally.add(DELIVERIES, shown(wanted.target.key), answer)
    if answer == DELIVERED:
        tally.add_time(DELIVERY, wanted.target.kind, took=done - wanted.at)


def _answer(handled: Handled) -> str:
    """Return what came of a try; nothing where none was made."""
    if handled.dead_lettered is not None:
        return GIVEN_UP
    return DELIVERED if handled.delivered else FAILED if handled.failed else ""


def put_delivery_counts(handled: Handled, history: Queue, done: datetime) -> None:
    """Put what came of a message on the history queue. One that refuses is no trouble of the delivery."""
    tally = Tally()
    count_delivery(tally, handled, done)
    messages = history_messages((), tally.sums)
    if not messages:
        return
    try:
        history.put(messages)
    except NotStoredError as error:
        log.line("history", counted=False, reason=str(error))


def totals(sums: Sums) -> dict[str, float]:
    """Return the sums of each count, those of deliveries by what came of them: what a filter of CloudWatch's logs takes."""
    found: dict[str, float] = {}
    for series, value in sorted(sums.items()):
        if series[0] not in (PROCESSING, DELIVERY):
            name = "_".join((series[0], series[-1])) if series[0] == DELIVERIES else series[0]
            found[name] = found.get(name, 0) + value
    return found


def add_counts(store: Store, sums: Sums, *, now: datetime | None = None) -> None:
    """Add to what the stage has counted by `now`, and log what is new."""
    if not sums:
        return

    def save(before: StageCounts) -> None:
        store.save_stage_counts(before.plus(sums, now=now))

    updated("the counts of the stage", store.stage_counts, save, tries=SAVE_TRIES)
    log.line("record", counted=totals(sums))
