"""The examples of docs/probes.md on real servers: each passes with every field that it has, and shows the fault that it is for."""

import socket
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from chalicelib.probes import Names, cloudflare, database, domain, journey, redis, supabase, tcp, uptime
from chalicelib.probes import dns as dns_probe
from tests.certificates import certified
from tests.slow_server import Connection, slow_server

from .conftest import FixedClients, Postgres, Tls, Web, answer, result, tried, values
from .test_cloudflare import Endpoint, reply, visitors, zone
from .test_database_connections import secured as secured_postgres
from .test_dns import server as server
from .test_documentation import ENTRIES, at, entry
from .test_domain import bootstrap, registered
from .test_redis import secured as secured_redis
from .test_supabase import FIXTURES

RUN = {
    "uptime": ("api", "shop", "search"),
    "journey": ("exam", "profile"),
    "database": ("main",),
    "redis": ("cache",),
    "tcp": ("mail", "imap"),
    "dns": ("apex", "mail", "own"),
    "domain": ("shop", "lab"),
    "supabase": ("main", "own"),
    "cloudflare": ("shop", "all"),
}
"""Those that a test here or in test_documentation.py runs."""


def test_every_example_is_run() -> None:
    """Given the examples of the page → each is among those that are run."""
    found: dict[str, tuple[str, ...]] = {}
    for kind, each in ENTRIES:
        found[kind] = (*found.get(kind, ()), each["name"])
    assert found == RUN


def test_what_every_probe_has(web: Web, clients: FixedClients) -> None:
    """Given the example of the common fields → its samples have its labels, and a slow answer is down at its limit."""
    web.answers["/health"] = answer(200, "ok")
    params = {**entry("uptime", "api"), "url": f"{web.url}/health"}
    found = tried(uptime, params, clients)
    assert {each.metric for each in found.samples} == {"uptime", "latency_ms"}
    assert all(each.labels == {"probe": "api", "service": "api", "region": "eu"} for each in found.samples)
    with slow_server(Connection.stall) as slow:
        late = result(tried(uptime, {**params, "url": slow.url()}, clients))
    assert late.startswith("no whole answer within 5 s")


def test_a_body_as_text(tls: Tls) -> None:
    """Given the example with a body → it is sent as it stands, with its secret and its header."""
    tls.trusting.secrets["SEARCH_TOKEN"] = "t0"
    tls.web.answers["/search"] = answer(200, "shoes")
    found = tried(uptime, {**at(tls, entry("uptime", "search")), "ca": "INTERNAL_CA"}, tls.trusting)
    (method, _, headers, body), *_ = tls.web.seen
    assert values(found)["uptime"] == 1.0
    assert (method, headers["Content-Type"], body) == ("POST", "application/x-www-form-urlencoded", b"q=shoes&token=t0")


def test_a_journey_of_every_method(tls: Tls) -> None:
    """Given the example that signs in by a form, reads, replaces and changes → up; without the text that it reads, down."""
    tls.trusting.secrets["JOURNEY_PASSWORD"] = "pass"
    tls.web.answers |= {"/login": answer(204), "/profile": answer(200, "probe")}
    params = {**at(tls, entry("journey", "profile")), "ca": "INTERNAL_CA"}
    assert values(tried(journey, params, tls.trusting))["uptime"] == 1.0
    assert [(method, body) for method, _, _, body in tls.web.seen] == [
        ("POST", b"user=probe&password=pass"),
        ("GET", b""),
        ("PUT", b'{"name": "probe"}'),
        ("PATCH", b'{"city": "Recife"}'),
    ]
    tls.web.answers["/profile"] = answer(200, "somebody")
    assert result(tried(journey, params, tls.trusting)).startswith("step 'read': ")


def test_database(postgres: Postgres, tmp_path: Path) -> None:
    """Given the example over TLS that is checked by `ca`, of all databases → measured; without the authority down."""
    params = entry("database", "main")
    with secured_postgres(postgres, tmp_path) as dsn:
        secrets = {"DATABASE_URL": dsn, "DATABASE_CA": (tmp_path / "certificate.pem").read_text()}
        found = tried(database, params, FixedClients(secrets), kind="database")
        assert found.events == () and values(found)["uptime"] == 1.0
        one = tried(database, {**params, "scope": "database"}, FixedClients(secrets), kind="database")
        assert (values(found)["db_size_gb"] or 0) > (values(one)["db_size_gb"] or 0) > 0
        del params["ca"]
        assert "certificate" in result(tried(database, params, FixedClients(secrets), kind="database"))


def test_redis(tmp_path: Path) -> None:
    """Given the example over TLS with an authority of its own → measured."""
    with secured_redis(tmp_path) as (port, certificate):
        secrets = {"REDIS_URL": f"rediss://localhost:{port}", "REDIS_CA": certificate}
        found = tried(redis, entry("redis", "cache"), FixedClients(secrets), kind="redis")
    assert found.events == () and values(found)["uptime"] == 1.0


def test_tcp_with_a_greeting() -> None:
    """Given the example of a mail server → up when it greets so, down when it refuses."""
    params = entry("tcp", "mail")
    for greeting, up in ((b"220 mail\r\n", 1.0), (b"554 no\r\n", 0.0)):
        with slow_server(lambda connection, said=greeting: connection.socket.sendall(said)) as mail:  # type: ignore[misc]
            here = {**params, "host": "localhost", "port": mail.port}
            assert values(tried(tcp, here, FixedClients(), kind="tcp"))["uptime"] == up


def test_tcp_over_tls(tmp_path: Path) -> None:
    """Given the example of IMAP over TLS with an authority of its own → up, with the days of its certificate."""
    context, _ = certified(tmp_path, datetime.now(UTC) + timedelta(days=10))

    def talk(connection: Connection) -> None:
        with context.wrap_socket(connection.socket, server_side=True) as stream:
            stream.sendall(b"* OK IMAP\r\n")

    clients = FixedClients({"INTERNAL_CA": (tmp_path / "certificate.pem").read_text()})
    with slow_server(talk) as imap:
        found = tried(tcp, {**entry("tcp", "imap"), "host": "localhost", "port": imap.port}, clients, kind="tcp")
    assert values(found).keys() == {"uptime", "latency_ms", "tls_days_left"} and values(found)["uptime"] == 1.0


@pytest.mark.parametrize("name", ["apex", "mail", "own"])
def test_dns(server: str, name: str) -> None:
    """Given an example and a name server with the zone → up; down where the zone has another value, or none of the record."""
    params = {**entry("dns", name), "server": server}
    assert values(tried(dns_probe, params, FixedClients(), kind="dns"))["uptime"] == 1.0
    wrong = {**params, "expect": "192.0.2.99"} if name != "own" else {**params, "record": "DS"}
    assert values(tried(dns_probe, wrong, FixedClients(), kind="dns"))["uptime"] == 0.0


def test_domain(web: Web) -> None:
    """Given the example of a listed zone, and that of a server of its own → the days that are left."""
    clients = bootstrap(web, "com")
    web.answers["/rdap/domain/example.com"] = answer(200, registered("2026-12-04T08:00:00Z"))
    web.answers["/own/domain/example.org"] = answer(200, registered("2026-12-14T08:00:00Z"))
    shop, lab = entry("domain", "shop"), {**entry("domain", "lab"), "server": f"{web.url}/own/"}
    found = [values(tried(domain, each, clients, kind="domain"))["domain_days_left"] for each in (shop, lab)]
    assert found == [pytest.approx(10, abs=1e-4), pytest.approx(20, abs=1e-4)]


def test_supabase(web: Web) -> None:
    """Given the example of a project → its own host is asked for; given that of an address → measured with the key."""
    asked: list[str] = []

    def nowhere(host: str, port: int) -> list[Any]:
        asked.append(host)
        raise socket.gaierror(socket.EAI_NONAME, "no such name")

    clients = FixedClients({"SUPABASE_SECRET_KEY": "sb_secret_x"})
    away = tried(supabase, entry("supabase", "main"), clients, names=Names(nowhere), kind="supabase")
    assert (set(asked), away.samples) == ({"abcdefghijkl.supabase.co"}, ())
    path = "/customer/v1/privileged/metrics"
    web.answers[path] = answer(200, (FIXTURES / "metrics_with_values.prom").read_text())
    found = tried(supabase, {**entry("supabase", "own"), "url": f"{web.url}{path}"}, clients, kind="supabase")
    assert found.events == () and values(found)["uptime"] == 1.0
    assert web.seen[0][2]["Authorization"].startswith("Basic ")


@pytest.mark.parametrize("name", ["shop", "all"])
def test_cloudflare(web: Web, name: str) -> None:
    """Given an example with a zone, or with zones by their names → its share of errors, of its window."""
    tag, endpoint = "023e105f4ecef8ad9ca31a8372d0c353", Endpoint(web)
    endpoint.counts = [(200, reply(zone(tag)))]
    endpoint.visitors = (200, visitors(3))
    found = tried(cloudflare, entry("cloudflare", name), endpoint.clients, kind="cloudflare")
    assert values(found)["error_rate"] == 0.03
    assert tag in str(endpoint.asked[0])
