"""The DNS probe against a name server on loopback."""

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rrset
import pytest

from chalicelib.probes import Attempt, Down, UnmeasuredError
from chalicelib.probes import dns as probe
from chalicelib.schedule.probing import Tried

from .conftest import NOW, FixedClients, free_port, result, tried, values

ZONE = {
    ("example.com.", "A"): ("192.0.2.1", "192.0.2.2"),
    ("example.com.", "MX"): ("10 MX1.example.com.", "20 mx2.example.com."),
    ("example.com.", "TXT"): ('"v=spf1 " "-all"', '"other"'),
    ("example.com.", "CAA"): ('0 issue "letsencrypt.org"',),
    ("example.com.", "AAAA"): ("2001:db8::1",),
    ("text.example.com.", "TXT"): ('"say \\"hi\\" \\195\\169"',),
    ("example.com.", "NS"): tuple(f"ns{number}.example.com." for number in range(5)),
}


def answered(data: bytes) -> dns.message.Message:
    """What the zone has for a query."""
    query = dns.message.from_wire(data)
    (question,) = query.question
    reply = dns.message.make_response(query)
    name, record = str(question.name).lower(), question.rdtype.name
    if name == "www.example.com.":
        reply.answer.append(dns.rrset.from_text(name, 60, "IN", "CNAME", "example.com."))
        name = "example.com."
    if (name, record) in ZONE:
        reply.answer.append(dns.rrset.from_text(name, 60, "IN", record, *ZONE[name, record]))
    elif not any(name == each for each, _ in ZONE):
        reply.set_rcode(dns.rcode.NXDOMAIN)
    return reply


@contextmanager
def name_server(reply: Callable[[bytes], bytes | None], port: int = 0) -> Iterator[str]:
    """A name server over UDP; its address."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", port))

        def serve() -> None:
            while (received := server.recvfrom(4096))[0] != b"end":
                if (sent := reply(received[0])) is not None:
                    server.sendto(sent, received[1])

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"127.0.0.1:{server.getsockname()[1]}"
        server.sendto(b"end", server.getsockname())
        thread.join()


@pytest.fixture
def server() -> Iterator[str]:
    """A name server with the zone."""
    with name_server(lambda data: answered(data).to_wire()) as found:
        yield found


def attempted(server: str, **params: Any) -> Tried:
    """One try."""
    return tried(probe, {"name": "apex", "host": "example.com", "server": server, **params}, FixedClients(), kind="dns")


UP: list[dict[str, Any]] = [
    {},
    {"expect": "192.0.2.2"},
    {"expect": ["192.0.2.2", "192.0.2.1"]},
    {"host": "WWW.example.com.", "expect": "192.0.2.1"},
    {"host": "www.example.com", "record": "CNAME", "expect": "example.com"},
    {"record": "mx", "expect": "10 mx1.example.com"},
    {"record": "TXT", "expect": "v=spf1 -all"},
    {"record": "CAA", "expect": "0 issue letsencrypt.org"},
    {"record": "AAAA", "expect": "2001:0DB8:0:0:0:0:0:1"},
    {"host": "text.example.com", "record": "TXT", "expect": 'say "hi" é'},
]


@pytest.mark.parametrize("params", UP)
def test_up(server: str, params: dict[str, Any]) -> None:
    """Given the record with the expected values, in whatever case → up."""
    found = attempted(server, **params)
    assert (values(found)["uptime"], found.events) == (1.0, ())


DOWN = [
    ({"expect": "192.0.2.3"}, "the record A is 192.0.2.1, 192.0.2.2, after "),
    ({"expect": ["192.0.2.1", "192.0.2.3"]}, "the record A is 192.0.2.1, 192.0.2.2, after "),
    ({"record": "SRV"}, "it has no record SRV, after "),
    (
        {"record": "NS", "expect": "ns9.example.com"},
        "the record NS is ns0.example.com., ns1.example.com., ns2.example.com. and 2 more",
    ),
    ({"host": "gone.example.com"}, "the name is not there (NXDOMAIN), after "),
]


@pytest.mark.parametrize(("params", "words"), DOWN)
def test_down(server: str, params: dict[str, Any], words: str) -> None:
    """Given another value, no record or no name → down, with what came."""
    assert result(attempted(server, **params)).startswith(words)


def failing(code: dns.rcode.Rcode) -> Callable[[bytes], bytes]:
    """A name server that answers with a code only."""

    def reply(data: bytes) -> bytes:
        found = dns.message.make_response(dns.message.from_wire(data))
        found.set_rcode(code)
        return found.to_wire()

    return reply


def test_a_name_server_that_fails() -> None:
    """Given SERVFAIL, REFUSED, silence or nothing that listens at the server of the entry → down."""
    with name_server(failing(dns.rcode.SERVFAIL)) as server:
        assert "SERVFAIL" in result(attempted(server))
    with name_server(failing(dns.rcode.REFUSED)) as server:
        assert result(attempted(server)).startswith("the name server answered REFUSED")
    with name_server(lambda data: None) as server:
        assert result(attempted(server, timeout="0.5s")).startswith("the name server did not answer")
    assert result(attempted(f"127.0.0.1:{free_port()}", timeout="0.5s")).startswith("the name server did not answer")


def test_a_resolver_of_this_machine_that_fails_whatever_it_is_asked() -> None:
    """Given SERVFAIL of the machine's resolver for the root too → not measured; for the name alone → down."""

    def broken_name(data: bytes) -> bytes:
        query = dns.message.from_wire(data)
        return failing(dns.rcode.NOERROR if query.question[0].name == dns.name.root else dns.rcode.SERVFAIL)(data)

    for reply, error, words in (
        (failing(dns.rcode.SERVFAIL), UnmeasuredError, "the name server answered SERVFAIL"),
        (broken_name, Down, "its name servers or its signatures are broken"),
    ):
        with name_server(reply) as server:
            host, _, port = server.partition(":")
            attempt = Attempt("dns", {}, FixedClients(), NOW, timedelta(seconds=5))
            query = dns.message.make_query("example.com", "A")
            with pytest.raises(error, match=words):
                asyncio.run(probe.asked(attempt, query, [(host, int(port))], own=False))


def test_a_datagram_that_is_lost(server: str) -> None:
    """Given a first datagram that is lost → asked again, and up."""
    lost: list[bytes] = []

    def reply(data: bytes) -> bytes | None:
        lost.append(data)
        return answered(data).to_wire() if len(lost) > 1 else None

    with name_server(reply) as forgetful:
        assert values(attempted(forgetful, timeout="2s"))["uptime"] == 1.0


def test_an_answer_of_somebody_else() -> None:
    """Given an answer with another id → not taken for an answer."""

    def reply(data: bytes) -> bytes:
        return bytes([data[0] ^ 1]) + answered(data).to_wire()[1:]

    with name_server(reply) as server:
        assert result(attempted(server, timeout="0.5s")).startswith("the name server did not answer")


GARBLED: dict[str, Callable[[bytes], bytes]] = {
    "garbage": lambda data: b"\0\1garbage",
    "another id": lambda data: bytes([data[0] ^ 1]) + answered(data).to_wire()[1:],
    "half": lambda data: answered(data).to_wire()[:20],
    "nothing": lambda data: b"",
}


@pytest.mark.parametrize("name", GARBLED)
def test_a_garbled_answer_is_ignored(name: str) -> None:
    """Given a garbled datagram, late, spoofed or broken, before the right one → up, with one query."""
    asked: list[bytes] = []

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))

        def serve() -> None:
            data, address = server.recvfrom(4096)
            asked.append(data)
            server.sendto(GARBLED[name](data), address)
            server.sendto(answered(data).to_wire(), address)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        found = attempted(f"127.0.0.1:{server.getsockname()[1]}")
        thread.join(5)
    assert values(found)["uptime"] == 1.0
    assert len(asked) == 1


@pytest.mark.parametrize("name", GARBLED)
def test_a_name_server_of_garbled_answers_is_asked_a_few_times(name: str) -> None:
    """Given a name server whose answers are all garbled → down at the limit, after a few queries."""
    asked: list[bytes] = []

    def reply(data: bytes) -> bytes:
        asked.append(data)
        return GARBLED[name](data)

    with name_server(reply) as server:
        found = attempted(server, timeout=0.6)
    assert values(found)["uptime"] == 0.0
    assert len(asked) <= 10


def test_a_name_server_that_fails_at_once_is_asked_a_few_times() -> None:
    """Given a name server that refers to TCP and refuses it at once → down, after a few queries."""
    asked: list[bytes] = []

    def reply(data: bytes) -> bytes:
        asked.append(data)
        found = dns.message.make_response(dns.message.from_wire(data))
        found.flags |= dns.flags.TC
        return found.to_wire()

    with name_server(reply) as server:
        found = attempted(server, timeout=0.6)
    assert values(found)["uptime"] == 0.0
    assert len(asked) <= 10


def test_a_large_answer() -> None:
    """Given an answer that does not fit into a datagram → asked again over TCP."""

    def cut(data: bytes) -> bytes:
        found = dns.message.make_response(dns.message.from_wire(data))
        found.flags |= dns.flags.TC
        return found.to_wire()

    with socket.create_server(("127.0.0.1", 0)) as listener, name_server(cut, listener.getsockname()[1]) as server:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                wire = answered(connection.recv(4096)[2:]).to_wire()
                connection.sendall(len(wire).to_bytes(2, "big") + wire)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        assert values(attempted(server, expect="192.0.2.1"))["uptime"] == 1.0
        thread.join()


def test_a_refused_name_server() -> None:
    """Given the resolver of a cloud's metadata service → refused."""
    (event,) = attempted("169.254.169.253").events
    assert "not probed" in event.summary


MISTAKES = [
    ({"host": None}, "host is missing"),
    ({"host": "a..b"}, "host must be a name"),
    ({"record": "ANY"}, "record must be one of A, AAAA"),
    ({"expect": 5}, "expect must be a text"),
    ({"server": "dns.example.com"}, "server must be an IP address"),
    ({"server": "192.0.2.1:x"}, "server must be an IP address"),
]


@pytest.mark.parametrize(("change", "words"), MISTAKES)
def test_mistakes(change: dict[str, Any], words: str) -> None:
    """Each mistake is named in words."""
    assert words in "; ".join(probe.validate({**probe.SAMPLE, **change}))


@pytest.mark.parametrize("server", ["192.0.2.1", "192.0.2.1:5353", "[2001:db8::1]:53", "2001:db8::1"])
def test_valid(server: str) -> None:
    """A full entry has no mistakes."""
    assert probe.validate({**probe.SAMPLE, "expect": ["x"], "server": server, "host": "bücher.example"}) == []
