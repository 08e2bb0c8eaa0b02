"""Answers as servers really write them, and as they should not."""

import socket
import ssl
import struct
import threading
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest

from chalicelib.aws.http1 import Connection, DeadConnectionError, WireError
from tests.certificates import certified


@contextmanager
def answering(*answers):
    """A server that gives each request of its one connection the next of these bytes, then hangs up."""
    requests = []
    listener = socket.create_server(("127.0.0.1", 0))

    def serve():
        """One connection."""
        conversation, _ = listener.accept()
        with conversation, conversation.makefile("rb") as reader:
            for answer in answers:
                head = b"".join(iter(reader.readline, b"\r\n"))
                size = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
                requests.append((head, reader.read(size)))
                conversation.sendall(answer)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    connection = Connection(f"http://127.0.0.1:{listener.getsockname()[1]}", 2.0)
    try:
        yield connection, requests
    finally:
        connection.close()
        thread.join(2)
        listener.close()


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
ANSWERS = [
    ("a length", OK, 200, b"{}", True),
    ("names in any case", b"HTTP/1.1 200 OK\r\ncontent-LENGTH:2\r\n\r\n{}", 200, b"{}", True),
    ("no reason", b"HTTP/1.1 400\r\nContent-Length: 0\r\n\r\n", 400, b"", True),
    ("chunks", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\nA\r\n0123456789\r\n0\r\n\r\n",
     200, b"abc0123456789", True),
    ("a trailer", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX: y\r\n\r\n", 200, b"a", True),
    ("until the end", b"HTTP/1.1 200 OK\r\n\r\nabc", 200, b"abc", False),
    ("a closing one", b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\na", 200, b"a", False),
    ("an old server", b"HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\na", 200, b"a", False),
    ("interim answers", b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nLink: x\r\n\r\n" + OK, 200, b"{}", True),
    ("no content", b"HTTP/1.1 204 No Content\r\n\r\n", 204, b"", True),
]  # fmt: skip


@pytest.mark.parametrize(
    ("answer", "status", "body", "reusable"), [row[1:] for row in ANSWERS], ids=[r[0] for r in ANSWERS]
)
def test_reads_an_answer(answer, status, body, reusable):
    """Status, body, and whether the connection can be kept."""
    with answering(answer) as (connection, requests):
        assert connection.post({"Host": "h"}, b"question") == (status, body)
        assert connection.reusable is reusable
    assert requests[0][0].startswith(b"POST / HTTP/1.1\r\nHost: h\r\n")
    assert requests[0][1] == b"question"


GARBLED = [
    b"SSH-2.0-OpenSSH\r\n",
    b"HTTP/1.1 OK\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort",
    b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200 + b"\r\n",
    b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100_000 + b"\r\n\r\n",
    b"HTTP/1.1 200",
]


@pytest.mark.parametrize("answer", GARBLED)
def test_garbled_answers_are_errors(answer):
    """What is not HTTP, is cut off or too much raises an OSError and never hangs or passes for an answer."""
    with answering(answer) as (connection, _), pytest.raises(WireError):
        connection.post({}, b"")


def test_a_connection_that_ends_without_an_answer_is_dead():
    """Only this may be tried again: nothing was answered."""
    with answering(OK) as (connection, _):
        assert connection.post({}, b"") == (200, b"{}")
        with pytest.raises(DeadConnectionError):
            connection.post({}, b"")


def test_several_requests_use_one_connection():
    """Answers do not run into one another."""
    with answering(OK, ANSWERS[3][1], OK) as (connection, requests):
        assert [connection.post({}, b"x" * n)[1] for n in range(3)] == [b"{}", b"abc0123456789", b"{}"]
    assert [body for _, body in requests] == [b"", b"x", b"xx"]


def dropped(conversation):
    """End the connection and nothing else."""
    conversation.close()


def reset(conversation):
    """Reset the connection, as a load balancer does with one that idled too long."""
    conversation.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    conversation.close()


@contextmanager
def ending(folder, version, end):
    """A connection with TLS whose server answers one request and then ends it; `ended` waits until it has."""
    context, trust = certified(folder, datetime.now(UTC) + timedelta(days=1))
    context.maximum_version = version
    listener, over = socket.create_server(("127.0.0.1", 0)), threading.Event()

    def serve():
        conversation = context.wrap_socket(listener.accept()[0], server_side=True)
        read = b""
        while not read.endswith(b"question"):
            read += conversation.recv(65_536)
        conversation.sendall(OK)
        over.wait(10)
        end(conversation)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    connection = Connection(f"https://localhost:{listener.getsockname()[1]}", 10.0, context=trust)

    def ended():
        over.set()
        thread.join(10)

    try:
        yield connection, ended
    finally:
        ended()
        connection.close()
        listener.close()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("end", [dropped, reset])
def test_a_kept_connection_with_tls_that_ended_is_dead(tmp_path, version, end):
    """Given a kept connection that the other side dropped or reset, when the next request is sent → it may be sent again."""
    with ending(tmp_path, version, end) as (connection, ended):
        assert connection.post({}, b"question") == (200, b"{}")
        ended()
        with pytest.raises(DeadConnectionError):
            connection.post({}, b"question")
