"""Reports once a day what senders wrote that this version does not know.

unknown:reported   when it was reported last: a mark of the context
"""

from datetime import timedelta

from chalicelib.core.event import ROUTER, Event, Severity, Status, fingerprint
from chalicelib.core.unknown_values import METRIC
from chalicelib.schedule.reconciliation import Reconciliation, instant_or_none

KIND = "values.unknown"
MARK = "unknown:reported"
DAY = timedelta(days=1)
BUCKET = timedelta(hours=1)
"""Values of a day ago are kept by the hour: what came in the hour before counts twice rather than never."""
SHOWN_FOR = timedelta(hours=1)
"""The report ends by itself, before anybody is reminded of it."""
MAX_LISTED = 20


def unknown_events(run: Reconciliation) -> list[Event]:
    """Return one event for what was not known in the last day; none within a day after the report before."""
    last = instant_or_none(run.marks.get(MARK))
    if last is not None and run.now - last < DAY:
        return []
    since = run.now - DAY - BUCKET
    series = run.store.label_sets(METRIC)
    counts = {
        (labels.get("source", ""), labels.get("value", "")): sum(
            bucket.total for bucket in run.store.buckets(METRIC, labels, since, run.now)
        )
        for labels in series
    }
    found = sorted(((count, *which) for which, count in counts.items() if count > 0), reverse=True)
    if not found:
        return []
    run.marks[MARK] = run.now.isoformat()
    lines = [f"{source}: {value}, {count:.0f} times" for count, source, value in found[:MAX_LISTED]]
    more = [f"{len(found) - MAX_LISTED} more"] if len(found) > MAX_LISTED else []
    advice = "They were taken as information, or as they look. See whether a newer version of Tocsin knows them."
    return [
        Event(
            id=fingerprint("repair", KIND, run.now.isoformat()),
            source=ROUTER,
            kind=KIND,
            status=Status.FIRING,
            severity=Severity.WARNING,
            title="Senders write what this version does not know",
            summary="\n".join((*lines, *more, advice)),
            occurred_at=run.now,
            identity=KIND,
            ends_at=run.now + SHOWN_FOR,
        )
    ]
