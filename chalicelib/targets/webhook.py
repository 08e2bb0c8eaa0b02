"""Webhook out: a signed POST of JSON, by Standard Webhooks (https://www.standardwebhooks.com), to any receiver.

The address is one of the rules file, or a name: then WEBHOOK_<NAME>_URL is the address and WEBHOOK_<NAME>_SECRET signs
(`whsec_` and base64; two of them, separated by a space, sign both while one is rotated). An address of the rules file
is signed by WEBHOOK_DEFAULT_SECRET; without a secret the request goes out unsigned, and the receipt says so.
`webhook-id` is the notification's id, equal on every try: receivers drop what they have seen. The timestamp is the
try's. Body: {type: "incident.<reason>", timestamp, data: {…}}, as `render` documents; times are RFC 3339, UTC.
"""

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from chalicelib.core.delivery.links import web_address
from chalicelib.core.delivery.notification import (
    AlertSnapshot,
    Deploy,
    Notification,
    Receipt,
    ServiceSnapshot,
    TopErrors,
)
from chalicelib.core.delivery.request_template import Request, request_of
from chalicelib.core.delivery.target_kind import DEFAULT_ADDRESS, Capabilities, TargetCheck, TargetKind, TargetSample
from chalicelib.core.delivery.target_state import Pace
from chalicelib.core.delivery.text import plain_text, state
from chalicelib.core.delivery.writing import clean, one_line
from chalicelib.core.errors import FieldError, TargetRejectedError
from chalicelib.core.field import masked, text_value
from chalicelib.core.observed import LABELS
from chalicelib.core.ports import Clients
from chalicelib.core.rule import Target
from chalicelib.targets._doubt import noted
from chalicelib.targets._http import (
    LOOPBACK_SETTING,
    MAX_RETRY_AFTER,
    VendorAnswer,
    check_address,
    encoded,
    post,
    raise_for_status,
    send_to,
)

PACE: Pace | None = None
SCHEMA_VERSION = 1


def render(notification: Notification, receipt: Mapping[str, str], *, plain: bool = False) -> dict[str, Any]:
    """Return the body: what happened, and the incident as it is now.

    data.incident, data.key    the incident's id, and the group it stands for
    data.sequence              1 opens the thread; a receiver keeps the highest it has seen
    data.reason                opened, updated, reminder, escalated, resolved, sync (brought up to date), test
    data.sound, data.why       whether people must notice it; why an update must: worse, after_ack, unseen, unexplained; reminder and
                               escalated where it superseded one that this receiver did not take
    data.storm                 of how many incidents a storm is; left out of any other incident
    data.status, data.state    firing or resolved; and as people see it (acknowledged, silenced, …)
    data.alerts, data.evidence those announced, and the muted ones beside them; `also` counts those over the limit
    data.services              the services of the alerts that the rules file has, with owner, tier and links
    data.alerts[].top_errors   of an alert that counts events: the most frequent errors; null for others
    data.alerts[].observed     what was seen of it, by name: address, expected, result, fine, tries, last_beat, …
    data.alerts[].impact_of    the service that explains it, while one does; left out otherwise
    data.text                  everything as plain text; with `plain` the only description
    """
    data: dict[str, Any] = {
        "version": SCHEMA_VERSION,
        "notification": clean(notification.id),
        "incident": clean(notification.incident.id),
        "key": clean(notification.incident.key),
        "sequence": notification.seq,
        "reason": notification.reason.value,
        "sound": notification.sounds,
        "why": notification.why.value if notification.why else None,
        **({"storm": notification.storm} if notification.storm else {}),
        "status": notification.status,
        "severity": notification.severity.value,
        "text": plain_text(notification),
    }
    if not plain:
        data |= _described(notification)
    return {"type": f"incident.{notification.reason.value}", "timestamp": _time(notification.at), "data": data}


def send(
    notification: Notification,
    address: str,
    clients: Clients,
    *,
    receipt: Mapping[str, str],
    in_doubt: bool,
    now: datetime,
    plain: bool = False,
) -> Receipt:
    """Post it, signed, or as the rules file writes it. Sending again is safe for receivers that look at `webhook-id`."""
    if notification.background.request:
        return _send_written(notification, address, clients, in_doubt=in_doubt, now=now, plain=plain)
    name = "default" if _is_address(address) else address
    url = address if _is_address(address) else _named_address(name, clients)
    content = encoded(render(notification, receipt, plain=plain))
    signed = signature_headers(notification.id, content, secrets_of(name, clients), now=now)
    headers = {"Content-Type": "application/json", "User-Agent": "Tocsin", **signed}
    timeout = notification.target.timeout
    answer = post(clients, url, name="webhook", content=content, headers=headers, timeout=timeout)
    if answer.status == 410:
        raise TargetRejectedError("webhook: HTTP 410: the receiver says that this address is gone for good")
    raise_for_status(answer, name="webhook", now=now)
    return Receipt(note="" if "webhook-signature" in signed else f"not signed: {_setting(name, 'SECRET')} is not set")


def _send_written(
    notification: Notification, name: str, clients: Clients, *, in_doubt: bool, now: datetime, plain: bool
) -> Receipt:
    """Send a request of `webhooks:` in the rules file. A refusal of the content is answered once by its plain form."""
    entry = notification.background.request
    request = request_of(entry, notification, partial(_secret, name, clients), plain=plain)
    if request is None:
        return Receipt(note="the rules file writes no request for this", sent=False)
    answer, note = _sent(request, name, clients, notification), ""
    if answer.status in (400, 413) and "plain" in entry and not plain:
        note = f"sent in plain form, since the receiver refused the full one (HTTP {answer.status})"
        request = request_of(entry, notification, partial(_secret, name, clients), plain=True) or request
        answer = _sent(request, name, clients, notification)
    raise_for_status(answer, name=f"webhook {name}", now=now, wait=_asked_in_body(answer))
    return Receipt(note=noted(note, in_doubt=in_doubt), doubled=in_doubt)


def _sent(request: Request, name: str, clients: Clients, notification: Notification) -> VendorAnswer:
    timeout, headers = notification.target.timeout, {"User-Agent": "Tocsin", **request.headers}
    return send_to(
        clients,
        request.method,
        request.url,
        name=f"webhook {name}",
        content=request.content,
        headers=headers,
        timeout=timeout,
    )


def _secret(name: str, clients: Clients, setting: str) -> str:
    found = (clients.secret(setting) or clients.setting(setting, "")).strip()
    if not found:
        raise TargetRejectedError(f"webhook {name}: {setting} is not set")
    return found


def _asked_in_body(answer: VendorAnswer) -> timedelta | None:
    """Return the wait that a body asks for, as Telegram and Discord write it; None without one that can be believed."""
    body = answer.json()
    parameters = body.get("parameters")
    seconds = body.get("retry_after", parameters.get("retry_after") if isinstance(parameters, dict) else None)
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        return None
    return timedelta(seconds=seconds) if 0 <= seconds <= MAX_RETRY_AFTER.total_seconds() else None


def check(address: str, clients: Clients) -> bool:
    """Return whether requests to this target are signed; TargetRejectedError when none could be sent."""
    name = "default" if _is_address(address) else address
    check_address(address if _is_address(address) else _named_address(name, clients), clients, name="webhook")
    return bool(secrets_of(name, clients))


def check_target(target: Target, clients: Clients) -> TargetCheck:
    """Return whether an address is set, and a secret that signs."""
    try:
        signed = check(target.address, clients)
    except TargetRejectedError as error:
        return TargetCheck("wrong", str(error), "set it right; see docs/delivery.md")
    if signed:
        return TargetCheck("ok", f"{target.shown}: an address and a secret are set")
    return TargetCheck("warning", f"{target.shown}: requests go out unsigned", "set its secret; see docs/delivery.md")


def signature_headers(identifier: str, content: bytes, secrets: tuple[bytes, ...], *, now: datetime) -> dict[str, str]:
    """Return Standard Webhooks' headers: HMAC-SHA256 of `id.timestamp.body` by each secret; no signature without one."""
    named = re.sub(r"[^A-Za-z0-9_-]", "_", identifier)
    timestamp = str(int(now.timestamp()))
    headers = {"webhook-id": named, "webhook-timestamp": timestamp}
    signed = f"{named}.{timestamp}.".encode() + content
    made = [base64.b64encode(hmac.new(secret, signed, hashlib.sha256).digest()).decode() for secret in secrets]
    if made:
        headers["webhook-signature"] = " ".join(f"v1,{signature}" for signature in made)
    return headers


def secrets_of(name: str, clients: Clients) -> tuple[bytes, ...]:
    """Return the live secrets of a named webhook; TargetRejectedError when one cannot be read."""
    setting = _setting(name, "SECRET")
    found = re.split(r"[\s,]+", (clients.secret(setting) or "").strip())
    try:
        return tuple(_decoded(text.removeprefix("whsec_")) for text in found if text)
    except (binascii.Error, ValueError):
        raise TargetRejectedError(f"webhook: {setting} must be whsec_ followed by base64") from None


def _decoded(text: str) -> bytes:
    secret = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    if not secret:
        raise ValueError("an empty secret signs nothing")
    return secret


def _is_address(address: str) -> bool:
    return "://" in address


def _named_address(name: str, clients: Clients) -> str:
    setting = _setting(name, "URL")
    found = (clients.secret(setting) or clients.setting(setting, "")).strip()
    if not found:
        raise TargetRejectedError(f"webhook: {setting} is not set")
    return found


def _setting(name: str, what: str) -> str:
    return f"WEBHOOK_{re.sub(r'[^A-Z0-9]', '_', name.upper())}_{what}"


def _described(notification: Notification) -> dict[str, Any]:
    runbook, ack = notification.background.runbook, notification.ack
    return {
        "state": state(notification).value,
        "title": one_line(notification.title),
        "group": _texts(notification.incident.group),
        "started_at": _time(notification.incident.started_at),
        "ended_at": _time(notification.incident.ended_at),
        "events": notification.incident.events,
        "alerts": [_alert(alert) for alert in notification.alerts],
        "evidence": [_alert(alert) for alert in notification.evidence],
        "also": notification.also,
        "acked_by": clean(ack.by) if ack else None,
        "acked_at": _time(ack.at) if ack else None,
        "notes": [clean(note) for note in notification.background.notes],
        "route": clean(notification.incident.route),
        "runbook": (
            {"name": runbook.name, "title": runbook.title, "steps": list(runbook.steps), "url": runbook.url}
            if runbook
            else None
        ),
        "deploys": [_deploy(deploy) for deploy in notification.background.deploys],
        **(
            {"services": [_service(each) for each in notification.background.services]}
            if notification.background.services
            else {}
        ),
    }


def _service(found: ServiceSnapshot) -> dict[str, Any]:
    links = {clean(name): address for name, url in found.links.items() if (address := web_address(url))}
    return {"name": clean(found.name), "owner": clean(found.owner), "tier": found.tier, "links": links}


def _alert(alert: AlertSnapshot) -> dict[str, Any]:
    return {
        "fingerprint": alert.fingerprint,
        "name": clean(alert.name),
        "title": clean(alert.title),
        "summary": clean(alert.summary),
        "status": alert.status,
        "severity": alert.severity.value,
        "labels": _texts(alert.labels),
        "annotations": _texts(alert.annotations),
        "starts_at": _time(alert.starts_at),
        "ends_at": _time(alert.ends_at),
        "last_event_at": _time(alert.last_event_at),
        "events": alert.events,
        "source": clean(alert.source),
        "kind": clean(alert.kind),
        "url": web_address(alert.url),
        "value": clean(alert.value),
        "threshold": clean(alert.threshold),
        "condition": clean(alert.condition),
        "acked_by": clean(alert.acked_by) if alert.acked_by else None,
        "muted_by": [clean(name) for name in alert.muted_by],
        "observed": {name: clean(alert.observed[name]) for name in LABELS if alert.observed.get(name)},
        "top_errors": _top_errors(alert.top) if alert.top else None,
        **({"impact_of": clean(alert.impact_of)} if alert.impact_of else {}),
    }


def _top_errors(top: TopErrors) -> dict[str, Any]:
    errors = [
        {
            "title": clean(error.title),
            "count": error.count,
            "url": web_address(error.url),
            "release": clean(error.release) or None,
            "first_at": _time(error.known_since),
            "new": error.is_new,
            "deploy": clean(error.deploy) or None,
        }
        for error in top.errors
    ]
    return {"since": _time(top.since), "events": top.events, "errors": errors}


def _deploy(deploy: Deploy) -> dict[str, Any]:
    texts = {"id": deploy.id, "kind": deploy.kind, "title": deploy.title, "by": deploy.by, "commit": deploy.commit}
    found: dict[str, Any] = _texts({**texts, "project": deploy.project, "service": deploy.service or ""})
    return {**found, "at": _time(deploy.at), "url": web_address(deploy.url)}


def _texts(found: Mapping[str, str]) -> dict[str, str]:
    return {clean(name): clean(value) for name, value in found.items()}


def _time(at: datetime | None) -> str | None:
    return at.astimezone(UTC).isoformat() if at else None


# ---------------------------------------------------------------------------------------------------------------------
# The rules file


def read(value: Any) -> str:
    """Return a name, or an address that begins with https://. Raise FieldError for anything else."""
    text = text_value(value)
    if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}|https://[^\s/@]{1,253}(?:[/?]\S{0,2000})?", text):
        return text
    if re.fullmatch(r"http://(?:127\.0\.0\.1|localhost|\[::1\])(?::\d{1,5})?(?:/\S{0,2000})?", text):
        return text
    suggestion = masked("https://" + text.removeprefix("http://")) if text.startswith("http://") else ""
    raise FieldError(
        f"is not a webhook: {masked(text)!r}", "a name, or an address that begins with https://", suggestion
    )


def _names(text: str) -> bool:
    return text.startswith("https://")


def _parameters(address: str) -> tuple[str, ...]:
    if _is_address(address):
        return (_setting(DEFAULT_ADDRESS, "SECRET"), LOOPBACK_SETTING)
    return (_setting(address, "URL"), _setting(address, "SECRET"), LOOPBACK_SETTING)


DECLARED = TargetKind(
    title="webhook",
    meaning="A name, or an address that begins with https://.",
    read=read,
    schema={"type": "string", "minLength": 1},
    example="https://example.com/hook",
    can=Capabilities(shows_silences=True),
    sample=TargetSample(),
    names=_names,
    written=("webhook:NAME", "https://…"),
    parameters=_parameters,
    place=4,
)
