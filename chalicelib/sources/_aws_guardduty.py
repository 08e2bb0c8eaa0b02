"""Findings of GuardDuty, which fire until somebody archives them.

https://docs.aws.amazon.com/guardduty/latest/ug/guardduty_findings_eventbridge.html
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from chalicelib.core.event import Event, Severity, Status
from chalicelib.core.payload import coerce
from chalicelib.sources._aws_event import console, event_id, lowered, made, region_of

CRITICAL_FINDING, HIGH_FINDING, MEDIUM_FINDING = 9.0, 7.0, 4.0
"""From these severities on a finding of GuardDuty is critical, high, or medium. Below it is low, which is info."""

_OF_LEVELS = {"critical": Severity.CRITICAL, "low": Severity.INFO}


def finding_event(envelope: Mapping[str, Any], detail: Mapping[str, Any], received_at: datetime) -> Event:
    """Read a finding: it fires, and GuardDuty's updates count on; it ends when somebody archives it."""
    service, number = lowered(detail.get("service")), coerce.line(detail.get("id"), 100) or event_id(envelope)
    type_ = coerce.line(detail.get("type"), 200)
    updated = coerce.first_instant(detail.get("updatedAt"), detail.get("createdAt"), envelope.get("time"))
    resource = lowered(detail.get("resource"))
    level = _level(detail.get("severity"))
    return made(
        envelope,
        received_at,
        id=f"{number}:{updated.isoformat() if updated else event_id(envelope)}",
        status=Status.RESOLVED if coerce.truth(service.get("archived")) else Status.FIRING,
        severity=_OF_LEVELS.get(level, Severity.WARNING),
        title=coerce.first_line(detail.get("title"), type_, limit=250) or "GuardDuty finding",
        summary=coerce.text(detail.get("description"), 2_000),
        url=console(region_of(envelope), f"guardduty/home?region={region_of(envelope)}#/findings?macros=current"),
        occurred_at=updated or received_at,
        identity=f"guardduty:{number}",
        name=type_,
        labels=[
            ("type", type_),
            ("level", level),
            ("severity_raw", coerce.line(coerce.number(detail.get("severity")), 20)),
            ("count", service.get("count")),
            ("resource_type", resource.get("resourceType")),
            ("instance", lowered(resource.get("instanceDetails")).get("instanceId")),
        ],
    )


def _level(said: Any) -> str:
    """Return the word for a severity; of none that is a number medium, since nothing said is a warning."""
    severity = coerce.number(said)
    if severity is None:
        return "medium"
    limits = ((CRITICAL_FINDING, "critical"), (HIGH_FINDING, "high"), (MEDIUM_FINDING, "medium"))
    return next((level for limit, level in limits if severity >= limit), "low")
