"""Deploy markers: one for each deploy, with since when production serves it."""

from datetime import UTC, datetime, timedelta
from itertools import permutations

import pytest

from chalicelib.core.event import Event, Severity, Status
from chalicelib.messages.queue import events_messages
from chalicelib.process.deploys import KEPT, deploy_of, with_deploys
from simulation.memory_store import MemoryStore
from simulation.simulator import Simulator
from tests.rule_files import rules_of

START = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)


def vercel(kind, minutes, deployment="dpl_fix", *, project="prj_1", target="production"):
    """An event of a Vercel deployment."""
    labels = {"deployment": deployment, "project": "web", "project_id": project, "target": target, "author": "ben"}
    at = START + timedelta(minutes=minutes)
    return Event(
        f"{kind}{deployment}{minutes}", "vercel", f"deployment.{kind}", Status.INFO, Severity.INFO, "Fix cart", at,
        deployment, service="web", labels=labels,
    )  # fmt: skip


def known(*events):
    """The markers that are kept, by id."""
    store = MemoryStore()
    for each in events:
        deploy = deploy_of(each)
        with_deploys(store, store.context(), deploy, each.occurred_at)
    return {each.id: each for each in store.context().deploys}


LIFE = (vercel("created", 20), vercel("succeeded", 30), vercel("promoted", 31))


@pytest.mark.parametrize("order", list(permutations(LIFE)))
def test_a_deploy_is_live_since_vercel_said_so(order):
    """Given the webhooks of one deployment in any order → one marker of its beginning that is live since its promotion."""
    found = known(*order)["dpl_fix"]
    assert (found.at, found.live_at, found.is_live) == (
        START + timedelta(minutes=20),
        START + timedelta(minutes=31),
        True,
    )


@pytest.mark.parametrize(
    ("events", "live"),
    [
        ((vercel("created", 20),), (None, False)),
        ((vercel("created", 20), vercel("ready", 30)), (30, False)),
        ((vercel("ready", 30, target="staging"),), (None, False)),
        ((vercel("promoted", 31), vercel("ready", 32)), (31, True)),
        ((vercel("promoted", 31), vercel("rollback", 50)), (50, True)),
        ((vercel("rollback", 50), vercel("promoted", 31)), (50, True)),
    ],
)
def test_since_when_production_serves_it(events, live):
    """Given what Vercel said → the newest promotion or rollback counts, else that it is ready for production."""
    found = known(*events)["dpl_fix"]
    assert (found.live_at, found.is_live) == (live[0] and START + timedelta(minutes=live[0]), live[1])


def test_an_old_deploy_that_went_live_lately_is_kept():
    """Given a deployment of two days ago that production was rolled back to → it stays beside a new one."""
    old = -2 * KEPT / timedelta(minutes=1)
    found = known(vercel("created", old), vercel("rollback", 0), vercel("created", 5, "dpl_new"))
    assert set(found) == {"dpl_fix", "dpl_new"}


def test_a_deploy_is_one_of_the_service_that_an_alias_names():
    """Given an alias of Vercel's project, when it is deployed → the marker is of the service, and the project stays."""
    router = Simulator(rules_of("services: {shop: {aliases: {vercel: web}}}\n"), START)
    router.post(events_messages([vercel("created", 0)]))
    router.settle()
    (found,) = router.store.context().deploys
    assert (found.service, found.project, found.concerns("shop"), found.concerns("web")) == ("shop", "web", True, False)
