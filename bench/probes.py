"""One run of 500 probes: time, memory, writes and the requests that were made, with healthy, failing and hanging ones.

Run with `python bench/probes.py`. The sites are a server on loopback in a process of its own; a tenth of them answers 503 and
a tenth takes the connection and is silent. What counts: the run ends within a minute, in less memory than the function has,
no healthy probe is held up by those that hang, and the store is written to twice.
"""

import asyncio
import contextlib
import io
import multiprocessing
import resource
import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from chalicelib.core.rule import Rules
from chalicelib.messages.queue import Queues
from chalicelib.schedule.watch import ProbeReport, watch
from simulation.memory_store import MemoryStore
from tests.fakes import MemoryQueue

PROBES = 500
MAX_SECONDS, MAX_MB, MAX_WRITES = 60, 256, 2
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
    async def run() -> None:
        server = await asyncio.start_server(_answer, "127.0.0.1", 0, backlog=1_000)
        port.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(run())


class NoClients:
    """Clients of probes that need no secret."""

    def secret(self, name: str) -> None:
        """None is set."""


def entries(port: int, count: int) -> tuple[Mapping[str, Any], ...]:
    """So many uptime probes: of ten, one site fails and one is silent."""
    paths = {3: "failing", 7: "silent"}
    return tuple(
        {
            "name": f"p{number}",
            "url": f"http://127.0.0.1:{port}/{paths.get(number % 10, 'fine')}",
            "timeout": timedelta(seconds=5),
        }
        for number in range(count)
    )


def run(port: int, store: MemoryStore, minute: int, count: int = PROBES) -> ProbeReport:
    """One run of the watch, without the lines that it logs."""
    with contextlib.redirect_stdout(io.StringIO()):
        return watch(
            rules=Rules(probes={"uptime": entries(port, count)}),
            store=store,
            clients=NoClients(),  # type: ignore[arg-type]
            queues=Queues(webhooks=MemoryQueue(), notifications=MemoryQueue(), counts=MemoryQueue()),
            now=NOW + timedelta(minutes=minute),
            pause=asyncio.sleep,
        )


def main() -> int:
    """Measure two runs, of which the second has the state of the first. Return 1 when a limit is passed."""
    receiver, sender = multiprocessing.Pipe(duplex=False)
    server = multiprocessing.Process(target=_serve, args=(sender,), daemon=True)
    server.start()
    port, store = receiver.recv(), MemoryStore()
    run(port, store, 0)
    before, cpu, began = store.writes, time.process_time(), time.monotonic()
    report = run(port, store, 1)
    seconds, cpu = time.monotonic() - began, time.process_time() - cpu
    server.terminate()
    server.join()
    writes, peak_mb = store.writes - before, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    slow = [each.value or 0 for each in report.samples if each.metric == "latency_ms"]
    print(f"  probes {report.ran}, down {len(report.down)}, cannot measure {len(report.broken)}")
    print(f"  a run              {seconds:6.1f} s    (at most {MAX_SECONDS})")
    print(f"  CPU a probe        {cpu / PROBES * 1000:6.2f} ms")
    print(f"  most memory        {peak_mb:6.0f} MB   (at most {MAX_MB})")
    print(f"  writes             {writes:6}      (at most {MAX_WRITES})")
    print(f"  slowest healthy    {max(slow):6.0f} ms")
    right = len(report.down) == PROBES // 5 and not report.broken and len(slow) == PROBES * 9 // 10
    return 0 if right and seconds <= MAX_SECONDS and peak_mb <= MAX_MB and writes <= MAX_WRITES else 1


if __name__ == "__main__":
    sys.exit(main())
