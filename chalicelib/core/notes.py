"""The notes of a notification: what came back, got worse, joined, was explained, or ended without its sender's word."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from chalicelib.core.alert import Alert, AlertState
from chalicelib.core.alert_snapshot import SnapshotInput
from chalicelib.core.context import Silence
from chalicelib.core.delivery.notification import Reason
from chalicelib.core.delivery.writing import local_time
from chalicelib.core.dependencies import Explanation
from chalicelib.core.event import Severity
from chalicelib.core.incident import Incident
from chalicelib.core.notified import NotifiedState
from chalicelib.core.rule import Rules
from chalicelib.core.services import SERVICE
from chalicelib.core.shown_acts import sentence
from chalicelib.core.sounds import acknowledged_at, follows_ack
from chalicelib.core.timeline import short_name
from chalicelib.core.titles import MAX_SERVICES, impact_of, listed
from chalicelib.core.waves import MAX_WAVES


def notes_of(incident: Incident, expired: tuple[str, ...]) -> tuple[str, ...]:
    """Return what every target should know beside the alerts."""
    notes = []
    if expired:
        notes.append(f"The acknowledgement of {', '.join(expired)} ran out.")
    if incident.truncated.events:
        notes.append(_note_of_truncated(incident))
    return tuple(notes)


def _note_of_truncated(incident: Incident) -> str:
    """Return what is counted but not shown, and whether the number of alerts or their size is the reason."""
    count, events = len(incident.truncated.alerts), incident.truncated.events
    hidden = f"{events} more events are counted but not shown."
    if len(incident.alerts) >= incident.options.max_alerts:
        return f"max_alerts is reached: {f'{count} more alerts burn, and ' if count else ''}{hidden}"
    too_large = f"{count} alerts are" if count > 1 else "1 alert is" if count else "Some alerts were"
    return f"{too_large} too large to list, and {hidden}"


def notes_of_wave(incident: Incident, announced: NotifiedState) -> tuple[str, ...]:
    """Return why a pager calls people again: who gave it back, or what got worse, since it did so the last time."""
    since = announced.wave_began_at
    found = [
        each
        for each in incident.timeline.entries
        if each.kind in ("unack", "ack_lifted") and (since is None or each.at >= since)
    ]
    last = announced.pager.wave + 1 == MAX_WAVES
    return (
        *(f"{sentence(each)}." for each in found[-1:]),
        *(
            [f"This is the last of {MAX_WAVES} alerts for this incident here: what follows only changes it."]
            if last
            else []
        ),
    )


def notes_for(
    announced: NotifiedState, visible: Mapping[str, int], basis: SnapshotInput, incident: Incident, reason: Reason
) -> tuple[str, ...]:
    """Return what this target should know: what came back, what flaps, what ended without its sender's word."""
    notes: list[str] = []
    if reason is not Reason.RESOLVED:
        notes += _returned(announced, visible, basis, incident)
        notes += _ending(incident, basis)
    for alert in incident.alerts.values():
        if alert.fingerprint in visible:
            notes += [*_worse(alert, announced), *_not_heard_since(alert, announced, basis)]
        if alert.fingerprint in visible and alert.changes.flapping:
            notes.append(f"{alert.name} is flapping: it is held open until it calms.")
        if alert.fingerprint in visible and alert.rule in basis.rules.broken_templates:
            notes.append(f"The summary of the rule {alert.rule} is broken and the plain form is shown.")
        if (
            alert.fingerprint in announced.alerts.firing
            and alert.state is not AlertState.FIRING
            and alert.changes.ended_by
        ):
            notes.append(how_ended(alert))
    return tuple(dict.fromkeys(notes))


def begun_after_ack(
    incident: Incident, announced: NotifiedState, visible: Mapping[str, int], rules: Rules
) -> tuple[str, ...]:
    """Return which critical alerts began after others were acknowledged, and by whom."""
    acked_at = acknowledged_at(incident)
    by = {alert.ack.by for alert in incident.alerts.values() if alert.ack.by and alert.ack.at == acked_at}
    new = [incident.alerts[name] for name in visible if name not in announced.alerts.firing]
    who = ", ".join(sorted(by)) or "somebody"
    return tuple(
        f"{short_name(alert)} began after {who} acknowledged the others."
        for alert in listed(new)
        if follows_ack(alert, acked_at, rules.correlation.after_ack)
    )


def no_longer_explained(
    incident: Incident, announced: NotifiedState, visible: Mapping[str, int], explained: Mapping[str, Explanation]
) -> tuple[str, ...]:
    """Return which alerts made no sound while another service explained them, and still fire after its end."""
    joined = listed(incident.alerts[name] for name in visible if name in announced.alerts.joined)
    return tuple(
        f"{short_name(alert)} ({alert.labels.get(SERVICE, '')}) still fires, though {found.service} is resolved."
        for alert in joined
        if (found := explained.get(alert.fingerprint)) is not None and found.until is not None
    )


def affected(firing: Sequence[Alert], explained: Mapping[str, Explanation], basis: SnapshotInput) -> tuple[str, ...]:
    """Return which services another one affects, since when, and who owns that."""
    notes = []
    for alert in firing:
        if impact_of(alert, explained):
            found, zone = explained[alert.fingerprint], basis.route.options.timezone
            owner = basis.rules.services.owner_of(found.service)
            since = f"{found.service} since {local_time(found.since, zone)}"
            notes.append(f"{alert.labels[SERVICE]} is affected by {since}{f'; {owner} has it' if owner else ''}.")
    return tuple(dict.fromkeys(notes))[:MAX_SERVICES]


def _worse(alert: Alert, announced: NotifiedState) -> list[str]:
    before = announced.alerts.firing.get(alert.fingerprint, alert.severity.rank)
    if before <= alert.severity.rank:
        return []
    was = next(each for each in Severity if each.rank == before)
    return [f"{short_name(alert)} got worse: {was.value} → {alert.severity.value}."]


def _not_heard_since(alert: Alert, announced: NotifiedState, basis: SnapshotInput) -> list[str]:
    """Return since when an alert fires of which this target is notified long after its sender's last event."""
    newest = alert.received.last_event_at or alert.starts_at
    timeout = basis.route.options.resolve_timeout
    if alert.fingerprint in announced.alerts.firing or newest is None or alert.starts_at is None:
        return []
    if newest + timeout > basis.now:
        return []
    zone = basis.route.options.timezone
    since, last = local_time(alert.starts_at, zone), local_time(newest, zone)
    return [f"{alert.name} fires since {since} and was last received {'then' if last == since else 'at ' + last}."]


ENDINGS = {
    "resolve_timeout": "its sender has sent nothing for the resolve_timeout, so it is taken as resolved.",
    "no data": "nothing was measured for the resolve_timeout, so it is taken as resolved.",
    "rule gone": "the rule is no longer in the rules file, so it is taken as resolved.",
    "rule changed": "its rule asks for something else by now, so it is taken as resolved.",
    "probe gone": "its probe is no longer in the rules file, so it is taken as resolved.",
    "heartbeat gone": "the heartbeat is no longer in the rules file, so it is taken as resolved.",
}


"""Why an alert ended without its sender's word: what `StateChanges.ended_by` holds where it is no person's name."""


def how_ended(alert: Alert) -> str:
    """Return why an alert ended, or by whom."""
    if alert.changes.ended_by in ENDINGS:
        return f"{alert.name}: {ENDINGS[alert.changes.ended_by]}"
    return f"{alert.name}: resolved by {alert.changes.ended_by}."


def _returned(
    announced: NotifiedState, visible: Mapping[str, int], basis: SnapshotInput, incident: Incident
) -> list[str]:
    """Return what is seen again, or seen late, and whose silence it was."""
    notes = []
    for alert in listed(incident.alerts[name] for name in visible if name in incident.alerts):
        if alert.fingerprint in announced.alerts.hidden:
            over = _in_words(_over(alert, {"silence": basis.context.silences}, basis.now))
            notes.append(f"{alert.name} is back{f' after {over} ended' if over else ': what muted it is over'}.")
        elif alert.fingerprint not in announced.alerts.firing:
            notes += _seen_late(alert, basis, incident)
    return notes


def _seen_late(alert: Alert, basis: SnapshotInput, incident: Incident) -> list[str]:
    """Return the silence or maintenance because of which this target was not notified before, if it was one.

    One that began after some target was notified of the alert held nothing back from this target.
    """
    held = {"silence": basis.context.silences, "maintenance": basis.context.maintenance}
    over = _over(alert, held, basis.now)
    if over is None or alert.starts_at is None:
        return []
    if over[1].starts_at <= alert.starts_at:
        return [f"{alert.name} began under {_in_words(over)}, which has ended."]
    if any(alert.fingerprint in each.alerts.firing for each in incident.announced.values()):
        return []
    return [f"{alert.name} was muted by {_in_words(over)}, which has ended."]


def _over(alert: Alert, held: Mapping[str, Sequence[Silence]], now: datetime) -> tuple[str, Silence] | None:
    """Return the last of these that covered the alert and is over, with its kind."""
    found = [
        (kind, each)
        for kind, silences in held.items()
        for each in silences
        if alert.starts_at is not None and alert.starts_at < each.ends_at <= now and alert.matched_by(each.matchers)
    ]
    return max(found, key=lambda each: each[1].ends_at, default=None)


def _in_words(over: tuple[str, Silence] | None) -> str:
    if over is None:
        return ""
    kind, last = over
    return f"the {kind} of {last.by}{f' ({last.comment})' if last.comment else ''}"


def _ending(incident: Incident, basis: SnapshotInput) -> list[str]:
    """Return the long silences that are about to end while something that they mute still fires."""
    ending = {
        each: each.ends_at
        for alert in incident.firing
        if (muting := basis.mutings.get(alert.fingerprint)) is not None
        for each in muting.silences
        if (reminds_at := each.reminds_at) is not None and reminds_at <= basis.now
    }
    zone = basis.route.options.timezone
    return [
        f"The silence of {each.by}{f' ({each.comment})' if each.comment else ''} ends at {local_time(at, zone)}."
        for each, at in ending.items()
    ]
