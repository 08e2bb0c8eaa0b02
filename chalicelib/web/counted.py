"""The events a minute of an alert that counts them, for the page of its incident: from the samples of its count."""

from datetime import datetime, timedelta

from chalicelib.core.alert import Alert, Origin
from chalicelib.core.context import Context
from chalicelib.core.incident import Incident
from chalicelib.core.language.units import PLAIN_NUMBER
from chalicelib.core.metrics.rollup import minute_start
from chalicelib.core.ports import Store
from chalicelib.core.rule import Rules
from chalicelib.process.counts import COUNTED, labels_of
from chalicelib.web.curve import BEFORE, Curve, marks_of
from chalicelib.web.errors import MINUTE, increments, limits_a_minute, with_remembered

LONGEST = timedelta(hours=3)
"""More minutes than that are more points than a screen shows."""


def counted_curve(
    incident: Incident, alert: Alert, rules: Rules, store: Store, context: Context, now: datetime
) -> Curve | None:
    """Return the curve of an alert that counts events; None for any other, and where nothing was counted lately."""
    rule = rules.by_name.get(alert.rule)
    if alert.origin is not Origin.COUNT or rule is None:
        return None
    start = minute_start(max(min(alert.starts_at or now, now) - BEFORE, now - LONGEST))
    stored = store.buckets(COUNTED, labels_of(alert, incident.key), start - MINUTE, now)
    found = with_remembered(stored, alert.received, start, now)
    if not found:
        return None
    sums = [0.0] * ((now - start) // MINUTE + 1)
    for at, count in increments(found):
        if at >= start:
            sums[(at - start) // MINUTE] += count
    marks, bands = marks_of(incident, alert, context, start, now)
    return Curve(
        "Events a minute",
        start,
        MINUTE,
        PLAIN_NUMBER,
        tuple(sums),
        levels=limits_a_minute([rule]),
        marks=marks,
        bands=bands,
    )
