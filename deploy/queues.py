"""The queues of a stage, each with its dead letters."""

from typing import Any

from chalicelib.settings import dead_letters
from deploy.names import APP, tags
from deploy.policies import FUNCTIONS

VISIBILITY_SECONDS = 90
"""Lambda refuses a queue that hides messages for less than the function may run; ours ends after WORKER_SECONDS."""
RETENTION_SECONDS = 14 * 86_400
MAX_RECEIVES = {"webhooks": 28, "notifications": 1000, "counts": 28, "history": 12}
"""Whether a notification is given up is decided by its age, in `deliver`: SQS only catches what crashes for ever."""


def queue(sqs: Any, name: str, max_receives: int, stage: str) -> list[str]:
    """A queue and its dead-letter queue, both encrypted and kept for 14 days."""
    kept = {"MessageRetentionPeriod": str(RETENTION_SECONDS), "SqsManagedSseEnabled": "true"}
    dead, made_dead = _queue(sqs, dead_letters(name), kept, stage)
    arn = sqs.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    attributes = {
        **kept,
        "VisibilityTimeout": str(VISIBILITY_SECONDS),
        "ReceiveMessageWaitTimeSeconds": "20",
        "RedrivePolicy": f'{{"deadLetterTargetArn":"{arn}","maxReceiveCount":{max_receives}}}',
    }
    _, made = _queue(sqs, name, attributes, stage)
    return made_dead + made


def _queue(sqs: Any, name: str, attributes: dict[str, str], stage: str) -> tuple[str, list[str]]:
    try:
        url = str(sqs.get_queue_url(QueueName=name)["QueueUrl"])
    except sqs.exceptions.QueueDoesNotExist:
        named = {each["Key"]: each["Value"] for each in tags(stage)}
        return str(sqs.create_queue(QueueName=name, Attributes=attributes, tags=named)["QueueUrl"]), [f"queue {name}"]
    sqs.set_queue_attributes(QueueUrl=url, Attributes=attributes)
    return url, []


def feedback_dead_letters(sqs: Any, stage: str) -> tuple[str, str]:
    """Return the address and the ARN of the queue for bounces that reach no worker."""
    url = str(
        sqs.get_queue_url(QueueName=dead_letters(f"{APP}-{stage}-{FUNCTIONS['mail_feedback']['loses']}"))["QueueUrl"]
    )
    return url, str(sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"])
