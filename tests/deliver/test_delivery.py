"""Stories of delivery in time: pace, back-off, refusals, broken targets, the fallback, what is played back."""

import itertools
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest

from chalicelib.core.delivery.delivery_log import DeliveryLog
from chalicelib.core.delivery.notification import Notification, Receipt
from chalicelib.core.delivery.target_state import Health, TargetState
from chalicelib.core.errors import TargetRejectedError, TargetUnavailableError
from chalicelib.core.event import Event, Severity, Status
from chalicelib.core.incident import Incident
from chalicelib.core.instants import from_seconds
from chalicelib.core.ports import Store
from chalicelib.core.rule import Rules, Target
from chalicelib.deliver import send, worker
from chalicelib.deliver.delivery import MAX_AGE
from chalicelib.messages.queue import Queues, events_messages, notification_message
from simulation.memory_store import MemoryStore
from simulation.simulator import FakeTarget, Limit, Sent, Simulator, TargetAnswer
from tests.fakes import MemoryQueue
from tests.rule_files import KINDS, rules_of
from tests.targets import samples

START = from_seconds(0)
SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
RULES = """
defaults: {group_wait: 0s, group_by: [service], repeat_interval: 1d}
alerts:
  - {name: Slow, match: {alertname: Slow}, notification: [{slack_channel: "#slow"}]}
  - {name: Other, match: {alertname: Other}, notification: [{slack_channel: "#other"}]}
  - {name: Page, match: {alertname: Page}, notification: [{pagerduty: true}]}
  - name: All
    match: {alertname: All}
    notification: [{slack_channel: "#all"}, {pagerduty: true}, {email: ana@example.com}]
fallback: {notification: [{email: ops@example.com}]}
"""
SLOW, OTHER, PAGE, FALLBACK = (
    "slack_channel:#slow",
    "slack_channel:#other",
    "pagerduty:default",
    "email:ops@example.com",
)
DOWN = TargetAnswer(error="refused")


class Story:
    """A router on a virtual clock, and what it told."""

    def __init__(self, rules: str = RULES) -> None:
        self.router = Simulator(rules_of(rules), START)
        self.told: list[Sent] = []

    def fires(self, name: str, *services: str, severity: str = "critical", resolved: bool = False) -> "Story":
        """One event for each service, now."""
        at = self.router.now
        for service in services:
            event = Event(
                id=f"{name}/{service}/{resolved}/{at.isoformat()}",
                source="event",
                kind="event",
                status=Status.RESOLVED if resolved else Status.FIRING,
                severity=Severity(severity),
                title=f"{name} of {service}",
                occurred_at=at,
                identity=f"{name}/{service}",
                name=name,
                labels={"service": service},
            )
            self.router.post(events_messages([event]))
        return self.until(0)

    def answers(self, target: str, *answers: TargetAnswer, limit: Limit | None = None) -> "Story":
        """What a target answers from now on."""
        self.router.targets[target] = FakeTarget(list(answers), limit)
        return self

    def until(self, seconds: float) -> "Story":
        """Let time pass until then, at least to the end of what is due now."""
        self.router.run_until(max(self.router.now, from_seconds(seconds)), inclusive=True)
        self.told += self.router.taken()
        return self

    def at(self, target: str) -> list[tuple[float, str, str]]:
        """What a target was told: seconds, reason, the first alert's name."""
        return [
            (seconds(each.at), each.notification.reason.value, each.notification.alerts[0].name)
            for each in self.told
            if each.notification.target.key == target and each.delivered
        ]

    def dead_lettered(self) -> list[Sent]:
        """What was given up."""
        return [each for each in self.told if not each.delivered]


def seconds(at: datetime) -> float:
    """Since the start."""
    return (at - START).total_seconds()


def tries(sent: Sent) -> list[float]:
    """When it was tried."""
    return [seconds(at) for at in sent.tried_at]


def test_a_storm_in_one_channel_delays_no_other() -> None:
    """Of 300 incidents in one channel none is lost and none comes within a second of another; elsewhere nobody waits."""
    story = Story().fires("Slow", *(f"s{n}" for n in range(300)), severity="warning")
    story.fires("Other", "x").until(1_000)
    times = [at for at, _, _ in story.at(SLOW)]
    assert len({each.notification.incident.id for each in story.told}) == len(story.told) == 301
    assert min(later - earlier for earlier, later in itertools.pairwise(times)) >= 1
    assert times[-1] == 299
    assert [at for at, _, _ in story.at(OTHER)] == [0]


def test_others_than_slack_take_a_burst() -> None:
    """Thirty incidents of one moment are told to PagerDuty in that moment; the minute's limit holds after them."""
    story = Story().fires("Page", *(f"s{n}" for n in range(200))).until(300)
    times = [at for at, _, _ in story.at(PAGE)]
    assert (times[29], len(times)) == (0, 200)
    assert all(sum(start <= at < start + 60 for at in times) <= 120 for start in times)


def test_a_critical_does_not_stand_behind_the_warnings_of_its_own_channel() -> None:
    """It is out with the next message of its channel."""
    story = Story().fires("Slow", *(f"s{n}" for n in range(100)), severity="warning").until(30)
    story.fires("Slow", "urgent").until(200)
    (urgent,) = [each for each in story.told if each.notification.incident.group == {"service": "urgent"}]
    assert seconds(urgent.at) <= 32
    assert len(story.at(SLOW)) == 101


@pytest.mark.parametrize("wait", ["0s", "30s"])
def test_a_lone_fire_to_three_targets_costs_at_most_ten_writes(wait: str) -> None:
    """Neither pace nor health writes anything of its own as long as nothing is wrong."""
    story = Story(RULES.replace("group_wait: 0s", f"group_wait: {wait}")).fires("All", "x").until(120)
    assert len(story.told) == 3
    assert story.router.store.writes <= 10


def test_retry_after_is_kept_to_the_moment_by_all_of_the_channel() -> None:
    """Nothing is tried before the channel said, the one that was told so goes first."""
    story = Story().answers(SLOW, TargetAnswer(429, retry_after=30), TargetAnswer()).fires("Slow", "a")
    story.until(10).fires("Slow", "b").until(100)
    assert [tries(each) for each in story.told] == [[0, 30], [31]]


def test_a_target_that_asks_again_and_again_for_no_wait_is_backed_off() -> None:
    """Retry-After of nothing is kept once; a target that only says so is not asked thousands of times a minute."""
    story = Story().answers(SLOW, TargetAnswer(429, retry_after=0)).fires("Slow", "a").until(25_000)
    (given_up,) = story.dead_lettered()
    assert tries(given_up)[:2] == [0.0, 0.0]
    assert tries(given_up)[2] >= 5
    assert len(given_up.tried_at) < 60


@pytest.mark.parametrize("seconds", [86_401, 999_999_999_999, 10**40])
def test_a_wait_of_centuries_postpones_nothing(seconds: float) -> None:
    """A Retry-After that makes no sense counts as none: tried again after thirty seconds, and told."""
    story = Story().answers(SLOW, TargetAnswer(429, retry_after=seconds), TargetAnswer()).fires("Slow", "a").until(60)
    assert [tries(each) for each in story.told] == [[0, 30]]


def test_a_wait_that_outlasts_the_delivery_is_no_wait() -> None:
    """A target that takes nothing for a day → given up at once and told to the fallback; the next is tried within minutes."""
    story = Story().answers(SLOW, TargetAnswer(429, retry_after=86_400)).fires("Slow", "a").until(10)
    assert [tries(each) for each in story.dead_lettered()] == [[0]]
    assert story.at(FALLBACK) == [(0, "opened", "Delivery failed")]
    story.fires("Slow", "b").until(599)
    assert len(story.dead_lettered()) == 1
    story.answers(SLOW, TargetAnswer()).until(700)
    assert [at for at, _, _ in story.at(SLOW)] == [600]


@pytest.mark.parametrize("asked", [timedelta.max, timedelta(days=365_000), timedelta(days=-1)])
def test_no_wait_of_a_target_raises(asked: timedelta) -> None:
    """Whatever a target asks for, the delivery comes back or is given up, and the target is left alone for minutes at most."""
    store = MemoryStore()
    one = replace(samples.NOTIFICATION, target=Target("pagerduty", "default"), at=START)
    store.save(Incident(one.incident.key, id=one.incident.id, committed=(one.id,), version=1))

    def send(notification: Notification, delivery_log: DeliveryLog) -> Receipt:
        raise TargetUnavailableError("busy", retry_after=asked)

    outcome = worker.deliver(
        notification_message(one),
        rules=Rules(kinds=KINDS),
        store=store,
        queues=Queues(MemoryQueue(), MemoryQueue(), MemoryQueue()),
        clients=samples.FakeClients(),
        now=START,
        send=send,
    )
    assert (outcome.dead_lettered is not None) is (asked > timedelta(0))
    assert outcome.retry_after in (None, timedelta(0))
    assert START <= (store.target_state(PAGE).gate.closed_until or START) <= START + 10 * MINUTE


def test_a_limit_over_minutes_is_waited_out() -> None:
    """Five an a quarter of an hour: the sixth is told exactly when it is over, in order, and nothing is lost."""
    story = Story().answers(SLOW, limit=Limit(5, timedelta(seconds=900)))
    story.fires("Slow", *(f"s{n}" for n in range(7))).until(2_000)
    assert [tries(each) for each in story.told] == [[0], [1], [2], [3], [4], [5, 900], [901]]


def test_backing_off_ends_after_six_hours() -> None:
    """Each wait about doubles until the target is broken, then it is a minute; after six hours the fallback is notified."""
    story = Story().answers(SLOW, DOWN).fires("Slow", "a").until(7 * 3_600)
    (given_up,) = story.dead_lettered()
    waits = [later - earlier for earlier, later in zip(tries(given_up), tries(given_up)[1:], strict=False)]
    working = [n for n, at in enumerate(tries(given_up)[1:]) if at < 15 * 60]
    assert all(0.8 * min(5 * 2**n, 600) <= waits[n] <= 1.2 * min(5 * 2**n, 600) for n in working)
    assert all(wait < 61 for wait in waits[working[-1] + 2 :])
    assert 6 * 3_600 - 72 <= tries(given_up)[-1] <= 6 * 3_600
    assert "no connection" in (given_up.error or "")
    assert [(reason, name) for _, reason, name in story.at(FALLBACK)] == [
        ("opened", "Target broken"),
        ("updated", "Target broken"),
    ]
    assert {told.name for told in story.told[-1].notification.alerts} == {"Target broken", "Delivery failed"}


def test_a_refusal_is_with_the_fallback_within_a_minute_and_ends_with_the_next_success() -> None:
    """It is parked with its reason, told once as an incident of the router, and over when the target takes something."""
    refused = TargetAnswer(200, {"ok": False, "error": "channel_not_found"})
    story = Story().answers(SLOW, refused).fires("Slow", "a", "b").until(60)
    assert ["channel_not_found" in (each.error or "") for each in story.dead_lettered()] == [True, True]
    assert story.at(FALLBACK) == [(0, "opened", "Delivery failed")]
    assert sorted(told.title for told in story.told[-1].notification.alerts) == [
        "Could not notify slack_channel:#slow: Slow of a",
        "Could not notify slack_channel:#slow: Slow of b",
    ]
    story.answers(SLOW, TargetAnswer()).fires("Slow", "c").until(300)
    assert [reason for _, reason, _ in story.at(FALLBACK)] == ["opened", "resolved"]


def test_nothing_is_resolved_where_nothing_was_told() -> None:
    """A channel that refused the fire does not hear of its end; one that may have got it does."""
    story = (
        Story().answers(SLOW, TargetAnswer(200, {"ok": False, "error": "is_archived"})).fires("Slow", "a").until(100)
    )
    story.answers(SLOW, TargetAnswer()).fires("Slow", "a", resolved=True).until(1_000)
    assert story.at(SLOW) == []
    assert [reason for _, reason, _ in story.at(FALLBACK)] == ["opened", "resolved"]
    story = Story().answers(PAGE, TargetAnswer(503)).fires("Page", "a").until(7 * 3_600)
    story.answers(PAGE, TargetAnswer(202)).fires("Page", "a", resolved=True).until(8 * 3_600)
    assert [reason for _, reason, _ in story.at(PAGE)] == ["resolved"]


def test_a_broken_target_is_told_once_probed_one_at_a_time_and_mended_by_one_success() -> None:
    """After fifteen minutes without a success: one incident, at most one try a minute, and an end."""
    story = Story().answers(SLOW, DOWN).fires("Slow", *(f"s{n}" for n in range(20))).until(3_000)
    broken_at, reason, name = story.at(FALLBACK)[0]
    assert (reason, name) == ("opened", "Target broken")
    assert 900 <= broken_at <= 1_600
    story.answers(SLOW, TargetAnswer()).until(6_000)
    assert len(story.at(SLOW)) == 20
    probes = sorted(at for each in story.told for at in tries(each) if broken_at < at < 3_000)
    assert min(later - earlier for earlier, later in itertools.pairwise(probes)) >= 60
    assert [reason for _, reason, _ in story.at(FALLBACK)] == ["opened", "resolved"]
    assert not story.dead_lettered()


def test_what_is_done_leaves_the_lane() -> None:
    """A lane stays small however much goes through it: each claim takes out what was done before it."""
    story = Story()
    for number in range(60):
        story.fires("Page", f"s{number}").until(number * 5)
    assert len(story.at(PAGE)) == 60
    assert len(story.router.store.target_state(PAGE).slots) == 1


@pytest.mark.parametrize("sent", [False, True])
def test_nothing_to_send_is_no_sign_of_life(sent: bool) -> None:
    """An acknowledgement withdrawn, for which PagerDuty has no word, does not mend a broken routing key."""
    store = MemoryStore()
    one = replace(samples.NOTIFICATION, target=Target("pagerduty", "default"), at=START)
    store.save(Incident(one.incident.key, id=one.incident.id, committed=(one.id,), version=1))
    store.save_target_state(TargetState(PAGE, health=Health(START, START, ("target.broken",)), version=1))
    outcome = worker.deliver(
        notification_message(one),
        rules=Rules(kinds=KINDS),
        store=store,
        queues=Queues(MemoryQueue(), MemoryQueue(), MemoryQueue()),
        clients=samples.FakeClients(),
        now=START + MINUTE,
        send=lambda notification, delivery_log: Receipt(sent=sent),
    )
    assert outcome.delivered
    assert (store.target_state(PAGE).health.broken_at is None) is sent


def test_being_asked_to_slow_down_is_no_fault() -> None:
    """A target that only says 429 for an hour works: it is not marked."""
    story = Story().answers(SLOW, TargetAnswer(429, retry_after=60)).fires("Slow", "a").until(3_600)
    assert story.at(FALLBACK) == []
    assert not story.router.store.target_state(SLOW).health.broken_at


SECRET_ADDRESSES = """
defaults: {group_wait: 0s, group_by: [service]}
alerts:
  - name: Page
    match: {alertname: Page}
    notification:
      - {slack_channel: "https://hooks.slack.com/services/T0/B0/secretpath"}
      - {webhook: "https://receiver.example.com/secretpath?key=secretpath"}
fallback: {notification: [{email: ops@example.com}]}
"""


def test_the_fallback_hears_of_an_address_by_its_host_alone() -> None:
    """The path of an incoming webhook is its secret: neither a broken nor a refusing target shows it to anybody."""
    story = Story(SECRET_ADDRESSES)
    story.answers("slack_channel:https://hooks.slack.com/services/T0/B0/secretpath", TargetAnswer(500))
    story.answers("webhook:https://receiver.example.com/secretpath?key=secretpath", TargetAnswer(404))
    story.fires("Page", "a").until(3_600)
    heard = [each.notification for each in story.told if each.notification.target.key == FALLBACK]
    assert {told.name for each in heard for told in each.alerts} == {"Target broken", "Delivery failed"}
    assert "secretpath" not in repr(heard)
    shown = [entry.text for each in story.router.store.incidents() for entry in each.timeline.entries]
    assert any("sent to webhook:https://receiver.example.com/…" in text for text in shown)
    assert "secretpath" not in repr(shown)


def test_a_fallback_that_fails_too_is_parked_and_announces_nothing() -> None:
    """The router's own notification is given up quietly; the number of messages stays what it is."""
    refused = TargetAnswer(403)
    story = Story().answers(SLOW, TargetAnswer(200, {"ok": False, "error": "is_archived"})).answers(FALLBACK, refused)
    story.fires("Slow", "a").until(3_600)
    assert [each.notification.target.key for each in story.dead_lettered()] == [SLOW, FALLBACK]


def test_what_is_resolved_before_the_target_could_take_it_pages_nobody() -> None:
    """Given an end that is decided while its fire backs off, then nobody is paged, neither for the fire nor the end."""
    story = Story().answers(PAGE, TargetAnswer(429, retry_after=400), TargetAnswer(202)).fires("Page", "a").until(10)
    story.fires("Page", "a", resolved=True).until(1_000)
    assert story.at(PAGE) == []


def played_back(sent: Sent, again: int = 1) -> str:
    """The message as `tocsin redrive` puts it back."""
    hints = replace(sent.notification.hints, played_back=again)
    return notification_message(replace(sent.notification, hints=hints))


def deliver_again(story: Story, bodies: Sequence[str]) -> list[str]:
    """Put messages on the notifications queue; what became of them."""
    story.router.queues.notifications.put(bodies)
    before = len(story.told)
    story.until(seconds(story.router.now) + 60)
    found = [each for each in story.told[before:] if each.delivered and each.notification.target.key != FALLBACK]
    return [each.notification.reason.value for each in found]


def test_what_was_given_up_is_played_back_once() -> None:
    """Twice the same message sends once; the thread goes on from there; what the channel now has is resolved in it."""
    story = (
        Story().answers(SLOW, TargetAnswer(200, {"ok": False, "error": "is_archived"})).fires("Slow", "a").until(100)
    )
    (given_up,) = story.dead_lettered()
    story.answers(SLOW, TargetAnswer())
    assert deliver_again(story, [notification_message(given_up.notification)]) == []
    assert deliver_again(story, [played_back(given_up), played_back(given_up)]) == ["opened"]
    story.fires("Slow", "a", resolved=True).until(1_000)
    assert [reason for _, reason, _ in story.at(SLOW)] == ["opened", "resolved"]


class SavedLate:
    """A store in which an incident is found only when it is looked for the third time."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._looks = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def load(self, key: str) -> Incident | None:
        """The incident, from the third look on, with one more notification for each target."""
        self._looks += 1
        found = self._store.load(key) if self._looks > 2 else None
        if found is None:
            return None
        announced = {
            key: replace(each, last=replace(each.last, seq=each.last.seq + 1)) for key, each in found.announced.items()
        }
        return replace(found, announced=announced)


def test_a_notification_that_is_ahead_of_its_save_does_not_come_back_seconds_later() -> None:
    """The worker looks again at once, since the save is milliseconds away."""
    story = Story().fires("Page", "api").until(1)
    (sent,) = story.told
    outcome = worker.deliver(
        notification_message(replace(sent.notification, seq=2)),
        rules=story.router.rules,
        store=SavedLate(story.router.store),  # type: ignore[arg-type]
        queues=story.router.queues,  # type: ignore[arg-type]
        clients=story.router.clients,  # type: ignore[arg-type]
        now=story.router.now,
    )
    assert (outcome.delivered, outcome.retry_after) == (True, None)


def test_what_a_dead_worker_gave_up_is_parked_all_the_same() -> None:
    """One that died between recording and parking leaves the message: it says again why it was given up."""
    story = (
        Story().answers(SLOW, TargetAnswer(200, {"ok": False, "error": "is_archived"})).fires("Slow", "a").until(100)
    )
    story.router.queues.notifications.put([notification_message(story.dead_lettered()[0].notification)])
    story.until(200)
    assert [each.error for each in story.dead_lettered()] == [story.dead_lettered()[0].error] * 2


def test_a_fire_that_is_over_is_not_played_back() -> None:
    """Nobody is paged for what ended meanwhile."""
    story = Story().answers(PAGE, TargetAnswer(403)).fires("Page", "a").until(100)
    (given_up,) = story.dead_lettered()
    story.answers(PAGE, TargetAnswer(202)).fires("Page", "a", resolved=True).until(1_000)
    assert deliver_again(story, [played_back(given_up)]) == []
    assert story.at(PAGE) == []


def test_a_message_that_cannot_be_made_at_all_is_given_up() -> None:
    """A fault of ours does not come back for ever: with nothing sent it is a refusal, after something it is in doubt."""
    clients = samples.FakeClients(samples.answering(TypeError("ours")))
    with pytest.raises(TargetUnavailableError) as caught:
        send.sender(clients, samples.NOW)(samples.NOTIFICATION, DeliveryLog("t"))
    assert (caught.value.ambiguous, str(caught.value)) == (
        True,
        "slack_channel: the message cannot be made (TypeError)",
    )
    unmade = replace(samples.NOTIFICATION, target=replace(samples.NOTIFICATION.target, address=None))
    with pytest.raises(TargetRejectedError, match="cannot be made"):
        send.sender(clients, samples.NOW)(unmade, DeliveryLog("t"))


@pytest.mark.parametrize(
    ("changes", "said"), [({"severity": "odd"}, b"3.2 %"), ({"title": None, "summary": None}, b"High Error Rate")]
)
def test_a_message_that_does_not_render_goes_out_plain(changes: dict[str, object], said: bytes) -> None:
    """The plain form says why it is plain; where even that has no words for a part, the part is left out."""
    told = replace(samples.TOLD, **changes)  # type: ignore[arg-type]
    clients = samples.FakeClients(
        samples.answering(httpx.Response(200, json={"ok": True, "channel": "C1", "ts": "1.1"}))
    )
    broken = replace(samples.NOTIFICATION, alerts=(told, told))
    receipt = send.sender(clients, samples.NOW)(broken, DeliveryLog("t"))
    (request,) = clients.requests
    assert b"This is the plain form: the message did not render" in request.content
    assert said in request.content
    assert b"blocks" not in request.content
    assert "did not render" in receipt.note


def test_settings_change_how_long_a_target_may_fail() -> None:
    """DELIVERY_MAX_AGE is a duration of the rules file's kind; one that cannot be read changes nothing."""
    for text, hours in (("1h", 1), ("soon", 6), ("", 6), ("99999999999999d", 6), ("9" * 400 + "s", 6)):
        clients = samples.FakeClients(settings={"DELIVERY_MAX_AGE": text})
        assert worker._duration(clients, "DELIVERY_MAX_AGE", MAX_AGE) == timedelta(hours=hours)


def test_a_deploy_is_told_to_pagerduty_once() -> None:
    """Every step of one deploy is one change event of each routing key, and nobody is paged."""
    story = Story()
    for kind in ("deployment.created", "deployment.succeeded", "deployment.succeeded"):
        event = Event(
            id=f"{kind}", source="vercel", kind=kind, status=Status.INFO, severity=Severity.INFO, title="Cart",
            occurred_at=story.router.now, identity="dpl_1", service="shop", labels={"deployment": "dpl_1"},
        )  # fmt: skip
        story.router.post(events_messages([event]))
        story.until(seconds(story.router.now) + 10)
    assert story.told == []
    assert story.router.store.delivery_log("deploy:dpl_1/pagerduty:default").done_seq == 1
