"""An end finds its fire whatever it lacks: every sender's ends and repeats, with each optional field dropped or changed.

Each is played through the whole router under plain defaults, the shipped rules, and rules that tell targets apart by
severity, environment, service and kind. Whoever was sent an opening is sent one resolve, and nothing else opens.
"""

import json
from collections import Counter
from datetime import datetime, timedelta
from functools import lru_cache

import pytest

from chalicelib import plugins
from chalicelib.core.delivery.notification import Receipt
from chalicelib.core.event import ActionKind, Event, Status
from chalicelib.core.rule import Rules
from chalicelib.deliver.send import Send
from chalicelib.messages.webhook import Webhook, compressed, written
from simulation.simulator import Simulator
from tests.project import ROOT
from tests.rule_files import rules_of
from tests.sources.bodies import body, changed
from tests.sources.pairs import DECLARED, MINUTE, PAIRS, START, Given, Pair, changed_bodies, read, variants

HEAD = "defaults: {group_wait: 0s, group_interval: 1m, repeat_interval: 100d, group_by: [service, environment, kind]}\n"
ROUTES = "".join(
    f"  - {{match: {{{label}: {value}}}, continue: true, notification: [{{webhook: {name}}}]}}\n"
    for label, value, name in (
        ("severity", "critical", "critical"),
        ("severity", "warning", "warning"),
        ("environment", '"=~[Pp]roduction"', "production"),
        ("environment", '"!~[Pp]roduction"', "nowhere"),
        ("kind", '"=~(event_alert|issue|metric_alert)[.].+"', "kinds"),
        ("service", '"=~.+"', "served"),
    )
)
RULES = {
    "plain defaults": "alerts: []\ndefault: {notification: [{webhook: all}]}\n",
    "the shipped file": (ROOT / "alert-rules.yaml").read_text("utf-8"),
    "routes by severity, environment, service and kind": f"{HEAD}alerts: []\nroutes:\n{ROUTES}"
    "default: {notification: [{webhook: rest}]}\n",
    "rules by severity, environment and kind": f"""{HEAD}
alerts:
  - {{name: Critical, match: {{severity: critical}}, notification: [{{webhook: critical}}]}}
  - {{name: Production, match: {{environment: "=~[Pp]roduction"}}, notification: [{{webhook: production}}]}}
  - {{name: Fires, match: {{kind: "=~.*(triggered|created|critical|warning|unresolved|alert)"}}, notification: [{{webhook: kinds}}]}}
default: {{notification: [{{webhook: rest}}]}}
""",
}
QUICK = "the shipped file"
UNDER = [pytest.param(name, marks=() if name == QUICK else pytest.mark.acceptance) for name in RULES]
"""The rules under which every variant of a body is played: those that a team starts from in the quick tests, all in acceptance."""
FIRED, REPEATED, ENDED = START, START + 5 * MINUTE, START + 20 * MINUTE
WORSE = ("critical", "warning", "info")


@lru_cache
def with_senders(rules: str) -> Rules:
    """The rules of that name, with the senders that a file declares."""
    return rules_of(f"{DECLARED}\n{RULES[rules]}")


def taken(clients: object, now: datetime) -> Send:
    """The way to targets that take everything."""
    return lambda notification, thread: Receipt()


def played(rules: str, source: str, *given: tuple[timedelta, Given]) -> Simulator:
    """The router an hour after the last of these bodies."""
    router = Simulator(with_senders(rules), START)
    router.sender = taken
    for number, (at, each) in enumerate(given):
        router.run_until(START + at, inclusive=True)
        webhook = Webhook(f"w{number}", source, each.data, router.now, each.headers)
        router.post([written(webhook, compressed(each.data))])
    router.run_until(router.now + timedelta(hours=1), inclusive=True)
    return router


def counted(router: Simulator, reason: str) -> Counter[str]:
    """How often each target was sent that reason."""
    return Counter(each.notification.target.key for each in router.sent if each.notification.reason.value == reason)


def wrong(router: Simulator, opened: Counter[str], *, others: bool = False) -> str:
    """What is not as promised. `opened` is what opens; with `others` targets that it does not name may open once too."""
    found = counted(router, "opened")
    if found != counted(router, "resolved"):
        return f"opened {dict(found)}, resolved {dict(counted(router, 'resolved'))}"
    if found != (opened | Counter(found.keys()) if others else opened):
        return f"opened {dict(found)} and not {dict(opened)}"
    left = [each.key for each in router.store.incidents()]
    return f"still open: {left}" if left or router.dead_lettered else ""


EARLY = (
    "is older than the beginning, so it ends nothing: put the names of the body's time fields into _TIMES of "
    "tests/sources/pairs.py. Where the body has no time of the end, `occurred_at` is `received_at`"
)


def shown(source: str, given: Given) -> str:
    """What the events of a body are, for a failure, and what to do about an end that is too old."""
    return "; ".join(_described(each) for each in read(source, given, ENDED))


def _described(event: Event) -> str:
    early = event.status is Status.RESOLVED and event.occurred_at < FIRED
    said = f"{event.status} kind={event.kind} severity={event.severity} service={event.service} environment={event.environment}"
    return f"{said} occurred_at={event.occurred_at.isoformat()}" + (f" ({EARLY})" if early else "")


@lru_cache(maxsize=512)
def seen(source: str, made: str, at: datetime) -> tuple[Given, ...]:
    """The variants of a body, as JSON with its headers; each is asked for under every set of rules."""
    return tuple(variants(source, Given(*json.loads(made)), at))


def others(source: str, given: Given, at: datetime) -> tuple[Given, ...]:
    """The variants of a body at a time."""
    moved = given.at(at)
    return seen(source, json.dumps([moved.body, moved.headers]), at)


def ended(pair: Pair, rules: str) -> list[str]:
    """What goes wrong with each end of the pair."""
    fires = pair.fires.at(FIRED)
    alone = counted(played(rules, pair.source, (FIRED - START, fires)), "opened")
    found = []
    for end in others(pair.source, pair.ends, ENDED):
        router = played(rules, pair.source, (FIRED - START, fires), (ENDED - START, end))
        if fault := wrong(router, alone):
            found.append(f"{shown(pair.source, end)}: {fault}")
    return found


def repeated(pair: Pair, rules: str, *, may_open: bool) -> list[str]:
    """What goes wrong with each repeat of the pair. One that is worse, or that another rule takes, may open once more."""
    fires, ends = pair.fires.at(FIRED), pair.ends.at(ENDED)
    first = max(WORSE.index(each.severity) for each in read(pair.source, fires, FIRED))
    alone = counted(played(rules, pair.source, (FIRED - START, fires)), "opened")
    found = []
    for again in others(pair.source, pair.again or pair.fires, REPEATED):
        times = ((FIRED - START, fires), (REPEATED - START, again), (ENDED - START, ends))
        worse = any(WORSE.index(each.severity) < first for each in read(pair.source, again, REPEATED))
        if fault := wrong(played(rules, pair.source, *times), alone, others=worse or may_open):
            found.append(f"{shown(pair.source, again)}: {fault}")
    return found


AGAIN = 40 * MINUTE


def begins_again(pair: Pair) -> bool:
    """Whether the beginning, sent again after the end, says that it is of then: some bodies keep the time of their fault."""
    read_again = read(pair.source, pair.fires.at(START + AGAIN), START + AGAIN)
    return all((each.starts_at or each.occurred_at) > START + 30 * MINUTE for each in read_again)


@pytest.mark.parametrize("rules", RULES)
@pytest.mark.parametrize("name", [name for name, pair in PAIRS.items() if begins_again(pair)])
def test_a_fault_that_begins_again_after_its_end_is_notified_again(name, rules):
    """Given a beginning, its end, and ten minutes later the beginning again → each target receives two openings."""
    pair = PAIRS[name]
    sent = ((0 * MINUTE, pair.fires), (30 * MINUTE, pair.ends), (AGAIN, pair.fires))
    opened = counted(played(rules, pair.source, *((at, each.at(START + at)) for at, each in sent)), "opened")
    assert opened and set(opened.values()) == {2}


ACTS_ONLY = ("pagerduty",)
"""Senders whose webhooks are what people do: no fault begins or ends with them."""


def test_every_source_has_a_pair():
    """Given a file in sources/ → a beginning and its end are played through the router; generic's are DECLARED."""
    missing = set(plugins.names("sources")) - {each.source for each in PAIRS.values()} - {plugins.GENERIC, *ACTS_ONLY}
    assert not missing, f"add a pair to PAIRS in tests/sources/pairs.py for {', '.join(sorted(missing))}"


@pytest.mark.parametrize("name", PAIRS)
def test_a_pair_is_one_fault(name: str) -> None:
    """Given a beginning and its end as the vendor sends them, then they have one fingerprint and say what they are."""
    pair = PAIRS[name]
    began, over = read(pair.source, pair.fires.at(FIRED), FIRED), read(pair.source, pair.ends.at(ENDED), ENDED)
    assert [each.fingerprint for each in began] == [each.fingerprint for each in over]
    assert {each.status for each in began} == {Status.FIRING}
    assert {each.status for each in over} == {Status.RESOLVED}
    assert counted(played("plain defaults", pair.source, (timedelta(0), pair.fires.at(FIRED))), "opened")


@pytest.mark.parametrize("rules", UNDER)
@pytest.mark.parametrize("name", PAIRS)
def test_every_end_ends_what_its_beginning_opened(name: str, rules: str) -> None:
    """Given an end with a field dropped, changed or added, then each target that was opened gets one resolve."""
    found = ended(PAIRS[name], rules)
    assert not found, "\n".join(found)


def test_an_end_that_is_older_than_its_beginning_is_described() -> None:
    """Given an end whose body keeps the time of its beginning → the failure names the table to add its field to."""
    pair = PAIRS["two alerts"]
    ends = pair.ends.at(FIRED - timedelta(days=1))
    old = ends.with_body(
        {**ends.body, "alerts": [{**each, "endsAt": "2013-10-24T22:57:01Z"} for each in ends.body["alerts"]]}
    )
    assert "_TIMES of tests/sources/pairs.py" in shown(pair.source, old)
    assert "_TIMES" not in shown(pair.source, pair.fires.at(FIRED))


@pytest.mark.parametrize("rules", UNDER)
@pytest.mark.parametrize("name", PAIRS)
def test_a_repeat_that_looks_different_is_no_second_alert(name: str, rules: str) -> None:
    """Given a repeat with a field dropped, changed or added, then only what is worse may open, and everything ends."""
    found = repeated(PAIRS[name], rules, may_open=rules.startswith("rules by"))
    assert not found, "\n".join(found)


PEOPLE = """
defaults: {group_wait: 0s, group_interval: 1m, repeat_interval: 100d}
alerts: []
default: {notification: [{webhook: all}, {pagerduty: true}]}
"""


def closed_at_pagerduty() -> tuple[Simulator, Given]:
    """The router with one incident open, and what PagerDuty sends when a person resolves it there."""
    router = Simulator(rules_of(PEOPLE), START)
    router.sender = taken
    fires = PAIRS["tunnel down"].fires.at(START)
    router.post([written(Webhook("w", "cloudflare", fires.data, START, {}), compressed(fires.data))])
    router.run_until(ENDED, inclusive=True)
    (incident,) = router.store.incidents()
    body_ = changed(body("pagerduty/webhook_v3.incident.resolved.json"), event__data__incident_key=incident.id)
    return router, Given(changed(body_, event__occurred_at=ENDED.isoformat()))


def acts(given: Given) -> list[tuple[ActionKind, str | None]]:
    """What a person did, by the source."""
    found = (each.action for each in read("pagerduty", given, ENDED))
    return [(each.kind, each.incident) for each in found if each is not None]


def test_a_resolve_at_pagerduty_ends_the_incident_whatever_it_lacks() -> None:
    """Given PagerDuty's resolve with a field dropped, changed or added, then others get one resolve, and it gets none."""
    _, whole = closed_at_pagerduty()
    bodies = [whole.body, *changed_bodies(whole.body)]
    meant = [each for each in map(whole.with_body, bodies) if acts(each) == acts(whole)]
    assert len(meant) > len(bodies) / 2
    for end in meant:
        router, _ = closed_at_pagerduty()
        router.post([written(Webhook("end", "pagerduty", end.data, ENDED, {}), compressed(end.data))])
        router.run_until(ENDED + timedelta(hours=1), inclusive=True)
        assert counted(router, "resolved") == {"webhook:all": 1}, end.body
        assert counted(router, "opened") == {"webhook:all": 1, "pagerduty:default": 1}
