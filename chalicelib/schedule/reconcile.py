"""schedule → what webhooks missed, and sources that have gone quiet or are refused: every five minutes.

Senders give up: Sentry tries an internal integration's webhook once, Cloudflare promises nothing. So what a vendor's
history says happened since the last look is compared with what is known here, and what is missing goes on the webhooks
queue as the webhook that should have brought it. Its events have the ids of the real ones where the vendor says them, so
that one that is only late counts once. Faults are looked for, and ends of what fires; information is not.

What is wrong with a source or a silence is an event of source `router`, made anew each run while it lasts and ended after:

    webhooks.missed      some came late (`3 of 214`)          history.failed   an endpoint of its history cannot be read
    history.unreadable   entries of it that nobody can read   history.limited  an optional endpoint is absent: information
    source.quiet         silent for longer than it ever is    source.refused   it is refused more often than it was
    silence.refused      an older version stored it with a pattern that RE2 refuses, so it mutes nothing

Endpoints that a vendor takes away are a warning a week (`retirement.py`), values that no source knows a report a day
(`unknown_values.py`), a release without source maps a warning (`source_maps.py`).

A history is read endpoint by endpoint, each from a cursor of its own: what one answers costs nothing that others gave.
Cursors, and when each source sent something last, are marks of the context: one write a run when something changed.

    repair:<source>:<endpoint>             up to when the endpoint was read
    repair_wait:<source>:<limit>           until when the vendor wants no request under this rate limit
    trouble:<kind>:<source>[:<endpoint>]   since when the trouble is reported
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from chalicelib import plugins
from chalicelib.core.context import Context
from chalicelib.core.event import ROUTER, Event, Severity, Status, fingerprint
from chalicelib.core.match import refusal
from chalicelib.core.ports import Clients, Store
from chalicelib.core.rule import Rules
from chalicelib.messages.queue import Queues, events_messages
from chalicelib.process.context_update import saved_context
from chalicelib.schedule.missed import read_history
from chalicelib.schedule.reconciliation import LIMITED, ReconcileReport, Reconciliation
from chalicelib.schedule.retirement import retiring_events
from chalicelib.schedule.source_health import look_at_sources
from chalicelib.schedule.source_maps import unmapped_events
from chalicelib.schedule.unknown_values import unknown_events

if TYPE_CHECKING:
    from chalicelib.plugin_modules import HistoryModule

RUN_LIMIT = timedelta(seconds=40)
"""No request begins later in a run: the function ends after a minute."""
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


def repair(
    *,
    rules: Rules,
    store: Store,
    queues: Queues,
    clients: Clients,
    now: datetime,
    readers: Mapping[str, "HistoryModule"] | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> ReconcileReport:
    """Take in what was missed and report what is wrong with sources. Twice changes nothing.

    `clock` counts the seconds that vendors take. Raise NotStoredError or ConflictError when the result cannot be stored:
    the next run does the same again.
    """
    found = (
        readers if readers is not None else {name: plugins.load_history(name) for name in plugins.names("histories")}
    )
    context = store.context()
    before = dict(context.marks)
    run = Reconciliation(
        rules, store, queues, clients, now, found, dict(before), clock, clock() + RUN_LIMIT.total_seconds()
    )
    look_at_sources(run)
    _look_at_silences(run, context)
    for source, reader in found.items():
        read_history(run, source, reader)
    run.messages += events_messages(
        [*_internal_events(run), *retiring_events(run), *unknown_events(run), *unmapped_events(run)]
    )
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


def _look_at_silences(run: Reconciliation, context: Context) -> None:
    """Report each silence that is still to end and holds a pattern that RE2 refuses."""
    for silence in context.all_silences:
        if silence.ends_at > run.now and (why := refusal(silence.matchers)):
            run.report.troubles[REFUSED_SILENCE, silence.id] = (
                f"{silence.by} made it with a pattern that RE2 refuses. {why}. Make it anew: edit it, or end it."
            )


def _internal_events(run: Reconciliation) -> list[Event]:
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


def _is_undecided(run: Reconciliation, kind: str, subject: str) -> bool:
    """Return True when this run could not see whether the trouble of a history goes on."""
    return kind in ("webhooks.missed", "history.unreadable", "history.failed", LIMITED) and subject in run.undecided


def _event(run: Reconciliation, kind: str, subject: str, reason: str, status: Status) -> Event:
    if kind == REFUSED_SILENCE:
        return _made(run, kind, subject, reason, status, TITLES[kind].format(source=subject), {"silence": subject})
    source, _, name = subject.partition(":")
    endpoints = run.readers[source].ENDPOINTS if source in run.readers else ()
    what = next((each.what for each in endpoints if each.name == name), name or "history")
    title = TITLES[kind].format(source=source.capitalize(), what=what)
    labels = {"sender": source, "endpoint": name} if name else {"sender": source}
    return _made(run, kind, subject, reason, status, title, labels)


def _made(
    run: Reconciliation, kind: str, subject: str, reason: str, status: Status, title: str, labels: Mapping[str, str]
) -> Event:
    return Event(
        id=fingerprint("repair", kind, subject, run.now.isoformat(), status.value),
        source=ROUTER,
        kind=kind,
        status=status,
        severity=Severity.INFO if status is Status.INFO else Severity.WARNING,
        title=title,
        summary=reason,
        occurred_at=run.now,
        identity=f"{kind}:{subject}",
        labels=labels,
    )
