"""AWS's own events through the whole stage: an alarm, its topic and the bus → the queue → the workers → Slack; and SNS's door."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.deployed import Stage, deployed_stage
from tests.sources.bodies import body

RULES = """
defaults: {group_wait: 0s, group_interval: 1s}
alerts:
  - name: Alarm
    match: {source: cloudwatch}
    group_by: [alarm]
    notification: [{slack_channel: "#aws"}]
default: {notification: [{slack_channel: "#aws"}]}
"""
TOPICS = "arn:aws:sns:eu-west-1:111122223333:tocsin-prod-alarms"


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """One deployed stage for this file."""
    with deployed_stage(tmp_path_factory.mktemp("project"), tmp_path_factory.mktemp("cloud"), RULES) as found:
        yield found


def topic(stage: Stage) -> str:
    """The stage's topic of events."""
    (found,) = (
        each["TopicArn"]
        for each in stage.clients("sns").list_topics()["Topics"]
        if each["TopicArn"].endswith("-events")
    )
    return str(found)


def messages(stage: Stage, word: str) -> list[dict[str, Any]]:
    """What Slack shows about something, replies left out."""
    found = [each for each in stage.inbox.messages if word in json.dumps(each, ensure_ascii=False)]
    return [dict(each) for each in found if each.get("thread_ts") in (None, each["ts"])]


def set_state(stage: Stage, name: str, state: str) -> None:
    """Set the state of an alarm, as CloudWatch does when a value crosses the threshold."""
    reason = "Threshold Crossed: 1 out of the last 1 datapoints [41.0 (30/11/26 03:58:00)] was greater than the threshold (5.0)."
    stage.clients("cloudwatch").set_alarm_state(AlarmName=name, StateValue=state, StateReason=reason)


def make_alarm(stage: Stage, name: str, actions: list[str]) -> None:
    """Make an alarm with these actions for both states."""
    stage.clients("cloudwatch").put_metric_alarm(
        AlarmName=name, Namespace="AWS/Lambda", MetricName="Errors", Statistic="Sum", Period=60, EvaluationPeriods=1,
        Dimensions=[{"Name": "FunctionName", "Value": "checkout"}], Threshold=5,
        ComparisonOperator="GreaterThanThreshold", AlarmActions=actions, OKActions=actions,
    )  # fmt: skip


@pytest.mark.acceptance
@pytest.mark.parametrize("ways", ["topic and bus", "bus alone"])
def test_an_alarm_and_its_end_reach_slack_once(stage: Stage, ways: str) -> None:
    """Given an alarm that points at the topic, or at nothing → one Slack message with the value, edited by its OK."""
    name = f"checkout-{ways.replace(' ', '-')}"
    make_alarm(stage, name, [topic(stage)] if "topic" in ways else [])
    set_state(stage, name, "ALARM")
    stage.eventually(lambda: messages(stage, name) and not stage.waiting(), "the alarm did not reach Slack")
    (message,) = messages(stage, name)
    assert "Errors (Sum over 60 s) is 41, the limit is > 5" in json.dumps(message, ensure_ascii=False).replace(
        "&gt;", ">"
    )
    set_state(stage, name, "OK")
    stage.eventually(
        lambda: messages(stage, name)[0]["text"].startswith("✅ [resolved]") and not stage.waiting(),
        "the alarm did not end",
    )
    assert len(messages(stage, name)) == 1
    assert stage.waiting(dead=True) == 0


@pytest.mark.acceptance
def test_anything_on_the_topic_reaches_slack(stage: Stage) -> None:
    """Given text that somebody publishes → a Slack message, and its end by the state before the subject."""
    for subject, shown in (("CRITICAL: disk of db-1", "🔴"), ("OK: disk of db-1", "✅ [resolved]")):
        stage.clients("sns").publish(TopicArn=topic(stage), Subject=subject, Message="/var")
        stage.eventually(
            lambda shown=shown: (
                any(shown in each["text"] for each in messages(stage, "disk of db-1")) and not stage.waiting()
            ),
            f"{subject} did not reach Slack",
        )
    assert stage.waiting(dead=True) == 0


@pytest.mark.acceptance
@pytest.mark.parametrize(
    "name",
    [
        "notification.tampered", "foreign_topic", "foreign_certificate_host", "foreign_certificate_bucket",
        "certificate_plain_http", "raw_delivery_unsigned", "unknown_signature_version",
        "subscription_confirmation.foreign_topic", "subscription_confirmation.foreign_url",
    ],
)  # fmt: skip
def test_the_door_refuses_what_sns_did_not_sign_for_a_topic_of_ours(stage: Stage, name: str) -> None:
    """Given a forgery, a foreign topic or a foreign certificate → refused, and nothing reaches the queue.

    A signature that is looked at needs the certificate, which is not to be had here: 503, and never 2xx.
    """
    stage.clients("ssm").put_parameter(
        Name="/tocsin/local/SNS_TOPICS", Value=TOPICS, Type="SecureString", Overwrite=True
    )
    request = body(f"sns/http.{name}.json")
    status = stage.post("sns", request["body"].encode(), {**request["headers"]})
    assert status == (503 if name == "notification.tampered" else 401)
