"""The shares of silences, causes and deploys in the one item of the context: none is refused because of another.

A share is measured as its values are stored. What is left of the item is for the marks. Ended silences are dropped
first, then the older changes of the others. A silence that still does not fit is refused with a reason.
"""

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from chalicelib.core.context import Cause, Context, Silence
from chalicelib.core.delivery.notification import Deploy
from chalicelib.core.errors import FullError
from chalicelib.messages import codec

MAX_SILENCES = 500
MAX_SILENCE_BYTES = 230_000
MAX_CAUSE_BYTES = 110_000
MAX_DEPLOY_BYTES = 30_000
CAUSE_OVERHEAD_BYTES = 80
"""Of one cause, names of fields and its time; each label has 6 more."""


def with_room(context: Context, id: str, now: datetime) -> Context:
    """Return the context with its silences within their share; FullError when those that go first are not enough.

    The silence `id` is the one that was just changed: it is never dropped.
    """
    if _fits(context):
        return context
    ended = sorted((each for each in context.all_silences if each.ends_at <= now and each.id != id), key=_end)
    gone = {each.id for each in ended}
    context = _each(context, lambda each: _without_record(each) if each.id in gone else each)
    fewest = bisect_left(range(len(ended)), True, key=lambda count: _fits(_without(context, ended[:count])))
    context = _without(context, ended[:fewest])
    if not _fits(context):
        context = _each(context, _without_record)
    if not _fits(context):
        raise _full(context, id)
    return context


def _end(silence: Silence) -> datetime:
    return silence.ends_at


def _fits(context: Context) -> bool:
    everyone = context.all_silences
    return len(everyone) <= MAX_SILENCES and _packed(everyone) <= MAX_SILENCE_BYTES


def _packed(values: Sequence[Any]) -> int:
    return len(codec.pack(values))


def _each(context: Context, change: Callable[[Silence], Silence]) -> Context:
    return replace(
        context,
        silences=tuple(map(change, context.silences)),
        maintenance=tuple(map(change, context.maintenance)),
    )


def _without(context: Context, dropped: Sequence[Silence]) -> Context:
    ids = {each.id for each in dropped}
    return replace(
        context,
        silences=tuple(each for each in context.silences if each.id not in ids),
        maintenance=tuple(each for each in context.maintenance if each.id not in ids),
    )


def _without_record(silence: Silence) -> Silence:
    """Keep the newest change: a message about it that comes twice still finds the matchers from before."""
    return replace(silence, changes=silence.changes[-1:])


def _full(context: Context, id: str) -> FullError:
    others = [each for each in context.all_silences if each.id != id]
    used = _packed(others)
    return FullError(
        f"the silence has no room beside {len(others)} others of {used:,} bytes together; allowed are "
        f"{MAX_SILENCES} silences and {MAX_SILENCE_BYTES:,} bytes: end some, or use fewer matchers"
    )


def with_causes(known: Sequence[Cause], new: Sequence[Cause]) -> tuple[Cause, ...]:
    """Return the causes with as many of the new ones as their share of the context holds."""
    everyone = (*known, *new)
    if sum(map(_cause_bytes, everyone)) <= MAX_CAUSE_BYTES or _packed(everyone) <= MAX_CAUSE_BYTES:
        return everyone
    counts = range(len(new))
    fitting = bisect_left(counts, True, key=lambda count: _packed((*known, *new[: count + 1])) > MAX_CAUSE_BYTES)
    return (*known, *new[:fitting])


def _cause_bytes(cause: Cause) -> int:
    """Return more than the cause takes before it is compressed, but for escaped characters, which are few."""
    texts = (cause.fingerprint, *cause.labels, *cause.labels.values())
    return CAUSE_OVERHEAD_BYTES + 6 * len(cause.labels) + sum(len(text.encode("utf-8", "replace")) for text in texts)


def newest_deploys(deploys: Sequence[Deploy]) -> tuple[Deploy, ...]:
    """Return the newest of the deploys, oldest first, as many as their share of the context holds."""
    ordered = sorted(deploys, key=lambda each: each.at)
    oldest = bisect_left(range(len(ordered)), True, key=lambda start: _packed(ordered[start:]) <= MAX_DEPLOY_BYTES)
    return tuple(ordered[oldest:])
