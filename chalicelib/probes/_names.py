"""Names to IP addresses for the probes of one run: each name is looked up once, in a thread of its own.

The look-up of the system cannot be interrupted: a thread whose answer nobody waits for any more ends by itself. No more than
MAX_LOOK_UPS run at once, since Lambda allows 1,024 threads and each takes memory; the names beyond wait in line.

A name that is not answered in time is an outage only where the resolver works, which is known once it has answered another
name of the run soon. Else, and for a name that waited in line, nothing is known of the name.
"""

import asyncio
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from ipaddress import ip_address
from typing import Any, TypeVar

from chalicelib.core.errors import RulesError, TargetUnavailableError
from chalicelib.core.payload import addresses as ip
from chalicelib.probes._address import NOWHERE
from chalicelib.probes._sockets import Spare

Answer = TypeVar("Answer")
Found = Iterable[tuple[Any, Any, Any, Any, tuple[Any, ...]]]
LookUp = Callable[[str, int], Found]

LOCALHOST = "localhost"
MAX_LOOK_UPS = 150
SOON_SECONDS = 2.0
"""An answer within this time shows that the resolver works. glibc asks the next name server after 5 s."""
_TROUBLES = frozenset({socket.EAI_AGAIN, socket.EAI_FAIL, socket.EAI_MEMORY, socket.EAI_SYSTEM})
"""What the resolver says of itself, and not of the name: https://www.rfc-editor.org/rfc/rfc3493#section-6.1"""


class NoAddressError(OSError):
    """The host has no address; the text says so."""


class RefusedAddressError(RulesError):
    """The host has an address that nothing may connect to."""


class ResolverError(TargetUnavailableError):
    """The resolver could not answer: nothing is known of the name."""


def refusal(address: str) -> str | None:
    """Return why an IP address must not be probed; None when it may be."""
    refused = ip.refusal(address)
    return f"{refused} addresses are not probed" if refused else None


def look_up(host: str, port: int) -> Found:
    """Return what the system's resolver finds."""
    return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)


def ordered(found: Found) -> list[str]:
    """Return the addresses, IPv4 first, each once. Raise RefusedAddressError when one of them is refused."""
    by_family = sorted(found, key=lambda each: each[0] != socket.AF_INET)
    # Resolvers that block a name answer with an address at which nobody is.
    unique = [each for each in dict.fromkeys(str(each[4][0]) for each in by_family) if each not in NOWHERE]
    for address in unique:
        if (reason := refusal(address)) is not None:
            raise RefusedAddressError(f"{reason}; allowed is an address of what you run")
    return unique


class _Bounded:
    """Look-ups in threads, of which only so many run at once. Those beyond wait in line, as long as somebody wants them."""

    def __init__(self, most: int) -> None:
        self._free = most
        self._line: deque[tuple[asyncio.Future[Found], Callable[[], Found]]] = deque()

    def ask(self, work: Callable[[], Found]) -> "asyncio.Future[Found]":
        """Return what a look-up comes to. Cancel it when nobody waits for it any more."""
        found: asyncio.Future[Found] = asyncio.get_running_loop().create_future()
        found.add_done_callback(_seen)
        self._line.append((found, work))
        self._begin()
        return found

    def _begin(self) -> None:
        while self._free and self._line:
            found, work = self._line.popleft()
            if not found.cancelled():
                self._free -= 1
                in_thread(work, "name").add_done_callback(partial(self._end, found))

    def _end(self, found: "asyncio.Future[Found]", inner: "asyncio.Future[Found]") -> None:
        self._free += 1
        if not found.done():
            error = inner.exception()
            if error is None:
                found.set_result(inner.result())
            else:
                found.set_exception(error)
        self._begin()


class Names:
    """The names of one run of the probes, and the spare sockets that its tries share."""

    def __init__(self, look_up: LookUp = look_up, most: int = MAX_LOOK_UPS) -> None:
        self._look_up = look_up
        self.spare = Spare()
        self._bounded = _Bounded(most)
        self._asked: dict[str, _LookUp] = {}
        self._works = False

    async def addresses(self, host: str, port: int) -> list[str]:
        """Return the addresses of a host, IPv4 first.

        Raise NoAddressError when it has none, ResolverError when the resolver is in trouble or silent,
        RefusedAddressError when an address is refused.
        """
        asked = self._asked.get(host) or self._ask(host, port)
        asked.waiting += 1
        try:
            found = ordered(await asyncio.shield(asked.found))
        except asyncio.CancelledError:
            self._leave(host, asked)
            # The name of this machine is asked of no resolver.
            if host != LOCALHOST and (asked.began is None or not self._works):
                raise ResolverError("the resolver did not answer in time") from None
            raise
        except socket.gaierror as error:
            self._asked.pop(host, None)
            if error.errno in _TROUBLES:
                raise ResolverError("the resolver could not look up the host name") from None
            raise NoAddressError("the host name has no address") from None
        except (OSError, UnicodeError):
            self._asked.pop(host, None)
            raise NoAddressError("the host name is not valid") from None
        asked.waiting -= 1
        if not found:
            raise NoAddressError("the host name has no address")
        return found

    def _ask(self, host: str, port: int) -> "_LookUp":
        asked = _LookUp()

        def work() -> Found:
            asked.began = time.monotonic()
            return self._look_up(host, port)

        asked.found = _at_once(host, port) if _is_address(host) else self._bounded.ask(work)
        asked.found.add_done_callback(lambda found: self._note(host, asked, found))
        self._asked[host] = asked
        return asked

    def _note(self, host: str, asked: "_LookUp", found: "asyncio.Future[Found]") -> None:
        """Note that the resolver works, once it has answered a name soon. An answer after its own time-out is no proof."""
        is_answer = not found.cancelled() and _is_of_the_name(found.exception())
        soon = asked.began is not None and time.monotonic() - asked.began < SOON_SECONDS
        self._works = self._works or (is_answer and soon and host != LOCALHOST)

    def _leave(self, host: str, asked: "_LookUp") -> None:
        """Let the next try ask anew: this look-up may hang for ever. One that still waits in line is dropped."""
        asked.waiting -= 1
        if self._asked.get(host) is asked:
            del self._asked[host]
        if not asked.waiting:
            asked.found.cancel()


class _LookUp:
    """One look-up: who waits for it, and since when its thread runs."""

    def __init__(self) -> None:
        self.found: asyncio.Future[Found]
        self.began: float | None = None
        self.waiting = 0


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _at_once(host: str, port: int) -> "asyncio.Future[Found]":
    """Return an IP address as the resolver gives it, which has nothing to look up."""
    found: asyncio.Future[Found] = asyncio.get_running_loop().create_future()
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    found.set_result([(family, socket.SOCK_STREAM, 0, "", (host, port))])
    return found


def _is_of_the_name(error: BaseException | None) -> bool:
    """Return whether the resolver answered: with addresses, or that there are none. A name that is none is not asked for."""
    return error is None or (isinstance(error, socket.gaierror) and error.errno not in _TROUBLES)


def _seen(found: "asyncio.Future[Any]") -> None:
    """Look at an error that nobody waits for any more: it is no news."""
    if not found.cancelled():
        found.exception()


def in_thread(work: Callable[[], Answer], name: str) -> "asyncio.Future[Answer]":
    """Return what the work comes to, done in a thread of its own that nobody waits for at the end."""
    loop = asyncio.get_running_loop()
    found: asyncio.Future[Answer] = loop.create_future()
    found.add_done_callback(_seen)

    def give(set_it: Callable[[Any], None], what: object) -> None:
        if not found.done():
            set_it(what)

    def run() -> None:
        set_it: Callable[[Any], None] = found.set_result
        try:
            what: object = work()
        except Exception as error:
            set_it, what = found.set_exception, error
        with suppress(RuntimeError):  # The run has ended, and its loop is closed.
            loop.call_soon_threadsafe(give, set_it, what)

    threading.Thread(target=run, name=name, daemon=True).start()
    return found
