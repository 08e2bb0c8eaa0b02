"""The promises of the product, over the whole router: workers die anywhere, and nobody is told twice or left untold.

A death is put before and after every call to a store, a queue or a vendor in one incident's life, one for each run; the
message comes back as SQS would bring it. What every vendor took must then be what it took without any death.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from chalicelib.core.errors import NotStoredError, ProcessedError
from chalicelib.messages.webhook import Webhook, compressed, written
from tests.fakes import Death, Sites
from tests.scenario import START, Router, rules_of

pytestmark = pytest.mark.acceptance

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
    """Slack refuses for good: the fallback hears of it, and the others are told as ever.

    A worker that dies while it tells leaves a doubt: Slack may have been told, so the end is tried there too.
    """
    router.inbox.answer("slack", "chat.postMessage", [{"error": "channel_not_found"}], stay=True)
    router.run(seconds=1)
    router.fire("Down", service="api").run(minutes=4)
    router.resolve("Down", service="api").run(minutes=5)


def failing(router: Router) -> None:
    """Slack has troubles of its own three times, each of another kind."""
    answers = [{"status": 503}, {"status": 429, "retry_after": 40}, {"error": "internal_error"}]
    router.inbox.answer("slack", "chat.postMessage", answers)
    router.run(seconds=1)
    router.fire("Down", service="api").run(minutes=6)
    router.resolve("Down", service="api").run(minutes=5)


def escalated(router: Router) -> None:
    """Nobody acknowledges; then somebody takes it back, and it begins again."""
    router.run(seconds=1)
    router.fire("Down", service="api").run(minutes=8)
    router.act("ack", alertname="Down").run(minutes=12)
    router.act("unack", alertname="Down").run(minutes=8)
    router.act("resolve", alertname="Down").run(minutes=5)


def silenced(router: Router) -> None:
    """A silence is made, and ended before its time, while the alert fires."""
    router.run(seconds=1)
    router.silence("s1", minutes=300, alertname="Down").run(minutes=4)
    router.fire("Down", service="api").run(minutes=4)
    router.unsilence("s1").run(minutes=4)
    router.resolve("Down", service="api").run(minutes=5)


def measured(router: Router) -> None:
    """A measured alert fires, and ends because its rule is gone after a deploy."""
    router.run(seconds=1)
    router.measure("error_rate", 0.2, service="api").run(minutes=4)
    router.measure("error_rate", 0.2, service="api").run(minutes=4)
    router.rules = rules_of(HEAD + TWO)
    router.run(minutes=8)


def storm(router: Router) -> None:
    """Sixteen events of one fault within seconds, and every one is counted."""
    router.run(seconds=1)
    for number in range(16):
        router.fire("Down", service="api", id=f"e{number}").run(seconds=1.2)
    router.run(minutes=4)
    router.resolve("Down", service="api").run(minutes=5)
    (incident,) = router.store.incidents(ended_since=START)
    router.notes.append(f"{incident.events} events")


def large(router: Router) -> None:
    """Two webhooks too large for a message: their bodies are in the table until they are dealt with, and not after."""
    router.run(seconds=1)
    for name, status in (("begin", "DOWN"), ("end", "HEALTHY")):
        body = {
            "name": "n", "text": "x", "alert_type": "tunnel_health_event", "ts": router.now.timestamp(),
            "data": {"tunnel_name": "t", "tunnel_id": "t1", "new_status": f"TUNNEL_STATUS_TYPE_{status}"},
        }  # fmt: skip
        router.store.keep_body(name, compressed(json.dumps(body).encode()))
        router.webhooks.put([written(Webhook(name, "cloudflare", b"", router.now, body_ref=name), b"")])
        router.run(minutes=5)
    for name in ("begin", "end"):
        try:
            router.notes.append(f"{name}: {router.store.get_body(name)!r}")
        except ProcessedError:
            router.notes.append(f"{name} is dropped")


@dataclass(frozen=True)
class Story:
    """A life, what must be told in it by each vendor, and how many messages are parked, at least and at most.

    With `refusals` calls also fail without a death, and the worker goes on as it can. Of the calls every third fails
    (`stride`), in the whole life every one.
    """

    rules: str
    life: Callable[[Router], None]
    told: dict[str, list[str]]
    dead_lettered: tuple[int, int] = (0, 0)
    notes: tuple[str, ...] = ()
    refusals: bool = False
    stride: int = 3


EACH = ["Down opened", "Down updated", "Down reminder", "Down resolved"]
BOTH = ["Down opened", "Down resolved", "Slow opened", "Slow resolved"]
STORIES = {
    "a whole life": Story(
        HEAD + EVERYBODY,
        whole_life,
        {
            "slack": EACH,
            "pagerduty": ["Down trigger", "Down acknowledge", "Down resolve"],
            "email": EACH,
            "webhook": EACH,
        },
        refusals=True,
        stride=1,
    ),
    "a target that fails": Story(HEAD + TWO, failing, {"slack": BOTH[:2], "webhook": BOTH[:2]}),
    "nobody acknowledges": Story(
        HEAD.replace("10m", "4h")
        + TWO.replace("]}", "], escalate: [{after: 5m, notification: [{pagerduty: true}]}]}", 1),
        escalated,
        {
            "slack": BOTH[:2],
            "webhook": BOTH[:2],
            "pagerduty": ["Down trigger", "Down acknowledge", "Down trigger", "Down resolve"],
        },
    ),
    "a silence": Story(HEAD + TWO, silenced, {"slack": BOTH[:2], "webhook": BOTH[:2]}),
    "a rule that is gone": Story(
        HEAD + TWO + "alerts: [{name: Errors, condition: 'error_rate > 1%', severity: critical}]",
        measured,
        {"slack": ["Errors opened", "Errors resolved"], "webhook": ["Errors opened", "Errors resolved"]},
        refusals=True,
    ),
    "a storm": Story(HEAD + TWO, storm, {"slack": BOTH[:2], "webhook": BOTH[:2]}, notes=("16 events",)),
    "large webhooks": Story(
        HEAD + TWO,
        large,
        {vendor: ["tunnel_health_event opened", "tunnel_health_event resolved"] for vendor in ("slack", "webhook")},
        notes=("begin is dropped", "end is dropped"),
    ),
    "a target that refuses": Story(
        HEAD + TWO,
        refused,
        {"email": ["slack_channel:#incidents opened", "slack_channel:#incidents resolved"], "webhook": BOTH[:2]},
        dead_lettered=(1, 2),
        refusals=True,
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


WRITES = ("save", "put", "delete", "hide", "dead_letter", "keep", "drop", "ses", "slack", "pagerduty", "hook")


def numbers(names: list[str], *, after: bool) -> list[int]:
    """The calls to fail at. To die after a call that only reads is to die before the next one.

    Those of ticks that found nothing to do are taken once.
    """
    kept, was_idle = [], False
    for number, name in enumerate(names):
        is_idle = name in ("store.context", "store.waking") and names[number + 1 : number + 2] != ["store.load"]
        if not (is_idle and was_idle) and (not after or any(word in name for word in WRITES)):
            kept.append(number)
        was_idle = is_idle
    return kept


def once(told: dict[str, list[str]]) -> dict[str, list[str]]:
    """What people hear: what is asked again of PagerDuty under one key is one, and bringing up to date says nothing."""
    found = {}
    for vendor, said in told.items():
        heard = [each for each in said if not each.endswith("sync")]
        found[vendor] = [each for n, each in enumerate(heard) if vendor != "pagerduty" or heard[n - 1 : n] != [each]]
    return found


DEATHS = [
    ("dies before a call", Death, False),
    ("dies after a call", Death, True),
    ("is refused", NotStoredError, False),
    ("is not told that it was done", NotStoredError, True),
]


CASES = [
    pytest.param(name, error, after, id=f"{name}, {what}")
    for name, story in STORIES.items()
    for what, error, after in DEATHS
    if error is Death or story.refusals
]


@pytest.mark.parametrize(("name", "error", "after"), CASES)
def test_whatever_call_a_worker_dies_at_everybody_is_told_once(name, error, after):
    """Each call of the life fails once, one for each run, and every vendor takes what it takes without a failure."""
    story = STORIES[name]
    calm = Sites()
    assert once(lived(story, calm).told()) == story.told
    wrong = []
    for number in numbers(calm.names, after=after)[:: story.stride]:
        sites = Sites(at=number, after=after, error=error)
        router = lived(story, sites)
        expected = dict(story.told)
        told = once(router.told())
        if sites.names[number] == "ses" or sites.names[number - 1] == "ses":
            told["email"] = without_one_double(told["email"], expected["email"])
        if (
            told != expected
            or not story.dead_lettered[0] <= len(router.undone) <= story.dead_lettered[1]
            or router.notes != [*story.notes]
        ):
            wrong.append((number, sites.failed, router.told(), router.errors))
    assert wrong == []


def without_one_double(said: list[str], expected: list[str]) -> list[str]:
    """SES has no idempotency key: the mail that was under way when a worker died may come once more, and no other."""
    doubles = [number for number in range(1, len(said)) if said[number] == said[number - 1]]
    return said if said == expected or len(doubles) != 1 else said[: doubles[0]] + said[doubles[0] + 1 :]
