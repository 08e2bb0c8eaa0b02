"""Is it up, how fast, and for how long is its certificate good: one HTTP request, read to its end.

    - name: api
      url: https://api.example.com/health
      expect: 200            # a status, a range "200-299", or a list of them; else any 2xx or 3xx
      text: ok               # must be in the answer's first MAX_BODY_BYTES
      expect_json: {status: ok, checks.0.healthy: true}    # values of the JSON answer by their paths
      expect_headers: {Content-Type: json}                 # texts that the answer's headers hold, in any case
      method: GET            # or HEAD, POST, PUT, PATCH, DELETE, OPTIONS
      headers: {Authorization: "$HEALTH_TOKEN"}    # $NAME in a value is a secret, also in url, body and json
      body: "a=1"            # what is sent; or json: {…} of any form
      redirects: true        # follow them, MAX_REDIRECTS at most; else a 3xx is the answer
      ca: INTERNAL_CA        # the name of the secret with the certificate (PEM) of an authority of your own
      http2: true            # HTTP/2 where the server agrees to it in TLS; else HTTP/1.1
      timings: true          # also dns_ms, connect_ms, tls_ms, first_byte_ms
      timeout: 5s            # for the whole exchange: name, connection, TLS, head and body

Samples: `uptime` (1 or 0), `latency_ms` until the answer was read whole (none when it was not), `tls_days_left`: the fewest
days of all certificates that were met, of every host and its chain, below zero once one has ended.

The connection goes to the address that was checked, so that a name cannot change its mind in between; every address of a
name is tried. Every redirect is checked the same way. A redirect to another scheme, host or port gets only headers that
are harmless and hold no secret, and no cookies. Cookies that an origin sets are sent back to it within one chain of
redirects, since a page that sets a cookie and redirects to itself is up; none outlives the try. Each try opens a
connection of its own: a kept one would hide a broken name, port or certificate.

A redirect is an answer unless `redirects` is true: an address of health has none, and a team that watches one sees it.
"""

import json
import re
from collections.abc import Mapping
from datetime import timedelta
from functools import partial
from typing import Any
from urllib.parse import quote, urljoin, urlsplit

from chalicelib.probes import Attempt, Down, RefusedAddressError, common_mistakes
from chalicelib.probes._address import address_mistakes, secret_name_mistakes
from chalicelib.probes._expect import expectation_mistakes, expectations, is_within, judge, range_words, status_ranges
from chalicelib.probes._http import MAX_BODY_BYTES, Answer, Question, ask, header_mistake, parsed, place_in, sendable
from chalicelib.probes._origin import Cookies, harmless, origin_of
from chalicelib.probes._trust import authority, trusting

MEANING = "Addresses that are asked whether they answer."
SAMPLE = {"name": "api", "url": "https://api.example.com/health"}
PLACE = 1
METRICS = ("latency_ms", "dns_ms", "connect_ms", "tls_ms", "first_byte_ms", "tls_days_left")
TIMEOUT = timedelta(seconds=5)
MAX_REDIRECTS = 5
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
FIELDS = (
    "expect", "text", "expect_json", "expect_headers", "method", "headers", "body", "json", "redirects", "ca", "timings", "http2",
)  # fmt: skip
ANY_STATUS = ((200, 399),)
TIMINGS = {"DNS": "dns_ms", "connect": "connect_ms", "TLS": "tls_ms", "first byte": "first_byte_ms"}
_KEPT_METHODS = (307, 308)
"""Redirects that repeat the method and body: https://www.rfc-editor.org/rfc/rfc9110#section-15.4"""

_SECRET = re.compile(r"\$([A-Z][A-Z0-9_]*)")


async def check(attempt: Attempt) -> None:
    """Try once. Raise RulesError when the probe itself cannot work: a secret not set, an address that is refused."""
    params = attempt.params
    attempt.address, attempt.expected = _shown(str(params["url"])), _expectation(params, attempt.limit)
    answer = await _followed(attempt, _question(attempt))
    attempt.add("latency_ms", round(attempt.elapsed * 1000, 3))
    if params.get("timings"):
        for step, metric in TIMINGS.items():
            if step in attempt.split:
                attempt.add(metric, round(attempt.split[step] * 1000, 3))
    _judge(params, answer)
    attempt.up()


def parameters(params: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the names of the secrets and settings that an entry reads."""
    sent = [params.get(field) for field in ("url", "headers", "body", "json")]
    found = [name for value in sent for name in _SECRET.findall(str(value))]
    return tuple(dict.fromkeys([*found, *([str(params["ca"])] if params.get("ca") else [])]))


def validate(params: Mapping[str, Any]) -> list[str]:
    """Return the mistakes of an entry of `probes: {uptime: […]}`, in words."""
    found = common_mistakes(params, required=("url",), allowed=FIELDS)
    found += address_mistakes(params, "url", instead="a header such as Authorization: $HEALTH_TOKEN")
    found += secret_name_mistakes(params, "ca", "INTERNAL_CA")
    try:
        status_ranges(params.get("expect"), ANY_STATUS)
    except ValueError as error:
        found.append(str(error))
    if not isinstance(params.get("headers") or {}, Mapping):
        found.append("headers must be a mapping of name to value")
    found += expectation_mistakes(params)
    for name in ("redirects", "timings", "http2"):
        if not isinstance(params.get(name, False), bool):
            found.append(f"{name} must be true or false")
    return found + _request_mistakes(params)


def _request_mistakes(params: Mapping[str, Any]) -> list[str]:
    found, method = [], str(params.get("method", "GET")).upper()
    reads = [name for name in ("text", "expect_json") if params.get(name)]
    sends = [name for name in ("body", "json") if name in params]
    if method not in METHODS:
        found.append(f"method must be one of {', '.join(METHODS)}")
    elif reads and method == "HEAD":
        found.append(f"{reads[0]} cannot be expected of HEAD, which has no body; allowed is GET")
    elif sends and method in ("GET", "HEAD"):
        found.append(f"{sends[0]} cannot be sent with {method}; allowed is method: POST")
    if len(sends) > 1:
        found.append("body and json cannot both be sent; allowed is one of them")
    if not isinstance(params.get("body", ""), str):
        found.append("body must be a text; allowed is json: for a value")
    if isinstance(params.get("headers"), Mapping):
        mistakes = [header_mistake(str(name), str(value)) for name, value in params["headers"].items()]
        found += [mistake for mistake in mistakes if mistake]
    return found


def _question(attempt: Attempt) -> Question:
    params = attempt.params
    headers = {
        str(name): _filled(attempt, str(name), str(value)) for name, value in (params.get("headers") or {}).items()
    }
    body = _SECRET.sub(partial(_value, attempt), str(params["body"])).encode() if "body" in params else None
    if "json" in params:
        body = json.dumps(_json(attempt, params["json"]), ensure_ascii=False).encode()
        if "content-type" not in {name.lower() for name in headers}:
            headers["Content-Type"] = "application/json"
    name, http2 = str(params.get("ca") or ""), bool(params.get("http2"))
    return Question(
        str(params.get("method", "GET")).upper(),
        _SECRET.sub(lambda found: quote(_value(attempt, found), safe=""), str(params["url"])),
        headers,
        body,
        MAX_BODY_BYTES if params.get("text") or params.get("expect_json") else 0,
        authority(name, attempt.secret(name), http2=http2) if name else trusting(http2=http2),
    )


def _filled(attempt: Attempt, name: str, value: str) -> str:
    secrets = tuple(_SECRET.findall(value))
    return sendable(name, _SECRET.sub(lambda each: attempt.secret(each[1]), value), secrets)


def _value(attempt: Attempt, found: re.Match[str]) -> str:
    return attempt.secret(found[1])


def _json(attempt: Attempt, value: Any) -> Any:
    """Return a value to send with secrets in the place of their names, at any depth."""
    if isinstance(value, Mapping):
        return {str(name): _json(attempt, each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_json(attempt, each) for each in value]
    return _SECRET.sub(partial(_value, attempt), value) if isinstance(value, str) else value


async def _followed(attempt: Attempt, question: Question) -> Answer:
    """Return the last answer of a chain of redirects, or the first one where they are not followed."""
    cookies = Cookies(origin_of)
    answer = await _asked(attempt, question, cookies)
    follows, left = bool(attempt.params.get("redirects")), MAX_REDIRECTS
    while follows and answer.headers.get("location") and 300 <= answer.status < 400:
        if not left:
            raise Down(f"more than {MAX_REDIRECTS} redirects")
        question, left = _redirected(attempt, question, answer), left - 1
        try:
            answer = await _asked(attempt, question, cookies)
        except RefusedAddressError:
            raise Down("redirected to an address that is not probed") from None
    return answer


async def _asked(attempt: Attempt, question: Question, cookies: Cookies) -> Answer:
    headers = cookies.added(question.url, question.headers)
    answer = await ask(
        attempt, Question(question.method, question.url, headers, question.body, question.keeps, question.trust)
    )
    cookies.keep(question.url, answer.headers)
    return answer


def _redirected(attempt: Attempt, question: Question, answer: Answer) -> Question:
    """Return the request that a redirect asks for, with the headers that may go there."""
    try:
        url = str(parsed(urljoin(question.url, place_in(answer.headers))))
    except (Down, ValueError):
        raise Down("redirected to what is not a web address") from None
    same = origin_of(url) == origin_of(question.url)
    headers = question.headers if same else harmless(attempt.params.get("headers") or {}, _SECRET.search)
    repeats = question.method in ("GET", "HEAD") or (answer.status in _KEPT_METHODS and same)
    return Question(
        question.method if repeats else "GET", url, headers, question.body if repeats else None, question.keeps,
        question.trust,
    )  # fmt: skip


def _judge(params: Mapping[str, Any], answer: Answer) -> None:
    """Raise Down when the answer is not the expected one."""
    if not is_within(answer.status, status_ranges(params.get("expect"), ANY_STATUS)):
        raise Down(f"status {answer.status}")
    judge(params, answer)


def _shown(url: str) -> str:
    """Return an address without its query, which may hold a secret."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}{parts.path}"


def _expectation(params: Mapping[str, Any], limit: timedelta) -> str:
    statuses = range_words(status_ranges(params.get("expect"), ANY_STATUS))
    parts = [f"status {statuses} within {limit.total_seconds():g} s"]
    return ", and ".join([*parts, *expectations(params)])
