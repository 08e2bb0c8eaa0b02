"""The newest value of each series that probes measured, as one short text: what a scrape of Prometheus needs of them.

The samples of a stage are in one item for each series, too many for a scrape to read. While Prometheus scrapes the stage, the
run of the probes that measures them keeps the newest beside. A probe that has not run for two of its intervals has no
value any more: for Prometheus the series then ends.
"""

import base64
import json
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from chalicelib.core.instants import from_seconds
from chalicelib.core.metrics.sample import Sample
from chalicelib.core.probe_state import SLACK

MARK = "gauges"
"""The name under which a run of the probes leaves the text."""
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


def written(gauges: Iterable[Gauge]) -> str:
    """Return them as a text."""
    rows = [[dict(each.labels), each.at.timestamp(), each.until.timestamp(), dict(each.values)] for each in gauges]
    text = json.dumps({"v": VERSION, "gauges": rows}, separators=(",", ":"))
    return base64.b85encode(zlib.compress(text.encode())).decode()


def read(text: str | None) -> list[Gauge]:
    """Return what a text says; nothing for none, and for one that cannot be read."""
    try:
        whole = json.loads(zlib.decompress(base64.b85decode(text or "")))
        if whole["v"] != VERSION:
            return []
        return [
            Gauge(labels, from_seconds(at), from_seconds(until), values)
            for labels, at, until, values in whole["gauges"]
        ]
    except (ValueError, KeyError, TypeError, zlib.error):
        return []
