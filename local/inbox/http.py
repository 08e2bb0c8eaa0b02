"""HTTP under the inbox: connections, requests and answers as bytes, and which stand-in a path means."""

import json
import re
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote, urlsplit

from local.guard import is_own_host, joined, page_refusal
from local.inbox.exchange import SECRET_HEADERS, Json, Received, Reply, form_fields, json_reply
from local.inbox.vendors.mail import SEND

if TYPE_CHECKING:
    from local.inbox.server import Inbox

MAX_BODY_BYTES = 45_000_000
HOLD_SECONDS = 60.0
"""How long a request is held on the cue `timeout`."""
_SES_PATHS = {("POST", "v2/email/outbound-emails"): SEND, ("GET", "v2/email/account"): "GetAccount"}
_VENDORS = ("/slack/", "/pagerduty/", "/ses/", "/hook/", "/cloudflare/", "/vercel/")
"""Where the stand-ins are, as the embedded AWS's functions call them. All else is the page and what steers the inbox."""


class Server(ThreadingHTTPServer):
    """Keeps its open connections, so that stopping ends their threads."""

    daemon_threads = False
    block_on_close = True
    request_queue_size = 128
    allow_reuse_address = True

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        self._open: set[socket.socket] = set()
        self._guard = threading.Lock()
        super().__init__(address, handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Remember the connection."""
        with self._guard:
            self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """Forget the connection."""
        with self._guard:
            self._open.discard(request)
        super().shutdown_request(request)

    def hang_up(self) -> None:
        """Close every connection."""
        with self._guard:
            for connection in self._open:
                try:
                    connection.shutdown(socket.SHUT_RDWR)
                except OSError:
                    continue

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A connection that the other side broke is nothing to tell."""


def handler(inbox: "Inbox") -> type[BaseHTTPRequestHandler]:
    """The handler of one inbox: a class, since that is what the standard library's server asks for."""

    class Handler(BaseHTTPRequestHandler):
        """One connection, kept open."""

        protocol_version = "HTTP/1.1"
        server_version = "inbox"
        sys_version = ""
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            """Answer."""
            self._answer()

        def do_POST(self) -> None:
            """Answer."""
            self._answer()

        def do_PUT(self) -> None:
            """Answer."""
            self._answer()

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing: the page shows requests."""

        def _answer(self) -> None:
            at = inbox.clock()
            body = self._body()
            if body is None:
                self._write(json_reply({"error": "the body has no length, or is too large"}, 413))
                self.close_connection = True
                return
            reply = self._route(at, body)
            if reply.hold:
                self._hold()
            if reply.hold or reply.hang_up:
                self.close_connection = True
                return
            self._write(reply)

        def _route(self, at: float, body: bytes) -> Reply:
            parts = urlsplit(self.path)
            path = unquote(parts.path)
            headers = joined(self.headers.items())
            port = int(self.connection.getsockname()[1])
            if (refused := refusal(self.command, path, headers, port)) is not None:
                return refused
            received = received_from(self.command, path, parts.query, headers, body, at)
            if received is not None:
                return inbox.serve(received)
            if responded := re.fullmatch(r"/slack/(?:actions|commands)/[^/]+/[^/]+/([^/]+)", path):
                return inbox.slack.responses.respond(
                    responded[1], form_fields(headers.get("content-type", ""), body, "")
                )
            if rest := re.fullmatch(r"/pagerduty/(incidents.*|oncalls)", path):
                fields = form_fields(headers.get("content-type", ""), body, parts.query)
                return inbox.pagerduty.rest(self.command, rest[1], fields)
            return self._own(path, dict(parse_qsl(parts.query)), headers, body)

        def _own(self, path: str, query: Json, headers: Json, body: bytes) -> Reply:
            """Answer a request to the page, or one that steers the inbox."""
            if self.command == "GET":
                return inbox.show(path, query)
            if "json" not in headers.get("content-type", "") and body:
                return json_reply({"error": "the body must be application/json"}, 415)
            try:
                asked = json.loads(body or b"{}")
            except ValueError:
                asked = None
            if not isinstance(asked, dict):
                return json_reply({"error": "the body must be a JSON object"}, 400)
            return inbox.act(path, asked)

        def _body(self) -> bytes | None:
            length = self.headers.get("Content-Length", "0")
            if "chunked" in self.headers.get("Transfer-Encoding", ""):
                return self._chunks()
            if not length.isdecimal() or int(length) > MAX_BODY_BYTES:
                return None
            return self.rfile.read(int(length))

        def _chunks(self) -> bytes | None:
            """A body in chunks."""
            found = b""
            while True:
                size = self.rfile.readline(64).split(b";")[0].strip()
                if not re.fullmatch(rb"[0-9a-fA-F]{1,8}", size) or len(found) + int(size, 16) > MAX_BODY_BYTES:
                    return None
                found += self.rfile.read(int(size, 16))
                self.rfile.readline(4)
                if int(size, 16) == 0:
                    return found

        def _hold(self) -> None:
            """Say nothing until the other side gives up, the inbox stops or a minute is over."""
            self.connection.settimeout(HOLD_SECONDS)
            try:
                self.connection.recv(1)
            except OSError:
                return

        def _write(self, reply: Reply) -> None:
            self.send_response(reply.status)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            self.send_header("X-Content-Type-Options", "nosniff")
            self.send_header("Referrer-Policy", "no-referrer")
            self.send_header("Cache-Control", "no-store")
            if reply.status != 204:
                self.send_header("Content-Length", str(len(reply.body)))
            self.end_headers()
            self.wfile.write(reply.body)

    return Handler


def refusal(method: str, path: str, headers: Json, port: int) -> Reply | None:
    """Return the answer to a request that a page of another site could have sent, None when it may pass."""
    if not is_own_host(headers, port):
        return json_reply({"error": f"the inbox answers to 127.0.0.1:{port} and localhost:{port} only"}, 421)
    why = page_refusal(method, headers, pages=not path.startswith(_VENDORS))
    return None if why is None else json_reply({"error": why}, 403)


def received_from(
    method: str, path: str, query: str, headers: dict[str, str], body: bytes, at: float
) -> Received | None:
    """The request to a stand-in; None when the path is none's."""
    found = _service(method, path)
    if found is None:
        return None
    bearer = headers.get("authorization", "").removeprefix("Bearer ").strip()
    kept = {name: "<secret>" if name in SECRET_HEADERS else value for name, value in headers.items()}
    fields = form_fields(headers.get("content-type", ""), body, query)
    return Received(at, *found, method, path, kept, body, fields, bearer=bearer)


def _service(method: str, path: str) -> tuple[str, str] | None:
    """The stand-in and the operation that a path means."""
    parts = path.strip("/").split("/")
    rest = "/".join(parts[1:])
    if path.startswith("/slack/api/") and len(parts) == 3:
        return "slack", parts[2]
    if method == "POST" and path.startswith("/slack/hooks/") and len(parts) >= 3:
        return "slack_hook", parts[-1]
    if method == "POST" and rest in ("v2/enqueue", "v2/change/enqueue") and parts[0] == "pagerduty":
        return "pagerduty", rest
    if parts[0] == "ses" and rest:
        return "ses", _SES_PATHS.get((method, rest), rest)
    if method == "POST" and parts[0] == "hook" and len(parts) == 2:
        return "hook", parts[1]
    if method == "POST" and path == "/cloudflare/client/v4/graphql":
        return "cloudflare", "graphql"
    if parts[0] == "vercel" and rest:
        return "vercel", "rollback" if "/rollback/" in path else parts[-1]
    return None
