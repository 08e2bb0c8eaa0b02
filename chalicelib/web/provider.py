"""Asks an OpenID Connect provider: its discovery document, its keys, and the token for a code. All of it by HTTP.

The document and the keys are kept for an hour in each container. A token that names an unknown key has the keys fetched
again, once a minute at most. joserfc and httpx are loaded by a sign-in alone.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote

from chalicelib.core.errors import ForbiddenError, UnreachableError
from chalicelib.core.openid import ALGORITHMS, ISSUER, Provider, is_safe, provider_of

KEPT = timedelta(hours=1)
KEYS_AGAIN = timedelta(minutes=1)
TIMEOUT_SECONDS = 4.0
"""For each of the three calls: the function that serves the page has 15 seconds."""
MAX_ANSWER_BYTES = 512 * 1024
DISCOVERY = "/.well-known/openid-configuration"


@dataclass(slots=True)
class _Known:
    """A provider as it was read, and its public keys, each with when."""

    provider: Provider
    read_at: datetime
    keys: Any = None
    keys_at: datetime | None = None


class Providers:
    """What is known of providers in this container."""

    def __init__(self) -> None:
        self._known: dict[str, _Known] = {}

    def of(self, issuer: str, http: Callable[[], Any], now: datetime) -> Provider:
        """Return the provider of an issuer. Raise where it cannot be asked, or is not what its name says."""
        return self._of(issuer, http, now).provider

    def claims(self, issuer: str, token: str, http: Callable[[], Any], now: datetime) -> Mapping[str, Any]:
        """Return the claims of a token that the issuer has signed. Raise ForbiddenError for any other one."""
        known = self._of(issuer, http, now)
        if known.keys is None or known.keys_at is None or now >= known.keys_at + KEPT:
            self._read_keys(known, http, now)
        found = _verified(token, known.keys)
        if found is None and known.keys_at is not None and now >= known.keys_at + KEYS_AGAIN:
            self._read_keys(known, http, now)
            found = _verified(token, known.keys)
        if found is None:
            raise ForbiddenError("The provider's token has no signature that its keys verify.")
        return found

    def _of(self, issuer: str, http: Callable[[], Any], now: datetime) -> _Known:
        known = self._known.get(issuer)
        if known is None or now >= known.read_at + KEPT:
            if not is_safe(issuer):
                raise ForbiddenError(f"{ISSUER} is no https address.")
            document = _json(lambda: http().get(f"{issuer.rstrip('/')}{DISCOVERY}", timeout=TIMEOUT_SECONDS))
            known = self._known[issuer] = _Known(provider_of(document, issuer), now)
        return known

    def _read_keys(self, known: _Known, http: Callable[[], Any], now: datetime) -> None:
        from joserfc.jwk import KeySet

        document = _json(lambda: http().get(known.provider.keys, timeout=TIMEOUT_SECONDS))
        listed = document.get("keys") if isinstance(document, Mapping) else None
        usable: list[Any] = [each for each in listed or () if isinstance(each, dict) and _is_public(each)]
        try:
            known.keys, known.keys_at = KeySet.import_key_set({"keys": usable}), now
        except (ValueError, KeyError, TypeError) as error:
            raise UnreachableError("The provider's keys cannot be read.") from error


def _is_public(key: Mapping[str, Any]) -> bool:
    """Return whether it is a public key for signatures. A shared secret among them would sign anybody's token."""
    return key.get("kty") in ("RSA", "EC", "OKP") and key.get("use", "sig") == "sig" and "d" not in key


def _verified(token: str, keys: Any) -> Mapping[str, Any] | None:
    """Return the claims of a token; None where none of the keys verifies its signature."""
    from joserfc import jwt
    from joserfc.errors import JoseError

    try:
        return jwt.decode(token, keys, algorithms=list(ALGORITHMS)).claims
    except (JoseError, ValueError, KeyError, TypeError):
        return None


def token_of(
    provider: Provider, http: Callable[[], Any], *, client: str, secret: str, code: str, verifier: str, back: str
) -> str:
    """Return the token of identity for a code. Raise ForbiddenError where the provider gives none."""
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": back, "code_verifier": verifier}
    auth = None if provider.by_post else (quote(client, safe=""), quote(secret, safe=""))
    if provider.by_post:
        form |= {"client_id": client, "client_secret": secret}
    sent: dict[str, Any] = {"data": form, "timeout": TIMEOUT_SECONDS, "headers": {"Accept": "application/json"}}
    found = _json(lambda: http().post(provider.token, **sent, **({"auth": auth} if auth else {})), refused=True)
    token = found.get("id_token") if isinstance(found, Mapping) else None
    if not isinstance(token, str):
        raise ForbiddenError("The provider takes no such code: it was used already, or the client's secret is wrong.")
    return token


def _json(ask: Callable[[], Any], *, refused: bool = False) -> Any:
    """Return the JSON of an answer; of a refusal None, where it may be one. Raise UnreachableError for no answer."""
    import httpx

    try:
        answer = ask()
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise UnreachableError("The provider does not answer: try again, or sign in by a link.") from error
    if refused and 400 <= answer.status_code < 500:
        return None
    if answer.status_code != 200 or len(answer.content) > MAX_ANSWER_BYTES:
        raise UnreachableError(f"The provider answers with {answer.status_code}: try again, or sign in by a link.")
    try:
        return answer.json()
    except ValueError as error:
        raise UnreachableError("The provider's answer is not JSON.") from error


PROVIDERS = Providers()
"""Those of this container."""
