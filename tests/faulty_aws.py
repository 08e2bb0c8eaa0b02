"""A proxy on loopback before the embedded AWS: it fails calls by a plan, on the wire, as tables, queues and networks do.

    with faulty_aws(emulator, Plan([lost, throttled])) as url:
        table_client(url).put_item(...)

A fault answers one sending of one call. Some refuse before the call is made, some make it and lose the answer.
"""

import json
import socket
import struct
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

Answer = tuple[int, bytes]


@dataclass
class Call:
    """One sending of one call. `made` makes it, changed if something is passed, and returns status and body."""

    action: str
    body: bytes
    made: Callable[..., Answer]
    handler: BaseHTTPRequestHandler

    def arguments(self) -> dict[str, Any]:
        """Return what is asked."""
        found: dict[str, Any] = json.loads(self.body)
        return found

    def answer(self, status: int, body: bytes) -> None:
        """Answer, and keep the connection."""
        self.handler.send_response(status)
        self.handler.send_header("Content-Length", str(len(body)))
        self.handler.end_headers()
        self.handler.wfile.write(body)

    def answer_json(self, status: int, data: Any) -> None:
        """Answer with JSON."""
        self.answer(status, json.dumps(data).encode())

    def hang_up(self) -> None:
        """End the connection."""
        self.handler.close_connection = True


Fault = Callable[[Call], None]


def refusal(status: int, code: str, prefix: str = "com.amazonaws.dynamodb.v20120810#") -> Fault:
    """Return a fault that refuses with AWS's code before anything is done."""

    def refuse(call: Call) -> None:
        call.answer_json(status, {"__type": f"{prefix}{code}", "message": "not now"})

    refuse.__name__ = code
    return refuse


def gateway(call: Call) -> None:
    """Do nothing, and answer as a proxy that has lost its server."""
    call.answer(502, b"<html><body>Bad Gateway</body></html>")


def listed(call: Call) -> None:
    """Do nothing, and answer 503 with JSON that is no object."""
    call.answer_json(503, ["service unavailable"])


def dropped(call: Call) -> None:
    """Hang up before anything is done."""
    call.hang_up()


def lost(call: Call) -> None:
    """Do it, and hang up without an answer."""
    call.made()
    call.hang_up()


def reset(call: Call) -> None:
    """Do it, and reset the connection."""
    call.made()
    call.handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    call.hang_up()


def cut(call: Call) -> None:
    """Do it, and hang up in the middle of the answer."""
    status, body = call.made()
    call.handler.send_response(status)
    call.handler.send_header("Content-Length", str(len(body) + 10))
    call.handler.end_headers()
    call.handler.wfile.write(body)
    call.hang_up()


def done_and_failed(call: Call) -> None:
    """Do it, and answer that it failed: an InternalServerError leaves open whether it was done."""
    call.made()
    call.answer_json(500, {"__type": "com.amazonaws.dynamodb.v20120810#InternalServerError"})


def closed(call: Call) -> None:
    """Do it and answer, then hang up without a `Connection: close`: the kept connection is dead."""
    call.answer(*call.made())
    call.hang_up()


def unprocessed(call: Call) -> None:
    """Read the first half of a batch's keys and leave the others. Anything else is throttled."""
    if call.action != "BatchGetItem":
        throttled(call)
        return
    ((table, asked),) = call.arguments()["RequestItems"].items()
    half = len(asked["Keys"]) // 2
    left = {table: {**asked, "Keys": asked["Keys"][half:]}}
    if not half:
        call.answer_json(200, {"Responses": {}, "UnprocessedKeys": left})
        return
    status, body = call.made({"RequestItems": {table: {**asked, "Keys": asked["Keys"][:half]}}})
    call.answer_json(status, {**json.loads(body), "UnprocessedKeys": left})


def short_page(call: Call) -> None:
    """Answer a query with a page of one item, though it asked for all. Anything else is throttled."""
    if call.action != "Query":
        throttled(call)
        return
    asked = call.arguments()
    call.answer(*call.made({**asked, "Limit": min(1, asked.get("Limit", 1))}))


def partly(call: Call) -> None:
    """Do the first half of a batch of a queue and refuse the others. Anything else is throttled."""
    if not call.action.endswith("Batch"):
        throttled(call)
        return
    asked = call.arguments()
    entries = asked["Entries"]
    half = len(entries) // 2
    done = json.loads(call.made({**asked, "Entries": entries[:half]})[1]) if half else {"Successful": []}
    failed = [{"Id": each["Id"], "Code": "InternalError", "SenderFault": False} for each in entries[half:]]
    call.answer_json(200, {**done, "Failed": failed})


throttled = refusal(400, "ProvisionedThroughputExceededException")
BEFORE: tuple[Fault, ...] = (
    throttled,
    refusal(400, "ThrottlingException", "com.amazon.coral.availability#"),
    refusal(400, "RequestLimitExceeded"),
    refusal(400, "TransactionConflictException"),
    refusal(500, "InternalServerError"),
    refusal(500, "InternalFailure", "com.amazon.coral.service#"),
    refusal(503, "ServiceUnavailableException", "com.amazon.coral.service#"),
    gateway,
    listed,
    dropped,
)
"""The call is not done."""
AFTER: tuple[Fault, ...] = (lost, reset, cut, done_and_failed)
"""The call is done, and its sender gets no answer of it."""
IN_PART: tuple[Fault, ...] = (unprocessed, short_page)
"""Answers that are right and not whole."""
FAULTS = (*BEFORE, *AFTER, closed, *IN_PART)


@dataclass
class Plan:
    """Which sendings fail: of each distinct call the first `times`, by the faults in turn, and `most` together.

    With `times` below the tries of a client every call is done at last, whatever the order in which threads make them.
    """

    faults: Sequence[Fault]
    times: float = 2
    start: int = 0
    most: float = float("inf")
    sent: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)
    _given: Counter[tuple[str, bytes]] = field(default_factory=Counter)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def next(self, action: str, body: bytes) -> Fault | None:
        """Return what happens to this sending; None: it is made and answered."""
        with self._lock:
            self.sent[action] += 1
            if self._given[action, body] >= self.times or self.failed.total() >= self.most:
                return None
            self._given[action, body] += 1
            fault = self.faults[(self.start + self.failed.total()) % len(self.faults)]
            self.failed[fault.__name__] += 1
            return fault


def _handler(emulator: str, plan: Plan) -> type[BaseHTTPRequestHandler]:
    host = urlsplit(emulator).netloc

    class Handler(BaseHTTPRequestHandler):
        """One connection, kept open. It has a connection of its own to the emulator."""

        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def setup(self) -> None:
            super().setup()
            self.behind = HTTPConnection(host)

        def finish(self) -> None:
            self.behind.close()
            # A connection that was reset has nothing to flush.
            with suppress(OSError):
                super().finish()

        def do_POST(self) -> None:
            """Make the call, or let it fail."""
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            action = self.headers.get("X-Amz-Target", "").rpartition(".")[2]

            def made(changed: dict[str, Any] | None = None) -> Answer:
                headers = {name: value for name, value in self.headers.items() if name.lower() != "content-length"}
                data = body if changed is None else json.dumps(changed).encode()
                self.behind.request("POST", "/", data, {**headers, "Host": host})
                answer = self.behind.getresponse()
                return answer.status, answer.read()

            call = Call(action, body, made, self)
            fault = plan.next(action, body)
            if fault is None:
                call.answer(*made())
            else:
                fault(call)

        def log_message(self, format: str, *args: Any) -> None:
            """Print nothing."""

    return Handler


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Print nothing: clients that gave up are part of the plan."""


@contextmanager
def faulty_aws(emulator: str, plan: Plan) -> Iterator[str]:
    """Serve as an endpoint for as long as the block runs."""
    server = _Server(("127.0.0.1", 0), _handler(emulator, plan))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
