"""When an incident must be looked at again: its next flush and the earliest of its timers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from chalicelib.core.delivery.notification import Reason
from chalicelib.core.escalation import pagers_of, silent_pagers
from chalicelib.core.fold import next_alert_change
from chalicelib.core.incident import SHORTEST_INTERVAL, Incident, IncidentStatus, clock_of, escalates_from
from chalicelib.core.keeping import is_kept
from chalicelib.core.lifecycle import times_out_at
from chalicelib.core.mute import Muting, speaks_again
from chalicelib.core.rule import RouteAlerts, Rules
from chalicelib.core.sounds import Sounds, sounds_of
from chalicelib.core.timeouts import never_shown, timeout_of
from chalicelib.core.visible import (
    Audience,
    RouteView,
    TargetView,
    audience_of,
    is_unacknowledged,
    needs_update,
    repeats_at,
    silence_reminders,
    state_of,
    together,
    update_for,
)
from chalicelib.core.waves import opens_at


@dataclass(frozen=True, slots=True)
class Seen:
    """Who is notified of an incident, what must be noticed, and which of them are pagers, as was found for it before."""

    audience: Audience
    sounds: Sounds
    pagers: Audience


def scheduled(
    incident: Incident,
    routes: Sequence[RouteAlerts],
    views: Sequence[RouteView],
    rules: Rules,
    mutings: Mapping[str, Muting],
    now: datetime,
    known: Seen | None = None,
) -> Incident:
    """Return the incident with its next flush and the earliest of its timers. `known` is what was found for this very incident."""
    audience = known.audience if known is not None else audience_of(incident, views, rules)
    next_at = next_flush(incident, routes, views, rules, mutings, audience, now)
    sounds = known.sounds if known is not None else sounds_of(incident, audience, rules, now)
    incident = replace(incident, flush=replace(incident.flush, next_at=next_at))
    times: list[datetime | None] = [next_at, next_alert_change(incident, rules, now)]
    times += [*sounds.waiting.values(), *sounds.later, *([now] if sounds.due else [])]
    times += [times_out_at(alert, timeout_of(alert, routes)) for alert in never_shown(incident, routes, rules)]
    times += _calls(incident, views, rules, now, known)
    times.append(_compared_at(incident, routes, now))
    times += _seen_again(incident, views, rules, mutings, now)
    for routed, each in zip(routes, views, strict=True):
        times += _of_people(incident, routed, each, rules, now)
    return replace(incident, wake_at=min((at for at in times if at is not None), default=None))


def _compared_at(incident: Incident, routes: Sequence[RouteAlerts], now: datetime) -> datetime | None:
    """Return when a storm is compared with its incidents: what one of them reported may be lost."""
    if not incident.is_storm or not incident.firing or not incident.flush.has_begun:
        return None
    return incident.flush.point_after(routes[0].route.options.group_interval, now + SHORTEST_INTERVAL)


def _of_people(
    incident: Incident, routed: RouteAlerts, each: RouteView, rules: Rules, now: datetime
) -> list[datetime | None]:
    """Return when acknowledgements run out and the next step of a route's escalation is due; none while a window mutes it."""
    route, since = each.route, escalates_from(incident, each.route)
    acked = [
        alert.ack.at + route.options.ack_timeout
        for alert in incident.firing
        if alert.ack.at is not None and routed.has(alert.fingerprint)
    ]
    steps = [step.after for step in route.escalate[clock_of(incident, route).done :]]
    if each.view.quiet:
        return [speaks_again(route, rules.windows, now)] if acked or steps else []
    found: list[datetime | None] = [at for at in acked if at > now]
    found += [since + steps[0]] if since and steps and is_unacknowledged(incident, each.view) else []
    return found


def _bare(views: Sequence[RouteView]) -> Sequence[RouteView]:
    """Return what would be seen without the windows."""
    if not any(each.view.quiet for each in views):
        return views
    return [replace(each, view=replace(each.view, quiet=())) for each in views]


def _calls(
    incident: Incident, views: Sequence[RouteView], rules: Rules, now: datetime, known: Seen | None
) -> list[datetime | None]:
    """Return when the pagers that are silent for what nobody has may call people again."""
    bare = _bare(views)
    pagers = known.pagers if known is not None and bare is views else pagers_of(incident, bare, rules)
    calls = [opens_at(incident.announced[key]) for key in silent_pagers(incident, pagers)] if pagers else []
    quiet = [each.route for each in views if each.view.quiet]
    again = [speaks_again(route, rules.windows, now) for route in quiet] if calls else []
    return [*again, *(at for at in calls if at is not None and at > now and len(quiet) < len(views))]


def _seen_again(
    incident: Incident, views: Sequence[RouteView], rules: Rules, mutings: Mapping[str, Muting], now: datetime
) -> list[datetime | None]:
    """Return when alerts that a silence or a window mutes can be seen again: that may be a sound, which waits for no flush."""
    if not any(each.open for each in incident.announced.values()):
        return []
    quiet = [each.route for each in views if each.view.quiet and each.view.visible]
    ends = [_unmuted_at(muting) for muting in mutings.values()]
    return [*(speaks_again(route, rules.windows, now) for route in quiet), *(at for at in ends if at and at > now)]


def _unmuted_at(muting: Muting) -> datetime | None:
    """Return when the last silence of an alert ends; None where no silence mutes it."""
    return max((each.ends_at for each in (*muting.silences, *muting.maintenance)), default=None)


def next_flush(
    incident: Incident,
    routes: Sequence[RouteAlerts],
    views: Sequence[RouteView],
    rules: Rules,
    mutings: Mapping[str, Muting],
    audience: Audience,
    now: datetime,
) -> datetime | None:
    """Return when the next flush has a target to notify, as far as is known now; None when nothing waits."""
    if incident.status is not IncidentStatus.OPEN:
        return None
    if not incident.flush.has_begun:
        return _first_flush(incident, routes, now)
    wanted = [
        incident.flush.point_after(interval, max(at, now)) if interval is not None else max(at, now)
        for interval, at in _something_from(incident, views, rules, mutings, audience, now)
    ]
    if not wanted:
        return None
    return min(wanted) if incident.flush.next_at is None else min(*wanted, incident.flush.next_at)


def _first_flush(incident: Incident, routes: Sequence[RouteAlerts], now: datetime) -> datetime:
    """Return `group_wait` after the first alert; an alert that is older than that has waited enough."""
    started = [
        (alert.starts_at or now) + each.route.options.group_wait
        for each in routes
        for alert in incident.firing
        if each.has(alert.fingerprint)
    ]
    if incident.flush.next_at is not None:
        return min([incident.flush.next_at, *(max(now, at) for at in started)])
    began_at = (incident.episode.started_at or now) + routes[0].route.options.group_wait
    return max(now, min(started, default=began_at))


def _something_from(
    incident: Incident,
    views: Sequence[RouteView],
    rules: Rules,
    mutings: Mapping[str, Muting],
    audience: Audience,
    now: datetime,
) -> list[tuple[timedelta | None, datetime]]:
    """Return from when on targets need a notification, each with the interval of its flushes; None where it is just
    then.

    That is `now` where one already does, later where a mute or an interval ends.
    """
    found: list[tuple[timedelta | None, datetime]] = []
    bare = audience_of(incident, _bare(views), rules) if any(each.view.quiet for each in views) else audience
    for key, each in audience.items():
        interval = None if _opens_at_once(incident, each, rules, now) else each.options.group_interval
        found += [(interval, at) for at in _wanted_from(incident, each, bare[key], views, rules, now)]
        found += [(None, at) for at in _own_time(incident, each, now)]
    whole, shortest = together(each.view for each in views), min(each.route.options.group_interval for each in views)
    for name in whole.muted:
        ends_at = _unmuted_at(mutings[name]) if name in mutings else None
        found += [(shortest, ends_at)] if ends_at is not None else []
    if any(each.open for each in incident.announced.values()):
        found += [(shortest, at) for at in silence_reminders(mutings) if at > now]
    if whole.over and not is_kept(incident) and not any(each.open for each in incident.announced.values()):
        found.append((shortest, now))
    return found


def _opens_at_once(incident: Incident, each: TargetView, rules: Rules, now: datetime) -> bool:
    """Return whether a target of a correlated incident can see its first alert, which has waited long enough."""
    if not incident.is_correlated or update_for(state_of(incident, each.target), each, now) is not Reason.OPENED:
        return False
    return not sounds_of(incident, {each.target.key: each}, rules, now).waiting


def _own_time(incident: Incident, each: TargetView, now: datetime) -> list[datetime]:
    """Return when a target is notified of the beginning or of the end of its alerts in a correlated incident."""
    known = state_of(incident, each.target)
    times = (each.opens_from if each.seen.visible and not each.seen.quiet and not known.open else None, each.ends_from)
    return [at for at in times if at is not None and at > now]


def _wanted_from(
    incident: Incident, each: TargetView, bare: TargetView, views: Sequence[RouteView], rules: Rules, now: datetime
) -> list[datetime]:
    """Return from when on one target needs a notification. `bare` is what it would see without the windows."""
    known, repeat_interval = state_of(incident, each.target), each.options.repeat_interval
    if update_for(known, each, now) is not None:
        return [now]
    found: list[datetime] = []
    quiet = [view.route for view in views if view.view.quiet]
    if quiet and needs_update(known, bare.seen, now, repeat_interval) is not None:
        found += [at for route in quiet if (at := speaks_again(route, rules.windows, now)) is not None]
    again = repeats_at(known, repeat_interval) if known.open and each.seen.unacked else None
    found += [again] if again is not None and again > now else []
    return found
