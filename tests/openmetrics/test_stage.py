"""GET /metrics of the application: who may scrape, and what its functions leave for a scrape."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

import app
from chalicelib import wiring
from chalicelib.core import gauges
from chalicelib.core.errors import NotStoredError
from chalicelib.core.metrics.sample import Sample
from chalicelib.core.probe_state import STATE, read
from chalicelib.core.stage_report import REPORT, SCRAPED
from chalicelib.messages.queue import samples_messages
from chalicelib.messages.webhook import Webhook, compressed, written
from tests.rule_files import rules_of
from tests.test_app import CONTEXT, TOKEN, asked, aws, batch, desk, ports, schedule

__all__ = ["aws", "desk", "ports"]

PAGE_TOKEN = "the-token-of-the-page"
OPENMETRICS = {"Accept": "application/openmetrics-text; version=1.0.0"}
RULES = """
probes:
  tcp: [{name: db, host: 127.0.0.1, port: PORT, every: 1m}]
default: {notification: [{slack_channel: '#rest'}]}
"""


def values() -> dict[str, float]:
    """Return the samples of a scrape, by name and labels as they are written."""
    answer = asked("get", "/metrics", headers=OPENMETRICS)
    assert answer.status_code == 200, answer.body
    return {
        f"{each.name}{sorted(each.labels.items())}": each.value
        for family in text_string_to_metric_families(answer.body.decode())
        for each in family.samples
    }


@pytest.mark.parametrize("token", [TOKEN, PAGE_TOKEN])
def test_whoever_reads_by_the_api_may_scrape(desk: Any, monkeypatch: pytest.MonkeyPatch, token: str) -> None:
    """Given a token that acts, or one that only reads → the metrics, which nobody keeps."""
    monkeypatch.setenv("PAGE_TOKEN", PAGE_TOKEN)
    answer = asked("get", "/metrics", token=token)
    assert (answer.status_code, answer.headers["Cache-Control"]) == (200, "no-store")
    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert b"tocsin_stage_info" in answer.body


@pytest.mark.parametrize("token", ["", "another-token-of-length"])
def test_nobody_else_may(desk: Any, token: str) -> None:
    """Given no token, or a wrong one → 401 that asks for a token, in words that hold nothing of the stage."""
    answer = asked("get", "/metrics", token=token)
    assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, "Bearer")
    assert b"tocsin_" not in answer.body
    assert desk.store.marks([SCRAPED]) == {}


def test_who_has_no_role_may_not(desk: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given rules whose `access:` names others → 403 for a shared token."""
    rules = rules_of("access: {viewer: [ana]}\ndefault: {notification: [{slack_channel: '#rest'}]}")
    monkeypatch.setattr(wiring, "rules", lambda: rules)
    assert asked("get", "/metrics").status_code == 403


def test_a_table_that_is_away_is_a_503(desk: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given a table that does not answer → 503, so that Prometheus sees the stage as down."""
    monkeypatch.setattr(desk.store, "marks", lambda names: 1 / 0)
    answer = asked("get", "/metrics")
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "10")


def test_what_came_in_is_counted_within_a_run_of_record(desk: Any) -> None:
    """Given two webhooks, a refusal of a sender and a message that is garbage → the counters of a scrape after `record`."""
    now = datetime.now(UTC)
    body = compressed(b'{"text": "x", "alert_type": "y", "data": {}}')
    webhooks = [written(Webhook(name, "cloudflare", b"", now), body) for name in ("a", "b")]
    refused = samples_messages([Sample("webhooks_refused", 4, now, {"source": "sentry", "status": "401"})])
    app.process_webhooks(batch(*webhooks, *refused, "garbage"), CONTEXT)
    app.record(schedule(), CONTEXT)
    found = values()
    assert found["tocsin_webhooks_received_total[('source', 'cloudflare')]"] == 2
    assert found["tocsin_webhooks_processed_total[('source', 'cloudflare')]"] == 2
    assert found["tocsin_webhooks_refused_total[('source', 'sentry'), ('status', '401')]"] == 4
    assert found["tocsin_dead_lettered_messages_total[('queue', 'webhooks')]"] == 1
    assert found["tocsin_processing_seconds_count[]"] == 2


def probing(desk: Any, aws: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give the stage a probe of an address at which somebody listens."""
    rules = rules_of(RULES.replace("PORT", aws.url.rpartition(":")[2]))
    monkeypatch.setattr(wiring, "rules", lambda: rules)
    monkeypatch.setattr(
        desk, "clients", SimpleNamespace(secret=lambda name: None, setting=lambda name, default="": default)
    )


def test_a_stage_that_is_not_scraped_pays_for_no_report(desk: Any, aws: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given a stage that nobody scraped for an hour → tick and probes leave nothing for a scrape."""
    probing(desk, aws, monkeypatch)
    desk.store.put_mark(SCRAPED, (datetime.now(UTC) - timedelta(hours=1)).isoformat())
    app.tick(schedule(), CONTEXT)
    app.watch(schedule(), CONTEXT)
    assert desk.store.marks([REPORT, gauges.MARK]) == {}
    assert read(desk.store.marks([STATE])[STATE]).gauges == ()


def test_after_a_scrape_tick_and_probes_report(desk: Any, aws: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given a scrape, then a tick and a run of the probes → the next scrape has the open incident, and the probe."""
    probing(desk, aws, monkeypatch)
    assert not any(name.startswith("tocsin_incidents_open") for name in values())
    app.tick(schedule(), CONTEXT)
    app.watch(schedule(), CONTEXT)
    found = values()
    assert found["tocsin_incidents_open[('severity', 'warning')]"] == 1
    assert found["tocsin_incidents_open[('severity', 'critical')]"] == 0
    assert found["tocsin_function_late_seconds[('function', 'watch')]"] == 0
    assert found["tocsin_target_works[('target', 'slack_channel:#rest')]"] == 1
    assert [value for name, value in found.items() if name.startswith("probe_success")] == [1.0]
    assert abs(found["tocsin_tick_timestamp_seconds[]"] - datetime.now(UTC).timestamp()) < 600


def test_a_tick_that_cannot_report_ends_well(desk: Any, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    """Given a table that refuses the report → the tick has done its work, and its log says that the report is missing."""
    values()
    kept = desk.store.put_mark

    def put_mark(name: str, text: str) -> None:
        if name == REPORT:
            raise NotStoredError("the table is away")
        kept(name, text)

    monkeypatch.setattr(desk.store, "put_mark", put_mark)
    app.tick(schedule(), CONTEXT)
    assert '"report": false' in capsys.readouterr().out
