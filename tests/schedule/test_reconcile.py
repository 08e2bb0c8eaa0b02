"""What webhooks missed is found and told; silent and refused sources are told; both end."""

import json
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise

import httpx
import pytest

from chalicelib.core.context import Silence
from chalicelib.core.errors import ConflictError, NotSetUpError, TargetRejectedError, TargetUnavailableError
from chalicelib.core.match import Matcher
from chalicelib.core.metrics.sample import Sample
from chalicelib.histories import Endpoint, Found, History
from chalicelib.messages.queue import Events, read_message
from chalicelib.messages.webhook import Webhook, compressed, written
from chalicelib.schedule.reconcile import repair
from simulation.memory_store import MemoryStore
from tests.histories.vendors import Vendors
from tests.scenario import Router, rules_of
from tests.sources.bodies import body, changed

RULES = """
alerts:
  - name: Sentry issue
    match: {source: sentry}
    group_by: []
    group_wait: 0s
    group_interval: 1m
    notification: [{slack_channel: "#errors"}]
default: {notification: [{pagerduty: true}]}
fallback: {notification: [{email: ops@example.com}]}
"""
ISSUE = body("sentry/issue_created_docs.json")
HEADERS = {"sentry-hook-resource": "issue"}


class Vendor:
    """A history that says what it is told to, and remembers what it was asked."""

    def __init__(self, endpoint="issues"):
        self.found = []
        self.error = None
        self.asked = []
        self.ENDPOINTS = (Endpoint(endpoint, endpoint, self.read),)

    def read(self, clients, *, since, until, active):
        """What was found, in the window asked for."""
        self.asked.append((since, until, list(active)))
        if self.error is not None:
            raise self.error
        return History([each for each in self.found if since < each.at <= until], until)


class Story:
    """A router, a Sentry and a Cloudflare whose webhooks may not arrive."""

    def __init__(self):
        self.router = Router(rules_of(RULES))
        self.vendors = {"sentry": Vendor(), "cloudflare": Vendor("notifications")}
        self.sentry = self.vendors["sentry"]

    def issue(self, number, action="created", *, arrives=True, at=None):
        """Something happens to an issue at Sentry; its webhook may get lost."""
        at = at or self.router.now
        fields = {"id": str(number), "firstSeen": at.isoformat(), "lastSeen": at.isoformat()}
        given = changed(ISSUE, action=action, **{f"data__issue__{name}": value for name, value in fields.items()})
        headers = {**HEADERS, "sentry-hook-timestamp": str(int(at.timestamp()))}
        self.sentry.found.append(Found(given, at, headers))
        if arrives:
            self.webhook("sentry", given, headers)
        return self

    def webhook(self, source, given, headers):
        """A webhook arrives."""
        data = json.dumps(given).encode()
        webhook = Webhook(id=str(len(data)), source=source, body=data, received_at=self.router.now, headers=headers)
        self.router.webhooks.put([written(webhook, compressed(data))])

    def repair(self, *, minutes=5):
        """Time passes, and the schedule comes round."""
        self.router.run(minutes=minutes)
        report = repair(
            rules=self.router.rules, clients=None, now=self.router.now, readers=self.vendors, **self.router.ports
        )  # type: ignore[arg-type]
        self.router.run(minutes=2)
        return report


@pytest.fixture
def story():
    """A story that gives back its address."""
    found = Story()
    yield found
    found.router.close()


def test_what_was_missed_is_told(story):
    """Three of five webhooks got lost: all three are told late, and so is that they were late; then that is over."""
    for number in range(5):
        story.issue(number, arrives=number < 2)
    report = story.repair()
    assert report.missed["sentry"] == (3, 5)
    assert story.router.told()["slack"] == ["opened", "updated"]
    told = [each for each in story.router.decided.values() if each.target.kind == "email"]
    assert [each.alerts[0].title for each in told] == ["Webhooks from Sentry came late"]
    assert "3 of 5 came late" in told[0].alerts[0].summary
    alerts = [
        alert
        for incident in story.router.store.incidents()
        for alert in incident.firing
        if alert.sender.source == "sentry"
    ]
    assert len(alerts) == 5
    assert story.repair().missed["sentry"] == (0, 0)
    assert story.router.told()["email"] == ["opened", "resolved"]


def test_what_came_is_not_taken_again(story):
    """Nothing is late, nothing more is told, and the same look twice changes nothing."""
    story.issue(1).issue(2)
    story.router.run(minutes=5)
    before = story.router.told()
    for _ in range(2):
        story.router.store.save_context(_without_cursor(story.router.store.context()))
        assert story.repair(minutes=0).missed["sentry"] == (0, 2)
    assert story.router.told() == before


def _without_cursor(context):
    marks = {key: value for key, value in context.marks.items() if not key.startswith("repair:")}
    return replace(context, marks=marks, version=context.version + 1)


def test_a_webhook_that_is_only_late_counts_once(story):
    """The real webhook comes after the repair: nobody is told again."""
    story.issue(1, arrives=False)
    late = story.sentry.found[0]
    assert story.repair().missed["sentry"] == (1, 1)
    told = story.router.told()
    story.webhook("sentry", late.body, dict(late.headers))
    story.router.run(minutes=30)
    assert story.router.told()["slack"] == told["slack"] == ["opened"]
    assert [
        alert.received.events
        for incident in story.router.store.incidents()
        for alert in incident.firing
        if alert.sender.source == "sentry"
    ] == [1]


def test_a_missed_end_ends(story):
    """An issue that burns here and is resolved there is asked for by its number, and resolved for whoever was told."""
    story.issue(7)
    story.repair()
    assert story.sentry.asked[-1][2] == ["7"]
    story.issue(7, "resolved", arrives=False)
    report = story.repair()
    assert report.missed["sentry"] == (1, 1)
    assert story.router.told()["slack"] == ["opened", "resolved"]


def test_what_people_ended_is_not_opened_again(story):
    """A person resolved it here while Sentry goes on calling it regressed: that is no missed webhook."""
    story.issue(7)
    story.router.run(minutes=1)
    story.router.act("resolve", issue="7").run(minutes=1)
    story.issue(7, "unresolved", arrives=False)
    assert story.repair().missed["sentry"] == (0, 2)
    assert story.router.told()["slack"] == ["opened", "resolved"]


def test_what_is_still_on_its_way_is_not_late(story):
    """The last three minutes are left alone, and looked at the next time: no window is left out."""
    story.repair()
    story.issue(1, arrives=False)
    assert story.repair(minutes=1).missed["sentry"] == (0, 0)
    assert story.repair(minutes=5).missed["sentry"] == (1, 1)
    windows = [(since, until) for since, until, _ in story.sentry.asked]
    assert all(before[1] == after[0] for before, after in pairwise(windows))


def test_after_an_outage_the_cursor_goes_on(story):
    """A vendor that is away for some time leaves no hole; one that is away for long is told, once, until it is back."""
    story.repair()
    reached = story.sentry.asked[-1][1]
    story.sentry.error = TargetUnavailableError("Sentry answered 502")
    story.issue(1, arrives=False)
    for _ in range(5):
        assert ("history.failed", "sentry:issues") not in story.repair(minutes=8).troubles
    for _ in range(5):
        report = story.repair(minutes=8)
    assert "Sentry answered 502, since" in report.troubles["history.failed", "sentry:issues"]
    story.sentry.error = None
    assert story.repair().missed["sentry"] == (1, 1)
    assert story.sentry.asked[-1][0] == reached
    story.repair()
    told = story.router.told()["email"]
    assert (told[0], told[-1], told.count("resolved")) == ("opened", "resolved", 1)


def test_a_day_is_the_farthest_look_back(story):
    """After a week without the router, one day is read."""
    story.repair()
    story.repair(minutes=7 * 24 * 60)
    since, until, _ = story.sentry.asked[-1]
    assert until - since < timedelta(hours=24)


def test_limits_are_honoured(story):
    """Who asks to wait is left alone that long; the other vendor is read meanwhile."""
    story.sentry.error = TargetUnavailableError("too much", retry_after=timedelta(minutes=20))
    story.repair()
    story.repair()
    assert len(story.sentry.asked) == 1 and len(story.vendors["cloudflare"].asked) == 2
    story.sentry.error = None
    story.repair(minutes=20)
    assert len(story.sentry.asked) == 2


def test_a_refusal_is_told_at_once(story):
    """A token without the right is a mistake of ours: told by the router, until it is mended."""
    story.sentry.error = TargetRejectedError("Sentry answered 403; allowed is a token that may read its history")
    assert "403" in story.repair().troubles["history.failed", "sentry:issues"]
    assert story.router.told() == {"email": ["opened"]}
    story.sentry.error = None
    story.repair()
    assert story.router.told() == {"email": ["opened", "resolved"]}


@pytest.mark.parametrize("operator", ["=~", "!~"])
@pytest.mark.parametrize("place", ["silences", "maintenance"])
def test_a_stored_silence_that_re2_refuses_mutes_nothing_and_is_reported(story, place, operator):
    """A silence of an older version with look-ahead mutes no alert; it is reported until it is ended."""
    store, now = story.router.store, story.router.now
    silence = Silence("s1", (Matcher("source", operator, "(?=sentry).*"),), now, now + timedelta(days=1), "ana")
    context = store.context()
    store.save_context(replace(context, **{place: (silence,)}, version=context.version + 1))
    story.issue(1)
    report = story.repair()
    assert story.router.told()["slack"] == ["opened"]
    reason = report.troubles["silence.refused", "s1"]
    assert reason.startswith(
        f"ana made it with a pattern that RE2 refuses. source{operator}(?=sentry).*: column 1: look-"
    )
    assert story.router.told()["email"] == ["opened"]
    told = [each for each in story.router.decided.values() if each.target.kind == "email"]
    assert [each.alerts[0].title for each in told] == ["The silence s1 mutes nothing"]
    context = store.context()
    ended = replace(silence, ends_at=story.router.now)
    store.save_context(replace(context, **{place: (ended,)}, version=context.version + 1))
    assert ("silence.refused", "s1") not in story.repair().troubles
    assert story.router.told()["email"] == ["opened", "resolved"]


def test_without_a_token_nothing_happens(story):
    """Both are off, and nothing is written."""
    for vendor in story.vendors.values():
        vendor.error = NotSetUpError("no token")
    writes = story.router.store.writes
    assert story.repair().troubles == {}
    assert story.router.store.writes - writes <= 2  # the first tick's own marks


def test_the_real_readers_are_off_by_default(story):
    """Without tokens the real readers ask nobody; CloudWatch needs none."""
    clients = Vendors(lambda request: httpx.Response(500), {}, {})
    assert repair(rules=story.router.rules, clients=clients, now=story.router.now, **story.router.ports).missed == {
        "cloudwatch": (0, 0)
    }
    assert clients.requests == []


CORRELATED = {
    "alert_type": "tunnel_health_event", "policy_id": "p1", "policy_name": "Tunnels", "text": "Tunnel is down",
    "data": {"tunnel_id": "t1", "tunnel_name": "edge", "new_status": "TUNNEL_STATUS_TYPE_DOWN"},
}  # fmt: skip


def test_a_notification_of_which_only_the_sentence_is_left(story):
    """Its policy and time tell that it came; another time, or another policy, did not."""
    at = story.router.now
    stamped = {**CORRELATED, "ts": int(at.timestamp())}
    story.webhook("cloudflare", stamped, {})
    sentence = {key: value for key, value in stamped.items() if key != "data"}
    story.vendors["cloudflare"].found = [Found(sentence, at, {})]
    assert story.repair().missed["cloudflare"] == (0, 1)
    other = Found({**sentence, "policy_id": "p2", "ts": int(story.router.now.timestamp())}, story.router.now, {})
    story.vendors["cloudflare"].found.append(other)
    assert story.repair().missed["cloudflare"] == (1, 1)


def test_information_is_not_looked_for(story):
    """A maintenance opens nothing, so nothing of it is known here, and nothing is missed."""
    maintenance = {"alert_type": "maintenance_event_notification", "ts": int(story.router.now.timestamp())}
    story.vendors["cloudflare"].found = [Found(maintenance, story.router.now, {})]
    assert story.repair().missed["cloudflare"] == (0, 0)


def test_a_store_that_refuses_fails_the_run(story):
    """Somebody else saves the context each time: the run fails and the next one does the same again."""

    class Contended(MemoryStore):
        def save_context(self, context):
            raise ConflictError("version")

    with pytest.raises(ConflictError):
        repair(
            rules=story.router.rules, store=Contended(), queues=story.router.ports["queues"], clients=None,
            now=story.router.now, readers=story.vendors,
        )  # fmt: skip  # type: ignore[arg-type]


# ---------------------------------------------------------------------------------------------------------------------
# Sources themselves


class Watched:
    """Runs the repair over samples of what came to the door, without any vendor."""

    def __init__(self):
        self.router = Router(rules_of(RULES))

    def at_the_door(self, metric, value=1.0, *, status="", source="sentry"):
        """The door tells what came or was refused."""
        labels = {"source": source, "status": status} if status else {"source": source}
        self.router.store.add_samples([Sample(metric, value, self.router.now, labels)])

    def run(self):
        """One run; the troubles by (kind, source)."""
        return repair(
            rules=self.router.rules, clients=None, now=self.router.now, readers={}, **self.router.ports
        ).troubles  # type: ignore[arg-type]

    def pass_time(self, **time):
        """Time passes, without ticks that nobody needs."""
        self.router.now += timedelta(**time)
        self.router.next_tick = self.router.now


@pytest.fixture
def watched():
    """A watched router that gives back its address."""
    found = Watched()
    yield found
    found.router.close()


def speaking(watched, hours):
    """The source speaks every ten minutes, and the schedule comes every hour."""
    for _ in range(hours):
        for _ in range(6):
            watched.pass_time(minutes=10)
            watched.at_the_door("webhooks")
        assert watched.run() == {}


def test_a_source_that_has_gone_quiet_is_told_until_it_speaks(watched):
    """Eight days of a webhook every ten minutes, then nothing for over an hour; then it is back."""
    speaking(watched, 8 * 24)
    watched.pass_time(minutes=55)
    assert watched.run() == {}
    watched.pass_time(minutes=10)
    assert "It has sent nothing since" in watched.run()["source.quiet", "sentry"]
    watched.router.run(minutes=1)
    assert watched.router.told() == {"email": ["opened"]}
    watched.at_the_door("webhooks")
    assert watched.run() == {}
    watched.router.run(minutes=5)
    assert watched.router.told() == {"email": ["opened", "resolved"]}


def test_a_source_that_is_new_is_not_missed(watched):
    """A morning of webhooks makes no habit."""
    speaking(watched, 5)
    watched.pass_time(hours=48)
    assert watched.run() == {}


def test_a_source_is_heard_by_its_alerts_too():
    """Few webhooks, from containers that forgot to count them, are known by what their alerts last heard."""
    story = Story()
    story.issue(1)
    story.repair()
    assert "heard:sentry" in story.router.store.context().marks
    story.router.close()


REFUSALS = [
    ("a wrong secret from now on", 0, 3, False, True),
    ("one typing mistake", 0, 2, False, False),
    ("a few among many accepted", 0, 5, True, False),
    ("many, though others are accepted", 0, 30, True, True),
    ("as many as ever", 24 * 30, 30, True, False),
    ("four times as many as ever", 24 * 10, 40, True, True),
]


def test_strangers_are_no_source(watched):
    """Three wrong posts under a name that nothing was ever accepted from are not told, ten are."""
    for count in (9, 1):
        watched.at_the_door("webhooks_refused", count, status="401", source="vercel")
        watched.pass_time(minutes=5)
        assert bool(watched.run()) is (count == 1)


@pytest.mark.parametrize(
    ("yesterday", "now", "accepted", "told"), [row[1:] for row in REFUSALS], ids=[r[0] for r in REFUSALS]
)
def test_rising_refusals_are_told(watched, yesterday, now, accepted, told):
    """More refusals than usual, or nothing but refusals, is trouble; it ends when they end."""
    watched.at_the_door("webhooks")
    watched.pass_time(minutes=1)
    if yesterday:
        watched.at_the_door("webhooks_refused", yesterday, status="401")
    watched.pass_time(hours=2)
    watched.at_the_door("webhooks_refused", now, status="401")
    if accepted:
        watched.at_the_door("webhooks")
    watched.pass_time(minutes=5)
    troubles = watched.run()
    assert (("source.refused", "sentry") in troubles) is told
    if told:
        assert f"{now} were refused in the last hour: {now} with 401. Check its secret." in troubles.values()
        watched.pass_time(hours=2)
        assert watched.run() == {}


def test_the_router_never_watches_itself(watched):
    """Its own alerts are no source that could go quiet."""
    watched.at_the_door("webhooks_refused", 5, status="401")
    watched.pass_time(minutes=5)
    watched.run()
    watched.router.run(minutes=5)
    watched.run()
    assert not [key for key in watched.router.store.context().marks if key.startswith("heard:router")]


def test_a_garbled_mark_is_forgotten(watched):
    """What cannot be read begins anew."""
    context = watched.router.store.context()
    marks = {"heard:sentry": "garbage", "repair:sentry": "garbage", "repair_wait:sentry": "x"}
    watched.router.store.save_context(replace(context, marks=marks, version=context.version + 1))
    watched.at_the_door("webhooks")
    watched.pass_time(minutes=1)
    assert watched.run() == {}


def test_events_are_the_routers_own():
    """They are made anew each run, with one identity, so that they refresh one alert."""
    story = Story()
    story.sentry.error = TargetRejectedError("Sentry answered 401")
    puts = []
    ports = {**story.router.ports}
    queue = type("Q", (), {"put": lambda self, bodies, delay=timedelta(0): puts.extend(bodies)})()
    ports["queues"] = type(ports["queues"])(queue, queue, queue)
    for minute in range(2):
        repair(
            rules=story.router.rules,
            clients=None,
            now=story.router.now + timedelta(minutes=minute),
            readers=story.vendors,
            **ports,
        )
    events = [event for text in puts if isinstance(content := read_message(text), Events) for event in content.events]
    assert [(each.source, each.kind, each.severity.value, each.labels) for each in events] == [
        ("router", "history.failed", "warning", {"sender": "sentry", "endpoint": "issues"})
    ] * 2
    assert events[0].fingerprint == events[1].fingerprint and events[0].id != events[1].id
    assert isinstance(events[0].occurred_at, datetime)
    story.router.close()
