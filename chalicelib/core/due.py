"""Which targets must be notified now: an incident compared with what was announced to each of them.

`due` asks for each target whether it must be notified (visible.py, escalation.py), makes the notifications and says when
to look again (wake.py).
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from chalicelib.core import snapshot
from chalicelib.core.alert_snapshot import SnapshotInput
from chalicelib.core.closing import closing_of, closing_syncs, shown_after
from chalicelib.core.context import Context
from chalicelib.core.delivery.notification import ClosingSnapshot, Notification, Reason, Why
from chalicelib.core.escalation import acknowledged_pagers, acks_expired, calls_due, pagers_of, reescalated, steps_due
from chalicelib.core.incident import MAX_COMMITTED, Entry, Incident, IncidentStatus, clock_of, with_clock
from chalicelib.core.keeping import is_kept
from chalicelib.core.mute import Muting, mutings_of
from chalicelib.core.notes import notes_of, notes_of_wave
from chalicelib.core.notified import LastSound, NotifiedAlerts, NotifiedState
from chalicelib.core.rule import RouteAlerts, Rules
from chalicelib.core.shown_acts import last_act_at
from chalicelib.core.sounds import Sounds, sounds_of
from chalicelib.core.timeouts import ends_notified, kept_when_notified, never_shown_timed_out
from chalicelib.core.titles import title_of_news
from chalicelib.core.visible import (
    Audience,
    RouteView,
    VisibleAlerts,
    audience_of,
    knows_unacked,
    state_of,
    update_for,
    view_of,
    views_of,
    with_hidden,
    with_joined,
)
from chalicelib.core.wake import Seen, next_flush, scheduled
from chalicelib.core.waves import after_sending, next_wave


@dataclass(frozen=True, slots=True)
class Decision:
    """The incident after its notifications were decided, and these. `mutings` are by fingerprint of the firing alerts."""

    incident: Incident
    notifications: tuple[Notification, ...] = ()
    mutings: Mapping[str, Muting] = field(default_factory=dict)


def due(
    incident: Incident,
    *,
    routes: Sequence[RouteAlerts],
    rules: Rules,
    context: Context,
    now: datetime,
    delivered: Mapping[str, datetime] | None = None,
    storms: Mapping[str, str] | None = None,
) -> Decision:
    """Return the notifications that are due, and the incident that remembers them, with the time to look again.

    `routes` are the incident's routes under today's rules, at least one.
    `delivered` is when each target that may need a reminder received its newest notification, by key: the interval
    counts from that, and from `now` for one whose newest notification is still on its way.
    `storms` are the keys of the storms that take the beginning of the incident, by the keys of their targets.
    """
    incident = never_shown_timed_out(_with_deliveries(incident, delivered or {}), routes, rules, now)
    mutings = mutings_of(incident, rules, context, now)
    held, (incident, expired) = incident, acks_expired(incident, routes, rules, mutings, now)
    views = views_of(incident, routes, mutings, rules, now)
    incident = with_hidden(incident, mutings)
    audience, judged = audience_of(incident, views, rules), incident
    incident = with_joined(incident, audience, now)
    sounds = sounds_of(incident, audience, rules, now)
    flushes = incident.flush.is_due(now)
    reasons = _flush_reasons(incident, audience, sounds, now) if flushes else {}
    reasons = {**{key: _reason(why) for key, why in sounds.due.items()}, **reasons}
    if expired:
        lost = _lost(held, incident)
        knowing = [key for key, each in audience.items() if knows_unacked(incident, key, each.seen, lost)]
        reasons = {**dict.fromkeys(knowing, Reason.REMINDER), **reasons}
    incident, escalated = _escalated(incident, views, rules, now)
    audience |= escalated
    reasons |= _escalation_reasons(escalated, reasons)
    pagers = pagers_of(incident, views, rules)
    calls = calls_due(incident, pagers, now)
    closes = not flushes and any(each.seen.over for each in audience.values())
    next_at = next_flush(incident, routes, views, rules, mutings, audience, now) if closes else None
    closings = _closings(incident, audience, next_at) if closes else {}
    quiet_changes = {**closing_syncs(incident, audience, closings, rules, now), **_syncs(incident, rules)}
    reasons = {**quiet_changes, **acknowledged_pagers(incident, rules, audience), **calls, **reasons}
    audience |= {key: pagers[key] for key in calls}
    basis = SnapshotInput(rules=rules, context=context, route=routes[0].route, now=now, mutings=mutings)
    before = replace(incident, sync="") if incident.sync else incident
    incident, notifications = _announce(
        before, reasons, audience, sounds, closings, basis, notes_of(incident, expired), storms or {}
    )
    incident = ends_notified(before, incident, flushes=flushes)
    incident = kept_when_notified(before, incident, routes, now)
    incident = reescalated(before, incident, views, now)
    if flushes:
        incident = _closed(
            replace(incident, flush=incident.flush.flushed(now)), view_of(incident, mutings, (), now), now
        )
    known = Seen(audience, sounds, pagers) if incident is judged else None
    return Decision(scheduled(incident, routes, views, rules, mutings, now, known), notifications, mutings)


def _lost(before: Incident, incident: Incident) -> Collection[str]:
    """Return the alerts of which a target is reminded whose acknowledgement ran out; of a group all that nobody has."""
    if not incident.is_correlated:
        return incident.alerts
    return [name for name, alert in incident.alerts.items() if alert.ack.at is None and before.alerts[name].ack.at]


def _closings(incident: Incident, audience: Audience, next_at: datetime | None) -> dict[str, ClosingSnapshot]:
    """Return since when nothing fires, and when that is notified, by target: none while something fires there."""
    if not incident.flush.has_begun:
        return {}
    found = {key: closing_of(incident, each, next_at) for key, each in audience.items() if each.seen.over}
    return {key: closing for key, closing in found.items() if closing is not None}


def _escalated(
    incident: Incident, views: Sequence[RouteView], rules: Rules, now: datetime
) -> tuple[Incident, Audience]:
    """Return the incident with the steps done that are due, and the targets of these steps with all that they see."""
    keys: list[str] = []
    for each in views:
        if steps := steps_due(incident, each, now):
            keys += [target.key for step in steps for target in each.route.escalate[step].targets]
            clock = replace(clock_of(incident, each.route), done=steps[-1] + 1)
            incident = with_clock(incident, each.route, clock)
    audience = audience_of(incident, views, rules) if keys else {}
    return incident, {key: audience[key] for key in keys}


def _escalation_reasons(escalated: Audience, reasons: Mapping[str, Reason]) -> dict[str, Reason]:
    """Return the targets that are escalated to: those that see something, and are not notified of the end."""
    return {
        key: Reason.ESCALATED
        for key, each in escalated.items()
        if each.seen.visible and reasons.get(key) is not Reason.RESOLVED
    }


def _reason(why: Why) -> Reason:
    return Reason.OPENED if why is Why.OPENING else Reason.UPDATED


def _flush_reasons(incident: Incident, audience: Audience, sounds: Sounds, now: datetime) -> dict[str, Reason]:
    """Return why each target is notified at a flush. One that must notice something soon waits for that."""
    found = {
        key: update_for(state_of(incident, each.target), each, now)
        for key, each in audience.items()
        if key not in sounds.waiting
    }
    return {key: reason for key, reason in found.items() if reason is not None}


def _syncs(incident: Incident, rules: Rules) -> dict[str, Reason]:
    """Return which sent messages a person's act brings up to date, beside the one where it was done."""
    if not incident.sync:
        return {}
    return {
        key: Reason.SYNC
        for key, each in incident.announced.items()
        if each.open and rules.can(each.target.kind).edits and each.target.kind != incident.sync
    }


def _with_deliveries(incident: Incident, delivered: Mapping[str, datetime]) -> Incident:
    later = {
        key: replace(each, last=replace(each.last, at=delivered[key]))
        for key, each in incident.announced.items()
        if key in delivered and (each.last.at is None or delivered[key] > each.last.at)
    }
    return replace(incident, announced={**incident.announced, **later}) if later else incident


def _announce(
    incident: Incident,
    reasons: Mapping[str, Reason],
    audience: Audience,
    sounds: Sounds,
    closings: Mapping[str, ClosingSnapshot],
    basis: SnapshotInput,
    notes: tuple[str, ...],
    storms: Mapping[str, str],
) -> tuple[Incident, tuple[Notification, ...]]:
    notifications: list[Notification] = []
    announced = dict(incident.announced)
    for key, reason in reasons.items():
        target, seen = audience[key].target, audience[key].seen
        before = replace(announced.get(key) or NotifiedState(target), target=target)
        storm = before.storm if before.open else storms.get(key, "")
        if storm:
            announced[key] = _in_storm(before, storm, reason, sounds.due.get(key), seen, basis.now)
            continue
        if reason is Reason.RESOLVED and not _wants_end(before, incident):
            announced[key] = replace(before, open=False, alerts=NotifiedAlerts())
            continue
        pages = basis.rules.can(target.kind).pages
        why = sounds.due.get(key) if reason is Reason.UPDATED else None
        wave = _wave(before, reason, why, seen, incident, basis.now) if pages else before.pager.wave
        own = notes_of_wave(incident, before) if wave != before.pager.wave else ()
        content = snapshot.notification(
            incident,
            replace(before, pager=replace(before.pager, wave=wave)),
            reason,
            seen.visible,
            replace(basis, closing=closings.get(key)),
            (*notes, *own),
            why,
        )
        if why is not None and wave != before.pager.wave:
            content = replace(content, title=title_of_news(incident, before, seen.visible))
        notifications.append(content)
        called = _called(before, content, incident) if pages else before
        announced[key] = _after(called, content, seen, last_act_at(incident))
    if not reasons:
        return incident, ()
    begun = [announced[key] for key, storm in storms.items() if key in reasons and announced[key].storm == storm]
    after = _remembering(replace(incident, announced=announced), notifications, begun, basis.now)
    return after, tuple(notifications)


def _in_storm(
    before: NotifiedState, storm: str, reason: Reason, why: Why | None, seen: VisibleAlerts, now: datetime
) -> NotifiedState:
    """Return what the target of a storm has of an incident in it: all that it would be notified of, without a message."""
    if reason is Reason.SYNC:
        return before
    if reason is Reason.RESOLVED:
        return replace(before, open=False, alerts=NotifiedAlerts())
    last, sound = replace(before.last, at=now, sounded_at=now), before.sound
    if why is not None:
        sound = LastSound(before.last.seq, now, why)
    return replace(
        before, open=True, storm=storm, last=last, sound=sound, alerts=_shown(before.alerts, seen, sounds=True)
    )


def _remembering(
    incident: Incident, notifications: Sequence[Notification], begun: Sequence[NotifiedState], now: datetime
) -> Incident:
    """Return the incident that commits to these notifications, with a line in its timeline for each that is news.

    It has `begun` for these targets in a storm.
    """
    entries = [
        Entry(
            now, f"{each.reason.value} sent to {each.target.shown}", kind="told", target=each.target.key, seq=each.seq
        )
        for each in notifications
        if each.reason is not Reason.SYNC
    ]
    entries += [Entry(now, f"joined the storm of {each.target.shown}", kind="storm") for each in begun]
    opened_at = incident.episode.opened_at or (now if notifications or begun else None)
    return replace(
        incident,
        episode=replace(incident.episode, opened_at=opened_at),
        committed=(*incident.committed, *(each.id for each in notifications))[-MAX_COMMITTED:],
        timeline=incident.timeline.added(*entries),
    )


def _wave(
    before: NotifiedState, reason: Reason, why: Why | None, seen: VisibleAlerts, incident: Incident, now: datetime
) -> int:
    if reason in (Reason.SYNC, Reason.RESOLVED) or not seen.unacked:
        return before.pager.wave
    if incident.is_correlated and reason is Reason.UPDATED and why is None:
        return before.pager.wave
    return next_wave(before, incident.timeline.entries, now, is_worse=why is Why.WORSE)


def _called(before: NotifiedState, content: Notification, incident: Incident) -> NotifiedState:
    if content.reason is Reason.RESOLVED:
        return before
    return after_sending(
        before, content.wave, incident.timeline.entries, acknowledged=content.ack is not None, now=content.at
    )


def _wants_end(announced: NotifiedState, incident: Incident) -> bool:
    """Return whether a target is notified of the end: not where a person closed all that there is of it."""
    kind = announced.target.kind
    alone = sum(each.open and each.target.kind == kind for each in incident.announced.values()) == 1
    return announced.target.send_resolved and not (
        incident.episode.closed_via == kind and alone and announced.pager.wave == 1
    )


def _after(
    before: NotifiedState, content: Notification, view: VisibleAlerts, acts_until: datetime | None
) -> NotifiedState:
    """Return what the target has after this notification, with all that people did by then."""
    last = replace(before.last, seq=content.seq, id=content.id, acts_until=acts_until)
    before = replace(before, closing=shown_after(before.closing, content))
    if content.reason is Reason.SYNC:
        return replace(before, last=last)
    last = replace(last, at=content.at)
    if content.sounds:
        last = replace(last, sounded_at=content.at, sounded_seq=content.seq, sounded_for=content.reason)
    if content.reason is Reason.RESOLVED:
        return replace(before, open=False, last=last, alerts=NotifiedAlerts())
    if content.reason is not Reason.REMINDER:
        last = replace(last, news_seq=content.seq)
    sound = LastSound(content.seq, content.at, content.why) if content.why is not None else before.sound
    alerts = _shown(before.alerts, view, sounds=content.sounds)
    return replace(before, open=True, last=last, sound=sound, alerts=alerts, storm="")


def _shown(before: NotifiedAlerts, view: VisibleAlerts, *, sounds: bool) -> NotifiedAlerts:
    """Return the alerts of which a target was notified once it was shown all that it may see, with a sound or without."""
    kept = {name: rank for name, rank in before.firing.items() if name in view.muted}
    return NotifiedAlerts(
        firing={**kept, **view.visible},
        hidden=before.hidden - view.visible.keys(),
        flapping=view.flapping & view.visible.keys(),
        joined={} if sounds else {name: at for name, at in before.joined.items() if name in view.visible},
    )


def _closed(incident: Incident, view: VisibleAlerts, now: datetime) -> Incident:
    """Return the incident after a flush: ends that a target does not want are marked, and it ends when nothing fires.

    An alert that is only pending does not hold it open: its resolve was sent, so what fires then is a new incident.
    """
    announced = {
        key: _without_gone(each, view, is_held=incident.is_correlated)
        if each.open and not each.target.send_resolved
        else each
        for key, each in incident.announced.items()
    }
    incident = replace(incident, announced=announced)
    if (
        incident.firing
        or view.truncated
        or is_kept(incident)
        or any(each.open for each in announced.values())
        or incident.status is IncidentStatus.QUIET
    ):
        return incident
    ends = [alert.ends_at for alert in incident.shown if alert.ends_at is not None]
    return replace(
        incident,
        episode=replace(incident.episode, ended_at=max(ends, default=now)),
        timeline=incident.timeline.added(Entry(now, "ended", kind="ended")),
    )


def _without_gone(announced: NotifiedState, view: VisibleAlerts, *, is_held: bool) -> NotifiedState:
    """Return what a target that wants no ends was notified of and that fires. While all of it is held, it is kept."""
    kept = {n: rank for n, rank in announced.alerts.firing.items() if n in view.visible or n in view.muted}
    if is_held and not kept:
        return announced
    return replace(announced, alerts=replace(announced.alerts, firing=kept))
