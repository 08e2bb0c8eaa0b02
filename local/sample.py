"""A short incident, as vendors would send it: sample webhooks, signed with the secrets in use, their times made now.

The bodies are in `local/samples/`. Twelve errors of one issue within a minute are a spike; meanwhile a metric alert goes
critical, and a health check fails and recovers.
"""

import hashlib
import hmac
import json
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "samples"
_DATE_KEYS = frozenset({"datetime", "date_created", "date_detected", "date_started", "time"})
_NUMBER_KEYS = frozenset({"timestamp", "received", "ts"})
_MILLISECOND_KEYS = frozenset({"createdAt"})
_EVENT_ID = re.compile(r"bb78c1407cea4519aa397afc059c793d")


SECRETS = {
    "sentry": "SENTRY_CLIENT_SECRET",
    "cloudflare": "CLOUDFLARE_WEBHOOK_SECRET",
    "vercel": "VERCEL_WEBHOOK_SECRET",
    "alertmanager": "ALERTMANAGER_SECRET",
}
"""The secret by which each source knows its sender."""


@dataclass(frozen=True, slots=True)
class Step:
    """Sample webhooks that go out together, some time after the start. `resource` is Sentry's word for what it is."""

    after: timedelta
    source: str
    body: str
    says: str
    resource: str = ""
    copies: int = 1


INCIDENT = (
    Step(timedelta(0), "sentry", "sentry_error", "Sentry: 12 errors of exam-api within a minute", "error", copies=12),
    Step(timedelta(seconds=3), "sentry", "sentry_metric_alert", "Sentry: a metric alert is critical", "metric_alert"),
    Step(timedelta(seconds=6), "cloudflare", "cloudflare_health_check_down", "Cloudflare: www.example.com is down"),
    Step(timedelta(seconds=20), "cloudflare", "cloudflare_health_check_up", "Cloudflare: www.example.com is up again"),
)


@dataclass(frozen=True, slots=True)
class Webhook:
    """One request to Tocsin."""

    source: str
    headers: Mapping[str, str]
    body: bytes


def webhooks(
    step: Step, *, secrets: Mapping[str, str], now: datetime, replaced: Mapping[str, str] | None = None
) -> list[Webhook]:
    """Return the requests of a step, each an event of its own, the newest now and the others in the seconds before.

    `replaced` are texts of the body and what stands there instead.
    """
    text = (FOLDER / f"{step.body}.json").read_text(encoding="utf-8")
    for old, new in (replaced or {}).items():
        text = text.replace(old, new)
    found = []
    for number in range(step.copies):
        event_id = uuid.uuid4().hex
        at = now - timedelta(seconds=(step.copies - 1 - number) * 2)
        content = json.loads(_EVENT_ID.sub(event_id, text))
        body = json.dumps(dated(content, at), ensure_ascii=False).encode()
        found.append(Webhook(step.source, _headers(step, body, secrets, now), body))
    return found


def dated(content: Any, at: datetime) -> Any:
    """Return the same JSON with every time in it replaced, in the form it had."""
    if isinstance(content, list):
        return [dated(each, at) for each in content]
    if not isinstance(content, dict):
        return content
    return {key: _time(key, value, at) for key, value in content.items()}


def _time(key: str, value: Any, at: datetime) -> Any:
    if key in _DATE_KEYS and isinstance(value, str):
        known = at.astimezone(UTC)
        return (
            known.strftime("%Y-%m-%d %H:%M:%S +0000 UTC") if " " in value else known.isoformat().replace("+00:00", "Z")
        )
    if key in _MILLISECOND_KEYS and isinstance(value, int):
        return int(at.timestamp() * 1000)
    if key in _NUMBER_KEYS and isinstance(value, int | float):
        return type(value)(at.timestamp())
    return dated(value, at)


def _headers(step: Step, body: bytes, secrets: Mapping[str, str], now: datetime) -> dict[str, str]:
    """Return the headers by which the sender of the source proves itself."""
    secret = _live(secrets[SECRETS[step.source]])
    headers = {"Content-Type": "application/json"}
    match step.source:
        case "cloudflare":
            return {**headers, "cf-webhook-auth": secret}
        case "alertmanager":
            return {**headers, "Authorization": f"Bearer {secret}"}
        case "vercel":
            return {**headers, "x-vercel-signature": hmac.new(secret.encode(), body, hashlib.sha1).hexdigest()}
    return {
        **headers,
        "Request-ID": uuid.uuid4().hex,
        "Sentry-Hook-Resource": step.resource,
        "Sentry-Hook-Signature": hmac.new(secret.encode(), body, hashlib.sha256).hexdigest(),
        "Sentry-Hook-Timestamp": str(int(now.timestamp())),
    }


def _live(secret: str) -> str:
    """Return one of several secrets that are live at once."""
    return secret.split(",")[0].strip()
