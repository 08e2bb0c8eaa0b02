"""How many events the counting rules have counted, as samples of a counter: what the page of errors draws.

Each sample is the whole number that an alert has counted so far, so that one that is written twice, or not at all, changes
no sum for longer than until the next one. Each series begins at zero, before its first event. A batch writes them once, at its end, and never fails because of them.
"""

from datetime import datetime

from chalicelib import log
from chalicelib.core.alert import Alert, Origin
from chalicelib.core.errors import ConflictError, NotStoredError
from chalicelib.core.incident import Incident
from chalicelib.core.metrics.rollup import MICROSECOND, minute_start
from chalicelib.core.metrics.sample import Sample
from chalicelib.core.services import SERVICE
from chalicelib.process.batch import Batch

COUNTED = "counted_events_total"
RULE, KEY = "rule", "incident_key"
"""The labels of a series: the rule that counts, and the group key in whose incident it began to. `service` is beside them."""
MAX_SERIES = 20
"""So many series at most are written by one batch; the others are with their next event."""


def note_counts(batch: Batch, before: Incident | None, after: Incident) -> None:
    """Note what the alerts of a saved incident have counted, where that has grown."""
    known = before.alerts if before is not None else {}
    for name, alert in after.alerts.items():
        if alert.origin is not Origin.COUNT or alert.moved_to:
            continue
        earlier = known[name].received.events if name in known else 0
        if alert.received.events > earlier:
            batch.counted[alert.rule, alert.moved_from or after.key] = _samples(alert, after.key, earlier, batch.now)


def store_counts(batch: Batch) -> None:
    """Store what was noted; a store that is away costs the page a moment, and the batch nothing."""
    samples = [sample for found in list(batch.counted.values())[:MAX_SERIES] for sample in found]
    batch.counted.clear()
    if not samples:
        return
    try:
        batch.store.add_samples(samples)
    except (ConflictError, NotStoredError) as error:
        log.line("process", counts=False, reason=str(error))


def labels_of(alert: Alert, key: str) -> dict[str, str]:
    """Return the labels of the series of what an alert counts. `key` is the group key of the incident that has it."""
    labels = {RULE: alert.rule, KEY: alert.moved_from or key}
    if service := alert.labels.get(SERVICE):
        labels[SERVICE] = service
    return labels


def _samples(alert: Alert, key: str, earlier: int, now: datetime) -> list[Sample]:
    """Return the count of now, and what it was at the end of the minute before: that may be long ago, and never stored.

    Of an alert that has moved to a correlated incident the count before is not known there, and is stored already.
    """
    labels = labels_of(alert, key)
    found = [Sample(COUNTED, float(alert.received.events), now, labels)]
    if earlier or not alert.moved_from:
        found.insert(0, Sample(COUNTED, float(earlier), minute_start(now) - MICROSECOND, labels))
    return found
