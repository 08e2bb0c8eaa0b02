"""Connections of a run: how many wait at once, that every address is tried, and what is no fault of the target."""

import asyncio
import errno
from typing import Any

import pytest

from chalicelib.probes import Down, Names, UnmeasuredError
from chalicelib.probes._sockets import MAX_WAITING, Spare, first_of, headstart

ALL = 1_200


class Silent:
    """Addresses of which none answers, but those of `good`; how many wait, and how often each was tried."""

    def __init__(self, *good: str) -> None:
        self.good, self.open, self.peak = good, 0, 0
        self.tried: list[str] = []
        self.all_tried = asyncio.Event()

    async def opened(self, address: str, port: int) -> Any:
        """Wait for ever, unless the address is good."""
        self.open, self.peak = self.open + 1, max(self.peak, self.open + 1)
        self.tried.append(address)
        if len(self.tried) == ALL:
            self.all_tried.set()
        try:
            if address in self.good:
                return ("reader", "writer")
            await asyncio.Event().wait()
        finally:
            self.open -= 1


def names(count: int) -> list[str]:
    """So many addresses."""
    return [f"192.0.2.{number}" for number in range(count)]


def test_silent_addresses_take_one_socket_each_and_a_few_more() -> None:
    """Given 300 tries of four silent addresses → no more sockets at once than tries and spare ones, and all are free after."""
    silent, spare = Silent(), Spare(10)

    async def run() -> None:
        tries = [
            asyncio.create_task(first_of(names(4), 443, spare, opened=silent.opened, pause=0.0)) for _ in range(300)
        ]
        await silent.all_tried.wait()
        for each in tries:
            each.cancel()
        await asyncio.gather(*tries, return_exceptions=True)

    asyncio.run(run())
    assert silent.peak <= 310 and silent.open == 0
    assert spare.free == 10
    assert all(silent.tried.count(address) == 300 for address in names(4))


@pytest.mark.parametrize("spare", [0, 100])
def test_every_address_is_tried(spare: int) -> None:
    """Given twelve addresses of which the last alone answers → it is found, with and without spare sockets."""
    silent, left = Silent("192.0.2.11"), Spare(spare)
    found = asyncio.run(first_of(names(12), 443, left, opened=silent.opened, pause=0.0))
    assert found[2] == "192.0.2.11"
    assert silent.peak <= (MAX_WAITING if spare else 1) and left.free == spare


@pytest.mark.parametrize(
    ("left", "addresses", "seconds"), [(5.0, 2, 0.5), (0.4, 1, 0.2), (5.0, 19, 0.25), (0.0, 3, 0.0)]
)
def test_each_address_has_its_turn_within_the_time_that_is_left(left: float, addresses: int, seconds: float) -> None:
    """Given a short limit or many addresses → the last one is begun before the end of the try."""
    assert headstart(left, addresses) == seconds


@pytest.mark.parametrize("code", [errno.EMFILE, errno.ENFILE, errno.ENOBUFS])
def test_sockets_of_this_machine_that_are_used_up(code: int) -> None:
    """Given no socket left on this machine → the target cannot be measured, and is not down."""

    async def full(address: str, port: int) -> Any:
        raise OSError(code, "too many open files")

    with pytest.raises(UnmeasuredError, match="this machine has no socket left"):
        asyncio.run(first_of(names(2), 443, Spare(1), opened=full, pause=0.0))


def test_addresses_that_refuse_are_down() -> None:
    """Given addresses that all refuse → down, with the reason of the first."""

    async def refused(address: str, port: int) -> Any:
        raise ConnectionRefusedError

    with pytest.raises(Down, match="no connection: it was refused"):
        asyncio.run(first_of(names(9), 443, Spare(0), opened=refused, pause=0.0))


def test_the_tries_of_a_run_share_the_spare_sockets() -> None:
    """Given two runs → each has its own spare sockets."""
    assert Names().spare is not Names().spare
