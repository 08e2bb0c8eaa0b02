"""What each target of an incident was notified of: the state that a notification is decided against."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from chalicelib.core.rule import Target


@dataclass(frozen=True, slots=True)
class NotifiedState:
    """What one target knows: `firing` maps the fingerprint of each told alert to the rank of its severity then.

    `hidden` are told alerts that were muted since: when they can be seen again, that is news. `heard_at` is the time of
    the newest act of a person that was told here. `seq` and `id` are those of the newest notification: no other is sent.
    Of a pager: `wave` is the newest one (waves.py), `wave_at` when it began, `acknowledged` whether it is acknowledged there
    (None: the version before did not note it).
    `news_seq` is the number of the newest one that had news.
    """

    target: Target
    seq: int = 0
    id: str = ""
    at: datetime | None = None
    open: bool = False
    firing: Mapping[str, int] = field(default_factory=dict)
    hidden: frozenset[str] = frozenset()
    flapping: frozenset[str] = frozenset()
    heard_at: datetime | None = None
    wave: int = 1
    wave_at: datetime | None = None
    acknowledged: bool | None = None
    news_seq: int = 0
