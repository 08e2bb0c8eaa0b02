"""Events of ECS: deployments and actions of a service, which fail and end, and tasks, which are information.

https://docs.aws.amazon.com/AmazonECS/latest/developerguide/ecs_cwe_events.html
"""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from chalicelib.core.event import Event, Severity, Status
from chalicelib.core.payload import coerce
from chalicelib.sources._aws_event import console, event_id, event_kind, made, region_of

_ARN_OF_ECS = re.compile(
    r"arn:[a-z-]{3,20}:ecs:[a-z0-9-]{0,40}:[0-9]{0,12}:[a-z]{1,20}/(?:[\w-]{1,255}/)?([\w-]{1,255})"
)


def service_event(envelope: Mapping[str, Any], detail: Mapping[str, Any], received_at: datetime) -> Event:
    """Read a deployment or an action of a service: a failure fires, and the next good one of the service ends it."""
    name, level = coerce.line(detail.get("eventName"), 100), coerce.line(detail.get("eventType"), 20).upper()
    deploys = event_kind(envelope) == "ecs.deployment_state_change"
    status = _deployment_status(name) if deploys else _action_status(name, level)
    arn = coerce.first_line(*coerce.items(envelope.get("resources"))[:1], limit=250) or event_id(envelope)
    service = _last(arn)
    reason = coerce.text(detail.get("reason"), 1_000)
    return made(
        envelope,
        received_at,
        status=status,
        severity=Severity.INFO if status is Status.INFO else Severity.WARNING,
        title=f"ECS {service}: {name.replace('_', ' ').lower() or 'event'}",
        summary=reason,
        url=console(region_of(envelope), f"ecs/v2/clusters?region={region_of(envelope)}"),
        service=service,
        occurred_at=coerce.first_instant(detail.get("updatedAt"), detail.get("createdAt"), envelope.get("time"))
        or received_at,
        identity=f"ecs:{'deployment' if deploys else 'action'}:{arn}",
        name=name,
        labels=[
            ("event", name),
            ("level", level),
            ("deployment", detail.get("deploymentId")),
            ("cluster", _last(coerce.line(detail.get("clusterArn"), 300))),
        ],
    )


def _last(arn: str) -> str:
    """Return the last part of an ARN of ECS; of anything else all of it, since a part of a secret is none to a mask."""
    match = _ARN_OF_ECS.fullmatch(arn)
    return match[1] if match else arn


def _deployment_status(name: str) -> Status:
    ends = {"SERVICE_DEPLOYMENT_FAILED": Status.FIRING, "SERVICE_DEPLOYMENT_COMPLETED": Status.RESOLVED}
    return ends.get(name, Status.INFO)


def _action_status(name: str, level: str) -> Status:
    """Return what an action means: a failure fires, and only the steady state ends it."""
    if level in ("ERROR", "WARN"):
        return Status.FIRING
    return Status.RESOLVED if level == "INFO" and name == "SERVICE_STEADY_STATE" else Status.INFO


def task_event(envelope: Mapping[str, Any], detail: Mapping[str, Any], received_at: datetime) -> Event:
    """Read a task that changed: information, which a rule may count by service."""
    group = coerce.line(detail.get("group"), 250)
    service, state = group.removeprefix("service:"), coerce.line(detail.get("lastStatus"), 40)
    lines = [coerce.line(detail.get("stoppedReason"), 500)]
    codes = []
    for each in (each for each in coerce.items(detail.get("containers"))[:10] if isinstance(each, dict)):
        code, why = coerce.line(each.get("exitCode"), 20), coerce.line(each.get("reason"), 300)
        codes += [code] if code else []
        words = " ".join(filter(None, (f"exit code {code}" if code else "", why)))
        lines += [f"{coerce.line(each.get('name'), 100)}: {words}"] if words else []
    return made(
        envelope,
        received_at,
        status=Status.INFO,
        severity=Severity.INFO,
        title=f"ECS {service}: a task is {state.lower()}" if state else f"ECS {service}: a task changed",
        summary="\n".join(filter(None, lines)),
        url=console(region_of(envelope), f"ecs/v2/clusters?region={region_of(envelope)}"),
        service=service,
        identity=f"ecs:task:{coerce.line(detail.get('clusterArn'), 200)}:{group or event_id(envelope)}",
        name=coerce.line(detail.get("stopCode"), 100),
        labels=[
            ("state", state),
            ("exit_code", next((code for code in codes if code != "0"), codes[0] if codes else None)),
            ("stop_code", detail.get("stopCode")),
            ("cluster", _last(coerce.line(detail.get("clusterArn"), 300))),
        ],
    )
