"""What a run of the probes knows of the runs before it: from the text that they left, else from stored samples."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from chalicelib.core.event import labels_fingerprint
from chalicelib.core.metrics.rollup import MICROSECOND, newest_value
from chalicelib.core.ports import Store
from chalicelib.core.probe_state import SLACK, Past, ProbeState

RATE_SPAN = timedelta(minutes=15)
"""For how long a reading of counters is good for a rate, or for three intervals of its probe."""
BROKEN = "probe_broken"
BROKEN_KEPT = timedelta(days=2)


@dataclass(frozen=True, slots=True)
class RunsBefore:
    """What is known of the runs before this one, which is stamped `at`."""

    store: Store
    state: ProbeState
    at: datetime

    def past(self, labels: Mapping[str, str], every: timedelta) -> Past | None:
        """Return the past of a series, from the samples where a version before, or none, ran last."""
        past, reach = self.state.series.get(series_key(labels)), 2 * every + SLACK
        if past is not None and self.at - past.at <= reach:
            return past
        if past is None and self.state.known:
            return None
        return _stored_past(self.store, labels, self.at, reach) or past

    def counters(self, names: Sequence[str], labels: Mapping[str, str], every: timedelta) -> dict[str, float]:
        """Return the counters of a series as they were last read, not too long ago."""
        readings, reach = self.state.counters.get(series_key(labels)), max(RATE_SPAN, 3 * every)
        if readings is not None and self.at - readings.at <= reach:
            return dict(readings.values)
        if readings is None and self.state.known:
            return {}
        found = {name: newest_stored(self.store, name, labels, self.at, reach) for name in names}
        return {name: value for name, value in found.items() if value is not None}

    def broken(self) -> Mapping[str, Mapping[str, str]]:
        """Return the labels of what was broken when it was last looked at, by identity."""
        if self.state.known:
            return self.state.broken
        return {
            labels["identity"]: labels
            for labels in self.store.label_sets(BROKEN)
            if "identity" in labels and newest_stored(self.store, BROKEN, labels, self.at, BROKEN_KEPT)
        }


def series_key(labels: Mapping[str, str]) -> str:
    """Return the short key of a series that these labels have in the state."""
    return labels_fingerprint("", labels)[:16]


def newest_stored(store: Store, metric: str, labels: Mapping[str, str], at: datetime, span: timedelta) -> float | None:
    """Return the newest value before `at`: of the last minutes, which is nearly always there and cheap, else of `span`."""
    for reach in sorted({min(RATE_SPAN, span), span}):
        buckets = store.buckets(metric, labels, at - reach - MICROSECOND, at - MICROSECOND)
        if buckets:
            return newest_value(buckets)
    return None


def _stored_past(store: Store, labels: Mapping[str, str], at: datetime, reach: timedelta) -> Past | None:
    """Return the past of a series as its samples show it."""
    found = {
        metric: store.buckets(metric, labels, at - reach - MICROSECOND, at - MICROSECOND)
        for metric in ("failures", "successes", "uptime", "latency_ms")
    }
    if not found["failures"]:
        return None
    took = {each.last_at: each.last for each in found["latency_ms"]}
    tries = [
        (each.last_at, bool(each.last), took.get(each.last_at)) for each in found["uptime"] if each.last is not None
    ]
    good = [each for each in found["successes"] if each.last]
    fine_at, fine_runs = (good[-1].last_at, int(good[-1].last or 0)) if good else (None, 0)
    newest = found["failures"][-1]
    failures = int(newest.last or 0)
    return Past(newest.last_at, failures, 0 if failures else fine_runs, fine_at, fine_runs, tuple(tries[-2:]))
