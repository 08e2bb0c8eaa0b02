"""What people may do on AWS: who deploys, and who operates a stage. `python -m deploy.policies` writes the files.

    deploy/deployer-policy.json   `tocsin deploy`, first and again, with --plan, upgrades and rollbacks
    deploy/operator-policy.json   `tocsin doctor`, `redrive`, `send-test`, and the commands that ask the API
    deploy/destroyer-policy.json  `tocsin destroy`, which nobody needs from day to day

Every action is one that these commands call, or that AWS asks for beside it; tests/deploy/test_people.py compares them.
Names are those of all stages: who wants less replaces `tocsin-*` by `tocsin-dev*`. What has the resource `*` takes no
other: https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html
"""

from typing import Any

from chalicelib.aws import arn, service_principal
from deploy.lock import KEY as LOCK_KEY
from deploy.names import APP

OWN = f"{APP}-*"
"""The names of all that any stage owns."""
SETTINGS = [arn("ssm", f"parameter/{APP}/*"), arn("ssm", f"parameter/{OWN}")]
"""Secrets and settings of the stages, and what a deploy must remember."""
LOG_GROUPS = [arn("logs", f"log-group:/aws/lambda/{OWN}"), arn("logs", f"log-group:/aws/lambda/{OWN}:*")]
GATEWAYS = [arn("apigateway", path, account="") for path in ("/apis", "/apis/*", "/restapis", "/restapis/*")]


def deployer() -> dict[str, Any]:
    """Return the policy of who deploys."""
    roles = [arn("iam", f"role/{OWN}", region="")]
    functions = [arn("lambda", f"function:{OWN}")]
    table = [arn("dynamodb", f"table/{OWN}")]
    return _policy(
        _allow("Table", "dynamodb", TABLE, table),
        _lock(table),
        _allow("Queues", "sqs", QUEUES, [arn("sqs", OWN)]),
        _allow("Topics", "sns", TOPICS, [arn("sns", OWN)]),
        _allow("Mail", "ses", MAIL, [arn("ses", f"configuration-set/{OWN}")]),
        _allow("Settings", "ssm", "GetParameter GetParametersByPath PutParameter", SETTINGS),
        _allow("Functions", "lambda", FUNCTIONS, functions),
        _where(_allow("Mappings", "lambda", MAPPINGS, ["*"]), "ArnLike", "lambda:FunctionArn", functions[0]),
        _allow("Roles", "iam", ROLES, roles),
        _where(
            _allow("Pass", "iam", "PassRole", roles), "StringEquals", "iam:PassedToService", service_principal("lambda")
        ),
        _allow("Schedules", "events", SCHEDULES, [arn("events", f"rule/{OWN}")]),
        _allow("Api", "apigateway", "GET POST PUT PATCH", GATEWAYS),
        _allow("ApiTags", "apigateway", "POST PUT", [arn("apigateway", "/tags/*", account="")]),
        _allow("Logs", "logs", LOGS, LOG_GROUPS),
        _allow("Alarms", "cloudwatch", "PutMetricAlarm DeleteAlarms TagResource", [arn("cloudwatch", f"alarm:{OWN}")]),
        _everywhere(
            "cloudwatch:DescribeAlarms",
            "events:ListRuleNamesByTarget",
            "events:ListRules",
            "lambda:GetAccountSettings",
            "lambda:ListEventSourceMappings",
            "lambda:ListFunctions",
            "logs:DescribeLogGroups",
            "sns:GetSubscriptionAttributes",
            "sns:ListSubscriptions",
            "sns:SetSubscriptionAttributes",
            "sns:Unsubscribe",
        ),
    )


def operator() -> dict[str, Any]:
    """Return the policy of who looks after a stage: it reads, and puts messages on queues."""
    table = arn("dynamodb", f"table/{OWN}")
    return _policy(
        _allow("Table", "dynamodb", "DescribeTable DescribeTimeToLive GetItem", [table]),
        _allow("Queues", "sqs", "GetQueueUrl GetQueueAttributes SendMessage", [arn("sqs", OWN)]),
        _allow(
            "DeadLetters", "sqs", "ReceiveMessage DeleteMessage ChangeMessageVisibility", [arn("sqs", f"{OWN}-dead")]
        ),
        _allow("Settings", "ssm", "GetParameters", SETTINGS),
        _allow("Functions", "lambda", "GetFunctionConfiguration", [arn("lambda", f"function:{OWN}")]),
        _allow("Logs", "logs", "FilterLogEvents", LOG_GROUPS),
        _allow("Rules", "events", "ListTargetsByRule", [arn("events", f"rule/{OWN}")]),
        _allow("Topics", "sns", "GetTopicAttributes ListSubscriptionsByTopic", [arn("sns", OWN)]),
        _allow(
            "Mail",
            "ses",
            "GetEmailIdentity GetConfigurationSetEventDestinations",
            [arn("ses", "identity/*"), arn("ses", "configuration-set/*")],
        ),
        _everywhere(
            "cloudwatch:DescribeAlarms",
            "events:ListRules",
            "lambda:GetAccountSettings",
            "lambda:ListEventSourceMappings",
            "logs:DescribeLogGroups",
            "ses:GetAccount",
            "ses:GetSuppressedDestination",
        ),
    )


def destroyer() -> dict[str, Any]:
    """Return the policy of who takes a stage down: it reads and deletes, and makes nothing but the lock."""
    table = [arn("dynamodb", f"table/{OWN}")]
    functions = arn("lambda", f"function:{OWN}")
    mappings = _allow("Mappings", "lambda", "DeleteEventSourceMapping", ["*"])
    return _policy(
        _allow("Table", "dynamodb", "DescribeTable DeleteTable", table),
        _lock(table),
        _allow("Queues", "sqs", "GetQueueUrl GetQueueAttributes DeleteQueue", [arn("sqs", OWN)]),
        _allow("Topics", "sns", "ListSubscriptionsByTopic DeleteTopic", [arn("sns", OWN)]),
        _allow("Mail", "ses", "GetConfigurationSet DeleteConfigurationSet", [arn("ses", f"configuration-set/{OWN}")]),
        _allow("Settings", "ssm", "GetParameter GetParametersByPath DeleteParameter", SETTINGS),
        _allow("Functions", "lambda", "DeleteFunction ListTags", [functions]),
        _where(mappings, "ArnLike", "lambda:FunctionArn", functions),
        _allow("Roles", "iam", "ListRolePolicies DeleteRolePolicy DeleteRole", [arn("iam", f"role/{OWN}", region="")]),
        _allow("Rules", "events", "ListTargetsByRule RemoveTargets DeleteRule", [arn("events", f"rule/{OWN}")]),
        _allow("Api", "apigateway", "GET DELETE", GATEWAYS),
        _allow("Logs", "logs", "DeleteLogGroup", LOG_GROUPS),
        _allow("Alarms", "cloudwatch", "DeleteAlarms", [arn("cloudwatch", f"alarm:{OWN}")]),
        _everywhere(
            "cloudwatch:DescribeAlarms",
            "events:ListRules",
            "lambda:ListEventSourceMappings",
            "lambda:ListFunctions",
            "sns:Unsubscribe",
        ),
    )


FILES = {"deployer-policy.json": deployer, "operator-policy.json": operator, "destroyer-policy.json": destroyer}

TABLE = (
    "CreateTable DescribeTable UpdateTable DescribeTimeToLive UpdateTimeToLive DescribeContinuousBackups "
    "UpdateContinuousBackups TagResource"
)
QUEUES = "CreateQueue GetQueueUrl GetQueueAttributes SetQueueAttributes TagQueue"
TOPICS = "CreateTopic GetTopicAttributes SetTopicAttributes Subscribe ListSubscriptionsByTopic TagResource"
MAIL = (
    "CreateConfigurationSet CreateConfigurationSetEventDestination UpdateConfigurationSetEventDestination TagResource "
    "GetConfigurationSet GetConfigurationSetEventDestinations"
)
FUNCTIONS = (
    "CreateFunction GetFunction GetFunctionConfiguration UpdateFunctionCode UpdateFunctionConfiguration DeleteFunction "
    "PutFunctionConcurrency DeleteFunctionConcurrency PutFunctionEventInvokeConfig PutFunctionRecursionConfig "
    "ListTags TagResource GetPolicy AddPermission RemovePermission GetFunctionEventInvokeConfig "
    "GetFunctionRecursionConfig"
)
MAPPINGS = "CreateEventSourceMapping GetEventSourceMapping UpdateEventSourceMapping DeleteEventSourceMapping"
SCHEDULES = "PutRule PutTargets RemoveTargets DeleteRule ListTargetsByRule TagResource"
LOGS = "CreateLogGroup PutRetentionPolicy DeleteRetentionPolicy DescribeLogStreams DeleteLogGroup TagResource"
ROLES = "CreateRole GetRole GetRolePolicy PutRolePolicy ListRolePolicies DeleteRolePolicy DeleteRole"


def _policy(*statements: dict[str, Any]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def _allow(name: str, service: str, actions: str, resources: list[str]) -> dict[str, Any]:
    listed = [f"{service}:{action}" for action in actions.split()]
    return {"Sid": name, "Effect": "Allow", "Action": listed, "Resource": resources}


def _lock(table: list[str]) -> dict[str, Any]:
    """Allow to write the lock of a deploy, and nothing else of the table."""
    writes = _allow("Lock", "dynamodb", "PutItem DeleteItem", table)
    return _where(writes, "ForAllValues:StringEquals", "dynamodb:LeadingKeys", LOCK_KEY["pk"]["S"])


def _everywhere(*actions: str) -> dict[str, Any]:
    return {"Sid": "WithoutNames", "Effect": "Allow", "Action": list(actions), "Resource": ["*"]}


def _where(statement: dict[str, Any], operator: str, key: str, value: str) -> dict[str, Any]:
    return {**statement, "Condition": {operator: {key: value}}}
