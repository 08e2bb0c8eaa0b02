"""A new account runs ten functions at once: in a storm nothing that was accepted is lost, and senders are heard."""

import json
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest

from cli.remote import Remote
from tests.deployed import Stage, compact, deployed_stage
from tests.project import ROOT

BODY = ROOT / "tests" / "sources" / "fixtures" / "sentry" / "event_alert_message_python.json"
WEBHOOKS = 50
LIMIT = 10


def occurrence(number: int) -> bytes:
    """The captured alert about an issue, as that of another issue that happened now."""
    content = json.loads(BODY.read_text())
    now = datetime.now(UTC)
    content["data"]["event"] |= {
        "event_id": uuid.UUID(int=number, version=4).hex,
        "issue_id": str(7_000_000 + number),
        "title": f"Storm {number:02d}",
        "datetime": now.isoformat(),
        "timestamp": now.timestamp(),
        "received": now.timestamp(),
    }
    return compact(content)


@pytest.mark.acceptance
def test_a_storm_in_an_account_of_ten_executions(tmp_path: Path) -> None:
    """Given 50 webhooks at once, when ten functions may run → each is accepted in the end, and each fault is known."""
    for name in ("project", "cloud"):
        (tmp_path / name).mkdir()
    with deployed_stage(tmp_path / "project", tmp_path / "cloud", account_concurrency=LIMIT) as stage:
        mappings = stage.clients("lambda").list_event_source_mappings()["EventSourceMappings"]
        assert sum(each["ScalingConfig"]["MaximumConcurrency"] for each in mappings) < LIMIT
        with ThreadPoolExecutor(WEBHOOKS) as senders:
            tries = list(senders.map(lambda number: accepted_after(stage, number), range(WEBHOOKS)))
        assert max(tries) < 20
        api = Remote(stage.deployed.url, stage.values["API_TOKEN"])
        stage.eventually(lambda: len(storm(api)) == WEBHOOKS, "a fault of the storm is missing")
        stage.eventually(lambda: "Storm" in json.dumps(stage.inbox.messages), "nobody was notified")
        stage.eventually(lambda: not stage.waiting(), "a message is left")
        assert stage.waiting(dead=True) == 0


def accepted_after(stage: Stage, number: int) -> int:
    """Send a webhook as a sender that repeats what is not accepted; how many tries that took."""
    for tries in range(1, 30):
        if (status := stage.post_sentry("event_alert", occurrence(number))) == 202:
            return tries
        assert status in (429, 500, 502, 503), status
    return 30


def storm(api: Remote) -> set[str]:
    """The titles of the alerts of the storm that fire."""
    return {each["title"] for each in api.get("alerts")["alerts"] if each["title"].startswith("Storm")}
