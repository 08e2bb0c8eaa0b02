"""Heartbeats: an alert when something that should report at times has not.

Pending once a beat is late, firing after the grace, resolved by the next beat. The schedule is an interval (`every`)
or a cron expression in its own time zone.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from chalicelib.core.alert import Alert, AlertState, Timers
from chalicelib.core.inputs import HeartbeatInput
from chalicelib.core.language.cron import following
from chalicelib.core.lifecycle import no_longer_pending, refreshed
from chalicelib.core.observed import bounded, moment


def beaten(alert: Alert, beats: Sequence[HeartbeatInput]) -> Alert:
    """The alert after these beats; an expectation (not heard) only starts the clock of a new one."""
    for beat in sorted(beats, key=lambda each: each.at):
        if not beat.heard:
            alert = alert if alert.received.refreshed_at else refreshed(alert, beat.at)
            continue
        if alert.received.last_event_at is not None and beat.at <= alert.received.last_event_at:
            continue
        received = replace(
            alert.received, refreshed_at=beat.at, last_event_at=beat.at, events=alert.received.events + 1
        )
        alert = replace(alert, received=received, observed=_observed(beat))
        if alert.state is AlertState.FIRING:
            alert = replace(alert, state=AlertState.RESOLVED, ends_at=beat.at, timers=Timers())
        elif alert.state is AlertState.PENDING:
            alert = no_longer_pending(alert)
    return alert


def _observed(beat: HeartbeatInput) -> dict[str, str]:
    """Return what people are shown of the last heartbeat; when the next one was due is added when it stays away."""
    return bounded({"last_beat": moment(beat.at), "output": beat.output})


def late_at(alert: Alert) -> datetime | None:
    """When the next beat is due; None when none is expected: no beat was ever heard, or its schedule is gone."""
    schedule, since = alert.schedule, alert.received.refreshed_at
    if since is None or not schedule:
        return None
    if cron := schedule.get("cron"):
        return following(cron, ZoneInfo(schedule.get("timezone") or "UTC"), since).astimezone(UTC)
    return since + timedelta(seconds=float(schedule["every"]))


def fires_at(alert: Alert) -> datetime | None:
    """When its absence is an alert."""
    late = late_at(alert)
    return None if late is None else late + timedelta(seconds=float(alert.schedule.get("grace") or 0))


def next_change(alert: Alert) -> datetime | None:
    """When the alert changes if no beat comes."""
    if alert.state is AlertState.FIRING:
        return None
    return fires_at(alert) if alert.state is AlertState.PENDING else late_at(alert)


def advanced(alert: Alert, now: datetime) -> Alert:
    """The alert at `now`, without a beat since."""
    late, fires = late_at(alert), fires_at(alert)
    if late is None or fires is None or alert.state is AlertState.FIRING or now < late:
        return alert
    if now < fires:
        return replace(alert, state=AlertState.PENDING, timers=Timers(pending_at=late))
    observed = {"last_beat": "none was received", **alert.observed, "due": moment(late)}
    return replace(alert, state=AlertState.FIRING, starts_at=fires, ends_at=None, timers=Timers(), observed=observed)
