"""What a browser sends, and what it is answered. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qsl

MAX_FORM_BYTES = 64 * 1024
MAX_FIELDS = 100
HTML = "text/html; charset=utf-8"
POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
PRIVATE: Mapping[str, str] = {
    "Content-Security-Policy": POLICY,
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Strict-Transport-Security": "max-age=31536000",
}
"""The headers of every page. Browsers heed the last one by https only."""


@dataclass(frozen=True, slots=True)
class PageRequest:
    """A request. `path` is that of the route (`/incident/{id}`), `names` what the address has in its place.

    Names of headers are in lower case. `secure` says that it came by https. `address` is that of the sender.
    """

    method: str
    path: str
    names: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, Sequence[str]] = field(default_factory=dict)
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    address: str = ""

    @property
    def secure(self) -> bool:
        """Return whether the browser came by https: all of AWS does, the stage on this machine does not."""
        here = self.headers.get("host", "").partition(":")[0] in ("127.0.0.1", "localhost")
        return self.headers.get("x-forwarded-proto", "http" if here else "https") == "https"

    @property
    def up(self) -> str:
        """Return what leads from this address to the first page, as relative addresses write it."""
        return "../" * (self.path.count("/") - 1) or "./"

    def one(self, name: str) -> str:
        """Return the value of a query parameter; the last one counts."""
        return next(reversed(self.query.get(name) or ("",)))

    def cookies(self) -> dict[str, str]:
        """Return the cookies; none where a browser sent nonsense."""
        try:
            return {name: each.value for name, each in SimpleCookie(self.headers.get("cookie", "")).items()}
        except CookieError:
            return {}

    def form(self) -> dict[str, str]:
        """Return the fields of a form. Of a field that came twice the last one counts; too large a form is none."""
        if len(self.body) > MAX_FORM_BYTES:
            return {}
        try:
            return dict(parse_qsl(self.body.decode(), keep_blank_values=True, max_num_fields=MAX_FIELDS))
        except ValueError:
            return {}


@dataclass(frozen=True, slots=True)
class PageReply:
    """An answer. `cookies` are whole values of Set-Cookie."""

    body: str = ""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    cookies: tuple[str, ...] = ()


def html(body: str, status: int = 200, cookies: tuple[str, ...] = ()) -> PageReply:
    """Return a page."""
    return PageReply(body, status, {**PRIVATE, "Content-Type": HTML}, cookies)


def see(where: str, cookies: tuple[str, ...] = ()) -> PageReply:
    """Return an answer that has the browser load another address of this stage: `where` is relative and ours."""
    return PageReply("", 303, {**PRIVATE, "Location": where}, cookies)


def cookie(name: str, value: str, *, seconds: int, secure: bool) -> str:
    """Return a cookie that only the server reads, and that no page of another site sends with a form."""
    return f"{name}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Lax" + ("; Secure" if secure else "")
