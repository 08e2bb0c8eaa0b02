"""One exchange over HTTP/2, on a connection whose TLS has agreed to it. https://www.rfc-editor.org/rfc/rfc9113"""

from collections.abc import AsyncIterator, Callable
from typing import Any

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    ResponseReceived,
    StreamEnded,
    StreamReset,
)
from h2.exceptions import ProtocolError

from chalicelib.probes._attempt import Attempt, Connection
from chalicelib.probes._errors import Down

Headers = list[tuple[bytes, bytes]]
_CHUNK = 65_536
_STREAM = 1
_HOP_BY_HOP = frozenset({b"host", b"connection", b"transfer-encoding", b"keep-alive", b"upgrade", b"proxy-connection"})


async def exchange(
    attempt: Attempt,
    connection: Connection,
    request: tuple[str, bytes, bytes, Headers, bytes | None],
    taker: Callable[[Headers], Callable[[bytes], None]],
) -> int:
    """Return the status of an answer that was read whole.

    `request` is method, authority, path, headers and body. `taker` is given the headers of the answer and returns what
    takes the pieces of its body.
    """
    method, authority, path, headers, body = request
    protocol = H2Connection(H2Configuration(client_side=True, header_encoding=None))
    try:
        protocol.initiate_connection()
        pseudo = [(b":method", method.encode()), (b":authority", authority), (b":scheme", b"https"), (b":path", path)]
        plain = [(name.lower(), value) for name, value in headers if name.lower() not in _HOP_BY_HOP]
        protocol.send_headers(_STREAM, pseudo + plain, end_stream=not body)
        events = _events(connection, protocol, body or b"")
        with attempt.step("first byte"):
            head = await _head(events)
        with attempt.step("body"):
            await _body(events, taker([(name, value) for name, value in head if not name.startswith(b":")]))
    except ProtocolError:
        raise Down("the answer is not HTTP/2") from None
    return _status(dict(head).get(b":status", b""))


def _status(text: bytes) -> int:
    if not text.isdigit() or len(text) != 3:
        raise Down("the answer is not HTTP/2")
    return int(text)


async def _head(events: AsyncIterator[Event]) -> Headers:
    async for event in events:
        if isinstance(event, ResponseReceived):
            return [(bytes(name), bytes(value)) for name, value in event.headers or ()]
    raise Down("the answer ended before it was whole")


async def _body(events: AsyncIterator[Event], take: Callable[[bytes], None]) -> None:
    async for event in events:
        if isinstance(event, DataReceived):
            take(event.data or b"")
        elif isinstance(event, StreamEnded):
            return
    raise Down("the answer ended before it was whole")


async def _events(connection: Connection, protocol: H2Connection, body: bytes) -> AsyncIterator[Event]:
    """Send what is to be sent, and return what comes, until the connection ends. Raise Down when the stream is reset."""
    rest = body
    while True:
        rest = _sent(protocol, rest) if rest else rest
        connection.writer.write(protocol.data_to_send())
        await connection.writer.drain()
        data = await connection.reader.read(_CHUNK)
        if not data:
            return
        for event in protocol.receive_data(data):
            _judged(event)
            if isinstance(event, DataReceived):
                protocol.acknowledge_received_data(event.flow_controlled_length or 0, _STREAM)
            yield event


def _sent(protocol: H2Connection, rest: bytes) -> bytes:
    """Send as much of a body as the other side takes now. Return what is left."""
    while rest:
        size = min(protocol.local_flow_control_window(_STREAM), protocol.max_outbound_frame_size, len(rest))
        if size <= 0:
            return rest
        protocol.send_data(_STREAM, rest[:size], end_stream=size == len(rest))
        rest = rest[size:]
    return rest


def _judged(event: Any) -> None:
    if isinstance(event, StreamReset):
        raise Down(f"the server reset the stream (HTTP/2 error {int(event.error_code or 0)})")
    if isinstance(event, ConnectionTerminated) and event.error_code:
        raise Down(f"the server ended the connection (HTTP/2 error {int(event.error_code)})")
