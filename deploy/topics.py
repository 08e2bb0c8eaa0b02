"""SNS topics by name."""

from typing import Any

from deploy.names import tags


def topic(sns: Any, name: str, stage: str) -> str:
    """Return the ARN of a topic, which is made when it is not there.

    SNS refuses to make a topic again with other tags than it has; then it is asked for without tags.
    """
    try:
        return str(sns.create_topic(Name=name, Tags=tags(stage))["TopicArn"])
    except sns.exceptions.InvalidParameterException as error:
        if "different tags" not in str(error):
            raise
    return str(sns.create_topic(Name=name)["TopicArn"])
