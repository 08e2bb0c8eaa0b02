"""Named tokens of the API, as they are stored: by the digest of their value, with what they may do. One item with a version.

A token is 32 random bytes: nobody finds it from its SHA-256, so no slow hash is needed. A revoked one stays in the list
until another one needs its place.
"""

import re
from dataclasses import dataclass, replace
from datetime import datetime
from hashlib import sha256
from hmac import compare_digest
from secrets import token_hex, token_urlsafe

from chalicelib.core.access import Role
from chalicelib.core.errors import FullError

FORM = re.compile("tocsin_[0-9a-f]{8}_[A-Za-z0-9_-]{43}")
"""The prefix says whose a token is that somebody finds in a log or a repository."""
SCOPES = {"read": Role.VIEWER, "act": Role.RESPONDER, "admin": Role.ADMIN}
"""The most that a token may do, whatever its holder may."""
MAX_TOKENS = 100
USED = "token-used:"
"""How the name of the mark begins that keeps the day on which a token was last used."""


@dataclass(frozen=True, slots=True)
class Token:
    """One token. `name` is its holder's, `digest` the SHA-256 of its value, `by` who made it."""

    id: str
    name: str
    scope: str
    digest: str
    by: str
    at: datetime
    revoked_at: datetime | None = None
    revoked_by: str = ""


@dataclass(frozen=True, slots=True)
class Tokens:
    """All tokens of a stage, the oldest first."""

    tokens: tuple[Token, ...] = ()
    version: int = 0

    def live(self, value: str) -> Token | None:
        """Return the token of a value unless it is revoked. Every digest is compared."""
        found, sent = None, digest_of(value)
        for each in self.tokens:
            if compare_digest(each.digest, sent) and each.revoked_at is None:
                found = each
        return found

    def with_token(self, token: Token) -> "Tokens":
        """Return the tokens with one more; the oldest revoked ones make room. Raise FullError when all others are live."""
        kept = list(self.tokens)
        while len(kept) >= MAX_TOKENS:
            revoked = next((each for each in kept if each.revoked_at is not None), None)
            if revoked is None:
                raise FullError(f"there are {MAX_TOKENS} tokens: revoke one that nobody uses")
            kept.remove(revoked)
        return Tokens((*kept, token), self.version + 1)

    def without(self, id: str, by: str, now: datetime) -> "Tokens":
        """Return the tokens with that one revoked."""
        tokens = tuple(replace(each, revoked_at=now, revoked_by=by) if each.id == id else each for each in self.tokens)
        return Tokens(tokens, self.version + 1)


def new_token(name: str, scope: str, by: str, now: datetime) -> tuple[Token, str]:
    """Return a token and its value, which is stored nowhere."""
    id = token_hex(4)
    value = f"tocsin_{id}_{token_urlsafe(32)}"
    return Token(id, name, scope, digest_of(value), by, now), value


def digest_of(value: str) -> str:
    """Return what is stored of a value."""
    return sha256(value.encode("utf-8", "surrogatepass")).hexdigest()
