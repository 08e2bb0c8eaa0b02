"""Redis over a socket: up, how well it answers from memory, how full it is, whether its cluster and its copies hold.

    - name: cache
      url: REDIS_URL        # the name of the secret with redis:// or rediss:// (TLS), user and password in it
      ca: REDIS_CA          # the name of the secret with the authority's certificate (PEM), where it is one of your own
      timeout: 5s

Samples: `uptime`, `latency_ms` (connect and INFO), `cache_hit_rate`, `memory_bytes`, `memory_used` (share of
maxmemory, none where there is no limit), `connections`, `evicted_keys_total`, and the counters that `watch` makes the
hit rate since the last reading of (RATES); until there is one it is the rate since the server started. Of a server with
copies `replicas`, of a copy `replication_lag_seconds` (since its master last answered), of a node of a cluster
`cluster_slots_missing`.

Down (`uptime` 0) is a server that takes no connection, answers late, is loading its data or takes no more clients; a node
whose cluster has failed; a copy that has lost its master, whether it refuses reads or answers with old data; a sentinel
that knows a master to be down. One that works and does not let us in cannot be measured: NOAUTH, WRONGPASS, NOPERM for INFO,
DENIED (protected mode), or an AUTH that it does not take. A user of an access list needs `+info`, and for a
node of a cluster `+cluster|info`.

The protocol is RESP 2: a request is an array of bulk strings, an answer a bulk string, a number or an error.
https://redis.io/docs/latest/commands/info/  https://redis.io/docs/latest/develop/reference/protocol-spec/
"""

import asyncio
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit

from chalicelib.core.errors import RulesError, TargetRejectedError
from chalicelib.core.metrics.rollup import Rate
from chalicelib.core.payload import coerce
from chalicelib.probes import Attempt, Connection, Down, common_mistakes
from chalicelib.probes._address import host_mistake, secret_name_mistakes
from chalicelib.probes._trust import authority, trusting
from chalicelib.probes._userinfo import escaped

MEANING = "Redis servers that are measured."
SAMPLE = {"name": "cache", "url": "REDIS_URL"}
PLACE = 3
METRICS = (
    "latency_ms", "keyspace_hits_total", "keyspace_misses_total", "evicted_keys_total", "memory_bytes", "memory_used", "connections",
    "cache_hit_rate", "replicas", "replication_lag_seconds", "cluster_slots_missing",
)  # fmt: skip
TIMEOUT = timedelta(seconds=5)
DEFAULT_PORT = 6379
SLOTS = 16_384
MAX_ANSWER_BYTES = 1_000_000
RATES = (Rate("cache_hit_rate", "keyspace_hits_total", ("keyspace_hits_total", "keyspace_misses_total")),)

_REFUSED = frozenset({"WRONGPASS", "NOAUTH", "NOPERM", "DENIED"})
_FULL = "ERR max number of clients"
"""A constant of Redis's source, sent to a new client before it asks anything; `ERR` is all that it has for a code."""
_UNKNOWN = "ERR unknown command"
"""A constant of Redis's source as well: the command was renamed, or is not there."""
_SENTINEL = re.compile(r"master\d+")
_METRICS = {
    "keyspace_hits": "keyspace_hits_total",
    "keyspace_misses": "keyspace_misses_total",
    "evicted_keys": "evicted_keys_total",
    "used_memory": "memory_bytes",
    "connected_clients": "connections",
}


class AnswerError(Exception):
    """Redis answered with an error. `code` is its first word; the text may hold names, and is not shown."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.code = text.partition(" ")[0]
        self.is_full = text.startswith(_FULL)
        self.is_unknown = text.startswith(_UNKNOWN)


@dataclass(frozen=True, slots=True)
class _Dialogue:
    """Commands and answers over one connection."""

    connection: Connection

    async def ask(self, *words: str) -> str:
        """Return the answer. Raise AnswerError, or Down when it is none of Redis."""
        parts = [f"*{len(words)}\r\n".encode()]
        parts += [b"$%d\r\n%s\r\n" % (len(word.encode()), word.encode()) for word in words]
        try:
            self.connection.writer.write(b"".join(parts))
            return await self._answer()
        except (OSError, EOFError, ValueError, asyncio.LimitOverrunError):
            raise Down("the connection ended without an answer of Redis") from None

    async def _answer(self) -> str:
        line = (await self.connection.reader.readuntil(b"\r\n"))[:-2].decode("utf-8", "replace")
        kind, rest = line[:1], line[1:]
        if kind == "-":
            raise AnswerError(rest)
        if kind in ("+", ":"):
            return rest
        if kind != "$" or not 0 <= int(rest) <= MAX_ANSWER_BYTES:
            raise Down("the answer is not one of Redis")
        return (await self.connection.reader.readexactly(int(rest) + 2))[:-2].decode("utf-8", "replace")

    async def fields(self, *words: str) -> dict[str, str]:
        """Return an answer of `name:value` lines."""
        lines = (line.partition(":") for line in (await self.ask(*words)).splitlines() if not line.startswith("#"))
        return {name: value for name, colon, value in lines if colon}


async def check(attempt: Attempt) -> None:
    """Add what one try measures. RulesError for a bad secret, TargetRejectedError when Redis lets nobody in so."""
    server = _server(attempt, str(attempt.params.get("url", "")))
    attempt.expected = f"an answer to INFO within {attempt.limit.total_seconds():g} s"
    tls = _trusted(attempt) if server.scheme == "rediss" else None
    connection = await attempt.connect(server.hostname or "", server.port or DEFAULT_PORT, tls=tls)
    dialogue = _Dialogue(connection)
    with attempt.step("answer"):
        try:
            await _log_in(dialogue, server)
            info = await dialogue.fields("INFO")
        except AnswerError as error:
            raise _reported(error) from None
    latency_ms = round(attempt.elapsed * 1000, 3)
    for metric, value in _measured(info).items():
        attempt.add(metric, value)
    _check_state(info)
    if info.get("cluster_enabled") == "1":
        await _check_cluster(attempt, dialogue)
    attempt.up()
    attempt.add("latency_ms", latency_ms)


def parameters(params: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the names of the secrets and settings that an entry reads."""
    return tuple(str(params[field]) for field in ("url", "ca") if params.get(field))


def validate(params: Mapping[str, Any]) -> list[str]:
    """Return the mistakes of an entry of `probes: {redis: […]}`, in words."""
    found = common_mistakes(params, required=("url",), allowed=("ca",))
    found += secret_name_mistakes(params, "url", "REDIS_URL")
    return found + secret_name_mistakes(params, "ca", "REDIS_CA")


def _server(attempt: Attempt, name: str) -> SplitResult:
    try:
        found = urlsplit(escaped(attempt.secret(name).strip()))
        if found.scheme in ("redis", "rediss") and found.port != 0 and not host_mistake(found.hostname or ""):
            return found
    except ValueError:
        pass
    raise RulesError(f"the secret {name} is not the address of a Redis; allowed is redis://user:password@host:6379")


def _trusted(attempt: Attempt) -> ssl.SSLContext:
    name = str(attempt.params.get("ca") or "")
    return authority(name, attempt.secret(name)) if name else trusting()


async def _log_in(dialogue: _Dialogue, server: SplitResult) -> None:
    """Send AUTH where there is a password. What Redis answers to it other than OK is a refusal, whatever its words."""
    if not server.password:
        return
    user = [unquote(server.username)] if server.username else []
    try:
        await dialogue.ask("AUTH", *user, unquote(server.password))
    except AnswerError as error:
        if error.code == "ERR" and not error.is_full:
            raise TargetRejectedError("Redis refused the user or password (ERR to AUTH)") from None
        raise


def _reported(error: AnswerError) -> Exception:
    """Return what an error means: that nothing can be measured, or that the server is down."""
    if error.code in _REFUSED:
        return TargetRejectedError(f"Redis refused the user or password, or the right to INFO ({error.code})")
    if error.is_unknown:
        return TargetRejectedError("Redis does not know the command INFO: it is renamed or switched off")
    if error.is_full:
        return Down("it takes no more clients (maxclients)")
    return Down(f"it answered with the error {error.code[:40]}")


def _check_state(info: Mapping[str, str]) -> None:
    """Raise Down for a server that answers and cannot serve, by what INFO says of it."""
    if not info:
        raise Down("it answered INFO without a line")
    if info.get("loading") == "1":
        raise Down("it is loading its data")
    if info.get("role") == "slave" and info.get("master_link_status") == "down":
        seconds = coerce.number(info.get("master_link_down_since_seconds"))
        since = "and never had one" if seconds is None or seconds < 0 else f"for {seconds:.0f} s"
        raise Down(f"it is a copy without its master {since}")
    for name, value in info.items():
        state = dict(part.partition("=")[::2] for part in value.split(",")) if _SENTINEL.fullmatch(name) else {}
        if state.get("status", "ok") != "ok":
            raise Down(f"the sentinel finds the master {state.get('name', '')} down ({state['status']})")


async def _check_cluster(attempt: Attempt, dialogue: _Dialogue) -> None:
    """Add which share of a cluster is served. Raise Down when it has failed as a whole."""
    try:
        found = await dialogue.fields("CLUSTER", "INFO")
    except AnswerError as error:
        attempt.broke("cluster", f"CLUSTER INFO was refused ({error.code}): grant +cluster|info", limited=True)
        return
    missing = SLOTS - int(float(found.get("cluster_slots_ok", SLOTS)))
    attempt.add("cluster_slots_missing", float(missing))
    if found.get("cluster_state", "ok") != "ok":
        raise Down(f"its cluster has failed: {missing} of {SLOTS} slots are not served")


def _measured(info: Mapping[str, str]) -> dict[str, float | None]:
    numbers = {name: number for name, value in info.items() if (number := coerce.number(value)) is not None}
    found: dict[str, float | None] = {metric: numbers[name] for name, metric in _METRICS.items() if name in numbers}
    if "keyspace_hits" in numbers and "keyspace_misses" in numbers:
        asked = numbers["keyspace_hits"] + numbers["keyspace_misses"]
        found["cache_hit_rate"] = numbers["keyspace_hits"] / asked if asked else None
    if numbers.get("maxmemory") and "used_memory" in numbers:
        found["memory_used"] = numbers["used_memory"] / numbers["maxmemory"]
    if info.get("role") == "master" and "connected_slaves" in numbers:
        found["replicas"] = numbers["connected_slaves"]
    if (silence := numbers.get("master_last_io_seconds_ago", -1.0)) >= 0:
        found["replication_lag_seconds"] = silence
    return found
