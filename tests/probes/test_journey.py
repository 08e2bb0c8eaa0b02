"""The journey probe against a real server: a walk that passes, steps that fail, what is handed on."""

import gzip
import json
import re
import socket
import tracemalloc
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest

from chalicelib.core.metrics.sample import Sample
from chalicelib.probes import Names, journey, look_up

from .conftest import FixedClients, Web, answer, free_port, reason, result, tried, values

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
    found = tried(journey, {"name": "exam", "base": web.url, "steps": STEPS, **params}, clients)
    assert not found.events
    return list(found.samples)


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
    params = {"name": "exam", "base": app.url, "steps": STEPS}
    assert "JOURNEY_PASSWORD is not set" in reason(tried(journey, params, FixedClients()))
    clients = FixedClients({"JOURNEY_PASSWORD": "pass"})
    assert "not probed" in reason(tried(journey, {**params, "base": "http://169.254.169.254"}, clients))


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
        found = tried(journey, {"name": "exam", "base": web.url, "steps": steps}, clients)
        assert values(found)["uptime"] == 1.0
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


def test_each_walk_is_new(web: Web) -> None:
    """Given an account that exists from the first walk, which failed at step 2 → the second walk makes another and passes."""
    made: list[str] = []
    failures_left = [503]

    def sign_up(handler: BaseHTTPRequestHandler) -> None:
        email = json.loads(web.seen[-1][3])["email"]
        answer(409 if email in made else 201)(handler)
        made.append(email)

    def exam(handler: BaseHTTPRequestHandler) -> None:
        answer(failures_left.pop() if failures_left else 200)(handler)

    web.answers |= {"/signup": sign_up, "/exam": exam}
    steps = [
        {"name": "sign up", "post": "/signup", "json": {"email": "{run}@example.com"}, "expect": 201},
        {"name": "exam", "get": "/exam"},
    ]
    params = {"name": "exam", "base": web.url, "steps": steps}
    first, second = (tried(journey, params, FixedClients()) for _ in range(2))
    assert failures(list(first.samples)) == {"sign up": 0.0, "exam": 1.0}
    assert result(first).startswith("step 'exam': status 503; expected is 2xx, after ")
    assert values(second)["uptime"] == 1.0
    assert len(set(made)) == 2


SAVED = {"yes": True, "none": None, "number": 5, "part": 1.5, "object": {"x": [1]}, "text": "é"}


def test_saved_values_stay_json(web: Web) -> None:
    """Given saved values of every kind → a text that is one alone becomes the value; in a longer one it is as JSON writes it."""
    web.answers |= {"/a": answer(200, json.dumps(SAVED)), "/b": answer(200)}
    sent = {name: f"{{{name}}}" for name in SAVED} | {"all": "{yes} {none} {number} {part} {object} {text}"}
    steps = [{"get": "/a", "save": {name: name for name in SAVED}}, {"post": "/b", "json": sent}]
    assert set(failures(walked(web, steps=steps)).values()) == {0.0}
    assert json.loads(web.seen[1][3]) == {**SAVED, "all": 'true null 5 1.5 {"x": [1]} é'}


def test_clean_up_always_runs(web: Web) -> None:
    """Given a step that fails after something was made → the steps with `always` run, and the first failure is the reason."""
    web.answers |= {
        "/made": answer(201, '{"id": 7}'),
        "/used": answer(500),
        "/made/7": answer(204),
        "/other": answer(200),
    }
    steps = [
        {"name": "make", "post": "/made", "save": {"id": "id"}},
        {"name": "use", "get": "/used"},
        {"name": "more", "get": "/other"},
        {"name": "clean", "delete": "/made/{id}", "always": True},
    ]
    found = tried(journey, {"name": "exam", "base": web.url, "steps": steps}, FixedClients())
    assert failures(list(found.samples)) == {"make": 0.0, "use": 1.0, "clean": 0.0}
    assert [seen[:2] for seen in web.seen] == [("POST", "/made"), ("GET", "/used"), ("DELETE", "/made/7")]
    assert values(found)["uptime"] == 0.0 and result(found).startswith("step 'use': status 500; expected is 2xx")


def test_clean_up_runs_after_a_walk_that_took_all_its_time(web: Web) -> None:
    """Given a step that hangs until the end of the walk → the steps with `always` still run, and the step is blamed."""
    web.answers |= {"/slow": lambda handler: web.stopped.wait(5) and None, "/made": answer(204)}
    steps = [{"name": "slow", "get": "/slow"}, {"name": "clean", "delete": "/made", "always": True}]
    params = {"name": "exam", "base": web.url, "steps": steps, "timeout": "1s"}
    found = tried(journey, params, FixedClients())
    assert failures(list(found.samples)) == {"slow": 1.0, "clean": 0.0}
    assert re.match(r"step 'slow': no whole answer within 0\.\d+ s, after ", result(found))


BROKEN: dict[str, tuple[dict[str, Any], str]] = {
    "no resolver": ({"get": "http://trouble.test/"}, "the resolver could not look up the host name"),
    "a refused address": ({"get": "http://169.254.169.254/"}, "not probed"),
    "no secret in use": ({"get": "/used", "headers": {"X-A": "$BAD_LINE"}}, "the secret BAD_LINE"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_clean_up_runs_whatever_ends_the_walk(web: Web, name: str) -> None:
    """Given a step that cannot be measured after something was made → the clean-up runs, and the walk cannot be measured."""
    step, words = BROKEN[name]
    web.answers |= {"/made": answer(201, '{"id": 7}'), "/made/7": answer(204)}
    steps = [
        {"name": "make", "post": "/made", "save": {"id": "id"}},
        {"name": "use", **step},
        {"name": "clean", "delete": "/made/{id}", "always": True},
    ]

    def find(host: str, port: int) -> Any:
        if host == "trouble.test":
            raise socket.gaierror(socket.EAI_AGAIN, "try again")
        return look_up(host, port)

    params = {"name": "exam", "base": web.url, "steps": steps}
    found = tried(journey, params, FixedClients({"BAD_LINE": "a\nb"}), names=Names(find))
    assert [seen[:2] for seen in web.seen] == [("POST", "/made"), ("DELETE", "/made/7")]
    assert "uptime" not in values(found)
    assert words in (found.events[0].summary or "")


def test_a_secret_that_is_missing_is_found_before_the_first_step(web: Web) -> None:
    """Given a secret of a late step that is not set → no step runs, so that nothing is made."""
    web.answers["/made"] = answer(201)
    steps = [{"post": "/made"}, {"get": "/used", "headers": {"Authorization": "$NOT_SET"}}]
    found = tried(journey, {"name": "exam", "base": web.url, "steps": steps}, FixedClients())
    assert web.seen == [] and "the secret NOT_SET is not set" in (found.events[0].summary or "")


def test_a_failed_clean_up_fails_the_walk(web: Web) -> None:
    """Given steps that pass and a clean-up that does not → down, since what was made stays."""
    web.answers |= {"/": answer(200), "/made": answer(500)}
    steps = [{"name": "a", "get": "/"}, {"name": "clean", "delete": "/made", "always": True}]
    assert failures(walked(web, steps=steps)) == {"a": 0.0, "clean": 1.0}


def test_a_step_has_a_time_limit(web: Web) -> None:
    """Given a step with a limit of its own that hangs → it fails then, long before the end of the walk."""
    web.answers["/slow"] = lambda handler: web.stopped.wait(5) and None
    found = walked(web, steps=[{"name": "slow", "get": "/slow", "timeout": "0.2s"}])
    (took,) = [each.value or 0 for each in found if each.metric == "step_ms"]
    assert failures(found) == {"slow": 1.0} and 200 <= took < 5_000


def test_steps_of_one_name_have_series_of_their_own(web: Web) -> None:
    """Given two steps of one name → the second has a number."""
    web.answers |= {"/": answer(200), "/b": answer(500)}
    assert failures(walked(web, steps=[{"get": "/"}, {"get": "/"}, {"name": "/", "get": "/b"}])) == {
        "/": 0.0,
        "/ (2)": 0.0,
        "/ (3)": 1.0,
    }


def test_a_bomb_in_a_step_takes_no_memory(web: Web) -> None:
    """Given a step whose answer is text of 100 MB packed small → not measured, with little memory: its JSON is not read."""
    packed = gzip.compress(b"{" + b" " * 100_000_000)

    def bomb(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Encoding", "gzip")
        handler.send_header("Content-Length", str(len(packed)))
        handler.end_headers()
        handler.wfile.write(packed)

    web.answers |= {"/": bomb}
    tracemalloc.start()
    steps = [{"name": "bomb", "get": "/", "save": {"a": "b"}}]
    found = tried(journey, {"name": "j", "base": web.url, "steps": steps}, FixedClients())
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found.events[0].summary == "the answer is over 1,000,000 bytes, so that its JSON is not read"
    assert most < 10_000_000


def test_a_saved_value_may_lead_to_no_refused_address(web: Web) -> None:
    """Given an answer that chooses an address nothing may connect to → the step fails, and the probe still measures."""
    web.answers["/"] = answer(200, json.dumps({"to": "http://169.254.169.254/"}))
    steps = [{"get": "/", "save": {"to": "to"}}, {"name": "go", "get": "{to}"}]
    assert failures(walked(web, steps=steps))["go"] == 1.0


MISTAKES = [
    ({"steps": None}, "steps is missing"),
    ({"steps": "x"}, "steps must be a list"),
    ({"steps": []}, "steps must be a list"),
    ({"steps": [{"name": str(n), "get": "/"} for n in range(21)]}, "steps are 21; allowed are 20"),
    ({"steps": [{"name": "x"}]}, "step 1: exactly one of get, post"),
    ({"steps": [{"get": "/", "post": "/"}]}, "step 1: exactly one of get, post"),
    ({"steps": [{"get": "/", "expct": 200}]}, "step 1: expct is unknown"),
    ({"steps": [{"get": "/", "expect": "fine"}]}, "step 1: expect 'fine' is not a status"),
    ({"steps": [{"get": "/", "save": ["x"]}]}, "step 1: headers and save must be mappings"),
    ({"steps": [{"get": "/", "always": "yes"}]}, "step 1: always must be true or false"),
    ({"steps": [{"get": "/", "timeout": "soon"}]}, "step 1: timeout 'soon' is not a duration"),
    ({"steps": [{"get": "/", "timeout": "1h"}]}, "step 1: timeout must be over 0s and at most 20s"),
    ({"steps": [{"get": "/", "expect_json": 3}]}, "step 1: expect_json must be a mapping"),
    ({"steps": [{"get": "/{token}"}]}, "step 1: {token} is not saved by a step before; known are run"),
    ({"base": "", "steps": [{"get": "/"}]}, "step 1: its address must begin with"),
    ({"steps": [{"get": "/", "expect": [None]}]}, "step 1: expect 'None' is not a status"),
    ({"steps": [{"get": "/", "expect": {"a": 1}}]}, "step 1: expect"),
    ({"steps": [{"post": "/", "form": "a=1"}]}, "step 1: form must be a mapping"),
    ({"steps": [{"post": "/", "form": {}, "json": {}}]}, "step 1: form must be a mapping of field to value, and alone"),
    ({"steps": [{"post": "/", "form": {"a": "{other}"}}]}, "step 1: {other} is not saved"),
    ({"steps": [{"get": "/", "save": 5}]}, "step 1: headers and save must be mappings"),
    ({"steps": [{"get": "/", "save": {"run": "a"}}]}, "step 1: 'run' cannot be a saved value"),
    ({"steps": [{"get": "/", "save": {"a-b": "a"}}]}, "step 1: 'a-b' cannot be a saved value"),
    ({"steps": [{"get": "/", "headers": {"A": "{accessToken}"}}]}, "step 1: {accessToken} is not saved"),
    ({"steps": [{"get": "/", "expect_json": {"a": "{other}"}}]}, "step 1: {other} is not saved"),
    ({"steps": [{"get": "/", "headers": {"TE": "gzip"}}]}, "step 1: TE is set by the probe itself"),
]


@pytest.mark.parametrize(("change", "words"), MISTAKES)
def test_mistakes(change: dict[str, Any], words: str) -> None:
    """Each mistake is told with the number of its step."""
    found = journey.validate({"name": "exam", "base": "https://example.com", "steps": STEPS, **change})
    assert len(found) == 1 and words in found[0]


def test_valid() -> None:
    """The walk of these tests has no mistakes."""
    assert journey.validate({"name": "exam", "base": "https://example.com", "steps": STEPS, "every": "10m"}) == []


@pytest.mark.parametrize(
    "step",
    [
        {"get": "/b?{bad}"},
        {"get": "{place}"},
        {"post": "/b", "json": {"a": "{bad}"}},
        {"get": "/b", "headers": {"X-A": "{bad}"}},
    ],
)
def test_a_saved_value_that_no_text_can_hold_fails_the_step(web: Web, step: dict[str, Any]) -> None:
    """Given a saved half of a character, or a name that is none, in a step → that step fails, in words."""
    web.answers["/a"] = answer(200, r'{"bad": "\ud800", "place": "http://xn--zzzzzz.invalid/"}')
    steps = [{"get": "/a", "save": {"bad": "bad", "place": "place"}}, {"name": "second", **step}]
    found = tried(journey, {"name": "j", "base": web.url, "steps": steps}, FixedClients())
    assert values(found)["uptime"] == 0.0
    assert result(found).startswith("step 'second': "), result(found)


def test_names_in_any_case_and_expected_values(web: Web) -> None:
    """Given a saved value of any case → it is sent, and filled in where something is expected, a number as a number."""
    web.answers["/in"] = answer(200, '{"accessToken": "t0ken", "id": 7}')
    web.answers["/me"] = answer(206, '{"id": 7, "token": "t0ken"}', {"X-User": "user 7"})
    steps = [
        {"get": "/in", "save": {"accessToken": "accessToken", "id": "id"}},
        {
            "get": "/me", "headers": {"Authorization": "Bearer {accessToken}"}, "expect": "200-299",
            "text": '"token": "{accessToken}"', "expect_json": {"id": "{id}"}, "expect_headers": {"X-User": "user {id}"},
        },
    ]  # fmt: skip
    found = tried(journey, {"name": "j", "base": web.url, "steps": steps}, FixedClients())
    assert values(found)["uptime"] == 1.0
    assert web.seen[1][2]["Authorization"] == "Bearer t0ken"


PATHS = [
    ("/b/{x}", "a b/../?&#é", "/b/a%20b%2F..%2F%3F%26%23%C3%A9"),
    ("/b?q={x}&r=1", "a&b", "/b?q=a%26b&r=1"),
    ("{x}", "/c?d=1", "/c?d=1"),
    ("/v1{x}", "/c?d=1", "/v1/c?d=1"),
]


@pytest.mark.parametrize(("address", "value", "path"), PATHS)
def test_a_saved_value_within_a_path_is_escaped(web: Web, address: str, value: str, path: str) -> None:
    """Given a saved value in a path or a query → one part of it, whatever signs it has; a path itself stays one."""
    web.answers["/a"] = answer(200, json.dumps({"x": value}))
    steps = [{"get": "/a", "save": {"x": "x"}}, {"get": address, "expect": 404}]
    tried(journey, {"name": "j", "base": web.url, "steps": steps}, FixedClients())
    assert web.seen[1][1] == path


def test_each_clean_up_has_a_share_of_the_time(web: Web) -> None:
    """Given a first step that always runs and hangs → the second one has as much time, and is taken."""
    web.answers["/hangs"] = lambda handler: web.stopped.wait(5) and None
    web.answers["/gone"] = answer(204)
    steps = [
        {"name": "fails", "get": "/none"},
        {"name": "hangs", "delete": "/hangs", "always": True},
        {"name": "gone", "delete": "/gone", "always": True},
    ]
    found = tried(journey, {"name": "j", "base": web.url, "timeout": "1s", "steps": steps}, FixedClients())
    took = {each.labels["step"]: each.value or 0.0 for each in found.samples if each.metric == "step_ms"}
    assert [path for _, path, _, _ in web.seen] == ["/none", "/hangs", "/gone"]
    assert took["hangs"] < 600


def test_a_form_is_sent(web: Web) -> None:
    """Given a step with a form → its fields as browsers send them, with secrets and saved values in their places."""
    web.answers |= {"/a": answer(200, '{"csrf": "a&b", "n": 7}'), "/login": answer(200)}
    form = {"user": "é", "password": "$PW", "csrf": "{csrf}", "n": "{n}"}
    steps = [{"get": "/a", "save": {"csrf": "csrf", "n": "n"}}, {"post": "/login", "form": form}]
    params = {"name": "j", "base": web.url, "steps": steps}
    found = tried(journey, params, FixedClients({"PW": "p w"}))
    assert values(found)["uptime"] == 1.0 and journey.parameters(params) == ("PW",)
    assert web.seen[1][2]["Content-Type"] == "application/x-www-form-urlencoded"
    assert web.seen[1][3] == b"user=%C3%A9&password=p+w&csrf=a%26b&n=7"
