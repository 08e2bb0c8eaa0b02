"""The meaning of a CloudWatch alarm, whether it came by SNS or by EventBridge: both ways give one event with one id.

SNS has the measured value only in the text of its reason; EventBridge has it in `reasonData`. An alarm of several time
series distinguishes each by its contributor, so that the end of one series ends no other.
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/cloudwatch-and-eventbridge.html
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from urllib.parse import quote

from chalicelib.core.event import Event, Severity, Status
from chalicelib.core.payload import coerce, label_names

NAME = "cloudwatch"
KIND = "alarm"
KINDS = (
    KIND,
    *(
        f"{KIND}.{each}"
        for each in ("insufficient_data", "muted", "suppressed", "group", "target_tracking", "delete", "update")
    ),
)
TARGET_TRACKING = "TargetTracking-"
"""How auto scaling names the alarms that it makes. They change state all day by design."""
MAX_CHILDREN = 10
_PLAIN = frozenset(each.value for each in Severity)
SERVICE_TAGS = (*label_names.SERVICE, "component")
SERVICE_DIMENSIONS = (
    "ServiceName", "Service", "FunctionName", "ApiName", "StateMachineArn", "DBClusterIdentifier", "DBInstanceIdentifier",
    "CacheClusterId", "TableName", "QueueName", "TopicName", "BucketName", "StreamName", "TargetGroup", "LoadBalancer",
    "AutoScalingGroupName", "ClusterName", "InstanceId",
)  # fmt: skip
"""Dimensions that name what is measured, the one that says most first."""
_CONSOLES = {"aws-cn": "console.amazonaws.cn", "aws-us-gov": "console.amazonaws-us-gov.com"}
_ARN_OF_ALARM = re.compile(r"arn:[a-z-]{3,20}:cloudwatch:[a-z0-9-]{0,40}:[0-9]{0,12}:alarm:(.{1,255})")
_NAME_IN_ARN = re.compile(
    r"arn:[a-z-]{3,20}:[a-z0-9-]{1,40}:[a-z0-9-]{0,40}:[0-9]{0,12}:(?:[A-Za-z]{1,40}[:/])?([\w.-]{1,256})"
)
_BALANCER = re.compile(r"(?:app|net|gwy|targetgroup)/([\w.-]{1,64})/[0-9a-f]{8,40}")
"""What is cut out of a longer text must be its whole form: a part of a secret is no secret to any mask."""
_REGION = re.compile(r"[a-z]{2,3}(?:-[a-z]+){1,3}-[0-9]{1,2}")
_NUMBER = r"(-?[0-9]{1,18}(?:\.[0-9]{1,18})?(?:E-?[0-9]{1,3})?)"
_DATAPOINT = re.compile(rf"\[{_NUMBER} \([0-9]{{2}}/[0-9]{{2}}/[0-9]{{2}} ")
_THRESHOLD = re.compile(rf"\bthreshold \({_NUMBER}\)")
_LOWER, _UPPER = (re.compile(rf"{each} thresholds? \[{_NUMBER}") for each in ("lower", "upper"))
MAX_ATTRIBUTES_IN_TITLE = 3
_SERIES = re.compile(r"[0-9]+ out of [0-9]+ time series evaluated to ")
_COMPARISONS = (
    ("greater than or equal to", ">="),
    ("greaterthanorequalto", ">="),
    ("less than or equal to", "<="),
    ("lessthanorequalto", "<="),
    ("greater than", ">"),
    ("greaterthan", ">"),
    ("less than", "<"),
    ("lessthan", "<"),
)


@dataclass(frozen=True, slots=True)
class Metric:
    """What an alarm measures: one metric with its dimensions, or an expression."""

    name: str = ""
    namespace: str = ""
    statistic: str = ""
    period: str = ""
    expression: str = ""
    dimensions: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Held:
    """How the actions of an alarm are kept from running (`muted`, `suppressed`), and by what."""

    how: str
    by: str


@dataclass(frozen=True, slots=True)
class Alarm:
    """A state of an alarm or of one of its series. `value` and `limit` are text for people, empty where unknown.

    `held` is set while a mute rule or a suppressor keeps its actions from running.
    """

    arn: str
    name: str
    state: str
    at: datetime | None
    previous: str = ""
    reason: str = ""
    description: str = ""
    contributor: str = ""
    attributes: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    tags_status: str = ""
    metric: Metric = Metric()
    value: str = ""
    limit: str = ""
    children: tuple[str, ...] = ()
    held: Held | None = None
    is_group: bool = False

    @property
    def place(self) -> tuple[str, str, str]:
        """Return partition, Region and account; each empty where the ARN does not have it."""
        parts = (self.arn.split(":") + [""] * 6)[:6]
        return parts[1], parts[3], parts[4]

    @property
    def identity(self) -> str:
        """Return what its events have in common: the alarm, and of an alarm of several series the one."""
        return f"alarm:{self.arn}#{self.contributor}" if self.contributor else f"alarm:{self.arn}"


def of_topic(message: Mapping[str, Any], topic: str) -> Alarm:
    """Return the alarm in the message of a topic, whose ARN says the Region where the message does not."""
    trigger = coerce.table(message.get("Trigger"))
    reason = coerce.text(message.get("NewStateReason"), coerce.MAX_SUMMARY_CHARACTERS)
    contributor = coerce.line(_ending(message, "contributorid"), 100)
    return Alarm(
        arn=coerce.line(message.get("AlarmArn"), 300) or _composed_arn(message, topic),
        name=coerce.line(message.get("AlarmName"), 255),
        state=coerce.line(message.get("NewStateValue"), 40).upper(),
        previous=coerce.line(message.get("OldStateValue"), 40).upper(),
        at=coerce.instant(message.get("StateChangeTime")),
        reason=reason,
        description=coerce.text(message.get("AlarmDescription"), coerce.MAX_SUMMARY_CHARACTERS),
        contributor=contributor,
        attributes=coerce.labels(coerce.table(_ending(message, "contributorattributes")).items()),
        tags=_by_name(message.get("AlarmTags")),
        tags_status=coerce.line(message.get("AlarmTagsStatus"), 40),
        metric=_metric_of_trigger(trigger),
        value=_value_in(reason),
        limit=_limit(trigger.get("Threshold"), trigger.get("ComparisonOperator"), reason),
        children=_children(_ending(message, "children")),
        is_group=_is_group(contributor, reason),
    )


def of_bus(envelope: Mapping[str, Any]) -> Alarm:
    """Return the alarm in an event of EventBridge about its state, one of its series, or its configuration."""
    detail = coerce.table(envelope.get("detail"))
    state, configuration = coerce.table(detail.get("state")), coerce.table(detail.get("configuration"))
    data = coerce.table(coerce.unwrapped(state.get("reasonData")))
    reason = coerce.text(state.get("reason"), coerce.MAX_SUMMARY_CHARACTERS)
    contributor = coerce.line(coerce.at(detail, "alarmContributor", "id"), 100)
    muted = coerce.line(coerce.at(detail, "muteDetail", "mutedByArn"), 300)
    suppressed = coerce.line(state.get("actionsSuppressedBy"), 60)
    return Alarm(
        arn=coerce.first_line(*coerce.items(envelope.get("resources"))[:1], limit=300) or _composed_arn(detail, ""),
        name=coerce.line(detail.get("alarmName"), 255),
        state=coerce.line(state.get("value"), 40).upper(),
        previous=coerce.line(coerce.at(detail, "previousState", "value"), 40).upper(),
        at=coerce.instant(state.get("timestamp")),
        reason=reason,
        description=coerce.text(configuration.get("description"), coerce.MAX_SUMMARY_CHARACTERS),
        contributor=contributor,
        attributes=coerce.labels(coerce.table(coerce.at(detail, "alarmContributor", "attributes")).items()),
        tags=_by_name(detail.get("alarmTags")),
        tags_status=coerce.line(detail.get("alarmTagsStatus"), 40),
        metric=_metric_of_list(coerce.items(configuration.get("metrics"))),
        value=_value_of(data) or _value_in(reason),
        limit=_band(data) or _limit(data.get("threshold"), configuration.get("comparisonOperator"), reason),
        children=_children(data.get("triggeringAlarms")),
        held=Held("muted", muted) if muted else Held("suppressed", suppressed) if suppressed else None,
        is_group=_is_group(contributor, reason),
    )


def _is_group(contributor: str, reason: str) -> bool:
    """Return whether a state is that of an alarm of several series, each of which comes by itself."""
    return not contributor and bool(_SERIES.match(reason))


def event_of(alarm: Alarm, payload: Mapping[str, Any], received_at: datetime) -> Event:
    """Return the event of an alarm's state. `payload` gives the id where the alarm has no time."""
    status, kind = _meaning(alarm)
    moment = alarm.at.isoformat(timespec="milliseconds") if alarm.at else coerce.digest(payload)
    return _event(alarm, status, kind, f"{alarm.identity}:{alarm.state}{kind.removeprefix(KIND)}:{moment}", received_at)


def changed_event(alarm: Alarm, envelope: Mapping[str, Any], received_at: datetime) -> Event:
    """Return the event of a changed configuration: an alarm that was deleted has ended, whatever its state was."""
    operation = coerce.word(coerce.at(envelope, "detail", "operation")) or "changed"
    status = Status.RESOLVED if operation.startswith("delete") else Status.INFO
    number = coerce.line(envelope.get("id"), 100) or coerce.digest(envelope)
    found = _event(alarm, status, f"{KIND}.{operation}", f"{alarm.identity}:{operation}:{number}", received_at)
    at = coerce.instant(envelope.get("time")) or received_at
    words = f"The alarm's configuration: {operation}."
    return replace(found, occurred_at=at, summary="\n".join(filter(None, (words, alarm.description))))


def _event(alarm: Alarm, status: Status, kind: str, id: str, received_at: datetime) -> Event:
    raw = next((alarm.tags[each] for each in label_names.SEVERITY if alarm.tags.get(each)), "")
    return coerce.made_event(
        id=id,
        source=NAME,
        kind=kind,
        name=alarm.name,
        status=status,
        severity=coerce.severity(raw) if status is not Status.INFO else Severity.INFO,
        title=_title(alarm),
        summary="\n".join(_lines(alarm)),
        url=_address(alarm),
        service=_service(alarm),
        environment=next((alarm.tags[each] for each in label_names.ENVIRONMENT if alarm.tags.get(each)), ""),
        occurred_at=alarm.at or received_at,
        identity=alarm.identity,
        labels=_labels(alarm, raw if status is not Status.INFO and raw.lower() not in _PLAIN else ""),
    )


def _meaning(alarm: Alarm) -> tuple[Status, str]:
    """Return what a state is, and the kind of its event. OK ends a fault whatever keeps actions from running."""
    if alarm.state == "OK":
        return Status.RESOLVED, KIND
    if alarm.state != "ALARM":
        return Status.INFO, f"{KIND}.{coerce.word(alarm.state) or 'unknown'}"
    if alarm.held:
        return Status.INFO, f"{KIND}.{alarm.held.how}"
    if alarm.is_group:
        return Status.INFO, f"{KIND}.group"
    if alarm.name.startswith(TARGET_TRACKING):
        return Status.INFO, f"{KIND}.target_tracking"
    return Status.FIRING, KIND


def _title(alarm: Alarm) -> str:
    name = alarm.name or _alarm_name(alarm.arn) or "CloudWatch alarm"
    telling = (*SERVICE_DIMENSIONS, *SERVICE_TAGS)
    ordered = sorted(alarm.attributes.items(), key=lambda each: (each[0] not in telling, each))
    about = ", ".join(f"{key}={value}" for key, value in ordered[:MAX_ATTRIBUTES_IN_TITLE])
    return f"{name} ({about or alarm.contributor})" if alarm.contributor else name


def _lines(alarm: Alarm) -> Iterator[str]:
    """Yield what people read: the description, the value against its limit, the reason, and what else is known."""
    if alarm.description:
        yield alarm.description
    measured = _measured(alarm)
    if measured:
        yield measured
    if alarm.reason:
        yield alarm.reason
    if alarm.children:
        yield f"Alarms: {', '.join(alarm.children)}"
    if alarm.held:
        yield f"Its actions are {alarm.held.how} by {alarm.held.by}"
    if alarm.tags_status and alarm.tags_status != "SUCCESS":
        yield f"Its tags are not known: {alarm.tags_status}"


def _measured(alarm: Alarm) -> str:
    metric = alarm.metric
    what = metric.name or metric.expression
    how = " over ".join(filter(None, (metric.statistic, f"{metric.period} s" if metric.period else "")))
    named = f"{what} ({how})" if what and how else what
    if not alarm.value:
        return ""
    against = f", the limit is {alarm.limit}" if alarm.limit else ""
    return f"{named or 'The value'} is {alarm.value}{against}"


def _labels(alarm: Alarm, severity: str) -> dict[str, str]:
    _, region, account = alarm.place
    metric = alarm.metric
    own = [
        ("alarm", alarm.name),
        ("alarm_arn", alarm.arn),
        ("state", alarm.state),
        ("previous_state", alarm.previous),
        ("account", account),
        ("region", region),
        ("namespace", metric.namespace),
        ("metric", metric.name),
        ("expression", metric.expression),
        ("statistic", metric.statistic),
        ("value", alarm.value),
        ("threshold", alarm.limit),
        ("contributor", alarm.contributor),
        *([(f"{alarm.held.how}_by", alarm.held.by)] if alarm.held else []),
        ("severity_raw", severity),
    ]
    tags = [(key, value) for key, value in sorted(alarm.tags.items()) if key not in label_names.SEVERITY]
    return coerce.labels([*own, *sorted(alarm.attributes.items()), *tags, *sorted(metric.dimensions.items())])


def _service(alarm: Alarm) -> str:
    """Return what the alarm is about: as a tag says, else its dimension, whose ARN or path is cut down to the name."""
    tagged = next((alarm.tags[each] for each in SERVICE_TAGS if alarm.tags.get(each)), "")
    if tagged:
        return tagged
    known = {**alarm.metric.dimensions, **alarm.attributes}
    for name in (*SERVICE_DIMENSIONS, *SERVICE_TAGS):
        if said := known.get(name):
            match = _BALANCER.fullmatch(said) or _NAME_IN_ARN.fullmatch(said)
            return match[1] if match else said
    return ""


def _alarm_name(arn: str) -> str:
    match = _ARN_OF_ALARM.fullmatch(arn)
    return match[1] if match else ""


def _address(alarm: Alarm) -> str | None:
    partition, region, _ = alarm.place
    if not _REGION.fullmatch(region) or not alarm.name:
        return None
    host = _CONSOLES.get(partition, "console.aws.amazon.com")
    first = f"{region}." if partition not in _CONSOLES else ""
    name = quote(alarm.name, safe="")
    return f"https://{first}{host}/cloudwatch/home?region={region}#alarmsV2:alarm/{name}"


def _composed_arn(message: Mapping[str, Any], topic: str) -> str:
    """Return the ARN of an alarm whose message has none: those of 2017, and of the embedded AWS."""
    parts = topic.split(":")
    partition, region = (parts[1], parts[3]) if len(parts) > 4 else ("aws", "")
    said = coerce.line(message.get("Region"), 40)
    region = region or (said if _REGION.fullmatch(said) else "")
    name = coerce.first_line(message.get("AlarmName"), message.get("alarmName"), limit=255)
    return f"arn:{partition}:cloudwatch:{region}:{coerce.line(message.get('AWSAccountId'), 20)}:alarm:{name}"


def _ending(message: Mapping[str, Any], end: str) -> Any:
    """Return the value of the first key that ends so; how AWS calls some keys in SNS is not documented."""
    return next((value for key, value in sorted(message.items(), key=str) if key.lower().endswith(end)), None)


def _metric_of_trigger(trigger: Mapping[str, Any]) -> Metric:
    if coerce.items(trigger.get("Metrics")):
        found = _metric_of_list(coerce.items(trigger.get("Metrics")))
        return found if found.period else _with_period(found, trigger.get("Period"))
    return Metric(
        name=coerce.line(trigger.get("MetricName"), 255),
        namespace=coerce.line(trigger.get("Namespace"), 255),
        statistic=_statistic(coerce.first_line(trigger.get("Statistic"), trigger.get("ExtendedStatistic"), limit=60)),
        period=coerce.line(trigger.get("Period"), 20),
        dimensions=_by_name(trigger.get("Dimensions")),
    )


def _with_period(metric: Metric, period: Any) -> Metric:
    return replace(metric, period=coerce.line(period, 20))


def _statistic(said: str) -> str:
    """Return a statistic as EventBridge and the console write it; SNS has those of one word in capitals."""
    words = {
        "SUM": "Sum",
        "AVERAGE": "Average",
        "MINIMUM": "Minimum",
        "MAXIMUM": "Maximum",
        "SAMPLECOUNT": "SampleCount",
    }
    return words.get(said.upper(), said)


def _metric_of_list(entries: list[Any]) -> Metric:
    """Return what an alarm of a list of metrics watches: the one that is returned, an anomaly's band apart."""
    tables = [{key.lower(): value for key, value in each.items()} for each in entries if isinstance(each, dict)]
    returned = [each for each in tables if coerce.truth(each.get("returndata")) is not False]
    watched = next((each for each in returned if "ANOMALY_DETECTION_BAND" not in str(each.get("expression"))), {})
    of_all: dict[str, str] = {}
    for each in tables:
        of_all |= {key: value for key, value in _metric_of_entry(each).dimensions.items() if key not in of_all}
    found = _metric_of_entry(watched)
    if found.dimensions or not found.expression:
        return found
    return Metric(coerce.line(watched.get("label"), 200), "", "", found.period, found.expression, of_all)


def _metric_of_entry(entry: Mapping[str, Any]) -> Metric:
    stat = {key.lower(): value for key, value in coerce.table(entry.get("metricstat")).items()}
    metric = {key.lower(): value for key, value in coerce.table(stat.get("metric")).items()}
    return Metric(
        name=coerce.first_line(metric.get("metricname"), metric.get("name"), limit=255),
        namespace=coerce.line(metric.get("namespace"), 255),
        statistic=_statistic(coerce.line(stat.get("stat"), 60)),
        period=coerce.first_line(stat.get("period"), entry.get("period"), limit=20),
        expression=coerce.line(entry.get("expression"), 300),
        dimensions=_by_name(metric.get("dimensions")),
    )


def _by_name(value: Any) -> dict[str, str]:
    """Return tags or dimensions: an object in EventBridge, in SNS a list of pairs with keys in any case."""
    if isinstance(value, dict):
        return coerce.sent_labels(value)
    pairs = (
        {key.lower(): each for key, each in item.items()} for item in coerce.items(value) if isinstance(item, dict)
    )
    named = {coerce.first_line(each.get("name"), each.get("key"), limit=100): each.get("value") for each in pairs}
    return coerce.sent_labels(named)


def _children(value: Any) -> tuple[str, ...]:
    """Return the names of the alarms that made a composite one change."""
    found = (
        {key.lower(): each for key, each in item.items()} for item in coerce.items(value) if isinstance(item, dict)
    )
    names = (_alarm_name(coerce.line(each.get("arn"), 300)) for each in found)
    return tuple(name for name in names if name)[:MAX_CHILDREN]


def _value_in(reason: str) -> str:
    match = _DATAPOINT.search(reason)
    return _shown(match[1]) if match else ""


def _value_of(data: Mapping[str, Any]) -> str:
    """Return the newest value that was evaluated, by its time; else the last of the recent ones."""
    points = [each for each in coerce.items(data.get("evaluatedDatapoints")) if isinstance(each, dict)]
    timed = [(at, each.get("value")) for each in points if (at := coerce.instant(each.get("timestamp")))]
    newest = max(timed, key=lambda each: each[0])[1] if timed else None
    recent = [each for each in coerce.items(data.get("recentDatapoints")) if coerce.number(each) is not None]
    return _shown(newest) or (_shown(recent[-1]) if recent else "")


def _shown(value: Any) -> str:
    try:
        return coerce.line(float(value), 40) if not isinstance(value, bool | list | dict | None) else ""
    except (ValueError, OverflowError):
        return ""


def _limit(threshold: Any, operator: Any, reason: str) -> str:
    lower, upper = _LOWER.search(reason), _UPPER.search(reason)
    if lower and upper:
        return f"{_shown(lower[1])} to {_shown(upper[1])}"
    match = _THRESHOLD.search(reason)
    found = _shown(threshold) or (_shown(match[1]) if match else "")
    return f"{_comparison(operator, reason)} {found}".strip() if found else ""


def _comparison(operator: Any, reason: str) -> str:
    for words in (coerce.line(operator, 100).lower(), reason.lower()):
        for said, sign in _COMPARISONS:
            if said in words:
                return sign
    return ""


def _band(data: Mapping[str, Any]) -> str:
    """Return the range that an anomaly's value should have been in."""
    lower, upper = (coerce.items(data.get(f"recent{each}Thresholds")) for each in ("Lower", "Upper"))
    return f"{_shown(lower[-1])} to {_shown(upper[-1])}" if lower and upper else ""


def is_alarm(message: Mapping[str, Any]) -> bool:
    """Return whether a message of a topic is an alarm's."""
    return "AlarmName" in message and "NewStateValue" in message
