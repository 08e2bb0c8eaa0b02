"""The newest value of each series that probes measured: what a scrape of Prometheus needs of them.

The samples of a stage are in one item for each series, too many for a scrape to read. While Prometheus scrapes the stage, the
run of the probes that measures them keeps the newest in its own text (`core/probe_state.py`). A probe that has not run for two
of its intervals has no value any more: for Prometheus the series then ends.
"""

import base64
import json
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from chalicelib.core.instants import from_seconds
from chalicelib.core.metrics.sample import Sample
from chalicelib.core.probe_state import SLACK

MARK = "gauges"
"""The name under which the version before left them, as a text of its own."""
VERSION = 1
MAX_VALUES = 1_000
"""So many values are kept: each scrape reads all of them."""


@dataclass(frozen=True, slots=True)
class Gauge:
    """What was measured last under some labels, and until when that is true."""

    labels: Mapping[str, str]
    at: datetime
    until: datetime
    values: Mapping[str, float] = field(default_factory=dict)


def gauges_of(samples: Iterable[Sample], every: timedelta) -> list[Gauge]:
    """Return the values of one run of a probe by their labels. Those without a number are left out."""
    found: dict[tuple[tuple[str, str], ...], Gauge] = {}
    for sample in samples:
        if sample.value is not None:
            key = tuple(sorted(sample.labels.items()))
            known = found.get(key)
            values = {**(known.values if known is not None else {}), sample.metric: float(sample.value)}
            found[key] = Gauge(dict(key), sample.at, sample.at + 2 * every + SLACK, values)
    return [*found.values()]


def merged(before: Iterable[Gauge], new: Iterable[Gauge], now: datetime) -> list[Gauge]:
    """Return the newest of each labels, without those that are too old, and no more than MAX_VALUES values."""
    newest = {tuple(sorted(each.labels.items())): each for each in (*before, *new)}
    kept, room = [], MAX_VALUES
    for _, gauge in sorted(newest.items()):
        if gauge.until > now and len(gauge.values) <= room:
            kept.append(gauge)
            room -= len(gauge.values)
    return kept


def rows(gauges: Iterable[Gauge]) -> list[Any]:
    """Return them as they are stored."""
    return [[dict(each.labels), each.at.timestamp(), each.until.timestamp(), dict(each.values)] for each in gauges]


def of_rows(rows: Iterable[Any]) -> list[Gauge]:
    """Return what is stored; nothing where a row is none."""
    try:
        return [Gauge(labels, from_seconds(at), from_seconds(until), values) for labels, at, until, values in rows]
    except (ValueError, KeyError, TypeError):
        return []


def read(text: str | None) -> list[Gauge]:
    """Return what the text of the version before says; nothing for none, and for one that cannot be read."""
    try:
        whole = json.loads(zlib.decompress(base64.b85decode(text or "")))
        return of_rows(whole["gauges"]) if whole["v"] == VERSION else []
    except (ValueError, KeyError, TypeError, zlib.error):
        return []
