"""PagerDuty Events API v2: trigger, acknowledge and resolve of one alert per wave, and change events for deploys.

https://developer.pagerduty.com/docs/send-alert-event. The dedup_key is the incident's id, `<id>:<n>` for its wave n
(core/waves.py), so that a request may be repeated safely. Acknowledge and resolve reach the alert only through
the routing key that triggered it. An acknowledged incident makes no sound, whatever triggers it, and the Events API has
no word for an acknowledgement that is withdrawn: only a new wave calls people again.
One notification may be several requests: trigger and acknowledge, or the resolves of all waves. When a later one fails,
the notification is in doubt and all of them are sent again.
Limits: summary 1,024 characters, dedup_key 255, body 512 KB (512,000 bytes are counted here).
To change a key, set the new one beside the old one, with a comma: alerts are opened by the first and ended by the one
that opened them, which the receipt knows by a fingerprint.
Settings: PAGERDUTY_ROUTING_KEY_<NAME> for each named key (`pagerduty: true` is DEFAULT), PAGERDUTY_EVENTS_URL for the
EU (https://events.eu.pagerduty.com).
"""

import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from chalicelib.core.delivery.links import links, web_address
from chalicelib.core.delivery.notification import AlertSnapshot, Deploy, Notification, Reason, Receipt, Why
from chalicelib.core.delivery.target_kind import DEFAULT_ADDRESS, Capabilities, TargetCheck, TargetKind, TargetSample
from chalicelib.core.delivery.target_state import Pace
from chalicelib.core.delivery.text import (
    alert_line,
    alert_title,
    change,
    deploy_line,
    facts,
    label_values,
    notes,
    plain_text,
    reading,
    runbook_steps,
    summary,
    title,
    top_error_lines,
    why,
)
from chalicelib.core.delivery.writing import clean, cut, one_line
from chalicelib.core.errors import FieldError, TargetRejectedError, TargetUnavailableError
from chalicelib.core.event import fingerprint
from chalicelib.core.field import kind_of, masked
from chalicelib.core.ports import Clients
from chalicelib.core.rule import Target
from chalicelib.core.waves import MAX_WAVES, wave_key
from chalicelib.targets._http import VendorAnswer, call, encoded, raise_for_status
from chalicelib.targets._pagerduty_rest import alert_keys, on_call

__all__ = ["alert_keys", "on_call", "render", "send", "send_change"]

NAME = "pagerduty"
"""A part of the fingerprint of a routing key, which receipts hold."""
PACE = Pace(timedelta(seconds=60) / 90, burst=30)
"""About 120 events a minute for a key: https://developer.pagerduty.com/docs/rate-limits. Any minute holds 30 + 90."""
MAX_SUMMARY_CHARACTERS = 1_024
MAX_DEDUP_KEY_CHARACTERS = 255
MAX_BODY_BYTES = 512_000
MAX_DETAIL_CHARACTERS = 1_000
MAX_FIELD_CHARACTERS = 255
MAX_LISTED_ALERTS = 50
MAX_LABELS = 30
THROTTLE_WAIT = timedelta(seconds=30)
"""PagerDuty's advice for 429, which brings no Retry-After."""
ALL_REQUESTS = timedelta(seconds=40)
"""The requests of one notification take no longer than this together: a worker lives for a minute."""
LONGEST_REQUEST = timedelta(seconds=10)
DEFAULT_URL = "https://events.pagerduty.com"


def render(notification: Notification, receipt: Mapping[str, str], *, plain: bool = False) -> dict[str, Any]:
    """Return the first event without its routing key; empty when PagerDuty has nothing to change."""
    return next(iter(requests(notification, receipt, plain=plain)), {})


def requests(
    notification: Notification, receipt: Mapping[str, str], *, plain: bool = False
) -> tuple[dict[str, Any], ...]:
    """Return the events of a notification in order, without their routing key.

    All waves are acknowledged: PagerDuty's own time limit may have taken an earlier one back.
    """
    first = dedup_key(notification, receipt)
    keys = [wave_key(first, wave + 1) for wave in range(notification.wave)]
    if notification.status == "resolved" or notification.reason is Reason.RESOLVED:
        return tuple({"event_action": "resolve", "dedup_key": key} for key in keys)
    events: list[dict[str, Any]] = []
    if notification.reason is not Reason.SYNC:
        event: dict[str, Any] = {"event_action": "trigger", "dedup_key": keys[-1], "client": "Tocsin"}
        event |= {"payload": _payload(notification, plain=plain), "links": _links(notification)}
        events.append(_fitting(event))
    if notification.ack is not None:
        events += [{"event_action": "acknowledge", "dedup_key": key} for key in keys]
    return tuple(events)


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
    """Enqueue the events through the key that opened the alert. Sending again is harmless: the dedup_keys are the same."""
    name = receipt.get("routing_key_name") or address
    events = requests(notification, receipt, plain=plain)
    if not events:
        return Receipt(note="PagerDuty has nothing to change", sent=False)
    key, note = _key(name, clients, receipt.get("routing_key", ""))
    timeout = _share(notification.target.timeout, len(events))
    answer = _enqueue(events[0], key, clients, "v2/enqueue", timeout)
    if events[0]["event_action"] == "trigger" and _refuses_content(answer):
        status = answer.status
        answer = _enqueue(smallest(events[0]), key, clients, "v2/enqueue", timeout)
        note = f"sent in its smallest form, since PagerDuty refused the full one (HTTP {status}){'; ' if note else ''}{note}"
    _raise_for_answer(answer, name, now)
    for event in events[1:]:
        _enqueue_after(event, key, clients, timeout, name, now)
    keep = {"dedup_key": dedup_key(notification, receipt), "routing_key_name": name}
    return Receipt(values={**keep, "routing_key": fingerprint(NAME, key)}, note=note)


def smallest(event: Mapping[str, Any]) -> dict[str, Any]:
    """Return the smallest valid form of a trigger: its key, and the three fields that PagerDuty requires."""
    payload = {name: event["payload"][name] for name in ("summary", "source", "severity")}
    return {"event_action": event["event_action"], "dedup_key": event["dedup_key"], "payload": payload}


def _refuses_content(answer: VendorAnswer) -> bool:
    """Return whether PagerDuty refuses an event for what is in it, so that a smaller one may be taken."""
    return answer.status == 413 or (answer.status == 400 and not _blames_key(answer))


def _share(timeout: timedelta | None, requests: int) -> timedelta | None:
    """Return the time limit of each of so many requests: all of them end before their worker does."""
    share = ALL_REQUESTS / requests
    return min(timeout or share, share) if timeout or share < LONGEST_REQUEST else None


def _enqueue_after(
    event: Mapping[str, Any], key: str, clients: Clients, timeout: timedelta | None, name: str, now: datetime
) -> None:
    """Enqueue what follows on the first event. PagerDuty has that one, so a failure here leaves the whole in doubt."""
    try:
        _raise_for_answer(_enqueue(event, key, clients, "v2/enqueue", timeout), name, now)
    except TargetUnavailableError as error:
        raise TargetUnavailableError(str(error), retry_after=error.retry_after, ambiguous=True) from None
    except TargetRejectedError as error:
        raise TargetUnavailableError(str(error), ambiguous=True) from None


def send_change(deploy: Deploy, address: str, clients: Clients, *, now: datetime) -> Receipt:
    """Notify PagerDuty of a deploy: shown beside incidents of the service, pages nobody.

    https://developer.pagerduty.com/docs/send-change-events. It has no dedup_key: sent twice, it is shown twice.
    """
    key, _ = _key(address, clients, "")
    _raise_for_answer(_enqueue(render_change(deploy), key, clients, "v2/change/enqueue", None), address, now)
    return Receipt()


def render_change(deploy: Deploy) -> dict[str, Any]:
    """Return the change event of a deploy, without its routing key."""
    named = one_line(deploy.title) or one_line(deploy.commit)[:12] or one_line(deploy.id) or "deploy"
    where = one_line(deploy.service or "") or one_line(deploy.project)
    words = f"{one_line(deploy.kind) or 'Deploy'}{f' of {where}' if where else ''}: {named}"
    details = {"by": deploy.by, "commit": deploy.commit, "project": deploy.project, "id": deploy.id}
    payload: dict[str, Any] = {
        "summary": cut(words, MAX_SUMMARY_CHARACTERS),
        "source": cut(where, MAX_FIELD_CHARACTERS) or "Tocsin",
        "timestamp": deploy.at.isoformat(),
        "custom_details": {name: _detail(value) for name, value in details.items() if clean(value)},
    }
    event: dict[str, Any] = {"payload": payload}
    if web_address(deploy.url):
        event["links"] = [{"href": deploy.url, "text": "Deploy"}]
    return event


def dedup_key(notification: Notification, receipt: Mapping[str, str]) -> str:
    """Return the key of the first wave's alert: the incident's id, or a hash of one that is too long."""
    key = receipt.get("dedup_key") or notification.incident.id
    return key if len(wave_key(key, MAX_WAVES)) <= MAX_DEDUP_KEY_CHARACTERS else fingerprint(key)


def setting_name(name: str) -> str:
    """Return the setting that holds the routing key called `name` in the rules file."""
    return f"PAGERDUTY_ROUTING_KEY_{re.sub(r'[^A-Z0-9]', '_', (name or 'default').upper())}"


def check_target(target: Target, clients: Clients) -> TargetCheck:
    """Return whether a routing key is set, and has the form of one."""
    name = setting_name(target.address)
    keys = _keys(name, clients)
    if not keys:
        return TargetCheck("wrong", f"{target.key}: no routing key", parameter=name)
    if not all(re.fullmatch(r"[0-9A-Za-z]{32}", key) for key in keys):
        text = f"{target.key}: the routing key has not 32 letters and digits"
        return TargetCheck("wrong", text, parameter=name)
    return TargetCheck("ok", f"{target.key}: a routing key is set")


def _keys(setting: str, clients: Clients) -> list[str]:
    """Return the routing keys of a setting: two while one is changed."""
    return [key.strip() for key in (clients.secret(setting) or "").split(",") if key.strip()]


def _key(name: str, clients: Clients, opened_by: str) -> tuple[str, str]:
    """Return the routing key of that name, and a note: the one that opened the alert while it is live, else the first."""
    keys = _keys(setting_name(name), clients)
    if not keys:
        raise TargetRejectedError(f"PagerDuty: {setting_name(name)} is not set")
    found = next((key for key in keys if fingerprint(NAME, key) == opened_by), None)
    if found is None and opened_by:
        return keys[0], "the alert was opened by a routing key that is gone: see to it in PagerDuty"
    return found or keys[0], ""


def _enqueue(
    event: Mapping[str, Any], key: str, clients: Clients, path: str, timeout: timedelta | None
) -> VendorAnswer:
    base = clients.setting("PAGERDUTY_EVENTS_URL", DEFAULT_URL).rstrip("/").removesuffix("/v2")
    content = encoded({"routing_key": key, **event})
    headers = {"Content-Type": "application/json"}
    return call(clients, "POST", f"{base}/{path}", name="PagerDuty", content=content, headers=headers, timeout=timeout)


def _raise_for_answer(answer: VendorAnswer, name: str, now: datetime) -> None:
    if answer.status in (400, 401, 402, 403) and _blames_key(answer):
        raise TargetRejectedError(
            f"PagerDuty: HTTP {answer.status}: the routing key is wrong; see {setting_name(name)}"
        )
    if answer.status == 400:
        raise TargetRejectedError("PagerDuty: HTTP 400: the event was refused as invalid, in its smallest form too")
    raise_for_status(answer, name="PagerDuty", now=now, wait=THROTTLE_WAIT)


def _blames_key(answer: VendorAnswer) -> bool:
    """Return the words of the answer are looked at, never shown: they may repeat the key."""
    return "routing" in answer.text.lower() or "integration" in answer.text.lower()


def _payload(notification: Notification, *, plain: bool) -> dict[str, Any]:
    first = notification.alerts[0] if notification.alerts else None
    service, environment = label_values(notification, "service"), label_values(notification, "environment")
    sender = one_line(first.source) if first else ""
    payload: dict[str, Any] = {
        "summary": cut(_summary(notification), MAX_SUMMARY_CHARACTERS),
        "source": cut(service or sender, MAX_FIELD_CHARACTERS) or "Tocsin",
        "severity": notification.severity.value,
        "timestamp": notification.incident.started_at.isoformat(),
        "custom_details": {"text": plain_text(notification)} if plain else _details(notification),
    }
    known = {
        "component": service,
        "group": environment,
        "class": one_line(f"{first.source}.{first.kind}") if first and first.kind else "",
    }
    return payload | {name: cut(value, MAX_FIELD_CHARACTERS) for name, value in known.items() if value}


def _summary(notification: Notification) -> str:
    """Return the title; a marked one for tests, escalations and later waves. It is what a phone reads out."""
    marks = {Reason.TEST: "[TEST] ", Reason.ESCALATED: "[escalated] ", Why.ESCALATED: "[escalated] "}
    also = "also: " if notification.wave > 1 else ""
    return f"{marks.get(notification.why or notification.reason, '')}{also}{title(notification)}"


def _details(notification: Notification) -> dict[str, Any]:
    """Return what PagerDuty shows as a table under the alert; bounded, and trimmed further by `_fitting`."""
    details: dict[str, Any] = {"what": change(notification)}
    details |= {label: _detail(value) for label, value in facts(notification)}
    said = next((found for found in (summary(alert) for alert in notification.alerts) if found), "")
    listed = notification.alerts[:MAX_LISTED_ALERTS]
    more = len(notification.alerts) - len(listed) + notification.also
    optional: dict[str, Any] = {
        "summary": _detail(said),
        "top_errors": [_detail(line) for line in top_error_lines(notification)],
        "notes": [_detail(note) for note in notes(notification)[:10]],
        "alerts": [_alert(alert) for alert in listed],
        "alerts_not_listed": more,
        "muted_beside_it": [_detail(alert_line(alert)) for alert in notification.evidence[:20]],
        "last_deploy": _detail(deploy_line(notification.background.deploys[0], notification))
        if notification.background.deploys
        else "",
        "first_steps": [_detail(step) for step in runbook_steps(notification)],
        "why_you": _detail(why(notification)),
        "incident": _detail(notification.incident.id),
        "wave": _wave(notification),
    }
    return details | {name: value for name, value in optional.items() if value}


def _wave(notification: Notification) -> str:
    """Return which call of its incident this is, and how to find the first one in PagerDuty."""
    if notification.wave <= 1:
        return ""
    first = _detail(notification.incident.id)
    why = "it is worse now" if notification.why is Why.WORSE else "nobody has it now"
    return f"{notification.wave}: people were called before, and {why}. The first alert has the key {first}"


def _alert(alert: AlertSnapshot) -> dict[str, Any]:
    labels = {_field(name): _detail(value, 300) for name, value in list(alert.labels.items())[:MAX_LABELS]}
    found: dict[str, Any] = {"title": _detail(alert_title(alert)), "status": alert.status, "labels": labels}
    known = {"reading": reading(alert), "summary": summary(alert), "url": web_address(alert.url) or ""}
    return found | {name: _detail(value, 2_000) for name, value in known.items() if value}


def _field(text: str) -> str:
    return cut(one_line(text), MAX_FIELD_CHARACTERS)


def _detail(text: str, limit: int = MAX_DETAIL_CHARACTERS) -> str:
    return cut(clean(text), limit)


def _links(notification: Notification) -> list[dict[str, str]]:
    return [{"href": address, "text": label} for label, address in links(notification)]


def _fitting(event: dict[str, Any]) -> dict[str, Any]:
    """Return the event within PagerDuty's size: alerts leave the details from the end, and are counted."""
    details = event["payload"]["custom_details"]
    dropped = 0
    while len(encoded(event)) > MAX_BODY_BYTES - 1_000 and details.get("alerts"):
        half = len(details["alerts"]) // 2
        dropped += len(details["alerts"]) - half
        details["alerts"] = details["alerts"][:half]
    if dropped:
        details["alerts_not_listed"] = details.get("alerts_not_listed", 0) + dropped
    return event


# ---------------------------------------------------------------------------------------------------------------------
# The rules file


def read(value: Any) -> Any:
    """Return `True`, or the name of a routing key. Raise FieldError for anything else, a routing key itself too."""
    allowed = "true, or the name of a routing key"
    if value is True:
        return value
    if not isinstance(value, str):
        raise FieldError(f"is {kind_of(value)}", allowed, "true" if value is not False else "")
    if re.fullmatch(r"[0-9a-fA-F]{32}|R[0-9A-Z]{31}", value):
        raise FieldError("is a routing key itself", f"{allowed}: the key is a secret of the stage")
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", value):
        raise FieldError(f"is not the name of a key: {masked(value)!r}", allowed)
    return value


def _parameters(address: str) -> tuple[str, ...]:
    """Return what an event reads, then what a question to the REST API does."""
    return (setting_name(address), "PAGERDUTY_EVENTS_URL", "PAGERDUTY_API_TOKEN", "PAGERDUTY_API_URL")


def _words(address: str) -> str:
    return "PagerDuty" if address == DEFAULT_ADDRESS else f"PagerDuty ({address})"


DECLARED = TargetKind(
    title="PagerDuty",
    meaning="true, or the name of a routing key.",
    read=read,
    schema={"anyOf": [{"const": True}, {"type": "string"}]},
    example=True,
    can=Capabilities(pages=True, takes_changes=True, threads=True),
    sample=TargetSample(answer={"status": "success"}),
    written=("pagerduty", "pagerduty:KEY"),
    words=_words,
    needs=(("PAGERDUTY_ROUTING_KEY_DEFAULT", "nobody can be paged"),),
    parameters=_parameters,
    place=3,
)
