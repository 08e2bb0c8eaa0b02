"""What CloudWatch's alarms come to, whether they come by a topic or by the bus."""

import json
from datetime import UTC, datetime

import pytest

from chalicelib.core.errors import SignatureError
from chalicelib.core.event import Severity, Status
from chalicelib.sources import cloudwatch
from tests.sources.bodies import body, changed, event, events, files, raw

ARN = "arn:aws:cloudwatch:eu-west-1:111122223333:alarm:checkout-5xx-high"
PAGE = "https://eu-west-1.console.aws.amazon.com/cloudwatch/home?region=eu-west-1#alarmsV2:alarm/"
ALARM, OK = "cloudwatch/metric_alarm.json", "cloudwatch/metric_ok.json"
BUS_ALARM, BUS_OK = "eventbridge/cloudwatch.metric_alarm.json", "eventbridge/cloudwatch.metric_ok.json"
EXPECTED = {
    "alarm_with_tags_unverified_shape": ("firing", "alarm", "checkout", "checkout-5xx-high", "41", "> 5"),
    "anomaly_alarm": ("firing", "alarm", "orders", "orders-queue-unusual", "9120", "120.4 to 2210.9"),
    "composite_alarm_unverified_fields": ("firing", "alarm", "", "checkout-unhealthy", "", ""),
    "contributor_alarm_unverified_fields": (
        "firing", "alarm", "orders", "any-table-idle (TableName=orders)", "0", "< 1",
    ),
    "contributor_no_reason_unverified": ("firing", "alarm", "checkout", "p99-high (service=checkout)", "", ""),
    "metric_alarm": ("firing", "alarm", "checkout", "checkout-5xx-high", "41", "> 5"),
    "metric_insufficient_data": ("info", "alarm.insufficient_data", "checkout", "checkout-5xx-high", "", "> 5"),
    "metric_math_alarm": ("firing", "alarm", "checkout", "checkout-error-rate", "7.4", "> 2"),
    "metric_ok": ("resolved", "alarm", "checkout", "checkout-5xx-high", "0", "> 5"),
    "old_form_no_arn": ("firing", "alarm", "checkout", "checkout-5xx-high", "41", "> 5"),
}  # fmt: skip
ON_THE_BUS = {
    "alarm_deleted_configuration_change": ("resolved", "alarm.delete", "checkout-5xx-high", "", ""),
    "anomaly_alarm": ("firing", "alarm", "orders-queue-unusual", "9120", "120.4 to 2210.9"),
    "composite_suppressed": ("info", "alarm.suppressed", "checkout-unhealthy", "", ""),
    "contributor_alarm_carts": ("firing", "alarm", "any-table-idle (TableName=carts)", "0", "< 1"),
    "contributor_alarm_orders": ("firing", "alarm", "any-table-idle (TableName=orders)", "0", "< 1"),
    "metric_alarm": ("firing", "alarm", "checkout-5xx-high", "41", "> 5"),
    "metric_alarm_muted": ("info", "alarm.muted", "checkout-5xx-high", "41", "> 5"),
    "metric_alarm_tags": ("firing", "alarm", "checkout-5xx-high", "41", "> 5"),
    "metric_ok": ("resolved", "alarm", "checkout-5xx-high", "0", "> 5"),
    "multi_series_parent_alarm": ("info", "alarm.group", "any-table-idle", "", ""),
}


def measured(found):
    """The value and its limit."""
    return found.labels.get("value", ""), found.labels.get("threshold", "")


@pytest.mark.parametrize("name", EXPECTED)
def test_alarms_of_a_topic(name):
    """Given an alarm's message → state, kind, what it is about, and the value against its limit."""
    found = event("cloudwatch", body(f"cloudwatch/{name}.json"))
    assert (found.status.value, found.kind, found.service or "", found.title, *measured(found)) == EXPECTED[name]


@pytest.mark.parametrize("name", ON_THE_BUS)
def test_alarms_of_the_bus(name):
    """Given an alarm's event of EventBridge → the same, with the value of `reasonData`."""
    found = event("cloudwatch", body(f"eventbridge/cloudwatch.{name}.json"))
    assert (found.status.value, found.kind, found.title, *measured(found)) == ON_THE_BUS[name]


def test_every_body_is_in_a_table():
    """Given a body that is added → it gets its row."""
    assert {name.split("/")[1][:-5] for name in files("cloudwatch")} == set(EXPECTED)
    bus = [name for name in files("eventbridge") if "/cloudwatch." in name]
    assert {name.split("/cloudwatch.")[1][:-5] for name in bus} == set(ON_THE_BUS)


def test_an_alarm_says_all_that_people_ask_for():
    """Given an alarm → account, Region, metric, statistic, dimensions, the description, and the console's page."""
    found = event("cloudwatch", raw(ALARM))
    wanted = {
        "alarm": "checkout-5xx-high",
        "alarm_arn": ARN,
        "state": "ALARM",
        "previous_state": "OK",
        "account": "111122223333",
        "region": "eu-west-1",
        "namespace": "AWS/ApplicationELB",
        "metric": "HTTPCode_Target_5XX_Count",
        "statistic": "Sum",
        "LoadBalancer": "app/shop-prod/0a1b2c3d4e5f6071",
        "TargetGroup": "targetgroup/checkout/1122334455667788",
    }
    assert wanted.items() <= found.labels.items()
    assert found.url == f"{PAGE}checkout-5xx-high" and found.name == "checkout-5xx-high"
    assert found.occurred_at == datetime(2026, 11, 30, 3, 59, 12, 345000, UTC)
    assert found.summary.splitlines()[1] == "HTTPCode_Target_5XX_Count (Sum over 60 s) is 41, the limit is > 5"


@pytest.mark.parametrize(("by_topic", "by_bus"), [(ALARM, BUS_ALARM), (OK, BUS_OK)])
def test_one_alarm_by_topic_and_by_bus_is_one(by_topic, by_bus):
    """Given one change of state by both ways → one id, one identity, one time, the same labels."""
    one, other = event("cloudwatch", raw(by_topic)), event("eventbridge", raw(by_bus))
    assert (one.id, one.fingerprint, one.occurred_at, one.source) == (
        other.id, other.fingerprint, other.occurred_at, other.source,
    )  # fmt: skip
    assert dict(one.labels) == dict(other.labels) and one.service == other.service


def test_series_by_topic_and_by_bus_are_one():
    """Given one series of an alarm by both ways → one id; the other series is another alert."""
    topic = event("sns", raw("cloudwatch/contributor_alarm_unverified_fields.json"))
    orders, carts = (
        event("eventbridge", raw(f"eventbridge/cloudwatch.contributor_alarm_{n}.json")) for n in ("orders", "carts")
    )
    assert (topic.id, topic.fingerprint) == (orders.id, orders.fingerprint)
    assert orders.fingerprint != carts.fingerprint


def test_the_title_of_a_series_names_it_by_its_attributes():
    """Given attributes of any name → they are in the title, a secret masked; the id only where there are none."""
    given = body("eventbridge/cloudwatch.contributor_alarm_orders.json")

    def title(attributes):
        return event("eventbridge", changed(given, detail__alarmContributor__attributes=attributes)).title

    assert title({"Host": "web-7", "TableName": "orders"}) == "any-table-idle (TableName=orders, Host=web-7)"
    assert "hunter2abc" not in title({"password": "hunter2abc"})
    assert title({}) == f"any-table-idle ({given['detail']['alarmContributor']['id']})"


def test_the_end_of_one_series_ends_no_other():
    """Given an OK of one contributor → it has the identity of that contributor alone."""
    given = body("eventbridge/cloudwatch.contributor_alarm_orders.json")
    ended = event("eventbridge", changed(given, detail__state__value="OK"))
    others = [
        event("eventbridge", raw(f"eventbridge/cloudwatch.{n}.json"))
        for n in ("contributor_alarm_carts", "multi_series_parent_alarm")
    ]
    assert ended.status is Status.RESOLVED and ended.fingerprint == event("eventbridge", given).fingerprint
    assert ended.fingerprint not in {each.fingerprint for each in others}


@pytest.mark.parametrize("name", ["metric_alarm_muted", "composite_suppressed"])
def test_ok_ends_what_is_muted_or_suppressed(name):
    """Given a muted or suppressed alarm that is OK → it ends: who was notified before must get the end."""
    given = changed(body(f"eventbridge/cloudwatch.{name}.json"), detail__state__value="OK")
    assert event("eventbridge", given).status is Status.RESOLVED


def test_a_muted_alarm_is_no_duplicate_of_the_one_that_is_not():
    """Given the same state muted on the bus → another id, so that it hides no alarm of the topic."""
    assert (
        event("eventbridge", raw("eventbridge/cloudwatch.metric_alarm_muted.json")).id
        != event("cloudwatch", raw(ALARM)).id
    )


def test_deleting_an_alarm_ends_it():
    """Given the deletion of a firing alarm → its end, when it was deleted; another change is information."""
    given = body("eventbridge/cloudwatch.alarm_deleted_configuration_change.json")
    found = event("eventbridge", given)
    assert (found.status, found.fingerprint) == (Status.RESOLVED, event("cloudwatch", raw(ALARM)).fingerprint)
    assert found.occurred_at == datetime(2026, 11, 30, 5, tzinfo=UTC)
    assert event("eventbridge", changed(given, detail__operation="update")).status is Status.INFO


def test_tags_say_how_bad_and_whose():
    """Given tags by topic or bus → severity, service and environment of the tags; unknown tags are named as such."""
    for name in ("cloudwatch/alarm_with_tags_unverified_shape.json", "eventbridge/cloudwatch.metric_alarm_tags.json"):
        found = event("cloudwatch", raw(name))
        assert (found.severity, found.labels["team"]) == (Severity.CRITICAL, "payments")
    given = changed(body(BUS_ALARM), detail__alarmTags={"app": "shop", "env": "prod"}, detail__alarmTagsStatus="FAILED")
    found = event("cloudwatch", given)
    assert (found.service, found.environment, found.severity) == ("shop", "prod", Severity.WARNING)
    assert "Its tags are not known: FAILED" in found.summary
    given = changed(body(BUS_ALARM), detail__alarmTags={"severity": "P1"}, detail__alarmTagsStatus="SUCCESS")
    assert (event("cloudwatch", given).severity, event("cloudwatch", given).labels["severity_raw"]) == (
        Severity.CRITICAL,
        "P1",
    )


def test_alarms_of_auto_scaling_are_information():
    """Given an alarm that target tracking made → information, whatever its state but the end."""
    given = changed(body(ALARM), AlarmName="TargetTracking-service/prod/checkout-AlarmHigh-1")
    assert event("cloudwatch", given).status is Status.INFO


def test_the_newest_value_is_shown_whatever_the_order():
    """Given `reasonData` in any order → the value of the newest evaluated point; without it the reason's text."""
    points = [
        {"timestamp": f"2026-11-30T03:5{minute}:00.000+0000", "value": value} for minute, value in ((8, 7.5), (6, 1.0))
    ]
    for order in (points, points[::-1]):
        data = json.dumps({"recentDatapoints": [9, 8], "evaluatedDatapoints": order, "threshold": 5})
        found = event("cloudwatch", changed(body(BUS_ALARM), detail__state__reasonData=data))
        assert measured(found) == ("7.5", "> 5")
    assert measured(event("cloudwatch", changed(body(BUS_ALARM), detail__state__reasonData="{")))[0] == "41"


def test_the_form_of_the_embedded_aws_and_of_2017():
    """Given a message without ARN inside of a topic's envelope → the Region of the topic."""
    message = body("cloudwatch/old_form_no_arn.json")
    envelope = changed(body("sns/sqs.body_not_raw.json"), Message=json.dumps(message))
    assert event("sns", envelope).identity == f"alarm:{ARN}"
    message["Trigger"]["Dimensions"] = [{"Name": "QueueName", "Value": "orders"}]
    assert event("cloudwatch", {**message, "Region": "eu-west-1"}).labels["QueueName"] == "orders"


@pytest.mark.parametrize(
    ("arn", "address"),
    [
        ("arn:aws-cn:cloudwatch:cn-north-1:1:alarm:a b", "https://console.amazonaws.cn/cloudwatch/home?region=cn-north-1"),
        ("arn:aws-us-gov:cloudwatch:us-gov-west-1:1:alarm:a b", "https://console.amazonaws-us-gov.com/cloudwatch/home?region=us-gov-west-1"),
    ],
)  # fmt: skip
def test_consoles_of_other_partitions(arn, address):
    """Given an alarm of China or GovCloud → its own console, the name escaped."""
    found = event("cloudwatch", changed(body(ALARM), AlarmArn=arn, AlarmName="a b"))
    assert found.url == f"{address}#alarmsV2:alarm/a%20b"


def test_nothing_comes_by_http():
    """Given a request → it is refused: only IAM proves an alarm, or a topic's signature."""
    with pytest.raises(SignatureError, match="/webhooks/sns"):
        cloudwatch.verify({}, raw(ALARM), ["secret"], path_secret="secret")
    assert cloudwatch.delivery_id({}, raw(ALARM)) is None


def test_log_lines_in_an_alarm_are_masked():
    """Given an alarm with lines of a log → addresses and secrets in them are masked."""
    (found,) = events("cloudwatch", changed(body(ALARM), NewStateReason="login of ana@example.com, password=hunter2"))
    assert "ana@" not in found.summary and "hunter2" not in found.summary


def test_the_group_of_several_series_is_one_by_the_topic_as_well():
    """Given the alarm of several series by a topic → information; one of its series fires."""
    words = "2 out of 2 time series evaluated to ALARM"
    assert event("cloudwatch", changed(body(ALARM), NewStateReason=words)).kind == "alarm.group"
    series = changed(body(ALARM), NewStateReason=words, AlarmContributorId="c1")
    assert event("cloudwatch", series).status is Status.FIRING
