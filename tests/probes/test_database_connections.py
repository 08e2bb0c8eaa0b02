"""The connections of the database probe: every address is tried, what hangs is down in time, and each one is closed."""

import shutil
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from chalicelib.probes import Names
from tests.certificates import certified
from tests.slow_server import Connection, slow_server

from .conftest import Postgres, eventually, free_port, other_user
from .test_database import measured, refused, tried
from .test_database_refusals import down


def addresses(*found: str) -> Names:
    """A resolver that finds these addresses, whatever the name."""
    families = {True: socket.AF_INET6, False: socket.AF_INET}
    return Names(lambda host, port: [(families[":" in each], 0, 0, "", (each, port)) for each in found])


@contextmanager
def dropping(address: str, port: int) -> Iterator[None]:
    """An address that drops packets: its queue of connections is full."""
    with socket.socket() as deaf, socket.socket() as first, socket.socket() as second:
        deaf.bind((address, port))
        deaf.listen(0)
        for filler in (first, second):
            filler.setblocking(False)
            with suppress(BlockingIOError):
                filler.connect((address, port))
        yield


@pytest.mark.parametrize("drops", [False, True])
def test_every_address_of_a_name_is_tried(postgres: Postgres, drops: bool) -> None:
    """Given a first address that refuses, or drops packets → the second one answers, and the database is up."""
    dsn = f"postgresql://tocsin:right@two.example.com:{postgres.port}/app"
    with dropping("127.0.0.3", postgres.port):
        found = tried(dsn, addresses("127.0.0.3" if drops else "127.0.0.2", "127.0.0.1"))
    assert [each.value for each in found.samples if each.metric == "uptime"] == [1.0]
    assert found.events == ()


def test_no_address_answers() -> None:
    """Given two addresses that refuse → down; given a name without any → down too."""
    dsn = f"postgresql://tocsin@two.example.com:{free_port()}/app"
    found = tried(dsn, addresses("127.0.0.2", "127.0.0.1"))
    assert [each.value for each in found.samples] == [0.0]
    assert found.samples[0].observed["result"].startswith("no connection: it was refused, after ")


def test_every_host_of_the_connection_string_is_tried(postgres: Postgres) -> None:
    """Given two hosts, of which the first is not there → the second one is measured."""
    dsn = f"postgresql://tocsin:right@localhost:{free_port()},localhost:{postgres.port}/app"
    assert measured(dsn)["uptime"] == 1.0


def test_a_server_that_hangs_in_login() -> None:
    """Given a server that takes the connection and says nothing → down at the time limit, with what it waited for."""
    with slow_server(Connection.stall) as server:
        began = time.monotonic()
        result = down(f"postgresql://tocsin@127.0.0.1:{server.port}/app", timeout="0.5s")
    assert time.monotonic() - began < 3
    assert result.startswith("no whole answer within 0.5 s while waiting for login, after ")


def backends(watching: "psycopg.Connection[tuple[int]]") -> int:
    """How many connections of the probe the server has, also those that have not logged in yet."""
    row = watching.execute(
        "select count(*) from pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid()"
    ).fetchone()
    return row[0] if row else 0


def test_a_login_that_is_late_is_closed(postgres: Postgres) -> None:
    """Given a lock that logins wait for → down, and the server keeps no connection once the lock is gone."""
    with psycopg.connect(postgres.dsn()) as blocker, psycopg.connect(postgres.dsn(), autocommit=True) as watching:
        blocker.execute("lock table pg_catalog.pg_class in access exclusive mode")
        for _ in range(2):
            assert [each.value for each in tried(postgres.dsn(), timeout="0.5s").samples][-1:] == [0.0]
        blocker.rollback()
        eventually(lambda: backends(watching) == 1)
        assert measured(postgres.dsn())["connections"] == 3.0
        eventually(lambda: backends(watching) == 1)


def used(postgres: Postgres, user: str) -> float:
    """The share of connections in use as a role sees it."""
    return measured(postgres.dsn(user=user))["connections_used"] or 0.0


def test_connections_used_is_the_same_for_any_role(postgres: Postgres) -> None:
    """Given a plain role and one that may read all statistics → the same share; processes of the server are not in it."""
    postgres.execute("create role plain login password 'right'", "create role monitor login password 'right'")
    postgres.execute("grant pg_monitor to monitor")
    allowed = 100 - 3
    assert used(postgres, "plain") == used(postgres, "monitor") == used(postgres, "tocsin") == 1 / allowed
    with psycopg.connect(postgres.dsn()), psycopg.connect(postgres.dsn("postgres")):
        assert used(postgres, "plain") == used(postgres, "monitor") == 3 / allowed


def test_full_is_all_of_the_connections(postgres: Postgres) -> None:
    """Given as many connections as users who are no superusers may open → 1, and the next one finds the server full."""
    postgres.execute("alter system set max_connections = 12")
    postgres.execute("create role many login password 'right'")
    postgres.stop()
    postgres.start()
    opened = [psycopg.connect(postgres.dsn(user="many")) for _ in range(8)]
    try:
        assert used(postgres, "many") == 1.0
        opened.append(psycopg.connect(postgres.dsn(user="many")))
        assert "SQLSTATE 53300" in down(postgres.dsn(user="many"))
        assert used(postgres, "tocsin") == 1.0
    finally:
        for connection in opened:
            connection.close()
        postgres.execute("alter system reset max_connections")
        postgres.stop()
        postgres.start()


@pytest.fixture
def standby(postgres: Postgres) -> Iterator[Postgres]:
    """A copy of the server that follows it."""
    folder = postgres.folder / "copy"
    command = [str(postgres.binaries / "pg_basebackup"), "-d", postgres.dsn("postgres"), "-D", str(folder / "data")]
    postgres.run(["mkdir", str(folder)])
    postgres.run([*command, "-R", "-X", "stream", "--checkpoint=fast"])
    copy = Postgres(free_port(), folder, postgres.run, postgres.binaries)
    copy.start()
    yield copy
    copy.stop()


def test_replication(postgres: Postgres, standby: Postgres) -> None:
    """Given a copy that follows → no lag and one copy; given one whose primary is gone → it falls behind by the clock."""
    eventually(lambda: measured(postgres.dsn()).get("replicas") == 1.0)
    eventually(lambda: measured(standby.dsn())["replication_lag_seconds"] == 0.0)
    assert measured(standby.dsn())["replicas"] == 0.0
    postgres.execute("create table moved (n int)", "drop table moved")
    postgres.stop()
    try:
        eventually(lambda: (measured(standby.dsn()).get("replication_lag_seconds") or 0.0) > 0.1)
    finally:
        postgres.start()


@contextmanager
def secured(postgres: Postgres, folder: Path) -> Iterator[str]:
    """The server takes TLS alone, with a certificate of its own. The connection string that checks it."""
    certified(folder, datetime.now(UTC) + timedelta(days=10))
    for name, theirs in (("certificate.pem", "server.crt"), ("key.pem", "server.key")):
        target = postgres.folder / "data" / theirs
        shutil.copy(folder / name, target)
        target.chmod(0o600)
        if (user := other_user()) is not None:
            shutil.chown(target, user)
    postgres.execute("alter system set ssl = on")
    postgres.reload("hostssl all all all scram-sha-256\nhost all all all reject")
    dsn = f"{postgres.dsn()}?sslmode=verify-full"
    try:
        eventually(lambda: down(dsn).startswith("no TLS connection: SSL error: certificate verify failed"))
        yield dsn
    finally:
        postgres.execute("alter system reset ssl")
        postgres.reload()


def test_tls(postgres: Postgres, tmp_path: Path) -> None:
    """Given a server with TLS → sslmode=verify-full takes its authority from `ca`, and refuses it without."""
    with secured(postgres, tmp_path) as dsn:
        secrets = {"DATABASE_CA": (tmp_path / "certificate.pem").read_text()}
        found = tried(dsn, secrets=secrets, ca="DATABASE_CA")
        assert [each.value for each in found.samples if each.metric == "uptime"] == [1.0]
        assert measured(f"{postgres.dsn()}?sslmode=require")["uptime"] == 1.0
        assert "SQLSTATE 28000" in refused(f"{postgres.dsn()}?sslmode=disable")
        assert "sslrootcert with a file that is not here" in refused(f"{dsn}&sslrootcert=/nowhere.pem")
