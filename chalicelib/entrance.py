"""Builds what `receive` needs, once per container, from parts that load only the standard library."""

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache, partial

from chalicelib.aws.bodies import BodyWriter
from chalicelib.aws.lean import Lean
from chalicelib.aws.queue import SqsQueue
from chalicelib.aws.secrets import Secrets
from chalicelib.receive import Answer, receive
from chalicelib.senders import find_source
from chalicelib.settings import Settings


@dataclass(frozen=True, slots=True)
class Door:
    """The ports of the ingest path."""

    queue: SqsQueue
    bodies: BodyWriter
    secrets: Secrets


@lru_cache(maxsize=1)
def door(account: str | None) -> Door:
    """The ports of this stage; `account` is the AWS account, None where only AWS can tell it."""
    settings = Settings.from_env(os.environ)
    lean = Lean(settings.region)
    return Door(
        queue=SqsQueue(lean, settings.webhooks_queue, account=account),
        bodies=BodyWriter(lean, settings.table, clock=time.time),
        secrets=Secrets(lean, settings.parameters),
    )


def answer(
    source: str,
    headers: Mapping[str, str],
    body: bytes,
    *,
    path_secret: str | None,
    account: str | None,
    now: datetime,
) -> Answer:
    """What the sender of this webhook is told, after it was stored."""
    ports = door(account)
    return receive(
        source,
        headers,
        body,
        path_secret=path_secret,
        find=partial(find_source, now=now),
        secrets=ports.secrets,
        put=lambda message: ports.queue.put([message]),
        keep=ports.bodies.keep,
        now=now,
    )
