"""The table as `make deploy` makes it, for tests on the emulator."""

import itertools
import os
from typing import Any

import boto3
from botocore.config import Config

from local.cloud import Key

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


def new_table(dynamodb: Any) -> str:
    """An empty table with the index `wake`; its name is its own."""
    name = f"tocsin-test-{os.getpid()}-{next(_NUMBERS)}"
    dynamodb.create_table(
        TableName=name,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[
            {"AttributeName": "pk", "AttributeType": "S"},
            {"AttributeName": "sk", "AttributeType": "S"},
            {"AttributeName": "wake_shard", "AttributeType": "S"},
            {"AttributeName": "wake_at", "AttributeType": "N"},
        ],
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
        GlobalSecondaryIndexes=[
            {
                "IndexName": "wake",
                "KeySchema": [
                    {"AttributeName": "wake_shard", "KeyType": "HASH"},
                    {"AttributeName": "wake_at", "KeyType": "RANGE"},
                ],
                "Projection": {"ProjectionType": "KEYS_ONLY"},
            }
        ],
    )
    return name
