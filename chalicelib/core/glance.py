"""What a list of the page shows of an incident: its row, and what became of its rules' alerts. Values only.

It is kept with the incident, and the index `worst` of the table shows it, so that a list of fifty rows is one page of an
index and no incident is read for it. `glancing.py` makes it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from chalicelib.core.event import Severity


class State(StrEnum):
    """How it is with an incident, as one word and one sign say."""

    FIRING = "firing"
    ACKNOWLEDGED = "acknowledged"
    MUTED = "muted"
    CLOSING = "closing"
    RESOLVED = "resolved"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of an incident's alerts, for the page of rules.

    `begins` is when an alert of each name last began to fire. `soon` are the names whose alerts ended by themselves, each
    within five minutes. With `cut` there are too many names, and only the incident has them.
    """

    begins: Mapping[str, datetime] = field(default_factory=dict)
    acted: bool = False
    acked: bool = False
    soon: tuple[str, ...] = ()
    cut: bool = False


@dataclass(frozen=True, slots=True)
class Glance:
    """An incident as a row of a list. `essence` changes with what the row must show at once.

    `muted_by` names what mutes it and `muted_until` when that ends, if it does. `next_targets` are notified at `next_at`
    unless somebody acknowledges. `key` is that of the incident, or its id once another one has replaced it. `closes_at` is when the end is notified. `route` is empty where windows mute it as when
    it was saved.
    """

    at: datetime
    id: str
    key: str
    since: datetime
    essence: str = ""
    state: State = State.FIRING
    severity: Severity = Severity.WARNING
    title: str = ""
    cause: str = ""
    where: str = ""
    owner: str = ""
    services: tuple[str, ...] = ()
    alerts: int = 1
    holder: str = ""
    held_until: datetime | None = None
    muted_by: str = ""
    muted_until: datetime | None = None
    next_at: datetime | None = None
    next_targets: tuple[str, ...] = ()
    closes_at: datetime | None = None
    route: str = ""
    ended_at: datetime | None = None
    outcome: Outcome = field(default_factory=Outcome)

    @property
    def is_unowned(self) -> bool:
        """Return whether it needs somebody at once: critical, and nobody has it."""
        return self.state is State.FIRING and self.severity is Severity.CRITICAL

    @property
    def is_held_back(self) -> bool:
        """Return whether nobody is notified of it now: it is muted, or over."""
        return self.state not in (State.FIRING, State.ACKNOWLEDGED)


def urgency(each: Glance) -> tuple[bool, bool, int, datetime, str]:
    """Return the place in a list: critical ones that nobody has, then what targets are notified of, worst and oldest first."""
    return not each.is_unowned, each.is_held_back, each.severity.rank, each.since, each.id
