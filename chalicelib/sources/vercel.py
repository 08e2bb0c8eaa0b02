"""Vercel: deployments as markers of what changed; failed production deployments, certificates, domains and anomalies.

The signature is hex HMAC-SHA1 of the raw body in `x-vercel-signature`; the secret is the webhook's, shown once, or the
integration's client secret. Order is not guaranteed; the envelope's `id` is equal on every retry.
What a body means is read in `_vercel.py`, which is loaded when the first one is: the door needs none of it.
https://vercel.com/docs/webhooks/webhooks-api
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from chalicelib.core.errors import ParseError, SignatureError
from chalicelib.core.payload import coerce, signing

if TYPE_CHECKING:
    from chalicelib.core.event import Event

NAME = "vercel"
TITLE = "Vercel"
SECRETS = ("VERCEL_WEBHOOK_SECRET",)
SIGNATURE_HEADER = "x-vercel-signature"


def verify(headers: Mapping[str, str], body: bytes, secrets: Sequence[str], *, path_secret: str | None = None) -> None:
    """Raise SignatureError unless the body is signed."""
    known = signing.live(secrets)
    given = headers.get(SIGNATURE_HEADER, "")
    if not given:
        raise SignatureError(f"the request has no {SIGNATURE_HEADER}")
    if not signing.signed(body, known, [given], algorithm="sha1"):
        raise SignatureError("the signature does not fit the body")


def delivery_id(headers: Mapping[str, str], body: bytes) -> str | None:
    """Return the envelope's id."""
    try:
        return coerce.line(coerce.json_object(body).get("id"), 200) or None
    except ParseError:
        return None


def kinds() -> tuple[str, ...]:
    """Return the kinds of its events that are known, for `tocsin check`."""
    from chalicelib.sources import _vercel

    return _vercel.KINDS


def parse(headers: Mapping[str, str], body: bytes, *, received_at: datetime) -> "list[Event]":
    """Return the one event of a delivery; raise ParseError when the body is no JSON object."""
    from chalicelib.sources import _vercel

    return _vercel.parse(body, received_at=received_at)
