"""Any JSON or form, understood by an entry of `sources:` in alert-rules.yaml: a team adds a sender without code.

    sources:
      - name: backups
        auth: {type: hmac-sha256, header: X-Signature, prefix: "sha256=", secret: BACKUPS_SECRET}
        each: data.items                   # a list inside the body; without it the body is one event, or a list of them
        id: run.id                         # what the event is about: equal for a fault and for its end
        title: "summary || message"        # the first that says something
        status: state                      # firing, alerting, down, …; ok, resolved, up, … ends
        severity: level
        statuses: {broken: firing, mended: resolved}      # words of its own, also `severities:`
        labels: {host: machine.name, disk: "disks[0].name"}   # or a path to an object or pairs; `annotations:` alike
        summary, url, service, environment, kind, occurred_at, event_id, ends_when, extract, constant_labels: …

`auth` is `hmac-sha256` (hex, or base64 with `encoding: base64`), `bearer`, `basic`, `path` (the secret in the address),
`standard-webhooks` (https://www.standardwebhooks.com) or `stripe` (https://docs.stripe.com/webhooks/signature); `secret` names
where the secret is kept, without it `<NAME>_SECRET`. `allow` are the networks that may send. What a path is says
`_generic_paths.py`; what a body says is read in `_generic.py`, which is loaded when the first one is.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from chalicelib.core.errors import SignatureError
from chalicelib.core.payload import coerce, signing

if TYPE_CHECKING:
    from chalicelib.core.event import Event

NAME = "generic"
TITLE = ""
"""An entry of `sources:` is called by its own name."""
SECRETS: tuple[str, ...] = ()
"""Those of an entry come from `secrets(mapping)`."""
AUTH_KINDS = ("hmac-sha256", "bearer", "basic", "path", "standard-webhooks", "stripe")
TOLERANCE = timedelta(minutes=5)
"""What Standard Webhooks and Stripe allow a timestamp to be off."""

_ALIASES = {
    "hmac": "hmac-sha256", "hmac_sha256": "hmac-sha256", "sha256": "hmac-sha256", "token": "bearer",
    "path-secret": "path", "secret-path": "path", "path_secret": "path", "secret_path": "path", "url": "path",
    "standard_webhooks": "standard-webhooks", "standardwebhooks": "standard-webhooks", "svix": "standard-webhooks",
}  # fmt: skip

# ---------------------------------------------------------------------------------------------------------------------
# At the door


def secrets(mapping: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the name of the secret of an entry."""
    auth = _auth(mapping)
    named = auth.get("secret") or mapping.get("secret")
    if isinstance(named, str) and named:
        return (named,)
    return (re.sub(r"[^A-Z0-9]+", "_", str(mapping.get("name", "")).upper()) + "_SECRET",)


def verify(
    headers: Mapping[str, str],
    body: bytes,
    secrets: Sequence[str],
    *,
    path_secret: str | None = None,
    mapping: Mapping[str, Any] | None = None,
    now: datetime | None = None,
) -> None:
    """Raise SignatureError unless the request proves itself as the entry says. `now` None: no look at its age."""
    known = signing.live(secrets)
    auth = _auth(mapping or {})
    kind = auth["type"]
    if kind == "standard-webhooks":
        _verify_standard(headers, body, known, now)
    elif kind == "stripe":
        _verify_stripe(headers, body, known, auth, now)
    elif kind == "hmac-sha256":
        _verify_hmac(headers, body, known, auth)
    elif kind == "path":
        if path_secret is None or not signing.one_of(path_secret, known):
            raise SignatureError("the secret in the address is missing or wrong")
    else:
        _verify_token(headers, known, auth)


def _auth(mapping: Mapping[str, Any]) -> dict[str, Any]:
    """Return how an entry proves itself, in one form: `auth: bearer`, `auth: {type: …}` and `auth: {bearer: {…}}` are read."""
    auth = mapping.get("auth")
    if isinstance(auth, str):
        auth = {"type": auth, **{key: mapping[key] for key in ("header", "prefix", "encoding") if mapping.get(key)}}
    found = dict(coerce.table(auth))
    kind = found.get("type") or found.get("kind") or found.get("scheme")
    if kind is None and len(found) == 1:
        kind, inner = next(iter(found.items()))
        found = dict(inner) if isinstance(inner, dict) else {"header": inner} if "hmac" in str(kind) else {}
    kind = str(kind or "bearer").strip().lower()
    return {**found, "type": _ALIASES.get(kind, kind)}


def _verify_hmac(headers: Mapping[str, str], body: bytes, known: Sequence[str], auth: Mapping[str, Any]) -> None:
    name = str(auth.get("header") or "x-signature").lower()
    given = headers.get(name, "").strip()
    if not given:
        raise SignatureError(f"the request has no {name}")
    prefix = str(auth.get("prefix") or "")
    if prefix and not given.startswith(prefix):
        raise SignatureError(f"{name} does not begin as this source's signatures do")
    given = given[len(prefix) :] if prefix else re.sub(r"^(?:sha256|v1)=", "", given)
    if str(auth.get("encoding", "hex")).lower() == "base64":
        found = sum(signing.same(given, signing.base64_signature(secret, body)) for secret in known) > 0
    else:
        found = signing.signed(body, known, [given], algorithm="sha256")
    if not found:
        raise SignatureError(f"the signature in {name} does not fit the body")


def _verify_token(headers: Mapping[str, str], known: Sequence[str], auth: Mapping[str, Any]) -> None:
    name = str(auth.get("header") or "authorization").lower()
    given = headers.get(name, "")
    if not given:
        raise SignatureError(f"the request has no {name}")
    bare = name != "authorization" and signing.one_of(given.strip(), known)
    scheme = given.strip().partition(" ")[0].lower()
    if not bare and not (scheme == auth["type"] and signing.authorized(given, known)):
        raise SignatureError(f"the secret in {name} is wrong")


def _verify_standard(headers: Mapping[str, str], body: bytes, known: Sequence[str], now: datetime | None) -> None:
    number, sent, given = (headers.get(f"webhook-{name}", "") for name in ("id", "timestamp", "signature"))
    if not (number and sent and given):
        raise SignatureError("the request lacks one of webhook-id, webhook-timestamp and webhook-signature")
    sent_at = coerce.instant(sent)
    if sent_at is None or not sent.isdigit():
        raise SignatureError("webhook-timestamp is no time in seconds")
    if now is not None and abs(now - sent_at) > TOLERANCE:
        raise SignatureError(f"webhook-timestamp is more than {TOLERANCE.seconds // 60} minutes off")
    content = b".".join((number.encode("utf-8", "replace"), sent.encode("ascii"), body))
    signatures = [each[3:] for each in given.split()[:20] if each.startswith("v1,")]
    found = [signing.same(each, signing.standard_signature(secret, content)) for secret in known for each in signatures]
    if not any(found):
        raise SignatureError("no signature in webhook-signature fits the body")


def _verify_stripe(
    headers: Mapping[str, str], body: bytes, known: Sequence[str], auth: Mapping[str, Any], now: datetime | None
) -> None:
    """Raise SignatureError unless one of the signatures `v1=…` fits the time `t=…` and the body."""
    name = str(auth.get("header") or "stripe-signature").lower()
    parts = [part.strip().partition("=") for part in headers.get(name, "").split(",")[:20]]
    sent = next((value for key, _, value in parts if key == "t"), "")
    given = [value for key, _, value in parts if key == "v1"]
    if not sent or not given:
        raise SignatureError(f"{name} lacks one of t= and v1=")
    sent_at = coerce.instant(sent)
    if sent_at is None or not sent.isdigit():
        raise SignatureError(f"t= in {name} is no time in seconds")
    if now is not None and abs(now - sent_at) > TOLERANCE:
        raise SignatureError(f"t= in {name} is more than {TOLERANCE.seconds // 60} minutes off")
    if not signing.signed(b".".join((sent.encode("ascii"), body)), known, given, algorithm="sha256"):
        raise SignatureError(f"no signature in {name} fits the body")


def allows(mapping: Mapping[str, Any], address: str) -> bool:
    """Return whether the entry takes webhooks from this address. Only an entry with `allow` asks."""
    allowed = mapping.get("allow")
    if not allowed:
        return True
    from chalicelib.sources import _generic

    return _generic.allows(address, allowed)


def delivery_id(headers: Mapping[str, str], body: bytes, mapping: Mapping[str, Any] | None = None) -> str | None:
    """Return the header that the entry names as `delivery_id`, else `webhook-id` or `idempotency-key`."""
    named = str((mapping or {}).get("delivery_id") or "").lower()
    return (headers.get(named) if named else None) or headers.get("webhook-id") or headers.get("idempotency-key")


# ---------------------------------------------------------------------------------------------------------------------
# What it says


def parse(
    headers: Mapping[str, str], body: bytes, *, received_at: datetime, mapping: Mapping[str, Any] | None = None
) -> "list[Event]":
    """Return the events of a body. Raise ParseError when it is in no form that is known, or holds too many.

    Without an entry, usual names are tried.
    """
    from chalicelib.sources import _generic

    return _generic.parse(headers, body, received_at=received_at, mapping=mapping)


def validate(mapping: Mapping[str, Any]) -> list[str]:
    """Return what is wrong with an entry, each with what is allowed; empty when nothing is."""
    from chalicelib.sources import _generic

    return _generic.validate(mapping, _auth(mapping)["type"], AUTH_KINDS)


def doubts(mapping: Mapping[str, Any]) -> list[str]:
    """Return what may be meant otherwise in an entry without mistakes, each with what is allowed."""
    from chalicelib.sources import _generic

    return _generic.doubts(mapping)
