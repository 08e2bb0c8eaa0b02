"""A TCP port: whether something takes a connection, and greets as expected. For what speaks no HTTP: mail, SSH, a broker.

    - name: mail
      host: mail.example.com
      port: 25
      text: "220 "           # what the server sends first must have this text; else the connection is enough
      tls: true              # with TLS from the first byte, its certificate checked
      ca: INTERNAL_CA        # with TLS: the name of the secret with the certificate (PEM) of an authority of your own
      timeout: 5s

Samples: `uptime`, `latency_ms` (connection, TLS and the text, where it is expected), and with TLS `tls_days_left`, below
zero once a certificate has ended. Every
address of the host is tried. Nothing is sent. Of what the server sends the first MAX_TEXT_BYTES are looked at.
https://www.rfc-editor.org/rfc/rfc9293
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from chalicelib.probes import Attempt, Connection, Down, common_mistakes
from chalicelib.probes._address import host_mistake, secret_name_mistakes
from chalicelib.probes._tls import connected
from chalicelib.probes._trust import authority, trusting

MEANING = "TCP ports that take connections."
SAMPLE = {"name": "mail", "host": "mail.example.com", "port": 25}
PLACE = 8
METRICS = ("latency_ms", "tls_days_left")
TIMEOUT = timedelta(seconds=5)
MAX_TEXT_BYTES = 4_096
MAX_PORT = 65_535


async def check(attempt: Attempt) -> None:
    """Add what one try measures. Raise Down when nothing takes the connection, or greets otherwise."""
    params, text = attempt.params, str(attempt.params.get("text") or "")
    attempt.address = f"{params['host']}:{params['port']}"
    attempt.expected = "a connection" + (f" and the text {text[:60]!r}" if text else "")
    name = str(params.get("ca") or "")
    trust = authority(name, attempt.secret(name)) if name else trusting()
    connection = await connected(
        attempt, str(params["host"]), int(params["port"]), trust if params.get("tls") else None
    )
    if text:
        with attempt.step("text"):
            await _read(connection, text.encode())
    attempt.up()
    attempt.add("latency_ms", round(attempt.elapsed * 1000, 3))


async def _read(connection: Connection, text: bytes) -> None:
    """Read until the text has come. Raise Down when the server ends the connection, or sends much without it."""
    found = b""
    while text not in found:
        try:
            chunk = await connection.reader.read(MAX_TEXT_BYTES)
        except OSError:
            chunk = b""
        if not chunk or len(found) >= MAX_TEXT_BYTES:
            raise Down("another text came" if found else "the connection was closed without a text")
        found += chunk


def parameters(params: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the names of the secrets and settings that an entry reads."""
    return (str(params["ca"]),) if params.get("ca") else ()


def validate(params: Mapping[str, Any]) -> list[str]:
    """Return the mistakes of an entry of `probes: {tcp: […]}`, in words."""
    found = common_mistakes(params, required=("host", "port"), allowed=("text", "tls", "ca"))
    port = params.get("port", 1)
    if isinstance(port, bool) or not isinstance(port, int) or not 0 < port <= MAX_PORT:
        found.append(f"port must be a number from 1 to {MAX_PORT}")
    if params.get("host") and (mistake := host_mistake(str(params["host"]))):
        found.append(f"host {mistake}")
    found += secret_name_mistakes(params, "ca", "INTERNAL_CA")
    if not isinstance(params.get("text", ""), str) or len(str(params.get("text", ""))) > MAX_TEXT_BYTES:
        found.append(f"text must be a text of at most {MAX_TEXT_BYTES} characters")
    if not isinstance(params.get("tls", False), bool):
        found.append("tls must be true or false")
    if params.get("ca") and not params.get("tls"):
        found.append("ca is for TLS; allowed is tls: true beside it")
    return found
