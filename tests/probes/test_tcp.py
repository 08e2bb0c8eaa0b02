"""The TCP probe against servers on loopback that greet, are silent, hang up, or are not there."""

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from chalicelib.probes import tcp
from chalicelib.schedule.probing import Tried
from tests.certificates import certified
from tests.slow_server import Connection, slow_server

from .conftest import FixedClients, free_port, result, tried, values


def attempted(port: int, secrets: dict[str, str] | None = None, **params: Any) -> Tried:
    """One try."""
    entry = {"name": "mail", "host": "localhost", "port": port, **params}
    return tried(tcp, entry, FixedClients(secrets or {}), kind="tcp")


def test_a_port_that_takes_connections() -> None:
    """Given a server that takes the connection and is silent → up, with the time it took."""
    with slow_server(Connection.stall) as server:
        found = values(attempted(server.port))
    assert found.keys() == {"uptime", "latency_ms"} and found["uptime"] == 1.0


def test_the_text() -> None:
    """Given a greeting in pieces → up when it has the text, down when it has another one."""
    with slow_server(lambda connection: connection.trickle(b"220 mail ESMTP\r\n" * 600, 0.001)) as server:
        assert values(attempted(server.port, text="mail ESMTP"))["uptime"] == 1.0
        assert result(attempted(server.port, text="554 ", timeout="10s")).startswith("another text came, after ")


def test_no_text() -> None:
    """Given a server that hangs up, or says nothing within the time limit → down."""
    with slow_server(lambda connection: None) as server:
        assert result(attempted(server.port, text="220")).startswith("the connection was closed without a text, after ")
    with slow_server(Connection.stall) as server:
        late = attempted(server.port, text="220", timeout="0.2s")
    assert result(late).startswith("no whole answer within 0.2 s while waiting for text, after ")
    assert late.samples[-1].observed["expected"] == "a connection and the text '220'"


def test_nothing_listens() -> None:
    """Given a port that refuses → down; given a metadata address → refused."""
    assert result(attempted(free_port())).startswith("no connection: it was refused, after ")
    (event,) = attempted(80, host="169.254.169.254").events
    assert "not probed" in event.summary


def test_tls(tmp_path: Path) -> None:
    """Given a certificate of an own authority → up with `ca` and its days left, down without."""
    context, _ = certified(tmp_path, datetime.now(UTC) + timedelta(days=10))

    def talk(connection: Connection) -> None:
        with context.wrap_socket(connection.socket, server_side=True) as secured:
            secured.sendall(b"* OK IMAP\r\n")

    def quietly(connection: Connection) -> None:
        try:
            talk(connection)
        except ssl.SSLError:
            return

    secrets = {"CA": (tmp_path / "certificate.pem").read_text()}
    with slow_server(quietly) as server:
        found = values(attempted(server.port, secrets, tls=True, ca="CA", text="* OK"))
        assert result(attempted(server.port, tls=True)).startswith("the certificate is refused")
    assert found["uptime"] == 1.0 and "tls_days_left" in found


MISTAKES = [
    ({"port": None}, "port is missing"),
    ({"port": "25"}, "port must be a number from 1 to 65535"),
    ({"port": 70000}, "port must be a number from 1 to 65535"),
    ({"host": "tcp://x"}, "host must be a name or an IP address"),
    ({"tls": "yes"}, "tls must be true or false"),
    ({"ca": "CA"}, "ca is for TLS"),
    ({"send": "x"}, "send is unknown"),
]


@pytest.mark.parametrize(("change", "words"), MISTAKES)
def test_mistakes(change: dict[str, Any], words: str) -> None:
    """Each mistake is named in words."""
    assert words in "; ".join(tcp.validate({**tcp.SAMPLE, **change}))


def test_valid() -> None:
    """A full entry has no mistakes."""
    assert tcp.validate({**tcp.SAMPLE, "text": "220", "tls": True, "ca": "CA", "timeout": "3s"}) == []
