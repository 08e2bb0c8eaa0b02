"""A walk through an application as a user takes it: HTTP requests in order, each with what the ones before gave.

    - name: exam
      base: https://app.example.com
      timeout: 15s                       # for the whole walk
      every: 10m
      steps:
        - {name: sign up, post: /api/auth/signup, json: {email: "{run}@example.com", password: $JOURNEY_PASSWORD},
           expect: 201, save: {token: session.access_token}}
        - {name: questions, post: /api/questions/generate, headers: {Authorization: "Bearer {token}"},
           json: {topic: direito-constitucional, count: 5}, save: {first: questions.0.id}}

A step is one of get, post, put, patch, delete with a path or an address; `expect` is a status or a list of them, else
any 2xx. `save` keeps values of the JSON answer by their path. `{name}` in texts stands for a saved value, `{run}` for a
text that is new each minute, `$NAME` for a secret.

Redirects are answers and are not followed. Cookies that answers set are kept within one walk, each for its scheme, port
and host (and the hosts of its Domain). A saved value does not decide where credentials go: at a scheme, host and port
that is neither that of `base` nor that of the step's address as written, a step sends only harmless headers without
values filled in, and a step with a secret in its address or body fails.

Samples: `uptime` (1 when all steps passed), `latency_ms` (the whole walk, when it passed), and `step_ms` and
`step_failures` (1 or 0) with the label `step` for the steps that were reached. A failed walk is walked once more by
`watch`, so steps should bear being done twice. https://www.python-httpx.org/
"""

import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

import httpx

from chalicelib.core.metrics.sample import Sample
from chalicelib.probes import addresses, common_mistakes, labels_of, secret, time_limit
from chalicelib.probes._origin import Cookies, harmless, origin_of, place_of

if TYPE_CHECKING:
    from chalicelib.core.event import Event
    from chalicelib.core.ports import Clients

MEANING = "Steps of a user that are walked through."
SAMPLE = {"name": "sign-in", "base": "https://example.com", "steps": [{"name": "open", "get": "/"}]}
PLACE = 6
DEFAULT_TIMEOUT = timedelta(seconds=15)
METHODS = ("get", "post", "put", "patch", "delete")
STEP_FIELDS = frozenset({"name", "json", "headers", "expect", "save", *METHODS})
MAX_STEPS = 20

_VALUE = re.compile(r"\{([a-z_][a-z0-9_]*)\}|\$([A-Z][A-Z0-9_]*)")


class _Failed(Exception):
    """The application did not do what the step expects."""


@dataclass(slots=True)
class _Walk:
    """One walk: what it was told to do, what was saved so far, and until when it may last."""

    base: str
    clients: "Clients"
    ends_at: float
    saved: dict[str, str] = field(default_factory=dict)
    cookies: Cookies = field(default_factory=lambda: Cookies(place_of))

    def filled(self, value: Any) -> Any:
        """The value with saved values and secrets in the place of their names, at any depth."""
        if isinstance(value, Mapping):
            return {str(name): self.filled(each) for name, each in value.items()}
        if isinstance(value, list | tuple):
            return [self.filled(each) for each in value]
        return _VALUE.sub(self._named, value) if isinstance(value, str) else value

    def written(self, text: str) -> str:
        """The text as the file means it: secrets and {run} in their places, saved values by name."""
        return _VALUE.sub(lambda found: self._named(found) if found[2] or found[1] == "run" else found[0], text)

    def _named(self, found: re.Match[str]) -> str:
        if found[2]:
            return secret(self.clients, found[2])
        if found[1] not in self.saved:
            raise _Failed(f"no step saved {found[1]}")
        return self.saved[found[1]]


def check(params: Mapping[str, Any], clients: "Clients", *, now: datetime) -> "list[Sample | Event]":
    """One walk, until the first step that fails. RulesError for a secret that is not set or an address that is refused."""
    started, labels = time.monotonic(), labels_of(params)
    ends_at = started + time_limit(params, DEFAULT_TIMEOUT).total_seconds()
    walk = _Walk(str(params.get("base", "")), clients, ends_at, {"run": f"tocsin-{int(now.timestamp()) // 60}"})
    found: list[Sample | Event] = []
    passed = True
    for step in params.get("steps") or ():
        began = time.monotonic()
        passed = _passes(walk, step)
        at_step = {**labels, "step": _step_name(step)}
        found.append(Sample("step_ms", _milliseconds(began), now, at_step))
        found.append(Sample("step_failures", 0.0 if passed else 1.0, now, at_step))
        if not passed:
            break
    found.append(Sample("uptime", 1.0 if passed else 0.0, now, labels))
    if passed:
        found.append(Sample("latency_ms", _milliseconds(started), now, labels))
    return found


def parameters(params: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the names of the secrets and settings that an entry reads."""
    return tuple(dict.fromkeys(name for _, name in _VALUE.findall(str(params)) if name))


def validate(params: Mapping[str, Any]) -> list[str]:
    """The mistakes of an entry of `probes: {journey: […]}`, in words."""
    found = common_mistakes(params, required=("steps",), allowed=("base",))
    steps = params.get("steps")
    if steps in (None, ""):
        return found
    if not steps or not isinstance(steps, list | tuple) or not all(isinstance(step, Mapping) for step in steps):
        return [*found, "steps must be a list of mappings, such as {name: home, get: /}"]
    if len(steps) > MAX_STEPS:
        found.append(f"steps are {len(steps)}; allowed are {MAX_STEPS}")
    known = {"run"}
    for number, step in enumerate(steps, start=1):
        found += [f"step {number}: {mistake}" for mistake in _step_mistakes(step, str(params.get("base", "")), known)]
        known |= set(step.get("save") or ())
    return found


def _step_mistakes(step: Mapping[str, Any], base: str, known: set[str]) -> list[str]:
    found = [
        f"{each} is unknown; allowed are {', '.join(sorted(STEP_FIELDS))}" for each in step if each not in STEP_FIELDS
    ]
    asked = [method for method in METHODS if method in step]
    if len(asked) != 1:
        return [*found, f"exactly one of {', '.join(METHODS)} is needed"]
    if urlsplit(urljoin(base, str(step[asked[0]]))).scheme not in ("http", "https"):
        found.append("its address must begin with https:// or http://, or be a path with base given")
    if not all(isinstance(step.get(each) or {}, Mapping) for each in ("headers", "save")):
        return [*found, "headers and save must be mappings"]
    try:
        _expected(step)
    except ValueError:
        found.append("expect must be a status, or a list of them")
    used = {name for name, _ in _VALUE.findall(repr((step[asked[0]], step.get("json"), step.get("headers")))) if name}
    return found + [
        f"{{{name}}} is not saved by a step before; known are {', '.join(sorted(known))}"
        for name in sorted(used - known)
    ]


def _passes(walk: _Walk, step: Mapping[str, Any]) -> bool:
    try:
        _take(walk, step)
    except (_Failed, OSError, httpx.HTTPError, httpx.InvalidURL):
        return False
    return True


def _take(walk: _Walk, step: Mapping[str, Any]) -> None:
    """Do one step and save what it gives; _Failed when the answer is not the expected one."""
    method = next(each for each in METHODS if each in step)
    url = urljoin(walk.base, walk.filled(str(step[method])))
    headers = walk.cookies.added(url, _headers(walk, step, method, url))
    _, host, port = _origin(url)
    addresses(host, port)
    left = walk.ends_at - time.monotonic()
    if left <= 0:
        raise _Failed("no time left")
    response = walk.clients.http().request(
        method.upper(),
        url,
        json=walk.filled(step["json"]) if "json" in step else None,
        headers=headers,
        timeout=left,
        follow_redirects=False,
    )
    walk.cookies.keep(url, response)
    expected = _expected(step)
    if response.status_code not in expected if expected else not response.is_success:
        raise _Failed(f"status {response.status_code}")
    for name, path in (step.get("save") or {}).items():
        walk.saved[str(name)] = _found(response, str(path))


def _headers(walk: _Walk, step: Mapping[str, Any], method: str, url: str) -> dict[str, str]:
    """The headers that the step may send to the address; _Failed when it has a secret that may not go there."""
    given = step.get("headers") or {}
    if _is_named(walk, str(step[method]), url):
        return dict(walk.filled(given))
    if any(name for _, name in _VALUE.findall(repr((step[method], step.get("json"))))):
        raise _Failed("a saved value leads to where no secret is sent")
    return harmless(given, _VALUE.search)


def _is_named(walk: _Walk, address: str, url: str) -> bool:
    """True when the rules file, and no answer, says which scheme, host and port the step goes to."""
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
        raise _Failed("the address cannot be read") from None


def _found(response: httpx.Response, path: str) -> str:
    try:
        value = response.json()
        for part in path.split("."):
            value = value[int(part)] if isinstance(value, list) else value[part]
    except (ValueError, KeyError, IndexError, TypeError):
        raise _Failed(f"the answer has no {path}") from None
    return str(value)


def _expected(step: Mapping[str, Any]) -> Sequence[int]:
    expect = step.get("expect")
    if expect is None:
        return ()
    found = [int(each) for each in (expect if isinstance(expect, list | tuple) else [expect])]
    if not all(100 <= status <= 599 for status in found):
        raise ValueError
    return found


def _step_name(step: Mapping[str, Any]) -> str:
    return str(step.get("name") or next((step[each] for each in METHODS if each in step), ""))


def _milliseconds(since: float) -> float:
    return round((time.monotonic() - since) * 1000, 3)
