"""Every query of every panel, asked of a real Prometheus that has scraped the application with data."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

import app
from chalicelib import wiring
from chalicelib.api import access
from chalicelib.core.event import Event, Severity, Status
from chalicelib.core.metrics.sample import Sample
from chalicelib.core.rule import Rules
from chalicelib.messages.queue import Handled, events_messages, samples_messages
from chalicelib.messages.webhook import Webhook, compressed, written
from chalicelib.probes import labels_of, probe_failed
from chalicelib.process.own_counts import put_delivery_counts
from chalicelib.schedule.watch import watch
from monitoring.dashboards import queries
from tests.gateway import gateway
from tests.monitoring.real_prometheus import Prometheus, prometheus
from tests.process.test_own_counts import notification
from tests.rule_files import rules_of
from tests.schedule.test_watch import Probe
from tests.test_app import CONTEXT, TOKEN, an_open_incident, batch, ports, schedule

__all__ = ["ports"]

pytestmark = pytest.mark.acceptance

MEASURED = {
    "p95_latency_ms": 320.0, "p99_latency_ms": 900.0, "requests_per_min": 1_200.0, "active_users": 40.0, "error_rate": 0.002,
    "db_size_gb": 3.5, "query_time_ms": 12.0, "connections_used": 0.4, "cache_hit_rate": 0.99, "uptime": 1.0,
    "latency_ms": 120.0, "dns_ms": 3.0, "connect_ms": 20.0, "tls_ms": 30.0, "first_byte_ms": 60.0, "tls_days_left": 40.0,
}  # fmt: skip
RULES = "default: {notification: [{email: a@b.c}]}"


def measured(params: Mapping[str, Any], now: datetime) -> list[Sample | Event]:
    """Return what a probe of everything measures."""
    labels = {**labels_of(params), "zone": "example.com", "database": "main"}
    return [Sample(metric, value, now, labels) for metric, value in MEASURED.items()]


def broken(params: Mapping[str, Any], now: datetime) -> list[Sample | Event]:
    """Return that a probe cannot measure."""
    return [probe_failed("database", params, "its secret is missing", now=now)]


class Life:
    """A stage in memory behind a real address, whose functions run when they are told to."""

    def __init__(self, ports: Any) -> None:
        self.ports = ports
        self.minutes = 0

    def watch(self) -> None:
        """Run the probes of one more minute."""

        async def pause(seconds: float) -> None:
            """Wait for nothing."""

        self.minutes += 1
        watch(
            rules=Rules(probes={"uptime": ({"name": "main"},), "database": ({"name": "db"},)}),
            store=self.ports.store,
            clients=self.ports.clients,
            queues=self.ports.queues,
            now=datetime.now(UTC) + timedelta(minutes=self.minutes),
            pause=pause,
            load={"uptime": Probe(measured), "database": Probe(broken)}.__getitem__,
        )

    def work(self) -> None:
        """Take in webhooks, events and a refusal, deliver, fail and give up, and have all of it counted."""
        now = datetime.now(UTC)
        webhook = Webhook(f"w{self.minutes}", "cloudflare", b"", now - timedelta(seconds=2))
        body = compressed(b'{"text": "x", "alert_type": "y", "data": {}}')
        fault = Event("e", "sentry", "error", Status.FIRING, Severity.WARNING, "t", "", now, f"i{self.minutes}")
        refused = Sample("webhooks_refused", 3, now, {"source": "sentry", "status": "401"})
        messages = [written(webhook, body), *events_messages([fault]), *samples_messages([refused])]
        app.process_webhooks(batch(*messages), CONTEXT)
        wanted = replace(notification(rules_of(RULES).default.targets[0]), at=now - timedelta(seconds=4))
        for handled in (Handled(delivered=True), Handled(failed=True), Handled(dead_lettered="no")):
            put_delivery_counts(replace(handled, notification=wanted), self.ports.history, now)
        app.record(schedule(), CONTEXT)
        app.tick(schedule(), CONTEXT)
        self.watch()


@pytest.fixture
def scraped(ports: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> Iterator[Prometheus]:
    """A Prometheus that has scraped a stage before and after it worked."""
    monkeypatch.setattr(access, "WRONG_TOKENS", access.WrongTokens())
    rules = rules_of(RULES)
    monkeypatch.setattr(wiring, "rules", lambda: rules)
    ports.store.save(an_open_incident())
    ports.webhooks_dead.put(["x"])
    life = Life(ports)
    with gateway(monkeypatch, API_TOKEN=TOKEN) as door, prometheus(tmp_path, door.url, TOKEN) as found:
        found.eventually('up{job="tocsin"}', lambda values: values == [1.0])
        life.work()
        found.eventually("sum(tocsin_webhooks_processed_total)", lambda values: values == [1.0])
        life.work()
        found.eventually("sum(tocsin_webhooks_processed_total)", lambda values: values == [2.0])
        yield found


def test_every_query_of_every_panel_has_data(scraped: Prometheus) -> None:
    """Given a stage that measured, counted and delivered → numbers for every query, and the figures are those of the stage."""
    asked = {f"{panel}: {query}": scraped.ask(query) for panel, query in queries()}
    empty = [name for name, values in asked.items() if not values or any(map(math.isnan, values))]
    assert empty == []
    assert scraped.ask('tocsin_incidents_open{severity="warning"}')[0] >= 1
    assert scraped.ask("tocsin_sample_db_size_bytes") == [3.5 * 2**30]
    assert scraped.ask("tocsin_dead_letters{queue='webhooks'}")[0] >= 1
    assert scraped.ask("tocsin_probe_broken") == [1.0]
    (left,) = scraped.ask("(probe_ssl_earliest_cert_expiry - time()) / 86400")
    assert 39.9 < left < 40.1


def test_an_alert_of_the_rules_is_pending_where_it_should_be(scraped: Prometheus) -> None:
    """Given a dead letter in the stage → Prometheus evaluates the rules over it, and others stay quiet."""
    found = scraped.eventually('ALERTS{alertname="TocsinDeadLetters"}', bool)
    assert found == [1.0] * len(found)
    assert scraped.ask('ALERTS{alertname=~"TocsinDown|TocsinTickStopped|TocsinTickMissing"}') == []
