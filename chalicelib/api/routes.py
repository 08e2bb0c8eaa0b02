"""The API under /api: what people see, and what they do, as JSON. `docs/api.md` describes it.

What people do is put on the webhooks queue and answered 202: it is stored, and done within a second or so. Mistakes are
RequestError, whose text is the answer. Nothing here reads a header, a clock or a setting.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

from chalicelib.api import requests, silencing, views
from chalicelib.api.acting import accepted
from chalicelib.api.paging import Page, Paging
from chalicelib.api.silencing import only_known, text_in
from chalicelib.api.times import parse_when
from chalicelib.api.warnings import warnings
from chalicelib.core.access import Role, role_of
from chalicelib.core.account import SHARED_TOKEN, is_reserved
from chalicelib.core.context import Context, Silence
from chalicelib.core.errors import ForbiddenError, KeyUsedError, NotFoundError, RequestError
from chalicelib.core.event import Action, ActionKind, fingerprint
from chalicelib.core.language.durations import duration_of
from chalicelib.core.match import LABEL_PATTERN, Matcher
from chalicelib.core.outcome import STANDS, Outcome, Result, sentence
from chalicelib.core.ports import Queue, Store
from chalicelib.core.rule import Rules
from chalicelib.core.sign_in import LINK_LASTS, Person, new_link
from chalicelib.core.silence_limits import MAX_NAME_CHARACTERS
from chalicelib.messages.queue import SetSilence, set_silence_message, unsilence_message
from chalicelib.process import record
from chalicelib.process.silences import REUSED
from chalicelib.process.silences import find as find_silence

MAX_BODY_BYTES = 64 * 1024
MAX_ROWS = 1_000
"""The rows of one page; there are as many pages as are needed."""
ROWS = 200
LATELY = timedelta(days=1)
LONGEST = timedelta(days=90)
ACTS = {
    "ack": ActionKind.ACK,
    "unack": ActionKind.UNACK,
    "resolve": ActionKind.RESOLVE,
    "keep": ActionKind.KEEP,
    "note": ActionKind.NOTE,
    "assign": ActionKind.REASSIGN,
}


@dataclass(frozen=True, slots=True)
class Request:
    """What was asked: the query, the raw body and its type, whose token it was (empty: shared) and the Idempotency-Key.

    `most` is what the scope of the token allows.
    """

    query: Mapping[str, Sequence[str]] = field(default_factory=dict)
    body: bytes = b""
    holder: str = ""
    key: str = ""
    content_type: str = ""
    most: Role = Role.ADMIN

    def one(self, name: str, default: str = "") -> str:
        """Return the value of a query parameter; the last one counts."""
        return next(reversed(self.query.get(name) or (default,)))

    def only(self, *names: str) -> None:
        """Raise RequestError for a query parameter that the request does not know: a misspelt filter lists everything."""
        unknown = sorted(set(self.query) - set(names))
        if unknown:
            allowed = f"allowed are {', '.join(names)}" if names else "this request takes no parameters"
            raise RequestError(f"`{unknown[0][:40]}` is unknown; {allowed}")

    def matchers(self) -> tuple[Matcher, ...]:
        """Return the matchers of all parameters `match`."""
        return requests.parse_words(self.query.get("match") or ())

    def form(self) -> dict[str, Any]:
        """Return the object in the body; an empty body is an empty one."""
        if len(self.body) > MAX_BODY_BYTES:
            raise RequestError(f"the body has {len(self.body)} bytes; allowed are {MAX_BODY_BYTES}")
        try:
            found = json.loads(self.body) if self.body.strip() else {}
        except (ValueError, RecursionError):
            raise RequestError("the body is not JSON; expected is an object") from None
        if not isinstance(found, dict):
            raise RequestError("the body is JSON but no object; expected is an object")
        return found

    def act(self, form: Mapping[str, Any]) -> str:
        """Return what names this request and its repetitions: the key and what is asked; empty without a key."""
        if not self.key:
            return ""
        return f"{self.key_id()}:{fingerprint(self.asked(form))}"

    def asked(self, form: Mapping[str, Any]) -> str:
        """Return what is asked and by whom, as text that is equal for a repetition of the request."""
        return json.dumps({**form, "by": self.by(form)}, sort_keys=True)

    def key_id(self) -> str:
        """Return an id that the key alone gives; empty without a key."""
        return fingerprint("silence", self.key) if self.key else ""

    def by(self, form: Mapping[str, Any], *, field: str = "by") -> str:
        """Return who acts: the holder of the token, else who the request says. RequestError for a reserved name.

        `field` is what the request calls it.
        """
        by = requests.person(self.holder or form.get("by") or self.one("by"), field=field)
        if not self.holder and is_reserved(by, requests.PROGRAMS):
            raise RequestError(
                f"`{field}` is {by[:40]!r}, a reserved name; expected is the name of the person who does this"
            )
        return by


@dataclass(frozen=True, slots=True)
class Reply:
    """What is answered, as JSON."""

    body: Mapping[str, Any]
    status: int = 200


@dataclass(frozen=True, slots=True)
class ApiContext:
    """What the API works with. `session_keys` returns the live keys that sign links to the page."""

    store: Store
    webhooks: Queue
    rules: Rules
    now: datetime
    session_keys: Callable[[], Sequence[str]] = tuple


def check_role(api: ApiContext, request: Request, least: Role) -> None:
    """Raise ForbiddenError where the scope of the token, or `access:` of the rules file, allows its holder less."""
    holder = f"the token of {request.holder}" if request.holder else "a shared token, which proves no name,"
    if request.most < least:
        raise ForbiddenError(f"{holder} may not do this: expected is one of a wider scope")
    if role_of(f"{SHARED_TOKEN}{request.holder}", api.rules.access) < least:
        place = "`access:` of the rules file" if least is not Role.ADMIN else "`admin` of `access:` in the rules file"
        raise ForbiddenError(f"{holder} may not do this: expected is an entry in {place}")


def make_login_link(api: ApiContext, request: Request) -> Reply:
    """POST /api/login: a one-time link to the page, by its path from the address of the stage"""
    request.only("by")
    form = request.form()
    only_known(form, ("by",))
    person = Person(request.by(form), f"{SHARED_TOKEN}{request.holder}")
    code = new_link(person, api.session_keys(), api.now)
    return Reply(
        {"path": f"login/{code}", "code": code, "by": person.name, "valid_until": views.stamp(api.now + LINK_LASTS)},
        201,
    )


# ---------------------------------------------------------------------------------------------------------------------
# What people see


def list_incidents(api: ApiContext, request: Request) -> Reply:
    """GET /api/incidents?status=open|ended|all&since=7d&match=service=api&limit=200&after=CURSOR"""
    request.only("status", "since", "match", "limit", "after")
    status = _choice(request.one("status", "open"), "status", ("open", "ended", "all"))
    since = _since(request.one("since"), api.now)
    found = views.incidents(
        api.store,
        api.rules,
        api.now,
        ended_since=None if status == "open" else since,
        only_ended=status == "ended",
        matchers=request.matchers(),
        asked=_paging(request, ROWS),
    )
    return _paged("incidents", found)


def show_incident(api: ApiContext, request: Request, *, id: str) -> Reply:
    """GET /api/incidents/{id}"""
    request.only()
    found = views.find(api.store, id, api.now)
    return Reply({"incident": views.incident(found, api.store, api.rules, api.now)})


def list_alerts(api: ApiContext, request: Request) -> Reply:
    """GET /api/alerts?match=service=api&limit=200&after=CURSOR"""
    request.only("match", "limit", "after")
    asked = _paging(request, ROWS)
    return _paged("alerts", views.alerts(api.store, api.rules, api.now, matchers=request.matchers(), asked=asked))


def list_silences(api: ApiContext, request: Request) -> Reply:
    """GET /api/silences?ended=true&limit=1000&after=CURSOR"""
    request.only("ended", "limit", "after")
    ended = _choice(request.one("ended", "false"), "ended", ("true", "false")) == "true"
    asked = _paging(request, MAX_ROWS)
    return _paged("silences", views.silences(api.store, api.now, ended=ended, asked=asked))


def show_silence(api: ApiContext, request: Request, *, id: str) -> Reply:
    """GET /api/silences/{id}: the first characters of an id will do"""
    request.only()
    return Reply({"silence": views.silence_named(api.store, id, api.now)})


def list_history(api: ApiContext, request: Request) -> Reply:
    """GET /api/history?day=2026-11-26&after=NAME: lines of a replay timeline; `next` is the `after` of the next call"""
    request.only("day", "after")
    day = request.one("day")
    try:
        date.fromisoformat(day)
    except ValueError:
        raise RequestError(f"`day` is {day[:40]!r}; expected is a day such as 2026-11-26") from None
    found = record.page(api.store, day, request.one("after"))
    if found is None:
        return Reply({"lines": [], "next": None})
    return Reply({"lines": list(found.lines), "next": found.name})


def who(api: ApiContext, request: Request) -> Reply:
    """GET /api/who?service=api&environment=production, or ?incident=ID: who is notified, and whose the service is"""
    if request.one("incident"):
        if len(request.query) > 1:
            raise RequestError("`incident` stands alone: expected are labels, as in ?service=api, or ?incident=ID")
        found = views.find(api.store, request.one("incident"), api.now)
        return Reply({"who": [{"incident": found.id, **views.who_of(found, api.store, api.rules, api.now)}]})
    wrong = [name for name in request.query if not re.fullmatch(LABEL_PATTERN, name)]
    if wrong:
        raise RequestError(f"{wrong[0][:40]!r} is no name of a label; expected are labels, as in ?service=api")
    labels = {name: values[-1] for name, values in request.query.items() if values and values[-1]}
    if not labels:
        raise RequestError("nothing is asked: expected are labels, as in ?service=api, or ?incident=ID")
    service = views.service_of(api.rules, labels)
    return Reply({**({"service": service} if service else {}), "who": views.who(api.rules, labels, api.now)})


# ---------------------------------------------------------------------------------------------------------------------
# What people do


def act(api: ApiContext, request: Request, *, id: str, act: str) -> Reply:
    """POST /api/incidents/{id}/{ack|unack|resolve|keep|note|assign}"""
    request.only("by")
    if act not in ACTS:
        raise NotFoundError(f"{act[:40]!r} is nothing that can be done; allowed are {', '.join(ACTS)}")
    form = request.form()
    only_known(form, ("by", "note", "to", "matchers"))
    key = f"key:{fingerprint(request.key)}:" if request.key else ""
    action = Action(
        kind=ACTS[act],
        by=request.by(form),
        at=api.now,
        incident=id,
        matchers=requests.clauses_of(requests.parse_match(form.get("matchers") or {})),
        via="api",
        note=_note(act, form),
        account=f"{SHARED_TOKEN}{request.holder}",
        id=key + fingerprint(act, request.asked(form)) if key else requests.new_id(),
    )
    found, action = accepted(action, store=api.store, webhooks=api.webhooks, now=api.now, key=key)
    return _reply(found, action, request.key[:MAX_NAME_CHARACTERS] or action.id)


_STATUSES = {Result.UNKNOWN: 404, Result.NOT_ALLOWED: 403}


def _reply(found: Outcome, action: Action, id: str) -> Reply:
    """Answer 202 where the act changes something, 200 where things are as asked already; else an error with the reason."""
    text = sentence(found, action)
    shown = {"id": id, "incident": found.id, "message": text}
    if found.accepted:
        return Reply({"status": "accepted", **shown}, 202)
    if found.result in STANDS:
        since = views.stamp(found.since)
        return Reply({"status": found.result.value, **shown, "by": found.by or None, "since": since})
    refused = {"error": text, "status": found.result.value}
    if found.again:
        refused["again"] = found.again
    return Reply(refused, _STATUSES.get(found.result, 409))


def make_silence(api: ApiContext, request: Request) -> Reply:
    """POST /api/silences: make one; with the id of one that exists in the body, edit it and become its author"""
    request.only("by")
    form = request.form()
    given = requests.silence_id(text_in(form, "id")) if form.get("id") is not None else ""
    before = find_silence(api.store.context(), given) if given else None
    if before is None and "matchers" not in form and not form.get("incident"):
        raise RequestError('`matchers` is missing: expected is {"service": "api"} or ["service=api"], or `incident`')
    return _put(api, request, form, before, given)


def edit_silence(api: ApiContext, request: Request, *, id: str) -> Reply:
    """PUT /api/silences/{id}: what is left out stays"""
    request.only("by")
    return _put(api, request, request.form(), silencing.stored(api.store.context(), id), "")


def end_silence(api: ApiContext, request: Request, *, id: str) -> Reply:
    """DELETE /api/silences/{id}: end it now"""
    request.only("by")
    form = request.form()
    by = request.by(form)
    silencing.check_goes_on(silencing.stored(api.store.context(), id), api.now)
    api.webhooks.put([unsilence_message(id, by, api.now)])
    return Reply({"status": "accepted", "id": id}, 202)


def _put(api: ApiContext, request: Request, form: Mapping[str, Any], before: Silence | None, given: str) -> Reply:
    """Make a silence, or edit the one from before; `given` is the id in the body, which makes the person its author.

    A request whose key is known changes nothing, and is answered with what it made.
    """
    silencing.check_fields(form, api.rules)
    act, context = request.act(form), api.store.context()
    if act and (first := _first_of(context, act)) is not None:
        return _accepted(api, SetSilence(first, first in context.maintenance))
    asked = silencing.Asked(form, request.by(form), act, request.key_id())
    wanted = silencing.wanted(asked, before, given, context, silencing.Desk(api.store, api.rules, api.now))
    api.webhooks.put([set_silence_message(wanted)])
    return _accepted(api, wanted)


def _first_of(context: Context, act: str) -> Silence | None:
    """Return the silence that a request with this key made or changed. Raise KeyUsedError if it asked for more."""
    key = act.partition(":")[0]
    for each in context.all_silences:
        if act in each.acts:
            return each
        if any(known.partition(":")[0] == key for known in each.acts):
            raise KeyUsedError(REUSED)
    return None


def _accepted(api: ApiContext, wanted: SetSilence) -> Reply:
    firing = views.fires(api.store, [wanted.silence] if wanted.silence.active(api.now) else [])
    shown = views.silence(wanted.silence, api.now, firing, maintenance=wanted.maintenance)
    said = warnings(wanted.silence, shown, api.store, api.rules)
    return Reply({"status": "accepted", "id": wanted.silence.id, "silence": shown, "warnings": said}, 202)


def _note(act: str, form: Mapping[str, Any]) -> str:
    needed = {"note": "note", "assign": "to"}.get(act)
    text = text_in(form, needed or "note")
    if needed and not text:
        raise RequestError(f"`{needed}` is missing: expected is {'a text' if needed == 'note' else 'who is to do it'}")
    return text[: requests.MAX_TEXT_CHARACTERS]


# ---------------------------------------------------------------------------------------------------------------------
# Reading


def _choice(word: str, name: str, allowed: Sequence[str]) -> str:
    if word not in allowed:
        raise RequestError(f"`{name}` is {word[:40]!r}; allowed are {', '.join(allowed)}")
    return word


def _paging(request: Request, rows: int) -> Paging:
    return Paging(request.one("after"), _limit(request.one("limit"), rows))


def _paged(name: str, found: Page[views.Shown]) -> Reply:
    return Reply({name: list(found.rows), "total": found.total, "next": found.next})


def _limit(word: str, rows: int) -> int:
    if not word:
        return rows
    if not (word.isdecimal() and len(word) <= len(str(MAX_ROWS)) and 1 <= int(word) <= MAX_ROWS):
        raise RequestError(f"`limit` is {word[:40]!r}; allowed is a number from 1 to {MAX_ROWS}")
    return int(word)


def _since(word: str, now: datetime) -> datetime:
    """Return the time so long ago (`7d`), or that instant; a day ago when nothing is said, 90 days at most."""
    if not word:
        return now - LATELY
    try:
        found = now - duration_of(word)
    except ValueError:
        found = parse_when(word, now)
    return max(found, now - LONGEST)
