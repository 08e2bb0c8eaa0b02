"""Who may use the API: whoever sends one of the tokens as `Authorization: Bearer <token>`.

A token in a header is sent by nobody's browser on its own, so no page of somebody else can act in a person's name.
Alertmanager's API v2 takes one as the password of any user too (`basic`): what changes something there is asked for by a
method or a type of body that a browser sends to another site only where that site allows it, which none of ours does.
API_TOKEN and PAGE_TOKEN hold the live tokens, several separated by commas. A token of PAGE_TOKEN only reads. One written
`ana:<token>` is ana's own: what is done with it is done by ana, whatever the request says. Only the standard library is
loaded here, so that a request without a token costs next to nothing.

An address that sends MAX_WRONG wrong tokens within a minute is refused without a look at its token until the oldest of
them is a minute old. Each container counts in its own memory, so the count costs no call. It slows one guesser down: one
with many addresses, or many containers that answer, has as many times MAX_WRONG tries. What makes guessing hopeless is
the length of the tokens.
"""

import binascii
from base64 import b64decode
from collections import deque
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from hashlib import sha256
from hmac import compare_digest

from chalicelib.core.errors import NotAllowedError, ReadOnlyError, TooManyGuessesError
from chalicelib.ingest.receive import Secrets

TOKENS = ("API_TOKEN", "PAGE_TOKEN")
WRITING = TOKENS[:1]
"""Those whose tokens may change something."""
MIN_TOKEN_CHARACTERS = 16
"""Anything shorter can be guessed: it opens nothing."""
MAX_WRONG = 20
"""So many wrong tokens a minute are those of a misconfigured script; more are guesses."""
WRONG_KEPT = timedelta(minutes=1)
MAX_ADDRESSES = 1_000
"""So many addresses are remembered in a container; the one whose wrong token is the longest ago is forgotten first."""


class WrongTokens:
    """The wrong tokens of the last minute, by the address that sent them."""

    def __init__(self) -> None:
        self._times: dict[str, deque[datetime]] = {}

    def check(self, address: str, now: datetime) -> None:
        """Raise TooManyGuessesError when the address has sent too many."""
        times = self._times.get(address)
        while times and times[0] <= now - WRONG_KEPT:
            times.popleft()
        if times and len(times) >= MAX_WRONG:
            wait = (times[0] + WRONG_KEPT - now).total_seconds()
            raise TooManyGuessesError(f"{MAX_WRONG} wrong tokens came from this address: try again in {wait:.0f} s")

    def note(self, address: str, now: datetime) -> None:
        """Count one."""
        times = self._times.pop(address, None) or deque(maxlen=MAX_WRONG)
        times.append(now)
        self._times[address] = times
        if len(self._times) > MAX_ADDRESSES:
            del self._times[next(iter(self._times))]


WRONG_TOKENS = WrongTokens()
"""Those of this container."""


def admitted(
    headers: Mapping[str, str],
    secrets: Secrets,
    *,
    writes: bool,
    address: str,
    now: datetime,
    wrong: WrongTokens | None = None,
    basic: bool = False,
) -> str:
    """Return the name of whose token it is, as `holder` does. TooManyGuessesError when its address sent too many wrong ones.

    A request without a token is no guess. With `basic` the password of basic authentication is one.
    """
    value = sent(headers, basic=basic)
    wrong = WRONG_TOKENS if wrong is None else wrong
    wrong.check(address, now)
    try:
        found = _holder(value, secrets)
    except NotAllowedError:
        wrong.note(address, now)
        raise
    return _writer(value, secrets) if writes else found


def holder(headers: Mapping[str, str], secrets: Secrets, *, writes: bool) -> str:
    """Return the name of the token's holder, empty for a shared token.

    NotAllowedError when it is no token, ReadOnlyError when it only reads and the request writes. A token that does not
    fit is compared once more with values read again: it may just have been made.
    """
    value = sent(headers)
    found = _holder(value, secrets)
    return _writer(value, secrets) if writes else found


def _writer(sent: str, secrets: Secrets) -> str:
    """Return the holder of a token that may change something; the secrets are read again before one is refused."""
    found = _match(sent, secrets.values(WRITING))
    if found is None:
        found = _match(sent, secrets.renewed(WRITING))
    if found is None:
        raise ReadOnlyError("this token only reads: expected is one of API_TOKEN, since PAGE_TOKEN may change nothing")
    return found


def _holder(sent: str, secrets: Secrets) -> str:
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


def sent(headers: Mapping[str, str], *, basic: bool = False) -> str:
    """Return the token of the header. Raise NotAllowedError without one."""
    said = next((value for name, value in headers.items() if name.lower() == "authorization"), "")
    scheme, _, token = said.strip().partition(" ")
    if basic and scheme.lower() == "basic":
        token = _password(token.strip())
    elif scheme.lower() != "bearer":
        token = ""
    if not token.strip():
        also = " or a token as the password of basic authentication" if basic else ""
        raise NotAllowedError(f"no token: expected is the header `Authorization: Bearer <token>`{also}")
    return token.strip()


def _password(credentials: str) -> str:
    """Return the password of basic authentication; empty for what is none."""
    try:
        return b64decode(credentials, validate=True).decode().partition(":")[2].strip()
    except (binascii.Error, UnicodeDecodeError):
        return ""


def _match(sent: str, values: Sequence[str]) -> str | None:
    """Return the holder of the value that was sent. Every value is compared, by digests of one length."""
    found: str | None = None
    for value in values:
        name, _, own = value.rpartition(":")
        if compare_digest(_digest(sent), _digest(own)) and len(own) >= MIN_TOKEN_CHARACTERS:
            found = name.strip()
    return found


def _digest(text: str) -> bytes:
    return sha256(text.encode("utf-8", "surrogatepass")).digest()
