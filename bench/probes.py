"""One run of 500 probes and of 1,500: time, memory, writes, with healthy, failing and hanging ones; and a resolver that hangs.

Run with `python bench/probes.py`. The sites are a server on loopback in a process of its own. Of ten probes one finds 503, one
a server that takes the connection and is silent, one a name of four addresses that drop packets, and one a name that is
never looked up. What counts: the run ends within a minute, in less memory, files and threads than the function has, no
healthy probe is held up by those that hang, and the store is written to twice. In the second part no name is answered: nothing
is measured, nothing is down, and the threads have their bound. In the third part, of 1,500 probes, the run has two further workers
try 1,000 of them, each a process of its own with its own limits.
"""

import asyncio
import contextlib
import io
import multiprocessing
import queue
import resource
import socket
import sys
import threading
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from chalicelib.core.rule import Rules
from chalicelib.messages.queue import Queues
from chalicelib.probes import Names
from chalicelib.schedule.spreading import Ask, try_share
from chalicelib.schedule.watch import ProbeReport, watch
from simulation.memory_store import MemoryStore
from tests.fakes import MemoryQueue

PROBES, SPREAD = 500, 1_500
MAX_SECONDS, MAX_MB, MAX_WRITES, MAX_THREADS, MAX_FILES = 60, 256, 2, 320, 1_024
"""Threads: those of a run and, since one follows the other at once here, those of the run before that still hang."""
DROPPING = tuple(f"127.0.0.{number}" for number in range(2, 6))
HANGS = 10.0
"""Seconds after which the system's resolver gives up a name that nobody answers."""
NOW = datetime(2026, 11, 24, 8, 0, tzinfo=UTC)
BODY = b"x" * 20_000


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    head = await reader.readuntil(b"\r\n\r\n")
    if b" /silent" in head:
        await reader.read()
    status = b"503 Unavailable" if b" /failing" in head else b"200 OK"
    writer.write(b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n%s" % (status, len(BODY), BODY))
    await writer.drain()
    writer.close()


def _serve(port: Connection) -> None:
    async def serve() -> None:
        server = await asyncio.start_server(_answer, "127.0.0.1", 0, backlog=1_000)
        port.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(serve())


class NoClients:
    """Clients of probes that need no secret."""

    def secret(self, name: str) -> None:
        """Return none: no secret is set."""


class Resolver:
    """A resolver on cue: `site` is on loopback, `drops` at addresses that drop packets, and `hangs` is never answered."""

    def __init__(self, *, works: bool = True) -> None:
        self.works = works
        self.threads = 0

    def look_up(self, host: str, port: int) -> list[Any]:
        """Return the addresses of a name."""
        self.threads = max(self.threads, threading.active_count())
        if not self.works or host.endswith("hangs.test"):
            time.sleep(HANGS)
            raise socket.gaierror(socket.EAI_AGAIN, "no answer")
        found = DROPPING if host.endswith("drops.test") else ("127.0.0.1",)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in found]


def dropping() -> tuple[int, list[socket.socket]]:
    """Return a port at which the addresses drop packets, and what must be kept open for that: queues that are full."""
    port, kept = 0, []
    for address in DROPPING:
        listening = socket.socket()
        listening.bind((address, port))
        port = listening.getsockname()[1]
        listening.listen(0)
        kept.append(listening)
        for _ in range(3):
            filling = socket.socket()
            filling.setblocking(False)
            filling.connect_ex((address, port))
            kept.append(filling)
    return port, kept


def entries(port: int, drops: int, count: int) -> tuple[Mapping[str, Any], ...]:
    """Return so many uptime probes: of ten, one site fails, one is silent, one drops packets, and one has a name that hangs."""
    places = {
        3: f"site.test:{port}/failing",
        5: f"drops.test:{drops}/",
        7: f"site.test:{port}/silent",
        9: "hangs.test/",
    }
    return tuple(
        {
            "name": f"p{number}",
            "url": f"http://p{number}.{places.get(number % 10, f'site.test:{port}/fine')}",
            "timeout": timedelta(seconds=5),
        }
        for number in range(count)
    )


class Workers:
    """Further workers: processes that are waiting for a share each, as warm functions are."""

    def __init__(self, probes: tuple[Mapping[str, Any], ...], count: int) -> None:
        self.peak_mb: list[float] = []
        self._idle: queue.SimpleQueue[Connection] = queue.SimpleQueue()
        self.processes = []
        for _ in range(count):
            ours, theirs = multiprocessing.Pipe()
            process = multiprocessing.get_context("spawn").Process(target=_work, args=(theirs, probes), daemon=True)
            process.start()
            ours.recv()
            self.processes.append(process)
            self._idle.put(ours)

    def ask(self, detail: Mapping[str, Any]) -> Any:
        """Have one of them try a share."""
        port = self._idle.get()
        port.send(detail)
        answer, peak_mb = port.recv()
        self.peak_mb.append(peak_mb)
        self._idle.put(port)
        return answer

    def end(self) -> None:
        """End the processes."""
        for process in self.processes:
            process.terminate()
            process.join()


def _work(port: Connection, probes: tuple[Mapping[str, Any], ...]) -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (MAX_FILES, MAX_FILES))
    port.send("ready")
    while True:
        detail, names = port.recv(), Names(Resolver().look_up)
        with contextlib.redirect_stdout(io.StringIO()):
            answer = try_share(
                detail,
                rules=Rules(probes={"uptime": probes}),
                clients=NoClients(),  # type: ignore[arg-type]
                pause=asyncio.sleep,
                names=names,
            )
        port.send((answer, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024))


def run(
    probes: tuple[Mapping[str, Any], ...], store: MemoryStore, minute: int, resolver: Resolver, ask: Ask | None = None
) -> ProbeReport:
    """Run the watch once, without the lines that it logs."""
    with contextlib.redirect_stdout(io.StringIO()):
        return watch(
            rules=Rules(probes={"uptime": probes}),
            store=store,
            clients=NoClients(),  # type: ignore[arg-type]
            queues=Queues(webhooks=MemoryQueue(), notifications=MemoryQueue(), counts=MemoryQueue()),
            now=NOW + timedelta(minutes=minute),
            pause=asyncio.sleep,
            names=Names(resolver.look_up),
            workers=None if ask is None else lambda: ask,
        )


def main() -> int:
    """Measure two runs of each part, of which the second has the state of the first. Return 1 when a limit is passed."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (MAX_FILES, MAX_FILES))
    receiver, sender = multiprocessing.Pipe(duplex=False)
    server = multiprocessing.Process(target=_serve, args=(sender,), daemon=True)
    server.start()
    drops, kept = dropping()
    port = receiver.recv()
    probes = entries(port, drops, PROBES)
    mixed = measured("healthy, failing and hanging", probes, Resolver())
    alone = measured("a resolver that hangs", probes, Resolver(works=False))
    many = entries(port, drops, SPREAD)
    workers = Workers(many, SPREAD // PROBES - 1)
    spread = measured("the first, three times, by a run and two workers", many, Resolver(), workers)
    workers.end()
    server.terminate()
    server.join()
    for each in kept:
        each.close()
    wanted = [(PROBES * 4 // 10, 0, PROBES * 7 // 10), (0, PROBES, 0), (SPREAD * 4 // 10, 0, SPREAD * 7 // 10)]
    return 0 if [mixed, alone, spread] == wanted else 1


def measured(
    title: str, probes: tuple[Mapping[str, Any], ...], resolver: Resolver, workers: Workers | None = None
) -> tuple[int, int, int]:
    """Print the second of two runs. Return how many are down, were not measured and answered; nothing over a limit."""
    store = MemoryStore()
    ask = workers.ask if workers is not None else None
    run(probes, store, 0, resolver, ask)
    before, cpu, began = store.writes, time.process_time(), time.monotonic()
    report = run(probes, store, 1, resolver, ask)
    seconds, cpu = time.monotonic() - began, time.process_time() - cpu
    writes, peak_mb = store.writes - before, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    limits = f"under {MAX_SECONDS} s, {MAX_MB} MB, {MAX_WRITES} writes, {MAX_THREADS} threads"
    figure = f"{seconds:.1f} s, {peak_mb:.0f} MB, {writes} writes, {resolver.threads} threads"
    print(f"| a run of {report.ran} probes: {title} | {limits} | {figure} |")
    slow = [each.value or 0 for each in report.samples if each.metric == "latency_ms"]
    print(f"{title}: {report.ran} probes, down {len(report.down)}, cannot measure {len(report.broken)}")
    print(f"  a run              {seconds:6.1f} s    (at most {MAX_SECONDS})")
    print(f"  CPU of the run     {cpu:6.2f} s     ({cpu / len(probes) * 1000:.2f} ms a probe)")
    print(f"  most memory        {peak_mb:6.0f} MB   (at most {MAX_MB})")
    if workers is not None:
        print(
            f"  of the workers     {max(workers.peak_mb):6.0f} MB   (at most {MAX_MB}), asked {len(workers.peak_mb)} times"
        )
        peak_mb = max(peak_mb, *workers.peak_mb)
    print(f"  threads            {resolver.threads:6}      (at most {MAX_THREADS})")
    print(f"  writes             {writes:6}      (at most {MAX_WRITES})")
    print(f"  slowest answer     {max(slow, default=0):6.0f} ms")
    fits = seconds <= MAX_SECONDS and peak_mb <= MAX_MB and writes <= MAX_WRITES and resolver.threads <= MAX_THREADS
    return (len(report.down), len(report.broken), len(slow)) if fits else (-1, -1, -1)


if __name__ == "__main__":
    sys.exit(main())
