"""PagerDuty v3 webhooks: what people did there to incidents that we opened. They only change incidents that exist.

`X-PagerDuty-Signature` lists `v1=<hex>` (several while a secret is rotated), HMAC-SHA256 of the raw body under the
secret as text. `X-Webhook-Id` is the same on each attempt. An unknown type of event is information: a 4xx would lose
it, and three of those in a row switch the subscription off. https://developer.pagerduty.com/docs/webhooks-overview
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from chalicelib.core.errors import ParseError, SignatureError
from chalicelib.core.event import Action, ActionKind, Event, Severity, Status
from chalicelib.core.payload import coerce, signing
from chalicelib.core.unknown_values import LABEL

NAME = "pagerduty"
TITLE = "PagerDuty"
SECRETS = ("PAGERDUTY_WEBHOOK_SECRET",)
SIGNATURE_HEADER = "x-pagerduty-signature"
REOPENED = "incident.reopened"
MERGED = "merge_resolve_reason"
"""An incident that was merged into another is closed, but what it is about goes on there."""

_ACTIONS = {
    "incident.triggered": ActionKind.LINK,
    "incident.acknowledged": ActionKind.ACK,
    "incident.unacknowledged": ActionKind.UNACK,
    "incident.resolved": ActionKind.RESOLVE,
    "incident.reopened": ActionKind.NOTE,
    "incident.reassigned": ActionKind.REASSIGN,
    "incident.escalated": ActionKind.REASSIGN,
    "incident.delegated": ActionKind.REASSIGN,
    "incident.annotated": ActionKind.NOTE,
    "incident.status_update_published": ActionKind.NOTE,
}
_INFORMATION = ("incident.priority_updated", "incident.service_updated", "incident.conference_bridge.updated",
    "incident.custom_field_values.updated", "incident.incident_type.changed", "pagey.ping")  # fmt: skip
_FAMILIES = ("incident.responder.", "incident.task.", "incident.workflow.", "incident.role.", "incident.action_invocation.",
    "service.")  # fmt: skip
"""What is known and changes no incident of ours: whole types, and how the types of a family begin."""


def verify(headers: Mapping[str, str], body: bytes, secrets: Sequence[str], *, path_secret: str | None = None) -> None:
    """Raise SignatureError unless one of the signatures fits the body."""
    known = signing.live(secrets)
    parts = [part.strip().partition("=") for part in headers.get(SIGNATURE_HEADER, "").split(",")]
    given = [signature for version, _, signature in parts if version.strip() == "v1" and signature]
    if not given:
        raise SignatureError("the request has no X-PagerDuty-Signature of version v1")
    if not signing.signed(body, known, given[:20], algorithm="sha256"):
        raise SignatureError("no signature fits the body")


def delivery_id(headers: Mapping[str, str], body: bytes) -> str | None:
    """Return X-Webhook-Id, else the event's own id."""
    if given := headers.get("x-webhook-id"):
        return given
    try:
        return coerce.line(coerce.at(coerce.json_object(body), "event", "id"), 200) or None
    except ParseError:
        return None


def parse(headers: Mapping[str, str], body: bytes, *, received_at: datetime) -> list[Event]:
    """Return the one event of a delivery. Raise ParseError when the body is no JSON object."""
    payload = coerce.json_object(body)
    event = coerce.table(payload.get("event"))
    data = coerce.table(event.get("data"))
    kind = coerce.word(event.get("event_type")) or "unknown"
    incident = _incident(data)
    occurred_at = coerce.instant(event.get("occurred_at")) or received_at
    said_id = coerce.line(event.get("id"), 200) or headers.get("x-webhook-id") or coerce.digest(payload)
    action = _action(event, data, incident, kind, occurred_at, said_id)
    number = coerce.line(incident.get("id"), 100)
    ended = action is not None and action.kind is ActionKind.RESOLVE
    return [
        coerce.made_event(
            id=said_id,
            source=NAME,
            kind=kind,
            status=Status.RESOLVED if ended else Status.INFO,
            severity=Severity.INFO,
            title=_title(data, incident, kind, number),
            summary=coerce.text(data.get("content") or data.get("message"), 2_000),
            url=coerce.first_address(incident.get("html_url"), data.get("html_url")),
            service=_name(incident.get("service")),
            occurred_at=occurred_at,
            identity=f"incident:{number}" if number else f"{kind}:{said_id}",
            labels=_labels(data, incident, number, event, kind),
            action=action,
        )
    ]


def _incident(data: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the incident itself, or the reference to it from a note, a response or a task."""
    return coerce.table(data.get("incident")) or data


def _name(reference: Any) -> str:
    return coerce.first_line(coerce.at(reference, "summary"), coerce.at(reference, "name"), limit=200)


def _title(data: Mapping[str, Any], incident: Mapping[str, Any], kind: str, number: str) -> str:
    said = coerce.first_line(incident.get("title"), incident.get("summary"), limit=coerce.MAX_TITLE_CHARACTERS)
    if said or (said := coerce.head(data.get("message"))):
        return said
    words = kind.replace(".", " ").replace("_", " ")
    return f"PagerDuty: {words} ({number})" if number else f"PagerDuty: {words}"


def _labels(
    data: Mapping[str, Any], incident: Mapping[str, Any], number: str, event: Mapping[str, Any], kind: str
) -> dict[str, str]:
    return coerce.labels(
        [
            ("pagerduty_incident", number),
            ("incident_key", _key(data, incident)),
            ("number", incident.get("number")),
            ("pagerduty_status", incident.get("status")),
            ("urgency", incident.get("urgency")),
            ("priority", _name(incident.get("priority"))),
            ("by", _name(event.get("agent"))),
            ("assignees", _assignees(incident)),
            ("resolve_reason", _resolve_reason(incident)),
            (LABEL, None if _is_known(kind) else f"event_type {kind}"),
        ]
    )


def _is_known(kind: str) -> bool:
    return kind in _ACTIONS or kind in _INFORMATION or kind.startswith(_FAMILIES)


def _key(data: Mapping[str, Any], incident: Mapping[str, Any]) -> str:
    return coerce.first_line(incident.get("incident_key"), data.get("incident_key"), limit=255)


def _assignees(incident: Mapping[str, Any]) -> str:
    return ", ".join(filter(None, map(_name, coerce.items(incident.get("assignees"))[:10])))


def _assigned_to(incident: Mapping[str, Any]) -> str:
    """Return who has an incident: its assignees, else its escalation policy; empty when PagerDuty names neither."""
    policy = _name(incident.get("escalation_policy"))
    return _assignees(incident) or (f"the escalation policy {policy}" if policy else "")


def _resolve_reason(incident: Mapping[str, Any]) -> str:
    reason = incident.get("resolve_reason")
    return coerce.first_line(coerce.at(reason, "type"), reason)


def _action(
    event: Mapping[str, Any],
    data: Mapping[str, Any],
    incident: Mapping[str, Any],
    kind: str,
    at: datetime,
    said_id: str,
) -> Action | None:
    """Return what was done. `incident` is our key, which PagerDuty keeps as `incident_key`.

    Without that (incidents with child alerts, notes) it is `pagerduty:<id>`, an alias that an incident of ours has once
    a webhook named both: an action without an incident would reach all of them.
    """
    act = _ACTIONS.get(kind)
    number = coerce.line(incident.get("id"), 100)
    if act is None or not (number or _key(data, incident)):
        return None
    note = _assigned_to(incident) if act is ActionKind.REASSIGN else coerce.text(data.get("content"), 2_000)
    if kind == REOPENED:
        note = "reopened at PagerDuty"
    if act is ActionKind.NOTE and not note:
        note = coerce.text(data.get("message"), 2_000)
    if act is ActionKind.REASSIGN and not note:
        act = ActionKind.LINK
    if act is ActionKind.RESOLVE and _resolve_reason(incident) == MERGED:
        act, note = ActionKind.NOTE, "merged into another incident at PagerDuty"
    agent = coerce.line(coerce.at(event, "agent", "id"), 100)
    return Action(
        kind=act,
        by=_name(event.get("agent")) or agent or "PagerDuty",
        at=at,
        incident=_key(data, incident) or f"pagerduty:{number}",
        via=NAME,
        note=note,
        id=said_id,
        alias=f"{NAME}:{number}" if number else "",
        account=f"{NAME}:{agent}" if agent else "",
    )
