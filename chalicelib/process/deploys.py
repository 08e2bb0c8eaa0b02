"""Deploy markers: what changed shortly before an incident. Kept in the context, the newest of one day."""

from dataclasses import replace
from datetime import datetime, timedelta

from chalicelib.core.context import Context
from chalicelib.core.delivery.notification import Deploy
from chalicelib.core.event import Action, ActionKind, Event, Status
from chalicelib.core.ports import Store
from chalicelib.process.context_size import newest_deploys
from chalicelib.process.context_update import saved_context

CLOCKS_DIFFER = timedelta(seconds=10)
"""Vercel's clock may be behind ours so much."""
KEPT = timedelta(days=1)
MAX_DEPLOYS = 50
MAX_TITLE_CHARACTERS = 300
MAX_URL_CHARACTERS = 1_000
MAX_NAME_CHARACTERS = 200
MARKERS = (
    "deployment.created",
    "deployment.succeeded",
    "deployment.ready",
    "deployment.promoted",
    "deployment.rollback",
)
LIVE = ("deployment.promoted", "deployment.rollback")
"""Production serves it now."""
READY = ("deployment.succeeded", "deployment.ready")
"""Production may serve it now: with the domains assigned at once, Vercel may say no more."""


def deploy_of(event: Event) -> Deploy | None:
    """Return the marker that an event is; None for anything else. Previews are not what broke production."""
    if event.status is Status.FIRING or event.kind not in MARKERS:
        return None
    if event.labels.get("target", "production") not in ("production", "staging"):
        return None
    labels = {name: text[:MAX_NAME_CHARACTERS] for name, text in event.labels.items()}
    is_live = event.kind in LIVE
    serves = is_live or (event.kind in READY and labels.get("target", "production") == "production")
    return Deploy(
        id=labels.get("deployment", event.identity[:MAX_NAME_CHARACTERS]),
        at=event.occurred_at,
        kind=event.kind,
        service=event.service[:MAX_NAME_CHARACTERS] if event.service else event.service,
        title=event.title[:MAX_TITLE_CHARACTERS],
        by=labels.get("author", labels.get("by", "")),
        commit=labels.get("commit", labels.get("sha", ""))[:12],
        url=event.url if event.url and len(event.url) <= MAX_URL_CHARACTERS else None,
        project=labels.get("project", ""),
        project_id=labels.get("project_id", "") if event.source == "vercel" else "",
        live_at=event.occurred_at if serves else None,
        is_live=is_live,
    )


def with_deploys(store: Store, context: Context, deploy: Deploy, now: datetime) -> Context:
    """Return the saved context that knows the deploy; one deploy is one marker, whatever it passes through."""

    def known(context: Context) -> Context:
        before = next((each for each in context.deploys if each.id == deploy.id), None)
        merged = deploy if before is None else _merged(before, deploy)
        if merged == before:
            return context
        kept = [each for each in context.deploys if each.id != deploy.id and (each.live_at or each.at) > now - KEPT]
        return replace(context, deploys=newest_deploys([*kept, merged])[-MAX_DEPLOYS:])

    return saved_context(store, context, known)


def with_former_names(event: Event, context: Context) -> Event:
    """Return the end of a failed production deployment with what the version before called such a failure.

    That was the deployment itself: the deployments of the same project are among the markers.
    """
    project = event.labels.get("project_id")
    if event.source != "vercel" or event.status is not Status.RESOLVED or not project:
        return event
    former = (f"{each.id}:deployment.error" for each in context.deploys if each.project_id == project)
    return replace(event, ends_also=(*event.ends_also, *former))


def rolled_back(event: Event, context: Context) -> list[Action]:
    """Return the lines of the roll backs that Vercel says are done: people asked for them, and Vercel only took the request.

    Each is one act however often Vercel says so.
    """
    if event.source != "vercel" or event.kind not in LIVE:
        return []
    meant = (event.labels.get("project_id", ""), event.labels.get("deployment", ""))
    return [
        Action(
            ActionKind.NOTE,
            "Vercel",
            max(event.occurred_at, each.at),
            incident=each.incident,
            via="vercel",
            note=f"rolled back {each.what}",
            id=f"rolled_back:{each.press}",
        )
        for each in context.rollbacks
        if (each.project_id, each.to) == meant and event.occurred_at > each.at - CLOCKS_DIFFER
    ]


def _merged(before: Deploy, deploy: Deploy) -> Deploy:
    """Return one marker of two about one deploy: the earlier one, with when production served it last."""
    first = before if before.at <= deploy.at else deploy
    newest = max((before, deploy), key=lambda each: (each.is_live, each.live_at is not None, each.live_at or each.at))
    return replace(first, live_at=newest.live_at, is_live=newest.is_live)
