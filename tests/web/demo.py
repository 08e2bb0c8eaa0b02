"""The page over the sample day of `make run`: the rules of this checkout, with the probes whose values the sample has."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from chalicelib.schedule.last_seen import SourceActivity
from chalicelib.schedule.runs import PERIODS, WORKERS
from local import demo
from tests.project import ROOT
from tests.web.harness import PageHarness

NOW = datetime(2026, 11, 30, 19, 46, 20, tzinfo=UTC)
PROBES = """probes:
  uptime:
    - {name: sample-web, url: "https://exam.example.com/", every: 60m, service: exam-web}
    - {name: sample-api, url: "https://api.exam.example.com/health", every: 60m, service: exam-api}
  cloudflare: [{name: sample-zone, zone: 023e105f4ecef8ad9ca31a8372d0c353, every: 5m, service: exam-web}]
  database: [{name: sample-database, dsn: DATABASE_URL, every: 5m, service: database}]
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


HEARD = (
    ("sentry", NOW - timedelta(seconds=8), 9_214),
    ("alertmanager", NOW - timedelta(minutes=11), 1_120),
    ("vercel", NOW - timedelta(minutes=9), 61),
    ("cloudflare", NOW - timedelta(hours=30), 48),
)


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
    for function in (*PERIODS, *WORKERS.values()):
        store.put_mark(f"run:{function}", (NOW - timedelta(seconds=20)).isoformat())
    began = {"at": NOW.isoformat(), "dead": {**dict.fromkeys(WORKERS, 0), "history": 0, "notifications": 2}}
    store.put_mark("backlog", json.dumps(began))
    context = store.context()
    heard = {name: SourceActivity(NOW - timedelta(days=9), at, times, timedelta(hours=2)) for name, at, times in HEARD}
    marks = {**context.marks, **{f"heard:{name}": str(each) for name, each in heard.items()}}
    store.save_context(replace(context, marks=marks, version=context.version + 1))
    page.sign_in("Ana Souza", account)
    return page
