"""Vercel's instant rollback: production goes back to the deployment before the one that broke it.

https://vercel.com/docs/rest-api: VERCEL_TOKEN may do it; VERCEL_TEAM_ID names the team of a team's token;
VERCEL_API_URL another base. Vercel only takes the request: that it is done comes by its webhook (process/deploys.py).

A roll back is claimed in the context before Vercel is asked, so that of several people who press, and of deliveries of
one press, one asks. It needs a confirmation when another deployment went live since, or when the incident does not fire.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from chalicelib.core.context import Context, Rollback
from chalicelib.core.delivery.notification import Deploy
from chalicelib.core.delivery.writing import cut, one_line
from chalicelib.core.errors import TargetRejectedError, TargetUnavailableError
from chalicelib.core.instants import rfc3339
from chalicelib.core.ports import Clients, Store
from chalicelib.process.context_update import saved_context

BASE = "https://api.vercel.com"
MAX_LISTED = 20
MAX_ROLLBACKS = 10
MAX_MILLISECONDS = 4_102_444_800_000
"""The year 2100: what is later is no time of a deployment."""
KEPT = timedelta(days=1)
CLAIM_LASTS = timedelta(minutes=5)
"""A press that has not asked Vercel by then has lost its worker: the next one may."""
NONE = "-"
"""In place of the id of a live deployment, where a confirmation is about none."""


@dataclass(frozen=True, slots=True)
class Press:
    """A press of Roll back. `confirmed` is the id of the live deployment that the person was asked about, or NONE.

    It is empty where nothing was asked yet. `reason` says why it needs a confirmation whatever is live.
    """

    id: str
    incident: str
    by: str
    at: datetime
    reason: str = ""
    confirmed: str = ""


@dataclass(frozen=True, slots=True)
class Live:
    """A deployment that went live after the one that is to be rolled back."""

    id: str
    since: datetime
    text: str
    is_live: bool


@dataclass(frozen=True, slots=True)
class Answered:
    """What became of a press. `note` is a line for the timeline; `confirm` the id that a confirmation has to name."""

    text: str
    note: str = ""
    confirm: str = ""
    failed: bool = False


def press(given: Press, deploy: Deploy, *, store: Store, clients: Clients, now: datetime) -> Answered:
    """Roll back to before the deploy, or say why not: somebody did, or it takes a confirmation. Twice asks once."""
    context = store.context()
    known = _known(context, deploy)
    if known is not None and known.press == given.id:
        return _answered(known) if known.note else _asked_for(known, store, clients)
    try:
        listed = _listed(deploy, clients)
    except (TargetRejectedError, TargetUnavailableError) as error:
        return _failed(error)
    live = live_since(deploy, context.deploys, listed)
    if known is not None and _stands(known, deploy, live, now):
        return _by_another(known)
    before = previous(listed, deploy)
    if before is None:
        return _failed(TargetRejectedError("Vercel: no earlier production deployment can be rolled back to"))
    if live is not None and live.is_live and live.id == before["uid"]:
        return Answered(f"production is at {live.text} since {rfc3339(live.since)} already")
    if (live is not None or given.reason) and given.confirmed != _name(live):
        return _question(given, deploy, live)
    made = _claim(given, deploy, before)
    return _claimed(made, given, deploy, listed, live, store=store, clients=clients, now=now)


def _claimed(
    made: Rollback,
    given: Press,
    deploy: Deploy,
    listed: Any,
    live: Live | None,
    *,
    store: Store,
    clients: Clients,
    now: datetime,
) -> Answered:
    """Claim the roll back and ask Vercel, unless somebody was faster or another deployment went live meanwhile."""

    def claimed(context: Context) -> Context:
        known = _known(context, deploy)
        if known is not None and (known.press == given.id or _stands(known, deploy, live, now)):
            return context
        if _name(live_since(deploy, context.deploys, listed)) != _name(live):
            return context
        kept = [each for each in context.rollbacks if each is not known and each.at > now - KEPT]
        return replace(context, rollbacks=(*kept, made)[-MAX_ROLLBACKS:])

    context = saved_context(store, store.context(), claimed)
    found = _known(context, deploy)
    if found is not None and found.press == given.id:
        return _answered(found) if found.note else _asked_for(found, store, clients)
    if found is not None and _stands(found, deploy, live, now):
        return _by_another(found)
    return _question(given, deploy, live_since(deploy, context.deploys, listed))


def _claim(given: Press, deploy: Deploy, before: Mapping[str, Any]) -> Rollback:
    return Rollback(
        press=given.id,
        incident=given.incident,
        project_id=deploy.project_id,
        deploy=deploy.id,
        to=before["uid"],
        by=given.by,
        at=given.at,
        what=named(deploy, before),
    )


def _asked_for(claim: Rollback, store: Store, clients: Clients) -> Answered:
    """Ask Vercel, and keep what it answered; a worker that dies in between asks for the same once more."""
    asked = f"asked Vercel to roll back {claim.what}"
    try:
        _asked(clients, "POST", f"/v1/projects/{claim.project_id}/rollback/{claim.to}")
        done = replace(claim, note=asked)
    except TargetUnavailableError as error:
        done = replace(claim, note=f"{asked}; it may not have taken the request ({error})", failed=True)
    except TargetRejectedError as error:
        done = replace(claim, note=f"rolling back failed: {error}", failed=True)

    def kept(context: Context) -> Context:
        others = [each for each in context.rollbacks if each.press != claim.press]
        return replace(context, rollbacks=(*others, done)[-MAX_ROLLBACKS:])

    saved_context(store, store.context(), kept)
    return _answered(done)


def _known(context: Context, deploy: Deploy) -> Rollback | None:
    found = [each for each in context.rollbacks if (each.project_id, each.deploy) == (deploy.project_id, deploy.id)]
    return found[-1] if found else None


def _stands(known: Rollback, deploy: Deploy, live: Live | None, now: datetime) -> bool:
    """Return whether a roll back was asked for, and nothing but its goal went live since then."""
    if known.failed or (not known.note and known.at < now - CLAIM_LASTS):
        return False
    if deploy.live_at is not None and deploy.live_at > known.at:
        return False
    return live is None or live.id == known.to or live.since <= known.at


def _answered(done: Rollback) -> Answered:
    return Answered(done.note, note=done.note, failed=done.failed)


def _failed(error: Exception) -> Answered:
    text = f"rolling back failed: {error}"
    return Answered(text, note=text, failed=True)


def _by_another(known: Rollback) -> Answered:
    return Answered(f"{known.by} asked Vercel to roll back {known.what} already, at {rfc3339(known.at)}")


def _question(given: Press, deploy: Deploy, live: Live | None) -> Answered:
    reasons = [given.reason] if given.reason else []
    if live is not None:
        reasons.append(f"{live.text} is {'live' if live.is_live else 'ready'} since {rfc3339(live.since)}")
    again = "roll back all the same?" if live is not None else f"roll back from {deploy.id} all the same?"
    text = ": ".join(filter(None, ("; ".join(reasons), again)))
    return Answered(text, confirm=_name(live))


def _name(live: Live | None) -> str:
    return live.id if live is not None else NONE


def named(deploy: Deploy, before: Mapping[str, Any]) -> str:
    """Return what is rolled back, from where to where."""
    to = f"{before['uid']} ({said})" if (said := _commit(before)) else before["uid"]
    return f"{one_line(deploy.project) or deploy.project_id} from {deploy.id} to {to}"


def live_since(deploy: Deploy, deploys: Sequence[Deploy], listed: Any) -> Live | None:
    """Return the newest deployment of the project that went live after the deploy, by webhooks or by Vercel's list."""
    since = deploy.live_at or deploy.at
    others = [each for each in deploys if each.project_id == deploy.project_id and each.id != deploy.id]
    found = [
        Live(each.id, each.live_at, _described(each.id, each.title, each.by), each.is_live)
        for each in others
        if each.live_at is not None and each.live_at > since
    ]
    heard = {each.id for each in others if each.live_at is not None}
    found += [each for each in _made_after(listed, since) if each.id not in {deploy.id, *heard}]
    return max(found, key=lambda each: each.since, default=None)


def _made_after(listed: Any, since: datetime) -> list[Live]:
    """Return the listed deployments that were made after a time: their webhooks may be lost, or may still come."""
    found = []
    for each in _deployments(listed):
        made_at = datetime.fromtimestamp(_made(each) / 1000, since.tzinfo)
        if made_at > since:
            found.append(Live(each["uid"], made_at, _described(each["uid"], _commit(each), ""), is_live=False))
    return found


def _described(id: str, title: str, by: str) -> str:
    said = ", ".join(filter(None, (cut(one_line(title), 100), cut(one_line(by), 60))))
    return f"{id} ({said})" if said else id


def _listed(deploy: Deploy, clients: Clients) -> Any:
    """Return the production deployments that Vercel can roll back to, as it lists them."""
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
    return found.get("deployments")


def _commit(deployment: Mapping[str, Any]) -> str:
    meta = deployment.get("meta")
    names = ("githubCommitMessage", "gitlabCommitMessage", "bitbucketCommitMessage")
    found = [str(meta[name]) for name in names if meta.get(name)] if isinstance(meta, dict) else []
    return cut(one_line(found[0].partition("\n")[0]), 100) if found else ""


def previous(deployments: Any, deploy: Deploy) -> dict[str, Any] | None:
    """Return the newest deployment that was made before the given one."""
    known = _deployments(deployments)
    made = {each["uid"]: _made(each) for each in known}
    limit = made.get(deploy.id, deploy.at.timestamp() * 1000)
    earlier = [each for each in known if each["uid"] != deploy.id and made[each["uid"]] < limit]
    return max(earlier, key=lambda each: made[each["uid"]], default=None)


def _deployments(listed: Any) -> list[dict[str, Any]]:
    found = listed if isinstance(listed, list) else []
    return [each for each in found if isinstance(each, dict) and isinstance(each.get("uid"), str)]


def _made(deployment: Mapping[str, Any]) -> float:
    """Return when a deployment was made, in milliseconds; 0 where Vercel does not say."""
    made = deployment.get("created") or deployment.get("createdAt")
    return float(made) if isinstance(made, int | float) and 0 < made < MAX_MILLISECONDS else 0.0


def _asked(clients: Clients, method: str, path: str, **params: str) -> dict[str, Any]:
    token = clients.secret("VERCEL_TOKEN")
    if not token:
        raise TargetRejectedError("Vercel: VERCEL_TOKEN is not set")
    if team := clients.setting("VERCEL_TEAM_ID"):
        params["teamId"] = team
    base = clients.setting("VERCEL_API_URL", BASE).rstrip("/")
    import httpx

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
