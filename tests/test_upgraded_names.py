"""A stage of the version before is upgraded while faults are open that have another name now: their ends still end them.

stored/sixth_release.json is a stage of the version before, with its rules and with the ends that arrive after the upgrade.
Open are: an alert of a declared source without `id`, a failed deployment of Vercel, one of Cloudflare Pages, and a tunnel
whose name is what it was. It is never changed.
"""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from chalicelib.messages.webhook import Webhook, compressed, written
from simulation.simulator import Simulator
from tests.test_upgrade import staged

STAGE = json.loads((Path(__file__).parent / "stored" / "sixth_release.json").read_text("utf-8"))


@pytest.fixture
def router() -> Simulator:
    """The new version over the stage."""
    found: Simulator = staged(STAGE, STAGE["rules"])  # type: ignore[no-untyped-call]
    return found


def posted(router: Simulator, hook: dict[str, Any], name: str) -> None:
    """A webhook arrives."""
    data = json.dumps(hook["body"]).encode()
    router.post([written(Webhook(name, hook["source"], data, router.now, {}), compressed(data))])
    router.settle()


def test_the_stage_is_as_it_was_stored(router: Simulator) -> None:
    """Given the stored stage → four alerts fire."""
    assert len([alert for incident in router.store.incidents() for alert in incident.firing]) == 4


def test_every_end_ends_what_began_before_the_upgrade(router: Simulator) -> None:
    """Given the ends of all four after the upgrade → each is resolved, nothing opens, and no incident is left."""
    router.run_until(datetime.fromtimestamp(STAGE["at"], UTC) + timedelta(minutes=10), inclusive=True)
    for number, hook in enumerate(STAGE["ends"]):
        posted(router, hook, f"end{number}")
    router.run_until(router.now + timedelta(minutes=30), inclusive=True)
    assert [sent for sent in router.taken() if sent.notification.reason.value == "opened"] == []
    assert list(router.store.incidents()) == []


def test_an_end_of_another_thing_leaves_it_open(router: Simulator) -> None:
    """Given ends of another project and another page after the upgrade → all four fire on."""
    router.run_until(datetime.fromtimestamp(STAGE["at"], UTC) + timedelta(minutes=10), inclusive=True)
    vercel, pages = json.loads(json.dumps(STAGE["ends"][1:3]))
    vercel["body"]["payload"]["project"]["id"] = "prj_2"
    pages["body"] |= {"alert_correlation_id": "c2"}
    pages["body"]["data"]["project_name"] = "other"
    posted(router, vercel, "a")
    posted(router, pages, "b")
    router.run_until(router.now + timedelta(minutes=30), inclusive=True)
    assert len([alert for incident in router.store.incidents() for alert in incident.firing]) == 4
