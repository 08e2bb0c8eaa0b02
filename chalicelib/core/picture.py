"""An incident as the page shows it: what its messages say, how it stands, and who is notified next. Pure.

The words are those of a notification, so that the page and the messages of an incident never differ.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from chalicelib.core.alert import Alert
from chalicelib.core.alert_snapshot import SnapshotInput
from chalicelib.core.context import Context
from chalicelib.core.delivery.notification import AlertSnapshot, Notification, Reason
from chalicelib.core.event import Severity
from chalicelib.core.glance import State
from chalicelib.core.incident import Incident, clock_of, escalates_from
from chalicelib.core.mute import Muting, mutings_of
from chalicelib.core.notified import NotifiedAlerts, NotifiedState
from chalicelib.core.routing import routes_of, whole_route
from chalicelib.core.rule import Route, RouteAlerts, Rules, Target, Window
from chalicelib.core.snapshot import notification
from chalicelib.core.standing import Standing, holder, standing

READER = Target("page", "reader")
"""A notification is made for a target. The page is none that anybody could name."""


@dataclass(frozen=True, slots=True)
class NextStep:
    """Who is notified next unless somebody acknowledges: the targets of a step of an escalation."""

    at: datetime
    targets: tuple[Target, ...]


@dataclass(frozen=True, slots=True)
class Picture:
    """An incident under today's rules. `says` is what a message to a target that shows everything would say now.

    `next_step` is None where nobody else is notified.
    """

    incident: Incident
    route: Route
    says: Notification
    standing: Standing
    next_step: NextStep | None = None

    @property
    def state(self) -> State:
        """Return the state to show."""
        if self.standing.state == "ended":
            return State.RESOLVED
        if self.standing.state == "resolved":
            return State.CLOSING
        if not self.standing.notified:
            return State.MUTED
        return State.ACKNOWLEDGED if self.standing.holders else State.FIRING

    @property
    def severity(self) -> Severity:
        """Return the worst severity of what fires, or fired."""
        return self.incident.severity

    @property
    def is_unowned(self) -> bool:
        """Return whether it needs somebody at once: critical, and nobody has it."""
        return self.state is State.FIRING and self.severity is Severity.CRITICAL

    @property
    def holder(self) -> str:
        """Return who has it, or had it; empty without anybody."""
        return holder(self.incident) or ""

    @property
    def since(self) -> datetime:
        """Return when it began."""
        return self.says.incident.started_at

    @property
    def lead(self) -> AlertSnapshot | None:
        """Return the worst alert that fires, else the worst one that ended."""
        return next(iter((*self.says.alerts, *self.says.evidence)), None)

    @property
    def notified(self) -> tuple[NotifiedState, ...]:
        """Return the targets that were notified, those that were notified first at the front."""
        return tuple(each for each in self.incident.announced.values() if each.was_notified)


def picture_of(
    incident: Incident,
    rules: Rules,
    context: Context,
    now: datetime,
    timezone: str,
    *,
    windows: Mapping[str, Window] | None = None,
) -> Picture:
    """Return an incident as a reader in this zone sees it now. `windows` are those of the rules unless others are given."""
    route, mutings = whole_route(incident, rules), mutings_of(incident, rules, context, now)
    how = standing(incident, route, rules.windows if windows is None else windows, mutings, now)
    routed = routes_of(incident, rules)
    return Picture(
        incident,
        route,
        _says(incident, SnapshotInput(rules, context, route, now, mutings), timezone),
        how,
        _next_step(incident, routed, mutings, now) if how.reminds else None,
    )


def _says(incident: Incident, basis: SnapshotInput, timezone: str) -> Notification:
    """Return a silent change for the reader, who knows all alerts of the incident."""
    known = {alert.fingerprint: alert.severity.rank for alert in incident.shown}
    visible = {alert.fingerprint: alert.severity.rank for alert in incident.firing if _is_seen(alert, basis.mutings)}
    reader = NotifiedState(READER, open=True, alerts=NotifiedAlerts(firing=known))
    made = notification(incident, reader, Reason.SYNC, visible, basis, ())
    return replace(made, background=replace(made.background, timezone=timezone))


def _is_seen(alert: Alert, mutings: Mapping[str, Muting]) -> bool:
    return alert.fingerprint not in mutings


def _next_step(
    incident: Incident, routed: tuple[RouteAlerts, ...], mutings: Mapping[str, Muting], now: datetime
) -> NextStep | None:
    """Return the first step that comes by a route of which nobody has the alerts."""
    waiting = [each for each in routed if _needs_somebody(incident, each, mutings)]
    steps = [step for each in waiting for step in _steps(incident, each.route, now)]
    return min(steps, key=lambda step: step.at, default=None)


def _needs_somebody(incident: Incident, routed: RouteAlerts, mutings: Mapping[str, Muting]) -> bool:
    return any(
        routed.has(alert.fingerprint) and alert.ack.by is None and _is_seen(alert, mutings) for alert in incident.firing
    )


def _steps(incident: Incident, route: Route, now: datetime) -> Iterator[NextStep]:
    since, done = escalates_from(incident, route), clock_of(incident, route).done
    for step in route.escalate[done:] if since is not None else ():
        if since is not None:
            yield NextStep(max(since + step.after, now), step.targets)
