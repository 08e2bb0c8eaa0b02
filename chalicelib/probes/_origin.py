"""What may go where within one check: headers and cookies, by the origin (scheme, host and port) of each request.

A header of the rules file may be a credential under any name (`Authorization`, `Cookie`, `apikey`, `X-Token`), so
only those of a short list go to an origin that an answer chose: a redirect, a saved value.
https://www.rfc-editor.org/rfc/rfc6454 (origins)  https://www.rfc-editor.org/rfc/rfc6265 (cookies)
"""

from collections.abc import Callable, Hashable, Mapping
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any
from urllib.parse import urlsplit

import httpx

Origin = tuple[str, str, int]
HARMLESS_HEADERS = frozenset(
    {"accept", "accept-encoding", "accept-language", "cache-control", "content-type", "pragma", "user-agent"}
)
_PORTS = {"http": 80, "https": 443}
_ANY_BYTES = "latin-1"
_ESCAPES = "surrogateescape"


def sent_bytes(text: str) -> bytes:
    """Return the bytes of a header that is sent, with those that a site gave as they came."""
    return text.encode("utf-8", _ESCAPES)


def origin_of(url: str) -> Origin:
    """Return scheme, host and port of an address. Raise ValueError when its port is none."""
    parts = urlsplit(url)
    return parts.scheme, parts.hostname or "", parts.port or _PORTS.get(parts.scheme, 0)


def place_of(url: str) -> tuple[str, int]:
    """Return scheme and port of an address: what a cookie never changes, whatever hosts its site names."""
    scheme, _, port = origin_of(url)
    return scheme, port


def harmless(headers: Mapping[Any, Any], is_filled: Callable[[str], object]) -> dict[str, str]:
    """Return the headers that may go to any origin: harmless by name, and without a value that `is_filled` in."""
    return {
        str(name): str(value)
        for name, value in headers.items()
        if str(name).lower() in HARMLESS_HEADERS and not is_filled(str(value))
    }


class Cookies:
    """The cookies of one check, in a jar of its own for each `scope` of an address.

    Within a jar a cookie goes back to the host that set it, and to others only where its Domain says so.
    """

    def __init__(self, scope: Callable[[str], Hashable]) -> None:
        self._scope = scope
        self._jars: dict[Hashable, httpx.Cookies] = {}

    def added(self, url: str, headers: Mapping[str, str]) -> dict[str, str]:
        """Return the headers of a request to the address, with the cookies kept for it.

        Bytes of a cookie that are not UTF-8 are kept as surrogates (`sent_bytes`), so that they go back as they came.
        """
        request = httpx.Request("GET", url)
        request.headers.encoding = _ANY_BYTES
        self._jar(url).set_cookie_header(request)
        own = [value for name, value in headers.items() if name.lower() == "cookie"]
        kept = [value.encode(_ANY_BYTES).decode("utf-8", _ESCAPES) for value in request.headers.get_list("cookie")]
        cookies = "; ".join([*own, *kept])
        others = {name: value for name, value in headers.items() if name.lower() != "cookie"}
        return {**others, "Cookie": cookies} if cookies else others

    def keep(self, url: str, headers: httpx.Headers) -> None:
        """Keep the cookies that an answer from the address sets, under the host that the address names."""
        named = [(b"Set-Cookie", value) for name, value in headers.raw if name.lower() == b"set-cookie"]
        if named:
            answer = httpx.Response(200, headers=named, request=httpx.Request("GET", url))
            answer.headers.encoding = _ANY_BYTES
            self._jar(url).extract_cookies(answer)

    def _jar(self, url: str) -> httpx.Cookies:
        # By default Python sends a cookie without a Domain to subdomains too.
        policy = DefaultCookiePolicy(strict_ns_domain=DefaultCookiePolicy.DomainStrictNonDomain)
        return self._jars.setdefault(self._scope(url), httpx.Cookies(CookieJar(policy)))
