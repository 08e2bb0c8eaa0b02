"""boto3 clients with our time limits. Importing this costs more than the whole ingest path: workers only.

The boto3 is that of Lambda's runtime, which AWS changes without a deploy. A worker that loads it logs which one it is.
"""

from typing import Any

import boto3
from botocore.config import Config

from chalicelib import log

NEEDED = "1.34.56"
"""The first boto3 whose SendEmail of SES takes headers, by which mails of one incident are one thread."""
CONNECT_SECONDS = 3.0
READ_SECONDS = 10.0
READ_SECONDS_BY_SERVICE = {"dynamodb": 5.0, "lambda": 51.0}
"""The table answers within milliseconds. Three tries that it does not answer leave a worker time to hand its messages back.

A further worker of the probes takes 50 seconds at most, and who waits for it has to end within 60.
"""
ATTEMPTS = 3
ATTEMPTS_BY_SERVICE = {"sesv2": 1, "ses": 1, "lambda": 1}
"""A mail whose answer was lost may have been sent: only the worker, which knows of doubt, may try again. So with a run of probes."""


def client(service: str, region: str) -> Any:
    """Return a client of that service; AWS_ENDPOINT_URL is honoured by boto3 itself. boto3's version is logged."""
    log.line("start", boto3=boto3.__version__, service=service)
    config = Config(
        connect_timeout=CONNECT_SECONDS,
        read_timeout=READ_SECONDS_BY_SERVICE.get(service, READ_SECONDS),
        retries={"mode": "standard", "total_max_attempts": ATTEMPTS_BY_SERVICE.get(service, ATTEMPTS)},
    )
    return boto3.client(service, region_name=region, config=config)
