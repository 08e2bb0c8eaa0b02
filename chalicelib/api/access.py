"""Who may use the API: whoever sends one of the tokens as `Authorization: Bearer <token>`.

A token in a header is sent by nobody's browser on its own, so no page of somebody else can act in a person's name.
API_TOKEN and PAGE_TOKEN hold the live tokens, several separated by commas. One written `ana:<token>` is ana's own: what
is done with it is done by ana, whatever the request says. Only the standard library is loaded here, so that a
request without a token costs next to nothing.
"""

from collections.abc import Mapping, Sequence
from hashlib import sha256
from hmac import compare_digest
from typing import Protocol

from chalicelib.core.errors import NotAllowedError

TOKENS = ("API_TOKEN", "PAGE_TOKEN")
MIN_TOKEN_CHARACTERS = 16
"""Anything shorter can be guessed: it opens nothing."""


class Secrets(Protocol):
    """Where the live values of secrets are; both may raise NotStoredError."""

    def values(self, names: Sequence[str]) -> Sequence[str]:
        """All live values of those names."""
        ...

    def renewed(self, names: Sequence[str]) -> Sequence[str]:
        """The same, read again if that was not just done."""
        ...


def holder(headers: Mapping[str, str], secrets: Secrets) -> str:
    """The name of whose token it is, empty for one that is shared; NotAllowedError when it is none.

    A token that does not fit is compared once more with values read again: it may just have been made.
    """
    sent = _sent(headers)
    values = secrets.values(TOKENS)
    found = _match(sent, values)
    if found is None:
        renewed = secrets.renewed(TOKENS)
        if not renewed:
            raise NotAllowedError("the API is closed: none of the secrets API_TOKEN and PAGE_TOKEN is set")
        found = _match(sent, renewed)
    if found is None:
        raise NotAllowedError("the token is wrong: expected is one of API_TOKEN or PAGE_TOKEN")
    return found


def _sent(headers: Mapping[str, str]) -> str:
    said = next((value for name, value in headers.items() if name.lower() == "authorization"), "")
    scheme, _, token = said.strip().partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise NotAllowedError("no token: expected is the header `Authorization: Bearer <token>`")
    return token.strip()


def _match(sent: str, values: Sequence[str]) -> str | None:
    """The holder of the value that was sent. Every value is compared, by digests of one length."""
    found: str | None = None
    for value in values:
        name, _, own = value.rpartition(":")
        if compare_digest(_digest(sent), _digest(own)) and len(own) >= MIN_TOKEN_CHARACTERS:
            found = name.strip()
    return found


def _digest(text: str) -> bytes:
    return sha256(text.encode("utf-8", "surrogatepass")).digest()
