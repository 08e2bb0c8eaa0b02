"""What events of EventBridge's default bus mean: one file for each service, and any other service as information.

An alarm of CloudWatch is read by `_cloudwatch`.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from chalicelib.core.event import Event, Severity, Status
from chalicelib.core.payload import coerce
from chalicelib.core.unknown_values import LABEL
from chalicelib.sources import _cloudwatch
from chalicelib.sources._aws_ecs import service_event, task_event
from chalicelib.sources._aws_event import event_id, lowered, made
from chalicelib.sources._aws_guardduty import finding_event
from chalicelib.sources._aws_health import ABUSE, health_event
from chalicelib.sources._aws_rds import database_event

ALARM_SOURCES = ("aws.cloudwatch", "aws.monitoring")
CONFIGURATION_CHANGE = "CloudWatch Alarm Configuration Change"


def is_event(payload: Mapping[str, Any]) -> bool:
    """Return whether a payload is an event of EventBridge."""
    return isinstance(payload.get("detail-type"), str) and isinstance(payload.get("source"), str)


def event_of(envelope: Mapping[str, Any], received_at: datetime) -> Event:
    """Return the event of Tocsin that an event of EventBridge comes to."""
    source, kind = coerce.line(envelope.get("source"), 100), coerce.line(envelope.get("detail-type"), 200)
    if source in ALARM_SOURCES:
        alarm = _cloudwatch.of_bus(envelope)
        if kind == CONFIGURATION_CHANGE:
            return _cloudwatch.changed_event(alarm, envelope, received_at)
        return _cloudwatch.event_of(alarm, envelope, received_at)
    read = _READERS.get((source, kind), _other)
    return read(envelope, lowered(envelope.get("detail")), received_at)


def _other(envelope: Mapping[str, Any], detail: Mapping[str, Any], received_at: datetime) -> Event:
    """Read an event of a service that nobody knows here: information with what it names."""
    source, kind = coerce.line(envelope.get("source"), 100), coerce.line(envelope.get("detail-type"), 200)
    resource = coerce.first_line(*coerce.items(envelope.get("resources"))[:1], limit=200)
    scalars = ((key, each) for key, each in sorted(detail.items()) if not isinstance(each, dict | list))
    return made(
        envelope,
        received_at,
        status=Status.INFO,
        severity=Severity.INFO,
        title=f"{source}: {kind}" if source and kind else source or kind or "EventBridge event",
        summary=resource,
        service=source.removeprefix("aws."),
        identity=f"{source}:{kind}:{resource or event_id(envelope)}",
        name=kind,
        labels=[(LABEL, f"detail-type {coerce.word(source)} {kind}"), *scalars],
    )


_READERS = {
    ("aws.health", "AWS Health Event"): health_event,
    ("aws.health", ABUSE): health_event,
    ("aws.rds", "RDS DB Instance Event"): database_event,
    ("aws.rds", "RDS DB Cluster Event"): database_event,
    ("aws.ecs", "ECS Deployment State Change"): service_event,
    ("aws.ecs", "ECS Service Action"): service_event,
    ("aws.ecs", "ECS Task State Change"): task_event,
    ("aws.guardduty", "GuardDuty Finding"): finding_event,
}
