"""The guard in front of the embedded AWS as a function of a request: what it refuses, what it lets pass."""

import asyncio
import json
from typing import Any

import pytest

from local.guard import guarded, joined, key_headers, refusal

PORT = 7466
KEY = "LOCAL0123456789ABCDEF"
HOST = {"host": f"127.0.0.1:{PORT}"}
SIGNED = {
    **HOST,
    "authorization": f"AWS4-HMAC-SHA256 Credential={KEY}/20261130/us-east-1/ssm/aws4_request, SignedHeaders=host",
}
INVOKE = "/restapis/c2fe9535/api/_user_request_/webhooks/sentry"
INVOKE_HTTP = "/_aws/execute-api/c2fe9535/$default/webhooks/sentry"
OWN = f"http://127.0.0.1:{PORT}"
LINK = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}


def refused(path: str, headers: dict[str, str], method: str = "POST") -> bool:
    """Whether the guard refuses."""
    return refusal(method, path, headers, port=PORT, keys={KEY}) is not None


@pytest.mark.parametrize("host", [f"127.0.0.1:{PORT}", f"localhost:{PORT}", f"LocalHost:{PORT}", f"[::1]:{PORT}"])
def test_a_loopback_name_with_the_right_port_passes(host: str) -> None:
    """A signed request and an unsigned webhook to a loopback name with the right port → both pass."""
    assert not refused("/", {**SIGNED, "host": host})
    assert not refused(INVOKE, {"host": host})


@pytest.mark.parametrize(
    "host",
    [
        "",
        "127.0.0.1",
        "127.0.0.1:80",
        f"127.0.0.1:{PORT}0",
        f"evil.example:{PORT}",
        f"localhost.evil.example:{PORT}",
        f"c2fe9535.execute-api.localhost:{PORT}",
        f"0.0.0.0:{PORT}",
        f"127.0.0.1:{PORT}, evil.example",
    ],
)
@pytest.mark.parametrize("path", ["/", INVOKE, INVOKE_HTTP])
def test_any_other_host_is_refused(host: str, path: str) -> None:
    """A Host that is no loopback name with the right port, signed or not → refused."""
    assert refused(path, {**SIGNED, "host": host})


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1", "http://127.0.0.1:8025", ""])
@pytest.mark.parametrize("path", ["/", "/_ministack/health", INVOKE, INVOKE_HTTP])
def test_a_foreign_origin_is_refused(origin: str, path: str) -> None:
    """Any Origin but the server's own → refused, even with the right key."""
    assert refused(path, {**SIGNED, "origin": origin})


def test_its_own_origin_passes_only_where_pages_are_served() -> None:
    """The server's own Origin → passes on paths of the deployed API, refused on the AWS API."""
    assert not refused(INVOKE, {**HOST, "origin": OWN, "sec-fetch-site": "same-origin"})
    assert refused("/", {**SIGNED, "origin": OWN})


@pytest.mark.parametrize("site", ["cross-site", "same-site", "nonsense"])
def test_what_a_browser_sends_for_another_site_is_refused(site: str) -> None:
    """A Sec-Fetch-Site of another site without an Origin (an image, a form by GET) → refused."""
    for path in ("/", INVOKE):
        assert refused(path, {**SIGNED, "sec-fetch-site": site}, "GET")


def test_a_link_opens_a_page_and_nothing_else() -> None:
    """A link of another site → opens a GET path of the deployed API; no frame, no form, no AWS call."""
    assert not refused(INVOKE, {**HOST, **LINK}, "GET")
    assert refused(INVOKE, {**HOST, **LINK}, "POST")
    assert refused(INVOKE, {**HOST, **LINK, "sec-fetch-dest": "iframe"}, "GET")
    assert refused("/", {**SIGNED, **LINK}, "GET")


@pytest.mark.parametrize(
    "authorization",
    [
        "",
        "Bearer x",
        f"Bearer {KEY}",
        f"AWS {KEY}:signature",
        "AWS4-HMAC-SHA256",
        "AWS4-HMAC-SHA256 Credential=test/20261130/us-east-1/ssm/aws4_request",
        "AWS4-HMAC-SHA256 Credential=000000000000/20261130/us-east-1/ssm/aws4_request",
        f"AWS4-HMAC-SHA256 Credential={KEY[:-1]}/20261130/us-east-1/ssm/aws4_request",
        f"AWS4-HMAC-SHA256 Credential=test/, AWS4-HMAC-SHA256 Credential={KEY}/",
    ],
)
@pytest.mark.parametrize("path", ["/", "/_ministack/health", "/_ministack/ses/messages", "/_ministack/reset"])
def test_without_the_key_of_the_run_nothing_of_aws_is_reached(authorization: str, path: str) -> None:
    """No key or another key → refused on every path but those of a deployed API."""
    assert refused(path, {**HOST, "authorization": authorization})


def test_with_the_key_of_the_run_aws_is_reached() -> None:
    """The key of the run, named by an SDK or by our own header → passes."""
    assert not refused("/", SIGNED)
    assert not refused("/_ministack/health", {**HOST, **joined(key_headers(KEY).items())}, "GET")


@pytest.mark.parametrize(
    "path",
    [
        "/restapis",
        "/restapis/c2fe9535/stages/api",
        "/restapis/c2fe9535/api/_user_request_x/",
        "/restapis//api/_user_request_/x",
        "/x/restapis/c2fe9535/api/_user_request_/x",
        "/restapis/c2fe9535/api/_user_request_/@connections/x",
        "/_aws/execute-api/c2fe9535/api/x",
        "/_aws/execute-api/c2fe9535/$defaults/x",
        "/_aws/execute-api//$default/x",
        "/_aws/execute-api/c2fe9535/$default/@connections/x",
        "/_aws/lambda-url/c2fe9535/x",
        "/2015-03-31/functions/tocsin-local/invocations",
    ],
)
def test_only_paths_of_a_deployed_api_take_unsigned_requests(path: str) -> None:
    """A path that is not exactly one of a deployed REST API or HTTP API → refused without a key."""
    assert refused(path, HOST)


@pytest.mark.parametrize("path", [INVOKE, INVOKE_HTTP])
def test_webhooks_pass_as_their_senders_sign_them(path: str) -> None:
    """Unsigned, bearer and basic webhooks → pass; one signed for AWS with another key → refused."""
    for sent in ({}, {"authorization": "Bearer secret"}, {"authorization": "Basic eDp5"}):
        assert not refused(path, {**HOST, **sent})
    assert refused(path, {**HOST, "authorization": "AWS4-HMAC-SHA256 Credential=test/20261130/us-east-1/x/y"})


class Behind:
    """An application that answers as the embedded AWS does, and counts what reached it."""

    def __init__(self) -> None:
        self.calls = 0
        self.changes = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer 200 with CORS headers."""
        self.calls += 1
        headers = [(b"Access-Control-Allow-Origin", b"*"), (b"access-control-max-age", b"1"), (b"x-kept", b"yes")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"{}"})

    def changed(self) -> None:
        """Count a request that may have changed state."""
        self.changes += 1

    def ask(self, scope: dict[str, Any]) -> list[dict[str, Any]]:
        """What is sent back through the guard."""
        sent: list[dict[str, Any]] = []

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        async def receive() -> dict[str, Any]:
            raise AssertionError("the body was read")

        asyncio.run(guarded(self, port=PORT, keys={KEY}, changed=self.changed)(scope, receive, send))
        return sent


def scope(headers: dict[str, str], method: str = "POST", path: str = "/") -> dict[str, Any]:
    """A request as an ASGI server hands it over."""
    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    return {"type": "http", "method": method, "path": path, "headers": raw}


def test_a_refused_request_reaches_nothing() -> None:
    """A preflight of a foreign page → 403 with a reason and without CORS headers; the application is not asked."""
    behind = Behind()
    preflight = {**HOST, "Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
    start, body = behind.ask(scope(preflight, "OPTIONS"))
    assert start["status"] == 403
    assert [name for name, _ in start["headers"]] == [b"content-type", b"content-length"]
    assert "another site" in json.loads(body["body"])["message"]
    assert (behind.calls, behind.changes) == (0, 0)


def test_no_answer_carries_cors_headers() -> None:
    """An answer of the application → passes without its CORS headers; all but a GET count as a change."""
    behind = Behind()
    start, _ = behind.ask(scope(SIGNED))
    assert start["headers"] == [(b"x-kept", b"yes")]
    assert behind.ask(scope(HOST, path=INVOKE))[0]["status"] == 200
    assert behind.ask(scope(SIGNED, "GET"))[0]["status"] == 200
    assert (behind.calls, behind.changes) == (3, 2)


def test_web_sockets_are_closed() -> None:
    """A web socket, which no CORS rule holds back → closed before the application sees it."""
    behind = Behind()
    assert behind.ask({"type": "websocket", "headers": []}) == [{"type": "websocket.close", "code": 1008}]
    assert behind.calls == 0


def test_repeated_headers_are_looked_at_together() -> None:
    """A header that comes twice → both values count."""
    assert joined([("Host", "a"), ("host", "b")]) == {"host": "a, b"}
