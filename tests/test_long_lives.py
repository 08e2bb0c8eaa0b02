"""A group with hundreds of announcements behind it: each promise holds there as in a young one (an old bound was 64).

One router lives through three hundred announcements to each target, over an index that lags. After that a worker dies at
each point of a new life in turn, while the alerts end and Slack is limited.
"""

from collections import deque
from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest

from chalicelib.core.delivery.notification import Reason
from chalicelib.core.incident import MAX_COMMITTED, Incident
from simulation.memory_store import MemoryStore
from tests.fakes import Death
from tests.scenario import Router, rules_of

RULES = rules_of("""
defaults: {group_by: [], group_wait: 0s, group_interval: 10s, repeat_interval: 100d}
alerts: []
default: {notification: [{slack_channel: "#incidents"}, {webhook: ops}]}
""")
LIVES = 100
LAG = timedelta(seconds=2)
DEATHS = [
    (name, after)
    for name in ("notifications.put", "store.locate", "store.save", "webhooks.put", "lambda.delete")
    for after in (False, True)
]
IN_DELIVERY = [
    (name, after) for name in ("store.save_delivery_log", "store.save_target_state") for after in (False, True)
]


class LaggingStore(MemoryStore):
    """A store whose index (timers) shows what was saved LAG ago, as a secondary index may.

    `committed` holds the ids of all notifications that saved incidents stand behind.
    """

    def __init__(self) -> None:
        """An empty one; `router` has its clock."""
        super().__init__()
        self.router: Router | None = None
        self.committed: set[str] = set()
        self._saved: deque[tuple[datetime, Incident]] = deque()
        self._seen: dict[str, Incident] = {}

    def save(self, incident: Incident, *, archive: Incident | None = None) -> None:
        """Save at once, and in the index later."""
        super().save(incident, archive=archive)
        assert self.router is not None
        self._saved.append((self.router.now + LAG, incident))
        self.committed |= {each.last.id for each in incident.announced.values()}

    def waking(self, now: datetime, limit: int) -> list[tuple[datetime, str]]:
        """Return the timers as the index has them."""
        while self._saved and self._saved[0][0] <= now:
            incident = self._saved.popleft()[1]
            self._seen[incident.key] = incident
        due = [(each.wake_at, key) for key, each in self._seen.items() if each.wake_at and each.wake_at <= now]
        return sorted(due)[:limit]


def live(router: Router, number: int) -> None:
    """Opened, updated and resolved, to each target; each life is of another service, so that nothing flaps."""
    first, second = f"api-{number}", f"web-{number}"
    router.fire("Down", service=first).run(seconds=15)
    router.fire("Down", service=second).run(seconds=15)
    router.resolve("Down", service=first).resolve("Down", service=second).run(seconds=15)


@pytest.fixture(scope="module")
def router() -> Iterator[Router]:
    """A router after three hundred announcements to each target."""
    store = LaggingStore()
    found = Router(RULES, store=store)
    store.router = found
    found.run(seconds=1)
    for number in range(LIVES):
        live(found, number)
    yield found
    found.close()


def heard(router: Router, since: int) -> dict[tuple[str, str], list[tuple[str, str]]]:
    """The id and reason of all that each target took of each incident since that request, as often as it came."""
    found: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for request in router.inbox.requests[since:]:
        notification = router.notification_of(request)
        if notification is not None and notification.reason is not Reason.SYNC:
            said = found.setdefault((notification.target.key, notification.incident.id), [])
            said.append((notification.id, notification.reason.value))
    return found


def wrong(router: Router, since: int) -> list[str]:
    """What is not as promised of what was sent since that request."""
    found = [f"left in a queue: {each}" for each in router.undone]
    found += [f"open: {each.id}" for each in router.store.incidents()]
    for (target, incident), said in heard(router, since).items():
        found += [f"{target}: no save committed to {reason}" for id, reason in said if id not in router.store.committed]
        reasons = [reason for _, reason in dict.fromkeys(said)]
        if (reasons[0], reasons[-1], said[-1][1]) != ("opened", "resolved", "resolved"):
            found.append(f"{target} {incident}: {[reason for _, reason in said]}")
        if reasons.count("opened") != 1 or reasons.count("resolved") != 1:
            found.append(f"{target} {incident}: {reasons}")
    return found


@pytest.mark.acceptance
def test_every_life_of_a_long_one_has_its_opening_update_and_resolve(router: Router) -> None:
    """Given a hundred lives of one group, then each target took opened, updated, resolved of each, and nothing is left."""
    lives = list(heard(router, 0).values())[: 2 * LIVES]
    assert len(lives) == 2 * LIVES > MAX_COMMITTED
    assert {tuple(reason for _, reason in dict.fromkeys(said)) for said in lives} == {("opened", "updated", "resolved")}
    assert wrong(router, 0) == []


@pytest.mark.parametrize("limited", [False, True], ids=["", "Slack is limited"])
@pytest.mark.parametrize("moment", ["opens", "updates", "resolves"])
@pytest.mark.parametrize(("site", "after"), [*DEATHS, *IN_DELIVERY])
def test_a_death_late_in_a_long_life_leaves_the_resolve_as_the_last_word(
    router: Router, site: str, after: bool, moment: str, limited: bool
) -> None:
    """Given a worker that dies there, when the alerts end a second later, then the resolve is the last word, once."""
    since = len(router.inbox.requests)
    first, second = f"api-{since}", f"web-{since}"
    if moment != "opens":
        router.fire("Down", service=first).run(seconds=15)
    if moment != "opens":
        router.fire("Down", service=second).run(seconds=4 if moment == "updates" else 15)
    router.sites.at, router.sites.after, router.sites.error = site, after, Death
    if moment == "resolves":
        router.resolve("Down", service=first).resolve("Down", service=second).run(seconds=1)
    elif moment == "updates":
        router.run(seconds=2)
    else:
        router.fire("Down", service=second).run(seconds=1)
    if limited:
        for operation in ("chat.postMessage", "chat.update"):
            router.inbox.answer("slack", operation, [{"status": 429, "retry_after": 7}])
    router.resolve("Down", service=first).resolve("Down", service=second).run(minutes=1)
    router.sites.at = None
    router.run(minutes=10)
    assert wrong(router, since) == [], router.errors[-3:]
