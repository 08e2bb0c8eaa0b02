"""Names to IP addresses for the probes of one run: each name is looked up once, in a thread of its own.

The look-up of the system cannot be interrupted, and a pool of threads would let names that hang keep others waiting. A
thread whose answer nobody waits for any more ends by itself.
"""

import asyncio
import socket
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any, TypeVar

from chalicelib.core.errors import RulesError, TargetUnavailableError
from chalicelib.core.payload import addresses as ip
from chalicelib.probes._address import NOWHERE
from chalicelib.probes._sockets import Spare

Answer = TypeVar("Answer")
Found = Iterable[tuple[Any, Any, Any, Any, tuple[Any, ...]]]
LookUp = Callable[[str, int], Found]

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
    unique = [
        each for each in dict.fromkeys(str(each[4][0]) for each in by_family) if each not in NOWHERE
    ]  # What resolvers that block a name answer.
    for address in unique:
        if (reason := refusal(address)) is not None:
            raise RefusedAddressError(f"{reason}; allowed is an address of what you run")
    return unique


class Names:
    """The names of one run of the probes, and the spare sockets that its tries share."""

    def __init__(self, look_up: LookUp = look_up) -> None:
        self._look_up = look_up
        self.spare = Spare()
        self._asked: dict[str, asyncio.Future[Found]] = {}

    async def addresses(self, host: str, port: int) -> list[str]:
        """Return the addresses of a host, IPv4 first.

        Raise NoAddressError when it has none, ResolverError when the resolver is in trouble,
        RefusedAddressError when an address is refused.
        """
        if host not in self._asked:
            self._asked[host] = self._ask(host, port)
        try:
            found = ordered(await asyncio.shield(self._asked[host]))
        except asyncio.CancelledError:
            self._asked.pop(host, None)  # The next try asks anew: this look-up may hang for ever.
            raise
        except socket.gaierror as error:
            self._asked.pop(host, None)
            if error.errno in _TROUBLES:
                raise ResolverError("the resolver could not look up the host name") from None
            raise NoAddressError("the host name has no address") from None
        except (OSError, UnicodeError):
            self._asked.pop(host, None)
            raise NoAddressError("the host name is not valid") from None
        if not found:
            raise NoAddressError("the host name has no address")
        return found

    def _ask(self, host: str, port: int) -> "asyncio.Future[Found]":
        return in_thread(lambda: self._look_up(host, port), "name")


def in_thread(work: Callable[[], Answer], name: str) -> "asyncio.Future[Answer]":
    """Return what the work comes to, done in a thread of its own that nobody waits for at the end."""
    loop = asyncio.get_running_loop()
    found: asyncio.Future[Answer] = loop.create_future()
    # The error of work that nobody waits for any more is no news.
    found.add_done_callback(lambda each: each.cancelled() or each.exception())

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
