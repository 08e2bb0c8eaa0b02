"""A stage as the version before deployed it: the same names, older attributes, and Chalice's whole record in a parameter."""

import json
from typing import Any

from deploy.clients import Clients
from deploy.names import API, APP, lambda_name, tags
from deploy.policies import FUNCTIONS

REGION, ACCOUNT = "us-east-1", "000000000000"
CODE = {"ZipFile": b"PK\x05\x06" + b"\0" * 18}
RECEIVES = {"webhooks": 28, "notifications": 1000, "counts": 28, "history": 12}
SCHEDULES = {"tick": 1, "watch": 1, "record": 5, "repair": 5}
TAKES = {"process_webhooks": "webhooks", "process_counts": "counts", "deliver_notification": "notifications"}


def arn(service: str, rest: str) -> str:
    """An ARN of the embedded AWS."""
    return f"arn:aws:{service}:{REGION}:{ACCOUNT}:{rest}"


def make(aws: Clients, stage: str) -> str:
    """Make the stage; the id of its REST API."""
    _table(aws("dynamodb"), stage)
    for name, receives in RECEIVES.items():
        _queue(aws("sqs"), f"{APP}-{stage}-{name}", receives)
    entries = [entry for name in FUNCTIONS for entry in make_function(aws, name, stage)]
    topic = aws("sns").create_topic(Name=f"{APP}-{stage}-feedback")["TopicArn"]
    function = arn("lambda", f"function:{lambda_name('mail_feedback', stage)}")
    found = aws("sns").subscribe(TopicArn=topic, Protocol="lambda", Endpoint=function)["SubscriptionArn"]
    more = {"topic": f"{APP}-{stage}-feedback", "lambda_arn": function, "subscription_arn": found, "topic_arn": topic}
    entries.append({"name": "mail_feedback-sns-subscription", "resource_type": "sns_event", **more})
    api = make_api(aws, lambda_name(API, stage))
    url = f"https://{api}.execute-api.{REGION}.amazonaws.com/api/"
    entries.append({"name": "rest_api", "resource_type": "rest_api", "rest_api_id": api, "rest_api_url": url})
    kept = {"fingerprint": "f" * 64, "chalice": {"resources": entries, "schema_version": "2.0", "backend": "api"}}
    aws("ssm").put_parameter(Name=f"/{APP}-deployed/{stage}", Value=json.dumps(kept), Type="String")
    return api


def make_api(aws: Clients, function: str, *, title: str = APP, deployed: bool = True) -> str:
    """Make a REST API that calls a function, with the name that versions before gave it; its id."""
    path = f"2015-03-31/functions/{arn('lambda', f'function:{function}')}/invocations"
    uri = f"arn:aws:apigateway:{REGION}:lambda:path/{path}"
    integration = {"type": "aws_proxy", "httpMethod": "POST", "uri": uri}
    method = {"responses": {}, "x-amazon-apigateway-integration": integration}
    body = {"swagger": "2.0", "info": {"title": title, "version": "1"}, "paths": {"/health": {"get": method}}}
    gateway = aws("apigateway")
    id = str(gateway.import_rest_api(body=json.dumps(body))["id"])
    if deployed:
        gateway.create_deployment(restApiId=id, stageName="api")
    return id


def _table(dynamodb: Any, stage: str) -> None:
    keys = {"pk": "S", "sk": "S", "wake_shard": "S", "wake_at": "N"}

    def schema(hashed: str, ranged: str) -> list[dict[str, str]]:
        return [{"AttributeName": hashed, "KeyType": "HASH"}, {"AttributeName": ranged, "KeyType": "RANGE"}]

    dynamodb.create_table(
        TableName=f"{APP}-{stage}",
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": key, "AttributeType": kind} for key, kind in keys.items()],
        KeySchema=schema("pk", "sk"),
        GlobalSecondaryIndexes=[
            {
                "IndexName": "wake",
                "KeySchema": schema("wake_shard", "wake_at"),
                "Projection": {"ProjectionType": "KEYS_ONLY"},
            }
        ],
        SSESpecification={"Enabled": True},
        Tags=tags(stage),
    )
    expiry = {"Enabled": True, "AttributeName": "expires_at"}
    dynamodb.update_time_to_live(TableName=f"{APP}-{stage}", TimeToLiveSpecification=expiry)


def _queue(sqs: Any, name: str, receives: int) -> None:
    kept = {"MessageRetentionPeriod": "1209600", "SqsManagedSseEnabled": "true"}
    sqs.create_queue(QueueName=f"{name}-dead", Attributes=kept)
    redrive = f'{{"deadLetterTargetArn":"{arn("sqs", f"{name}-dead")}","maxReceiveCount":{receives}}}'
    more = {"VisibilityTimeout": "90", "ReceiveMessageWaitTimeSeconds": "20", "RedrivePolicy": redrive}
    sqs.create_queue(QueueName=name, Attributes={**kept, **more})


def make_function(aws: Clients, name: str, stage: str) -> list[dict[str, str]]:
    """Make a function with its role, its mapping or its schedule. Return Chalice's entries."""
    role_name, function = f"{APP}-{stage}-{name}", lambda_name(name, stage)
    trust = {
        "Statement": [{"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}]
    }
    role = aws("iam").create_role(RoleName=role_name, AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]
    made = aws("lambda").create_function(
        FunctionName=function,
        Role=role,
        Runtime="python3.12",
        Handler="app.app" if name == API else f"app.{name}",
        Code=CODE,
        Tags={"aws-chalice": f"version=1.34.0:stage={stage}:app={APP}", "app": APP, "stage": stage},
    )["FunctionArn"]
    entries = [
        {"name": f"{name}_role", "resource_type": "iam_role", "role_arn": role, "role_name": role_name},
        {"name": name, "resource_type": "lambda_function", "lambda_arn": made},
        {"name": f"{name}-log-group", "resource_type": "log_group", "log_group_name": f"/aws/lambda/{role_name}"},
    ]
    if name in TAKES:
        queue = arn("sqs", f"{APP}-{stage}-{TAKES[name]}")
        given = {"FunctionName": made, "EventSourceArn": queue, "FunctionResponseTypes": ["ReportBatchItemFailures"]}
        uuid = aws("lambda").create_event_source_mapping(**given)["UUID"]
        more = {"queue_arn": queue, "event_uuid": uuid, "queue": queue.rpartition(":")[2], "lambda_arn": made}
        entries.append({"name": f"{name}-sqs-event-source", "resource_type": "sqs_event", **more})
    if name in SCHEDULES:
        rule = f"{APP}-{stage}-{name}-event"
        unit = "minute" if SCHEDULES[name] == 1 else "minutes"
        aws("events").put_rule(Name=rule, ScheduleExpression=f"rate({SCHEDULES[name]} {unit})", State="DISABLED")
        aws("events").put_targets(Rule=rule, Targets=[{"Id": "1", "Arn": made}])
        entries.append({"name": f"{name}-event", "resource_type": "cloudwatch_event", "rule_name": rule})
    return entries
