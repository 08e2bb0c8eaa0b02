"""PostgreSQL over a real connection: up, how large, how busy, how well cached.

    - name: main
      dsn: DATABASE_URL      # the name of the secret that holds the connection string
      scope: all             # the size of all databases of the server; else of the connected one
      timeout: 5s            # to connect, and for all queries together

Samples: `uptime`, `latency_ms` (connect and one empty query), `db_size_gb`, `connections` (to this database),
`connections_used` (of the whole server), `cache_hit_rate`, `query_time_ms`; and the counters that `watch` makes rates of (RATES). Until there is an earlier
reading, `cache_hit_rate` is the one since the server's statistics began. `query_time_ms` is the mean of all statements
where pg_stat_statements can be read, else the time of this probe's own queries. `watch` adds
`db_growth_gb_per_day` from what was stored a day ago.

A server that takes no connection, or ends it, is down (`uptime` 0, with what was measured until then); one that refuses
these credentials cannot be measured. A query that fails is an event, and the others are measured. All
queries are read-only, in transactions of their own with a statement limit, without prepared statements, so that
transaction poolers work (PgBouncer, Supavisor). https://www.postgresql.org/docs/current/monitoring-stats.html
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from chalicelib.core.errors import RulesError, TargetRejectedError
from chalicelib.core.metrics.rollup import Rate
from chalicelib.core.metrics.sample import Sample
from chalicelib.core.observed import RESULT
from chalicelib.probes import addresses, common_mistakes, labels_of, probe_failed, secret, time_limit

if TYPE_CHECKING:
    from chalicelib.core.event import Event
    from chalicelib.core.ports import Clients

MEANING = "PostgreSQL databases that are measured."
SAMPLE = {"name": "main", "dsn": "DATABASE_URL"}
PLACE = 2
DEFAULT_TIMEOUT = timedelta(seconds=5)
BYTES_PER_GB = 2**30
"""As pg_size_pretty and the rule language count."""

SCOPES = ("database", "all")
RATES = (
    Rate("cache_hit_rate", "db_blocks_hit_total", ("db_blocks_hit_total", "db_blocks_read_total")),
    Rate("query_time_ms", "db_query_ms_total", ("db_queries_total",)),
)
GROWTHS = {"db_growth_gb_per_day": "db_size_gb"}

_REFUSALS = (
    "authentication failed",
    "does not exist",
    "no pg_hba.conf entry",
    "no password supplied",
    "permission denied",
)

_SIZE = {
    "database": sql.SQL("select pg_database_size(current_database())"),
    "all": sql.SQL("select sum(pg_database_size(oid)) from pg_database where has_database_privilege(oid, 'connect')"),
}
_CONNECTIONS = sql.SQL("""
    select count(*) filter (where datname = current_database()),
           count(*) filter (where backend_type is null or backend_type = 'client backend'),
           current_setting('max_connections')::int
    from pg_stat_activity
""")
_BLOCKS = sql.SQL("""
    select coalesce(sum(heap_blks_hit + coalesce(idx_blks_hit, 0)), 0),
           coalesce(sum(heap_blks_read + coalesce(idx_blks_read, 0)), 0)
    from pg_statio_user_tables
""")
# The column was `total_time` before PostgreSQL 13, and Supabase keeps the extension in a schema of its own.
_STATEMENTS_VIEW = sql.SQL("""
    select n.nspname, a.attname
    from pg_extension e
    join pg_namespace n on n.oid = e.extnamespace
    join pg_class c on c.relnamespace = n.oid and c.relname = 'pg_stat_statements'
    join pg_attribute a on a.attrelid = c.oid and a.attname in ('total_exec_time', 'total_time')
    where e.extname = 'pg_stat_statements'
""")
_STATEMENTS = sql.SQL("select coalesce(sum({column}), 0), coalesce(sum(calls), 0) from {view}")


@dataclass(slots=True)
class _Session:
    """One connection, what was measured over it, and which parts broke."""

    connection: psycopg.Connection[tuple[Any, ...]]
    ends_at: float
    measured: dict[str, float | None] = field(default_factory=dict)
    broke: dict[str, str] = field(default_factory=dict)

    def row(self, query: sql.SQL | sql.Composed) -> tuple[Any, ...] | None:
        """The first row, read in a transaction of its own that may take what is left of the time."""
        left_ms = max(1, int((self.ends_at - time.monotonic()) * 1000))
        with self.connection.transaction():
            self.connection.execute(sql.SQL("set local statement_timeout = {}").format(sql.Literal(left_ms)))
            found: tuple[Any, ...] | None = self.connection.execute(query).fetchone()
            return found


def check(params: Mapping[str, Any], clients: "Clients", *, now: datetime) -> "list[Sample | Event]":
    """One try. RulesError when the secret is missing or unreadable, TargetRejectedError when the server refuses it."""
    options = _options(str(params.get("dsn", "")), clients)
    labels = labels_of(params)
    if options.get("dbname"):
        labels.setdefault("database", str(options["dbname"]))
    limit, started = time_limit(params, DEFAULT_TIMEOUT), time.monotonic()
    try:
        connection = _connection(options, limit)
    except OSError:
        return [Sample("uptime", 0.0, now, labels, _observed("the host has no address", limit))]
    except psycopg.OperationalError as error:
        if any(words in str(error) for words in _REFUSALS):
            raise TargetRejectedError("the database server refused the user, password or database name") from None
        return [Sample("uptime", 0.0, now, labels, _observed("no connection", limit))]
    with connection:
        session = _Session(connection, started + limit.total_seconds())
        try:
            _measure(session, str(params.get("scope", "database")), started)
        except psycopg.OperationalError:
            session.measured["uptime"] = 0.0
            session.measured.pop("latency_ms", None)
    ended = _observed("the server ended the connection", limit) if not session.measured.get("uptime") else {}
    found: list[Sample | Event] = [
        Sample(name, value, now, labels, ended if name == "uptime" else {}) for name, value in session.measured.items()
    ]
    found += [probe_failed("database", params, reason, now=now, part=part) for part, reason in session.broke.items()]
    return found


def _observed(result: str, limit: timedelta) -> dict[str, str]:
    """Return what was expected and what came: nothing of the connection string."""
    return {"expected": f"a connection and an answer within {limit.total_seconds():g} s", RESULT: result}


def parameters(params: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the names of the secrets and settings that an entry reads."""
    return (str(params["dsn"]),)


def validate(params: Mapping[str, Any]) -> list[str]:
    """The mistakes of an entry of `probes: {database: […]}`, in words."""
    found = common_mistakes(params, required=("dsn",), allowed=("scope",))
    if "://" in str(params.get("dsn", "")) or "=" in str(params.get("dsn", "")):
        found.append("dsn must be the name of a secret, such as DATABASE_URL, not a connection string")
    if str(params.get("scope", "database")) not in SCOPES:
        found.append(f"scope must be one of {', '.join(SCOPES)}")
    return found


def _options(name: str, clients: "Clients") -> dict[str, Any]:
    try:
        return dict(conninfo_to_dict(secret(clients, name)))
    except psycopg.ProgrammingError:
        raise RulesError(
            f"the secret {name} is not a PostgreSQL connection string; allowed is postgresql://user:password@host/name"
        ) from None


def _connection(options: dict[str, Any], limit: timedelta) -> psycopg.Connection[tuple[Any, ...]]:
    """A connection to the very addresses that were checked. libpq waits at least two seconds."""
    hosts = str(options.get("hostaddr") or options.get("host") or "").split(",")
    checked = [addresses(host, 5432)[0] if host and not host.startswith("/") else "" for host in hosts]
    pinned = {"hostaddr": ",".join(checked)} if all(checked) else {}
    connection = psycopg.connect(
        **{
            "application_name": "tocsin",
            **options,
            **pinned,
            "connect_timeout": max(2, round(limit.total_seconds())),
            "tcp_user_timeout": int(limit.total_seconds() * 1000),
        },
        autocommit=True,
        prepare_threshold=None,
    )
    connection.read_only = True
    return connection


def _measure(session: _Session, scope: str, started: float) -> None:
    session.row(sql.SQL("select 1"))
    session.measured["uptime"] = 1.0
    session.measured["latency_ms"] = round((time.monotonic() - started) * 1000, 3)
    asked_at = time.monotonic()
    parts = {"size": _size, "connections": _connections, "blocks": _blocks}
    for part, measure in parts.items():
        try:
            measure(session, scope)
        except psycopg.errors.QueryCanceled:
            session.broke[part] = f"the query for {part} was over its time limit"
        except psycopg.Error as error:
            if session.connection.closed:
                raise psycopg.OperationalError("the server ended the connection") from None
            session.broke[part] = f"the query for {part} was refused with SQLSTATE {error.sqlstate}"
    session.measured["query_time_ms"] = round((time.monotonic() - asked_at) * 1000 / len(parts), 3)
    _statements(session)


def _size(session: _Session, scope: str) -> None:
    row = session.row(_SIZE[scope])
    if row is not None and row[0] is not None:
        session.measured["db_size_gb"] = float(row[0]) / BYTES_PER_GB


def _connections(session: _Session, scope: str) -> None:
    row = session.row(_CONNECTIONS)
    if row is not None:
        session.measured["connections"] = float(row[0])
        session.measured["connections_used"] = float(row[1]) / float(row[2])


def _blocks(session: _Session, scope: str) -> None:
    row = session.row(_BLOCKS)
    if row is not None:
        hit, read = float(row[0]), float(row[1])
        session.measured["db_blocks_hit_total"], session.measured["db_blocks_read_total"] = hit, read
        session.measured["cache_hit_rate"] = hit / (hit + read) if hit + read else None


def _statements(session: _Session) -> None:
    """The counters of pg_stat_statements, and their mean; nothing where it is not installed, loaded or readable."""
    try:
        found = session.row(_STATEMENTS_VIEW)
        if found is None:
            return
        view, column = sql.Identifier(found[0], "pg_stat_statements"), sql.Identifier(found[1])
        row = session.row(_STATEMENTS.format(column=column, view=view))
    except psycopg.Error:
        return
    if row is not None and row[1]:
        session.measured["db_query_ms_total"], session.measured["db_queries_total"] = float(row[0]), float(row[1])
        session.measured["query_time_ms"] = float(row[0]) / float(row[1])
