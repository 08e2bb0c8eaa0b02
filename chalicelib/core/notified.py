"""What each target of an incident was notified of: the state that a notification is decided against."""

from collections.abc import Mapping, Set
from dataclasses import dataclass, field
from datetime import datetime

from chalicelib.core.delivery.notification import Reason, Why
from chalicelib.core.rule import Target
from chalicelib.core.stored import flat


@dataclass(frozen=True, slots=True)
class LastNotification:
    """The newest notification that was decided for a target: no other is sent.

    `at` is when it was decided, or received once that is known. It is not that of a silent change. `sounded_at` is when
    the newest one was decided that people must notice, whatever its reason; `sounded_seq` is its number, `sounded_for` its
    reason. `news_seq` is the number of the newest one that had news, `acts_until` the time of the newest act of a person
    that one of them showed.
    """

    seq: int = 0
    id: str = ""
    at: datetime | None = None
    news_seq: int = 0
    acts_until: datetime | None = None
    sounded_at: datetime | None = None
    sounded_seq: int = 0
    sounded_for: Reason | None = None

    @property
    def is_named(self) -> bool:
        """Return whether it is known by its id; the first version kept a list of ids in the incident."""
        return bool(self.id)


@dataclass(frozen=True, slots=True)
class LastSound:
    """The newest update that the target had to notice at once, and why (sounds.py). `at` is when it was decided."""

    seq: int = 0
    at: datetime | None = None
    why: Why | None = None


@dataclass(frozen=True, slots=True)
class NotifiedAlerts:
    """The alerts of which a target was notified and not of their end.

    `firing` maps the fingerprint of each to the rank of its severity then. `hidden` were muted since: when they can be
    seen again, that is news. `flapping` were shown as flapping. `joined` are those of a correlated incident that the
    target could see since its last sound, with since when (seconds): nobody may have noticed them. With `anew` it was
    notified of nothing that fires, in an incident that somebody kept open: what fires there must be noticed.
    """

    firing: Mapping[str, int] = field(default_factory=dict)
    hidden: frozenset[str] = frozenset()
    flapping: frozenset[str] = frozenset()
    joined: Mapping[str, float] = field(default_factory=dict)
    anew: bool = False

    @property
    def all(self) -> Set[str]:
        """Return the alerts of which the target was notified, or that it would have been notified of by now."""
        return self.firing.keys() | self.joined.keys()


@dataclass(frozen=True, slots=True)
class PagerState:
    """What a pager has of an incident: the number of its newest wave (waves.py) and when that began.

    `acknowledged` says whether it is acknowledged there. It is None where the version before did not note it.
    """

    wave: int = 1
    wave_at: datetime | None = None
    acknowledged: bool | None = None


@dataclass(frozen=True, slots=True)
class ShownClosing:
    """Whether the message of a target says that nothing fires any more (closing.py), and when it last began to."""

    shown: bool = False
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class NotifiedState:
    """What one target has of an incident. It is `open` from its first notification to that of the end.

    `storm` is the key of the storm in which the target is notified of it; empty where it has messages of its own.
    """

    target: Target
    open: bool = False
    last: LastNotification = flat(LastNotification, acts_until="heard_at")
    sound: LastSound = flat(LastSound, seq="woke_seq", at="woke_at", why="woke_for")
    alerts: NotifiedAlerts = flat(NotifiedAlerts)
    pager: PagerState = flat(PagerState)
    closing: ShownClosing = flat(ShownClosing, shown="shows_closing", at="closing_at")
    storm: str = ""

    @property
    def was_notified(self) -> bool:
        """Return whether a notification was ever decided for this target."""
        return self.last.seq > 0

    @property
    def wave_began_at(self) -> datetime | None:
        """Return when the newest wave began; the version before noted only when it was notified last."""
        return self.pager.wave_at or self.last.at
