"""A walk through an application as a user takes it: HTTP requests in order, each with what the ones before gave.

    - name: exam
      base: https://app.example.com
      timeout: 15s                       # for the whole walk
      every: 10m
      ca: INTERNAL_CA                    # the name of the secret with the certificate (PEM) of an authority of your own
      steps:
        - {name: sign up, post: /api/auth/signup, json: {email: "{run}@example.com", password: $JOURNEY_PASSWORD},
           expect: 201, save: {token: session.access_token, id: user.id}}
        - {name: questions, post: /api/questions/generate, headers: {Authorization: "Bearer {token}"}, timeout: 5s,
           json: {topic: direito-constitucional, count: 5}, save: {first: questions.0.id}}
        - {name: clean up, delete: "/api/users/{id}", headers: {Authorization: "Bearer {token}"}, always: true}

A step is one of get, post, put, patch, delete with a path or an address; `expect` is a status, a range or a list of them,
else any 2xx. It sends `json`, or the fields of a `form`. `text`, `expect_json` and `expect_headers` are as those of `uptime`. `save` keeps values of the JSON answer by
their paths. `{name}` in texts stands for a saved value, `{run}` for a text that is new in each walk, `$NAME` for a secret. A
text that is `{name}` alone becomes the saved JSON value itself (a number stays one); within a longer text it is written
as JSON writes it, a text without its quotes. Within the path or the query of an address it is escaped.

The first step that fails ends the walk, but for the steps after it with `always: true`: what was made is taken away again
where the values for that were saved. A step with `always` that fails makes the walk fail too.

Redirects are answers and are not followed. Cookies that answers set are kept within one walk, each for its scheme, port
and host (and the hosts of its Domain). A saved value does not decide where credentials go: at a scheme, host and port
that is neither that of `base` nor that of the step's address as written, a step sends only harmless headers without
values filled in, and a step with a secret in its address or body fails.

Samples: `uptime` (1 when all steps passed), `latency_ms` (the whole walk, when it passed), and `step_ms` and
`step_failures` (1 or 0) with the label `step` for the steps that were taken. A failed walk is walked once more, with
another `{run}` and without the cookies of the first. Of `timeout` CLEAN_UP is kept for the `always` steps, each of which has
an equal share of what is left.
"""

import asyncio
import json
import re
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from urllib.parse import quote, urlencode, urljoin, urlsplit

from chalicelib.core.errors import RulesError
from chalicelib.probes import MAX_TIMEOUT, Attempt, Down, RefusedAddressError, common_mistakes, duration
from chalicelib.probes._address import address_mistake, address_mistakes, secret_name_mistakes
from chalicelib.probes._expect import expectation_mistakes, is_within, judge, range_words, status_ranges
from chalicelib.probes._http import Answer, Question, ask, header_mistake, parsed, sendable
from chalicelib.probes._json import MISSING, at_path
from chalicelib.probes._origin import Cookies, harmless, origin_of, place_of
from chalicelib.probes._trust import authority

MEANING = "Steps of a user that are walked through."
SAMPLE = {"name": "sign-in", "base": "https://example.com", "steps": [{"name": "open", "get": "/"}]}
PLACE = 6
METRICS = ("latency_ms", "step_ms", "step_failures", "tls_days_left")
TIMEOUT = timedelta(seconds=15)
CLEAN_UP = timedelta(seconds=2)
"""What is kept of the walk's time for the steps that always run, when there are some: at most half of it."""
METHODS = ("get", "post", "put", "patch", "delete")
BODIES = {"json": "application/json", "form": "application/x-www-form-urlencoded"}
"""What a step sends, and its Content-Type: a JSON value, or the fields of a form."""
EXPECTATIONS = ("text", "expect_json", "expect_headers")
STEP_FIELDS = frozenset({"name", *BODIES, "headers", "expect", "save", "always", "timeout", *EXPECTATIONS, *METHODS})
MAX_STEPS = 20

_INSTEAD = "a header of the steps, such as Authorization: $JOURNEY_TOKEN"
_ANY_BASE = "https://example.com"
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_VALUE = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}|\$([A-Z][A-Z0-9_]*)")
_SAVED = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}()")
"""Saved values alone, for what is expected: people are shown that, and no secret."""
ANY_STATUS = ((200, 299),)


@dataclass(slots=True)
class _Walk:
    """One walk: what was saved so far, and the cookies that were set."""

    attempt: Attempt
    base: str
    saved: dict[str, Any] = field(default_factory=lambda: {"run": f"tocsin-{secrets.token_hex(6)}"})
    cookies: Cookies = field(default_factory=lambda: Cookies(place_of))

    def filled(self, value: Any, names: re.Pattern[str] = _VALUE) -> Any:
        """Return the value with saved values and secrets in the place of their names, at any depth."""
        if isinstance(value, Mapping):
            return {str(name): self.filled(each, names) for name, each in value.items()}
        if isinstance(value, list | tuple):
            return [self.filled(each, names) for each in value]
        if not isinstance(value, str):
            return value
        alone = names.fullmatch(value)
        return self._value(alone) if alone else names.sub(lambda found: _written(self._value(found)), value)

    def text(self, value: str) -> str:
        """Return the text with saved values and secrets in the place of their names."""
        return _VALUE.sub(lambda found: _written(self._value(found)), value)

    def address(self, address: str) -> str:
        """Return the address of a step. A value within its path or query is escaped, unless it is a path itself."""
        begins = _path_start(address)

        def put(found: re.Match[str]) -> str:
            text = _written(self._value(found))
            is_part = found.start() > begins and not text.startswith("/")
            return quote(text, safe="", errors="surrogatepass") if is_part else text

        return _VALUE.sub(put, address)

    def written(self, text: str) -> str:
        """Return the text as the file means it: secrets and {run} in their places, saved values by name."""
        return _VALUE.sub(
            lambda found: _written(self._value(found)) if found[2] or found[1] == "run" else found[0], text
        )

    def _value(self, found: re.Match[str]) -> Any:
        if found[2]:
            return self.attempt.secret(found[2])
        if found[1] not in self.saved:
            raise Down(f"no step saved {found[1]}")
        return self.saved[found[1]]


def _path_start(address: str) -> int:
    """Return where the path of an address begins as the file writes it, which may be a path alone."""
    scheme, separator, rest = address.partition("://")
    return len(scheme + separator + rest.partition("/")[0]) if separator else 0


def _written(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


async def check(attempt: Attempt) -> None:
    """Walk once, until the first step that fails. Raise RulesError for a secret that is not set or an address that is refused."""
    base = str(attempt.params.get("base", ""))
    attempt.address = base
    attempt.expected = f"every step passes within {attempt.limit.total_seconds():g} s"
    for secret in _secrets_sent(attempt.params):
        attempt.secret(secret)  # One that is not set ends the walk before anything was made.
    failed = await _walked(_Walk(attempt, base), attempt.params.get("steps") or ())
    if failed is not None:
        raise Down(failed)
    attempt.add("latency_ms", round(attempt.elapsed * 1000, 3))
    attempt.up()


async def _walked(walk: _Walk, steps: Sequence[Mapping[str, Any]]) -> str | None:
    """Take the steps. Return why the first that failed did; None when all passed.

    Whatever ends the walk, the steps that always run are taken. What cannot be measured is raised after them.
    """
    failed: str | None = None
    unmeasured: Exception | None = None
    for number, (name, step) in enumerate(zip(step_names(steps), steps, strict=True)):
        if (failed or unmeasured) and not step.get("always"):
            continue
        later = sum(bool(each.get("always")) for each in steps[number + 1 :])
        try:
            why = await _taken(walk, name, step, later)
            failed = failed or why
        except Exception as error:
            unmeasured = unmeasured or error
    if unmeasured is not None and failed is None:
        raise unmeasured
    return failed


async def _taken(walk: _Walk, name: str, step: Mapping[str, Any], later: int) -> str | None:
    """Take a step and note how long it took. Return why it failed; None when it passed."""
    attempt, began, why = walk.attempt, time.monotonic(), None
    seconds = _seconds(attempt, step, later)
    attempt.progress(name, None, "")
    try:
        async with asyncio.timeout(seconds):
            await _take(walk, step)
    except Down as down:
        why = str(down)
    except TimeoutError:
        why = f"no whole answer within {seconds:.3g} s"
    except RefusedAddressError:
        if _host_is_ours(step):
            raise
        why = "the address is not probed"
    took = time.monotonic() - began
    attempt.add("step_ms", round(took * 1000, 3), step=name)
    attempt.add("step_failures", 1.0 if why else 0.0, step=name)
    attempt.progress(name, took, why or "")
    return f"step {name!r}: {why}" if why else None


def _seconds(attempt: Attempt, step: Mapping[str, Any], later: int) -> float:
    """Return how long a step may take: what is left of the walk, without what the `later` steps that always run need."""
    whole = attempt.limit.total_seconds()
    kept = min(CLEAN_UP.total_seconds(), whole / 2) if later else 0.0
    if step.get("always"):
        kept = attempt.left * later / (later + 1)
    # A step ends before the engine ends the walk, so that the walk knows which one it was.
    left = max(0.001, (attempt.left - kept) * 0.98)
    return min(left, duration(step["timeout"]).total_seconds()) if "timeout" in step else left


def _host_is_ours(step: Mapping[str, Any]) -> bool:
    """Return whether the rules file, and no answer, says where the step goes."""
    method = next(each for each in METHODS if each in step)
    return not any(name and name != "run" for name, _ in _VALUE.findall(str(step[method])))


async def _take(walk: _Walk, step: Mapping[str, Any]) -> None:
    """Do one step and save what it gives. Raise Down when the answer is not the expected one."""
    method = next(each for each in METHODS if each in step)
    try:
        url = urljoin(walk.base, walk.address(str(step[method])))
    except ValueError:
        raise Down("the address cannot be read") from None
    parsed(url)
    sent = next((each for each in BODIES if each in step), "")
    body = _body(sent, walk.filled(step[sent])) if sent else None
    headers = _headers(walk, step, method, url)
    if sent and "content-type" not in {name.lower() for name in headers}:
        headers["Content-Type"] = BODIES[sent]
    answer = await ask(
        walk.attempt,
        Question(method.upper(), url, walk.cookies.added(url, headers), body, trust=_trust(walk.attempt)),
    )
    walk.cookies.keep(url, answer.headers)
    _judged(walk, answer, step)
    for name, path in (step.get("save") or {}).items():
        walk.saved[str(name)] = _found(answer, str(path))


def _body(kind: str, value: Any) -> bytes:
    try:
        if kind == "form":
            return urlencode({name: _written(each) for name, each in value.items()}).encode()
        return json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise Down("a saved value cannot be sent in the body") from None


def _trust(attempt: Attempt) -> Any:
    name = str(attempt.params.get("ca") or "")
    return authority(name, attempt.secret(name)) if name else None


def _judged(walk: _Walk, answer: Answer, step: Mapping[str, Any]) -> None:
    expected = status_ranges(step.get("expect"), ANY_STATUS)
    if not is_within(answer.status, expected):
        wanted = "2xx" if expected is ANY_STATUS else range_words(expected).replace(", ", " or ")
        raise Down(f"status {answer.status}; expected is {wanted}")
    judge(walk.filled({each: step[each] for each in EXPECTATIONS if each in step}, _SAVED), answer)


def _headers(walk: _Walk, step: Mapping[str, Any], method: str, url: str) -> dict[str, str]:
    """Return the headers that the step may send to the address; Down when it has a secret that may not go there."""
    given = {str(name): str(value) for name, value in (step.get("headers") or {}).items()}
    if _is_named(walk, str(step[method]), url):
        return {name: _sendable(walk, name, value) for name, value in given.items()}
    if any(name for _, name in _VALUE.findall(repr((step[method], [step.get(each) for each in BODIES])))):
        raise Down("a saved value leads to where no secret is sent")
    return harmless(given, _VALUE.search)


def _sendable(walk: _Walk, name: str, value: str) -> str:
    found = _VALUE.findall(value)
    try:
        return sendable(name, walk.text(value), tuple(each for _, each in found if each))
    except RulesError:
        if any(each for _, each in found):
            raise
        raise Down(f"a saved value cannot be sent in the header {name}") from None


def _is_named(walk: _Walk, address: str, url: str) -> bool:
    """Return whether the rules file, and no answer, says which scheme, host and port the step goes to."""
    for each in (walk.base, urljoin(walk.base, walk.written(address))):
        try:
            if origin_of(each) == _origin(url):
                return True
        except ValueError:  # the place of a saved value, which no port is
            continue
    return False


def _origin(url: str) -> tuple[str, str, int]:
    try:
        return origin_of(url)
    except ValueError:
        raise Down("the address cannot be read") from None


def _found(answer: Answer, path: str) -> Any:
    value = at_path(answer.json, path)
    if value is MISSING:
        raise Down(f"the answer has no {path}")
    return value


def parameters(params: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the names of the secrets and settings that an entry reads."""
    ca = [str(params["ca"])] if params.get("ca") else []
    return tuple(dict.fromkeys([*(name for _, name in _VALUE.findall(str(params)) if name), *ca]))


def _secrets_sent(params: Mapping[str, Any]) -> list[str]:
    """Return the names of the secrets that a walk sends."""
    sent = [step.get(each) for step in params.get("steps") or () for each in (*METHODS, *BODIES, "headers")]
    return list(dict.fromkeys(name for _, name in _VALUE.findall(str(sent)) if name))


def validate(params: Mapping[str, Any]) -> list[str]:
    """Return the mistakes of an entry of `probes: {journey: […]}`, in words."""
    found = common_mistakes(params, required=("steps",), allowed=("base", "ca"))
    found += address_mistakes(params, "base", instead=_INSTEAD) + secret_name_mistakes(params, "ca", "INTERNAL_CA")
    steps = params.get("steps")
    if steps in (None, ""):
        return found
    if not steps or not isinstance(steps, list | tuple) or not all(isinstance(step, Mapping) for step in steps):
        return [*found, "steps must be a list of mappings, such as {name: home, get: /}"]
    if len(steps) > MAX_STEPS:
        found.append(f"steps are {len(steps)}; allowed are {MAX_STEPS}")
    known = {"run"}
    base = str(params.get("base") or "") if not address_mistakes(params, "base", instead="") else _ANY_BASE
    for number, step in enumerate(steps, start=1):
        found += [f"step {number}: {mistake}" for mistake in _step_mistakes(step, base, known)]
        known |= set(map(str, saved)) if isinstance(saved := step.get("save") or {}, Mapping) else set()
    return found


def _step_mistakes(step: Mapping[str, Any], base: str, known: set[str]) -> list[str]:
    found = [
        f"{each} is unknown; allowed are {', '.join(sorted(STEP_FIELDS))}" for each in step if each not in STEP_FIELDS
    ]
    asked = [method for method in METHODS if method in step]
    if len(asked) != 1:
        return [*found, f"exactly one of {', '.join(METHODS)} is needed"]
    if mistake := _address_mistake(str(step[asked[0]]), base):
        found.append(f"its address {mistake}")
    if not all(isinstance(step.get(each) or {}, Mapping) for each in ("headers", "save")):
        return [*found, "headers and save must be mappings"]
    found += _field_mistakes(step)
    read = [step.get(each) for each in (asked[0], *BODIES, "headers", *EXPECTATIONS)]
    used = {name for name, _ in _VALUE.findall(repr(read)) if name}
    return found + [
        f"{{{name}}} is not saved by a step before; known are {', '.join(sorted(known))}"
        for name in sorted(used - known)
    ]


def _address_mistake(address: str, base: str) -> str:
    """Return what is wrong with the address of a step, whatever its values are."""
    try:
        url = urljoin(base, _VALUE.sub("1", address))
        if urlsplit(url).scheme not in ("http", "https"):
            return "must begin with https:// or http://, or be a path with base given"
    except ValueError:
        return "is not a web address"
    return address_mistake(url, instead=_INSTEAD)


def _field_mistakes(step: Mapping[str, Any]) -> list[str]:
    """Return the mistakes of the fields beside the address."""
    found = expectation_mistakes(step)
    if "form" in step and ("json" in step or not isinstance(step["form"], Mapping)):
        found.append("form must be a mapping of field to value, and alone: json is for a JSON value")
    if not isinstance(step.get("always", False), bool):
        found.append("always must be true or false")
    if "timeout" in step and (mistake := _timeout_mistake(step["timeout"])):
        found.append(mistake)
    try:
        status_ranges(step.get("expect"), ANY_STATUS)
    except ValueError as error:
        found.append(str(error))
    mistakes = [header_mistake(str(name), str(value)) for name, value in (step.get("headers") or {}).items()]
    found += [mistake for mistake in mistakes if mistake]
    return found + [
        f"{str(name)[:40]!r} cannot be a saved value; allowed are letters, digits and _, and not run"
        for name in step.get("save") or ()
        if name == "run" or not _NAME.fullmatch(str(name))
    ]


def step_names(steps: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the names of the steps for their samples: of two of one name the second is `name (2)`."""
    names = [_step_name(step) for step in steps]
    numbers = [names[:place].count(name) + 1 for place, name in enumerate(names)]
    return [name if number == 1 else f"{name} ({number})" for name, number in zip(names, numbers, strict=True)]


def _step_name(step: Mapping[str, Any]) -> str:
    return str(step.get("name") or next((step[each] for each in METHODS if each in step), ""))


def _timeout_mistake(value: object) -> str:
    try:
        found = duration(value)
    except ValueError as error:
        return f"timeout {error}"
    return "" if timedelta(0) < found <= MAX_TIMEOUT else f"timeout must be over 0s and at most {MAX_TIMEOUT.seconds}s"
