"""Whether a saved incident stands behind a notification: only what was saved is sent, and only the newest of it.

The incident keeps one number and one id for each target: those of the newest notification. A worker that died before
its save leaves a notification that no incident names. A notification with a lower number was superseded: the newest
one carries the state of the incident, so that a target that was away receives no backlog.
"""

from enum import StrEnum

from chalicelib.core.delivery.notification import Notification, Reason
from chalicelib.core.incident import Incident


class Commitment(StrEnum):
    """What a saved incident says of a notification."""

    LIVE = "live"
    SUPERSEDED = "superseded"
    UNSAVED = "unsaved"
    """No saved incident names it: the save that decided it is still to come, or failed."""


def standing(notification: Notification, incident: Incident | None) -> Commitment:
    """Return how the notification stands with `incident`, the stored one of its id (None: none is stored)."""
    if notification.reason is Reason.TEST:
        return Commitment.LIVE
    if incident is None:
        return Commitment.UNSAVED
    announced = incident.announced.get(notification.target.key)
    if announced is None or not announced.last.is_named:
        return Commitment.LIVE if notification.id in incident.committed else Commitment.UNSAVED
    if announced.last.seq < notification.seq:
        return Commitment.UNSAVED
    if announced.last.id == notification.id:
        return Commitment.LIVE
    return Commitment.SUPERSEDED
