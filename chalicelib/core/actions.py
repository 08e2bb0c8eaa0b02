"""What people do to an incident: acknowledge, take it back, resolve, assign, note. Each is remembered with who and when."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from chalicelib.core.acknowledgement import acknowledged, covers, unacknowledged
from chalicelib.core.alert import Alert
from chalicelib.core.delivery.writing import counted_list
from chalicelib.core.event import Action, ActionKind, fingerprint
from chalicelib.core.incident import Entry, Incident, IncidentStatus, remarked, restarted
from chalicelib.core.keeping import kept, not_kept
from chalicelib.core.notified import NotifiedAlerts
from chalicelib.core.outcome import Outcome, Result, assigned, chosen_by, is_given_back, later_act, outcome, sentence
from chalicelib.core.rule import Rules
from chalicelib.core.transitions import closed_by_hand
from chalicelib.core.waves import acted_there, incident_named

MAX_ALIASES = 20
MAX_NAMES = 3
"""So many alerts of an act that was not about all of them are named."""


def acted(incident: Incident, action: Action, rules: Rules, now: datetime) -> Incident:
    """Return the incident after a person's act; as it was when the act is about another one, or was folded before.

    An act that a door accepted and that comes to nothing by now leaves a line that says why.
    """
    if not is_about(action, incident):
        return incident
    incident = _linked(incident, action)
    if _names_nothing(action) or any(each.act == act_id(action) for each in incident.timeline.entries):
        return incident
    found = outcome([incident], action, now)
    incident = _taken(incident, action, rules)
    if not found.accepted:
        return _without_effect(incident, action, found) if action.answered else incident
    if found.result is Result.RESOLVED:
        return _resolved_by(incident, action, ())
    return _APPLIED[action.kind](incident, action, chosen_by(action, incident))


def _taken(incident: Incident, action: Action, rules: Rules) -> Incident:
    """Return the incident that remembers what an acknowledgement, or its withdrawal, says whatever comes of it."""
    overtaken = later_act(action, incident) is not None
    if action.kind is ActionKind.ACK or not overtaken:
        incident = acted_there(incident, action, pages=rules.can(action.via).pages)
    return _withdrawn_at(incident, action) if action.kind is ActionKind.UNACK and not overtaken else incident


def _names_nothing(action: Action) -> bool:
    """Return whether an act only links a vendor's name, or assigns an incident without saying to whom."""
    return action.kind is ActionKind.LINK or (action.kind is ActionKind.REASSIGN and not action.note)


def _without_effect(incident: Incident, action: Action, found: Outcome) -> Incident:
    text = sentence(found, action)
    return remarked(incident, replace(_entry(action, text), kind="no_effect", result=found.result.value))


def is_about(action: Action, incident: Incident) -> bool:
    """Return whether the act is about this incident; one that names none is about all of them."""
    if action.incident is None or action.incident in incident.episode.aliases:
        return True
    return incident_named(action.incident) == incident.id


def _linked(incident: Incident, action: Action) -> Incident:
    if not action.alias or action.alias in incident.episode.aliases or incident.status is not IncidentStatus.OPEN:
        return incident
    aliases = (*incident.episode.aliases, action.alias)[-MAX_ALIASES:]
    return replace(incident, episode=replace(incident.episode, aliases=aliases))


def _written(incident: Incident, action: Action, chosen: Sequence[Alert]) -> Incident:
    """Return the incident with a note, or with whom it is assigned to: the messages that were sent show it."""
    text = assigned(action) if action.kind is ActionKind.REASSIGN else action.note
    return replace(_noted(incident, action, text), sync=_sync_origin(action))


def silenced(incident: Incident, entry: Entry) -> Incident:
    """Return a remark on the timeline; one about a silence is shown by the messages that were sent."""
    after = remarked(incident, entry)
    return replace(after, sync=entry.kind) if after is not incident and entry.kind == "silence" else after


def _withdrawn_at(incident: Incident, action: Action) -> Incident:
    """Return the incident that remembers when it was given back: an acknowledgement from before may still be on its way."""
    alerts = {
        alert.fingerprint: replace(alert, ack=replace(alert.ack, given_back_at=action.at))
        for alert in chosen_by(action, incident)
        if alert.ack.given_back_at is None or alert.ack.given_back_at < action.at
    }
    return replace(incident, alerts={**incident.alerts, **alerts}) if alerts else incident


def _acknowledged(incident: Incident, action: Action, chosen: Sequence[Alert]) -> Incident:
    acks = action.kind is ActionKind.ACK
    changed = {
        alert.fingerprint: acknowledged(alert, action.by, action.at) if acks else unacknowledged(alert)
        for alert in chosen
        if (alert.ack.by is None and covers(action.at, alert) if acks else is_given_back(alert, action))
    }
    if not changed:
        return incident
    incident = _eased(incident, changed.values()) if acks else restarted(incident, changed.values(), action.at)
    incident = replace(incident, alerts={**incident.alerts, **changed}, sync=_sync_origin(action))
    return _noted(incident, action, _with_note(_of_how_many(incident, list(changed.values()), acks=acks), action))


def _of_how_many(incident: Incident, changed: Sequence[Alert], *, acks: bool) -> str:
    """Return what was done in words; with the alerts by name when it was not done for all of the incident."""
    word = "acknowledged" if acks else "unacknowledged"
    firing = incident.firing
    if all((alert.ack.by is not None) == acks for alert in firing):
        return word
    names = counted_list(sorted({alert.name for alert in changed}), MAX_NAMES)
    return f"{word} {len(changed)} of {max(len(firing), len(changed))}: {names}"


def _eased(incident: Incident, alerts: Iterable[Alert]) -> Incident:
    """Return the incident whose targets count as notified of these alerts at no worse a severity than they have now.

    Targets are not notified of an alert that gets better. When it is as bad as before, it is worse than what was
    acknowledged, so the targets are notified.
    """
    now = {alert.fingerprint: alert.severity.rank for alert in alerts}
    announced = {key: replace(each, alerts=_at_most(each.alerts, now)) for key, each in incident.announced.items()}
    return replace(incident, announced=announced)


def _at_most(alerts: NotifiedAlerts, ranks: Mapping[str, int]) -> NotifiedAlerts:
    firing = {name: max(rank, ranks.get(name, rank)) for name, rank in alerts.firing.items()}
    return replace(alerts, firing=firing)


def lifted(incident: Incident) -> Incident:
    """Return the incident without the acknowledgements that no longer cover their alerts.

    An alert that got worse since is written in the timeline, and the clock of the escalation starts again at that time.
    One that begins anew after a notified end was never acknowledged: there is nothing to write.
    """
    uncovered = [alert for alert in incident.firing if alert.ack.at is not None and not covers(alert.ack.at, alert)]
    if not uncovered:
        return incident
    alerts = {alert.fingerprint: unacknowledged(alert) for alert in uncovered}
    incident = replace(incident, alerts={**incident.alerts, **alerts})
    for alert in uncovered:
        incident = _worse_noted(incident, alert)
    return incident


def _worse_noted(incident: Incident, alert: Alert) -> Incident:
    at = alert.ack.worse_at
    if at is None or alert.ack.at is None or at <= alert.ack.at:
        return incident
    if alert.ack.notified_end is not None and alert.ack.at <= alert.ack.notified_end:
        return incident
    text = f"{alert.name} got worse ({alert.severity.value}): the acknowledgement of {alert.ack.by} was lifted"
    since = max(at, incident.escalation.restarted_at or at)
    return remarked(restarted(incident, [alert], since), Entry(at, text, kind="ack_lifted"))


def _with_note(text: str, action: Action) -> str:
    return f"{text}: {action.note}" if action.note else text


def _sync_origin(action: Action) -> str:
    return action.via or "api"


def _resolved_by(incident: Incident, action: Action, chosen: Sequence[Alert]) -> Incident:
    """Return the incident with these alerts resolved by a person. It is closed by that where nothing fires any more."""
    changed = {alert.fingerprint: closed_by_hand(alert, action.at, action.by) for alert in chosen}
    incident = replace(
        not_kept(incident),
        alerts={**incident.alerts, **changed},
        flush=replace(incident.flush, next_at=action.at),
    )
    is_closed = not incident.firing and not incident.truncated.alerts and (chosen or incident.is_correlated)
    if is_closed:
        incident = replace(incident, episode=replace(incident.episode, closed_via=_sync_origin(action)))
    return _noted(incident, action, _with_note("resolved", action))


def _kept_open(incident: Incident, action: Action, chosen: Sequence[Alert]) -> Incident:
    found = replace(kept(incident, action.by, action.at), sync=_sync_origin(action))
    return _noted(found, action, "kept open")


def _noted(incident: Incident, action: Action, text: str) -> Incident:
    return remarked(incident, _entry(action, text))


def _entry(action: Action, text: str) -> Entry:
    return Entry(
        action.at,
        text,
        action.by,
        kind=action.kind.value,
        act=act_id(action),
        via=action.via,
        account=action.account,
    )


def act_id(action: Action) -> str:
    """Return what is equal for one act, however often its message comes."""
    return action.id or fingerprint(action.kind.value, action.by, action.at.isoformat(), action.note)


_APPLIED: Mapping[ActionKind, Callable[[Incident, Action, Sequence[Alert]], Incident]] = {
    ActionKind.ACK: _acknowledged,
    ActionKind.UNACK: _acknowledged,
    ActionKind.RESOLVE: _resolved_by,
    ActionKind.REASSIGN: _written,
    ActionKind.NOTE: _written,
    ActionKind.KEEP: _kept_open,
    ActionKind.ROLL_BACK: _written,
}
