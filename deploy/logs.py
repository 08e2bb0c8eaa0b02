"""How long CloudWatch keeps what functions log: Chalice sets that on another group than the one of the REST API.

Chalice calls that group `/aws/lambda/tocsin-<stage>-api_handler`. The function is `tocsin-<stage>`, and Lambda logs to the
group of that name, which would keep everything for ever.
"""

from collections.abc import Iterable
from typing import Any

from deploy.names import APP, lambda_name, tags_by_name
from deploy.policies import FUNCTIONS, retention_days

PREFIX = "/aws/lambda/"


def log_groups(stage: str) -> list[str]:
    """Return the log groups of a stage's functions."""
    return [f"{PREFIX}{lambda_name(function, stage)}" for function in FUNCTIONS]


def kept_days(logs: Any, stage: str) -> dict[str, int | None]:
    """Return the log groups whose names begin as the stage's do, each with the days it keeps a line; None is for ever."""
    pages = logs.get_paginator("describe_log_groups").paginate(logGroupNamePrefix=f"{PREFIX}{APP}-{stage}")
    return {each["logGroupName"]: each.get("retentionInDays") for page in pages for each in page["logGroups"]}


def retain(logs: Any, stage: str) -> None:
    """Set how long each function's group keeps a line, make the groups that are missing, delete Chalice's empty one."""
    days, there = retention_days(stage), kept_days(logs, stage)
    for group in log_groups(stage):
        if group not in there:
            _make(logs, group, stage)
        if there.get(group) != days:
            logs.put_retention_policy(logGroupName=group, retentionInDays=days)
    _drop_empty(logs, {f"{PREFIX}{APP}-{stage}-api_handler"} & there.keys())


def _make(logs: Any, group: str, stage: str) -> None:
    try:
        logs.create_log_group(logGroupName=group, tags=tags_by_name(stage))
    except logs.exceptions.ResourceAlreadyExistsException:
        return  # Lambda made it at its first call, a moment ago


def _drop_empty(logs: Any, groups: Iterable[str]) -> None:
    for group in groups:
        if not logs.describe_log_streams(logGroupName=group, limit=1)["logStreams"]:
            logs.delete_log_group(logGroupName=group)
