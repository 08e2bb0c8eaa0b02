"""Builds what `receive` needs, once per container, from parts that load only the standard library."""

import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache, partial
from time import sleep, time

from chalicelib.aws.body_store import BodyWriter
from chalicelib.aws.json_client import AwsJsonClient
from chalicelib.aws.queue import SqsQueue
from chalicelib.aws.secrets import Secrets
from chalicelib.core.errors import NotStoredError
from chalicelib.ingest.counters import RequestCounters
from chalicelib.ingest.receive import HttpResponse, Source, receive
from chalicelib.ingest.registry import find_source
from chalicelib.settings import Settings


@dataclass(frozen=True, slots=True)
class IngestPorts:
    """The ports of the ingest path."""

    queue: SqsQueue
    bodies: BodyWriter
    secrets: Secrets
    counters: RequestCounters


@lru_cache(maxsize=1)
def ports(account: str | None) -> IngestPorts:
    """Return the ports of this stage; `account` is the AWS account, None where only AWS knows it."""
    settings = Settings.from_env(os.environ)
    client = AwsJsonClient(settings.region)
    return IngestPorts(
        queue=SqsQueue(client, settings.webhooks_queue, account=account),
        bodies=BodyWriter(client, settings.table, clock=time),
        secrets=Secrets(client, settings.parameters, pause=sleep),
        counters=RequestCounters(),
    )


def answer(
    source: str,
    headers: Mapping[str, str],
    body: bytes,
    *,
    path_secret: str | None,
    account: str | None,
    now: datetime,
    address: str = "",
    find: Callable[[str], Source] | None = None,
) -> HttpResponse:
    """Return the answer to the sender of a webhook, after it was stored. `find` gives another plug-in than the source's own."""
    stage_ports = ports(account)
    found = receive(
        source,
        headers,
        body,
        path_secret=path_secret,
        find=find or partial(find_source, now=now),
        secrets=stage_ports.secrets,
        put=lambda message: stage_ports.queue.put([message]),
        keep=stage_ports.bodies.keep,
        now=now,
        address=address,
    )
    count(stage_ports, source, found.status, now)
    return found


def count(ports: IngestPorts, source: str, status: int, now: datetime) -> None:
    """Count what came and what was refused. A count that cannot be stored is no reason to refuse anyone."""
    message = ports.counters.count(source, status, now)
    if message is not None:
        with suppress(NotStoredError):
            ports.queue.put([message])
