"""What each function may do on AWS: .chalice/policy-<function>-<stage>.json and .chalice/config.json.

    python -m deploy.policies          write them, and those of people (deploy/people.py)
    python -m deploy.policies --check  1 when they are not what this file says

One role for each function, with the calls it makes and the names it makes them on. The account and the Region are `*`,
because Chalice's files are committed before anyone knows them; the names are whole. The partition is `aws`; a deploy to
another one writes its own (`configure`). SecureStrings of the key
`alias/aws/ssm` need no permission of their own.
https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html
"""

import argparse
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from chalicelib.aws import PARTITION, arn
from chalicelib.settings import dead_letters
from deploy import people
from deploy.names import API_STAGE, APP, STAGES, lambda_name
from deploy.table import INDEXES

FOLDER = Path(__file__).resolve().parent.parent / ".chalice"
CONFIGURATION = "TOCSIN_CHALICE_CONFIG"
"""Names the file that Chalice reads in place of .chalice/config.json."""
WITHOUT_REST_API = "TOCSIN_HTTP_API"
"""Set where the stage has an HTTP API: Chalice makes the function, and no REST API before it."""
PEOPLE = Path(__file__).resolve().parent

READ_STORE = ("dynamodb:GetItem", "dynamodb:Query", "dynamodb:BatchGetItem")
WRITE_STORE = ("dynamodb:PutItem",)
FOLD_STORE = (*READ_STORE, *WRITE_STORE, "dynamodb:UpdateItem")
"""Of the functions that fold events into incidents: a fault's item is changed in place, and so is the expiry of a body."""
PUT = ("sqs:SendMessage", "sqs:GetQueueUrl")
TAKE = (
    "sqs:ReceiveMessage",
    "sqs:DeleteMessage",
    "sqs:ChangeMessageVisibility",
    "sqs:GetQueueAttributes",
    "sqs:GetQueueUrl",
)
LOOK_AT_ALARMS = (
    "cloudwatch:DescribeAlarms",
    "cloudwatch:DescribeAlarmContributors",
    "cloudwatch:ListAlarmMuteRules",
    "cloudwatch:ListTagsForResource",
)
"""For states that CloudWatch sends no event of (histories/cloudwatch.py)."""
REDRIVE = ("sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueUrl")
ANY_SECRET = ("*",)
"""Of the stage: the rules file names secrets of probes, senders and targets as it likes."""
PATTERNS = ("REDACT_PATTERNS",)
"""All that a function reads which speaks to nobody outside."""
WORKER_SECONDS = 60
API_SECONDS = 15
RETENTION_DAYS = {"local": 1, "dev": 14, "prod": 90}
OTHER_RETENTION_DAYS = 30
"""For how long the functions of a stage of another name keep what they log."""

EMPTIED = ("webhooks", "counts", "notifications")
"""The queues that Lambda empties."""

FUNCTIONS: dict[str, dict[str, Any]] = {
    "api_handler": {
        "memory": 1024,
        "timeout": API_SECONDS,
        "store": READ_STORE + WRITE_STORE,
        "puts": ("webhooks", "notifications"),
        "redrives": (*EMPTIED, "history"),
    },
    "process_webhooks": {
        "memory": 1024,
        "timeout": WORKER_SECONDS,
        "store": FOLD_STORE,
        "takes": "webhooks",
        "secrets": PATTERNS,
        "puts": ("webhooks", "notifications", "counts", "history"),
    },
    "process_counts": {
        "memory": 1024,
        "timeout": WORKER_SECONDS,
        "store": FOLD_STORE,
        "takes": "counts",
        "secrets": PATTERNS,
        "puts": ("webhooks", "notifications"),
    },
    "deliver_notification": {
        "memory": 512,
        "timeout": WORKER_SECONDS,
        "store": READ_STORE + WRITE_STORE,
        "takes": "notifications",
        "puts": ("webhooks", "notifications", "history"),
        "mails": True,
    },
    "mail_feedback": {
        "memory": 512,
        "timeout": WORKER_SECONDS,
        "store": (),
        "secrets": (),
        "puts": ("notifications",),
        "loses": "notifications",
    },
    "tick": {
        "memory": 512,
        "timeout": WORKER_SECONDS,
        "store": FOLD_STORE,
        "secrets": PATTERNS,
        "puts": ("webhooks", "notifications"),
        "counts": (*EMPTIED, *map(dead_letters, (*EMPTIED, "history"))),
    },
    "repair": {
        "memory": 512,
        "timeout": WORKER_SECONDS,
        "store": READ_STORE + WRITE_STORE,
        "puts": ("webhooks",),
        "looks": LOOK_AT_ALARMS,
    },
    "record": {
        "memory": 512,
        "timeout": WORKER_SECONDS,
        "store": READ_STORE + WRITE_STORE,
        "drains": "history",
        "secrets": PATTERNS,
        "puts": (),
    },
    "watch": {
        "memory": 512,
        "timeout": WORKER_SECONDS,
        "store": READ_STORE + WRITE_STORE,
        "puts": ("webhooks",),
        "asks_itself": True,
    },
}
"""Memory in MB and time limit in seconds of each function; and what of the stage it uses.

Lambda hands a function the messages of the queue that it `takes`; one that it `drains` it asks itself. Of those that it
`counts` it may ask how much is in them; the dead letters of those that it `redrives` it takes, and puts back. What it
`looks` at has no ARN to narrow it by. One that `asks_itself` invokes further workers of itself. What Lambda gives
up calling it with goes to the dead letters of the queue that it `loses` to, by the function's own rights.
"""


def policy(function: str, stage: str) -> dict[str, Any]:
    """Return the policy of one function of one stage."""
    needs = FUNCTIONS[function]
    table = arn("dynamodb", f"table/{APP}-{stage}")
    store = [_allow("Store", needs["store"], [table])] if needs["store"] else []
    if "dynamodb:Query" in needs["store"]:
        store.append(_allow("Timers", ("dynamodb:Query",), [f"{table}/index/{each}" for each in INDEXES]))
    queues = [_allow("Put", PUT, [_queue(stage, name) for name in needs["puts"]])] if needs["puts"] else []
    if taken := needs.get("takes") or needs.get("drains"):
        queues += [
            _allow("Take", TAKE, [_queue(stage, taken)]),
            _allow("Park", PUT, [_queue(stage, f"{taken}-dead")]),
        ]
    if counted := needs.get("counts"):
        look = ("sqs:GetQueueAttributes", "sqs:GetQueueUrl")
        queues.append(_allow("Count", look, [_queue(stage, name) for name in counted]))
    if redriven := needs.get("redrives"):
        queues.append(_allow("Redrive", REDRIVE, [_queue(stage, dead_letters(name)) for name in redriven]))
        queues.append(_allow("PutBack", PUT, [_queue(stage, name) for name in redriven if name not in needs["puts"]]))
    if lost := needs.get("loses"):
        queues.append(_allow("Park", ("sqs:SendMessage",), [_queue(stage, f"{lost}-dead")]))
    parameters = [arn("ssm", f"parameter/{APP}/{stage}/{name}") for name in needs.get("secrets", ANY_SECRET)]
    secrets = [_allow("Secrets", ("ssm:GetParameters",), parameters)] if parameters else []
    mails = [_allow("Mail", ("ses:SendEmail",), [arn("ses", "identity/*"), arn("ses", "configuration-set/*")])]
    looks = [_allow("Look", needs["looks"], ["*"])] if needs.get("looks") else []
    itself = [
        _allow("Workers", ("lambda:InvokeFunction",), [arn("lambda", f"function:{lambda_name(function, stage)}")])
    ]
    return {
        "Version": "2012-10-17",
        "Statement": [
            *store,
            *queues,
            *secrets,
            *(mails if needs.get("mails") else []),
            *looks,
            *(itself if needs.get("asks_itself") else []),
            _logs(function, stage),
        ],
    }


def _allow(name: str, actions: tuple[str, ...], resources: list[str]) -> dict[str, Any]:
    return {"Sid": name, "Effect": "Allow", "Action": list(actions), "Resource": resources}


def _queue(stage: str, name: str) -> str:
    return arn("sqs", f"{APP}-{stage}-{name}")


def _logs(function: str, stage: str) -> dict[str, Any]:
    group = arn("logs", f"log-group:/aws/lambda/{lambda_name(function, stage)}")
    actions = ("logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents")
    return _allow("Logs", actions, [group, f"{group}:*"])


def retention_days(stage: str) -> int:
    """Return for how many days what functions log is kept."""
    return RETENTION_DAYS.get(stage, OTHER_RETENTION_DAYS)


def config(stages: Iterable[str] = STAGES) -> dict[str, Any]:
    """Return .chalice/config.json. It holds names only: secrets and settings are in the Parameter Store."""
    return {
        "version": "2.0",
        "app_name": APP,
        "api_gateway_endpoint_type": "REGIONAL",
        "api_gateway_stage": API_STAGE,
        "autogen_policy": False,
        "automatic_layer": False,
        "manage_iam_role": True,
        # Without a size Chalice sends an empty one, which the embedded AWS would store. Answers are smaller than this.
        "minimum_compression_size": 1024,
        "xray": False,
        "stages": {stage: _stage(stage) for stage in stages},
    }


def _stage(stage: str) -> dict[str, Any]:
    return {
        "environment_variables": {
            "TOCSIN_STAGE": stage,
            "TOCSIN_TABLE": f"{APP}-{stage}",
            "TOCSIN_QUEUE_PREFIX": f"{APP}-{stage}",
            "TOCSIN_PARAMETERS": f"/{APP}/{stage}/",
        },
        "log_retention_in_days": retention_days(stage),
        "tags": {"app": APP, "stage": stage},
        "lambda_functions": {
            name: {
                "iam_policy_file": file_name(name, stage),
                "lambda_memory_size": needs["memory"],
                "lambda_timeout": needs["timeout"],
            }
            for name, needs in FUNCTIONS.items()
        },
    }


def file_name(function: str, stage: str) -> str:
    """Return where the policy of a function of a stage is, inside .chalice."""
    return f"policy-{function.replace('_', '-')}-{stage}.json"


def files(stages: Sequence[str] = STAGES) -> dict[str, str]:
    """Return all files by name, as they should be."""
    found = {file_name(name, stage): _text(policy(name, stage)) for stage in stages for name in FUNCTIONS}
    return {"config.json": _text(config(stages)), **found}


def _text(content: dict[str, Any]) -> str:
    return json.dumps(content, indent=2) + "\n"


def configure(folder: Path, partition: str, tags: Mapping[str, str], stages: Sequence[str] = STAGES) -> Path:
    """Write the configuration of one run of Chalice, with its policies; return its path."""
    found, policies = config(stages), files(stages)
    for stage in found["stages"].values():
        stage["tags"].update(tags)
        for function in stage["lambda_functions"].values():
            name = function["iam_policy_file"]
            function["iam_policy_file"] = str(folder / name)
            (folder / name).write_text(in_partition(policies[name], partition), encoding="utf-8")
    path = folder / "config.json"
    path.write_text(_text(found), encoding="utf-8")
    return path


def in_partition(text: str, partition: str) -> str:
    """Return a policy for another partition: ARNs begin with it, and nothing else differs."""
    return text.replace(f'"arn:{PARTITION}:', f'"arn:{partition}:')


def for_people() -> dict[str, str]:
    """Return the policies of people by name, as they should be."""
    return {name: _text(made()) for name, made in people.FILES.items()}


def stale(folder: Path = FOLDER) -> list[str]:
    """Return the files that are missing or not as they should be."""
    return [name for name, text in files().items() if not _is(folder / name, text)]


def stale_for_people() -> list[str]:
    """Return the policies of people that are missing or not as they should be."""
    return [name for name, text in for_people().items() if not _is(PEOPLE / name, text)]


def _is(path: Path, text: str) -> bool:
    return path.is_file() and path.read_text(encoding="utf-8") == text


def main() -> int:
    """Write the files, or compare them."""
    parser = argparse.ArgumentParser(
        prog="python -m deploy.policies", description="Write what functions and people may do."
    )
    parser.add_argument("--check", action="store_true", help="only say which files are out of date")
    if parser.parse_args().check:
        found = [*(f".chalice/{name}" for name in stale()), *(f"deploy/{name}" for name in stale_for_people())]
        for name in found:
            print(f"{name} is out of date: run python -m deploy.policies", file=sys.stderr)
        return 1 if found else 0
    FOLDER.mkdir(exist_ok=True)
    for name, text in files().items():
        (FOLDER / name).write_text(text, encoding="utf-8")
    for name, text in for_people().items():
        (PEOPLE / name).write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
