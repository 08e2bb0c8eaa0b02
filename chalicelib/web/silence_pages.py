"""Answers /silences: the list, the form with its preview, and what its buttons do.

The form is sent by its address, so that a preview can be sent to a colleague; only what changes something is posted.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from chalicelib.api import requests, silencing
from chalicelib.api.acting import open_incident
from chalicelib.api.times import parse_for, parse_when
from chalicelib.core.access import Role
from chalicelib.core.context import Context, Silence
from chalicelib.core.errors import RequestError
from chalicelib.core.instants import rfc3339
from chalicelib.core.listing import listed
from chalicelib.core.match import Matcher
from chalicelib.core.services import SERVICE
from chalicelib.messages.queue import SetSilence, set_silence_message, unsilence_message
from chalicelib.process.silences import find
from chalicelib.web.exchange import PageReply
from chalicelib.web.silences import WEEK, preview, rows, state_of, week_of, window_rows
from chalicelib.web.visitor import Visitor
from chalicelib.web.words import clock

HERE = "silences"
LENGTHS = (("1h", "1 h"), ("4h", "4 h"), ("8h", "8 h"), ("24h", "24 h"))
OWN, KEPT = "own", "kept"
"""In place of a length: a time that is typed, or the end that the silence has."""
MAX_CHARACTERS = 4_000


@dataclass(frozen=True, slots=True)
class Draft:
    """The form as it stands. `edited` is the silence that is changed; `wanted` what it comes to, or `mistake` why not."""

    matchers: str = ""
    length: str = "1h"
    until: str = ""
    begins: str = ""
    comment: str = ""
    maintenance: bool = False
    edited: Silence | None = None
    wanted: SetSilence | None = None
    mistake: str = ""


def answer(visitor: Visitor) -> PageReply:
    """Return the page, or do what a button asks for."""
    return _act(visitor) if visitor.request.method == "POST" else _shown(visitor)


# ---------------------------------------------------------------------------------------------------------------------
# The page


def _shown(visitor: Visitor) -> PageReply:
    page, zone = visitor.page, visitor.reader.zone.key
    context = visitor.look.context()
    draft = _drafted(visitor, context)
    shown = draft.wanted
    judged = shown is not None or any(each.ends_at > page.now - WEEK for each in context.all_silences)
    summaries = listed(page.store, ended_since=page.now - WEEK) if judged else None
    week = week_of(page.store, summaries or ())
    values = {
        "rows": rows(page.store, context, week, page.now),
        "windows": window_rows(page.rules, page.now),
        "draft": draft,
        "lengths": LENGTHS,
        "preview": preview(shown, page.store, page.rules, week, page.now, zone) if shown else None,
        "id": requests.new_id(),
    }
    return visitor.banded("silences.html", values, HERE, summaries)


def _drafted(visitor: Visitor, context: Context) -> Draft:
    """Return the form that the address asks for, judged where it names anything to mute."""
    fields = {name: visitor.request.one(name).strip()[:MAX_CHARACTERS] for name in visitor.request.query}
    try:
        draft = _draft(fields, visitor, context)
    except RequestError as error:
        return Draft(mistake=str(error))
    if not draft.matchers:
        return draft
    try:
        wanted = _wanted(_fields_of(draft), draft.edited, "", visitor, context)
    except RequestError as error:
        return replace(draft, mistake=_sentence(error))
    return replace(draft, wanted=wanted)


def _draft(fields: Mapping[str, str], visitor: Visitor, context: Context) -> Draft:
    edited = silencing.stored(context, fields["edit"]) if fields.get("edit") else None
    based_on = edited or (silencing.stored(context, fields["again"]) if fields.get("again") else None)
    return Draft(
        matchers=fields.get("matchers") or _named(fields, visitor) or _written(based_on),
        length=fields.get("for") or (KEPT if edited else "1h"),
        until=fields.get("until", ""),
        begins=fields.get("from", ""),
        comment=based_on.comment if based_on else "",
        maintenance=bool(fields.get("maintenance")) or ("matchers" not in fields and based_on in context.maintenance),
        edited=edited,
    )


def _named(fields: Mapping[str, str], visitor: Visitor) -> str:
    """Return the matchers of the incident or the service that a link names."""
    if id := fields.get("incident"):
        found = open_incident(id, store=visitor.page.store, now=visitor.page.now)
        return "\n".join(each.written() for each in requests.matchers_of(found))
    service = fields.get("service", "")
    return Matcher(SERVICE, "=", service).written() if service else ""


def _written(silence: Silence | None) -> str:
    return "\n".join(each.written() for each in silence.matchers) if silence else ""


def _fields_of(draft: Draft) -> dict[str, str]:
    found = {"matchers": draft.matchers, "for": draft.length, "until": draft.until, "from": draft.begins}
    return {**found, "comment": draft.comment, **({"maintenance": "yes"} if draft.maintenance else {})}


# ---------------------------------------------------------------------------------------------------------------------
# What the buttons do


def _act(visitor: Visitor) -> PageReply:
    visitor.check_role(Role.RESPONDER)
    form = visitor.request.form()
    do, id = form.get("do", ""), form.get("id", "")
    context = visitor.page.store.context()
    if do == "end":
        return _ended(silencing.stored(context, id), visitor)
    if do not in ("make", "edit"):
        raise RequestError("The form asks for nothing that can be done.")
    before = silencing.stored(context, id) if do == "edit" else find(context, requests.silence_id(id))
    given = id if do == "make" else ""
    wanted = _wanted(form, before, given, visitor, context)
    visitor.page.webhooks.put([set_silence_message(wanted)])
    return visitor.done(f"{visitor.request.up}{HERE}", _done_words(wanted, visitor))


def _ended(silence: Silence, visitor: Visitor) -> PageReply:
    silencing.check_goes_on(silence, visitor.page.now)
    by = visitor.session.person.name
    visitor.page.webhooks.put([unsilence_message(silence.id, by, visitor.page.now)])
    return visitor.done(f"{visitor.request.up}{HERE}", f"Silence {silence.id} ended by {by}.")


def _done_words(wanted: SetSilence, visitor: Visitor) -> str:
    silence, reader = wanted.silence, visitor.reader
    begins = "from now" if state_of(silence, reader.now) == "active" else f"from {_clock(silence.starts_at, visitor)}"
    what = "Maintenance" if wanted.maintenance else "Silence"
    return f"{what} {silence.id} {begins} until {_clock(silence.ends_at, visitor)}."


def _clock(at: datetime, visitor: Visitor) -> str:
    return clock(at, visitor.reader.zone, visitor.reader.now)


def _wanted(
    fields: Mapping[str, str], before: Silence | None, given: str, visitor: Visitor, context: Context
) -> SetSilence:
    """Return what the fields ask for, by the rules of the API."""
    page = visitor.page
    form = _api_form(fields, visitor.reader.zone.key, page.now)
    silencing.check_fields(form, page.rules)
    asked = silencing.Asked(form, requests.person(visitor.session.person.name))
    return silencing.wanted(asked, before, given, context, silencing.Desk(page.store, page.rules, page.now))


def _api_form(fields: Mapping[str, str], zone: str, now: datetime) -> dict[str, Any]:
    """Return the fields as the API is asked. Times are in the zone of the reader."""
    begins = fields.get("from", "").strip()
    return {
        "matchers": [each.written() for each in requests.parse_text(fields.get("matchers", ""))],
        "comment": fields.get("comment", ""),
        "maintenance": bool(fields.get("maintenance")),
        "timezone": zone,
        **({"from": begins} if begins else {}),
        **_end(fields, begins, zone, now),
    }


def _end(fields: Mapping[str, str], begins: str, zone: str, now: datetime) -> dict[str, str]:
    """Return the end: a time, or a length from the beginning on; nothing where it stays as it is."""
    length, until = (fields.get(name, "").strip() for name in ("for", "until"))
    if length == OWN and not until:
        raise RequestError("The end is missing: write a time such as 18:30, or tomorrow 09:00.")
    if length in (OWN, KEPT):
        return {"until": until} if length == OWN else {}
    if not begins:
        return {"for": length}
    return {"until": rfc3339(parse_for(length, parse_when(begins, now, zone)))}


def _sentence(error: RequestError) -> str:
    text = str(error)
    return f"{text[:1].upper()}{text[1:]}"
