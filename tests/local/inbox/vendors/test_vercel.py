"""Vercel: deployments and rollbacks."""

from local.inbox import Inbox
from tests.local.inbox.support import request


def test_vercel_lists_deployments_and_rolls_back(inbox: Inbox) -> None:
    """Newest first, with one of yesterday; a rollback needs a token and a deployment that exists, and is shown."""
    inbox.vercel.deployments["prj_1"] = [{"uid": "dpl_new", "created": 1}]
    token = {"Authorization": "Bearer t", "Content-Type": "application/json"}
    listed = request(inbox, "GET", "/vercel/v7/deployments?projectId=prj_1", headers=token)[2]["deployments"]
    assert [each["uid"] for each in listed] == ["dpl_new", "dpl_before_prj_1"]
    path = "/vercel/v1/projects/prj_1/rollback/"
    assert request(inbox, "POST", f"{path}dpl_before_prj_1", headers=token)[0] == 201
    assert inbox.vercel.rolled_back == [("prj_1", "dpl_before_prj_1")]
    assert "Rolled prj_1 back" in request(inbox, "GET", "/?view=changes")[2]
    assert request(inbox, "POST", f"{path}dpl_nowhere", headers=token)[0] == 404
    assert request(inbox, "POST", f"{path}dpl_before_prj_1")[0] == 403
    inbox.answer("vercel", "rollback", [{"status": 500}])
    assert request(inbox, "POST", f"{path}dpl_before_prj_1", headers=token)[0] == 500
