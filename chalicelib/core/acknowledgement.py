"""Which acknowledgement covers an alert, and until which of its ends."""

from dataclasses import replace
from datetime import datetime

from chalicelib.core.alert import Alert, AlertState


def acknowledged(alert: Alert, by: str, at: datetime) -> Alert:
    """Return the alert after a person acknowledged it."""
    return replace(alert, ack=replace(alert.ack, by=by, at=at, severity=alert.severity))


def unacknowledged(alert: Alert) -> Alert:
    """Return the alert that nobody has acknowledged any more."""
    return replace(alert, ack=replace(alert.ack, by=None, at=None))


def covers(acked_at: datetime, alert: Alert) -> bool:
    """Return whether an acknowledgement of that time covers the alert, which had begun by then.

    It does until people are notified of an end, through any flap; but not once the alert got worse, or was given back.
    """
    lost = [at for at in (alert.ack.notified_end, alert.ack.given_back_at) if at is not None]
    return all(at < acked_at for at in lost) and (alert.ack.worse_at is None or alert.ack.worse_at <= acked_at)


def lives_since(alert: Alert) -> datetime | None:
    """Return the first start of the alert since the newest end of which people were notified."""
    after = alert.ack.notified_end
    times = alert.changes.times
    starts = times[-1::-2] if alert.state is AlertState.FIRING else times[-2::-2]
    known = [at for at in (alert.starts_at, *starts) if at is not None and (after is None or at > after)]
    return min(known, default=alert.starts_at)


def is_end_pending(alert: Alert) -> bool:
    """Return whether the alert has ended and people were not notified of that."""
    if alert.state is not AlertState.RESOLVED or alert.ends_at is None:
        return False
    return alert.ack.notified_end is None or alert.ack.notified_end < alert.ends_at


def end_notified(alert: Alert) -> Alert:
    """Return the alert after people were notified of its end: an acknowledgement until now covers no new start."""
    if alert.state is AlertState.FIRING:
        return alert
    known = (alert.ends_at, alert.ack.at, alert.ack.notified_end, *alert.changes.times[-1:])
    ends = [at for at in known if at is not None]
    newest = max(ends, default=None)
    return replace(alert, ack=replace(alert.ack, notified_end=newest)) if newest != alert.ack.notified_end else alert
