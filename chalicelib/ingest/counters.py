"""What came to the door of this container and what was refused there, as samples for the webhooks queue.

The ingest path writes nothing to the table, and a webhook must not cost a second message: what is heard is counted in
memory and told with a later webhook, at most every ten minutes for each source; what is refused is told at once, then
at most once a minute, so that guessing does not become traffic. A container that ends forgets what it had not told.
`repair` makes of it whether a source has gone quiet or is refused more than usual. Loads only the standard library.
"""

import json
from datetime import datetime, timedelta

HEARD = "webhooks"
REFUSED = "webhooks_refused"
PERIODS = {HEARD: timedelta(minutes=10), REFUSED: timedelta(minutes=1)}
REFUSALS = frozenset({400, 401, 413, 415})
MAX_SERIES = 200
"""Sources times statuses; declared sources are few, and what is no source is not counted."""


class Attendance:
    """Counts since the last message, for each series."""

    def __init__(self) -> None:
        self._counts: dict[tuple[str, str, str], tuple[datetime, int]] = {}

    def note(self, source: str, status: int, now: datetime) -> str | None:
        """One answer of the door; the message to put, when one is due."""
        metric = HEARD if 200 <= status < 300 else REFUSED if status in REFUSALS else ""
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
    """A samples message, as chalicelib/messages/queue.py reads it."""
    labels = {"source": source, "status": status} if status else {"source": source}
    sample = {"metric": metric, "value": count, "at": at.timestamp(), "labels": labels}
    return json.dumps({"v": 1, "type": "samples", "samples": [sample]}, separators=(",", ":"))
