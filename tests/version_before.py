"""The stored and queued values as the version before has them: flat, under its names. Never changed with the code.

A stage runs both versions while a deploy is under way, so each reads what the other wrote.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any


@dataclass(frozen=True, slots=True)
class Target:
    """Where a message goes."""

    kind: str
    address: str
    send_resolved: bool = True
    timeout: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Announced:
    """What one target knows."""

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


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the timeline."""

    at: datetime
    text: str
    by: str = ""
    kind: str = ""
    act: str = ""
    target: str = ""
    seq: int = 0
    count: int = 0
    until: datetime | None = None
    via: str = ""
    account: str = ""
    result: str = ""


@dataclass(frozen=True, slots=True)
class Rhythm:
    """When a route notifies."""

    group_by: tuple[str, ...] = ("service", "environment")
    group_wait: timedelta = timedelta(seconds=30)
    group_interval: timedelta = timedelta(minutes=5)
    repeat_interval: timedelta = timedelta(hours=4)
    ack_timeout: timedelta = timedelta(hours=8)
    resolve_timeout: timedelta = timedelta(hours=24)
    max_alerts: int = 500
    timezone: str = "UTC"


@dataclass(frozen=True, slots=True)
class Incident:
    """The alerts of one group. `alerts` are JSON: their own fields are no part of this."""

    key: str
    id: str = ""
    version: int = 0
    route: str = ""
    group: Mapping[str, str] = field(default_factory=dict)
    rhythm: Rhythm = field(default_factory=Rhythm)
    alerts: Mapping[str, Any] = field(default_factory=dict)
    announced: Mapping[str, Announced] = field(default_factory=dict)
    started_at: datetime | None = None
    opened_at: datetime | None = None
    ended_at: datetime | None = None
    anchor_at: datetime | None = None
    flushed_at: datetime | None = None
    next_flush_at: datetime | None = None
    wake_at: datetime | None = None
    escalate_from: datetime | None = None
    escalated: int = 0
    sync: str = ""
    aliases: tuple[str, ...] = ()
    closed_via: str = ""
    overflow: int = 0
    beyond: Mapping[str, float] = field(default_factory=dict)
    overflown: tuple[str, ...] = ()
    committed: tuple[str, ...] = ()
    timeline: tuple[Entry, ...] = ()
    pages: int = 0


@dataclass(frozen=True, slots=True)
class Told:
    """One alert as a notification shows it."""

    name: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    status: str
    severity: str
    title: str
    starts_at: datetime
    ends_at: datetime | None = None
    summary: str = ""
    url: str | None = None
    source: str = ""
    kind: str = ""
    events: int = 0
    last_event_at: datetime | None = None
    value: str = ""
    threshold: str = ""
    condition: str = ""
    acked_by: str | None = None
    muted_by: tuple[str, ...] = ()
    fingerprint: str = ""


@dataclass(frozen=True, slots=True)
class Runbook:
    """A page of the runbook."""

    name: str
    title: str = ""
    steps: tuple[str, ...] = ()
    url: str | None = None


@dataclass(frozen=True, slots=True)
class Deploy:
    """A deploy that came shortly before the incident."""

    id: str
    at: datetime
    kind: str
    service: str | None = None
    title: str = ""
    by: str = ""
    commit: str = ""
    url: str | None = None
    project: str = ""
    project_id: str = ""
    live_at: datetime | None = None
    is_live: bool = False


@dataclass(frozen=True, slots=True)
class Notification:
    """What one target is notified of."""

    id: str
    incident: str
    key: str
    seq: int
    target: Target
    reason: str
    status: str
    severity: str
    title: str
    at: datetime
    started_at: datetime
    alerts: tuple[Told, ...]
    events: int
    route: str = ""
    ended_at: datetime | None = None
    group: Mapping[str, str] = field(default_factory=dict)
    evidence: tuple[Told, ...] = ()
    also: int = 0
    runbook: Runbook | None = None
    deploys: tuple[Deploy, ...] = ()
    acked_by: str | None = None
    acked_at: datetime | None = None
    notes: tuple[str, ...] = ()
    timezone: str = "UTC"
    text: str = ""
    again: int = 0
    crowd: int = 1
    said: tuple[str, ...] = ()
    acts: tuple[tuple[str, str], ...] = ()
    wave: int = 1


@dataclass(frozen=True, slots=True)
class Turn:
    """One delivery that is not known to be done."""

    seq: int
    at: datetime
    since: datetime
    rank: int = 0
    tries: int = 0
    leased_until: datetime | None = None
    in_doubt: bool = False
    deaths: int = 0


@dataclass(frozen=True, slots=True)
class Lane:
    """The claims, the pace and the health of one target."""

    key: str
    turns: Mapping[str, Turn] = field(default_factory=dict)
    next_at: datetime | None = None
    decided_at: datetime | None = None
    closed_until: datetime | None = None
    failing_since: datetime | None = None
    broken_at: datetime | None = None
    told: tuple[str, ...] = ()
    refusal: str = ""
    silent_at: datetime | None = None
    changes_until: datetime | None = None
    version: int = 0


@dataclass(frozen=True, slots=True)
class Result:
    """One delivery that was done."""

    seq: int
    at: datetime
    reason: str
    delivered: bool
    attempts: int = 1
    error: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Thread:
    """The deliveries of one incident to one target."""

    key: str
    done_seq: int = 0
    parked: int | None = None
    in_doubt: bool = False
    untold: bool = False
    doubles: int = 0
    receipt: Mapping[str, str] = field(default_factory=dict)
    results: tuple[Result, ...] = ()
    firing: Mapping[str, int] = field(default_factory=dict)
    version: int = 0
