"""A call ends when its time is over, whatever the peer does: against real slow servers, and on a clock of our own."""

import ssl
import time
from collections.abc import Callable, Iterable
from typing import Any

import httpcore
import httpx
import pytest

from chalicelib.clients import http_client
from chalicelib.deadline import STARTED_AT, Deadline, Limit, Network, NetworkTransport
from tests.slow_server import Connection, slow_server

TINY = 0.3
"""The time limit of the calls here; the servers would hold them for minutes."""
GENEROUS = 10.0
"""What such a call may take on a busy machine."""
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
MANY = b"x" * 10_000


def trickling_head(connection: Connection) -> None:
    """One byte of an endless head after another."""
    connection.request()
    connection.trickle(b"HTTP/1.1 200 OK\r\nX-Slow: " + MANY, every=0.02)


def trickling_informational(connection: Connection) -> None:
    """One interim answer after another, each of them whole."""
    connection.request()
    while not connection.stopped.wait(0.02):
        connection.socket.sendall(b"HTTP/1.1 103 Early Hints\r\n\r\n")


def trickling_body(connection: Connection) -> None:
    """A whole head, and one byte of the body after another."""
    connection.request()
    connection.socket.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 10000\r\n\r\n")
    connection.trickle(MANY, every=0.02)


def silent(connection: Connection) -> None:
    """No answer at all."""
    connection.request()
    connection.stall()


def reading_nothing(connection: Connection) -> None:
    """A server that accepts and does not read."""
    connection.stall()


def reading_slowly(connection: Connection) -> None:
    """A server that reads some kilobytes now and then."""
    connection.drain(65_536, every=0.02)


def trickling_handshake(connection: Connection) -> None:
    """The first record of a TLS server, byte by byte."""
    connection.trickle(b"\x16\x03\x03\x40\x00" + MANY, every=0.02)


ENDLESS = [
    # what the server does, scheme, body of the request, what is raised
    (trickling_head, "http", b"", httpx.ReadTimeout),
    (trickling_informational, "http", b"", httpx.ReadTimeout),
    (trickling_body, "http", b"", httpx.ReadTimeout),
    (silent, "http", b"", httpx.ReadTimeout),
    (reading_nothing, "http", b"x" * 50_000_000, httpx.WriteTimeout),
    (reading_slowly, "http", b"x" * 50_000_000, httpx.WriteTimeout),
    (reading_nothing, "https", b"", httpx.ConnectTimeout),
    (trickling_handshake, "https", b"", httpx.ConnectTimeout),
]


@pytest.mark.parametrize(
    ("talk", "scheme", "content", "raised"), ENDLESS, ids=lambda each: getattr(each, "__name__", "")
)
def test_a_call_ends_when_its_time_is_over(
    talk: Callable[[Connection], None], scheme: str, content: bytes, raised: type[Exception]
) -> None:
    """A peer that stalls or trickles at any step → the time-out of that step, after the call's own time."""
    with slow_server(talk) as server, http_client() as client:
        began = time.monotonic()
        with pytest.raises(httpx.TimeoutException) as caught:
            client.request("POST", server.url(scheme), content=content, timeout=TINY)
        assert TINY * 0.9 <= time.monotonic() - began < GENEROUS
    assert type(caught.value) is raised


def test_a_chain_of_redirects_is_one_call() -> None:
    """Redirects that httpx follows share the time of the first request, so an endless chain ends in time."""

    def redirecting(connection: Connection) -> None:
        while connection.request() and not connection.stopped.wait(TINY / 2):
            connection.socket.sendall(b"HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n")

    with slow_server(redirecting) as server, http_client() as client, pytest.raises(httpx.TimeoutException):
        client.get(server.url(), timeout=TINY, follow_redirects=True)


def test_a_slow_answer_in_time_is_an_answer() -> None:
    """Head and body that trickle and end before the time is over → the answer, whole."""

    def slowly(connection: Connection) -> None:
        connection.request()
        connection.trickle(OK, every=0.005)

    with slow_server(slowly) as server, http_client() as client:
        assert client.get(server.url(), timeout=60).text == "ok"


def test_a_large_request_and_answer_arrive_whole() -> None:
    """Ten megabytes there and back in many pieces → nothing is lost or doubled."""
    size = 10_000_000

    def echoing(connection: Connection) -> None:
        _, _, body = connection.request().partition(b"\r\n\r\n")
        while len(body) < size:
            body += connection.socket.recv(1_000_000)
        connection.socket.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (size, body))

    content = bytes(range(250)) * (size // 250)
    with slow_server(echoing) as server, http_client() as client:
        assert client.post(server.url(), content=content, timeout=60).content == content


def test_the_next_call_over_a_kept_connection_has_its_own_time() -> None:
    """A second call on the same connection, long after the end of the first → its own limit holds."""

    def answering(connection: Connection) -> None:
        while connection.request():
            connection.socket.sendall(OK)

    clock = {"seconds": 0.0}
    transport = Deadline(NetworkTransport(), lambda: clock["seconds"])
    with slow_server(answering) as server, httpx.Client(transport=transport, timeout=5) as client:
        assert client.get(server.url()).text == "ok"
        clock["seconds"] += 1_000
        assert client.get(server.url()).text == "ok"
        assert server.accepted == 1


@pytest.mark.parametrize(("asked", "seconds"), [(None, 10), (5, 5), (30, 30)])
def test_the_time_is_that_of_the_request_else_ten_seconds(asked: float | None, seconds: float) -> None:
    """The limits of every step end together, `timeout` after the beginning."""
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200)

    httpx.Client(transport=Deadline(httpx.MockTransport(answer), lambda: 100.0)).get("http://a.test", timeout=asked)
    limits = seen[0].extensions["timeout"]
    assert {limit.ends_at for limit in limits.values()} == {100.0 + seconds}


def test_time_spent_before_the_request_counts() -> None:
    """A look-up that took longer than the whole call may → ConnectTimeout, and nothing is sent."""
    served: list[httpx.Request] = []
    transport = Deadline(
        httpx.MockTransport(lambda request: served.append(request) or httpx.Response(200)), lambda: 9.0
    )
    with httpx.Client(transport=transport, timeout=5) as client:
        with pytest.raises(httpx.ConnectTimeout):
            client.get("http://a.test", extensions={STARTED_AT: 4.0})
        assert not served
        assert client.get("http://a.test", extensions={STARTED_AT: 5.0}).status_code == 200


class FakeNetwork(httpcore.NetworkBackend):
    """Connecting to each address takes some seconds of the clock, then succeeds or times out."""

    def __init__(self, clock: dict[str, float], takes: dict[str, float]) -> None:
        self.clock, self.takes = clock, takes
        self.waits: list[tuple[str, float]] = []
        self.socket = FakeSocket(clock)

    def connect_tcp(self, host: str, port: int, timeout: float | None = None, *rest: Any) -> httpcore.NetworkStream:
        """Record the limit of the wait, and let it pass."""
        assert timeout is not None
        self.waits.append((host, timeout))
        self.clock["seconds"] += min(timeout, self.takes[host])
        if timeout < self.takes[host]:
            raise httpcore.ConnectTimeout
        return FakeStream(self)


class FakeStream(httpcore.NetworkStream):
    """A connection whose handshake takes no time."""

    def __init__(self, network: FakeNetwork) -> None:
        self.network = network

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        """Record the limit of the wait."""
        assert timeout is not None
        self.network.waits.append(("tls", timeout))
        return self

    def close(self) -> None:
        """Record it."""
        self.network.waits.append(("closed", 0.0))

    def get_extra_info(self, info: str) -> Any:
        """Return the socket."""
        return self.network.socket


class FakeSocket:
    """A socket that takes one byte a second of the clock."""

    def __init__(self, clock: dict[str, float]) -> None:
        self.clock = clock
        self.limits: list[float] = []

    def settimeout(self, seconds: float) -> None:
        """Record the limit of the wait."""
        self.limits.append(seconds)

    def send(self, data: memoryview) -> int:
        """Take one byte."""
        self.clock["seconds"] += 1
        return min(1, len(data))


def connect(
    takes: dict[str, float], *, resolve_seconds: float = 0.0, seconds: float = 5.0, total: float = 10.0
) -> tuple[FakeNetwork, httpcore.NetworkStream | None, Limit, dict[str, float]]:
    """Connect to a host with these addresses; the stream is None when the time was over."""
    clock = {"seconds": 0.0}
    inner = FakeNetwork(clock, takes)

    def resolve(host: str, port: int) -> Iterable[str]:
        clock["seconds"] += resolve_seconds
        return list(takes)

    limit = Limit(seconds, total, lambda: clock["seconds"])
    try:
        return inner, Network(inner, resolve).connect_tcp("a.test", 80, limit), limit, clock
    except httpcore.ConnectTimeout:
        return inner, None, limit, clock


def test_a_look_up_counts() -> None:
    """A name that took seven of ten seconds leaves three; one that took all of them leaves no try."""
    inner, stream, _, _ = connect({"192.0.2.1": 1.0}, resolve_seconds=7.0)
    assert stream is not None and inner.waits == [("192.0.2.1", 3.0)]
    inner, stream, _, _ = connect({"192.0.2.1": 1.0}, resolve_seconds=10.0)
    assert stream is None and inner.waits == []


def test_an_address_that_drops_packets_leaves_time_for_the_next() -> None:
    """Two addresses → the first gets half of the time, the last what is left, all within the call."""
    inner, stream, _, clock = connect({"192.0.2.1": 60.0, "192.0.2.2": 1.0}, seconds=5.0, total=5.0)
    assert stream is not None
    assert inner.waits == [("192.0.2.1", 2.5), ("192.0.2.2", 2.5)]
    inner, stream, _, clock = connect(dict.fromkeys(("192.0.2.1", "192.0.2.2", "192.0.2.3"), 60.0), total=6.0)
    assert stream is None and clock["seconds"] <= 6.0


def test_tls_gets_what_connecting_left() -> None:
    """A connection after four of five seconds → one second for TLS; after all of them the connection is closed."""
    inner, stream, limit, clock = connect({"192.0.2.1": 4.0}, total=5.0)
    assert stream is not None
    stream.start_tls(ssl.create_default_context(), "a.test", limit)
    assert inner.waits[1:] == [("tls", 1.0)]
    clock["seconds"] = 5.0
    with pytest.raises(httpcore.ConnectTimeout):
        stream.start_tls(ssl.create_default_context(), "a.test", limit)
    assert inner.waits[2:] == [("closed", 0.0)]


def test_a_peer_that_reads_a_byte_a_second_gets_what_is_left() -> None:
    """A write in many pieces → each waits for what is left of the call, and the last of the time is WriteTimeout."""
    inner, stream, limit, clock = connect({"192.0.2.1": 1.0}, total=5.0)
    assert stream is not None
    stream.write(b"ab", limit)
    assert (inner.socket.limits, clock["seconds"]) == ([4.0, 3.0], 3.0)
    with pytest.raises(httpcore.WriteTimeout):
        stream.write(b"x" * 100, limit)
    assert (inner.socket.limits[2:], clock["seconds"]) == ([2.0, 1.0], 5.0)


def test_a_name_that_cannot_be_looked_up_is_no_connection() -> None:
    """No such name, and a name that cannot be one → ConnectError, nothing was sent."""
    with http_client() as client:
        for host in ("nothing.invalid", f"{'a' * 63}." * 5 + "invalid"):
            with pytest.raises(httpx.ConnectError):
                client.get(f"http://{host}/")


def test_a_refused_connection_is_no_connection() -> None:
    """Nothing listens at the port → ConnectError."""
    with slow_server(silent) as server:
        url = server.url()
    with http_client() as client, pytest.raises(httpx.ConnectError):
        client.get(url)
