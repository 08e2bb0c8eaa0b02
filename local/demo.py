"""A day of sample data, so that every page of `make run` has something true to show. All of it is marked as a sample.

What happened is a timeline of the public form (docs/replay.md). It goes through the real stages under the rules of this
checkout on a virtual clock, and what came of it is copied into the stage's table: measured values, ended incidents with
their deliveries, deploys. What is open at the end goes in by the webhooks and the API, so that it is really notified.

Every value is computed from its time alone: a second run stores nothing twice.
"""

import json
import math
import random
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from http.client import HTTPException
from typing import Any
from urllib.parse import urlencode

from chalicelib.core.context import Context
from chalicelib.core.delivery.delivery_log import delivery_log_key
from chalicelib.core.errors import ConflictError
from chalicelib.core.incident import Incident, IncidentStatus
from chalicelib.core.metrics.sample import Sample
from chalicelib.core.ports import Store
from chalicelib.core.rule import Rules
from chalicelib.process.counts import COUNTED
from deploy.smoke import request
from simulation.engine import Replay

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
STEP = 5 * MINUTE
MARK, AGAIN = "sample_day", timedelta(hours=12)
"""The mark of the newest sample day. A stage that has one of the last hours gets no other."""
BEAT_SECONDS = 240
"""The heartbeat `example` of the shipped rules is due every five minutes."""
PEOPLE = ("Ana Souza", "Bruno Lima")
SPIKE, DISK, SLOW, MAILS = 9 * HOUR, 6 * HOUR, 14 * HOUR, 20 * HOUR
"""How long before the end of the day each of its incidents began."""
TITLES = (
    ("Sample: TypeError: cannot read 'score' of null", "4501"),
    ("Sample: TimeoutError: no answer of payments in 30 s", "4502"),
    ("Sample: KeyError: 'exam_id'", "4503"),
    ("Sample: OSError: no space left on device", "4504"),
)
WEB = {"probe": "sample-zone", "zone": "sample.example.com", "service": "exam-web"}
DATABASE = {"probe": "sample-database", "service": "database"}
SITE = {"probe": "sample-web", "service": "exam-web"}
API = {"probe": "sample-api", "service": "exam-api"}
MAX_TRIES = 5
OPEN_TRIES, OPEN_SECONDS = 40, 3.0

Line = dict[str, Any]
Series = tuple[str, Mapping[str, str], Callable[[datetime], float | None], timedelta, timedelta]
"""A metric, its labels, its value at a time, how long it is measured for, and how often."""


@dataclass(frozen=True, slots=True)
class Open:
    """An alert that still fires at the end of the day, for Alertmanager's webhook, and what becomes of it."""

    name: str
    summary: str
    service: str
    severity: str
    since: timedelta
    acknowledged_by: str = ""
    silenced_by: str = ""

    @property
    def labels(self) -> dict[str, str]:
        """Return its labels."""
        return {"alertname": self.name, "service": self.service, "severity": self.severity, "sample": "yes"}

    def webhook(self, now: datetime) -> Mapping[str, Any]:
        """Return the body that Alertmanager would send."""
        alert = {
            "status": "firing",
            "labels": self.labels,
            "annotations": {"summary": self.summary},
            "startsAt": (now - self.since).isoformat(),
            "endsAt": "0001-01-01T00:00:00Z",
        }
        return {"version": "4", "status": "firing", "alerts": [alert]}


OPEN = (
    Open(
        "Sample: mails wait",
        "Sample: 1,240 mails wait, the oldest for 38 min",
        "mailer",
        "warning",
        42 * MINUTE,
        PEOPLE[1],
    ),
    Open(
        "Sample: disk of db2 fills",
        "Sample: 81 % full, 2 % more a day",
        "database",
        "warning",
        3 * HOUR,
        silenced_by=PEOPLE[0],
    ),
    Open("Sample: worker restarts", "Sample: 6 restarts in 30 min", "worker", "warning", 11 * MINUTE),
)


# ---------------------------------------------------------------------------------------------------------------------
# What was measured


def _wave(at: datetime, *periods: float) -> float:
    """Return a value between -1 and 1 that looks as if it was measured."""
    hours = at.timestamp() / 3600
    return math.prod(math.sin(hours * math.tau / each) for each in periods)


def _load(at: datetime) -> float:
    """Return how busy the sample is, from 0 at night to 1."""
    return 0.55 - 0.45 * math.cos((at.hour + at.minute / 60) / 24 * math.tau) + 0.06 * _wave(at, 0.7, 3.1)


def series(now: datetime) -> tuple[Series, ...]:
    """Return all that is measured in a sample day that ends now; some of it for a week, the site for a month."""
    return *_of_zone(now), *_of_database(now), *_of_probes(now)


def _within(at: datetime, now: datetime, began: timedelta, lasts: timedelta) -> bool:
    """Return whether a time is in a stretch that began so long before the end of the day."""
    return now - began <= at < now - began + lasts


def _p95(at: datetime, now: datetime) -> float:
    slow = 290.0 if _within(at, now, SLOW, 25 * MINUTE) else 0.0
    return round(250 + 110 * _load(at) + 22 * _wave(at, 0.6, 2.3) + slow, 1)


def _of_zone(now: datetime) -> tuple[Series, ...]:
    return (
        ("p95_latency_ms", WEB, partial(_p95, now=now), DAY, STEP),
        ("p99_latency_ms", WEB, lambda at: round(1.9 * _p95(at, now) + 60 * _wave(at, 0.8, 1.7), 1), DAY, STEP),
        ("error_rate", WEB, lambda at: round(0.002 + 0.0015 * _load(at) + 0.0008 * _wave(at, 0.9, 2), 5), DAY, STEP),
        ("requests_per_min", WEB, lambda at: round(260 + 1500 * _load(at) + 80 * _wave(at, 0.5, 4)), DAY, STEP),
        ("active_users", WEB, lambda at: round(20 + 130 * _load(at) + 9 * _wave(at, 0.9, 3)), DAY, STEP),
    )


def _of_database(now: datetime) -> tuple[Series, ...]:
    """Return a database whose probe stood still for a while. Its size grows evenly."""

    def unless_gap(value: Callable[[datetime], float]) -> Callable[[datetime], float | None]:
        return lambda at: None if _within(at, now, 4 * HOUR, 35 * MINUTE) else value(at)

    def size(at: datetime) -> float:
        return round(7.42 - (now - at) / DAY * 0.055 + 0.006 * _wave(at, 5, 11), 4)

    used = unless_gap(lambda at: round(0.22 + 0.3 * _load(at) + 0.03 * _wave(at, 0.4, 2), 3))
    hits = unless_gap(lambda at: round(0.994 - 0.006 * _load(at), 4))
    queries = unless_gap(lambda at: round(3 + 5 * _load(at) + _wave(at, 0.6, 3), 2))
    return (
        ("connections_used", DATABASE, used, DAY, STEP),
        ("cache_hit_rate", DATABASE, hits, DAY, STEP),
        ("query_time_ms", DATABASE, queries, DAY, STEP),
        ("uptime", DATABASE, unless_gap(lambda at: 1.0), DAY, STEP),
        ("db_size_gb", DATABASE, size, 7 * DAY, HOUR),
    )


def _of_probes(now: datetime) -> tuple[Series, ...]:
    """Return the runs of two probes: the site has two short outages in a month, and a stretch without runs."""

    def ran(at: datetime) -> float | None:
        if _within(at, now, 12 * DAY, 7 * HOUR):
            return None
        is_down = _within(at, now, 19 * DAY, 95 * MINUTE) or _within(at, now, 3 * DAY, 20 * MINUTE)
        return 0.0 if is_down else 1.0

    return (
        ("latency_ms", API, lambda at: round(38 * math.exp(0.9 * _wave(at, 0.37, 1.3)), 1), DAY, STEP),
        ("latency_ms", SITE, lambda at: round(120 * math.exp(0.7 * _wave(at, 0.41, 1.1)), 1), DAY, STEP),
        ("tls_days_left", SITE, lambda at: 61.4 - (at - now) / DAY, 2 * HOUR, HOUR),
        ("uptime", API, lambda at: 1.0, 7 * DAY, HOUR),
        ("uptime", SITE, ran, 30 * DAY, HOUR),
    )


def measured(now: datetime) -> Iterator[Sample]:
    """Return the samples of all series, each series in order. Their times lie on a grid, so that none comes twice."""
    for metric, labels, value, span, every in series(now):
        first = math.ceil((now - span).timestamp() / every.total_seconds())
        for number in range(first, int(now.timestamp() // every.total_seconds()) + 1):
            at = datetime.fromtimestamp(number * every.total_seconds(), UTC)
            if (found := value(at)) is not None:
                yield Sample(metric, found, at, labels)


# ---------------------------------------------------------------------------------------------------------------------
# What happened


def day(now: datetime) -> list[Line]:
    """Return the timeline of a day that ends now, in order: errors, deploys, incidents that people dealt with."""
    lines = [*_errors(now), *_deploys(now), *_incidents(now), *_slow(now)]
    lines.sort(key=lambda each: str(each["at"]))
    return [*lines, {"at": _stamp(now - MINUTE), "end": True}]


def night(now: datetime) -> list[Line]:
    """Return the day with what is open at its end: for a router on a virtual clock, that no webhook reaches."""
    lines = [each for each in day(now) if "end" not in each]
    for each in OPEN:
        lines.append({"at": _stamp(now - each.since), "webhook": {"source": "alertmanager", "body": each.webhook(now)}})
        if each.silenced_by:
            silence = {"matchers": {"service": each.service}, "until": _stamp(now + 8 * HOUR), "by": each.silenced_by}
            lines.append({"at": _stamp(now - each.since - MINUTE), "silence": silence})
        if each.acknowledged_by:
            ack = {"matchers": {"service": each.service}, "by": each.acknowledged_by}
            lines.append({"at": _stamp(now - each.since + 4 * MINUTE), "ack": ack})
    deploy = {"source": "vercel", "kind": "deployment.succeeded", "target": "production", "service": "exam-web"}
    deploy |= {"commit": "9f2c41d", "author": PEOPLE[1]}
    lines.append(
        {"at": _stamp(now - 9 * MINUTE), "event": {"name": "Sample deploy", "labels": deploy, "status": "info"}}
    )
    for number in range(150):
        lines.append(_error(now - 5 * MINUTE + timedelta(seconds=2 * number), (0, 0, 0, 1, 0, 2)[number % 6]))
    lines.sort(key=lambda each: str(each["at"]))
    return [*lines, {"at": _stamp(now), "end": True}]


def _stamp(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _error(at: datetime, number: int) -> Line:
    title, issue = TITLES[number]
    labels = {"source": "sentry", "kind": "error.created", "service": "exam-web", "issue": issue, "release": "5d0c7e1"}
    return {"at": _stamp(at), "event": {"name": title, "title": title, "labels": labels, "severity": "warning"}}


def _errors(now: datetime) -> Iterator[Line]:
    """Return errors that come now and then, and once more than ten in a minute."""
    drawn = random.Random("a sample day")
    at = now - DAY
    while (at := at + timedelta(minutes=drawn.expovariate(1 / 9))) < now - 5 * MINUTE:
        yield _error(at, drawn.choices(range(4), (8, 4, 2, 1))[0])
    for number in range(26):
        yield _error(now - SPIKE + timedelta(seconds=2 * number), 0 if number % 4 else 1)


def _deploys(now: datetime) -> Iterator[Line]:
    for before, commit in ((22 * HOUR, "1a77f02"), (SPIKE + 4 * MINUTE, "5d0c7e1"), (SPIKE - 21 * MINUTE, "c9e40ab")):
        labels = {"source": "vercel", "kind": "deployment.succeeded", "target": "production", "service": "exam-web"}
        event = {"name": "Sample deploy", "labels": {**labels, "commit": commit, "author": PEOPLE[0]}, "status": "info"}
        yield {"at": _stamp(now - before), "event": event}


def _incidents(now: datetime) -> Iterator[Line]:
    """Return what broke and was fixed: one that somebody took, one that went by itself, one that was noted."""
    match = {"service": "exam-web"}
    yield {"at": _stamp(now - SPIKE + 3 * MINUTE), "ack": {"matchers": match, "by": PEOPLE[0]}}
    disk = {"source": "alertmanager", "service": "database", "host": "db1", "severity": "critical"}
    yield from _spell(now - DISK, 47 * MINUTE, "Sample: disk of db1 is full", disk, "critical", "Sample: 98 % full")
    yield {"at": _stamp(now - DISK + 6 * MINUTE), "ack": {"matchers": {"service": "database"}, "by": PEOPLE[1]}}
    mails = {"source": "alertmanager", "service": "mailer", "severity": "warning"}
    yield from _spell(now - MAILS, 18 * MINUTE, "Sample: mails wait", mails, "warning", "Sample: 910 mails wait")


def _spell(
    begins: datetime, lasts: timedelta, name: str, labels: Mapping[str, str], severity: str, summary: str
) -> Iterator[Line]:
    event = {"name": name, "title": name, "labels": dict(labels), "severity": severity}
    event["annotations"] = {"summary": summary}
    yield {"at": _stamp(begins), "event": event}
    yield {"at": _stamp(begins + lasts), "event": {**event, "status": "resolved"}}


def _slow(now: datetime) -> Iterator[Line]:
    """Return the measured latency around the time at which it was too high."""
    for each in measured(now):
        if each.metric == "p95_latency_ms" and now - SLOW - HOUR <= each.at <= now - SLOW + 2 * HOUR:
            sample = {"metric": each.metric, "value": each.value, "labels": dict(each.labels)}
            yield {"at": _stamp(each.at), "sample": sample}


# ---------------------------------------------------------------------------------------------------------------------
# Into a stage


def replayed(rules: Rules, now: datetime) -> Store:
    """Return a store in memory in which the day has happened under these rules."""
    replay = Replay(rules, list(enumerate(day(now), 1)), name="sample")
    for _ in replay.run():
        continue
    return replay.simulator.store


def is_due(store: Store, now: datetime) -> bool:
    """Return whether the stage has no sample day of the last hours."""
    before = store.marks([MARK]).get(MARK)
    return before is None or now - datetime.fromisoformat(before) >= AGAIN


def seed_events(store: Store, rules: Rules, now: datetime) -> Store:
    """Store the day's ended incidents and deploys. Return the store in memory in which the day happened."""
    source = replayed(rules, now)
    copy_incidents(source, store, now)
    _with_deploys(store, source.context())
    return source


def seed_samples(store: Store, source: Store, now: datetime, *, stop: Callable[[], bool] = lambda: False) -> bool:
    """Store what was counted and measured, and the mark that it is whole. Return False when it had to stop."""
    for part in _parts([*_counted(source, now), *measured(now)]):
        if stop():
            return False
        store.add_samples(part)
    store.put_mark(MARK, now.isoformat())
    return True


def copy_incidents(source: Store, store: Store, now: datetime) -> None:
    """Store the ended incidents of another store, and what came of their notifications."""
    ended = [each for each in source.incidents(ended_since=now - DAY) if each.status is IncidentStatus.ENDED]
    ended.sort(key=lambda each: (each.key, each.episode.opened_at or now))
    newest: dict[str, Incident] = {}
    for each in ended:
        before = newest.get(each.key)
        known = store.load(each.key)
        if before is None and known is not None:
            continue
        version = 1 if before is None or known is None else known.version + 1
        newest[each.key] = replace(each, version=version)
        store.locate([each.id, *each.episode.aliases], each.key)
        store.save(newest[each.key], archive=before)
        _copy_deliveries(each, source, store)


def _copy_deliveries(incident: Incident, source: Store, store: Store) -> None:
    keys = [delivery_log_key(incident.id, target) for target in incident.announced]
    there = store.delivery_logs(keys) if keys else {}
    for key, log in (source.delivery_logs(keys) if keys else {}).items():
        if key not in there or not there[key].version:
            store.save_delivery_log(replace(log, version=1))


def _with_deploys(store: Store, source: Context) -> None:
    """Add the sample's deploys to what the stage knows, again where a worker was faster."""
    for _ in range(MAX_TRIES):
        context = store.context()
        known = {each.id for each in context.deploys}
        new = tuple(each for each in source.deploys if each.id not in known)
        deploys = tuple(sorted((*context.deploys, *new), key=lambda each: each.at))
        try:
            store.save_context(replace(context, deploys=deploys, version=context.version + 1))
        except ConflictError:
            continue
        return


def _counted(source: Store, now: datetime) -> list[Sample]:
    """Return the counts that the day's events came to."""
    return [
        Sample(COUNTED, bucket.last, bucket.last_at, labels)
        for labels in source.label_sets(COUNTED)
        for bucket in source.buckets(COUNTED, labels, now - DAY - HOUR, now)
    ]


def _parts(samples: Iterable[Sample]) -> Iterator[Sequence[Sample]]:
    """Return the samples in parts, one for each series, the short ones first: a month of runs comes last."""
    found: dict[tuple[str, tuple[tuple[str, str], ...]], list[Sample]] = {}
    for each in samples:
        found.setdefault((each.metric, tuple(sorted(each.labels.items()))), []).append(each)
    return iter(sorted(found.values(), key=lambda each: each[-1].at - each[0].at))


# ---------------------------------------------------------------------------------------------------------------------
# By the doors


def send(alert: Open, url: str, values: Mapping[str, str], now: datetime) -> None:
    """Silence an alert by the API where a person does, then send it as Alertmanager does."""
    if alert.silenced_by:
        matchers = {name: alert.labels[name] for name in ("alertname", "service")}
        silence = {
            "matchers": matchers,
            "for": "8h",
            "by": alert.silenced_by,
            "comment": "a sample: a larger disk comes",
        }
        _asked(url, values, "silences", silence)
    secret = values["ALERTMANAGER_SECRET"].split(",")[0].strip()
    headers = {"Authorization": f"Bearer {secret}", "Content-Type": "application/json"}
    request(f"{url}webhooks/alertmanager", json.dumps(alert.webhook(now)).encode(), headers)


def acknowledge(url: str, values: Mapping[str, str], stop: threading.Event) -> None:
    """Acknowledge by the API what people have, each incident once it is open: a route may let its alerts wait."""
    for alert in (each for each in OPEN if each.acknowledged_by):
        where = f"incidents?{urlencode({'match': f'service={alert.service}'})}"
        for _ in range(OPEN_TRIES):
            if found := _asked(url, values, where).get("incidents"):
                _asked(url, values, f"incidents/{found[0]['id']}/ack", {"by": alert.acknowledged_by})
                break
            if stop.wait(OPEN_SECONDS):
                return


def keep_beating(beat: Callable[[], object], stop: threading.Event) -> None:
    """Send a beat at once and every BEAT_SECONDS until `stop`. One that does not arrive is as good as the next."""
    while True:
        with suppress(OSError, HTTPException):
            beat()
        if stop.wait(BEAT_SECONDS):
            return


def _asked(url: str, values: Mapping[str, str], path: str, body: Any = None) -> Any:
    """Return what the API answers; an empty object where it refuses, as while a stage starts."""
    token = values["API_TOKEN"].split(",")[0].strip().rpartition(":")[2]
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    status, text = request(f"{url}api/{path}", None if body is None else json.dumps(body).encode(), headers)
    return json.loads(text) if status < 300 else {}
