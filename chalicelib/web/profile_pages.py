"""Answers /profile: how the pages look to this browser: zone, light or dark, keys. It is kept in the browser alone."""

from dataclasses import dataclass
from datetime import timedelta

from chalicelib.core.errors import RequestError
from chalicelib.web.exchange import PageReply, PageRequest, cookie
from chalicelib.web.visitor import Visitor
from chalicelib.web.words import is_zone

HERE = "profile"
KEPT = timedelta(days=365)
THEMES = ("", "light", "dark")
"""Without a word the browser's own is taken."""
ZONE, THEME, KEYS = "zone", "theme", "keys"
"""The cookies, which are the fields of the form as well."""


@dataclass(frozen=True, slots=True)
class Looks:
    """How the pages look to a browser. `letters` says that single letters act."""

    theme: str = ""
    letters: bool = True


def looks(request: PageRequest) -> Looks:
    """Return what a browser has kept."""
    found = request.cookies()
    theme = found.get(THEME, "")
    return Looks(theme if theme in THEMES else "", found.get(KEYS) != "off")


def answer(visitor: Visitor) -> PageReply:
    """Return the form, or keep what it says."""
    if visitor.request.method == "POST":
        return _kept(visitor)
    chosen = visitor.request.cookies().get(ZONE, "")
    return visitor.banded("profile.html", {"chosen_zone": chosen if is_zone(chosen) else ""}, HERE)


def _kept(visitor: Visitor) -> PageReply:
    form = visitor.request.form()
    zone, theme = form.get(ZONE, "").strip(), form.get(THEME, "")
    if zone and not is_zone(zone):
        raise RequestError("The zone is not known: expected is a name such as America/Sao_Paulo, or nothing.")
    if theme not in THEMES:
        raise RequestError("The look is not known: expected is light, dark, or that of the browser.")
    values = {ZONE: zone, THEME: theme, KEYS: "" if form.get(KEYS) == "on" else "off"}
    cookies = tuple(_cookie(visitor.request, name, value) for name, value in values.items())
    reply = visitor.done(f"{visitor.request.up}{HERE}", "Kept in this browser.")
    return PageReply(reply.body, reply.status, reply.headers, (*reply.cookies, *cookies))


def _cookie(request: PageRequest, name: str, value: str) -> str:
    """Return a cookie that keeps a value, or ends it."""
    return cookie(name, value, seconds=int(KEPT.total_seconds()) if value else 0, secure=request.secure)
