"""webhook → webhooks queue: verify, store, answer. Everything else happens after the answer.

Imports next to nothing, since Sentry gives a whole second, cold start included (`bench/cold_start.py`). The answers:

    202  stored; 200 for a sender's test of its address and for a request without a body that is only a handshake
    400  not JSON, not an object, or nested deeper than MAX_DEPTH
    401  does not prove that it comes from the sender
    404  no such source        413  over MAX_BODY_BYTES, unpacked too        415  not a JSON type, or packed in a way that is not read
    503  could not be stored, with Retry-After: our trouble is never a 4xx or a 429, which Alertmanager and PagerDuty
         take for a final no
"""

import gc
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from typing import Any, NoReturn, Protocol
from urllib.parse import urlencode

from chalicelib.core.errors import (
    ContentTypeError,
    NotStoredError,
    SignatureError,
    TooLargeError,
    UnreadableError,
    WebhookError,
)
from chalicelib.ingest.http_api import plain
from chalicelib.ingest.json_depth import is_deeper
from chalicelib.messages.webhook import MAX_BODY_BYTES, MAX_MESSAGE_BYTES, Webhook, compressed, written

MAX_DEPTH = 100
"""Objects and lists in one another. Deeper than any sender goes, shallower than what recursion can walk."""
RETRY_AFTER_SECONDS = 10
MAX_HEADER_CHARACTERS = 1_000
MAX_HEADERS = 40

_JSON_TYPE = re.compile(r"(application|text)/([a-z0-9.!#$&^_-]+\+)?json")
_FORM_TYPES = ("application/x-www-form-urlencoded", "multipart/form-data")
_KEPT = re.compile(
    r"content-type|user-agent|idempotency-key|request-id|cf-ray|sentry-hook-(resource|timestamp)"
    r"|(webhook|x-[a-z0-9-]+)-(id|guid|timestamp|event|topic|delivery)"
)
_SECRET = re.compile(r"auth|cookie|credential|api-?key|passw|secret|session|signature|token|user-id")
_HANDSHAKES = frozenset({"sentry-app-signature"})
"""Signed requests of a sender's own settings page, which may have no body at all."""


class Source(Protocol):
    """What a source plug-in does before a webhook is stored."""

    @property
    def SECRETS(self) -> tuple[str, ...]:
        """Return the names of its secrets."""
        ...

    def verify(
        self, headers: Mapping[str, str], body: bytes, secrets: Sequence[str], *, path_secret: str | None = None
    ) -> None:
        """Raise SignatureError unless the request comes from the sender."""
        ...

    def delivery_id(self, headers: Mapping[str, str], body: bytes) -> str | None:
        """Return what is equal on every delivery of one webhook; None when the sender gives nothing of the kind."""
        ...


class Secrets(Protocol):
    """Where the live values of secrets are; both may raise NotStoredError."""

    def values(self, names: Sequence[str]) -> Sequence[str]:
        """Return all live values of those names."""
        ...

    def renewed(self, names: Sequence[str]) -> Sequence[str]:
        """Return the same, read again if that was not just done."""
        ...


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """The answer to a sender, as JSON or as a text of its own. `reason` is for our log."""

    status: int
    body: Mapping[str, Any] | str
    headers: Mapping[str, str] = field(default_factory=dict)
    reason: str = ""


def as_form(headers: Mapping[str, str], query: Mapping[str, Sequence[str]]) -> tuple[dict[str, str], bytes]:
    """Return headers and body of a GET as if its query were a form: only sources that take forms will have it."""
    kept = {name: value for name, value in headers.items() if name.lower() not in ("content-type", "content-encoding")}
    return {**kept, "content-type": _FORM_TYPES[0]}, urlencode(query, doseq=True).encode()


def receive(
    source: str,
    headers: Mapping[str, str],
    body: bytes,
    *,
    path_secret: str | None,
    find: Callable[[str], Source],
    secrets: Secrets,
    put: Callable[[str], None],
    keep: Callable[[str, bytes], None],
    now: datetime,
    address: str = "",
) -> HttpResponse:
    """Verify one webhook and store it by `put`; the answer is 2xx only after that returned.

    `find` gives the plug-in of a name or raises UnknownSourceError; `keep` stores a compressed body too large for a
    message under a name; `address` is the sender's, as the gateway knows it. Nothing is raised but what a broken plug-in
    raises.
    """
    try:
        plugin = find(source)
        lower = {name.lower(): str(value) for name, value in headers.items()}
        body = plain(lower, body)
        is_form = _check_form(plugin, lower, body)
        _check_address(plugin, address)
        check_sender(plugin, lower, body, path_secret, secrets)
        if not body.strip() and not _HANDSHAKES.isdisjoint(lower):
            return HttpResponse(200, {"status": "ok"}, reason="handshake")
        with _no_collection():
            test = not is_form and _is_test(checked_json(body, lists=takes_forms(plugin)))
        webhook = _webhook(source, plugin, lower, body, now)
        _store(webhook, put, keep)
    except WebhookError as error:
        return HttpResponse(error.status, {"error": str(error)}, reason=str(error))
    except NotStoredError as error:
        retry = {"Retry-After": str(RETRY_AFTER_SECONDS)}
        return HttpResponse(503, {"error": "could not be stored; try again"}, retry, reason=str(error))
    if test:
        return HttpResponse(200, {"status": "accepted", "id": webhook.id}, reason="test")
    return HttpResponse(202, {"status": "accepted", "id": webhook.id})


def checked_json(body: bytes, *, lists: bool = False) -> Any:
    """Return the object in a body, or with `lists` a list; raises UnreadableError for anything else, NaN and too deep nesting included."""
    payload = json_value(body)
    if not isinstance(payload, dict) and not (lists and isinstance(payload, list)):
        raise UnreadableError("the body is JSON but not an object" + (" or a list" if lists else ""))
    return payload


def json_value(body: bytes) -> Any:
    """Return the value in a body; raise UnreadableError for what is no JSON, for NaN and for too deep nesting.

    Control characters inside of texts are taken: the signature was right, and a 4xx would lose the alert.
    """
    try:
        payload = json.loads(body, parse_constant=_refuse_constant, strict=False)
    except RecursionError:
        raise UnreadableError(f"the body is nested too deep; allowed are {MAX_DEPTH} levels") from None
    except ValueError:
        raise UnreadableError("the body is not JSON in UTF-8") from None
    if is_deeper(body, MAX_DEPTH):
        raise UnreadableError(f"the body is nested too deep; allowed are {MAX_DEPTH} levels")
    return payload


@contextmanager
def _no_collection() -> Iterator[None]:
    """Switch garbage collection off while JSON is read: it makes no garbage, and looking for some doubles the time of a large body."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def kept_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the headers that say something about the webhook and are no secret, by lower-case names, cut and counted."""
    kept = [
        (name, value[:MAX_HEADER_CHARACTERS])
        for name, value in sorted(headers.items())
        if _KEPT.fullmatch(name) and not _SECRET.search(name)
    ]
    return dict(kept[:MAX_HEADERS])


def takes_forms(plugin: Source) -> bool:
    """Return whether the source reads forms, lists and JSON of any text type beside JSON objects: a declared one does."""
    return bool(getattr(plugin, "TAKES_FORMS", False))


def _check_form(plugin: Source, headers: Mapping[str, str], body: bytes) -> bool:
    """Return whether the body is a form. Raise for one that is too large, or of a type that the source does not read."""
    if len(body) > MAX_BODY_BYTES:
        raise TooLargeError(f"the body has {len(body)} bytes; allowed are {MAX_BODY_BYTES}")
    kind = _type_of(headers)
    if not kind or _JSON_TYPE.fullmatch(kind):
        return False
    if takes_forms(plugin):
        if kind in _FORM_TYPES:
            return True
        if kind == "text/plain":
            return False
        raise ContentTypeError(f"the content type is not read here; allowed are JSON, {', '.join(_FORM_TYPES)}")
    check_type(headers)
    return False


def check_type(headers: Mapping[str, str]) -> None:
    """Raise ContentTypeError unless the body is said to be JSON, or nothing is said."""
    kind = _type_of(headers)
    if kind and not _JSON_TYPE.fullmatch(kind):
        raise ContentTypeError("the content type is not JSON; allowed are application/json and application/*+json")


def _type_of(headers: Mapping[str, str]) -> str:
    return headers.get("content-type", "").partition(";")[0].strip().lower()


def _check_address(plugin: Source, address: str) -> None:
    """Raise SignatureError for an address that a declared source does not allow."""
    allows: Callable[[str], bool] | None = getattr(plugin, "allows_address", None)
    if allows is not None and not allows(address):
        raise SignatureError("the address of the sender is not one that this source allows")


def check_sender(
    plugin: Source, headers: Mapping[str, str], body: bytes, path_secret: str | None, secrets: Secrets
) -> None:
    """Raise SignatureError unless the request comes from the sender.

    A signature that does not fit is tried once more with values read again: the secret may just have changed.
    """
    values = list(secrets.values(plugin.SECRETS))
    try:
        plugin.verify(headers, body, values, path_secret=path_secret)
    except SignatureError:
        renewed = list(secrets.renewed(plugin.SECRETS))
        if renewed == values:
            raise
        plugin.verify(headers, body, renewed, path_secret=path_secret)


def _webhook(source: str, plugin: Source, headers: Mapping[str, str], body: bytes, now: datetime) -> Webhook:
    delivery = plugin.delivery_id(headers, body) or sha256(body).hexdigest()[:32]
    return Webhook(id=str(delivery)[:200], source=source, body=body, received_at=now, headers=kept_headers(headers))


def _store(webhook: Webhook, put: Callable[[str], None], keep: Callable[[str, bytes], None]) -> None:
    data = compressed(webhook.body)
    message = written(webhook, data)
    if len(message) > MAX_MESSAGE_BYTES:
        name = f"{webhook.source}-{sha256(webhook.body).hexdigest()}-{webhook.received_at:%Y%m%dT%H%M%S%f}"
        keep(name, data)
        message = written(
            Webhook(webhook.id, webhook.source, b"", webhook.received_at, webhook.headers, body_ref=name), b""
        )
    put(message)


def _is_test(payload: Any) -> bool:
    """Return a body of nothing but a sentence is how Cloudflare tries an address; it wants a plain 200."""
    return isinstance(payload, dict) and set(payload) == {"text"} and isinstance(payload["text"], str)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
