"""What every decision looks at beside its incident: silences, maintenance, active causes, recent deploys.

One stored item with a version. It is bounded: ended entries are dropped when something is added.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from chalicelib.core.delivery.notification import Deploy
from chalicelib.core.match import Matcher, matches_all

LONG_SILENCE = timedelta(hours=8)
EVERYTHING = "*"
"""Among the names of what changed: nobody knows what did."""
MAX_CHANGED = 200
"""So many names of what changed are kept, of some 20 characters: more count as everything."""
SILENCE_NAME = "silence:"
"""How the name of a silence begins among those; the others are names of relations (`core/relations.py`)."""
REMINDED_BEFORE = timedelta(hours=1)
"""So long before a long silence ends, the targets of what it mutes are reminded of it."""


@dataclass(frozen=True, slots=True)
class SilenceChange:
    """What a person did to a silence after making it; `before` are the matchers that it had until then, if others.

    `act` is that of the request, as of `Silence`.
    """

    at: datetime
    by: str
    text: str
    before: tuple[Matcher, ...] = ()
    act: str = ""


@dataclass(frozen=True, slots=True)
class Silence:
    """A person mutes by matchers until a time. `by` made it; `at` is when somebody last changed it, as in `changes`.

    `act` names the request that made it by its Idempotency-Key and what it asked for; empty without a key.
    """

    id: str
    matchers: tuple[Matcher, ...]
    starts_at: datetime
    ends_at: datetime
    by: str
    comment: str = ""
    at: datetime | None = None
    changes: tuple[SilenceChange, ...] = ()
    act: str = ""

    @property
    def acts(self) -> frozenset[str]:
        """Return the requests with a key that made or changed it, as far as its changes are kept."""
        return frozenset((self.act, *(change.act for change in self.changes))) - {""}

    @property
    def decided_at(self) -> datetime:
        """Return when a person last changed it, or made it."""
        return self.at or self.starts_at

    def active(self, now: datetime) -> bool:
        """Return True from its start until, not including, its end."""
        return self.starts_at <= now < self.ends_at

    @property
    def reminds_at(self) -> datetime | None:
        """Return when to say that it will end; None for one that nobody can have forgotten."""
        return self.ends_at - REMINDED_BEFORE if self.ends_at - self.starts_at >= LONG_SILENCE else None


@dataclass(frozen=True, slots=True)
class Cause:
    """A firing alert that may mute others; `labels` with alertname.

    `fingerprint` is that of the alert behind the key of its incident: two routes may hold the same alert.
    `event_name` is the sender's name of the alert, where its rule has another one.
    """

    fingerprint: str
    labels: Mapping[str, str]
    since: datetime
    event_name: str = ""

    @property
    def alert(self) -> str:
        """Return the fingerprint of the alert itself."""
        return self.fingerprint.rpartition("/")[2]

    def matched_by(self, matchers: Sequence[Matcher]) -> bool:
        """Return True when the matchers hold for it as its rule or as its sender names it, as for any alert."""
        if matches_all(matchers, self.labels):
            return True
        return bool(self.event_name) and matches_all(matchers, {**self.labels, "alertname": self.event_name})


@dataclass(frozen=True, slots=True)
class Rollback:
    """A roll back that a person asked for, from the deployment `deploy` to `to`. `press` is the id of the act.

    `what` names the project, and from where to where. `note` is what became of the request; empty until Vercel has answered
    it. `failed` lets the next press try again.
    """

    press: str
    incident: str
    project_id: str
    deploy: str
    to: str
    by: str
    at: datetime
    what: str = ""
    note: str = ""
    failed: bool = False


@dataclass(frozen=True, slots=True)
class Context:
    """`maintenance` are silences that hold back new alerts only and never cut off one already notified.

    `marks` are small facts about the router itself: the digest of the rules it last worked with (`rules`), that of the
    ones before (`rules_before`) and when they changed (`rules_changed_at`), since when it runs (`began_at`), the heartbeats it waits for (`beat:<name>`).
    `changed_at` is when silences or causes last changed, until a tick has had looked at what they may mute. `changed` names
    them; it is empty where the version before changed one of them.
    """

    silences: tuple[Silence, ...] = ()
    maintenance: tuple[Silence, ...] = ()
    causes: tuple[Cause, ...] = ()
    deploys: tuple[Deploy, ...] = ()
    rollbacks: tuple[Rollback, ...] = ()
    marks: Mapping[str, str] = field(default_factory=dict)
    changed_at: datetime | None = None
    changed: tuple[str, ...] = ()
    version: int = 0

    @property
    def all_silences(self) -> tuple[Silence, ...]:
        """Return the silences and the maintenance."""
        return (*self.silences, *self.maintenance)

    def with_changed(self, names: Iterable[str], now: datetime) -> "Context":
        """Return the context that remembers what of its silences and relations changed, beside what did before."""
        before = (EVERYTHING,) if self.changed_at is not None and not self.changed else self.changed
        changed = tuple(sorted({*before, *names}))
        if EVERYTHING in changed or len(changed) > MAX_CHANGED:
            changed = (EVERYTHING,)
        return replace(self, changed_at=now, changed=changed)

    def looked_at(self) -> "Context":
        """Return the context of which a tick has had looked at what changed."""
        return replace(self, changed_at=None, changed=())
