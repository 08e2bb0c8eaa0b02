"""SNS topics by name."""

from typing import Any

from deploy.names import APP, tags

FEEDBACK = "feedback"
"""What SES publishes about mails."""
ALARMS = "alarms"
"""The alarms of CloudWatch, for people."""
EVENTS = "events"
"""Alarms of CloudWatch that operators point at it, and whatever else they publish: it feeds the webhooks queue."""


def topic_name(name: str, stage: str) -> str:
    """Return the name by which SNS knows a topic of a stage."""
    return f"{APP}-{stage}-{name}"


def topic(sns: Any, name: str, stage: str) -> str:
    """Return the ARN of a topic, which is made when it is not there.

    SNS refuses to make a topic again with other tags than it has; then it is asked for without tags.
    """
    try:
        return str(sns.create_topic(Name=topic_name(name, stage), Tags=tags(stage))["TopicArn"])
    except sns.exceptions.InvalidParameterException as error:
        if "different tags" not in str(error):
            raise
    return str(sns.create_topic(Name=topic_name(name, stage))["TopicArn"])
