"""What Chalice cannot set on a function: partial batch answers, its share of the account, loops, how long a call is tried.

And where calls go that fail for good.
"""

import json
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from deploy.clients import Clients
from deploy.concurrency import Concurrency
from deploy.errors import DeployError
from deploy.names import APP, lambda_name
from deploy.policies import FUNCTIONS
from deploy.queues import feedback_dead_letters
from deploy.topics import FEEDBACK, topic
from deploy.waiting import PATIENT, Wait

MAX_EVENT_SECONDS = 21_600
"""How long Lambda tries to call `mail_feedback` while it is throttled: the most that it takes."""
ROLE_SECONDS = 30.0
"""What a role may do is seen everywhere some seconds after it was changed."""
MAPPING_SECONDS = 120.0
BUSY = "ResourceConflictException"
"""How Lambda refuses a change of a function while it still makes another one."""
BUSY_SECONDS = 60.0
SCHEDULED = {"tick": (60, 0), "watch": (60, 0), "record": (300, 1), "repair": (300, 1)}
"""How many seconds Lambda keeps a call that has no room, and how often it repeats one that failed.

A call that is late is of no use: the next one does the same. Without this, hours without room leave hundreds of calls
that all run at once when there is room again.
"""
UNSETTLED = ("Creating", "Enabling", "Updating")
PARTIAL = "ReportBatchItemFailures"


def mappings(functions: Any, stage: str, share: Concurrency, *, wait: Wait = PATIENT) -> list[str]:
    """Set on each worker's mapping what Chalice cannot (partial batch answers) and what only the account knows.

    `share` says how many invocations of each worker may run at once. Return what was changed, a line each. DeployError when
    a worker has no mapping or it is disabled: then nothing would be processed.
    """
    changed = []
    for name in (name for name, needs in FUNCTIONS.items() if "takes" in needs):
        for mapping in _settled(functions, name, stage, wait):
            changed += _set(functions, mapping, name, share, wait)
    return changed


def queue_mappings(functions: Any, name: str, stage: str) -> list[dict[str, Any]]:
    """Return the mappings of a worker and its own queue. An operator may give it others, which stay as they are."""
    queue = f":{APP}-{stage}-{FUNCTIONS[name]['takes']}"
    found = functions.list_event_source_mappings(FunctionName=lambda_name(name, stage))["EventSourceMappings"]
    return [each for each in found if each.get("EventSourceArn", "").endswith(queue)]


def _settled(functions: Any, name: str, stage: str, wait: Wait) -> list[dict[str, Any]]:
    """Return the mappings of a worker's queue, once AWS has made and enabled them."""
    found: list[dict[str, Any]] = wait.until(
        lambda: queue_mappings(functions, name, stage),
        lambda found: bool(found) and all(each.get("State") not in UNSETTLED for each in found),
        seconds=MAPPING_SECONDS,
    )
    enabled = [each for each in found if each.get("State") not in ("Disabled", "Disabling", "Deleting")]
    if not enabled:
        raise DeployError(
            f"{lambda_name(name, stage)} reads no queue: enable its event source mapping, or deploy again"
        )
    return enabled


def _set(functions: Any, mapping: Mapping[str, Any], name: str, share: Concurrency, wait: Wait) -> list[str]:
    was = (mapping.get("ScalingConfig") or {}).get("MaximumConcurrency")
    maximum = share.maximum(name, was)
    if was == maximum and PARTIAL in (mapping.get("FunctionResponseTypes") or []):
        return []
    wanted = {"FunctionResponseTypes": [PARTIAL], "ScalingConfig": {"MaximumConcurrency": maximum}}
    wait.while_refused(
        lambda: functions.update_event_source_mapping(UUID=mapping["UUID"], **wanted),
        ("ResourceInUseException",),
        seconds=MAPPING_SECONDS,
    )
    return [f"mapping of {name}: at most {maximum} at once (was {was or 'without a maximum'})"]


def loops(functions: Any, stage: str, *, wait: Wait = PATIENT) -> None:
    """Let messages go through a function as often as they must.

    Lambda ends a chain of about 16 invocations of one function by way of SQS, which it recognises by a trace header. A delivery
    that is tried for hours is such a chain, and so are the timers of a long incident: what is dropped there is an alert.
    https://docs.aws.amazon.com/lambda/latest/dg/invocation-recursion.html
    """
    for name in (name for name, needs in FUNCTIONS.items() if "takes" in needs):
        asked = {"FunctionName": lambda_name(name, stage), "RecursiveLoop": "Allow"}
        _free(wait, partial(functions.put_function_recursion_config, **asked))


def scheduled(functions: Any, stage: str, *, wait: Wait = PATIENT) -> None:
    """Let Lambda give up calls of scheduled functions that are late. A deploy by Chalice alone leaves that as it is."""
    for name, (seconds, again) in SCHEDULED.items():
        asked = {
            "FunctionName": lambda_name(name, stage),
            "MaximumEventAgeInSeconds": seconds,
            "MaximumRetryAttempts": again,
        }
        _free(wait, partial(functions.put_function_event_invoke_config, **asked))


def _free(wait: Wait, call: Callable[[], Any]) -> None:
    """Make a call about a function, again while another change of it is under way."""
    wait.while_refused(call, (BUSY,), seconds=BUSY_SECONDS)


def feedback_failures(clients: Clients, stage: str, *, wait: Wait = PATIENT) -> None:
    """Put what SES publishes and no worker receives into the dead letters of the notifications queue.

    Lambda puts a message there when `mail_feedback` failed three times, or could not run for six hours; SNS puts it there
    when it cannot hand it to Lambda. A deploy by Chalice alone leaves both settings as they are.
    """
    _, dead = feedback_dead_letters(clients("sqs"), stage, wait=wait)
    wanted = {
        "FunctionName": lambda_name("mail_feedback", stage),
        "MaximumRetryAttempts": 2,
        "MaximumEventAgeInSeconds": MAX_EVENT_SECONDS,
        "DestinationConfig": {"OnFailure": {"Destination": dead}},
    }
    wait.while_refused(
        lambda: clients("lambda").put_function_event_invoke_config(**wanted),
        ("InvalidParameterValueException", BUSY),  # a right that the role got a moment ago may not be seen yet
        seconds=ROLE_SECONDS,
    )
    _dead_letter_undelivered(clients("sns"), stage, dead)


def _dead_letter_undelivered(sns: Any, stage: str, dead: str) -> None:
    """Have SNS put what it cannot hand to `mail_feedback` into the dead letters."""
    arn = topic(sns, FEEDBACK, stage)
    redrive = json.dumps({"deadLetterTargetArn": dead})
    for page in sns.get_paginator("list_subscriptions_by_topic").paginate(TopicArn=arn):
        for each in page["Subscriptions"]:
            if each["Protocol"] == "lambda":
                sns.set_subscription_attributes(
                    SubscriptionArn=each["SubscriptionArn"], AttributeName="RedrivePolicy", AttributeValue=redrive
                )
