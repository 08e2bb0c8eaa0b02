"""AWS's own events: a topic and a rule of the default bus, which put them on the webhooks queue without a function between.

The queue's policy names both, so that IAM proves who sends. The topic's policy lets services of this account publish; people
and programs of the account publish by their own rights. What was made is found by its name: a deploy that broke goes on.
"""

import json
from typing import Any

from chalicelib.aws import service_principal
from chalicelib.settings import dead_letters
from deploy.clients import Clients
from deploy.errors import DeployError
from deploy.names import APP, tags
from deploy.queues import allow, named_queue
from deploy.topics import EVENTS, topic
from deploy.waiting import PATIENT, Wait

QUEUE = "webhooks"
TARGET = "webhooks"
"""The id of the rule's only target."""
PATTERN = {
    "source": ["aws.cloudwatch", "aws.monitoring", "aws.health", "aws.rds", "aws.ecs", "aws.guardduty"],
    "detail-type": [
        "CloudWatch Alarm State Change",
        "CloudWatch Alarm Contributor State Change",
        "CloudWatch Alarm Configuration Change",
        "AWS Health Event",
        "AWS Health Abuse Event",
        "RDS DB Instance Event",
        "RDS DB Cluster Event",
        "ECS Deployment State Change",
        "ECS Service Action",
        "GuardDuty Finding",
    ],
}
"""What the rule takes. Alarms come from `aws.cloudwatch`, in older lists from `aws.monitoring`. Changes of ECS tasks are left out:
every task of the account would come."""
RULE_SECONDS = 86_400
"""For how long EventBridge tries to put an event on the queue: its own most."""


def rule_name(stage: str) -> str:
    """Return the name of the rule of a stage."""
    return f"{APP}-{stage}-{EVENTS}"


def aws_events(clients: Clients, stage: str, *, wait: Wait = PATIENT) -> list[str]:
    """Make the topic, the rule and what they need, or bring them up to date. Return what was made, a line each."""
    sqs, sns, events = clients("sqs"), clients("sns"), clients("events")
    name = f"{APP}-{stage}-{QUEUE}"
    url, arn = named_queue(sqs, name, wait=wait)
    dead_url, dead = named_queue(sqs, dead_letters(name), wait=wait)
    topic_arn = topic(sns, EVENTS, stage)
    sns.set_topic_attributes(TopicArn=topic_arn, AttributeName="Policy", AttributeValue=publishable(topic_arn))
    rule = put_rule(events, stage)
    for address, queue in ((url, arn), (dead_url, dead)):
        _let_send(sqs, address, sendable(queue, topic_arn, rule), wait)
    changed = _subscribed(sns, topic_arn, arn, dead)
    _targeted(events, stage, arn, dead)
    return changed


def put_rule(events: Any, stage: str) -> str:
    """Make the rule, or bring it up to date, and return its ARN. One that an operator switched off stays off."""
    there = [
        each for each in events.list_rules(NamePrefix=rule_name(stage))["Rules"] if each["Name"] == rule_name(stage)
    ]
    asked = {
        "Name": rule_name(stage),
        "EventPattern": json.dumps(PATTERN),
        "State": there[0].get("State", "ENABLED") if there else "ENABLED",
        "Description": "Events of AWS for Tocsin",
    }
    return str(events.put_rule(**asked, **({} if there else {"Tags": tags(stage)}))["RuleArn"])


def _subscribed(sns: Any, topic_arn: str, queue: str, dead: str) -> list[str]:
    """Subscribe the queue, and have SNS dead-letter what it cannot put there."""
    known = queue_subscriptions(sns, topic_arn, queue)
    asked = {"TopicArn": topic_arn, "Protocol": "sqs", "Endpoint": queue, "ReturnSubscriptionArn": True}
    found = known or [str(sns.subscribe(**asked)["SubscriptionArn"])]
    wanted = {"RedrivePolicy": json.dumps({"deadLetterTargetArn": dead})}
    for subscription in found:
        for key, value in wanted.items():
            sns.set_subscription_attributes(SubscriptionArn=subscription, AttributeName=key, AttributeValue=value)
    return [] if known else [f"subscribed {queue.rpartition(':')[2]} to {topic_arn.rpartition(':')[2]}"]


def queue_subscriptions(sns: Any, topic_arn: str, queue: str) -> list[str]:
    """Return the subscriptions of a queue to a topic."""
    pages = sns.get_paginator("list_subscriptions_by_topic").paginate(TopicArn=topic_arn)
    found = (each for page in pages for each in page["Subscriptions"])
    return [each["SubscriptionArn"] for each in found if (each["Protocol"], each["Endpoint"]) == ("sqs", queue)]


def _targeted(events: Any, stage: str, queue: str, dead: str) -> None:
    """Let the rule put events on the queue, and dead-letter what it cannot put there for a day."""
    target = {
        "Id": TARGET,
        "Arn": queue,
        "DeadLetterConfig": {"Arn": dead},
        "RetryPolicy": {"MaximumEventAgeInSeconds": RULE_SECONDS, "MaximumRetryAttempts": 185},
    }
    failed = events.put_targets(Rule=rule_name(stage), Targets=[target]).get("FailedEntries") or []
    if failed:
        raise DeployError(f"{rule_name(stage)} cannot send to {queue}: {failed[0].get('ErrorMessage', 'refused')}")


def _let_send(sqs: Any, url: str, statements: list[dict[str, Any]], wait: Wait) -> None:
    """Put these statements into the policy of a queue; others, which an operator wrote, stay."""
    text = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["Policy"]).get("Attributes", {}).get("Policy", "")
    policy: dict[str, Any] = json.loads(text) if text else {"Version": "2012-10-17", "Statement": []}
    own = {each["Sid"] for each in statements}
    written: list[dict[str, Any]] = policy["Statement"]
    others = [each for each in written if each.get("Sid") not in own]
    allow(sqs, url, json.dumps({**policy, "Statement": [*others, *statements]}), wait=wait)


def sendable(queue: str, topic_arn: str, rule: str) -> list[dict[str, Any]]:
    """Return who may send to a queue beside our functions: that topic and that rule alone."""
    return [
        _statement("TocsinTopic", "sqs:SendMessage", queue, "sns", {"ArnEquals": {"aws:SourceArn": topic_arn}}),
        _statement("TocsinRule", "sqs:SendMessage", queue, "events", {"ArnEquals": {"aws:SourceArn": rule}}),
    ]


def publishable(topic_arn: str) -> str:
    """Return who may publish: this account as in the policy that SNS gives every topic, and services of this account.

    Budgets is a service of the partition `aws`; SNS refuses a policy that names a service which is not there.
    """
    partition, account = topic_arn.split(":")[1], topic_arn.split(":")[4]
    services = ["cloudwatch", "events", *(["budgets"] if partition == "aws" else [])]
    of_account = {"StringEquals": {"aws:SourceAccount": account}}
    owner = {"StringEquals": {"AWS:SourceOwner": account}}
    named = [_statement(f"Tocsin{each}", "SNS:Publish", topic_arn, each, of_account) for each in services]
    everyone = {"Sid": "TocsinAccount", "Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "SNS:Publish"}
    statements = [{**everyone, "Resource": topic_arn, "Condition": owner}, *named]
    return json.dumps({"Version": "2012-10-17", "Statement": statements})


def _statement(name: str, action: str, resource: str, service: str, condition: dict[str, Any]) -> dict[str, Any]:
    return {
        "Sid": name,
        "Effect": "Allow",
        "Principal": {"Service": service_principal(service)},
        "Action": action,
        "Resource": resource,
        "Condition": condition,
    }
