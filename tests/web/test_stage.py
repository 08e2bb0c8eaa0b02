"""The page of a stage that Chalice deployed into the embedded AWS: sign in by a link, look, acknowledge."""

import json
import re
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from http.cookiejar import CookieJar
from urllib.parse import urlencode

import pytest

from deploy.parameters import parameters
from deploy.smoke import request
from tests.deployed import Stage, deployed_stage

RULES = """
defaults: {group_by: [service], group_wait: 0s, group_interval: 5m}
default: {notification: [{slack_channel: "#alerts"}]}
fallback: {notification: [{slack_channel: "#alerts"}]}
"""
ALERT = {
    "version": "4",
    "status": "firing",
    "alerts": [
        {
            "status": "firing",
            "labels": {"alertname": "DiskFull", "service": "api", "severity": "critical"},
            "annotations": {"summary": "Disk full on db1", "description": "9 % left"},
            "startsAt": "2026-11-30T12:00:00Z",
            "endsAt": "0001-01-01T00:00:00Z",
        }
    ],
}

pytestmark = pytest.mark.acceptance


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """The deployed stage."""
    with deployed_stage(tmp_path_factory.mktemp("project"), tmp_path_factory.mktemp("cloud"), RULES) as found:
        yield found


class Browser:
    """A program with cookies that follows redirects, as a browser does."""

    def __init__(self, url: str) -> None:
        self.url = url
        handlers = [urllib.request.ProxyHandler({}), urllib.request.HTTPCookieProcessor(CookieJar())]
        self._opener = urllib.request.build_opener(*handlers)

    def load(self, path: str, form: Mapping[str, str] | None = None) -> tuple[int, str]:
        """Return the status and the HTML behind an address."""
        data = None if form is None else urlencode(form).encode()
        try:
            with self._opener.open(f"{self.url}{path}", data, timeout=30) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()


def test_a_person_signs_in_and_acknowledges(stage: Stage) -> None:
    """Given an incident of a deployed stage → a link signs in, the page shows it, and its button acknowledges it."""
    url, token = stage.deployed.url, stage.values["API_TOKEN"]
    secret = {"Authorization": f"Bearer {stage.values['ALERTMANAGER_SECRET']}", "Content-Type": "application/json"}
    assert stage.post("alertmanager", json.dumps(ALERT).encode(), secret) == 202
    bearer = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    stage.eventually(lambda: "Disk full" in request(f"{url}api/incidents", None, bearer)[1], "no incident was made")
    browser = Browser(url)
    status, html = browser.load("")
    assert status == 401 and "One-time code" in html
    status, text = request(f"{url}api/login", json.dumps({"by": "Ana Souza"}).encode(), bearer)
    assert status == 201
    made = json.loads(text)
    status, html = browser.load(made["path"])
    assert status == 200 and "Sign in as Ana Souza" in html
    status, html = browser.load("login", {"code": made["code"]})
    assert status == 200 and "Disk full" in html and "9 % left" in html and "Ana Souza · responder" in html
    (id,) = set(re.findall(r'href="\./incident/([0-9a-f]+)"', html))
    form = re.search(r'name="form" value="([^"]+)"', html)
    assert form
    status, html = browser.load(f"incident/{id}", {"form": form[1], "do": "ack"})
    assert status == 200 and "Acknowledged by Ana Souza" in html
    stage.eventually(lambda: "Give back" in browser.load(f"incident/{id}")[1], "the page shows no acknowledgement")
    for name in set(re.findall(r'(?:href|src)="\.\./(assets/[^"]+)"', html)):
        assert browser.load(name)[0] == 200
    assert Browser(url).load("login", {"code": made["code"]})[0] == 403


def test_a_person_silences_what_fires_and_looks_around(stage: Stage) -> None:
    """Given a deployed stage → its pages answer, and a silence that is made by the form is listed and ended."""
    url, token = stage.deployed.url, stage.values["API_TOKEN"]
    bearer = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    browser = Browser(url)
    made = json.loads(request(f"{url}api/login", json.dumps({"by": "Bruno Lima"}).encode(), bearer)[1])
    assert browser.load("login", {"code": made["code"]})[0] == 200
    for page, title in (("rules?who=service%3Dapi", "Who would be notified of"), ("router", "Functions")):
        status, html = browser.load(page)
        assert status == 200 and title in html and "could not be read" not in html
    status, html = browser.load("silences?matchers=service%3Dother")
    assert status == 200 and "Bruno Lima" in html
    hidden = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', html.split('id="new"')[1]))
    status, html = browser.load("silences", {**hidden, "comment": "moving it", "do": "make"})
    assert status == 200 and f"Silence {hidden['id']} from now until" in html
    stage.eventually(lambda: "“moving it”" in browser.load("silences")[1], "the silence is not listed")
    status, html = browser.load("silences", {"form": hidden["form"], "id": hidden["id"], "do": "end"})
    assert status == 200 and "ended by Bruno Lima" in html
    stage.eventually(lambda: "No silence is active" in browser.load("silences")[1], "the silence goes on")


def test_the_deploy_made_its_own_secret_and_address(stage: Stage) -> None:
    """Given a first deploy → SESSION_KEY and PAGE_URL are in the Parameter Store; another deploy keeps the key."""
    there = parameters(stage.clients("ssm"), "local")
    assert len(there["SESSION_KEY"]) >= 32 and there["PAGE_URL"] == stage.deployed.url
    stage.job.run(skip_unchanged=True)
    assert parameters(stage.clients("ssm"), "local")["SESSION_KEY"] == there["SESSION_KEY"]
