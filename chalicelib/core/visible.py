"""What one target sees of an incident, compared with what it was notified of.

`needs_update` is the decision for one target as a table. A pending resolve is sent whatever is silenced, inhibited or
muted by then.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from chalicelib.core.delivery.notification import Reason
from chalicelib.core.event import Severity
from chalicelib.core.incident import Incident
from chalicelib.core.mute import Muting
from chalicelib.core.notified import NotifiedState
from chalicelib.core.rule import Route, Rules, Target


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
    visible = {name: rank for name, rank in view.visible.items() if name in announced.alerts.firing}
    muted = {name: rank for name, rank in view.muted.items() if name in announced.alerts.firing}
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


def _is_reminder_due(announced: NotifiedState, view: VisibleAlerts, now: datetime, repeat_interval: timedelta) -> bool:
    if not announced.open or announced.last.at is None:
        return False
    if view.ending is not None and announced.last.at < view.ending:
        return True
    return bool(view.unacked) and now >= announced.last.at + repeat_interval


def news(announced: NotifiedState, view: VisibleAlerts) -> frozenset[str]:
    """The visible alerts that this target does not know as they are: new, worse, seen again, or flapping."""
    found = {name for name, rank in view.visible.items() if rank < announced.alerts.firing.get(name, rank + 1)}
    found |= announced.alerts.hidden & view.visible.keys()
    return frozenset(found | ((view.flapping & view.visible.keys()) - announced.alerts.flapping))


Audience = dict[str, tuple[Target, VisibleAlerts]]


def audience_of(incident: Incident, route: Route, rules: Rules, view: VisibleAlerts) -> Audience:
    """Who hears, and what each sees: the route's targets, those escalated to, and whoever is owed an end."""
    steps = (step.targets for step in route.escalate[: incident.escalation.done])
    found: Audience = {}
    for target in (target for targets in (route.targets, *steps) for target in targets):
        found.setdefault(target.key, (target, view_for(incident, target, rules, view)))
    for key, each in incident.announced.items():
        if each.open and key not in found:
            found[key] = each.target, pending_resolve(each, view)
    return found


def knows_unacked(incident: Incident, key: str, seen: VisibleAlerts) -> bool:
    """Return whether that target was notified of a visible alert that nobody has acknowledged."""
    return key in incident.announced and bool(incident.announced[key].alerts.firing.keys() & seen.unacked)


def is_unacknowledged(incident: Incident, view: VisibleAlerts) -> bool:
    """True while somebody was told of a visible alert that nobody has acknowledged."""
    return any(view.unacked & each.alerts.firing.keys() for each in incident.announced.values())


def reminded(incident: Incident, route: Route, now: datetime) -> list[str]:
    """Return the keys of the targets whose reminder is due by the time at which it was decided to notify them."""
    return [
        key
        for key, each in incident.announced.items()
        if each.open and each.last.at is not None and each.last.at + route.options.repeat_interval <= now
    ]


def view_of(incident: Incident, mutings: Mapping[str, Muting], quiet: tuple[str, ...], now: datetime) -> VisibleAlerts:
    """Return the firing alerts of an incident: those that can be seen now and those that are muted."""
    visible = [alert for alert in incident.firing if alert.fingerprint not in mutings]
    return VisibleAlerts(
        visible={alert.fingerprint: alert.severity.rank for alert in visible},
        muted={alert.fingerprint: alert.severity.rank for alert in incident.firing if alert.fingerprint in mutings},
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


def with_hidden(incident: Incident, mutings: Mapping[str, Muting]) -> Incident:
    """Note which told alerts are muted now, so that their return is news."""
    changed = {
        key: replace(each, alerts=replace(each.alerts, hidden=each.alerts.hidden | muted))
        for key, each in incident.announced.items()
        if each.open and (muted := mutings.keys() & each.alerts.firing.keys()) - each.alerts.hidden
    }
    return replace(incident, announced={**incident.announced, **changed}) if changed else incident
