"""Sign-in by an OpenID Connect provider: what is asked of it, and what its answer must be. Pure; nothing is fetched here.

The flow is that of a code with PKCE. A browser keeps an attempt in a signed cookie: what comes back is taken only with its
`state`, the code is worth something only with its verifier, and the token only with its nonce.
https://openid.net/specs/openid-connect-core-1_0.html#IDTokenValidation, https://www.rfc-editor.org/rfc/rfc9700
"""

import base64
import hmac
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any
from urllib.parse import urlencode, urlsplit

from chalicelib.core.account import is_reserved
from chalicelib.core.errors import ForbiddenError
from chalicelib.core.sign_in import Person, content_of, signed

ISSUER, CLIENT_ID, CLIENT_SECRET, DOMAINS = "OIDC_ISSUER", "OIDC_CLIENT_ID", "OIDC_CLIENT_SECRET", "OIDC_DOMAINS"
"""The parameters. DOMAINS are those of mail addresses, separated by commas."""
ACCOUNT = "oidc:"
"""What the account of somebody who signed in this way begins with; the provider's own id of the person follows."""
ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
"""Signatures with a provider's public key. `none`, and those with a shared secret, are no proof."""
ATTEMPT_LASTS = timedelta(minutes=10)
LEEWAY = timedelta(seconds=60)
MAX_NAME_CHARACTERS = 100
ATTEMPT = "openid"
"""What the text of an attempt is signed for."""
_SUBJECT = re.compile(r"[\x21-\x7e]{1,255}")
_PLACE = re.compile(r"(?:incident/[\w-]{1,64}|[a-z]{1,20})?", re.ASCII)
"""Where a sign-in may lead: a page of this stage, by its own words alone."""
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True, slots=True)
class Provider:
    """What a provider says of itself. `by_post` means that it takes the client's secret in the form alone."""

    issuer: str
    authorize: str
    token: str
    keys: str
    by_post: bool = False


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try to sign in, as the browser keeps it. `place` is the page that was asked for."""

    state: str
    nonce: str
    verifier: str
    made_at: datetime
    place: str = ""


def provider_of(document: Any, issuer: str) -> Provider:
    """Return the provider that its discovery document describes. Raise ForbiddenError for one that cannot be used."""
    found = document if isinstance(document, Mapping) else {}
    if found.get("issuer") != issuer:
        raise ForbiddenError(f"The provider calls itself otherwise than {ISSUER} does: expected is the same text.")
    names = ("authorization_endpoint", "token_endpoint", "jwks_uri")
    addresses = [str(found.get(name) or "") for name in names]
    if wrong := [name for name, address in zip(names, addresses, strict=True) if not is_safe(address)]:
        raise ForbiddenError(f"The provider's {wrong[0]} is no https address.")
    methods = found.get("token_endpoint_auth_methods_supported") or ["client_secret_basic"]
    authorize, token, keys = addresses
    return Provider(issuer, authorize, token, keys, by_post="client_secret_basic" not in methods)


def is_safe(address: str) -> bool:
    """Return whether secrets may be sent there: by https, or within this machine."""
    try:
        parts = urlsplit(address)
    except ValueError:
        return False
    return bool(parts.hostname) and (
        parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOOPBACK)
    )


def place_of(text: str) -> str:
    """Return where a sign-in leads; the first page for anything that is not the name of a page here."""
    return text if _PLACE.fullmatch(text) else ""


def address_of(provider: Provider, client: str, back: str, attempt: Attempt) -> str:
    """Return the address at which the provider asks the person."""
    digest = sha256(attempt.verifier.encode()).digest()
    asked = {
        "response_type": "code",
        "client_id": client,
        "redirect_uri": back,
        "scope": "openid email profile",
        "state": attempt.state,
        "nonce": attempt.nonce,
        "code_challenge": base64.urlsafe_b64encode(digest).rstrip(b"=").decode(),
        "code_challenge_method": "S256",
    }
    return f"{provider.authorize}{'&' if urlsplit(provider.authorize).query else '?'}{urlencode(asked)}"


def attempt_text(attempt: Attempt, key: str) -> str:
    """Return the text of an attempt, as the cookie holds it."""
    content = {"s": attempt.state, "n": attempt.nonce, "v": attempt.verifier, "p": attempt.place}
    return signed({**content, "a": attempt.made_at.timestamp()}, ATTEMPT, key)


def attempt_of(text: str, state: str, keys: Sequence[str], now: datetime) -> Attempt:
    """Return the attempt of a cookie. Raise ForbiddenError where it is none, is too old, or is not that of this answer."""
    found = content_of(text, ATTEMPT, keys)
    if found is None or not hmac.compare_digest(str(found["s"]).encode(), state.encode("utf-8", "surrogatepass")):
        raise ForbiddenError("The answer belongs to no sign-in of this browser: begin again.")
    made_at = datetime.fromtimestamp(float(found["a"]), UTC)
    if not made_at <= now < made_at + ATTEMPT_LASTS:
        raise ForbiddenError("The sign-in took too long: begin again.")
    return Attempt(str(found["s"]), str(found["n"]), str(found["v"]), made_at, place_of(str(found["p"])))


def person_of(
    claims: Mapping[str, Any], *, issuer: str, client: str, nonce: str, now: datetime, programs: Collection[str] = ()
) -> Person:
    """Return whom the claims of a token whose signature is right are about. Raise ForbiddenError for those of another use."""
    if why := _refusal(claims, issuer, client, nonce, now):
        raise ForbiddenError(f"The provider's token is not one for this sign-in: {why}.")
    subject = claims.get("sub")
    if not isinstance(subject, str) or not _SUBJECT.fullmatch(subject):
        raise ForbiddenError("The provider's token has no id of the person that can be used.")
    mail = _mail(claims)
    return Person(_name(claims, mail or subject, programs), f"{ACCOUNT}{subject}", mail)


def _mail(claims: Mapping[str, Any]) -> str:
    """Return the address that the provider has checked. Some write the word for yes as a text."""
    mail, checked = claims.get("email"), claims.get("email_verified")
    is_checked = checked is True or checked == "true"
    return mail if is_checked and isinstance(mail, str) and "@" in mail else ""


def _refusal(claims: Mapping[str, Any], issuer: str, client: str, nonce: str, now: datetime) -> str:
    """Return why a token is not one for this sign-in; empty where it is."""
    audience = claims.get("aud")
    audiences = [audience] if isinstance(audience, str) else audience if isinstance(audience, list) else []
    if claims.get("iss") != issuer:
        return "it is of another issuer"
    if client not in audiences or claims.get("azp", client) != client or (len(audiences) > 1 and "azp" not in claims):
        return "it is for another client"
    if not hmac.compare_digest(str(claims.get("nonce", "")).encode("utf-8", "surrogatepass"), nonce.encode()):
        return "its nonce is another"
    ends, begins = claims.get("exp"), claims.get("nbf", 0)
    if not isinstance(ends, int | float) or now.timestamp() >= ends + LEEWAY.total_seconds():
        return "it has ended"
    if not isinstance(begins, int | float) or now.timestamp() < begins - LEEWAY.total_seconds():
        return "it has not begun"
    return ""


def _name(claims: Mapping[str, Any], otherwise: str, programs: Collection[str]) -> str:
    """Return what the person is called: by the provider, unless that is the name of a program."""
    for claim in ("name", "preferred_username"):
        text = claims.get(claim)
        name = " ".join(text.split())[:MAX_NAME_CHARACTERS] if isinstance(text, str) else ""
        if name and name.isprintable() and not is_reserved(name, programs):
            return name
    return otherwise[:MAX_NAME_CHARACTERS]


def is_of_domains(person: Person, domains: Collection[str]) -> bool:
    """Return whether the person has proved an address of one of these domains."""
    domain = person.mail.rpartition("@")[2].casefold()
    return bool(domain) and domain in {each.strip().removeprefix("@").casefold() for each in domains}
