"""Who is signed in: a one-time link becomes a session, and a session is a signed cookie. Pure; nothing is stored here.

Every text is `<content>.<signature>`: JSON in base64url, and HMAC-SHA256 over it and over what it is for, so that a link
is no session. SESSION_KEY holds the live keys, several separated by commas: the first signs, each of them verifies. To sign
everybody out, replace it.
"""

import base64
import binascii
import hmac
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

from chalicelib.core.errors import RequestError

KEY = "SESSION_KEY"
PAGE_URL = "PAGE_URL"
"""The setting with the address of the stage, which a deploy writes."""
MIN_KEY_CHARACTERS = 32
"""Anything shorter can be guessed: it signs nothing."""
LINK_LASTS = timedelta(minutes=5)
SESSION_LASTS = timedelta(days=7)
MAX_TEXT_CHARACTERS = 4_000
"""A browser keeps a cookie of 4,096 bytes."""
LINK, SESSION, FORM, SAID = "link", "session", "form", "said"
"""What a text is for."""


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who is signed in. `account` is what a door has checked, as core/account.py has it; `mail` an address that it has."""

    name: str
    account: str
    mail: str = ""


@dataclass(frozen=True, slots=True)
class Link:
    """A one-time link: whom it signs in, and when it was made. A person's links are used in the order of their making."""

    person: Person
    made_at: datetime


@dataclass(frozen=True, slots=True)
class Session:
    """A session of a person. `id` is its own, and what the tokens of its forms are made from."""

    person: Person
    id: str
    ends_at: datetime


def usable(keys: Sequence[str]) -> tuple[str, ...]:
    """Return the keys that are long enough to sign."""
    return tuple(key for key in keys if len(key) >= MIN_KEY_CHARACTERS)


def new_link(person: Person, keys: Sequence[str], now: datetime) -> str:
    """Return the text of a one-time link for a person. Raise RequestError where the stage has no key to sign it."""
    if not (found := usable(keys)):
        raise RequestError(f"nobody can sign in: the stage has no {KEY}; deploy it again")
    return link_text(Link(person, now), found[0])


def link_text(link: Link, key: str) -> str:
    """Return the text of a one-time link."""
    return signed({**_of_person(link.person), "a": link.made_at.timestamp()}, LINK, key)


def link_of(text: str, keys: Sequence[str], now: datetime) -> Link | None:
    """Return the link of a text; None where the text is none, was changed, or is too old."""
    found = content_of(text, LINK, keys)
    if found is None:
        return None
    made_at = datetime.fromtimestamp(float(found["a"]), UTC)
    return Link(_person(found), made_at) if made_at <= now < made_at + LINK_LASTS else None


def session_text(session: Session, key: str) -> str:
    """Return the text of a session, as the cookie holds it."""
    return signed({**_of_person(session.person), "s": session.id, "e": session.ends_at.timestamp()}, SESSION, key)


def session_of(text: str, keys: Sequence[str], now: datetime) -> Session | None:
    """Return the session of a cookie; None where the text is none, was changed, or has ended."""
    found = content_of(text, SESSION, keys)
    if found is None:
        return None
    ends_at = datetime.fromtimestamp(float(found["e"]), UTC)
    return Session(_person(found), str(found["s"]), ends_at) if now < ends_at else None


def form_token(session: Session, key: str) -> str:
    """Return what each form of a session holds: no page of somebody else can know it."""
    return _signature(session.id, FORM, key)


def is_form_token(sent: str, session: Session, keys: Sequence[str]) -> bool:
    """Return whether a form was made for this session."""
    return any(_is_equal(sent, form_token(session, key)) for key in keys)


def signed(content: Mapping[str, Any], purpose: str, key: str) -> str:
    """Return the content as text with its signature."""
    body = _encoded(json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass"))
    return f"{body}.{_signature(body, purpose, key)}"


def content_of(text: str, purpose: str, keys: Sequence[str]) -> dict[str, Any] | None:
    """Return the content of a signed text; None where it was not signed for this by one of the keys."""
    body, _, signature = text.partition(".")
    if len(text) > MAX_TEXT_CHARACTERS or not signature:
        return None
    if not any(_is_equal(signature, _signature(body, purpose, key)) for key in keys):
        return None
    try:
        found = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    except (ValueError, binascii.Error):
        return None
    return found if isinstance(found, dict) else None


def _of_person(person: Person) -> dict[str, Any]:
    return {"n": person.name, "c": person.account, "m": person.mail}


def _person(found: Mapping[str, Any]) -> Person:
    return Person(str(found["n"]), str(found["c"]), str(found["m"]))


def _signature(text: str, purpose: str, key: str) -> str:
    return _encoded(hmac.digest(key.encode(), f"{purpose}\0{text}".encode("utf-8", "surrogatepass"), sha256))


def _is_equal(sent: str, right: str) -> bool:
    return hmac.compare_digest(sent.encode("utf-8", "surrogatepass"), right.encode())


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
