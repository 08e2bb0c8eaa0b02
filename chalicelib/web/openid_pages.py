"""Answers /oidc and /oidc/callback: the way to the provider, and back."""

from dataclasses import dataclass
from datetime import timedelta
from secrets import token_urlsafe
from typing import Protocol
from urllib.parse import urlsplit

from chalicelib import log
from chalicelib.api.requests import PROGRAMS
from chalicelib.core import openid
from chalicelib.core.errors import ForbiddenError, RequestError, UnreachableError
from chalicelib.core.openid import Attempt
from chalicelib.core.sign_in import PAGE_URL, Person
from chalicelib.web.exchange import PRIVATE, PageReply, PageRequest, cookie
from chalicelib.web.provider import token_of
from chalicelib.web.visitor import PageContext

BACK = "oidc/callback"
"""Where the provider leads back to, from PAGE_URL."""


class Visit(Protocol):
    """A request of anybody, with the keys of the stage."""

    @property
    def request(self) -> PageRequest:
        """Return the request."""
        ...

    @property
    def page(self) -> PageContext:
        """Return what the pages work with."""
        ...

    @property
    def keys(self) -> tuple[str, ...]:
        """Return the keys that sign."""
        ...

    def begun(self, person: Person, where: str, cookies: tuple[str, ...] = ()) -> PageReply:
        """Return an answer that begins a session, and leads there."""
        ...


@dataclass(frozen=True, slots=True)
class Settings:
    """The parameters of the provider, and where it leads back to."""

    issuer: str
    client: str
    secret: str
    back: str


def settings_of(page: PageContext) -> Settings | None:
    """Return the parameters; None where the stage has no provider."""
    issuer, client, secret = (_one(page, name) for name in (openid.ISSUER, openid.CLIENT_ID, openid.CLIENT_SECRET))
    url = _one(page, PAGE_URL)
    return (
        Settings(issuer, client, secret, f"{url.rstrip('/')}/{BACK}") if issuer and client and secret and url else None
    )


def shown_name(page: PageContext) -> str:
    """Return what the provider is called on the button: its host; empty where there is none."""
    found = settings_of(page)
    return urlsplit(found.issuer).hostname or "" if found is not None else ""


def is_known(page: PageContext, person: Person) -> bool:
    """Return whether a person is one of ours whom no entry names: not whoever has an account at the provider is."""
    if not person.account.startswith(openid.ACCOUNT):
        return True
    return openid.is_of_domains(person, page.secrets.values((openid.DOMAINS,)))


def begin(visit: Visit) -> PageReply:
    """Redirect to the provider, and have the browser keep the attempt."""
    page, found = visit.page, _settings(visit.page)
    if not visit.keys:
        raise RequestError("Nobody can sign in: the stage has no SESSION_KEY. Deploy it again.")
    place = openid.place_of(visit.request.one("to"))
    attempt = Attempt(token_urlsafe(24), token_urlsafe(24), token_urlsafe(48), page.now, place)
    provider = page.providers.of(found.issuer, page.http, page.now)
    where = openid.address_of(provider, found.client, found.back, attempt)
    kept = _cookie(visit.request, openid.attempt_text(attempt, visit.keys[0]), openid.ATTEMPT_LASTS)
    return PageReply("", 303, {**PRIVATE, "Location": where}, (kept,))


def end(visit: Visit) -> PageReply:
    """Begin the session of whom the provider has signed in. A wrong answer counts as a guess, a provider that is away does not."""
    page, request = visit.page, visit.request
    page.wrong.check(request.address, page.now)
    try:
        attempt, person = _signed_in(visit)
    except (ForbiddenError, UnreachableError) as error:
        if isinstance(error, ForbiddenError):
            page.wrong.note(request.address, page.now)
        log.line("page", sign_in="refused", reason=str(error))
        raise
    if not page.store.claim_minute(f"oidc {person.account}", attempt.made_at):
        raise ForbiddenError("This sign-in was used already, or a newer one was: begin again.")
    return visit.begun(person, f"{request.up}{attempt.place}", (_cookie(request, "", timedelta(0)),))


def _signed_in(visit: Visit) -> tuple[Attempt, Person]:
    page, request, found = visit.page, visit.request, _settings(visit.page)
    kept = request.cookies().get(_cookie_name(request), "")
    attempt = openid.attempt_of(kept, request.one("state"), visit.keys, page.now)
    if request.one("iss") not in ("", found.issuer):
        raise ForbiddenError("The answer is of another provider: begin again.")
    code = request.one("code")
    if not code:
        raise ForbiddenError("The provider has signed nobody in.")
    provider = page.providers.of(found.issuer, page.http, page.now)
    token = token_of(
        provider,
        page.http,
        client=found.client,
        secret=found.secret,
        code=code,
        verifier=attempt.verifier,
        back=found.back,
    )
    claims = page.providers.claims(found.issuer, token, page.http, page.now)
    return attempt, openid.person_of(
        claims, issuer=found.issuer, client=found.client, nonce=attempt.nonce, now=page.now, programs=PROGRAMS
    )


def _settings(page: PageContext) -> Settings:
    found = settings_of(page)
    if found is None:
        raise RequestError("This stage has no provider to sign in by: docs/page.md says how to set one up.")
    return found


def _one(page: PageContext, name: str) -> str:
    return next(iter(page.secrets.values((name,))), "")


def _cookie_name(request: PageRequest) -> str:
    return "__Host-oidc" if request.secure else "oidc"


def _cookie(request: PageRequest, value: str, lasts: timedelta) -> str:
    return cookie(_cookie_name(request), value, seconds=int(lasts.total_seconds()), secure=request.secure)
