"""A webhook as received, and its form on the webhooks queue.

The body is kept as its raw bytes, compressed: JSON shrinks to a quarter or less, so that nearly all of it fits a
message of 1 MiB. One that does not is kept in the table and the message names it (`body_ref`).
"""

import base64
import binascii
import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from chalicelib.core.errors import ParseError

VERSION = 1
MAX_MESSAGE_BYTES = 1_048_576 - 4_096
"""What SQS takes (1 MiB, attributes included), less room for the reason of a parked message."""
MAX_BODY_BYTES = 2 * 1024 * 1024
"""What a sender may post. Sentry's bodies hold whole events and reach hundreds of kilobytes."""
_LEVEL = 1
"""The fastest: level 6 costs three times the time for a tenth less."""
_LARGE = 16 * 1024
"""From so many bytes ISA-L compresses: in a fifth of zlib's time, to about the same. Loading it costs a small body more."""


@dataclass(frozen=True, slots=True)
class Webhook:
    """One HTTP request as received. `body` is empty when `body_ref` names where it is (`Store.get_body`).

    `headers` have names in lower case and hold no secret; `id` is equal on every delivery that the sender repeats.
    """

    id: str
    source: str
    body: bytes
    received_at: datetime
    headers: Mapping[str, str] = field(default_factory=dict)
    body_ref: str = ""


def compressed(body: bytes) -> bytes:
    """Return the body as it is kept, in a message or in the table. Each byte less is billed less, by SQS for every 64 KB."""
    if len(body) < _LARGE:
        return zlib.compress(body, _LEVEL)
    from isal import isal_zlib

    return isal_zlib.compress(body, _LEVEL)


def uncompressed(data: bytes) -> bytes:
    """Return the body back; raises ParseError when it is damaged or was larger than a webhook may be."""
    reader = zlib.decompressobj()
    try:
        body = reader.decompress(data, MAX_BODY_BYTES + 1)
    except zlib.error:
        raise ParseError("the body of a webhook is damaged: it does not decompress") from None
    if len(body) > MAX_BODY_BYTES or not reader.eof:
        raise ParseError(f"the body of a webhook is damaged or over {MAX_BODY_BYTES} bytes")
    return body


def written(webhook: Webhook, data: bytes) -> str:
    """Return the message that carries the webhook; `data` is its compressed body, not used when `body_ref` is set."""
    form: dict[str, Any] = {
        "v": VERSION,
        "type": "webhook",
        "id": webhook.id,
        "source": webhook.source,
        "headers": dict(webhook.headers),
        "received_at": webhook.received_at.timestamp(),
    }
    if webhook.body_ref:
        form["body_ref"] = webhook.body_ref
    text = json.dumps(form, separators=(",", ":"))
    if webhook.body_ref:
        return text
    body = base64.b64encode(data).decode("ascii")  # holds nothing to escape, so it need not be searched for it
    return f'{text[:-1]},"body":"{body}"}}'


def read(form: Mapping[str, Any]) -> Webhook:
    """Return the webhook of a message that was read as JSON; raises ParseError when it is not one."""
    try:
        reference = str(form.get("body_ref", ""))
        return Webhook(
            id=str(form["id"]),
            source=str(form["source"]),
            body=b"" if reference else uncompressed(base64.b64decode(form["body"], validate=True)),
            received_at=datetime.fromtimestamp(form["received_at"], UTC),
            headers={str(name): str(value) for name, value in form["headers"].items()},
            body_ref=reference,
        )
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError, OSError, binascii.Error) as error:
        raise ParseError(f"a webhook message lacks or garbles a field ({type(error).__name__})") from None
