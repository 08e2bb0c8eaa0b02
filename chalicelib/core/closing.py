"""The messages that say that nothing fires any more, while the notification of the end waits for the next flush.

A message is edited without a sound when its incident is resolved, and again when it fires before the flush. An incident
that flaps has each message edited at most twice in a `group_interval`.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta

from chalicelib.core.delivery.notification import ClosingSnapshot, Notification, Reason
from chalicelib.core.incident import Incident, IncidentStatus
from chalicelib.core.keeping import is_kept
from chalicelib.core.notified import NotifiedState, ShownClosing
from chalicelib.core.rule import Rules
from chalicelib.core.visible import Audience, TargetView

SHORTEST_HOLD = timedelta(seconds=30)
"""An end that is notified sooner needs no edit before."""


def closing_of(incident: Incident, each: TargetView, next_at: datetime | None) -> ClosingSnapshot | None:
    """Return since when nothing of an open incident fires for a target, and when its end is notified.

    None while something fires there. `next_at` is the next flush, by which an incident of one route ends. An incident
    that somebody keeps open has no such time.
    """
    known = incident.announced.get(each.target.key)
    named = known.alerts.all if incident.is_correlated and known is not None else incident.alerts
    ends = [alert.ends_at for alert in incident.shown if alert.ends_at is not None and alert.fingerprint in named]
    keeper, closes_at = "", each.ends_from if incident.is_correlated else next_at
    if is_kept(incident):
        keeper, closes_at = incident.episode.kept_by, incident.episode.kept_at
    if not each.seen.over or closes_at is None or not ends or incident.status is not IncidentStatus.OPEN:
        return None
    return ClosingSnapshot(max(ends), closes_at, keeper)


def closing_syncs(
    incident: Incident, audience: Audience, closings: Mapping[str, ClosingSnapshot], rules: Rules, now: datetime
) -> Mapping[str, Reason]:
    """Return the messages to edit: those that do not yet say that nothing fires, and those that say so wrongly."""
    edited = {
        key: announced
        for key, announced in incident.announced.items()
        if announced.open and rules.can(announced.target.kind).edits and key in audience
    }
    return {key: Reason.SYNC for key, each in edited.items() if _is_wanted(each, audience[key], closings.get(key), now)}


def _is_wanted(announced: NotifiedState, each: TargetView, closing: ClosingSnapshot | None, now: datetime) -> bool:
    shown = announced.closing
    if closing is None:
        return shown.shown and not each.seen.over
    rested = shown.at is None or shown.at + each.options.group_interval <= now
    return closing.at >= now + SHORTEST_HOLD and announced.target.send_resolved and not shown.shown and rested


def shown_after(before: ShownClosing, content: Notification) -> ShownClosing:
    """Return what a message says after a notification of it."""
    if content.closing is None:
        return ShownClosing(False, before.at) if before.shown else before
    return before if before.shown else ShownClosing(True, content.at)
