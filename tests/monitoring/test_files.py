"""The files of monitoring/: dashboards that are not stale, rules that promtool accepts, names that the stage has, no secrets."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from chalicelib.core.language.units import KNOWN_METRICS
from chalicelib.core.metrics.sample import Sample
from chalicelib.core.stage_counts import DELIVERY
from chalicelib.openmetrics.names import PREFIX
from chalicelib.openmetrics.scrape import scrape
from monitoring.dashboards import DASHBOARDS, SOURCE, files, queries, stale
from tests.openmetrics.test_scrape import NOW, stage
from tests.project import ROOT

FOLDER = ROOT / "monitoring"
RULES = FOLDER / "prometheus" / "rules" / "tocsin.yml"
TESTS = RULES.with_name("tocsin.test.yml")
COMPOSE = yaml.safe_load((FOLDER / "compose.yaml").read_text())
METRIC = re.compile(r"\b(?:(?:tocsin|probe)_[a-z0-9_]+|alertmanager_build_info)\b")


def promtool(*words: object) -> str:
    """Return what promtool says; it fails when promtool does."""
    program = shutil.which("promtool")
    assert program, "promtool is missing: run `make setup-tests`"
    done = subprocess.run([program, *map(str, words)], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def metrics() -> set[str]:
    """Return the names of all families and samples that a stage can have."""
    samples = [Sample(metric, 3.0, NOW, {"probe": "p"}) for metric in (*KNOWN_METRICS, "probe_broken")]
    store = stage(samples)
    store.save_stage_counts(store.stage_counts().plus({(DELIVERY, "email", "1"): 1, (DELIVERY, "email", "sum"): 0.5}))
    _, text = scrape(store, stage="dev", accept="", now=NOW)
    families = re.findall(r"^# TYPE (\S+) ", text, re.MULTILINE)
    return {*families, *re.findall(r"^([a-z_0-9]+)[{ ]", text, re.MULTILINE)}


def test_the_dashboards_are_not_stale() -> None:
    """Given the program → the files that are checked in, byte by byte; else run `python -m monitoring.dashboards`."""
    assert stale() == []


def test_a_stale_dashboard_is_found(tmp_path: Path) -> None:
    """Given one file that is missing and one that was edited → both are named."""
    for name, text in files().items():
        (tmp_path / name).write_text(text)
    assert stale(tmp_path) == []
    (tmp_path / "errors.json").unlink()
    (tmp_path / "performance.json").write_text("{}")
    assert stale(tmp_path) == ["errors.json", "performance.json"]


@pytest.mark.parametrize("name", DASHBOARDS)
def test_a_dashboard_has_what_grafana_needs(name: str) -> None:
    """Given a dashboard → an address of its own, panels that do not overlap, and the data source that is provisioned."""
    made = json.loads((FOLDER / "grafana" / "dashboards" / f"{name}.json").read_text())
    provisioned = yaml.safe_load((FOLDER / "grafana/provisioning/datasources/prometheus.yml").read_text())
    assert made["uid"] == f"tocsin-{name}"
    assert [each["uid"] for each in provisioned["datasources"]] == [SOURCE.uid]
    cells = [
        (x, y)
        for panel in made["panels"]
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]
    assert len(cells) == len(set(cells)) and max(x for x, _ in cells) < 24
    for panel in made["panels"]:
        assert panel["description"]
        assert {target["datasource"]["uid"] for target in panel["targets"]} == {SOURCE.uid}


def test_promtool_accepts_the_rules_and_their_tests() -> None:
    """Given the rules → promtool finds no fault in them, and its tests hold."""
    promtool("check", "rules", RULES)
    promtool("test", "rules", TESTS)


def test_every_alert_has_a_test_in_which_it_fires_and_one_in_which_it_does_not() -> None:
    """Given an alert of the rules → tests say when it fires and when it does not."""
    alerts = {rule["alert"] for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]}
    tested = [each for test in yaml.safe_load(TESTS.read_text())["tests"] for each in test["alert_rule_test"]]
    assert {each["alertname"] for each in tested if each["exp_alerts"]} == alerts
    assert {each["alertname"] for each in tested if not each["exp_alerts"]} == alerts


def test_promtool_accepts_the_configuration(tmp_path: Path) -> None:
    """Given the configuration with the token where the container has it → promtool finds no fault in it."""
    folder = tmp_path / "prometheus"
    shutil.copytree(FOLDER / "prometheus", folder)
    (tmp_path / "token").write_text("x")
    text = (folder / "prometheus.yml").read_text()
    assert "/run/secrets/tocsin_token" in text
    (folder / "prometheus.yml").write_text(text.replace("/run/secrets/tocsin_token", str(tmp_path / "token")))
    promtool("check", "config", folder / "prometheus.yml")


def test_rules_and_dashboards_name_metrics_that_exist() -> None:
    """Given every query and every rule → each metric in it is one that a stage has."""
    rules = [str(rule["expr"]) for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]
    named = {name for text in (*rules, *(expr for _, expr in queries())) for name in METRIC.findall(text)}
    assert named <= metrics()
    assert len(named) > 20


def test_the_page_names_every_metric_of_the_router() -> None:
    """Given docs/monitoring.md → it has every metric of a stage, and none that there is not."""
    written = set(METRIC.findall((ROOT / "docs" / "monitoring.md").read_text()))
    families = {name for name in metrics() if not name.startswith(PREFIX)}
    ends = ("_bucket", "_count", "_sum")
    families = {name for name in families if not (name.endswith(ends) and name.rpartition("_")[0] in families)}
    assert {name for name in families if name not in written and f"{name}_total" not in written} == set()
    assert {name for name in written if not name.startswith(PREFIX)} <= metrics() | {"probe_broken"}


def test_images_are_pinned_and_ports_are_of_this_machine() -> None:
    """Given the compose file → every image has a version, and every port is one of loopback."""
    for service in COMPOSE["services"].values():
        assert re.fullmatch(r"[a-z]+/[a-z]+:v?\d+\.\d+\.\d+", service["image"])
        assert all(port.startswith("127.0.0.1:") for port in service["ports"])
    assert [each["ports"] for each in COMPOSE["services"].values()] == [
        ["127.0.0.1:9090:9090"],
        ["127.0.0.1:3000:3000"],
    ]


def test_what_is_mounted_is_there_and_secrets_are_not() -> None:
    """Given the compose file → each folder that it mounts exists, and git ignores each secret that it names."""
    mounted = [each.split(":")[0] for service in COMPOSE["services"].values() for each in service["volumes"]]
    assert all((FOLDER / each).is_dir() for each in mounted if each.startswith("./"))
    assert {each for each in mounted if not each.startswith("./")} == set(COMPOSE["volumes"])
    secrets = [each["file"].removeprefix("./") for each in COMPOSE["secrets"].values()]
    assert all(each.startswith("secrets/") for each in secrets)
    assert "/monitoring/secrets/*" in (ROOT / ".gitignore").read_text().splitlines()
    assert [path.name for path in (FOLDER / "secrets").iterdir() if path.name == "README.md"] == ["README.md"]
