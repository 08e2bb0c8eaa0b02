"""One HTTP/1.1 connection that POSTs and reads answers: what AWS's JSON services need, and nothing else.

`http.client` would do, but it loads the whole mail package for its headers, a tenth of a cold start. Certificates are
checked as by default; the context is made once, since reading the certificates takes longer than a call.
"""

import socket
import ssl
from collections.abc import Mapping
from functools import lru_cache
from typing import BinaryIO
from urllib.parse import urlsplit

MAX_ANSWER_BYTES = 32 * 1024 * 1024
"""DynamoDB answers a read of many items with up to 16 MB, and base64 makes a third more of it."""
MAX_LINE_BYTES = 64 * 1024
MAX_HEADER_LINES = 100
_PORTS = {"http": 80, "https": 443}
_ENDED = (BrokenPipeError, ConnectionResetError, ConnectionAbortedError, ssl.SSLEOFError, ssl.SSLZeroReturnError)
"""What a connection raises that the other side has ended; with TLS the last two stand for the first three."""


class WireError(OSError):
    """The other side did not speak HTTP as it should, or answered too much."""


class DeadConnectionError(WireError):
    """The connection ended before the first byte of an answer."""


@lru_cache(maxsize=1)
def _context() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    return context


class Connection:
    """Opened at once; `timeout_seconds` limits each wait. `reusable` turns false when the other side hangs up."""

    def __init__(self, url: str, timeout_seconds: float, *, context: ssl.SSLContext | None = None) -> None:
        parts = urlsplit(url)
        name = parts.hostname or ""
        plain = socket.create_connection((name, parts.port or _PORTS[parts.scheme]), timeout=timeout_seconds)
        try:
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            secure = parts.scheme == "https"
            self._socket = (context or _context()).wrap_socket(plain, server_hostname=name) if secure else plain
        except OSError:
            plain.close()
            raise
        self._reader: BinaryIO = self._socket.makefile("rb")
        self._path = parts.path or "/"
        self.reusable = True

    def close(self) -> None:
        """Close the connection."""
        self.reusable = False
        self._reader.close()
        self._socket.close()

    def post(self, headers: Mapping[str, str], body: bytes) -> tuple[int, bytes]:
        """Return status and body of the answer; raises OSError, of which DeadConnectionError is one, when there is none."""
        lines = [f"POST {self._path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
        lines += [f"Content-Length: {len(body)}", "", ""]
        try:
            self._socket.sendall("\r\n".join(lines).encode("latin-1") + body)
            status_line = self._line()
        except _ENDED as error:
            raise DeadConnectionError(str(error)) from None
        if not status_line:
            raise DeadConnectionError("closed without an answer")
        status = _status(status_line)
        found = self._headers()
        while 100 <= status < 200:
            status = _status(self._line())
            found = self._headers()
        answer = self._body(status, found)
        if "close" in found.get("connection", "").lower() or status_line.startswith(b"HTTP/1.0"):
            self.reusable = False
        return status, answer

    def _line(self) -> bytes:
        line = self._reader.readline(MAX_LINE_BYTES)
        if line and not line.endswith(b"\n"):
            raise WireError("a line of the answer is too long or cut off")
        return line

    def _headers(self) -> dict[str, str]:
        found: dict[str, str] = {}
        for _ in range(MAX_HEADER_LINES):
            line = self._line().decode("latin-1").rstrip("\r\n")
            if not line:
                return found
            name, _, value = line.partition(":")
            found[name.strip().lower()] = value.strip()
        raise WireError("the answer has too many headers")

    def _body(self, status: int, headers: Mapping[str, str]) -> bytes:
        if status in (204, 304):
            return b""
        if "chunked" in headers.get("transfer-encoding", "").lower():
            return self._chunks()
        if "content-length" in headers:
            return self._exactly(_number(headers["content-length"], 10))
        self.reusable = False
        return self._checked(self._reader.read(MAX_ANSWER_BYTES + 1))

    def _chunks(self) -> bytes:
        body = b""
        while size := _number(self._line().partition(b";")[0].decode("latin-1"), 16):
            body = self._checked(body + self._exactly(size))
            self._line()
        self._headers()
        return body

    def _exactly(self, size: int) -> bytes:
        if size > MAX_ANSWER_BYTES:
            raise WireError(f"the answer has over {MAX_ANSWER_BYTES} bytes")
        data = self._reader.read(size)
        if len(data) != size:
            raise WireError("the answer is cut off")
        return data

    def _checked(self, body: bytes) -> bytes:
        if len(body) > MAX_ANSWER_BYTES:
            raise WireError(f"the answer has over {MAX_ANSWER_BYTES} bytes")
        return body


def _status(line: bytes) -> int:
    parts = line.split(None, 2)
    if len(parts) < 2 or not parts[0].startswith(b"HTTP/1.") or not parts[1].isdigit():
        raise WireError("the answer is not HTTP")
    return int(parts[1])


def _number(text: str, base: int) -> int:
    try:
        number = int(text.strip(), base)
    except ValueError:
        raise WireError("the answer does not say how long it is") from None
    if number < 0:
        raise WireError("the answer does not say how long it is")
    return number
