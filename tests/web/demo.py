"""The page over the sample day of `make run`: the rules of this checkout, with the probes whose values the sample has."""

from datetime import UTC, datetime, timedelta
from typing import Any

from local import demo
from tests.project import ROOT
from tests.web.harness import PageHarness

NOW = datetime(2026, 11, 30, 19, 46, 20, tzinfo=UTC)
PROBES = """probes:
  uptime:
    - {name: sample-web, url: "https://exam.example.com/", every: 60m, service: exam-web}
    - {name: sample-api, url: "https://api.exam.example.com/health", every: 60m, service: exam-api}
  cloudflare: [{name: sample-zone, zone: 023e105f4ecef8ad9ca31a8372d0c353, every: 5m, service: exam-web}]
  database: [{name: sample-database, dsn: DATABASE_URL, service: database}]
  heartbeat:
    - {name: backup, every: 1d, grace: 1h}
"""
SERVICES = """services:
  exam-web: {owner: team-web, tier: 1}
  exam-api: {owner: team-core, tier: 1}
  database: {owner: team-core}
  mailer: {}
  worker: {}
"""
ACCESS = """access:
  responder: ["*"]
  admin: ["token:ana"]
"""


def rules_text() -> str:
    """Return the rules of this checkout with the sample's probes, and owners of its services."""
    text = (ROOT / "alert-rules.yaml").read_text(encoding="utf-8").partition("\ntests:\n")[0]
    before, _, after = text.partition("\nprobes:\n  heartbeat:\n")
    assert after, "the rules file has its heartbeats elsewhere"
    return f"{ACCESS}{before.replace(chr(10) + 'services:' + chr(10), chr(10) + SERVICES)}\n{PROBES}{after}"


RULES = rules_text()


def _when(line: dict[str, Any]) -> str:
    return str(line["at"])


def page_of_the_sample(*, account: str = "token:ana") -> PageHarness:
    """Return a page over the sample day, at its end, with Ana signed in."""
    beats = [{"at": f"2026-11-{day}T03:10:04Z", "beat": {"name": "backup"}} for day in (27, 28, 29, 30)]
    lines = sorted([{"at": "2026-11-26T12:00:05Z", "beat": {"name": "backup"}}, *beats, *demo.night(NOW)], key=_when)
    page = PageHarness(*lines, rules=RULES)
    store = page.router.store
    store.add_samples([each for each in demo.measured(NOW) if each.metric != "p95_latency_ms"])
    store.add_samples([each for each in demo.measured(NOW) if each.metric == "p95_latency_ms"])
    store.put_mark("run:watch", (NOW - timedelta(seconds=20)).isoformat())
    page.sign_in("Ana Souza", account)
    return page
