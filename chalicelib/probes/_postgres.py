"""One connection to PostgreSQL over asyncio, by libpq: every address is tried, and an error has the server's own code.

Connections of psycopg wait for a server that hangs when they are cancelled, and give no SQLSTATE of a refused login; those
here are closed at once, and read the code from libpq's verbose message. Queries are sent as one simple message with their
settings, which also poolers of transactions and of statements take: https://www.pgbouncer.org/features.html
"""

import asyncio
import ctypes
import ctypes.util
import importlib.util
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

import psycopg
from psycopg import pq
from psycopg.conninfo import make_conninfo
from psycopg.pq.abc import PGconn, PGresult

from chalicelib.core.errors import RulesError
from chalicelib.probes import Attempt, Down
from chalicelib.probes._sockets import Spare, headstart

DEFAULT_PORT = "5432"
_VERBOSE = 2
"""PQERRORS_VERBOSE of libpq-fe.h: messages with their SQLSTATE."""
_CODE = re.compile(r":  ([0-9A-Z]{5}): (.*)")
_TLS_REASON = re.compile(r"failed: (.{1,200})")

_PASSING = frozenset({"57P01", "57P02", "57P03", "53300"})
"""What one address of several may answer while another works: shutting down, starting, full."""
_OF_PGBOUNCER = (
    "no such user",
    "password authentication failed",
    "SASL authentication failed",
    "certificate authentication failed",
    '"trust" authentication failed',
    "auth failed",
    "login rejected",
    "unix socket login rejected",
    "not allowed",
    "no username supplied",
    "unsupported startup parameter",
    "SSL required",
)
"""PgBouncer has one code, 08P01, for nearly all of its errors; these are constants of its source, in no language but its own."""
_OF_SUPAVISOR = (
    "(EADDRNOTALLOWED)",
    "(EAUTHQUERY) user not found",
    "(EINVALIDUSERINFO)",
    "(EJITUNAUTHORIZED)",
    "(EMULTIPLEUSERS)",
    "(ENOIDENTIFIER)",
    "(ESSLREQUIRED)",
    "(EWRONGPASSWORD)",
)
"""Supavisor has one code, XX000, and its own code before the text: https://github.com/supabase/supavisor."""
_CACHED = "server login has been failing, cached error: "
"""What PgBouncer puts before the answer of its server to a login that it does not try again yet."""
_NOT_THERE_BEHIND = re.compile(r'database ".*" does not exist')
_REFUSED_BEHIND = re.compile(
    r'no pg_hba\.conf entry for |pg_hba\.conf rejects |role ".*" (is not permitted to log in|does not exist)'
    r"|permission denied for database "
)
"""What its server answered to a login: PgBouncer remembers the server's words, and older versions (1.18) lose its code.

Only here words decide. Those of a server in another language are none of these: it is down.
"""
_NOT_THERE = {
    "08P01": ("no such database",),
    "XX000": ("(ENOTFOUND)", "Tenant or user not found"),
}
_POOLER_WORDS = {
    "query_wait_timeout": "no connection of the pool became free in time",
    "server_login_retry": "the pooler cannot log in to its server",
    "pgbouncer cannot connect to server": "the pooler cannot connect to its server",
}
_REFUSED = {"08P01": _OF_PGBOUNCER, "XX000": _OF_SUPAVISOR}


class ServerError(Exception):
    """The server answered with an error. `text` is in its language, and may hold names: it is not shown.

    `is_last`: the server ends the connection with it.
    """

    def __init__(self, sqlstate: str, text: str = "", *, is_last: bool = True) -> None:
        super().__init__(f"SQLSTATE {sqlstate}")
        self.sqlstate = sqlstate
        self.text = text
        self.is_last = is_last

    @property
    def not_there(self) -> bool:
        """Return whether the server does not know the database, or a pooler the project."""
        known = self.sqlstate == "3D000" or self.text.startswith(_NOT_THERE.get(self.sqlstate, ()))
        return known or self.not_there_behind_pooler

    @property
    def not_there_behind_pooler(self) -> bool:
        """Return whether the server behind PgBouncer does not know the database."""
        return self._is_behind_pooler(_NOT_THERE_BEHIND)

    def _is_behind_pooler(self, answer: re.Pattern[str]) -> bool:
        """Return whether it is this answer of a server behind PgBouncer, which gave its own code for that of the server."""
        return self.sqlstate == "08P01" and bool(answer.match(self._said))

    @property
    def _said(self) -> str:
        return self.text.removeprefix(_CACHED)

    @property
    def refused(self) -> bool:
        """Return whether the server works and does not let this user in, or not from here, or not so: class 28, and no right."""
        known = self.sqlstate.startswith("28") or self.sqlstate == "42501" or self.is_of_parameter
        return (
            known or self._said.startswith(_REFUSED.get(self.sqlstate, ())) or self._is_behind_pooler(_REFUSED_BEHIND)
        )

    @property
    def is_of_parameter(self) -> bool:
        """Return whether the server does not take a name or a value of the connection string: classes 22 and 42."""
        return self.sqlstate.startswith(("22", "42")) and self.sqlstate != "42501"

    @property
    def words(self) -> str:
        """Return the code with its name, for people; of PgBouncer, which has one code for all, what it means."""
        if known := next((words for text, words in _POOLER_WORDS.items() if self.text.startswith(text)), ""):
            return f"SQLSTATE {self.sqlstate}, {known}"
        try:
            name = psycopg.errors.lookup(self.sqlstate).__name__
        except KeyError:
            return f"SQLSTATE {self.sqlstate}"
        return f"SQLSTATE {self.sqlstate}, {re.sub('(?<=[a-z])(?=[A-Z])', ' ', name).lower()}"


class EndedError(Exception):
    """The connection ended without an error of the server."""


@dataclass(frozen=True, slots=True)
class Session:
    """An open connection that reads; nothing in it writes."""

    pgconn: PGconn

    async def rows(self, query: str, limit: float) -> list[tuple[str | None, ...]]:
        """Return the rows of a query that may take so many seconds, as texts.

        Raise ServerError, or EndedError when the connection is lost.
        """
        allowed_ms = max(1, int(limit * 1000))
        settings = f"set local transaction_read_only = on; set local statement_timeout = {allowed_ms}; "
        try:
            self.pgconn.send_query((settings + query).encode())
            while self.pgconn.flush():
                await _ready(self.pgconn.socket, pq.PollingStatus.WRITING)
            results = await self._results()
        except psycopg.OperationalError:
            raise EndedError from None
        if failed := next(filter(None, map(_error_of, results)), None):
            raise failed
        return _rows_of(results[-1])

    async def _results(self) -> list[PGresult]:
        """Return what each statement came to."""
        found: list[PGresult] = []
        while True:
            while self.pgconn.is_busy():
                await _ready(self.pgconn.socket, pq.PollingStatus.READING)
                try:
                    self.pgconn.consume_input()
                except psycopg.OperationalError:
                    if any(map(_error_of, found)):  # The server gave its reason before it ended the connection.
                        return found
                    raise
            result = self.pgconn.get_result()
            if result is None:
                return found
            found.append(result)


def _rows_of(result: PGresult) -> list[tuple[str | None, ...]]:
    def text(row: int, column: int) -> str | None:
        value = result.get_value(row, column)
        return None if value is None else value.decode("utf-8", "replace")

    return [tuple(text(row, column) for column in range(result.nfields)) for row in range(result.ntuples)]


def _error_of(result: PGresult) -> Exception | None:
    if result.status != pq.ExecStatus.FATAL_ERROR:
        return None
    field = pq.DiagnosticField
    code, text, severity, shown = (
        (result.error_field(each) or b"").decode("utf-8", "replace")
        for each in (field.SQLSTATE, field.MESSAGE_PRIMARY, field.SEVERITY_NONLOCALIZED, field.SEVERITY)
    )
    return ServerError(code, text, is_last=(severity or shown) in ("FATAL", "PANIC")) if code else EndedError()


async def opened(attempt: Attempt, options: Mapping[str, Any]) -> Session:
    """Return a connection to the first address of the hosts that takes one; the end of the try closes it.

    An address has a short time (`headstart`) to take a connection before the next one is tried beside it. Raise Down when none
    does, ServerError when a server answers with one.
    """
    places = await _places(attempt, options)
    with ExitStack() as steps:
        steps.enter_context(attempt.step("connect"))

        def taken() -> None:
            steps.close()
            steps.enter_context(attempt.step("login"))

        pgconn = await _Race(places, taken, attempt.names.spare, headstart(attempt.left, len(places))).winner()
    attempt.ends_with(pgconn.finish)
    return Session(pgconn)


async def _places(attempt: Attempt, options: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the options of each address of each host. Raise Down when no host has any."""
    names = str(options.get("host") or options.get("hostaddr") or "localhost").split(",")
    looked_up = str(options.get("hostaddr") or ",".join(names)).split(",")
    ports = str(options.get("port") or DEFAULT_PORT).split(",")
    found: list[dict[str, Any]] = []
    reason = Down("the host name has no address")
    for number, (name, host) in enumerate(zip(names, looked_up, strict=False)):
        port = ports[number % len(ports)] or DEFAULT_PORT
        try:
            addresses = await _addresses(attempt, host, int(port))
        except Down as down:
            reason = down
            continue
        found += [{**options, "host": name, "port": port, "hostaddr": address} for address in addresses]
    if not found:
        raise reason
    return found


async def _addresses(attempt: Attempt, host: str, port: int) -> list[str | None]:
    """Return the addresses of a host; a socket in the file system has none."""
    return [None] if host.startswith(("/", "@")) else [*await attempt.addresses(host, port)]


class _Race:
    """Logins at several addresses, of which the first that succeeds is kept. The others are closed."""

    def __init__(
        self, places: Sequence[Mapping[str, Any]], taken: Callable[[], None], spare: Spare, pause: float
    ) -> None:
        self._rest = list(places)
        self._running: list[asyncio.Task[PGconn]] = []
        self._logging_in: set[asyncio.Task[Any] | None] = set()
        self._failures: list[BaseException] = []
        self._taken = taken
        self._spare, self._held, self._pause = spare, 0, pause

    async def winner(self) -> PGconn:
        """Return the connection. When no address gives one, raise the error of a server, else why the first failed."""
        try:
            while self._rest or self._running:
                found = await self._next()
                if found is not None:
                    return found
        finally:
            await self._close()
        raise next((each for each in self._failures if isinstance(each, ServerError)), self._failures[0])

    async def _next(self) -> PGconn | None:
        if self._rest and not self._logging_in.intersection(self._running):
            self._make_room()
            self._running.append(asyncio.create_task(_logged_in(self._rest.pop(0), self._on_taken)))
        pause = self._pause if self._rest else None
        done, _ = await asyncio.wait(self._running, timeout=pause, return_when=asyncio.FIRST_COMPLETED)
        for task in sorted(done, key=self._running.index):
            self._running.remove(task)
            self._give_back()
            if (error := task.exception()) is None:
                return task.result()
            self._failures.append(error)
            if isinstance(error, ServerError) and error.sqlstate not in _PASSING:
                raise error
        return None

    def _make_room(self) -> None:
        """Take a spare socket for one more login, else leave the one that waits longest."""
        if self._running and self._spare.take():
            self._held += 1
        elif self._running:
            task = self._running.pop(0)
            task.add_done_callback(_finish)
            task.cancel()
            self._failures.append(Down("no connection"))

    def _give_back(self) -> None:
        while self._held > max(0, len(self._running) - 1):
            self._held -= 1
            self._spare.give()

    def _on_taken(self) -> None:
        if not self._logging_in:
            self._taken()
        self._logging_in.add(asyncio.current_task())

    async def _close(self) -> None:
        for task in self._running:
            task.cancel()
        for ended in await asyncio.gather(*self._running, return_exceptions=True):
            if not isinstance(ended, BaseException):
                ended.finish()
        self._running.clear()
        self._give_back()


def _finish(task: "asyncio.Task[PGconn]") -> None:
    """Close a connection that came too late."""
    if not task.cancelled() and task.exception() is None:
        task.result().finish()


async def _logged_in(options: Mapping[str, Any], taken: Callable[[], None]) -> PGconn:
    """Return a connection that is logged in. Whatever else happens, it is closed."""
    pgconn: Any = pq.PGconn.connect_start(make_conninfo("", **options).encode())
    try:
        if (libpq := _libpq()) is not None:
            libpq.PQsetErrorVerbosity(pgconn.pgconn_ptr, _VERBOSE)
        await _poll(pgconn, taken, str(options.get("require_auth") or ""))
    except BaseException:
        pgconn.finish()
        raise
    pgconn.nonblocking = 1
    return cast(PGconn, pgconn)


async def _poll(pgconn: PGconn, taken: Callable[[], None], demanded: str) -> None:
    """Go on with the login until it succeeds. `taken` is called once the server has taken the connection.

    `demanded`: the methods of login that the connection string allows; libpq itself refuses any other.
    """
    is_taken, phase, polled = False, pgconn.status, int(pq.PollingStatus.WRITING)
    while pgconn.status != pq.ConnStatus.BAD:
        await _ready(pgconn.socket, polled)
        phase = pgconn.status
        polled = pgconn.connect_poll()
        if polled == pq.PollingStatus.OK:
            return
        if polled == pq.PollingStatus.FAILED:
            break
        if not is_taken and pgconn.status != pq.ConnStatus.STARTED:
            is_taken = True
            taken()
    if demanded and f'"{demanded}"' in pgconn.error_message.decode("utf-8", "replace"):
        raise RulesError("the server asks for a login that require_auth of the connection string forbids")
    raise _failure(pgconn, phase)


def _failure(pgconn: PGconn, phase: int) -> Exception:
    """Return why a login failed: with the server's code, or that nothing of the kind came."""
    message = pgconn.error_message.decode("utf-8", "replace")
    if found := _CODE.search(message):
        return ServerError(found[1], found[2])
    if pgconn.needs_password:
        return ServerError("28P01")
    if phase == pq.ConnStatus.SSL_STARTUP:
        found = _TLS_REASON.search(message)
        return Down(f"no TLS connection: {found[1] if found else 'it ended'}")
    if phase in (pq.ConnStatus.BAD, pq.ConnStatus.STARTED):
        return Down("no connection: it was refused" if "Connection refused" in message else "no connection")
    return Down("the server ended the connection in login")


async def _ready(socket: int, polled: int) -> None:
    """Wait until the socket can be read, or written."""
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()

    def note() -> None:
        if not ready.done():
            ready.set_result(None)

    to_write = polled == pq.PollingStatus.WRITING
    (loop.add_writer if to_write else loop.add_reader)(socket, note)
    try:
        await ready
    finally:
        (loop.remove_writer if to_write else loop.remove_reader)(socket)


@lru_cache
def _libpq() -> Any:
    """Return the libpq that psycopg has loaded: it does not offer PQsetErrorVerbosity itself. None where it is not found."""
    found = importlib.util.find_spec("psycopg_binary")
    folder = Path(found.origin).parent if found is not None and found.origin else Path()
    bundled = [*folder.parent.glob("psycopg_binary.libs/libpq[-.]*"), *folder.glob(".dylibs/libpq[-.]*")]
    name = str(bundled[0]) if bundled else ctypes.util.find_library("pq")
    if name is None:
        return None
    library = ctypes.CDLL(name)
    library.PQsetErrorVerbosity.argtypes = [ctypes.c_void_p, ctypes.c_int]
    return library
