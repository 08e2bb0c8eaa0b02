"""The uptime probe over HTTP/2 against nghttpd, which speaks nothing else once TLS has agreed to it."""

import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from chalicelib.probes import uptime
from tests.certificates import certified

from .conftest import NOW, FixedClients, Tls, answer, eventually, free_port, result, tried, values

PROGRAM = shutil.which("nghttpd") or "/usr/sbin/nghttpd"


@dataclass
class Nghttpd:
    """A server of HTTP/2 alone."""

    url: str
    clients: FixedClients

    def tried(self, path: str, **params: Any) -> Any:
        """One try of an uptime probe."""
        entry = {"name": "api", "url": f"{self.url}{path}", "ca": "INTERNAL_CA", "http2": True, "timeout": 10, **params}
        return tried(uptime, entry, self.clients)


@pytest.fixture
def nghttpd(tmp_path: Path) -> Iterator[Nghttpd]:
    """The server, with a small and a large page."""
    if not Path(PROGRAM).exists():
        pytest.fail("this test needs nghttpd: install the Debian package nghttp2-server")
    certified(tmp_path, max(NOW, datetime.now(UTC)) + timedelta(days=10))
    pages = tmp_path / "pages"
    pages.mkdir()
    (pages / "health").write_text("all is ok")
    (pages / "large").write_bytes(b"x" * 3_000_000)
    port = free_port()
    command = [PROGRAM, f"--htdocs={pages}", str(port), str(tmp_path / "key.pem"), str(tmp_path / "certificate.pem")]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    found = Nghttpd(
        f"https://localhost:{port}", FixedClients({"INTERNAL_CA": (tmp_path / "certificate.pem").read_text()})
    )
    try:
        eventually(lambda: values(found.tried("/health"))["uptime"] == 1.0)
        yield found
    finally:
        server.terminate()
        server.wait(10)


def test_http2(nghttpd: Nghttpd) -> None:
    """Given a server of HTTP/2 → its status, text, whole body and certificate are measured as those of HTTP/1.1 are."""
    found = nghttpd.tried("/health", text="is ok", timings=True)
    assert values(found).keys() >= {"uptime", "latency_ms", "tls_days_left", "first_byte_ms"}
    assert values(found)["uptime"] == 1.0
    assert values(nghttpd.tried("/large"))["uptime"] == 1.0
    assert result(nghttpd.tried("/missing")).startswith("status 404, after ")
    assert result(nghttpd.tried("/health", text="fine")).startswith("status 200 without the expected text, after ")
    assert values(nghttpd.tried("/health", method="POST", body="x" * 200_000, expect="200-499"))["uptime"] == 1.0


def test_a_server_of_http2_alone_needs_the_field(nghttpd: Nghttpd) -> None:
    """Given a server that speaks HTTP/2 alone and a probe without `http2` → down."""
    assert values(nghttpd.tried("/health", http2=False))["uptime"] == 0.0


def test_a_server_of_http1_is_asked_in_http1(tls: Tls) -> None:
    """Given `http2` and a server that does not know it → HTTP/1.1, and up."""
    tls.web.answers["/"] = answer(200)
    params = {"name": "api", "url": f"{tls.web.url}/", "ca": "INTERNAL_CA", "http2": True}
    assert values(tried(uptime, params, tls.trusting))["uptime"] == 1.0
