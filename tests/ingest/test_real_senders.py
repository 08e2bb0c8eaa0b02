"""The real Prometheus and the real amtool send to Alertmanager's API v2 as they are."""

import json
import shutil
import subprocess
from datetime import UTC, datetime

import pytest

from chalicelib import plugins
from chalicelib.core.event import Status
from chalicelib.messages.queue import read_message
from tests.gateway import gateway

SECRET = "s3cr3t-of-prometheus"
RULES = """
groups:
  - name: g
    interval: 1s
    rules: [{alert: AlwaysOn, expr: "vector(1)", labels: {severity: critical, app: web}, annotations: {summary: It is on}}]
"""


@pytest.fixture
def door(monkeypatch):
    """The application on loopback."""
    with gateway(monkeypatch, ALERTMANAGER_SECRET=SECRET) as found:
        yield found


def program(name):
    """The path of a program of the Debian packages that `make setup-tests` installs."""
    found = shutil.which(name)
    assert found, f"{name} is missing: run `make setup-tests`"
    return found


def events(door):
    """The events of what is on the queue."""
    webhooks = [read_message(message) for message in door.messages()]
    source = plugins.load_source("alertmanager")
    return [e for w in webhooks for e in source.parse(w.headers, w.body, received_at=w.received_at)]


def amtool(door, folder, *words, secret=SECRET):
    """Run amtool against the door."""
    config = folder / "http.yml"
    config.write_text(f"authorization: {{credentials: {secret}}}\n")
    command = [
        program("amtool"),
        f"--alertmanager.url={door.url}",
        f"--http.config.file={config}",
        "alert",
        "add",
        *words,
    ]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_amtool_adds_an_alert(door, tmp_path):
    """Given `amtool alert add` with a bearer token → it succeeds, and the alert fires without an end."""
    done = amtool(door, tmp_path, "alertname=Disk", "node=db-1", "--annotation=summary=Disk is full")
    assert (done.returncode, done.stderr) == (0, "")
    (event,) = events(door)
    assert (event.name, event.title, event.labels["node"], event.status, event.ends_at) == (
        "Disk", "Disk is full", "db-1", Status.FIRING, None
    )  # fmt: skip


def test_amtool_ends_an_alert(door, tmp_path):
    """Given `amtool alert add --end` in the past → resolved then."""
    words = ("--start=2026-11-30T03:00:00Z", "--end=2026-11-30T04:00:00Z")
    assert amtool(door, tmp_path, "alertname=Disk", *words).returncode == 0
    (event,) = events(door)
    assert (event.status, event.ends_at) == (Status.RESOLVED, datetime(2026, 11, 30, 4, tzinfo=UTC))


def test_amtool_is_refused_without_the_secret(door, tmp_path):
    """Given a wrong token → amtool fails, and nothing is stored."""
    assert amtool(door, tmp_path, "alertname=Disk", secret="guess").returncode != 0
    assert door.messages() == []


@pytest.mark.acceptance
def test_prometheus_sends_its_alerts(door, tmp_path):
    """Given `alertmanagers:` in Prometheus's own configuration → its alert fires until an end to come."""
    (tmp_path / "rules.yml").write_text(RULES)
    target = {
        "static_configs": [{"targets": [door.url.removeprefix("http://")]}],
        "authorization": {"credentials": SECRET},
    }
    config = {
        "global": {"evaluation_interval": "1s", "external_labels": {"cluster": "eu"}},
        "rule_files": ["rules.yml"],
        "alerting": {"alertmanagers": [target]},
    }
    (tmp_path / "prometheus.yml").write_text(json.dumps(config))
    command = [
        program("prometheus"), f"--config.file={tmp_path}/prometheus.yml", f"--storage.tsdb.path={tmp_path}/data",
        "--web.listen-address=127.0.0.1:0", "--log.level=error",
    ]  # fmt: skip
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            assert door.arrived.wait(timeout=120)
        finally:
            process.kill()
    assert door.requests[0] == ("POST", "/api/v2/alerts", 200)
    event = events(door)[0]
    assert (event.name, event.title, event.service, event.severity.value) == ("AlwaysOn", "It is on", "web", "critical")
    assert event.labels["cluster"] == "eu"
    assert event.status is Status.FIRING
    assert event.ends_at > event.occurred_at
