"""The days of certificates over a real TLS server: of the leaf, its chain, every host of a chain of redirects, and below zero."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from chalicelib.probes import tcp, uptime
from tests.certificates import chained

from .conftest import NOW, FixedClients, Web, answer, result, serve, tried, values

SOON = max(NOW, datetime.now(UTC))


def after(days: float) -> datetime:
    """An instant so many days from now."""
    return SOON + timedelta(days=days)


@contextmanager
def secured(folder: Path, leaf: float, intermediate: float = 300, root: float = 900) -> Iterator[tuple[Web, str]]:
    """An HTTPS server whose certificates end in so many days, and its root as PEM."""
    folder.mkdir(exist_ok=True)
    context, pem = chained(folder, leaf=after(leaf), intermediate=after(intermediate), root=after(root))
    for web in serve(Web(), context):
        web.answers["/"] = answer(200)
        yield web, pem


def days(found: dict[str, float | None]) -> float:
    """The days that a try measured, from SOON."""
    return (found["tls_days_left"] or 0) - (SOON - NOW) / timedelta(days=1)


@pytest.mark.parametrize(("leaf", "intermediate", "expected"), [(80, 300, 80), (80, 5, 5)])
def test_the_first_certificate_of_the_chain_counts(
    tmp_path: Path, leaf: float, intermediate: float, expected: float
) -> None:
    """Given a leaf and an intermediate certificate → the days of the one that ends first."""
    with secured(tmp_path, leaf, intermediate) as (web, pem):
        params = {"name": "api", "url": f"{web.url}/", "ca": "CA"}
        found = values(tried(uptime, params, FixedClients({"CA": pem})))
    assert found["uptime"] == 1.0
    assert days(found) == pytest.approx(expected, abs=0.01)


@pytest.mark.parametrize(("leaf", "intermediate", "expected"), [(-2, 300, -2), (80, -3, -3)])
def test_days_go_below_zero(tmp_path: Path, leaf: float, intermediate: float, expected: float) -> None:
    """Given a certificate that has ended → down, and the days since, which no refused handshake says by itself."""
    with secured(tmp_path, leaf, intermediate) as (web, pem):
        params = {"name": "api", "url": f"{web.url}/", "ca": "CA"}
        found = tried(uptime, params, FixedClients({"CA": pem}))
    assert values(found)["uptime"] == 0.0
    assert days(values(found)) == pytest.approx(expected, abs=0.01)
    assert result(found).startswith("the certificate is refused: certificate has expired, after ")
    assert web.seen == []


def test_an_authority_that_has_ended_has_no_days_of_others(tmp_path: Path) -> None:
    """Given a root that has ended and certificates that have not → down, and no days: those that were sent are good."""
    with secured(tmp_path, 80, 300, root=-1) as (web, pem):
        found = tried(uptime, {"name": "api", "url": f"{web.url}/", "ca": "CA"}, FixedClients({"CA": pem}))
    assert result(found).startswith("the certificate is refused: certificate has expired, after ")
    assert "tls_days_left" not in values(found)


@pytest.mark.parametrize(("leaf", "up"), [(80, 1.0), (-2, 0.0)])
def test_a_port_with_tls_is_measured_the_same_way(tmp_path: Path, leaf: float, up: float) -> None:
    """Given a TCP probe with TLS → the days of its certificate, also below zero."""
    with secured(tmp_path, leaf) as (web, pem):
        params = {"name": "api", "host": "localhost", "port": web.port, "tls": True, "ca": "CA"}
        found = values(tried(tcp, params, FixedClients({"CA": pem})))
    assert found["uptime"] == up and days(found) == pytest.approx(leaf, abs=0.01)


def test_every_host_of_a_chain_of_redirects_counts(tmp_path: Path) -> None:
    """Given a redirect to a host whose certificate ends sooner → the days of that one."""
    with secured(tmp_path / "a", 300) as (first, one), secured(tmp_path / "b", 3) as (last, two):
        first.answers["/"] = answer(302, headers={"Location": f"{last.url}/"})
        params = {"name": "api", "url": f"{first.url}/", "ca": "CA", "redirects": True}
        found = values(tried(uptime, params, FixedClients({"CA": one + two})))
    assert found["uptime"] == 1.0
    assert days(found) == pytest.approx(3, abs=0.01)


def test_an_authority_that_is_none_is_our_mistake(clients: FixedClients) -> None:
    """Given a secret that holds no certificate → not an outage; the secret is named."""
    clients.secrets["CA"] = "not a certificate"
    found = tried(uptime, {"name": "api", "url": "https://localhost/", "ca": "CA"}, clients)
    assert not found.samples
    assert found.events[0].summary.startswith("the secret CA is not a certificate; allowed is PEM")
