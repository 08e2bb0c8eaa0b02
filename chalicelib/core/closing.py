"""The messages that say that nothing fires any more, while the notification of the end waits for the next flush.

A message is edited without a sound when its incident is resolved, and again when it fires before the flush. An incident
that flaps has each message edited at most twice in a `group_interval`.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta

from chalicelib.core.delivery.notification import ClosingSnapshot, Notification, Reason
from chalicelib.core.incident import Incident, IncidentStatus
from chalicelib.core.notified import NotifiedState, ShownClosing
from chalicelib.core.rule import Rules
from chalicelib.core.visible import VisibleAlerts

SHORTEST_HOLD = timedelta(seconds=30)
"""An end that is notified sooner needs no edit before."""


def closing_of(incident: Incident, view: VisibleAlerts, closes_at: datetime | None) -> ClosingSnapshot | None:
    """Return since when nothing of an open incident fires, and when its end is notified; None while something fires."""
    ends = [alert.ends_at for alert in incident.shown if alert.ends_at is not None]
    if not view.over or closes_at is None or not ends or incident.status is not IncidentStatus.OPEN:
        return None
    return ClosingSnapshot(max(ends), closes_at)


def closing_syncs(
    incident: Incident, rules: Rules, closing: ClosingSnapshot | None, interval: timedelta, now: datetime
) -> Mapping[str, Reason]:
    """Return the messages to edit: those that do not yet say that nothing fires, and those that say so wrongly."""
    edited = {key: each for key, each in incident.announced.items() if each.open and rules.can(each.target.kind).edits}
    if closing is None:
        return {key: Reason.SYNC for key, each in edited.items() if each.closing.shown and incident.firing}
    if closing.at < now + SHORTEST_HOLD:
        return {}
    return {key: Reason.SYNC for key, each in edited.items() if _is_wanted(each, interval, now)}


def _is_wanted(announced: NotifiedState, interval: timedelta, now: datetime) -> bool:
    shown = announced.closing
    rested = shown.at is None or shown.at + interval <= now
    return announced.target.send_resolved and not shown.shown and rested


def shown_after(before: ShownClosing, content: Notification) -> ShownClosing:
    """Return what a message says after a notification of it."""
    if content.closing is None:
        return ShownClosing(False, before.at) if before.shown else before
    return before if before.shown else ShownClosing(True, content.at)
