"""CloudWatch alarms on what nobody would see otherwise, and the topic that mails them."""

from typing import Any

from chalicelib.settings import dead_letters
from deploy.names import APP, lambda_name, tags
from deploy.policies import FUNCTIONS
from deploy.queues import MAX_RECEIVES

ALARM_SECONDS = 300
MAX_AGE_SECONDS = {"history": 3_600}
"""When the oldest message of a queue is too old; 300 where nothing is said. History is moved every five minutes."""


def alarms(cloudwatch: Any, stage: str, actions: list[str]) -> list[str]:
    """Alarms on what nobody would see otherwise; `actions` are ARNs, usually of an SNS topic. Their names."""
    names = []
    for name, alarm in _alarms(stage).items():
        cloudwatch.put_metric_alarm(
            AlarmName=f"{APP}-{stage}-{name}",
            ActionsEnabled=bool(actions),
            AlarmActions=actions,
            OKActions=actions,
            Period=ALARM_SECONDS,
            EvaluationPeriods=1,
            Tags=tags(stage),
            **alarm,
        )
        names.append(f"{APP}-{stage}-{name}")
    return names


def _alarms(stage: str) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for name in MAX_RECEIVES:
        queue_name = f"{APP}-{stage}-{name}"
        dead = dead_letters(queue_name)
        waiting = "ApproximateNumberOfMessagesVisible"
        found[f"{name}-dead"] = _alarm("AWS/SQS", waiting, ("QueueName", dead), "Maximum", 0)
        found[f"{name}-old"] = _alarm(
            "AWS/SQS",
            "ApproximateAgeOfOldestMessage",
            ("QueueName", queue_name),
            "Maximum",
            MAX_AGE_SECONDS.get(name, 300),
        )
    for function in FUNCTIONS:
        dimension = ("FunctionName", lambda_name(function, stage))
        found[f"{function}-errors"] = _alarm("AWS/Lambda", "Errors", dimension, "Sum", 5)
        found[f"{function}-throttles"] = _alarm("AWS/Lambda", "Throttles", dimension, "Sum", 5)
    tick = _alarm("AWS/Lambda", "Invocations", ("FunctionName", lambda_name("tick", stage)), "Sum", 1)
    found["tick-stopped"] = {**tick, "ComparisonOperator": "LessThanThreshold", "TreatMissingData": "breaching"}
    return found


def _alarm(namespace: str, metric: str, dimension: tuple[str, str], statistic: str, threshold: float) -> dict[str, Any]:
    return {
        "Namespace": namespace,
        "MetricName": metric,
        "Dimensions": [{"Name": dimension[0], "Value": dimension[1]}],
        "Statistic": statistic,
        "Threshold": threshold,
        "ComparisonOperator": "GreaterThanThreshold",
        "TreatMissingData": "notBreaching",
    }


def alarm_topic(sns: Any, stage: str, email: str) -> str:
    """The ARN of the topic that tells an address of alarms; AWS asks the address to confirm once."""
    arn = str(sns.create_topic(Name=f"{APP}-{stage}-alarms", Tags=tags(stage))["TopicArn"])
    pages = sns.get_paginator("list_subscriptions_by_topic").paginate(TopicArn=arn)
    known = {each["Endpoint"] for page in pages for each in page["Subscriptions"]}
    if email not in known:
        sns.subscribe(TopicArn=arn, Protocol="email", Endpoint=email)
    return arn
