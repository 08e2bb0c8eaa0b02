"""What one target sees of an incident, compared with what it was notified of.

`needs_update` is the decision for one target as a table. A pending resolve is sent whatever is silenced, inhibited or
muted by then.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from chalicelib.core.alert import Alert
from chalicelib.core.correlation import hold_of
from chalicelib.core.delivery.notification import Reason
from chalicelib.core.event import ActionKind, Severity
from chalicelib.core.incident import Incident, clock_of
from chalicelib.core.keeping import is_kept
from chalicelib.core.mute import Muting, muting_windows
from chalicelib.core.notified import NotifiedState
from chalicelib.core.rule import Route, RouteAlerts, RouteOptions, Rules, Target


@dataclass(frozen=True, slots=True)
class VisibleAlerts:
    """What targets are notified of: the firing alerts that can be seen and those that cannot, with the ranks of their severity.

    `unacked` are visible alerts that nobody has acknowledged, `flapping` those that flap; `truncated` says that alerts
    above the limit fire too. `quiet` names the windows that mute the route; `ending` is since when targets should be reminded
    of a long silence before it ends.
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
        """Return whether nothing fires any more."""
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
    """Return what a target sees that the route does not name any more: only the alerts of which it was notified, for their end."""
    visible = {name: rank for name, rank in view.visible.items() if name in announced.alerts.firing}
    muted = {name: rank for name, rank in view.muted.items() if name in announced.alerts.firing}
    return VisibleAlerts(visible, muted, quiet=("no longer a target",))


def needs_update(
    announced: NotifiedState, view: VisibleAlerts, now: datetime, repeat_interval: timedelta | None
) -> Reason | None:
    """Return why this target must be notified at a flush, or None.

    The order of the clauses is the decision: every target that was notified is notified of the end, which nothing holds back; a
    beginning or news must be visible; a reminder needs somebody who has not acknowledged.
    """
    if view.over:
        return Reason.RESOLVED if announced.open else None
    gone = any(name not in view.visible and name not in view.muted for name in announced.alerts.firing)
    if announced.open and gone and announced.target.send_resolved:
        return Reason.UPDATED
    if view.quiet:
        return None
    if view.visible and not announced.open:
        return Reason.OPENED
    if news(announced, view):
        return Reason.UPDATED
    return Reason.REMINDER if _is_reminder_due(announced, view, now, repeat_interval) else None


def _is_reminder_due(
    announced: NotifiedState, view: VisibleAlerts, now: datetime, repeat_interval: timedelta | None
) -> bool:
    if not announced.open or announced.last.at is None:
        return False
    if view.ending is not None and announced.last.at < view.ending:
        return True
    again = repeats_at(announced, repeat_interval)
    return bool(view.unacked) and again is not None and now >= again


def repeats_at(announced: NotifiedState, repeat_interval: timedelta | None) -> datetime | None:
    """Return when this target is reminded if nothing else happens; None: never."""
    if repeat_interval is None or announced.last.at is None:
        return None
    return announced.last.at + repeat_interval


def news(announced: NotifiedState, view: VisibleAlerts) -> frozenset[str]:
    """Return the visible alerts that this target does not know as they are: new, worse, seen again, or flapping."""
    found = {name for name, rank in view.visible.items() if rank < announced.alerts.firing.get(name, rank + 1)}
    found |= announced.alerts.hidden & view.visible.keys()
    return frozenset(found | ((view.flapping & view.visible.keys()) - announced.alerts.flapping))


@dataclass(frozen=True, slots=True)
class RouteView:
    """What fires of an incident by one of its routes."""

    route: Route
    view: VisibleAlerts


@dataclass(frozen=True, slots=True)
class TargetView:
    """What fires of an incident for one target, in the rhythm of the routes that name it.

    In a correlated incident a target is not notified of the beginning before `opens_from`, nor of the end before
    `ends_from`: it has alerts of its own. `missed` says that one of them fired for longer than `group_wait` and ended
    between two flushes. In any other incident all targets go by the flushes of the incident. `kept` says that somebody
    keeps the incident open: no target is notified of the end.
    """

    target: Target
    seen: VisibleAlerts
    options: RouteOptions
    opens_from: datetime | None = None
    ends_from: datetime | None = None
    missed: bool = False
    kept: bool = False


Audience = dict[str, TargetView]


def update_for(announced: NotifiedState, each: TargetView, now: datetime) -> Reason | None:
    """Return why a target must be notified at a flush, or None. The beginning and the end have their own times."""
    reason = needs_update(announced, each.seen, now, each.options.repeat_interval)
    if reason is Reason.RESOLVED and each.kept:
        return None
    if reason is None and each.missed and not each.seen.over:
        return Reason.UPDATED
    waits_until = {Reason.OPENED: each.opens_from, Reason.RESOLVED: each.ends_from}.get(reason) if reason else None
    return None if waits_until is not None and now < waits_until else reason


def views_of(
    incident: Incident, routes: Sequence[RouteAlerts], mutings: Mapping[str, Muting], rules: Rules, now: datetime
) -> tuple[RouteView, ...]:
    """Return what fires of an incident by each of its routes."""
    return tuple(
        RouteView(each.route, view_of(incident, mutings, muting_windows(each.route, rules.windows, now), now, each))
        for each in routes
    )


def audience_of(incident: Incident, views: Sequence[RouteView], rules: Rules) -> Audience:
    """Return who is notified, and what each sees: the targets of the routes, those escalated to, and those that wait for an end.

    A target that is escalated to sees the whole incident.
    """
    found: Audience = {}
    whole = together(each.view for each in views)
    for each in views:
        steps = each.route.escalate[: clock_of(incident, each.route).done]
        seen_by = [(target, each.view) for target in each.route.targets]
        seen_by += [(target, whole) for step in steps for target in step.targets]
        for target, view in seen_by:
            _add(found, target, view_for(incident, target, rules, view), each.route.options)
    if incident.is_correlated:
        found = {key: _in_its_time(incident, each, views) for key, each in found.items()}
    for key, state in incident.announced.items():
        if state.open and key not in found:
            gone = TargetView(state.target, pending_resolve(state, whole), views[0].route.options)
            found[key] = _with_hold(incident, gone) if incident.is_correlated else gone
    if is_kept(incident):
        return {key: replace(each, ends_from=None, kept=True) for key, each in found.items()}
    return found


def _add(audience: Audience, target: Target, seen: VisibleAlerts, options: RouteOptions) -> None:
    """Add what a target sees by one more route: it is notified in the quickest of the rhythms."""
    known = audience.get(target.key)
    if known is None:
        audience[target.key] = TargetView(target, seen, options)
    elif known.seen is not seen:
        audience[target.key] = TargetView(known.target, together([known.seen, seen]), quickest(known.options, options))


def _in_its_time(incident: Incident, each: TargetView, views: Sequence[RouteView]) -> TargetView:
    """Return what a target sees with when it may be notified of the beginning and of the end."""
    known = state_of(incident, each.target)
    if not known.open:
        waits = [
            (incident.alerts[name].starts_at, view.route.options.group_wait)
            for view in views
            if each.target in view.route.all_targets
            for name in view.view.visible.keys() & each.seen.visible.keys()
        ]
        opens = min((at + wait for at, wait in waits if at is not None), default=None)
        return replace(each, opens_from=opens)
    over = _over(incident, known)
    return _with_hold(incident, replace(each, missed=any(_was_missed(alert, known, each.options) for alert in over)))


def _with_hold(incident: Incident, each: TargetView) -> TargetView:
    """Return what a target sees with when it is notified of the end: what it was notified of may only flap."""
    over = _over(incident, state_of(incident, each.target))
    if not each.seen.over or not over or incident.episode.closed_via:
        return each
    ended_at = max(alert.ends_at for alert in over if alert.ends_at is not None)
    if any(alert.ends_at == ended_at and _is_resolved_by_hand(incident, alert) for alert in over):
        return each
    return replace(each, ends_from=ended_at + hold_of(over, each.options.group_interval, incident.episode.started_at))


def _over(incident: Incident, known: NotifiedState) -> list[Alert]:
    """Return the alerts that a target knows and that have ended."""
    return [alert for name in known.alerts.all if (alert := incident.alerts.get(name)) and alert.ends_at is not None]


def _is_resolved_by_hand(incident: Incident, alert: Alert) -> bool:
    """Return whether a person ended the alert: what they resolved, they know not to come back."""
    acts = (each for each in incident.timeline.entries if each.kind == ActionKind.RESOLVE.value)
    return any((each.by, each.at) == (alert.changes.ended_by, alert.ends_at) for each in acts)


def _was_missed(alert: Alert, known: NotifiedState, options: RouteOptions) -> bool:
    if alert.fingerprint in known.alerts.firing or alert.starts_at is None or alert.ends_at is None:
        return False
    return alert.ends_at - alert.starts_at >= options.group_wait and known.target.send_resolved


def quickest(first: RouteOptions, second: RouteOptions) -> RouteOptions:
    """Return the first options with the shorter ones of all intervals."""
    return replace(
        first,
        group_wait=min(first.group_wait, second.group_wait),
        group_interval=min(first.group_interval, second.group_interval),
        repeat_interval=_sooner(first.repeat_interval, second.repeat_interval),
    )


def _sooner(*intervals: timedelta | None) -> timedelta | None:
    """Return the shortest interval; None is never."""
    return min((each for each in intervals if each is not None), default=None)


def together(views: Iterable[VisibleAlerts]) -> VisibleAlerts:
    """Return what is visible by several routes. What a window mutes on one of them is muted, unless another shows it."""
    found = list(views)
    if len(found) == 1:
        return found[0]
    if not all(each.quiet for each in found):
        found = [_held(each) if each.quiet else each for each in found]
    visible = {name: rank for each in found for name, rank in each.visible.items()}
    return VisibleAlerts(
        visible=visible,
        muted={name: rank for each in found for name, rank in each.muted.items() if name not in visible},
        unacked=frozenset(name for each in found for name in each.unacked),
        flapping=frozenset(name for each in found for name in each.flapping),
        truncated=any(each.truncated for each in found),
        quiet=tuple(dict.fromkeys(name for each in found for name in each.quiet)),
        ending=max((each.ending for each in found if each.ending is not None), default=None),
    )


def _held(view: VisibleAlerts) -> VisibleAlerts:
    """Return what a window mutes beside what it does not mute: none of it can be seen."""
    return VisibleAlerts(muted={**view.muted, **view.visible}, truncated=view.truncated)


def knows_unacked(incident: Incident, key: str, seen: VisibleAlerts, names: Collection[str]) -> bool:
    """Return whether that target was notified of a visible one of these alerts, which nobody has acknowledged."""
    known = incident.announced.get(key)
    return known is not None and any(name in names for name in known.alerts.firing.keys() & seen.unacked)


def is_unacknowledged(incident: Incident, view: VisibleAlerts) -> bool:
    """Return whether a target was notified of a visible alert that nobody has acknowledged."""
    return any(view.unacked & each.alerts.firing.keys() for each in incident.announced.values())


def reminded(incident: Incident, routes: Sequence[RouteAlerts], now: datetime) -> list[str]:
    """Return the keys of the targets whose reminder may be due by the time at which it was decided to notify them."""
    interval = _sooner(*(each.route.options.repeat_interval for each in routes))
    known = ((key, repeats_at(each, interval)) for key, each in incident.announced.items() if each.open)
    return [key for key, at in known if at is not None and at <= now]


def view_of(
    incident: Incident,
    mutings: Mapping[str, Muting],
    quiet: tuple[str, ...],
    now: datetime,
    part: RouteAlerts | None = None,
) -> VisibleAlerts:
    """Return the firing alerts of an incident, or of one of its routes: those that can be seen now and those that are muted."""
    firing = incident.firing
    if part is not None and part.alerts is not None:
        firing = tuple(alert for alert in firing if part.has(alert.fingerprint))
        mutings = {name: muting for name, muting in mutings.items() if part.has(name)}
    visible = [alert for alert in firing if alert.fingerprint not in mutings]
    return VisibleAlerts(
        visible={alert.fingerprint: alert.severity.rank for alert in visible},
        muted={alert.fingerprint: alert.severity.rank for alert in firing if alert.fingerprint in mutings},
        unacked=frozenset(alert.fingerprint for alert in visible if alert.ack.by is None),
        flapping=frozenset(alert.fingerprint for alert in visible if alert.changes.flapping),
        truncated=bool(incident.truncated.alerts),
        quiet=quiet,
        ending=max((at for at in silence_reminders(mutings) if at <= now), default=None),
    )


def silence_reminders(mutings: Mapping[str, Muting]) -> list[datetime]:
    """Return when the targets are reminded of the long silences that mute an alert of the incident."""
    silences = {each for muting in mutings.values() for each in muting.silences}
    return [each.reminds_at for each in silences if each.reminds_at is not None]


def view_for(incident: Incident, target: Target, rules: Rules, view: VisibleAlerts) -> VisibleAlerts:
    """Return the alerts visible to one target, which was notified of some of them."""
    return visible_to(view, state_of(incident, target).alerts.firing, pages=rules.can(target.kind).pages)


def state_of(incident: Incident, target: Target) -> NotifiedState:
    """Return what the target was notified of, with the target as the rules have it today."""
    found = incident.announced.get(target.key)
    return replace(found, target=target) if found is not None else NotifiedState(target)


def with_joined(incident: Incident, audience: Audience, now: datetime) -> Incident:
    """Note which alerts of a correlated incident a target that was opened could see, and was not notified of yet."""
    if not incident.is_correlated:
        return incident
    changed: dict[str, NotifiedState] = {}
    for key, each in audience.items():
        known = incident.announced.get(key)
        if known is None or not known.open or each.seen.quiet:
            continue
        new = each.seen.visible.keys() - known.alerts.all
        if new:
            joined = {**known.alerts.joined, **dict.fromkeys(sorted(new), now.timestamp())}
            changed[key] = replace(known, alerts=replace(known.alerts, joined=joined))
    return replace(incident, announced={**incident.announced, **changed}) if changed else incident


def with_hidden(incident: Incident, mutings: Mapping[str, Muting]) -> Incident:
    """Note which alerts that targets know are muted now, so that their return is news."""
    changed = {
        key: replace(each, alerts=replace(each.alerts, hidden=each.alerts.hidden | muted))
        for key, each in incident.announced.items()
        if each.open and (muted := mutings.keys() & each.alerts.firing.keys()) - each.alerts.hidden
    }
    return replace(incident, announced={**incident.announced, **changed}) if changed else incident
