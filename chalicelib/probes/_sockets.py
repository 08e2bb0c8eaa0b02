"""Connections to one of several addresses, with a bound on the sockets that wait at once in a run.

Lambda allows 1,024 open files. Each try always has one socket, so that no try waits for another. What a try opens beside it,
because an address is silent, comes from the spare ones of the run; without one, the silent address that waits longest is left.
"""

import asyncio
import errno
from collections.abc import Awaitable, Callable, Sequence

from chalicelib.probes._errors import Down, UnmeasuredError

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
CONNECT_HEADSTART = 0.5
"""Seconds that an address has at most before the next one of the same name is tried beside it."""
MAX_WAITING = 6
"""Addresses of one try that wait at once."""
MAX_SPARE = 200
_OURS = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL})


def headstart(left: float, addresses: int) -> float:
    """Return the seconds between two addresses, so that each is tried within the time that is left."""
    return min(CONNECT_HEADSTART, left / (addresses + 1))


class Spare:
    """The sockets of a run beside the one of each try."""

    def __init__(self, free: int = MAX_SPARE) -> None:
        self.free = free

    def take(self) -> bool:
        """Take one. Return False when none is free."""
        self.free -= 1 if (found := self.free > 0) else 0
        return found

    def give(self) -> None:
        """Give one back."""
        self.free += 1


def is_ours(error: BaseException | None) -> bool:
    """Return whether an error is one of this machine, which says nothing of the target."""
    return isinstance(error, OSError) and error.errno in _OURS


class _Connecting:
    """The addresses of one try: which wait, and why the others failed."""

    def __init__(self, port: int, spare: Spare, opened: Callable[[str, int], Awaitable[Streams]]) -> None:
        self._port, self._spare, self._opened = port, spare, opened
        self._held = 0
        self.waiting: dict[asyncio.Task[Streams], str] = {}
        self.errors: list[BaseException | None] = []

    def begin(self, address: str) -> None:
        """Connect to an address, in place of the one that waits longest where there is no socket beside it."""
        if self.waiting:
            if len(self.waiting) < MAX_WAITING and self._spare.take():
                self._held += 1
            else:
                self._leave(next(iter(self.waiting)))
                self.errors.append(TimeoutError())
        self.waiting[asyncio.create_task(self._open(address))] = address

    async def _open(self, address: str) -> Streams:
        return await self._opened(address, self._port)

    def ended(self, task: "asyncio.Task[Streams]") -> str:
        """Return the address of a task that has ended, after its socket was given back or kept."""
        address = self.waiting.pop(task)
        self._give_back()
        return address

    def leave_all(self) -> None:
        """Give up whatever still waits."""
        for task in list(self.waiting):
            self._leave(task)
        self._give_back()

    def _leave(self, task: "asyncio.Task[Streams]") -> None:
        del self.waiting[task]
        task.add_done_callback(_abort)
        task.cancel()

    def _give_back(self) -> None:
        while self._held > max(0, len(self.waiting) - 1):
            self._held -= 1
            self._spare.give()


async def first_of(
    addresses: Sequence[str],
    port: int,
    spare: Spare,
    *,
    opened: Callable[[str, int], Awaitable[Streams]] = asyncio.open_connection,
    pause: float = CONNECT_HEADSTART,
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter, str]:
    """Return the first connection that one of the addresses takes; `pause` seconds lie between two. Raise Down when none does.

    Raise UnmeasuredError when this machine has no socket left.
    """
    connecting, rest = _Connecting(port, spare, opened), list(addresses)
    try:
        while rest or connecting.waiting:
            if rest:
                connecting.begin(rest.pop(0))
            done, _ = await asyncio.wait(
                connecting.waiting, timeout=pause if rest else None, return_when=asyncio.FIRST_COMPLETED
            )
            for task in done:
                address = connecting.ended(task)
                if task.exception() is None:
                    return (*task.result(), address)
                connecting.errors.append(task.exception())
    finally:
        connecting.leave_all()
    raise _failure(connecting.errors)


def _failure(errors: Sequence[BaseException | None]) -> Exception:
    if any(map(is_ours, errors)):
        return UnmeasuredError("this machine has no socket left")
    return Down(f"no connection: {_refused_words(errors[0])}" if errors else "the host name has no address")


def _abort(task: "asyncio.Task[Streams]") -> None:
    """Close a connection that came too late."""
    if not task.cancelled() and task.exception() is None:
        task.result()[1].transport.abort()


def _refused_words(error: BaseException | None) -> str:
    if isinstance(error, ConnectionRefusedError):
        return "it was refused"
    if isinstance(error, TimeoutError):
        return "nothing answered"
    return (getattr(error, "strerror", "") or type(error).__name__).lower()
