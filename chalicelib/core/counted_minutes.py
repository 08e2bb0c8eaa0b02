"""The minutes of what an alert counts, from the events that it remembers: what the series of a count consists of.

The total of a minute is what was counted at its end, by the events' own times. The alert remembers its newest events, so an
hour of them can be stored at once. What is not stored yet can be shown all the same.
"""

from bisect import bisect_right
from collections.abc import Sequence
from datetime import datetime

from chalicelib.core.alert import ReceivedEvents
from chalicelib.core.instants import from_seconds
from chalicelib.core.metrics.rollup import MICROSECOND, MINUTE, minute_start

Total = tuple[datetime, float]
"""The last instant of a minute, and how many events were counted up to it."""


def totals(received: ReceivedEvents, since: datetime, until: datetime) -> list[Total]:
    """Return the totals of the minutes that end between two times and have remembered events, after that of the minute before.

    Nothing without such a minute. A minute is left out if more events came after it than are remembered.
    """
    times = [at for at, _ in received.recent]
    ends = sorted({_end_of(from_seconds(at)) for at in times if at >= since.timestamp()})
    ends = [end for end in ends if since <= end <= until]
    if not ends:
        return []
    return [found for end in (ends[0] - MINUTE, *ends) for found in _total_at(received, times, end)]


def total_before(received: ReceivedEvents, at: datetime) -> list[Total]:
    """Return the total of the minute before a time; nothing if that is not known."""
    return _total_at(received, [at for at, _ in received.recent], minute_start(at) - MICROSECOND)


def _total_at(received: ReceivedEvents, times: Sequence[float], end: datetime) -> list[Total]:
    earlier = bisect_right(times, end.timestamp())
    is_known = earlier > 0 or received.events == len(times)
    return [(end, float(received.events - len(times) + earlier))] if is_known else []


def _end_of(at: datetime) -> datetime:
    return minute_start(at) + MINUTE - MICROSECOND
