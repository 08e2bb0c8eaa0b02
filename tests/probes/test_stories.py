"""From what a probe measures to the people told, by the shipped rules: real servers, the real table, a virtual clock."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest
import yaml

from chalicelib.aws.dynamodb import DynamoStore
from chalicelib.core.rule import Rules
from chalicelib.schedule.watch import watch
from tests.aws.tables import client, new_table, table_client
from tests.fakes import no_pause
from tests.project import ROOT
from tests.scenario import Router, rules_of

from .conftest import FixedClients, Postgres, free_port

ZONE = "023e105f4ecef8ad9ca31a8372d0c353"
FILLER = "create table filler as select n, md5(n::text) as a, md5((-n)::text) as b from generate_series(1, 150000) as n"


def shipped(threshold_gb: float = 8, **probes: Any) -> Rules:
    """The rules as they are shipped, with a team's own probes and size limit."""
    content = yaml.safe_load((ROOT / "alert-rules.yaml").read_text())
    (growth,) = [rule for rule in content["alerts"] if rule["name"] == "Database Growth"]
    growth["threshold"] = threshold_gb
    return rules_of(yaml.safe_dump({**content, "probes": probes, "tests": []}))


@dataclass
class WatchedRouter(Router):
    """A router whose probes run every minute."""

    now: datetime = field(default_factory=lambda: datetime.now(UTC).replace(second=0, microsecond=0))
    probe_clients: FixedClients = field(default_factory=FixedClients)

    def tick(self) -> None:
        """What runs every minute: timers, and probes."""
        super().tick()
        with self.surviving("watch"):
            watch(
                rules=self.rules,
                store=self.store,
                clients=self.probe_clients,
                queues=self.ports["queues"],
                now=self.now,
                pause=no_pause,
            )

    def messages(self, channel: str) -> list[str]:
        """The texts of the messages of a channel that begin a thread, as they are now."""
        identity = {each["name"]: each["id"] for each in self.inbox.memory.channels.values()}[channel]
        return [
            each["text"].splitlines()[0]
            for each in self.inbox.messages
            if each["channel"] == identity and each.get("thread_ts") in (None, each["ts"])
        ]

    def blocks(self, channel: str) -> str:
        """The blocks of the only message of a channel, as JSON."""
        identity = {each["name"]: each["id"] for each in self.inbox.memory.channels.values()}[channel]
        (found,) = [each for each in self.inbox.messages if each["channel"] == identity and "blocks" in each]
        return json.dumps(found["blocks"], ensure_ascii=False)


@contextmanager
def watched(emulator: str, rules: Rules, **secrets: str) -> Iterator[WatchedRouter]:
    """A router with an empty table on the emulator."""
    dynamodb = client("dynamodb", emulator)
    router = WatchedRouter(rules, store=DynamoStore(table_client(dynamodb.meta.endpoint_url), new_table(dynamodb)))
    with router.inbox:
        analytics = f"{router.inbox.url}/cloudflare/client/v4/graphql"
        router.probe_clients = FixedClients(secrets, {"CLOUDFLARE_API_URL": analytics})
        with router.probe_clients.client:
            yield router


class Site:
    """A web server on loopback that can be stopped and started again at its address."""

    def __init__(self) -> None:
        self.port = free_port()
        self._server: ThreadingHTTPServer | None = None

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://localhost:{self.port}/health"

    def start(self) -> None:
        """Listen and answer 200."""

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                """All is well."""
                self.send_response(200)
                self.end_headers()
                self.wfile.write(b"ok")

            def log_message(self, format: str, *args: Any) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def stop(self) -> None:
        """Refuse connections."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None


@pytest.fixture
def site() -> Iterator[Site]:
    """A site that works."""
    found = Site()
    found.start()
    yield found
    found.stop()


def test_a_site_that_stops_is_paged_and_resolved(emulator: str, site: Site) -> None:
    """The server stops: PagerDuty and #incidents are told once; it is back: both hear of it, in the same places."""
    rules = shipped(uptime=[{"name": "api", "url": site.url, "service": "api", "timeout": "2s"}])
    with watched(emulator, rules) as router:
        router.run(minutes=3)
        assert (router.inbox.messages, router.inbox.incidents) == ([], [])
        site.stop()
        router.run(minutes=4)
        (incident,) = router.inbox.incidents
        assert incident["status"] == "triggered"
        assert "Service Downtime" in incident["title"]
        (fire,) = router.messages("incidents")
        assert "Service Downtime" in fire and "critical" in fire
        shown = router.blocks("incidents")
        assert f"*Address*\\n{site.url}" in shown
        assert "*No connection: it was refused, after " in shown
        assert "*Fine before*\\nuntil " in shown
        site.start()
        router.run(minutes=12)
        (incident,) = router.inbox.incidents
        assert incident["status"] == "resolved"
        (resolved,) = router.messages("incidents")
        assert "[resolved] Service Downtime" in resolved
        assert router.told()["pagerduty"] == ["api trigger", "api resolve"]
        assert router.errors == []


def test_services_whose_probes_share_an_upstream_are_told_together(emulator: str, site: Site) -> None:
    """Given three services of one host that stops → one page and one message for all of them, which end once."""
    probes = [
        {"name": f"{name}-health", "url": site.url.replace("health", name), "service": name, "timeout": "2s"}
        for name in ("api", "web", "admin")
    ]
    with watched(emulator, shipped(uptime=probes)) as router:
        router.run(minutes=3)
        site.stop()
        router.run(minutes=6)
        (incident,) = router.inbox.incidents
        assert incident["status"] == "triggered"
        (open_incident,) = router.store.incidents()
        firing = {each.labels["service"] for each in open_incident.firing}
        assert firing == {"api", "web", "admin"}
        (fire,) = router.messages("incidents")
        assert all(name in fire for name in ("api", "web", "admin"))
        assert "beside" not in router.blocks("incidents")
        site.start()
        router.run(minutes=12)
        (incident,) = router.inbox.incidents
        assert incident["status"] == "resolved"
        (resolved,) = router.messages("incidents")
        assert "[resolved]" in resolved
        assert router.errors == []


def test_services_of_unlike_upstreams_stay_apart(emulator: str, site: Site) -> None:
    """Given two services that fail at once and have no upstream in common → an incident each."""
    by_address = site.url.replace("localhost", "127.0.0.1")
    probes = [
        {"name": name, "url": url, "service": name, "timeout": "2s"}
        for name, url in (("api", site.url), ("us", by_address))
    ]
    with watched(emulator, shipped(uptime=probes)) as router:
        router.run(minutes=3)
        site.stop()
        router.run(minutes=3)
        assert len(router.inbox.incidents) == 2


def test_a_database_that_grows_past_its_threshold_warns(emulator: str, postgres: Postgres) -> None:
    """A real PostgreSQL server grows: a warning in #infrastructure, nowhere else, that ends when the space is free."""
    rules = shipped(0.015, database=[{"name": "main", "dsn": "DATABASE_URL", "service": "app"}])
    postgres.execute("create database stories", database="postgres")
    with watched(emulator, rules, DATABASE_URL=postgres.dsn("stories")) as router:
        router.run(minutes=2)
        assert router.inbox.messages == []
        postgres.execute(FILLER, database="stories")
        router.run(minutes=3)
        (fire,) = router.messages("infrastructure")
        assert "[warning] Database Growth" in fire
        assert router.told() == {"slack": ["app opened"]}
        postgres.execute("drop table filler", database="stories")
        router.run(minutes=10)
        (resolved,) = router.messages("infrastructure")
        assert "[resolved] Database Growth" in resolved
        assert router.errors == []


def test_errors_and_latency_at_cloudflare_go_where_they_belong(emulator: str) -> None:
    """3 % errors and a p95 of 800 ms: critical in #incidents and by mail, a warning in #alerts; both end."""
    rules = shipped(cloudflare=[{"name": "site", "zone": ZONE, "service": "web"}])
    with watched(emulator, rules, CLOUDFLARE_API_TOKEN="token") as router:
        router.run(minutes=3)
        assert router.inbox.messages == []
        router.inbox.cloudflare.set({"error_rate": 0.03, "p95_ms": 800})
        router.run(minutes=3)
        (critical,) = router.messages("incidents")
        (warning,) = router.messages("alerts")
        assert "[critical] High Error Rate" in critical
        assert "[warning] High Latency Warning" in warning
        (mail,) = router.inbox.mails
        assert mail["to"] == ["ops@example.com"]
        assert router.inbox.incidents == []
        router.inbox.cloudflare.set({})
        router.run(minutes=12)
        assert ["[resolved]" in text for name in ("incidents", "alerts") for text in router.messages(name)] == [
            True
        ] * 2
        assert len(router.inbox.mails) == 2
        assert router.errors == []


def test_a_refused_probe_is_told_and_harms_no_other(emulator: str, site: Site) -> None:
    """A token that Cloudflare refuses is news about Tocsin itself; the uptime probe beside it goes on, and mending it ends the news."""
    rules = shipped(
        uptime=[{"name": "api", "url": site.url, "service": "api"}],
        cloudflare=[{"name": "site", "zone": ZONE, "service": "web"}],
    )
    with watched(emulator, rules, CLOUDFLARE_API_TOKEN="token") as router:
        router.inbox.cloudflare.set({"status": 403, "body": {"errors": [{"message": "not authorized"}], "data": None}})
        router.run(minutes=3)
        (broken,) = router.messages("infrastructure")
        assert "site" in broken
        site.stop()
        router.run(minutes=3)
        assert [each["status"] for each in router.inbox.incidents] == ["triggered"]
        router.inbox.cloudflare.set({})
        router.run(minutes=8)
        (probe_recovered,) = router.messages("infrastructure")
        assert "[resolved]" in probe_recovered


def test_a_prober_that_is_cut_off_is_told_once(emulator: str, site: Site) -> None:
    """A site and the team's own self-check fail at once: one message in #infrastructure, no page; then it ends."""
    by_address = site.url.replace("localhost", "127.0.0.1")
    rules = shipped(
        uptime=[
            {"name": "api", "url": site.url, "service": "api", "timeout": "2s"},
            {"name": "us", "url": by_address, "service": "us", "timeout": "2s", "self_check": True},
        ]
    )
    with watched(emulator, rules) as router:
        router.run(minutes=3)
        site.stop()
        router.run(minutes=4)
        assert router.inbox.incidents == []
        (told,) = router.messages("infrastructure")
        assert "The prober is cut off" in told or "prober" in router.blocks("infrastructure")
        assert router.messages("incidents") == []
        site.start()
        router.run(minutes=12)
        (ended,) = router.messages("infrastructure")
        assert "[resolved]" in ended
        assert router.errors == []
