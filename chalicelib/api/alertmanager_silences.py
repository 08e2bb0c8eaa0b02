"""Silences as Alertmanager's API v2 shows and takes them. They are the silences of the API, Slack and the command line.

A decision is put on the webhooks queue as from every other door, and stored at once beside that: `amtool` reads a silence
right after it made it. The worker finds it stored, and has the incidents that it is about look again. The annotation
`maintenance: "true"` is a silence that holds back new alerts only. Other annotations are not kept.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any

from chalicelib.api import requests, silencing
from chalicelib.api.alertmanager_alerts import stamp
from chalicelib.api.routes import ApiContext
from chalicelib.core.context import Context, Silence
from chalicelib.core.errors import RequestError, TocsinError
from chalicelib.core.match import Matcher
from chalicelib.ingest.alerts import time_of
from chalicelib.messages.queue import ExpireSilence, SetSilence, set_silence_message, unsilence_message
from chalicelib.process.silences import applied, check_room

STATES = ("active", "pending", "expired")
MAINTENANCE = "maintenance"
UNNAMED = "Alertmanager API"
"""Who ends a silence with a shared token: the request has no field for a name."""
_OPERATORS = {(False, True): "=", (False, False): "!=", (True, True): "=~", (True, False): "!~"}
"""By `isRegex` and `isEqual`."""
_FLAGS = {operator: flags for flags, operator in _OPERATORS.items()}

Shown = dict[str, Any]


def listed(context: Context, now: datetime, filters: Sequence[Matcher], states: Sequence[str]) -> list[Shown]:
    """Return the silences of these states that have each of the filters among their matchers, as they are sorted there."""
    found = [
        each for each in context.all_silences if set(filters) <= set(each.matchers) and _state(each, now) in states
    ]
    return [_shown(each, context, now) for each in sorted(found, key=lambda each: _place(each, now))]


def one(context: Context, id: str, now: datetime) -> Shown:
    """Return a silence by its id. Raise NotFoundError."""
    return _shown(silencing.stored(context, id), context, now)


def posted(api: ApiContext, form: Mapping[str, Any], by: str) -> str:
    """Make a silence, or edit the one whose id is given, and return its id. Raise NotFoundError for an unknown id.

    One that has ended stays as it was: what is made of it is another one.
    """
    context = api.store.context()
    before = silencing.stored(context, _text(form, "id")) if form.get("id") else None
    if before is not None and before.ends_at <= api.now:
        before = None
    wanted = SetSilence(_asked(form, before, by, api.now), _maintenance(form, before, context))
    check_room(context, wanted, api.now)
    api.webhooks.put([set_silence_message(wanted)])
    _store(api, wanted)
    return wanted.silence.id


def expired(api: ApiContext, id: str, by: str) -> None:
    """End a silence now; nothing happens to one that has ended. Raise NotFoundError."""
    if silencing.stored(api.store.context(), id).ends_at <= api.now:
        return
    api.webhooks.put([unsilence_message(id, by, api.now)])
    _store(api, ExpireSilence(id, by, api.now))


def _store(api: ApiContext, decision: SetSilence | ExpireSilence) -> None:
    """Store a decision that is on the queue already, so that the next request sees it; the worker does it otherwise."""
    with suppress(TocsinError):
        applied(decision, store=api.store, now=api.now)


def _asked(form: Mapping[str, Any], before: Silence | None, by: str, now: datetime) -> Silence:
    starts_at, ends_at = _time(form, "startsAt"), _time(form, "endsAt")
    if ends_at is None:
        raise RequestError("`endsAt` is missing: expected is a time of RFC 3339")
    if ends_at <= now:
        raise RequestError(f"`endsAt` is {stamp(ends_at)}, which is over")
    if starts_at is not None and starts_at >= ends_at:
        raise RequestError("`startsAt` is not before `endsAt`")
    return requests.new_silence(
        _matchers(form.get("matchers")),
        ends_at=ends_at,
        starts_at=starts_at,
        by=by,
        at=now,
        comment=_text(form, "comment"),
        id=before.id if before else "",
    )


def _matchers(given: Any) -> tuple[Matcher, ...]:
    if not isinstance(given, list) or not given:
        raise RequestError('`matchers` is no list of matchers; expected is [{"name": …, "value": …, "isRegex": false}]')
    return requests.checked([_matcher(each) for each in given])


def _matcher(given: Any) -> Matcher:
    if not isinstance(given, Mapping):
        raise RequestError('a matcher is no object; expected is {"name": …, "value": …, "isRegex": false}')
    name, value = given.get("name"), given.get("value")
    if not (isinstance(name, str) and name.strip() and name.isprintable() and isinstance(value, str)):
        raise RequestError("a matcher has no `name` or no `value`; expected are two texts")
    flags = (given.get("isRegex", False), given.get("isEqual", True))
    if not all(isinstance(each, bool) for each in flags):
        raise RequestError("`isRegex` or `isEqual` of a matcher is neither true nor false")
    return Matcher(name, _OPERATORS[flags], value)


def _maintenance(form: Mapping[str, Any], before: Silence | None, context: Context) -> bool:
    """Return whether it is to hold back new alerts only. Clients that know no annotations leave an edited one so."""
    given = form.get("annotations") or {}
    if not isinstance(given, Mapping):
        raise RequestError("`annotations` is no object")
    if MAINTENANCE in given:
        return given[MAINTENANCE] in ("true", True)
    return before is not None and before in context.maintenance


def _text(form: Mapping[str, Any], name: str) -> str:
    return silencing.text_in(form, name)


def _time(form: Mapping[str, Any], name: str) -> datetime | None:
    try:
        return time_of(form.get(name))
    except (ValueError, OverflowError):
        raise RequestError(f"`{name}` is no time; allowed is RFC 3339") from None


def _shown(each: Silence, context: Context, now: datetime) -> Shown:
    return {
        "id": each.id,
        "status": {"state": _state(each, now)},
        "matchers": [_written(matcher) for matcher in each.matchers],
        "startsAt": stamp(each.starts_at),
        "endsAt": stamp(each.ends_at),
        "updatedAt": stamp(each.decided_at),
        "createdBy": each.by,
        "comment": each.comment,
        "annotations": {MAINTENANCE: "true"} if each in context.maintenance else {},
    }


def _written(matcher: Matcher) -> Shown:
    is_regex, is_equal = _FLAGS[matcher.operator]
    return {"name": matcher.label, "value": matcher.value, "isRegex": is_regex, "isEqual": is_equal}


def _state(each: Silence, now: datetime) -> str:
    if each.ends_at <= now:
        return "expired"
    return "active" if each.active(now) else "pending"


def _place(each: Silence, now: datetime) -> tuple[int, float]:
    """Return where it is listed: the next to end, then the next to begin, then the last to have ended."""
    state = _state(each, now)
    at = each.starts_at if state == "pending" else each.ends_at
    return STATES.index(state), -at.timestamp() if state == "expired" else at.timestamp()
