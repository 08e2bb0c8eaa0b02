"""Units of the rule language: what a number counts, how units meet, and how a value is shown.

Durations are `ms s m h d w`, sizes `B KB MB GB TB` in steps of 1024 (as PostgreSQL's pg_size_pretty counts), and a
percentage is a number: 1% is 0.01. The unit of a metric follows from its name, as its sender writes it:

    error_rate, uptime, *_ratio, *_rate, *_percent    a ratio, 0 to 1
    *_ms, *_seconds, *_days                           a time in that unit
    *_gb, *_mb, *_kb, *_bytes, *_gb_per_day           a size in that unit
    requests_per_min, failures, *_total, *_count, …   a number
    anything else                                     a number; with a unit it is bytes, milliseconds or a ratio
"""

import math
import re
from dataclasses import dataclass
from datetime import timedelta
from fractions import Fraction
from functools import lru_cache

RATIO, NUMBER, TIME, SIZE = "ratio", "number", "time", "size"
OPEN = "open"
"""A metric that says no unit: it meets every unit."""
BARE = "bare"
"""A number written without a unit: it takes the unit of the other side, but never stands for a ratio."""
SCALAR = "scalar"
"""What remains when equal units are divided: it meets plain numbers and percentages."""


@dataclass(frozen=True, slots=True)
class Unit:
    """`size` is how many seconds (of a time) or bytes (of a size) one of it is; `name` is how it is shown."""

    kind: str
    size: Fraction = Fraction(1)
    name: str = ""


DURATIONS = {
    "ms": Fraction(1, 1000),
    "s": Fraction(1),
    "m": Fraction(60),
    "h": Fraction(3600),
    "d": Fraction(86_400),
    "w": Fraction(604_800),
}
SIZES = {"B": Fraction(1), "KB": Fraction(2**10), "MB": Fraction(2**20), "GB": Fraction(2**30), "TB": Fraction(2**40)}

PLAIN_NUMBER = Unit(NUMBER)
PLAIN_RATIO = Unit(RATIO)
PLAIN_BARE = Unit(BARE)
PLAIN_SCALAR = Unit(SCALAR)
PLAIN_OPEN = Unit(OPEN)
DAYS = Unit(TIME, DURATIONS["d"], "days")
MILLISECONDS = Unit(TIME, DURATIONS["ms"], "ms")
SECONDS = Unit(TIME, DURATIONS["s"], "s")
BYTES = Unit(SIZE, SIZES["B"], "B")

KNOWN_METRICS = {
    "error_rate": "share of requests that failed",
    "requests_per_min": "requests a minute",
    "errors_per_min": "errors a minute",
    "p95_latency_ms": "95th percentile of the latency",
    "p99_latency_ms": "99th percentile of the latency",
    "latency_ms": "latency of a probe",
    "dns_ms": "time to look up the name of a probe's address",
    "connect_ms": "time to connect to a probe's address",
    "tls_ms": "time of a probe's TLS handshake",
    "first_byte_ms": "time until a probe's answer began",
    "uptime": "share of probe runs that succeeded",
    "failures": "failed runs of a probe in a row",
    "successes": "successful runs of a probe in a row",
    "active_users": "visitors",
    "db_size_gb": "size of the database",
    "db_growth_gb_per_hour": "growth of the database in an hour",
    "db_growth_gb_per_day": "growth of the database a day",
    "db_growth_gb_per_week": "growth of the database in a week",
    "query_time_ms": "mean time of a database query",
    "cache_hit_rate": "share of reads that the cache answered",
    "connections": "open connections",
    "connections_used": "share of the allowed connections that are open",
    "memory_bytes": "memory in use",
    "memory_used": "share of the allowed memory that is in use",
    "tls_days_left": "days until the first of its certificates ends",
    "domain_days_left": "days until the registration of the domain ends",
    "replication_lag_seconds": "how far a copy of the database is behind",
    "replicas": "copies that are connected",
    "cluster_slots_missing": "slots of a Redis cluster that no master serves",
    "disk_used_ratio": "share of the disk that is in use",
    "read_only": "1 while the database takes no writes",
    "evicted_keys_total": "keys that the cache had to drop",
    "keyspace_hits_total": "reads that the cache answered",
    "keyspace_misses_total": "reads that the cache could not answer",
    "db_blocks_hit_total": "blocks read from memory",
    "db_blocks_read_total": "blocks read from disk",
    "db_queries_total": "statements",
    "db_query_ms_total": "time of all statements",
    "db_query_seconds_total": "time of all statements",
    "max_connections": "connections that are allowed",
    "step_ms": "time of a step of a journey",
    "step_failures": "1 when a step of a journey failed",
}
"""The metrics that probes and sources bring, with what they are."""

_NUMBERS = frozenset(
    {"failures", "successes", "active_users", "connections", "requests_per_min", "errors_per_min", "replicas"}
)
_NUMBER_ENDS = (
    "_total",
    "_count",
    "_failures",
    "_connections",
    "_per_min",
    "_per_minute",
    "_per_second",
    "_per_sec",
    "_per_hour",
    "_users",
)
_RATIOS = frozenset({"uptime", "availability", "connections_used", "memory_used"})
_RATIO_ENDS = ("_ratio", "_rate", "_percent", "_pct", "_share", "_availability", "_uptime")
_NOT_RATIOS = ("request_rate", "requests_rate", "event_rate", "events_rate", "message_rate", "messages_rate")
_TIMES = {
    "ms": MILLISECONDS,
    "millis": MILLISECONDS,
    "milliseconds": MILLISECONDS,
    "s": SECONDS,
    "sec": SECONDS,
    "seconds": SECONDS,
    "minutes": Unit(TIME, DURATIONS["m"], "min"),
    "hours": Unit(TIME, DURATIONS["h"], "h"),
    "days": DAYS,
}
_SIZES = {
    "bytes": BYTES,
    "b": BYTES,
    "kb": Unit(SIZE, SIZES["KB"], "KB"),
    "mb": Unit(SIZE, SIZES["MB"], "MB"),
    "gb": Unit(SIZE, SIZES["GB"], "GB"),
    "tb": Unit(SIZE, SIZES["TB"], "TB"),
}
_PER = re.compile(r"_per_(?:day|hour|minute|min|second|sec|week|month)$")


@lru_cache(maxsize=4096)
def unit_of(metric: str) -> Unit:
    """Return the unit in which a metric of this name is measured."""
    if metric in _RATIOS:
        return PLAIN_RATIO
    if metric in _NUMBERS or metric.endswith(_NOT_RATIOS):
        return PLAIN_NUMBER
    if metric in ("tls_days_left", "domain_days_left"):
        return DAYS
    stem = _PER.sub("", metric)
    ending = stem.rpartition("_")[2]
    if ending in _SIZES and ending != stem:
        return _SIZES[ending]
    if ending in _TIMES and ending != stem and stem == metric:
        return _TIMES[ending]
    if metric.endswith(_RATIO_ENDS):
        return PLAIN_RATIO
    if metric.endswith(_NUMBER_ENDS):
        return PLAIN_NUMBER
    return PLAIN_OPEN


def max_age(metric: str) -> timedelta:
    """Return how old the last value of a bare metric may be: 5 minutes, 10 for sizes, which are measured less often."""
    return timedelta(minutes=10 if unit_of(metric).kind == SIZE else 5)


def kind_words(unit: Unit) -> str:
    """Return what the unit is, for a message."""
    words = {
        RATIO: "a ratio",
        NUMBER: "a plain number",
        BARE: "a plain number",
        SCALAR: "a plain number",
        OPEN: "a number",
        TIME: "a time",
        SIZE: "a size",
    }
    return words[unit.kind]


def examples(unit: Unit) -> str:
    """Return how a value of this unit is written."""
    if unit.kind == TIME:
        return "500, 500ms or 0.5s" if unit == MILLISECONDS else f"a number of {unit.name}, or a duration such as 2h"
    written = {
        RATIO: "a percentage, such as 1%",
        SIZE: f"a number of {unit.name}, or a size such as 8GB",
    }
    return written.get(unit.kind, "a plain number, such as 10")


def shown(value: float | None, unit: Unit, other: float | None = None) -> str:
    """Return the value for people: `3.2 %`, `812 ms`, `8.4 GB`, `11`. With enough digits to distinguish it from `other`."""
    if value is None or math.isnan(value):
        return "no data"
    if math.isinf(value):
        return "never" if unit.kind == TIME else ("no limit" if value > 0 else "below any limit")
    if unit.kind == NUMBER and value.is_integer():
        return f"{value:,.0f}"
    text = _digits(value, unit, 2)
    for places in range(3, 7):
        if not _misleads(value, unit, text, other, places - 1):
            break
        text = _digits(value, unit, places)
    return text


def _misleads(value: float, unit: Unit, text: str, other: float | None, places: int) -> bool:
    if other is not None and not math.isinf(other) and _looks_same(value, other, unit, text, places):
        return True
    if value and text.split(" ")[0] in ("0", "-0"):
        return True
    return unit.kind == RATIO and value != 1.0 and text == "100 %"


def _looks_same(value: float, other: float, unit: Unit, text: str, places: int) -> bool:
    return not math.isclose(value, other, rel_tol=1e-9) and text == _digits(other, unit, places)


def _digits(value: float, unit: Unit, places: int) -> str:
    if unit.kind == RATIO:
        return f"{_trimmed(value * 100, places)} %"
    if unit == BYTES:
        return _bytes(value, places)
    if unit.kind in (TIME, SIZE):
        name = "day" if unit.name == "days" and value == 1 else unit.name
        return f"{_trimmed(value, places)} {name}"
    return _trimmed(value, places)


def _trimmed(value: float, places: int) -> str:
    text = f"{value:,.{places}f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text == "-0" else text


def _bytes(value: float, places: int) -> str:
    for name in ("TB", "GB", "MB", "KB"):
        if abs(value) >= SIZES[name]:
            return f"{_trimmed(value / float(SIZES[name]), places)} {name}"
    return f"{_trimmed(value, places)} B"


# ---------------------------------------------------------------------------------------------------------------------
# Durations

_PART = re.compile(r"(\d{1,12}(?:\.\d{1,9})?)(ms|s|m|h|d|w)")
_MICROSECOND = Fraction(1, 1_000_000)
MAX_DURATION = timedelta(days=3660)
DURATION_FORMS = "a number and one of ms, s, m, h, d, w, such as 30s, 0.5s, 5m, 1h30m, 1d"


def parse_duration(text: str) -> timedelta:
    """Return `30s`, `0.5s`, `1h30m`, `1w` as a duration; ValueError says what is allowed."""
    seconds, position, units = Fraction(0), 0, list(DURATIONS)
    last = len(units)
    written = text.strip() if isinstance(text, str) else ""
    while position < len(written):
        part = _PART.match(written, position)
        if part is None or units.index(part[2]) >= last:
            raise ValueError(f"{written[:40]!r} is not a duration; allowed is {DURATION_FORMS}")
        last = units.index(part[2])
        seconds += Fraction(part[1]) * DURATIONS[part[2]]
        position = part.end()
    if not written:
        raise ValueError(f"a duration is missing; allowed is {DURATION_FORMS}")
    if seconds > int(MAX_DURATION.total_seconds()):
        raise ValueError(f"{written[:40]!r} is too long; allowed is up to {MAX_DURATION.days}d")
    return timedelta(microseconds=int(seconds / _MICROSECOND))


def duration_text(duration: timedelta) -> str:
    """Return the duration as the rule language writes it: `1h30m`, `500ms`."""
    left = duration // timedelta(milliseconds=1)
    found = ""
    for name in ("w", "d", "h", "m", "s", "ms"):
        size = int(DURATIONS[name] * 1000)
        if left >= size and (name != "w" or left % size == 0):
            found += f"{left // size}{name}"
            left %= size
    return found or "0s"


def duration_words(duration: timedelta) -> str:
    """Return the duration in English: `5 minutes`, `1 hour 30 minutes`."""
    names = {"d": "day", "h": "hour", "m": "minute", "s": "second"}
    left = duration.total_seconds()
    found = []
    for name, word in names.items():
        size = int(DURATIONS[name])
        count = left / size if name == "s" else left // size
        if count:
            found.append(f"{_trimmed(count, 3)} {word}{'' if count == 1 else 's'}")
            left -= count * size
    return " ".join(found) or "0 seconds"
