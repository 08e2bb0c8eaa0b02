"""The OpenAPI document: it has every request, it is the checked-in one, and what the application answers is true to it."""

import json
import urllib.error
import urllib.request

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

import app
from chalicelib.api import access, openapi, problems, routes
from chalicelib.core.errors import NotFoundError, TooManyGuessesError
from tests.api_door import TOKEN, door
from tests.api_harness import RULES, ApiHarness, fire
from tests.project import ROOT

ACCESS = 'access: {admin: ["token:"]}\n'
CHECKS = (not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance)


def test_it_has_every_request_of_the_api():
    """Given the application → each of its requests is in the document, and no other; Alertmanager's are Alertmanager's."""
    written = {(method.upper(), path) for path, of in openapi.document()["paths"].items() for method in of}
    there = {
        (method, path)
        for path, methods in app.app.routes.items()
        if path.startswith("/api/") and not path.startswith("/api/v2/")
        for method in methods
    }
    assert written == there


def test_the_checked_in_file_is_up_to_date():
    """Given docs/openapi.json → it is what `python -m chalicelib.api.openapi` writes."""
    assert (ROOT / "docs" / "openapi.json").read_text("utf-8") == openapi.written()


def test_every_reference_is_there():
    """Given the references of the document → each schema exists, and each is used."""
    text = openapi.written()
    names = {each.rpartition("/")[2] for each in text.split('"') if each.startswith("#/components/schemas/")}
    assert names == set(openapi.document()["components"]["schemas"])


def test_every_summary_says_something():
    """Given an operation → its summary is a sentence, not a path."""
    for of in openapi.document()["paths"].values():
        for operation in of.values():
            assert operation["summary"]
            assert "/" not in operation["summary"].split()[0]


def test_a_problem_keeps_what_clients_read_before():
    """Given an error → the fields of RFC 9457, and `error` as ever."""
    found = problems.of_error(NotFoundError("no such thing"))
    assert found == {
        "type": "urn:tocsin:problem:not-found", "title": "Not Found", "status": 404, "detail": "no such thing",
        "error": "no such thing",
    }  # fmt: skip
    assert problems.of_error(TooManyGuessesError("x"))["type"] == "urn:tocsin:problem:too-many-guesses"


def test_a_refused_act_says_what_it_came_to():
    """Given an act on an ended incident → the word stays in `status`, and is the kind of the problem."""
    found = problems.of_refusal(409, {"error": "it is over", "status": "none_chosen", "again": "3f2a"})
    assert (found["status"], found["type"], found["detail"], found["again"]) == (
        "none_chosen", "urn:tocsin:problem:none-chosen", "it is over", "3f2a"
    )  # fmt: skip


@pytest.mark.acceptance
def test_what_is_answered_is_true_to_the_document(monkeypatch):
    """Given requests that schemathesis makes of the document, right and wrong ones, of known and unknown ids → no 5xx, and answers as it says."""
    desk = ApiHarness(fire(), fire("db", zone="eu"), fire("web", "slow", kind="slow"), rules=RULES + ACCESS)
    desk.ask("make_silence", body={"by": "ana", "id": "kept", "matchers": {"service": "api"}, "for": "9d"})
    known = {"incidents": desk.shown()["id"], "silences": "kept"}
    with door(monkeypatch, desk) as served:
        schema = schemathesis.openapi.from_dict(openapi.document())
        for found in schema.get_all_operations():
            for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
                _check(found.ok(), mode, served.url, known, desk)
    assert {path.partition("?")[0].split("/")[2] for _, path, _ in served.requests} >= {
        *known,
        "tokens",
        "who",
        "login",
    }
    assert any(status == 202 for _, _, status in served.requests)


def _check(operation, mode, url, known, desk):
    @settings(
        max_examples=25, deadline=None, derandomize=True, database=None, phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(case=operation.as_strategy(generation_mode=mode))
    def answers(case):
        kind = case.path.split("/")[2]
        if "id" in case.path_parameters and kind in known and sum(map(ord, json.dumps(str(case.body)))) % 2:
            case.path_parameters["id"] = known[kind]
        case.call_and_validate(
            base_url=url, headers={"Authorization": f"Bearer {TOKEN}"}, checks=CHECKS, timeout=30,
        )  # fmt: skip
        desk.router.settle()

    answers()


def test_who_guesses_gets_a_problem_too(monkeypatch):
    """Given no token, and too many wrong ones → problem details with their types."""
    desk = ApiHarness()
    with door(monkeypatch, desk) as served:
        found = []
        for _ in range(access.MAX_WRONG + 1):
            request = urllib.request.Request(f"{served.url}/api/alerts", headers={"Authorization": "Bearer guess"})
            with pytest.raises(urllib.error.HTTPError) as error:
                urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=20)
            assert error.value.headers["Content-Type"] == problems.CONTENT_TYPE
            found.append(json.loads(error.value.read())["type"].rpartition(":")[2])
    assert (found[0], found[-1]) == ("not-allowed", "too-many-guesses")
    assert openapi.document()["paths"]["/api/alerts"]["get"]["parameters"][1]["schema"]["maximum"] == routes.MAX_ROWS
