"""PostgreSQL over a real connection: up, how large, how busy, how well cached, how far its copies are behind.

    - name: main
      dsn: DATABASE_URL      # the name of the secret that holds the connection string
      scope: all             # the size of all databases of the server; else of the connected one
      ca: DATABASE_CA        # the name of the secret with the authority's certificate (PEM), for sslmode=verify-full
      timeout: 5s            # for the login and all queries together

Samples: `uptime`, `latency_ms` (connect and one empty query), `db_size_gb`, `connections` (to this database),
`connections_used` (of those that users may open, on the whole server), `cache_hit_rate`, `query_time_ms`,
`replicas`, `replication_lag_seconds` where there are copies; and the counters that `watch` makes rates of (RATES). Until
there is an earlier reading, `cache_hit_rate` is the one since the server's statistics began. `query_time_ms` is the mean of
all statements where pg_stat_statements can be read, and comes with the slowest ones as evidence; else it is the time of this
probe's own queries. `watch` adds what the size grew by (GROWTHS).

Down (`uptime` 0) is a server that takes no connection, ends it, answers late, or says that it is full, starting or shutting
down. One that works and does not let this user in cannot be measured: a wrong password, no right to log in or to connect, a
pg_hba.conf that rejects, a database or a pooler's project that is not there and was not measured before (`watch` knows; one
that was is gone, which is down). It is known by the server's SQLSTATE, in any
language. A query that fails is an event, and the others are measured. All queries are read-only, in transactions of
their own with a statement limit, so that poolers of transactions and of statements work (PgBouncer, Supavisor).
https://www.postgresql.org/docs/current/monitoring-stats.html  https://www.postgresql.org/docs/current/errcodes-appendix.html
"""

import json
import os
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import certifi

from chalicelib.core.errors import RulesError, TargetRejectedError
from chalicelib.core.growth import Growth
from chalicelib.core.metrics.rollup import Rate
from chalicelib.core.metrics.sample import Sample
from chalicelib.probes import ABSENT, Attempt, Down, common_mistakes, probe_failed
from chalicelib.probes._address import secret_name_mistakes
from chalicelib.probes._dsn import options_of
from chalicelib.probes._postgres import EndedError, ServerError, Session, opened
from chalicelib.probes._trust import authority

MEANING = "PostgreSQL databases that are measured."
SAMPLE = {"name": "main", "dsn": "DATABASE_URL"}
PLACE = 2
METRICS = (
    "latency_ms", "db_size_gb", "connections", "connections_used", "db_blocks_hit_total", "db_blocks_read_total", "cache_hit_rate",
    "replicas", "replication_lag_seconds", "db_query_ms_total", "db_queries_total", "query_time_ms",
)  # fmt: skip
TIMEOUT = timedelta(seconds=5)
QUERY_SHARE = 0.9
"""Of the time left: the server ends a query before the engine ends the try, so that the other parts are measured."""
BYTES_PER_GB = 2**30
"""As pg_size_pretty and the rule language count."""
LOGIN_AGAIN = timedelta(seconds=15)
"""PgBouncer tries a login that failed again after `server_login_retry`. A second try before that waits, and says nothing new."""
MAX_SLOWEST = 3
MAX_STATEMENT_CHARACTERS = 90

SCOPES = ("database", "all")
RATES = (
    Rate("cache_hit_rate", "db_blocks_hit_total", ("db_blocks_hit_total", "db_blocks_read_total")),
    Rate("query_time_ms", "db_query_ms_total", ("db_queries_total",)),
)
GROWTHS = {
    "db_growth_gb_per_hour": Growth("db_size_gb", timedelta(hours=1)),
    "db_growth_gb_per_day": Growth("db_size_gb", timedelta(days=1)),
    "db_growth_gb_per_week": Growth("db_size_gb", timedelta(days=7)),
}

_QUERY_CANCELED = "57014"
_SIZE = "select pg_database_size(current_database()), 0"
# pg_database_size takes the right to connect, or to read all statistics.
_SIZE_OF_ALL = """
    select sum(case when seen then pg_database_size(oid) end), count(*) filter (where not seen)
    from (select oid, has_database_privilege(oid, 'connect') or pg_has_role('pg_read_all_stats', 'usage') as seen
          from pg_database) as databases
"""
# Only who may read all statistics sees backend_type of other users; the database and the user of a backend everybody sees,
# and processes of the server itself have not both. Before PostgreSQL 16 there is no reserved_connections.
_CONNECTIONS = """
    select count(*) filter (where datname = current_database() and is_client),
           count(*) filter (where is_client),
           current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
               - coalesce(current_setting('reserved_connections', true), '0')::int
    from (select datname, coalesce(backend_type = 'client backend', datid is not null and usesysid is not null) as is_client
          from pg_stat_activity) as backends
"""
_BLOCKS = """
    select coalesce(sum(heap_blks_hit + coalesce(idx_blks_hit, 0)), 0),
           coalesce(sum(heap_blks_read + coalesce(idx_blks_read, 0)), 0)
    from pg_statio_user_tables
"""
# A copy that has replayed all that it received is level only while it receives; a server that was idle has no newer time.
_REPLICATION = """
    select case when not pg_is_in_recovery() then (select max(extract(epoch from replay_lag)) from pg_stat_replication)
                when exists (select from pg_stat_wal_receiver) and pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn() then 0
                else extract(epoch from now() - pg_last_xact_replay_timestamp()) end,
           (select count(*) from pg_stat_replication)
"""
# The column was `total_time` before PostgreSQL 13, and Supabase keeps the extension in a schema of its own.
_STATEMENTS_VIEW = """
    select quote_ident(n.nspname) || '.pg_stat_statements', a.attname
    from pg_extension e
    join pg_namespace n on n.oid = e.extnamespace
    join pg_class c on c.relnamespace = n.oid and c.relname = 'pg_stat_statements'
    join pg_attribute a on a.attrelid = c.oid and a.attname in ('total_exec_time', 'total_time')
    where e.extname = 'pg_stat_statements'
"""
_STATEMENTS = "select coalesce(sum({column}), 0), coalesce(sum(calls), 0) from {view}"
# Values are not masked in the text of statements that define something, such as the password of a role.
_SLOWEST = """
    select left(regexp_replace(query, '\\s+', ' ', 'g'), {characters}), {column} / calls, calls from {view}
    where calls > 0 and query ~* '^\\s*(select|insert|update|delete|merge|with)\\M'
    order by {column} / calls desc limit {limit}
"""


@dataclass(frozen=True, slots=True)
class _Reading:
    """One try over one connection."""

    attempt: Attempt
    session: Session
    scope: str

    async def row(self, query: str) -> tuple[str | None, ...]:
        """Return the first row, all of it None where there is none."""
        return next(iter(await self.rows(query)), ())

    async def rows(self, query: str) -> list[tuple[str | None, ...]]:
        """Return the rows of a query that may take a share of the time left."""
        return await self.session.rows(query, self.attempt.left * QUERY_SHARE)


async def check(attempt: Attempt) -> None:
    """Add what one try measures. RulesError for a bad secret, TargetRejectedError when the server lets nobody in so."""
    options = _options(attempt)
    if options.get("dbname"):
        attempt.labels.setdefault("database", str(options["dbname"]))
    attempt.expected = f"a connection and an answer within {attempt.limit.total_seconds():g} s"
    try:
        session = await opened(attempt, options)
        with attempt.step("query"):
            await _measure(_Reading(attempt, session, str(attempt.params.get("scope", "database"))))
    except (EndedError, ServerError) as error:
        if isinstance(error, ServerError) and error.not_there:
            _note_absent(attempt, error)
            return
        # How fast it was before that is no measure of a server that is down.
        attempt.samples = [each for each in attempt.samples if each.metric != "latency_ms"]
        raise (
            _reported(error) if isinstance(error, ServerError) else Down("the server ended the connection")
        ) from None


def _note_absent(attempt: Attempt, error: ServerError) -> None:
    """Note that the server works without this database. Only the watch knows whether it was ever there."""
    reason = f"the server knows no such database or project ({error.words})"
    again = LOGIN_AGAIN if error.not_there_behind_pooler else None
    event = probe_failed(attempt.kind, attempt.params, reason, now=attempt.now, retry_after=again)
    attempt.events.append(replace(event, annotations={**event.annotations, ABSENT: json.dumps(attempt.labels)}))


def _reported(error: ServerError) -> Exception:
    """Return what an error at login or at the first query means."""
    if error.refused:
        what = (
            "a parameter of the connection string" if error.is_of_parameter else "the user, password or database name"
        )
        return TargetRejectedError(f"the database server refused {what} ({error.words})")
    return Down(f"the server answered with {error.words}")


def parameters(params: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the names of the secrets and settings that an entry reads."""
    return tuple(str(params[field]) for field in ("dsn", "ca") if params.get(field))


def validate(params: Mapping[str, Any]) -> list[str]:
    """Return the mistakes of an entry of `probes: {database: […]}`, in words."""
    found = common_mistakes(params, required=("dsn",), allowed=("scope", "ca"))
    found += secret_name_mistakes(params, "dsn", "DATABASE_URL")
    found += secret_name_mistakes(params, "ca", "DATABASE_CA")
    if str(params.get("scope", "database")) not in SCOPES:
        found.append(f"scope must be one of {', '.join(SCOPES)}")
    return found


def _options(attempt: Attempt) -> dict[str, Any]:
    """Return the options to connect with."""
    name = str(attempt.params.get("dsn", ""))
    given = options_of(attempt.secret(name), name)
    limit = attempt.limit.total_seconds()
    # libpq sets no limit on a socket that it is polled on; this ends one whose peer is gone.
    timing = {"connect_timeout": "0", "tcp_user_timeout": str(int(limit * 1000))}
    return {"application_name": "tocsin", **given, **timing, **_authorities(attempt, given, name)}


def _authorities(attempt: Attempt, options: Mapping[str, Any], name: str) -> dict[str, str]:
    """Return whom TLS trusts: `ca` of the entry, else what the connection string names, else the usual authorities."""
    for key in ("sslrootcert", "sslcert", "sslkey", "sslcrl"):
        given = str(options.get(key) or "")
        is_missing = given not in ("", "system") and not os.path.exists(given)
        if is_missing and not (key == "sslrootcert" and attempt.params.get("ca")):
            raise RulesError(
                f"the secret {name} has {key} with a file that is not here; allowed is `ca`, a secret's name"
            )
    if attempt.params.get("ca"):
        ca, pem = str(attempt.params["ca"]), attempt.secret(str(attempt.params["ca"]))
        authority(ca, pem)  # libpq would call a text that is no certificate a connection that fails.
        return {"sslrootcert": _file_with(attempt, pem)}
    checks = str(options.get("sslmode", "")).startswith("verify")
    is_usual = options.get("sslrootcert") == "system" or (checks and not options.get("sslrootcert"))
    return {"sslrootcert": certifi.where()} if is_usual else {}


def _file_with(attempt: Attempt, text: str) -> str:
    """Return the path of a file with the text, which the end of the try removes: libpq reads files only."""
    handle, path = tempfile.mkstemp(suffix=".pem")
    attempt.ends_with(lambda: Path(path).unlink(missing_ok=True))
    with os.fdopen(handle, "w") as file:
        file.write(text)
    return path


async def _measure(reading: _Reading) -> None:
    attempt = reading.attempt
    await reading.row("select 1")
    attempt.up()
    attempt.add("latency_ms", round(attempt.elapsed * 1000, 3))
    began = time.monotonic()
    for part, measure in _PARTS.items():
        await _part(reading, part, measure)
    own = round((time.monotonic() - began) * 1000 / len(_PARTS), 3)
    try:
        await _statements(reading, own)
    except ServerError:  # It is not loaded, or not for this role.
        attempt.add("query_time_ms", own)


async def _part(reading: _Reading, part: str, measure: "Callable[[_Reading], Awaitable[None]]") -> None:
    """Measure a part. A query that fails is an event, unless the server ends the connection with it."""
    try:
        await measure(reading)
    except ServerError as error:
        if error.is_last:
            raise
        late = error.sqlstate == _QUERY_CANCELED
        reason = "was over its time limit" if late else f"was refused with {error.words}"
        reading.attempt.broke(part, f"the query for {part} {reason}")


async def _size(reading: _Reading) -> None:
    size, unseen = await reading.row(_SIZE_OF_ALL if reading.scope == "all" else _SIZE)
    if size is not None:
        reading.attempt.add("db_size_gb", float(size) / BYTES_PER_GB)
    if unseen != "0":
        advice = "grant the role pg_read_all_stats, or the right to connect"
        reading.attempt.broke("size", f"db_size_gb is without {unseen} databases of the server: {advice}", limited=True)


async def _connections(reading: _Reading) -> None:
    own, of_all, allowed = map(float, filter(None, await reading.row(_CONNECTIONS)))
    reading.attempt.add("connections", own)
    # Superusers may take the reserved ones too.
    reading.attempt.add("connections_used", min(1.0, of_all / max(1.0, allowed)))


async def _blocks(reading: _Reading) -> None:
    hit, read = map(float, filter(None, await reading.row(_BLOCKS)))
    reading.attempt.add("db_blocks_hit_total", hit)
    reading.attempt.add("db_blocks_read_total", read)
    reading.attempt.add("cache_hit_rate", hit / (hit + read) if hit + read else None)


async def _replication(reading: _Reading) -> None:
    """Measure copies: how many this server has, and how far the last of them, or this one itself, is behind."""
    lag, replicas = await reading.row(_REPLICATION)
    if lag is not None:
        reading.attempt.add("replication_lag_seconds", max(0.0, float(lag)))
    reading.attempt.add("replicas", float(replicas or 0))


async def _statements(reading: _Reading, own: float) -> None:
    """Measure what pg_stat_statements counts, with the slowest as evidence; without it, `own` is the time of a query."""
    view, column = (*await reading.row(_STATEMENTS_VIEW), None, None)[:2]
    total, calls = (await reading.row(_STATEMENTS.format(column=column, view=view))) if view else (None, None)
    if not float(calls or 0):
        reading.attempt.add("query_time_ms", own)
        return
    total_ms, queries = float(total or 0), float(calls or 0)
    reading.attempt.add("db_query_ms_total", total_ms)
    reading.attempt.add("db_queries_total", queries)
    limits = {"characters": MAX_STATEMENT_CHARACTERS, "limit": MAX_SLOWEST}
    slowest = await reading.rows(_SLOWEST.format(column=column, view=view, **limits))
    words = "; ".join(f"{float(mean or 0):,.0f} ms × {calls}: {text}" for text, mean, calls in slowest)
    attempt = reading.attempt
    attempt.samples.append(
        Sample("query_time_ms", total_ms / queries, attempt.now, dict(attempt.labels), {"slowest": words})
    )


_PARTS: Mapping[str, Callable[[_Reading], Awaitable[None]]] = {
    "size": _size,
    "connections": _connections,
    "blocks": _blocks,
    "replication": _replication,
}
