"""Events that only count: news to nobody, so they can wait some seconds and be folded together.

In a storm most events repeat that an alert fires which fires already. Saving the incident for each of them
would cost a write an event, and its writers would be in each other's way. Such an event may wait until the next of the
moments that all share (every `PERIOD`), but never past the incident's own next timer: what is sent then has counted it.
"""

from datetime import datetime, timedelta

from chalicelib.core.alert import Alert, AlertState
from chalicelib.core.event import Status
from chalicelib.core.incident import Incident, IncidentStatus
from chalicelib.core.inputs import EventInput, alert_fingerprint
from chalicelib.core.instants import from_seconds

PERIOD = timedelta(seconds=10)
MARGIN = timedelta(seconds=2)
"""How long before the incident's next timer the last of them are folded."""
LEAST = timedelta(seconds=1)
"""What waits for less is folded at once: queues count delays in seconds."""


def waits_until(incident: Incident | None, given: EventInput, now: datetime) -> datetime | None:
    """Return until when an event can wait, or None when the incident needs it now."""
    if incident is None or incident.status is not IncidentStatus.OPEN:
        return None
    alert = incident.alerts.get(alert_fingerprint(given))
    if alert is None or not only_counts(alert, given):
        return None
    until = next_moment(now)
    if incident.wake_at is not None:
        until = min(until, incident.wake_at - MARGIN)
    return until if until >= now + LEAST else None


def only_counts(alert: Alert, given: EventInput) -> bool:
    """Return whether the event says of a firing alert what is known, shortly after it was said before."""
    event = given.event
    if alert.state is not AlertState.FIRING or alert.timers.cleared_at or alert.timers.expires_at:
        return False
    if (
        event.status is not Status.FIRING
        or event.ends_at
        or alert.starts_at is None
        or alert.received.last_event_at is None
    ):
        return False
    if (given.rule is None or given.rule.severity is None) and event.severity is not alert.severity:
        return False
    if (event.starts_at or event.occurred_at) < alert.starts_at:
        return False
    return abs(event.occurred_at - alert.received.last_event_at) < PERIOD


def next_moment(now: datetime) -> datetime:
    """Return the first moment after `now` at which waiting events are folded: the same for every incident."""
    periods = int(now.timestamp() // PERIOD.total_seconds()) + 1
    return from_seconds(periods * PERIOD.total_seconds())
