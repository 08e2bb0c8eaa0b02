"""What differs from plain ministack 1.5.33, each with its reason. None of it makes Tocsin quicker.

What a real `chalice deploy` needs:

- ImportRestApi and PutRestApi read their Swagger body; without that a REST API of Chalice comes up empty.
- A patch that sets minimumCompressionSize to nothing is left out: it would make every later GetRestApis unreadable.
- What SNS hands to a function has the key MessageAttributes also when there are none, as on AWS: Chalice reads it.

What AWS does and ministack does not:

- With IAM enforced, ssm:GetParameters is checked against the parameter it names (the first one), ssm:GetParametersByPath
  against its path, lambda:CreateFunction against the function, TagResource against what is tagged, not against `*`; and what is about a rule of EventBridge
  against that rule without the name of the default bus.
- With IAM enforced, a batch call of SQS needs the right of the plain call, as on AWS, which has no right for batches.
- A change of an alarm's state has the body that AWS sends to a topic, and goes to the default bus as well.
- An alarm sees the values of its own dimensions only.
- PutRestApi names the REST API as its Swagger body does, as on AWS.
- With IAM enforced, each call of Lambda needs the right that AWS names for it, `lambda:FunctionArn` is known for mappings, and
  `dynamodb:LeadingKeys` for items.
- A second event source mapping of the same queue and function is refused, and a new one is `Creating` at first, when it
  cannot be changed: a deploy must find what is there, and must wait.

What this machine needs:

- A key that is made for a user of IAM is known to the guard.
- With IAM_LOG every right that is asked for is written to that file, so that tests compare policies with what is called.
- Functions get the key of this run, or with IAM enforced a key of their role that nobody can guess.
- A package is unpacked once, and all processes that run it share the files: each for itself would take seconds and disk.
"""

import hashlib
import json
import os
import secrets
import threading
import zipfile
from collections.abc import Mapping
from contextvars import ContextVar
from datetime import UTC, datetime
from pathlib import Path
from types import FunctionType, SimpleNamespace
from typing import Any

from ministack import app
from ministack.core import iam_actions, iam_evaluator, lambda_runtime
from ministack.core.responses import get_account_id, get_region
from ministack.services import apigateway_v1, cloudwatch, eventbridge, iam, lambda_svc, sns, sts

from chalicelib.aws import arn

CREATING_SECONDS = 0.5
COMPRESSION = "/minimumCompressionSize"


Answer = tuple[int, dict[str, str], bytes]


def patch(keys: set[str]) -> None:
    """Change ministack in this process. `keys` are the access keys that are known; those of functions are added."""
    lambda_runtime.execution_credentials = with_keys(lambda_runtime.execution_credentials, keys)
    lambda_svc.execution_credentials = lambda_runtime.execution_credentials
    apigateway_v1.handle_request = with_bodies(apigateway_v1.handle_request)
    iam_actions.extract_resource_arn = with_names(iam_actions.extract_resource_arn)
    iam_actions.extract_iam_action = with_batches(with_lambda(iam_actions.extract_iam_action))
    iam_actions.dynamodb_service_context = with_leading_keys(iam_actions.dynamodb_service_context)
    iam_evaluator.enforce = with_mappings(iam_evaluator.enforce)
    if log := os.environ.get("IAM_LOG"):
        iam_evaluator.enforce = with_log(iam_evaluator.enforce, Path(log))
    iam._gen_access_key_id = with_known(iam._gen_access_key_id, keys)
    lambda_runtime.zipfile = SimpleNamespace(**{**vars(zipfile), "ZipFile": SharedZip})
    sns._deliver_to_lambda = with_attributes(sns._deliver_to_lambda)
    lambda_svc._create_esm = with_one_mapping(lambda_svc._create_esm)
    lambda_svc._update_esm = with_settled_mapping(lambda_svc._update_esm)
    cloudwatch._dispatch_alarm_actions = with_bus(cloudwatch._dispatch_alarm_actions)
    cloudwatch._evaluate_alarm = with_dimensions(cloudwatch._evaluate_alarm)


def with_bus(plain: Any) -> Any:
    """Send the topics of an alarm what AWS sends them, and the default bus of every change of state."""

    def dispatch(alarm: dict[str, Any], before: str, state: str, reason: str) -> None:
        at = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "+0000")
        name, place = alarm.get("AlarmName", ""), {"region": get_region(), "account": get_account_id()}
        alarm_arn = arn("cloudwatch", f"alarm:{name}", **place)
        fanout = sns._fanout

        def as_aws(topic: str, id: str, message: str, subject: str) -> Any:
            if f'"AlarmName": {json.dumps(name)}' not in message:  # somebody else publishes meanwhile
                return fanout(topic, id, message, subject)
            sent = {**json.loads(message), "AlarmArn": alarm_arn, "StateChangeTime": at}
            pairs = sent["Trigger"].get("Dimensions") or []
            sent["Trigger"]["Dimensions"] = [{key.lower(): each for key, each in pair.items()} for pair in pairs]
            return fanout(topic, id, json.dumps(sent), subject)

        sns._fanout = as_aws
        try:
            plain(alarm, before, state, reason)
        finally:
            sns._fanout = fanout
        detail = {
            "alarmName": name,
            "state": {"value": state, "reason": reason, "timestamp": at},
            "previousState": {"value": before},
            "configuration": {"description": alarm.get("AlarmDescription", ""), "metrics": [_watched(alarm)]},
        }
        entry = {
            "Source": "aws.cloudwatch",
            "DetailType": "CloudWatch Alarm State Change",
            "Resources": [alarm_arn],
            "Detail": json.dumps(detail),
        }
        eventbridge._put_events({"Entries": [entry]}, allow_aws_source=True)

    return dispatch


def _watched(alarm: dict[str, Any]) -> dict[str, Any]:
    """Return the metric of an alarm as EventBridge writes it."""
    metric = {
        "namespace": alarm.get("Namespace", ""),
        "name": alarm.get("MetricName", ""),
        "dimensions": {each["Name"]: each["Value"] for each in alarm.get("Dimensions") or []},
    }
    stat = {"metric": metric, "period": alarm.get("Period", 60), "stat": alarm.get("Statistic", "")}
    return {"id": "m1", "metricStat": stat, "returnData": True}


def with_keys(plain: Any, keys: set[str]) -> Any:
    """Return the source of functions' credentials, with keys that cannot be guessed; new ones are added to `keys`."""
    issued: dict[str, str] = {}
    issuing = threading.Lock()

    def credentials(config: Any) -> dict[str, str]:
        with issuing:
            found: dict[str, str] = plain(config)
            if not app.AUTH:
                return {**found, "AWS_ACCESS_KEY_ID": os.environ["AWS_ACCESS_KEY_ID"]}
            known = found["AWS_ACCESS_KEY_ID"]
            own = issued.setdefault(known, f"ASIA{secrets.token_hex(20).upper()}")
            sts.register_session(own, sts._sessions.pop(known))
            keys.add(own)
            return {**found, "AWS_ACCESS_KEY_ID": own}

    return credentials


def with_bodies(plain: Any) -> Any:
    """Wrap API Gateway's control plane, with the requests that it does not understand by itself."""

    async def handle(method: str, path: str, headers: Any, body: bytes, query: Any) -> Answer:
        parts = [part for part in path.split("/") if part]
        content = _json(body)
        if parts == ["restapis"] and method == "POST" and "paths" in content:
            api_id = apigateway_v1._import_rest_api(content, {"endpointConfiguration": _endpoint(query)})
            found: Answer = apigateway_v1._get_rest_api(api_id)
            return 201, found[1], found[2]
        if parts[:1] == ["restapis"] and len(parts) == 2 and "paths" in content and method == "PUT":
            return _put(parts[1], content)
        if parts[:1] == ["restapis"] and len(parts) == 2 and method == "PATCH":
            body = _without_empty_compression(content)
        answer: Answer = await plain(method, path, headers, body, query)
        return answer

    return handle


def _put(api_id: str, spec: dict[str, Any]) -> Answer:
    if api_id in apigateway_v1._rest_apis:
        apigateway_v1._rest_apis[api_id]["name"] = spec.get("info", {}).get("title", "")
        resources = apigateway_v1._resources[api_id]
        for resource_id in [key for key, each in resources.items() if each.get("path") != "/"]:
            resources.pop(resource_id)
        for root in resources.values():
            root["resourceMethods"] = {}
        schemes = apigateway_v1._import_security_schemes(api_id, spec)
        for path, item in spec["paths"].items():
            apigateway_v1._import_path_item(api_id, path, item, schemes, spec.get("security"))
    answer: Answer = apigateway_v1._get_rest_api(api_id)
    return answer


def _endpoint(query: Any) -> dict[str, list[str]]:
    """Return the kind of endpoint, given as `parameters` in the query: endpointConfigurationTypes=REGIONAL."""
    found = query.get("endpointConfigurationTypes", "REGIONAL")
    return {"types": [found if isinstance(found, str) else found[0]]}


def _without_empty_compression(content: dict[str, Any]) -> bytes:
    operations = content.get("patchOperations") or []
    kept = [each for each in operations if each.get("path") != COMPRESSION or each.get("value")]
    return json.dumps({**content, "patchOperations": kept}).encode()


def with_names(plain: Any) -> Any:
    """Return the resource that a request is checked against, as AWS names it."""

    def resource(service: str, method: str, path: str, headers: Any, body: bytes, query: Any, *rest: Any) -> str:
        found: str = plain(service, method, path, headers, body, query, *rest)
        if found == "*" and (tagged := _tagged({**query, **_json(body)})):
            return tagged
        if found == "*" and (alarms := _json(body).get("AlarmNames")) and "DeleteAlarms" in _target(headers):
            return arn("cloudwatch", f"alarm:{alarms[0]}", region=get_region(), account=get_account_id())
        name = _name(service, found, _json(body))
        return arn(service, name, region=get_region(), account=get_account_id()) if name else found

    return resource


def _target(headers: Mapping[str, str]) -> str:
    """Return the call that a request names in its header."""
    return next((each for name, each in headers.items() if name.lower() == "x-amz-target"), "")


def _tagged(asked: dict[str, Any]) -> str:
    """Return the resource that tags are put on."""
    found = asked.get("ResourceArn") or asked.get("ResourceARN") or ""
    return str(found[0] if isinstance(found, list) else found)


def _name(service: str, found: str, asked: dict[str, Any]) -> str:
    """Return the end of the ARN where AWS names another one than ministack, or nothing."""
    if service == "events":
        rule = asked.get("Name") or asked.get("Rule")
        return f"rule/{rule}" if rule else ""
    if found != "*":
        return ""
    if service == "lambda":
        function = asked.get("FunctionName") if "Runtime" in asked else ""
        return f"function:{function}" if function else ""
    named = (asked.get("Names") or [asked.get("Path")])[0] if service == "ssm" else ""
    return f"parameter/{str(named).lstrip('/')}" if named else ""


def with_batches(plain: Any) -> Any:
    """Return the right that a request needs, also for several messages at once."""

    def action(*arguments: Any, **more: Any) -> str | None:
        found: str | None = plain(*arguments, **more)
        return found.removesuffix("Batch") if found and found.startswith("sqs:") else found

    return action


_mapped: ContextVar[str] = ContextVar("mapped", default="")
"""The function of the event source mapping that a request is about, as an ARN."""


def with_lambda(plain: Any) -> Any:
    """Return the right that a request needs, also of every request to Lambda."""
    iam_actions._BOTOCORE_SERVICE_MAP["lambda"] = ["lambda"]

    def action(service: str, method: str, path: str, headers: Any, body: bytes, query: Any) -> str | None:
        if service != "lambda":
            found: str | None = plain(service, method, path, headers, body, query)
            return found
        _mapped.set(_mapped_function(path, body))
        name = iam_actions._match_rest_action(service, method, path, query)
        return f"lambda:{'InvokeFunction' if name == 'Invoke' else name}" if name else None

    return action


def _mapped_function(path: str, body: bytes) -> str:
    parts = [part for part in path.split("/") if part]
    if parts[1:2] != ["event-source-mappings"]:
        return ""
    name = str(lambda_svc._esms.get(parts[2], {}).get("FunctionArn") if parts[2:] else _json(body).get("FunctionName"))
    place = {"region": get_region(), "account": get_account_id()}
    return name if name.startswith("arn:") else arn("lambda", f"function:{name}", **place)


def with_mappings(plain: Any) -> Any:
    """Return the check of a right, with the function of a mapping as the condition key that AWS has for it."""

    def enforce(key: str, action: str, *rest: Any, service_context: Any = None, **more: Any) -> Any:
        known = {"lambda:FunctionArn": _mapped.get()} if "EventSourceMapping" in action and _mapped.get() else {}
        return plain(key, action, *rest, service_context={**(service_context or {}), **known}, **more)

    return enforce


def with_leading_keys(plain: Any) -> Any:
    """Return the condition keys of a request to DynamoDB, with the partition key of the item that it is about."""

    def context(body: bytes) -> dict[str, Any]:
        asked = _json(body)
        key = (asked.get("Item") or asked.get("Key") or {}).get("pk", {}).get("S")
        return {**plain(body), **({"dynamodb:LeadingKeys": [key]} if key else {})}

    return context


def with_log(plain: Any, log: Path) -> Any:
    """Return the check of a right, written down with what came of it."""

    def enforce(key: str, action: str, *rest: Any, resource_arn: str = "*", **more: Any) -> Any:
        refused = plain(key, action, *rest, resource_arn=resource_arn, **more)
        line = {"key": key, "action": action, "resource": resource_arn, "allowed": refused is None}
        with log.open("a", encoding="utf-8") as lines:
            lines.write(json.dumps(line) + "\n")
        return refused

    return enforce


def with_known(plain: Any, keys: set[str]) -> Any:
    """Return the source of access keys of users; each is added to `keys`."""

    def make() -> str:
        found: str = plain()
        keys.add(found)
        return found

    return make


def with_attributes(plain: Any) -> Any:
    """Return the hand-over of a topic's message to a function."""

    def deliver(endpoint: str, envelope: str, *rest: Any) -> None:
        plain(endpoint, json.dumps({"MessageAttributes": {}, **json.loads(envelope)}), *rest)

    return deliver


def with_one_mapping(plain: Any) -> Any:
    """Return what makes an event source mapping: once for each queue and function, and it is ready a moment later.

    https://docs.aws.amazon.com/lambda/latest/api/API_CreateEventSourceMapping.html (ResourceConflictException)
    """

    def create(data: dict[str, Any]) -> Any:
        function = str(data.get("FunctionName", "")).rpartition(":")[2]
        for each in lambda_svc._esms.values():
            if each["EventSourceArn"] == data.get("EventSourceArn") and each["FunctionName"] == function:
                text = f"The event source arn and function already have a mapping with UUID {each['UUID']}"
                return lambda_svc.error_response_json("ResourceConflictException", text, 409)
        answer = plain(data)
        for each in lambda_svc._esms.values():
            if each["EventSourceArn"] == data.get("EventSourceArn") and each["FunctionName"] == function:
                ready, each["State"] = each["State"], "Creating"
                threading.Timer(CREATING_SECONDS, each.update, [{"State": ready}]).start()
        return answer

    return create


def with_settled_mapping(plain: Any) -> Any:
    """Return what changes an event source mapping: not while it is being made."""

    def update(id: str, data: dict[str, Any]) -> Any:
        if lambda_svc._esms.get(id, {}).get("State") == "Creating":
            text = "Cannot update the event source mapping because it is in use."
            return lambda_svc.error_response_json("ResourceInUseException", text, 400)
        return plain(id, data)

    return update


def with_dimensions(plain: Any) -> Any:
    """Return the evaluation of an alarm, which sees the metrics with exactly its dimensions."""

    def evaluate(alarm: Any) -> None:
        wanted = cloudwatch._dims_key(cloudwatch._dims_from_list(alarm.get("Dimensions") or []))
        seen = {key: points for key, points in cloudwatch._metrics.items() if key[2] == wanted}
        FunctionType(plain.__code__, {**plain.__globals__, "_metrics": seen})(alarm)

    return evaluate


class SharedZip(zipfile.ZipFile):
    """A package; what is unpacked to a folder `code` is a link to files that stay as long as the emulator runs."""

    unpacking = threading.Lock()

    def extractall(self, path: Any = None, members: Any = None, pwd: bytes | None = None) -> None:
        """Unpack it, unless this very package has been unpacked before."""
        folder = Path(path)
        if folder.name != "code":
            return super().extractall(path, members, pwd)
        digest = hashlib.sha256(Path(str(self.filename)).read_bytes()).hexdigest()
        shared = folder.parent.parent / f"code-{digest[:16]}"
        with self.unpacking:
            if not shared.exists():
                partial = shared.with_suffix(".unpacking")
                super().extractall(partial, members, pwd)
                partial.rename(shared)
        folder.rmdir()
        folder.symlink_to(shared)
        return None


def _json(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body) if body else {}
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
