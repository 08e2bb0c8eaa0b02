"""The Redis probe against a real Redis server, and against servers that are something else."""

import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from chalicelib.probes import Names, redis
from chalicelib.schedule.probing import Tried
from tests.certificates import certified
from tests.slow_server import Connection, slow_server

from .conftest import FixedClients, eventually, free_port, result, tried, values

PARAMS = {"name": "cache", "url": "REDIS_URL", "service": "app"}


@contextmanager
def running(*options: str, config: str = "", folder: Path = Path("/"), port: int = 0) -> Iterator[int]:
    """A Redis server on loopback with these options; its port."""
    server = shutil.which("redis-server")
    if server is None:
        pytest.fail("these tests need a Redis server: install the Debian package redis-server")
    found = port or free_port()
    shared = ["--port", str(found), "--bind", "127.0.0.1", "--appendonly", "no", "--save", ""]
    command = [server, *([config] if config else []), *shared, *options]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, cwd=folder)
    try:
        eventually(lambda: answers(found))
        yield found
    finally:
        process.terminate()
        process.wait()


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """The port of a Redis server with a password and a memory limit."""
    with running("--requirepass", "right", "--maxmemory", "100mb") as found:
        yield found


def answers(port: int) -> bool:
    """Whether something listens."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def said(port: int, *commands: str) -> None:
    """Send commands as they would be typed."""
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall("".join(f"{command}\r\n" for command in ("AUTH right", *commands, "QUIT")).encode())
        while connection.recv(4096):
            pass


def attempted(url: str, names: Names | None = None, secrets: Mapping[str, str] | None = None, **params: Any) -> Tried:
    """One try by the engine."""
    return tried(
        redis, {**PARAMS, **params}, FixedClients({"REDIS_URL": url, **(secrets or {})}), names=names, kind="redis"
    )


def measured(url: str, **params: Any) -> dict[str, float | None]:
    """The values of one try by metric."""
    found = attempted(url, **params)
    assert found.events == ()
    assert all(each.labels == {"probe": "cache", "service": "app"} for each in found.samples)
    return values(found)


def refused(url: str, **params: Any) -> str:
    """Why a try could not measure, which is not down."""
    found = attempted(url, **params)
    (event,) = found.events
    assert (found.samples, event.kind) == ((), "probe.failed")
    return event.summary


def down(url: str, **params: Any) -> str:
    """What a try found that is down."""
    found = attempted(url, **params)
    assert values(found)["uptime"] == 0.0
    return result(found)


def test_measures(port: int) -> None:
    """A Redis that works is up, with memory, connections and its hit rate, which has no value before the first read."""
    url = f"redis://default:right@localhost:{port}/0"
    said(port, "CONFIG RESETSTAT")
    before = measured(url)
    assert (before["uptime"], before["cache_hit_rate"], before["keyspace_hits_total"]) == (1.0, None, 0.0)
    assert (before["memory_bytes"] or 0) > 100_000
    assert 0 < (before["memory_used"] or 0) < 0.5
    assert (before["connections"] or 0) >= 1
    said(port, "SET a 1", "GET a", "GET a", "GET a", "GET b")
    after = measured(f"redis://:right@127.0.0.1:{port}")
    assert (after["cache_hit_rate"], after["keyspace_misses_total"]) == (0.75, 1.0)


@pytest.mark.parametrize("user", ["", ":wr0ng@", "nobody:right@"])
def test_refused(port: int, user: str) -> None:
    """No or a wrong password cannot be measured, which is not down; nothing of the address is told."""
    told = refused(f"redis://{user}localhost:{port}")
    assert "wr0ng" not in told and str(port) not in told


def test_nothing_listens() -> None:
    """A refused connection is down."""
    assert measured(f"redis://localhost:{free_port()}") == {"uptime": 0.0}


def test_plain_server_asked_over_tls(port: int) -> None:
    """A Redis without TLS is down for who asks over TLS."""
    assert measured(f"rediss://:right@localhost:{port}", timeout="2s") == {"uptime": 0.0}


REPLIES = [
    (b"-ERR unknown command 'INFO', with args beginning with: \r\n", "Redis does not know the command INFO"),
    (b"$0\r\n\r\n", "it answered INFO without a line, after"),
    (
        b"$72\r\nrole:slave\r\nmaster_link_status:down\r\nmaster_link_down_since_seconds:-1\r\n\r\n",
        "and never had one, after",
    ),
]


@pytest.mark.parametrize(("reply", "words"), REPLIES)
def test_odd_answers_to_info(reply: bytes, words: str) -> None:
    """Given INFO that is renamed → cannot measure; an empty one, or a copy that never had a master → down, in words."""

    def act(connection: Connection) -> None:
        connection.socket.recv(100)
        connection.socket.sendall(reply)
        connection.stall()

    with slow_server(act) as server:
        found = attempted(f"redis://127.0.0.1:{server.port}")
    assert words in (found.events[0].summary if found.events else result(found))


@pytest.mark.parametrize(
    "reply", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"-LOADING the dataset\r\n", b"$9\r\nabc", b"$x\r\n", b""]
)
def test_other_answers(reply: bytes) -> None:
    """What is not Redis, is loading, or hangs up is down."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def act() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(100)
                connection.sendall(reply)

        thread = threading.Thread(target=act)
        thread.start()
        assert measured(f"redis://127.0.0.1:{server.getsockname()[1]}", timeout="1s") == {"uptime": 0.0}
        thread.join()


def test_silence() -> None:
    """A server that accepts and says nothing is down after the time limit."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert measured(f"redis://127.0.0.1:{server.getsockname()[1]}", timeout="0.2s") == {"uptime": 0.0}


@pytest.mark.parametrize("url", ["http://x", "redis://", "localhost:6379", "redis://h:notaport"])
def test_unreadable_secret(url: str) -> None:
    """A secret that is no address of a Redis is told by its name."""
    assert "the secret REDIS_URL is not the address of a Redis" in refused(url)


def test_refused_address() -> None:
    """Metadata addresses are refused for Redis too."""
    assert "not probed" in refused("redis://169.254.169.254")


def test_mistakes() -> None:
    """The address itself does not belong into the rules file."""
    assert redis.validate(PARAMS) == []
    (found,) = redis.validate({**PARAMS, "url": "redis://:hunter2@h"})
    assert "must be the name of a secret" in found and "hunter2" not in found


def command(port: int, *words: str, password: str = "") -> str:
    """What Redis answers to a command, by its own tool."""
    asked = ["redis-cli", "-p", str(port), *(["-a", password, "--no-auth-warning"] if password else []), *words]
    return subprocess.run(asked, capture_output=True, text=True, check=True, timeout=10).stdout.strip()


def test_every_address_of_a_name_is_tried(port: int) -> None:
    """Given a first address that refuses → the second one answers, and Redis is up."""
    names = Names(lambda host, _: [(socket.AF_INET, 0, 0, "", (each, _)) for each in ("127.0.0.2", "127.0.0.1")])
    assert values(attempted(f"redis://:right@two.example.com:{port}", names))["uptime"] == 1.0


def test_a_user_of_an_access_list(port: int) -> None:
    """Given a user who may ask INFO and nothing else → all is measured; without INFO nothing can be."""
    command(port, "ACL", "SETUSER", "watcher", "on", ">w", "+info", password="right")
    command(port, "ACL", "SETUSER", "blind", "on", ">b", "+ping", password="right")
    assert measured(f"redis://watcher:w@localhost:{port}")["uptime"] == 1.0
    assert "(NOPERM)" in refused(f"redis://blind:b@localhost:{port}")


def test_a_password_that_nobody_asked_for() -> None:
    """Given a server without a password that is sent one → cannot be measured."""
    with running() as found:
        assert "ERR to AUTH" in refused(f"redis://:right@localhost:{found}")
        assert measured(f"redis://localhost:{found}")["uptime"] == 1.0


def test_no_more_clients() -> None:
    """Given a server that has as many clients as it takes → down, with and without a password."""
    with running("--maxclients", "1") as found, ExitStack() as clients:

        def taken() -> bool:
            client = clients.enter_context(socket.create_connection(("127.0.0.1", found)))
            client.sendall(b"PING\r\n")
            return client.recv(10).startswith(b"+PONG")

        eventually(taken)
        assert down(f"redis://localhost:{found}").startswith("it takes no more clients (maxclients)")
        assert down(f"redis://:right@localhost:{found}").startswith("it takes no more clients (maxclients)")


def test_protected_mode() -> None:
    """Given a server in protected mode that denies who comes from elsewhere → cannot be measured."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def act() -> None:
            connection, _ = server.accept()
            with connection:
                connection.sendall(b"-DENIED Redis is running in protected mode because protected mode is enabled\r\n")
                connection.recv(100)

        thread = threading.Thread(target=act)
        thread.start()
        assert "(DENIED)" in refused(f"redis://127.0.0.1:{server.getsockname()[1]}")
        thread.join()


def test_a_cluster(tmp_path: Path) -> None:
    """Given a node whose cluster serves every slot → up; given slots that nobody serves → down, with how many."""
    bus = ("--cluster-port", str(free_port()))  # its own is 10,000 above, which many free ports leave no room for
    with running("--cluster-enabled", "yes", *bus, folder=tmp_path) as found:
        assert down(f"redis://localhost:{found}").startswith("its cluster has failed: 16384 of 16384 slots")
        command(found, "CLUSTER", "ADDSLOTSRANGE", "0", "16383")
        eventually(lambda: "cluster_state:ok" in command(found, "CLUSTER", "INFO"), 20)
        assert measured(f"redis://localhost:{found}")["cluster_slots_missing"] == 0.0
        command(found, "CLUSTER", "DELSLOTS", "5")
        eventually(lambda: "cluster_state:fail" in command(found, "CLUSTER", "INFO"), 20)
        assert down(f"redis://localhost:{found}").startswith("its cluster has failed: 1 of 16384 slots are not served")


def test_a_copy(tmp_path: Path) -> None:
    """Given a copy that follows its master → up, without lag; given one whose master is gone → down, and so is nothing else."""
    with ExitStack() as servers:
        copied = servers.enter_context(ExitStack())
        master = copied.enter_context(running())
        copy = servers.enter_context(running("--replicaof", f"127.0.0.1 {master}", folder=tmp_path))
        eventually(lambda: "master_link_status:up" in command(copy, "INFO", "replication"), 20)
        found = measured(f"redis://localhost:{copy}")
        assert found["uptime"] == 1.0 and 0 <= (found["replication_lag_seconds"] or 0) <= 10
        assert measured(f"redis://localhost:{master}")["replicas"] == 1.0
        copied.close()
        eventually(lambda: "master_link_status:down" in command(copy, "INFO", "replication"), 20)
        assert down(f"redis://localhost:{copy}").startswith("it is a copy without its master for ")


def test_a_sentinel(tmp_path: Path) -> None:
    """Given a sentinel that finds its master up, then down → the same."""
    with ExitStack() as servers:
        watched = servers.enter_context(ExitStack())
        master, port = watched.enter_context(running()), free_port()
        config = tmp_path / "sentinel.conf"
        config.write_text(f"sentinel monitor main 127.0.0.1 {master} 1\nsentinel down-after-milliseconds main 500\n")
        servers.enter_context(running("--sentinel", config=str(config), folder=tmp_path, port=port))
        eventually(lambda: "status=ok" in command(port, "INFO", "sentinel"))
        assert measured(f"redis://localhost:{port}")["uptime"] == 1.0
        watched.close()
        eventually(lambda: "status=ok" not in command(port, "INFO", "sentinel"))
        assert "the sentinel finds the master main down" in down(f"redis://localhost:{port}")


@contextmanager
def secured(folder: Path) -> Iterator[tuple[int, str]]:
    """A server that takes TLS alone, with a certificate of its own: its port and the certificate."""
    certified(folder, datetime.now(UTC) + timedelta(days=10))
    certificate, port = folder / "certificate.pem", free_port()
    files = [
        "--tls-cert-file",
        str(certificate),
        "--tls-key-file",
        str(folder / "key.pem"),
        "--tls-auth-clients",
        "no",
    ]
    with running("--tls-port", str(port), *files, port=free_port()):
        yield port, certificate.read_text()


def test_tls(tmp_path: Path) -> None:
    """Given a server with TLS and a certificate of its own → trusted with `ca`, down without."""
    with secured(tmp_path) as (port, certificate):
        secrets = {"REDIS_CA": certificate}
        assert values(attempted(f"rediss://localhost:{port}", secrets=secrets, ca="REDIS_CA"))["uptime"] == 1.0
        assert down(f"rediss://localhost:{port}").startswith("the certificate is refused")
        secrets["REDIS_CA"] = "none"
        (event,) = attempted(f"rediss://localhost:{port}", secrets=secrets, ca="REDIS_CA").events
        assert "the secret REDIS_CA is not a certificate" in event.summary
