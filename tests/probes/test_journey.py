"""The journey probe against a real server: a walk that passes, steps that fail, what is handed on."""

import json
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
