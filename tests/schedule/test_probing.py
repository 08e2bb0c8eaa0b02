"""The engine of the probes on servers that hang: one time limit around the whole of a try, and no try waits for another."""

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from chalicelib.core.errors import RulesError
from chalicelib.core.metrics.sample import Sample
from chalicelib.core.observed import RESULT
from chalicelib.probes import Attempt, Down, Names, UnmeasuredError
from chalicelib.schedule.probing import Job, Tried, run
from tests.fakes import no_pause
from tests.slow_server import Connection, slow_server

AT = datetime(2026, 11, 24, 8, 0, tzinfo=UTC)


class Module:
    """A probe whose check is a function of the attempt."""

    MEANING = "Things that are asked."
    SAMPLE: Mapping[str, Any] = {"name": "x"}

    def __init__(self, check: Callable[[Attempt], Any], *, late_is_down: bool = True) -> None:
        self._check = check
        self.LATE_IS_DOWN = late_is_down
        self.calls = 0

    async def check(self, attempt: Attempt) -> None:
        """One try."""
        self.calls += 1
        await self._check(attempt)

    def validate(self, params: Mapping[str, Any]) -> list[str]:
        """Nothing is wrong."""
        return []


def job(module: Module, *, timeout: float = 5, names: Names | None = None) -> Job:
    """A job of the module."""
    params = {"name": "x", "timeout": timedelta(seconds=timeout)}
    return Job("thing", params, lambda kind: module, None, AT, names or Names())  # type: ignore[arg-type]


def value(tried: Tried, metric: str = "uptime") -> float | None:
    """The value of a metric; -1 when it was not measured."""
    return next((each.value for each in tried.samples if each.metric == metric), -1.0)


def result(tried: Tried) -> str:
    """What a try that failed came to."""
    return next(each.observed.get(RESULT, "") for each in tried.samples if each.metric == "uptime")


async def asks(attempt: Attempt, port: int) -> None:
    """Connect, and wait for a line."""
    connection = await attempt.connect("127.0.0.1", port)
    with attempt.step("first byte"):
        await connection.reader.readexactly(1)
    attempt.up()


def test_what_hangs_is_down_and_tried_again() -> None:
    """Given a server that takes the connection and is silent → `uptime` 0 at the limit, twice, with what it waited for."""
    with slow_server(Connection.stall) as server:
        module = Module(lambda attempt: asks(attempt, server.port))
        (tries,) = run([job(module, timeout=0.2)], no_pause)
    assert [value(each) for each in tries] == [0.0, 0.0]
    assert result(tries[1]).startswith("no whole answer within 0.2 s while waiting for first byte, after ")
    assert "connect" in result(tries[1])


def test_a_probe_that_is_late_by_design_cannot_measure() -> None:
    """Given a module whose silence says nothing of its target → no `uptime`, and an event that says why."""
    with slow_server(Connection.stall) as server:
        module = Module(lambda attempt: asks(attempt, server.port), late_is_down=False)
        (tries,) = run([job(module, timeout=0.2)], no_pause)
    assert [(value(each), each.events[0].summary) for each in tries] == [
        (-1.0, "no whole answer within 0.2 s while waiting for first byte")
    ] * 2


def test_hanging_probes_keep_no_other_waiting() -> None:
    """Given 300 probes of a silent server and 100 that answer → 300 down, 100 up, in about one time limit and a pace."""
    with slow_server(Connection.stall) as server:
        silent = Module(lambda attempt: asks(attempt, server.port))
        well = Module(lambda attempt: asyncio.sleep(0, attempt.up()))
        began = time.monotonic()
        tries = run([*[job(silent, timeout=1)] * 300, *[job(well)] * 100], no_pause)
    assert [value(each[-1]) for each in tries] == [0.0] * 300 + [1.0] * 100
    assert not any(each.events for several in tries for each in several)
    assert time.monotonic() - began < 30


def test_connections_are_closed_whatever_happens() -> None:
    """Given a try that is cut off, one that is down and one that raises → the server sees the end of each connection."""
    ended = threading.Semaphore(0)

    def talk(connection: Connection) -> None:
        while connection.socket.recv(100):
            pass
        ended.release()

    async def breaks(attempt: Attempt, error: Exception) -> None:
        await attempt.connect("127.0.0.1", server.port)
        raise error

    with slow_server(talk) as server:
        modules = [
            Module(lambda attempt: asks(attempt, server.port)),
            Module(lambda attempt: breaks(attempt, Down("no"))),
            Module(lambda attempt: breaks(attempt, ValueError("x"))),
        ]
        run([job(each, timeout=0.2) for each in modules], no_pause)
        assert [ended.acquire(timeout=5) for _ in range(6)] == [True] * 6


def addresses(*found: str) -> Names:
    """A resolver that finds these addresses, whatever the name."""
    families = {True: socket.AF_INET6, False: socket.AF_INET}
    return Names(lambda host, port: [(families[":" in each], 0, 0, "", (each, port)) for each in found])


@pytest.mark.parametrize("dead", ["127.0.0.2", "192.0.2.1"])
def test_every_address_of_a_name_is_tried(dead: str) -> None:
    """Given a first address that refuses, or drops packets → the second one answers, and the target is up."""

    async def named(attempt: Attempt) -> None:
        found = await attempt.connect("two.example.com", server.port)
        assert found.address == "127.0.0.1"
        attempt.up()

    with slow_server(Connection.stall) as server:
        (tries,) = run([job(Module(named), names=addresses(dead, "127.0.0.1"))], no_pause)
    assert [value(each) for each in tries] == [1.0]


def failing(error: Exception) -> Names:
    """A resolver that fails."""

    def look_up(host: str, port: int) -> list[Any]:
        raise error

    return Names(look_up)


async def named(attempt: Attempt) -> None:
    """Connect to a name."""
    await attempt.connect("some.example.com", 80)
    attempt.up()


@pytest.mark.parametrize("code", [socket.EAI_AGAIN, socket.EAI_FAIL])
def test_a_resolver_in_trouble_is_no_outage(code: int) -> None:
    """Given a resolver that cannot answer → nothing is measured, twice, and the event says why."""
    (tries,) = run([job(Module(named), names=failing(socket.gaierror(code, "x")))], no_pause)
    assert [value(each) for each in tries] == [-1.0, -1.0]
    assert tries[1].events[0].summary == "the resolver could not look up the host name"


def test_a_name_without_an_address_is_down() -> None:
    """Given a resolver that says that there is no such name → down."""
    (tries,) = run([job(Module(named), names=failing(socket.gaierror(socket.EAI_NONAME, "x")))], no_pause)
    assert [value(each) for each in tries] == [0.0, 0.0]
    assert result(tries[1]).startswith("the host name has no address, after ")


def test_a_name_that_is_blocked_is_down() -> None:
    """Given a resolver that answers with the address of nobody → down, and no connection to ourselves."""
    (tries,) = run([job(Module(named), names=addresses("0.0.0.0", "::"))], no_pause)
    assert result(tries[1]).startswith("the host name has no address, after ")


def test_a_name_that_is_never_answered_is_down_and_holds_nobody() -> None:
    """Given a look-up that hangs → down at the limit, while another name is looked up and is up."""
    ended = threading.Event()

    def look_up(host: str, port: int) -> list[Any]:
        if host == "some.example.com":
            ended.wait(10)
        return [(socket.AF_INET, 0, 0, "", ("127.0.0.1", port))]

    async def other(attempt: Attempt) -> None:
        await attempt.connect("other.example.com", server.port)
        attempt.up()

    names = Names(look_up)
    with slow_server(Connection.stall) as server:
        hangs, works = run([job(Module(named), timeout=0.2, names=names), job(Module(other), names=names)], no_pause)
        ended.set()
    assert [value(each) for each in hangs] == [0.0, 0.0] and "waiting for DNS" in result(hangs[1])
    assert [value(each) for each in works] == [1.0]


def test_a_resolver_that_is_silent_is_no_outage() -> None:
    """Given a resolver that answers no name → nothing is measured, and the event says why."""
    ended = threading.Event()
    names = Names(lambda host, port: ended.wait(10) and [])
    (tries,) = run([job(Module(named), timeout=0.1, names=names)], no_pause)
    ended.set()
    assert [value(each) for each in tries] == [-1.0, -1.0]
    assert tries[1].events[0].summary == "the resolver did not answer in time"


def test_a_name_that_cannot_be_asked_for_is_no_proof_of_a_resolver() -> None:
    """Given a name that is none, and a resolver that is silent → the silent name is not measured."""
    ended = threading.Event()

    def look_up(host: str, port: int) -> list[Any]:
        if host == "none.example.com":
            raise UnicodeError
        ended.wait(10)
        return []

    async def none(attempt: Attempt) -> None:
        await attempt.connect("none.example.com", 80)

    names = Names(look_up)
    jobs = [job(Module(none), names=names), job(Module(named), timeout=0.1, names=names)]
    first, second = run(jobs, no_pause)
    ended.set()
    assert [value(first[1]), value(second[1])] == [0.0, -1.0]


def test_a_bounded_number_of_look_ups_runs_at_once() -> None:
    """Given more hanging names than may be looked up at once → no more threads, and a name in line is not down."""
    ended, running, peak = threading.Event(), 0, 0
    lock = threading.Lock()

    def look_up(host: str, port: int) -> list[Any]:
        nonlocal running, peak
        if host == "quick.example.com":
            return [(socket.AF_INET, 0, 0, "", ("127.0.0.1", port))]
        with lock:
            running += 1
            peak = max(peak, running)
        ended.wait(10)
        with lock:
            running -= 1
        return []

    async def asks_name(attempt: Attempt, host: str) -> None:
        await attempt.addresses(host, 80)
        attempt.up()

    names = Names(look_up, 3)
    hosts = ["quick.example.com", *(f"h{number}.example.com" for number in range(8)), "127.0.0.1"]
    modules = [Module(lambda attempt, host=host: asks_name(attempt, host)) for host in hosts]
    tries = run([job(each, timeout=0.3, names=names) for each in modules], no_pause)
    ended.set()
    assert [value(each[0]) for each in tries] == [1.0, 0.0, 0.0, 0.0, *[-1.0] * 5, 1.0]
    assert peak == 3


def test_what_was_measured_before_the_end_stays() -> None:
    """Given a try that adds a value and fails → the value stays beside `uptime` 0, and nothing says that it is up."""

    async def check(attempt: Attempt) -> None:
        attempt.up()
        attempt.add("step_ms", 3.0, step="a")
        raise Down("no")

    (tries,) = run([job(Module(check))], no_pause)
    assert [(each.metric, each.value) for each in tries[1].samples] == [("step_ms", 3.0), ("uptime", 0.0)]
    assert tries[1].samples[0] == Sample("step_ms", 3.0, AT, {"service": "x", "probe": "x", "step": "a"})


@pytest.mark.parametrize(
    ("error", "tries"),
    [
        (UnmeasuredError("x"), 2),
        (UnmeasuredError("x", final=True), 1),
        (UnmeasuredError("x", retry_after=timedelta(minutes=5)), 1),
        (RulesError("x"), 1),
        (ValueError("x"), 2),
    ],
)
def test_only_what_can_change_is_tried_again(error: Exception, tries: int) -> None:
    """Given an error → a second try unless it will not be otherwise a few seconds later."""

    async def check(attempt: Attempt) -> None:
        raise error

    module = Module(check)
    (found,) = run([job(module)], no_pause)
    assert (module.calls, len(found)) == (tries, tries)
    assert [value(each) for each in found] == [-1.0] * tries
