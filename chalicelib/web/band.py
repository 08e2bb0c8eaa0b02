"""The line above a page: the worst open incident, so that no page hides it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from chalicelib.core.glance import Glance
from chalicelib.core.incident import IncidentStatus
from chalicelib.core.listing import listed
from chalicelib.core.summary import Summary
from chalicelib.web.rows import Look, indexed_rows, place, read_rows

MAX_READ = 5
"""So many of the worst are looked at: one that somebody has, or that is muted, gives way to the next."""


@dataclass(frozen=True, slots=True)
class Band:
    """How many incidents are open, and the worst of them; None without one."""

    total: int = 0
    worst: Glance | None = None

    @property
    def is_hot(self) -> bool:
        """Return whether it is critical, and nobody has it."""
        return self.worst is not None and self.worst.is_unowned


def band_of(look: Look, among: Sequence[Summary] | None = None, known: Sequence[Glance] | None = None) -> Band:
    """Return the band. `among` are summaries that were listed already, `known` all rows of what is open."""
    rows = indexed_rows(look, MAX_READ, known)
    if rows is not None and look.counts is not None:
        total = len(rows) if len(rows) < MAX_READ else max(look.counts.total, len(rows))
        return Band(total, min(rows, key=_urgency, default=None))
    found = [each for each in (listed(look.store) if among is None else among) if each.status is IncidentStatus.OPEN]
    found.sort(key=lambda each: (not (each.firing or each.cut), *place(each)))
    return Band(len(found), min(read_rows(found[:MAX_READ], look), key=_urgency, default=None))


def _urgency(each: Glance) -> tuple[bool, bool, int, datetime]:
    return not each.is_unowned, each.is_held_back, each.severity.rank, each.since
