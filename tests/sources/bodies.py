"""Real bodies of every sender, and what a source makes of one."""

import copy
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from chalicelib import plugins
from chalicelib.core.event import Event
from chalicelib.core.payload.coerce import digest
from chalicelib.redact import redact_event

FIXTURES = Path(__file__).parent / "fixtures"
NOW = datetime(2026, 11, 24, 8, 0, tzinfo=UTC)
FURTHER = {
    "prometheus": ("alertmanager",),
    "sentry": ("sentry_2026",),
    "pagerduty": ("pagerduty_v3_captured",),
    "generic": ("declared",),
}
"""Folders that a source reads beside that of its own name."""
FOLDERS = {source: (source, *FURTHER.get(source, ())) for source in plugins.names("sources")}
"""The folders of fixtures that a source reads."""


def files(*folders: str) -> list[str]:
    """`folder/name` of every body; recorded requests (`http.…`) hold a body inside and are none."""
    found = (path for folder in folders for path in sorted((FIXTURES / folder).glob("*.json")))
    return [f"{path.parent.name}/{path.name}" for path in found if not path.name.startswith("http.")]


def all_files() -> list[tuple[str, str]]:
    """Every (source, `folder/name`)."""
    return [(source, name) for source, folders in FOLDERS.items() for name in files(*folders)]


def raw(name: str) -> bytes:
    """The bytes of a fixture."""
    return (FIXTURES / name).read_bytes()


def body(name: str) -> dict[str, Any]:
    """The object in a fixture."""
    found = json.loads(raw(name))
    assert isinstance(found, dict)
    return found


def events(source: str, given: bytes | dict[str, Any], headers: dict[str, str] | None = None) -> list[Event]:
    """The events that the source makes of a body received at NOW, masked as everything stored is."""
    data = given if isinstance(given, bytes) else json.dumps(given).encode()
    found = plugins.load("sources", source).parse(headers or {}, data, received_at=NOW)
    return [redact_event(event) for event in found]


def event(source: str, given: bytes | dict[str, Any], headers: dict[str, str] | None = None) -> Event:
    """The one event."""
    (found,) = events(source, given, headers)
    return found


def changed(given: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """A copy in which the fields at paths (`data__issue__level`) have other values; `...` takes one away."""
    found = copy.deepcopy(given)
    for path, value in fields.items():
        *parents, last = path.split("__")
        inner = found
        for key in parents:
            inner = inner[key]
        if value is ...:
            inner.pop(last, None)
        else:
            inner[last] = value
    return found


def summary(found: Event) -> tuple[str, ...]:
    """What a table of expectations says of an event."""
    return (
        found.kind,
        found.status.value,
        found.severity.value,
        found.title,
        found.service or "",
        found.environment or "",
        found.url or "",
        found.identity,
    )


def alertmanager_body(labels: Mapping[str, str], at: datetime, *, status: str = "firing") -> bytes:
    """A body of Alertmanager's webhook (version 4) with one alert."""
    alert = {
        "status": status,
        "labels": dict(labels),
        "annotations": {},
        "startsAt": at.isoformat(),
        "endsAt": "0001-01-01T00:00:00Z",
        "generatorURL": "",
        "fingerprint": digest(dict(labels))[:16],
    }
    envelope = {
        "version": "4",
        "groupKey": "g",
        "status": status,
        "receiver": "t",
        "externalURL": "",
        "alerts": [alert],
    }
    return json.dumps(envelope).encode()
