"""People's silences and maintenance: made, edited, ended early, and which incidents they are about.

All of them are in the one stored context. What a person does comes as a message, perhaps twice and out of order: of two
decisions about one silence the later one stays, and one that is known already changes nothing.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from chalicelib.core.context import SILENCE_NAME, Context, Silence, SilenceChange
from chalicelib.core.errors import FullError, KeyUsedError
from chalicelib.core.event import ROUTER, Event, Severity, Status
from chalicelib.core.incident import Incident
from chalicelib.core.match import Matcher
from chalicelib.core.ports import Store
from chalicelib.core.silence_limits import with_change
from chalicelib.core.summary import Summary
from chalicelib.messages.queue import ExpireSilence, SetSilence
from chalicelib.process.context_size import with_room
from chalicelib.process.context_update import saved_context

REUSED = "this Idempotency-Key was that of another request; expected is a new key for each request"
KEPT = timedelta(days=7)
"""How long an ended silence is remembered: what returns after it says whose it was."""


@dataclass(frozen=True, slots=True)
class SilenceEffect:
    """What a person did to a silence, for the timelines of the incidents that any of `matchers` is about."""

    at: datetime
    by: str
    text: str
    matchers: tuple[tuple[Matcher, ...], ...]

    def affects(self, incident: Incident) -> bool:
        """Return whether it is about an alert of the incident that fires."""
        return any(alert.matched_by(matchers) for alert in incident.firing for matchers in self.matchers)

    def may_affect(self, summary: Summary) -> bool:
        """Return whether it is about a firing alert of a summary, or of one whose alerts are cut."""
        return may_match(summary, self.matchers)


def may_match(summary: Summary, clauses: Sequence[Sequence[Matcher]]) -> bool:
    """Return whether any of the clauses match a firing alert of a summary, or may match one that is cut."""
    return summary.cut or any(alert.matched_by(matchers) for alert in summary.firing for matchers in clauses)


def clauses_of(silence: Silence) -> list[tuple[Matcher, ...]]:
    """Return the matchers of a silence, and those that it had before its changes."""
    return [silence.matchers, *(change.before for change in silence.changes if change.before)]


def applied(given: SetSilence | ExpireSilence, *, store: Store, now: datetime) -> SilenceEffect:
    """Make, edit or end a silence as the message says. Twice changes nothing, and answers the same.

    FullError when the stored silences leave no room for it: nothing is changed then.
    """
    id, _, _ = _decision(given)
    if isinstance(given, SetSilence):
        found = _changed(lambda context: _with_silence(context, given, now), id, store, now)
    else:
        found = _changed(lambda context: _with_expired(context, given, now), id, store, now)
    return _effect(given, found)


def applied_before(given: SetSilence | ExpireSilence, context: Context) -> SilenceEffect:
    """Return what `applied` answered when it stored this decision."""
    return _effect(given, find(context, _decision(given)[0]))


def _effect(given: SetSilence | ExpireSilence, found: Silence | None) -> SilenceEffect:
    if isinstance(given, SetSilence):
        return _effect_of_setting(found, given)
    whose = f"silence {given.id} of {found.by}" if found else "silence"
    return SilenceEffect(given.at, given.by, f"{whose} ended before its time", _concerned(found, given.at))


def _effect_of_setting(found: Silence | None, given: SetSilence) -> SilenceEffect:
    """Return what a person did. A request that comes again, with a later time, is what it was the first time."""
    silence = given.silence
    at, by = silence.decided_at, silence.by
    again = found is not None and (given.only_new or silence.act in found.acts)
    if found is None or not again or _is_same_delivery(found, silence):
        return SilenceEffect(at, by, _timeline_text(given), _concerned(found, at))
    newest = found.changes[-1].act if found.changes else found.act
    if silence.act != newest or (found.changes and not newest):
        return SilenceEffect(at, by, _timeline_text(given), ())
    at = found.decided_at
    return SilenceEffect(at, by, _timeline_text(replace(given, silence=found)), _concerned(found, at))


def _is_same_delivery(found: Silence, silence: Silence) -> bool:
    """Return whether the silence, or a change of it, was decided at the same time."""
    times = (found.starts_at, found.decided_at, *(change.at for change in found.changes))
    return silence.decided_at in times


def _concerned(found: Silence | None, at: datetime) -> tuple[tuple[Matcher, ...], ...]:
    """Return the matchers of the silence, and those that were changed at the time."""
    if found is None:
        return ()
    earlier = (change.before for change in found.changes if change.at == at and change.before)
    return (found.matchers, *earlier)


def find(context: Context, id: str) -> Silence | None:
    """Return the silence or maintenance of that id."""
    return next((each for each in context.all_silences if each.id == id), None)


def check_room(context: Context, given: SetSilence, now: datetime) -> None:
    """Raise FullError when the context has no room for the silence, KeyUsedError when its key made another one."""
    _with_silence(context, given, now)


def _with_silence(context: Context, given: SetSilence, now: datetime) -> Context | None:
    """Return the context with the silence as it was decided; None when it knows that, or better.

    FullError without room; KeyUsedError when the key of the request made another silence.
    """
    before = find(context, given.silence.id)
    after = given.silence
    if before is not None:
        if given.only_new and after.act != before.act:
            raise KeyUsedError(REUSED)
        if given.only_new or (after.act and after.act in before.acts):
            return None
        if after.decided_at < before.decided_at or (after.decided_at == before.decided_at and _same(before, after)):
            return None
        starts_at = min(before.starts_at, after.starts_at) if before.active(after.decided_at) else after.starts_at
        change = SilenceChange(after.decided_at, after.by, _edit(after), _left(before, after), after.act)
        by = after.by if given.renews else before.by
        after = replace(after, by=by, starts_at=starts_at, changes=with_change(before, change), act=before.act)
    silences, maintenance = _others(context.silences, after.id, now), _others(context.maintenance, after.id, now)
    if given.maintenance:
        maintenance = (*maintenance, after)
    else:
        silences = (*silences, after)
    return with_room(replace(context, silences=silences, maintenance=maintenance), after.id, now)


def _with_expired(context: Context, given: ExpireSilence, now: datetime) -> Context | None:
    """Return the context in which it is over; None when it is so already, or was decided anew since.

    It is never refused: the few bytes more are gone when something else is changed, since ended silences go first.
    """
    found = find(context, given.id)
    if found is None or given.at >= found.ends_at or given.at < found.decided_at:
        return None
    changes = with_change(found, SilenceChange(given.at, given.by, "ended before its time"))
    over = replace(found, ends_at=given.at, at=given.at, changes=changes)
    after = replace(
        context,
        silences=tuple(over if each.id == given.id else each for each in context.silences),
        maintenance=tuple(over if each.id == given.id else each for each in context.maintenance),
    )
    try:
        return with_room(after, given.id, now)
    except FullError:
        return after


def refused(given: SetSilence | ExpireSilence, reason: str, now: datetime) -> Event:
    """Return the internal alert about a silence that could not be stored. The same message gives the same one."""
    id, by, at = _decision(given)
    return Event(
        id=f"silence.refused:{id}:{at.isoformat()}",
        source=ROUTER,
        kind="silence.refused",
        status=Status.FIRING,
        severity=Severity.WARNING,
        title=f"The silence {id} was refused",
        summary=f"{by} asked for it and it is not stored: {reason}.",
        occurred_at=now,
        identity=f"silence.refused:{id}",
    )


def _decision(given: SetSilence | ExpireSilence) -> tuple[str, str, datetime]:
    """Return the id, who decided, and when."""
    if isinstance(given, SetSilence):
        return given.silence.id, given.silence.by, given.silence.decided_at
    return given.id, given.by, given.at


def _timeline_text(given: SetSilence) -> str:
    """Return what was done, for the timeline of an incident: `silenced until 2026-11-26 14:00 UTC: deploying`."""
    silence, word = given.silence, "maintenance" if given.maintenance else "silenced"
    return f"{word} until {silence.ends_at.astimezone(UTC):%Y-%m-%d %H:%M} UTC" + _comment(silence)


def _same(one: Silence, other: Silence) -> bool:
    return (one.matchers, one.ends_at, one.comment) == (other.matchers, other.ends_at, other.comment)


def _left(before: Silence, after: Silence) -> tuple[Matcher, ...]:
    """Return the matchers that an edit left; none when they are the same."""
    return before.matchers if before.matchers != after.matchers else ()


def _edit(silence: Silence) -> str:
    matchers = ", ".join(each.written() for each in silence.matchers)
    return f"edited: {matchers} until {silence.ends_at.astimezone(UTC):%Y-%m-%d %H:%M} UTC" + _comment(silence)


def _comment(silence: Silence) -> str:
    return f": {silence.comment}" if silence.comment else ""


def _others(silences: tuple[Silence, ...], id: str, now: datetime) -> tuple[Silence, ...]:
    return tuple(each for each in silences if each.id != id and each.ends_at > now - KEPT)


def _changed(change: Callable[[Context], Context | None], id: str, store: Store, now: datetime) -> Silence | None:
    """Save what `change` makes of the context, if it makes anything of it; the silence of that id as it is then."""

    def changed(context: Context) -> Context:
        made = change(context)
        return context if made is None else made.with_changed([f"{SILENCE_NAME}{id}"], now)

    return find(saved_context(store, store.context(), changed), id)
