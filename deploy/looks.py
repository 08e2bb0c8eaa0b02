"""How a plan sees what each call of a deploy would change: one function for a call, by the names of AWS.

A change of what the plan itself would make is part of making it, and has no line of its own. Tags are not compared: reading
those of everything would take as many calls again.
"""

import json
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from deploy.logs import PREFIX
from deploy.plan import CHANGE, REMOVE, UNREADABLE, Call, Given, Look, Plan, has

Seen = Callable[[Look], dict[str, Any]]
READS = ("Get", "List", "Describe", "BatchGet", "Head", "Query", "Filter")
"""How the names of calls begin that change nothing."""
NEW = "planned"
"""In the place of ids and addresses that AWS would choose."""
OF_CHALICE = "-api_handler"
"""How the log group ends that Chalice makes at each deploy, and the deploy deletes: no function writes there."""


def unknown(look: Look) -> dict[str, Any]:
    """Keep a line for a call that this file does not know: better a line too many than none."""
    look.plan.add(CHANGE, f"{look.name} is called")
    return {}


def _ignored(look: Look) -> dict[str, Any]:
    """Keep no line: the call is part of another one, or is not compared."""
    return {}


# The table -----------------------------------------------------------------------------------------------------------


def _create_table(look: Look) -> dict[str, Any]:
    name, indexes = look.given["TableName"], look.given.get("GlobalSecondaryIndexes", [])
    table = {"TableName": name, "TableStatus": "ACTIVE", "KeySchema": look.given["KeySchema"]}
    with_it = ", ".join(each["IndexName"] for each in indexes)
    answer = {"Table": {**table, "GlobalSecondaryIndexes": indexes}}
    return look.makes(f"table {name} with its indexes {with_it}", f"table/{name}", answer)


def _update_table(look: Look) -> dict[str, Any]:
    for each in look.given.get("GlobalSecondaryIndexUpdates", []):
        what = f"index {each['Create']['IndexName']} of table {look.given['TableName']}"
        look.makes(what, f"index/{what}", {})
    return {}


def _expiry(look: Look) -> dict[str, Any]:
    """Return the step has looked already."""
    if look.made(_table(look)) is None:
        look.plan.add(CHANGE, f"table {look.given['TableName']}: items expire")
    return {}


def _backups(look: Look) -> dict[str, Any]:
    if look.made(_table(look)) is None:
        look.plan.add(CHANGE, f"table {look.given['TableName']}: backups of 35 days")
    return {}


def _table(look: Look) -> str:
    return f"table/{look.given['TableName']}"


# Queues and topics ---------------------------------------------------------------------------------------------------


def _create_queue(look: Look) -> dict[str, Any]:
    name = look.given["QueueName"]
    attributes = {**look.given["Attributes"], "QueueArn": look.plan.place.arn("sqs", name)}
    answer = {"QueueUrl": f"{NEW}/{name}", "Attributes": attributes}
    return look.makes(f"queue {name}", f"queue/{name}", answer)


def _queue(look: Look) -> dict[str, Any] | None:
    return look.made(f"queue/{look.given.get('QueueName') or look.given['QueueUrl'].rpartition('/')[2]}")


def _set_queue(look: Look) -> dict[str, Any]:
    if _queue(look) is None:
        url, wanted = look.given["QueueUrl"], look.given["Attributes"]
        found = look.find("GetQueueAttributes", QueueUrl=url, AttributeNames=[*wanted])
        there = found if found is UNREADABLE else (found or {}).get("Attributes", {})
        look.changes(f"queue {url.rpartition('/')[2]}", there, wanted)
    return {}


def _create_topic(look: Look) -> dict[str, Any]:
    name = look.given["Name"]
    answer = {"TopicArn": look.plan.place.arn("sns", name)}
    if look.find("GetTopicAttributes", **answer) is None:
        return look.makes(f"topic {name}", f"topic/{name}", answer)
    return answer


def _topic(look: Look) -> str:
    return str(look.given["TopicArn"]).rpartition(":")[2]


def _set_topic(look: Look) -> dict[str, Any]:
    if look.made(f"topic/{_topic(look)}") is None:
        found = look.find("GetTopicAttributes", TopicArn=look.given["TopicArn"])
        there = found if found is UNREADABLE else (found or {}).get("Attributes", {})
        look.changes(f"topic {_topic(look)}", there, _one_attribute(look))
    return {}


def _one_attribute(look: Look) -> dict[str, Any]:
    return {look.given["AttributeName"]: look.given["AttributeValue"]}


def _subscribe(look: Look) -> dict[str, Any]:
    """Return whoever is subscribed and has not confirmed is asked again, which changes nothing of the account."""
    endpoint, known = look.given["Endpoint"], []
    if look.made(f"topic/{_topic(look)}") is None:
        known = _pages(look, "ListSubscriptionsByTopic", "Subscriptions", TopicArn=look.given["TopicArn"])
    if there := [each["SubscriptionArn"] for each in known if each["Endpoint"] == endpoint]:
        return {"SubscriptionArn": there[0]}
    what = f"subscription of {str(endpoint).rpartition(':')[2]} to topic {_topic(look)}"
    answer = {"SubscriptionArn": f"{look.given['TopicArn']}:{NEW}-{len(look.plan.made)}"}
    return look.makes(what, f"subscription/{answer['SubscriptionArn']}", answer)


def _pages(look: Look, operation: str, name: str, **asked: Any) -> list[Any]:
    """Return what all pages of a list hold."""
    found: list[Any] = []
    while True:
        page = look.find(operation, **asked) or {}
        found += page.get(name, [])
        if not page.get("NextToken"):
            return found
        asked["NextToken"] = page["NextToken"]


def _set_subscription(look: Look) -> dict[str, Any]:
    arn = look.given["SubscriptionArn"]
    if look.made(f"subscription/{arn}") is None:
        found = look.find("GetSubscriptionAttributes", SubscriptionArn=arn)
        there = found if found is UNREADABLE else (found or {}).get("Attributes", {})
        look.changes(f"subscription to topic {arn.split(':')[5]}", there, _one_attribute(look))
    return {}


def _unsubscribe(look: Look) -> dict[str, Any]:
    look.plan.add(REMOVE, f"subscription to topic {look.given['SubscriptionArn'].split(':')[5]}")
    return {}


def _no_subscriptions(look: Look) -> dict[str, Any] | None:
    return None if look.made(f"topic/{_topic(look)}") is None else {"Subscriptions": []}


# Mail ----------------------------------------------------------------------------------------------------------------


def _create_configuration_set(look: Look) -> dict[str, Any]:
    name = look.given["ConfigurationSetName"]
    if look.find("GetConfigurationSet", ConfigurationSetName=name) is None:
        return look.makes(f"configuration set {name}", f"mail/{name}", {})
    return {}


def _destination(look: Look) -> dict[str, Any]:
    name, wanted = look.given["ConfigurationSetName"], look.given["EventDestination"]
    if look.made(f"mail/{name}") is None:
        found = look.find("GetConfigurationSetEventDestinations", ConfigurationSetName=name)
        there = {each["Name"]: each for each in (found or {}).get("EventDestinations", [])}
        own = found if found is UNREADABLE else there.get(look.given["EventDestinationName"])
        look.changes(f"configuration set {name}", own, wanted)
    return {}


# Rules of EventBridge ------------------------------------------------------------------------------------------------


def _put_rule(look: Look) -> dict[str, Any]:
    name = look.given["Name"]
    found = look.find("ListRules", NamePrefix=name)
    there = next((each for each in (found or {}).get("Rules", []) if each["Name"] == name), None)
    wanted = {each: value for each, value in look.given.items() if each not in ("Name", "Tags")}
    answer = {"RuleArn": look.plan.place.arn("events", f"rule/{name}")}
    if found is not UNREADABLE and there is None:
        when = f", {wanted['ScheduleExpression']}" if "ScheduleExpression" in wanted else ""
        return look.makes(f"rule {name}{when}", f"rule/{name}", answer)
    look.changes(f"rule {name}", found if found is UNREADABLE else there, wanted)
    return answer


def _put_targets(look: Look) -> dict[str, Any]:
    rule, wanted = look.given["Rule"], list(look.given["Targets"])
    if look.made(f"rule/{rule}") is None:
        found = look.find("ListTargetsByRule", Rule=rule)
        there = (found or {}).get("Targets", [])
        if found is not UNREADABLE and not all(any(has(each, target) for each in there) for target in wanted):
            look.plan.add(CHANGE, f"rule {rule}: its target")
    return {"FailedEntries": []}


def _removes(kind: str, key: str) -> Seen:
    """Return what keeps a line for something that is removed, named by `key` of the call."""

    def seen(look: Look) -> dict[str, Any]:
        look.plan.add(REMOVE, f"{kind} {look.given[key]}")
        return {}

    return seen


# Roles ---------------------------------------------------------------------------------------------------------------


def _create_role(look: Look) -> dict[str, Any]:
    name = look.given["RoleName"]
    answer = {"Role": {"Arn": look.plan.place.arn("iam", f"role/{name}", region=""), "RoleName": name}}
    return look.makes(f"role {name}", f"role/{name}", answer)


def _put_role_policy(look: Look) -> dict[str, Any]:
    role = look.given["RoleName"]
    if look.made(f"role/{role}") is not None:
        return {}
    found = look.find("GetRolePolicy", RoleName=role, PolicyName=look.given["PolicyName"])
    if found is UNREADABLE:
        return {}
    there, wanted = (_rights(text) for text in ((found or {}).get("PolicyDocument", {}), look.given["PolicyDocument"]))
    parts = [*(f"+ {each}" for each in sorted(wanted - there)), *(f"- {each}" for each in sorted(there - wanted))]
    if parts:
        look.plan.add(CHANGE, f"role {role}: {', '.join(parts)}")
    return {}


def _rights(document: Any) -> set[str]:
    """Return each right of a policy as one text."""
    policy = json.loads(document) if isinstance(document, str) else document
    statements = policy.get("Statement", [])
    return {
        f"{action} on {resource.split(':', 5)[-1]}"
        for each in statements
        for action in _listed(each.get("Action", []))
        for resource in _listed(each.get("Resource", []))
    }


def _listed(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value)


# Functions -----------------------------------------------------------------------------------------------------------


def _function(look: Look) -> str:
    """Return the name of the function that a call is about, which may give its ARN."""
    given = str(look.given["FunctionName"])
    return given.split(":")[6] if given.startswith("arn:") else given


def _made_function(look: Look) -> dict[str, Any] | None:
    return look.made(f"function/{_function(look)}")


def _create_function(look: Look) -> dict[str, Any]:
    name = _function(look)
    answer = {
        "FunctionName": name,
        "FunctionArn": look.plan.place.arn("lambda", f"function:{name}"),
        "State": "Active",
        "LastUpdateStatus": "Successful",
    }
    size = f"{look.given.get('MemorySize')} MB, {look.given.get('Timeout')} s"
    return look.makes(f"function {name} ({size})", f"function/{name}", answer)


def _get_function(look: Look) -> dict[str, Any] | None:
    made = _made_function(look)
    return None if made is None else {"Configuration": made}


def _update_code(look: Look) -> dict[str, Any]:
    if not look.plan.same_code:
        look.plan.add(CHANGE, f"function {_function(look)}: new code")
    return look.find("GetFunctionConfiguration", FunctionName=_function(look)) or {}


def _update_configuration(look: Look) -> dict[str, Any]:
    there = look.find("GetFunctionConfiguration", FunctionName=_function(look))
    wanted = {name: value for name, value in look.given.items() if name != "FunctionName"}
    look.changes(f"function {_function(look)}", there, wanted)
    return there or {}


def _add_permission(look: Look) -> dict[str, Any]:
    if _made_function(look) is None:
        look.plan.add(CHANGE, f"function {_function(look)}: {look.given['Principal']} may call it")
    return {}


def _create_mapping(look: Look) -> dict[str, Any]:
    queue = str(look.given["EventSourceArn"]).rpartition(":")[2]
    answer = {"UUID": f"{NEW}-{_function(look)}", "State": "Enabled", "EventSourceArn": look.given["EventSourceArn"]}
    return look.makes(f"mapping of queue {queue} to {_function(look)}", f"mapping/{_function(look)}", answer)


def _mappings(look: Look) -> dict[str, Any] | None:
    """Return those that are there with the one that the plan has made."""
    if "FunctionName" not in look.given or (made := look.made(f"mapping/{_function(look)}")) is None:
        return None
    there = None if _made_function(look) else look.find("ListEventSourceMappings", **look.given)
    return {"EventSourceMappings": [made, *(there or {}).get("EventSourceMappings", [])]}


def _update_mapping(look: Look) -> dict[str, Any]:
    uuid = look.given["UUID"]
    if str(uuid).startswith(NEW):
        return {}
    there = look.find("GetEventSourceMapping", UUID=uuid)
    wanted = {name: value for name, value in look.given.items() if name != "UUID"}
    function = str((there or {}).get("FunctionArn", uuid)).rpartition(":")[2]
    look.changes(f"mapping of {function}", there, wanted)
    return {}


def _delete_mapping(look: Look) -> dict[str, Any]:
    there = look.find("GetEventSourceMapping", UUID=look.given["UUID"]) or {}
    queue, function = (str(there.get(name, "")).rpartition(":")[2] for name in ("EventSourceArn", "FunctionArn"))
    look.plan.add(REMOVE, f"mapping of queue {queue} to {function}")
    return {}


def _set_of_function(read: str, words: str) -> Seen:
    """Return what compares a setting of a function that has a call of its own to read it."""

    def seen(look: Look) -> dict[str, Any]:
        if _made_function(look) is None:
            there = look.find(read, FunctionName=_function(look))
            wanted = {name: value for name, value in look.given.items() if name != "FunctionName"}
            look.changes(f"{words} of function {_function(look)}", there, wanted)
        return {}

    return seen


def _delete_concurrency(look: Look) -> dict[str, Any]:
    """Return chalice takes reserved concurrency away at each deploy, also where there is none."""
    if _made_function(look) is None:
        there = look.find("GetFunction", FunctionName=_function(look)) or {}
        if "ReservedConcurrentExecutions" in there.get("Concurrency", {}):
            look.plan.add(REMOVE, f"reserved concurrency of function {_function(look)}")
    return {}


# Logs, parameters, alarms --------------------------------------------------------------------------------------------


def _create_log_group(look: Look) -> dict[str, Any]:
    name = str(look.given["logGroupName"])
    if _log_group(look) is None:
        if name.endswith(OF_CHALICE):
            look.plan.made[f"logs/{name}"] = {}
        else:
            look.makes(f"log group {name}", f"logs/{name}", {})
    return {}


def _log_group(look: Look) -> Mapping[str, Any] | None:
    name = look.given["logGroupName"]
    found = look.find("DescribeLogGroups", logGroupNamePrefix=name) or {}
    if found is UNREADABLE:
        return found
    return next((each for each in found.get("logGroups", []) if each["logGroupName"] == name), None)


def _retention(look: Look) -> dict[str, Any]:
    name = str(look.given["logGroupName"])
    if look.made(f"logs/{name}") is None and (there := _log_group(look)) is not None:
        days = {"retentionInDays": look.given["retentionInDays"]}
        look.changes(f"log group {name.removeprefix(PREFIX)}", there, days)
    return {}


def _delete_log_group(look: Look) -> dict[str, Any]:
    if not look.given["logGroupName"].endswith(OF_CHALICE):
        look.plan.add(REMOVE, f"log group {look.given['logGroupName']}")
    return {}


def _put_parameter(look: Look) -> dict[str, Any]:
    """Return names alone: no value is printed."""
    name, value = look.given["Name"], look.given["Value"]
    found = look.find("GetParameter", Name=name, WithDecryption=True)
    if found is None:
        return look.makes(f"parameter {name}", f"parameter/{name}", {})
    if found is not UNREADABLE and found["Parameter"]["Value"] != value:
        look.plan.add(CHANGE, f"parameter {name}")
    return {}


def _put_alarm(look: Look) -> dict[str, Any]:
    name = look.given["AlarmName"]
    found = look.find("DescribeAlarms", AlarmNames=[name])
    there = next(iter((found or {}).get("MetricAlarms", [])), None)
    if found is not UNREADABLE and there is None:
        return look.makes(f"alarm {name}", f"alarm/{name}", {})
    wanted = {each: value for each, value in look.given.items() if each not in ("AlarmName", "Tags")}
    look.changes(f"alarm {name}", found if found is UNREADABLE else there, wanted)
    return {}


def _delete_alarms(look: Look) -> dict[str, Any]:
    for name in look.given["AlarmNames"]:
        look.plan.add(REMOVE, f"alarm {name}")
    return {}


# APIs ----------------------------------------------------------------------------------------------------------------


def _create_api(look: Look) -> dict[str, Any]:
    return look.makes(f"HTTP API {look.given['Name']}", f"api/{NEW}", {"ApiId": NEW})


def _no_items(look: Look) -> dict[str, Any] | None:
    return None if look.made(f"api/{look.given['ApiId']}") is None else {"Items": []}


def _part_of_api(part: str) -> Seen:
    """Return what keeps a line for a part of an HTTP API. The step has looked already."""

    def seen(look: Look) -> dict[str, Any]:
        if look.made(f"api/{look.given['ApiId']}") is None:
            look.plan.add(CHANGE, f"HTTP API {look.given['ApiId']}: its {part}")
        return {"IntegrationId": NEW}

    return seen


def _rest_api(look: Look) -> dict[str, Any]:
    """Keep a line for the REST API of an older stage: Chalice writes it whole at each deploy, and it follows from the code."""
    api = look.given.get("restApiId", "")
    if not look.plan.same_code:
        look.plan.add(CHANGE, f"REST API {api}: its routes are written anew")
    return {"id": api}


def _limit_of_rest_api(look: Look) -> dict[str, Any]:
    """Keep a line for the limit of a REST API. The step has looked already."""
    look.plan.add(CHANGE, f"REST API {look.given['restApiId']}: its limit of requests")
    return {}


CHANGES: Mapping[str, Seen] = {
    "dynamodb:CreateTable": _create_table,
    "dynamodb:UpdateTable": _update_table,
    "dynamodb:UpdateTimeToLive": _expiry,
    "dynamodb:UpdateContinuousBackups": _backups,
    "sqs:CreateQueue": _create_queue,
    "sqs:SetQueueAttributes": _set_queue,
    "sns:CreateTopic": _create_topic,
    "sns:SetTopicAttributes": _set_topic,
    "sns:Subscribe": _subscribe,
    "sns:SetSubscriptionAttributes": _set_subscription,
    "sns:Unsubscribe": _unsubscribe,
    "sesv2:CreateConfigurationSet": _create_configuration_set,
    "sesv2:CreateConfigurationSetEventDestination": _destination,
    "events:PutRule": _put_rule,
    "events:PutTargets": _put_targets,
    "events:RemoveTargets": _ignored,
    "events:DeleteRule": _removes("rule", "Name"),
    "iam:CreateRole": _create_role,
    "iam:PutRolePolicy": _put_role_policy,
    "iam:DeleteRolePolicy": _ignored,
    "iam:DeleteRole": _removes("role", "RoleName"),
    "lambda:CreateFunction": _create_function,
    "lambda:UpdateFunctionCode": _update_code,
    "lambda:UpdateFunctionConfiguration": _update_configuration,
    "lambda:DeleteFunction": _removes("function", "FunctionName"),
    "lambda:AddPermission": _add_permission,
    "lambda:RemovePermission": _ignored,
    "lambda:TagResource": _ignored,
    "lambda:CreateEventSourceMapping": _create_mapping,
    "lambda:UpdateEventSourceMapping": _update_mapping,
    "lambda:DeleteEventSourceMapping": _delete_mapping,
    "lambda:PutFunctionRecursionConfig": _set_of_function("GetFunctionRecursionConfig", "recursion"),
    "lambda:PutFunctionEventInvokeConfig": _set_of_function("GetFunctionEventInvokeConfig", "retries"),
    "lambda:DeleteFunctionConcurrency": _delete_concurrency,
    "logs:CreateLogGroup": _create_log_group,
    "logs:PutRetentionPolicy": _retention,
    "logs:DeleteLogGroup": _delete_log_group,
    "ssm:PutParameter": _put_parameter,
    "cloudwatch:PutMetricAlarm": _put_alarm,
    "cloudwatch:DeleteAlarms": _delete_alarms,
    "apigatewayv2:CreateApi": _create_api,
    "apigatewayv2:CreateIntegration": _part_of_api("integration"),
    "apigatewayv2:CreateRoute": _part_of_api("route"),
    "apigatewayv2:UpdateRoute": _part_of_api("route"),
    "apigatewayv2:CreateStage": _part_of_api("stage"),
    "apigatewayv2:UpdateStage": _part_of_api("limit"),
    "apigateway:UpdateRestApi": _ignored,
    "apigateway:UpdateStage": _limit_of_rest_api,
    "apigateway:PutRestApi": _rest_api,
    "apigateway:CreateDeployment": _ignored,
}
"""Every call by which a deploy changes something."""

IMAGINED: Mapping[str, Callable[[Look], dict[str, Any] | None]] = {
    "dynamodb:DescribeTable": lambda look: look.made(_table(look)),
    "dynamodb:DescribeTimeToLive": lambda look: (
        {"TimeToLiveDescription": {}} if look.made(_table(look)) is not None else None
    ),
    "dynamodb:DescribeContinuousBackups": lambda look: (
        {"ContinuousBackupsDescription": {}} if look.made(_table(look)) is not None else None
    ),
    "sqs:GetQueueUrl": _queue,
    "sqs:GetQueueAttributes": _queue,
    "sns:ListSubscriptionsByTopic": _no_subscriptions,
    "lambda:GetFunction": _get_function,
    "lambda:GetFunctionConfiguration": _made_function,
    "lambda:ListEventSourceMappings": _mappings,
    "apigatewayv2:GetIntegrations": _no_items,
    "apigatewayv2:GetRoutes": _no_items,
    "apigatewayv2:GetStages": _no_items,
}
"""What AWS would answer about what the plan has made. None where it is asked itself."""


def answer(plan: Plan, service: str, call: Call, operation: str, given: Given) -> dict[str, Any]:
    """Return what AWS answers to a call that reads, or would answer to one that changes something."""
    look = Look(plan, call, given, f"{service}:{operation}")
    if not operation.startswith(READS):
        return CHANGES.get(look.name, unknown)(look)
    imagined = IMAGINED.get(look.name)
    found = imagined(look) if imagined else None
    return call(operation, given) if found is None else found


def take_the_place_of_aws(plan: Plan, client: Any) -> None:
    """Have a client of boto3 ask the plan in place of AWS."""
    client._make_api_call = partial(answer, plan, client.meta.service_model.service_name, client._make_api_call)
