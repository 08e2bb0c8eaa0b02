"""The queues of a stage, each with its dead letters."""

import json
from collections.abc import Callable
from typing import Any

from chalicelib.settings import dead_letters
from deploy.names import APP, tags_by_name
from deploy.policies import FUNCTIONS
from deploy.waiting import PATIENT, Wait

VISIBILITY_SECONDS = 90
"""Lambda refuses a queue that hides messages for less than the function may run; ours ends after WORKER_SECONDS.

AWS advises six times that, so that a throttled function can be tried again before the message is seen by others. A page
whose worker died would then wait for six minutes. 90 s is enough: the mappings' maximum concurrency keeps Lambda from
taking messages that cannot run, and a message that comes a second time changes nothing.
"""
RETENTION_SECONDS = 14 * 86_400
MAX_MESSAGE_BYTES = 1_048_576
"""Queues that were made before August 2025 have a quarter of it until it is set."""
MAX_RECEIVES = {"webhooks": 1000, "notifications": 1000, "counts": 1000, "history": 300}
"""Workers give a message up by its age, with its reason: SQS only catches what ends its worker each time, after a day.

SQS counts a receive also where the function was throttled: 28 of them passed in 42 minutes without a single run.
"""
NOT_KNOWN_YET = ("NonExistentQueue", "QueueDoesNotExist", "InvalidParameterValue", "InvalidAttributeValue")
"""How SQS refuses what names a queue that was made a moment ago, by the words of its older protocol and of its model."""
KNOWN_SECONDS = 15.0
DELETED_SECONDS = 70.0
"""SQS refuses the name of a queue for 60 seconds after it was deleted."""


def queue(sqs: Any, name: str, max_receives: int, stage: str, *, wait: Wait = PATIENT) -> list[str]:
    """Make a queue and its dead-letter queue, or bring their attributes up to date. Return what changed, a line each."""
    kept = {
        "MessageRetentionPeriod": str(RETENTION_SECONDS),
        "SqsManagedSseEnabled": "true",
        "MaximumMessageSize": str(MAX_MESSAGE_BYTES),
    }
    dead, changed = _queue(sqs, dead_letters(name), kept, stage, wait)
    attributes = {
        **kept,
        "VisibilityTimeout": str(VISIBILITY_SECONDS),
        "ReceiveMessageWaitTimeSeconds": "20",
        "RedrivePolicy": json.dumps({"deadLetterTargetArn": _arn(sqs, dead, wait), "maxReceiveCount": max_receives}),
    }
    return changed + _queue(sqs, name, attributes, stage, wait)[1]


def _queue(sqs: Any, name: str, wanted: dict[str, str], stage: str, wait: Wait) -> tuple[str, list[str]]:
    try:
        url = str(sqs.get_queue_url(QueueName=name)["QueueUrl"])
    except sqs.exceptions.QueueDoesNotExist:
        asked = {"QueueName": name, "Attributes": wanted, "tags": tags_by_name(stage)}
        made = wait.while_refused(
            lambda: _known(wait, lambda: sqs.create_queue(**asked)),
            ("QueueDeletedRecently",),
            seconds=DELETED_SECONDS,
        )
        return str(made["QueueUrl"]), [f"made queue {name}"]
    found = _known(wait, lambda: sqs.get_queue_attributes(QueueUrl=url, AttributeNames=list(wanted)))
    there = found.get("Attributes", {})
    other = {each: value for each, value in wanted.items() if not _same(value, there.get(each, ""))}
    if other:
        _known(wait, lambda: sqs.set_queue_attributes(QueueUrl=url, Attributes=other))
    return url, [f"changed queue {name}: {each} is {value}, was {there.get(each, '')}" for each, value in other.items()]


def _same(wanted: str, there: str) -> bool:
    """Return whether two values of an attribute are one; a policy is JSON, whose order and spaces say nothing."""
    try:
        return bool(_plain(json.loads(wanted)) == _plain(json.loads(there)))
    except ValueError:
        return wanted == there


def _plain(value: Any) -> Any:
    """Return a value as it is compared: SQS gives numbers inside of policies as text or as numbers."""
    return {key: str(each) for key, each in value.items()} if isinstance(value, dict) else str(value)


def _known(wait: Wait, call: Callable[[], Any]) -> Any:
    """Return what a call returns once the queue that it names is known everywhere."""
    return wait.while_refused(call, NOT_KNOWN_YET, seconds=KNOWN_SECONDS)


def _arn(sqs: Any, url: str, wait: Wait) -> str:
    """Return the ARN of a queue; one that was made a moment ago may not be known yet."""
    found = _known(wait, lambda: sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"]))
    return str(found["Attributes"]["QueueArn"])


def feedback_dead_letters(sqs: Any, stage: str, *, wait: Wait = PATIENT) -> tuple[str, str]:
    """Return the address and the ARN of the queue for bounces that reach no worker."""
    return named_queue(sqs, dead_letters(f"{APP}-{stage}-{FUNCTIONS['mail_feedback']['loses']}"), wait=wait)


def named_queue(sqs: Any, name: str, *, wait: Wait = PATIENT) -> tuple[str, str]:
    """Return the address and the ARN of a queue that is there, or was made a moment ago."""
    url = str(_known(wait, lambda: sqs.get_queue_url(QueueName=name))["QueueUrl"])
    return url, _arn(sqs, url, wait)


def allow(sqs: Any, url: str, policy: str, *, wait: Wait = PATIENT) -> None:
    """Set who may send to a queue beside our functions."""
    _known(wait, lambda: sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy}))
