"""Sources that have gone quiet, and sources that are refused more often than they were."""

from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, datetime, timedelta

from chalicelib.core.alert import Origin
from chalicelib.core.event import OWN_SOURCES
from chalicelib.core.incident import Incident
from chalicelib.core.listing import listed, whole, with_alerts
from chalicelib.core.ports import Store
from chalicelib.core.summary import Summary
from chalicelib.ingest.counters import ACCEPTED, REFUSED
from chalicelib.schedule.last_seen import SourceActivity, activity_from, is_quiet, seen_again
from chalicelib.schedule.reconciliation import FARTHEST, Reconciliation

REFUSED_SPAN = timedelta(hours=1)
REFUSED_BEFORE = timedelta(days=1)
MIN_REFUSED = 3
MAX_READ = 200
"""So many incidents of a source are read for when it was last seen, where its webhooks were not counted."""
_NEVER = datetime.min.replace(tzinfo=UTC)
MANY_REFUSED = 10
"""Of a source of which nothing was ever accepted, or something still is: anyone can post three wrong things."""


def look_at_sources(run: Reconciliation) -> None:
    """Bring the records of all sources up to date, and find who is silent or refused."""
    for source, times in _seen_times(run).items():
        activity = _activity(run, source)
        for at in sorted(times):
            activity = seen_again(activity, at)
        if activity is not None:
            run.marks[f"heard:{source}"] = str(activity)
    for source, activity in _records(run.marks).items():
        if is_quiet(activity, run.now):
            run.report.troubles["source.quiet", source] = (
                f"It has sent nothing since {activity.last_at:%Y-%m-%d %H:%M} UTC, which is unusual. "
                "Look at its own list of webhook deliveries."
            )
    for source in _refused_sources(run.store):
        if reason := _refused(run, source):
            run.report.troubles["source.refused", source] = reason


def _activity(run: Reconciliation, source: str) -> SourceActivity | None:
    return activity_from(run.marks.get(f"heard:{source}", ""))


def _records(marks: Mapping[str, str]) -> dict[str, SourceActivity]:
    names = [key.partition(":")[2] for key in marks if key.startswith("heard:")]
    found = {name: activity_from(marks[f"heard:{name}"]) for name in names}
    return {name: activity for name, activity in found.items() if activity is not None}


def _seen_times(run: Reconciliation) -> dict[str, set[datetime]]:
    """Return when each source sent something: by what was accepted of it, and by what its alerts received last."""
    found: dict[str, set[datetime]] = {}
    for labels in run.store.label_sets(ACCEPTED):
        source = labels.get("source", "")
        known = _activity(run, source)
        since = max(known.last_at if known else run.now - FARTHEST, run.now - FARTHEST)
        for bucket in run.store.buckets(ACCEPTED, labels, since, run.now):
            found.setdefault(source, set()).update((bucket.first_at, bucket.last_at))
    for incident in _lately(run, found.keys()):
        for alert in incident.alerts.values():
            if (
                alert.sender.source not in OWN_SOURCES
                and alert.received.refreshed_at is not None
                and alert.origin is not Origin.SERIES
            ):
                found.setdefault(alert.sender.source, set()).add(min(alert.received.refreshed_at, run.now))
    found.pop("", None)
    return found


def _lately(run: Reconciliation, counted: Collection[str]) -> Iterable[Incident]:
    """Return the newest MAX_READ incidents of each source of which nothing was counted since it was last seen."""
    known = frozenset((*counted, *OWN_SOURCES, ""))
    wanted: dict[str, list[Summary]] = {}
    for summary, alerts in with_alerts(run.store, listed(run.store, ended_since=run.now - REFUSED_SPAN)):
        for source in {alert.labels.get("source", "") for alert in alerts} - known:
            wanted.setdefault(source, []).append(summary)
    newest = [each for some in wanted.values() for each in sorted(some, key=_began, reverse=True)[:MAX_READ]]
    return whole(run.store, newest).values()


def _began(summary: Summary) -> datetime:
    return summary.at or _NEVER


def _refused_sources(store: Store) -> list[str]:
    return sorted({labels.get("source", "") for labels in store.label_sets(REFUSED)} - {""})


def _refused(run: Reconciliation, source: str) -> str:
    """Return why the source's refusals are trouble; empty when they are not: a few among many accepted, or no more than ever."""
    series = [labels for labels in run.store.label_sets(REFUSED) if labels.get("source") == source]
    recent = {
        labels.get("status", ""): _total(run.store, REFUSED, labels, run.now - REFUSED_SPAN, run.now)
        for labels in series
    }
    count = sum(recent.values())
    activity = _activity(run, source)
    if count < (MIN_REFUSED if activity is not None else MANY_REFUSED):
        return ""
    start = run.now - REFUSED_SPAN
    earlier = sum(_total(run.store, REFUSED, labels, start - REFUSED_BEFORE, start) for labels in series)
    usual = earlier / (REFUSED_BEFORE / REFUSED_SPAN)
    accepted = activity is not None and activity.last_at > start
    if accepted and (count < MANY_REFUSED or count < 3 * usual):
        return ""
    statuses = ", ".join(f"{number:.0f} with {status}" for status, number in sorted(recent.items()) if number)
    hint = " Check its secret." if recent.get("401") else ""
    return f"{count:.0f} were refused in the last hour: {statuses}.{hint}"


def _total(store: Store, metric: str, labels: Mapping[str, str], since: datetime, until: datetime) -> float:
    return sum(bucket.total for bucket in store.buckets(metric, labels, since, until))
