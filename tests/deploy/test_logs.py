"""Log groups: each function's keeps its lines for the days of the stage, and Chalice's empty one is gone."""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from deploy import logs
from local.cloud import Cloud
from tests.project import clients

STRAY = "/aws/lambda/tocsin-dev-api_handler"
DOOR = "/aws/lambda/tocsin-dev"


@pytest.fixture
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """CloudWatch Logs of an embedded AWS."""
    with Cloud(tmp_path_factory.mktemp("cloud"), persist=False) as cloud:
        yield clients(cloud)("logs")


def test_each_group_keeps_its_lines_for_the_days_of_the_stage(client: Any) -> None:
    """Given groups as Chalice and Lambda leave them → those of the functions expire, and no other is touched."""
    for group in (STRAY, DOOR, "/aws/lambda/tocsin-dev-other", "/aws/lambda/tocsin-prod", "/aws/lambda/tocsin-devices"):
        client.create_log_group(logGroupName=group)
    client.put_retention_policy(logGroupName=STRAY, retentionInDays=14)
    logs.retain(client, "dev")
    assert logs.kept_days(client, "dev") == {
        **dict.fromkeys(logs.log_groups("dev"), 14),
        "/aws/lambda/tocsin-dev-other": None,
        "/aws/lambda/tocsin-devices": None,
    }
    assert logs.kept_days(client, "prod") == {"/aws/lambda/tocsin-prod": None}
    assert DOOR in logs.log_groups("dev")
    assert STRAY not in logs.log_groups("dev")


def test_a_group_with_lines_is_never_deleted(client: Any) -> None:
    """Given Chalice's group with a stream in it → it stays."""
    client.create_log_group(logGroupName=STRAY)
    client.create_log_stream(logGroupName=STRAY, logStreamName="somebody's")
    logs.retain(client, "dev")
    assert STRAY in logs.kept_days(client, "dev")


def test_a_group_that_is_made_meanwhile_is_kept() -> None:
    """Given a function whose first call makes its group during the deploy → the group gets its days all the same."""

    class Logs:
        exceptions = SimpleNamespace(ResourceAlreadyExistsException=KeyError)

        def __init__(self) -> None:
            self.kept: list[str] = []

        def get_paginator(self, name: str) -> Any:
            return SimpleNamespace(paginate=lambda logGroupNamePrefix: [{"logGroups": []}])

        def create_log_group(self, logGroupName: str, tags: object) -> None:
            raise KeyError(logGroupName)

        def put_retention_policy(self, logGroupName: str, retentionInDays: int) -> None:
            self.kept.append(logGroupName)

    client = Logs()
    logs.retain(client, "dev")
    assert client.kept == logs.log_groups("dev")
