"""Webhook bodies too large for a queue message: written to the table in chunks before the message that names them.

Items `body#<name>` / `<number>`; each says how many there are, so that a body is never read in part. Each request has a
name of its own: dropping the body of one delivery never takes that of another with the same content. An item may have
400 KB.

Once the webhook is processed the worker overwrites every chunk by a mark without content, the first chunk first. A
message that SQS delivers again finds the mark and is done. Chunks and marks expire after 15 days, a day after the
longest time a message can wait in a dead-letter queue; dead-lettering starts that time anew. Two kinds of bodies stay
until then: those whose message could not be put (the sender got 503), and those that the table did not let drop.
"""

import base64
from collections.abc import Callable
from typing import Any

from chalicelib.aws.json_client import AwsJsonClient

CHUNK_BYTES = 350_000
KEPT_SECONDS = 15 * 86_400


def key(name: str) -> str:
    """Return the partition key of a body."""
    return f"body#{name}"


def keys(name: str, number: int) -> dict[str, Any]:
    """Return the keys of one chunk of a body."""
    return {"pk": {"S": key(name)}, "sk": {"S": f"{number:03}"}}


def expiry(now: float) -> dict[str, str]:
    """Return when a body or a mark that is written at `now` expires, as an attribute."""
    return {"N": str(int(now) + KEPT_SECONDS)}


class BodyWriter:
    """Puts bodies into the table by the small client of the ingest path, which seldom needs it."""

    def __init__(self, client: AwsJsonClient, table: str, *, clock: Callable[[], float]) -> None:
        self._client = client
        self._table = table
        self._clock = clock

    def keep(self, name: str, data: bytes) -> None:
        """Store the compressed body under the name; returns after all of it is stored, else NotStoredError."""
        chunks = [data[start : start + CHUNK_BYTES] for start in range(0, len(data), CHUNK_BYTES)]
        for number, chunk in enumerate(chunks):
            item = {
                **keys(name, number),
                "chunks": {"N": str(len(chunks))},
                "body": {"B": base64.b64encode(chunk).decode("ascii")},
                "expires_at": expiry(self._clock()),
            }
            self._client.call("dynamodb", "PutItem", {"TableName": self._table, "Item": item})
