"""The promises of the product, over the whole router: workers die anywhere, and nobody is told twice or left untold.

A death is put before and after every call to a store, a queue or a vendor in one incident's life, one for each run; the
message comes back as SQS would bring it. What every vendor took must then be what it took without any death.
"""

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from chalicelib.core.errors import NotStoredError
from tests.fakes import Death, Sites
from tests.scenario import Router, rules_of

HEAD = """
defaults: {group_by: [alertname], group_wait: 10s, group_interval: 1m, repeat_interval: 10m}
fallback: {notification: [{email: late@example.com}]}
"""
EVERYBODY = """
default: {notification: [{slack_channel: "#incidents"}, {pagerduty: true}, {email: ops@example.com}, {webhook: ops}]}
"""
TWO = """
default: {notification: [{slack_channel: "#incidents"}, {webhook: ops}]}
"""
INHIBIT = "inhibit: [{cause: {alertname: Down}, symptom: {alertname: Slow}, equal: [service]}]"


def whole_life(router: Router) -> None:
    """Opened, a second alert, a reminder, acknowledged, resolved."""
    router.run(seconds=1)
    router.fire("Down", service="api").run(minutes=4)
    router.fire("Down", service="web").run(minutes=18)
    router.act("ack", alertname="Down").run(minutes=4)
    router.resolve("Down", service="api").resolve("Down", service="web").run(minutes=5)


def inhibited(router: Router) -> None:
    """A symptom stays quiet while its cause burns, is told when that ends, and ends itself."""
    router.run(seconds=1)
    router.fire("Down", service="api").run(minutes=4)
    router.fire("Slow", service="api").run(minutes=4)
    router.resolve("Down", service="api").run(minutes=4)
    router.resolve("Slow", service="api").run(minutes=5)


def refused(router: Router) -> None:
    """Slack refuses for good: the fallback hears of it, and the others are told as ever."""
    router.inbox.answer("slack", "chat.postMessage", [{"error": "channel_not_found"}], stay=True)
    router.run(seconds=1)
    router.fire("Down", service="api").run(minutes=4)
    router.resolve("Down", service="api").run(minutes=5)


@dataclass(frozen=True)
class Story:
    """A life, and what must be told in it by each vendor."""

    rules: str
    life: Callable[[Router], None]
    told: dict[str, list[str]]
    parked: int = 0


EACH = ["Down opened", "Down updated", "Down reminder", "Down resolved"]
BOTH = ["Down opened", "Down resolved", "Slow opened", "Slow resolved"]
STORIES = {
    "a whole life": Story(
        HEAD + EVERYBODY,
        whole_life,
        {
            "slack": [*EACH[:3], "Down sync", "Down resolved"],
            "pagerduty": ["Down trigger", "Down acknowledge", "Down resolve"],
            "email": EACH,
            "webhook": EACH,
        },
    ),
    "a cause and its symptom": Story(
        HEAD + TWO + INHIBIT,
        inhibited,
        {"slack": BOTH, "webhook": BOTH},
    ),
}


def lived(story: Story, sites: Sites) -> Router:
    """The router after the story."""
    router = Router(rules_of(story.rules), sites=sites)
    try:
        story.life(router)
    finally:
        router.close()
    return router


def idle_ticks_left_out(names: list[str]) -> list[int]:
    """The numbers of the calls, those of ticks that found nothing to do only once."""
    kept, last = [], ""
    for number, name in enumerate(names):
        idle = name in ("store.context", "store.waking") and names[number + 1 : number + 2] != ["store.load"]
        if not idle or last != "idle":
            kept.append(number)
        last = "idle" if idle and name == "store.waking" else (last if idle else "busy")
    return kept


def once(told: dict[str, list[str]]) -> dict[str, list[str]]:
    """What people see: what is asked again of PagerDuty under one key, or said again to a Slack message, is one."""
    found = {}
    for vendor, said in told.items():
        doubles = said if vendor == "pagerduty" else [each for each in said if vendor == "slack" and "sync" in each]
        found[vendor] = [each for n, each in enumerate(said) if each not in doubles or said[n - 1 : n] != [each]]
    return found


DEATHS = [
    ("dies before a call", Death, False),
    ("dies after a call", Death, True),
    ("is refused", NotStoredError, False),
    ("is not told that it was done", NotStoredError, True),
]


@pytest.mark.parametrize(("error", "after"), [row[1:] for row in DEATHS], ids=[row[0] for row in DEATHS])
@pytest.mark.parametrize("name", STORIES)
def test_whatever_call_a_worker_dies_at_everybody_is_told_once(name, error, after):
    """Every call of the life fails once, one for each run, and every vendor takes what it takes without a failure."""
    story = STORIES[name]
    calm = Sites()
    assert once(lived(story, calm).told()) == story.told
    wrong = []
    for number in idle_ticks_left_out(calm.names):
        sites = Sites(at=number, after=after, error=error)
        router = lived(story, sites)
        expected = dict(story.told)
        told = once(router.told())
        if sites.names[number] == "ses" or sites.names[number - 1] == "ses":
            told["email"] = without_one_double(told["email"], expected["email"])
        if told != expected or len(router.undone) != story.parked:
            wrong.append((number, sites.failed, router.told(), router.errors))
    assert wrong == []


def without_one_double(said: list[str], expected: list[str]) -> list[str]:
    """SES has no idempotency key: the mail that was under way when a worker died may come once more, and no other."""
    doubles = [number for number in range(1, len(said)) if said[number] == said[number - 1]]
    return said if said == expected or len(doubles) != 1 else said[: doubles[0]] + said[doubles[0] + 1 :]
