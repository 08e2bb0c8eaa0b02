"""When an incident must be looked at again: its next flush and the earliest of its timers."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from chalicelib.core.escalation import pagers_of, silent_pagers
from chalicelib.core.fold import next_alert_change
from chalicelib.core.incident import Incident, IncidentStatus
from chalicelib.core.lifecycle import Terms, times_out_at
from chalicelib.core.mute import Muting, speaks_again
from chalicelib.core.rule import Route, Rules
from chalicelib.core.sounds import sounds_of
from chalicelib.core.timeouts import never_shown
from chalicelib.core.visible import (
    VisibleAlerts,
    audience_of,
    is_unacknowledged,
    needs_update,
    silence_reminders,
    state_of,
)
from chalicelib.core.waves import opens_at


def scheduled(
    incident: Incident,
    route: Route,
    rules: Rules,
    view: VisibleAlerts,
    mutings: Mapping[str, Muting],
    now: datetime,
) -> Incident:
    """The incident with its next flush and the earliest of its timers."""
    next_at = next_flush(incident, route, rules, view, mutings, now)
    incident = replace(incident, flush=replace(incident.flush, next_at=next_at))
    times: list[datetime | None] = [next_at, next_alert_change(incident, rules, now)]
    terms = Terms(resolve_timeout=route.options.resolve_timeout)
    times += sounds_of(incident, audience_of(incident, route, rules, view), rules, now).waiting.values()
    times += [times_out_at(alert, terms) for alert in never_shown(incident, route, rules)]
    acked = [alert.ack.at + route.options.ack_timeout for alert in incident.firing if alert.ack.at is not None]
    steps = [step.after for step in route.escalate[incident.escalation.done :]]
    since = incident.escalates_from
    bare = replace(view, quiet=())
    calls = [
        opens_at(incident.announced[key]) for key in silent_pagers(incident, pagers_of(incident, route, rules, bare))
    ]
    if view.quiet:
        times += [speaks_again(route, rules.windows, now)] if acked or steps or calls else []
    else:
        times += [at for at in calls if at is not None and at > now]
        times += [at for at in acked if at > now]
        times += [since + steps[0]] if since and steps and is_unacknowledged(incident, view) else []
    return replace(incident, wake_at=min((at for at in times if at is not None), default=None))


def next_flush(
    incident: Incident,
    route: Route,
    rules: Rules,
    view: VisibleAlerts,
    mutings: Mapping[str, Muting],
    now: datetime,
) -> datetime | None:
    """When the next flush has something to tell, as far as is known now; None when nothing waits."""
    if incident.status is not IncidentStatus.OPEN:
        return None
    if not incident.flush.has_begun:
        return _first_flush(incident, route, now)
    wanted = _something_from(incident, route, rules, view, mutings, now)
    if wanted is None:
        return None
    found = incident.flush.point_after(route.options.group_interval, max(wanted, now))
    if incident.flush.next_at is not None:
        return min(found, incident.flush.next_at)
    return found


def _first_flush(incident: Incident, route: Route, now: datetime) -> datetime:
    """`group_wait` after the first alert; an alert that is older than that has waited enough."""
    if incident.flush.next_at is not None:
        started = [max(now, (alert.starts_at or now) + route.options.group_wait) for alert in incident.firing]
        return min([incident.flush.next_at, *started])
    started = [alert.starts_at or now for alert in incident.firing]
    return max(now, min(started, default=incident.episode.started_at or now) + route.options.group_wait)


def _something_from(
    incident: Incident,
    route: Route,
    rules: Rules,
    view: VisibleAlerts,
    mutings: Mapping[str, Muting],
    now: datetime,
) -> datetime | None:
    """From when on some target needs telling: `now` when one already does, later when a mute or an interval ends."""
    times: list[datetime] = []
    bare = audience_of(incident, route, rules, replace(view, quiet=()))
    for key, (target, seen) in audience_of(incident, route, rules, view).items():
        known = state_of(incident, target)
        if needs_update(known, seen, now, route.options.repeat_interval) is not None:
            times.append(now)
            continue
        if view.quiet and needs_update(known, bare[key][1], now, route.options.repeat_interval) is not None:
            again = speaks_again(route, rules.windows, now)
            times += [again] if again is not None else []
        if known.open and known.last.at is not None and seen.unacked:
            repeats_at = known.last.at + route.options.repeat_interval
            times += [repeats_at] if repeats_at > now else []
    for name in view.muted:
        ends = [each.ends_at for each in (*mutings[name].silences, *mutings[name].maintenance)]
        if ends:
            times.append(max(ends))
    if any(each.open for each in incident.announced.values()):
        times += [at for at in silence_reminders(mutings) if at > now]
    if view.over and not any(each.open for each in incident.announced.values()):
        times.append(now)
    return min(times, default=None)
