"""What the shipped alert-rules.yaml does, told by replaying short stories through it."""

from pathlib import Path

import yaml

from chalicelib.core.match import matches_all
from chalicelib.rules.file import load
from cli.main import main
from simulation.engine import Replay

ROOT = Path(__file__).parents[3]
TEXT = (ROOT / "alert-rules.yaml").read_text(encoding="utf-8")
RULES = load(TEXT)
PROBES = """probes:
  uptime: [{name: api, url: "https://api.example.com/health"}]
  database: [{name: main, dsn: DATABASE_URL}]
  cloudflare: [{name: site, zone: 023e105f4ecef8ad9ca31a8372d0c353}]
"""


def notifications(lines):
    """What a timeline comes to: the notifications, in order."""
    numbered = list(enumerate(lines, 1))
    found = Replay(RULES, numbered, name="story", folder=ROOT, seed=None).run()
    return [line for line in found if line["type"] == "notification"]


def told(lines):
    """Who was told what, and why."""
    return [
        (next(iter(found["target"].values())), found["reason"], found["alerts"][0]["name"])
        for found in notifications(lines)
    ]


def sentry(at, kind, severity="critical", name="TypeError"):
    """One event of Sentry."""
    labels = {"source": "sentry", "kind": kind, "service": "api"}
    return {"at": at, "event": {"name": name, "severity": severity, "labels": labels}}


def test_the_files_own_tests_hold(capsys):
    """`tocsin test` finds nothing wrong, and every rule of the file has a test that expects it."""
    assert main(["test", str(ROOT / "alert-rules.yaml")]) == 0, capsys.readouterr().out
    tested = yaml.safe_dump(yaml.safe_load(TEXT)["tests"])
    assert [rule.name for rule in RULES.rules if rule.name not in tested] == []


def test_the_file_passes_the_strict_check(tmp_path, capsys):
    """With its probes written, `tocsin check --strict` finds nothing: every rule has its page with the four headings."""
    text = (ROOT / "alert-rules.yaml").read_text(encoding="utf-8")
    path = tmp_path / "alert-rules.yaml"
    path.write_text(text.replace("probes:\n", PROBES, 1), encoding="utf-8")
    options = ["--runbook", str(ROOT / "runbook")]
    assert main(["check", "--strict", str(path), *options]) == 0, capsys.readouterr().out


def test_a_spike_pages_once():
    """Fifteen errors within a minute and the issue they make page once; the issue waits in its own channel."""
    story = [sentry(second, "error.created") for second in range(15)]
    story += [sentry(16, "issue.created"), sentry(20, "metric_alert.warning", "warning"), {"at": 60, "end": True}]
    assert told(story) == [("#incidents", "opened", "Error Spike"), (True, "opened", "Error Spike")]


def test_severity_decides_where_a_rule_names_no_one():
    """A critical alert of Prometheus pages, a warning only goes to its channel."""
    labels = {"source": "alertmanager", "kind": "alert", "service": "api"}
    critical = {"at": 0, "event": {"name": "Down", "severity": "critical", "labels": labels}}
    warning = {"at": 0, "event": {"name": "Slow", "severity": "warning", "labels": labels}}
    end = {"at": 120, "end": True}
    assert [target for target, _, _ in told([critical, end])] == ["#incidents", True]
    assert [target for target, _, _ in told([warning, end])] == ["#alerts"]


def test_a_service_that_is_down_pages_once():
    """While a service is known to be down, its error rate is not told as well."""
    down = {"at": 0, "probe": {"name": "api", "ok": False, "labels": {"service": "api"}}}
    rate = {"at": 40, "sample": {"metric": "error_rate", "value": 0.5, "labels": {"service": "api"}}}
    assert {name for _, _, name in told([down, rate, {"at": 120, "end": True}])} == {"Service Downtime"}


def test_alarms_of_aws_last():
    """Given an alarm of any severity → a day of silence does not end it; an event of RDS, which has no end, does not last."""
    days = {
        (severity, kind): next(
            each.options.resolve_timeout.days
            for each in walked(RULES.routes, {"source": source, "kind": kind, "severity": severity})
        )
        for severity in ("critical", "warning")
        for source, kind in (("cloudwatch", "alarm"), ("eventbridge", "health.event"))
    }
    assert set(days.values()) == {30}
    assert [
        each.id for each in walked(RULES.routes, {"source": "eventbridge", "kind": "rds.x", "severity": "warning"})
    ] == []


def walked(routes, labels):
    """The deepest routes that take an alert of these labels."""
    for route in routes:
        if matches_all(route.matchers, labels):
            deeper = list(walked(route.routes, labels))
            yield from deeper or [route]
