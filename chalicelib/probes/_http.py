"""One HTTP request of a probe: to the address that was checked, read to its end, with bounded memory.

The answer counts when it was read whole: its head, its body as long as it says, and its compression without a fault. Of the
body only the first bytes are kept, and of what is compressed no more than MAX_DECODED_BYTES is unpacked, so that neither
a large answer nor a small one that unpacks to gigabytes takes the memory of the others.
https://h11.readthedocs.io/  https://www.rfc-editor.org/rfc/rfc9112
"""

import json
import re
import ssl
import zlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import h11
import httpx

from chalicelib.core.errors import RulesError
from chalicelib.probes import _http2
from chalicelib.probes._attempt import Attempt, Connection
from chalicelib.probes._errors import Down, UnmeasuredError
from chalicelib.probes._origin import origin_of, sent_bytes
from chalicelib.probes._tls import connected
from chalicelib.probes._trust import trusting

MAX_BODY_BYTES = 1_000_000
MAX_DECODED_BYTES = 16_000_000
MAX_HEAD_BYTES = 100_000
_CHUNK = 65_536

_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER_VALUE = re.compile(r"(?:[^\x00-\x20\x7f](?:[^\x00-\x08\x0a-\x1f\x7f]*[^\x00-\x20\x7f])?)?")
_FRAMING = frozenset({"content-length", "transfer-encoding", "te", "trailer", "upgrade", "keep-alive", "expect"})
"""Headers that say how a message is sent, which follows from `body` and `http2`."""
_HALF = re.compile(r"[\ud800-\udfff]")
_NOT_ASCII = re.compile(rb"[^\x21-\x7e]")


@dataclass(frozen=True, slots=True)
class Question:
    """A request to make. `keeps`: how many bytes of the body are kept; `is_watched`: whose certificates are measured."""

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    keeps: int = MAX_BODY_BYTES
    trust: ssl.SSLContext | None = None
    is_watched: bool = True


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer that was read whole. `body` is its beginning, unpacked; `is_cut`: there was more of it."""

    status: int
    headers: httpx.Headers
    body: bytes
    is_cut: bool = False

    @property
    def text(self) -> str:
        """Return the body as text, in the charset that the answer names where there is such a one."""
        named = re.search(r"charset=\"?([^\s;\"]+)", self.headers.get("content-type", ""), re.IGNORECASE)
        try:
            return self.body.decode(named[1] if named else "utf-8", "replace")
        except (LookupError, ValueError):
            return self.body.decode("utf-8", "replace")

    @property
    def json(self) -> Any:
        """Return the body as a JSON value. Raise Down when it is none, UnmeasuredError when not all of it was kept."""
        if self.is_cut:
            limit = f"{len(self.body):,} bytes"
            raise UnmeasuredError(f"the answer is over {limit}, so that its JSON is not read", final=True)
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            raise Down("the answer is not JSON") from None


def header_mistake(name: str, value: str) -> str:
    """Return what is wrong with a header; empty when it can be sent."""
    if _HALF.search(value):
        return f"the value of {name} has half a character (a surrogate); allowed is plain text"
    if not _HEADER_NAME.fullmatch(name):
        return f"{name[:40]!r} is not a name of a header; allowed are letters, digits and -"
    if name.lower() in _FRAMING:
        return f"{name} is set by the probe itself; allowed are headers that frame no message"
    if not _HEADER_VALUE.fullmatch(value):
        return f"the value of {name} has a line break, a control character or a space at an end; allowed is plain text"
    return ""


def sendable(name: str, value: str, secrets: tuple[str, ...]) -> str:
    """Return a header's value with its secrets filled in. Raise RulesError, which names them, when it cannot be sent."""
    mistake = header_mistake(name, value)
    if mistake and secrets and name.lower() not in _FRAMING:
        raise RulesError(
            f"the header {name} cannot be sent: the secret {', '.join(secrets)} has a line break, a control character "
            "or a space at an end; allowed is plain text"
        )
    if mistake:
        raise RulesError(f"the header {name} cannot be sent: {mistake}")
    return value


def parsed(url: str) -> httpx.URL:
    """Return an address as it is asked for. Raise Down when it is no web address."""
    try:
        found = httpx.URL(url)
        # `host` is decoded, and `port` checked, only when they are read.
        if found.scheme in ("http", "https") and found.host and found.port != 0 and origin_of(str(found)):
            return found
    except (httpx.InvalidURL, ValueError, TypeError):
        pass
    raise Down("the address is not a web address")


def place_in(headers: httpx.Headers) -> str:
    """Return the address that a redirect names, with bytes that are not ASCII percent-encoded as browsers do."""
    named: bytes = headers.get("location", "").encode(headers.encoding).strip()
    host, slash, path = named.rpartition(b"://")
    authority, slashes, rest = path.partition(b"/") if slash else (b"", b"", path)
    encoded = _NOT_ASCII.sub(lambda found: b"%%%02X" % found[0][0], rest)
    return (host + slash + authority + slashes).decode("utf-8", "replace") + encoded.decode()


async def ask(attempt: Attempt, question: Question) -> Answer:
    """Return the answer to a request, read whole. Raise Down when there is none; the time limit is the attempt's."""
    url = parsed(question.url)
    connection = await _connected(attempt, question, url)
    if connection.tls is not None and connection.tls.selected_alpn_protocol() == "h2":
        return await _over_http2(attempt, connection, question, url)
    protocol = h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_HEAD_BYTES)
    try:
        with attempt.step("first byte"):
            await _send(connection, protocol, _request(question, url), question.body)
            head = await _head(connection, protocol)
        answer = await _body(attempt, connection, protocol, head, question.keeps)
    except h11.RemoteProtocolError:
        ended = connection.reader.at_eof()
        raise Down(f"the answer {'ended before it was whole' if ended else 'is not HTTP'}") from None
    except ssl.SSLError:
        raise Down("the TLS connection broke") from None
    except OSError:
        raise Down("the connection was closed before the answer was whole") from None
    connection.writer.transport.abort()
    return answer


async def _over_http2(attempt: Attempt, connection: Connection, question: Question, url: httpx.URL) -> Answer:
    found: list[tuple[httpx.Headers, Unpacked]] = []

    def taker(headers: _http2.Headers) -> Callable[[bytes], None]:
        read = httpx.Headers(headers, encoding="latin-1")
        unpacked = Unpacked(read.get("content-encoding", ""), question.keeps)
        found.append((read, unpacked))
        return unpacked.feed

    host, headers = _headers(question, url)
    sent = [(name.encode(), sent_bytes(value)) for name, value in headers]
    try:
        status = await _http2.exchange(
            attempt, connection, (question.method, host.encode(), url.raw_path, sent, question.body), taker
        )
    except OSError:
        raise Down("the connection was closed before the answer was whole") from None
    ((read, unpacked),) = found
    return Answer(status, read, unpacked.ended(), unpacked.is_cut)


async def _connected(attempt: Attempt, question: Question, url: httpx.URL) -> Connection:
    host, secure = url.raw_host.decode("ascii"), url.scheme == "https"
    port = url.port or (443 if secure else 80)
    trust = (question.trust or trusting()) if secure else None
    return await connected(attempt, host, port, trust, is_watched=question.is_watched)


def _headers(question: Question, url: httpx.URL) -> tuple[str, list[tuple[str, str]]]:
    """Return the host and the other headers of a request."""
    given = {"User-Agent": "Tocsin", "Accept": "*/*", "Accept-Encoding": "gzip, deflate"}
    if question.body is not None:
        given["Content-Length"] = str(len(question.body))
    names = {name.lower() for name in question.headers}
    headers = [(name, value) for name, value in given.items() if name.lower() not in names]
    headers += [(name, value) for name, value in question.headers.items() if name.lower() not in ("host", "connection")]
    host = next((value for name, value in question.headers.items() if name.lower() == "host"), url.netloc.decode())
    return host, headers


def _request(question: Question, url: httpx.URL) -> h11.Request:
    host, headers = _headers(question, url)
    encoded = [
        (name.encode(), sent_bytes(value)) for name, value in (("Host", host), *headers, ("Connection", "close"))
    ]
    return h11.Request(method=question.method, target=url.raw_path, headers=encoded)


async def _send(connection: Connection, protocol: h11.Connection, request: h11.Request, body: bytes | None) -> None:
    """Send a request. A server that answers and closes before it has read all of it is read all the same."""
    connection.writer.write(protocol.send(request) or b"")
    if body:
        connection.writer.write(protocol.send(h11.Data(data=body)) or b"")
    connection.writer.write(protocol.send(h11.EndOfMessage()) or b"")
    with suppress(OSError):
        await connection.writer.drain()


async def _head(connection: Connection, protocol: h11.Connection) -> h11.Response:
    while True:
        event = await _event(connection, protocol)
        if isinstance(event, h11.Response):
            return event
        if not isinstance(event, h11.InformationalResponse):
            raise h11.RemoteProtocolError("no answer")


async def _event(connection: Connection, protocol: h11.Connection) -> Any:
    while (event := protocol.next_event()) is h11.NEED_DATA:
        protocol.receive_data(await connection.reader.read(_CHUNK))
    return event


async def _body(
    attempt: Attempt, connection: Connection, protocol: h11.Connection, head: h11.Response, keeps: int
) -> Answer:
    headers = httpx.Headers(head.headers.raw_items(), encoding="latin-1")
    unpacked = Unpacked(headers.get("content-encoding", ""), keeps)
    event = protocol.next_event()
    if not isinstance(event, h11.EndOfMessage):
        with attempt.step("body"):
            event = event if isinstance(event, h11.Data) else await _event(connection, protocol)
            while isinstance(event, h11.Data):
                unpacked.feed(bytes(event.data))
                event = await _event(connection, protocol)
    if not isinstance(event, h11.EndOfMessage):
        raise h11.RemoteProtocolError("peer closed")
    return Answer(head.status_code, headers, unpacked.ended(), unpacked.is_cut)


class Unpacked:
    """The beginning of a body, unpacked piece by piece. Raise Down when its compression is broken or cut off."""

    def __init__(self, encoding: str, keeps: int) -> None:
        self._kept = bytearray()
        self._keeps = keeps
        self._size = 0
        self._fed = False
        self._kind = encoding.strip().lower()
        self._inner = self._new(zlib.MAX_WBITS)

    def _new(self, bits: int) -> Any:
        if self._kind in ("gzip", "x-gzip"):
            return zlib.decompressobj(zlib.MAX_WBITS | 16)
        return zlib.decompressobj(bits) if self._kind == "deflate" else None

    def feed(self, data: bytes) -> None:
        """Take the next piece as it came."""
        if self._inner is None:
            self._keep(data)
        else:
            try:
                self._unpack(data)
            except zlib.error:
                raise Down(f"the answer is not valid {self._kind}") from None
        self._fed = True

    def _unpack(self, data: bytes) -> None:
        if not self._fed and self._kind == "deflate" and data[:1] and data[0] & 0x0F != 8:
            self._inner = self._new(-zlib.MAX_WBITS)  # Without the head of zlib, as some servers send it.
        while data and self._size < MAX_DECODED_BYTES:
            if self._inner.eof:
                data = data.lstrip(b"\0")  # Padding, which also gzip itself takes.
                self._inner = self._new(zlib.MAX_WBITS) if data else self._inner
            if not data:
                return
            self._keep(self._inner.decompress(data, _CHUNK))
            data = self._inner.unconsumed_tail or (self._inner.unused_data if self._kind != "deflate" else b"")

    def _keep(self, data: bytes) -> None:
        self._size += len(data)
        self._kept += data[: max(0, self._keeps - len(self._kept))]

    @property
    def is_cut(self) -> bool:
        """Return whether there was more than is kept."""
        return self._size > len(self._kept)

    def ended(self) -> bytes:
        """Return what is kept, at the end of the body."""
        if self._inner is not None and self._fed and not self._inner.eof and self._size < MAX_DECODED_BYTES:
            raise Down("the compressed answer ended before it was whole")
        return bytes(self._kept)
