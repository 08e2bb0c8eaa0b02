"""Proofs that a request comes from its sender, compared in constant time over the exact bytes received.

Several secrets may be live at once while one is rotated in. Texts of errors never hold a secret or a signature.
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Iterable, Sequence

from chalicelib.core.errors import SignatureError


def same(given: str, expected: str) -> bool:
    """Compare in the same time wherever the texts differ; any text is allowed."""
    return hmac.compare_digest(given.encode("utf-8", "surrogatepass"), expected.encode("utf-8", "surrogatepass"))


def live(secrets: Sequence[str]) -> list[str]:
    """Return the secrets that are set; raises SignatureError when there is none, so that nothing is taken unproved."""
    found = [secret for secret in secrets if secret]
    if not found:
        raise SignatureError("no secret is set for this source, so nothing it sends can be accepted")
    return found


def signed(body: bytes, secrets: Iterable[str], given: Iterable[str], *, algorithm: str) -> bool:
    """Return whether one of the given hex signatures is the body's HMAC under one of the secrets.

    Every pair is compared, so that the time taken shows nothing.
    """
    signatures = [each.strip().lower() for each in given]
    found = False
    for secret in secrets:
        expected = hmac.new(secret.encode("utf-8", "surrogatepass"), body, algorithm).hexdigest()
        for signature in signatures:
            found |= same(signature, expected)
    return found


def one_of(given: str, secrets: Iterable[str]) -> bool:
    """Return whether the given text is one of the secrets."""
    found = False
    for secret in secrets:
        found |= same(given, secret)
    return found


def basic_password(authorization: str) -> str | None:
    """Return `user:password` of a Basic authorization header; None when it is none."""
    scheme, _, encoded = authorization.strip().partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        return base64.b64decode(encoded.strip(), validate=True).decode("utf-8")
    except (binascii.Error, ValueError):
        return None


def authorized(authorization: str, secrets: Sequence[str]) -> bool:
    """Return True for `Bearer <secret>`, and for Basic with the secret as password or as `user:password`."""
    scheme, _, token = authorization.strip().partition(" ")
    if scheme.lower() == "bearer":
        return one_of(token.strip(), secrets)
    pair = basic_password(authorization)
    if pair is None:
        return False
    return one_of(pair, secrets) | one_of(pair.partition(":")[2], secrets)


def standard_signature(secret: str, content: bytes) -> str:
    """Return the `v1` signature of Standard Webhooks: base64 of HMAC-SHA256; the secret is base64 after `whsec_`."""
    try:
        key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except (binascii.Error, ValueError):
        key = secret.encode("utf-8", "surrogatepass")
    return base64.b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode("ascii")


def base64_signature(secret: str, body: bytes) -> str:
    """Return HMAC-SHA256 of the body in base64."""
    return base64.b64encode(hmac.new(secret.encode("utf-8", "surrogatepass"), body, hashlib.sha256).digest()).decode()
