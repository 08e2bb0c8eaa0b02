"""tocsin parse: what the router makes of a payload, one JSON object per event.

    tocsin parse SOURCE BODY.json [--headers HEADERS.json] [--rules alert-rules.yaml]

SOURCE is the name in the address: a file of sources/, or an entry of `sources:` in the rules file. BODY `-` reads
standard input. Without headers the kind is read from the body. What is printed is masked, as everything stored is.
A word for a state that nobody knows is named on standard error.
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO, TextIO

from chalicelib import plugins
from chalicelib.core.errors import ParseError, RulesError, WebhookError
from chalicelib.core.event import Event
from chalicelib.core.rule import Rules
from chalicelib.process.parse import unknown_words
from chalicelib.redact import redact_event
from chalicelib.rules.compiled import RULES_NAME

MAX_BODY_BYTES = 8 * 1024 * 1024
"""Where a source that is no file is looked for, when no other rules file is named."""


class UsageError(Exception):
    """What the caller must change, in one line."""


HELP = "show what the router makes of a payload"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("source", metavar="SOURCE", help=", ".join(plugins.names("sources")))
    parser.add_argument("body", metavar="BODY", help="a file with the body as received, or - for standard input")
    parser.add_argument("--headers", metavar="FILE", help="the headers as a JSON object of names and values")
    parser.add_argument("--rules", metavar="FILE", help="a rules file: its `sources:` and `services:` count")


def run(
    arguments: argparse.Namespace,
    *,
    stdin: BinaryIO | None = None,
    stdout: TextIO | None = None,
    stderr: TextIO | None = None,
    now: datetime | None = None,
) -> int:
    """Print the events; 0, or 2 with one line on standard error when there is nothing to read."""
    try:
        rules = _rules(arguments.source, getattr(arguments, "rules", None))
        mapping = mapping_of(arguments.source, rules.sources if rules else ())
        body = read_body(arguments.body, stdin or (sys.stdin.buffer if sys.stdin else BytesIO()))
        headers = read_headers(getattr(arguments, "headers", None))
        events = _parsed(arguments.source, headers, body, mapping, now or datetime.now(UTC), arguments.body)
    except (UsageError, RulesError, WebhookError) as error:
        print(f"tocsin: {' '.join(str(error).split())}", file=stderr or sys.stderr)
        return 2
    out = stdout or sys.stdout
    plain = not (out.encoding or "utf-8").lower().startswith("utf")
    for event in events:
        event = rules.services.named(event) if rules else event
        print(json.dumps(shown(event), ensure_ascii=plain), file=out)
    for warning in unknown_words(events):
        print(f"tocsin: {warning.title}. {warning.summary}", file=stderr or sys.stderr)
    return 0


def shown(event: Event) -> dict[str, Any]:
    """Return the event as it is printed; null is unknown."""
    return {
        "id": event.id,
        "source": event.source,
        "kind": event.kind,
        "status": event.status.value,
        "severity": event.severity.value,
        "title": event.title,
        "summary": event.summary or None,
        "url": event.url,
        "service": event.service,
        "environment": event.environment,
        "labels": dict(event.labels),
        "occurred_at": event.occurred_at.astimezone(UTC).isoformat().replace("+00:00", "Z"),
        "fingerprint": event.fingerprint,
    }


def _parsed(
    source: str, headers: Mapping[str, str], body: bytes, mapping: Mapping[str, Any] | None, now: datetime, where: str
) -> list[Event]:
    try:
        if mapping is not None:
            events = plugins.load_declared_source().parse(headers, body, received_at=now, mapping=mapping)
        else:
            events = plugins.load_source(source).parse(headers, body, received_at=now)
    except ParseError as error:
        raise UsageError(f"{_named(where)}: {error}") from None
    return [redact_event(event) for event in events]


def _rules(source: str, path: str | None) -> Rules | None:
    """Return the rules of the file that is named, or for an unknown source of the one in this folder."""
    if path is None and source not in plugins.names("sources") and Path(RULES_NAME).is_file():
        path = RULES_NAME
    return _loaded(path) if path is not None else None


def mapping_of(source: str, declared: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """Return the entry of `sources:` that declares the source; None for one with a file of its own, UsageError for neither."""
    for entry in declared:
        if entry.get("name") == source:
            return entry
    known = plugins.names("sources")
    if source in known:
        return None
    names = [
        *(name for name in known if name != plugins.GENERIC),
        *sorted(str(entry.get("name")) for entry in declared),
    ]
    raise UsageError(f"there is no source {_quoted(source)}; known are {', '.join(names)}")


def _loaded(path: str) -> Rules:
    """Return the rules of a file. Only this needs yaml and pydantic, so only this imports them."""
    try:
        text = _read(path).decode("utf-8")
    except UnicodeDecodeError:
        raise UsageError(f"{path}: cannot be read: not UTF-8") from None
    from chalicelib.rules.file import load

    return load(text, filename=path, tolerate_templates=True, variables=None)


def read_body(path: str, stdin: BinaryIO) -> bytes:
    """Return the bytes of a file, or of standard input for `-`; UsageError when there are none or too many."""
    body = stdin.read(MAX_BODY_BYTES + 1) if path == "-" else _read(path)
    if len(body) > MAX_BODY_BYTES:
        raise UsageError(f"{_named(path)}: over {MAX_BODY_BYTES} bytes")
    if not body.strip():
        raise UsageError(f"{_named(path)}: is empty; expected a JSON object")
    return body


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(MAX_BODY_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a path"
        raise UsageError(f"{path}: cannot be read: {reason}") from None


def read_headers(path: str | None) -> dict[str, str]:
    """Return headers with lower-case names; a list of values counts by its first."""
    if path is None:
        return {}
    try:
        found = json.loads(_read(path))
    except (ValueError, RecursionError):
        raise UsageError(f"{path}: the headers are not JSON") from None
    if isinstance(found, dict) and isinstance(found.get("headers"), dict) and "body" in found:
        found = found["headers"]
    if not isinstance(found, dict):
        raise UsageError(f"{path}: the headers are JSON but not an object of names and values")
    values = ((str(name).lower(), each[0] if isinstance(each, list) and each else each) for name, each in found.items())
    return {name: str(each) for name, each in values if isinstance(each, str | int | float)}


def _named(path: str) -> str:
    return "standard input" if path == "-" else path


def _quoted(text: str) -> str:
    return json.dumps(text[:60], ensure_ascii=True)
