"""How fast what is measured grows, and when it reaches its limit, in words for people."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from chalicelib.core.metrics.sample import Sample

GROWTHS: Mapping[str, str] = {"db_size_gb": "db_growth_gb_per_day"}
"""The metric that holds the growth a day of another one."""
DAY = timedelta(days=1)
LONGEST = 3_650
"""In days. A limit that is further away is not forecast."""


@dataclass(frozen=True, slots=True)
class Growth:
    """A metric that is by how much another one, `source`, grew within a span."""

    source: str
    span: timedelta = DAY

    def reach(self, every: timedelta) -> tuple[timedelta, timedelta]:
        """Return how long ago the earlier reading may be, at most and at least, of what is measured so often."""
        slack = min(max(self.span / 24, every), self.span / 2)
        return self.span + slack, self.span - slack


def growth_of(samples: Sequence[Sample], metric: str, labels: Mapping[str, str]) -> tuple[float, float] | None:
    """Return the size of a series and its growth a day, where both were measured together."""
    found = {each.metric: each.value for each in samples if each.labels == labels}
    size, per_day = found.get(metric), found.get(GROWTHS.get(metric, ""))
    return None if size is None or per_day is None else (size, per_day)


def in_words(size: float, per_day: float, limit: float | None, at: datetime) -> dict[str, str]:
    """Return the growth, and on which day the limit is reached if it goes on so."""
    found = {"growth": f"{size:,.2f} GB now, {per_day:+,.2f} GB a day"}
    if limit is None:
        return found
    if size >= limit:
        return {**found, "limit_in": f"{limit:g} GB are reached"}
    days = math.floor((limit - size) / per_day) if per_day > 0 else LONGEST
    if days >= LONGEST:
        return found
    full_on = (at + timedelta(days=days)).strftime("%Y-%m-%d")
    return {**found, "limit_in": f"{limit:g} GB in {days} day{'' if days == 1 else 's'}, on {full_on}"}
