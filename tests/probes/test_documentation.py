"""Every example of docs/probes.md: the checker takes it, it names every field, and those of HTTP pass on a real server."""

import json
import re
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
import yaml

from chalicelib.probes import COMMON_FIELDS, journey, uptime
from chalicelib.rules.file import check

from .conftest import Tls, answer, tried, values

TEXT = (Path(__file__).parents[2] / "docs" / "probes.md").read_text()
EXAMPLES = re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)
ENTRIES = [
    (kind, entry) for text in EXAMPLES for kind, listed in yaml.safe_load(text)["probes"].items() for entry in listed
]


@pytest.mark.parametrize("text", EXAMPLES)
def test_the_checker_takes_every_example(text: str) -> None:
    """Given an example as a rules file → no mistakes, and nothing to doubt."""
    report = check(text)
    assert (report.mistakes, report.warnings) == ((), ())


def fields(kind: str) -> set[str]:
    """The fields that the examples of a kind have."""
    return {field for each, entry in ENTRIES if each == kind for field in entry}


def test_the_examples_have_every_field() -> None:
    """Given the fields of a probe → each one is in an example."""
    assert {*COMMON_FIELDS, *uptime.FIELDS, "url"} - fields("uptime") == set()
    steps = {field for each, entry in ENTRIES if each == "journey" for step in entry["steps"] for field in step}
    assert journey.STEP_FIELDS - steps == set()
    assert {"base", "ca", "steps"} <= fields("journey")


def entry(kind: str, name: str) -> dict[str, Any]:
    """An example by its name."""
    return next(entry for each, entry in ENTRIES if each == kind and entry["name"] == name)


def at(tls: Tls, params: dict[str, Any]) -> dict[str, Any]:
    """An example with its addresses at the test's server."""
    return json.loads(re.sub(r"https://[a-z.]*example\.com(?=[/\"])", tls.web.url, json.dumps(params)))  # type: ignore[no-any-return]


def test_the_uptime_example_passes(tls: Tls) -> None:
    """Given a server that does what the example expects → up with all of its samples; otherwise down."""
    tls.trusting.secrets["HEALTH_TOKEN"] = "t0"
    body = '{"status": "ok", "checks": [{"healthy": true}]}'
    tls.web.answers["/health"] = answer(200, body, {"Content-Type": "application/json"})
    found = values(tried(uptime, at(tls, entry("uptime", "shop")), tls.trusting))
    assert found["uptime"] == 1.0
    assert set(found) == {"uptime", "latency_ms", "tls_days_left", "dns_ms", "connect_ms", "tls_ms", "first_byte_ms"}
    assert tls.web.seen[0][0] == "POST" and tls.web.seen[0][3] == b'{"deep": true}'
    tls.web.answers["/health"] = answer(200, body.replace("true", "false"), {"Content-Type": "application/json"})
    assert values(tried(uptime, at(tls, entry("uptime", "shop")), tls.trusting))["uptime"] == 0.0


def test_the_journey_example_passes(tls: Tls) -> None:
    """Given an application → the walk passes, and what it made is gone at the end."""
    users: set[int] = set()

    def sign_up(handler: BaseHTTPRequestHandler) -> None:
        users.add(7)
        answer(201, '{"session": {"token": "t0"}, "user": {"id": 7}}')(handler)

    def remove(handler: BaseHTTPRequestHandler) -> None:
        users.discard(7)
        answer(204)(handler)

    tls.trusting.secrets["JOURNEY_PASSWORD"] = "pass"
    questions = answer(200, '{"questions": [{"answered": false}]}', {"Content-Type": "application/json"})
    tls.web.answers |= {"/api/signup": sign_up, "/api/questions": questions, "/api/users/7": remove}
    found = tried(journey, at(tls, entry("journey", "exam")), tls.trusting)
    assert values(found)["uptime"] == 1.0
    assert json.loads(tls.web.seen[1][3]) == {"user": 7, "count": 5}
    assert users == set()


def test_the_documentation_links_to_it() -> None:
    """Given the list of documents → it has this one."""
    assert "(probes.md)" in (Path(__file__).parents[2] / "docs" / "README.md").read_text()
