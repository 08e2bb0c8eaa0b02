"""The alarms of the stage's account and Region as CloudWatch has them now. CloudWatch sends changes only.

It needs no token: the function's role may look. Two things have no event of their own, so that they are asked for:

- a composite alarm whose actions waited for its suppressor begins to act when the wait is over;
- an alarm that fires here is still in ALARM. That is sent anew once in REFRESH, so that no `resolve_timeout` ends it.

An alarm of another account, or one that was deleted, is not among them and is left as it is.
https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_DescribeAlarms.html
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from chalicelib.core.payload import coerce
from chalicelib.histories import Endpoint, Found, History

if TYPE_CHECKING:
    from chalicelib.core.ports import Clients

PARAMETERS: tuple[str, ...] = ()
ACTIVE_LABEL = "alarm_arn"
"""The label by which an alert of this source names what it is called at the vendor."""
REFRESH = timedelta(hours=1)
MAX_NAMES = 100
"""Names in one request."""
MAX_ALARMS = 1_000
TYPES = ("CompositeAlarm", "MetricAlarm", "LogAlarm")
STATE_CHANGE = "CloudWatch Alarm State Change"
SERIES_CHANGE = "CloudWatch Alarm Contributor State Change"
_PROPAGATION = "AlarmTagsPropagation"


def _alarms(clients: "Clients", *, since: datetime, until: datetime, active: Sequence[str]) -> History:
    """Return the states that nothing else reports: composites that have waited, and hourly what still fires."""
    client = clients.aws("cloudwatch")
    hour = until.replace(minute=0, second=0, microsecond=0)
    known = set(active)
    waited = _described(client, StateValue="ALARM", AlarmTypes=["CompositeAlarm"])
    states = [
        found
        for alarm in waited
        if alarm.get("ActionsSuppressor") and alarm.get("AlarmArn") not in known and not _is_held(client, alarm)
        for found in _states(client, alarm, hour)
    ]
    if hour > since:
        states += [found for alarm in _still(client, known) for found in _states(client, alarm, hour)]
    return History((), until, states=states)


def _still(client: Any, known: set[str]) -> Iterator[Mapping[str, Any]]:
    """Yield the alarms that fire here and are in ALARM or OK at CloudWatch."""
    names = sorted({arn.split(":alarm:", 1)[1] for arn in known if ":alarm:" in arn})
    for start in range(0, len(names), MAX_NAMES):
        for alarm in _described(client, AlarmNames=names[start : start + MAX_NAMES], AlarmTypes=list(TYPES)):
            if alarm.get("AlarmArn") in known and alarm.get("StateValue") in ("ALARM", "OK"):
                yield alarm


def _described(client: Any, **asked: Any) -> list[Mapping[str, Any]]:
    found: list[Mapping[str, Any]] = []
    following: dict[str, str] = {}
    while len(found) < MAX_ALARMS:
        answer = client.describe_alarms(MaxRecords=MAX_NAMES, **asked, **following)
        for kind in TYPES:
            found += answer.get(f"{kind}s") or []
        if not answer.get("NextToken"):
            break
        following = {"NextToken": answer["NextToken"]}
    return found[:MAX_ALARMS]


def _is_held(client: Any, alarm: Mapping[str, Any]) -> bool:
    """Return whether the actions of an alarm do not run: a suppressor, or a mute rule that is in force."""
    if alarm.get("ActionsSuppressedBy"):
        return True
    if not hasattr(client, "list_alarm_mute_rules"):  # an SDK of before 2026
        return False
    rules = client.list_alarm_mute_rules(AlarmName=alarm.get("AlarmName"), Statuses=["ACTIVE"])
    return bool(rules.get("AlarmMuteRuleSummaries"))


def _states(client: Any, alarm: Mapping[str, Any], hour: datetime) -> Iterator[Found]:
    """Yield the state of an alarm, or of each of its series."""
    at = alarm.get("StateTransitionedTimestamp") or alarm.get("StateUpdatedTimestamp") or hour
    series = _series(client, alarm) if alarm.get("StateValue") == "ALARM" and _has_series(alarm) else []
    if series and _is_held(client, alarm):
        return
    tags = _tags(client, alarm)
    for each in series:
        began = each.get("StateTransitionedTimestamp") or at
        contributor = {"id": each.get("ContributorId"), "attributes": each.get("ContributorAttributes") or {}}
        moment = max(began.astimezone(UTC), hour)
        state = {"value": "ALARM", "reason": each.get("StateReason"), "timestamp": moment.isoformat()}
        yield _found(alarm, SERIES_CHANGE, moment, {"state": state, "alarmContributor": contributor, **tags})
    if not series:
        moment = max(at.astimezone(UTC), hour) if alarm.get("StateValue") == "ALARM" else at.astimezone(UTC)
        yield _found(alarm, STATE_CHANGE, moment, {"state": _state(alarm, moment), **tags})


def _state(alarm: Mapping[str, Any], moment: datetime) -> dict[str, Any]:
    return {
        "value": alarm.get("StateValue"),
        "reason": alarm.get("StateReason"),
        "reasonData": alarm.get("StateReasonData"),
        "timestamp": moment.isoformat(),
        "actionsSuppressedBy": alarm.get("ActionsSuppressedBy"),
    }


def _has_series(alarm: Mapping[str, Any]) -> bool:
    """Return whether an alarm is about several series: a query that groups, or one of PromQL."""
    queries = (str(each.get("Expression", "")).upper() for each in alarm.get("Metrics") or [])
    return "EvaluationCriteria" in alarm or any("GROUP BY" in each for each in queries)


def _series(client: Any, alarm: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the series in ALARM; none where the SDK cannot ask for them."""
    if not hasattr(client, "describe_alarm_contributors"):
        return []
    found: list[Mapping[str, Any]] = []
    following: dict[str, str] = {}
    while len(found) < MAX_ALARMS:
        answer = client.describe_alarm_contributors(AlarmName=alarm.get("AlarmName"), **following)
        found += answer.get("AlarmContributors") or []
        if not answer.get("NextToken"):
            break
        following = {"NextToken": answer["NextToken"]}
    return found[:MAX_ALARMS]


def _tags(client: Any, alarm: Mapping[str, Any]) -> dict[str, Any]:
    """Return the tags that travel with an alarm, as its events have them: they say how bad it is."""
    asked = coerce.table(coerce.at(alarm, "ActionConfiguration", _PROPAGATION))
    if not asked.get("Enabled"):
        return {}
    answer = client.list_tags_for_resource(ResourceARN=alarm.get("AlarmArn"))
    tags = {each["Key"]: each["Value"] for each in answer.get("Tags", []) if not each["Key"].startswith("aws:")}
    wanted, unwanted = asked.get("IncludedTagKeys"), asked.get("ExcludedTagKeys") or ()
    kept = {key: value for key, value in tags.items() if (not wanted or key in wanted) and key not in unwanted}
    return {"alarmTags": kept, "alarmTagsStatus": "SUCCESS"}


def _found(alarm: Mapping[str, Any], kind: str, moment: datetime, detail: Mapping[str, Any]) -> Found:
    """Return what EventBridge would have sent."""
    arn = str(alarm.get("AlarmArn", ""))
    parts = [*arn.split(":"), *[""] * 5]
    body = {
        "source": "aws.cloudwatch",
        "detail-type": kind,
        "account": parts[4],
        "region": parts[3],
        "resources": [arn],
        "time": moment.isoformat(),
        "detail": {"alarmName": alarm.get("AlarmName"), "configuration": _configuration(alarm), **detail},
    }
    return Found(body, moment, {})


def _configuration(alarm: Mapping[str, Any]) -> dict[str, Any]:
    metric = {name: alarm.get(name) for name in ("MetricName", "Namespace", "Dimensions")}
    stat = {
        "metric": metric,
        "period": alarm.get("Period"),
        "stat": alarm.get("Statistic") or alarm.get("ExtendedStatistic"),
    }
    single = [{"metricStat": stat, "returnData": True}] if alarm.get("MetricName") else []
    return {
        "description": alarm.get("AlarmDescription"),
        "comparisonOperator": alarm.get("ComparisonOperator"),
        "metrics": alarm.get("Metrics") or single,
    }


ENDPOINTS = (Endpoint("alarms", "alarms", _alarms),)
