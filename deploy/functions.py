"""What Chalice cannot set on a function: partial batch answers, and where calls go that fail for good."""

import json
import time
from collections.abc import Callable
from typing import Any

from deploy.clients import Clients
from deploy.errors import DeployError
from deploy.names import APP, lambda_name, tags
from deploy.policies import FUNCTIONS
from deploy.queues import feedback_dead_letters

MAX_EVENT_SECONDS = 21_600
"""How long Lambda tries to call `mail_feedback` while it is throttled: the most that it takes."""
MAX_TRIES = 6
ROLE_SECONDS = 5.0
"""Half a minute in all: what a role may do is seen everywhere some seconds after it was changed."""


def mappings(functions: Any, stage: str) -> list[str]:
    """Switch ReportBatchItemFailures on, which Chalice cannot; the functions whose mapping was changed.

    DeployError when a worker has no mapping or it is disabled: then nothing would be processed.
    """
    changed = []
    for name in (name for name, needs in FUNCTIONS.items() if "takes" in needs):
        found = functions.list_event_source_mappings(FunctionName=lambda_name(name, stage))["EventSourceMappings"]
        enabled = [each for each in found if each.get("State") not in ("Disabled", "Disabling")]
        if not enabled:
            raise DeployError(f"{lambda_name(name, stage)} reads no queue: enable its mapping, or deploy again")
        for each in enabled:
            if "ReportBatchItemFailures" not in (each.get("FunctionResponseTypes") or []):
                functions.update_event_source_mapping(
                    UUID=each["UUID"], FunctionResponseTypes=["ReportBatchItemFailures"]
                )
                changed.append(name)
    return changed


def feedback_failures(clients: Clients, stage: str, *, pause: Callable[[float], object] = time.sleep) -> None:
    """Put what SES publishes and no worker receives into the dead letters of the notifications queue.

    Lambda puts a message there when `mail_feedback` failed three times, or could not run for six hours; SNS puts it there
    when it cannot hand it to Lambda. A deploy by Chalice alone leaves both settings as they are.
    """
    _, dead = feedback_dead_letters(clients("sqs"), stage)
    wanted = {
        "FunctionName": lambda_name("mail_feedback", stage),
        "MaximumRetryAttempts": 2,
        "MaximumEventAgeInSeconds": MAX_EVENT_SECONDS,
        "DestinationConfig": {"OnFailure": {"Destination": dead}},
    }
    functions, sns = clients("lambda"), clients("sns")
    for tries in range(1, MAX_TRIES + 1):
        try:
            functions.put_function_event_invoke_config(**wanted)
            break
        except functions.exceptions.InvalidParameterValueException:
            if tries == MAX_TRIES:
                raise
            pause(ROLE_SECONDS)  # a right that the role got a moment ago may not be seen yet
    topic = str(sns.create_topic(Name=f"{APP}-{stage}-feedback", Tags=tags(stage))["TopicArn"])
    redrive = json.dumps({"deadLetterTargetArn": dead})
    for page in sns.get_paginator("list_subscriptions_by_topic").paginate(TopicArn=topic):
        for each in page["Subscriptions"]:
            if each["Protocol"] == "lambda":
                sns.set_subscription_attributes(
                    SubscriptionArn=each["SubscriptionArn"], AttributeName="RedrivePolicy", AttributeValue=redrive
                )
