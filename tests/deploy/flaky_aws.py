"""A door to the embedded AWS that refuses every change after a certain one: a deploy breaks there, wherever that is."""

import http.client
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

READS = ("Get", "List", "Describe", "BatchGet", "Query", "Filter")
DENIED_JSON = b'{"__type":"AccessDeniedException","message":"not authorized"}'
DENIED_XML = (
    b"<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code><Message>not authorized</Message></Error>"
    b"<RequestId>1</RequestId></ErrorResponse>"
)


class FlakyAws:
    """An address of the embedded AWS. `changes` are the changing calls that it let through, by name, in order."""

    def __init__(self, upstream: str) -> None:
        self.changes: list[str] = []
        self.last: str | None = None
        """The change after which no other is let through; None to let all through."""
        self._shut = False
        self._upstream = urlsplit(upstream)
        self._lock = threading.Lock()
        door = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                door._answer(self)

            do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = do_GET

            def log_message(self, format: str, *arguments: object) -> None:
                """Print nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @contextmanager
    def open(self) -> Iterator["FlakyAws"]:
        """Listen for as long as the body runs."""
        thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            self._server.server_close()
            thread.join()

    def mend(self) -> None:
        """Let all changes through again."""
        self.last, self._shut = None, False

    def _answer(self, request: BaseHTTPRequestHandler) -> None:
        body = request.rfile.read(int(request.headers.get("Content-Length") or 0))
        name = change(request.command, request.path, request.headers, body)
        status, headers, answer = self._passed(request, body) if self._may(name) else refusal(body)
        request.send_response(status)
        for key, value in headers.items():
            if key.lower() not in ("transfer-encoding", "content-length", "connection", "server", "date"):
                request.send_header(key, value)
        request.send_header("Content-Length", str(len(answer)))
        request.end_headers()
        request.wfile.write(answer)

    def _may(self, name: str | None) -> bool:
        with self._lock:
            if name is None or name == "DeleteItem":  # the lock is given back by a deploy that fails
                return True
            if self._shut:
                return False
            self._shut = name == self.last
            self.changes.append(name)
            return True

    def _passed(self, request: BaseHTTPRequestHandler, body: bytes) -> tuple[int, Mapping[str, str], bytes]:
        connection = http.client.HTTPConnection(self._upstream.hostname or "", self._upstream.port, timeout=60)
        headers = {**dict(request.headers), "Host": self._upstream.netloc}
        try:
            connection.request(request.command, request.path, body, headers)
            found = connection.getresponse()
            return found.status, dict(found.headers), found.read()
        finally:
            connection.close()


def change(method: str, path: str, headers: Mapping[str, str], body: bytes) -> str | None:
    """Return the name of a call that changes something, None for one that only reads or that is a webhook."""
    if "_user_request_" in path:
        return None
    if target := headers.get("X-Amz-Target"):
        action = target.rpartition(".")[2]
    elif headers.get("Content-Type", "").startswith("application/x-www-form-urlencoded"):
        action = parse_qs(body.decode())["Action"][0]
    elif method in ("GET", "HEAD"):
        return None
    else:
        return (
            f"{method} {re.sub(r'(?<=/)([0-9a-f]{8}[0-9a-f-]*|tocsin[^/]*|arn%3A[^/]*)', '*', path.partition('?')[0])}"
        )
    return None if action.startswith(READS) else action


def refusal(body: bytes) -> tuple[int, Mapping[str, str], bytes]:
    """Return what AWS answers to a call that the keys have no right to."""
    if b"Action=" in body[:2_000]:
        return 403, {"Content-Type": "text/xml"}, DENIED_XML
    json = {"Content-Type": "application/x-amz-json-1.1", "x-amzn-ErrorType": "AccessDeniedException"}
    return 403, json, DENIED_JSON
