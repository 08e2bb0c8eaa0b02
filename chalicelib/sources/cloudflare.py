"""Cloudflare notifications: about seventy alert types, documented in one shape and often received in another.

The header `cf-webhook-auth` holds the secret itself; nothing is signed and nothing guards against replay. What a body
means is read in `_cloudflare.py`, which is loaded when the first one is: the door needs none of it.
https://developers.cloudflare.com/notifications/reference/webhook-payload-schema/
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from chalicelib.core.errors import SignatureError
from chalicelib.core.payload import signing

if TYPE_CHECKING:
    from chalicelib.core.event import Event

NAME = "cloudflare"
TITLE = "Cloudflare"
SECRETS = ("CLOUDFLARE_WEBHOOK_SECRET",)
SECRET_HEADER = "cf-webhook-auth"


def verify(headers: Mapping[str, str], body: bytes, secrets: Sequence[str], *, path_secret: str | None = None) -> None:
    """Raise SignatureError unless the request brings the secret, in its header or in the address."""
    known = signing.live(secrets)
    given = headers.get(SECRET_HEADER) or path_secret
    if not given:
        raise SignatureError(f"the request has no {SECRET_HEADER}")
    if not signing.one_of(given, known):
        raise SignatureError(f"the secret in {SECRET_HEADER} is wrong")


def delivery_id(headers: Mapping[str, str], body: bytes) -> str | None:
    """Return None: Cloudflare's correlation id names the alert, not the delivery."""
    return None


def kinds() -> tuple[str, ...]:
    """Return the kinds of its events that are known, for `tocsin check`."""
    from chalicelib.sources import _cloudflare

    return _cloudflare.KINDS


def parse(headers: Mapping[str, str], body: bytes, *, received_at: datetime) -> "list[Event]":
    """Return the one event of a notification. Raise ParseError when the body is no JSON object."""
    from chalicelib.sources import _cloudflare

    return _cloudflare.parse(body, received_at=received_at)
