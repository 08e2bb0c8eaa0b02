"""Chalice's record of what it deployed, read from the account before each run.

Chalice finds functions, roles and rules by name, but queue mappings, the subscription and the REST API only in
`.chalice/deployed/<stage>.json`, which it writes after its whole plan succeeded. A run that ends half-way would leave
things that no file names: AWS refuses a second mapping of the same queue and function for ever, and a second REST API
has another address. The account knows all of it, so the file is never trusted.

The names of the entries are those of chalice/deploy/appgraph.py, their fields those of chalice/deploy/planner.py (1.34.0).
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any

from deploy.clients import Clients
from deploy.names import API, APP, api_name, chalice_tag, function_of, lambda_name
from deploy.policies import FUNCTIONS

Entry = dict[str, str]


def record(clients: Clients, stage: str, *, api: str | None) -> dict[str, Any]:
    """Return the record of a stage: what Chalice has made of it, whoever ran it and however the run ended.

    `api` is the id of the REST API whose address senders use, None before there is one: see `rest_apis`.
    """
    functions = dict(stage_functions(clients("lambda"), stage))
    entries = [
        *_roles(functions, stage),
        *(
            {"name": name, "resource_type": "lambda_function", "lambda_arn": arn}
            for name, (arn, _) in functions.items()
        ),
        *_mappings(clients("lambda"), functions, stage),
        *_subscriptions(clients("sns"), functions, stage),
        *_rules(clients("events"), functions, stage),
        *_rest_api(clients("apigateway"), stage, api),
    ]
    return {"resources": entries, "schema_version": "2.0", "backend": "api"}


def rest_apis(gateway: Any, stage: str, *, used: str | None = None) -> list[str]:
    """Return the ids of the REST APIs that call this stage's function, the oldest first.

    More than one is what runs of earlier versions left that ended half-way. Those called the API of every stage by one
    name, and Chalice tags none, so the function that an API calls shows whose it is. `used` may have any name: somebody
    renamed it, and its address is the one that senders use.
    """
    pages = gateway.get_paginator("get_rest_apis").paginate()
    names = (APP, api_name(stage))
    named = [each for page in pages for each in page["items"] if each["id"] == used or each["name"] in names]
    found = [each for each in named if _calls(gateway, each["id"], lambda_name(API, stage))]
    return [str(each["id"]) for each in sorted(found, key=lambda each: each["createdDate"])]


def answers(gateway: Any, api: str) -> bool:
    """Return whether that REST API was ever deployed: only then it has an address that somebody can use."""
    return bool(gateway.get_stages(restApiId=api)["item"])


def named_only_here(found: Mapping[str, Any]) -> dict[str, Any]:
    """Return the part of a record that Chalice cannot find by name: all that a version before this one needs of it."""
    kinds = ("sqs_event", "sns_event", "rest_api")
    return {**found, "resources": [each for each in found["resources"] if each["resource_type"] in kinds]}


def _calls(gateway: Any, api: str, function: str) -> bool:
    """Return whether the first function that a REST API calls is this one."""
    called = next((uri for uri in _targets(gateway, api) if ":function:" in uri), "")
    return f":function:{function}/" in called


def _targets(gateway: Any, api: str) -> Iterator[str]:
    """Yield what the methods of a REST API call. One that is somebody else's may have methods that call nothing yet."""
    pages = gateway.get_paginator("get_resources").paginate(restApiId=api)
    for each in (each for page in pages for each in page["items"]):
        for method in each.get("resourceMethods") or {}:
            with suppress(gateway.exceptions.NotFoundException):
                found = gateway.get_integration(restApiId=api, resourceId=each["id"], httpMethod=method)
                yield str(found.get("uri", ""))


def stage_functions(functions: Any, stage: str) -> Iterator[tuple[str, tuple[str, str]]]:
    """Yield the functions that Chalice made for the stage: name in app.py, ARN, ARN of the role.

    One that this version does not know is of another version, and Chalice takes it away; but only one that Chalice made.
    """
    for page in functions.get_paginator("list_functions").paginate():
        for each in page["Functions"]:
            name, arn = function_of(each["FunctionName"], stage), str(each["FunctionArn"])
            if name in FUNCTIONS or (name and _is_chalices(functions, arn, stage)):
                yield name, (arn, str(each["Role"]))


def _is_chalices(functions: Any, arn: str, stage: str) -> bool:
    return str(functions.list_tags(Resource=arn)["Tags"].get("aws-chalice", "")).endswith(chalice_tag(stage))


def _roles(functions: Mapping[str, tuple[str, str]], stage: str) -> Iterator[Entry]:
    for name, (_, role) in functions.items():
        if (role_name := role.rpartition("/")[2]) == f"{APP}-{stage}-{name}":
            yield {"name": f"{name}_role", "resource_type": "iam_role", "role_arn": role, "role_name": role_name}


def _mappings(functions: Any, known: Mapping[str, tuple[str, str]], stage: str) -> Iterator[Entry]:
    """Yield the mappings of the stage's queues. Those of other queues are an operator's: Chalice would delete them.

    Chalice knows one mapping of a function by name. One of a queue that the function no longer takes from has another
    name here, and Chalice deletes it.
    """
    for name, (arn, _) in known.items():
        for page in functions.get_paginator("list_event_source_mappings").paginate(FunctionName=arn):
            for each in page["EventSourceMappings"]:
                queue_arn = each.get("EventSourceArn", "")
                queue = _own(queue_arn, "sqs", stage)
                if queue:
                    takes = f"{APP}-{stage}-{FUNCTIONS.get(name, {}).get('takes')}"
                    yield {
                        "name": f"{name}-sqs-event-source{'' if queue == takes else f'-{queue}'}",
                        "resource_type": "sqs_event",
                        "queue_arn": queue_arn,
                        "event_uuid": each["UUID"],
                        "queue": queue,
                        "lambda_arn": arn,
                    }


def _subscriptions(sns: Any, known: Mapping[str, tuple[str, str]], stage: str) -> Iterator[Entry]:
    """Yield the subscriptions of functions to the stage's topics. Those to other topics are an operator's.

    SNS lists a subscription without an ARN when it was not confirmed or is gone.
    """
    arns = {arn: name for name, (arn, _) in known.items()}
    for page in sns.get_paginator("list_subscriptions").paginate():
        for each in page["Subscriptions"]:
            topic = _own(each["TopicArn"], "sns", stage)
            if topic and each["Endpoint"] in arns and each["SubscriptionArn"].startswith("arn:"):
                yield {
                    "name": f"{arns[each['Endpoint']]}-sns-subscription",
                    "resource_type": "sns_event",
                    "topic": topic,
                    "topic_arn": each["TopicArn"],
                    "subscription_arn": each["SubscriptionArn"],
                    "lambda_arn": each["Endpoint"],
                }


def _own(arn: str, service: str, stage: str) -> str:
    """Return the name of a queue or a topic of the stage; empty for another ARN."""
    place, _, name = arn.rpartition(":")
    return name if name.startswith(f"{APP}-{stage}-") and f":{service}:" in place else ""


def _rules(events: Any, known: Mapping[str, tuple[str, str]], stage: str) -> Iterator[Entry]:
    for name, (arn, _) in known.items():
        if (rule := f"{APP}-{stage}-{name}-event") in events.list_rule_names_by_target(TargetArn=arn)["RuleNames"]:
            yield {"name": f"{name}-event", "resource_type": "cloudwatch_event", "rule_name": rule}


def _rest_api(gateway: Any, stage: str, api: str | None) -> Iterable[Entry]:
    if api is None:
        return []
    return [{"name": "rest_api", "resource_type": "rest_api", "rest_api_id": api}]
