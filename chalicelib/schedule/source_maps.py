"""Warns once of each release whose errors come with minified frames.

unmapped:<service>:<release>   when it was reported: a mark of the context
"""

from datetime import timedelta

from chalicelib.core.event import ROUTER, Event, Severity, Status, fingerprint
from chalicelib.core.source_maps import METRIC
from chalicelib.schedule.reconciliation import Reconciliation, instant_or_none

KIND = "release.unmapped"
MARK = "unmapped:"
LOOKED_BACK = timedelta(hours=2)
KEPT = timedelta(days=30)
"""A release that still comes without source maps after so long is reported once more."""
MAX_KEPT = 50
SHOWN_FOR = timedelta(hours=1)
"""The warning ends by itself, before anybody is reminded of it."""
ADVICE = (
    "Upload them in the build of each release: `sentry-cli sourcemaps inject DIR`, then "
    "`sentry-cli sourcemaps upload --release RELEASE DIR`, or the Sentry plug-in of your bundler with source maps switched on. "
    "The files that are deployed must be those that `inject` changed. Then deploy a new release: events of this one stay as they are."
)


def unmapped_events(run: Reconciliation) -> list[Event]:
    """Return a warning for each release that was not reported before."""
    _forget(run)
    found = []
    for labels in run.store.label_sets(METRIC):
        mark = f"{MARK}{labels.get('service', '')}:{labels.get('release', '')}"
        if mark in run.marks or sum(each.startswith(MARK) for each in run.marks) >= MAX_KEPT:
            continue
        buckets = run.store.buckets(METRIC, labels, run.now - LOOKED_BACK, run.now)
        if count := sum(bucket.total for bucket in buckets):
            run.marks[mark] = run.now.isoformat()
            found.append(_event(run, labels.get("service", ""), labels.get("release", ""), count))
    return found


def _forget(run: Reconciliation) -> None:
    for key in [key for key in run.marks if key.startswith(MARK)]:
        at = instant_or_none(run.marks[key])
        if at is None or run.now - at > KEPT:
            del run.marks[key]


def _event(run: Reconciliation, service: str, release: str, count: float) -> Event:
    return Event(
        id=fingerprint("repair", KIND, service, release, run.now.isoformat()),
        source=ROUTER,
        kind=KIND,
        status=Status.FIRING,
        severity=Severity.WARNING,
        title=f"Release {release} of {service} has no source maps",
        summary=f"{count:.0f} of its errors came with minified frames, which nobody can read. {ADVICE}",
        occurred_at=run.now,
        identity=f"{KIND}:{service}:{release}",
        service=service or None,
        labels={"release": release},
        ends_at=run.now + SHOWN_FOR,
    )
