"""Real servers on loopback for the probes: HTTP, HTTPS with a certificate of its own, PostgreSQL."""

import asyncio
import glob
import os
import pwd
import shutil
import socket
import ssl
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from chalicelib.clients import http_client
from chalicelib.core.observed import RESULT
from chalicelib.probes import Names
from chalicelib.schedule.probing import Job, Tried, once
from tests.certificates import certified

NOW = datetime(2026, 11, 24, 8, 0, tzinfo=UTC)


@dataclass
class FixedClients:
    """Clients with given secrets and settings and the HTTP client of the product."""

    secrets: dict[str, str] = field(default_factory=dict)
    settings: dict[str, str] = field(default_factory=dict)
    client: httpx.Client = field(default_factory=http_client)

    def http(self) -> httpx.Client:
        """The HTTP client."""
        return self.client

    def aws(self, service: str) -> Any:
        """Fail: no probe uses a service of AWS."""
        raise AssertionError(f"a probe asked for {service}")

    def secret(self, name: str) -> str | None:
        """A secret by its name."""
        return self.secrets.get(name)

    def setting(self, name: str, default: str = "") -> str:
        """A setting by its name."""
        return self.settings.get(name, default)


@dataclass
class Web:
    """A web server: `answers` maps a path to what is done with the request; `seen` are the requests."""

    url: str = ""
    answers: dict[str, Callable[[BaseHTTPRequestHandler], None]] = field(default_factory=dict)
    seen: list[tuple[str, str, dict[str, str], bytes]] = field(default_factory=list)
    stopped: threading.Event = field(default_factory=threading.Event)

    @property
    def port(self) -> int:
        """The port it listens at."""
        return int(self.url.rpartition(":")[2])


def answer(
    status: int, body: str = "", headers: dict[str, str] | None = None
) -> Callable[[BaseHTTPRequestHandler], None]:
    """An answer with that status and body."""

    def act(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in (headers or {}).items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(body.encode())))
        handler.end_headers()
        if handler.command != "HEAD":
            handler.wfile.write(body.encode())

    return act


def serve(web: Web, context: ssl.SSLContext | None = None) -> Iterator[Web]:
    """Run the server while the test does."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _any(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            web.seen.append((self.command, self.path, dict(self.headers), body))
            web.answers.get(self.path, answer(404))(self)

        do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = _any

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    scheme = "http" if context is None else "https"
    web.url = f"{scheme}://localhost:{server.server_port}"
    yield web
    web.stopped.set()
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def clients() -> FixedClients:
    """Clients without secrets."""
    return FixedClients()


@pytest.fixture
def web() -> Iterator[Web]:
    """A web server on loopback."""
    yield from serve(Web())


@pytest.fixture
def other() -> Iterator[Web]:
    """A second web server on loopback, at another port."""
    yield from serve(Web())


@dataclass
class Tls:
    """An HTTPS server, and clients with the secret INTERNAL_CA that makes it trusted."""

    web: Web
    trusting: FixedClients


@pytest.fixture
def tls(tmp_path: Path) -> Iterator[Tls]:
    """An HTTPS server on loopback whose certificate for `localhost` ends ten days after NOW."""
    ends_at = max(NOW, datetime.now(UTC)) + timedelta(days=10)
    context, _ = certified(tmp_path, ends_at)
    pem = (tmp_path / "certificate.pem").read_text()
    for web in serve(Web(), context):
        yield Tls(web, FixedClients({"INTERNAL_CA": pem}))


def tried(
    module: object, params: Mapping[str, Any], clients: FixedClients, *, names: Names | None = None, kind: str = "probe"
) -> Tried:
    """What one try of a probe's module comes to, as the engine runs it. Every metric of it is one that the module names."""
    found = asyncio.run(once(Job(kind, params, lambda _: module, clients, NOW, names or Names())))  # type: ignore[arg-type]
    named = {*getattr(module, "METRICS", ()), "uptime"}
    assert {each.metric for each in found.samples} <= named, "METRICS of the probe lacks one"
    return found


def values(found: Tried) -> dict[str, float | None]:
    """The values of a try by metric; the first of several."""
    return {each.metric: each.value for each in reversed(found.samples)}


def reason(found: Tried) -> str:
    """Why a try could not measure."""
    (event,) = found.events
    return event.summary


def result(found: Tried) -> str:
    """What a try that is down came to."""
    return next(each.observed[RESULT] for each in found.samples if each.metric == "uptime")


def free_port() -> int:
    """A port of loopback that nothing listens at."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


HBA_MARK = "# own rules\n"


@dataclass
class Postgres:
    """A running PostgreSQL server; the superuser is `tocsin`."""

    port: int
    folder: Path
    run: Callable[[list[str]], None]
    binaries: Path

    def dsn(self, database: str = "app", user: str = "tocsin", password: str = "right") -> str:
        """A connection string over loopback."""
        return f"postgresql://{user}:{password}@localhost:{self.port}/{database}"

    def execute(self, *statements: str, database: str = "app") -> None:
        """Run statements as the superuser."""
        with psycopg.connect(self.dsn(database), autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement)  # type: ignore[call-overload]

    def reload(self, hba: str = "") -> None:
        """Take settings anew; `hba` are rules that come before the others of pg_hba.conf."""
        path = self.folder / "data" / "pg_hba.conf"
        rules = path.read_text().split(HBA_MARK)[-1]
        path.write_text(f"{hba}\n{HBA_MARK}{rules}")
        self.run([str(self.binaries / "pg_ctl"), "-D", str(self.folder / "data"), "reload"])

    def start(self) -> None:
        """Start the server and wait until it takes connections."""
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -c fsync=off -k {self.folder}"
        if list(Path("/usr/share/postgresql").glob("*/extension/pg_stat_statements.control")):
            options += " -c shared_preload_libraries=pg_stat_statements"
        log = str(self.folder / "log")
        command = [str(self.binaries / "pg_ctl"), "-D", str(self.folder / "data"), "-w", "-l", log]
        self.run(["env", f"LOCPATH={self.folder}/locales", *command, "-o", options, "start"])

    def stop(self) -> None:
        """Stop the server at once."""
        self.run([str(self.binaries / "pg_ctl"), "-D", str(self.folder / "data"), "-w", "-m", "immediate", "stop"])


def server_binaries() -> Path:
    """Where initdb and pg_ctl are; the test fails with what to install when they are nowhere."""
    found = shutil.which("pg_ctl")
    folders = [
        *sorted(glob.glob("/usr/lib/postgresql/*/bin"), reverse=True),
        *([str(Path(found).parent)] if found else []),
    ]
    for folder in folders:
        if all(os.access(f"{folder}/{name}", os.X_OK) for name in ("initdb", "pg_ctl", "postgres")):
            return Path(folder)
    pytest.fail(
        "these tests need a PostgreSQL server: install the Debian package postgresql (initdb, pg_ctl, postgres)"
    )


def other_user() -> str | None:
    """Whom servers run as that refuse to run as root: postgres or nobody; None when we are not root."""
    names = {user.pw_name for user in pwd.getpwall()}
    return ("postgres" if "postgres" in names else "nobody") if os.geteuid() == 0 else None


def run_as_other_user() -> Callable[[list[str]], None]:
    """Run commands, as root by another user."""
    user = other_user()

    def run(command: list[str]) -> None:
        subprocess.run(command, check=True, user=user, cwd="/", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    return run


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL server with a database `app`, on loopback, that asks for passwords."""
    binaries, run = server_binaries(), run_as_other_user()
    folder = Path(tempfile.mkdtemp(prefix="tocsin-postgres-"))
    password = folder / "password"
    password.write_text("right")
    if (user := other_user()) is not None:
        for path in (folder, password):
            shutil.chown(path, user)
    initdb = [str(binaries / "initdb"), "-D", str(folder / "data"), "-U", "tocsin", "--no-sync", "-E", "UTF8"]
    run([*initdb, "--locale=C", "--auth=scram-sha-256", f"--pwfile={password}"])
    server = Postgres(free_port(), folder, run, binaries)
    server.start()
    server.execute("create database app", database="postgres")
    yield server
    server.stop()
    shutil.rmtree(folder, ignore_errors=True)


def eventually(true: Callable[[], bool], seconds: float = 5.0) -> None:
    """Wait for what a server does on its own, such as publishing statistics."""
    ends_at = time.monotonic() + seconds
    while not true():
        if time.monotonic() > ends_at:
            raise AssertionError("it did not come true in time")
        threading.Event().wait(0.05)
