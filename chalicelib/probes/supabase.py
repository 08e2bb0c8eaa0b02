"""Supabase's metrics endpoint: the database as its own exporter sees it, without a connection of ours.

    - name: main
      project: abcdefghijkl          # the project's ref, or url: https://…/metrics where it is elsewhere
      secret: SUPABASE_SECRET_KEY    # the name of the secret with a secret API key or the service_role key

Samples: `uptime` (`pg_up`: the exporter answers also when the database is down), `db_size_gb` (all databases),
`connections`, `disk_used_ratio` (share of the volume /data), `read_only` (1 when the disk is full), and counters, of which
`watch` makes `cache_hit_rate` and `query_time_ms` since the last reading (RATES).

The exporter's own figures are up to a minute old, and 0 is also what it says of a disk that it does not know. An
endpoint that refuses the key or is away cannot be measured, which does not mean that the database is down.
https://supabase.com/docs/guides/telemetry/metrics  https://prometheus.io/docs/instrumenting/exposition_formats/
"""

import base64
import math
import re
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

from chalicelib.core.errors import TargetRejectedError
from chalicelib.core.metrics.rollup import Rate
from chalicelib.core.payload.retirement import retirement
from chalicelib.probes import Attempt, Down, UnmeasuredError, common_mistakes, probe_retiring
from chalicelib.probes._address import address_mistakes, secret_name_mistakes
from chalicelib.probes._http import Question, ask

MEANING = "Supabase projects whose database is measured."
SAMPLE = {"name": "main", "project": "abcdefghijkl"}
PLACE = 7
METRICS = (
    "db_size_gb", "connections", "read_only", "db_blocks_hit_total", "db_blocks_read_total", "db_query_seconds_total",
    "db_queries_total", "cache_hit_rate", "query_time_ms", "disk_used_ratio",
)  # fmt: skip
TIMEOUT = timedelta(seconds=10)
LATE_IS_DOWN = False
DEFAULT_SECRET = "SUPABASE_SECRET_KEY"
USER = "service_role"
MAX_BODY_BYTES = 5_000_000
MB_PER_GB = 1024
WITHOUT_PG_UP = "the metrics endpoint did not say whether the database is up (pg_up)"
RATES = (
    Rate("cache_hit_rate", "db_blocks_hit_total", ("db_blocks_hit_total", "db_blocks_read_total")),
    Rate("query_time_ms", "db_query_seconds_total", ("db_queries_total",), scale=1000.0),
)

_LINE = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})?\s+(\S+)(?:\s+-?\d+)?\s*")
_LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"')
_PROJECT = re.compile(r"[a-z0-9]{8,40}")

_NAMED = {
    "pg_database_size_mb": "db_size_gb",
    "pg_stat_database_num_backends": "connections",
    "pg_settings_default_transaction_read_only": "read_only",
    "pg_stat_database_blks_hit_total": "db_blocks_hit_total",
    "pg_stat_database_blks_read_total": "db_blocks_read_total",
    "pg_stat_statements_total_time_seconds": "db_query_seconds_total",
    "pg_stat_statements_total_queries": "db_queries_total",
}


async def check(attempt: Attempt) -> None:
    """Add one reading. UnmeasuredError when the endpoint is away, TargetRejectedError when it refuses the key."""
    measured = _measured(await _metrics(attempt))
    if not measured:
        raise UnmeasuredError(WITHOUT_PG_UP)
    for metric, value in measured.items():
        attempt.add(metric, value)
    if "uptime" not in measured:
        attempt.broke("uptime", WITHOUT_PG_UP)
    elif not measured["uptime"]:
        raise Down("the exporter says that the database is down (pg_up 0)")


def parameters(params: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the names of the secrets and settings that an entry reads."""
    return (str(params.get("secret", DEFAULT_SECRET)),)


def validate(params: Mapping[str, Any]) -> list[str]:
    """Return the mistakes of an entry of `probes: {supabase: […]}`, in words."""
    found = common_mistakes(params, required=(), allowed=("project", "url", "secret"))
    if bool(params.get("project")) == bool(params.get("url")):
        found.append("one of project (its ref) and url is needed")
    elif params.get("project") and not _PROJECT.fullmatch(str(params["project"])):
        found.append("project must be the project's ref: small letters and digits, as in https://<ref>.supabase.co")
    found += address_mistakes(params, "url", instead="secret: SUPABASE_SECRET_KEY")
    return found + secret_name_mistakes(params, "secret", DEFAULT_SECRET)


async def _metrics(attempt: Attempt) -> str:
    params = attempt.params
    url = str(params.get("url") or f"https://{params.get('project')}.supabase.co/customer/v1/privileged/metrics")
    name = str(params.get("secret", DEFAULT_SECRET))
    pair = base64.b64encode(f"{USER}:{attempt.secret(name).strip()}".encode()).decode()
    attempt.expected = "the exporter's pg_up 1"
    try:
        headers = {"Authorization": f"Basic {pair}"}
        answer = await ask(attempt, Question("GET", url, headers, keeps=MAX_BODY_BYTES, is_watched=False))
    except Down as down:
        raise UnmeasuredError(f"the metrics endpoint did not answer: {down}") from None
    if answer.status in (401, 403, 404):
        raise TargetRejectedError(f"the metrics endpoint answered {answer.status}: check project, plan and key")
    if answer.status != 200:
        raise UnmeasuredError(f"the metrics endpoint answered {answer.status}; expected is 200")
    if announced := retirement(answer.headers):
        attempt.events.append(probe_retiring("supabase", params, "Supabase", announced, now=attempt.now))
    return answer.text


def _measured(text: str) -> dict[str, float]:
    """Return what the lines say; nothing but `uptime` of a database that is down."""
    values: dict[str, float] = {}
    disk: dict[str, float] = {}
    for name, labels, value in _samples(text):
        if name.startswith("node_filesystem_"):
            if labels.get("mountpoint") == "/data":
                disk[name] = value
        elif name in _NAMED or name == "pg_up":
            # A counter has a line for each database; of `pg_up` the worst counts.
            values[name] = min(values.get(name, value), value) if name == "pg_up" else values.get(name, 0.0) + value
    found: dict[str, float] = {}
    if "pg_up" in values:
        found["uptime"] = 1.0 if values["pg_up"] else 0.0
        if not found["uptime"]:
            return found
    found |= {metric: values[name] for name, metric in _NAMED.items() if math.isfinite(values.get(name, math.nan))}
    if "db_size_gb" in found:
        found["db_size_gb"] /= MB_PER_GB
    size, free = disk.get("node_filesystem_size_bytes", 0.0), disk.get("node_filesystem_avail_bytes")
    if free is not None and size > 0 and 0 <= free <= size:
        found["disk_used_ratio"] = 1 - free / size
    return found


def _samples(text: str) -> Iterator[tuple[str, dict[str, str], float]]:
    """Yield (name, labels, value) of each line that has a finite value."""
    for line in text.splitlines():
        found = None if line.startswith("#") else _LINE.fullmatch(line.strip())
        if found is None:
            continue
        try:
            value = float(found[3])
        except ValueError:
            continue
        if math.isfinite(value):
            yield found[1], dict(_LABEL.findall(found[2] or "")), value
