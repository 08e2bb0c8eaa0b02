"""Answers a browser: who is signed in and what they may do, which page it is, and the acts that its forms send.

A page is shown to whoever has a session, and a form is taken that was made for that session by this stage: it holds a
token, and it comes from this address. Nothing a browser sends is believed beyond that.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from secrets import token_hex
from typing import Any
from urllib.parse import urlsplit

from chalicelib import log
from chalicelib.api.acting import accepted
from chalicelib.api.requests import MAX_TEXT_CHARACTERS, new_id
from chalicelib.core import sign_in as signed
from chalicelib.core.access import Role, role_of
from chalicelib.core.errors import ForbiddenError, NotStoredError, RequestError
from chalicelib.core.event import Action, ActionKind
from chalicelib.core.glance import Glance
from chalicelib.core.openid import place_of
from chalicelib.core.outcome import sentence
from chalicelib.core.sign_in import Person, Session
from chalicelib.core.summary import Summary
from chalicelib.schedule.open_counts import read_counts
from chalicelib.web import openid_pages, profile_pages, router_pages, rules_pages, silence_pages
from chalicelib.web.band import Band, band_of
from chalicelib.web.boards import BOARDS, BoardRequest
from chalicelib.web.exchange import PRIVATE, PageReply, PageRequest, cookie, html, see
from chalicelib.web.incident import incident_view
from chalicelib.web.marking import marked
from chalicelib.web.now import filter_of, now_view
from chalicelib.web.render import Reader, asset, rendered
from chalicelib.web.rows import Look
from chalicelib.web.visitor import PageContext, Visitor
from chalicelib.web.words import clock, zone_of

NO_ROLE = "no list of `access:` in the rules file names you"
MAX_SAID_CHARACTERS = 500
WITHOUT_BAND = ("", "incident")
UNREAD = (
    "What is open is not known: the table does not answer. Load the page again; Slack and PagerDuty go on meanwhile, "
    "and `tocsin doctor` looks at the table."
)
SAID_LASTS = timedelta(seconds=20)
IMMUTABLE = "public, max-age=31536000, immutable"
ACTS: Mapping[str, ActionKind] = {
    "ack": ActionKind.ACK,
    "unack": ActionKind.UNACK,
    "resolve": ActionKind.RESOLVE,
    "keep": ActionKind.KEEP,
    "note": ActionKind.NOTE,
    "assign": ActionKind.REASSIGN,
}
"""What the buttons of an incident do, by their value."""
TEXTS = {"note": "note", "assign": "to"}
"""The field that an act needs."""


HANDLERS: Mapping[str, Callable[[Visitor], PageReply]] = {
    "/silences": silence_pages.answer,
    "/rules": rules_pages.answer,
    "/router": router_pages.answer,
    "/profile": profile_pages.answer,
}
"""The pages that answer in a module of their own, by their route."""


def answer(request: PageRequest, page: PageContext) -> PageReply:
    """Return the answer to one request. Mistakes become pages that say what is wrong."""
    visit = _Visit(request, page, signed.usable(page.secrets.values((signed.KEY,))))
    try:
        return visit.answer()
    except RequestError as error:
        return visit.problem(_PROBLEMS.get(error.status, "That is not possible"), str(error), error.status)
    except NotStoredError as error:
        log.line("page", path=request.path, status=503, **log.failure(error))
        return visit.problem("Not readable at the moment", UNREAD, 503)


_NOT_ALLOWED = {
    Role.RESPONDER: "Your role may look, and not act: `access:` in the rules file says so.",
    Role.ADMIN: "Only an admin may do that: `access:` in the rules file names them.",
}
_PROBLEMS = {
    403: "You may not do that",
    502: "The sign-in did not work",
    404: "There is nothing here",
    409: "That cannot be done now",
    429: "Too many tries",
}


@dataclass(frozen=True, slots=True)
class _Visit:
    """One request with the keys of the stage."""

    request: PageRequest
    page: PageContext
    keys: tuple[str, ...]

    def answer(self) -> PageReply:
        """Return what the address is, for whoever asks."""
        match self.request.method, self.request.path:
            case "GET", "/assets/{name}":
                return self._asset()
            case "GET", "/login" | "/login/{code}":
                return self._login_page(self.request.names.get("code", ""))
            case "POST", "/login":
                return self._sign_in()
            case "GET", "/oidc":
                return openid_pages.begin(self)
            case "GET", "/oidc/callback":
                return openid_pages.end(self)
            case _, path:
                found = self.session()
                if found is None:
                    return self._login_page("", status=401) if self.request.method == "GET" else see(self._up("login"))
                return _Signed(self, found, self.role(found.person), self._look()).answer(path)

    def session(self) -> Session | None:
        """Return the session of the request's cookie."""
        return signed.session_of(self.request.cookies().get(self.cookie_name, ""), self.keys, self.page.now)

    def _look(self) -> Look:
        page = self.page
        counts = read_counts(page.store, page.now)
        return Look(page.store, page.rules, page.now, self.reader.zone.key, counts, cache(page.store.context))

    def role(self, person: Person) -> Role:
        """Return what a person may do under today's rules."""
        known = openid_pages.is_known(self.page, person)
        return role_of(person.account, self.page.rules.access, mail=person.mail, known=known)

    @property
    def cookie_name(self) -> str:
        """Return the name of the session's cookie. Browsers take `__Host-` from this very host by https only."""
        return "__Host-tocsin" if self.request.secure else "tocsin"

    def problem(self, problem: str, reason: str, status: int) -> PageReply:
        """Return a page that says what is wrong."""
        return html(self.rendered("problem.html", {"problem": problem, "reason": reason}), status)

    def rendered(self, template: str, values: Mapping[str, Any]) -> str:
        """Return a page that needs no session."""
        known = {"up": self.request.up, "stage": self.page.stage, "hot": False, "said": ""}
        known["looks"] = profile_pages.looks(self.request)
        return rendered(template, self.reader, {**known, **values})

    @property
    def reader(self) -> Reader:
        """Return for whom the page is: in the zone of the browser, else in that of the rules file."""
        kept = self.request.cookies()
        zone = zone_of(kept.get(profile_pages.ZONE) or kept.get("tz", ""), self.page.rules.options.timezone)
        return Reader(zone, self.page.now, self.page.name, self.page.runbook)

    def _up(self, path: str) -> str:
        return f"{self.request.up}{path}"

    def _asset(self) -> PageReply:
        found = asset(self.request.names["name"])
        if found is None:
            return self.problem("There is nothing here", "There is no file of that name.", 404)
        body, kind = found
        return PageReply(body, headers={**PRIVATE, "Content-Type": kind, "Cache-Control": IMMUTABLE})

    # Sign-in ---------------------------------------------------------------------------------------------------------

    def _login_page(self, code: str, *, mistake: str = "", status: int = 200) -> PageReply:
        """Return the page that signs in. A link alone signs nobody in: programs follow links before people do."""
        link = signed.link_of(code, self.keys, self.page.now) if code else None
        if not self.keys:
            mistake = f"Nobody can sign in: the stage has no {signed.KEY}. Deploy it again."
        elif code and link is None and not mistake:
            mistake, status = "The link is too old or not whole. Get a new one.", 403
        provider = openid_pages.shown_name(self.page) if self.keys else ""
        place = place_of("/".join((self.request.path.split("/")[1], *self.request.names.values())))
        values = {"mistake": mistake, "link": link, "code": code, "provider": provider, "place": place}
        return html(self.rendered("login.html", values), status)

    def _sign_in(self) -> PageReply:
        """Begin the session of a one-time link, at its first use."""
        self._check_origin()
        request, page = self.request, self.page
        page.wrong.check(request.address, page.now)
        code = request.form().get("code", "").strip().rpartition("/")[2]
        link = signed.link_of(code, self.keys, page.now)
        if link is None:
            page.wrong.note(request.address, page.now)
            return self._login_page("", mistake="The code is too old or not whole. Get a new one.", status=403)
        self._check_person(link.person)
        if not page.store.claim_minute(f"link {link.person.account} {link.person.name}", link.made_at):
            return self._login_page(
                "", mistake="The code was used already, or a newer one was. Get a new one.", status=403
            )
        return self.begun(link.person, request.up)

    def begun(self, person: Person, where: str, cookies: tuple[str, ...] = ()) -> PageReply:
        """Begin a session of a person, and load another address. Raise ForbiddenError for whom no list names."""
        self._check_person(person)
        session = Session(person, token_hex(16), self.page.now + signed.SESSION_LASTS)
        kept = self._cookie(signed.session_text(session, self.keys[0]), signed.SESSION_LASTS)
        return see(where, (kept, *cookies))

    def _check_person(self, person: Person) -> None:
        if self.role(person) is Role.NONE:
            raise ForbiddenError(f"{NO_ROLE}.")

    def signed_out(self) -> PageReply:
        """End the session in this browser."""
        return see(self._up("login"), (self._cookie("", timedelta(0)),))

    def _cookie(self, value: str, lasts: timedelta) -> str:
        return cookie(self.cookie_name, value, seconds=int(lasts.total_seconds()), secure=self.request.secure)

    def _check_origin(self) -> None:
        """Raise ForbiddenError for a form of another site. Browsers say where a form comes from; other programs need not."""
        headers = self.request.headers
        site, origin = headers.get("sec-fetch-site", ""), headers.get("origin", "")
        if site not in ("", "same-origin", "none") or (origin and not self._is_own(origin)):
            raise ForbiddenError("The form came from another site.")

    def _is_own(self, origin: str) -> bool:
        try:
            return urlsplit(origin).netloc == self.request.headers.get("host", "")
        except ValueError:
            return False


@dataclass(frozen=True, slots=True)
class _Signed:
    """A request of somebody who is signed in."""

    visit: _Visit
    session: Session
    role: Role
    look: Look

    @property
    def page(self) -> PageContext:
        """Return what the pages work with."""
        return self.visit.page

    @property
    def request(self) -> PageRequest:
        """Return the request."""
        return self.visit.request

    def answer(self, path: str) -> PageReply:
        """Return what the address is."""
        if self.role is Role.NONE:
            raise ForbiddenError(f"{NO_ROLE}.")
        if self.request.method == "POST":
            self.check_form()
        match self.request.method, path:
            case "GET", "/":
                return self._now()
            case "GET", "/incident/{id}":
                return self._incident()
            case "POST", "/incident/{id}":
                return self._act()
            case _, other if other in HANDLERS:
                return HANDLERS[other](self)
            case "POST", "/logout":
                return self.visit.signed_out()
            case "GET", found if found in BOARDS:
                return self._board(found)
            case _:
                return self.visit.problem("There is nothing here", "No page has this address.", 404)

    @property
    def reader(self) -> Reader:
        """Return for whom the page is."""
        return self.visit.reader

    def check_role(self, least: Role) -> None:
        """Raise ForbiddenError for a role that is less than this one."""
        if self.role < least:
            raise ForbiddenError(_NOT_ALLOWED[least])

    def check_form(self) -> None:
        """Raise ForbiddenError unless a page of this session has sent the form."""
        self.visit._check_origin()
        if not signed.is_form_token(self.request.form().get("form", ""), self.session, self.visit.keys):
            raise ForbiddenError("The form is not one of this session: load the page again, then send it.")

    def shown(
        self,
        template: str,
        values: Mapping[str, Any],
        here: str,
        *,
        hot: bool,
        count: int = 0,
        band: Band | None = None,
    ) -> PageReply:
        """Return a page with its frame; what the last act came to stands on it once.

        Every page but the first and that of an incident has the band.
        """
        if here not in WITHOUT_BAND:
            band = band or band_of(self.look)
            hot, count = band.is_hot, band.total
        known = {
            "counts": self.look.counts,
            "here": here,
            "hot": hot,
            "open_count": count,
            "band": band,
            "person": self.session.person,
            "signed_in_until": self.session.ends_at,
            "role": self.role.name.lower(),
            "may_act": self.role >= Role.RESPONDER,
            "may_change": self.role >= Role.ADMIN,
            "form_token": signed.form_token(self.session, self.visit.keys[0]),
            "said": self._said(),
        }
        gone = (self._said_cookie("", timedelta(0)),) if known["said"] else ()
        return html(self.visit.rendered(template, {**known, **values}), cookies=gone)

    def banded(
        self,
        template: str,
        values: Mapping[str, Any],
        here: str,
        among: Sequence[Summary] | None = None,
        known: Sequence[Glance] | None = None,
    ) -> PageReply:
        """Return a page with the worst open incident in one line above it.

        `among` are summaries that were listed, `known` all rows of what is open.
        """
        return self.shown(template, values, here, hot=False, band=band_of(self.look, among, known))

    def done(self, where: str, text: str) -> PageReply:
        """Return an answer that loads another address, where the text stands once."""
        return see(where, (self._said_cookie(text, SAID_LASTS),))

    # Pages -----------------------------------------------------------------------------------------------------------

    def _now(self) -> PageReply:
        asked = filter_of(self.request.one("q"), self.request.one("service")[:200])
        view = now_view(self.look, asked=asked)
        return self.shown("now.html", {"view": view}, "", hot=bool(view.unowned), count=view.total)

    def _incident(self) -> PageReply:
        page, reader = self.page, self.visit.reader
        id = self.request.names["id"]
        view = incident_view(page.store, page.rules, page.now, id=id, timezone=reader.zone.key, name=page.name)
        if view.picture.incident.id != id:
            return see(f"{self.request.up}incident/{view.picture.incident.id}")
        return self.shown("incident.html", {"view": view}, "incident", hot=view.picture.is_unowned)

    def _board(self, path: str) -> PageReply:
        """Return a page of measured figures."""
        page, name = self.page, path.removeprefix("/")
        asked = BoardRequest(self.request, page.store, page.rules, page.now, self.visit.reader.zone)
        view = marked(BOARDS[path](asked), self.look.context(), page.rules)
        return self.shown(f"{name}.html", {"view": view}, name, hot=False)

    # Acts ------------------------------------------------------------------------------------------------------------

    def _act(self) -> PageReply:
        """Hand an act on, and show the incident with what it came to."""
        self.check_role(Role.RESPONDER)
        form, id = self.request.form(), self.request.names["id"]
        do = form.get("do") or "note"
        if do not in ACTS:
            raise RequestError("The form asks for nothing that can be done.")
        text = form.get(TEXTS.get(do, ""), "").strip()[:MAX_TEXT_CHARACTERS]
        if do in TEXTS and not text:
            raise RequestError(
                "The field is empty: write a note." if do == "note" else "The field is empty: write a name."
            )
        action = Action(
            kind=ACTS[do],
            by=self.session.person.name,
            at=self.page.now,
            incident=id,
            via="page",
            note=text,
            id=new_id(),
            account=self.session.person.account,
        )
        found, action = accepted(action, store=self.page.store, webhooks=self.page.webhooks, now=self.page.now)
        reader = self.visit.reader
        said = sentence(found, action, at=lambda at: clock(at, reader.zone, reader.now))
        said = said.removeprefix(f"{found.id} is ")
        where = f"{self.request.up}incident/{found.id}"
        return self.done(where, f"{said[:1].upper()}{said[1:]}.")

    def _said(self) -> str:
        found = signed.content_of(self.request.cookies().get("said", ""), signed.SAID, self.visit.keys)
        return str(found["t"]) if found is not None and found["s"] == self.session.id else ""

    def _said_cookie(self, text: str, lasts: timedelta) -> str:
        content = {"t": text[:MAX_SAID_CHARACTERS], "s": self.session.id}
        value = signed.signed(content, signed.SAID, self.visit.keys[0]) if text else ""
        return cookie("said", value, seconds=int(lasts.total_seconds()), secure=self.request.secure)
