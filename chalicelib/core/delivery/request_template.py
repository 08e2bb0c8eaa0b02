"""Requests that the rules file writes itself, `webhooks:`, made of the fields of a notification.

    webhooks:
      - name: phone
        url: https://ntfy.sh/
        headers: {Authorization: "Bearer $NTFY_TOKEN"}
        body: {topic: ops, title: "{{ title }}", priority: {$by: severity, critical: 5, else: 3}}
        resolved: {body: {topic: ops, title: "Resolved: {{ title }}"}}

A body that is a mapping is sent as JSON: values are put into the finished structure, so that none of them can change it.
A body that is a text is sent as text. In an address values are percent-encoded, in headers they are one line of ASCII.
`$NAME` is a secret of the stage. It is looked for in what the file says alone, never in a value.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from chalicelib.core.delivery.links import links, runbook_address
from chalicelib.core.delivery.notification import Notification, Reason
from chalicelib.core.delivery.text import cause, facts, label_values, plain_text, state_words, summary, title, why
from chalicelib.core.delivery.writing import clean, cut, duration_words, local_time, one_line, utf16_units
from chalicelib.core.language.tokens import nearest

METHODS = ("POST", "PUT", "PATCH")
KEYS = ("name", "url", "method", "headers", "body", "resolved", "updated", "sync", "plain")
VARIANTS = ("resolved", "updated", "sync", "plain")
REQUEST_KEYS = ("url", "method", "headers", "body")
FIELDS = (
    "title", "severity", "status", "state", "reason", "text", "summary", "cause", "service", "environment", "owner",
    "incident", "id", "key", "sequence", "events", "alerts", "started_at", "ended_at", "started", "lasted", "url", "runbook",
    "why", "labels", "group", "annotations",
)  # fmt: skip
KEYED = ("labels", "group", "annotations")
BY, ELSE = "$by", "else"
MAX_ENTRIES = 50
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_PLACE = re.compile(r"\{\{(.{0,400}?)\}\}", re.DOTALL)
_FIELD = re.compile(r"""\s*([a-z_]+)(?:\.([A-Za-z_][\w./-]*)|\[\s*"([^"]*)"\s*\])?\s*""")
_FILTER = re.compile(r"""\|\s*([a-z]+)\s*(?:\(\s*"([^"]*)"\s*\))?\s*""")
_SECRET = re.compile(r"\$([A-Z][A-Z0-9_]{2,60})")
_HOST = re.compile(r"https?://[^/?#{}$]+(?=[/?#]|$)")


def _limited(text: str, limit: str, measure: Callable[[str], int]) -> str:
    return cut(text, int(limit), measure)


def _html(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&quot;")


FILTERS: Mapping[str, Callable[[str, str], str]] = {
    "default": lambda text, other: text or other,
    "upper": lambda text, _: text.upper(),
    "lower": lambda text, _: text.lower(),
    "line": lambda text, _: one_line(text),
    "cut": lambda text, limit: _limited(text, limit, utf16_units),
    "bytes": lambda text, limit: _limited(text, limit, lambda each: len(each.encode("utf-8", "replace"))),
    "html": lambda text, limit: _html(_limited(text, limit, lambda each: utf16_units(_html(each))) if limit else text),
}
"""What may stand behind a field: `cut` counts characters, `bytes` bytes, `html` escapes and counts what is escaped."""
_NUMBERED = ("cut", "bytes")


@dataclass(frozen=True, slots=True)
class Request:
    """One request, ready to be sent."""

    method: str
    url: str
    headers: Mapping[str, str]
    content: bytes


def variant_of(
    entry: Mapping[str, Any], notification: Notification, *, plain: bool = False
) -> Mapping[str, Any] | None:
    """Return what an entry says of a notification's request; None where nothing is sent for it."""
    over = notification.status == "resolved" or notification.reason is Reason.RESOLVED
    changes: Any = {}
    if notification.reason is Reason.SYNC:
        changes = entry.get("sync", False)
    elif over:
        changes = entry.get("resolved", {})
    elif notification.reason not in (Reason.OPENED, Reason.TEST):
        changes = entry.get("updated", {})
    if not isinstance(changes, Mapping):
        return None
    base = {name: entry[name] for name in REQUEST_KEYS if name in entry}
    merged = {**base, **changes, "headers": {**(base.get("headers") or {}), **(changes.get("headers") or {})}}
    more = entry.get("plain") if plain else None
    return {**merged, **more} if isinstance(more, Mapping) else merged


def request_of(
    entry: Mapping[str, Any], notification: Notification, secret: Callable[[str], str], *, plain: bool = False
) -> Request | None:
    """Return the request of a notification; None where the entry sends none. `secret` raises for one that is not set."""
    found = variant_of(entry, notification, plain=plain)
    if found is None:
        return None
    fields = fields_of(notification)
    url = _text(str(found["url"]), fields, secret, lambda text: quote(text, safe=""))
    headers = {name: _text(str(text), fields, secret, _header) for name, text in found["headers"].items()}
    body = found.get("body", "")
    if isinstance(body, str):
        content, kind = _text(body, fields, secret, str).encode("utf-8", "replace"), "text/plain; charset=utf-8"
    else:
        filled = _filled(body, fields, secret)
        content, kind = json.dumps(filled, ensure_ascii=False).encode("utf-8", "replace"), "application/json"
    named = {name.lower() for name in headers}
    return Request(
        str(found.get("method") or "POST"),
        url,
        headers if "content-type" in named else {**headers, "Content-Type": kind},
        content,
    )


def _header(text: str) -> str:
    return one_line(text).encode("ascii", "replace").decode()


def _filled(value: Any, fields: Mapping[str, Any], secret: Callable[[str], str]) -> Any:
    """Return a body with its values. A text that is one place alone keeps the kind of its field: a number, a mapping."""
    if isinstance(value, Mapping):
        if BY in value:
            chosen = value.get(str(fields.get(str(value[BY]), "")), value.get(ELSE))
            return _filled(chosen, fields, secret)
        return {str(key): _filled(each, fields, secret) for key, each in value.items()}
    if isinstance(value, list):
        return [_filled(each, fields, secret) for each in value]
    if not isinstance(value, str):
        return value
    whole = _FIELD.fullmatch(value.strip()[2:-2]) if _PLACE.fullmatch(value.strip()) else None
    if whole is not None and not (whole[2] or whole[3]):
        return fields.get(whole[1], "")
    return _text(value, fields, secret, str)


def _text(template: str, fields: Mapping[str, Any], secret: Callable[[str], str], written: Callable[[str], str]) -> str:
    """Return a text with its values, each written as its place needs it, and with its secrets."""
    parts, start = [], 0
    for place in _PLACE.finditer(template):
        parts.append(_SECRET.sub(lambda found: secret(found[1]), template[start : place.start()]))
        parts.append(written(_value(place[1], fields)))
        start = place.end()
    parts.append(_SECRET.sub(lambda found: secret(found[1]), template[start:]))
    return "".join(parts)


def _value(inner: str, fields: Mapping[str, Any]) -> str:
    found = _FIELD.match(inner)
    if found is None:
        return ""
    value, key = fields.get(found[1], ""), found[2] or found[3]
    if key:
        value = value.get(key, "") if isinstance(value, Mapping) else ""
    text = json.dumps(value, ensure_ascii=False) if isinstance(value, Mapping) else str(value)
    for each in _FILTER.finditer(inner, found.end()):
        text = FILTERS[each[1]](text, each[2] or "")
    return text


def fields_of(notification: Notification) -> dict[str, Any]:
    """Return the fields by their names. A text that is missing is empty."""
    lead, incident, zone = (
        next(iter(notification.alerts), None),
        notification.incident,
        notification.background.timezone,
    )
    ended, known = incident.ended_at, dict(facts(notification))
    labels = {one_line(name): clean(text) for name, text in lead.labels.items()} if lead else {}
    annotations = {one_line(name): clean(text) for name, text in lead.annotations.items()} if lead else {}
    return {
        "title": title(notification),
        "severity": notification.severity.value,
        "status": notification.status,
        "state": state_words(notification),
        "reason": notification.reason.value,
        "text": plain_text(notification),
        "summary": summary(lead) if lead else "",
        "cause": " ".join(cause(notification)),
        "service": label_values(notification, "service"),
        "environment": label_values(notification, "environment"),
        "owner": known.get("Owner", ""),
        "incident": clean(incident.id),
        "id": clean(notification.id),
        "key": clean(incident.key),
        "sequence": notification.seq,
        "events": incident.events,
        "alerts": len(notification.alerts) + notification.also,
        "started_at": incident.started_at.isoformat(),
        "ended_at": ended.isoformat() if ended else "",
        "started": local_time(incident.started_at, zone),
        "lasted": duration_words((ended or notification.at) - incident.started_at),
        "url": next(
            (url for label, url in links(notification) if label != "Runbook"), runbook_address(notification) or ""
        ),
        "runbook": runbook_address(notification) or "",
        "why": why(notification),
        "labels": labels,
        "group": {one_line(name): clean(text) for name, text in incident.group.items()},
        "annotations": annotations,
    }


def secrets_in(entry: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the names of the secrets that an entry may need."""
    return tuple(dict.fromkeys(name for text in _texts(entry) for name in _SECRET.findall(_PLACE.sub("", text))))


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from _texts(each)
    elif isinstance(value, list):
        for each in value:
            yield from _texts(each)


# ---------------------------------------------------------------------------------------------------------------------
# What is wrong with an entry

Mistake = tuple[str, str, str]
"""What is wrong, what is allowed, and the nearest right word."""


def mistakes(entry: Mapping[str, Any]) -> Iterator[Mistake]:
    """Yield what is wrong with an entry of `webhooks:`."""
    if not isinstance(entry.get("name"), str) or not _NAME.fullmatch(entry["name"]):
        yield "the entry needs a name", "letters, digits, -, _ and .", ""
    if "url" not in entry:
        yield "the entry has no url", "url: https://…", ""
    for key in sorted(entry.keys() - set(KEYS)):
        yield f"{key!r} is not a key of the entry", ", ".join(KEYS), nearest(str(key), KEYS)
    yield from _mistakes_of_request(entry)
    for name in VARIANTS:
        changes = entry.get(name, {})
        if changes is False and name != "plain":
            continue
        if not isinstance(changes, Mapping):
            yield f"{name} is not a mapping", "what differs from the request above, or false to send none", ""
            continue
        for key in sorted(changes.keys() - set(REQUEST_KEYS)):
            yield f"{key!r} is not a key of {name}", ", ".join(REQUEST_KEYS), nearest(str(key), REQUEST_KEYS)
        yield from _mistakes_of_request(changes)


def _mistakes_of_request(found: Mapping[str, Any]) -> Iterator[Mistake]:
    url = found.get("url", "https://x/")
    if not isinstance(url, str) or not ((_HOST.match(url) and url.startswith("https://")) or _is_loopback(url)):
        yield "url is not an address", "one that begins with https:// and whose host is written out", ""
    if found.get("method", "POST") not in METHODS:
        yield (
            f"method is {str(found['method'])[:20]!r}",
            ", ".join(METHODS),
            nearest(str(found["method"]).upper(), METHODS),
        )
    headers = found.get("headers") or {}
    if not isinstance(headers, Mapping) or not all(isinstance(each, str) for each in (*headers, *headers.values())):
        yield "headers is not a mapping of texts", '{Authorization: "Bearer $NAME"}', ""
        headers = {}
    body = found.get("body", "")
    if not isinstance(body, str | Mapping | list):
        yield "body is neither a mapping nor a text", "a mapping is sent as JSON, a text as it is", ""
    if isinstance(body, str) and re.match(r"\s*(?:\{(?!\{)|\[)", body):
        yield (
            "body is JSON written as a text, in which a value could be more than a value",
            "a mapping: body: {title: …}",
            "",
        )
    for text in (*_texts(url), *_texts(headers), *_texts(body)):
        yield from _mistakes_of_text(text)
    yield from _mistakes_of_choices(body)


def _is_loopback(url: str) -> bool:
    return re.match(r"http://(?:127\.0\.0\.1|localhost)(?::\d{1,5})?(?:/|$)", url) is not None


def _mistakes_of_text(text: str) -> Iterator[Mistake]:
    if "{{" in _PLACE.sub("", text) or "}}" in _PLACE.sub("", text):
        yield "'{{' and '}}' do not belong together", "{{ title }}", ""
    for place in _PLACE.finditer(text):
        yield from _mistakes_of_place(place[1])


def _mistakes_of_place(inner: str) -> Iterator[Mistake]:
    found = _FIELD.match(inner)
    if found is None or found[1] not in FIELDS:
        name = found[1] if found else inner.strip()
        yield f"{name[:40]!r} is not a field", ", ".join(FIELDS), nearest(name, FIELDS)
        return
    if (found[2] or found[3]) and found[1] not in KEYED:
        yield f"{found[1]} has no keys", f"{{{{ {found[1]} }}}}", ""
    end = found.end()
    while (each := _FILTER.match(inner, end)) is not None:
        end = each.end()
        if each[1] not in FILTERS:
            yield f"{each[1]!r} is not a filter", ", ".join(FILTERS), nearest(each[1], list(FILTERS))
        elif (
            (each[1] in _NUMBERED or each[2])
            and each[1] in ("cut", "bytes", "html")
            and not (each[2] or "").isdecimal()
        ):
            yield f"{each[1]} needs a number", f'{each[1]}("130")', ""
    if end < len(inner):
        yield f"{inner[end:].strip()[:40]!r} is not a filter", ", ".join(FILTERS), ""


def _mistakes_of_choices(body: Any) -> Iterator[Mistake]:
    if isinstance(body, Mapping):
        if BY in body and body[BY] not in FIELDS:
            yield f"$by: {str(body[BY])[:40]!r} is not a field", ", ".join(FIELDS), nearest(str(body[BY]), FIELDS)
        for each in body.values():
            yield from _mistakes_of_choices(each)
    elif isinstance(body, list):
        for each in body:
            yield from _mistakes_of_choices(each)
