"""The alarms: each fires on the smallest trouble that it names and not in health, and a deploy never disarms them."""

import ast
import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from chalicelib import log
from chalicelib.schedule import runs
from chalicelib.schedule.health import DEAD_LETTERS, LATE_RUNS, WAITING
from chalicelib.schedule.lateness import NAMESPACE, OVERDUE, UNDELIVERED
from chalicelib.settings import dead_letters, queue_prefix
from deploy import alarms, functions, policies
from deploy.alarms import Alarm, wanted_alarms
from deploy.clients import Clients
from deploy.names import STAGES, api_name, lambda_name
from deploy.queues import MAX_RECEIVES, VISIBILITY_SECONDS
from local.cloud import Cloud
from tests.project import ROOT, clients

MINUTES = 5
STATISTICS = {"Sum": sum, "Maximum": max, "SampleCount": len}
NOBODY_READS: list[float] = []
WORKERS = [name for name, needs in policies.FUNCTIONS.items() if "takes" in needs]


def fires(alarm: Alarm, values: Sequence[float]) -> bool:
    """Return what CloudWatch makes of the values of one period; none are data that is missing."""
    asked = alarm.request()
    assert asked["EvaluationPeriods"] == 1
    if not values:
        return bool(asked["TreatMissingData"] == "breaching")
    value = STATISTICS[asked["Statistic"]](values)  # type: ignore[operator]
    if asked["ComparisonOperator"] == "LessThanThreshold":
        return bool(value < asked["Threshold"])
    assert asked["ComparisonOperator"] == "GreaterThanOrEqualToThreshold"
    return bool(value >= asked["Threshold"])


# ---------------------------------------------------------------------------------------------------------------------
# The smallest trouble, and health, as values of one period


def troubles() -> Iterator[tuple[str, list[float], list[float]]]:
    """Yield each alarm with the values of its smallest trouble, and those of a healthy period.

    What the tick measures is computed from schedules and tries in tests/schedule/test_health.py.
    """
    # A tick logs its metrics when it ended well. Of five, three that fail are a trouble; one or two may fail in passing, and
    # the first and the last of a period may fall just outside of it.
    yield "tick-stopped", [0, 0], [0, 0, 0]
    yield "runs-late", [0, 0, 60, 119, 120], [0, 0, 60, 70, 119]
    yield "queues-waiting", [60, 120, 180, 240, 300], [0, 60, 120, 180, 240]
    yield "dead-letters", [0, 0, 0, 0, 1], [0] * MINUTES
    # The tick says once a minute how old the oldest is. In health a retry or the pace may take some minutes.
    yield "notifications-late", [60, 120, 180, 240, 300], [0, 0, 65, 125, 240]
    yield "timers-late", [0, 0, 0, 0, 300], [0, 59, 2, 0, 61]
    yield "gateway-errors", [0, 0, 1, 0, 0], [0] * MINUTES
    for function in WORKERS:
        # One message of a queue comes back after it was hidden. In passing each may fail once or twice.
        yield f"{function}-errors", [1] * (MINUTES * 60 // VISIBILITY_SECONDS), [1, 1]


TROUBLES = list(troubles())


@pytest.mark.parametrize(("name", "trouble", "health"), TROUBLES)
def test_an_alarm_fires_on_the_smallest_trouble_only(name: str, trouble: list[float], health: list[float]) -> None:
    """Given the values of the smallest trouble that an alarm names → it fires; given those of health → it does not."""
    alarm = wanted_alarms("dev")[f"tocsin-dev-{name}"]
    assert (fires(alarm, trouble), fires(alarm, health)) == (True, False)


def test_every_alarm_is_in_the_table() -> None:
    """Given the alarms of a stage → the table above has the trouble of each, once."""
    named = [f"tocsin-dev-{name}" for name, _, _ in TROUBLES]
    assert sorted(named) == sorted(wanted_alarms("dev"))


def test_schedules_are_those_of_the_app() -> None:
    """Given the decorators of app.py → alarms and late calls count with the same schedules."""
    tree = ast.parse((ROOT / "app.py").read_text())
    found = {
        each.name: ast.literal_eval(call.args[0].args[0])
        for each in tree.body
        if isinstance(each, ast.FunctionDef)
        for call in each.decorator_list
        if isinstance(call, ast.Call)
        and ast.unparse(call.func) == "app.schedule"
        and isinstance(call.args[0], ast.Call)
    }
    assert found == alarms.SCHEDULED_MINUTES
    assert set(found) == set(functions.SCHEDULED)
    assert {name: period // timedelta(minutes=1) for name, period in runs.PERIODS.items()} == {
        name: every for name, every in found.items() if name != "tick"
    }
    assert {policies.FUNCTIONS[name]["takes"]: name for name in WORKERS} == runs.WORKERS


def test_a_stage_has_no_more_alarms_than_aws_gives_an_account() -> None:
    """Given the alarms and metrics of a stage → ten and five: CloudWatch takes no money for ten of each."""
    wanted = wanted_alarms("prod")
    assert len(wanted) <= 10
    assert len({alarm.metric for alarm in wanted.values() if alarm.namespace == NAMESPACE}) <= 5


def test_a_tick_that_is_not_run_is_missed() -> None:
    """Given five minutes without any tick that ended well → the alarm fires on what is missing."""
    assert fires(wanted_alarms("dev")["tocsin-dev-tick-stopped"], NOBODY_READS)


def test_every_function_and_queue_is_watched() -> None:
    """Given each function and queue of a stage → an alarm, a mark of the tick, or the answers at the door are about it."""
    by_alarm = {name.removeprefix("tocsin-dev-") for name in wanted_alarms("dev")}
    assert {f"{name}-errors" for name in WORKERS} <= by_alarm
    at_the_door, by_dead_letters = {"api_handler"}, {"mail_feedback"}
    assert policies.FUNCTIONS["mail_feedback"]["loses"] in runs.WORKERS
    watched = {*WORKERS, *runs.PERIODS, "tick"} | at_the_door | by_dead_letters
    assert watched == set(policies.FUNCTIONS)
    counted = set(policies.FUNCTIONS["tick"]["counts"])
    assert counted == {*runs.WORKERS, *(dead_letters(queue) for queue in MAX_RECEIVES)}


@pytest.mark.parametrize("stage", STAGES)
def test_the_gateway_of_a_stage_has_a_name_of_its_own(stage: str) -> None:
    """Given two stages in one account → their APIs differ in name, the one dimension that tells them apart."""
    alarm = wanted_alarms(stage)[f"tocsin-{stage}-gateway-errors"]
    configured = policies.config()["stages"][stage]["environment_variables"]
    assert alarm.dimensions == {"ApiName": queue_prefix(configured), "Stage": policies.config()["api_gateway_stage"]}
    assert api_name(stage) == queue_prefix(configured)


def test_an_http_api_is_watched_by_its_id() -> None:
    """Given a stage with an HTTP API → the alarm reads the metric that HTTP APIs have, by the id of this one."""
    alarm = wanted_alarms("dev", "h1")["tocsin-dev-gateway-errors"]
    assert (alarm.metric, alarm.dimensions) == ("5xx", {"ApiId": "h1"})
    assert wanted_alarms("dev", "h1").keys() == wanted_alarms("dev").keys()


def test_what_an_alarm_says_is_for_people() -> None:
    """Given any alarm → its mail says what it means and where to read on, within what CloudWatch allows."""
    for name, alarm in wanted_alarms("prod").items():
        text = alarm.request()["AlarmDescription"]
        assert text.endswith(". See runbook/tocsin-itself.md."), name
        assert len(text) <= 1_024
        assert len(name) <= 255


def test_every_alarm_is_in_the_runbook() -> None:
    """Given the alarms of a stage → the page about Tocsin itself has each kind of them."""
    page = (ROOT / "runbook" / "tocsin-itself.md").read_text()
    for name in wanted_alarms("prod"):
        kind = name.removeprefix("tocsin-prod-")
        assert kind in page or f"`…-{kind.rpartition('-')[2]}`" in page, name


# ---------------------------------------------------------------------------------------------------------------------
# In an embedded AWS


@pytest.fixture
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clients]:
    """An empty embedded AWS."""
    with Cloud(tmp_path_factory.mktemp("cloud"), persist=False) as cloud:
        yield clients(cloud)


def listening(made: Clients, topic: str) -> str:
    """Subscribe a new queue to a topic; its address."""
    sqs = made("sqs")
    url = sqs.create_queue(QueueName="listening")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    made("sns").subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
    return str(url)


def received(made: Clients, url: str) -> set[str]:
    """The names of the alarms that a queue was notified of."""
    names = set()
    while found := made("sqs").receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", []):
        for each in found:
            notice = json.loads(json.loads(each["Body"])["Message"])
            names |= {notice["AlarmName"]} if notice["NewStateValue"] == "ALARM" else set()
            made("sqs").delete_message(QueueUrl=url, ReceiptHandle=each["ReceiptHandle"])
    return names


def measured(made: Clients, alarm: Alarm, values: Sequence[float]) -> None:
    """Put values of an alarm's metric, as its service would."""
    dimensions = alarm.request()["Dimensions"]
    datum = {"MetricName": alarm.metric, "Dimensions": dimensions, "Values": [*values], "Timestamp": datetime.now(UTC)}
    made("cloudwatch").put_metric_data(Namespace=alarm.namespace, MetricData=[datum])


def in_alarm(made: Clients) -> set[str]:
    """The names of the alarms that have fired."""
    found = made("cloudwatch").describe_alarms(StateValue="ALARM", MaxRecords=100)["MetricAlarms"]
    return {each["AlarmName"] for each in found}


def test_each_alarm_fires_and_reaches_its_topic(aws: Clients) -> None:
    """Given the values of one trouble after another → that alarm alone, at the topic; given those of health → none.

    The embedded AWS leaves an alarm without any data alone, whatever TreatMissingData says: that is seen above.
    """
    for stage in ("dev", "prod"):
        alarms.watched(aws, stage, "ops@example.com")
    url, wanted = listening(aws, alarms.found_topic(aws, "dev")), wanted_alarms("dev")
    fired = set()
    for name, trouble, _ in TROUBLES:
        measured(aws, wanted[f"tocsin-dev-{name}"], trouble)
        # Ticks that measure how late timers are have ended well: the one alarm reads how many they are.
        fired = fired - {"tocsin-dev-tick-stopped"} if name == "timers-late" else fired
        fired |= {f"tocsin-dev-{name}"}
        assert in_alarm(aws) == fired
    assert received(aws, url) == {*fired, "tocsin-dev-tick-stopped"} == set(wanted)
    for name, _, health in TROUBLES:
        measured(aws, wanted_alarms("prod")[f"tocsin-prod-{name}"], health)
    assert in_alarm(aws) == fired


def metric_data(line: str) -> tuple[str, list[dict[str, Any]]]:
    """Return what CloudWatch reads from a log line in the embedded metric format: the namespace and its values."""
    content = json.loads(line)
    (directive,) = content["_aws"]["CloudWatchMetrics"]
    (names,) = directive["Dimensions"]
    at = datetime.fromtimestamp(content["_aws"]["Timestamp"] / 1_000, UTC)
    dimensions = [{"Name": name, "Value": content[name]} for name in names]
    return directive["Namespace"], [
        {"MetricName": each["Name"], "Unit": each["Unit"], "Value": content[each["Name"]], "Timestamp": at}
        | {"Dimensions": dimensions}
        for each in directive["Metrics"]
    ]


def test_the_log_line_of_the_tick_is_what_its_alarms_read(aws: Clients, capsys: pytest.CaptureFixture[str]) -> None:
    """Given lines with a notification of six minutes and a dead letter → their alarms fire, no others, and no other stage's."""
    for stage in ("dev", "prod"):
        alarms.watched(aws, stage, "")
    seconds = {UNDELIVERED: 360.0, OVERDUE: 1.5, LATE_RUNS: 60.0, WAITING: 0.0}
    for _ in range(MINUTES):
        now = datetime.now(UTC)
        log.metrics(
            "tick", seconds, {DEAD_LETTERS: 1}, namespace=NAMESPACE, deployed="dev", now=now, dead={"counts": 1}
        )
        line = capsys.readouterr().out
        namespace, data = metric_data(line)
        aws("cloudwatch").put_metric_data(Namespace=namespace, MetricData=data)
    assert json.loads(line)["dead"] == {"counts": 1}
    assert in_alarm(aws) == {"tocsin-dev-notifications-late", "tocsin-dev-dead-letters"}


# ---------------------------------------------------------------------------------------------------------------------
# A deploy and the actions


def actions(made: Clients, stage: str = "dev") -> dict[str, tuple[bool, tuple[str, ...]]]:
    """Whether each alarm's actions are enabled, and which they are."""
    found = alarms.existing_alarms(made("cloudwatch"), stage)
    return {name: (each["ActionsEnabled"], tuple(each["AlarmActions"])) for name, each in found.items()}


def test_a_deploy_without_an_address_keeps_the_actions(aws: Clients) -> None:
    """Given alarms that notify, when a deploy knows no address → the same alarms notify the same topic."""
    assert alarms.watched(aws, "dev", "ops@example.com") == []
    topic = alarms.found_topic(aws, "dev")
    assert topic.endswith(":tocsin-dev-alarms")
    armed = actions(aws)
    assert armed == dict.fromkeys(wanted_alarms("dev"), (True, (topic,)))
    assert alarms.watched(aws, "dev", "") == []
    assert actions(aws) == armed


def test_actions_are_taken_away_on_request_only(aws: Clients) -> None:
    """Given --without-alarm-actions → no alarm notifies, and a note says so; the next deploy arms all of them again."""
    alarms.watched(aws, "dev", "ops@example.com")
    armed = actions(aws)
    (note,) = alarms.watched(aws, "dev", "ops@example.com", with_actions=False)
    assert "notify nobody, as you asked" in note
    assert set(actions(aws).values()) == {(False, ())}
    assert alarms.watched(aws, "dev", "") == []
    assert actions(aws) == armed


def test_without_a_topic_none_is_made(aws: Clients) -> None:
    """Given a stage that never had an address → the alarms are made, the topic is not, and a note says what to do."""
    (note,) = alarms.watched(aws, "dev", "")
    assert "notify nobody: deploy with TOCSIN_ALARM_EMAIL" in note
    assert aws("sns").list_topics()["Topics"] == []
    assert set(actions(aws).values()) == {(False, ())}


def test_actions_of_the_operator_stay(aws: Clients) -> None:
    """Given an alarm with an action that an operator added, when a deploy runs, with a topic or without → it stays."""
    own = aws("sns").create_topic(Name="on-call")["TopicArn"]
    alarms.watched(aws, "dev", "")
    name = "tocsin-dev-tick-stopped"
    request = wanted_alarms("dev")[name].request()
    aws("cloudwatch").put_metric_alarm(AlarmName=name, AlarmActions=[own], OKActions=[own], **request)
    assert alarms.watched(aws, "dev", "") == []
    assert actions(aws)[name] == (True, (own,))
    alarms.watched(aws, "dev", "ops@example.com")
    assert actions(aws)[name] == (True, (alarms.found_topic(aws, "dev"), own))


def test_only_alarms_of_earlier_versions_are_deleted(aws: Clients) -> None:
    """Given retired alarms beside an operator's own and those of another stage → the retired ones of the stage go."""
    others = ["tocsin-dev-mine", "tocsin-dev-disk-old", "tocsin-prod-webhooks-old", "webhooks-old"]
    retired = [f"tocsin-dev-{name}" for name in alarms.RETIRED]
    for name in [*others, *retired]:
        request = wanted_alarms("dev")["tocsin-dev-tick-stopped"].request()
        aws("cloudwatch").put_metric_alarm(AlarmName=name, **request)
    alarms.watched(aws, "dev", "")
    left = {each["AlarmName"] for each in aws("cloudwatch").describe_alarms(MaxRecords=100)["MetricAlarms"]}
    assert left == {*others, *wanted_alarms("dev")}


class Sns:
    """SNS as AWS documents it: an address is pending until it confirms, and is asked at each Subscribe until then."""

    exceptions = SimpleNamespace(NotFoundException=KeyError)
    meta = SimpleNamespace(region_name="eu-west-1")

    def __init__(self, listed: Mapping[str, str]) -> None:
        self.listed = dict(listed)
        self.mailed: list[str] = []

    def subscribe(self, TopicArn: str, Protocol: str, Endpoint: str) -> None:
        """Mail the link."""
        assert Protocol == "email"
        self.listed[Endpoint] = alarms.PENDING
        self.mailed.append(Endpoint)

    def get_paginator(self, name: str) -> Any:
        """One page a subscription."""
        pages = [
            {"Subscriptions": [{"Endpoint": address, "SubscriptionArn": arn, "Protocol": "email"}]}
            for address, arn in self.listed.items()
        ]
        return SimpleNamespace(paginate=lambda TopicArn: pages)


CONFIRMED = "arn:aws:sns:eu-west-1:123456789012:tocsin-dev-alarms:1"


@pytest.mark.parametrize(
    ("listed", "email", "mailed"),
    [
        ({}, "ops@example.com", ["ops@example.com"]),
        ({"ops@example.com": alarms.PENDING}, "ops@example.com", ["ops@example.com"]),
        ({"ops@example.com": alarms.PENDING}, "", ["ops@example.com"]),
        ({"ops@example.com": alarms.GONE}, "ops@example.com", ["ops@example.com"]),
        ({"ops@example.com": CONFIRMED}, "Ops@example.com", []),
        ({"ops@example.com": CONFIRMED}, "", []),
        ({"ops@example.com": alarms.GONE}, "", []),
    ],
)
def test_an_address_that_did_not_confirm_is_asked_again(listed: dict[str, str], email: str, mailed: list[str]) -> None:
    """Given the subscriptions of the topic → who has not confirmed is mailed the link again, and a note names them."""
    sns = Sns(listed)
    notes = alarms.asked(sns, "arn", email)
    assert sns.mailed == mailed
    assert [note.partition(" ")[0] for note in notes] == mailed


def test_the_topic_is_looked_up_in_the_partition_of_the_keys() -> None:
    """Given keys of AWS in China → the topic is looked for by its name there."""

    def attributes(TopicArn: str) -> None:
        assert TopicArn == "arn:aws-cn:sns:cn-north-1:123456789012:tocsin-dev-alarms"

    identity = {"Arn": "arn:aws-cn:sts::123456789012:assumed-role/deploy/ci"}
    services: dict[str, Any] = {
        "sts": SimpleNamespace(get_caller_identity=lambda: identity),
        "sns": SimpleNamespace(
            get_topic_attributes=attributes,
            meta=SimpleNamespace(region_name="cn-north-1"),
            exceptions=SimpleNamespace(NotFoundException=KeyError),
        ),
    }
    assert alarms.found_topic(services.__getitem__, "dev")  # type: ignore[arg-type]


def test_functions_are_watched_by_the_names_that_lambda_knows() -> None:
    """Given the worker of webhooks → its alarm names the function as Lambda does."""
    alarm = wanted_alarms("dev")["tocsin-dev-process_webhooks-errors"]
    assert alarm.dimensions == {"FunctionName": lambda_name("process_webhooks", "dev")}
    assert alarm.request()["Period"] == MINUTES * 60
