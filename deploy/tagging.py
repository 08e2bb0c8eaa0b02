"""Tags on what is there already, or was made by somebody who does not tag it. None is ever taken away.

Chalice tags functions alone, and services take tags only when something is made. Things are found by their whole names: the
rule `tocsin-dev-2-tick-event` is of the stage `dev-2`.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

from botocore.exceptions import ClientError

from chalicelib.aws import arn
from chalicelib.settings import dead_letters
from deploy.alarms import existing_alarms, wanted_alarms
from deploy.aws_events import rule_name
from deploy.clients import Clients
from deploy.logs import log_groups
from deploy.mail import CONFIGURATION_SET
from deploy.names import APP, lambda_name, tags, tags_by_name
from deploy.parameters import parameters
from deploy.policies import FUNCTIONS
from deploy.queues import MAX_RECEIVES
from deploy.topics import ALARMS, EVENTS, FEEDBACK, topic_name
from deploy.waiting import code_of

GONE = ("NotFoundException", "NotFound", "ResourceNotFoundException")
"""Words of services for what is not there: not every stage has alarms."""
Tag = tuple[str, Callable[[], Any]]
"""What is tagged, for people, and the call that does it."""


def tag_what_others_made(clients: Clients, stage: str, rest_api: str, environment: Mapping[str, str]) -> list[str]:
    """Tag the REST API if there is one, schedules and log groups; return what could not be tagged, a line each."""
    return _done(_made_by_others(clients, stage, rest_api, environment))


def tag_what_is_there(clients: Clients, stage: str, http_api: str, environment: Mapping[str, str]) -> list[str]:
    """Tag what got tags when it was made, which may be before a tag was chosen; return what could not be tagged."""
    return _done(_ours(clients, stage, http_api, environment))


def _done(calls: Iterator[Tag]) -> list[str]:
    """Make the calls. A tag that is refused never ends a deploy: the stage works without it."""
    failed = []
    try:
        for what, call in calls:
            failed += _refused(what, call)
    except ClientError as error:
        failed.append(f"tags are not set: AWS refused {error.operation_name}: {code_of(error)}")
    return failed


def _refused(what: str, call: Callable[[], Any]) -> list[str]:
    try:
        call()
    except ClientError as error:
        code = code_of(error)
        return [] if code in GONE else [f"tags of {what} are not set: {code}"]
    return []


def _made_by_others(clients: Clients, stage: str, rest_api: str, environment: Mapping[str, str]) -> Iterator[Tag]:
    gateway, events, logs = clients("apigateway"), clients("events"), clients("logs")
    wanted, named, place = tags(stage, environment), tags_by_name(stage, environment), _place(clients)
    if rest_api:
        api = arn("apigateway", f"/restapis/{rest_api}", **{**place, "account": ""})
        yield "the REST API", partial(gateway.tag_resource, resourceArn=api, tags=named)
    own = {rule_name(stage), *(f"{lambda_name(function, stage)}-event" for function in FUNCTIONS)}
    rules = events.list_rules(NamePrefix=f"{APP}-{stage}-")["Rules"]
    for rule in (each for each in rules if each["Name"] in own):
        yield rule["Name"], partial(events.tag_resource, ResourceARN=rule["Arn"], Tags=wanted)
    first = f"/aws/lambda/{APP}-{stage}"
    for page in logs.get_paginator("describe_log_groups").paginate(logGroupNamePrefix=first):
        for group in (each["logGroupName"] for each in page["logGroups"]):
            if group in log_groups(stage):
                whole = arn("logs", f"log-group:{group}", **place)
                yield group, partial(logs.tag_resource, resourceArn=whole, tags=named)


def _ours(clients: Clients, stage: str, http_api: str, environment: Mapping[str, str]) -> Iterator[Tag]:
    wanted, named = tags(stage, environment), tags_by_name(stage, environment)
    place, name = _place(clients), f"{APP}-{stage}"
    if http_api:
        api = arn("apigateway", f"/apis/{http_api}", **{**place, "account": ""})
        yield "the HTTP API", partial(clients("apigatewayv2").tag_resource, ResourceArn=api, Tags=named)
    table = arn("dynamodb", f"table/{name}", **place)
    yield f"the table {name}", partial(clients("dynamodb").tag_resource, ResourceArn=table, Tags=wanted)
    for queue in (f"{name}-{each}" for each in MAX_RECEIVES):
        for each in (queue, dead_letters(queue)):
            yield f"the queue {each}", partial(_tag_queue, clients("sqs"), each, named)
    for topic in (arn("sns", topic_name(each, stage), **place) for each in (FEEDBACK, EVENTS, ALARMS)):
        yield topic, partial(clients("sns").tag_resource, ResourceArn=topic, Tags=wanted)
    if parameters(clients("ssm"), stage).get(CONFIGURATION_SET) == name:
        own = arn("ses", f"configuration-set/{name}", **place)
        yield f"the configuration set {name}", partial(clients("sesv2").tag_resource, ResourceArn=own, Tags=wanted)
    cloudwatch = clients("cloudwatch")
    there = existing_alarms(cloudwatch, stage)
    for alarm in (each["AlarmArn"] for own, each in there.items() if own in wanted_alarms(stage)):
        yield alarm, partial(cloudwatch.tag_resource, ResourceARN=alarm, Tags=wanted)


def _tag_queue(sqs: Any, name: str, named: Mapping[str, str]) -> None:
    sqs.tag_queue(QueueUrl=sqs.get_queue_url(QueueName=name)["QueueUrl"], Tags=named)


def _place(clients: Clients) -> dict[str, str]:
    """Return the parts of an ARN that say where: partition, Region and account."""
    sts = clients("sts")
    account = str(sts.get_caller_identity()["Account"])
    return {"region": sts.meta.region_name, "account": account, "partition": sts.meta.partition}
