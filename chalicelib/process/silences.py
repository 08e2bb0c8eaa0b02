"""People's silences and maintenance: made, edited, ended early, and which incidents they are about.

All of them are in the one stored context. What a person does comes as a message, perhaps twice and out of order: of two
decisions about one silence the later one stays, and one that is known already changes nothing.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from chalicelib.core.context import Change, Context, Silence
from chalicelib.core.match import Matcher
from chalicelib.core.ports import Store
from chalicelib.messages.queue import Hold, Release
from chalicelib.process.context_update import saved_context

KEPT = timedelta(days=7)
"""How long an ended silence is remembered: what returns after it says whose it was."""
MAX_KEPT = 500
MAX_CHANGES = 20


@dataclass(frozen=True, slots=True)
class Done:
    """What a person did to a silence, for the timelines of the incidents that any of `matchers` is about."""

    at: datetime
    by: str
    text: str
    matchers: tuple[tuple[Matcher, ...], ...]


def done(given: Hold | Release, *, store: Store, now: datetime) -> Done:
    """Make, edit or end a silence as the message says. Twice changes nothing, and answers the same."""
    if isinstance(given, Hold):
        found = _changed(lambda context: held(context, given, now), given.silence.id, store, now)
        at, by, text = given.silence.decided_at, given.silence.by, told(given)
    else:
        found = _changed(lambda context: released(context, given), given.id, store, now)
        at, by, text = given.at, given.by, "silence ended before its time"
    if found is None:
        return Done(at, by, text, ())
    earlier = (change.before for change in found.changes if change.at == at)
    return Done(at, by, text, (found.matchers, *earlier))


def find(context: Context, id: str) -> Silence | None:
    """The silence or maintenance of that id."""
    return next((each for each in (*context.silences, *context.maintenance) if each.id == id), None)


def held(context: Context, given: Hold, now: datetime) -> Context | None:
    """The context with the silence as it was decided; None when it knows that, or better."""
    before = find(context, given.silence.id)
    after = given.silence
    if before is not None:
        if after.decided_at < before.decided_at or (after.decided_at == before.decided_at and _same(before, after)):
            return None
        starts_at = min(before.starts_at, after.starts_at) if before.active(after.decided_at) else after.starts_at
        changes = _with_change(before, after.decided_at, after.by, _edit(after))
        after = replace(after, by=before.by, starts_at=starts_at, changes=changes)
    silences, maintenance = _others(context.silences, after.id, now), _others(context.maintenance, after.id, now)
    if given.maintenance:
        return replace(context, silences=silences, maintenance=_bounded(*maintenance, after))
    return replace(context, silences=_bounded(*silences, after), maintenance=maintenance)


def released(context: Context, given: Release) -> Context | None:
    """The context in which it is over; None when it is so already, or was decided anew since."""
    found = find(context, given.id)
    if found is None or given.at >= found.ends_at or given.at < found.decided_at:
        return None
    over = replace(
        found, ends_at=given.at, at=given.at, changes=_with_change(found, given.at, given.by, "ended before its time")
    )
    return replace(
        context,
        silences=tuple(over if each.id == given.id else each for each in context.silences),
        maintenance=tuple(over if each.id == given.id else each for each in context.maintenance),
    )


def told(given: Hold) -> str:
    """What was done, for the timeline of an incident: `silenced until 2026-11-26 14:00 UTC: deploying`."""
    silence, word = given.silence, "maintenance" if given.maintenance else "silenced"
    return f"{word} until {silence.ends_at.astimezone(UTC):%Y-%m-%d %H:%M} UTC" + _comment(silence)


def _same(one: Silence, other: Silence) -> bool:
    return (one.matchers, one.ends_at, one.comment) == (other.matchers, other.ends_at, other.comment)


def _edit(silence: Silence) -> str:
    matchers = ", ".join(map(str, silence.matchers))
    return f"edited: {matchers} until {silence.ends_at.astimezone(UTC):%Y-%m-%d %H:%M} UTC" + _comment(silence)


def _comment(silence: Silence) -> str:
    return f": {silence.comment}" if silence.comment else ""


def _with_change(before: Silence, at: datetime, by: str, text: str) -> tuple[Change, ...]:
    return (*before.changes, Change(at, by, text, before.matchers))[-MAX_CHANGES:]


def _others(silences: tuple[Silence, ...], id: str, now: datetime) -> tuple[Silence, ...]:
    return tuple(each for each in silences if each.id != id and each.ends_at > now - KEPT)


def _bounded(*silences: Silence) -> tuple[Silence, ...]:
    """At most MAX_KEPT: those that end first are forgotten first."""
    if len(silences) <= MAX_KEPT:
        return silences
    kept = {each.id for each in sorted(silences, key=lambda each: each.ends_at)[-MAX_KEPT:]}
    return tuple(each for each in silences if each.id in kept)


def _changed(change: Callable[[Context], Context | None], id: str, store: Store, now: datetime) -> Silence | None:
    """Save what `change` makes of the context, if it makes anything of it; the silence of that id as it is then."""

    def changed(context: Context) -> Context:
        made = change(context)
        return context if made is None else replace(made, changed_at=now)

    return find(saved_context(store, store.context(), changed), id)
