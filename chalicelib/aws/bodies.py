"""Webhook bodies too large for a queue message: written to the table in chunks before the message that names them.

Items `body#<name>` / `<number>`; each says how many there are, so that a body is never read in part. The name holds
the hash of the content, so that writing twice changes nothing. They expire after 15 days, a day after the longest time
a message can wait in a dead-letter queue. An item may have 400 KB.
"""

import base64
from collections.abc import Callable

from chalicelib.aws.json_client import Lean

CHUNK_BYTES = 350_000
KEPT_SECONDS = 15 * 86_400


def key(name: str) -> str:
    """The partition key of a body."""
    return f"body#{name}"


class BodyWriter:
    """Puts bodies into the table by the lean caller: used on the ingest path, seldom."""

    def __init__(self, lean: Lean, table: str, *, clock: Callable[[], float]) -> None:
        self._lean = lean
        self._table = table
        self._clock = clock

    def keep(self, name: str, data: bytes) -> None:
        """Store the compressed body under the name; returns after all of it is stored, else NotStoredError."""
        chunks = [data[start : start + CHUNK_BYTES] for start in range(0, len(data), CHUNK_BYTES)]
        for number, chunk in enumerate(chunks):
            item = {
                "pk": {"S": key(name)},
                "sk": {"S": f"{number:03}"},
                "chunks": {"N": str(len(chunks))},
                "body": {"B": base64.b64encode(chunk).decode("ascii")},
                "expires_at": {"N": str(int(self._clock()) + KEPT_SECONDS)},
            }
            self._lean.call("dynamodb", "PutItem", {"TableName": self._table, "Item": item})
