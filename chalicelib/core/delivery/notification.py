"""One announcement of one incident to one target: what a target's `render` is given.

A notification is a snapshot taken when it was decided, so that a retry says what the first try said. Its `id` follows
from the incident, the target, its number in their delivery log and its content.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from chalicelib.core.event import Severity
from chalicelib.core.rule import Target
from chalicelib.core.stored import flat, flat_keys, flat_or_none

MAX_ALERTS = 500
"""The alerts that a notification lists at most."""


class Reason(StrEnum):
    """Why it is sent. SYNC notifies nobody: it updates a message that was sent (acknowledged by …)."""

    OPENED = "opened"
    UPDATED = "updated"
    REMINDER = "reminder"
    ESCALATED = "escalated"
    RESOLVED = "resolved"
    SYNC = "sync"
    TEST = "test"


SOUNDING = frozenset({Reason.OPENED, Reason.REMINDER, Reason.ESCALATED, Reason.TEST})
"""Whoever is notified so must notice it. The end is not meant to wake anybody."""


class Why(StrEnum):
    """Why a target must notice something at once, and not at the next flush of the incident (core/sounds.py)."""

    OPENING = "opening"
    """Something is critical, and this target knows nothing of the incident of which others were notified."""
    WORSE = "worse"
    """An alert is worse than all that the target knew, or rose."""
    AFTER_ACK = "after_ack"
    """A critical alert began after somebody had acknowledged the others."""
    UNSEEN = "unseen"
    """Critical alerts joined what somebody has acknowledged, and nobody acknowledged them for a while."""
    UNEXPLAINED = "unexplained"
    """A critical alert still fires a while after the end of what explained it (core/dependencies.py)."""
    REMINDER = "reminder"
    """It superseded a reminder that the target did not receive (core/delayed.py); no stored value has this or the next."""
    ESCALATED = "escalated"
    """It superseded an escalation that the target did not receive."""


@dataclass(frozen=True, slots=True)
class TopError:
    """One of the errors that an alert counts. `count` is of the events since `TopErrors.since`.

    `known_since` is when it first came. `is_new` is None where that is not known; `deploy` names the deploy since which
    a new one comes. `remembered` is for how long before no event of it came, where its sender does not say.
    """

    title: str
    count: int
    url: str = ""
    release: str = ""
    known_since: datetime | None = None
    is_new: bool | None = None
    deploy: str = ""
    remembered: timedelta | None = None


@dataclass(frozen=True, slots=True)
class TopErrors:
    """The most frequent errors of an alert that counts events: `events` since `since`, the errors with the most first."""

    since: datetime
    events: int
    errors: tuple[TopError, ...] = ()


@dataclass(frozen=True, slots=True)
class AlertSnapshot:
    """One alert as a notification shows it. `value` and `threshold` are texts with their unit ("3.2 %", "1 %").

    `impact_of` is the service that explains it, while something critical fires there.
    `is_unmatched` says that no rule matched the event of a sender: its name is then the sender's, not that of a rule.
    """

    name: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    status: str
    severity: Severity
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
    top: TopErrors | None = None
    observed: Mapping[str, str] = field(default_factory=dict)
    impact_of: str = ""
    is_unmatched: bool = False


@dataclass(frozen=True, slots=True)
class Runbook:
    """A page of runbook/: its file name without ending, its title and the first steps of its Diagnosis list."""

    name: str
    title: str = ""
    steps: tuple[str, ...] = ()
    url: str | None = None


@dataclass(frozen=True, slots=True)
class ServiceSnapshot:
    """The entry in the rules file of a service whose alerts a notification shows. `links` are addresses by their titles."""

    name: str
    owner: str = ""
    tier: int | None = None
    links: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Deploy:
    """A deploy that came shortly before the incident. `url` is the page for people.

    `project_id` is set for deployments of Vercel only: with it one can roll back. `live_at` is when Vercel made it serve
    production last (`is_live`), else when it was ready to.
    """

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

    def concerns(self, service: str | None) -> bool:
        """Return True unless it is known to be of another service than this one."""
        return not service or not self.service or self.service == service


@dataclass(frozen=True, slots=True)
class IncidentSnapshot:
    """The incident of a notification. `key` names its group, `events` counts those of all its alerts."""

    id: str
    key: str
    started_at: datetime
    events: int
    route: str = ""
    ended_at: datetime | None = None
    group: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class AckSnapshot:
    """Who has the alerts of a notification, and since when. The first version did not note the time."""

    by: str
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class ClosingSnapshot:
    """Nothing fires any more since `since`; the targets are notified of the end at `at` unless it fires again.

    Where somebody keeps it open (`kept_by`), `at` is since when, and nothing says when it ends.
    """

    since: datetime
    at: datetime
    kept_by: str = ""


@dataclass(frozen=True, slots=True)
class Activity:
    """What people wrote and did. `remarks` are their newest sentences, which a message goes on showing.

    `acts` are what they did since the target was notified last, each as its kind and a sentence.
    """

    remarks: tuple[str, ...] = ()
    acts: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Background:
    """What readers need beside the alerts. `notes` are whole sentences ("Back after the silence of ana.").

    `timezone` is that of the times which they read. `senders` are the names of sources for people, `text` is all of it as
    plain text, `fields` and `links` are those of the first alert's rule, `request` is how the rules file writes the request, `page` the address of the stage's page: they are set when
    it is sent, and never stored.
    """

    runbook: Runbook | None = None
    deploys: tuple[Deploy, ...] = ()
    notes: tuple[str, ...] = ()
    timezone: str = "UTC"
    text: str = ""
    senders: Mapping[str, str] = field(default_factory=dict)
    services: tuple[ServiceSnapshot, ...] = ()
    request: Mapping[str, Any] = field(default_factory=dict)
    page: str = ""
    fields: Mapping[str, str] = field(default_factory=dict)
    links: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DeliveryHints:
    """What the delivery of a notification goes by. `played_back` is how often it came back from the dead letters.

    `crowd` is how many incidents were decided with it.
    """

    played_back: int = 0
    crowd: int = 1


@dataclass(frozen=True, slots=True)
class Notification:
    """The content that one target receives. `alerts` are those it is notified of, `evidence` the muted and inhibited ones beside them.

    `seq` counts from 1 in the delivery log of this incident and target; seq 1 opens a message, later ones change it.
    `also` counts alerts over the limit. `ack` is None while an alert needs somebody. `wave` counts the calls of a pager
    (waves.py). `storm` counts the incidents of a storm (storms.py); any other has none. `why` is set on an update that must be noticed at once. `closing` is set on a silent change while the end is held back.
    """

    id: str
    incident: IncidentSnapshot = field(metadata=flat_keys(id="incident"))
    seq: int
    target: Target
    reason: Reason
    status: str
    severity: Severity
    title: str
    at: datetime
    alerts: tuple[AlertSnapshot, ...]
    evidence: tuple[AlertSnapshot, ...] = ()
    also: int = 0
    ack: AckSnapshot | None = flat_or_none(by="acked_by", at="acked_at")
    activity: Activity = flat(Activity, remarks="said")
    background: Background = flat(Background)
    hints: DeliveryHints = flat(DeliveryHints, played_back="again")
    wave: int = 1
    storm: int = 0
    why: Why | None = None
    closing: ClosingSnapshot | None = None

    @property
    def sounds(self) -> bool:
        """Return whether people must notice it: a message of its own, not only one that is brought up to date."""
        return self.reason in SOUNDING or self.why is not None


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a target answered, kept for later changes: Slack's `channel` and `ts`, PagerDuty's `dedup_key`, SES's id.

    `doubled` is true when it may have been sent twice: an earlier try was in doubt, and nobody could look. `sent` is
    false when there was nothing to send: then nothing is known of the target either.
    """

    values: Mapping[str, str] = field(default_factory=dict)
    note: str = ""
    doubled: bool = False
    sent: bool = True
