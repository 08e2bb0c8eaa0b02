"""Vercel: deployments as markers of what changed, failed production deployments and anomalies as warnings.

The signature is hex HMAC-SHA1 of the raw body in `x-vercel-signature`; the secret is the webhook's, shown once, or the
integration's client secret. Order is not guaranteed; the envelope's `id` is equal on every retry.
https://vercel.com/docs/webhooks/webhooks-api
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from chalicelib.core.errors import ParseError, SignatureError
from chalicelib.core.event import Event, Severity, Status
from chalicelib.core.payload import coerce, signing

NAME = "vercel"
TITLE = "Vercel"
SECRETS = ("VERCEL_WEBHOOK_SECRET",)
SIGNATURE_HEADER = "x-vercel-signature"

_LEGACY = {
    "deployment": "deployment.created",
    "deployment-ready": "deployment.ready",
    "deployment-error": "deployment.error",
    "deployment-canceled": "deployment.canceled",
    "deployment-cancelled": "deployment.canceled",
    "deployment.cancelled": "deployment.canceled",
    "deployment-prepared": "deployment.prepared",
    "deployment-check-rerequested": "deployment.check-rerequested",
}
_FAILED = ("error", "failed", "errored")
_WORDS = {
    "created": "started",
    "succeeded": "succeeded",
    "ready": "is ready",
    "error": "failed",
    "canceled": "was canceled",
    "promoted": "was promoted",
    "rollback": "is being rolled back",
}
_GITS = ("github", "gitlab", "bitbucket")


def verify(headers: Mapping[str, str], body: bytes, secrets: Sequence[str], *, path_secret: str | None = None) -> None:
    """Raise SignatureError unless the body is signed."""
    known = signing.live(secrets)
    given = headers.get(SIGNATURE_HEADER, "")
    if not given:
        raise SignatureError(f"the request has no {SIGNATURE_HEADER}")
    if not signing.signed(body, known, [given], algorithm="sha1"):
        raise SignatureError("the signature does not fit the body")


def delivery_id(headers: Mapping[str, str], body: bytes) -> str | None:
    """The envelope's id."""
    try:
        return coerce.line(coerce.json_object(body).get("id"), 200) or None
    except ParseError:
        return None


def parse(headers: Mapping[str, str], body: bytes, *, received_at: datetime) -> list[Event]:
    """The one event of a delivery; raises ParseError when the body is no JSON object."""
    envelope = coerce.json_object(body)
    kind = _kind(envelope)
    payload = coerce.table(envelope.get("payload"))
    if kind.startswith("deployment."):
        return [_deployment(envelope, payload, kind, received_at)]
    return [_other(envelope, payload, kind, received_at)]


def _kind(envelope: Mapping[str, Any]) -> str:
    said = coerce.word(envelope.get("type"))
    if said in _LEGACY:
        return _LEGACY[said]
    if said.startswith("deployment-"):
        return "deployment." + said.removeprefix("deployment-")
    return said or "unknown"


def _id(envelope: Mapping[str, Any]) -> str:
    return coerce.line(envelope.get("id"), 200) or coerce.digest(envelope)


def _deployment(envelope: Mapping[str, Any], payload: Mapping[str, Any], kind: str, received_at: datetime) -> Event:
    deployment = coerce.table(payload.get("deployment"))
    labels = _deployment_labels(payload, deployment, kind)
    failed = kind.rpartition(".")[2] in _FAILED and labels["target"] == "production"
    project = _project(payload, deployment)
    return coerce.made_event(
        id=_id(envelope),
        source=NAME,
        kind=kind,
        status=Status.FIRING if failed else Status.INFO,
        severity=Severity.WARNING if failed else Severity.INFO,
        title=_deployment_title(kind, project, labels),
        summary=_deployment_summary(payload, deployment),
        url=_deployment_address(payload, deployment),
        service=project,
        environment=labels["target"],
        occurred_at=coerce.first_instant(envelope.get("createdAt"), payload.get("createdAt")) or received_at,
        identity=f"{labels.get('deployment') or _id(envelope)}:{kind}",
        labels=labels,
    )


def _deployment_labels(payload: Mapping[str, Any], deployment: Mapping[str, Any], kind: str) -> dict[str, str]:
    found = coerce.labels(
        [
            ("target", _target(payload, deployment, kind)),
            ("deployment", _deployment_id(payload, deployment)),
            ("project", _project(payload, deployment)),
            ("project_id", coerce.first_line(coerce.at(payload, "project", "id"), payload.get("projectId"))),
            ("branch", _git(deployment, "CommitRef")),
            ("commit", _git(deployment, "CommitSha")),
            ("author", coerce.first_line(_git(deployment, "CommitAuthorLogin"), _git(deployment, "CommitAuthorName"))),
            ("team", coerce.first_line(coerce.at(payload, "team", "slug"), coerce.at(payload, "team", "name"))),
            ("from_deployment", payload.get("fromDeploymentId")),
            ("host", coerce.line(deployment.get("url")).removeprefix("https://").removeprefix("http://")),
        ]
    )
    found.setdefault("target", "preview")
    return found


def _target(payload: Mapping[str, Any], deployment: Mapping[str, Any], kind: str) -> str:
    """Where it goes: no target is a preview, but a rollback or promotion is always of production."""
    said = coerce.word(payload.get("target")) or coerce.word(deployment.get("target"))
    if said:
        return said
    return "production" if kind.rpartition(".")[2] in ("rollback", "promoted") else "preview"


def _deployment_id(payload: Mapping[str, Any], deployment: Mapping[str, Any]) -> str:
    return coerce.first_line(
        deployment.get("id"),
        payload.get("deploymentId"),
        payload.get("toDeploymentId"),
        payload.get("deployment"),
        payload.get("fromDeploymentId"),
        limit=100,
    )


def _project(payload: Mapping[str, Any], deployment: Mapping[str, Any]) -> str:
    """The project's name; where only its address is known, the last part of it; else its id."""
    page = coerce.address(coerce.at(payload, "links", "project")) or ""
    return coerce.first_line(
        deployment.get("name"),
        coerce.at(payload, "project", "name"),
        payload.get("name"),
        payload.get("projectSlug"),
        page.partition("?")[0].rstrip("/").rpartition("/")[2] if page.count("/") > 3 else None,
        coerce.at(payload, "project", "id"),
        payload.get("projectId"),
        limit=200,
    )


def _git(deployment: Mapping[str, Any], field: str) -> str:
    meta = coerce.table(deployment.get("meta"))
    return coerce.first_line(*(meta.get(git + field) for git in _GITS), meta.get(field[:1].lower() + field[1:]))


def _deployment_title(kind: str, project: str, labels: Mapping[str, str]) -> str:
    action = kind.removeprefix("deployment.")
    done = _WORDS.get(action, action.replace(".", " ").replace("-", " ").replace("_", " "))
    return " ".join(
        filter(None, (labels["target"].capitalize(), "deployment", f"of {project}" if project else "", done))
    )


def _deployment_summary(payload: Mapping[str, Any], deployment: Mapping[str, Any]) -> str:
    error = coerce.first_line(
        deployment.get("errorMessage"), payload.get("errorMessage"), coerce.at(payload, "error", "message")
    )
    return "\n".join(filter(None, (error, coerce.head(_git(deployment, "CommitMessage"), 500))))


def _deployment_address(payload: Mapping[str, Any], deployment: Mapping[str, Any]) -> str | None:
    links = coerce.table(payload.get("links"))
    return coerce.first_address(
        links.get("deployment"), deployment.get("inspectorUrl"), deployment.get("url"), links.get("project")
    )


def _other(envelope: Mapping[str, Any], payload: Mapping[str, Any], kind: str, received_at: datetime) -> Event:
    """Anomalies and attacks fire; anything else is information."""
    status = _other_status(kind)
    alert = _first_alert(payload)
    project = _project(payload, {})
    began_at = payload.get("startedAt") if status is not Status.RESOLVED else None
    said = coerce.first_line(alert.get("title"), payload.get("title"), payload.get("message"), limit=200)
    words = said or f"Vercel: {kind.replace('.', ' ').replace('-', ' ').replace('_', ' ')}"
    return coerce.made_event(
        id=_id(envelope),
        source=NAME,
        kind=kind,
        status=status,
        severity=Severity.INFO if status is Status.INFO else Severity.WARNING,
        title=f"{words} in {project}" if project else words,
        summary=_anomaly_summary(payload),
        url=_other_address(payload),
        service=project,
        environment=coerce.word(payload.get("target")),
        occurred_at=coerce.first_instant(envelope.get("createdAt"), began_at) or received_at,
        identity=_other_identity(envelope, payload, alert, kind),
        labels=coerce.labels(
            [
                ("project", project),
                ("team", coerce.first_line(payload.get("teamSlug"), coerce.at(payload, "team", "slug"))),
                ("type", alert.get("type")),
                ("metric", alert.get("metric")),
                ("count", alert.get("count")),
                ("zscore", alert.get("zscore")),
            ]
        ),
    )


def _other_status(kind: str) -> Status:
    if kind.startswith(("alerts.", "firewall.")) or kind.endswith("-anomaly"):
        ended = kind.rpartition(".")[2] in ("resolved", "recovered", "closed", "ended")
        return Status.RESOLVED if ended else Status.FIRING
    return Status.INFO


def _first_alert(payload: Mapping[str, Any]) -> Mapping[str, Any]:
    return next((each for each in coerce.items(payload.get("alerts")) if isinstance(each, dict)), {})


def _anomaly_summary(payload: Mapping[str, Any]) -> str:
    lines = []
    for each in coerce.items(payload.get("alerts"))[:10]:
        metric, unit = (coerce.line(coerce.at(each, "metric")), coerce.line(coerce.at(each, "unit")))
        count, average = (coerce.line(coerce.at(each, "count")), coerce.line(coerce.at(each, "average")))
        usual = f", usually {average}" if average else ""
        lines.append(f"{metric}: {count} {unit}{usual}" if count else metric)
    return "\n".join(filter(None, lines))


def _other_address(payload: Mapping[str, Any]) -> str | None:
    return coerce.first_address(*(each for _, each in sorted(coerce.table(payload.get("links")).items(), key=str)))


def _other_identity(
    envelope: Mapping[str, Any], payload: Mapping[str, Any], alert: Mapping[str, Any], kind: str
) -> str:
    family = kind.partition(".")[0]
    about = coerce.first_line(payload.get("groupId"), alert.get("alertId"), limit=100)
    if about:
        return f"{family}:{about}"
    project = coerce.first_line(payload.get("projectId"), coerce.at(payload, "project", "id"), limit=100)
    return f"{kind}:{project or _id(envelope)}"
