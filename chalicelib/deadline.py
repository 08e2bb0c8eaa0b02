"""One time limit for a whole HTTP call: name, connection, TLS, request, head and body of the answer.

httpx limits each wait, so a peer that sends one byte a second can hold a call as long as it likes. `Deadline` gives
each call one end. It hands httpcore limits that know this end (`Limit`), and `Network` asks before each wait how much
time is left. No thread, no signal: every wait is a wait of the socket itself.

The look-up of a name cannot be interrupted; its time counts. ConnectTimeout means that nothing was sent; WriteTimeout
and ReadTimeout mean that the peer may have the request. https://www.encode.io/httpcore/network-backends/
"""

import socket
import ssl
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import httpcore
import httpx

TOTAL_SECONDS = 10.0
"""Of a call that asks for no time of its own."""
STARTED_AT = "started_at"
"""The extension of a request whose time began before it, at a look-up for example: a time of the deadline's clock."""
MAX_CONNECTIONS = 100
MAX_IDLE_CONNECTIONS = 20
IDLE_SECONDS = 5.0

_STEPS = ("connect", "read", "write", "pool")

Clock = Callable[[], float]
Resolve = Callable[[str, int], Iterable[str]]


class Limit(float):
    """Seconds for one wait of a call that ends at `ends_at` on the clock."""

    ends_at: float
    clock: Clock

    def __new__(cls, seconds: float, ends_at: float, clock: Clock) -> "Limit":
        """Return the number with its end."""
        found = super().__new__(cls, seconds)
        found.ends_at, found.clock = ends_at, clock
        return found

    @property
    def left(self) -> float:
        """Return the seconds that the next wait may take; not above 0 once the call has ended."""
        return min(float(self), self.ends_at - self.clock())


class Deadline(httpx.BaseTransport):
    """Ends each call of a client after the time that its request asks for, else after TOTAL_SECONDS.

    The time of the request is its limit for reading. A redirect that httpx follows belongs to the same call.
    """

    def __init__(self, inner: httpx.BaseTransport, clock: Clock = time.monotonic) -> None:
        self._inner = inner
        self._clock = clock

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Return the answer. Raise a time-out of httpx when it, or reading it, takes longer than the call may."""
        limits = self._limits(request)
        if limits["read"].left <= 0:
            raise httpx.ConnectTimeout("the time of the call was over before it began", request=request)
        request.extensions = {**request.extensions, "timeout": limits}
        response = self._inner.handle_request(request)
        assert isinstance(response.stream, httpx.SyncByteStream)
        response.stream = _Timed(response.stream, limits["read"], request)
        return response

    def close(self) -> None:
        """Close the connections."""
        self._inner.close()

    def _limits(self, request: httpx.Request) -> dict[str, Limit]:
        asked = request.extensions.get("timeout", {})
        if isinstance(asked.get("read"), Limit):
            return dict(asked)
        total = asked.get("read") or TOTAL_SECONDS
        ends_at = request.extensions.get(STARTED_AT, self._clock()) + total
        return {step: Limit(asked.get(step) or total, ends_at, self._clock) for step in _STEPS}


class _Timed(httpx.SyncByteStream):
    """A body that ends with the call, over any transport."""

    def __init__(self, inner: httpx.SyncByteStream, limit: Limit, request: httpx.Request) -> None:
        self._inner = inner
        self._limit = limit
        self._request = request

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self._inner:
            if self._limit.left < 0:
                raise httpx.ReadTimeout("the answer took too long as a whole", request=self._request)
            yield chunk

    def close(self) -> None:
        self._inner.close()


class NetworkTransport(httpx.HTTPTransport):
    """httpx's transport over `Network`: no retries, no proxies, HTTP/1.1.

    httpx takes no network of one's own, so its pool is replaced by an equal one that does. `context` says which
    certificates are trusted; without it those of certifi.
    """

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        context = context or httpx.create_ssl_context(trust_env=False)
        super().__init__(verify=context, trust_env=False)
        self._pool = httpcore.ConnectionPool(
            ssl_context=context,
            max_connections=MAX_CONNECTIONS,
            max_keepalive_connections=MAX_IDLE_CONNECTIONS,
            keepalive_expiry=IDLE_SECONDS,
            network_backend=Network(),
        )


def addresses_of(host: str, port: int) -> list[str]:
    """Return the IP addresses of a host in the resolver's order. Raise OSError when it has none."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except UnicodeError:
        raise OSError("the host name is not valid") from None
    return list(dict.fromkeys(str(each[4][0]) for each in found))


class Network(httpcore.NetworkBackend):
    """TCP connections whose every wait ends with the call.

    Where a host has several addresses, each but the last gets half of the time that is left, so that one address
    that drops packets leaves time for the next.
    """

    def __init__(self, inner: httpcore.NetworkBackend | None = None, resolve: Resolve = addresses_of) -> None:
        self._inner = inner or httpcore.SyncBackend()
        self._resolve = resolve

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        """Return a connection to the first address that takes one. Raise ConnectTimeout or ConnectError."""
        waiting = self._addresses(host, port)
        while waiting:
            address = waiting.pop(0)
            seconds = _left(timeout, httpcore.ConnectTimeout)
            share = seconds / 2 if waiting and seconds is not None else seconds
            try:
                return _Stream(self._inner.connect_tcp(address, port, share, local_address, socket_options))
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                if not waiting:
                    raise
        raise httpcore.ConnectError("the host name has no address")

    def _addresses(self, host: str, port: int) -> list[str]:
        try:
            return list(self._resolve(host, port))
        except OSError as error:
            raise httpcore.ConnectError(str(error)) from error


class _Stream(httpcore.NetworkStream):
    """A connection whose every wait ends with the call."""

    def __init__(self, inner: httpcore.NetworkStream) -> None:
        self._inner = inner

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._inner.read(max_bytes, _left(timeout, httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        # The inner stream gives each piece that the socket takes the whole time, so the socket is used itself.
        found: socket.socket = self._inner.get_extra_info("socket")
        rest = memoryview(buffer)
        while rest:
            found.settimeout(_left(timeout, httpcore.WriteTimeout))
            try:
                rest = rest[found.send(rest) :]
            except TimeoutError as error:
                raise httpcore.WriteTimeout(str(error)) from error
            except OSError as error:
                raise httpcore.WriteError(str(error)) from error

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        # The handshake is one wait for Python: its time limit is for all of it.
        try:
            seconds = _left(timeout, httpcore.ConnectTimeout)
        except httpcore.ConnectTimeout:
            self.close()
            raise
        return _Stream(self._inner.start_tls(ssl_context, server_hostname, seconds))

    def close(self) -> None:
        self._inner.close()

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)


def _left(timeout: float | None, over: type[httpcore.TimeoutException]) -> float | None:
    """Return how long the next wait may take; raise `over` when the call has ended."""
    if not isinstance(timeout, Limit):
        return timeout
    seconds = timeout.left
    if seconds <= 0:
        raise over("the call took too long as a whole")
    return seconds
