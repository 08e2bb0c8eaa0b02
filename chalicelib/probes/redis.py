"""Redis over a socket: up, how well it answers from memory, how full it is. AUTH if there is a password, then INFO.

    - name: cache
      url: REDIS_URL        # the name of the secret with redis:// or rediss:// (TLS), user and password in it
      timeout: 5s

Samples: `uptime`, `latency_ms` (connect and INFO), `cache_hit_rate`, `memory_bytes`, `memory_used` (share of
maxmemory, none where there is no limit), `connections`, `evicted_keys_total`, and the counters that `watch` makes the
hit rate since the last reading of (RATES); until there is one it is the rate since the server started. A server that
takes no connection, or is loading its data, is down; one that refuses the password cannot be measured.

The protocol spoken is RESP 2: a request is an array of bulk strings, an answer a bulk string or an error.
https://redis.io/docs/latest/commands/info/  https://redis.io/docs/latest/develop/reference/protocol-spec/
"""

import socket
import ssl
import time
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, BinaryIO
from urllib.parse import SplitResult, unquote, urlsplit

from chalicelib.core.errors import RulesError, TargetRejectedError
from chalicelib.core.metrics.rollup import Rate
from chalicelib.core.metrics.sample import Sample
from chalicelib.probes import addresses, common_mistakes, labels_of, secret, time_limit

if TYPE_CHECKING:
    from chalicelib.core.event import Event
    from chalicelib.core.ports import Clients

MEANING = "Redis servers that are measured."
SAMPLE = {"name": "cache", "url": "REDIS_URL"}
PLACE = 3
DEFAULT_TIMEOUT = timedelta(seconds=5)
DEFAULT_PORT = 6379
MAX_ANSWER_BYTES = 1_000_000
MAX_LINE_BYTES = 4_096
RATES = (Rate("cache_hit_rate", "keyspace_hits_total", ("keyspace_hits_total", "keyspace_misses_total")),)

_REFUSALS = ("WRONGPASS", "NOAUTH", "NOPERM", "ERR invalid password", "ERR AUTH", "ERR Client sent AUTH")


class _RefusedError(Exception):
    """Redis answered with an error; the text is its own."""


def check(params: Mapping[str, Any], clients: "Clients", *, now: datetime) -> "list[Sample | Event]":
    """One try. RulesError when the secret is missing or unreadable, TargetRejectedError when Redis refuses it."""
    server = _server(str(params.get("url", "")), clients)
    labels, started = labels_of(params), time.monotonic()
    try:
        info = _info(server, started + time_limit(params, DEFAULT_TIMEOUT).total_seconds())
    except _RefusedError as error:
        if str(error).startswith(_REFUSALS):
            raise TargetRejectedError("Redis refused the user or password, or the right to INFO") from None
        return [Sample("uptime", 0.0, now, labels)]
    except (OSError, ValueError):
        return [Sample("uptime", 0.0, now, labels)]
    latency_ms = round((time.monotonic() - started) * 1000, 3)
    measured = {"uptime": 1.0, "latency_ms": latency_ms, **_measured(info)}
    return [Sample(metric, value, now, labels) for metric, value in measured.items()]


def parameters(params: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the names of the secrets and settings that an entry reads."""
    return (str(params["url"]),)


def validate(params: Mapping[str, Any]) -> list[str]:
    """The mistakes of an entry of `probes: {redis: […]}`, in words."""
    found = common_mistakes(params, required=("url",), allowed=())
    if "://" in str(params.get("url", "")):
        found.append("url must be the name of a secret, such as REDIS_URL, not the address with its password")
    return found


def _server(name: str, clients: "Clients") -> SplitResult:
    try:
        found = urlsplit(secret(clients, name))
        if found.scheme in ("redis", "rediss") and found.hostname and found.port != 0:
            return found
    except ValueError:
        pass
    raise RulesError(f"the secret {name} is not the address of a Redis; allowed is redis://user:password@host:6379")


def _info(server: SplitResult, ends_at: float) -> dict[str, str]:
    """The fields of INFO. OSError when it cannot be reached in time, _RefusedError with what Redis said instead."""
    host, port = server.hostname or "", server.port or DEFAULT_PORT
    address = addresses(host, port)[0]
    with socket.create_connection((address, port), timeout=_left(ends_at)) as plain:
        connection = _secured(plain, host) if server.scheme == "rediss" else plain
        with connection, connection.makefile("rb") as answers:
            if server.password:
                user = [unquote(server.username)] if server.username else []
                _asked(connection, answers, ends_at, "AUTH", *user, unquote(server.password))
            text = _asked(connection, answers, ends_at, "INFO")
    lines = (line.partition(":") for line in text.splitlines() if not line.startswith("#"))
    return {name: value for name, colon, value in lines if colon}


def _secured(plain: socket.socket, host: str) -> ssl.SSLSocket:
    return ssl.create_default_context().wrap_socket(plain, server_hostname=host)


def _asked(connection: socket.socket, answers: BinaryIO, ends_at: float, *words: str) -> str:
    parts = [f"*{len(words)}\r\n".encode()]
    parts += [b"$%d\r\n%s\r\n" % (len(word.encode()), word.encode()) for word in words]
    connection.settimeout(_left(ends_at))
    connection.sendall(b"".join(parts))
    line = answers.readline(MAX_LINE_BYTES).rstrip(b"\r\n").decode("utf-8", "replace")
    if line.startswith("-"):
        raise _RefusedError(line[1:])
    if line.startswith("+"):
        return line[1:]
    if not line.startswith("$") or not 0 <= int(line[1:]) <= MAX_ANSWER_BYTES:
        raise ValueError("the answer is not one of Redis")
    return _read(connection, answers, int(line[1:]), ends_at).decode("utf-8", "replace")


def _read(connection: socket.socket, answers: BinaryIO, size: int, ends_at: float) -> bytes:
    """So many bytes, within the time left as a whole and not for each wait."""
    found = b""
    while len(found) < size:
        connection.settimeout(_left(ends_at))
        chunk = answers.read1(size - len(found))  # type: ignore[attr-defined]
        if not chunk:
            raise OSError("the connection ended within the answer")
        found += chunk
    return found


def _left(ends_at: float) -> float:
    left = ends_at - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def _measured(info: Mapping[str, str]) -> dict[str, float | None]:
    numbers: dict[str, float] = {}
    for name, value in info.items():
        try:
            numbers[name] = float(value)
        except ValueError:
            continue
    named = {
        "keyspace_hits": "keyspace_hits_total",
        "keyspace_misses": "keyspace_misses_total",
        "evicted_keys": "evicted_keys_total",
        "used_memory": "memory_bytes",
        "connected_clients": "connections",
    }
    found: dict[str, float | None] = {metric: numbers[name] for name, metric in named.items() if name in numbers}
    if "keyspace_hits" in numbers and "keyspace_misses" in numbers:
        asked = numbers["keyspace_hits"] + numbers["keyspace_misses"]
        found["cache_hit_rate"] = numbers["keyspace_hits"] / asked if asked else None
    if numbers.get("maxmemory") and "used_memory" in numbers:
        found["memory_used"] = numbers["used_memory"] / numbers["maxmemory"]
    return found
