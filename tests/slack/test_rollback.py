"""Vercel's rollback: which deployment it leads to, and how it fails."""

import httpx
import pytest

from chalicelib.core.delivery.notification import Deploy
from chalicelib.core.errors import TargetRejectedError, TargetUnavailableError
from chalicelib.slack.rollback import previous, roll_back
from tests.targets.samples import NOW, FakeClients

BAD = Deploy("dpl_bad", NOW, "deployment.promoted", project="web", project_id="prj_1")
AT = int(NOW.timestamp() * 1000)
TOKEN = {"VERCEL_TOKEN": "very-secret"}


def one(name, age, **more):
    """A deployment made so many milliseconds before the bad one."""
    return {"uid": name, "created": AT - age, **more}


@pytest.mark.parametrize(
    ("deployments", "found"),
    [
        ([one("dpl_bad", 0), one("b", 10), one("c", 20)], "b"),
        ([one("newer", -10), one("dpl_bad", 0), one("c", 20), one("b", 10)], "b"),
        ([one("b", 10), one("c", 20)], "b"),
        ([one("dpl_bad", 100), one("b", 10), one("c", 200)], "c"),
        ([one("dpl_bad", 0)], None),
        ([one("newer", -10)], None),
        ([{"uid": 5}, "text", {"created": 1}], None),
        (None, None),
    ],
)
def test_it_leads_to_the_newest_before_the_bad_one(deployments, found):
    """Never to a newer one, never to itself; where the bad one is not listed its own time decides."""
    chosen = previous(deployments, BAD)
    assert (chosen and chosen["uid"]) == found


def test_it_asks_for_what_can_be_rolled_back_to_and_names_it():
    """Production deployments that are ready, of the team; the answer says from where to where."""
    listed = {"deployments": [one("dpl_good", 5, meta={"githubCommitMessage": "Fix cart\n\nlong"})]}
    clients = FakeClients(
        lambda request: httpx.Response(201) if request.method == "POST" else httpx.Response(200, json=listed),
        secrets=TOKEN,
        settings={"VERCEL_TEAM_ID": "team_1"},
    )
    assert roll_back(BAD, clients) == "rolled back web from dpl_bad to dpl_good (Fix cart)"
    asked, done = clients.requests
    assert dict(asked.url.params) | {"limit": "20"} == {
        "projectId": "prj_1", "target": "production", "state": "READY", "rollbackCandidate": "true", "limit": "20",
        "teamId": "team_1",
    }  # fmt: skip
    assert done.url.path == "/v1/projects/prj_1/rollback/dpl_good"
    assert done.headers["Authorization"] == "Bearer very-secret"


@pytest.mark.parametrize(
    ("answer", "fate"),
    [
        (httpx.Response(401), TargetRejectedError),
        (httpx.Response(403), TargetRejectedError),
        (httpx.Response(404), TargetRejectedError),
        (httpx.Response(200, text="<html>"), TargetRejectedError),
        (httpx.Response(200, json={"deployments": []}), TargetRejectedError),
        (httpx.Response(429), TargetUnavailableError),
        (httpx.Response(500), TargetUnavailableError),
        (httpx.ReadTimeout("very-secret"), TargetUnavailableError),
    ],
)
def test_it_fails_with_a_reason_and_without_the_token(answer, fate):
    """Whatever Vercel answers."""

    def handle(request):
        if isinstance(answer, Exception):
            raise answer
        return answer

    with pytest.raises(fate, match="Vercel") as caught:
        roll_back(BAD, FakeClients(handle, secrets=TOKEN))
    assert "very-secret" not in str(caught.value)


def test_without_a_token_nothing_is_asked():
    """The setting is named."""
    with pytest.raises(TargetRejectedError, match="VERCEL_TOKEN"):
        roll_back(BAD, FakeClients(secrets={}))
