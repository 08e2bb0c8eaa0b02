"""A faulty HTTP server on cue: half answers, stalls, broken compression, bombs, garbage, and what the uptime probe says of each."""

import gzip
import socket
import tracemalloc
import zlib
from collections.abc import Callable
from typing import Any

import pytest

from chalicelib.probes import Names, uptime
from chalicelib.probes._http import MAX_DECODED_BYTES, Unpacked
from tests.slow_server import Connection, slow_server

from .conftest import FixedClients, Web, answer, reason, result, tried, values

HELLO = b"hello world " * 100


def head(status: str = "200 OK", **headers: str) -> bytes:
    """The head of an answer."""
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([f"HTTP/1.1 {status}", *lines, "", ""]).encode()


def sends(*pieces: bytes, stalls: bool = False) -> Callable[[Connection], None]:
    """Answer a request with these pieces, then close, or stall until the test is over."""

    def talk(connection: Connection) -> None:
        connection.request()
        for piece in pieces:
            connection.socket.sendall(piece)
        if stalls:
            connection.stall()

    return talk


PACKED = gzip.compress(HELLO)
FAULTS: dict[str, tuple[Callable[[Connection], None], str]] = {
    "half a body": (sends(head(Content_Length="100") + b"half"), "the answer ended before it was whole"),
    "half a chunk": (sends(head(Transfer_Encoding="chunked") + b"5\r\nhe"), "the answer ended before it was whole"),
    "no last chunk": (
        sends(head(Transfer_Encoding="chunked") + b"5\r\nhello\r\n"),
        "the answer ended before it was whole",
    ),
    "bad chunk": (sends(head(Transfer_Encoding="chunked") + b"zz\r\nhello\r\n", stalls=True), "the answer is not HTTP"),
    "no head": (sends(), "the answer ended before it was whole"),
    "half a head": (sends(b"HTTP/1.1 200 OK\r\nContent-"), "the answer ended before it was whole"),
    "not HTTP": (sends(b"SSH-2.0-OpenSSH_9.2\r\n\r\n", stalls=True), "the answer is not HTTP"),
    "broken gzip": (
        sends(head(Content_Length=str(len(PACKED)), Content_Encoding="gzip") + PACKED[:20] + b"x" * (len(PACKED) - 20)),
        "the answer is not valid gzip",
    ),
    "half of gzip": (
        sends(head(Content_Length="30", Content_Encoding="gzip") + PACKED[:30]),
        "the compressed answer ended before it was whole",
    ),
    "stalled body": (
        sends(head(Content_Length="100") + b"half", stalls=True),
        "no whole answer within 0.3 s while waiting for body",
    ),
    "stalled head": (
        sends(b"HTTP/1.1 200 OK\r\n", stalls=True),
        "no whole answer within 0.3 s while waiting for first byte",
    ),
    "endless 1xx": (
        sends(*[b"HTTP/1.1 103 Early Hints\r\n\r\n"] * 50, stalls=True),
        "no whole answer within 0.3 s while waiting for first byte",
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_what_is_not_a_whole_answer_is_down(name: str, clients: FixedClients) -> None:
    """Given an answer that is not whole, whatever the probe expects of it → down, without a latency, and the reason."""
    talk, expected = FAULTS[name]
    with slow_server(talk) as server:
        found = tried(uptime, {"name": "api", "url": server.url(), "timeout": 0.3}, clients)
    assert values(found) == {"uptime": 0.0}
    assert result(found).startswith(f"{expected}, after "), result(found)


WHOLE = {
    "length": sends(head(Content_Length="5") + b"hello"),
    "chunks": sends(head(Transfer_Encoding="chunked") + b"5\r\nhello\r\n0\r\n\r\n"),
    "until the end": sends(head() + b"hello"),
    "HTTP/1.0": sends(b"HTTP/1.0 200 OK\r\n\r\nhello"),
    "no content": sends(head("204 No Content")),
    "gzip": sends(head(Content_Length=str(len(PACKED)), Content_Encoding="gzip") + PACKED),
    "gzip without a body": sends(head(Content_Length="0", Content_Encoding="gzip")),
    "zlib": sends(head(Content_Encoding="deflate") + zlib.compress(HELLO)),
    "raw deflate": sends(head(Content_Encoding="deflate") + zlib.compress(HELLO)[2:-4]),
    "gzip that is padded": sends(
        head(Content_Length=str(len(PACKED) + 8), Content_Encoding="gzip") + PACKED + bytes(8)
    ),
    "two members": sends(head(Content_Encoding="gzip") + PACKED + PACKED),
    "early hints": sends(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + head(Content_Length="5") + b"hello"),
    "unknown encoding": sends(head(Content_Length="5", Content_Encoding="br") + b"hello"),
}


@pytest.mark.parametrize("name", WHOLE)
def test_what_is_a_whole_answer_is_up(name: str, clients: FixedClients) -> None:
    """Given an answer that is whole in any form of HTTP/1 → up."""
    with slow_server(WHOLE[name]) as server:
        found = tried(uptime, {"name": "api", "url": server.url()}, clients)
    assert values(found)["uptime"] == 1.0


def test_the_latency_is_that_of_the_whole_answer(clients: FixedClients) -> None:
    """Given an answer whose body takes its time, and no text expected → the latency has all of it."""

    def talk(connection: Connection) -> None:
        connection.request()
        connection.socket.sendall(head(Content_Length="3"))
        connection.trickle(b"abc", every=0.1)

    with slow_server(talk) as server:
        found = tried(uptime, {"name": "api", "url": server.url(), "timings": True}, clients)
    measured = values(found)
    assert (measured["latency_ms"] or 0) >= 300
    assert (measured["first_byte_ms"] or 0) < (measured["latency_ms"] or 0) - 200
    assert {"dns_ms", "connect_ms"} <= measured.keys()


def test_a_bomb_takes_no_memory() -> None:
    """Given 300 kB of gzip that unpack to 300 MB → what is kept of it stays within a few MB."""
    packer = zlib.compressobj(9, zlib.DEFLATED, zlib.MAX_WBITS | 16)
    bomb = b"".join([*(packer.compress(b"\0" * 1_000_000) for _ in range(300)), packer.flush()])
    unpacked = Unpacked("gzip", 1_000_000)
    tracemalloc.start()
    for start in range(0, len(bomb), 65_536):
        unpacked.feed(bomb[start : start + 65_536])
    kept, (_, most) = unpacked.ended(), tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(kept) == 1_000_000
    assert most < 4_000_000
    assert MAX_DECODED_BYTES < 300_000_000


def test_a_large_body_is_read_and_not_kept(clients: FixedClients) -> None:
    """Given 50 MB → up, with little memory."""

    def talk(connection: Connection) -> None:
        connection.request()
        connection.socket.sendall(head(Content_Length="50000000"))
        for _ in range(50):
            connection.socket.sendall(b"x" * 1_000_000)

    with slow_server(talk) as server:
        tracemalloc.start()
        found = tried(uptime, {"name": "api", "url": server.url(), "timeout": 20, "text": "x"}, clients)
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert values(found)["uptime"] == 1.0
    assert most < 8_000_000


@pytest.mark.parametrize("charset", ["undefined", "idna", "punycode", "hex", "nonsense", "utf-16"])
def test_a_charset_of_a_site_breaks_nothing(web: Web, clients: FixedClients, charset: str) -> None:
    """Given a charset that Python has for other purposes, or not at all → the text is looked for all the same."""
    web.answers["/"] = answer(200, "ok", {"Content-Type": f"text/html; charset={charset}"})
    found = tried(uptime, {"name": "api", "url": f"{web.url}/", "text": "missing"}, clients)
    assert result(found).startswith("status 200 without the expected text, after ")


LOCATIONS = [
    "http://[::1",
    "http://a b/",
    "http://xn--/",
    "http://" + "a" * 300 + "/",
    "//:99999/",
    "http://\x7f/",
    "ftp://x/",
]


@pytest.mark.parametrize("location", LOCATIONS)
def test_a_redirect_to_nowhere_is_down(web: Web, clients: FixedClients, location: str) -> None:
    """Given a redirect to what no client can follow → down, in words, and nothing is raised."""
    web.answers["/"] = answer(302, headers={"Location": location})
    found = tried(uptime, {"name": "api", "url": f"{web.url}/", "redirects": True}, clients)
    assert values(found)["uptime"] == 0.0 and not found.events


@pytest.mark.parametrize("value", ["s3cret\n", "s3\rcret", " s3cret", "s3\0cret"])
def test_a_secret_that_cannot_be_sent_is_named(web: Web, clients: FixedClients, value: str) -> None:
    """Given a secret with a line break at its end → nothing is sent, it is no outage, and the secret is named."""
    clients.secrets["HEALTH_TOKEN"] = value
    params = {"name": "api", "url": f"{web.url}/", "headers": {"Authorization": "Bearer $HEALTH_TOKEN"}}
    if value.startswith(" "):
        params["headers"] = {"Authorization": "$HEALTH_TOKEN"}
    found = tried(uptime, params, clients)
    assert not found.samples and not found.retry and web.seen == []
    assert "the secret HEALTH_TOKEN has a line break" in reason(found) and "s3" not in reason(found)


def test_a_resolver_in_trouble_is_no_outage(clients: FixedClients) -> None:
    """Given a resolver that cannot answer → nothing is measured; a name that does not exist is down."""

    def failing(code: int) -> Names:
        def look_up(host: str, port: int) -> Any:
            raise socket.gaierror(code, "words of the system")

        return Names(look_up)

    params = {"name": "api", "url": "http://api.example.com/"}
    assert not tried(uptime, params, clients, names=failing(socket.EAI_AGAIN)).samples
    assert values(tried(uptime, params, clients, names=failing(socket.EAI_NONAME))) == {"uptime": 0.0}


EXPECTATIONS: list[tuple[dict[str, Any], str]] = [
    ({"expect_json": {"status": "ok"}}, ""),
    ({"expect_json": {"checks.0.healthy": True, "count": 1, "none": None}}, ""),
    ({"expect_json": {"count": True}}, "status 200 with 1 at count of its JSON"),
    ({"expect_json": {"status": "down"}}, "status 200 with 'ok' at status of its JSON"),
    ({"expect_json": {"checks.1.healthy": True}}, "status 200 with nothing at checks.1.healthy of its JSON"),
    ({"expect_json": {"checks": 1}}, "status 200 with a list at checks of its JSON"),
    ({"expect_headers": {"content-TYPE": "JSON"}}, ""),
    ({"expect_headers": {"X-Cache": "hit"}}, "status 200 without 'hit' in the header X-Cache"),
]


@pytest.mark.parametrize(("expects", "fault"), EXPECTATIONS)
def test_json_and_headers_are_expected(web: Web, clients: FixedClients, expects: dict[str, Any], fault: str) -> None:
    """Given values of the JSON answer and texts of its headers that are expected → down with what came instead."""
    body = '{"status": "ok", "checks": [{"healthy": true}], "count": 1, "none": null}'
    web.answers["/"] = answer(200, body, {"Content-Type": "application/json"})
    found = tried(uptime, {"name": "api", "url": f"{web.url}/", **expects}, clients)
    assert values(found)["uptime"] == (0.0 if fault else 1.0)
    assert not fault or result(found).startswith(f"{fault}, after ")


def test_json_that_is_none_is_down(web: Web, clients: FixedClients) -> None:
    """Given a page where JSON is expected → down."""
    web.answers["/"] = answer(200, "<html>")
    found = tried(uptime, {"name": "api", "url": f"{web.url}/", "expect_json": {"a": 1}}, clients)
    assert result(found).startswith("the answer is not JSON, after ")


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_methods_and_bodies(web: Web, clients: FixedClients, method: str) -> None:
    """Given a method and a body → they arrive, JSON with its type."""
    web.answers["/"] = answer(200)
    base = {"name": "api", "url": f"{web.url}/", "method": method}
    assert values(tried(uptime, {**base, "json": {"a": ["é"]}}, clients))["uptime"] == 1.0
    assert values(tried(uptime, {**base, "body": "a=1"}, clients))["uptime"] == 1.0
    assert [(verb, body.decode()) for verb, _, _, body in web.seen] == [(method, '{"a": ["é"]}'), (method, "a=1")]
    assert web.seen[0][2]["Content-Type"] == "application/json" and "Content-Type" not in web.seen[1][2]


@pytest.mark.parametrize(("status", "method", "body"), [(307, "POST", b"a=1"), (303, "GET", b""), (302, "GET", b"")])
def test_a_redirect_of_a_post(web: Web, clients: FixedClients, status: int, method: str, body: bytes) -> None:
    """Given a redirect of a POST → repeated for 307, asked for by GET else, as browsers do."""
    web.answers |= {"/": answer(status, headers={"Location": "/new"}), "/new": answer(200)}
    params = {"name": "api", "url": f"{web.url}/", "method": "POST", "body": "a=1", "redirects": True}
    assert values(tried(uptime, params, clients))["uptime"] == 1.0
    assert (web.seen[1][0], web.seen[1][3]) == (method, body)


BYTES = [b"M\xc3\xbcnchen", b"M\xfcnchen"]


@pytest.mark.parametrize("value", BYTES)
def test_a_cookie_of_any_bytes_is_brought_back_as_it_came(value: bytes, clients: FixedClients) -> None:
    """Given a cookie in UTF-8 or Latin-1 on a redirect → up, and the same bytes are sent back."""
    cookie, heads = b"Set-Cookie: city=" + value + b"\r\n", []

    def talk(connection: Connection) -> None:
        heads.append(connection.request())
        moved = b"HTTP/1.1 302 Found\r\nLocation: /b\r\nContent-Length: 0\r\n" + cookie + b"\r\n"
        connection.socket.sendall(moved if len(heads) == 1 else head(Content_Length="2") + b"ok")

    with slow_server(talk) as server:
        found = tried(uptime, {"name": "api", "url": server.url(), "redirects": True}, clients)
    assert values(found)["uptime"] == 1.0
    assert b"city=" + value in heads[1]


def test_a_redirect_of_any_bytes_is_followed(clients: FixedClients) -> None:
    """Given a Location with bytes that are not ASCII → they are asked for percent-encoded."""
    heads = []

    def talk(connection: Connection) -> None:
        heads.append(connection.request())
        moved = b"HTTP/1.1 302 Found\r\nLocation: /caf\xc3\xa9?a=%20\r\nContent-Length: 0\r\n\r\n"
        connection.socket.sendall(moved if len(heads) == 1 else head(Content_Length="2") + b"ok")

    with slow_server(talk) as server:
        found = tried(uptime, {"name": "api", "url": server.url(), "redirects": True}, clients)
    assert values(found)["uptime"] == 1.0
    assert heads[1].startswith(b"GET /caf%C3%A9?a=%20 ")


@pytest.mark.parametrize("place", ["http://a:99999/", "http://\u00e4..b/", "http://xn--zzzzzz.invalid/", "http://[/"])
def test_a_redirect_to_no_address_is_down(place: str, clients: FixedClients) -> None:
    """Given a redirect to what cannot be asked → down, in words."""
    moved = b"HTTP/1.1 302 Found\r\nLocation: " + place.encode() + b"\r\nContent-Length: 0\r\n\r\n"
    with slow_server(sends(moved)) as server:
        found = tried(uptime, {"name": "api", "url": server.url(), "redirects": True}, clients)
    assert result(found).startswith("redirected to what is not a web address, after "), found


def test_headers_of_any_bytes_are_compared(clients: FixedClients) -> None:
    """Given an answer with a header in Latin-1 → its other headers are compared, and the probe is up."""
    raw = b"HTTP/1.1 200 OK\r\nX-City: M\xfcnchen\r\nX-Kind: fine\r\nContent-Length: 2\r\n\r\nok"
    with slow_server(sends(raw)) as server:
        found = tried(uptime, {"name": "api", "url": server.url(), "expect_headers": {"X-Kind": "fine"}}, clients)
    assert values(found)["uptime"] == 1.0
