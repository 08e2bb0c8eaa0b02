"""How an admin makes, lists and revokes named tokens. The value is in the answer that makes it, and nowhere else."""

import re
from collections.abc import Callable
from typing import Any

from chalicelib.api import requests
from chalicelib.api.routes import ApiContext, Reply, Request
from chalicelib.api.silencing import only_known, text_in
from chalicelib.api.views import stamp
from chalicelib.core.account import is_reserved
from chalicelib.core.errors import NotFoundError, RequestError
from chalicelib.core.optimistic import updated
from chalicelib.core.ports import Store
from chalicelib.core.tokens import SCOPES, USED, Token, Tokens, new_token

NAME = re.compile("[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


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
