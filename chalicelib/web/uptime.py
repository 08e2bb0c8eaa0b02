"""What the uptime page shows: a day a bar for each probe, the incidents of its days, certificates and heartbeats.

Uptime is fine runs by runs that happened, rounded down, so that 100 % means all. A run that was missed is unknown: it counts
as neither. Days begin at midnight of the reader; where that is within an hour of UTC, the hour belongs to the day in which
its first run was.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from itertools import product
from math import ceil, floor
from typing import Any
from zoneinfo import ZoneInfo

from chalicelib.core.alert import Alert
from chalicelib.core.heartbeat import fires_at, late_at, was_late
from chalicelib.core.incident import group_labels, incident_key
from chalicelib.core.instants import from_seconds
from chalicelib.core.metrics.rollup import MICROSECOND
from chalicelib.core.metrics.sample import Bucket
from chalicelib.core.ports import Store
from chalicelib.core.routing import heartbeat_route
from chalicelib.core.rule import Rules
from chalicelib.core.services import SERVICE
from chalicelib.probes import duration, every
from chalicelib.process.gather import beat_of
from chalicelib.web.measures import NEWEST_WITHIN, Subject, limits_of, newest, read, subjects
from chalicelib.web.words import age

DAYS = 30
DAY = timedelta(days=1)
MAX_ENDINGS = 6
PROBES_A_PAGE = 6
"""Each probe reads its roll-ups of a month."""
MAX_INCIDENTS = 5
"""So many at most are named for a day."""
MAX_LOOKED_AT = 3
"""Of so many of the newest days with failures or gaps the incidents are looked for."""
MAX_OPEN, MAX_ENDED = 40, 40
"""So many of the worst open incidents are looked at, and of those that ended on a day of UTC."""
PUBLIC = ("uptime", "journey", "tcp", "dns")
"""The kinds whose entries hold an address; those of others name a secret."""
NO_UPTIME = ("heartbeat", "cloudflare", "domain")
"""The kinds under `probes:` that measure no uptime."""
LASTS = ("tls_days_left", "domain_days_left")


@dataclass(frozen=True, slots=True)
class OpenThen:
    """An incident that was open on a day."""

    id: str
    name: str


@dataclass(frozen=True, slots=True)
class Day:
    """The runs of one day. `begun` is whether the probe was run on it or before; `missed` are runs that were due."""

    on: date
    runs: int = 0
    failed: int = 0
    missed: int = 0
    begun: bool = False
    incidents: tuple[OpenThen, ...] = ()

    @property
    def is_unknown(self) -> bool:
        """Return whether no run happened on a day of which runs were due."""
        return self.begun and not self.runs

    @property
    def height(self) -> int:
        """Return how far red reaches from the top, of 34: at least 6, then by the root of the share."""
        return 0 if not self.failed else min(34, round(6 + 28 * (self.failed / self.runs) ** 0.5))

    @property
    def noted(self) -> bool:
        """Return whether the day is worth a word."""
        return bool(self.failed or self.missed)

    @property
    def words(self) -> str:
        """Return what happened to the runs of the day."""
        if self.is_unknown:
            return f"no run of {self.missed:,}, unknown"
        failed = f"{self.failed:,} of {self.runs:,} runs failed" if self.failed else ""
        missed = f"{self.missed:,} missed, unknown" if self.missed else ""
        return ", ".join(each for each in (failed, missed) if each) or f"{self.runs:,} runs, all fine"


@dataclass(frozen=True, slots=True)
class ProbeDays:
    """A probe and its last days, the oldest first. `interval` is None of a probe that the file no longer has."""

    name: str
    what: str
    interval: timedelta | None
    days: tuple[Day, ...] = ()
    last_ok: bool | None = None
    last_at: datetime | None = None

    @property
    def runs(self) -> int:
        """Return how many runs happened."""
        return sum(each.runs for each in self.days)

    @property
    def fine(self) -> int:
        """Return how many of them were fine."""
        return self.runs - sum(each.failed for each in self.days)

    @property
    def missed(self) -> int:
        """Return how many runs were due and did not happen."""
        return sum(each.missed for each in self.days)

    @property
    def uptime(self) -> str:
        """Return the percentage, rounded down; empty without runs."""
        return percent_down(self.fine, self.runs)

    @property
    def noted(self) -> tuple[Day, ...]:
        """Return the days with failures or gaps, the newest first."""
        return tuple(each for each in reversed(self.days) if each.noted)


@dataclass(frozen=True, slots=True)
class Ending:
    """A certificate or a registration that ends, by the probe that looks at it. `days` is None without data of now."""

    name: str
    kind: str
    days: float | None
    at: datetime | None
    state: str = "ok"

    @property
    def ends_at(self) -> datetime | None:
        """Return when it ends, by its last reading."""
        return None if self.days is None or self.at is None else self.at + timedelta(days=self.days)


@dataclass(frozen=True, slots=True)
class PastBeat:
    """A heartbeat that was received: `ok`, `late` after its grace, or `failed` by the word of its sender."""

    at: datetime
    state: str = "ok"


@dataclass(frozen=True, slots=True)
class Beat:
    """A heartbeat: when it was received last, when it is due, and whether it is late. `past` are the newest, oldest first."""

    name: str
    plan: str
    last_at: datetime | None = None
    due_at: datetime | None = None
    fires_at: datetime | None = None
    state: str = "unknown"
    past: tuple[PastBeat, ...] = ()

    @property
    def noted(self) -> tuple[PastBeat, ...]:
        """Return those of the past that failed or were late, the newest first."""
        return tuple(each for each in reversed(self.past) if each.state != "ok")

    @property
    def words(self) -> str:
        """Return what the past ones were: `last 30: 28 in time, 1 late, 1 failed`."""
        counts = Counter(each.state for each in self.past)
        named = (("ok", "in time"), ("late", "late"), ("failed", "failed"))
        return f"last {len(self.past)}: " + ", ".join(f"{counts[key]} {word}" for key, word in named if counts[key])


@dataclass(frozen=True, slots=True)
class UptimeView:
    """What the page shows. `pages` are how many pages of probes there are, `page` the one that is shown, from 1."""

    probes: tuple[ProbeDays, ...]
    days: tuple[date, ...]
    endings: tuple[Ending, ...] = ()
    beats: tuple[Beat, ...] = ()
    page: int = 1
    pages: int = 1
    total: int = 0


def percent_down(part: int, whole: int) -> str:
    """Return a share in per cent with two decimals, rounded down: `99.93 %`, and 100 % only where it is all."""
    if not whole:
        return ""
    hundredths = part * 10_000 // whole
    return "100 %" if hundredths == 10_000 else f"{hundredths // 100}.{hundredths % 100:02} %"


def uptime_view(store: Store, rules: Rules, now: datetime, zone: ZoneInfo, *, page: int = 1) -> UptimeView:
    """Return what the page shows a reader in this zone."""
    entries = _entries(rules)
    known = _known(store, entries)
    pages = max(1, -(-len(known) // PROBES_A_PAGE))
    page = min(max(1, page), pages)
    days = days_until(now, zone)
    part = known[(page - 1) * PROBES_A_PAGE : page * PROBES_A_PAGE]
    probes = [(each, _probe(store, each, entries, now, zone)) for each in part]
    incidents = _incidents(store, _looked_at(found for _, found in probes), zone)
    return UptimeView(
        probes=tuple(_named(found, incidents, probe) for probe, found in probes),
        days=days,
        endings=_endings(store, rules, entries, now),
        beats=_beats(store, rules, now),
        page=page,
        pages=pages,
        total=len(known),
    )


def _known(store: Store, entries: Mapping[str, tuple[str, Mapping[str, Any]]]) -> list[Subject]:
    """Return the probes that ran, and those of the rules file that have not: nobody knows how these are."""
    ran = [each for each in subjects(store, ["uptime"]) if each.labels.get("probe")]
    names = {each.labels["probe"] for each in ran}
    kinds = {name: kind for name, (kind, _) in entries.items() if kind not in NO_UPTIME and name not in names}
    return [*ran, *(Subject(name, {"probe": name}, frozenset()) for name in sorted(kinds))]


def days_until(now: datetime, zone: ZoneInfo) -> tuple[date, ...]:
    """Return the last DAYS days of the reader, today at the end."""
    today = now.astimezone(zone).date()
    return tuple(today - timedelta(days=each) for each in reversed(range(DAYS)))


def begin_of(day: date, zone: ZoneInfo) -> datetime:
    """Return the midnight with which a day begins."""
    return datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC)


def _entries(rules: Rules) -> dict[str, tuple[str, Mapping[str, Any]]]:
    """Return the kind and the entry of each probe of the rules file by its name."""
    return {str(each.get("name")): (kind, each) for kind, found in rules.probes.items() for each in found}


def _probe(
    store: Store,
    probe: Subject,
    entries: Mapping[str, tuple[str, Mapping[str, Any]]],
    now: datetime,
    zone: ZoneInfo,
) -> ProbeDays:
    kind, entry = entries.get(probe.labels["probe"], ("", {}))
    interval = every(entry) if entry else None
    days = days_until(now, zone)
    buckets = read(store, "uptime", probe.labels, begin_of(days[0], zone), now)
    last = buckets[-1] if buckets else None
    return ProbeDays(
        name=probe.name,
        what=_what(kind, entry),
        interval=interval,
        days=tuple(probe_days(buckets, days, interval, now, zone)),
        last_ok=None if last is None or last.last is None else bool(last.last),
        last_at=None if last is None else last.last_at,
    )


def _named(probe: ProbeDays, incidents: Mapping[tuple[date, str], Sequence[OpenThen]], of: Subject) -> ProbeDays:
    """Return a probe whose noted days name the incidents of its service."""
    service = of.labels.get(SERVICE, of.name)
    found = {day.on: tuple(incidents.get((day.on, service), ())) for day in probe.days if day.noted}
    days = (replace(day, incidents=found.get(day.on, ())[:MAX_INCIDENTS]) for day in probe.days)
    return replace(probe, days=tuple(days))


def _what(kind: str, entry: Mapping[str, Any]) -> str:
    """Return what the probe looks at: no header and no body, and of an address not what follows its path."""
    if not entry:
        return "no longer in the rules file"
    address = str(entry.get("url") or entry.get("base") or entry.get("host") or "")
    return f"{kind} {address.partition('?')[0] if kind in PUBLIC else ''}".strip()


def probe_days(
    buckets: Iterable[Bucket], days: Sequence[date], interval: timedelta | None, now: datetime, zone: ZoneInfo
) -> list[Day]:
    """Return the runs of each day. What was due is counted from the first run on, by how often the probe runs today."""
    found = sorted(buckets, key=lambda each: each.first_at)
    runs, fine = dict.fromkeys(days, 0), dict.fromkeys(days, 0.0)
    for bucket in found:
        day = bucket.first_at.astimezone(zone).date()
        if day in runs:
            runs[day] += bucket.count
            fine[day] += bucket.total
    if not found:
        return [Day(day) for day in days]
    first, until = found[0].first_at, found[-1].last_at
    if interval is not None:
        until = max(until, now - interval)
    return [
        Day(
            day,
            runs[day],
            runs[day] - round(fine[day]),
            max(0, _due(day, first, until, interval, zone) - runs[day]),
            first.astimezone(zone).date() <= day,
        )
        for day in days
    ]


def _due(day: date, first: datetime, until: datetime, interval: timedelta | None, zone: ZoneInfo) -> int:
    """Return how many runs were due on a day: one each interval from the first one on. The newest may be on its way."""
    begins, ends = begin_of(day, zone), begin_of(day + timedelta(days=1), zone)
    if interval is None or first >= ends:
        return 0
    before = max(0, ceil((begins - first) / interval))
    return max(0, floor((min(until, ends - MICROSECOND) - first) / interval) + 1 - before)


def _looked_at(probes: Iterable[ProbeDays]) -> list[date]:
    """Return the newest days of which a probe has failures or gaps."""
    return sorted({day.on for probe in probes for day in probe.noted}, reverse=True)[:MAX_LOOKED_AT]


def _incidents(store: Store, days: Sequence[date], zone: ZoneInfo) -> dict[tuple[date, str], list[OpenThen]]:
    """Return the incidents that were open on these days, by the day and the service of an alert."""
    found: dict[tuple[date, str], list[OpenThen]] = {}
    for day, service, incident in (*_open_on(store, days, zone), *_ended_on(store, days, zone)):
        found.setdefault((day, service), []).append(incident)
    return found


def _open_on(store: Store, days: Sequence[date], zone: ZoneInfo) -> Iterator[tuple[date, str, OpenThen]]:
    """Yield the worst open incidents with each day that was not before their beginning."""
    rows = (store.worst(MAX_OPEN) or ()) if days else ()
    for row in rows:
        since = row.since.astimezone(zone).date()
        for day, service in product(days, row.services):
            if since <= day:
                yield day, service, OpenThen(row.id, row.title or row.id[:8])


def _ended_on(store: Store, days: Sequence[date], zone: ZoneInfo) -> Iterator[tuple[date, str, OpenThen]]:
    """Yield ended incidents with the day of their end: a summary has no more."""
    for each in store.ended_on(_dates(days, zone), MAX_ENDED) if days else ():
        if each.at is not None:
            named = {alert.labels.get(SERVICE, ""): alert.name for alert in reversed(each.alerts) if alert.shown}
            for service, name in named.items():
                yield each.at.astimezone(zone).date(), service, OpenThen(each.id, name or each.id[:8])


def _dates(days: Iterable[date], zone: ZoneInfo) -> set[date]:
    """Return the days of UTC in which these days of the reader are."""
    return {at.date() for day in days for at in (begin_of(day, zone), begin_of(day + DAY, zone) - MICROSECOND)}


def _endings(
    store: Store, rules: Rules, entries: Mapping[str, tuple[str, Mapping[str, Any]]], now: datetime
) -> tuple[Ending, ...]:
    """Return what ends, what ends first at the front. A reading counts for three intervals of its probe."""
    found = []
    for metric, kind in zip(LASTS, ("certificate", "domain"), strict=True):
        for each in subjects(store, [metric])[:MAX_ENDINGS]:
            _, entry = entries.get(each.labels.get("probe", ""), ("", {}))
            span = max(NEWEST_WITHIN, 3 * every(entry))
            days, at = newest(store.buckets(metric, each.labels, now - span, now), now, span)
            limits = limits_of(rules, metric, each.labels, now)
            broken = next((limit for limit in limits if days is not None and limit.is_broken(days)), None)
            state = "unknown" if days is None else broken.severity if broken else "ok"
            found.append(Ending(each.name, kind, days, at, state))
    return tuple(sorted(found, key=lambda each: (each.days is None, each.days or 0.0, each.name)))


def _beats(store: Store, rules: Rules, now: datetime) -> tuple[Beat, ...]:
    """Return the heartbeats of the rules file, each from the incident in which its clock runs."""
    keys: dict[str, tuple[str, Mapping[str, Any]]] = {}
    for spec in rules.probes.get("heartbeat", ()):
        beat = beat_of(spec, now, rules.services, heard=False)
        route, labels = heartbeat_route(rules, beat)
        keys[beat.name] = incident_key(route, group_labels(route, labels)), spec
    stored = store.load_all({key for key, _ in keys.values()}) if keys else {}
    found = []
    for name, (key, spec) in sorted(keys.items()):
        incident = stored.get(key)
        alerts = () if incident is None else incident.alerts.values()
        alert = next((each for each in alerts if each.name == name and each.schedule), None)
        if alert is None:
            found.append(Beat(name, _plan(spec)))
            continue
        state = {"firing": "critical", "pending": "warning"}.get(alert.state.value, "ok")
        heard = alert.received.last_event_at
        state = "unknown" if heard is None and state == "ok" else state
        found.append(Beat(name, _plan(spec), heard, late_at(alert), fires_at(alert), state, past_beats(alert)))
    return tuple(found)


def past_beats(alert: Alert) -> tuple[PastBeat, ...]:
    """Return the beats that an alert keeps. Of the first of them it is not known whether it was late."""
    found: list[PastBeat] = []
    for seconds, ok in alert.received.beats:
        at = from_seconds(seconds)
        late = bool(found) and was_late(alert, found[-1].at, at)
        found.append(PastBeat(at, "failed" if not ok else "late" if late else "ok"))
    return tuple(found)


def _plan(spec: Mapping[str, Any]) -> str:
    plan = f"every {_length(spec['every'])}" if spec.get("every") else f"cron {spec.get('cron', '')}"
    zone = f", {spec['timezone']}" if spec.get("timezone") else ""
    return f"{plan}{zone}" + (f", {_length(spec['grace'])} grace" if spec.get("grace") else "")


def _length(text: Any) -> str:
    """Return a length of the rules file as the pages write it."""
    return age(duration(text))
