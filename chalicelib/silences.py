"""People's silences and maintenance: made, edited, ended early, and what they change at once."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

from chalicelib.core.context import Context, Silence
from chalicelib.core.errors import ConflictError
from chalicelib.core.mute import silences_of
from chalicelib.core.ports import Store
from chalicelib.messages import wake_message
from chalicelib.process import Queues

KEPT = timedelta(days=7)
"""How long an ended silence is remembered: what returns after it says whose it was."""
MAX_KEPT = 500


def silence(given: Silence, *, store: Store, queues: Queues, now: datetime) -> Context:
    """Make a silence, or edit the one with its id."""
    return _changed(
        lambda context: replace(context, silences=_with(context.silences, given, now)), given, store, queues
    )


def maintain(given: Silence, *, store: Store, queues: Queues, now: datetime) -> Context:
    """Hold back new alerts by matchers until a time; what was told goes on."""
    return _changed(
        lambda context: replace(context, maintenance=_with(context.maintenance, given, now)), given, store, queues
    )


def expire(name: str, *, store: Store, queues: Queues, now: datetime) -> Context:
    """End a silence or maintenance now; one that does not exist or is over is left alone."""
    context = store.context()
    found = next((each for each in (*context.silences, *context.maintenance) if each.id == name), None)
    if found is None or not found.active(now):
        return context

    def over(each: Silence) -> Silence:
        return replace(each, ends_at=now) if each.id == name and each.active(now) else each

    return _changed(
        lambda context: replace(
            context,
            silences=tuple(over(each) for each in context.silences),
            maintenance=tuple(over(each) for each in context.maintenance),
        ),
        found,
        store,
        queues,
    )


def _with(silences: tuple[Silence, ...], given: Silence, now: datetime) -> tuple[Silence, ...]:
    kept = [each for each in silences if each.id != given.id and each.ends_at > now - KEPT]
    return (*kept, given)[-MAX_KEPT:]


def _changed(change: Callable[[Context], Context], given: Silence, store: Store, queues: Queues) -> Context:
    for _ in range(5):
        context = store.context()
        changed = replace(change(context), version=context.version + 1)
        try:
            store.save_context(changed)
        except ConflictError:
            continue
        _wake_muted(given, store, queues)
        return changed
    raise ConflictError("the context was saved by others several times in a row")


def _wake_muted(given: Silence, store: Store, queues: Queues) -> None:
    """Have every open incident looked at that the silence is about: what it mutes is noted while it does."""
    always = replace(given, starts_at=datetime.min.replace(tzinfo=given.starts_at.tzinfo))
    keys = [
        incident.key
        for incident in store.incidents()
        if any(silences_of(alert, (replace(always, ends_at=_LATE),), given.starts_at) for alert in incident.firing)
    ]
    if keys:
        queues.webhooks.put([wake_message(key) for key in keys])


_LATE = datetime.fromisoformat("9999-01-01T00:00:00+00:00")
