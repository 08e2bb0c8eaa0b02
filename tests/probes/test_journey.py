"""The journey probe against a real server: a walk that passes, steps that fail, what is handed on."""

import json
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest

from chalicelib.core.errors import RulesError
from chalicelib.core.metrics.sample import Sample
from chalicelib.probes import journey

from .conftest import NOW, FixedClients, Web, answer, free_port

STEPS = [
    {
        "name": "sign up",
        "post": "/signup",
        "json": {"email": "{run}@example.com", "password": "$JOURNEY_PASSWORD", "tags": ["{run}", 3]},
        "expect": 201,
        "save": {"token": "session.access_token"},
    },
    {"name": "questions", "post": "/questions", "headers": {"Authorization": "Bearer {token}"}, "save": {"id": "0.id"}},
    {"name": "exam", "get": "/exams/{id}"},
]


@pytest.fixture
def app(web: Web) -> Web:
    """An application in which the walk passes."""
    web.answers |= {
        "/signup": answer(201, json.dumps({"session": {"access_token": "t0"}})),
        "/questions": answer(200, json.dumps([{"id": 7}])),
        "/exams/7": answer(200),
    }
    return web


def walked(web: Web, **params: Any) -> list[Sample]:
    """The samples of one walk."""
    clients = FixedClients({"JOURNEY_PASSWORD": "pass"})
    found = journey.check({"name": "exam", "base": web.url, "steps": STEPS, **params}, clients, now=NOW)
    return [each for each in found if isinstance(each, Sample)]


def failures(samples: list[Sample]) -> dict[str, float | None]:
    """Which of the steps that were reached failed."""
    return {each.labels["step"]: each.value for each in samples if each.metric == "step_failures"}


def test_passes(app: Web) -> None:
    """All steps pass, each with its time, and values and secrets are handed on."""
    found = walked(app)
    assert failures(found) == {"sign up": 0.0, "questions": 0.0, "exam": 0.0}
    values = {each.metric: each.value for each in found if "step" not in each.labels}
    assert values["uptime"] == 1.0 and (values["latency_ms"] or 0) > 0
    sent = json.loads(app.seen[0][3])
    assert (
        sent["password"] == "pass" and sent["email"].startswith("tocsin-") and sent["tags"] == [sent["email"][:-12], 3]
    )
    assert app.seen[1][2]["Authorization"] == "Bearer t0"


@pytest.mark.parametrize(
    ("path", "status", "text"),
    [("/questions", 500, "{}"), ("/questions", 200, "{}"), ("/questions", 200, "no json"), ("/questions", 302, "[]")],
)
def test_fails(app: Web, path: str, status: int, text: str) -> None:
    """The first step that does not do what is expected ends the walk."""
    app.answers[path] = answer(status, text)
    found = walked(app)
    assert failures(found) == {"sign up": 0.0, "questions": 1.0}
    assert {each.metric: each.value for each in found if "step" not in each.labels} == {"uptime": 0.0}


def test_other_status_than_expected(app: Web) -> None:
    """A named status is expected exactly."""
    app.answers["/signup"] = answer(200, "{}")
    assert failures(walked(app)) == {"sign up": 1.0}


def test_nothing_listens_and_no_time(app: Web) -> None:
    """A server that is away fails the step, and so does one that is too slow."""
    assert failures(walked(app, base=f"http://127.0.0.1:{free_port()}")) == {"sign up": 1.0}
    app.answers["/signup"] = lambda handler: app.stopped.wait(5) and None
    assert failures(walked(app, timeout="0.2s")) == {"sign up": 1.0}


def test_own_mistakes(app: Web) -> None:
    """A secret that is not set and a refused address are the probe's fault."""
    with pytest.raises(RulesError, match="JOURNEY_PASSWORD is not set"):
        journey.check({"name": "exam", "base": app.url, "steps": STEPS}, FixedClients(), now=NOW)
    with pytest.raises(RulesError, match="not probed"):
        walked(app, base="http://169.254.169.254")


def members(handler: BaseHTTPRequestHandler) -> None:
    """A page for who is logged in."""
    answer(200 if "session=1" in (handler.headers.get("Cookie") or "") else 401)(handler)


def cookies(web: Web) -> list[str | None]:
    """The cookies of the requests that a server saw."""
    return [headers.get("Cookie") for _, _, headers, _ in web.seen]


def test_cookies_live_for_one_walk(web: Web) -> None:
    """A log-in by cookie → the steps after it are logged in, and the next walk begins without it."""
    web.answers |= {"/login": answer(200, headers={"Set-Cookie": "session=1; Path=/"}), "/members": members}
    clients = FixedClients()
    steps = [{"post": "/login"}, {"get": "/members", "headers": {"Cookie": "plan=pro"}}]
    for _ in range(2):
        found = journey.check({"name": "exam", "base": web.url, "steps": steps}, clients, now=NOW)
        assert [each.value for each in found if isinstance(each, Sample) and each.metric == "uptime"] == [1.0]
    assert cookies(web) == [None, "plan=pro; session=1"] * 2


def test_cookies_stay_at_their_port(web: Web, other: Web) -> None:
    """A step at another port of the same host → it gets no cookies of the first."""
    web.answers["/login"] = answer(200, headers={"Set-Cookie": "session=1; Path=/"})
    other.answers["/"] = answer(200)
    assert failures(walked(web, steps=[{"post": "/login"}, {"name": "b", "get": f"{other.url}/"}]))["b"] == 0.0
    assert cookies(other) == [None]


CREDENTIALS = {
    "Authorization": "Bearer $JOURNEY_PASSWORD",
    "apikey": "pass",
    "X-Session": "{token}",
    "Accept-Language": "{token}",
    "Accept": "text/html",
    "User-Agent": "Probe",
}


def led_to(web: Web, other: Web, step: dict[str, Any], place: str) -> dict[str, float | None]:
    """Walk where the first step's answer saves `place`; which steps failed."""
    web.answers["/start"] = answer(200, json.dumps({"to": place, "token": "t0"}))
    other.answers["/in"] = answer(200)
    start = {"name": "start", "get": "/start", "save": {"to": "to", "token": "token"}}
    return failures(walked(web, steps=[start, {"name": "go", "headers": CREDENTIALS, **step}]))


def arrived(web: Web) -> set[str]:
    """Which of the headers above the last request brought, with their values."""
    filled = {
        name: value.replace("$JOURNEY_PASSWORD", "pass").replace("{token}", "t0") for name, value in CREDENTIALS.items()
    }
    return {name for name, value in filled.items() if web.seen[-1][2].get(name) == value}


@pytest.mark.parametrize("address", ["{to}", "http:{to}", "http://{to}"])
def test_a_saved_value_takes_no_credentials_elsewhere(web: Web, other: Web, address: str) -> None:
    """A step whose host an answer chose → harmless headers without filled values alone arrive there."""
    place = f"//localhost:{other.port}/in" if address != "http://{to}" else f"localhost:{other.port}/in"
    assert led_to(web, other, {"get": address}, place) == {"start": 0.0, "go": 0.0}
    assert arrived(other) == {"Accept", "User-Agent"}
    assert "pass" not in repr(other.seen) and "t0" not in repr(other.seen)


@pytest.mark.parametrize(
    "step", [{"post": "{to}", "json": {"password": ["$JOURNEY_PASSWORD"]}}, {"get": "{to}?key=$JOURNEY_PASSWORD"}]
)
def test_no_secret_follows_a_saved_value(web: Web, other: Web, step: dict[str, Any]) -> None:
    """A secret in the body or address of a step whose host an answer chose → the step fails, nothing is sent."""
    assert led_to(web, other, step, f"{other.url}/in") == {"start": 0.0, "go": 1.0}
    assert other.seen == []


def test_credentials_go_where_the_file_says(web: Web, other: Web) -> None:
    """A step at another host as the file writes it, or at the base by a saved value → all headers arrive."""
    assert led_to(web, other, {"get": f"{other.url}/in"}, "")["go"] == 0.0
    assert arrived(other) == set(CREDENTIALS)
    web.answers["/in"] = answer(200)
    assert led_to(web, other, {"get": "{to}"}, f"{web.url}/in")["go"] == 0.0
    assert arrived(web) == set(CREDENTIALS)


def test_a_place_that_is_none_fails_the_step(web: Web, other: Web) -> None:
    """A saved value that makes no address → the step fails."""
    assert led_to(web, other, {"get": "http://localhost:{to}/"}, "no port")["go"] == 1.0


def test_a_redirect_is_not_followed(web: Web, other: Web) -> None:
    """A redirect to another server → the step fails, and nothing arrives there."""
    web.answers["/start"] = answer(307, headers={"Location": f"{other.url}/in"})
    steps = [{"name": "go", "post": "/start", "headers": {"apikey": "$JOURNEY_PASSWORD"}}]
    assert failures(walked(web, steps=steps)) == {"go": 1.0}
    assert other.seen == []


MISTAKES = [
    ({"steps": None}, "steps is missing"),
    ({"steps": "x"}, "steps must be a list"),
    ({"steps": []}, "steps must be a list"),
    ({"steps": [{"get": "/"}] * 21}, "steps are 21; allowed are 20"),
    ({"steps": [{"name": "x"}]}, "step 1: exactly one of get, post"),
    ({"steps": [{"get": "/", "post": "/"}]}, "step 1: exactly one of get, post"),
    ({"steps": [{"get": "/", "expct": 200}]}, "step 1: expct is unknown"),
    ({"steps": [{"get": "/", "expect": "fine"}]}, "step 1: expect must be a status"),
    ({"steps": [{"get": "/", "save": ["x"]}]}, "step 1: headers and save must be mappings"),
    ({"steps": [{"get": "/{token}"}]}, "step 1: {token} is not saved by a step before; known are run"),
    ({"base": "", "steps": [{"get": "/"}]}, "step 1: its address must begin with"),
]


@pytest.mark.parametrize(("change", "words"), MISTAKES)
def test_mistakes(change: dict[str, Any], words: str) -> None:
    """Each mistake is told with the number of its step."""
    found = journey.validate({"name": "exam", "base": "https://example.com", "steps": STEPS, **change})
    assert len(found) == 1 and words in found[0]


def test_valid() -> None:
    """The walk of these tests has no mistakes."""
    assert journey.validate({"name": "exam", "base": "https://example.com", "steps": STEPS, "every": "10m"}) == []
