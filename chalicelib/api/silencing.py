"""What a person asks of a silence, judged: the API and the page make and edit silences by the same rules."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from chalicelib.api import requests
from chalicelib.api.acting import open_incident
from chalicelib.api.times import parse_for, parse_until, parse_when, zone_of
from chalicelib.api.views import stamp
from chalicelib.core.context import Context, Silence
from chalicelib.core.errors import NotFoundError, OverError, RequestError
from chalicelib.core.match import Matcher
from chalicelib.core.ports import Store
from chalicelib.core.rule import Rules
from chalicelib.messages.queue import SetSilence
from chalicelib.process.silences import check_room, find

FIELDS = ("id", "matchers", "incident", "for", "until", "from", "timezone", "by", "comment", "maintenance")


@dataclass(frozen=True, slots=True)
class Asked:
    """The fields of a request, who asks, and what names the request and the silence that it makes; empty without a key."""

    form: Mapping[str, Any]
    by: str
    act: str = ""
    key_id: str = ""


@dataclass(frozen=True, slots=True)
class Desk:
    """Where a request is judged: in which store, by which rules, at which time."""

    store: Store
    rules: Rules
    now: datetime


def wanted(asked: Asked, before: Silence | None, given: str, context: Context, desk: Desk) -> SetSilence:
    """Return the silence that is asked for, or `before` as it is edited. Raise RequestError, FullError or KeyUsedError.

    `given` is an id that the request chose, which makes the person the author of the silence.
    """
    form = asked.form
    silence = requests.new_silence(
        matchers_in(form, desk) or (before.matchers if before else ()),
        ends_at=_ends_at(form, before, desk),
        starts_at=_starts_at(form, before, desk),
        by=asked.by,
        at=desk.now,
        comment=text_in(form, "comment") if "comment" in form or before is None else before.comment,
        id=before.id if before else given or asked.key_id,
        act=asked.act,
    )
    keyed = before is None and not given and bool(asked.act)
    found = SetSilence(silence, _maintenance(form, before, context), only_new=keyed, renews=bool(given))
    check_room(context, found, desk.now)
    return found


def check_fields(form: Mapping[str, Any], rules: Rules) -> None:
    """Raise RequestError for a field that no silence has, and for a zone that does not exist."""
    only_known(form, FIELDS)
    zone_of(_timezone(form, rules))


def stored(context: Context, id: str) -> Silence:
    """Return the silence of an id. Raise NotFoundError."""
    found = find(context, id)
    if found is None:
        raise NotFoundError(f"there is no silence {id[:40]!r}; an ended one is remembered for a week")
    return found


def check_goes_on(silence: Silence, now: datetime) -> None:
    """Raise OverError for a silence that has ended."""
    if silence.ends_at <= now:
        raise OverError(f"the silence {silence.id} is over since {stamp(silence.ends_at)}")


def matchers_in(form: Mapping[str, Any], desk: Desk) -> tuple[Matcher, ...]:
    """Return the matchers that a request names, or those of the incident that it names; none where it names neither."""
    if form.get("incident"):
        if form.get("matchers") is not None:
            raise RequestError("both `incident` and `matchers` are given; expected is one of them")
        return requests.matchers_of(open_incident(text_in(form, "incident"), store=desk.store, now=desk.now))
    return requests.parse_match(form["matchers"]) if "matchers" in form else ()


def text_in(form: Mapping[str, Any], name: str) -> str:
    """Return the text of a field; empty without one. Raise RequestError for what is no text."""
    value = form.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise RequestError(f"`{name}` is no text")
    requests.check_text(f"`{name}`", value)
    return value.strip()


def only_known(form: Mapping[str, Any], names: Sequence[str]) -> None:
    """Raise RequestError for a field that is none of these."""
    unknown = sorted(set(form) - set(names))
    if unknown:
        raise RequestError(f"`{unknown[0][:40]}` is unknown; allowed are {', '.join(names)}")


def _maintenance(form: Mapping[str, Any], before: Silence | None, context: Context) -> bool:
    found = form.get("maintenance")
    if found is None:
        return before is not None and before in context.maintenance
    if not isinstance(found, bool):
        raise RequestError("`maintenance` is neither true nor false")
    return found


def _ends_at(form: Mapping[str, Any], before: Silence | None, desk: Desk) -> datetime:
    until, length = text_in(form, "until"), text_in(form, "for")
    if until and length:
        raise RequestError("both `until` and `for` are given; expected is one of them")
    if until:
        return parse_until(until, desk.now, _timezone(form, desk.rules))
    if length:
        return parse_for(length, desk.now)
    if before is None:
        raise RequestError("the end is missing: expected is `for` (2h) or `until` (2026-11-27T09:00Z, tomorrow, 18:30)")
    return before.ends_at


def _starts_at(form: Mapping[str, Any], before: Silence | None, desk: Desk) -> datetime | None:
    word = text_in(form, "from")
    if word:
        return parse_when(word, desk.now, _timezone(form, desk.rules))
    return before.starts_at if before else None


def _timezone(form: Mapping[str, Any], rules: Rules) -> str:
    """Return the zone that the request names, else that of the rules file."""
    return text_in(form, "timezone") or rules.options.timezone
