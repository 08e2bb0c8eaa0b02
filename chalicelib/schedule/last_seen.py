"""When a source last sent something, in a few numbers, and whether its silence is unusual.

A source is usual when it spoke at least `TIMES` times over at least a day. Its silence is unusual when it is twice as
long as the longest one of this week and the last, nights and weekends included, and an hour at least. Before a whole
week is known, five times, and six hours at least.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from chalicelib.core.instants import from_seconds

TIMES = 20
KNOWN = timedelta(days=1)
WEEK = timedelta(days=7)
APART = timedelta(minutes=1)
"""What is sent within a minute counts once."""


@dataclass(frozen=True, slots=True)
class SourceActivity:
    """`gap` is the longest silence of the week that began at `turned_at`, `gap_before` that of the one before."""

    first_at: datetime
    last_at: datetime
    times: int = 1
    gap: timedelta = timedelta(0)
    gap_before: timedelta = timedelta(0)
    turned_at: datetime | None = None

    def __str__(self) -> str:
        """Return the numbers as one short text."""
        seconds = (self.first_at, self.last_at, self.turned_at or self.first_at)
        times = [int(at.timestamp()) for at in seconds]
        return " ".join(
            map(str, (*times, self.times, int(self.gap.total_seconds()), int(self.gap_before.total_seconds())))
        )


def activity_from(text: str) -> SourceActivity | None:
    """Return what `str` made; None for anything else."""
    try:
        first, last, turned, times, gap, before = (int(each) for each in text.split())
        moments = [from_seconds(at) for at in (first, last, turned)]
    except (ValueError, OverflowError, OSError):
        return None
    return SourceActivity(moments[0], moments[1], times, timedelta(seconds=gap), timedelta(seconds=before), moments[2])


def seen_again(before: SourceActivity | None, at: datetime) -> SourceActivity:
    """Return the record after the source sent something at `at`; what is old or came in the same minute changes nothing."""
    if before is None:
        return SourceActivity(at, at, turned_at=at)
    if at < before.last_at + APART:
        return before
    gap = max(before.gap, at - before.last_at)
    found = replace(before, last_at=at, times=before.times + 1, gap=gap)
    if before.turned_at is None or at < before.turned_at + WEEK:
        return found
    return replace(found, turned_at=at, gap_before=gap, gap=timedelta(0))


def silence_allowed(activity: SourceActivity) -> timedelta | None:
    """Return how long the source may be silent; None while it is not known well enough."""
    age = activity.last_at - activity.first_at
    if activity.times < TIMES or age < KNOWN:
        return None
    longest = max(activity.gap, activity.gap_before)
    return max(timedelta(hours=1), 2 * longest) if age >= WEEK else max(timedelta(hours=6), 5 * longest)


def is_quiet(activity: SourceActivity, now: datetime) -> bool:
    """Return whether the source has been silent for longer than it ever is."""
    allowed = silence_allowed(activity)
    return allowed is not None and now - activity.last_at > allowed
