"""What must be told now: an incident compared with what was announced to each of its targets.

`needs_update` is the decision for one target as a table; `due` applies it to all of them and says when to look again.
A resolve is owed to whoever was told a fire, whatever is silenced, inhibited or muted by then.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from chalicelib.core import snapshot
from chalicelib.core.acknowledgement import end_notified, unacknowledged
from chalicelib.core.alert import Alert, AlertState, Origin
from chalicelib.core.context import Context
from chalicelib.core.delivery.notification import Notification, Reason
from chalicelib.core.event import Severity
from chalicelib.core.fold import next_alert_change, notified_of, timed_out
from chalicelib.core.incident import MAX_COMMITTED, MAX_TIMELINE, Entry, Incident, NotifiedState, flush_after
from chalicelib.core.lifecycle import Terms, refreshed, times_out_at
from chalicelib.core.mute import (
    Muting,
    muting_windows,
    mutings_of,
    speaks_again,
)
from chalicelib.core.routing import route_by_id
from chalicelib.core.rule import Route, Rules, Target
from chalicelib.core.waves import after_sending, is_acknowledged, next_wave, opens_at


@dataclass(frozen=True, slots=True)
class VisibleAlerts:
    """What there is to tell: the firing alerts that can be seen and those that cannot, with the ranks of their severity.

    `unacked` are visible alerts that nobody has acknowledged, `flapping` those that flap; `truncated` says that alerts
    over the limit burn too. `quiet` names the windows that mute the route; `ending` is since when a long silence should
    be spoken of, before it ends.
    """

    visible: Mapping[str, int] = field(default_factory=dict)
    muted: Mapping[str, int] = field(default_factory=dict)
    unacked: frozenset[str] = frozenset()
    flapping: frozenset[str] = frozenset()
    truncated: bool = False
    quiet: tuple[str, ...] = ()
    ending: datetime | None = None

    @property
    def over(self) -> bool:
        """True when nothing burns."""
        return not self.visible and not self.muted and not self.truncated


def visible_to(view: VisibleAlerts, known: Collection[str] = (), *, pages: bool) -> VisibleAlerts:
    """Return the alerts visible to one target. Targets that page see no info alerts but those that they know as firing.

    An alert that has eased has not ended: it resolves there when it does. `known` are fingerprints.
    """
    info = Severity.INFO.rank
    if not pages or info not in (*view.visible.values(), *view.muted.values()):
        return view
    visible = {name: rank for name, rank in view.visible.items() if rank < info or name in known}
    muted = {name: rank for name, rank in view.muted.items() if rank < info or name in known}
    unacked = {name for name in view.unacked & visible.keys() if visible[name] < info}
    return replace(view, visible=visible, muted=muted, unacked=frozenset(unacked))


def pending_resolve(announced: NotifiedState, view: VisibleAlerts) -> VisibleAlerts:
    """The view of one that was told and is no target of the route any more: of the ends of what it was told alone."""
    visible = {name: rank for name, rank in view.visible.items() if name in announced.firing}
    muted = {name: rank for name, rank in view.muted.items() if name in announced.firing}
    return VisibleAlerts(visible, muted, quiet=("no longer a target",))


def needs_update(
    announced: NotifiedState, view: VisibleAlerts, now: datetime, repeat_interval: timedelta
) -> Reason | None:
    """Why this target must be told at a flush, or None.

    The order of the clauses is the decision: an end is owed to everyone who was told and held back by nothing; a
    beginning or news must be visible; a reminder needs somebody who has not acknowledged.
    """
    if view.over:
        return Reason.RESOLVED if announced.open else None
    gone = any(name not in view.visible and name not in view.muted for name in announced.firing)
    if announced.open and gone and announced.target.send_resolved:
        return Reason.UPDATED
    if view.quiet:
        return None
    if view.visible and not announced.open:
        return Reason.OPENED
    if news(announced, view):
        return Reason.UPDATED
    return Reason.REMINDER if _is_reminder_due(announced, view, now, repeat_interval) else None


def _is_reminder_due(announced: NotifiedState, view: VisibleAlerts, now: datetime, repeat_interval: timedelta) -> bool:
    if not announced.open or announced.at is None:
        return False
    if view.ending is not None and announced.at < view.ending:
        return True
    return bool(view.unacked) and now >= announced.at + repeat_interval


def news(announced: NotifiedState, view: VisibleAlerts) -> frozenset[str]:
    """The visible alerts that this target does not know as they are: new, worse, seen again, or flapping."""
    found = {name for name, rank in view.visible.items() if rank < announced.firing.get(name, rank + 1)}
    found |= announced.hidden & view.visible.keys()
    return frozenset(found | ((view.flapping & view.visible.keys()) - announced.flapping))


def got_worse(announced: NotifiedState, view: VisibleAlerts) -> bool:
    """Return whether this target must be notified at once: something is worse than all it was notified of, or rose."""
    if not announced.open or not announced.firing or view.quiet:
        return False
    worst = min(announced.firing.values())
    return any(rank < announced.firing.get(name, worst) for name, rank in view.visible.items())


@dataclass(frozen=True, slots=True)
class Decision:
    """The incident after telling, and what to tell. `mutings` are by fingerprint of the alerts that burn."""

    incident: Incident
    notifications: tuple[Notification, ...] = ()
    mutings: Mapping[str, Muting] = field(default_factory=dict)


def due(
    incident: Incident,
    *,
    route: Route,
    rules: Rules,
    context: Context,
    now: datetime,
    evidence: Sequence[Alert] = (),
    delivered: Mapping[str, datetime] | None = None,
) -> Decision:
    """What to tell now, and the incident that remembers it as told, with the time to look again.

    `route` is the incident's route under today's rules; `evidence` are alerts of other incidents that this one mutes.
    `delivered` is when each target that may need a reminder received its newest notification, by key: the interval
    counts from that, and from `now` for one whose newest notification is still on its way.
    """
    incident = _with_deliveries(incident, delivered or {})
    incident = never_shown_timed_out(incident, route, rules, now)
    mutings = mutings_of(incident, rules, context, now)
    quiet = muting_windows(route, rules.windows, now)
    incident, expired = (incident, ()) if quiet else acks_expired(incident, route, mutings, now)
    view = view_of(incident, mutings, quiet, now)
    incident = with_hidden(incident, mutings)
    flushes = incident.next_flush_at is not None and now >= incident.next_flush_at
    audience = audience_of(incident, route, rules, view)
    flushes = flushes or any(got_worse(state_of(incident, target), seen) for target, seen in audience.values())
    reasons = _flush_reasons(incident, audience, route, now) if flushes else {}
    if expired:
        told_of_it = [key for key, (_, seen) in audience.items() if knows_unacked(incident, key, seen)]
        reasons = {**dict.fromkeys(told_of_it, Reason.REMINDER), **reasons}
    steps = steps_due(incident, route, view, now)
    for target in (target for step in steps for target in route.escalate[step].targets):
        audience[target.key] = target, view_for(incident, target, rules, view)
        if reasons.get(target.key) is not Reason.RESOLVED and audience[target.key][1].visible:
            reasons[target.key] = Reason.ESCALATED
    if steps:
        incident = replace(incident, escalated=steps[-1] + 1)
    pagers = pagers_of(incident, route, rules, view)
    calls = calls_due(incident, pagers, now)
    reasons = {**_syncs(incident, rules), **acknowledged_pagers(incident, rules, audience), **calls, **reasons}
    audience |= {key: pagers[key] for key in calls}
    telling = snapshot.SnapshotInput(
        rules=rules, context=context, route=route, now=now, mutings=mutings, evidence=evidence
    )
    before = replace(incident, sync="")
    incident, notifications = _announce(before, reasons, audience, telling, snapshot.notes_of(incident, expired))
    incident = ends_notified(before, incident, flushes=flushes)
    incident = kept_when_notified(before, incident, route, now)
    incident = reescalated(before, incident, view, now)
    if flushes:
        incident = replace(incident, flushed_at=now, next_flush_at=None, anchor_at=incident.anchor_at or now)
        incident = _closed(incident, view, now)
    return Decision(scheduled(incident, route, rules, view, mutings, now), notifications, mutings)


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
    route = route_by_id(rules, incident)
    mutings = mutings_of(incident, rules, context, now)
    quiet = muting_windows(route, rules.windows, now)
    view = view_for(incident, decided.target, rules, view_of(incident, mutings, quiet, now))
    missed = _missed_ends(incident, decided, received)
    shows = view.visible or (decided.reason is Reason.SYNC and view.muted) or (missed and not view.over)
    if not shows or (quiet and unseen):
        return None
    known = replace(state_of(incident, decided.target), seq=decided.seq - 1)
    known = replace(known, firing=received or known.firing)
    known = replace(known, firing={}, hidden=frozenset()) if unseen else known
    telling = snapshot.SnapshotInput(rules=rules, context=context, route=route, now=now, mutings=mutings)
    made = snapshot.notification(incident, known, decided.reason, view.visible, telling, decided.notes)
    own = tuple(dict.fromkeys(made.notes))
    return replace(made, id=decided.id, notes=own, crowd=decided.crowd, again=decided.again, acts=decided.acts)


def with_missed_ends(
    incident: Incident, decided: Notification, *, received: Collection[str], rules: Rules, now: datetime
) -> Notification:
    """Return the notification with the ends of alerts that the target knows as firing, and of which it was not notified.

    The notification of such an end was superseded before the target could take it.
    """
    missed = _missed_ends(incident, decided, received)
    if not missed or decided.reason is Reason.SYNC:
        return decided
    telling = snapshot.SnapshotInput(rules=rules, context=Context(), route=route_by_id(rules, incident), now=now)
    return snapshot.with_ends(decided, incident, missed, telling)


def _missed_ends(incident: Incident, decided: Notification, received: Collection[str]) -> list[Alert]:
    if not decided.target.send_resolved:
        return []
    listed = {each.fingerprint for each in decided.alerts if each.status == "resolved"}
    alerts = (incident.alerts.get(name) for name in received if name not in listed)
    return [alert for alert in alerts if alert is not None and alert.state is not AlertState.FIRING]


Audience = dict[str, tuple[Target, VisibleAlerts]]


def audience_of(incident: Incident, route: Route, rules: Rules, view: VisibleAlerts) -> Audience:
    """Who hears, and what each sees: the route's targets, those escalated to, and whoever is owed an end."""
    steps = (step.targets for step in route.escalate[: incident.escalated])
    found: Audience = {}
    for target in (target for targets in (route.targets, *steps) for target in targets):
        found.setdefault(target.key, (target, view_for(incident, target, rules, view)))
    for key, each in incident.announced.items():
        if each.open and key not in found:
            found[key] = each.target, pending_resolve(each, view)
    return found


def _flush_reasons(incident: Incident, audience: Audience, route: Route, now: datetime) -> dict[str, Reason]:
    found = {
        key: needs_update(state_of(incident, target), seen, now, route.options.repeat_interval)
        for key, (target, seen) in audience.items()
    }
    return {key: reason for key, reason in found.items() if reason is not None}


def knows_unacked(incident: Incident, key: str, seen: VisibleAlerts) -> bool:
    """Return whether that target was notified of a visible alert that nobody has acknowledged."""
    return key in incident.announced and bool(incident.announced[key].firing.keys() & seen.unacked)


def _syncs(incident: Incident, rules: Rules) -> dict[str, Reason]:
    """Which told messages a person's act brings up to date, beside the one where it was done."""
    if not incident.sync:
        return {}
    return {
        key: Reason.SYNC
        for key, each in incident.announced.items()
        if each.open and rules.can(each.target.kind).edits and each.target.kind != incident.sync
    }


def acknowledged_pagers(incident: Incident, rules: Rules, audience: Audience) -> dict[str, Reason]:
    """Return the pagers that ring for what somebody has, whether it is visible there, muted or over by now."""
    return {
        key: Reason.SYNC
        for key, each in incident.announced.items()
        if each.open
        and (can := rules.can(each.target.kind)).pages
        and not is_acknowledged(each, incident.timeline)
        and snapshot.is_acknowledged(incident, each, audience[key][1].visible, can)
    }


def pagers_of(incident: Incident, route: Route, rules: Rules, view: VisibleAlerts) -> Audience:
    """Return the pagers that were notified: of the route, or of its escalation, whose clock may have started again."""
    steps = (step.targets for step in route.escalate)
    own = {target.key for targets in (route.targets, *steps) for target in targets}
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
        and seen.unacked & incident.announced[key].firing.keys()
        and is_acknowledged(incident.announced[key], incident.timeline)
    ]


def is_unacknowledged(incident: Incident, view: VisibleAlerts) -> bool:
    """True while somebody was told of a visible alert that nobody has acknowledged."""
    return any(view.unacked & each.firing.keys() for each in incident.announced.values())


def reescalated(before: Incident, incident: Incident, view: VisibleAlerts, now: datetime) -> Incident:
    """The escalation's clock starts again when something new is told while all that was told is acknowledged."""
    if before.opened_at is None or is_unacknowledged(before, view) or not is_unacknowledged(incident, view):
        return incident
    return replace(incident, escalate_from=now, escalated=0)


def reminded(incident: Incident, route: Route, now: datetime) -> list[str]:
    """Return the keys of the targets whose reminder is due by the time at which it was decided to notify them."""
    return [
        key
        for key, each in incident.announced.items()
        if each.open and each.at is not None and each.at + route.options.repeat_interval <= now
    ]


def _with_deliveries(incident: Incident, delivered: Mapping[str, datetime]) -> Incident:
    later = {
        key: replace(each, at=delivered[key])
        for key, each in incident.announced.items()
        if key in delivered and (each.at is None or delivered[key] > each.at)
    }
    return replace(incident, announced={**incident.announced, **later}) if later else incident


def never_shown(incident: Incident, route: Route, rules: Rules) -> list[Alert]:
    """Return the firing alerts that no target of the route will ever be shown. Their sender's silence ends them too."""
    targets = [*route.targets, *(target for step in route.escalate for target in step.targets)]
    if any(not rules.can(target.kind).pages for target in targets):
        return []
    known = notified_of(incident)
    return [
        alert
        for alert in incident.firing
        if alert.origin is Origin.EVENT
        and alert.fingerprint not in known
        and (not targets or alert.severity is Severity.INFO)
    ]


def never_shown_timed_out(incident: Incident, route: Route, rules: Rules, now: datetime) -> Incident:
    """Return the incident whose never shown alerts have ended where their senders were silent for `resolve_timeout`."""
    terms = Terms(resolve_timeout=route.options.resolve_timeout)
    silent = [alert for alert in never_shown(incident, route, rules) if _silent_at(alert, terms, now)]
    if not silent:
        return incident
    return replace(incident, alerts={**incident.alerts, **{a.fingerprint: timed_out(a, terms) for a in silent}})


def _silent_at(alert: Alert, terms: Terms, now: datetime) -> bool:
    at = times_out_at(alert, terms)
    return at is not None and at <= now


def kept_when_notified(before: Incident, incident: Incident, route: Route, now: datetime) -> Incident:
    """Return the incident whose alerts that were notified late have their whole `resolve_timeout` from now on."""
    terms = Terms(resolve_timeout=route.options.resolve_timeout)
    late = [
        incident.alerts[name]
        for name in notified_of(incident) - notified_of(before)
        if name in incident.alerts and _silent_at(incident.alerts[name], terms, now)
    ]
    if not late:
        return incident
    return replace(incident, alerts={**incident.alerts, **{a.fingerprint: refreshed(a, now) for a in late}})


def ends_notified(before: Incident, incident: Incident, *, flushes: bool) -> Incident:
    """Return the incident whose acknowledgements end with their alerts: after a flush nobody waits for an end.

    Between two flushes one target may be notified of it, when it is reminded or escalated to.
    """
    known = [(each.firing.keys(), incident.announced[key].firing.keys()) for key, each in before.announced.items()]
    gone = set(incident.alerts) if flushes else {name for old, new in known for name in old - new}
    settled = {name: end_notified(incident.alerts[name]) for name in gone & incident.alerts.keys()}
    return replace(incident, alerts={**incident.alerts, **settled}) if settled else incident


def view_of(incident: Incident, mutings: Mapping[str, Muting], quiet: tuple[str, ...], now: datetime) -> VisibleAlerts:
    """Return the firing alerts of an incident: those that can be seen now and those that are muted."""
    visible = [alert for alert in incident.firing if alert.fingerprint not in mutings]
    return VisibleAlerts(
        visible={alert.fingerprint: alert.severity.rank for alert in visible},
        muted={alert.fingerprint: alert.severity.rank for alert in incident.firing if alert.fingerprint in mutings},
        unacked=frozenset(alert.fingerprint for alert in visible if alert.ack.by is None),
        flapping=frozenset(alert.fingerprint for alert in visible if alert.changes.flapping),
        truncated=bool(incident.truncated),
        quiet=quiet,
        ending=max((at for at in silence_reminders(mutings) if at <= now), default=None),
    )


def silence_reminders(mutings: Mapping[str, Muting]) -> list[datetime]:
    """Return when the targets are reminded of the long silences that mute an alert of the incident."""
    silences = {each for muting in mutings.values() for each in muting.silences}
    return [each.reminds_at for each in silences if each.reminds_at is not None]


def view_for(incident: Incident, target: Target, rules: Rules, view: VisibleAlerts) -> VisibleAlerts:
    """Return the alerts visible to one target, which was notified of some of them."""
    return visible_to(view, state_of(incident, target).firing, pages=rules.can(target.kind).pages)


def state_of(incident: Incident, target: Target) -> NotifiedState:
    """Return what the target was notified of, with the target as the rules have it today."""
    found = incident.announced.get(target.key)
    return replace(found, target=target) if found is not None else NotifiedState(target)


def with_hidden(incident: Incident, mutings: Mapping[str, Muting]) -> Incident:
    """Note which told alerts are muted now, so that their return is news."""
    changed = {
        key: replace(each, hidden=each.hidden | (mutings.keys() & each.firing.keys()))
        for key, each in incident.announced.items()
        if each.open and (mutings.keys() & each.firing.keys()) - each.hidden
    }
    return replace(incident, announced={**incident.announced, **changed}) if changed else incident


def acks_expired(
    incident: Incident, route: Route, mutings: Mapping[str, Muting], now: datetime
) -> tuple[Incident, tuple[str, ...]]:
    """Acknowledgements that ran out: the alerts are unacknowledged and the escalation's clock starts again.

    That of a muted alert runs out when it can be seen again, so that it is told.
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
    timeline = (*incident.timeline, entry)[-MAX_TIMELINE:]
    return replace(incident, alerts=alerts, escalate_from=now, escalated=0, timeline=timeline), names


def steps_due(incident: Incident, route: Route, view: VisibleAlerts, now: datetime) -> list[int]:
    """The escalation steps that are due and not done; several missed ones are told as one."""
    since = incident.escalate_from or incident.opened_at
    if since is None or view.quiet or not is_unacknowledged(incident, view):
        return []
    return [n for n, step in enumerate(route.escalate) if n >= incident.escalated and now >= since + step.after]


def _announce(
    incident: Incident,
    reasons: Mapping[str, Reason],
    audience: Audience,
    telling: "snapshot.SnapshotInput",
    notes: tuple[str, ...],
) -> tuple[Incident, tuple[Notification, ...]]:
    notifications: list[Notification] = []
    announced = dict(incident.announced)
    for key, reason in reasons.items():
        target, seen = audience[key]
        before = replace(announced.get(key) or NotifiedState(target), target=target)
        if reason is Reason.RESOLVED and not _wants_end(before, incident):
            announced[key] = replace(before, open=False, firing={}, hidden=frozenset(), flapping=frozenset())
            continue
        pages = telling.rules.can(target.kind).pages
        wave = _wave(before, reason, seen, incident, telling.now) if pages else before.wave
        own = snapshot.notes_of_wave(incident, before) if wave != before.wave else ()
        content = snapshot.notification(
            incident, replace(before, wave=wave), reason, seen.visible, telling, (*notes, *own)
        )
        notifications.append(content)
        called = _called(before, content, incident) if pages else before
        after = _after(called, reason, seen, content.seq, telling.now)
        announced[key] = replace(after, id=content.id, heard_at=snapshot.heard_at(incident))
    if not reasons:
        return incident, ()
    entries = tuple(
        Entry(
            telling.now,
            f"{each.reason.value} told to {each.target.shown}",
            kind="told",
            target=each.target.key,
            seq=each.seq,
        )
        for each in notifications
        if each.reason is not Reason.SYNC
    )
    opened = incident.opened_at or (telling.now if notifications else None)
    return (
        replace(
            incident,
            announced=announced,
            opened_at=opened,
            committed=(*incident.committed, *(each.id for each in notifications))[-MAX_COMMITTED:],
            timeline=(*incident.timeline, *entries)[-MAX_TIMELINE:],
        ),
        tuple(notifications),
    )


def _wave(before: NotifiedState, reason: Reason, seen: VisibleAlerts, incident: Incident, now: datetime) -> int:
    if reason in (Reason.SYNC, Reason.RESOLVED) or not seen.unacked:
        return before.wave
    return next_wave(before, incident.timeline, now)


def _called(before: NotifiedState, content: Notification, incident: Incident) -> NotifiedState:
    if content.reason is Reason.RESOLVED:
        return before
    return after_sending(
        before, content.wave, incident.timeline, acknowledged=content.acked_by is not None, now=content.at
    )


def _wants_end(announced: NotifiedState, incident: Incident) -> bool:
    """Return whether a target is notified of the end: not where a person closed all that there is of it."""
    kind = announced.target.kind
    alone = sum(each.open and each.target.kind == kind for each in incident.announced.values()) == 1
    return announced.target.send_resolved and not (incident.closed_via == kind and alone and announced.wave == 1)


def _after(before: NotifiedState, reason: Reason, view: VisibleAlerts, seq: int, now: datetime) -> NotifiedState:
    if reason is Reason.SYNC:
        return replace(before, seq=seq)
    if reason is Reason.RESOLVED:
        return replace(before, seq=seq, at=now, open=False, firing={}, hidden=frozenset(), flapping=frozenset())
    kept = {name: rank for name, rank in before.firing.items() if name in view.muted}
    return replace(
        before,
        seq=seq,
        at=now,
        open=True,
        firing={**kept, **view.visible},
        hidden=before.hidden - view.visible.keys(),
        flapping=view.flapping & view.visible.keys(),
        news_seq=before.news_seq if reason is Reason.REMINDER else seq,
    )


def _closed(incident: Incident, view: VisibleAlerts, now: datetime) -> Incident:
    """Return the incident after a flush: ends that a target does not want are marked, and it ends when nothing fires.

    An alert that is only pending does not hold it open: its resolve was sent, so what fires then is a new incident.
    """
    announced = {
        key: _without_gone(each, view) if each.open and not each.target.send_resolved else each
        for key, each in incident.announced.items()
    }
    incident = replace(incident, announced=announced)
    if (
        incident.firing
        or view.truncated
        or any(each.open for each in announced.values())
        or incident.started_at is None
    ):
        return incident
    ends = [alert.ends_at for alert in incident.shown if alert.ends_at is not None]
    entry = Entry(now, "ended", kind="ended")
    return replace(
        incident,
        ended_at=max(ends, default=now),
        next_flush_at=None,
        timeline=(*incident.timeline, entry)[-MAX_TIMELINE:],
    )


def _without_gone(announced: NotifiedState, view: VisibleAlerts) -> NotifiedState:
    kept = {n: rank for n, rank in announced.firing.items() if n in view.visible or n in view.muted}
    return replace(announced, firing=kept)


# ---------------------------------------------------------------------------------------------------------------------
# When to look again


def scheduled(
    incident: Incident,
    route: Route,
    rules: Rules,
    view: VisibleAlerts,
    mutings: Mapping[str, Muting],
    now: datetime,
) -> Incident:
    """The incident with its next flush and the earliest of its timers."""
    incident = replace(incident, next_flush_at=_next_flush(incident, route, rules, view, mutings, now))
    times: list[datetime | None] = [incident.next_flush_at, next_alert_change(incident, rules, now)]
    terms = Terms(resolve_timeout=route.options.resolve_timeout)
    times += [times_out_at(alert, terms) for alert in never_shown(incident, route, rules)]
    acked = [alert.ack.at + route.options.ack_timeout for alert in incident.firing if alert.ack.at is not None]
    steps = [step.after for step in route.escalate[incident.escalated :]]
    since = incident.escalate_from or incident.opened_at
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


def _next_flush(
    incident: Incident,
    route: Route,
    rules: Rules,
    view: VisibleAlerts,
    mutings: Mapping[str, Muting],
    now: datetime,
) -> datetime | None:
    """When the next flush has something to tell, as far as is known now; None when nothing waits."""
    if incident.started_at is None or incident.ended_at is not None:
        return None
    if incident.anchor_at is None:
        return _first_flush(incident, route, now)
    wanted = _something_from(incident, route, rules, view, mutings, now)
    if wanted is None:
        return None
    found = flush_after(incident, route.options.group_interval, max(wanted, now))
    if incident.next_flush_at is not None:
        return min(found, incident.next_flush_at)
    return found


def _first_flush(incident: Incident, route: Route, now: datetime) -> datetime:
    """`group_wait` after the first alert; an alert that is older than that has waited enough."""
    if incident.next_flush_at is not None:
        started = [max(now, (alert.starts_at or now) + route.options.group_wait) for alert in incident.firing]
        return min([incident.next_flush_at, *started])
    started = [alert.starts_at or now for alert in incident.firing]
    return max(now, min(started, default=incident.started_at or now) + route.options.group_wait)


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
        if known.open and known.at is not None and seen.unacked:
            repeats_at = known.at + route.options.repeat_interval
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
