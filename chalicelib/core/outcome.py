"""What an act of a person comes to: one rule for every door and for the worker that folds the act.

`outcome` is pure and its results are a closed list. A door asks it before it accepts an act, and only puts it into words;
the worker asks it again when the act is folded, since others may have acted in between. `sentence` gives the words that
the doors have in common.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from chalicelib.core.acknowledgement import covers, is_end_pending, lives_since
from chalicelib.core.alert import Alert, AlertState, Origin
from chalicelib.core.delivery.writing import counted_list
from chalicelib.core.event import Action, ActionKind
from chalicelib.core.incident import Entry, Incident, IncidentStatus
from chalicelib.core.instants import rfc3339
from chalicelib.core.keeping import is_kept
from chalicelib.core.match import parse_matchers

MAX_NAMED = 5
MIN_ID_CHARACTERS = 4


class Result(StrEnum):
    """What can come of an act."""

    DONE = "done"
    ALREADY = "already"
    """Somebody has acknowledged it already, it is assigned to that person already, or somebody keeps it open."""
    NOBODYS = "nobodys"
    """There is no acknowledgement to give back."""
    RESOLVED = "resolved"
    """Nothing fires any more, and its targets are not notified of that yet."""
    FIRES = "fires"
    """Something of it fires: there is no end to keep it from."""
    ENDED = "ended"
    NONE_CHOSEN = "none_chosen"
    """The matchers choose none of its alerts that fire, or these began or got worse after the person acted."""
    UNKNOWN = "unknown"
    SEVERAL = "several"
    NOT_ALLOWED = "not_allowed"


STANDS = frozenset({Result.DONE, Result.ALREADY, Result.NOBODYS})
"""Results after which the incident is as the person asked."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of an act on the incident `id`. What does not apply is empty.

    `by` and `since` say who did it before, or since when it is resolved or ended; `notified_at` when its targets are
    notified of that; `again` is the id under which it fires again; `alerts` are the names of the alerts that the act
    changes, of `firing` that fire; `still` says of a resolved measured alert that its condition holds; `among` are the
    ids of several incidents. `accepted` is true when the act changes anything.
    """

    result: Result
    id: str = ""
    accepted: bool = False
    by: str = ""
    since: datetime | None = None
    notified_at: datetime | None = None
    again: str = ""
    alerts: tuple[str, ...] = ()
    firing: int = 0
    still: tuple[str, ...] = ()
    among: tuple[str, ...] = ()


def outcome(
    found: Sequence[Incident], act: Action, now: datetime, *, newer: Incident | None = None, allowed: bool = True
) -> Outcome:
    """Return what an act comes to at `now`. `found` are the incidents that its words mean, `newer` the next of its group."""
    if len(found) != 1:
        result = Result.SEVERAL if found else Result.UNKNOWN
        return Outcome(result, act.incident or "", among=tuple(each.id for each in found))
    (incident,) = found
    if not allowed:
        return Outcome(Result.NOT_ALLOWED, incident.id)
    if act.kind is ActionKind.NOTE:
        return Outcome(Result.DONE, incident.id, accepted=True)
    if act.kind is ActionKind.KEEP:
        return _of_keep(incident, newer)
    chosen = chosen_by(act, incident)
    if not incident.firing and not (chosen and incident.status is IncidentStatus.OPEN):
        return _resolved(incident, act, now) if incident.status is IncidentStatus.OPEN else _ended(incident, newer)
    if not chosen:
        return Outcome(Result.NONE_CHOSEN, incident.id)
    return _ON_FIRING[act.kind](incident, act, chosen)


def chosen_by(act: Action, incident: Incident) -> list[Alert]:
    """Return the alerts that an act is about: those that fire, that its matchers choose, and that began before it.

    An acknowledgement is about an alert until its end is notified: also about one that fired when the person acted, and
    whose end was known before the act.
    """
    matchers = parse_matchers(act.matchers)
    alerts = [alert for alert in incident.alerts.values() if _fired_at(alert, act)]
    return [alert for alert in alerts if alert.matched_by(matchers)]


def _fired_at(alert: Alert, act: Action) -> bool:
    takes = act.kind.value in _TAKES
    since = lives_since(alert) if takes else alert.starts_at
    if (since or act.at) > act.at:
        return False
    ended_later = is_end_pending(alert) and alert.ends_at is not None and act.at < alert.ends_at
    return alert.state is AlertState.FIRING or (takes and ended_later)


def is_given_back(alert: Alert, act: Action) -> bool:
    """Return whether an act gives the alert back: somebody has it, since before the act."""
    return alert.ack.by is not None and (alert.ack.at is None or alert.ack.at <= act.at)


def _ended(incident: Incident, newer: Incident | None) -> Outcome:
    again = newer.id if newer is not None and newer.id != incident.id and newer.status is IncidentStatus.OPEN else ""
    return Outcome(Result.ENDED, incident.id, since=incident.episode.ended_at, again=again)


def _resolved(incident: Incident, act: Action, now: datetime) -> Outcome:
    """Return the outcome where nothing fires; resolving by hand has its targets notified at once."""
    ends = [alert.ends_at for alert in incident.shown if alert.ends_at is not None]
    at_once = act.kind is ActionKind.RESOLVE
    due_at = incident.flush.next_at
    return Outcome(
        Result.RESOLVED,
        incident.id,
        accepted=at_once,
        since=max(ends, default=None),
        notified_at=now if at_once else max(due_at, now) if due_at is not None else None,
    )


def _of_keep(incident: Incident, newer: Incident | None) -> Outcome:
    if incident.status is not IncidentStatus.OPEN:
        return _ended(incident, newer)
    if is_kept(incident):
        return Outcome(Result.ALREADY, incident.id, by=incident.episode.kept_by, since=incident.episode.kept_at)
    if incident.firing or incident.truncated.alerts:
        return Outcome(Result.FIRES, incident.id)
    return Outcome(Result.DONE, incident.id, accepted=True)


def _of_ack(incident: Incident, act: Action, chosen: Sequence[Alert]) -> Outcome:
    if (later := later_act(act, incident)) is not None:
        result = Result.ALREADY if later.kind == ActionKind.ACK else Result.NOBODYS
        return Outcome(result, incident.id, by=later.by, since=later.at)
    free = [alert for alert in chosen if alert.ack.by is None and covers(act.at, alert)]
    if free:
        return _changes(incident, free)
    held = [alert for alert in chosen if alert.ack.by is not None]
    if not held:
        return Outcome(Result.NONE_CHOSEN, incident.id)
    since = min((alert.ack.at for alert in held if alert.ack.at is not None), default=None)
    return Outcome(Result.ALREADY, incident.id, by=_names(alert.ack.by for alert in held), since=since)


def _of_unack(incident: Incident, act: Action, chosen: Sequence[Alert]) -> Outcome:
    if (later := later_act(act, incident)) is not None:
        result = Result.ALREADY if later.kind == ActionKind.ACK else Result.NOBODYS
        return Outcome(result, incident.id, by=later.by, since=later.at)
    held = [alert for alert in chosen if is_given_back(alert, act)]
    return _changes(incident, held) if held else Outcome(Result.NOBODYS, incident.id)


def _of_resolve(incident: Incident, act: Action, chosen: Sequence[Alert]) -> Outcome:
    holding = ((alert.name, alert.evaluation) for alert in chosen if _holds(alert))
    still = tuple(f"{name}: {last.value} ({last.condition})" for name, last in holding)
    return _changes(incident, chosen, still=still[:MAX_NAMED])


def _holds(alert: Alert) -> bool:
    """Return whether the alert's condition was true when it was evaluated last."""
    if alert.origin is not Origin.SERIES or alert.timers.cleared_at is not None:
        return False
    return bool(alert.evaluation.value) and not alert.evaluation.no_data


def _of_assign(incident: Incident, act: Action, chosen: Sequence[Alert]) -> Outcome:
    lately = [each for each in incident.timeline.entries if each.kind == ActionKind.REASSIGN]
    newest = lately[-1] if lately else None
    if newest is not None and newest.text == assigned(act):
        return Outcome(Result.ALREADY, incident.id, by=act.note, since=newest.at)
    return _changes(incident, chosen)


def assigned(act: Action) -> str:
    """Return the line of the timeline that says whom an incident is assigned to."""
    return f"assigned to {act.note}"


_ON_FIRING: Mapping[ActionKind, Callable[[Incident, Action, Sequence[Alert]], Outcome]] = {
    ActionKind.ACK: _of_ack,
    ActionKind.UNACK: _of_unack,
    ActionKind.RESOLVE: _of_resolve,
    ActionKind.REASSIGN: _of_assign,
    ActionKind.ROLL_BACK: lambda incident, act, chosen: _changes(incident, chosen),
}


def _changes(incident: Incident, alerts: Sequence[Alert], *, still: tuple[str, ...] = ()) -> Outcome:
    return Outcome(
        Result.DONE,
        incident.id,
        accepted=True,
        alerts=tuple(sorted({alert.name for alert in alerts})),
        firing=len(incident.firing),
        still=still,
    )


def later_act(act: Action, incident: Incident) -> Entry | None:
    """Return the acknowledgement of the whole incident, or its withdrawal, that is later than this one: queues shuffle."""
    if act.incident is None or act.matchers:
        return None
    later = [
        each for each in incident.timeline.entries if each.kind in _TAKES and each.at > act.at and each.act != act.id
    ]
    return later[-1] if later else None


_TAKES = (ActionKind.ACK.value, ActionKind.UNACK.value)


def _names(found: Iterable[str | None]) -> str:
    return ", ".join(sorted({name for name in found if name}))


# ---------------------------------------------------------------------------------------------------------------------
# In words


def sentence(found: Outcome, act: Action, *, at: Callable[[datetime], str] = rfc3339) -> str:
    """Return what an act came to, as a sentence without a full stop. `at` writes an instant."""
    return _WORDS[found.result](found, act, at)


Clock = Callable[[datetime], str]

_DONE = {
    ActionKind.ACK: "acknowledged",
    ActionKind.UNACK: "given back",
    ActionKind.RESOLVE: "resolved",
    ActionKind.REASSIGN: "assigned to {note}",
    ActionKind.NOTE: "noted",
    ActionKind.KEEP: "kept open",
    ActionKind.ROLL_BACK: "rolled back",
}


def _done(found: Outcome, act: Action, at: Clock) -> str:
    text = f"{found.id} is {_DONE[act.kind].format(note=act.note)} by {act.by}"
    if found.alerts and act.matchers:
        text += f" ({len(found.alerts)} of {found.firing}: {counted_list(found.alerts, MAX_NAMED)})"
    if found.still:
        text += f", but its condition still holds ({counted_list(found.still, MAX_NAMED)}): it will fire again; silence it to stop that"
    return text


def _already(found: Outcome, act: Action, at: Clock) -> str:
    since = f" since {at(found.since)}" if found.since else ""
    if act.kind is ActionKind.REASSIGN:
        return f"{found.id} is assigned to {found.by} already{since}"
    if act.kind is ActionKind.KEEP:
        return f"{found.by} keeps {found.id} open already{since}"
    return f"{found.by} has acknowledged {found.id} already{since}"


def _nobodys(found: Outcome, act: Action, at: Clock) -> str:
    if found.by and found.since:
        return f"nobody has {found.id}: {found.by} gave it back at {at(found.since)}"
    return f"nobody has acknowledged {found.id}"


def _is_resolved(found: Outcome, act: Action, at: Clock) -> str:
    text = f"nothing of {found.id} fires any more"
    text += f": it is resolved since {at(found.since)}" if found.since else ""
    if found.accepted:
        return f"{text}; its targets are notified now"
    return f"{text}; its targets are notified at {at(found.notified_at)}" if found.notified_at else text


def _still_fires(found: Outcome, act: Action, at: Clock) -> str:
    return f"{found.id} still fires, so it stays open by itself; it can be kept open once nothing fires"


def _has_ended(found: Outcome, act: Action | None, at: Clock) -> str:
    text = f"{found.id} is resolved" + (f" since {at(found.since)}" if found.since else "")
    return f"{text}; it fires again as {found.again}" if found.again else text


def ended_sentence(incident: Incident, newer: Incident | None) -> str:
    """Return why nothing can be done to an ended incident; `newer` is the next one of its group."""
    return _has_ended(_ended(incident, newer), None, rfc3339)


def _none_chosen(found: Outcome, act: Action, at: Clock) -> str:
    if not act.matchers:
        return f"what fires in {found.id} began, or got worse, after {act.by} acted"
    return f"none of the alerts of {found.id} that fire has {', '.join(map(str, parse_matchers(act.matchers)))}"


def not_one(id: str, among: Sequence[str] = ()) -> str:
    """Return why an id means no incident, or more than one."""
    if among:
        return f"{len(among)} incidents have an id that begins with {id[:40]}: {counted_list(among, MAX_NAMED)}"
    return (
        f"no incident of the last 90 days has an id that begins with {id[:40]!r}; "
        f"expected are at least {MIN_ID_CHARACTERS} characters of one"
    )


def _not_one(found: Outcome, act: Action, at: Clock) -> str:
    return not_one(found.id, found.among)


def _not_allowed(found: Outcome, act: Action, at: Clock) -> str:
    return f"{act.by} may not {_ACTS[act.kind]} {found.id}"


_ACTS = {
    ActionKind.ACK: "acknowledge",
    ActionKind.UNACK: "give back",
    ActionKind.RESOLVE: "resolve",
    ActionKind.REASSIGN: "assign",
    ActionKind.NOTE: "write a note on",
    ActionKind.KEEP: "keep open",
    ActionKind.ROLL_BACK: "roll back the deployment before",
}


_WORDS: Mapping[Result, Callable[[Outcome, Action, Clock], str]] = {
    Result.DONE: _done,
    Result.ALREADY: _already,
    Result.NOBODYS: _nobodys,
    Result.RESOLVED: _is_resolved,
    Result.FIRES: _still_fires,
    Result.ENDED: _has_ended,
    Result.NONE_CHOSEN: _none_chosen,
    Result.UNKNOWN: _not_one,
    Result.SEVERAL: _not_one,
    Result.NOT_ALLOWED: _not_allowed,
}
