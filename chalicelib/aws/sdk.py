"""boto3 clients with our time limits. Importing this costs more than the whole ingest path: workers only."""

from typing import Any

import boto3
from botocore.config import Config

CONNECT_SECONDS = 3.0
READ_SECONDS = 10.0
READ_SECONDS_BY_SERVICE = {"dynamodb": 5.0}
"""The table answers within milliseconds. Three tries that it does not answer leave a worker time to hand its messages back."""
ATTEMPTS = 3
ATTEMPTS_BY_SERVICE = {"sesv2": 1, "ses": 1}
"""A mail whose answer was lost may have been sent: only the worker, which knows of doubt, may try again."""


def client(service: str, region: str) -> Any:
    """A client of that service; AWS_ENDPOINT_URL is honoured by boto3 itself."""
    config = Config(
        connect_timeout=CONNECT_SECONDS,
        read_timeout=READ_SECONDS_BY_SERVICE.get(service, READ_SECONDS),
        retries={"mode": "standard", "total_max_attempts": ATTEMPTS_BY_SERVICE.get(service, ATTEMPTS)},
    )
    return boto3.client(service, region_name=region, config=config)
