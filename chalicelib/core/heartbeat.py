"""Heartbeats: an alert when something that should report at times has not, has failed, or runs for too long.

Pending once a success is late, firing after the grace, at once when the sender reports a failure, and when a run that
it began has not ended within `max_run`. Resolved by the next success. The schedule is an interval (`every`) or a cron
expression in its own time zone. Signals are those of healthchecks: success, start, fail, log.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from chalicelib.core.alert import Alert, AlertState, JobRun, Timers
from chalicelib.core.inputs import HeartbeatInput, Signal
from chalicelib.core.language.cron import following
from chalicelib.core.lifecycle import no_longer_pending, refreshed
from chalicelib.core.observed import bounded, moment, tail

MAX_BEATS = 30
"""So many of the newest beats are kept with the alert: they need no write of their own."""
NOT_RECEIVED = {"last_beat": "none was received"}


def beaten(alert: Alert, beats: Sequence[HeartbeatInput]) -> Alert:
    """Return the alert after these beats; an expectation (`heard` false) only states what the rules file says of it."""
    for beat in sorted(beats, key=lambda each: each.at):
        alert = _restated(alert, beat)
        if not beat.heard:
            continue
        if beat.signal is Signal.LOG:
            alert = replace(alert, observed={**alert.observed, **_output(beat)}) if beat.output else alert
        elif beat.signal is Signal.START:
            alert = _started(alert, beat)
        elif alert.received.last_event_at is None or beat.at > alert.received.last_event_at:
            alert = _failed(alert, beat) if beat.signal is Signal.FAIL else _succeeded(alert, beat)
    return alert


def _restated(alert: Alert, beat: HeartbeatInput) -> Alert:
    """Return the alert as the rules file names it now. One that is new, or is back in the file, is watched from now on."""
    if not alert.schedule or alert.received.refreshed_at is None:
        alert = refreshed(replace(alert, run=JobRun()), beat.at)
    if alert.state is AlertState.FIRING:
        return alert if alert.schedule == beat.spec else replace(alert, schedule=beat.spec)
    stated = replace(alert, schedule=beat.spec, severity=beat.severity, labels=beat.labels)
    return stated if stated != alert else alert


def _started(alert: Alert, beat: HeartbeatInput) -> Alert:
    """Return the alert with the run that began. A start older than what ended is history."""
    known = max((at for at in (alert.received.last_event_at, alert.run.started_at) if at is not None), default=None)
    if known is not None and beat.at <= known:
        return alert
    return replace(alert, run=JobRun(beat.at, beat.run))


def _succeeded(alert: Alert, beat: HeartbeatInput) -> Alert:
    """Return the alert after a success. A run with another id goes on; one that takes too long keeps the alert firing."""
    ends_run = beat.run in ("", alert.run.id)
    alert = _received(alert, beat, ends_run=ends_run)
    overrun = _overruns_at(alert)
    if alert.state is AlertState.FIRING and (overrun is None or overrun > beat.at):
        return replace(alert, state=AlertState.RESOLVED, ends_at=beat.at, timers=Timers())
    return no_longer_pending(alert) if alert.state is AlertState.PENDING else alert


def _failed(alert: Alert, beat: HeartbeatInput) -> Alert:
    """Return the alert firing since its sender reported that the run failed."""
    since = alert.starts_at if alert.state is AlertState.FIRING else beat.at
    result = f"exit code {beat.exit_code}" if beat.exit_code else "the sender reported a failure"
    alert = _received(alert, beat, ends_run=True)
    return _firing(alert, since, f"{alert.name} failed", {**alert.observed, "result": result})


def _received(alert: Alert, beat: HeartbeatInput, *, ends_run: bool) -> Alert:
    """Return the alert with the end of a run noted: the next one is due after it."""
    known = alert.received
    beats = (*known.beats, (int(beat.at.timestamp()), beat.signal is not Signal.FAIL))[-MAX_BEATS:]
    received = replace(known, refreshed_at=beat.at, last_event_at=beat.at, events=known.events + 1, beats=beats)
    over = ends_run and (alert.run.started_at is None or alert.run.started_at <= beat.at)
    observed = bounded({"last_beat": moment(beat.at), **_output(beat)})
    return replace(alert, received=received, observed=observed, run=JobRun() if over else alert.run)


def _output(beat: HeartbeatInput) -> dict[str, str]:
    """Return the end of what the sender wrote, as people are shown it."""
    return {"output": tail(beat.output)} if beat.output else {}


def _firing(alert: Alert, since: datetime | None, title: str, observed: dict[str, str]) -> Alert:
    return replace(
        alert,
        state=AlertState.FIRING,
        starts_at=since,
        ends_at=None,
        timers=Timers(),
        text=replace(alert.text, title=title),
        observed=bounded(observed),
    )


def late_at(alert: Alert) -> datetime | None:
    """Return when the next beat is due; None when none is expected: its schedule is gone, or begins with the first beat."""
    schedule, since = alert.schedule, alert.received.refreshed_at
    if since is None or not schedule:
        return None
    if schedule.get("from_first_beat") and alert.received.last_event_at is None:
        return None
    if cron := schedule.get("cron"):
        return following(cron, schedule.get("timezone") or "UTC", since)
    return since + timedelta(seconds=float(schedule["every"]))


def fires_at(alert: Alert) -> datetime | None:
    """Return when its absence is an alert."""
    late = late_at(alert)
    return None if late is None else late + timedelta(seconds=float(alert.schedule.get("grace") or 0))


def was_late(alert: Alert, before: datetime, at: datetime) -> bool:
    """Return whether a beat came after the grace, by today's schedule. `before` is the time of the one before it."""
    after = replace(alert, received=replace(alert.received, refreshed_at=before, last_event_at=before))
    limit = fires_at(after)
    return limit is not None and at > limit


def _overruns_at(alert: Alert) -> datetime | None:
    """Return when the run that began takes too long; None without one, or without `max_run`."""
    longest, since = alert.schedule.get("max_run"), alert.run.started_at
    return None if not longest or since is None else since + timedelta(seconds=float(longest))


def next_change(alert: Alert) -> datetime | None:
    """Return when the alert changes if no beat comes."""
    if alert.state is AlertState.FIRING:
        return None
    absent = fires_at(alert) if alert.state is AlertState.PENDING else late_at(alert)
    return min((at for at in (absent, _overruns_at(alert)) if at is not None), default=None)


def advanced(alert: Alert, now: datetime) -> Alert:
    """Return the alert at `now`, without a beat since."""
    if alert.state is AlertState.FIRING:
        return alert
    late, fires, overruns = late_at(alert), fires_at(alert), _overruns_at(alert)
    if overruns is not None and overruns <= now and (fires is None or overruns <= fires):
        return _overrun(alert, overruns)
    if late is None or fires is None or now < late:
        return alert
    if now < fires:
        return replace(alert, state=AlertState.PENDING, timers=Timers(pending_at=late))
    observed = {**NOT_RECEIVED, **alert.observed, "due": moment(late)}
    return _firing(alert, fires, f"No heartbeat of {alert.name}", observed)


def _overrun(alert: Alert, at: datetime) -> Alert:
    """Return the alert firing since its run took longer than `max_run`."""
    assert alert.run.started_at is not None
    result = f"the run that began {moment(alert.run.started_at)} has not ended"
    observed = {**NOT_RECEIVED, **alert.observed, "due": moment(at), "result": result}
    return _firing(alert, at, f"{alert.name} runs for too long", observed)
