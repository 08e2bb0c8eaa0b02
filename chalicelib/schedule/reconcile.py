"""schedule → what webhooks missed, and sources that have gone quiet or are refused: every five minutes.

Senders give up: Sentry tries an internal integration's webhook once, Cloudflare promises nothing. So what a vendor's
history says happened since the last look is compared with what is known here, and what is missing goes on the webhooks
queue as the webhook that should have told it. Its events have the ids of the real ones where the vendor says them, so
that one that is only late counts once. Faults are looked for, and ends of what burns; information is not.

What is wrong with a source itself is an event of source `router`, made anew each run while it lasts and ended after:

    webhooks.missed   some came late (`3 of 214`)          history.failed   the vendor's history cannot be read
    source.quiet      silent for longer than it ever is    source.refused   it is refused more often than it was

Cursors, and when each source was heard of, are marks of the context: one write a run when something changed.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol, cast

from chalicelib import log, plugins
from chalicelib.core.alert import Alert
from chalicelib.core.context import Context
from chalicelib.core.errors import NotSetUpError, TargetRejectedError, TargetUnavailableError
from chalicelib.core.event import Event, Severity, Status, fingerprint
from chalicelib.core.incident import Incident
from chalicelib.core.ports import Clients, Store
from chalicelib.core.rule import Rules
from chalicelib.histories import Found, History
from chalicelib.ingest.counters import HEARD, REFUSED
from chalicelib.messages.queue import events_messages
from chalicelib.messages.webhook import Webhook, compressed, written
from chalicelib.process.batch import Batch, Queues
from chalicelib.process.context_update import saved_context
from chalicelib.process.lead import reached
from chalicelib.process.worker import parsed, take_event
from chalicelib.schedule.last_seen import Heard, heard_again, heard_from, is_quiet

ON_ITS_WAY = timedelta(minutes=3)
"""What is younger may still come by itself."""
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
TITLES = {
    "webhooks.missed": "Webhooks from {source} came late",
    "history.failed": "What {source} sent cannot be looked up",
    "source.quiet": "{source} has gone quiet",
    "source.refused": "Webhooks from {source} are refused",
}


class Reader(Protocol):
    """A module of histories/."""

    def read(self, clients: Clients, *, since: datetime, until: datetime, burning: Sequence[str]) -> History:
        """What happened in that time; raises NotSetUpError, TargetUnavailableError, TargetRejectedError."""
        ...


@dataclass(slots=True)
class Report:
    """What a run came to: by source (missed, looked at), and the troubles told by (kind, source) with their reason."""

    missed: dict[str, tuple[int, int]] = field(default_factory=dict)
    troubles: dict[tuple[str, str], str] = field(default_factory=dict)


@dataclass(slots=True)
class _Run:
    rules: Rules
    store: Store
    queues: Queues
    clients: Clients
    now: datetime
    readers: Mapping[str, Reader]
    marks: dict[str, str]
    report: Report = field(default_factory=Report)
    messages: list[str] = field(default_factory=list)


def repair(
    *,
    rules: Rules,
    store: Store,
    queues: Queues,
    clients: Clients,
    now: datetime,
    readers: Mapping[str, Reader] | None = None,
) -> Report:
    """Take in what was missed and tell what is wrong with sources. Twice changes nothing.

    NotStoredError or ConflictError when that cannot be kept; the next run then does the same again.
    """
    found = readers if readers is not None else {name: _load(name) for name in plugins.names("histories")}
    before = dict(store.context().marks)
    run = _Run(rules, store, queues, clients, now, found, dict(before))
    _hear(run)
    for source, reader in found.items():
        _read(run, source, reader)
    run.messages += events_messages(_told(run))
    if run.messages:
        queues.webhooks.put(run.messages)
    _keep(store, before, run.marks)
    return run.report


def _load(name: str) -> Reader:
    return cast(Reader, plugins.load("histories", name))


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


def _read(run: _Run, source: str, reader: Reader) -> None:
    """Read one vendor's history and take in what is missing; its troubles harm no other."""
    key, wait = f"repair:{source}", f"repair_wait:{source}"
    if (until_told := _instant(run.marks.get(wait))) and until_told > run.now:
        return
    run.marks.pop(wait, None)
    until = run.now - ON_ITS_WAY
    cursor = _instant(run.marks.get(key))
    since = max(cursor or run.now - FIRST_LOOK, run.now - FARTHEST)
    try:
        history = reader.read(run.clients, since=since, until=until, burning=_burning(run.store, source))
    except NotSetUpError:
        return
    except TargetUnavailableError as error:
        run.marks.setdefault(key, since.isoformat())
        if error.retry_after is not None:
            run.marks[wait] = (run.now + error.retry_after).isoformat()
        if since < run.now - STUCK:
            run.report.troubles["history.failed", source] = f"{error}, since {since:%Y-%m-%d %H:%M} UTC."
        return
    except TargetRejectedError as error:
        run.marks.setdefault(key, since.isoformat())
        run.report.troubles["history.failed", source] = f"{error}."
        return
    _take(run, source, history.found)
    run.marks[key] = history.reached.isoformat()


def _take(run: _Run, source: str, found: Sequence[Found]) -> None:
    incidents = list(run.store.incidents(ended_since=run.now - FARTHEST))
    looked_at = missed = 0
    for each in found:
        webhook = _webhook(source, each)
        news = [event for event in _events(run, webhook) if event.status is not Status.INFO]
        looked_at += bool(news)
        if any(not _known(run, event, incidents) for event in news):
            missed += 1
            run.messages.append(written(webhook, compressed(webhook.body)))
    run.report.missed[source] = (missed, looked_at)
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


def _events(run: _Run, webhook: Webhook) -> Iterable[Event]:
    return parsed(webhook.source, webhook.headers, webhook.body, run.rules, webhook.received_at)


def _known(run: _Run, event: Event, incidents: Sequence[Incident]) -> bool:
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
    if any(mark.endswith(short) for _, mark in alert.recent):
        return True
    if event.status is Status.RESOLVED:
        return not alert.burning or (alert.last_event_at is not None and alert.last_event_at > event.occurred_at)
    if alert.condition:
        return False
    return alert.burning or bool(alert.ended_by) or (_newest(alert) or event.occurred_at) >= event.occurred_at - NEAR


def _newest(alert: Alert) -> datetime | None:
    return max((*_times(alert), *filter(None, (alert.ends_at,))), default=None)


def _heard_nearly(event: Event, incidents: Sequence[Incident]) -> bool:
    """A notification of which only the sentence is left has lost what it is about: its policy and time know it."""
    policy = event.labels.get("policy_id")
    if not policy:
        return False
    return any(
        alert.source == event.source
        and alert.labels.get("policy_id") == policy
        and any(abs(at - event.occurred_at) <= NEAR for at in _times(alert))
        for incident in incidents
        for alert in incident.alerts.values()
    )


def _times(alert: Alert) -> list[datetime]:
    marks = [datetime.fromtimestamp(at, UTC) for at, _ in alert.recent]
    return [*marks, *filter(None, (alert.last_event_at,))]


def _burning(store: Store, source: str) -> list[str]:
    """The ids of the vendor's issues that burn here, the oldest first."""
    alerts = [alert for incident in store.incidents() for alert in incident.firing]
    named = [alert.labels.get("issue", "") for alert in alerts if alert.source == source and not alert.condition]
    return list(dict.fromkeys(filter(None, named)))


# ---------------------------------------------------------------------------------------------------------------------
# Sources themselves


def _hear(run: _Run) -> None:
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


def _records(marks: Mapping[str, str]) -> dict[str, Heard]:
    names = [key.partition(":")[2] for key in marks if key.startswith("heard:")]
    found = {name: heard_from(marks[f"heard:{name}"]) for name in names}
    return {name: heard for name, heard in found.items() if heard is not None}


def _heard_times(run: _Run) -> dict[str, set[datetime]]:
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
            if alert.source not in NO_SENDERS and alert.refreshed_at is not None and not alert.measured:
                found.setdefault(alert.source, set()).add(min(alert.refreshed_at, run.now))
    found.pop("", None)
    return found


def _refused_sources(store: Store) -> list[str]:
    return sorted({labels.get("source", "") for labels in store.label_sets(REFUSED)} - {""})


def _refused(run: _Run, source: str) -> str:
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


def _told(run: _Run) -> list[Event]:
    """An event for each trouble there is, and an end for each that was told before."""
    events = []
    for (kind, source), reason in run.report.troubles.items():
        run.marks.setdefault(f"trouble:{kind}:{source}", run.now.isoformat())
        events.append(_event(kind, source, reason, run.now, Status.FIRING))
    for key in [key for key in run.marks if key.startswith("trouble:")]:
        _, kind, source = key.split(":", 2)
        if (kind, source) not in run.report.troubles and not _undecided(run, kind, source):
            del run.marks[key]
            events.append(_event(kind, source, "", run.now, Status.RESOLVED))
    return events


def _undecided(run: _Run, kind: str, source: str) -> bool:
    """A history that was not read in this run, since its vendor asked to wait, says nothing of its trouble."""
    return kind in ("webhooks.missed", "history.failed") and f"repair_wait:{source}" in run.marks


def _event(kind: str, source: str, reason: str, at: datetime, status: Status) -> Event:
    return Event(
        id=fingerprint("repair", kind, source, at.isoformat(), status.value),
        source="router",
        kind=kind,
        status=status,
        severity=Severity.WARNING,
        title=TITLES[kind].format(source=source.capitalize()),
        summary=reason,
        occurred_at=at,
        identity=f"{kind}:{source}",
        labels={"sender": source},
    )


def _instant(text: str | None) -> datetime | None:
    try:
        return datetime.fromisoformat(text) if text else None
    except ValueError:
        return None
