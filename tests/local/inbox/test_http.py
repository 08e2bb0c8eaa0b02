"""The inbox over HTTP: connections, bodies, methods, headers, and what a scripted silence leaves of them."""

import json
import socket
import threading
from collections.abc import Callable
from http.client import HTTPConnection, HTTPResponse, RemoteDisconnected

import pytest

from local.inbox import UNLIMITED, Inbox
from tests.local.inbox.support import TOKEN, post, request, slack

JSON = {"Content-Type": "application/json"}
HELD = 100
"""More requests than any pool of threads would hold."""


def port_of(inbox: Inbox) -> int:
    """Return the port of the inbox's address."""
    return int(inbox.url.rpartition(":")[2])


def connect(inbox: Inbox) -> HTTPConnection:
    """Return a connection of its own."""
    return HTTPConnection("127.0.0.1", port_of(inbox), timeout=10)


def until(true: Callable[[], bool]) -> None:
    """Wait for another thread; the test's time limit is the patience."""
    pause = threading.Event()
    while not true():
        pause.wait(0.005)


def test_a_connection_serves_many_requests(inbox: Inbox) -> None:
    """Three requests on one connection → three answers, the socket is the same."""
    connection = connect(inbox)
    sockets = set()
    for number in range(3):
        connection.request("POST", f"/hook/n{number}", b"{}", JSON)
        assert connection.getresponse().read() == b""
        sockets.add(connection.sock)
    connection.close()
    assert len(sockets) == 1 and [each["name"] for each in inbox.hooks] == ["n0", "n1", "n2"]


def test_a_body_in_chunks_is_read(inbox: Inbox) -> None:
    """A body without a length, in chunks → is the body."""
    connection = connect(inbox)
    connection.request("POST", "/hook/ops", iter([b'{"type":', b'"a"}']), JSON, encode_chunked=True)
    assert connection.getresponse().status == 204
    connection.close()
    assert inbox.hooks[0]["body"] == '{"type":"a"}'


def test_a_large_body_is_read_whole(inbox: Inbox) -> None:
    """A body of two megabytes → is the body, to the last byte."""
    body = b"x" * 2_000_000 + b"!"
    assert request(inbox, "POST", "/hook/ops", body, JSON)[0] == 204
    assert inbox.requests[0].body == body


def test_a_body_that_is_too_large_is_refused_unread(inbox: Inbox) -> None:
    """A length above the limit → 413 before the body comes; nothing is recorded."""
    connection = connect(inbox)
    connection.putrequest("POST", "/hook/ops")
    connection.putheader("Content-Length", "45000001")
    connection.endheaders()
    assert connection.getresponse().status == 413
    connection.close()
    assert inbox.requests == []


def test_a_sender_that_asks_first_may_go_on(inbox: Inbox) -> None:
    """Expect: 100-continue → 100, then the answer to the body."""
    with socket.create_connection(("127.0.0.1", port_of(inbox)), timeout=10) as plain:
        head = f"POST /hook/ops HTTP/1.1\r\nHost: 127.0.0.1:{port_of(inbox)}\r\nContent-Length: 2\r\n"
        plain.sendall(f"{head}Expect: 100-continue\r\n\r\n".encode())
        assert plain.recv(4_096).startswith(b"HTTP/1.1 100 ")
        plain.sendall(b"{}")
        assert plain.recv(4_096).startswith(b"HTTP/1.1 204 ")


@pytest.mark.parametrize("method", ["HEAD", "DELETE", "PATCH", "OPTIONS"])
@pytest.mark.parametrize("path", ["/", "/slack/api/auth.test", "/hook/ops", "/nonsense"])
def test_other_methods_are_not_implemented(inbox: Inbox, method: str, path: str) -> None:
    """A method that no vendor's call has → 501 at every address; nothing is recorded."""
    connection = connect(inbox)
    connection.request(method, path)
    assert connection.getresponse().status == 501
    connection.close()
    assert inbox.requests == []


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/nonsense"),
        ("POST", "/nonsense"),
        ("GET", "/hook/ops"),
        ("PUT", "/hook/ops"),
        ("GET", "/_control/reset"),
        ("POST", "/health"),
        ("POST", "/slack/nonsense"),
        ("POST", "/slack/api/a/b"),
        ("GET", "/pagerduty/v2/enqueue"),
    ],
)
def test_what_is_not_there_is_not_found(inbox: Inbox, method: str, path: str) -> None:
    """An unknown address, or another method than the address has → 404 in JSON; nothing is recorded."""
    status, headers, body = request(inbox, method, path, b"{}" if method != "GET" else b"", JSON)
    assert (status, body) == (404, {"error": "not found"})
    assert headers["content-type"] == "application/json; charset=utf-8"
    assert inbox.requests == []


@pytest.mark.parametrize(
    ("path", "service", "operation"),
    [
        ("/slack/api/auth.test", "slack", "auth.test"),
        ("/slack/hooks/incidents", "slack_hook", "incidents"),
        ("/slack/hooks/T0/B0/incidents", "slack_hook", "incidents"),
        ("/pagerduty/v2/enqueue", "pagerduty", "v2/enqueue"),
        ("/pagerduty/v2/change/enqueue", "pagerduty", "v2/change/enqueue"),
        ("/ses/v2/email/outbound-emails", "ses", "SendEmail"),
        ("/ses/v2/email/identities/a", "ses", "v2/email/identities/a"),
        ("/hook/ops", "hook", "ops"),
        ("/hook/ops/", "hook", "ops"),
        ("/hook/with%20space", "hook", "with space"),
        ("/discord/api/webhooks/1/t", "discord", "execute"),
        ("/teams/ops", "teams", "ops"),
        ("/cloudflare/client/v4/graphql", "cloudflare", "graphql"),
        ("/vercel/v7/deployments", "vercel", "deployments"),
        ("/vercel/v1/projects/prj_1/rollback/dpl_1", "vercel", "rollback"),
    ],
)
def test_an_address_means_one_operation_of_one_vendor(inbox: Inbox, path: str, service: str, operation: str) -> None:
    """A POST to a vendor's address → is recorded under it, with and without a connection."""
    request(inbox, "POST", path, b"{}", JSON)
    assert inbox.answer_to("POST", f"http://any.example{path}?a=1", JSON, b"{}") is not None
    assert [(each.service, each.operation) for each in inbox.requests] == [(service, operation)] * 2
    assert inbox.answer_to("POST", "/nonsense", JSON, b"{}") is None


def test_repeated_headers_are_joined(inbox: Inbox) -> None:
    """A header given twice → both values count."""
    connection = connect(inbox)
    connection.putrequest("POST", "/hook/ops")
    for name, value in (("X-A", "one"), ("X-A", "two"), ("Cookie", "secret"), ("Content-Length", "0")):
        connection.putheader(name, value)
    connection.endheaders()
    assert connection.getresponse().status == 204
    connection.close()
    assert (inbox.requests[0].headers["x-a"], inbox.requests[0].headers["cookie"]) == ("one, two", "<secret>")


@pytest.mark.parametrize(
    ("method", "path", "headers"),
    [
        ("GET", "/", {}),
        ("GET", "/nonsense", {}),
        ("POST", "/hook/ops", {}),
        ("POST", "/slack/api/auth.test", {}),
        ("GET", "/", {"Origin": "https://evil.example"}),
    ],
)
def test_every_answer_is_closed_to_other_sites(inbox: Inbox, method: str, path: str, headers: dict[str, str]) -> None:
    """Any answer → is not guessed at, not kept, and names no referrer."""
    _, found, _ = request(inbox, method, path, headers=headers)
    wanted = {"x-content-type-options": "nosniff", "referrer-policy": "no-referrer", "cache-control": "no-store"}
    assert wanted.items() <= found.items()


def test_an_answer_without_a_body_has_no_length(inbox: Inbox) -> None:
    """204 → no Content-Length; a scripted 429 → an empty body."""
    assert "content-length" not in request(inbox, "POST", "/hook/ops", b"{}", JSON)[1]
    inbox.answer("hook", "*", [{"status": 429, "retry_after": 2.5}])
    status, headers, _ = request(inbox, "POST", "/hook/ops", b"{}", JSON)
    assert (status, headers["retry-after"], headers["content-length"]) == (429, "2.5", "0")


def test_scripted_headers_and_bodies_are_sent_as_they_are(inbox: Inbox) -> None:
    """A scripted status, body and headers → exactly these."""
    inbox.answer("slack", "*", [{"status": 502, "body": "<b>no</b>", "headers": {"X-A": "1"}, "retry_after": 7}])
    status, headers, body = post(inbox, "/slack/api/auth.test", {})
    assert (status, body, headers["x-a"], headers["retry-after"]) == (502, "<b>no</b>", "1", "7")
    assert headers["content-type"] == "text/html"


def begin(inbox: Inbox) -> HTTPConnection:
    """Send a request to Slack and do not wait for its answer."""
    connection = connect(inbox)
    connection.request("POST", "/slack/api/auth.test", b"{}", {**JSON, "Authorization": f"Bearer {TOKEN}"})
    return connection


def test_a_scripted_hang_up_sends_no_byte(inbox: Inbox) -> None:
    """disconnect → the connection ends without a status line, and a new one is answered."""
    inbox.answer("slack", "*", [{"disconnect": True}])
    connection = begin(inbox)
    with pytest.raises(RemoteDisconnected):
        connection.getresponse()
    connection.close()
    assert slack(inbox, "auth.test")["ok"]


def test_held_requests_hold_up_nobody(inbox: Inbox) -> None:
    """A hundred requests without an answer → the next is answered, and the stop does not wait for them."""
    inbox.answer("slack", "*", [{"timeout": True}] * HELD)
    held = [begin(inbox) for _ in range(HELD)]
    until(lambda: sum(each.scripted for each in inbox.requests) == HELD)
    assert slack(inbox, "auth.test")["ok"]
    inbox.stop()
    for connection in held:
        with pytest.raises(ConnectionError):
            connection.getresponse()
        connection.close()


def test_a_request_ends_when_its_caller_gives_up(inbox: Inbox) -> None:
    """A held request whose caller goes away → its operation stays done and the inbox goes on."""
    inbox.answer("slack", "*", [{"timeout_after_accept": True}])
    connection = connect(inbox)
    body = json.dumps({"channel": "#incidents", "text": "taken"}).encode()
    connection.request("POST", "/slack/api/chat.postMessage", body, {**JSON, "Authorization": f"Bearer {TOKEN}"})
    until(lambda: bool(inbox.messages))
    connection.close()
    assert slack(inbox, "auth.test")["ok"] and inbox.requests[0].status is None


def test_a_stop_ends_a_scripted_delay() -> None:
    """A request that waits an hour for its answer → the stop returns, and no thread is left."""
    before = set(threading.enumerate())
    inbox = Inbox(limits=UNLIMITED).start()
    inbox.answer("slack", "*", [{"delay_seconds": 3_600}])
    connection = begin(inbox)
    until(lambda: bool(inbox.requests))
    inbox.stop()
    connection.close()
    assert set(threading.enumerate()) <= before


def test_an_answer_that_is_not_read_holds_no_stop(inbox: Inbox) -> None:
    """A caller that reads nothing of a large answer → the stop returns."""
    inbox.answer("slack", "*", [{"body": "x" * 20_000_000}])
    connection = begin(inbox)
    answer = HTTPResponse(connection.sock)
    answer.begin()
    inbox.stop()
    assert answer.status == 200
    answer.close()
    connection.close()


def test_an_inbox_that_never_started_gives_back_its_port() -> None:
    """A stop without a start → the port is free; a connection before the start waits for it."""
    first = Inbox()
    port = port_of(first)
    first.stop()
    second = Inbox(port=port)
    connection = connect(second)
    connection.request("GET", "/health")
    with second:
        assert connection.getresponse().status == 200
    connection.close()
