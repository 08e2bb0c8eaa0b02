"""Vercel's instant rollback: production goes back to the deployment before the one that broke it.

https://vercel.com/docs/rest-api: VERCEL_TOKEN may do it; VERCEL_TEAM_ID names the team of a team's token;
VERCEL_API_URL another base. Asking twice leads to the same deployment: it is the newest that was ready before.
"""

from collections.abc import Mapping
from typing import Any

import httpx

from chalicelib.core.delivery.notification import Deploy
from chalicelib.core.delivery.text import cut, one_line
from chalicelib.core.errors import TargetRejectedError, TargetUnavailableError
from chalicelib.core.ports import Clients

BASE = "https://api.vercel.com"
MAX_LISTED = 20


def roll_back(deploy: Deploy, clients: Clients) -> str:
    """Roll back to before the deploy and say so. TargetRejectedError or TargetUnavailableError say why it cannot be."""
    found = _asked(
        clients,
        "GET",
        "/v7/deployments",
        projectId=deploy.project_id,
        target="production",
        state="READY",
        rollbackCandidate="true",
        limit=str(MAX_LISTED),
    )
    before = previous(found.get("deployments"), deploy)
    if before is None:
        raise TargetRejectedError("Vercel: no earlier production deployment can be rolled back to")
    _asked(clients, "POST", f"/v1/projects/{deploy.project_id}/rollback/{before['uid']}")
    named = f"{before['uid']} ({said})" if (said := _commit(before)) else before["uid"]
    return f"rolled back {one_line(deploy.project) or deploy.project_id} from {deploy.id} to {named}"


def _commit(deployment: Mapping[str, Any]) -> str:
    meta = deployment.get("meta")
    names = ("githubCommitMessage", "gitlabCommitMessage", "bitbucketCommitMessage")
    found = [str(meta[name]) for name in names if meta.get(name)] if isinstance(meta, dict) else []
    return cut(one_line(found[0].partition("\n")[0]), 100) if found else ""


def previous(deployments: Any, deploy: Deploy) -> dict[str, Any] | None:
    """The newest deployment that was made before the given one."""
    known = [each for each in deployments or () if isinstance(each, dict) and isinstance(each.get("uid"), str)]
    made = {each["uid"]: each.get("created") or each.get("createdAt") or 0 for each in known}
    limit = made.get(deploy.id, deploy.at.timestamp() * 1000)
    earlier = [each for each in known if each["uid"] != deploy.id and made[each["uid"]] < limit]
    return max(earlier, key=lambda each: made[each["uid"]], default=None)


def _asked(clients: Clients, method: str, path: str, **params: str) -> dict[str, Any]:
    token = clients.secret("VERCEL_TOKEN")
    if not token:
        raise TargetRejectedError("Vercel: VERCEL_TOKEN is not set")
    if team := clients.setting("VERCEL_TEAM_ID"):
        params["teamId"] = team
    base = clients.setting("VERCEL_API_URL", BASE).rstrip("/")
    client: httpx.Client = clients.http()
    try:
        answer = client.request(
            method, f"{base}{path}", params=params, headers={"Authorization": f"Bearer {token.strip()}"}
        )
    except httpx.HTTPError as error:
        raise TargetUnavailableError(f"Vercel: no answer ({type(error).__name__})") from None
    if answer.status_code == 429 or answer.status_code >= 500:
        raise TargetUnavailableError(f"Vercel: HTTP {answer.status_code}")
    if answer.status_code in (401, 403):
        raise TargetRejectedError(f"Vercel: HTTP {answer.status_code}: VERCEL_TOKEN may not do this")
    if not 200 <= answer.status_code < 300:
        raise TargetRejectedError(f"Vercel: HTTP {answer.status_code}")
    try:
        found = answer.json()
    except ValueError:
        found = {}
    return found if isinstance(found, dict) else {}
