"""A server on loopback that answers AWS's JSON calls as told and remembers them: for time-outs and dead connections."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Reply = tuple[int, dict[str, Any]]


class Aws:
    """`calls` are (target, arguments, headers, connection) of each; `replies` maps a target's last word to a reply.

    A reply of None hangs up without an answer; "close" answers and hangs up afterwards without having said so.
    """

    def __init__(self) -> None:
        self.calls: list[tuple[str, dict[str, Any], dict[str, str], tuple[str, int]]] = []
        self.replies: dict[str, Reply | str | None] = {}
        self.before: Callable[[str], None] = lambda action: None
        self.url = ""

    @property
    def actions(self) -> list[str]:
        """The calls by name."""
        return [call[0] for call in self.calls]


def _handler(aws: Aws) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        """One connection, kept open."""

        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            """Record the call and reply."""
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            action = self.headers.get("X-Amz-Target", "").rpartition(".")[2]
            aws.calls.append((action, json.loads(body), dict(self.headers), self.client_address))
            aws.before(action)
            reply = aws.replies.get(action, (200, {}))
            if reply is None:
                self.close_connection = True
                return
            status, answer = (200, {}) if isinstance(reply, str) else reply
            data = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)
            self.close_connection = reply == "close"

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    return Handler


@contextmanager
def served() -> Iterator[Aws]:
    """The server, for as long as the block runs."""
    aws = Aws()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(aws))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    aws.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield aws
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
