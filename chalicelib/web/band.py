"""The line above a page: the worst open incident, so that no page hides it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from chalicelib.core.incident import IncidentStatus
from chalicelib.core.listing import listed
from chalicelib.core.ports import Store
from chalicelib.core.rule import Rules
from chalicelib.core.summary import Summary
from chalicelib.web.now import pictures_of, place
from chalicelib.web.picture import Picture, State

MAX_READ = 5
"""So many of the worst are read whole: one that somebody has, or that is muted, gives way to the next."""


@dataclass(frozen=True, slots=True)
class Band:
    """How many incidents are open, and the worst of them; None without one."""

    total: int = 0
    worst: Picture | None = None

    @property
    def is_hot(self) -> bool:
        """Return whether it is critical, and nobody has it."""
        return self.worst is not None and self.worst.is_unowned


def band_of(store: Store, rules: Rules, now: datetime, timezone: str, among: Sequence[Summary] | None = None) -> Band:
    """Return the band for a reader in this zone. `among` are summaries that were listed already."""
    found = [each for each in (listed(store) if among is None else among) if each.status is IncidentStatus.OPEN]
    found.sort(key=lambda each: (not (each.firing or each.cut), *place(each)))
    pictures = pictures_of(store, found[:MAX_READ], rules, now, timezone)
    return Band(len(found), min(pictures, key=_urgency, default=None))


def _urgency(each: Picture) -> tuple[bool, bool, int, datetime]:
    held_back = each.state in (State.MUTED, State.CLOSING, State.RESOLVED)
    return not each.is_unowned, held_back, each.severity.rank, each.since
