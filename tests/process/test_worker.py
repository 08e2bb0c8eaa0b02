"""A batch of the webhooks queue: each message is dealt with, comes back or is parked, and harms no other."""

import base64
import json
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import pytest

from chalicelib.aws.batches import delay_of
from chalicelib.core.errors import ConflictError, NotStoredError
from chalicelib.core.event import Status
from chalicelib.core.metrics.sample import Sample
from chalicelib.core.optimistic import MAX_TRIES
from chalicelib.core.rule import Rules
from chalicelib.messages.queue import (
    Message,
    Queues,
    Wake,
    events_messages,
    read_message,
    samples_messages,
    wake_message,
)
from chalicelib.messages.webhook import Webhook, compressed, written
from chalicelib.process.worker import DEAD_LETTERED_AT, REPORTED_AT, REPORTED_FOR, process, process_counts
from deploy.queues import MAX_RECEIVES, VISIBILITY_SECONDS
from simulation.memory_store import MemoryStore
from tests.fakes import MemoryQueue
from tests.scenario import event, rules_of

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
FILE = rules_of("""
defaults: {group_by: [alertname], group_wait: 0s}
default: {notification: [{slack_channel: "#alerts"}]}
fallback: {notification: [{email: ops@example.com}]}
""")


class BrokenSource(dict):
    """An entry of `sources:` on which the code that reads it fails."""

    def get(self, name, default=None):
        """Its name, and nothing else."""
        if name == "name":
            return "broken"
        raise ZeroDivisionError("s3cret of the payload")


RULES = replace(FILE, sources=(BrokenSource(name="broken"),))


class Failing(MemoryStore):
    """A store whose calls of some names fail: always, for one key, or so many times."""

    def __init__(self, **failing):
        super().__init__()
        self.failing = failing

    def _fails(self, name, key=""):
        wanted = self.failing.get(name)
        if wanted is None:
            return
        error, only, times = wanted
        if only in key and times > 0:
            self.failing[name] = (error, only, times - 1)
            raise error

    def load(self, key):
        """Fail or load."""
        self._fails("load", key)
        return super().load(key)

    def save(self, incident, *, archive=None):
        """Fail or save."""
        self._fails("save", incident.key)
        super().save(incident, archive=archive)

    def get_body(self, name):
        """Fail or read."""
        self._fails("get_body", name)
        return super().get_body(name)


@dataclass
class Bench:
    """A store, two queues, and what became of the last batch."""

    store: MemoryStore = field(default_factory=MemoryStore)
    webhooks: MemoryQueue = field(default_factory=MemoryQueue)
    notifications: MemoryQueue = field(default_factory=MemoryQueue)
    counts: MemoryQueue = field(default_factory=MemoryQueue)
    rules: Rules = RULES

    def process(self, *bodies, received=1, age=timedelta(0), now=NOW):
        """The failures of a batch of these bodies, by message."""
        messages = [Message(f"m{n}", body, f"r{n}", received, now - age) for n, body in enumerate(bodies)]
        queues = Queues(self.webhooks, self.notifications, self.counts)
        failures = process(messages, rules=self.rules, store=self.store, queues=queues, now=now)
        return {each.id: each for each in failures}

    def wake(self):
        """Deliver the wake-ups that were put."""
        wakes = [body for body in self.webhooks.bodies if isinstance(read_message(body), Wake)]
        self.webhooks.bodies = [body for body in self.webhooks.bodies if body not in wakes]
        assert self.process(*dict.fromkeys(wakes)) == {}

    @property
    def told(self):
        """The titles of what is on the notifications queue."""
        return [read_message(body).title for body in self.notifications.bodies]

    @property
    def open(self):
        """The names of the alerts that fire."""
        return sorted(alert.name for each in self.store.incidents() for alert in each.firing)


def fires(name, **labels):
    """The message of an event."""
    return events_messages([event(name, Status.FIRING, NOW, labels)])[0]


def webhook(source, body, **fields):
    """The message of a webhook."""
    given = Webhook("d1", source, body, NOW, **fields)
    return written(given, compressed(body))


MISTAKES = [
    ("not JSON", "{", "not the JSON"),
    ("not an object", "[]", "not a JSON object"),
    ("a version to come", json.dumps({"v": 2, "type": "wake", "key": "x"}), "unknown version 2"),
    ("no version", json.dumps({"type": "wake", "key": "x"}), "unknown version None"),
    ("an unknown type", json.dumps({"v": 1, "type": "poem"}), "unknown type 'poem'"),
    ("a field is missing", json.dumps({"v": 1, "type": "wake"}), "lacks or garbles a field (KeyError)"),
    ("a time that is none", json.dumps({"v": 1, "type": "webhook", "id": "1", "source": "sentry", "headers": {},
                                        "received_at": 1e18, "body": base64.b64encode(compressed(b"{}")).decode()}), "lacks or garbles a field"),
    ("a time beyond all", json.dumps({"v": 1, "type": "samples",
                                      "samples": [{"metric": "m", "value": 1, "at": 1e18}]}), "lacks or garbles a field"),
    ("a damaged body", json.dumps({"v": 1, "type": "webhook", "id": "1", "source": "sentry", "headers": {},
                                   "received_at": 1.0, "body": base64.b64encode(b"x").decode()}), "damaged"),
    ("a source that is gone", webhook("nobody", b"{}"), "no source of that name"),
    ("what the source cannot read", webhook("cloudflare", b"[1]"), ""),
    ("a source that fails in an unforeseen way", webhook("broken", b"{}"), "broken: a fault in the code: ZeroDivisionError at"),
    ("a stored body that is gone", webhook("sentry", b"", body_ref="sentry-x"), "is gone"),
]  # fmt: skip


@pytest.mark.parametrize(("body", "reason"), [row[1:] for row in MISTAKES], ids=[row[0] for row in MISTAKES])
def test_a_message_nobody_can_read_is_parked_and_told_and_harms_no_other(body, reason):
    """It is parked with the reason, somebody hears of it, and the others of its batch are dealt with."""
    bench = Bench()
    failures = bench.process(fires("Before"), body, fires("After"))
    assert list(failures) == ["m1"]
    assert failures["m1"].dead_letter
    assert reason in failures["m1"].reason
    assert bench.open == ["After", "Before", "webhook.unreadable"]
    bench.wake()
    assert sorted(bench.told) == ["A webhook could not be read", "After", "Before"]


@pytest.mark.parametrize("condition", ["avg({}) > 5", "sum({}) > 5", "rate({}) > 5", "growth({}) > 5%", "p95({}) > 5"])
def test_values_whose_sum_is_no_number_stop_no_worker(condition):
    """A probe that reports 1e308 three times is worked through: such a value is a sample without one."""
    rules = rules_of(f"alerts: [{{name: Full, condition: '{condition.format('memory_bytes[5m]')}'}}]")
    samples = [Sample("memory_bytes", 1e308, NOW + timedelta(seconds=each)) for each in range(3)]
    bench = Bench(rules=rules)
    assert bench.process(*samples_messages(samples)) == {}
    assert bench.open == []


def test_of_too_many_events_the_first_are_taken_and_the_body_is_parked():
    """A body with more alerts than one may hold: the first are dealt with, the rest is told and parked, not lost."""
    bench = Bench()
    alerts = [{"status": "firing", "labels": {"alertname": "Full", "n": str(n)}} for n in range(5_001)]
    failures = bench.process(webhook("alertmanager", json.dumps({"alerts": alerts}).encode()))
    assert [(each.dead_letter, "more than 5000 events" in each.reason) for each in failures.values()] == [(True, True)]
    assert "webhook.unreadable" in bench.open and len(bench.open) > 1


def test_what_cannot_be_read_from_the_store_now_comes_back():
    """A large body that the table does not give now is neither lost nor parked, and the others are dealt with."""
    bench = Bench(Failing(get_body=(NotStoredError("the table is away"), "", 9)))
    failures = bench.process(fires("Before"), webhook("sentry", b"", body_ref="sentry-x"), fires("After"))
    assert [(each.id, each.dead_letter) for each in failures.values()] == [("m1", False)]
    assert bench.open == ["After", "Before"]


def test_a_webhook_that_comes_again_after_its_body_was_dropped_is_done():
    """SQS may deliver a message twice: the second time nothing fails, nothing is announced, nothing is recorded."""
    bench = Bench()
    bench.store.keep_body("cloudflare-1", compressed(b"{}"))
    bench.store.drop_body("cloudflare-1")
    read = []
    messages = [Message("m0", webhook("cloudflare", b"", body_ref="cloudflare-1"), "r0", 2)]
    queues = Queues(bench.webhooks, bench.notifications, MemoryQueue())
    assert process(messages, rules=RULES, store=bench.store, queues=queues, now=NOW, on_read=read.append) == []
    assert (bench.open, read, bench.webhooks.bodies) == ([], [], [])


def test_a_large_body_is_read_by_its_reference():
    """A webhook whose body is in the table is worked on as any other."""
    bench = Bench()
    body = json.dumps({"name": "n", "text": "x", "alert_type": "tunnel_health_event", "ts": NOW.timestamp(),
                       "data": {"tunnel_name": "t", "new_status": "TUNNEL_STATUS_TYPE_DOWN"}}).encode()  # fmt: skip
    bench.store.keep_body("cloudflare-1", compressed(body))
    assert bench.process(webhook("cloudflare", b"", body_ref="cloudflare-1")) == {}
    bench.wake()
    assert len(bench.told) == 1


@pytest.mark.parametrize(
    "error",
    [NotStoredError("the table is away"), ConflictError("another was first"), ZeroDivisionError("a fault in the code")],
)
def test_one_incident_that_fails_harms_no_other(error):
    """The messages of the incident that cannot be updated come back; those of the others are done."""
    bench = Bench(Failing(save=(error, "Middle", 99)))
    failures = bench.process(fires("Before"), fires("Middle"), fires("After"), fires("Middle", more="x"))
    assert {each.id: each.dead_letter for each in failures.values()} == {"m1": False, "m3": False}
    assert bench.open == ["After", "Before"]
    bench.store.failing.clear()
    assert bench.process(fires("Middle"), fires("Middle", more="x")) == {}
    assert bench.open == ["After", "Before", "Middle", "Middle"]


def test_a_fault_in_the_code_is_named_without_the_payload():
    """The reason of an unforeseen error names its kind and place and no word of the message."""
    bench = Bench(Failing(save=(ZeroDivisionError("s3cret of the payload"), "", 99)))
    reason = bench.process(fires("Middle"))["m0"].reason
    assert "ZeroDivisionError" in reason
    assert "s3cret" not in reason


def test_conflicts_are_folded_again():
    """Whoever saves in between costs another load and fold, not the message."""
    bench = Bench(Failing(save=(ConflictError("another was first"), "", MAX_TRIES - 1)))
    assert bench.process(fires("A")) == {}
    assert bench.open == ["A"]


def test_what_fails_for_the_last_time_is_parked_with_its_reason_and_told():
    """SQS would park it without a reason; so it is parked here, and somebody hears of it."""
    bench = Bench(Failing(save=(ZeroDivisionError("x"), "Middle", 99)))
    failures = bench.process(fires("Middle"), fires("Other"), age=DEAD_LETTERED_AT)
    assert failures["m0"].dead_letter
    assert "ZeroDivisionError" in failures["m0"].reason
    said = [each for body in bench.webhooks.bodies for each in getattr(read_message(body), "events", ())]
    assert [each.kind for each in said] == ["message.failed"]
    assert "ZeroDivisionError" in said[0].summary
    assert bench.process(events_messages(said)[0]) == {}
    bench.wake()
    assert "A message could not be dealt with" in bench.told


def reports(bench):
    """The events about messages that the worker put."""
    return [each for body in bench.webhooks.bodies for each in getattr(read_message(body), "events", ())]


def test_what_keeps_failing_is_told_long_before_it_is_parked():
    """Given tries with the delays of a real queue, then it is reported from 5 minutes on, as one event, and once at the end."""
    bench = Bench(Failing(save=(ZeroDivisionError("x"), "Middle", 99)))
    age, received = timedelta(0), 1
    while not bench.process(fires("Middle"), received=received, age=age)["m0"].dead_letter:
        assert bool(reports(bench)) == (age >= REPORTED_AT[0])
        age += delay_of(Message("m0", "", "", received))
        received += 1
    assert DEAD_LETTERED_AT <= age < DEAD_LETTERED_AT + REPORTED_FOR
    assert len(reports(bench)) < 10
    told = {each.id: each.title for each in reports(bench)}
    assert list(told.values()) == ["A message could not be dealt with so far", "A message could not be dealt with"]


def test_the_reports_of_a_message_make_one_alert():
    """Given all reports of a message that failed for hours, then one alert fires, with two events."""
    failing, well = Bench(Failing(save=(ZeroDivisionError("x"), "Middle", 99))), Bench()
    for minutes in (5, 7, 12, 19, 120, 240):
        failing.process(
            fires("Middle"), received=minutes, age=timedelta(minutes=minutes), now=NOW + timedelta(minutes=minutes)
        )
    assert len(reports(failing)) == 6
    for number, report in enumerate(reports(failing)):
        later = NOW + timedelta(minutes=number)
        assert well.process(*events_messages([replace(report, occurred_at=later)]), now=later) == {}
        for _ in range(2):
            bodies, well.counts.bodies = well.counts.bodies, []
            queues = Queues(well.webhooks, well.notifications, well.counts)
            messages = [Message(f"c{n}", body, "r") for n, body in enumerate(bodies)]
            assert process_counts(messages, rules=RULES, store=well.store, queues=queues, now=later) == []
    (incident,) = well.store.incidents()
    (alert,) = incident.firing
    assert (alert.name, alert.received.events) == ("message.failed", 2)


@pytest.mark.parametrize(("received", "age"), [(24, 1), (160, 4), (999, 4)])
def test_receives_are_not_tries(received, age):
    """Given a message that a throttled function was given 24 times and more within minutes, then its failure is no news."""
    bench = Bench(Failing(save=(ConflictError("another was first"), "Middle", 99)))
    failure = bench.process(fires("Middle"), received=received, age=timedelta(minutes=age))["m0"]
    assert not failure.dead_letter
    assert reports(bench) == []


def test_a_message_of_unknown_age_is_tried_again():
    """Given a record without times, then SQS alone ends its tries."""
    bench = Bench(Failing(save=(ZeroDivisionError("x"), "Middle", 99)))
    queues = Queues(bench.webhooks, bench.notifications, bench.counts)
    messages = [Message("m0", fires("Middle"), "r0", 900)]
    (failure,) = process(messages, rules=bench.rules, store=bench.store, queues=queues, now=NOW)
    assert not failure.dead_letter


def test_what_is_about_the_router_itself_is_parked_silently():
    """A message that carries the router's own trouble tells of no further one, so that nothing loops."""
    bench = Bench(Failing(save=(ZeroDivisionError("x"), "", 99)))
    own = event("Broken", Status.FIRING, NOW, {"source": "router"})
    body = events_messages([replace(own, source="router")])[0]
    assert bench.process(body, age=DEAD_LETTERED_AT)["m0"].dead_letter
    assert bench.webhooks.bodies == []


def test_what_cannot_be_told_of_a_last_failure_comes_back():
    """Where the queue does not take the news of it either, the message is not parked but comes back."""
    bench = Bench(Failing(save=(ZeroDivisionError("x"), "", 99)))
    bench.webhooks.fail_at = {1}
    assert not bench.process(fires("A"), age=DEAD_LETTERED_AT)["m0"].dead_letter


def test_the_same_batch_again_changes_nothing():
    """All messages of a batch that was done come again: nothing is saved and nothing is told."""
    bench = Bench()
    batch = [fires("A"), fires("B"), wake_message("default|alertname=A"), wake_message("nobody")]
    assert bench.process(*batch) == {}
    bench.wake()
    told, writes = list(bench.told), bench.store.writes
    assert bench.process(*batch, now=NOW + timedelta(seconds=5)) == {}
    assert (bench.told, bench.store.writes) == (told, writes)


def again(name, seconds):
    """The message of an event that only says once more that the alert fires."""
    at = NOW + timedelta(seconds=seconds)
    return events_messages([event(name, Status.FIRING, at, {}, id=f"{name}-{seconds}")])[0]


def test_events_that_only_count_come_back_when_their_queue_refuses():
    """Given a counts queue that refuses once, the message comes back, and its event is counted once in the end."""
    bench = Bench()
    assert bench.process(fires("Down")) == {}
    bench.wake()
    bench.counts.fail_at = {1}
    now = NOW + timedelta(seconds=3)
    failures = bench.process(again("Down", 2), now=now)
    assert [(each.id, each.dead_letter, each.reason) for each in failures.values()] == [
        ("m0", False, "the queue is away")
    ]
    assert bench.counts.bodies == []
    assert bench.process(again("Down", 2), now=now + timedelta(seconds=2)) == {}
    assert len(bench.counts.bodies) == 1
    messages = [Message("c0", body, "r") for body in bench.counts.bodies * 2]
    queues = Queues(bench.webhooks, bench.notifications, bench.counts)
    later = NOW + timedelta(seconds=12)
    assert process_counts(messages, rules=RULES, store=bench.store, queues=queues, now=later) == []
    (incident,) = bench.store.incidents()
    assert incident.events == 2


def test_it_is_parked_here_before_sqs_does_it():
    """Given a message that only throttled pollers took, each for 90 s, then SQS moves it away long after we would."""
    assert (
        min(MAX_RECEIVES["webhooks"], MAX_RECEIVES["counts"]) * VISIBILITY_SECONDS
        > 6 * DEAD_LETTERED_AT.total_seconds()
    )


def test_events_that_only_repeat_are_set_aside():
    """Given a batch of repeats → they wait on the counts queue, and no incident is saved."""
    bench = Bench(store=Failing())
    assert bench.process(fires("Down")) == {}
    bench.wake()
    bench.store.failing = {"save": (NotStoredError("away"), "", 9)}
    assert bench.process(again("Down", 2), again("Down", 3), now=NOW + timedelta(seconds=3)) == {}
    waiting = [event.id for body in bench.counts.bodies for event in read_message(body).events]
    assert waiting == ["Down-2", "Down-3"]


def test_a_repeat_beside_the_end_of_its_fault_is_led_with_it():
    """Given a repeat and the end of its fault in one batch → the alert ends, and the repeat is counted later."""
    bench = Bench()
    assert bench.process(fires("Down")) == {}
    bench.wake()
    end = events_messages([event("Down", Status.RESOLVED, NOW + timedelta(seconds=3), {}, id="end")])[0]
    assert bench.process(again("Down", 2), end, now=NOW + timedelta(seconds=4)) == {}
    assert bench.open == []
    assert [read_message(body).events[0].id for body in bench.counts.bodies] == ["Down-2"]


def test_incidents_whose_events_wait_count_as_decided_together():
    """Given a new alert beside a repeat of another incident → its notification says that two were decided together."""
    bench = Bench()
    assert bench.process(fires("Down")) == {}
    bench.wake()
    bench.notifications.bodies.clear()
    other = events_messages([event("Other", Status.FIRING, NOW + timedelta(seconds=2), {})])[0]
    now = NOW + timedelta(seconds=3)
    assert bench.process(other, now=now) == {}
    wakes, bench.webhooks.bodies = bench.webhooks.bodies, []
    assert bench.process(again("Down", 2), *wakes, now=now) == {}
    assert [read_message(body).hints.crowd for body in bench.notifications.bodies] == [2]
