"""What a body of a declared source says, by its entry: the events of it, in whatever form it came.

A body is a JSON object, a list of them, a form or one field of a multipart form that holds JSON. Nothing is raised for a body
that the entry does not fit: it is information that says so.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from email.parser import BytesParser
from email.policy import HTTP
from ipaddress import ip_address, ip_network
from typing import Any
from urllib.parse import parse_qsl

from chalicelib.core.errors import ParseError
from chalicelib.core.event import UNREAD_STATUS, Event, Severity, Status
from chalicelib.core.payload import coerce
from chalicelib.sources._generic_check import doubts as doubts_of
from chalicelib.sources._generic_check import mistakes
from chalicelib.sources._generic_identity import subject_of
from chalicelib.sources._generic_paths import every, groups_of, inner_json, is_empty, pairs, value_of
from chalicelib.sources._generic_words import MAX_WORD_CHARACTERS, meanings, severity_of, status_of

NAME = "generic"
MAX_EVENTS = 1_000
MAX_FORM_FIELDS = 200

_FORM = re.compile(rb"\s*[\w.%+\[\]-]{1,100}=")
USUAL: Mapping[str, Any] = {
    "title": "title || summary || name || subject || message || text || AlarmName",
    "status": "status || state || NewStateValue",
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
_PLACES = ("host", "hostname", "instance", "node", "server", "device")
"""Labels of a body whose entry names none: by them one machine is known from another."""
_ENVELOPES = ("Message", "message", "data", "payload", "body", "event")
"""Where usual names are looked for when the body has none: JSON there, often written as a text."""


def parse(
    headers: Mapping[str, str], body: bytes, *, received_at: datetime, mapping: Mapping[str, Any] | None = None
) -> list[Event]:
    """Return the events of a body. Raise ParseError when it is in no form that is known, or holds too many.

    Without an entry it must be an object.
    """
    payload = read(headers, body) if mapping is not None else coerce.json_object(body)
    entry = Entry(fields_of(mapping or {}), received_at)
    events = (entry.event(each, outer) for each, outer in _items(payload, entry.fields))
    return coerce.bounded_list(events, MAX_EVENTS)


def fields_of(mapping: Mapping[str, Any]) -> dict[str, Any]:
    """Return the entry with its paths at one level, and the usual names where it says nothing of a field."""
    return {**USUAL, **{key: value for key, value in _own_fields(mapping).items() if value is not None}}


def _own_fields(mapping: Mapping[str, Any]) -> dict[str, Any]:
    inner: dict[str, Any] = {}
    for key in ("fields", "mapping", "map", "paths"):
        inner |= coerce.table(mapping.get(key))
    own = {**mapping, **inner, "source": mapping.get("name") or NAME}
    own["name"] = inner.get("name")
    own["each"] = own.get("each") or own.get("events")
    return own


def validate(mapping: Mapping[str, Any], kind: str, kinds: Sequence[str]) -> list[str]:
    """Return what is wrong with an entry that proves itself by `kind`; `kinds` are those that there are."""
    return mistakes(mapping, fields_of(mapping), kind, kinds)


def doubts(mapping: Mapping[str, Any]) -> list[str]:
    """Return what may be meant otherwise in an entry without mistakes."""
    return doubts_of(mapping, _own_fields(mapping))


# ---------------------------------------------------------------------------------------------------------------------
# The body


def read(headers: Mapping[str, str], body: bytes) -> Any:
    """Return the object or the list in a body: JSON, a form, or a multipart form. Raise ParseError for anything else."""
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "multipart/form-data" or (not kind and body.startswith(b"--")):
        return _in_field(_multipart(headers, body))
    if kind == "application/x-www-form-urlencoded" or (not kind and _FORM.match(body)):
        return _in_field(_form(body))
    found = coerce.json_value(body)
    if not isinstance(found, dict | list):
        raise ParseError("the body is JSON but not an object or a list")
    return found


def _form(body: bytes) -> dict[str, str]:
    try:
        pairs = parse_qsl(body.decode("utf-8").strip(), keep_blank_values=True, max_num_fields=MAX_FORM_FIELDS)
    except (ValueError, UnicodeError):
        raise ParseError(f"the body is no form of up to {MAX_FORM_FIELDS} fields in UTF-8") from None
    return dict(pairs)


def _multipart(headers: Mapping[str, str], body: bytes) -> dict[str, str]:
    """Return the fields of a multipart form. Without its header the boundary is the first line."""
    first = body.partition(b"\n")[0].strip()[2:].decode("ascii", "replace")
    kind = headers.get("content-type") or f'multipart/form-data; boundary="{first}"'
    message = BytesParser(policy=HTTP).parsebytes(f"Content-Type: {kind}\r\n\r\n".encode() + body)
    parts = list(message.iter_parts()) if message.is_multipart() else []
    if not parts or len(parts) > MAX_FORM_FIELDS:
        raise ParseError(f"the body is no multipart form of up to {MAX_FORM_FIELDS} fields")
    named = ((part.get_param("name", header="content-disposition"), part.get_payload(decode=True)) for part in parts)
    found = {
        str(name): data.decode("utf-8", "replace").strip() for name, data in named if name and isinstance(data, bytes)
    }
    if not found:
        raise ParseError("the body is a multipart form without a named field")
    return found


def _in_field(form: Mapping[str, str]) -> Any:
    """Return the JSON of a form that has one field with it (`payload`, `data`), else the form."""
    if len(form) == 1:
        (text,) = form.values()
        found = inner_json(text) if text.lstrip()[:1] in ("{", "[") else text
        if isinstance(found, dict | list):
            return found
    return dict(form)


def _items(payload: Any, fields: Mapping[str, Any]) -> Iterator[tuple[Mapping[str, Any], Mapping[str, Any]]]:
    """Yield each event of a body with the body around it. A list that is empty says nothing."""
    bodies = payload if isinstance(payload, list) else [payload]
    for body in bodies:
        outer = coerce.table(body)
        listed = value_of(outer, fields.get("each"), outer) if fields.get("each") else None
        listed = inner_json(listed) if isinstance(listed, str) else listed
        each = listed if isinstance(listed, list) else [listed]
        found: list[Mapping[str, Any]] = [item for item in each if isinstance(item, dict)]
        yield from ((item, outer) for item in (found if found or listed == [] else [outer]))


# ---------------------------------------------------------------------------------------------------------------------
# An event


class Entry:
    """An entry of `sources:` with the usual names, at the time at which a body was received."""

    def __init__(self, fields: Mapping[str, Any], received_at: datetime) -> None:
        self.fields = fields
        self.source = str(fields["source"])
        self.received_at = received_at
        self.statuses = meanings(fields.get("statuses"))
        self.severities = meanings(fields.get("severities"))

    def event(self, item: Mapping[str, Any], outer: Mapping[str, Any], reading: "type[Reading] | None" = None) -> Event:
        """Return what one item says, read as `reading` does."""
        return (reading or Reading)(self, *self._opened(item, outer)).event()

    def _opened(self, item: Mapping[str, Any], outer: Mapping[str, Any]) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
        """Return the item with the groups of `extract:`, and for a bare envelope what is in it."""
        if extract := self.fields.get("extract"):
            item = {**item, **groups_of(item, extract, outer)}
        if not self._says(item, outer):
            inner = (inner_json(item[key]) if isinstance(item.get(key), str) else item.get(key) for key in _ENVELOPES)
            for each in inner:
                if isinstance(each, dict) and self._says(each, each):
                    return {**each}, item
        return item, outer

    def _says(self, item: Mapping[str, Any], outer: Mapping[str, Any]) -> bool:
        return value_of(item, self.fields.get("status"), outer) not in (None, "", [], {})


class Reading:
    """One item of a body under its entry."""

    default_kind = "event"

    def __init__(self, entry: Entry, item: Mapping[str, Any], outer: Mapping[str, Any]) -> None:
        self.entry = entry
        self.item = item
        self.outer = outer
        self.fields = entry.fields

    def value(self, field: str) -> Any:
        """Return what the entry's path of a field leads to."""
        return value_of(self.item, self.fields.get(field), self.outer)

    def line(self, field: str, limit: int = coerce.MAX_VALUE_CHARACTERS) -> str:
        """Return a field as text on one line."""
        return coerce.line(self.value(field), limit)

    def event(self) -> Event:
        """Return the event."""
        status, unknown = self.status()
        kind = coerce.word(self.value("kind")) or self.default_kind
        titled = self.line("title", coerce.MAX_TITLE_CHARACTERS)
        labels = self.table("labels") or self.places()
        identity, former = self.identity(kind, titled)
        fits = self.fits(titled)
        status = status if fits else Status.INFO
        occurred_at = self.occurred_at()
        annotations = self.table("annotations") | ({UNREAD_STATUS: unknown} if unknown and fits else {})
        return coerce.made_event(
            id=self.line("event_id", 200) or self.occurrence(identity, status, occurred_at),
            source=self.entry.source,
            kind=kind,
            name=self.line("name", 200),
            status=status,
            severity=severity_of(self.value("severity"), self.entry.severities, status) if fits else Severity.INFO,
            title=titled or self.untitled(kind),
            summary=self.summary() if fits else self.reason(),
            url=coerce.address(self.value("url")),
            service=self.line("service", 200),
            environment=self.line("environment", 200),
            occurred_at=occurred_at or self.entry.received_at,
            identity=identity,
            labels={**constants(self.fields), **labels},
            annotations=annotations,
            severity_raw=self.line("severity", MAX_WORD_CHARACTERS),
            ends_also=[former] if status is Status.RESOLVED and former else (),
        )

    def status(self) -> tuple[Status, str]:
        """Return the status, and a word that nobody knows. A field that only an end has goes before the word."""
        if any(_is_there(self.item, path, self.outer) for path in _listed(self.fields.get("ends_when"))):
            return Status.RESOLVED, ""
        return status_of(self.value("status"), self.entry.statuses, is_lacking=self.lacks_status())

    def lacks_status(self) -> bool:
        """Return whether the entry names where the state is, and the body has no such field."""
        spec = self.fields.get("status")
        return spec != USUAL["status"] and not is_empty(self.item, spec, self.outer)

    def fits(self, titled: str) -> bool:
        """Return whether the body has anything of what the entry looks for."""
        if titled or (self.fields.get("ends_when") and self.status()[0] is Status.RESOLVED):
            return True
        return any(self.value(name) not in (None, "", [], {}) for name in ("status", "id", "severity"))

    def reason(self) -> str:
        """Return why a body is only information, without its content."""
        keys = ", ".join(sorted(filter(None, map(coerce.label_name, list(self.item)[:20]))))
        return f"The body has no title, no status, no severity and no id where the entry looks. Its keys: {keys or 'none'}."

    def untitled(self, kind: str) -> str:
        """Return the title of a body that has none."""
        return f"{self.entry.source}: {kind}"

    def summary(self) -> str:
        """Return the text below the title."""
        return coerce.text(self.value("summary"), coerce.MAX_SUMMARY_CHARACTERS)

    def occurred_at(self) -> datetime | None:
        """Return the first alternative that is a time: a zero time says nothing."""
        spec = self.fields.get("occurred_at")
        values = every(self.item, spec, self.outer) if isinstance(spec, str) else [self.value("occurred_at")]
        return coerce.first_instant(*values)

    def identity(self, kind: str, titled: str) -> tuple[str, str]:
        """Return what the event is about, and what the version before called it where the body has no id."""
        if number := self.line("id", 300):
            return number, ""
        subject = subject_of(titled, self.item, self.outer, self.fields, self.entry.statuses)
        title = titled or self.untitled(kind)
        return subject, coerce.digest([kind, title, self.table("labels")])

    def occurrence(self, identity: str, status: Status, occurred_at: datetime | None) -> str:
        """Return an id that is equal for equal bodies."""
        at = occurred_at.isoformat() if occurred_at else ""
        return f"{identity}:{status.value}:{at}:{coerce.digest(self.item)}"

    def places(self) -> dict[str, str]:
        """Return the labels of a body whose entry names none: the machine."""
        return coerce.labels([(name, self.item.get(name)) for name in _PLACES])

    def table(self, field: str) -> dict[str, str]:
        """Return labels or annotations: of a table of paths, of a path to an object or to pairs, or of a list of paths."""
        wanted = self.fields.get(field)
        if isinstance(wanted, dict):
            return coerce.labels([(key, value_of(self.item, spec, self.outer)) for key, spec in wanted.items()])
        found = [pair for path in _listed(wanted) for pair in pairs(value_of(self.item, path, self.outer))]
        return coerce.labels(found)


def constants(fields: Mapping[str, Any]) -> dict[str, str]:
    """Return the labels that every event of the entry has."""
    return coerce.labels(coerce.table(fields.get("constant_labels")).items())


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _is_there(item: Any, path: Any, outer: Any) -> bool:
    """Return whether a field says something: null, false, empty and a zero time say nothing."""
    value = value_of(item, path, outer)
    if value in (None, "", False, [], {}, 0) or coerce.line(value).lower() in ("false", "0"):
        return False
    return not (isinstance(value, str) and value.startswith(("0001-01-01", "0000-00-00")))


# ---------------------------------------------------------------------------------------------------------------------
# Addresses


def allows(address: str, allowed: Any) -> bool:
    """Return whether the address of a sender is in one of the networks; False for what is no address."""
    try:
        sender = ip_address(address)
        networks = [ip_network(str(each), strict=False) for each in _listed(allowed)]
    except ValueError:
        return False
    sender = getattr(sender, "ipv4_mapped", None) or sender
    return any(sender.version == network.version and sender in network for network in networks)
