"""The inbox's way into Tocsin's page: one click signs in, on this machine alone."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from local.inbox import Inbox
from tests.local.inbox.support import request

TOKEN = "a token of the API"
COOKIE = "tocsin=abc.def; Path=/; HttpOnly; SameSite=Lax"


@contextmanager
def tocsin(status: int = 303) -> Iterator[tuple[str, list[tuple[str, str, str]]]]:
    """A server in Tocsin's place: it makes a link for the token, and a session for the link's code."""
    asked: list[tuple[str, str, str]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            asked.append((self.path, self.headers.get("Authorization", ""), body))
            if self.path == "/stage/api/login":
                return self._reply(201, json.dumps({"code": "one.time", "path": "login/one.time"}))
            return self._reply(status, "", ("Location", "./"), ("Set-Cookie", COOKIE))

        def _reply(self, status: int, text: str, *headers: tuple[str, str]) -> None:
            self.send_response(status)
            for name, value in (*headers, ("Content-Length", str(len(text)))):
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/stage", asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_one_click_signs_in() -> None:
    """Given a token → the inbox uses a link of Tocsin's and passes the session's cookie on, with the page's address."""
    with tocsin() as (url, asked), Inbox(tocsin=url) as inbox:
        inbox.connections.api_token = f"ana:{TOKEN}, other"
        status, headers, _ = request(inbox, "GET", "/sign-in")
        assert (status, headers["location"], headers["set-cookie"]) == (303, f"{url}/", COOKIE)
        assert asked == [
            ("/stage/api/login", f"Bearer {TOKEN}", '{"by": "Ana Souza"}'),
            ("/stage/login", "", "code=one.time"),
        ]
        assert 'href="/sign-in"' in request(inbox, "GET", "/")[2]


def test_another_name_of_this_machine_leads_to_the_one_of_the_cookie() -> None:
    """Given localhost → the same page at 127.0.0.1, since the cookie is for that host; nobody is signed in yet."""
    with tocsin() as (url, asked), Inbox(tocsin=url) as inbox:
        inbox.connections.api_token = TOKEN
        port = inbox.url.rpartition(":")[2]
        connection = HTTPConnection("127.0.0.1", int(port), timeout=10)
        connection.request("GET", "/sign-in", headers={"Host": f"localhost:{port}"})
        answer = connection.getresponse()
        assert (answer.status, answer.getheader("Location")) == (303, f"{inbox.url}/sign-in")
        assert answer.getheader("Set-Cookie") is None and not asked
        connection.close()


@pytest.mark.parametrize("headers", [{"Host": "evil.example"}, {"Origin": "https://evil.example"}])
def test_nobody_else_is_signed_in(headers: dict[str, str]) -> None:
    """Given another host's name, or a request of another site's page → refused."""
    with tocsin() as (url, asked), Inbox(tocsin=url) as inbox:
        inbox.connections.api_token = TOKEN
        assert request(inbox, "GET", "/sign-in", headers=headers)[0] in (403, 421)
        assert not asked


@pytest.mark.parametrize("token", ["", TOKEN])
def test_without_a_session_it_says_so(token: str) -> None:
    """Given no token, or a page that refuses the code → 503 with what else signs in."""
    with tocsin(status=403) as (url, _), Inbox(tocsin=url) as inbox:
        inbox.connections.api_token = token
        status, headers, body = request(inbox, "GET", "/sign-in")
        assert status == 503 and "tocsin login" in body["error"] and "set-cookie" not in headers
