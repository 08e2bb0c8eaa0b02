"""What a sender says happened: one fact, normalised.

An event's `id` is equal on every delivery of one occurrence, so that a doubled webhook counts once. Its `identity`
says what it is about within its source (an issue, a tunnel, a certificate), so that the end of a fault finds its
beginning: equal `fingerprint` means the same alert.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from functools import lru_cache
from hashlib import blake2b

ROUTER = "router"
"""The source of events about Tocsin itself: internal alerts."""
OWN_SOURCES = ("probe", "heartbeat", ROUTER)
"""Sources of events that no sender posts."""

UNREAD_STATUS = "unread_status"
"""The annotation of an event whose word for its state nobody knows: the router warns of it."""
NO_STATUS = "(missing)"
"""The value of that annotation where the body has no state at all where its entry looks."""


class Status(StrEnum):
    """What an event says of its fault: it fires, it ended, or neither."""

    FIRING = "firing"
    RESOLVED = "resolved"
    INFO = "info"


class Severity(StrEnum):
    """How bad. Nothing that is info ever pages."""

    CRITICAL = "critical"
    WARNING = "warning"
    INFO = "info"

    @property
    def rank(self) -> int:
        """Return the rank; 0 is worst."""
        return _RANKS[self]


_RANKS = {Severity.CRITICAL: 0, Severity.WARNING: 1, Severity.INFO: 2}


class ActionKind(StrEnum):
    """What a person did, here or at a vendor."""

    ACK = "ack"
    UNACK = "unack"
    RESOLVE = "resolve"
    REASSIGN = "reassign"
    NOTE = "note"
    KEEP = "keep"
    """Has an incident stay open, though nothing of it fires (core/keeping.py)."""
    ROLL_BACK = "roll_back"
    """Only asked about (core/outcome.py): what becomes of it is written as a note."""
    LINK = "link"
    """Nobody's act: says what the incident is called at a vendor."""


@dataclass(frozen=True, slots=True)
class Action:
    """What a person did to incidents that exist: it changes them and never opens one.

    `incident` names one incident by its id (PagerDuty's dedup_key); without it `matchers` choose by labels, in the
    form of a rule's `match` (`=`, `!=`, `=~`, `!~` at the start of the value, else equality).
    `via` is where it was done (`pagerduty`, `slack`, `api`), so that it is not sent back there. `alias` is what the
    vendor calls the incident (`pagerduty:Q1A2B3`), for acts that come without our id.
    `account` is whose account it was (`slack:T1/U1`: workspace and user; `token:ana`; `pagerduty:PABC123`).
    `answered` is the result that the door gave the person (core/outcome.py), empty where it gave none: another result
    of the folded act is sent to `reply_to`, else to the person in `channel`.
    """

    kind: ActionKind
    by: str
    at: datetime
    incident: str | None = None
    matchers: Mapping[str, str] = field(default_factory=dict)
    via: str = ""
    note: str = ""
    id: str = ""
    alias: str = ""
    account: str = ""
    answered: str = ""
    reply_to: str = ""
    channel: str = ""


@dataclass(frozen=True, slots=True)
class Event:
    """One fact. `occurred_at` is the sender's time (aware, UTC); `labels` and `annotations` are text to text.

    `name` is the label `alertname` of events that bring one (Alertmanager); others use their kind.
    `starts_at` and `ends_at` are set only where the sender says them (Alertmanager): a past `ends_at` resolves.
    `severity_raw` is the sender's own word for how bad it is, where no label holds it.
    `action` is set when the event is a person's act at a vendor (PagerDuty): it only changes incidents that exist.
    `ends_also` are further identities of the same source that an end ends: what the version before called the fault, or
    what the sender calls it in another body. An alert that is not open under such a name is left alone.
    `repeats` are further events of the same alert that it stands for, in a storm (process/rates.py).
    """

    id: str
    source: str
    kind: str
    status: Status
    severity: Severity
    title: str
    occurred_at: datetime
    identity: str
    name: str = ""
    summary: str = ""
    url: str | None = None
    service: str | None = None
    environment: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    action: Action | None = None
    severity_raw: str = ""
    ends_also: tuple[str, ...] = ()
    repeats: int = 0

    @property
    def fingerprint(self) -> str:
        """Return 16 hex characters, equal for events about the same thing."""
        return fingerprint(self.source, self.identity)

    def all_labels(self) -> dict[str, str]:
        """Return the labels that matchers and `group_by` see: the sender's labels under the event's own words."""
        words = {
            "source": self.source,
            "kind": self.kind,
            "severity": self.severity.value,
            "alertname": self.name or self.kind,
        }
        if self.service:
            words["service"] = self.service
        if self.environment:
            words["environment"] = self.environment
        if self.severity_raw in ("", self.severity.value):
            return with_words(self.labels, words)
        return with_words({f"severity{RAW}": self.severity_raw, **self.labels}, words)


def with_words(labels: Mapping[str, str], words: Mapping[str, str]) -> dict[str, str]:
    """Return the labels with the normalised words in place; a sender's other value stays as `<word>_raw`.

    Rules, routes, inhibitions, silences and API filters match these words, and people see them, so that a label can
    neither rename its sender (`source: router`) nor hide how bad it is (`severity: page`).
    """
    found = {**labels, **words}
    for name, word in words.items():
        said = labels.get(name)
        if said and said != word:
            found.setdefault(f"{name}{RAW}", said)
    return found


RAW = "_raw"
"""Ending of the label that keeps a sender's own word where the normalised one differs."""


@lru_cache(maxsize=4096)
def fingerprint(*parts: str) -> str:
    """Return 16 hex characters of the parts; no part can run into its neighbour. The same few are asked for again and again."""
    data = [part.encode("utf-8", "surrogatepass") for part in parts]
    return blake2b(b"".join(len(each).to_bytes(4, "big") + each for each in data), digest_size=8).hexdigest()


def labels_fingerprint(name: str, labels: Mapping[str, str]) -> str:
    """Return the fingerprint of a name and labels, whatever their order."""
    parts = [name]
    for key in sorted(labels):
        parts += (key, labels[key])
    return fingerprint(*parts)
