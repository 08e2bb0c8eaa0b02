"""A Store in memory: for replay and tests. It keeps the same promises as the one in DynamoDB and counts its writes.

Values are frozen, so they are kept as they are. Safe for several threads.
"""

from bisect import bisect_right, insort
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from operator import itemgetter
from threading import Lock
from typing import TypeVar

from chalicelib.core.context import Context
from chalicelib.core.delivery.delivery_log import DeliveryLog
from chalicelib.core.delivery.target_state import TargetState
from chalicelib.core.errors import ConflictError, ProcessedError
from chalicelib.core.glance import Glance, urgency
from chalicelib.core.identity import End, Fault, Holder, with_end
from chalicelib.core.incident import Entry, Incident, IncidentStatus, is_listed
from chalicelib.core.metrics.rollup import bucket_of
from chalicelib.core.metrics.sample import Bucket, Sample
from chalicelib.core.stage_counts import StageCounts
from chalicelib.core.summary import PAGE, Summary, SummaryPage, summary_of
from chalicelib.core.tokens import Tokens
from chalicelib.messages.webhook import uncompressed

MEASURED_WITHIN = timedelta(days=1)

Versioned = TypeVar("Versioned", Incident, DeliveryLog, TargetState, Tokens, Context, StageCounts)


class _Line:
    """The samples of one series, by time; each is a bucket of its own."""

    __slots__ = ("buckets", "labels", "times")

    def __init__(self, labels: Mapping[str, str]) -> None:
        self.labels = dict(labels)
        self.times: list[datetime] = []
        self.buckets: list[Bucket] = []

    def add(self, sample: Sample) -> bool:
        """Return False when a sample of that time is there already."""
        at = sample.at
        if not self.times or at > self.times[-1]:
            self.times.append(at)
            self.buckets.append(bucket_of(sample))
            return True
        place = bisect_right(self.times, at)
        if place and self.times[place - 1] == at:
            return False
        self.times.insert(place, at)
        self.buckets.insert(place, bucket_of(sample))
        return True


class MemoryStore:
    """`writes` counts what would be write calls on a table; a refused write counts, as it costs."""

    def __init__(self) -> None:
        self.writes = 0
        self._lock = Lock()
        self._incidents: dict[str, Incident] = {}
        self._ended: dict[str, Incident] = {}
        self._faults: dict[str, Fault] = {}
        self._places: dict[str, str] = {}
        self._relations: dict[str, set[str]] = {}
        self._delivery_logs: dict[str, DeliveryLog] = {}
        self._target_states: dict[str, TargetState] = {}
        self._tokens = Tokens()
        self._context = Context()
        self._series: dict[str, dict[tuple[tuple[str, str], ...], _Line]] = {}
        self._bodies: dict[str, bytes | None] = {}
        self._minutes: dict[str, datetime] = {}
        self._marks: dict[str, str] = {}
        self._counts = StageCounts()
        self._history: dict[str, dict[str, bytes]] = {}
        self._pages: dict[str, dict[int, tuple[Entry, ...]]] = {}
        self._wakes: list[tuple[datetime, str]] = []

    def load(self, key: str) -> Incident | None:
        """Return the newest incident of a group key, ended or not."""
        return self._incidents.get(key)

    def save(self, incident: Incident, *, archive: Incident | None = None) -> None:
        """Store the incident under a version condition; the archived one under its own id."""
        with self._lock:
            self.writes += 1
            _check(self._incidents.get(incident.key), incident, f"incident {incident.id}")
            self._incidents[incident.key] = incident
            if incident.wake_at is not None:
                insort(self._wakes, (incident.wake_at, incident.key))
            if archive is not None:
                self.writes += 1
                stored = self._ended.get(archive.id)
                self._ended[archive.id] = archive if stored is None or stored.version < archive.version else stored

    def load_all(self, keys: Collection[str]) -> Mapping[str, Incident]:
        """Return the newest incidents of these group keys, those that are stored."""
        return {key: found for key in keys if (found := self.load(key)) is not None}

    def faults(self, names: Collection[str]) -> Mapping[str, Fault]:
        """Return what is stored of these faults; nothing for one that is not stored."""
        with self._lock:
            return {name: self._faults[name] for name in names if name in self._faults}

    def claim(self, name: str, slot: str, holder: Holder, *, over: Holder | None) -> Fault:
        """Store a holder in a slot of a fault if the slot is empty or still has `over`. Return the fault as it is then."""
        with self._lock:
            self.writes += 1
            fault = self._faults.get(name, Fault())
            if fault.holders.get(slot) in (None, over, holder):
                fault = replace(fault, holders={**fault.holders, slot: holder})
                self._faults[name] = fault
            return fault

    def end_fault(self, name: str, end: End) -> Fault:
        """Remember an end that no incident knows the fault of. Return the fault as it is then."""
        with self._lock:
            self.writes += 1
            self._faults[name] = with_end(self._faults.get(name, Fault()), end)
            return self._faults[name]

    def located(self, name: str) -> str | None:
        """Return the group key of the incident with this id or alias; None for an unknown one."""
        return self._places.get(name)

    def locate(self, names: Collection[str], key: str) -> None:
        """Remember the group key of an incident's id and aliases."""
        with self._lock:
            self.writes += len(names)
            self._places |= dict.fromkeys(names, key)

    def related(self, names: Collection[str]) -> Collection[str]:
        """Return the keys of the incidents that were related to one of these names."""
        return {key for name in names for key in self._relations.get(name, ())}

    def relate(self, names: Collection[str], key: str) -> None:
        """Remember that an incident has to do with these names."""
        with self._lock:
            self.writes += len(names)
            for name in names:
                self._relations.setdefault(name, set()).add(key)

    def archived(self, id: str) -> Incident | None:
        """Return the ended incident of that id, once another one has replaced it under its key."""
        return self._ended.get(id)

    def archives(self, ids: Collection[str]) -> Mapping[str, Incident]:
        """Return the archived incidents of these ids, by id, those that are stored."""
        return {id: self._ended[id] for id in ids if id in self._ended}

    def amend(self, incident: Incident) -> None:
        """Store an archived incident anew, under a version condition."""
        with self._lock:
            self.writes += 1
            _check(self._ended.get(incident.id), incident, f"the archived incident {incident.id}")
            self._ended[incident.id] = incident

    def keep_timeline(self, id: str, number: int, entries: Sequence[Entry]) -> None:
        """Keep a page of an incident's older lines."""
        with self._lock:
            self.writes += 1
            self._pages.setdefault(id, {})[number] = tuple(entries)

    def timeline(self, id: str) -> Sequence[Entry]:
        """Return the lines of an incident's pages, oldest page first."""
        return [entry for _, page in sorted(self._pages.get(id, {}).items()) for entry in page]

    def waking(self, now: datetime, limit: int) -> Sequence[tuple[datetime, str]]:
        """Return `wake_at` and key of the incidents whose timer is not after `now`, the most overdue first."""
        with self._lock:
            found: dict[str, datetime] = {}
            stale = 0
            for place, (wake_at, key) in enumerate(self._wakes):
                if wake_at > now or len(found) == limit:
                    break
                if self._incidents[key].wake_at != wake_at:
                    stale = place + 1 if stale == place else stale
                    continue
                found.setdefault(key, wake_at)
            del self._wakes[:stale]
            return [(wake_at, key) for key, wake_at in found.items()]

    def next_wake(self) -> datetime | None:
        """Return when the next timer is due: for a virtual clock, which jumps there."""
        with self._lock:
            while self._wakes and self._incidents[self._wakes[0][1]].wake_at != self._wakes[0][0]:
                del self._wakes[0]
            return self._wakes[0][0] if self._wakes else None

    def incidents(self, *, ended_since: datetime | None = None, quiet: bool = False) -> Iterable[Incident]:
        """Return the open incidents, those that ended after `ended_since`, and with `quiet` those that wait to begin."""
        with self._lock:
            everyone = {each.id or each.key: each for each in (*self._ended.values(), *self._incidents.values())}
        return [each for each in everyone.values() if is_listed(each, ended_since, quiet=quiet)]

    def summaries(self, after: str = "", *, ended_since: datetime | None = None, limit: int = PAGE) -> SummaryPage:
        """Return a page of the incidents that are open or wait, in short; then of those that ended since that day."""
        with self._lock:
            kept = [summary_of(each) for each in self._incidents.values()]
        return paged([*kept, *self.archived_summaries()], after, ended_since, limit)

    def worst(self, limit: int | None = None, *, ended_since: datetime | None = None) -> Sequence[Glance] | None:
        """Return the rows of open incidents, the worst first, `limit` at most; then of all that ended since that day."""
        with self._lock:
            kept = [*self._ended.values(), *self._incidents.values()]
        return rows_of(kept, limit, ended_since)

    def ended_on(self, days: Collection[date], limit: int) -> Sequence[Summary]:
        """Return incidents that ended on these days (UTC) in short, `limit` at most of each day."""
        with self._lock:
            kept = [summary_of(each) for each in self._incidents.values()]
        return ended_of([*kept, *self.archived_summaries()], days, limit)

    def archived_ids(self) -> list[str]:
        """Return the ids of the archived incidents."""
        with self._lock:
            return list(self._ended)

    def archived_summaries(self) -> list[Summary]:
        """Return the archived incidents in short."""
        with self._lock:
            return [summary_of(each, archived=True) for each in self._ended.values()]

    def remembered(self) -> list[Incident]:
        """Return every incident, those that ended and those that never began included: for an explanation."""
        with self._lock:
            return [*self._ended.values(), *self._incidents.values()]

    def context(self) -> Context:
        """Return what every decision looks at."""
        return self._context

    def save_context(self, context: Context) -> None:
        """Store it under a version condition."""
        with self._lock:
            self.writes += 1
            _check(self._context, context, "the context")
            self._context = context

    def tokens(self) -> Tokens:
        """Return the named tokens of the API."""
        return self._tokens

    def save_tokens(self, tokens: Tokens) -> None:
        """Store them under a version condition."""
        with self._lock:
            self.writes += 1
            _check(self._tokens, tokens, "the tokens")
            self._tokens = tokens

    def delivery_log(self, key: str) -> DeliveryLog:
        """Return the delivery log of that key; a fresh one when nothing is stored."""
        return self._delivery_logs.get(key) or DeliveryLog(key)

    def delivery_logs(self, keys: Collection[str]) -> Mapping[str, DeliveryLog]:
        """Return the delivery logs of these keys, by key, those that are stored."""
        return {key: self._delivery_logs[key] for key in keys if key in self._delivery_logs}

    def save_delivery_log(self, delivery_log: DeliveryLog) -> None:
        """Store it under a version condition."""
        with self._lock:
            self.writes += 1
            _check(self._delivery_logs.get(delivery_log.key), delivery_log, "a delivery log")
            self._delivery_logs[delivery_log.key] = delivery_log

    def target_state(self, key: str) -> TargetState:
        """Return the state of a target, by its key; a fresh one when nothing is stored."""
        return self._target_states.get(key) or TargetState(key)

    def target_states(self, keys: Collection[str]) -> Mapping[str, TargetState]:
        """Return the states of these targets, by key, those that are stored."""
        return {key: self._target_states[key] for key in keys if key in self._target_states}

    def save_target_state(self, target_state: TargetState) -> None:
        """Store it under a version condition."""
        with self._lock:
            self.writes += 1
            _check(self._target_states.get(target_state.key), target_state, "the state of a target")
            self._target_states[target_state.key] = target_state

    def add_samples(self, samples: Sequence[Sample]) -> None:
        """Remember measured values; a second one of the same series and time is dropped."""
        with self._lock:
            touched = set()
            for sample in samples:
                series = tuple(sorted(sample.labels.items()))
                lines = self._series.setdefault(sample.metric, {})
                line = lines.get(series) or lines.setdefault(series, _Line(sample.labels))
                if line.add(sample):
                    touched.add((sample.metric, series))
            self.writes += len(touched)

    def label_sets(self, metric: str) -> Sequence[Mapping[str, str]]:
        """Return the label sets under which the metric was measured within a day of its newest sample."""
        lines = self._series.get(metric, {})
        newest = max((line.times[-1] for line in lines.values()), default=None)
        if newest is None:
            return ()
        return [line.labels for line in lines.values() if line.times[-1] > newest - MEASURED_WITHIN]

    def buckets(self, metric: str, labels: Mapping[str, str], since: datetime, until: datetime) -> Sequence[Bucket]:
        """Return the series' samples with since < at <= until, oldest first, each a bucket of one."""
        line = self._series.get(metric, {}).get(tuple(sorted(labels.items())))
        if line is None:
            return ()
        return line.buckets[bisect_right(line.times, since) : bisect_right(line.times, until)]

    def claim_minute(self, name: str, at: datetime) -> bool:
        """Claim a minute of a schedule for one run. Return False when another run has it, or a later minute."""
        with self._lock:
            before = self._minutes.get(name)
            if before is not None and before >= at:
                return False
            self.writes += 1
            self._minutes[name] = at
            return True

    def put_mark(self, name: str, text: str) -> None:
        """Keep a short text under a name."""
        with self._lock:
            self.writes += 1
            self._marks[name] = text

    def marks(self, names: Collection[str]) -> Mapping[str, str]:
        """Return the texts that are kept under these names, by name."""
        with self._lock:
            return {name: self._marks[name] for name in names if name in self._marks}

    def stage_counts(self) -> StageCounts:
        """Return what the stage has counted of its own work."""
        with self._lock:
            return self._counts

    def save_stage_counts(self, counts: StageCounts) -> None:
        """Store them by their version."""
        with self._lock:
            _check(self._counts if self._counts.version else None, counts, "the counts of the stage")
            self.writes += 1
            self._counts = counts

    def keep_history(self, day: str, name: str, data: bytes) -> None:
        """Keep an item of a day's history."""
        with self._lock:
            self.writes += 1
            self._history.setdefault(day, {})[name] = data

    def history(self, day: str, after: str) -> tuple[str, bytes] | None:
        """Return the first item of a day whose name comes after."""
        names = [name for name in sorted(self._history.get(day, {})) if name > after]
        return (names[0], self._history[day][names[0]]) if names else None

    def keep_body(self, name: str, data: bytes) -> None:
        """Store a compressed webhook body under a name."""
        self.writes += 1
        self._bodies[name] = data

    def get_body(self, name: str) -> bytes | None:
        """Return the body of a webhook that was too large for a message; ProcessedError when it was dropped."""
        if name not in self._bodies:
            return None
        data = self._bodies[name]
        if data is None:
            raise ProcessedError(f"the webhook of the stored body {name} was processed")
        return uncompressed(data)

    def drop_body(self, name: str) -> None:
        """Replace the body by a mark that its webhook was processed."""
        if name in self._bodies:
            self.writes += 1
            self._bodies[name] = None

    def extend_body(self, name: str) -> None:
        """Keep the body: nothing expires in memory."""


def paged(summaries: Iterable[Summary], after: str, ended_since: datetime | None, limit: int) -> SummaryPage:
    """Return the page of these summaries behind a place: first what is open or waits, then what ended since that day."""
    since = ended_since and ended_since.replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(microseconds=1)
    found = sorted([(_place(each), each) for each in summaries if each.is_listed(since, quiet=True)], key=itemgetter(0))
    rest = [each for place, each in found if place > after]
    more = len(rest) > limit
    return SummaryPage(tuple(rest[:limit]), _place(rest[limit - 1]) if more else "")


def rows_of(incidents: Iterable[Incident], limit: int | None, ended_since: datetime | None) -> Sequence[Glance]:
    """Return the rows of these incidents: first of what is open, the worst first, then of what ended since that day."""
    rows = [each.glance for each in incidents if each.glance is not None and each.status is not IncidentStatus.QUIET]
    worst = sorted((each for each in rows if each.ended_at is None), key=urgency)[:limit]
    since = ended_since and ended_since.replace(hour=0, minute=0, second=0, microsecond=0)
    ended = [each for each in rows if each.ended_at is not None and since is not None and each.ended_at >= since]
    return (*worst, *ended)


def ended_of(summaries: Iterable[Summary], days: Collection[date], limit: int) -> Sequence[Summary]:
    """Return what ended on these days, `limit` at most of each, in the order of the keys."""
    found: dict[date, list[Summary]] = {day: [] for day in sorted(days)}
    for each in sorted(summaries, key=_place):
        if each.status is IncidentStatus.ENDED and each.at is not None and each.at.astimezone(UTC).date() in found:
            found[each.at.astimezone(UTC).date()].append(each)
    return [each for those in found.values() for each in those[:limit]]


def _place(summary: Summary) -> str:
    of_open = summary.status is IncidentStatus.OPEN or summary.waits
    return f"{'open' if of_open else 'past'} {summary.archived:d} {summary.id if summary.archived else summary.key}"


def _check(stored: Versioned | None, new: Versioned, what: str) -> None:
    version = 0 if stored is None else stored.version
    if version != new.version - 1:
        raise ConflictError(f"{what}: version {new.version} was to replace {new.version - 1}, but {version} is stored")
