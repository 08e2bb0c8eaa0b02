"""Makes the row of an incident that lists show, and judges a stored one as of now. Pure.

A row is made when its incident is saved, with what mutes it then. What changes without a save is judged by whoever
shows it: windows (`as_of`), and silences that have begun or ended since (`has_turned`).
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from chalicelib.core.context import Context, Silence
from chalicelib.core.delivery import text, writing
from chalicelib.core.event import ActionKind, fingerprint
from chalicelib.core.glance import Glance, Outcome, State
from chalicelib.core.incident import Incident, IncidentStatus
from chalicelib.core.mute import Muting
from chalicelib.core.picture import Picture, picture_of
from chalicelib.core.rule import Rules
from chalicelib.core.services import SERVICE
from chalicelib.core.standing import Mute, mute_words, window_mutes
from chalicelib.core.summary import Summary

MAX_TITLE_CHARACTERS = 200
MAX_CAUSE_CHARACTERS = 300
MAX_NAMED = 3
MAX_SERVICES = 5
KEPT = timedelta(minutes=1)
"""So long a row stays though its cause has changed: each change of an entry of an index is a write."""
SOON = timedelta(minutes=5)
ACTED = frozenset((ActionKind.ACK, ActionKind.RESOLVE, ActionKind.REASSIGN, "silence"))
"""The lines of a timeline that say that a person did something about it, by their kind."""


# ---------------------------------------------------------------------------------------------------------------------
# When an incident is saved


def essence_of(incident: Incident, mutings: Mapping[str, Muting], digest: str) -> str:
    """Return a text that changes with what a row must show at once. It is made for each save, so it is cheap.

    `digest` is that of the rules: they say who owns a service, and who is notified next.
    """
    alerts = sorted(
        (each.fingerprint, each.severity.value, each.ack.by or "", _second(each.ack.at)) for each in incident.firing
    )
    held = sorted((name, *muting.names, str(_until(muting))) for name, muting in mutings.items())
    closes = "" if incident.firing else _second(incident.flush.next_at)
    steps = sorted((id, str(clock.done), _second(clock.restarted_at)) for id, clock in incident.escalations.items())
    own = incident.escalation
    parts = (digest, alerts, held, closes, steps, own.done, _second(own.restarted_at), len(incident.truncated.alerts))
    return fingerprint(
        "glance", incident.status.value, incident.route, _second(incident.episode.opened_at), str(parts)
    )[:8]


def _second(at: datetime | None) -> str:
    return "" if at is None else str(int(at.timestamp()))


def _until(muting: Muting) -> datetime | None:
    return max((each.ends_at for each in (*muting.silences, *muting.maintenance)), default=None)


def is_stale(stored: Incident | None, incident: Incident, mutings: Mapping[str, Muting], digest: str) -> bool:
    """Return whether an open incident is to be saved for its row alone: the row says what is so no more, or is missing."""
    if incident.status is not IncidentStatus.OPEN:
        return False
    known = stored.glance if stored is not None and stored.id == incident.id else None
    return known is None or known.essence != essence_of(incident, mutings, digest)


def with_glance(
    stored: Incident | None,
    incident: Incident,
    mutings: Mapping[str, Muting],
    *,
    digest: str,
    rules: Rules,
    context: Context,
    now: datetime,
    fitted: Callable[[Glance], Glance],
) -> Incident:
    """Return an incident with the row of now; with the row as it was where nothing else would be shown.

    `fitted` returns a row as the table keeps it.
    """
    if incident.status is IncidentStatus.QUIET:
        return replace(incident, glance=None)
    known = stored.glance if stored is not None and stored.id == incident.id else None
    essence = essence_of(incident, mutings, digest)
    outcome = outcome_of(incident, known.outcome if known is not None else None)
    if known is not None and known.essence == essence and now < known.at + KEPT:
        return replace(incident, glance=known)
    made = fitted(_made(incident, essence, outcome, rules=rules, context=context, now=now))
    same = known is not None and replace(made, at=known.at) == known
    return replace(incident, glance=known if same else made)


def _made(
    incident: Incident, essence: str, outcome: Outcome, *, rules: Rules, context: Context, now: datetime
) -> Glance:
    if incident.status is IncidentStatus.ENDED:
        began = incident.episode.started_at or now
        ended = incident.episode.ended_at
        return Glance(now, incident.id, incident.key, began, essence, State.RESOLVED, ended_at=ended, outcome=outcome)
    quiet = rules.windows if incident.is_correlated else {}
    picture = picture_of(incident, rules, context, now, "UTC", windows=quiet)
    return replace(glance_of(picture, now), essence=essence, outcome=outcome)


def glance_of(picture: Picture, now: datetime) -> Glance:
    """Return the row of an incident as a picture shows it."""
    incident, says, how = picture.incident, picture.says, picture.standing
    following = picture.next_step
    return Glance(
        at=now,
        id=incident.id,
        key=incident.key,
        since=picture.since,
        state=picture.state,
        severity=picture.severity,
        title=writing.cut(text.title(says), MAX_TITLE_CHARACTERS),
        cause=_cause(picture),
        where=where(picture),
        owner=dict(text.facts(says)).get("Owner", ""),
        services=_services(incident),
        alerts=len(says.alerts) + len(says.evidence) + says.also,
        holder=picture.holder,
        held_until=how.held_until,
        muted_by="" if picture.state is not State.MUTED else muted_by(how.mutes),
        muted_until=max((each.until for each in how.mutes if each.until), default=None),
        next_at=following.at if following is not None else None,
        next_targets=tuple(each.key for each in following.targets) if following is not None else (),
        closes_at=how.resolve_at,
        route="" if incident.is_correlated else picture.route.id,
    )


def where(picture: Picture) -> str:
    """Return the service and the environment: `api, production`."""
    return ", ".join(filter(None, (text.label_values(picture.says, name) for name in (SERVICE, "environment"))))


def _cause(picture: Picture) -> str:
    """Return the facts that one would ask for first, else what the worst alert says beyond its title."""
    lines = text.cause(picture.says)
    if lines or picture.lead is None:
        return writing.cut(" · ".join(lines), MAX_CAUSE_CHARACTERS)
    return writing.cut(writing.one_line(text.summary(picture.lead)), MAX_CAUSE_CHARACTERS)


def _services(incident: Incident) -> tuple[str, ...]:
    found = dict.fromkeys(alert.match_labels().get(SERVICE, "") for alert in incident.shown)
    return tuple([name for name in found if name][:MAX_SERVICES])


def muted_by(mutes: tuple[Mute, ...]) -> str:
    """Return what mutes it, without its end: `silence 9c1d of ana (deploying)`."""
    names = [mute_words(each, _no_clock).partition(" until ")[0] for each in mutes]
    return writing.counted_list(list(dict.fromkeys(names)), MAX_NAMED)


def _no_clock(at: datetime) -> str:
    return ""


def outcome_of(incident: Incident, before: Outcome | None = None) -> Outcome:
    """Return what became of the alerts. Lines that are in older pages are known from `before`."""
    begins: dict[str, datetime] = {}
    for alert in incident.shown:
        if alert.starts_at is not None:
            begins[alert.name] = max(begins.get(alert.name, alert.starts_at), alert.starts_at)
    kinds = {entry.kind for entry in incident.timeline.entries}
    acked = ActionKind.ACK in kinds or any(alert.ack.by for alert in incident.alerts.values())
    acts = any(entry.kind in ACTED and entry.by for entry in incident.timeline.entries)
    soon = () if _was_resolved(incident) else tuple(name for name in begins if _ended_soon(incident, name))
    acked = acked or (before is not None and before.acked)
    acted = acts or acked or bool(incident.episode.closed_via) or (before is not None and before.acted)
    return Outcome(begins, acted, acked, soon)


def _was_resolved(incident: Incident) -> bool:
    by_hand = any(entry.kind == ActionKind.RESOLVE for entry in incident.timeline.entries)
    return by_hand or bool(incident.episode.closed_via)


def _ended_soon(incident: Incident, name: str) -> bool:
    """Return whether its alerts of that name ended, each within five minutes."""
    if incident.status is not IncidentStatus.ENDED:
        return False
    own = [alert for alert in incident.shown if alert.name == name]
    return all(
        alert.starts_at is not None and alert.ends_at is not None and alert.ends_at - alert.starts_at <= SOON
        for alert in own
    )


# ---------------------------------------------------------------------------------------------------------------------
# When it is shown


def as_of(each: Glance, rules: Rules, now: datetime) -> Glance:
    """Return a row under the windows of now."""
    if not fires(each):
        return each
    route = rules.routes_by_id.get(each.route)
    quiet = window_mutes(route, rules.windows, now) if route is not None else ()
    if not quiet:
        return each
    names = ", ".join(filter(None, (each.muted_by, muted_by(quiet))))
    until = max((found for found in (each.muted_until, quiet[0].until) if found is not None), default=None)
    return replace(each, state=State.MUTED, muted_by=names, muted_until=until)


def fires(each: Glance) -> bool:
    """Return whether something of it fires, muted or not."""
    return each.state not in (State.CLOSING, State.RESOLVED)


def has_turned(silence: Silence, each: Glance, now: datetime) -> bool:
    """Return whether a silence has begun or ended since the row was made."""
    return any(each.at < at <= now for at in (silence.starts_at, silence.ends_at))


def may_mute(silences: Iterable[Silence], summary: Summary) -> bool:
    """Return whether one of the silences may mute an alert of an incident, or have muted one."""
    return summary.cut or any(alert.matched_by(each.matchers) for each in silences for alert in summary.firing)
