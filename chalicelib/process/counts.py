"""How many events the counting rules have counted, as samples of a counter: what the page of errors draws.

Each sample is the whole number that an alert had counted at the end of a minute, so that one that is written twice, or not at
all, changes no sum for longer than until the next one. Each series begins at zero, before its first event. The minutes of an hour
are written together, with the first event of another hour: a write for each event would double what the event costs. Until then
the alert remembers them, and the page adds them (`core/counted_minutes.py`). A batch writes once, at its end, and never fails
because of it.
"""

from datetime import datetime, timedelta

from chalicelib import log
from chalicelib.core.alert import Alert, Origin, ReceivedEvents
from chalicelib.core.counted_minutes import Total, total_before, totals
from chalicelib.core.errors import ConflictError, NotStoredError
from chalicelib.core.incident import Incident
from chalicelib.core.instants import from_seconds
from chalicelib.core.metrics.rollup import HOUR, hour_start, minute_start
from chalicelib.core.metrics.sample import Sample
from chalicelib.core.services import SERVICE
from chalicelib.process.batch import Batch

COUNTED = "counted_events_total"
RULE, KEY = "rule", "incident_key"
"""The labels of a series: the rule that counts, and the group key in whose incident it began to. `service` is beside them."""
MAX_SERIES = 20
"""So many series at most are written by one batch; the others are an hour later."""
STORED_AFTER = 1_000
"""So many events of a series are stored within the hour: an alert remembers 2,000 (`evaluation.MAX_COUNTED`)."""
QUIET = timedelta(hours=12)
"""After so long a silence the minute before its end is stored at once: the page knows what was stored within a day."""


def note_counts(batch: Batch, before: Incident | None, after: Incident) -> None:
    """Note what is to be stored of what the alerts of a saved incident have counted, where that has grown."""
    known = before.alerts if before is not None else {}
    for name, alert in after.alerts.items():
        if alert.origin is not Origin.COUNT or alert.moved_to:
            continue
        earlier = known[name].received if name in known else None
        if alert.received.events > (earlier.events if earlier is not None else 0):
            labels = labels_of(alert, after.key)
            for at, total in _due(alert, earlier, batch.now):
                batch.counted.setdefault((alert.rule, labels[KEY]), []).append(Sample(COUNTED, total, at, labels))


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


def _due(alert: Alert, earlier: ReceivedEvents | None, now: datetime) -> list[Total]:
    """Return the totals that are to be stored, now that an alert has counted more than it had `earlier`."""
    received = alert.received
    if earlier is None:
        return _moved(received, now) if alert.moved_from else _begun(received, now)
    newest = earlier.last_event_at or now
    if hour_start(newest) == hour_start(now) and earlier.events // STORED_AFTER == received.events // STORED_AFTER:
        return []
    found = totals(received, hour_start(newest), minute_start(now))
    return found if now - newest < QUIET else [*found, *total_before(received, now)]


def _begun(received: ReceivedEvents, now: datetime) -> list[Total]:
    """Return that a series begins at zero, so that the page knows it."""
    first = from_seconds(received.recent[0][0]) if received.recent else now
    return total_before(received, max(first, now - HOUR))


def _moved(received: ReceivedEvents, now: datetime) -> list[Total]:
    """Return the last two hours of an alert that has just moved to a correlated incident. What it had before is not known."""
    return totals(received, hour_start(now) - HOUR, minute_start(now))
