"""What the stages need from outside, as protocols. Time is not a port: every stage is given `now`."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any, Protocol

from chalicelib.core.context import Context
from chalicelib.core.delivery.delivery_log import DeliveryLog
from chalicelib.core.delivery.target_state import TargetState
from chalicelib.core.glance import Glance
from chalicelib.core.identity import End, Fault, Holder
from chalicelib.core.incident import Entry, Incident
from chalicelib.core.metrics.sample import Bucket, Sample
from chalicelib.core.stage_counts import StageCounts
from chalicelib.core.summary import PAGE, Summary, SummaryPage
from chalicelib.core.tokens import Tokens


class Store(Protocol):
    """What is remembered. Every read sees every acknowledged write (strongly consistent)."""

    def load(self, key: str) -> Incident | None:
        """Return the newest incident of a group key, ended or not."""
        ...

    def save(self, incident: Incident, *, archive: Incident | None = None) -> None:
        """Store `incident` if the stored version is `incident.version - 1` (0: nothing stored); else ConflictError.

        `archive` is the ended incident that this one replaces under its key: kept under its own id, for people.
        """
        ...

    def load_all(self, keys: Collection[str]) -> Mapping[str, Incident]:
        """Return the newest incidents of these group keys, those that are stored."""
        ...

    def faults(self, names: Collection[str]) -> Mapping[str, Fault]:
        """Return what is stored of these faults; nothing for one that is not stored."""
        ...

    def claim(self, name: str, slot: str, holder: Holder, *, over: Holder | None) -> Fault:
        """Store a holder in a slot of a fault if the slot is empty or still has `over`. Return the fault as it is then.

        Of two workers that meet a fault first, one finds its own holder in the slot, the other that of the first.
        """
        ...

    def end_fault(self, name: str, end: End) -> Fault:
        """Remember an end that no incident knows the fault of. Return the fault as it is then."""
        ...

    def located(self, name: str) -> str | None:
        """Return the group key of the incident with this id or alias (`pagerduty:Q1A2B3`); None for an unknown one."""
        ...

    def locate(self, names: Collection[str], key: str) -> None:
        """Remember the group key of an incident's id and aliases, for 90 days."""
        ...

    def related(self, names: Collection[str]) -> Collection[str]:
        """Return the keys of the incidents that were related to one of these names (`core/relations.py`)."""
        ...

    def relate(self, names: Collection[str], key: str) -> None:
        """Remember for 90 days that an incident has to do with these names; twice is once."""
        ...

    def archived(self, id: str) -> Incident | None:
        """Return the ended incident of that id, once another one has replaced it under its key."""
        ...

    def archives(self, ids: Collection[str]) -> Mapping[str, Incident]:
        """Return the archived incidents of these ids, by id, those that are stored."""
        ...

    def amend(self, incident: Incident) -> None:
        """Store an archived incident anew, with a note of after its end, as `save` does: by its version."""
        ...

    def keep_timeline(self, id: str, number: int, entries: Sequence[Entry]) -> None:
        """Keep a page of an incident's older lines for 90 days; the same page twice is one."""
        ...

    def timeline(self, id: str) -> Sequence[Entry]:
        """Return the lines of an incident's pages, oldest page first."""
        ...

    def waking(self, now: datetime, limit: int) -> Sequence[tuple[datetime, str]]:
        """Return `wake_at` and key of the incidents whose timer is not after `now`, the most overdue first.

        The index may lag by a second: a timer that was moved since is harmless to wake.
        """
        ...

    def incidents(self, *, ended_since: datetime | None = None, quiet: bool = False) -> Iterable[Incident]:
        """Return the open incidents, those that ended after `ended_since`, and with `quiet` those that wait to begin.

        The last have a timer though nothing of theirs fires: their alerts are pending, or looked at now and then.
        All are read whole. `core/listing.py` finds some of them among many.
        """
        ...

    def summaries(self, after: str = "", *, ended_since: datetime | None = None, limit: int = PAGE) -> SummaryPage:
        """Return a page of the incidents that are open or wait, in short; then of those that ended since that day.

        `after` is the `next` of the page before: a change of an incident moves it to no other page. The index may lag by
        a second: a summary may be older than its incident, and a new incident may be missing.
        """
        ...

    def worst(self, limit: int | None = None, *, ended_since: datetime | None = None) -> Sequence[Glance] | None:
        """Return the rows of open incidents, the worst first, `limit` at most; then of all that ended since that day.

        None while the table has no such index. It may lag by a second, and lacks incidents that the version before saved.
        """
        ...

    def ended_on(self, days: Collection[date], limit: int) -> Sequence[Summary]:
        """Return incidents that ended on these days (UTC) in short, `limit` at most of each day."""
        ...

    def context(self) -> Context:
        """Return silences, maintenance, active causes, deploys: what every decision looks at."""
        ...

    def save_context(self, context: Context) -> None:
        """Store it if the stored version is `context.version - 1`; else ConflictError."""
        ...

    def tokens(self) -> Tokens:
        """Return the named tokens of the API; none when nothing is stored."""
        ...

    def save_tokens(self, tokens: Tokens) -> None:
        """Store them if the stored version is `tokens.version - 1`; else ConflictError."""
        ...

    def delivery_log(self, key: str) -> DeliveryLog:
        """Return the delivery log of that key; a fresh one when nothing is stored."""
        ...

    def delivery_logs(self, keys: Collection[str]) -> Mapping[str, DeliveryLog]:
        """Return the delivery logs of these keys, by key, those that are stored."""
        ...

    def save_delivery_log(self, delivery_log: DeliveryLog) -> None:
        """Store it if the stored version is `delivery_log.version - 1`; else ConflictError."""
        ...

    def target_state(self, key: str) -> TargetState:
        """Return the state of a target, by its key; a fresh one when nothing is stored."""
        ...

    def target_states(self, keys: Collection[str]) -> Mapping[str, TargetState]:
        """Return the states of these targets, by key, those that are stored."""
        ...

    def save_target_state(self, target_state: TargetState) -> None:
        """Store it if the stored version is `target_state.version - 1`; else ConflictError."""
        ...

    def add_samples(self, samples: Sequence[Sample]) -> None:
        """Remember measured values; the same sample twice counts once."""
        ...

    def label_sets(self, metric: str) -> Sequence[Mapping[str, str]]:
        """Return the label sets under which the metric was measured in the last day."""
        ...

    def buckets(self, metric: str, labels: Mapping[str, str], since: datetime, until: datetime) -> Sequence[Bucket]:
        """Return the series' buckets with since < last_at <= until, oldest first."""
        ...

    def claim_minute(self, name: str, at: datetime) -> bool:
        """Claim a minute of a schedule for one run. Return False when another run has it, or a later minute.

        Nothing of it expires: the next minute replaces it.
        """
        ...

    def put_mark(self, name: str, text: str) -> None:
        """Keep a short text under a name. The last one stays, whoever wrote it."""
        ...

    def marks(self, names: Collection[str]) -> Mapping[str, str]:
        """Return the texts that are kept under these names, by name."""
        ...

    def stage_counts(self) -> StageCounts:
        """Return what the stage has counted of its own work; nothing where nothing is stored."""
        ...

    def save_stage_counts(self, counts: StageCounts) -> None:
        """Store them if the stored version is `counts.version - 1`; else ConflictError."""
        ...

    def keep_history(self, day: str, name: str, data: bytes) -> None:
        """Keep an item of a day's history for some weeks; the same item twice is one."""
        ...

    def history(self, day: str, after: str) -> tuple[str, bytes] | None:
        """Return the first item of a day (`2026-11-26`) whose name comes after, with its name."""
        ...

    def get_body(self, name: str) -> bytes | None:
        """Return a webhook body that was too large for a queue message; None when it is not there, or not all of it.

        Raise ProcessedError when `drop_body` was called for it.
        """
        ...

    def drop_body(self, name: str) -> None:
        """Replace the body by a mark that its webhook was processed. Nothing happens when there is none."""
        ...

    def extend_body(self, name: str) -> None:
        """Keep the body as long again as a new one, since its message was dead-lettered."""
        ...


class Queue(Protocol):
    """Where messages wait. `put` returns after the queue has them, or raises NotStoredError."""

    def put(self, bodies: Sequence[str], *, delay: timedelta = timedelta(0)) -> None:
        """Put every body as a message, visible after `delay` (15 minutes at most)."""
        ...


class DeadLetters(Protocol):
    """The dead-letter queue of a queue."""

    def dead_letter(self, body: str, reason: str) -> None:
        """Keep the body with the reason. Raise NotStoredError when it may not be kept."""
        ...


class Clients(Protocol):
    """Outside clients and secrets, handed to targets and probes; built on first use."""

    def http(self) -> Any:
        """Return an `httpx.Client` with our time limits, no redirects, no retries."""
        ...

    def aws(self, service: str) -> Any:
        """Return a boto3 client."""
        ...

    def secret(self, name: str) -> str | None:
        """Return a secret by its name (`SLACK_BOT_TOKEN`); None when it is not set."""
        ...

    def setting(self, name: str, default: str = "") -> str:
        """Return a setting that is not secret (`SLACK_API_URL`, `SES_FROM`)."""
        ...
