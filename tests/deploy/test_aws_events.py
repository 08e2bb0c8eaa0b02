"""AWS's own events: the topic and the rule that a deploy makes feed the webhooks queue, and nothing else does."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from chalicelib import plugins
from chalicelib.core.event import Status
from chalicelib.messages.queue import read_message
from chalicelib.messages.webhook import Webhook
from cli import checkup_aws
from cli.finding import OK, WARNING, WRONG
from cli.stage import Stage
from deploy.aws_events import PATTERN, aws_events, publishable, queue_subscriptions, rule_name, sendable
from deploy.errors import DeployError
from deploy.provision import provision
from local.cloud import Cloud
from tests.cli.staging import STAGE, stage_in
from tests.sources.bodies import body, files

TOPIC, QUEUE = (
    "arn:aws:sns:eu-west-1:111122223333:tocsin-dev-events",
    "arn:aws:sqs:eu-west-1:111122223333:tocsin-dev-webhooks",
)
RULE = "arn:aws:events:eu-west-1:111122223333:rule/tocsin-dev-events"


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """A stage as a deploy provisions it, where policies of queues are enforced."""
    with Cloud(tmp_path_factory.mktemp("cloud"), persist=False) as cloud:
        made = stage_in(cloud)
        provision(made.aws, STAGE, mails=False)
        yield made


def arns(stage: Stage) -> tuple[str, str, str]:
    """Topic, queue, and the queue's address."""
    url = stage.queue_url("tocsin-dev-webhooks")
    queue = stage.aws("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    return f"{queue.replace(':sqs:', ':sns:').rpartition(':')[0]}:tocsin-dev-events", queue, url


def received(stage: Stage) -> list[Webhook]:
    """Take the webhooks that are on the queue."""
    sqs, url, found = stage.aws("sqs"), stage.queue_url("tocsin-dev-webhooks"), []
    while messages := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=1).get("Messages"):
        for each in messages:
            content = read_message(each["Body"])
            assert isinstance(content, Webhook)
            found.append(content)
            sqs.delete_message(QueueUrl=url, ReceiptHandle=each["ReceiptHandle"])
    return found


def test_an_alarm_comes_by_topic_and_by_bus(stage: Stage) -> None:
    """Given an alarm that points at the topic, when its state is set → one message each way, of the sources' names."""
    topic, _, _ = arns(stage)
    watched = {"Namespace": "Shop", "MetricName": "Errors", "Statistic": "Sum", "Period": 60, "EvaluationPeriods": 1}
    stage.aws("cloudwatch").put_metric_alarm(
        AlarmName="checkout", Threshold=5, ComparisonOperator="GreaterThanThreshold", AlarmActions=[topic], **watched
    )
    stage.aws("cloudwatch").set_alarm_state(AlarmName="checkout", StateValue="ALARM", StateReason="test")
    assert sorted(each.source for each in received(stage)) == ["eventbridge", "sns"]


def test_a_look_finds_an_alarm_that_still_fires(stage: Stage) -> None:
    """Given an alarm in ALARM that fires here, when an hour has begun → its state is sent anew, with what it measures."""
    cloudwatch = stage.aws("cloudwatch")
    watched = {"Namespace": "Shop", "MetricName": "Errors", "Statistic": "Sum", "Period": 60, "EvaluationPeriods": 1}
    cloudwatch.put_metric_alarm(
        AlarmName="still", Threshold=5, ComparisonOperator="GreaterThanThreshold", Tags=[], **watched
    )
    cloudwatch.set_alarm_state(AlarmName="still", StateValue="ALARM", StateReason="test")
    (alarm,) = cloudwatch.describe_alarms(AlarmNames=["still"])["MetricAlarms"]
    (endpoint,) = plugins.load_history("cloudwatch").ENDPOINTS
    now = datetime.now(UTC).replace(minute=1) + timedelta(hours=1)
    found = endpoint.read(
        SimpleNamespace(aws=stage.aws), since=now - timedelta(minutes=5), until=now, active=[alarm["AlarmArn"]]
    )
    ((state,),) = (found.states,)
    (event,) = plugins.load_source("cloudwatch").parse({}, json.dumps(state.body).encode(), received_at=now)
    assert (event.title, event.status, event.labels["metric"]) == ("still", Status.FIRING, "Errors")
    assert event.occurred_at == now.replace(minute=0, second=0, microsecond=0)
    cloudwatch.delete_alarms(AlarmNames=["still"])


def test_making_it_again_changes_nothing(stage: Stage) -> None:
    """Given a stage that has it all, when it is deployed again → one subscription, one target, and no line."""
    topic, queue, _ = arns(stage)
    assert aws_events(stage.aws, STAGE) == []
    assert len(queue_subscriptions(stage.aws("sns"), topic, queue)) == 1
    targets = stage.aws("events").list_targets_by_rule(Rule=rule_name(STAGE))["Targets"]
    assert [each["Arn"] for each in targets] == [queue]
    assert targets[0]["DeadLetterConfig"]["Arn"] == f"{queue}-dead"


def test_statements_of_an_operator_stay(stage: Stage) -> None:
    """Given a statement that an operator wrote into the queue's policy, when it is deployed again → it stays, once."""
    sqs, (_, queue, url) = stage.aws("sqs"), arns(stage)
    own = {
        "Sid": "Mine",
        "Effect": "Allow",
        "Principal": {"AWS": "111122223333"},
        "Action": "sqs:SendMessage",
        "Resource": queue,
    }
    policy = json.loads(sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["Policy"])["Attributes"]["Policy"])
    text = json.dumps({**policy, "Statement": [*policy["Statement"], own]})
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": text})
    aws_events(stage.aws, STAGE)
    after = json.loads(sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["Policy"])["Attributes"]["Policy"])
    assert sorted(each["Sid"] for each in after["Statement"]) == ["Mine", "TocsinRule", "TocsinTopic"]


def test_the_doctor_sees_what_is_missing(stage: Stage) -> None:
    """Given rule, subscription or policy taken away → each is a finding; a deploy makes all of it well."""
    topic, queue, url = arns(stage)
    assert [each.state for each in checkup_aws.events_of_aws(stage)] == [OK]
    stage.aws("events").disable_rule(Name=rule_name(STAGE))
    assert WARNING in [each.state for each in checkup_aws.events_of_aws(stage)]
    aws_events(stage.aws, STAGE)
    assert stage.aws("events").describe_rule(Name=rule_name(STAGE))["State"] == "DISABLED", "an operator's choice"
    stage.aws("events").enable_rule(Name=rule_name(STAGE))
    (subscription,) = queue_subscriptions(stage.aws("sns"), topic, queue)
    stage.aws("sns").unsubscribe(SubscriptionArn=subscription)
    stage.aws("events").remove_targets(Rule=rule_name(STAGE), Ids=["webhooks"])
    stage.aws("sqs").set_queue_attributes(QueueUrl=url, Attributes={"Policy": ""})
    assert [each.state for each in checkup_aws.events_of_aws(stage)] == [WRONG, WRONG, WRONG]
    assert aws_events(stage.aws, STAGE) == ["subscribed tocsin-dev-webhooks to tocsin-dev-events"]
    assert [each.state for each in checkup_aws.events_of_aws(stage)] == [OK]


def test_a_target_that_is_refused_ends_the_deploy(stage: Stage) -> None:
    """Given EventBridge that refuses the target → DeployError with its reason."""

    class Events:
        """EventBridge without room for a target."""

        def __init__(self, plain: Any) -> None:
            self.plain = plain

        def __getattr__(self, name: str) -> Any:
            return getattr(self.plain, name)

        def put_targets(self, **asked: Any) -> dict[str, Any]:
            """Refuse."""
            return {"FailedEntryCount": 1, "FailedEntries": [{"ErrorMessage": "LimitExceeded"}]}

    def aws(service: str) -> Any:
        return Events(stage.aws(service)) if service == "events" else stage.aws(service)

    with pytest.raises(DeployError, match="LimitExceeded"):
        aws_events(aws, STAGE)  # type: ignore[arg-type]


def test_only_the_topic_and_the_rule_may_send() -> None:
    """Given the policy of the queue → SNS for that topic, EventBridge for that rule, and nobody else."""
    found = sendable(QUEUE, TOPIC, RULE)
    assert [(each["Principal"], each["Condition"], each["Resource"]) for each in found] == [
        ({"Service": "sns.amazonaws.com"}, {"ArnEquals": {"aws:SourceArn": TOPIC}}, QUEUE),
        ({"Service": "events.amazonaws.com"}, {"ArnEquals": {"aws:SourceArn": RULE}}, QUEUE),
    ]


def test_only_this_account_may_publish() -> None:
    """Given the policy of the topic → every statement is bound to the account; Budgets only where it is a service."""
    statements = json.loads(publishable(TOPIC))["Statement"]
    assert all("111122223333" in json.dumps(each["Condition"]) for each in statements)
    services = [each["Principal"].get("Service") for each in statements]
    assert services == [None, "cloudwatch.amazonaws.com", "events.amazonaws.com", "budgets.amazonaws.com"]
    assert "budgets" not in publishable(TOPIC.replace("arn:aws:", "arn:aws-cn:"))


def test_the_rule_takes_what_the_source_reads() -> None:
    """Given the recorded events of the bus → the rule takes those that mean something, and no change of a task."""
    events = [body(name) for name in files("eventbridge")]
    taken = {each["detail-type"] for each in events if each["detail-type"] in PATTERN["detail-type"]}
    assert {each["source"] for each in events if each["detail-type"] in taken} <= set(PATTERN["source"])
    assert taken == set(PATTERN["detail-type"]) - {"RDS DB Cluster Event", "AWS Health Abuse Event"}
    assert "ECS Task State Change" not in PATTERN["detail-type"]
