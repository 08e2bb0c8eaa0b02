"""One outage that a probe, the database, Cloudflare, Sentry and Vercel report: one message in each channel, one page, one end.

Real bodies of the vendors, real servers that stop, the real table on the embedded AWS, a virtual clock, the shipped rules.
"""

import json
from typing import Any

import pytest
import yaml

from chalicelib.core.rule import Rules
from chalicelib.messages.webhook import Webhook, compressed, written
from tests.probes.conftest import Postgres
from tests.probes.test_stories import Site, WatchedRouter, site, watched
from tests.project import ROOT
from tests.rule_files import rules_of
from tests.sources.bodies import body

__all__ = ["site"]

pytestmark = pytest.mark.acceptance

CHANNELS = ("incidents", "alerts")
REPORTED = {"Service Downtime", "Cloudflare Alert", "Sentry Issue", "Error Spike", "Vercel Deployment Failed"}
SERVICES = {
    "web": {
        "aliases": {"sentry": ["python"], "cloudflare": ["origin-web-server"], "vercel": ["example-web"]},
        "owner": "team-web",
        "depends_on": ["database"],
    },
    "database": {"owner": "team-data"},
}
"""What each sender calls the web application, as a team writes it into the shipped file."""


def rules(site: Site) -> Rules:
    """Return the shipped rules with a team's probes and services."""
    probes = {
        "uptime": [{"name": "web", "url": site.url, "service": "web", "timeout": "2s"}],
        "database": [{"name": "main", "dsn": "DATABASE_URL", "service": "database"}],
    }
    content = yaml.safe_load((ROOT / "alert-rules.yaml").read_text(encoding="utf-8"))
    return rules_of(yaml.safe_dump({**content, "probes": probes, "services": SERVICES, "tests": []}))


def post(router: WatchedRouter, source: str, content: dict[str, Any], **headers: str) -> None:
    """Put a body on the queue of webhooks as the door does once it has checked who sent it."""
    data = json.dumps(content).encode()
    name = f"{source}-{router.now.isoformat()}-{len(data)}-{content.get('action', '')}"
    router.webhooks.put([written(Webhook(name, source, data, router.now, headers), compressed(data))])


def issue(router: WatchedRouter, action: str) -> None:
    """Sentry says that an issue is new, or resolved."""
    content = body("sentry/issue_created_docs.json")
    content["action"] = action
    content["data"]["issue"] |= {
        "status": "resolved" if action == "resolved" else "unresolved",
        "firstSeen": router.now.isoformat(),
        "lastSeen": router.now.isoformat(),
    }
    post(router, "sentry", content, **{"sentry-hook-resource": "issue"})


def errors(router: WatchedRouter, count: int) -> None:
    """Sentry sends errors of the web application."""
    for number in range(count):
        content = body("sentry/error_created_docs.json")
        content["data"]["error"] |= {
            "event_id": f"{number:032x}",
            "datetime": router.now.isoformat(),
            "timestamp": router.now.timestamp(),
            "received": router.now.timestamp(),
            "url": f"https://sentry.io/api/0/projects/acme/python/events/{number:032x}/",
        }
        post(router, "sentry", content, **{"sentry-hook-resource": "error"})


def health(router: WatchedRouter, status: str) -> None:
    """Cloudflare says that the origin is unhealthy, or healthy again."""
    content = body("cloudflare/health_check_status_notification_unhealthy.json")
    content["data"] |= {"status": status, "time": router.now.isoformat().replace("+00:00", "Z")}
    post(router, "cloudflare", content)


def deployment(router: WatchedRouter, what: str) -> None:
    """Vercel says what became of a deployment."""
    content = body(f"vercel/deployment.{what}.json")
    post(router, "vercel", {**content, "createdAt": int(router.now.timestamp() * 1000)})


def outage(router: WatchedRouter, site: Site, postgres: Postgres) -> None:
    """The database stops after a deploy, and takes everything with it; a second deploy fails."""
    deployment(router, "succeeded")
    router.run(minutes=1)
    postgres.stop()
    router.run(minutes=3)
    site.stop()
    health(router, "Unhealthy")
    issue(router, "created")
    errors(router, 12)
    deployment(router, "error")
    router.run(minutes=6)


def recovery(router: WatchedRouter, site: Site, postgres: Postgres) -> None:
    """Everything works again."""
    postgres.start()
    site.start()
    health(router, "Healthy")
    issue(router, "resolved")
    deployment(router, "succeeded")
    router.run(minutes=40)


def test_an_outage_is_one_message_in_each_channel_one_page_and_one_end(
    emulator: str, site: Site, postgres: Postgres
) -> None:
    """Given an outage that five senders report → each channel has one message, PagerDuty one incident, and each ends once."""
    with watched(emulator, rules(site), DATABASE_URL=postgres.dsn("postgres")) as router:
        router.run(minutes=3)
        assert (router.inbox.messages, router.inbox.incidents) == ([], [])
        outage(router, site, postgres)
        (open_incident,) = router.store.incidents()
        assert {alert.name for alert in open_incident.alerts.values()} == REPORTED
        (critical,), (warning,) = (router.messages(channel) for channel in CHANNELS)
        assert critical.startswith("🔴 [critical] Service Downtime (database), affects web")
        assert warning.startswith("🟠 [warning] 2 alerts: Sentry Issue, Vercel Deployment Failed (web)")
        (page,) = router.inbox.incidents
        assert page["status"] == "triggered"
        recovery(router, site, postgres)
        for channel in CHANNELS:
            (message,) = router.messages(channel)
            assert message.startswith("✅ [resolved]")
        (page,) = router.inbox.incidents
        assert page["status"] == "resolved"
        assert list(router.store.incidents()) == []
        reasons = [each.rpartition(" ")[2] for each in router.told()["slack"]]
        assert (reasons.count("opened"), reasons.count("resolved")) == (2, 2)
        pages = [each.rpartition(" ")[2] for each in router.told()["pagerduty"]]
        assert (pages[0], pages.count("resolve"), pages[-1]) == ("trigger", 1, "resolve")
        assert router.errors == []
