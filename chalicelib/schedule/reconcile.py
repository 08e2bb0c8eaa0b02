"""schedule → what webhooks missed, and sources that have gone quiet or are refused: every five minutes.

Senders give up: Sentry tries an internal integration's webhook once, Cloudflare promises nothing. So what a vendor's
history says happened since the last look is compared with what is known here, and what is missing goes on the webhooks
queue as the webhook that should have told it. Its events have the ids of the real ones where the vendor says them, so
that one that is only late counts once. Faults are looked for, and ends of what burns; information is not.

What is wrong with a source or a silence is an event of source `router`, made anew each run while it lasts and ended after:

    webhooks.missed      some came late (`3 of 214`)          history.failed   an endpoint of its history cannot be read
    history.unreadable   entries of it that nobody can read   history.limited  an optional endpoint is absent: information
    source.quiet         silent for longer than it ever is    source.refused   it is refused more often than it was
    silence.refused      an older version stored it with a pattern that RE2 refuses, so it mutes nothing

A history is read endpoint by endpoint, each from a cursor of its own: what one answers costs nothing that others gave.
Cursors, and when each source was heard of, are marks of the context: one write a run when something changed.

    repair:<source>:<endpoint>             up to when the endpoint was read
    repair_wait:<source>:<limit>           until when the vendor wants no request under this rate limit
    trouble:<kind>:<source>[:<endpoint>]   since when the trouble is reported
"""

import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from chalicelib import log, plugins
from chalicelib.core.alert import Alert, Origin
from chalicelib.core.context import Context
from chalicelib.core.errors import EndpointAbsentError, NotSetUpError, ParseError, TargetUnavailableError
from chalicelib.core.event import Event, Severity, Status, fingerprint
from chalicelib.core.incident import Incident
from chalicelib.core.match import refusal
from chalicelib.core.ports import Clients, Store
from chalicelib.core.rule import Rules
from chalicelib.histories import Endpoint, Found, History
from chalicelib.ingest.counters import HEARD, REFUSED
from chalicelib.log import reason_of
from chalicelib.messages.queue import Queues, events_messages
from chalicelib.messages.webhook import Webhook, compressed, written
from chalicelib.process.batch import Batch
from chalicelib.process.context_update import saved_context
from chalicelib.process.gather import take_event
from chalicelib.process.lead import reached
from chalicelib.process.parse import parsed
from chalicelib.schedule.last_seen import SourceActivity, heard_again, heard_from, is_quiet

ON_ITS_WAY = timedelta(minutes=3)
"""What is younger may still come by itself."""
RUN_LIMIT = timedelta(seconds=40)
ENDPOINT_LIMIT = timedelta(seconds=10)
"""No request begins later in a run, or later in the reading of one endpoint: the function ends after a minute."""
FARTHEST = timedelta(hours=24)
FIRST_LOOK = timedelta(minutes=15)
STUCK = timedelta(hours=1)
"""A history that could not be read for so long is told; shorter outages of a vendor mend themselves."""
NEAR = timedelta(minutes=5)
"""Two clocks, and a delivery, may be so far apart and still mean the same notification."""
REFUSED_SPAN = timedelta(hours=1)
REFUSED_BEFORE = timedelta(days=1)
MIN_REFUSED = 3
MANY_REFUSED = 10
"""Of a source that was never heard of, or is heard of all the same: anyone can post three wrong things."""
NO_SENDERS = frozenset({"router", "probe", "heartbeat"})
LIMITED = "history.limited"
REFUSED_SILENCE = "silence.refused"
TITLES = {
    "webhooks.missed": "Webhooks from {source} came late",
    "history.failed": "The {what} of {source} cannot be read",
    "history.unreadable": "Entries of the history of {source} cannot be read",
    LIMITED: "{source} has no {what} to read",
    "source.quiet": "{source} has gone quiet",
    "source.refused": "Webhooks from {source} are refused",
    REFUSED_SILENCE: "The silence {source} mutes nothing",
}


class Reader(Protocol):
    """A module of histories/."""

    @property
    def ENDPOINTS(self) -> Sequence[Endpoint]:
        """The lists that are read, in this order."""
        ...


@dataclass(slots=True)
class ReconcileReport:
    """What a run came to: by source (missed, looked at), and the troubles with their reason.

    A trouble is found by its kind and subject: a source, or `<source>:<endpoint>`.
    """

    missed: dict[str, tuple[int, int]] = field(default_factory=dict)
    troubles: dict[tuple[str, str], str] = field(default_factory=dict)


@dataclass(slots=True)
class _Reconciliation:
    rules: Rules
    store: Store
    queues: Queues
    clients: Clients
    now: datetime
    readers: Mapping[str, Reader]
    marks: dict[str, str]
    clock: Callable[[], float]
    ends_at: float
    report: ReconcileReport = field(default_factory=ReconcileReport)
    messages: list[str] = field(default_factory=list)
    undecided: set[str] = field(default_factory=set)
    """Sources and endpoints of which this run says nothing: their troubles go on."""


def repair(
    *,
    rules: Rules,
    store: Store,
    queues: Queues,
    clients: Clients,
    now: datetime,
    readers: Mapping[str, Reader] | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> ReconcileReport:
    """Take in what was missed and report what is wrong with sources. Twice changes nothing.

    `clock` counts the seconds that vendors take. NotStoredError or ConflictError when that cannot be kept; the next run then does the same again.
    """
    found = (
        readers if readers is not None else {name: plugins.load_history(name) for name in plugins.names("histories")}
    )
    context = store.context()
    before = dict(context.marks)
    run = _Reconciliation(
        rules, store, queues, clients, now, found, dict(before), clock, clock() + RUN_LIMIT.total_seconds()
    )
    _hear(run)
    _look_at_silences(run, context)
    for source, reader in found.items():
        _read(run, source, reader)
    run.messages += events_messages(_told(run))
    if run.messages:
        queues.webhooks.put(run.messages)
    _keep(store, before, run.marks)
    return run.report


def _keep(store: Store, before: Mapping[str, str], after: Mapping[str, str]) -> None:
    changed = {key: after.get(key) for key in {*before, *after} if before.get(key) != after.get(key)}
    if not changed:
        return

    def kept(context: Context) -> Context:
        marks = {**context.marks, **{key: value for key, value in changed.items() if value is not None}}
        return replace(context, marks={key: text for key, text in marks.items() if changed.get(key, text) is not None})

    saved_context(store, store.context(), kept)


# ---------------------------------------------------------------------------------------------------------------------
# What webhooks missed


def _read(run: _Reconciliation, source: str, reader: Reader) -> None:
    """Read one vendor's history, endpoint by endpoint, and take in what is missing."""
    _adopt_marks(run, source, reader.ENDPOINTS)
    reading = _Reading(source, _active_identities(run.store, source))
    histories = [_history(run, reading, endpoint) for endpoint in reader.ENDPOINTS]
    if any(history is not None for history in histories):
        _take(run, source, [each for history in histories if history is not None for each in history.found])
    elif any(_subject(source, endpoint) in run.undecided for endpoint in reader.ENDPOINTS):
        run.undecided.add(source)


@dataclass(frozen=True, slots=True)
class _Reading:
    """One vendor in one run: the issues that fire here, and the rate limits that are used up."""

    source: str
    active: Sequence[str]
    exhausted: set[str] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class _Timed:
    """Clients whose requests must begin in time, so that slow answers of one endpoint leave time for the others."""

    clients: Clients
    ends_at: float
    clock: Callable[[], float]

    def http(self) -> Any:
        """Return the HTTP client; TargetUnavailableError when no request may begin any more."""
        if self.clock() >= self.ends_at:
            raise TargetUnavailableError("Its answers took longer than one run has for them")
        return self.clients.http()

    def aws(self, service: str) -> Any:
        """Return a client of an AWS service."""
        return self.clients.aws(service)

    def secret(self, name: str) -> str | None:
        """Return a secret by its name."""
        return self.clients.secret(name)

    def setting(self, name: str, default: str = "") -> str:
        """Return a setting by its name."""
        return self.clients.setting(name, default)


def _subject(source: str, endpoint: Endpoint) -> str:
    return f"{source}:{endpoint.name}"


def _adopt_marks(run: _Reconciliation, source: str, endpoints: Sequence[Endpoint]) -> None:
    """Make the one cursor that a source had before each endpoint had its own the cursor of each, and so its wait."""
    if cursor := run.marks.pop(f"repair:{source}", ""):
        for endpoint in endpoints:
            run.marks.setdefault(f"repair:{_subject(source, endpoint)}", cursor)
    if wait := run.marks.pop(f"repair_wait:{source}", ""):
        for endpoint in endpoints:
            run.marks.setdefault(f"repair_wait:{source}:{endpoint.limited_by}", wait)


def _history(run: _Reconciliation, reading: _Reading, endpoint: Endpoint) -> History | None:
    """Read one endpoint and move its cursor; None when it cannot be read now, which costs the others nothing."""
    subject = _subject(reading.source, endpoint)
    if _waits(run, reading, endpoint):
        run.undecided.add(subject)
        return None
    since = _since(run, subject)
    try:
        history = _asked(run, reading, endpoint, since)
    except NotSetUpError:
        return None
    except Exception as error:  # whatever one endpoint answers is not the others' trouble
        _note_failure(run, reading.source, endpoint, error, since)
        return None
    if history.exhausted:
        reading.exhausted.add(endpoint.limited_by)
    run.marks[f"repair:{subject}"] = history.reached.isoformat()
    return history


def _asked(run: _Reconciliation, reading: _Reading, endpoint: Endpoint, since: datetime) -> History:
    ends_at = min(run.ends_at, run.clock() + ENDPOINT_LIMIT.total_seconds())
    clients = _Timed(run.clients, ends_at, run.clock)
    return endpoint.read(clients, since=since, until=run.now - ON_ITS_WAY, active=reading.active)


def _waits(run: _Reconciliation, reading: _Reading, endpoint: Endpoint) -> bool:
    """Return True while the vendor wants no request under the endpoint's limit."""
    if endpoint.limited_by in reading.exhausted:
        return True
    wait = f"repair_wait:{reading.source}:{endpoint.limited_by}"
    ends_at = _instant(run.marks.get(wait))
    if ends_at is not None and ends_at > run.now:
        return True
    run.marks.pop(wait, None)
    return False


def _since(run: _Reconciliation, subject: str) -> datetime:
    cursor = _instant(run.marks.get(f"repair:{subject}"))
    return max(cursor or run.now - FIRST_LOOK, run.now - FARTHEST)


def _note_failure(run: _Reconciliation, source: str, endpoint: Endpoint, error: Exception, since: datetime) -> None:
    """Keep the endpoint's cursor, and report why it could not be read."""
    log.line("repair", source=source, endpoint=endpoint.name, action="failed", **log.failure(error))
    cursor = f"repair:{_subject(source, endpoint)}"
    if _instant(run.marks.get(cursor)) is None:
        run.marks[cursor] = since.isoformat()
    if isinstance(error, TargetUnavailableError):
        _note_outage(run, source, endpoint, error, since)
    elif isinstance(error, EndpointAbsentError) and endpoint.optional:
        reason = f"{error}. Missed webhooks of this kind are not looked for."
        run.report.troubles[LIMITED, _subject(source, endpoint)] = reason
    else:
        run.report.troubles["history.failed", _subject(source, endpoint)] = f"{reason_of(error)}."


def _note_outage(
    run: _Reconciliation, source: str, endpoint: Endpoint, error: TargetUnavailableError, since: datetime
) -> None:
    """Wait for as long as the vendor asks for; report what has lasted for STUCK, since shorter outages end by themselves."""
    if error.retry_after is not None:
        run.marks[f"repair_wait:{source}:{endpoint.limited_by}"] = (run.now + error.retry_after).isoformat()
    if since < run.now - STUCK:
        reason = f"{error}, since {since:%Y-%m-%d %H:%M} UTC."
        run.report.troubles["history.failed", _subject(source, endpoint)] = reason
    else:
        run.undecided.add(_subject(source, endpoint))


def _take(run: _Reconciliation, source: str, found: Sequence[Found]) -> None:
    incidents = list(run.store.incidents(ended_since=run.now - FARTHEST))
    looked_at = missed = 0
    seen: set[str] = set()
    unreadable: list[str] = []
    for webhook in (_webhook(source, each) for each in found):
        try:
            news = [event for event in _events(run, webhook) if event.status is not Status.INFO]
        except ParseError as error:
            unreadable.append(str(error))
            continue
        if not {event.id for event in news} - seen:
            continue
        seen |= {event.id for event in news}
        looked_at += 1
        if any(not _known(run, event, incidents) for event in news):
            missed += 1
            run.messages.append(written(webhook, compressed(webhook.body)))
    run.report.missed[source] = (missed, looked_at)
    if unreadable:
        reason = f"{len(unreadable)} of {len(found)} entries cannot be read and are left out: {unreadable[0]}."
        run.report.troubles["history.unreadable", source] = reason
    if missed:
        log.line("repair", source=source, missed=missed, of=looked_at)
        run.report.troubles["webhooks.missed", source] = (
            f"{missed} of {looked_at} came late: their webhooks never arrived. They were read from its API."
        )


def _webhook(source: str, found: Found) -> Webhook:
    body = _json(found.body)
    return Webhook(
        id=f"repair:{fingerprint(source, body.decode())}",
        source=source,
        body=body,
        received_at=found.at,
        headers=dict(found.headers),
    )


def _json(body: Mapping[str, Any]) -> bytes:
    return json.dumps(body, separators=(",", ":"), sort_keys=True).encode()


def _events(run: _Reconciliation, webhook: Webhook) -> Iterable[Event]:
    return parsed(webhook.source, webhook.headers, webhook.body, run.rules, webhook.received_at)


def _known(run: _Reconciliation, event: Event, incidents: Sequence[Incident]) -> bool:
    """True when an alert that the event would reach has heard of it or of something newer, or nothing would hear it."""
    batch = Batch(run.rules, run.store, run.queues, run.now, run.store.context())
    take_event(batch, event, "")
    places = reached(batch)
    if not places or _heard_nearly(event, incidents):
        return True
    batch.read({key for key, _ in places})
    known = {key: incident.alerts for key, incident in batch.stored.items() if incident is not None}
    return any(_has_heard(known.get(key, {}).get(alert), event) for key, alert in places)


def _has_heard(alert: Alert | None, event: Event) -> bool:
    if alert is None:
        return event.status is Status.RESOLVED
    short = fingerprint(event.source, event.id)[:10]
    if any(mark.endswith(short) for _, mark in alert.received.recent):
        return True
    if event.status is Status.RESOLVED:
        return not alert.active or (
            alert.received.last_event_at is not None and alert.received.last_event_at > event.occurred_at
        )
    if alert.has_condition:
        return False
    return (
        alert.active
        or bool(alert.changes.ended_by)
        or (_newest(alert) or event.occurred_at) >= event.occurred_at - NEAR
    )


def _newest(alert: Alert) -> datetime | None:
    return max((*_times(alert), *filter(None, (alert.ends_at,))), default=None)


def _heard_nearly(event: Event, incidents: Sequence[Incident]) -> bool:
    """A notification of which only the sentence is left has lost what it is about: its policy and time know it."""
    policy = event.labels.get("policy_id")
    if not policy:
        return False
    return any(
        alert.sender.source == event.source
        and alert.labels.get("policy_id") == policy
        and any(abs(at - event.occurred_at) <= NEAR for at in _times(alert))
        for incident in incidents
        for alert in incident.alerts.values()
    )


def _times(alert: Alert) -> list[datetime]:
    marks = [datetime.fromtimestamp(at, UTC) for at, _ in alert.received.recent]
    return [*marks, *filter(None, (alert.received.last_event_at,))]


def _active_identities(store: Store, source: str) -> list[str]:
    """The ids of the vendor's issues that burn here, the oldest first."""
    alerts = [alert for incident in store.incidents() for alert in incident.firing]
    named = [
        alert.labels.get("issue", "") for alert in alerts if alert.sender.source == source and not alert.has_condition
    ]
    return list(dict.fromkeys(filter(None, named)))


# ---------------------------------------------------------------------------------------------------------------------
# Sources themselves


def _hear(run: _Reconciliation) -> None:
    """Bring the records of all sources up to date, and find who is silent or refused."""
    for source, times in _heard_times(run).items():
        heard = heard_from(run.marks.get(f"heard:{source}", ""))
        for at in sorted(times):
            heard = heard_again(heard, at)
        if heard is not None:
            run.marks[f"heard:{source}"] = str(heard)
    for source, heard in _records(run.marks).items():
        if is_quiet(heard, run.now):
            run.report.troubles["source.quiet", source] = (
                f"Nothing was heard of it since {heard.last_at:%Y-%m-%d %H:%M} UTC, which is unusual. "
                "Look at its own list of webhook deliveries."
            )
    for source in _refused_sources(run.store):
        if reason := _refused(run, source):
            run.report.troubles["source.refused", source] = reason


def _look_at_silences(run: _Reconciliation, context: Context) -> None:
    """Report each silence that is still to end and holds a pattern that RE2 refuses."""
    for silence in (*context.silences, *context.maintenance):
        if silence.ends_at > run.now and (why := refusal(silence.matchers)):
            run.report.troubles[REFUSED_SILENCE, silence.id] = (
                f"{silence.by} made it with a pattern that RE2 refuses. {why}. Make it anew: edit it, or end it."
            )


def _records(marks: Mapping[str, str]) -> dict[str, SourceActivity]:
    names = [key.partition(":")[2] for key in marks if key.startswith("heard:")]
    found = {name: heard_from(marks[f"heard:{name}"]) for name in names}
    return {name: heard for name, heard in found.items() if heard is not None}


def _heard_times(run: _Reconciliation) -> dict[str, set[datetime]]:
    """When each source was heard: at the door, and by what its alerts last heard."""
    found: dict[str, set[datetime]] = {}
    for labels in run.store.label_sets(HEARD):
        source = labels.get("source", "")
        known = heard_from(run.marks.get(f"heard:{source}", ""))
        since = max(known.last_at if known else run.now - FARTHEST, run.now - FARTHEST)
        for bucket in run.store.buckets(HEARD, labels, since, run.now):
            found.setdefault(source, set()).update((bucket.first_at, bucket.last_at))
    for incident in run.store.incidents(ended_since=run.now - REFUSED_SPAN):
        for alert in incident.alerts.values():
            if (
                alert.sender.source not in NO_SENDERS
                and alert.received.refreshed_at is not None
                and alert.origin is not Origin.SERIES
            ):
                found.setdefault(alert.sender.source, set()).add(min(alert.received.refreshed_at, run.now))
    found.pop("", None)
    return found


def _refused_sources(store: Store) -> list[str]:
    return sorted({labels.get("source", "") for labels in store.label_sets(REFUSED)} - {""})


def _refused(run: _Reconciliation, source: str) -> str:
    """Why the source's refusals are trouble; empty when they are not: a few among many accepted, or no more than ever."""
    series = [labels for labels in run.store.label_sets(REFUSED) if labels.get("source") == source]
    recent = {
        labels.get("status", ""): _total(run.store, REFUSED, labels, run.now - REFUSED_SPAN, run.now)
        for labels in series
    }
    count = sum(recent.values())
    heard = heard_from(run.marks.get(f"heard:{source}", ""))
    if count < (MIN_REFUSED if heard is not None else MANY_REFUSED):
        return ""
    start = run.now - REFUSED_SPAN
    earlier = sum(_total(run.store, REFUSED, labels, start - REFUSED_BEFORE, start) for labels in series)
    usual = earlier / (REFUSED_BEFORE / REFUSED_SPAN)
    accepted = heard is not None and heard.last_at > start
    if accepted and (count < MANY_REFUSED or count < 3 * usual):
        return ""
    told = ", ".join(f"{number:.0f} with {status}" for status, number in sorted(recent.items()) if number)
    hint = " Check its secret." if recent.get("401") else ""
    return f"{count:.0f} were refused in the last hour: {told}.{hint}"


def _total(store: Store, metric: str, labels: Mapping[str, str], since: datetime, until: datetime) -> float:
    return sum(bucket.total for bucket in store.buckets(metric, labels, since, until))


def _told(run: _Reconciliation) -> list[Event]:
    """Return an event for each trouble there is, and an end for each that was reported before.

    What is only information is reported once, and has no end.
    """
    events = []
    for (kind, subject), reason in run.report.troubles.items():
        mark = f"trouble:{kind}:{subject}"
        if kind != LIMITED:
            events.append(_event(run, kind, subject, reason, Status.FIRING))
        elif mark not in run.marks:
            events.append(_event(run, kind, subject, reason, Status.INFO))
        run.marks.setdefault(mark, run.now.isoformat())
    for key in [key for key in run.marks if key.startswith("trouble:")]:
        _, kind, subject = key.split(":", 2)
        if (kind, subject) not in run.report.troubles and not _is_undecided(run, kind, subject):
            del run.marks[key]
            events += [_event(run, kind, subject, "", Status.RESOLVED)] if kind != LIMITED else []
    return events


def _is_undecided(run: _Reconciliation, kind: str, subject: str) -> bool:
    """Return True when this run could not see whether the trouble of a history goes on."""
    return kind in ("webhooks.missed", "history.unreadable", "history.failed", LIMITED) and subject in run.undecided


def _event(run: _Reconciliation, kind: str, subject: str, reason: str, status: Status) -> Event:
    if kind == REFUSED_SILENCE:
        return _made(run, kind, subject, reason, status, TITLES[kind].format(source=subject), {"silence": subject})
    source, _, name = subject.partition(":")
    endpoints = run.readers[source].ENDPOINTS if source in run.readers else ()
    what = next((each.what for each in endpoints if each.name == name), name or "history")
    title = TITLES[kind].format(source=source.capitalize(), what=what)
    labels = {"sender": source, "endpoint": name} if name else {"sender": source}
    return _made(run, kind, subject, reason, status, title, labels)


def _made(
    run: _Reconciliation, kind: str, subject: str, reason: str, status: Status, title: str, labels: Mapping[str, str]
) -> Event:
    return Event(
        id=fingerprint("repair", kind, subject, run.now.isoformat(), status.value),
        source="router",
        kind=kind,
        status=status,
        severity=Severity.INFO if status is Status.INFO else Severity.WARNING,
        title=title,
        summary=reason,
        occurred_at=run.now,
        identity=f"{kind}:{subject}",
        labels=labels,
    )


def _instant(text: str | None) -> datetime | None:
    try:
        return datetime.fromisoformat(text) if text else None
    except ValueError:
        return None
