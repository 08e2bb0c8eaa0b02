"""Messages that AWS itself puts on the webhooks queue: known by their form, worked through like a webhook."""

import json
from datetime import UTC, datetime

import pytest

from chalicelib.core.errors import ParseError
from chalicelib.messages.queue import Message, Queues, body_name_of, read_message
from chalicelib.messages.webhook import Webhook
from chalicelib.process.worker import process
from chalicelib.rules.file import load
from cli import redrive
from simulation.memory_store import MemoryStore
from tests.fakes import MemoryQueue
from tests.sources.bodies import body, changed

NOW = datetime(2026, 11, 30, 4, 30, tzinfo=UTC)
RULES = load(
    "defaults: {group_wait: 0s}\nalerts: []\ndefault: {notification: [{slack_channel: '#all'}]}\n",
    filename="rules.yaml",
)
TOPIC, BUS = "sns/sqs.body_not_raw.json", "eventbridge/cloudwatch.metric_alarm.json"


def enveloped(alarm, id="m1"):
    """An alarm as its topic puts it on the queue."""
    return json.dumps(changed(body(TOPIC), Message=json.dumps(body(f"cloudwatch/{alarm}.json")), MessageId=id))


def on_bus(name):
    """An event as its rule puts it on the queue."""
    return json.dumps(body(f"eventbridge/{name}.json"))


def worked(*texts, now=NOW, store=None):
    """The store after these messages, one batch each; none may fail."""
    store = store or MemoryStore()
    queues = Queues(MemoryQueue(), MemoryQueue(), MemoryQueue())
    for number, text in enumerate(texts):
        assert process([Message(f"q{number}", text, "r")], rules=RULES, store=store, queues=queues, now=now) == []
    return store


def firing(store):
    """The alerts that fire, by the name that people see."""
    return sorted(alert.text.title for incident in store.incidents() for alert in incident.firing)


def events(store):
    """How many events the incidents have counted."""
    return sum(alert.received.events for incident in store.incidents() for alert in incident.alerts.values())


@pytest.mark.parametrize(
    ("text", "source", "id", "at"),
    [
        (enveloped("metric_alarm"), "sns", "m1", datetime(2026, 11, 30, 3, 59, 12, 401000, UTC)),
        (on_bus("cloudwatch.metric_alarm"), "eventbridge", "0f3b7a51-2c4d-4e6f-8a90-1b2c3d4e5f60", datetime(2026, 11, 30, 3, 59, 12, 999000, UTC)),
    ],
)  # fmt: skip
def test_a_message_of_aws_is_a_webhook(text, source, id, at):
    """Given a message of a topic or a rule → a webhook of that way, with AWS's id and time, its body as it came."""
    found = read_message(text)
    assert found == Webhook(id, source, text.encode(), at)
    assert body_name_of(text) == "" and redrive.played_back(text) == text


def test_raw_delivery_on_the_queue_is_read():
    """Given an alarm alone on the queue, where only IAM's proof counts → a webhook of CloudWatch."""
    found = read_message(json.dumps(body("cloudwatch/metric_alarm.json")))
    assert isinstance(found, Webhook) and found.source == "cloudwatch"


@pytest.mark.parametrize("form", [{"detail-type": "x", "source": "y"}, {"Type": "Other"}, {"AlarmName": "x"}, {}])
def test_what_aws_never_writes_is_refused(form):
    """Given something else without a version, or without a time → refused as before, and dead-lettered with the reason."""
    with pytest.raises(ParseError, match="version"):
        read_message(json.dumps(form))


def test_an_alarm_by_topic_and_by_bus_is_one_alert_and_one_event():
    """Given a change of state both ways → one alert with one event, and its end, both ways too, ends it."""
    both = (enveloped("metric_alarm"), on_bus("cloudwatch.metric_alarm"))
    store = worked(*both)
    assert (firing(store), events(store)) == (["checkout-5xx-high"], 1)
    worked(on_bus("cloudwatch.metric_ok"), enveloped("metric_ok", "m2"), store=store)
    assert firing(store) == []


def test_the_end_of_one_series_leaves_the_other():
    """Given two series that fire beside their group, when one is OK → the other fires on."""
    carts = body("eventbridge/cloudwatch.contributor_alarm_carts.json")
    store = worked(
        *map(
            on_bus,
            (
                "cloudwatch.contributor_alarm_carts",
                "cloudwatch.contributor_alarm_orders",
                "cloudwatch.multi_series_parent_alarm",
            ),
        )
    )
    assert firing(store) == ["any-table-idle (TableName=carts)", "any-table-idle (TableName=orders)"]
    ended = changed(carts, detail__state__value="OK", detail__state__timestamp="2026-11-30T03:58:04.919+0000")
    worked(json.dumps(ended), store=store)
    assert firing(store) == ["any-table-idle (TableName=orders)"]


@pytest.mark.parametrize("name", ["cloudwatch.metric_alarm_muted", "cloudwatch.composite_suppressed"])
def test_muted_and_suppressed_alarms_open_nothing(name):
    """Given an alarm whose actions a mute rule or a suppressor holds → nothing fires."""
    assert firing(worked(on_bus(name))) == []


def test_a_deleted_alarm_ends():
    """Given an alarm that fires, when it is deleted → it has ended."""
    store = worked(on_bus("cloudwatch.metric_alarm"))
    worked(
        on_bus("cloudwatch.alarm_deleted_configuration_change"),
        now=datetime(2026, 11, 30, 5, 1, tzinfo=UTC),
        store=store,
    )
    assert firing(store) == []


def test_a_message_that_comes_again_and_late_changes_nothing():
    """Given the alarm's message once more after its end → it stays ended."""
    store = worked(enveloped("metric_alarm"), enveloped("metric_ok", "m2"), enveloped("metric_alarm"))
    assert firing(store) == []
