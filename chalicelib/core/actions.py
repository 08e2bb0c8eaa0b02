"""What people do to an incident: acknowledge, take it back, resolve, assign, note. Each is remembered with who and when."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from chalicelib.core.alert import Alert, closed_by_hand, covers
from chalicelib.core.event import Action, ActionKind, fingerprint
from chalicelib.core.incident import Entry, Incident, remarked
from chalicelib.core.match import parse_matchers

MAX_ALIASES = 20


def acted(incident: Incident, action: Action) -> Incident:
    """What a person did; nothing when it is about another incident, was done before, or is our own echo."""
    if not is_about(action, incident):
        return incident
    incident = _linked(incident, action)
    if any(each.act == _act_id(action) for each in incident.timeline):
        return incident
    matchers = parse_matchers(action.matchers)
    if action.kind is ActionKind.LINK:
        return incident
    chosen = [
        alert for alert in incident.firing if alert.matched_by(matchers) and (alert.starts_at or action.at) <= action.at
    ]
    if action.kind is ActionKind.NOTE:
        return _said(incident, action, action.note) if incident.status == "open" else incident
    if action.kind is ActionKind.REASSIGN:
        return _said(incident, action, f"assigned to {action.note or action.by}") if chosen else incident
    if action.kind is ActionKind.RESOLVE:
        return _resolved_by(incident, action, chosen)
    return _acknowledged(incident, action, chosen)


def is_about(action: Action, incident: Incident) -> bool:
    """Whether the act is about this incident; one that names none is about all of them."""
    return action.incident is None or action.incident == incident.id or action.incident in incident.aliases


def _linked(incident: Incident, action: Action) -> Incident:
    if not action.alias or action.alias in incident.aliases or incident.status != "open":
        return incident
    return replace(incident, aliases=(*incident.aliases, action.alias)[-MAX_ALIASES:])


def _said(incident: Incident, action: Action, text: str) -> Incident:
    """What a person says changes no alert; the messages that were told show it."""
    return replace(_noted(incident, action, text), sync=_sync_origin(action))


def silenced(incident: Incident, entry: Entry) -> Incident:
    """A remark on the timeline; one about a silence is shown by the messages that were told."""
    after = remarked(incident, entry)
    return replace(after, sync=entry.kind) if after is not incident and entry.kind == "silence" else after


def _acknowledged(incident: Incident, action: Action, chosen: Sequence[Alert]) -> Incident:
    if _overtaken(action, incident):
        return incident
    acks = action.kind is ActionKind.ACK
    changed = {
        alert.fingerprint: replace(alert, acked_by=action.by if acks else None, acked_at=action.at if acks else None)
        for alert in chosen
        if (alert.acked_by is None) == acks and (not acks or covers(action.at, alert))
    }
    if not changed:
        return incident
    incident = replace(
        incident,
        alerts={**incident.alerts, **changed},
        sync=_sync_origin(action),
        escalate_from=None if acks else action.at,
        escalated=incident.escalated if acks else 0,
    )
    return _noted(incident, action, _with_note("acknowledged" if acks else "unacknowledged", action))


def lifted(incident: Incident) -> Incident:
    """Return the incident without the acknowledgements that no longer cover their alerts.

    Such an alert got worse since, or a late end shows that it fires anew. Each is written in the timeline. The clock of
    the escalation starts again at that time.
    """
    uncovered = [alert for alert in incident.firing if alert.acked_at is not None and not covers(alert.acked_at, alert)]
    if not uncovered:
        return incident
    alerts = {alert.fingerprint: replace(alert, acked_by=None, acked_at=None) for alert in uncovered}
    at = max(_uncovered_at(alert) for alert in uncovered)
    incident = replace(incident, alerts={**incident.alerts, **alerts}, escalate_from=at, escalated=0)
    for alert in uncovered:
        worse = alert.worse_at is not None and alert.worse_at == _uncovered_at(alert)
        what = f"{alert.name} got worse ({alert.severity.value})" if worse else f"{alert.name} fires anew"
        text = f"{what}: the acknowledgement of {alert.acked_by} was lifted"
        incident = remarked(incident, Entry(at, text, kind="ack_lifted"))
    return incident


def _uncovered_at(alert: Alert) -> datetime:
    """Return when the alert became one that its acknowledgement does not cover."""
    return max(each for each in (alert.starts_at, alert.worse_at, alert.acked_at) if each is not None)


def _with_note(text: str, action: Action) -> str:
    return f"{text}: {action.note}" if action.note else text


def _overtaken(action: Action, incident: Incident) -> bool:
    """True when a later acknowledgement, or its withdrawal, of the whole incident came before this one: queues shuffle."""
    whole = action.incident is not None and not action.matchers
    return whole and any(each.kind in ("ack", "unack") and each.at > action.at for each in incident.timeline)


def _sync_origin(action: Action) -> str:
    return action.via or "api"


def _resolved_by(incident: Incident, action: Action, chosen: Sequence[Alert]) -> Incident:
    if not chosen:
        return incident
    alerts = dict(incident.alerts)
    for alert in chosen:
        alerts[alert.fingerprint] = closed_by_hand(alert, action.at, action.by)
    incident = replace(incident, alerts=alerts, closed_via=action.via, next_flush_at=action.at)
    return _noted(incident, action, _with_note("resolved", action))


def _noted(incident: Incident, action: Action, text: str) -> Incident:
    return remarked(incident, Entry(action.at, text, action.by, kind=action.kind.value, act=_act_id(action)))


def _act_id(action: Action) -> str:
    """What is equal for one act, however often its message comes."""
    return action.id or fingerprint(action.kind.value, action.by, action.at.isoformat(), action.note)
