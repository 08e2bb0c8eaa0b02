"""Sentry: webhooks of an integration, of the legacy WebHooks plugin, and service hooks.

An integration signs the raw body (HMAC-SHA256, hex, key = client secret) and wants an answer within one second. The
legacy plugin signs nothing and needs the secret in the address. What a body means is read in `_sentry.py`, which is
loaded when the first one is: the door needs none of it.
https://docs.sentry.io/organization/integrations/integration-platform/webhooks/
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from chalicelib.core.errors import SignatureError
from chalicelib.core.payload import signing

if TYPE_CHECKING:
    from chalicelib.core.event import Event

NAME = "sentry"
TITLE = "Sentry"
SECRETS = ("SENTRY_CLIENT_SECRET", "SENTRY_PATH_SECRET")
SIGNATURE_HEADERS = ("sentry-hook-signature", "sentry-app-signature", "x-servicehook-signature")


def verify(headers: Mapping[str, str], body: bytes, secrets: Sequence[str], *, path_secret: str | None = None) -> None:
    """Raise SignatureError unless the body is signed, or, where there is no signature, the address holds the secret."""
    known = signing.live(secrets)
    given = [headers[name] for name in SIGNATURE_HEADERS if headers.get(name)]
    if given:
        if not signing.signed(body, known, given, algorithm="sha256"):
            raise SignatureError("the signature does not fit the body")
    elif path_secret is None:
        raise SignatureError("the request has no Sentry-Hook-Signature, and its address no secret")
    elif not signing.one_of(path_secret, known):
        raise SignatureError("the secret in the address is wrong")


def delivery_id(headers: Mapping[str, str], body: bytes) -> str | None:
    """Return Sentry's Idempotency-Key, where it sends one; its Request-ID is new on each attempt."""
    return headers.get("idempotency-key") or None


def kinds() -> tuple[str, ...]:
    """Return the kinds of its events that are known, for `tocsin check`."""
    from chalicelib.sources import _sentry

    return _sentry.KINDS


def parse(headers: Mapping[str, str], body: bytes, *, received_at: datetime) -> "list[Event]":
    """Return the one event of a delivery. Raise ParseError when the body is no JSON object."""
    from chalicelib.sources import _sentry

    return _sentry.parse(headers, body, received_at=received_at)
