"""Where headers and cookies of one check may go, as tables."""

import httpx
import pytest

from chalicelib.probes._origin import Cookies, Origin, harmless, origin_of, place_of

ORIGINS = [
    ("https://Example.com/a", ("https", "example.com", 443)),
    ("HTTPS://example.com:443", ("https", "example.com", 443)),
    ("http://example.com", ("http", "example.com", 80)),
    ("http://user:pass@example.com:8080/", ("http", "example.com", 8080)),
    ("https://example.com@evil.test/", ("https", "evil.test", 443)),
    ("https://[::1]:8443/", ("https", "::1", 8443)),
    ("/path", ("", "", 0)),
]


@pytest.mark.parametrize(("url", "origin"), ORIGINS)
def test_an_origin_is_scheme_host_and_port(url: str, origin: Origin) -> None:
    """An address → its scheme, host and port, however they are written."""
    assert origin_of(url) == origin


@pytest.mark.parametrize("url", ["http://example.com:port/", "http://example.com:99999/"])
def test_a_port_that_is_none_has_no_origin(url: str) -> None:
    """An address with a port that is no number → ValueError."""
    with pytest.raises(ValueError, match=r"[Pp]ort"):
        origin_of(url)


def test_harmless_headers() -> None:
    """Names on the list are harmless in any case, unless a value was filled in; all others are not."""
    given = {"ACCEPT": "a", "User-Agent": "$SECRET", "Authorization": "b", "x-api-key": "c", "Cookie": "d", "Host": "e"}
    assert harmless(given, lambda value: value.startswith("$")) == {"ACCEPT": "a"}


KEPT = [
    # set by, the cookie, asked for, brought within a walk (place), within a chain of redirects (origin)
    ("https://example.com/", "a=1", "https://example.com/b", True, True),
    ("https://example.com/", "a=1", "https://www.example.com/", False, False),
    ("https://example.com/", "a=1; Domain=example.com", "https://www.example.com/", True, False),
    ("https://auth.example.com/", "a=1; Domain=example.com", "https://app.example.com/", True, False),
    ("https://example.com/", "a=1; Domain=other.test", "https://other.test/", False, False),
    ("https://example.com/", "a=1; Domain=com", "https://other.com/", False, False),
    ("https://example.com/", "a=1", "http://example.com/", False, False),
    ("http://example.com/", "a=1", "https://example.com/", False, False),
    ("https://example.com/", "a=1", "https://example.com:8443/", False, False),
    ("https://example.com/", "a=1; Path=/admin", "https://example.com/", False, False),
    ("https://example.com/", "a=1; Max-Age=0", "https://example.com/", False, False),
    ("http://127.0.0.1/", "a=1", "http://127.0.0.1/", True, True),
    ("http://localhost/", "a=1", "http://localhost/", True, True),
    ("http://localhost/", "a=1", "http://127.0.0.1/", False, False),
    ("http://localhost/", "a=1; Secure", "http://localhost/", False, False),
]


@pytest.mark.parametrize(("setter", "cookie", "url", "in_walk", "in_chain"), KEPT)
def test_where_a_cookie_goes(setter: str, cookie: str, url: str, in_walk: bool, in_chain: bool) -> None:
    """A cookie goes back to its host and the hosts of its Domain, never to another scheme or port."""
    for scope, brought in ((place_of, in_walk), (origin_of, in_chain)):
        cookies = Cookies(scope)
        cookies.keep(setter, httpx.Headers([("Set-Cookie", cookie)]))
        assert cookies.added(url, {}) == ({"Cookie": "a=1"} if brought else {})


def test_several_cookies_are_one_header() -> None:
    """Cookies of an answer → one header beside the operator's own, the newest value of each name."""
    cookies = Cookies(origin_of)
    headers = [
        ("Set-Cookie", "a=1"),
        ("Set-Cookie", "b=2; Expires=Fri, 31 Dec 9999 23:59:59 GMT"),
        ("Set-Cookie", "a=3"),
    ]
    cookies.keep("http://a.test/", httpx.Headers(headers))
    cookies.keep("http://a.test/", httpx.Headers())
    added = cookies.added("http://a.test/", {"X": "y", "COOKIE": "own=1"})
    assert set(added) == {"X", "Cookie"}
    assert added["Cookie"].split("; ")[0] == "own=1"
    assert set(added["Cookie"].split("; ")) == {"own=1", "a=3", "b=2"}
