"""One series of one rule: pending, firing or resolved.

An alert is driven by events (a fault that begins and ends), by the count of its events, by measured values or by beats
that stay away: see lifecycle.py, transitions.py, evaluation.py and heartbeat.py.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar

from chalicelib.core.event import Severity, with_words
from chalicelib.core.faults import CountedFaults
from chalicelib.core.match import Matcher, matches_all
from chalicelib.core.stored import flat, missing_from, stored_as


class AlertState(StrEnum):
    """What an alert is in. INACTIVE is only remembered, never shown."""

    INACTIVE = "inactive"
    PENDING = "pending"
    FIRING = "firing"
    RESOLVED = "resolved"


class Origin(StrEnum):
    """What an alert comes from. It is set where the alert is made, and stays."""

    EVENT = "event"
    """The events of a fault that begins and ends: only its sender's word keeps it."""
    COUNT = "count"
    """The events that the condition of a rule counts."""
    SERIES = "series"
    """Values that the condition of a rule compares."""
    HEARTBEAT = "heartbeat"
    """A heartbeat that stays away."""


def _origin_of_stored(stored: Mapping[str, Any]) -> Origin:
    """Return the origin of an alert that the version before stored: it shows in the keys that are there."""
    if stored.get("measured"):
        return Origin.SERIES
    if stored.get("beat"):
        return Origin.HEARTBEAT
    return Origin.COUNT if stored.get("condition") else Origin.EVENT


@dataclass(frozen=True, slots=True)
class Sender:
    """Whose alert it is: the source, and the kind and the name that its events have there."""

    source: str = ""
    kind: str = ""
    event_name: str = ""


@dataclass(frozen=True, slots=True)
class Timers:
    """The times from which an alert changes without news.

    `pending_at` is since when it is pending, `cleared_at` since when it is no longer active while it is kept firing,
    `expires_at` an end that its sender announced.
    """

    pending_at: datetime | None = None
    cleared_at: datetime | None = None
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class StateChanges:
    """When an alert began and ended lately, oldest first, and whether that is flapping.

    `ended_by` says who or what ended it last, where it was not its sender. `eased_at` is since when its sender no longer calls
    it critical, in the time since it began last.
    """

    times: tuple[datetime, ...] = ()
    flapping: bool = False
    ended_by: str = ""
    eased_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class SenderText:
    """What the sender of an alert wrote of it for people."""

    title: str = ""
    summary: str = ""
    url: str | None = None
    annotations: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ReceivedEvents:
    """What was received of an alert: events, values or heartbeats.

    `events` counts the distinct ones. `last_event_at` is the sender's time of the newest, `refreshed_at` the last news
    at all. `recent` holds (time, short id) of the newest events, oldest first; of an end, the short id after END_MARK.
    `beats` holds of a heartbeat the newest ends of runs in whole seconds, oldest first, and whether each was a success.
    """

    events: int = 0
    last_event_at: datetime | None = None
    refreshed_at: datetime | None = None
    recent: tuple[tuple[float, str], ...] = ()
    beats: tuple[tuple[int, bool], ...] = ()


@dataclass(frozen=True, slots=True)
class LastEvaluation:
    """What the condition of an alert's rule came to when it was evaluated last, as people read it.

    `no_data` is true when it was unknown and its rule alerts on that. `recheck_at` is when its answer could change
    without news.
    """

    value: str = ""
    threshold: str = ""
    condition: str = ""
    no_data: bool = False
    recheck_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class JobRun:
    """The run of a heartbeat's job that began last and has not ended. `id` is the sender's own, empty without one."""

    started_at: datetime | None = None
    id: str = ""


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """Who acknowledged an alert, and what an acknowledgement does not outlive.

    `severity` is that of the alert then: it counts only while the alert is acknowledged. `worse_at` is when the sender
    last raised the severity above it while the alert fired. `notified_end` is the newest end of the alert of which
    people were notified, `given_back_at` when somebody last gave it back: an acknowledgement from before covers neither.
    """

    by: str | None = None
    at: datetime | None = None
    severity: Severity | None = None
    worse_at: datetime | None = None
    given_back_at: datetime | None = None
    notified_end: datetime | None = None


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert: what it is and comes from, what it is in since when, and what is known of it.

    `faults` are those of the events of a count. `observed` is what was seen when it was measured last (core/observed.py).
    `routes` are the ids of the routes by which it came to a correlated incident. `moved_to` is the key of the incident
    where an alert of a series, of a count or of a `for:` fires by now: here it only stands for it. There `moved_from` is
    the key of this one. In a storm `moved_from` is the key of the incident of which the alert is a copy.
    """

    ALSO_STORED: ClassVar[Mapping[str, Callable[["Alert"], bool]]] = {
        "measured": lambda alert: alert.origin is Origin.SERIES
    }

    fingerprint: str
    rule: str = ""
    name: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    severity: Severity = Severity.WARNING
    origin: Origin = missing_from(_origin_of_stored, default=Origin.EVENT)
    sender: Sender = flat(Sender)
    state: AlertState = AlertState.INACTIVE
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    timers: Timers = flat(Timers)
    changes: StateChanges = flat(StateChanges, times="changes")
    text: SenderText = flat(SenderText)
    received: ReceivedEvents = flat(ReceivedEvents)
    faults: CountedFaults = field(default_factory=CountedFaults)
    observed: Mapping[str, str] = field(default_factory=dict)
    evaluation: LastEvaluation = flat(LastEvaluation)
    ack: Acknowledgement = flat(Acknowledgement, by="acked_by", at="acked_at", severity="acked_severity")
    schedule: Mapping[str, str] = stored_as("beat", default_factory=dict)
    run: JobRun = flat(JobRun, started_at="run_started_at", id="run_id")
    routes: tuple[str, ...] = ()
    moved_to: str = ""
    moved_from: str = ""

    def match_labels(self) -> dict[str, str]:
        """Return the labels that matchers and `group_by` see, with the words that people see."""
        words = {"source": self.sender.source, "kind": self.sender.kind, "severity": self.severity.value}
        return {**with_words(self.labels, words), "alertname": self.name}

    def matched_by(self, matchers: Iterable[Matcher]) -> bool:
        """Return whether the matchers hold for it as its rule or as its sender names it, and how bad it is."""
        clauses, event_name = tuple(matchers), self.sender.event_name
        for each in clauses:  # most that do not match already differ in their name, before there is a dict of labels
            if each.label == "alertname" and each.operator == "=" and each.value not in (self.name, event_name):
                return False
        labels = self.match_labels()
        if matches_all(clauses, labels):
            return True
        return bool(event_name) and matches_all(clauses, {**labels, "alertname": event_name})

    @property
    def active(self) -> bool:
        """Return whether it is pending or firing."""
        return self.state in (AlertState.PENDING, AlertState.FIRING)

    @property
    def has_condition(self) -> bool:
        """Return whether the condition of a rule decides whether it is active: it is of a series or of a count."""
        return self.origin in (Origin.SERIES, Origin.COUNT)

    @property
    def since(self) -> datetime | None:
        """Return when it began to be what it is: of a pending one not when it fired the last time."""
        return self.timers.pending_at if self.state is AlertState.PENDING else self.starts_at or self.timers.pending_at
