"""The database probe against a real PostgreSQL server: sizes, counters, refusals, limits, a server that stops."""

import asyncio
import re
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest

from chalicelib.core.metrics.sample import Sample
from chalicelib.probes import Attempt, Names, _postgres, database
from chalicelib.probes._dsn import options_of
from chalicelib.schedule.probing import Job, Tried, once

from .conftest import NOW, FixedClients, Postgres, eventually, free_port
from .conftest import tried as attempted

PARAMS = {"name": "main", "dsn": "DATABASE_URL", "service": "app"}


def tried(dsn: str, names: Names | None = None, secrets: Mapping[str, str] | None = None, **params: Any) -> Tried:
    """One try by the engine."""
    clients = FixedClients({"DATABASE_URL": dsn, **(secrets or {})})
    return attempted(database, {**PARAMS, **params}, clients, names=names, kind="database")


def measured(dsn: str, **params: Any) -> dict[str, float | None]:
    """The values of one try by metric, of which every part was measured."""
    found = tried(dsn, **params)
    assert found.events == () and all(each.at == NOW for each in found.samples)
    return {each.metric: each.value for each in found.samples}


def refused(dsn: str, **params: Any) -> str:
    """Why a try could not measure, nothing of which says that the database is down."""
    found = tried(dsn, **params)
    (event,) = found.events
    assert (found.samples, event.kind, event.identity) == ((), "probe.failed", "probe:database:main")
    return event.summary


def test_measures(postgres: Postgres) -> None:
    """A database that works is up, with its size, connections and times, under its own labels."""
    found = tried(postgres.dsn())
    values = {each.metric: each.value or 0.0 for each in found.samples}
    assert values["uptime"] == 1.0
    assert 0 < values["latency_ms"] < 5000
    assert 0.003 < values["db_size_gb"] < 0.1
    assert values["connections"] == 1.0
    assert 0 < values["connections_used"] < 0.1
    assert values["query_time_ms"] > 0
    labels = {"probe": "main", "service": "app", "database": "app"}
    assert all(each.labels == labels for each in found.samples)


def test_grows(postgres: Postgres) -> None:
    """The size follows the data, and that of all databases is larger than that of one."""
    before = measured(postgres.dsn())["db_size_gb"] or 0.0
    postgres.execute("create table filler as select repeat('x', 2000) from generate_series(1, 4000)")
    after = measured(postgres.dsn())["db_size_gb"] or 0.0
    assert after - before > 0.0002
    assert (measured(postgres.dsn(), scope="all")["db_size_gb"] or 0.0) > after
    postgres.execute("drop table filler")


def test_cache_hit_rate(postgres: Postgres) -> None:
    """A database without user tables has no hit rate; a read one has it between 0 and 1, with its counters."""
    postgres.execute("create database hits", database="postgres")
    empty = measured(postgres.dsn("hits"))
    assert (empty["cache_hit_rate"], empty["db_blocks_hit_total"]) == (None, 0.0)
    postgres.execute("create table read as select generate_series(1, 5000) as n", database="hits")
    postgres.execute("select sum(n) from read", "select pg_stat_force_next_flush()", database="hits")
    eventually(lambda: bool(measured(postgres.dsn("hits"))["db_blocks_hit_total"]))
    assert 0 < (measured(postgres.dsn("hits"))["cache_hit_rate"] or 0.0) <= 1


def test_statements(postgres: Postgres) -> None:
    """Where pg_stat_statements is installed, in whatever schema, the mean time comes from it."""
    postgres.execute("create database statements", database="postgres")
    assert "db_queries_total" not in measured(postgres.dsn("statements"))
    postgres.execute(
        "create schema extensions", "create extension pg_stat_statements schema extensions", database="statements"
    )
    postgres.execute("select pg_sleep(0.2), 'hunter2'", "create role sleeper password 'hunter2'", database="statements")
    (seen,) = [each.observed for each in tried(postgres.dsn("statements")).samples if each.metric == "query_time_ms"]
    assert re.match(r"2\d\d ms × 1: select pg_sleep\(\$1\), \$2; ", seen["slowest"])
    assert "hunter2" not in seen["slowest"] and "role" not in seen["slowest"]
    found = measured(postgres.dsn("statements"))
    assert (found["db_queries_total"] or 0.0) > 0
    assert found["query_time_ms"] == pytest.approx(
        (found["db_query_ms_total"] or 0.0) / (found["db_queries_total"] or 1)
    )


def test_wrong_password(postgres: Postgres) -> None:
    """A refused password cannot be measured, which is not down, and no part of the connection string is told."""
    reason = refused(postgres.dsn(password="wr0ng"))
    assert "refused the user, password or database" in reason
    assert not any(word in reason for word in ("wr0ng", "localhost", str(postgres.port)))


def test_missing_database(postgres: Postgres) -> None:
    """A database that does not exist cannot be measured."""
    assert refused(postgres.dsn("absent")) == (
        "the server knows no such database or project (SQLSTATE 3D000, invalid catalog name)"
    )


def test_nothing_listens() -> None:
    """A refused connection is down, in the series of the same labels."""
    dsn = f"postgresql://tocsin@localhost:{free_port()}/app"
    (found,) = tried(dsn).samples
    assert found == Sample("uptime", 0.0, NOW, {"probe": "main", "service": "app", "database": "app"})


def test_no_such_host() -> None:
    """A host without an address is down."""
    assert measured("postgresql://tocsin@nothing.invalid/app") == {"uptime": 0.0}


def test_stops_and_starts(postgres: Postgres) -> None:
    """A server that stops is down, and up again when it is back."""
    postgres.stop()
    try:
        assert measured(postgres.dsn()) == {"uptime": 0.0}
    finally:
        postgres.start()
    assert measured(postgres.dsn())["uptime"] == 1.0


def test_over_the_socket(postgres: Postgres) -> None:
    """A socket in the file system has no address to check."""
    assert (
        measured(f"host={postgres.folder} port={postgres.port} user=tocsin password=right dbname=app")["uptime"] == 1.0
    )


def test_least_privileges(postgres: Postgres) -> None:
    """A user who may hardly do anything still measures; what it may not is told as an event, and the rest goes on."""
    postgres.execute(
        "create role watcher login password 'right'",
        "create database closed",
        "revoke connect on database closed from public",
        database="postgres",
    )
    assert "db_size_gb" in measured(postgres.dsn(user="watcher"))
    postgres.execute("revoke execute on function pg_database_size(name) from public")
    found = tried(postgres.dsn(user="watcher"))
    postgres.execute("grant execute on function pg_database_size(name) to public")
    (event,) = found.events
    assert (event.kind, event.identity) == ("probe.failed", "probe:database:main:size")
    assert "SQLSTATE 42501" in event.summary
    metrics = {each.metric for each in found.samples}
    assert {"uptime", "connections", "cache_hit_rate"} <= metrics
    assert "db_size_gb" not in metrics


PARTS = {
    "size": ("function", "pg_database_size(name) returns bigint", {"db_size_gb"}),
    "connections": ("table", "pg_stat_activity", {"connections", "connections_used"}),
    "blocks": ("table", "pg_statio_user_tables", {"cache_hit_rate", "db_blocks_hit_total", "db_blocks_read_total"}),
}
"""What each query reads, and what it measures."""
ENDS = "perform pg_terminate_backend(pg_backend_pid())"
FAILURES = {
    "refused": "raise sqlstate '42501'",
    "canceled": "raise sqlstate '57014'",
    "out of memory": "raise sqlstate '53200'",
    "a file that cannot be read": "raise sqlstate '58030'",
    "garbage": "raise sqlstate '22012'",
    "a fault of the server": "raise sqlstate 'XX000'",
    "the connection ends": ENDS,
}


def planted(postgres: Postgres, part: str, failure: str) -> str:
    """A connection string under which the query for one part fails."""
    kind, name, _ = PARTS[part]
    body = f"as $$ begin {FAILURES[failure]}; return 1; end $$ language plpgsql"
    statements = ["drop schema if exists planted cascade", "create schema planted"]
    if kind == "function":
        statements.append(f"create function planted.{name} {body}")
    else:
        statements.append(f"create function planted.fails() returns int {body}")
        statements.append(f"create view planted.{name} as select * from pg_catalog.{name} where planted.fails() = 1")
    postgres.execute(*statements)
    return f"{postgres.dsn()}?options=-csearch_path%3Dplanted,pg_catalog,public"


@pytest.mark.parametrize("failure", FAILURES)
@pytest.mark.parametrize("part", PARTS)
def test_one_query_that_fails_costs_nothing_of_the_others(postgres: Postgres, part: str, failure: str) -> None:
    """Given one query that fails, the others are measured; a connection that ends is down, with what came before."""
    postgres.execute("create table if not exists kept as select generate_series(1, 10) as n")
    found = tried(planted(postgres, part, failure))
    samples = {each.metric: each.value for each in found.samples}
    events = [each.identity for each in found.events]
    names = list(PARTS)
    kept = names[: names.index(part)] if FAILURES[failure] == ENDS else [each for each in names if each != part]
    measured_parts = {each for each in names if PARTS[each][2] <= samples.keys()}
    assert measured_parts == set(kept)
    if FAILURES[failure] == ENDS:
        assert (samples["uptime"], "latency_ms" in samples, events) == (0.0, False, [])
    else:
        assert (samples["uptime"], events) == (1.0, [f"probe:database:main:{part}"])


def test_queries_have_a_limit(postgres: Postgres) -> None:
    """A query that waits for a lock ends with the time limit, as an event."""

    with psycopg.connect(postgres.dsn()) as blocker:
        blocker.execute("lock table pg_catalog.pg_class in access exclusive mode")
        found = tried(postgres.dsn(), timeout="2s")
    told = [each.summary for each in found.events]
    down = [each.value for each in found.samples if each.metric == "uptime"]
    assert down == [0.0] or any("time limit" in text for text in told)


def test_databases_that_the_role_may_not_see(postgres: Postgres) -> None:
    """Given `scope: all` and a database without the right to connect → an event names it, unless pg_read_all_stats is had."""
    postgres.execute(
        "create role reader login password 'right'",
        "create database secluded",
        "revoke connect on database secluded from public",
        database="postgres",
    )
    postgres.execute(
        "create table filler as select repeat('x', 2000) from generate_series(1, 4000)", database="secluded"
    )
    without = tried(postgres.dsn(user="reader"), scope="all")
    postgres.execute("grant pg_read_all_stats to reader")
    complete = measured(postgres.dsn(user="reader"), scope="all")["db_size_gb"] or 0.0
    postgres.execute("drop database secluded", "drop database if exists closed", database="postgres")
    (event,) = without.events
    assert (event.kind, event.identity) == ("probe.limited", "probe:database:main:size")
    assert "pg_read_all_stats" in event.summary
    size = next(each.value or 0.0 for each in without.samples if each.metric == "db_size_gb")
    assert complete - size > 0.005


def test_writes_nothing(postgres: Postgres) -> None:
    """The session cannot write."""
    said: list[str] = []

    async def check(attempt: Attempt) -> None:
        session = await _postgres.opened(attempt, options_of(postgres.dsn(), "DATABASE_URL"))
        with pytest.raises(_postgres.ServerError) as raised:
            await session.rows("create table written (n int)", 5)
        said.append(raised.value.sqlstate)

    module = SimpleNamespace(check=check)
    job = Job("database", PARAMS, lambda kind: module, FixedClients(), NOW, Names())  # type: ignore[arg-type, return-value]
    asyncio.run(once(job))
    assert said == ["25006"]


@pytest.mark.parametrize("dsn", ["host='x", "mysql://x/y", "postgresql://[::1"])
def test_unreadable_secret(dsn: str) -> None:
    """A secret that is no connection string is told by its name, not by its content."""
    assert "the secret DATABASE_URL is not a PostgreSQL connection string" in refused(dsn)


def test_refused_address() -> None:
    """Metadata addresses are refused for databases too."""
    assert "not probed" in refused("postgresql://u:p@169.254.169.254/app")


MISTAKES = [
    ({"dsn": ""}, "dsn is missing"),
    ({"dsn": "postgresql://u:p@h/d"}, "the name of a secret, such as DATABASE_URL, not what it holds"),
    ({"dsn": "host=x password=y"}, "the name of a secret, such as DATABASE_URL, not what it holds"),
    ({"scope": "everything"}, "scope must be one of database, all"),
]


@pytest.mark.parametrize(("change", "words"), MISTAKES)
def test_mistakes(change: dict[str, Any], words: str) -> None:
    """Each mistake is told in words, and never repeats what may be a secret."""
    (found,) = database.validate({**PARAMS, **change})
    assert words in found
    assert "u:p" not in found and "password=y" not in found


def test_valid() -> None:
    """A full entry has no mistakes."""
    assert database.validate({**PARAMS, "scope": "all", "timeout": "3s", "every": 5}) == []
