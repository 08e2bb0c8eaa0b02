"""A stage that Chalice deployed into the embedded AWS, with IAM enforced, scraped by a real Prometheus."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from deploy.names import lambda_name
from deploy.smoke import request
from tests.deployed import Stage, deployed_stage
from tests.monitoring.real_prometheus import prometheus
from tests.web.test_stage import ALERT, RULES

pytestmark = pytest.mark.acceptance


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """The deployed stage."""
    with deployed_stage(tmp_path_factory.mktemp("project"), tmp_path_factory.mktemp("cloud"), RULES) as found:
        yield found


def run(stage: Stage, function: str) -> None:
    """Run a scheduled function now, as EventBridge does."""
    keys = ("version", "account", "region", "detail-type", "source", "time", "id")
    event = {**dict.fromkeys(keys, "x"), "resources": [], "detail": {}}
    called = stage.clients("lambda").invoke(
        FunctionName=lambda_name(function, "local"), Payload=json.dumps(event).encode()
    )
    assert "FunctionError" not in called, called["Payload"].read()


def test_a_deployed_stage_is_scraped(stage: Stage, tmp_path: Any) -> None:
    """Given an alert that was delivered → Prometheus has what came in, what was delivered, and the incident that is open."""
    token = stage.values["PAGE_TOKEN"]
    assert request(f"{stage.deployed.url}metrics")[0] == 401
    with prometheus(tmp_path, stage.deployed.url, token) as found:
        found.eventually('up{job="tocsin"}', lambda values: values == [1.0])
        secret = {"Authorization": f"Bearer {stage.values['ALERTMANAGER_SECRET']}", "Content-Type": "application/json"}
        assert stage.post("alertmanager", json.dumps(ALERT).encode(), secret) == 202
        stage.eventually(lambda: stage.inbox.messages, "nothing was delivered")
        stage.eventually(lambda: stage.waiting() == 0, "the queues are not empty")
        for function in ("record", "tick"):
            run(stage, function)
        found.eventually('tocsin_webhooks_processed_total{source="alertmanager"}', lambda values: values == [1.0])
        found.eventually('tocsin_deliveries_total{answer="delivered"}', lambda values: sum(values) >= 1)
        found.eventually('tocsin_incidents_open{severity="critical"}', lambda values: values == [1.0])
        assert found.ask("sum(tocsin_processing_seconds_count)") == found.ask("sum(tocsin_webhooks_processed_total)")
        assert found.ask("tocsin_dead_letters{queue='notifications'}") == [0.0]
