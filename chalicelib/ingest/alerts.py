"""Alertmanager's API v2 as a receiver: a list of alerts → webhooks queue, in chunks that fit a message.

Prometheus, Grafana, vmalert, Loki's ruler, the OpenTelemetry Collector and `amtool` send so. The answers are those of
Alertmanager, since `amtool` and the Collector take any other status for a failure; a refusal is a JSON text.

    200  empty: all alerts are stored
    400  the body is no list of alerts, or the text names those that are wrong; the others are stored
    401  no or a wrong bearer token or basic password      413, 415  as for webhooks      500  not stored

https://github.com/prometheus/alertmanager/blob/main/api/v2/openapi.yaml
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from hashlib import sha256
from typing import Any

from chalicelib.core.errors import NotStoredError, TooLargeError, UnreadableError, WebhookError
from chalicelib.ingest.receive import HttpResponse, Secrets, Source, check_sender, check_type, json_value, kept_headers
from chalicelib.messages.webhook import Webhook, compressed, written

SOURCE = "alertmanager"
FORM = "v2"
"""The field `api` of what is stored: a firing alert's `endsAt` is when it ends, which a webhook's is not."""
MAX_BODY_BYTES = 6 * 1024 * 1024
"""What Lambda hands over. Prometheus sends at most 256 alerts at once."""
MAX_CHUNK_BYTES = 512 * 1024
"""Of a message: also what does not compress has room in it as base64."""
MAX_CHUNK_ALERTS = 1_000
_RFC_3339 = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,12})?(?:[Zz]|[+-][0-9]{2}:[0-9]{2})",
    re.ASCII,
)
MAX_NAMED = 20
"""So many wrong alerts an answer names."""


def receive_alerts(
    headers: Mapping[str, str],
    body: bytes,
    *,
    plugin: Source,
    secrets: Secrets,
    put: Callable[[Sequence[str]], None],
    now: datetime,
) -> HttpResponse:
    """Verify a list of alerts and store the valid ones by `put`; the answer comes after that returned."""
    try:
        lower = {name.lower(): str(value) for name, value in headers.items()}
        if len(body) > MAX_BODY_BYTES:
            raise TooLargeError(f"the body has {len(body)} bytes; allowed are {MAX_BODY_BYTES}")
        check_type(lower)
        check_sender(plugin, lower, body, None, secrets)
        valid, faults = _sorted_out(_alerts(body))
        messages = [_message(chunk, lower, now) for chunk in _chunks(valid)]
        if messages:
            put(messages)
    except WebhookError as error:
        return _refused(error.status, str(error))
    except NotStoredError as error:
        return HttpResponse(500, json.dumps("could not be stored; send it again"), reason=str(error))
    return _refused(400, _named(faults)) if faults else HttpResponse(200, "")


def _refused(status: int, text: str) -> HttpResponse:
    return HttpResponse(status, json.dumps(text), reason=text)


def _alerts(body: bytes) -> list[Any]:
    found = json_value(body)
    if not isinstance(found, list):
        raise UnreadableError("the body is JSON but not a list of alerts")
    return found


def _sorted_out(alerts: Sequence[Any]) -> tuple[list[str], list[str]]:
    """Return the valid alerts as JSON, and what is wrong with each of the others."""
    valid, faults = [], []
    for index, alert in enumerate(alerts):
        fault, text = fault_of(alert), json.dumps(alert, separators=(",", ":"))
        if not fault and len(text) > MAX_CHUNK_BYTES:
            fault = f"has more than {MAX_CHUNK_BYTES} bytes"
        if fault:
            faults.append(f"alert {index} {fault}")
        else:
            valid.append(text)
    return valid, faults


def fault_of(alert: Any) -> str:
    """Return what Alertmanager would refuse an alert for; empty for a valid one."""
    if not isinstance(alert, dict):
        return "is no object"
    for field in ("labels", "annotations"):
        texts = alert.get(field) or {}
        if not isinstance(texts, dict) or not all(isinstance(each, str) for each in texts.values()):
            return f"has {field} that are not texts by name"
    labels = alert.get("labels") or {}
    if not any(labels.values()):
        return "has no label with a value"
    if not all(name for name, value in labels.items() if value):
        return "has a label without a name"
    if not isinstance(alert.get("generatorURL") or "", str):
        return "has a generatorURL that is no text"
    return _fault_of_times(alert)


def _fault_of_times(alert: Mapping[str, Any]) -> str:
    times = {}
    for field in ("startsAt", "endsAt"):
        try:
            times[field] = time_of(alert.get(field))
        except ValueError:
            return f"has a {field} that is no time; allowed is RFC 3339"
    starts_at, ends_at = times["startsAt"], times["endsAt"]
    return "ends before it starts" if starts_at and ends_at and ends_at < starts_at else ""


def time_of(value: Any) -> datetime | None:
    """Return a time; None for none and for the year 1, which Go writes for none. ValueError for what is no time."""
    if value is None or (isinstance(value, str) and (not value or value.startswith("0001-01-01T"))):
        return None
    if not isinstance(value, str) or not _RFC_3339.fullmatch(value):
        raise ValueError("no text of RFC 3339")
    found = datetime.fromisoformat(value)
    if found.tzinfo is None:
        raise ValueError("no time zone")
    return found


def _named(faults: Sequence[str]) -> str:
    more = f"; and {len(faults) - MAX_NAMED} more" if len(faults) > MAX_NAMED else ""
    return "; ".join(faults[:MAX_NAMED]) + more


def _chunks(alerts: Iterable[str]) -> Iterator[list[str]]:
    chunk: list[str] = []
    size = 0
    for alert in alerts:
        if chunk and (size + len(alert) > MAX_CHUNK_BYTES or len(chunk) == MAX_CHUNK_ALERTS):
            yield chunk
            chunk, size = [], 0
        chunk.append(alert)
        size += len(alert) + 1
    if chunk:
        yield chunk


def _message(alerts: Sequence[str], headers: Mapping[str, str], now: datetime) -> str:
    body = f'{{"api":"{FORM}","alerts":[{",".join(alerts)}]}}'.encode()
    webhook = Webhook(sha256(body).hexdigest()[:32], SOURCE, body, now, kept_headers(headers))
    return written(webhook, compressed(body))
