"""What events of EventBridge's default bus say: AWS Health, RDS, ECS, GuardDuty, and any other service as information.

An alarm of CloudWatch is read by `_cloudwatch`. Delivery is at least once; `id` is equal on every delivery.
https://docs.aws.amazon.com/eventbridge/latest/ref/welcome.html
"""

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any

from chalicelib.core.event import Event, Severity, Status
from chalicelib.core.payload import coerce
from chalicelib.core.unknown_values import LABEL
from chalicelib.sources import _cloudwatch

NAME = "eventbridge"
ALARM_SOURCES = ("aws.cloudwatch", "aws.monitoring")
CONFIGURATION_CHANGE = "CloudWatch Alarm Configuration Change"
ABUSE = "AWS Health Abuse Event"
GRAVE_CODES = ("AWS_RISK_", "AWS_ABUSE_")
"""How the codes of events of AWS Health begin that are faults, whatever their category."""
RDS_FAULTS = frozenset({"failure", "failover", "low storage", "availability"})
"""Categories that mean that a database is not as it should be."""
RDS_ENDS = {
    "0006": ("0004", "0022", "0224"),  # restarted: shutdown, reboot failed, operation did not complete
    "0088": ("0004", "0087"),  # started: shutdown, stopped
    "0015": ("0013", "0034"),  # failover complete: started, not attempted
    "0049": ("0013", "0034"),
    "0051": ("0013", "0034"),  # activation of several zones complete
    "0065": ("0013", "0034"),  # recovered from a partial failover
    "0071": ("0069", "0070", "0072", "0073"),  # failover of a cluster complete: failed, started in one of three ways
}
"""The numbers that are good news, with the numbers of the faults that they end. All other faults end by `resolve_timeout`."""
RDS_INFORMS = frozenset({"0050"})
"""Numbers that are no fault in a category of faults: an activation that began after a good recovery."""
_RDS_NUMBER = re.compile(r"RDS-EVENT-(\d{4})")
_RDS_MESSAGES = {"db instance restarted": "0006", "db instance shutdown": "0004"}
"""Whole messages of events without a number, as older ones are."""
_ARN_OF_ECS = re.compile(
    r"arn:[a-z-]{3,20}:ecs:[a-z0-9-]{0,40}:[0-9]{0,12}:[a-z]{1,20}/(?:[\w-]{1,255}/)?([\w-]{1,255})"
)
CRITICAL_FINDING, HIGH_FINDING, MEDIUM_FINDING = 9.0, 7.0, 4.0
"""From these severities on a finding of GuardDuty is critical, high, or medium. Below it is low, which is info."""
_OF_LEVELS = {"critical": Severity.CRITICAL, "low": Severity.INFO}


def is_event(payload: Mapping[str, Any]) -> bool:
    """Return whether a payload is an event of EventBridge."""
    return isinstance(payload.get("detail-type"), str) and isinstance(payload.get("source"), str)


def event_of(envelope: Mapping[str, Any], received_at: datetime) -> Event:
    """Return what an event says."""
    source, kind = coerce.line(envelope.get("source"), 100), coerce.line(envelope.get("detail-type"), 200)
    if source in ALARM_SOURCES:
        alarm = _cloudwatch.of_bus(envelope)
        if kind == CONFIGURATION_CHANGE:
            return _cloudwatch.changed_event(alarm, envelope, received_at)
        return _cloudwatch.event_of(alarm, envelope, received_at)
    read = _READERS.get((source, kind), _other)
    return read(envelope, _lowered(envelope.get("detail")), received_at)


def _lowered(value: Any) -> dict[str, Any]:
    """Return a table whose keys begin with a small letter: of one event both spellings have been seen."""
    return {key[:1].lower() + key[1:]: each for key, each in coerce.table(value).items()}


def _id(envelope: Mapping[str, Any]) -> str:
    return coerce.line(envelope.get("id"), 100) or coerce.digest(envelope)


def _kind(envelope: Mapping[str, Any]) -> str:
    """Return `health.event` for the detail type `AWS Health Event`, `ecs.service_action` for `ECS Service Action`."""
    service = coerce.word(envelope.get("source")).removeprefix("aws.") or "aws"
    words = coerce.word(envelope.get("detail-type")).removeprefix("aws_").removeprefix(f"{service}_")
    return f"{service}.{words or 'event'}"


def _event(envelope: Mapping[str, Any], received_at: datetime, **fields: Any) -> Event:
    labels = [
        ("account", envelope.get("account")),
        ("region", envelope.get("region")),
        ("detail_type", envelope.get("detail-type")),
        ("resource", next(iter(coerce.items(envelope.get("resources"))), None)),
        *fields.pop("labels", ()),
    ]
    fields.setdefault("id", _id(envelope))
    fields.setdefault("occurred_at", coerce.instant(envelope.get("time")) or received_at)
    return coerce.made_event(source=NAME, kind=_kind(envelope), labels=coerce.labels(labels), **fields)


def _console(region: str, page: str) -> str:
    return f"https://{region}.console.aws.amazon.com/{page}"


def _region(envelope: Mapping[str, Any]) -> str:
    return coerce.word(envelope.get("region")) or "us-east-1"


# ---------------------------------------------------------------------------------------------------------------------
# AWS Health


def _health(envelope: Mapping[str, Any], detail: Mapping[str, Any], received_at: datetime) -> Event:
    """Read an event of AWS Health: an issue, a risk or an abuse that is open fires, and ends when AWS closes it."""
    state = coerce.word(detail.get("statusCode"))
    status = _health_status(envelope, detail, state)
    arn = coerce.line(detail.get("eventArn"), 250) or _id(envelope)
    code, service = coerce.line(detail.get("eventTypeCode"), 200), coerce.line(detail.get("service"), 100)
    said = coerce.line(detail.get("communicationId"), 100) or state or coerce.digest(detail)
    return _event(
        envelope,
        received_at,
        id=f"{coerce.digest(arn)}:{said}",
        status=status,
        severity=Severity.INFO if status is Status.INFO else Severity.WARNING,
        title=f"AWS Health: {service} {code}".strip() if service or code else "AWS Health event",
        summary="\n".join(_health_lines(detail)),
        url="https://health.aws.amazon.com/health/home",
        service=service,
        occurred_at=_health_time(detail, status) or coerce.instant(envelope.get("time")) or received_at,
        identity=f"health:{arn}",
        name=code,
        labels=[
            ("code", code),
            ("category", detail.get("eventTypeCategory")),
            ("state", detail.get("statusCode")),
            ("event_region", detail.get("eventRegion")),
            ("scope", detail.get("eventScopeCode")),
            ("affected", ", ".join(_entities(detail))),
        ],
    )


def _health_status(envelope: Mapping[str, Any], detail: Mapping[str, Any], state: str) -> Status:
    """Return what an event means. Exposed credentials and abuse come as notifications to the account: they fire too."""
    grave = (
        coerce.line(detail.get("eventTypeCode"), 200).startswith(GRAVE_CODES) or envelope.get("detail-type") == ABUSE
    )
    if not grave and coerce.word(detail.get("eventTypeCategory")) != "issue":
        return Status.INFO
    if state == "closed":
        return Status.RESOLVED
    return Status.INFO if state == "upcoming" else Status.FIRING


def _health_time(detail: Mapping[str, Any], status: Status) -> datetime | None:
    """Return when it happened: an issue's last news is what orders its events."""
    ended = detail.get("endTime") if status is Status.RESOLVED else None
    return next(
        filter(None, (_mail_time(each) for each in (ended, detail.get("lastUpdatedTime"), detail.get("startTime")))),
        None,
    )


def _mail_time(value: Any) -> datetime | None:
    """Return a time as mails write it; AWS Health was seen to leave out the comma, and to put blanks into the clock."""
    said = re.sub(r":\s+", ":", coerce.line(value, 60))
    match = re.search(r"[0-9]{1,2} [A-Za-z]{3} [0-9]{4} [0-9]{1,2}:[0-9]{2}:[0-9]{2}", said)
    if not match:
        return coerce.instant(value)
    try:
        return coerce.instant(parsedate_to_datetime(f"{match[0]} +0000").isoformat())
    except (ValueError, OverflowError):
        return None


def _health_lines(detail: Mapping[str, Any]) -> Iterator[str]:
    texts = [each for each in coerce.items(detail.get("eventDescription")) if isinstance(each, dict)]
    english = sorted(texts, key=lambda each: not coerce.line(each.get("language")).startswith("en"))
    for each in english[:1]:
        yield coerce.text(each.get("latestDescription"), 2_500)
    if found := _entities(detail):
        yield f"Affected: {', '.join(found)}"


def _entities(detail: Mapping[str, Any]) -> list[str]:
    entries = (each for each in coerce.items(detail.get("affectedEntities"))[:10] if isinstance(each, dict))
    return [found for each in entries if (found := coerce.line(each.get("entityValue"), 200))]


# ---------------------------------------------------------------------------------------------------------------------
# RDS, ECS, GuardDuty


def _rds(envelope: Mapping[str, Any], detail: Mapping[str, Any], received_at: datetime) -> Event:
    """Read an event of RDS by its number. Words decide nothing: `the operation didn't complete` is no good news."""
    categories = [coerce.line(each, 60).lower() for each in coerce.items(detail.get("eventCategories"))[:10]]
    number = coerce.line(detail.get("eventID"), 60)
    message = coerce.text(detail.get("message"), 1_000)
    status, about = _rds_meaning(number, categories, message)
    arn = coerce.line(detail.get("sourceArn"), 200) or _id(envelope)
    name = coerce.line(detail.get("sourceIdentifier"), 200)
    return _event(
        envelope,
        received_at,
        status=status,
        severity=Severity.INFO if status is Status.INFO else Severity.WARNING,
        title=f"RDS {name}: {coerce.head(message) or number or 'event'}".replace("  ", " "),
        summary=message,
        url=_console(_region(envelope), f"rds/home?region={_region(envelope)}#databases:"),
        service=name,
        occurred_at=coerce.first_instant(detail.get("date"), envelope.get("time")) or received_at,
        identity=f"rds:{arn}:{about[0]}",
        ends_also=[f"rds:{arn}:{each}" for each in about[1:]],
        name=number,
        labels=[("event", number), ("category", ", ".join(categories)), ("source_type", detail.get("sourceType"))],
    )


def _rds_meaning(number: str, categories: list[str], message: str) -> tuple[Status, tuple[str, ...]]:
    """Return the status, and what the event is about: its own number, of an end the numbers of what it ends."""
    found = _RDS_NUMBER.fullmatch(number)
    short = found[1] if found else _RDS_MESSAGES.get(message.lower().rstrip("."), "") if not number else ""
    if ended := RDS_ENDS.get(short):
        return Status.RESOLVED, tuple(f"RDS-EVENT-{each}" for each in ended)
    fires = bool(RDS_FAULTS.intersection(categories)) and short not in RDS_INFORMS
    named = f"RDS-EVENT-{short}" if short else number or coerce.digest([categories, message])
    return Status.FIRING if fires else Status.INFO, (named,)


def _ecs_service(envelope: Mapping[str, Any], detail: Mapping[str, Any], received_at: datetime) -> Event:
    """Read a deployment or an action of a service: a failure fires, and the next good one of the service ends it."""
    name, level = coerce.line(detail.get("eventName"), 100), coerce.line(detail.get("eventType"), 20).upper()
    deploys = _kind(envelope) == "ecs.deployment_state_change"
    status = _deployment_status(name) if deploys else _action_status(name, level)
    arn = coerce.first_line(*coerce.items(envelope.get("resources"))[:1], limit=250) or _id(envelope)
    service = _last(arn)
    reason = coerce.text(detail.get("reason"), 1_000)
    return _event(
        envelope,
        received_at,
        status=status,
        severity=Severity.INFO if status is Status.INFO else Severity.WARNING,
        title=f"ECS {service}: {name.replace('_', ' ').lower() or 'event'}",
        summary=reason,
        url=_console(_region(envelope), f"ecs/v2/clusters?region={_region(envelope)}"),
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
    """Only the steady state ends what failed: other news of a service say nothing of it."""
    if level in ("ERROR", "WARN"):
        return Status.FIRING
    return Status.RESOLVED if level == "INFO" and name == "SERVICE_STEADY_STATE" else Status.INFO


def _ecs_task(envelope: Mapping[str, Any], detail: Mapping[str, Any], received_at: datetime) -> Event:
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
    return _event(
        envelope,
        received_at,
        status=Status.INFO,
        severity=Severity.INFO,
        title=f"ECS {service}: a task is {state.lower()}" if state else f"ECS {service}: a task changed",
        summary="\n".join(filter(None, lines)),
        url=_console(_region(envelope), f"ecs/v2/clusters?region={_region(envelope)}"),
        service=service,
        identity=f"ecs:task:{coerce.line(detail.get('clusterArn'), 200)}:{group or _id(envelope)}",
        name=coerce.line(detail.get("stopCode"), 100),
        labels=[
            ("state", state),
            ("exit_code", next((code for code in codes if code != "0"), codes[0] if codes else None)),
            ("stop_code", detail.get("stopCode")),
            ("cluster", _last(coerce.line(detail.get("clusterArn"), 300))),
        ],
    )


def _guardduty(envelope: Mapping[str, Any], detail: Mapping[str, Any], received_at: datetime) -> Event:
    """Read a finding: it fires, and GuardDuty's updates count on; it ends when somebody archives it."""
    service, number = _lowered(detail.get("service")), coerce.line(detail.get("id"), 100) or _id(envelope)
    type_ = coerce.line(detail.get("type"), 200)
    updated = coerce.first_instant(detail.get("updatedAt"), detail.get("createdAt"), envelope.get("time"))
    resource = _lowered(detail.get("resource"))
    level = _level(detail.get("severity"))
    return _event(
        envelope,
        received_at,
        id=f"{number}:{updated.isoformat() if updated else _id(envelope)}",
        status=Status.RESOLVED if coerce.truth(service.get("archived")) else Status.FIRING,
        severity=_OF_LEVELS.get(level, Severity.WARNING),
        title=coerce.first_line(detail.get("title"), type_, limit=250) or "GuardDuty finding",
        summary=coerce.text(detail.get("description"), 2_000),
        url=_console(_region(envelope), f"guardduty/home?region={_region(envelope)}#/findings?macros=current"),
        occurred_at=updated or received_at,
        identity=f"guardduty:{number}",
        name=type_,
        labels=[
            ("type", type_),
            ("level", level),
            ("severity_raw", coerce.line(coerce.number(detail.get("severity")), 20)),
            ("count", service.get("count")),
            ("resource_type", resource.get("resourceType")),
            ("instance", _lowered(resource.get("instanceDetails")).get("instanceId")),
        ],
    )


def _level(said: Any) -> str:
    """Return the word for a severity; of none that is a number medium, since nothing said is a warning."""
    severity = coerce.number(said)
    if severity is None:
        return "medium"
    limits = ((CRITICAL_FINDING, "critical"), (HIGH_FINDING, "high"), (MEDIUM_FINDING, "medium"))
    return next((level for limit, level in limits if severity >= limit), "low")


def _other(envelope: Mapping[str, Any], detail: Mapping[str, Any], received_at: datetime) -> Event:
    """Read an event of a service that nobody knows here: information with what it names."""
    source, kind = coerce.line(envelope.get("source"), 100), coerce.line(envelope.get("detail-type"), 200)
    resource = coerce.first_line(*coerce.items(envelope.get("resources"))[:1], limit=200)
    scalars = ((key, each) for key, each in sorted(detail.items()) if not isinstance(each, dict | list))
    return _event(
        envelope,
        received_at,
        status=Status.INFO,
        severity=Severity.INFO,
        title=f"{source}: {kind}" if source and kind else source or kind or "EventBridge event",
        summary=resource,
        service=source.removeprefix("aws."),
        identity=f"{source}:{kind}:{resource or _id(envelope)}",
        name=kind,
        labels=[(LABEL, f"detail-type {coerce.word(source)} {kind}"), *scalars],
    )


_READERS = {
    ("aws.health", "AWS Health Event"): _health,
    ("aws.health", ABUSE): _health,
    ("aws.rds", "RDS DB Instance Event"): _rds,
    ("aws.rds", "RDS DB Cluster Event"): _rds,
    ("aws.ecs", "ECS Deployment State Change"): _ecs_service,
    ("aws.ecs", "ECS Service Action"): _ecs_service,
    ("aws.ecs", "ECS Task State Change"): _ecs_task,
    ("aws.guardduty", "GuardDuty Finding"): _guardduty,
}
