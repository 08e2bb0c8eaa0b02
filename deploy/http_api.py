"""The HTTP API of a stage: what a new stage has in place of the REST API that Chalice would make, at 1.00 USD a million in place of 3.50.

Chalice makes REST APIs only, so the deploy makes this one, step by step, and looks before each step at what is there: a
deploy that ended half-way is finished, and a second one changes nothing. A stage that has a REST API keeps it, and its address.

The tags say whose an HTTP API is. It has them from its first moment on, and keeps them when somebody renames it.
"""

import json
from collections.abc import Mapping
from typing import Any

from chalicelib.aws import arn, service_principal
from deploy.clients import Clients
from deploy.names import API, api_name, lambda_name, tags_by_name

ROUTE = STAGE = "$default"
"""Every path goes to the function, and the address has no name of a stage in it."""
PAYLOAD = "2.0"
RATE, BURST = 2_000.0, 1_000
"""Requests a second and at once: 12 times a storm of 10,000 in a minute, a fifth of what AWS gives all APIs of an account.

Without a limit whoever knows the address could use up the account's own.
"""
STATEMENT = "tocsin-http-api"
"""The name of the right to call the function, in the function's policy."""


def http_apis(gateway: Any, stage: str, *, used: str | None = None) -> list[str]:
    """Return the ids of the stage's HTTP APIs, the one that is used first, then the oldest. There is one at most, unless
    somebody made another with the same tags.
    """
    pages = gateway.get_paginator("get_apis").paginate()
    wanted = {"app": "tocsin", "stage": stage}.items()
    found = [each for page in pages for each in page["Items"] if wanted <= each.get("Tags", {}).items()]
    ours = [each for each in found if each["ProtocolType"] == "HTTP"]
    return [str(each["ApiId"]) for each in sorted(ours, key=lambda each: (each["ApiId"] != used, each["CreatedDate"]))]


def made_http_api(clients: Clients, stage: str, api: str | None, environment: Mapping[str, str]) -> str:
    """Make the HTTP API of a stage whose function is there, or what an existing one lacks. Return its id."""
    gateway = clients("apigatewayv2")
    function = clients("lambda").get_function_configuration(FunctionName=lambda_name(API, stage))["FunctionArn"]
    id = api or _made(gateway, stage, environment)
    _set_route(gateway, id, _set_integration(gateway, id, function))
    _set_stage(gateway, id, tags_by_name(stage, environment))
    _allow(clients, id, function)
    return id


def _made(gateway: Any, stage: str, environment: Mapping[str, str]) -> str:
    given = {"Name": api_name(stage), "ProtocolType": "HTTP", "Tags": tags_by_name(stage, environment)}
    return str(gateway.create_api(**given)["ApiId"])


def _set_integration(gateway: Any, api: str, function: str) -> str:
    """Have the API call the function. Return the id of the integration."""
    wanted = {"IntegrationType": "AWS_PROXY", "IntegrationUri": function, "PayloadFormatVersion": PAYLOAD}
    for each in gateway.get_integrations(ApiId=api)["Items"]:
        if wanted.items() <= each.items():
            return str(each["IntegrationId"])
    return str(gateway.create_integration(ApiId=api, **wanted)["IntegrationId"])


def _set_route(gateway: Any, api: str, integration: str) -> None:
    """Send every path there that has no route of its own."""
    target = f"integrations/{integration}"
    there = {each["RouteKey"]: each for each in gateway.get_routes(ApiId=api)["Items"]}
    if ROUTE not in there:
        gateway.create_route(ApiId=api, RouteKey=ROUTE, Target=target)
    elif there[ROUTE].get("Target") != target:
        gateway.update_route(ApiId=api, RouteId=there[ROUTE]["RouteId"], Target=target)


def _set_stage(gateway: Any, api: str, tags: Mapping[str, str]) -> None:
    """Have the API answer at its address, with a limit. Whatever is changed is deployed at once."""
    wanted = {"AutoDeploy": True, "DefaultRouteSettings": {"ThrottlingBurstLimit": BURST, "ThrottlingRateLimit": RATE}}
    there = {each["StageName"]: each for each in gateway.get_stages(ApiId=api)["Items"]}
    if STAGE not in there:
        gateway.create_stage(ApiId=api, StageName=STAGE, Tags=dict(tags), **wanted)
    elif not _has(there[STAGE], wanted):
        gateway.update_stage(ApiId=api, StageName=STAGE, **wanted)


def _has(there: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    """Return whether a stage has these settings, whatever others it has."""
    settings = there.get("DefaultRouteSettings", {})
    return bool(there.get("AutoDeploy")) and wanted["DefaultRouteSettings"].items() <= settings.items()


def _allow(clients: Clients, api: str, function: str) -> None:
    """Give the API the right to call the function."""
    functions = clients("lambda")
    _, partition, _, region, account, *_ = function.split(":")
    source = arn("execute-api", f"{api}/*", region=region, account=account, partition=partition)
    try:
        policy = json.loads(functions.get_policy(FunctionName=function)["Policy"])
    except functions.exceptions.ResourceNotFoundException:
        policy = {"Statement": []}
    there = {each.get("Sid"): json.dumps(each) for each in policy["Statement"]}
    if source in there.get(STATEMENT, ""):
        return
    if STATEMENT in there:
        functions.remove_permission(FunctionName=function, StatementId=STATEMENT)
    functions.add_permission(
        FunctionName=function,
        StatementId=STATEMENT,
        Action="lambda:InvokeFunction",
        Principal=service_principal("apigateway"),
        SourceArn=source,
    )
