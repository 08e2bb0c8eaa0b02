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

import math
import re
import time
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import httpx

from chalicelib.core.errors import TargetRejectedError, TargetUnavailableError
from chalicelib.core.metrics.rollup import Rate
from chalicelib.core.metrics.sample import Sample
from chalicelib.deadline import STARTED_AT
from chalicelib.probes import addresses, common_mistakes, labels_of, probe_failed, secret, time_limit

if TYPE_CHECKING:
    from chalicelib.core.event import Event
    from chalicelib.core.ports import Clients

MEANING = "Supabase projects whose database is measured."
SAMPLE = {"name": "main", "project": "abcdefghijkl"}
PLACE = 7
DEFAULT_TIMEOUT = timedelta(seconds=10)
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


def check(params: Mapping[str, Any], clients: "Clients", *, now: datetime) -> "list[Sample | Event]":
    """One reading. TargetUnavailableError when the endpoint is away, TargetRejectedError when it refuses the key."""
    measured = _measured(_metrics(params, clients))
    if not measured:
        raise TargetUnavailableError(WITHOUT_PG_UP)
    labels = labels_of(params)
    found: list[Sample | Event] = [Sample(metric, value, now, labels) for metric, value in measured.items()]
    if "uptime" not in measured:
        found.append(probe_failed("supabase", params, WITHOUT_PG_UP, now=now, part="uptime"))
    return found


def parameters(params: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the names of the secrets and settings that an entry reads."""
    return (str(params.get("secret", DEFAULT_SECRET)),)


def validate(params: Mapping[str, Any]) -> list[str]:
    """The mistakes of an entry of `probes: {supabase: […]}`, in words."""
    found = common_mistakes(params, required=(), allowed=("project", "url", "secret"))
    if bool(params.get("project")) == bool(params.get("url")):
        found.append("one of project (its ref) and url is needed")
    elif params.get("project") and not _PROJECT.fullmatch(str(params["project"])):
        found.append("project must be the project's ref: small letters and digits, as in https://<ref>.supabase.co")
    elif params.get("url") and not str(params["url"]).startswith(("https://", "http://")):
        found.append("url must begin with https:// or http://")
    return found


def _metrics(params: Mapping[str, Any], clients: "Clients") -> str:
    url = str(params.get("url") or f"https://{params.get('project')}.supabase.co/customer/v1/privileged/metrics")
    key = secret(clients, str(params.get("secret", DEFAULT_SECRET)))
    parts = urlsplit(url)
    limit, began = time_limit(params, DEFAULT_TIMEOUT).total_seconds(), {STARTED_AT: time.monotonic()}
    try:
        addresses(parts.hostname or "", parts.port or 443)
        response = clients.http().get(url, auth=(USER, key), timeout=limit, follow_redirects=False, extensions=began)
    except (OSError, httpx.HTTPError) as error:
        raise TargetUnavailableError(f"the metrics endpoint did not answer: {type(error).__name__}") from None
    if response.status_code in (401, 403, 404):
        raise TargetRejectedError(f"the metrics endpoint answered {response.status_code}: check project, plan and key")
    if response.status_code != 200:
        raise TargetUnavailableError(f"the metrics endpoint answered {response.status_code}; expected is 200")
    return str(response.text[:MAX_BODY_BYTES])


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
    found |= {metric: values[name] for name, metric in _NAMED.items() if name in values}
    if "db_size_gb" in found:
        found["db_size_gb"] /= MB_PER_GB
    size, free = disk.get("node_filesystem_size_bytes", 0.0), disk.get("node_filesystem_avail_bytes")
    if size > 0 and free is not None:
        found["disk_used_ratio"] = 1 - free / size
    return found


def _samples(text: str) -> Iterator[tuple[str, dict[str, str], float]]:
    """(name, labels, value) of each line that has a finite value."""
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
