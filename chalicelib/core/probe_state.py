"""What a run of the probes knows of the runs before it, as one short text: streaks, last tries, counters, what is broken.

A run reads it once and writes it once. What a scrape and the page show of the newest run is in it, so that it costs no
write. Samples hold the same for everybody else, but come over the queue, where the worker may be behind. A text of another
version is as none: what is missing is looked up in the samples.
"""

import base64
import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from chalicelib.core.measured import Measured

MAX_PROBES_A_RUN = 500
"""Lambda allows 1,024 open files, and each try has one, beside the spare ones (`probes/_sockets.py`)."""
MAX_PROBES = 3_000
"""Of a stage: the text that a run writes is one item of the table, and six workers at once try so many in a minute."""
MAX_BYTES = 390_000
"""Of the text: an item has at most 400 KB."""
SHED = ("measured", "slowest", "gauges")
"""What a text that is too large does without, in this order. A metric that is lost meanwhile is not noticed."""
STATE = "probe-state"
"""The name of the mark that holds the text."""
VERSION = 1
MAX_TRIES = 2
"""The newest tries of earlier runs that are remembered of a series."""
KEPT = timedelta(days=40)
"""A series that was not measured for so long is forgotten."""
SLACK = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Past:
    """The runs of one series of `uptime`: the newest, how often in a row, and when it was fine how often in a row."""

    at: datetime
    failures: int = 0
    successes: int = 0
    fine_at: datetime | None = None
    fine_runs: int = 0
    tries: tuple[tuple[datetime, bool, float | None], ...] = ()


def after_run(past: Past | None, at: datetime, ok: bool, latency_ms: float | None, every: timedelta) -> Past:
    """Return the past of a series after one more run. A gap ends what was in a row: more than one run was missed."""
    if past is not None and past.at >= at:
        return past
    goes_on = past is not None and at - past.at <= 2 * every + SLACK
    failures, successes = (past.failures, past.successes) if past is not None and goes_on else (0, 0)
    failures, successes = (0, successes + 1) if ok else (failures + 1, 0)
    before = past.tries if past is not None else ()
    fine = (at, successes) if ok else (past.fine_at, past.fine_runs) if past is not None else (None, 0)
    return Past(at, failures, successes, *fine, (*before, (at, ok, latency_ms))[-MAX_TRIES:])


@dataclass(frozen=True, slots=True)
class Readings:
    """Counters of one series as they were last read."""

    at: datetime
    values: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class ProbeState:
    """`series` and `counters` are by the fingerprint of their labels, `broken` and `measured` by identity.

    `known`: it was stored. `results` are the newest of probes by a key of their identity: all of those that failed, and those
    that did not while the prober is cut off, which is since `cut_since`. `ran`: when probes ran last, by the same keys.
    `gauges` are rows of `core/gauges.py`, and `slowest` those of `schedule/slowest.py`.
    """

    series: Mapping[str, Past] = field(default_factory=dict)
    counters: Mapping[str, Readings] = field(default_factory=dict)
    broken: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    known: bool = False
    measured: Mapping[str, Measured] = field(default_factory=dict)
    results: Mapping[str, tuple[datetime, bool]] = field(default_factory=dict)
    cut_since: datetime | None = None
    ran: Mapping[str, datetime] = field(default_factory=dict)
    gauges: Sequence[Any] = ()
    slowest: Mapping[str, Any] = field(default_factory=dict)


def written(state: ProbeState, now: datetime) -> str:
    """Return the state as a text, without what was not measured for long."""
    series = {key: _past_row(past) for key, past in state.series.items() if now - past.at <= KEPT}
    counters = {
        key: [_seconds(each.at), dict(each.values)] for key, each in state.counters.items() if now - each.at <= KEPT
    }
    whole: dict[str, Any] = {
        "v": VERSION,
        "series": series,
        "counters": counters,
        "broken": {k: dict(v) for k, v in state.broken.items()},
        "measured": {key: row for key, each in state.measured.items() if (row := _measured_row(each, now)) is not None},
        "results": {key: [_seconds(at), int(failed)] for key, (at, failed) in state.results.items()},
        "ran": {key: _seconds(at) for key, at in state.ran.items()},
        "gauges": list(state.gauges),
        "slowest": dict(state.slowest),
        "cut_since": None if state.cut_since is None else _seconds(state.cut_since),
    }
    text = _packed(whole)
    for part in SHED:
        if len(text) > MAX_BYTES:
            text = _packed(whole := {**whole, part: type(whole[part])()})
    return text


def _packed(whole: Mapping[str, Any]) -> str:
    return base64.b85encode(zlib.compress(json.dumps(whole, separators=(",", ":")).encode())).decode()


def read(text: str | None) -> ProbeState:
    """Return the state that a text holds; an unknown one for none, and for one that cannot be read."""
    if not text:
        return ProbeState()
    try:
        whole = json.loads(zlib.decompress(base64.b85decode(text)))
        if whole["v"] != VERSION:
            return ProbeState()
        return ProbeState(
            {key: _past(row) for key, row in whole["series"].items()},
            {key: Readings(_instant(row[0]), row[1]) for key, row in whole["counters"].items()},
            whole["broken"],
            True,
            {key: _measured(row) for key, row in whole.get("measured", {}).items()},
            {key: (_instant(row[0]), bool(row[1])) for key, row in whole.get("results", {}).items()},
            None if whole.get("cut_since") is None else _instant(whole["cut_since"]),
            {key: _instant(at) for key, at in whole.get("ran", {}).items()},
            tuple(whole.get("gauges", ())),
            whole.get("slowest", {}),
        )
    except (ValueError, KeyError, TypeError, IndexError, zlib.error):
        return ProbeState()


def _past_row(past: Past) -> list[Any]:
    tries = [[_seconds(at), int(ok), took] for at, ok, took in past.tries]
    fine = None if past.fine_at is None else _seconds(past.fine_at)
    return [_seconds(past.at), past.failures, past.successes, fine, past.fine_runs, tries]


def _past(row: list[Any]) -> Past:
    at, failures, successes, fine_at, fine_runs, tries = row[:6]
    fine = None if fine_at is None else _instant(fine_at)
    known = tuple((_instant(when), bool(ok), took) for when, ok, took in tries)
    return Past(_instant(at), failures, successes, fine, fine_runs, known)


def _measured_row(measured: Measured, now: datetime) -> list[Any] | None:
    """Return a row; None for a probe that was not measured for long."""
    newest = max(measured.metrics.values(), default=None)
    if newest is None or now - newest > KEPT:
        return None
    return [measured.entry, {name: _seconds(at) for name, at in measured.metrics.items()}]


def _measured(row: list[Any]) -> Measured:
    entry, metrics = row[:2]
    return Measured(entry, {name: _instant(at) for name, at in metrics.items()})


def _seconds(at: datetime) -> int:
    return int(at.timestamp())


def _instant(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
