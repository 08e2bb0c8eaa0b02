"""Escalation steps, acknowledgements that run out, and the pagers that must ring or fall silent."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from chalicelib.core import snapshot
from chalicelib.core.acknowledgement import unacknowledged
from chalicelib.core.delivery.notification import Reason
from chalicelib.core.incident import Entry, EscalationClock, Incident
from chalicelib.core.mute import Muting
from chalicelib.core.rule import Route, Rules
from chalicelib.core.visible import Audience, VisibleAlerts, is_unacknowledged, visible_to
from chalicelib.core.waves import is_acknowledged, opens_at


def acknowledged_pagers(incident: Incident, rules: Rules, audience: Audience) -> dict[str, Reason]:
    """Return the pagers that ring for what somebody has, whether it is visible there, muted or over by now."""
    return {
        key: Reason.SYNC
        for key, each in incident.announced.items()
        if each.open
        and (can := rules.can(each.target.kind)).pages
        and not is_acknowledged(each, incident.timeline.entries)
        and snapshot.is_all_acknowledged(incident, each, audience[key][1].visible, can)
    }


def pagers_of(incident: Incident, route: Route, rules: Rules, view: VisibleAlerts) -> Audience:
    """Return the pagers that were notified: of the route, or of its escalation, whose clock may have started again."""
    own = {target.key for target in route.all_targets}
    return {
        key: (each.target, visible_to(view, pages=True))
        for key, each in incident.announced.items()
        if each.open and rules.can(each.target.kind).pages and key in own
    }


def calls_due(incident: Incident, pagers: Audience, now: datetime) -> dict[str, Reason]:
    """Return the pagers that are silent for what nobody has any more, and that may call people again now."""
    waiting = {key: opens_at(incident.announced[key]) for key in silent_pagers(incident, pagers)}
    return {key: Reason.REMINDER for key, at in waiting.items() if at is not None and at <= now}


def silent_pagers(incident: Incident, pagers: Audience) -> list[str]:
    """Return the pagers whose incident is acknowledged there, though nobody has a visible alert that they know."""
    return [
        key
        for key, (_, seen) in pagers.items()
        if not seen.quiet
        and seen.unacked & incident.announced[key].alerts.firing.keys()
        and is_acknowledged(incident.announced[key], incident.timeline.entries)
    ]


def reescalated(before: Incident, incident: Incident, view: VisibleAlerts, now: datetime) -> Incident:
    """Start the escalation's clock again when a target is notified of news while all it knows is acknowledged."""
    if not before.episode.was_opened or is_unacknowledged(before, view) or not is_unacknowledged(incident, view):
        return incident
    return replace(incident, escalation=EscalationClock(now))


def acks_expired(
    incident: Incident, route: Route, mutings: Mapping[str, Muting], now: datetime
) -> tuple[Incident, tuple[str, ...]]:
    """Acknowledgements that ran out: the alerts are unacknowledged and the escalation's clock starts again.

    That of a muted alert runs out when it can be seen again, so that its targets are notified.
    """
    over = [
        alert
        for alert in incident.firing
        if alert.ack.at is not None
        and now >= alert.ack.at + route.options.ack_timeout
        and alert.fingerprint not in mutings
    ]
    if not over:
        return incident, ()
    names = tuple(sorted({alert.ack.by or "" for alert in over}))
    alerts = {**incident.alerts, **{a.fingerprint: unacknowledged(a) for a in over}}
    entry = Entry(now, f"acknowledgement of {', '.join(names)} ran out", kind="ack_expired")
    timeline = incident.timeline.added(entry)
    return replace(incident, alerts=alerts, escalation=EscalationClock(now), timeline=timeline), names


def steps_due(incident: Incident, route: Route, view: VisibleAlerts, now: datetime) -> list[int]:
    """Return the escalation steps that are due and not done. Several missed steps make one notification."""
    since = incident.escalates_from
    if since is None or view.quiet or not is_unacknowledged(incident, view):
        return []
    return [n for n, step in enumerate(route.escalate) if n >= incident.escalation.done and now >= since + step.after]
