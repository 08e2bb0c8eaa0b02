"""What this container accepted and refused, as samples for the webhooks queue.

The ingest path writes nothing to the table, and a webhook must not cost a second message: what is accepted is counted
in memory and sent with a later webhook, at most every ten minutes for each source; what is refused is sent at once,
then at most once a minute, so that guessing does not become traffic. A container that ends forgets what it had not sent.
`repair` makes of it whether a source has gone quiet or is refused more than usual. Loads only the standard library.
"""

import json
from datetime import datetime, timedelta

ACCEPTED = "webhooks"
REFUSED = "webhooks_refused"
PERIODS = {ACCEPTED: timedelta(minutes=10), REFUSED: timedelta(minutes=1)}
REFUSALS = frozenset({400, 401, 413, 415})
MAX_SERIES = 200
"""Sources times statuses; declared sources are few, and what is no source is not counted."""


class RequestCounters:
    """Counts since the last message, for each series."""

    def __init__(self) -> None:
        self._counts: dict[tuple[str, str, str], tuple[datetime, int]] = {}

    def count(self, source: str, status: int, now: datetime) -> str | None:
        """Count one answer. Return the message to put, when one is due."""
        metric = ACCEPTED if 200 <= status < 300 else REFUSED if status in REFUSALS else ""
        series = (metric, source, str(status) if metric == REFUSED else "")
        if not metric or (series not in self._counts and len(self._counts) >= MAX_SERIES):
            return None
        first = now - PERIODS[REFUSED] if metric == REFUSED else now
        since, count = self._counts.get(series, (first, 0))
        if now - since < PERIODS[metric]:
            self._counts[series] = (since, count + 1)
            return None
        self._counts[series] = (now, 0)
        return _message(metric, source, series[2], count + 1, now)


def _message(metric: str, source: str, status: str, count: int, at: datetime) -> str:
    """Return a samples message, as chalicelib/messages/queue.py reads it."""
    labels = {"source": source, "status": status} if status else {"source": source}
    sample = {"metric": metric, "value": count, "at": at.timestamp(), "labels": labels}
    return json.dumps({"v": 1, "type": "samples", "samples": [sample]}, separators=(",", ":"))
