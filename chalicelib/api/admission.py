"""Whose token a request sends: one of the secrets (`access.py`), or a named one that is stored.

A named token is looked up in the store at each request, so that a revoked one opens nothing from then on. The values of
API_TOKEN and PAGE_TOKEN cost no read. Little is loaded here, so that a request without a token costs next to nothing.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from chalicelib.api import access
from chalicelib.core.access import Role
from chalicelib.core.errors import NotAllowedError, ReadOnlyError
from chalicelib.core.tokens import FORM, SCOPES, USED, Token
from chalicelib.ingest.receive import Secrets

if TYPE_CHECKING:
    from chalicelib.core.ports import Store

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
    store: Callable[[], "Store"],
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


def _sender(found: Token, store: "Store", *, writes: bool, now: datetime) -> Sender:
    most = SCOPES.get(found.scope, Role.VIEWER)
    if writes and most is Role.VIEWER:
        raise ReadOnlyError("this token only reads: expected is one of the scope act or admin")
    day = f"{now:%Y-%m-%d}"
    if _used.get(found.id) != day:
        store.put_mark(f"{USED}{found.id}", day)
        _used[found.id] = day
    return Sender(found.name, most)
