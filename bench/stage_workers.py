"""All workers of a stage in one process, for other programs here: it takes from the queues as Lambda would, until stdin ends.

Each line of stdin is the body of a webhook of Alertmanager's, which the ingest path takes. When stdin ends and nothing has
been taken for IDLE_SECONDS, a line of JSON has what each worker has cost; polling the queues, which Lambda does on AWS, and the
start of the process are not in it. Run by bench/peers.py with the rules file as the argument and the stage in the environment.
"""

import json
import os
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import redirect_stdout, suppress
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

ACCOUNT = "000000000000"
ARN = f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:bench"
IDLE_SECONDS = 8.0
"""Longer than the group_interval of the rules, so that what waits for it is in the figures."""
TAKES = {"webhooks": "process_webhooks", "counts": "process_counts", "notifications": "deliver_notification"}
AT_ONCE = {"webhooks": 10, "counts": 1_000, "notifications": 1}
"""How many messages a worker gets at most, as on AWS."""
WINDOW_SECONDS = {"counts": 3.0}
"""How long Lambda gathers them."""


class Workers:
    """Threads that each serve a queue. `cpu` is what each worker used, `calls` how often it ran."""

    def __init__(self, app: Any, queue: Callable[[str], Any]) -> None:
        self.cpu: Counter[str] = Counter()
        self.calls: Counter[str] = Counter()
        self.busy_at = time.monotonic()
        self._app, self._queue, self._over = app, queue, threading.Event()
        self._threads = [threading.Thread(target=self._serve, args=(name,)) for name in TAKES]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End after the present messages."""
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _serve(self, name: str) -> None:
        queue = self._queue(name)
        while not self._over.is_set():
            records = queue.take()
            until = time.monotonic() + WINDOW_SECONDS.get(name, 0.0)
            while records and len(records) < AT_ONCE[name] and time.monotonic() < until:
                records += queue.take()
            for start in range(0, len(records), AT_ONCE[name]):
                self._handle(name, queue, records[start : start + AT_ONCE[name]])

    def _handle(self, name: str, queue: Any, records: list[dict[str, str]]) -> None:
        """Let the worker have its messages; those are deleted that it does not give back, which Lambda does on AWS."""
        self.busy_at = time.monotonic()
        with self.measured(TAKES[name]), suppress(self._app.HandlerError):
            getattr(self._app, TAKES[name])({"Records": records}, Context())
            queue.delete([each["receiptHandle"] for each in records])

    def measured(self, name: str) -> "_Measured":
        """Add the CPU time of a block to that of a worker."""
        return _Measured(self, name)


class _Measured:
    def __init__(self, workers: Workers, name: str) -> None:
        self._workers, self._name = workers, name

    def __enter__(self) -> None:
        self._began = time.thread_time()

    def __exit__(self, *error: object) -> None:
        self._workers.cpu[self._name] += time.thread_time() - self._began
        self._workers.calls[self._name] += 1


class Context:
    """What a handler sees of Lambda."""

    invoked_function_arn = ARN


def main() -> int:
    """Serve; nothing without a rules file, so that `make bench` may run every program here."""
    if len(sys.argv) < 2:
        return 0
    import app
    from chalicelib import wiring
    from chalicelib.ingest.wiring import answer
    from chalicelib.rules.file import load

    rules = load(Path(sys.argv[1]).read_text("utf-8"), filename=sys.argv[1])
    wiring.rules = lambda: rules  # type: ignore[assignment]
    out, headers = sys.stdout, {"content-type": "application/json", "authorization": f"Bearer {os.environ['SECRET']}"}
    with redirect_stdout(StringIO()):
        workers = Workers(app, lambda name: wiring.queue(ACCOUNT, name))
        print("ready", file=out, flush=True)
        for number, line in enumerate(sys.stdin, start=1):
            with workers.measured("ingest"):
                found = answer(
                    "alertmanager", headers, line.encode(), path_secret=None, account=ACCOUNT, now=datetime.now(UTC)
                )
            workers.busy_at = time.monotonic()
            print(number if found.status == 202 else f"refused: {found.reason}", file=out, flush=True)
        while time.monotonic() < workers.busy_at + IDLE_SECONDS:
            time.sleep(0.1)
        workers.stop()
    memory = next(line.split()[1] for line in Path("/proc/self/status").read_text().splitlines() if "VmHWM" in line)
    print(json.dumps({"cpu": workers.cpu, "calls": workers.calls, "memory_kb": int(memory)}), file=out, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
