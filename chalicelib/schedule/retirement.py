"""Endpoints that a vendor takes away: one warning a week, from the announcement until they are gone and replaced.

Vendors announce it on answers that are still good, or answer 410, at first for minutes only. An endpoint that was read
before and answers 404 for a day was taken away without a word. An endpoint that was never there is no news of this kind.

    read:<source>:<endpoint>       it was read at least once
    absent:<source>:<endpoint>     since when it answers 404 or 410
    retiring:<source>:<endpoint>   when people were warned last
"""

from datetime import timedelta

from chalicelib.core.errors import EndpointAbsentError
from chalicelib.core.event import ROUTER, Event, Severity, Status, fingerprint
from chalicelib.core.payload.retirement import KIND, Retirement
from chalicelib.histories import Endpoint
from chalicelib.schedule.reconciliation import Reconciliation, instant_or_none

WEEK = timedelta(days=7)
LASTING = timedelta(days=1)
"""What answers 404 for so long after it was read is gone, and no mistake of an hour."""
SHOWN_FOR = timedelta(hours=1)
"""The warning ends by itself, before anybody is reminded of it: the next one comes in a week."""


def note_read(run: Reconciliation, source: str, endpoint: Endpoint, retires: Retirement | None) -> None:
    """Note that an endpoint was read, and what its vendor announced of its end."""
    subject = f"{source}:{endpoint.name}"
    run.marks.pop(f"absent:{subject}", None)
    run.marks.setdefault(f"read:{subject}", "yes")
    if retires is not None:
        _note(run, source, endpoint, f"{source.capitalize()} {retires.words}", retires.replacement)


def note_absent(run: Reconciliation, source: str, endpoint: Endpoint, error: EndpointAbsentError) -> None:
    """Note that an endpoint is not there. 410 says that it was; 404 must last, and follow an answer that was good."""
    subject = f"{source}:{endpoint.name}"
    since = instant_or_none(run.marks.setdefault(f"absent:{subject}", run.now.isoformat())) or run.now
    lasts = f"read:{subject}" in run.marks and run.now - since >= LASTING
    if error.gone or lasts:
        status = 410 if error.gone else 404
        _note(run, source, endpoint, f"{source.capitalize()} answers {status} since {since:%Y-%m-%d %H:%M} UTC", "")


def _note(run: Reconciliation, source: str, endpoint: Endpoint, why: str, replacement: str) -> None:
    """Have people warned, unless they were in the last week."""
    mark = f"retiring:{source}:{endpoint.name}"
    last = instant_or_none(run.marks.get(mark))
    if last is not None and run.now - last < WEEK:
        return
    run.marks[mark] = run.now.isoformat()
    instead = f" It is replaced by {replacement}." if replacement else ""
    run.report.retiring[f"{source}:{endpoint.name}"] = (
        f"{why}.{instead} Without it missed webhooks about {endpoint.what} are not looked for; those that arrive are "
        "taken as before. See whether a newer version of Tocsin reads its replacement, and upgrade."
    )


def retiring_events(run: Reconciliation) -> list[Event]:
    """Return a warning for each endpoint whose end is to be reported in this run."""
    return [_event(run, subject, reason) for subject, reason in run.report.retiring.items()]


def _event(run: Reconciliation, subject: str, reason: str) -> Event:
    source, _, name = subject.partition(":")
    endpoints = run.readers[source].ENDPOINTS if source in run.readers else ()
    what = next((each.what for each in endpoints if each.name == name), name)
    return Event(
        id=fingerprint("repair", KIND, subject, run.now.isoformat()),
        source=ROUTER,
        kind=KIND,
        status=Status.FIRING,
        severity=Severity.WARNING,
        title=f"{source.capitalize()} takes away what Tocsin reads: {what}",
        summary=reason,
        occurred_at=run.now,
        identity=f"{KIND}:{subject}",
        labels={"sender": source, "endpoint": name},
        ends_at=run.now + SHOWN_FOR,
    )
