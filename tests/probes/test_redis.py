"""The Redis probe against a real Redis server, and against servers that are something else."""

import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from chalicelib.core.errors import RulesError, TargetRejectedError
from chalicelib.core.metrics.sample import Sample
from chalicelib.probes import redis

from .conftest import NOW, FixedClients, eventually, free_port

PARAMS = {"name": "cache", "url": "REDIS_URL", "service": "app"}


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """The port of a Redis server with a password and a memory limit."""
    server = shutil.which("redis-server")
    if server is None:
        pytest.fail("these tests need a Redis server: install the Debian package redis-server")
    found = free_port()
    options = f"--port {found} --bind 127.0.0.1 --requirepass right --maxmemory 100mb --appendonly no"
    process = subprocess.Popen([server, *options.split(), "--save", ""], stdout=subprocess.DEVNULL, cwd="/")
    eventually(lambda: answers(found))
    yield found
    process.terminate()
    process.wait()


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


def measured(url: str, **params: Any) -> dict[str, float | None]:
    """The values of one try by metric."""
    found = redis.check({**PARAMS, **params}, FixedClients({"REDIS_URL": url}), now=NOW)
    assert all(isinstance(each, Sample) and each.labels == {"probe": "cache", "service": "app"} for each in found)
    return {each.metric: each.value for each in found if isinstance(each, Sample)}


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
    with pytest.raises(TargetRejectedError) as raised:
        measured(f"redis://{user}localhost:{port}")
    assert "wr0ng" not in str(raised.value) and str(port) not in str(raised.value)


def test_nothing_listens() -> None:
    """A refused connection is down."""
    assert measured(f"redis://localhost:{free_port()}") == {"uptime": 0.0}


def test_plain_server_asked_over_tls(port: int) -> None:
    """A Redis without TLS is down for who asks over TLS."""
    assert measured(f"rediss://:right@localhost:{port}", timeout="2s") == {"uptime": 0.0}


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
    with pytest.raises(RulesError, match="the secret REDIS_URL is not the address of a Redis"):
        measured(url)


def test_refused_address() -> None:
    """Metadata addresses are refused for Redis too."""
    with pytest.raises(RulesError, match="not probed"):
        measured("redis://169.254.169.254")


def test_mistakes() -> None:
    """The address itself does not belong into the rules file."""
    assert redis.validate(PARAMS) == []
    (found,) = redis.validate({**PARAMS, "url": "redis://:hunter2@h"})
    assert "must be the name of a secret" in found and "hunter2" not in found
