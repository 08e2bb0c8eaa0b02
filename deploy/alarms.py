"""CloudWatch alarms on what nobody would see otherwise, and the topic that mails them.

Each alarm fires on the smallest real trouble that its text names: `tests/deploy/test_alarms.py` computes that from the
schedules and the tries, and shows that a healthy period does not fire it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from chalicelib.aws import arn
from chalicelib.schedule.lateness import NAMESPACE, OVERDUE, UNDELIVERED
from chalicelib.settings import dead_letters
from deploy import topics
from deploy.clients import Clients
from deploy.names import API_STAGE, APP, api_name, lambda_name, tags
from deploy.policies import FUNCTIONS
from deploy.queues import MAX_RECEIVES

MAX_LATE_SECONDS = 300
SCHEDULED_MINUTES = {"tick": 1, "watch": 1, "record": 5, "repair": 5}
"""How often EventBridge runs a function, as app.py says."""
AGAIN_AND_AGAIN = 3
"""Failures in five minutes of what runs each minute, or of one message, which SQS hides for 90 seconds after each."""
DRAINED = ("history",)
"""Queues that are emptied every five minutes only: messages wait there in health too."""
MAX_ACTIONS = 5
"""CloudWatch allows no more for one state of an alarm."""
RETIRED = ("webhooks-old", "notifications-old", "counts-old", "history-old")
"""Alarms of earlier versions, without the prefix of their stage. A deploy deletes these and no others."""
PENDING, GONE = "PendingConfirmation", "Deleted"
"""What SNS lists in place of the ARN of a subscription that was not confirmed yet, or was ended."""
SET_ADDRESS = "deploy with TOCSIN_ALARM_EMAIL=<address>"


@dataclass(frozen=True, slots=True)
class Alarm:
    """An alarm: `statistic` of a metric over `minutes` is at least `threshold`; with `below`, is less or missing.

    `means` is for the reader of its mail.
    """

    namespace: str
    metric: str
    dimensions: Mapping[str, str]
    statistic: str
    threshold: float
    means: str
    minutes: int = 5
    below: bool = False

    def request(self) -> dict[str, Any]:
        """Return what PutMetricAlarm is given, without the name, the actions and the tags."""
        comparison = "LessThanThreshold" if self.below else "GreaterThanOrEqualToThreshold"
        return {
            "AlarmDescription": f"{self.means} See runbook/tocsin-itself.md.",
            "Namespace": self.namespace,
            "MetricName": self.metric,
            "Dimensions": [{"Name": name, "Value": value} for name, value in self.dimensions.items()],
            "Statistic": self.statistic,
            "Threshold": self.threshold,
            "ComparisonOperator": comparison,
            "TreatMissingData": "breaching" if self.below else "notBreaching",
            "Period": self.minutes * 60,
            "EvaluationPeriods": 1,
        }


def wanted_alarms(stage: str, http_api: str = "") -> dict[str, Alarm]:
    """Return the alarms of a stage by their whole names. `http_api` is the id of its HTTP API, empty where it has a REST API."""
    found = [*_of_queues(stage), *_of_functions(stage), *_of_schedules(stage), *_of_lateness(stage)]
    return {f"{APP}-{stage}-{name}": alarm for name, alarm in [*found, ("gateway-errors", _gateway(stage, http_api))]}


def _of_queues(stage: str) -> Iterator[tuple[str, Alarm]]:
    """Dead letters; and messages that nobody takes: SQS counts those that are visible each minute."""
    visible = "ApproximateNumberOfMessagesVisible"
    for name in MAX_RECEIVES:
        queue = f"{APP}-{stage}-{name}"
        dead = {"QueueName": dead_letters(queue)}
        means = f"Messages of the queue {name} were given up and wait as dead letters."
        yield f"{name}-dead", Alarm("AWS/SQS", visible, dead, "Maximum", 1, means)
        if name not in DRAINED:
            means = f"For five minutes messages of the queue {name} wait and none or too few of them are taken."
            yield f"{name}-waiting", Alarm("AWS/SQS", visible, {"QueueName": queue}, "Minimum", 1, means)


def _of_functions(stage: str) -> Iterator[tuple[str, Alarm]]:
    for function in FUNCTIONS:
        dimensions, least = {"FunctionName": lambda_name(function, stage)}, _least_failures(function)
        often = "Once" if least == 1 else f"{least} times"
        errors = f"{often} in five minutes {function} failed or ran out of time or memory."
        yield f"{function}-errors", Alarm("AWS/Lambda", "Errors", dimensions, "Sum", least, errors)
        throttles = f"{often} in five minutes Lambda had no room to run {function}."
        yield f"{function}-throttles", Alarm("AWS/Lambda", "Throttles", dimensions, "Sum", least, throttles)


def _least_failures(function: str) -> int:
    """Return how many failures in five minutes are a trouble.

    One is where nobody tries again (a webhook, a bounce) or the next run is five minutes away. What runs each minute
    and what has its messages back soon may fail in passing.
    """
    often = SCHEDULED_MINUTES.get(function) == 1 or "takes" in FUNCTIONS[function]
    return AGAIN_AND_AGAIN if often else 1


def _of_schedules(stage: str) -> Iterator[tuple[str, Alarm]]:
    """A function that is not run, for three of its periods and five minutes at least."""
    for function, every in SCHEDULED_MINUTES.items():
        minutes = max(5, 3 * every)
        dimensions = {"FunctionName": lambda_name(function, stage)}
        means = f"For {minutes} minutes {function} did not run at all."
        alarm = Alarm("AWS/Lambda", "Invocations", dimensions, "Sum", 1, means, minutes=minutes, below=True)
        yield f"{function}-stopped", alarm


def _of_lateness(stage: str) -> Iterator[tuple[str, Alarm]]:
    """What the tick finds out and logs as metrics."""
    dimensions, minutes = {"Stage": stage}, MAX_LATE_SECONDS // 60
    late = f"A notification waits for its target for more than {minutes} minutes."
    yield "notifications-late", Alarm(NAMESPACE, UNDELIVERED, dimensions, "Maximum", MAX_LATE_SECONDS, late)
    late = f"A timer is overdue by more than {minutes} minutes."
    yield "timers-late", Alarm(NAMESPACE, OVERDUE, dimensions, "Maximum", MAX_LATE_SECONDS, late)


def _gateway(stage: str, http_api: str) -> Alarm:
    """Answers of 5xx, our own 503 and the gateway's. The name of a REST API tells stages apart, `Stage` does not.

    https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-metrics.html
    """
    means = "A sender was answered 5xx: its webhook may be lost, if it does not send again."
    if http_api:
        return Alarm("AWS/ApiGateway", "5xx", {"ApiId": http_api}, "Sum", 1, means)
    return Alarm("AWS/ApiGateway", "5XXError", {"ApiName": api_name(stage), "Stage": API_STAGE}, "Sum", 1, means)


# ---------------------------------------------------------------------------------------------------------------------
# The deploy


def watched(clients: Clients, stage: str, email: str, *, http_api: str = "", with_actions: bool = True) -> list[str]:
    """Make the alarms of a stage and the topic that notifies `email` of them. Return what people should know.

    Without an address the topic that is there is kept, and so are the actions that the alarms have. `with_actions` False
    takes the actions away, until the next deploy.
    """
    sns, cloudwatch = clients("sns"), clients("cloudwatch")
    there = existing_alarms(cloudwatch, stage)
    topic = alarm_topic(sns, stage) if email else found_topic(clients, stage)
    notes = asked(sns, topic, email) if topic else []
    put_alarms(cloudwatch, wanted_alarms(stage, http_api), there, topic, tags(stage), with_actions=with_actions)
    drop_retired(cloudwatch, stage, there)
    if not with_actions:
        return [f"the alarms of {stage} notify nobody, as you asked: the next deploy gives them their actions back"]
    if not topic and not any(alarm["AlarmActions"] for alarm in there.values()):
        return [f"the alarms of {stage} notify nobody: {SET_ADDRESS}"]
    return notes


def existing_alarms(cloudwatch: Any, stage: str) -> dict[str, Mapping[str, Any]]:
    """Return the alarms whose names begin with the prefix of a stage, by name."""
    pages = cloudwatch.get_paginator("describe_alarms").paginate(AlarmNamePrefix=f"{APP}-{stage}-")
    return {each["AlarmName"]: each for page in pages for each in page["MetricAlarms"]}


def put_alarms(
    cloudwatch: Any,
    wanted: Mapping[str, Alarm],
    there: Mapping[str, Mapping[str, Any]],
    topic: str,
    named: Sequence[Mapping[str, str]],
    *,
    with_actions: bool = True,
) -> None:
    """Make every alarm, or bring it up to date. Its own actions stay beside the topic, unless all are taken away."""
    for name, alarm in wanted.items():
        known = there.get(name, {})
        kept = {state: _actions(known.get(state, []), topic) for state in ("AlarmActions", "OKActions")}
        kept["InsufficientDataActions"] = list(known.get("InsufficientDataActions", []))
        actions = kept if with_actions else {state: [] for state in kept}
        cloudwatch.put_metric_alarm(
            AlarmName=name,
            ActionsEnabled=any(actions.values()),
            **actions,
            **alarm.request(),
            Tags=named,
        )


def _actions(known: Sequence[str], topic: str) -> list[str]:
    return list(dict.fromkeys(filter(None, [topic, *known])))[:MAX_ACTIONS]


def drop_retired(cloudwatch: Any, stage: str, there: Mapping[str, object]) -> list[str]:
    """Delete the alarms that an earlier version made and this one does not. Return their names."""
    names = [name for name in (f"{APP}-{stage}-{each}" for each in RETIRED) if name in there]
    if names:
        cloudwatch.delete_alarms(AlarmNames=names)
    return names


# ---------------------------------------------------------------------------------------------------------------------
# The topic


def alarm_topic(sns: Any, stage: str) -> str:
    """Return the ARN of the topic of a stage's alarms, which is made if it is not there."""
    return topics.topic(sns, topics.ALARMS, stage)


def found_topic(clients: Clients, stage: str) -> str:
    """Return the ARN of the topic of a stage's alarms; empty when there is none. Makes nothing."""
    _, partition, _, _, account, _ = clients("sts").get_caller_identity()["Arn"].split(":", 5)
    sns = clients("sns")
    found = arn(
        "sns",
        topics.topic_name(topics.ALARMS, stage),
        region=sns.meta.region_name,
        account=account,
        partition=partition,
    )
    try:
        sns.get_topic_attributes(TopicArn=found)
    except sns.exceptions.NotFoundException:
        return ""
    return found


def subscriptions(sns: Any, topic: str) -> list[Mapping[str, str]]:
    """Return who is notified by a topic, or will be once it is confirmed."""
    pages = sns.get_paginator("list_subscriptions_by_topic").paginate(TopicArn=topic)
    return [each for page in pages for each in page["Subscriptions"] if each["SubscriptionArn"] != GONE]


def asked(sns: Any, topic: str, email: str) -> list[str]:
    """Subscribe an address, and ask those again that have not confirmed. Return what people should know.

    SNS asks an address once. To subscribe one whose subscription is pending asks it anew.
    """
    known = {each["Endpoint"] for each in _mails(sns, topic)}
    new = {email} if email and email.casefold() not in {each.casefold() for each in known} else set()
    for address in sorted(_unconfirmed(sns, topic) | new):
        sns.subscribe(TopicArn=topic, Protocol="email", Endpoint=address)
    why = "has not confirmed that it takes alarms, and gets none: AWS has just sent it a link to confirm"
    return [f"{address} {why}" for address in sorted(_unconfirmed(sns, topic))]


def _mails(sns: Any, topic: str) -> list[Mapping[str, str]]:
    return [each for each in subscriptions(sns, topic) if each["Protocol"] == "email"]


def _unconfirmed(sns: Any, topic: str) -> set[str]:
    return {each["Endpoint"] for each in _mails(sns, topic) if each["SubscriptionArn"] == PENDING}
