"""Counts what sources did not know in a batch: one message of samples, or none."""

from collections import Counter
from datetime import datetime

from chalicelib import log
from chalicelib.core.errors import NotStoredError
from chalicelib.core.event import OWN_SOURCES
from chalicelib.core.metrics.sample import Sample
from chalicelib.core.ports import Queue
from chalicelib.core.unknown_values import LABEL, METRIC
from chalicelib.messages.queue import Events, samples_messages

MAX_VALUES = 20
"""Of one batch: a sender that writes another value each time must not fill the table."""
MAX_CHARACTERS = 120


class UnknownValues:
    """What was not known in one batch."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, str]] = Counter()

    def add(self, content: object) -> None:
        """Count the values that the events of a message hold and their source does not know."""
        if not isinstance(content, Events):
            return
        for event in content.events:
            value = event.labels.get(LABEL, "")[:MAX_CHARACTERS]
            known = (event.source, value) in self._counts or len(self._counts) < MAX_VALUES
            if value and known and event.source not in OWN_SOURCES:
                self._counts[event.source, value] += 1

    def put(self, webhooks: Queue, now: datetime) -> None:
        """Put the counts on the queue. One that refuses is no trouble of the batch."""
        samples = [
            Sample(METRIC, float(count), now, {"source": source, "value": value})
            for (source, value), count in sorted(self._counts.items())
        ]
        try:
            if samples:
                webhooks.put(samples_messages(samples))
        except NotStoredError as error:
            log.line("unknown", counted=False, **log.failure(error))
