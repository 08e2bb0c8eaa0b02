"""The table as `make deploy` makes it, for tests on the emulator."""

import itertools
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from zlib import crc32

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from chalicelib.aws.dynamodb import DynamoStore
from chalicelib.aws.json_client import WORKER_TIMEOUT_SECONDS, AwsError, AwsJsonClient
from chalicelib.aws.table_client import TableClient, _written
from deploy.table import INDEXES, Index, table
from local.cloud import Key
from simulation.memory_store import MemoryStore
from tests.faulty_aws import FAULTS, Plan, faulty_aws

KEY = Key.random()
"""The access key of the embedded AWS that tests of a session share."""
_NUMBERS = itertools.count(1)


def client(service: str, endpoint: str) -> Any:
    """A boto3 client of the emulator, with room for many threads."""
    return boto3.client(
        service,
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id=KEY.id,
        aws_secret_access_key=KEY.secret,
        config=Config(max_pool_connections=40, retries={"mode": "standard", "total_max_attempts": 3}),
    )


def table_client(endpoint: str) -> TableClient:
    """The store's own client of the emulator."""
    keys = {"AWS_ACCESS_KEY_ID": KEY.id, "AWS_SECRET_ACCESS_KEY": KEY.secret, "AWS_ENDPOINT_URL": endpoint}
    return TableClient(AwsJsonClient("us-east-1", timeout_seconds=WORKER_TIMEOUT_SECONDS, environment=keys))


@contextmanager
def failing_table(endpoint: str, seed: str) -> Iterator[TableClient]:
    """Give the store's own client of an emulator that fails the first two sendings of each call, by every fault in turn."""
    plan = Plan(FAULTS, 2, start=crc32(seed.encode()))
    with faulty_aws(endpoint, plan) as url:
        yield table_client(url)
    assert plan.failed


STORES = ("memory", "dynamodb", "failing dynamodb")
"""The stores of the contract; the last one is reached through a wire on which the first tries of every call fail."""


@contextmanager
def empty_store(kind: str, request: Any) -> Iterator[MemoryStore | DynamoStore]:
    """Give an empty store of that kind to the test of a request."""
    if kind == "memory":
        yield MemoryStore()
        return
    endpoint = request.getfixturevalue("emulator")
    name = new_table(client("dynamodb", endpoint))
    if kind == "dynamodb":
        yield DynamoStore(table_client(endpoint), name)
        return
    with failing_table(endpoint, request.node.name) as failing:
        yield DynamoStore(failing, name)


class OverBoto:
    """A boto3 client in place of the store's own, for a table in this process: it refuses as that one does."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def __getattr__(self, name: str) -> Any:
        def call(**arguments: Any) -> Any:
            try:
                return getattr(self._client, name)(**arguments)
            except ClientError as error:
                raise refused(str(error.response["Error"]["Code"]), error.response.get("Item")) from None

        return call


def refused(code: str, item: Mapping[str, Any] | None = None, *, in_doubt: bool = False) -> AwsError:
    """The error of a table that refuses a call with this code, and gives the item that was in the way.

    `in_doubt` where the call was made before and not answered.
    """
    answer = {"Item": _written(item)} if item else {}
    return AwsError(f"dynamodb: refused with 400 {code}", code, answer, status=400, in_doubt=in_doubt)


def new_table(dynamodb: Any, indexes: Mapping[str, Index] = INDEXES) -> str:
    """An empty table as a deploy makes it; its name is its own."""
    name = f"tocsin-test-{os.getpid()}-{next(_NUMBERS)}"
    table(dynamodb, name, "local", indexes=indexes)
    return name
