"""Counts what sources noticed in a batch beside faults: one message of samples, or none.

Values that no source knows (`core/unknown_values.py`), and errors whose frames are minified (`core/source_maps.py`).
"""

from collections import Counter
from collections.abc import Iterator
from datetime import datetime

from chalicelib import log
from chalicelib.core import source_maps, unknown_values
from chalicelib.core.errors import NotStoredError
from chalicelib.core.event import OWN_SOURCES, Event
from chalicelib.core.metrics.sample import Sample
from chalicelib.core.ports import Queue
from chalicelib.messages.queue import Events, samples_messages

MAX_SERIES = 20
"""Of one batch: a sender that writes another value each time must not fill the table."""
MAX_CHARACTERS = 120

Counted = tuple[str, tuple[tuple[str, str], ...]]
"""A metric, and its labels in order."""


class Noticed:
    """What was noticed in one batch."""

    def __init__(self) -> None:
        self._counts: Counter[Counted] = Counter()

    def add(self, content: object) -> None:
        """Count what the events of a message hold."""
        for event in content.events if isinstance(content, Events) else ():
            for series in _series(event):
                if series in self._counts or len(self._counts) < MAX_SERIES:
                    self._counts[series] += 1

    def put(self, webhooks: Queue, now: datetime) -> None:
        """Put the counts on the queue. One that refuses is no trouble of the batch."""
        samples = [
            Sample(metric, float(count), now, dict(labels)) for (metric, labels), count in sorted(self._counts.items())
        ]
        try:
            if samples:
                webhooks.put(samples_messages(samples))
        except NotStoredError as error:
            log.line("noticed", counted=False, **log.failure(error))


def _series(event: Event) -> Iterator[Counted]:
    if event.source in OWN_SOURCES:
        return
    if value := event.labels.get(unknown_values.LABEL, "")[:MAX_CHARACTERS]:
        yield unknown_values.METRIC, (("source", event.source), ("value", value))
    release = event.labels.get("release", "")[:MAX_CHARACTERS]
    if release and event.labels.get(source_maps.LABEL) == "yes":
        yield source_maps.METRIC, (("release", release), ("service", event.service or ""), ("source", event.source))
