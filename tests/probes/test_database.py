"""The database probe against a real PostgreSQL server: sizes, counters, refusals, limits, a server that stops."""

import time
from typing import Any

import psycopg
import pytest
from psycopg import sql

from chalicelib.core.errors import RulesError, TargetRejectedError
from chalicelib.core.event import Event
from chalicelib.core.metrics.sample import Sample
from chalicelib.probes import database

from .conftest import NOW, FixedClients, Postgres, eventually, free_port

PARAMS = {"name": "main", "dsn": "DATABASE_URL", "service": "app"}


def measured(dsn: str, **params: Any) -> dict[str, float | None]:
    """The values of one try by metric."""
    found = database.check({**PARAMS, **params}, FixedClients({"DATABASE_URL": dsn}), now=NOW)
    assert all(isinstance(each, Sample) and each.at == NOW for each in found)
    return {each.metric: each.value for each in found if isinstance(each, Sample)}


def test_measures(postgres: Postgres) -> None:
    """A database that works is up, with its size, connections and times, under its own labels."""
    found = database.check(PARAMS, FixedClients({"DATABASE_URL": postgres.dsn()}), now=NOW)
    values = {each.metric: each.value or 0.0 for each in found if isinstance(each, Sample)}
    assert values["uptime"] == 1.0
    assert 0 < values["latency_ms"] < 5000
    assert 0.003 < values["db_size_gb"] < 0.1
    assert values["connections"] == 1.0
    assert 0 < values["connections_used"] < 0.1
    assert values["query_time_ms"] > 0
    labels = {"probe": "main", "service": "app", "database": "app"}
    assert all(isinstance(each, Sample) and each.labels == labels for each in found)


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
    found = measured(postgres.dsn("statements"))
    assert (found["db_queries_total"] or 0.0) > 0
    assert found["query_time_ms"] == pytest.approx(
        (found["db_query_ms_total"] or 0.0) / (found["db_queries_total"] or 1)
    )


def test_wrong_password(postgres: Postgres) -> None:
    """A refused password cannot be measured, which is not down, and no part of the connection string is told."""
    with pytest.raises(TargetRejectedError) as raised:
        measured(postgres.dsn(password="wr0ng"))
    assert "refused the user, password or database" in str(raised.value)
    assert not any(word in str(raised.value) for word in ("wr0ng", "localhost", str(postgres.port)))


def test_missing_database(postgres: Postgres) -> None:
    """A database that does not exist cannot be measured."""
    with pytest.raises(TargetRejectedError):
        measured(postgres.dsn("absent"))


def test_nothing_listens() -> None:
    """A refused connection is down, in the series of the same labels."""
    dsn = f"postgresql://tocsin@localhost:{free_port()}/app"
    (found,) = database.check(PARAMS, FixedClients({"DATABASE_URL": dsn}), now=NOW)
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
    assert "db_size_gb" in measured(postgres.dsn(user="watcher"), scope="all")
    postgres.execute("revoke execute on function pg_database_size(name) from public")
    found = database.check(PARAMS, FixedClients({"DATABASE_URL": postgres.dsn(user="watcher")}), now=NOW)
    postgres.execute("grant execute on function pg_database_size(name) to public")
    (event,) = [each for each in found if isinstance(each, Event)]
    assert (event.kind, event.identity) == ("probe.failed", "probe:database:main:size")
    assert "SQLSTATE 42501" in event.summary
    metrics = {each.metric for each in found if isinstance(each, Sample)}
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
    found = database.check(PARAMS, FixedClients({"DATABASE_URL": planted(postgres, part, failure)}), now=NOW)
    samples = {each.metric: each.value for each in found if isinstance(each, Sample)}
    events = [each.identity for each in found if isinstance(each, Event)]
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
        found = database.check({**PARAMS, "timeout": "2s"}, FixedClients({"DATABASE_URL": postgres.dsn()}), now=NOW)
    told = [each.summary for each in found if isinstance(each, Event)]
    down = [each.value for each in found if isinstance(each, Sample) and each.metric == "uptime"]
    assert down == [0.0] or any("time limit" in text for text in told)


def test_writes_nothing(postgres: Postgres) -> None:
    """The session cannot write."""
    options = {"host": "localhost", "port": postgres.port, "user": "tocsin", "password": "right", "dbname": "app"}
    with database._connection(options, database.DEFAULT_TIMEOUT) as connection:
        session = database._Session(connection, ends_at=time.monotonic() + 5)
        with pytest.raises(Exception, match="read-only transaction"):
            session.row(sql.SQL("create table written (n int)"))


@pytest.mark.parametrize("dsn", ["host='x", "mysql://x/y", "postgresql://[::1"])
def test_unreadable_secret(dsn: str) -> None:
    """A secret that is no connection string is told by its name, not by its content."""
    with pytest.raises(RulesError) as raised:
        measured(dsn)
    assert "the secret DATABASE_URL is not a PostgreSQL connection string" in str(raised.value)


def test_refused_address() -> None:
    """Metadata addresses are refused for databases too."""
    with pytest.raises(RulesError, match="not probed"):
        measured("postgresql://u:p@169.254.169.254/app")


MISTAKES = [
    ({"dsn": ""}, "dsn is missing"),
    ({"dsn": "postgresql://u:p@h/d"}, "not a connection string"),
    ({"dsn": "host=x password=y"}, "not a connection string"),
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
