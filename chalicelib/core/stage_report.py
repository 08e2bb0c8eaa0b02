"""What the tick finds out of its stage, for whoever scrapes it: one short text, written each minute while somebody does.

A scrape leaves a mark of its time. A stage that nobody has scraped for a while pays for no report.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

REPORT, SCRAPED = "stage-report", "scraped"
"""The names of two marks: the report, and when the stage was last scraped."""
SCRAPED_FOR = timedelta(hours=1)
"""For so long after a scrape the next one is expected."""
SCRAPED_AGAIN = timedelta(minutes=15)
"""A scrape renews a mark that is older."""


@dataclass(frozen=True, slots=True)
class TargetReport:
    """A target: whether it takes notifications as far as is known, and how many wait for it."""

    works: bool
    waiting: int = 0


@dataclass(frozen=True, slots=True)
class StageReport:
    """Ages in seconds, and counts. `late` is by function, `waiting` and `dead` by queue, `incidents` by severity."""

    at: datetime
    undelivered: float = 0.0
    overdue: float = 0.0
    late: Mapping[str, float] = field(default_factory=dict)
    waiting: Mapping[str, float] = field(default_factory=dict)
    dead: Mapping[str, int] = field(default_factory=dict)
    incidents: Mapping[str, int] = field(default_factory=dict)
    targets: Mapping[str, TargetReport] = field(default_factory=dict)
    silences: int = 0
    rules: str = ""


def is_scraped(text: str | None, now: datetime) -> bool:
    """Return whether the mark of the last scrape says that somebody scrapes the stage."""
    last = scraped_at(text)
    return last is not None and now - last < SCRAPED_FOR


def scraped_at(text: str | None) -> datetime | None:
    """Return when the stage was last scraped; None for no mark, and for what is no time."""
    try:
        found = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return found if found.tzinfo is not None else None
