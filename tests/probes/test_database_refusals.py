"""What PostgreSQL, PgBouncer and Supavisor say at login: who works and lets nobody in cannot be measured, the rest is down."""

import json
import shutil
import struct
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg
import pytest

from chalicelib.probes import ABSENT
from tests.slow_server import Connection, slow_server

from .conftest import Postgres, eventually, free_port, other_user
from .test_database import measured, refused, tried


def down(dsn: str, **params: object) -> str:
    """What a try found that is down."""
    found = tried(dsn, **params)
    assert found.events == ()
    (uptime,) = [each for each in found.samples if each.metric == "uptime"]
    assert uptime.value == 0.0
    return uptime.observed["result"]


@pytest.fixture
def german(postgres: Postgres) -> Iterator[Postgres]:
    """The server while its messages are German."""
    locales = postgres.folder / "locales"
    if not locales.exists():
        locales.mkdir()
        subprocess.run(["localedef", "-i", "de_DE", "-f", "UTF-8", str(locales / "de_DE.UTF-8")], check=True)
        postgres.stop()
        postgres.start()
    postgres.execute("alter system set lc_messages = 'de_DE.UTF-8'")
    postgres.reload()
    eventually(lambda: "Passwort" in said_by(postgres.dsn(password="wr0ng")))
    yield postgres
    postgres.execute("alter system reset lc_messages")
    postgres.reload()
    eventually(lambda: "password" in said_by(postgres.dsn(password="wr0ng")))


def said_by(dsn: str) -> str:
    """The server's own words at login."""
    try:
        psycopg.connect(dsn).close()
    except psycopg.OperationalError as error:
        return str(error)
    return ""


def test_a_server_in_german(german: Postgres) -> None:
    """Given a server whose messages are German → a refused password or database cannot be measured."""
    assert "SQLSTATE 28P01" in refused(german.dsn(password="wr0ng"))
    assert "SQLSTATE 3D000" in refused(german.dsn("absent"))
    german.execute("create role dumb nologin password 'right'")
    assert "SQLSTATE 28000" in refused(german.dsn(user="dumb"))
    german.execute("drop role dumb")


@pytest.mark.parametrize("sslmode", ["disable", "prefer"])
def test_rules_of_the_server(postgres: Postgres, sslmode: str) -> None:
    """Given pg_hba.conf that rejects the user → cannot be measured; the same user without the rule is."""
    dsn = f"{postgres.dsn()}?sslmode={sslmode}"
    postgres.reload("host all tocsin all reject")
    try:
        eventually(lambda: "reject" in said_by(dsn))
        assert "SQLSTATE 28000" in refused(dsn)
    finally:
        postgres.reload()
    eventually(lambda: said_by(dsn) == "")
    assert measured(dsn)["uptime"] == 1.0


def test_no_right_to_connect(postgres: Postgres) -> None:
    """Given a role without the right to connect to the database → cannot be measured."""
    postgres.execute("create role stranger login password 'right'", "create database private")
    postgres.execute("revoke connect on database private from public")
    assert "SQLSTATE 42501" in refused(postgres.dsn("private", user="stranger"))
    postgres.execute("drop database private", "drop role stranger")


def test_no_password_given(postgres: Postgres) -> None:
    """Given a server that asks for a password and a connection string without one → cannot be measured."""
    assert "refused the user, password" in refused(f"postgresql://tocsin@localhost:{postgres.port}/app")


def test_a_server_that_is_full(postgres: Postgres) -> None:
    """Given no connection that is left for the role → down, with the server's code."""
    postgres.execute("create role single login password 'right' connection limit 1")
    with psycopg.connect(postgres.dsn(user="single")):
        assert down(postgres.dsn(user="single")).startswith(
            "the server answered with SQLSTATE 53300, too many connections"
        )
    eventually(lambda: said_by(postgres.dsn(user="single")) == "")
    assert measured(postgres.dsn(user="single"))["uptime"] == 1.0
    postgres.execute("drop role single")


@contextmanager
def answering(**fields: str) -> Iterator[str]:
    """A server that answers every login with an error of these fields; its connection string."""
    body = b"".join(name.encode() + text.encode() + b"\0" for name, text in fields.items()) + b"\0"

    def talk(connection: Connection) -> None:
        while connection.socket.recv(4096)[4:6] == struct.pack("!H", 1234):  # It asks for encryption.
            connection.socket.sendall(b"N")
        connection.socket.sendall(b"E" + struct.pack("!I", len(body) + 4) + body)

    with slow_server(talk) as server:
        yield f"postgresql://postgres.abc:x@127.0.0.1:{server.port}/postgres"


@pytest.mark.parametrize(
    "text",
    [
        "Tenant or user not found",
        "(ENOTFOUND) tenant/user postgres.abc not found",
        "(EADDRNOTALLOWED) address not in tenant allow_list: {10, 0, 0, 1}",
        "(EAUTHQUERY) user not found in the database",
    ],
)
def test_refused_by_supavisor(text: str) -> None:
    """Given a pooler of Supabase that works and does not let this user in → cannot be measured."""
    with answering(S="FATAL", V="FATAL", C="XX000", M=text) as dsn:
        assert "SQLSTATE XX000" in refused(dsn)


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("XX000", "(EMAXCONN) max clients reached in session mode"),
        ("XX000", "(EAUTHQUERY) authentication query failed: connection to database not available"),
        ("XX000", "internal error"),
        ("57P03", "das Datenbanksystem startet"),
        ("08P01", "query_wait_timeout"),
        ("08P01", "sorry, too many clients already"),
        (
            "08P01",
            "server login has been failing, cached error: the database system is starting up (server_login_retry)",
        ),
        ("99999", "password authentication failed"),
    ],
)
def test_down_by_the_code(code: str, text: str) -> None:
    """Given a server that says that it cannot serve anybody, in whatever words → down, with the code."""
    with answering(S="SCHWERWIEGEND", V="FATAL", C=code, M=text) as dsn:
        assert down(dsn).startswith(f"the server answered with SQLSTATE {code}")


def test_words_decide_nothing() -> None:
    """Given the code of a wrong password in unknown words → cannot be measured."""
    with answering(S="ОШИБКА", C="28P01", M="не пройдена проверка подлинности") as dsn:
        assert "SQLSTATE 28P01" in refused(dsn)


@dataclass
class Bouncer:
    """A running PgBouncer before the server; its database `gone` is at a server that is not there."""

    port: int

    def dsn(self, database: str = "app", user: str = "tocsin", password: str = "right", query: str = "") -> str:
        """A connection string through it."""
        return f"postgresql://{user}:{password}@127.0.0.1:{self.port}/{database}{query}"


@pytest.fixture(scope="module", params=["statement", "transaction"])
def bouncer(postgres: Postgres, request: pytest.FixtureRequest) -> Iterator[Bouncer]:
    """PgBouncer in a pool mode."""
    program = shutil.which("pgbouncer", path="/usr/sbin:/usr/bin:/usr/local/bin")
    if program is None:
        pytest.fail("these tests need PgBouncer: install the Debian package pgbouncer")
    folder, port = postgres.folder / f"bouncer-{request.param}", free_port()
    folder.mkdir()
    (folder / "users").write_text('"tocsin" "right"\n')
    (folder / "ini").write_text(
        f"[databases]\napp = host=127.0.0.1 port={postgres.port}\ngone = host=127.0.0.1 port={free_port()}\n"
        f"small = host=127.0.0.1 port={postgres.port} dbname=app pool_size=1\n"
        f"closed = host=127.0.0.1 port={postgres.port} dbname=app user=dumb password=right\n"
        f"* = host=127.0.0.1 port={postgres.port}\n"
        f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\nauth_type = scram-sha-256\n"
        f"auth_file = {folder}/users\npool_mode = {request.param}\nserver_login_retry = 1\nquery_wait_timeout = 2\n"
    )
    silent = subprocess.DEVNULL
    process = subprocess.Popen(
        [program, "-q", f"{folder}/ini"], cwd="/", user=other_user(), stdout=silent, stderr=silent
    )
    eventually(lambda: "refused" not in said_by(Bouncer(port).dsn("none")))
    yield Bouncer(port)
    process.terminate()
    process.wait()


def test_through_pgbouncer(bouncer: Bouncer) -> None:
    """Given a pooler of transactions or of statements → all is measured, also with a connection string as for Prisma."""
    found = measured(bouncer.dsn(query="?pgbouncer=true&connection_limit=1&schema=public"))
    assert found["uptime"] == 1.0
    assert {"db_size_gb", "connections", "connections_used", "cache_hit_rate", "query_time_ms"} <= found.keys()


def test_refused_by_pgbouncer(bouncer: Bouncer) -> None:
    """Given a pooler that knows no such database or user, or another password → cannot be measured."""
    assert "refused the user, password" in refused(bouncer.dsn(user="nobody"))
    assert "refused the user, password" in refused(bouncer.dsn(password="wr0ng"))


def test_a_database_that_pgbouncer_does_not_know(postgres: Postgres) -> None:
    """Given a pooler without that database in its configuration → cannot be measured."""
    with answering(S="FATAL", V="FATAL", C="08P01", M="no such database: absent") as dsn:
        assert "no such database or project" in refused(dsn)


def test_a_database_that_the_server_behind_pgbouncer_does_not_know(bouncer: Bouncer) -> None:
    """Given a pooler that passes every database on, and a server without it → cannot be measured, and no second try.

    The pooler answers nothing until it logs in to its server again, for 15 seconds by its default.
    """
    found = tried(bouncer.dsn("absent"))
    (event,) = found.events
    assert "no such database or project" in event.summary and found.samples == () and not found.retry
    assert json.loads(event.annotations[ABSENT])["database"] == "absent"


@pytest.mark.parametrize(
    "text",
    [
        'database "absent" does not exist',
        'server login has been failing, cached error: database "absent" does not exist (server_login_retry)',
    ],
)
def test_an_answer_that_pgbouncer_remembers(text: str) -> None:
    """Given the answer of the server as the pooler passes it on, at once or later → no such database."""
    with answering(S="FATAL", V="FATAL", C="08P01", M=text) as dsn:
        assert "no such database or project" in refused(dsn)


@pytest.mark.parametrize(
    "text",
    [
        'no pg_hba.conf entry for host "10.0.0.1", user "tocsin", database "app", no encryption',
        'pg_hba.conf rejects connection for host "10.0.0.1", user "tocsin", database "app", no encryption',
        'permission denied for database "app"',
        'server login has been failing, cached error: password authentication failed for user "tocsin" (server_login_retry)',
    ],
)
def test_refused_by_the_server_behind_pgbouncer(text: str) -> None:
    """Given a refusal of the server as the pooler passes it on → cannot be measured."""
    with answering(S="FATAL", V="FATAL", C="08P01", M=text) as dsn:
        assert "refused the user, password" in refused(dsn)


def test_a_role_that_the_server_behind_pgbouncer_does_not_let_in(postgres: Postgres, bouncer: Bouncer) -> None:
    """Given a role without LOGIN in the pooler's own configuration → cannot be measured."""
    postgres.execute("create role dumb nologin password 'right'")
    assert "refused the user, password" in refused(bouncer.dsn("closed"))
    postgres.execute("drop role dumb")


def test_a_database_behind_pgbouncer_that_is_dropped(postgres: Postgres, bouncer: Bouncer) -> None:
    """Given a database that was measured through a pooler and is dropped → down or gone, which then is down, in each try."""
    postgres.execute("create database shortlived")
    assert measured(bouncer.dsn("shortlived"))["uptime"] == 1.0
    postgres.execute("drop database shortlived with (force)")
    for _ in range(3):
        found = tried(bouncer.dsn("shortlived"))
        assert found.down or any(ABSENT in event.annotations for event in found.events)


def test_a_server_behind_pgbouncer_that_is_gone(bouncer: Bouncer) -> None:
    """Given a pooler whose server is not there → down."""
    assert down(bouncer.dsn("gone"))


def test_a_pool_that_is_used_up(bouncer: Bouncer) -> None:
    """Given a pool whose one connection is in use → down, for the reason that the pooler gave before it hung up."""
    with psycopg.connect(bouncer.dsn("small"), autocommit=True) as busy:
        holds = threading.Thread(target=busy.execute, args=("select pg_sleep(4)",))
        holds.start()
        assert "no connection of the pool became free in time, after" in down(bouncer.dsn("small"), timeout="4s")
        holds.join()


@pytest.mark.parametrize(
    "parameter", ["client_encoding=nonsense", "options=-c%20no_such_setting%3D1", "options=-c%20work_mem%3Dmuch"]
)
def test_a_parameter_that_the_server_does_not_take(postgres: Postgres, parameter: str) -> None:
    """Given a connection string with a value that the server refuses at login → cannot measure, with the code."""
    assert "a parameter of the connection string (SQLSTATE " in refused(f"{postgres.dsn()}?{parameter}")


def test_a_login_that_the_connection_string_forbids(postgres: Postgres) -> None:
    """Given require_auth that is not the server's way → cannot measure; the right one is up."""
    assert "require_auth" in refused(f"{postgres.dsn()}?require_auth=none")
    assert measured(f"{postgres.dsn()}?require_auth=scram-sha-256")["uptime"] == 1.0


def test_an_authority_that_is_no_certificate(postgres: Postgres) -> None:
    """Given a `ca` that holds no certificate → cannot measure, with the name of the secret and no path."""
    found = tried(f"{postgres.dsn()}?sslmode=verify-full", secrets={"CA": "garbage"}, ca="CA")
    (event,) = found.events
    assert event.summary.startswith("the secret CA is not a certificate") and found.samples == ()
