"""How many events a minute each source sends to this worker: above a cap, repeats of what fires are only counted.

A repeat above the cap is not kept as an event of its own: of all repeats of one alert in a batch the newest is folded, and it
says how many it stands for (`Event.repeats`). What begins, ends or gets worse is no repeat, and what a rule counts
(`events[…]`) is counted one by one: neither is ever capped. A worker knows only what it has itself received.
"""

from dataclasses import dataclass, field
from datetime import datetime

from chalicelib.core.event import Event

MAX_EVENTS_A_MINUTE = 3_000
MAX_SOURCES = 500


@dataclass(slots=True)
class SourceRates:
    """The events of each source in this minute. One is kept for as long as the worker lives."""

    limit: int = MAX_EVENTS_A_MINUTE
    minute: int = 0
    counts: dict[str, int] = field(default_factory=dict)

    def is_over(self, event: Event, now: datetime) -> bool:
        """Count an event. Return whether its source has sent more than the cap in this minute."""
        minute = int(now.timestamp() // 60)
        if minute != self.minute or len(self.counts) >= MAX_SOURCES:
            self.minute, self.counts = minute, {}
        self.counts[event.source] = count = self.counts.get(event.source, 0) + 1
        return count > self.limit
