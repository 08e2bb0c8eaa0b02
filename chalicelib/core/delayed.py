"""Notifications that could not be sent when they were decided, made to fit the incident as it is now."""

from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import datetime

from chalicelib.core import snapshot
from chalicelib.core.alert import Alert, AlertState
from chalicelib.core.alert_snapshot import SnapshotInput
from chalicelib.core.context import Context
from chalicelib.core.delivery.notification import Notification, Reason, Why
from chalicelib.core.incident import Incident
from chalicelib.core.mute import mutings_of
from chalicelib.core.notified import NotifiedAlerts, NotifiedState
from chalicelib.core.routing import routes_of
from chalicelib.core.rule import Rules
from chalicelib.core.visible import VisibleAlerts, audience_of, state_of, views_of


def current(
    incident: Incident,
    decided: Notification,
    *,
    unseen: bool,
    received: Mapping[str, int],
    rules: Rules,
    context: Context,
    now: datetime,
) -> Notification | None:
    """Return a notification that could not be sent when it was decided, made anew from the incident as it is now.

    It keeps its id and number. `unseen`: the target has received nothing of this incident yet. `received` are the alerts
    that it knows as firing, with the ranks of their severity. None when nothing fires any more that the target may see,
    and it knows every end: a pending resolve follows as a notification of its own. A silent change shows what is muted
    too.
    """
    routes = routes_of(incident, rules)
    mutings = mutings_of(incident, rules, context, now)
    audience = audience_of(incident, views_of(incident, routes, mutings, rules, now), rules)
    known = audience.get(decided.target.key)
    view = known.seen if known is not None else VisibleAlerts()
    missed = _missed_ends(incident, decided, received)
    shows = view.visible or (decided.reason is Reason.SYNC and view.muted) or (missed and not view.over)
    if not shows or (view.quiet and unseen):
        return None
    state = _known(state_of(incident, decided.target), decided, received, unseen=unseen)
    basis = SnapshotInput(rules=rules, context=context, route=routes[0].route, now=now, mutings=mutings)
    made = snapshot.notification(
        incident, state, decided.reason, view.visible, basis, decided.background.notes, decided.why
    )
    return replace(
        made,
        id=decided.id,
        background=replace(made.background, notes=tuple(dict.fromkeys(made.background.notes))),
        activity=replace(made.activity, acts=decided.activity.acts),
        hints=decided.hints,
    )


def with_missed_sound(decided: Notification, known: NotifiedState, *, done_seq: int) -> Notification:
    """Return an update that makes the sound of one that it superseded, and that the target did not receive.

    `done_seq` is the number of the newest notification that the target received.
    """
    if decided.reason is not Reason.UPDATED or decided.why is not None:
        return decided
    why = known.sound.why if known.sound.seq > done_seq else _missed_call(decided, known, done_seq)
    return replace(decided, why=why)


def _missed_call(decided: Notification, known: NotifiedState, done_seq: int) -> Why | None:
    """Return the reminder or escalation that a notification superseded, while something fires in it that nobody has."""
    if known.last.sounded_seq <= done_seq or known.last.sounded_for not in _CALLS:
        return None
    needs_somebody = any(
        each.status != "resolved" and not each.acked_by and not each.muted_by for each in decided.alerts
    )
    return _CALLS[known.last.sounded_for] if needs_somebody else None


_CALLS = {Reason.REMINDER: Why.REMINDER, Reason.ESCALATED: Why.ESCALATED}
"""Why an update makes a sound that superseded one of these."""


def _known(state: NotifiedState, decided: Notification, received: Mapping[str, int], *, unseen: bool) -> NotifiedState:
    """Return what the target has: what it received of the incident, in the place of what it was to receive."""
    alerts = NotifiedAlerts() if unseen else replace(state.alerts, firing=received or state.alerts.firing)
    return replace(state, last=replace(state.last, seq=decided.seq - 1), alerts=alerts)


def with_missed_ends(
    incident: Incident, decided: Notification, *, received: Collection[str], rules: Rules, now: datetime
) -> Notification:
    """Return the notification with the ends of alerts that the target knows as firing, and of which it was not notified.

    The notification of such an end was superseded before the target could take it.
    """
    missed = _missed_ends(incident, decided, received)
    if not missed or decided.reason is Reason.SYNC:
        return decided
    basis = SnapshotInput(rules=rules, context=Context(), route=routes_of(incident, rules)[0].route, now=now)
    return snapshot.with_ends(decided, incident, missed, basis)


def _missed_ends(incident: Incident, decided: Notification, received: Collection[str]) -> list[Alert]:
    if not decided.target.send_resolved:
        return []
    listed = {each.fingerprint for each in decided.alerts if each.status == "resolved"}
    alerts = (incident.alerts.get(name) for name in received if name not in listed)
    return [alert for alert in alerts if alert is not None and alert.state is not AlertState.FIRING]
