"""Metrics that a probe measured before and no longer does."""

import zlib
from collections.abc import Mapping
from datetime import datetime

from chalicelib.core.event import Event
from chalicelib.core.measured import Measured, after_reading
from chalicelib.core.observed import moment
from chalicelib.probes import FAILED, identity_of, name_of, probe_failed
from chalicelib.schedule.probe_run import ProbeRun
from chalicelib.schedule.runs_before import RunsBefore, series_key

NEVER_LOST = frozenset({"uptime", "latency_ms", "replicas", "replication_lag_seconds"})
"""Metrics that a target rightly no longer has: of one that is down, and of a copy that became the primary."""


def remembered_metrics(run: ProbeRun, before: RunsBefore) -> dict[str, Measured]:
    """Return which metrics a run measured, unless it failed: then none is known to be lost."""
    if not run.samples or run.down or any(event.kind == FAILED for event in run.events):
        return {}
    names = {f"{each.metric} {series_key(each.labels)[:8]}" for each in run.samples if each.metric not in NEVER_LOST}
    identity, entry = identity_of(run.kind, name_of(run.params)), zlib.crc32(repr(run.params).encode())
    return {identity: after_reading(before.state.measured.get(identity), entry, names, before.at, run.every)}


def lost_events(run: ProbeRun, remembered: Mapping[str, Measured], at: datetime) -> list[Event]:
    """Return the event of what a probe measured before and no longer does."""
    known = remembered.get(identity_of(run.kind, name_of(run.params)))
    lost = known.lost if known is not None and run.found else {}
    if not lost:
        return []
    names = sorted({name.partition(" ")[0] for name in lost})
    reason = f"{', '.join(names)} {'is' if len(names) == 1 else 'are'} no longer measured: last at {moment(max(lost.values()))}"
    return [probe_failed(run.kind, run.params, reason, now=at, part="measured before")]
