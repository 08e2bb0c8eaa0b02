"""What a webhook of Vercel means.

A deployment of production that failed fires until the next good one of the same project. Certificates, domains, invoices and
budgets have a type that fires and one that ends it (`_TYPES`). Types are written with points or with hyphens
(`domain.certificate.renew.failed`, `domain.certificate-renew-failed`): both are one type.
"""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from chalicelib.core.event import Event, Severity, Status
from chalicelib.core.payload import coerce
from chalicelib.core.unknown_values import LABEL

NAME = "vercel"
UNKNOWN = "unknown"
"""The target of a deployment whose webhook names none. Null is another thing: a preview."""

_DEPLOYMENT_KINDS = {
    "deployment": "deployment.created",
    "deployment.cancelled": "deployment.canceled",
    "deployment.check.rerequested": "deployment.check-rerequested",
}
_FAILED = ("error", "failed", "errored", "blocked")
_GOOD = ("succeeded", "ready", "promoted")
_WORDS = {
    "created": "started",
    "succeeded": "succeeded",
    "ready": "is ready",
    "error": "failed",
    "blocked": "was blocked",
    "canceled": "was canceled",
    "promoted": "was promoted",
    "rollback": "is being rolled back",
}
_GITS = ("github", "gitlab", "bitbucket")

_TYPES: Mapping[str, tuple[Status, str, str]] = {
    "domain.certificate.add": (Status.RESOLVED, "certificate", "Certificate of {} was issued"),
    "domain.certificate.add.failed": (Status.FIRING, "certificate", "Certificate of {} could not be issued"),
    "domain.certificate.renew": (Status.RESOLVED, "certificate", "Certificate of {} was renewed"),
    "domain.certificate.renew.failed": (Status.FIRING, "certificate", "Certificate of {} could not be renewed"),
    "domain.renewal": (Status.RESOLVED, "domain.renewal", "Domain {} was renewed"),
    "domain.renewal.failed": (Status.FIRING, "domain.renewal", "Domain {} could not be renewed"),
    "domain.transfer-in.completed": (Status.RESOLVED, "domain.transfer-in", "Transfer of domain {} completed"),
    "domain.transfer-in.failed": (Status.FIRING, "domain.transfer-in", "Transfer of domain {} failed"),
    "project.domain.verified": (Status.RESOLVED, "project.domain", "Domain {} is verified"),
    "project.domain.unverified": (Status.FIRING, "project.domain", "Domain {} is no longer verified"),
    "marketplace.invoice.paid": (Status.RESOLVED, "invoice", "Invoice {} was paid"),
    "marketplace.invoice.notpaid": (Status.FIRING, "invoice", "Invoice {} was not paid"),
    "budget.reset": (Status.RESOLVED, "budget", "Budget of {} was reset"),
    "budget.reached": (Status.FIRING, "budget", "Budget of {} is reached"),
    "ai-gateway.balance-depleted": (Status.FIRING, "ai-gateway", "Balance of the AI Gateway is depleted"),
    "ai-gateway.auto-reload.limit-reached": (Status.FIRING, "ai-gateway", "Auto reload of the AI Gateway is used up"),
}
"""By type: what it says, what it is about (equal for a fault and for its end), and the title."""
_BY_TOKENS = {re.sub(r"[._-]", " ", each): each for each in _TYPES}
_INFORMS = frozenset([
    "deployment.created", "deployment.succeeded", "deployment.ready", "deployment.error", "deployment.canceled",
    "deployment.promoted", "deployment.rollback", "deployment.blocked", "deployment.cleanup",
    "deployment.check-rerequested", "deployment.integration.action.start", "deployment.integration.action.cancel",
    "deployment.integration.action.cleanup", "alerts.triggered", "alerts.resolved", "project.created",
    "project.removed", "test-webhook", "firewall.attack",
])  # fmt: skip
"""Further types that are known: deployments, anomalies, and what is information."""
KINDS = (*_TYPES, *sorted(_INFORMS))
"""The types that are known, in the spelling that kinds have."""
_BAD_ENDINGS = frozenset(
    {"failed", "failure", "error", "errored", "unverified", "notpaid", "overdue", "blocked", "expired"}
)
_GOOD_ENDINGS = frozenset({"succeeded", "completed", "verified", "paid", "recovered", "resolved", "unblocked"})
_ENDED = ("resolved", "recovered", "closed", "ended")


def parse(body: bytes, *, received_at: datetime) -> list[Event]:
    """Return the one event of a delivery; raise ParseError when the body is no JSON object."""
    envelope = coerce.json_object(body)
    kind = _kind(envelope)
    payload = coerce.table(envelope.get("payload"))
    if kind.startswith("deployment."):
        return [_deployment(envelope, payload, kind, received_at)]
    return [_other(envelope, payload, kind, received_at)]


def _kind(envelope: Mapping[str, Any]) -> str:
    """Return the type in one spelling. Of a type that nobody knows the spelling is kept."""
    said = coerce.word(envelope.get("type"))
    points = re.sub(r"[._-]", ".", said)
    if points in _DEPLOYMENT_KINDS:
        return _DEPLOYMENT_KINDS[points]
    if said.startswith("deployment-"):
        return "deployment." + said.removeprefix("deployment-")
    return _BY_TOKENS.get(points.replace(".", " "), said) or UNKNOWN


def _id(envelope: Mapping[str, Any]) -> str:
    return coerce.line(envelope.get("id"), 200) or coerce.digest(envelope)


# ---------------------------------------------------------------------------------------------------------------------
# Deployments


def _deployment(envelope: Mapping[str, Any], payload: Mapping[str, Any], kind: str, received_at: datetime) -> Event:
    deployment = coerce.table(payload.get("deployment"))
    labels = _deployment_labels(payload, deployment, kind)
    target = labels["target"]
    project = _project(payload, deployment)
    about = coerce.first_line(coerce.at(payload, "project", "id"), payload.get("projectId"), project, limit=200)
    status = _deployment_status(kind, target, about)
    fault = f"deployment:{about}:" if about and status is not Status.INFO else ""
    return coerce.made_event(
        id=_id(envelope),
        source=NAME,
        kind=kind,
        status=status,
        severity=Severity.INFO if status is Status.INFO else Severity.WARNING,
        title=_deployment_title(kind, project, labels),
        summary=_deployment_summary(payload, deployment),
        url=_deployment_address(payload, deployment),
        service=project,
        environment="" if target == UNKNOWN else target,
        occurred_at=coerce.first_instant(envelope.get("createdAt"), payload.get("createdAt")) or received_at,
        identity=f"{fault}{target}" if fault else f"{labels.get('deployment') or _id(envelope)}:{kind}",
        labels=labels,
        ends_also=[f"{fault}{UNKNOWN}"] if fault and target == "production" else (),
    )


def _deployment_status(kind: str, target: str, about: str) -> Status:
    """Return what a deployment says of its project: a failure in production, or one that names no target, fires.

    A rollback is only accepted, and Vercel does not say when it is done. A good one of no project ends nothing.
    """
    if target not in ("production", UNKNOWN):
        return Status.INFO
    word = kind.rpartition(".")[2]
    if word in _FAILED and not kind.startswith(("deployment.integration", "deployment.checkrun")):
        return Status.FIRING
    return Status.RESOLVED if about and kind.removeprefix("deployment.") in _GOOD else Status.INFO


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
            (LABEL, _unknown_type(kind)),
        ]
    )
    found.setdefault("target", "preview")
    return found


def _unknown_type(kind: str) -> str | None:
    known = kind in _TYPES or kind in _INFORMS or (kind.startswith("observability.") and _ending(kind) == "anomaly")
    return None if known else f"type {kind}"


def _target(payload: Mapping[str, Any], deployment: Mapping[str, Any], kind: str) -> str:
    """Return where it goes: null is a preview; what is promoted or rolled back is production.

    What names no target at all is unknown where it failed or is good, and taken for a preview where it is only a marker.
    """
    said = coerce.word(payload.get("target")) or coerce.word(deployment.get("target"))
    if said:
        return said
    word = kind.rpartition(".")[2]
    if word in ("rollback", "promoted"):
        return "production"
    named = "target" in payload or "target" in deployment
    return UNKNOWN if not named and word in (*_FAILED, *_GOOD) else "preview"


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
    """Return the project's name; where only its address is known, the last part of it; else its id."""
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
    target = "" if labels["target"] == UNKNOWN else labels["target"]
    words = " ".join(filter(None, (target, "deployment", f"of {project}" if project else "", done)))
    return words[:1].upper() + words[1:]


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


# ---------------------------------------------------------------------------------------------------------------------
# Everything else


def _other(envelope: Mapping[str, Any], payload: Mapping[str, Any], kind: str, received_at: datetime) -> Event:
    """Return what fires and ends by its type; anything else is information."""
    status = _other_status(kind)
    alert = _first_alert(payload)
    project = _project(payload, {})
    began_at = payload.get("startedAt") if status is not Status.RESOLVED else None
    return coerce.made_event(
        id=_id(envelope),
        source=NAME,
        kind=kind,
        status=status,
        severity=Severity.INFO if status is Status.INFO else Severity.WARNING,
        title=_other_title(payload, alert, kind, project),
        summary=coerce.first_line(payload.get("errorReason"), payload.get("errorMessage")) or _anomaly_summary(payload),
        url=_other_address(payload),
        service=project,
        environment=coerce.word(payload.get("target")),
        occurred_at=coerce.first_instant(envelope.get("createdAt"), began_at) or received_at,
        identity=_other_identity(envelope, payload, alert, kind),
        labels=_other_labels(payload, alert, project, kind),
    )


def _other_status(kind: str) -> Status:
    if kind in _TYPES:
        return _TYPES[kind][0]
    ending = _ending(kind)
    if _is_anomaly(kind):
        return Status.RESOLVED if ending in _ENDED else Status.FIRING
    if ending in _BAD_ENDINGS:
        return Status.FIRING
    return Status.RESOLVED if ending in _GOOD_ENDINGS else Status.INFO


def _is_anomaly(kind: str) -> bool:
    """Return whether the type is about an anomaly or an attack: one has an id of its own."""
    return kind.startswith(("alerts.", "firewall.")) or _ending(kind) == "anomaly"


def _ending(kind: str) -> str:
    return re.split(r"[._-]", kind)[-1]


def _other_title(payload: Mapping[str, Any], alert: Mapping[str, Any], kind: str, project: str) -> str:
    said = coerce.first_line(alert.get("title"), payload.get("title"), payload.get("message"), limit=200)
    thing = _thing(payload)
    if kind in _TYPES:
        thing = thing or project or coerce.first_line(*_teams(payload)) or "the team"
        words = _TYPES[kind][2].format(thing)
        return f"{words} in {project}" if kind.startswith("project.") and project else words
    words = said or f"Vercel: {kind.replace('.', ' ').replace('-', ' ').replace('_', ' ')}"
    named = thing if thing and not said else "" if project.lower() in said.lower().split() else project
    return f"{words} in {named}" if named == project and named else f"{words}: {named}" if named else words


def _thing(payload: Mapping[str, Any]) -> str:
    """Return the name of the certificate, the domain, the invoice or the budget that the body is about."""
    domain = payload.get("domain")
    return coerce.first_line(
        ", ".join(_dns_names(payload)),
        coerce.at(domain, "name"),
        domain,
        payload.get("domainName"),
        payload.get("invoiceId"),
        payload.get("invoiceNumber"),
        coerce.at(payload, "budget", "name"),
        limit=200,
    )


def _dns_names(payload: Mapping[str, Any]) -> list[str]:
    """Return the names that a certificate is for: of a failure its own field, of a success those of the certificate."""
    cert = coerce.table(payload.get("cert"))
    for found in (payload.get("dnsNames"), cert.get("dnsNames"), cert.get("cns"), payload.get("cns"), cert.get("cn")):
        names = sorted({coerce.line(each, 200) for each in (coerce.items(found) or [found])[:20]} - {""})
        if names:
            return names
    return []


def _teams(payload: Mapping[str, Any]) -> list[Any]:
    team = coerce.table(payload.get("team"))
    return [payload.get("teamSlug"), team.get("slug"), team.get("name"), team.get("id"), payload.get("teamId")]


def _other_labels(payload: Mapping[str, Any], alert: Mapping[str, Any], project: str, kind: str) -> dict[str, str]:
    names = _dns_names(payload)
    domain = payload.get("domain")
    return coerce.labels(
        [
            ("project", project),
            ("team", coerce.first_line(payload.get("teamSlug"), coerce.at(payload, "team", "slug"))),
            ("domain", coerce.first_line(coerce.at(domain, "name"), domain, *names[:1])),
            ("dns_names", ", ".join(names)),
            ("invoice", coerce.first_line(payload.get("invoiceId"), payload.get("invoiceNumber"))),
            ("type", alert.get("type")),
            ("metric", alert.get("metric")),
            ("count", alert.get("count")),
            ("zscore", alert.get("zscore")),
            (LABEL, _unknown_type(kind)),
        ]
    )


def _first_alert(payload: Mapping[str, Any]) -> Mapping[str, Any]:
    return next((each for each in coerce.items(payload.get("alerts")) if isinstance(each, dict)), {})


def _anomaly_summary(payload: Mapping[str, Any]) -> str:
    lines = []
    for each in coerce.items(payload.get("alerts"))[:10]:
        metric, unit = (coerce.line(coerce.at(each, "metric")), coerce.line(coerce.at(each, "unit")))
        count, average = (coerce.line(coerce.at(each, "count")), coerce.line(coerce.at(each, "average")))
        measured = " ".join(filter(None, (count, unit))) if count else ""
        usual = f", usually {average}" if average and measured else ""
        lines.append(f"{metric}: {measured}{usual}" if measured and metric else metric)
    return "\n".join(filter(None, lines))


def _other_address(payload: Mapping[str, Any]) -> str | None:
    return coerce.first_address(*(each for _, each in sorted(coerce.table(payload.get("links")).items(), key=str)))


def _other_identity(
    envelope: Mapping[str, Any], payload: Mapping[str, Any], alert: Mapping[str, Any], kind: str
) -> str:
    project = coerce.first_line(payload.get("projectId"), coerce.at(payload, "project", "id"), limit=100)
    ending = _ending(kind)
    if kind in _TYPES or (ending in _BAD_ENDINGS | _GOOD_ENDINGS and not _is_anomaly(kind)):
        family = _TYPES[kind][1] if kind in _TYPES else re.sub(r"[_-]", ".", kind.removesuffix(ending)[:-1])
        team = coerce.first_line(*reversed(_teams(payload)))
        about = team if family == "budget" else ""
        about = about or _thing(payload) or project or team
        return f"{family}:{about or ''}"
    about = coerce.first_line(payload.get("groupId"), alert.get("alertId"), limit=100)
    if about:
        return f"{kind.partition('.')[0]}:{about}"
    return f"{kind}:{project or _id(envelope)}"
