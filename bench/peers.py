"""Tocsin and the packaged Alertmanager on the same storm, in the same run: what each event costs, and what a kill -9 leaves.

Both get the same alerts in the same batches, have the same grouping and rhythm, and notify the same webhook on loopback. Each is
measured in processes of its own: CPU from /proc (Alertmanager) and of the workers' threads (Tocsin). Then each gets one alert of
every fault, is killed with -9 once it has accepted all of them and before group_wait is over, and is started again: kept is what
the webhook is notified of afterwards.

They are not the same kind of thing, and a figure alone misleads:

- Alertmanager is one process with everything in memory. Its HTTP server is in its CPU. It keeps silences and what it has sent
  on disk, not alerts: Prometheus sends what still fires again each minute, a webhook of Sentry's or a cron job does not.
- Tocsin's figure is that of its workers: ingest, process, counts and delivery, in one process here. API Gateway, Lambda's
  polling, SQS and DynamoDB do the rest on AWS, are imitated by the embedded AWS here, and are billed, not measured. Each
  event is written to a queue before its sender is answered, and each incident to a table.

Run: python bench/peers.py [--events 10000] [--faults 400] [--batch 10] [--alertmanager PATH]
"""

import argparse
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import boto3

from deploy.clients import Clients
from deploy.queues import MAX_RECEIVES, queue
from deploy.table import table
from local.cloud import Cloud

PROGRAM = "prometheus-alertmanager"
HOW = f"get it by `apt-get install --no-install-recommends {PROGRAM}`, or name the program with --alertmanager"
SERVICES = 20
SECRET = "bench-secret"
VISIBILITY_SECONDS = 5
"""90 on AWS: what a killed worker had taken comes back after it. Here it is short, so that the program ends soon."""
WAIT_SECONDS = 90.0
ALERTMANAGER = """
global: {{resolve_timeout: 1h}}
route: {{receiver: out, group_by: [{by}], group_wait: {wait}s, group_interval: 5s, repeat_interval: 4h}}
receivers: [{{name: out, webhook_configs: [{{url: "{url}", max_alerts: 0}}]}}]
"""
RULES = """
defaults: {{group_by: [{by}], group_wait: {wait}s, group_interval: 5s, repeat_interval: 4h}}
default: {{notification: [{{webhook: "{url}"}}]}}
fallback: {{notification: [{{webhook: "{url}"}}]}}
"""


@dataclass
class Receiver:
    """The webhook that both notify: when each request came and which faults it names."""

    url: str = ""
    taken: list[tuple[float, frozenset[str]]] = field(default_factory=list)

    def faults(self) -> frozenset[str]:
        """Return the faults that a request has named."""
        return frozenset().union(*(each for _, each in self.taken))


@contextmanager
def receiver() -> Iterator[Receiver]:
    """Serve the webhook."""
    found = Receiver()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            """Take a notification."""
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            alerts = body.get("alerts") or body["data"]["alerts"]
            found.taken.append((time.monotonic(), frozenset(each["labels"]["fault"] for each in alerts)))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            """Print nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    found.url = f"http://127.0.0.1:{server.server_address[1]}/"
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()


def batches(events: int, faults: int, size: int) -> Iterator[list[dict[str, Any]]]:
    """Yield the alerts of a storm as Alertmanager's API and its webhook have them; each is another occurrence of a fault."""
    began = datetime.now(UTC)
    found = []
    for number in range(events):
        fault = number * 7919 % faults
        labels = {
            "alertname": f"Fault{fault}",
            "fault": str(fault),
            "service": f"s{fault % SERVICES}",
            "severity": "critical",
        }
        found.append(
            {
                "labels": labels,
                "annotations": {"summary": f"fault {fault} of service {fault % SERVICES}", "description": "x" * 200},
                "startsAt": (began + timedelta(milliseconds=number)).isoformat(),
                "generatorURL": f"http://prometheus.example/graph?fault={fault}",
            }
        )
    for start in range(0, events, size):
        yield found[start : start + size]


@dataclass
class Figures:
    """What one storm cost: CPU seconds in all and by part, seconds to the first message, messages, memory."""

    cpu: float
    first: float
    messages: int
    faults: int
    memory_kb: int
    parts: dict[str, float] = field(default_factory=dict)


class Alertmanager:
    """The packaged Alertmanager as a process, its state in a folder."""

    def __init__(self, program: str, folder: Path) -> None:
        self._program, self._folder = program, folder
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = int(free.getsockname()[1])
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, config: str) -> None:
        """Start it and wait until it is ready."""
        self._folder.mkdir(exist_ok=True)
        (self._folder / "config.yml").write_text(config)
        command = [
            self._program, f"--config.file={self._folder / 'config.yml'}", f"--storage.path={self._folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{self._port}", "--cluster.listen-address=",
        ]  # fmt: skip
        quiet = subprocess.DEVNULL
        self.process = subprocess.Popen(command, stdout=quiet, stderr=quiet)
        wait_for(self._ready, "Alertmanager is not ready")

    def post(self, storm: Iterator[list[dict[str, Any]]]) -> None:
        """Send a storm, a batch a request, over one connection."""
        connection = HTTPConnection("127.0.0.1", self._port)
        for batch in storm:
            connection.request("POST", "/api/v2/alerts", json.dumps(batch), {"Content-Type": "application/json"})
            answer = connection.getresponse()
            answer.read()
            if answer.status != 200:
                raise SystemExit(f"Alertmanager answered {answer.status}")
        connection.close()

    def kill(self) -> None:
        """Kill it with -9."""
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def cpu(self) -> float:
        """Return the CPU seconds it has used."""
        assert self.process is not None
        user, system = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")

    def memory_kb(self) -> int:
        """Return the most memory it had."""
        assert self.process is not None
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return int(next(line.split()[1] for line in lines if line.startswith("VmHWM")))

    def _ready(self) -> bool:
        connection = HTTPConnection("127.0.0.1", self._port, timeout=5)
        try:
            connection.request("GET", "/-/ready")
            return connection.getresponse().status == 200
        except OSError:
            return False
        finally:
            connection.close()


class Tocsin:
    """The workers of a stage as a process, its queues and its table in an embedded AWS."""

    def __init__(self, cloud: Cloud, name: str) -> None:
        self._name = name
        self._environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith("AWS_")},
            **cloud.environment(),
            "TOCSIN_STAGE": "local", "TOCSIN_TABLE": name, "TOCSIN_QUEUE_PREFIX": name, "SECRET": SECRET,
            "ALERTMANAGER_SECRET": SECRET, "ALLOW_LOOPBACK_TARGETS": "1", "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_REGION": "us-east-1", "PYTHONDONTWRITEBYTECODE": "1",
        }  # fmt: skip
        arguments = cloud.client_arguments()
        endpoint = arguments.pop("endpoint_url")
        clients = Clients(boto3.Session(**arguments), endpoint)
        table(clients("dynamodb"), name, "local")
        for each in MAX_RECEIVES:
            queue(clients("sqs"), f"{name}-{each}", MAX_RECEIVES[each], "local")
            url = clients("sqs").get_queue_url(QueueName=f"{name}-{each}")["QueueUrl"]
            clients("sqs").set_queue_attributes(QueueUrl=url, Attributes={"VisibilityTimeout": str(VISIBILITY_SECONDS)})
        self.process: subprocess.Popen[str] | None = None

    def start(self, rules: str, folder: Path) -> None:
        """Start the workers and wait until they take messages."""
        path = folder / f"{self._name}.yaml"
        path.write_text(rules)
        self.process = subprocess.Popen(
            [sys.executable, str(ROOT / "bench" / "stage_workers.py"), str(path)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=self._environment,
        )  # fmt: skip
        self._read("ready")

    def post(self, storm: Iterator[list[dict[str, Any]]]) -> None:
        """Give a storm to the ingest path, a batch a webhook; each is accepted before the next one."""
        assert self.process is not None and self.process.stdin is not None
        for number, batch in enumerate(storm, start=1):
            body = {"version": "4", "status": "firing", "receiver": "tocsin", "alerts": batch}
            self.process.stdin.write(json.dumps(body) + "\n")
            self.process.stdin.flush()
            self._read(str(number))

    def ended(self) -> dict[str, Any]:
        """Wait until nothing is left to do. Return what it cost."""
        assert self.process is not None
        out, _ = self.process.communicate(timeout=600)
        found: dict[str, Any] = json.loads(out.splitlines()[-1])
        return found

    def kill(self) -> None:
        """Kill it with -9."""
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.communicate()

    def _read(self, wanted: str) -> None:
        assert self.process is not None and self.process.stdout is not None
        line = self.process.stdout.readline().strip()
        if line != wanted:
            raise SystemExit(f"the workers printed {line!r}, wanted is {wanted!r}")


def main() -> int:
    """Measure and print; 1 when Tocsin did not keep everything."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=10_000)
    parser.add_argument("--faults", type=int, default=400)
    parser.add_argument("--batch", type=int, default=10, help="alerts a request; Prometheus sends up to 64 at once")
    parser.add_argument(
        "--alertmanager", default=shutil.which(PROGRAM), help="the program, where it is not on the path"
    )
    options = parser.parse_args()
    if options.alertmanager is None:
        print(f"skipped: {PROGRAM} is not installed; {HOW}")
        return 0
    with (
        tempfile.TemporaryDirectory(prefix="tocsin-bench-") as scratch,
        Cloud(Path(scratch) / "cloud", persist=False) as cloud,
    ):
        folder = Path(scratch)
        theirs = storm_of_alertmanager(Alertmanager(options.alertmanager, folder / "storm"), options)
        ours = storm_of_tocsin(Tocsin(cloud, "storm"), folder, options)
        shown("Alertmanager", theirs, options)
        shown("Tocsin", ours, options)
        print(f"CPU an event, Tocsin / Alertmanager  {ours.cpu / theirs.cpu:.1f}")
        kept = kept_by_alertmanager(Alertmanager(options.alertmanager, folder / "kill"), options)
        print(
            f"killed with -9 before group_wait was over, then started again; kept of {options.faults} accepted alerts:"
        )
        print(f"  Alertmanager {kept:5}   (Prometheus sends what still fires again; other senders do not)")
        kept = kept_by_tocsin(Tocsin(cloud, "kill"), folder, options)
        print(f"  Tocsin       {kept:5}   (from queue and table)")
    return int(kept != options.faults)


def storm_of_alertmanager(there: Alertmanager, options: argparse.Namespace) -> Figures:
    """Return what the storm costs Alertmanager."""
    with receiver() as webhook:
        there.start(ALERTMANAGER.format(by="service", wait=1, url=webhook.url))
        cpu, began = there.cpu(), time.monotonic()
        there.post(batches(options.events, options.faults, options.batch))
        settled(webhook, options.faults)
        cpu = there.cpu() - cpu
        memory = there.memory_kb()
        there.kill()
    return Figures(cpu, webhook.taken[0][0] - began, len(webhook.taken), len(webhook.faults()), memory)


def storm_of_tocsin(there: Tocsin, folder: Path, options: argparse.Namespace) -> Figures:
    """Return what the storm costs Tocsin's workers."""
    with receiver() as webhook:
        there.start(RULES.format(by="service", wait=1, url=webhook.url), folder)
        began = time.monotonic()
        there.post(batches(options.events, options.faults, options.batch))
        cost = there.ended()
    parts = {name: seconds / options.events * 1e6 for name, seconds in cost["cpu"].items()}
    first = webhook.taken[0][0] - began
    total = sum(cost["cpu"].values())
    return Figures(total, first, len(webhook.taken), len(webhook.faults()), cost["memory_kb"], parts)


def kept_by_alertmanager(there: Alertmanager, options: argparse.Namespace) -> int:
    """Return how many of the accepted alerts are notified after a kill."""
    with receiver() as webhook:
        config = ALERTMANAGER.format(by="fault", wait=10, url=webhook.url)
        there.start(config)
        there.post(batches(options.faults, options.faults, options.batch))
        there.kill()
        nothing_sent(webhook)
        there.start(config)
        time.sleep(10 + 5 + 5)
        there.kill()
        return len(webhook.faults())


def kept_by_tocsin(there: Tocsin, folder: Path, options: argparse.Namespace) -> int:
    """Return how many of the accepted alerts are notified after a kill."""
    with receiver() as webhook:
        rules = RULES.format(by="fault", wait=10, url=webhook.url)
        there.start(rules, folder)
        there.post(batches(options.faults, options.faults, options.batch))
        there.kill()
        nothing_sent(webhook)
        there.start(rules, folder)
        wait_for(lambda: len(webhook.faults()) == options.faults, "", seconds=WAIT_SECONDS, required=False)
        there.kill()
        return len(webhook.faults())


def nothing_sent(webhook: Receiver) -> None:
    """Stop where a notification was sent before the kill: the comparison would be unfair."""
    if webhook.taken:
        raise SystemExit("a notification was sent before the kill: this machine is too slow for --faults so many")


def settled(webhook: Receiver, faults: int) -> None:
    """Wait until every fault was notified, then one group_interval and a little more."""
    wait_for(lambda: len(webhook.faults()) == faults, "not every fault was notified", seconds=WAIT_SECONDS)
    time.sleep(8)


def wait_for(true: Callable[[], bool], what: str, *, seconds: float = 20, required: bool = True) -> None:
    """Wait until it is true. End the program with `what` when it does not come, where it is required."""
    until = time.monotonic() + seconds
    while not true():
        if time.monotonic() > until:
            if required:
                raise SystemExit(what)
            return
        time.sleep(0.05)


def shown(name: str, found: Figures, options: argparse.Namespace) -> None:
    """Print the figures of one."""
    cost = found.cpu / options.events * 1e6
    print(f"{name:<13} {cost:7.0f} µs CPU an event, {found.messages} messages about {found.faults} faults, "
          f"the first after {found.first:.1f} s, {found.memory_kb / 1024:.0f} MB")  # fmt: skip
    if found.parts:
        print(f"{'':<13} of it {', '.join(f'{part} {each:.0f} µs' for part, each in found.parts.items())}")


if __name__ == "__main__":
    sys.exit(main())
