"""Escalation steps, acknowledgements that run out, and the pagers that must ring or fall silent."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from chalicelib.core import snapshot
from chalicelib.core.acknowledgement import unacknowledged
from chalicelib.core.alert import Alert
from chalicelib.core.delivery.notification import Reason
from chalicelib.core.incident import (
    Entry,
    EscalationClock,
    Incident,
    clock_of,
    escalates_from,
    restarted,
    with_clock,
)
from chalicelib.core.mute import Muting, muting_windows
from chalicelib.core.rule import RouteAlerts, Rules
from chalicelib.core.visible import Audience, RouteView, TargetView, is_unacknowledged, together, visible_to
from chalicelib.core.waves import is_acknowledged, lost_since_wave, opens_at


def acknowledged_pagers(incident: Incident, rules: Rules, audience: Audience) -> dict[str, Reason]:
    """Return the pagers that ring for what somebody has, whether it is visible there, muted or over by now."""
    return {
        key: Reason.SYNC
        for key, each in incident.announced.items()
        if each.open
        and (can := rules.can(each.target.kind)).pages
        and not is_acknowledged(each, incident.timeline.entries)
        and snapshot.is_all_acknowledged(incident, each, audience[key].seen.visible, can)
    }


def pagers_of(incident: Incident, views: Sequence[RouteView], rules: Rules) -> Audience:
    """Return the pagers that were notified: of the routes, or of their escalations, whose clocks may have started again."""
    found: Audience = {}
    for key, each in incident.announced.items():
        if not each.open or not rules.can(each.target.kind).pages:
            continue
        own = [view for view in views if any(target.key == key for target in view.route.all_targets)]
        if own and any(not _is_direct(view, key) for view in own):
            own = [*own, *(view for view in views if view not in own)]
        if own:
            seen = together(visible_to(view.view, pages=True) for view in own)
            found[key] = TargetView(each.target, seen, own[0].route.options)
    return found


def _is_direct(view: RouteView, key: str) -> bool:
    """Return whether a route itself names the target, not only its escalation."""
    return any(target.key == key for target in view.route.targets)


def calls_due(incident: Incident, pagers: Audience, now: datetime) -> dict[str, Reason]:
    """Return the pagers that are silent for what nobody has any more, and that may call people again now."""
    waiting = {key: opens_at(incident.announced[key]) for key in silent_pagers(incident, pagers)}
    return {key: Reason.REMINDER for key, at in waiting.items() if at is not None and at <= now}


def silent_pagers(incident: Incident, pagers: Audience) -> list[str]:
    """Return the pagers whose incident is acknowledged there, though nobody has a visible alert that they know.

    What joined a correlated incident after an acknowledgement has sounds of its own (sounds.py): there only an
    acknowledgement that was lost counts.
    """
    return [
        key
        for key, pager in pagers.items()
        if not pager.seen.quiet
        and pager.seen.unacked & incident.announced[key].alerts.firing.keys()
        and is_acknowledged(incident.announced[key], incident.timeline.entries)
        and (not incident.is_correlated or lost_since_wave(incident.announced[key], incident.timeline.entries))
    ]


def reescalated(before: Incident, incident: Incident, views: Sequence[RouteView], now: datetime) -> Incident:
    """Start the clock of a route again when a target is notified of news while all of it that is known is acknowledged.

    In a correlated incident the clock of a route is started when a target is first notified of what came by it.
    """
    for each in views:
        if not is_unacknowledged(incident, each.view) or is_unacknowledged(before, each.view):
            continue
        if before.episode.was_opened or incident.is_correlated:
            incident = with_clock(incident, each.route, EscalationClock(now))
    return incident


def acks_expired(
    incident: Incident, routes: Sequence[RouteAlerts], rules: Rules, mutings: Mapping[str, Muting], now: datetime
) -> tuple[Incident, tuple[str, ...]]:
    """Remove acknowledgements that expired: the alerts are unacknowledged and the escalation's clock starts again.

    That of a muted alert, and on a route that a window mutes, runs out when it can be seen again, so that its targets are
    notified.
    """
    held = [alert for alert in incident.firing if alert.ack.at is not None and alert.fingerprint not in mutings]
    if not held:
        return incident, ()
    loud = [each for each in routes if not muting_windows(each.route, rules.windows, now)]
    over = [
        alert for alert in held if any(each.has(alert.fingerprint) and _has_run_out(alert, each, now) for each in loud)
    ]
    if not over:
        return incident, ()
    names = tuple(sorted({alert.ack.by or "" for alert in over}))
    alerts = {**incident.alerts, **{a.fingerprint: unacknowledged(a) for a in over}}
    entry = Entry(now, f"acknowledgement of {', '.join(names)} ran out", kind="ack_expired")
    incident = restarted(replace(incident, alerts=alerts), over, now)
    return replace(incident, timeline=incident.timeline.added(entry)), names


def _has_run_out(alert: Alert, routed: RouteAlerts, now: datetime) -> bool:
    return alert.ack.at is not None and now >= alert.ack.at + routed.route.options.ack_timeout


def steps_due(incident: Incident, view: RouteView, now: datetime) -> list[int]:
    """Return the escalation steps of a route that are due and not done. Several missed steps make one notification."""
    since = escalates_from(incident, view.route)
    if since is None or view.view.quiet or not is_unacknowledged(incident, view.view):
        return []
    done = clock_of(incident, view.route).done
    return [n for n, step in enumerate(view.route.escalate) if n >= done and now >= since + step.after]
