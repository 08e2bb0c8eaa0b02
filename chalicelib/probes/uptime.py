"""Is it up, how fast, and for how long is its certificate good: one HTTP request through httpx.

    - name: api
      url: https://api.example.com/health
      expect: 200            # a status, a range "200-299", or a list of them; else any 2xx or 3xx
      text: ok               # must be in the answer's first MAX_BODY_BYTES
      method: GET            # or HEAD
      headers: {Authorization: "$HEALTH_TOKEN"}    # $NAME at the start of a value is a secret
      redirects: true        # follow them, MAX_REDIRECTS at most; else a 3xx is the answer
      timeout: 5s            # for the whole exchange

Samples: `uptime` (1 or 0), `latency_ms` until the answer was read whole (none when nothing answered), `tls_days_left`.
The host is resolved once, its addresses are checked, and the connection goes to the checked address itself, so that a
name cannot change its mind in between. Every redirect is checked the same way. A redirect to another scheme, host or
port gets only headers that are harmless and hold no secret, and no cookies. Cookies that an origin sets are sent back
to it within one chain of redirects, since a page that sets a cookie and redirects to itself is up; none outlives the
try. Each probe opens a connection of its own: a kept one would hide a broken name, port or certificate.
https://www.python-httpx.org/advanced/extensions/
"""

import logging
import re
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

import httpx

from chalicelib.core.metrics.sample import Sample
from chalicelib.core.observed import RESULT
from chalicelib.probes import addresses, common_mistakes, labels_of, name_of, secret, time_limit
from chalicelib.probes._origin import Cookies, harmless, origin_of

if TYPE_CHECKING:
    from chalicelib.core.event import Event
    from chalicelib.core.ports import Clients

MEANING = "Addresses that are asked whether they answer."
SAMPLE = {"name": "api", "url": "https://api.example.com/health"}
PLACE = 1
DEFAULT_TIMEOUT = timedelta(seconds=5)
MAX_BODY_BYTES = 1_000_000
MAX_REDIRECTS = 5
MAX_ADDRESSES = 3
METHODS = ("GET", "HEAD")
FIELDS = ("expect", "text", "method", "headers", "redirects")

_SECRET = re.compile(r"\$([A-Z][A-Z0-9_]*)")
_SPAN = re.compile(r"\s*(\d{3})\s*(?:-\s*(\d{3})\s*)?")
_LOG = logging.getLogger("tocsin.probes.uptime")


class _Down(Exception):
    """What is watched did not do what was expected; the text says what it did instead."""


@dataclass(slots=True)
class _Exchange:
    """One probe's request and what is known of the answer so far; cookies are kept by origin.

    `split` is how many seconds each step of the last request took, by its name for people.
    """

    limit: timedelta
    started: float
    answered: bool = False
    tls_ends_at: datetime | None = None
    split: dict[str, float] = field(default_factory=dict)
    cookies: Cookies = field(default_factory=lambda: Cookies(origin_of))

    @property
    def elapsed(self) -> float:
        return time.monotonic() - self.started

    @property
    def seconds_left(self) -> float:
        left = self.limit.total_seconds() - self.elapsed
        if left <= 0:
            raise _Down(f"no whole answer within {self.limit.total_seconds():g} s")
        return left


def check(params: Mapping[str, Any], clients: "Clients", *, now: datetime) -> "list[Sample | Event]":
    """One try. RulesError when the probe itself cannot work: a secret not set, an address that is refused."""
    headers = _headers(params, clients)
    exchange = _Exchange(time_limit(params, DEFAULT_TIMEOUT), time.monotonic())
    reason = ""
    try:
        _expect(params, clients.http(), headers, exchange)
    except _Down as down:
        reason = str(down)
    latency_ms = exchange.elapsed * 1000
    if reason:
        _LOG.info("probe %s: down: %s", name_of(params), reason)
    labels = labels_of(params)
    observed = _observed(params, reason, exchange) if reason else {}
    found: list[Sample | Event] = [Sample("uptime", 0.0 if reason else 1.0, now, labels, observed)]
    if exchange.answered:
        found.append(Sample("latency_ms", round(latency_ms, 3), now, labels))
    if exchange.tls_ends_at is not None:
        found.append(Sample("tls_days_left", (exchange.tls_ends_at - now) / timedelta(days=1), now, labels))
    return found


def _observed(params: Mapping[str, Any], reason: str, exchange: _Exchange) -> dict[str, str]:
    """Return what was asked, what was expected and what came. The address comes without its query: it may hold a secret."""
    url = urlsplit(str(params["url"]))
    text = f", and the text {str(params['text'])[:60]!r}" if params.get("text") else ""
    limit = f"{exchange.limit.total_seconds():g} s"
    split = [f"{name} {_time_words(seconds)}" for name, seconds in exchange.split.items()]
    return {
        "address": f"{url.scheme}://{url.netloc}{url.path}",
        "expected": f"status {_spoken(_expected(params.get('expect')))} within {limit}{text}",
        RESULT: f"{reason.partition(';')[0]}, after {_time_words(exchange.elapsed)}"
        + (f" ({', '.join(split)})" if split else ""),
    }


def _time_words(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds >= 9.9995 else f"{seconds * 1000:.0f} ms"


def parameters(params: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the names of the secrets and settings that an entry reads."""
    values = (params.get("headers") or {}).values()
    return tuple(name for value in values for name in _SECRET.findall(str(value)))


def validate(params: Mapping[str, Any]) -> list[str]:
    """The mistakes of an entry of `probes: {uptime: […]}`, in words."""
    found = common_mistakes(params, required=("url",), allowed=FIELDS)
    if params.get("url") and not _is_web_address(str(params["url"])):
        found.append("url must be an address that begins with https:// or http:// and has a host")
    elif "@" in urlsplit(str(params.get("url", ""))).netloc:
        found.append("url must not hold a user or password; allowed is a header such as Authorization: $HEALTH_TOKEN")
    if str(params.get("method", "GET")).upper() not in METHODS:
        found.append(f"method must be one of {', '.join(METHODS)}")
    elif params.get("text") and str(params.get("method", "GET")).upper() == "HEAD":
        found.append("text cannot be expected of HEAD, which has no body; allowed is GET")
    try:
        _expected(params.get("expect"))
    except ValueError as error:
        found.append(str(error))
    if not isinstance(params.get("headers") or {}, Mapping):
        found.append("headers must be a mapping of name to value")
    if not isinstance(params.get("redirects", False), bool):
        found.append("redirects must be true or false")
    return found


def _expect(params: Mapping[str, Any], client: httpx.Client, headers: dict[str, str], exchange: _Exchange) -> None:
    expected, text = _expected(params.get("expect")), str(params.get("text") or "")
    method = str(params.get("method", "GET")).upper()
    status, location, body = _answer(client, method, str(params["url"]), headers, exchange, read=bool(text))
    url, left = str(params["url"]), MAX_REDIRECTS
    while params.get("redirects") and location and 300 <= status < 400:
        if not left:
            raise _Down(f"more than {MAX_REDIRECTS} redirects")
        target = urljoin(url, location)
        if not _is_web_address(target):
            raise _Down("redirected to what is not a web address")
        if origin_of(target) != origin_of(url):
            headers = harmless(params.get("headers") or {}, _SECRET.search)
        url, left = target, left - 1
        status, location, body = _answer(client, method, url, headers, exchange, read=bool(text))
    if not any(low <= status <= high for low, high in expected):
        raise _Down(f"status {status}; expected is {_spoken(expected)}")
    if text and text not in body:
        raise _Down("the expected text is not in the answer")


def _answer(
    client: httpx.Client, method: str, url: str, headers: dict[str, str], exchange: _Exchange, *, read: bool
) -> tuple[int, str, str]:
    """(status, location, text) of one request, from the first of the host's addresses that takes a connection."""
    parts, exchange.split = urlsplit(url), {}
    host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    began = time.monotonic()
    try:
        found = addresses(host, port)[:MAX_ADDRESSES]
    except OSError:
        raise _Down("the host name has no address") from None
    exchange.split["DNS"] = time.monotonic() - began
    for address in found:
        try:
            request = _pinned(client, method, url, address, exchange.cookies.added(url, headers), exchange)
            return _request(client, request, exchange, url=url, read=read)
        except httpx.ConnectError as error:
            if address == found[-1]:
                raise _Down(_connect_reason(error)) from None
        except httpx.TimeoutException:
            raise _Down(f"no answer within {exchange.limit.total_seconds():g} s") from None
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise _Down(f"the exchange broke: {type(error).__name__}") from None
    raise _Down("the host name has no address")


def _pinned(
    client: httpx.Client, method: str, url: str, address: str, headers: dict[str, str], exchange: _Exchange
) -> httpx.Request:
    """A request to the address itself that names the host as a request to the host would."""
    named = httpx.URL(url)
    return client.build_request(
        method,
        named.copy_with(host=address, userinfo=b""),
        headers={"User-Agent": "Tocsin", **headers, "Host": named.netloc.decode("ascii"), "Connection": "close"},
        timeout=exchange.seconds_left,
        extensions={"sni_hostname": named.raw_host.decode("ascii")} if named.scheme == "https" else {},
    )


def _request(
    client: httpx.Client, request: httpx.Request, exchange: _Exchange, *, url: str, read: bool
) -> tuple[int, str, str]:
    request.extensions["timeout"] = httpx.Timeout(exchange.seconds_left).as_dict()
    request.extensions["trace"] = _trace(exchange.split)
    response = client.send(request, stream=True, follow_redirects=False)
    try:
        exchange.cookies.keep(url, response)
        exchange.tls_ends_at = exchange.tls_ends_at or _tls_end(response)
        body = b"".join(_chunks(response, exchange)) if read else b""
        exchange.answered = exchange.seconds_left > 0
    finally:
        response.close()
    return response.status_code, response.headers.get("location", ""), _decoded(body, response.charset_encoding)


_STEPS = {
    "connection.connect_tcp": "connect",
    "connection.start_tls": "TLS",
    "http11.receive_response_headers": "first byte",
}
"""The steps of an exchange that httpcore reports, and their names: https://www.encode.io/httpcore/extensions/#trace"""


def _trace(split: dict[str, float]) -> Callable[[str, Mapping[str, Any]], None]:
    """Return what is called as each step starts and ends, and notes how long it took."""
    started: dict[str, float] = {}

    def trace(event: str, info: Mapping[str, Any]) -> None:
        step = event.rpartition(".")[0]
        if step in _STEPS:
            at = time.monotonic()
            split[_STEPS[step]] = at - started.setdefault(step, at)

    return trace


def _decoded(body: bytes, charset: str | None) -> str:
    try:
        return body.decode(charset or "utf-8", "replace")
    except LookupError:
        return body.decode("utf-8", "replace")


def _chunks(response: httpx.Response, exchange: _Exchange) -> Iterator[bytes]:
    size = 0
    for chunk in response.iter_bytes():
        yield chunk
        size += len(chunk)
        if size >= MAX_BODY_BYTES or not exchange.seconds_left:
            return


def _tls_end(response: httpx.Response) -> datetime | None:
    stream = response.extensions.get("network_stream")
    socket = stream.get_extra_info("ssl_object") if stream is not None else None
    certificate = socket.getpeercert() if socket is not None else None
    if not certificate or "notAfter" not in certificate:
        return None
    return datetime.fromtimestamp(ssl.cert_time_to_seconds(certificate["notAfter"]), UTC)


def _connect_reason(error: httpx.ConnectError) -> str:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"the certificate is refused: {cause.verify_message}"
        if isinstance(cause, ssl.SSLError):
            return "no TLS connection"
        cause = cause.__cause__ or cause.__context__
    return "no connection"


def _headers(params: Mapping[str, Any], clients: "Clients") -> dict[str, str]:
    found = {}
    for name, value in (params.get("headers") or {}).items():
        named = _SECRET.search(str(value))
        found[str(name)] = _SECRET.sub(lambda each: secret(clients, each[1]), str(value)) if named else str(value)
    return found


def _expected(expect: object) -> tuple[tuple[int, int], ...]:
    """Ranges of allowed statuses, both ends included."""
    if expect is None:
        return ((200, 399),)
    listed = expect if isinstance(expect, list | tuple) else str(expect).split(",")
    return tuple(_status_range(str(each)) for each in listed)


def _status_range(text: str) -> tuple[int, int]:
    found = _SPAN.fullmatch(text)
    low, high = (int(found[1]), int(found[2] or found[1])) if found else (0, 0)
    if not 100 <= low <= high <= 599:
        raise ValueError(
            f"expect {text[:40]!r} is not a status; allowed are 100 to 599, ranges such as 200-299, and lists"
        )
    return low, high


def _spoken(expected: tuple[tuple[int, int], ...]) -> str:
    return ", ".join(str(low) if low == high else f"{low}-{high}" for low, high in expected)


def _is_web_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
