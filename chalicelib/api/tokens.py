"""Named tokens: whose one is that a request sends, and how an admin makes, lists and revokes them.

The value is in the answer that makes it, and nowhere else. A token is looked up in the store at each request, so that a
revoked one opens nothing from then on. The values of API_TOKEN and PAGE_TOKEN stay as they are, and cost no read.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from chalicelib.api import access, requests
from chalicelib.api.routes import ApiContext, Reply, Request
from chalicelib.api.silencing import only_known, text_in
from chalicelib.api.views import stamp
from chalicelib.core.access import Role
from chalicelib.core.account import is_reserved
from chalicelib.core.errors import NotAllowedError, NotFoundError, ReadOnlyError, RequestError
from chalicelib.core.optimistic import updated
from chalicelib.core.ports import Store
from chalicelib.core.tokens import FORM, SCOPES, USED, Token, Tokens, new_token
from chalicelib.ingest.receive import Secrets

NAME = re.compile("[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_used: dict[str, str] = {}
"""The day on which this container last noted the use of a token, by its id: one write a day and container."""


@dataclass(frozen=True, slots=True)
class Sender:
    """Whose token it is (empty: a shared one), and the most that it may do."""

    name: str
    most: Role = Role.ADMIN


def admit(
    headers: Mapping[str, str],
    secrets: Secrets,
    *,
    store: Callable[[], Store],
    writes: bool,
    address: str,
    now: datetime,
    basic: bool = False,
    wrong: access.WrongTokens | None = None,
) -> Sender:
    """Return who sends a request. Raise NotAllowedError, ReadOnlyError or TooManyGuessesError.

    What has the form of a named token is looked for in the store; any other, and one that is not there, in the secrets.
    """
    wrong = access.WRONG_TOKENS if wrong is None else wrong
    value = access.sent(headers, basic=basic)
    if FORM.fullmatch(value):
        wrong.check(address, now)
        if (found := store().tokens().live(value)) is not None:
            return _sender(found, store(), writes=writes, now=now)
    try:
        return Sender(
            access.admitted(headers, secrets, writes=writes, address=address, now=now, wrong=wrong, basic=basic)
        )
    except NotAllowedError:
        if FORM.fullmatch(value):
            raise NotAllowedError("the token is unknown or revoked") from None
        raise


def _sender(found: Token, store: Store, *, writes: bool, now: datetime) -> Sender:
    most = SCOPES.get(found.scope, Role.VIEWER)
    if writes and most is Role.VIEWER:
        raise ReadOnlyError("this token only reads: expected is one of the scope act or admin")
    day = f"{now:%Y-%m-%d}"
    if _used.get(found.id) != day:
        store.put_mark(f"{USED}{found.id}", day)
        _used[found.id] = day
    return Sender(found.name, most)


def list_tokens(api: ApiContext, request: Request) -> Reply:
    """GET /api/tokens: the live and the revoked ones, the oldest first"""
    request.only()
    tokens = api.store.tokens().tokens
    used = api.store.marks([f"{USED}{each.id}" for each in tokens])
    return Reply({"tokens": [{**_shown(each), "last_used_on": used.get(f"{USED}{each.id}")} for each in tokens]})


def make_token(api: ApiContext, request: Request) -> Reply:
    """POST /api/tokens: make one for a person or a program; `token` in the answer is its value"""
    request.only("by")
    form = request.form()
    only_known(form, ("name", "scope", "by"))
    name, scope = text_in(form, "name"), text_in(form, "scope")
    if not NAME.fullmatch(name) or is_reserved(name, requests.PROGRAMS):
        raise RequestError(
            f"`name` is {name[:40]!r}; allowed are 64 letters, digits, `.`, `-`, `_`, and no reserved name"
        )
    if scope not in SCOPES:
        raise RequestError(f"`scope` is {scope[:40]!r}; allowed are {', '.join(SCOPES)}")
    token, value = new_token(name, scope, request.by(form), api.now)
    _change(api.store, lambda tokens: tokens.with_token(token))
    return Reply({"token": value, **_shown(token)}, 201)


def revoke_token(api: ApiContext, request: Request, *, id: str) -> Reply:
    """DELETE /api/tokens/{id}: revoke one, by its id; a second time changes nothing"""
    request.only("by")
    form = request.form()
    only_known(form, ("by",))
    by = request.by(form)
    found = next((each for each in api.store.tokens().tokens if each.id == id), None)
    if found is None:
        raise NotFoundError(f"there is no token {id[:40]!r}; expected is an id of `tocsin tokens list`")
    if found.revoked_at is None:
        _change(api.store, lambda tokens: tokens.without(id, by, api.now))
    shown = next(each for each in api.store.tokens().tokens if each.id == id)
    return Reply(_shown(shown))


def _change(store: Store, change: Callable[[Tokens], Tokens]) -> None:
    updated("the tokens", store.tokens, lambda tokens: store.save_tokens(change(tokens)))


def _shown(token: Token) -> dict[str, Any]:
    return {
        "id": token.id,
        "name": token.name,
        "scope": token.scope,
        "made_by": token.by,
        "made_at": stamp(token.at),
        "revoked_by": token.revoked_by or None,
        "revoked_at": stamp(token.revoked_at),
    }
