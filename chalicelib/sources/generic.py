"""Any JSON, understood by an entry of `sources:` in alert-rules.yaml: a team adds a sender without code.

    sources:
      - name: backups
        auth: {type: hmac-sha256, header: X-Signature, prefix: "sha256=", secret: BACKUPS_SECRET}
        events: data.items                 # a list inside the body; without it the body is one event
        id: run.id                         # what the event is about: equal for a fault and for its end
        title: "summary || message"        # the first that says something
        status: state                      # firing, alerting, down, …; ok, resolved, up, … ends; other words: information
        severity: level
        statuses: {broken: firing, mended: resolved}      # words of its own, also `severities:`
        labels: {host: machine.name, disk: "disks[0].name"}   # or a path to an object; `annotations:` alike
        summary, url, service, environment, kind, occurred_at, event_id: …

`auth` is `hmac-sha256` (hex, or base64 with `encoding: base64`), `bearer`, `basic`, `path` (the secret in the address)
or `standard-webhooks` (https://www.standardwebhooks.com); `secret` names where the secret is kept, without it
`<NAME>_SECRET`. Paths are keys with dots, `[0]` or `[-1]`, "quoted keys", `'fixed texts'`, and `||` for "or else".
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from chalicelib.core.errors import SignatureError
from chalicelib.core.event import Event, Severity, Status
from chalicelib.core.payload import coerce, signing

NAME = "generic"
TITLE = ""
"""An entry of `sources:` is called by its own name."""
SECRETS: tuple[str, ...] = ()
"""Those of an entry come from `secrets(mapping)`."""
AUTH_KINDS = ("hmac-sha256", "bearer", "basic", "path", "standard-webhooks")
FIELDS = (
    "id", "title", "status", "severity", "summary", "url", "service", "environment", "kind", "occurred_at", "event_id",
    "name",
)  # fmt: skip
TABLES = ("labels", "annotations")
WORDS = ("statuses", "severities")
KEYS = frozenset(
    {"name", "auth", "header", "prefix", "encoding", "secret", "events", "fields", "delivery_id"}
    | {*FIELDS, *TABLES, *WORDS}
)
TOLERANCE = timedelta(minutes=5)
"""What Standard Webhooks allow a timestamp to be off."""
MAX_EVENTS = 1_000
MAX_PATH_CHARACTERS = 300
MAX_SEVERITY_CHARACTERS = 60

_ALIASES = {
    "hmac": "hmac-sha256", "hmac_sha256": "hmac-sha256", "sha256": "hmac-sha256", "token": "bearer",
    "path-secret": "path", "secret-path": "path", "path_secret": "path", "secret_path": "path", "url": "path",
    "standard_webhooks": "standard-webhooks", "standardwebhooks": "standard-webhooks", "svix": "standard-webhooks",
}  # fmt: skip
_FIRES = frozenset([
    "firing", "alerting", "alert", "triggered", "trigger", "open", "opened", "critical", "warning", "error", "err",
    "failed", "failure", "failing", "fail", "down", "problem", "bad", "active", "new", "created", "start",
    "started", "unhealthy", "degraded", "offline", "true", "1", "unresolved", "broken", "raised",
])  # fmt: skip
_ENDS = frozenset([
    "resolved", "resolve", "ok", "closed", "close", "up", "recovered", "recovery", "healthy", "normal", "success",
    "succeeded", "successful", "passed", "end", "ended", "inactive", "fixed", "cleared", "clear", "online", "false",
    "0", "good", "completed", "done", "mended",
])  # fmt: skip
_STEP = re.compile(
    r"""\.?(?:"([^"]{1,100})"|\[(?:(-?\d{1,6})|["']([^"'\]]{1,100})["'])\]|([A-Za-z_@$][\w@$:/-]{0,99}))"""
)


# ---------------------------------------------------------------------------------------------------------------------
# At the door


def secrets(mapping: Mapping[str, Any]) -> tuple[str, ...]:
    """The name of the secret of an entry."""
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
    elif kind == "hmac-sha256":
        _verify_hmac(headers, body, known, auth)
    elif kind == "path":
        if path_secret is None or not signing.one_of(path_secret, known):
            raise SignatureError("the secret in the address is missing or wrong")
    else:
        _verify_token(headers, known, auth)


def _auth(mapping: Mapping[str, Any]) -> dict[str, Any]:
    """How an entry proves itself, in one form: `auth: bearer`, `auth: {type: …}` and `auth: {bearer: {…}}` are read."""
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


def delivery_id(headers: Mapping[str, str], body: bytes, mapping: Mapping[str, Any] | None = None) -> str | None:
    """The header that the entry names as `delivery_id`, else `webhook-id` or `idempotency-key`."""
    named = str((mapping or {}).get("delivery_id") or "").lower()
    return (headers.get(named) if named else None) or headers.get("webhook-id") or headers.get("idempotency-key")


# ---------------------------------------------------------------------------------------------------------------------
# What it says


def parse(
    headers: Mapping[str, str], body: bytes, *, received_at: datetime, mapping: Mapping[str, Any] | None = None
) -> list[Event]:
    """The events of a body; raises ParseError when it is no JSON object, or holds too many. Without an entry, usual names
    are tried."""
    payload = coerce.json_object(body)
    fields = _fields(mapping or {})
    path = fields.get("events")
    found = [each for each in _found_list(payload, path) if isinstance(each, dict)] if path else [payload]
    events = (_event(each, payload, fields, received_at) for each in found or [payload])
    return coerce.bounded_list(events, MAX_EVENTS)


_USUAL: Mapping[str, str] = {
    "title": "title || summary || name || subject || message || text",
    "status": "status || state",
    "severity": "severity || level || priority",
    "summary": "description || message || text || summary",
    "url": "url || link || html_url",
    "service": "service || labels.service",
    "environment": "environment || env || labels.environment",
    "kind": "type || event_type || event || kind",
    "occurred_at": "occurred_at || timestamp || time || created_at || date",
    "id": "id || alert_id || incident_id || fingerprint || key",
    "labels": "labels",
}


def _fields(mapping: Mapping[str, Any]) -> dict[str, Any]:
    """The entry with its paths at one level, and the usual names where it says nothing of a field."""
    inner: dict[str, Any] = {}
    for key in ("fields", "mapping", "map", "paths"):
        inner |= coerce.table(mapping.get(key))
    own = {**mapping, **inner, "source": mapping.get("name") or NAME}
    own["name"] = inner.get("name")
    return {**_USUAL, **{key: value for key, value in own.items() if value is not None}}


def _event(item: Mapping[str, Any], payload: Mapping[str, Any], fields: Mapping[str, Any], at: datetime) -> Event:
    def said(field: str, limit: int = coerce.MAX_VALUE_CHARACTERS) -> str:
        return coerce.line(found(item, fields.get(field), payload), limit)

    status = _status(found(item, fields.get("status"), payload), fields)
    kind = coerce.word(found(item, fields.get("kind"), payload)) or "event"
    labels = _table(item, fields.get("labels"), payload)
    title = said("title", coerce.MAX_TITLE_CHARACTERS) or f"{fields['source']}: {kind}"
    number = said("id", 300)
    identity = number or coerce.digest([kind, title, labels])
    occurred_at = coerce.instant(found(item, fields.get("occurred_at"), payload))
    return coerce.made_event(
        id=said("event_id", 200) or _occurrence(identity, status, occurred_at, item),
        source=str(fields["source"]),
        kind=kind,
        name=said("name", 200),
        status=status,
        severity=_severity(found(item, fields.get("severity"), payload), fields, status),
        title=title,
        summary=coerce.text(found(item, fields.get("summary"), payload), coerce.MAX_SUMMARY_CHARACTERS),
        url=coerce.address(found(item, fields.get("url"), payload)),
        service=said("service", 200),
        environment=said("environment", 200),
        occurred_at=occurred_at or at,
        identity=identity,
        labels=labels,
        annotations=_table(item, fields.get("annotations"), payload),
        severity_raw=said("severity", MAX_SEVERITY_CHARACTERS),
    )


def _occurrence(identity: str, status: Status, occurred_at: datetime | None, item: Mapping[str, Any]) -> str:
    return f"{identity}:{status.value}:{occurred_at.isoformat() if occurred_at else ''}:{coerce.digest(item)}"


def _status(value: Any, fields: Mapping[str, Any]) -> Status:
    """By the entry's own words, then by usual ones. Nothing said fires; a word nobody knows is information."""
    word = coerce.line(value, 60).lower()
    own = {str(key).lower(): str(each).lower() for key, each in coerce.table(fields.get("statuses")).items()}
    word = own.get(word, word)
    if word == "info":
        return Status.INFO
    if not word or word in _FIRES:
        return Status.FIRING
    return Status.RESOLVED if word in _ENDS else Status.INFO


def _severity(value: Any, fields: Mapping[str, Any], status: Status) -> Severity:
    own = {str(key).lower(): each for key, each in coerce.table(fields.get("severities")).items()}
    default = Severity.INFO if status is Status.INFO else Severity.WARNING
    word = coerce.line(value, MAX_SEVERITY_CHARACTERS).lower()
    return coerce.severity(own.get(word, value), default=default)


def _table(item: Mapping[str, Any], wanted: Any, payload: Mapping[str, Any]) -> dict[str, str]:
    if isinstance(wanted, dict):
        return coerce.labels([(key, found(item, path, payload)) for key, path in wanted.items()])
    return coerce.labels(coerce.table(found(item, wanted, payload)).items())


def _found_list(payload: Mapping[str, Any], path: Any) -> list[Any]:
    value = found(payload, path, payload)
    return value if isinstance(value, list) else [value]


# ---------------------------------------------------------------------------------------------------------------------
# Paths


def found(item: Any, path: Any, outer: Any = None) -> Any:
    """What the first of a path's alternatives leads to in the item, else in the whole body; None for nowhere."""
    if not isinstance(path, str) or not path:
        return None
    for steps in _alternatives(path[:MAX_PATH_CHARACTERS]):
        for start in (item, outer) if outer is not item else (item,):
            value = _walked(start, steps)
            if value is not None and value != "":
                return value
    return None


def _alternatives(path: str) -> Iterator[list[str | int] | str]:
    for part in path.split("||"):
        part = part.strip()
        if len(part) > 1 and part[0] == part[-1] == "'":
            yield part[1:-1]
            continue
        steps = _steps(part)
        if steps is not None:
            yield steps


def _steps(part: str) -> list[str | int] | None:
    """The keys and indexes of one path; None when it is none."""
    part = part.removeprefix("$").removeprefix("@").removeprefix(".")
    steps: list[str | int] = []
    position = 0
    while position < len(part):
        match = _STEP.match(part, position)
        if not match or (position and part[position] not in '.["'):
            return None
        quoted, index, bracketed, plain = match.groups()
        steps.append(int(index) if index is not None else quoted or bracketed or plain)
        position = match.end()
    return steps


def _walked(value: Any, steps: list[str | int] | str) -> Any:
    if isinstance(steps, str):
        return steps
    for step in steps:
        if isinstance(step, int):
            if not isinstance(value, list) or not -len(value) <= step < len(value):
                return None
            value = value[step]
        elif isinstance(value, dict):
            value = value.get(step)
        else:
            return None
    return value


# ---------------------------------------------------------------------------------------------------------------------
# Mistakes in an entry


def validate(mapping: Mapping[str, Any]) -> list[str]:
    """What is wrong with an entry, each with what is allowed; empty when nothing is."""
    mistakes = [
        f"{key} is not a field of a source; allowed is one of {', '.join(sorted(KEYS))}"
        for key in mapping
        if key not in KEYS and key not in ("mapping", "map", "paths")
    ]
    if (Path(__file__).with_name(f"{mapping.get('name')}.py")).is_file():
        mistakes.append(f"{mapping['name']} is built in; allowed is a name of its own")
    kind = _auth(mapping)["type"]
    if mapping.get("auth") is None:
        mistakes.append(f"auth is missing; allowed is one of {', '.join(AUTH_KINDS)}")
    elif kind not in AUTH_KINDS:
        mistakes.append(f"auth does not know {kind}; allowed is one of {', '.join(AUTH_KINDS)}")
    fields = _fields(mapping)
    for key in ("events", *FIELDS):
        if key != "name" and fields.get(key) is not None:
            mistakes += _path_mistakes(key, fields[key])
    for key in TABLES:
        wanted = fields.get(key)
        pairs = wanted.items() if isinstance(wanted, dict) else [("", wanted)]
        for name, path in pairs:
            if path is not None:
                mistakes += _path_mistakes(f"{key}.{name}".rstrip("."), path)
    return mistakes + _word_mistakes(fields)


def _path_mistakes(field: str, path: Any) -> list[str]:
    allowed = "a path such as data.items[0].name, two with || between, or a text in single quotes"
    if not isinstance(path, str) or not path.strip() or len(path) > MAX_PATH_CHARACTERS:
        return [f"{field} is no path; allowed is {allowed}"]
    parts = [part.strip() for part in path.split("||")]
    broken = [part for part in parts if not (part[:1] == part[-1:] == "'" and len(part) > 1) and not _steps(part)]
    return [f"{field} has a path that cannot be read: {part}; allowed is {allowed}" for part in broken]


def _word_mistakes(fields: Mapping[str, Any]) -> list[str]:
    mistakes = []
    for key, allowed in (("statuses", ("firing", "resolved", "info")), ("severities", ("critical", "warning", "info"))):
        words = fields.get(key)
        if words is None:
            continue
        if not isinstance(words, dict):
            mistakes.append(f"{key} is no table of words; allowed is the sender's word: {' or '.join(allowed)}")
            continue
        mistakes += [
            f"{key}.{word} is {meaning}; allowed is {', '.join(allowed)}"
            for word, meaning in words.items()
            if str(meaning).lower() not in allowed
        ]
    return mistakes
