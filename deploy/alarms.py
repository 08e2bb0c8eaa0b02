"""CloudWatch alarms on what nobody would see otherwise, and the topic that mails them.

They are ten: AWS gives an account so many for nothing. What one alarm for each queue and function would say is measured by
the tick (`chalicelib/schedule/health.py`), whose log line says of which queue or function; and a tick that fails is an alarm by
itself. What fails at the door is an answer of 5xx. A bounce that `mail_feedback` fails at becomes a dead letter.

Each alarm fires on the smallest real trouble that its text names: `tests/deploy/test_alarms.py` computes that from the
schedules and the tries, and shows that a healthy period does not fire it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from chalicelib.aws import arn
from chalicelib.schedule.health import DEAD_LETTERS, LATE_RUNS, WAITING
from chalicelib.schedule.lateness import NAMESPACE, OVERDUE, UNDELIVERED
from deploy import topics
from deploy.clients import Clients
from deploy.names import API_STAGE, APP, api_name, lambda_name, tags
from deploy.policies import EMPTIED, FUNCTIONS
from deploy.queues import MAX_RECEIVES

PERIOD_SECONDS = 300
MAX_LATE_SECONDS = 300
SCHEDULED_MINUTES = {"tick": 1, "watch": 1, "record": 5, "repair": 5}
"""How often EventBridge runs a function, as app.py says."""
AGAIN_AND_AGAIN = 3
"""Failures in five minutes of what runs each minute, or of one message, which SQS hides for 90 seconds after each."""
LATE_RUN_SECONDS = 120
"""So much later than its next run should be a function is that failed three minutes in a row, or once of each five minutes.

In health the tick may see the run before the last one, which may have taken a minute.
"""
MAX_ACTIONS = 5
"""CloudWatch allows no more for one state of an alarm."""
RETIRED = (
    *(f"{queue}-old" for queue in MAX_RECEIVES),
    *(f"{queue}-dead" for queue in MAX_RECEIVES),
    *(f"{queue}-waiting" for queue in EMPTIED),
    *(f"{function}-throttles" for function in FUNCTIONS),
    *(f"{function}-errors" for function, needs in FUNCTIONS.items() if "takes" not in needs),
    *(f"{function}-stopped" for function in SCHEDULED_MINUTES if function != "tick"),
)
"""Alarms of earlier versions, without the prefix of their stage. A deploy deletes these and no others.

Each said what another one says as well, which the tick measures now: dead letters of each queue, messages that wait,
functions that fail, do not run or find no room. AWS gives an account ten alarms.
"""
PENDING, GONE = "PendingConfirmation", "Deleted"
"""What SNS lists in place of the ARN of a subscription that was not confirmed yet, or was ended."""
SET_ADDRESS = "deploy with TOCSIN_ALARM_EMAIL=<address>"


@dataclass(frozen=True, slots=True)
class Alarm:
    """An alarm: `statistic` of a metric over five minutes is at least `threshold`; with `below`, is less or missing.

    `means` is for the reader of its mail.
    """

    namespace: str
    metric: str
    dimensions: Mapping[str, str]
    statistic: str
    threshold: float
    means: str
    below: bool = False

    def request(self) -> dict[str, Any]:
        """Return what PutMetricAlarm is given, without the name, the actions and the tags."""
        comparison = "LessThanThreshold" if self.below else "GreaterThanOrEqualToThreshold"
        return {
            "AlarmDescription": f"{self.means} See runbook/tocsin-itself.md.",
            "Namespace": self.namespace,
            "MetricName": self.metric,
            "Dimensions": [{"Name": name, "Value": value} for name, value in self.dimensions.items()],
            "Statistic": self.statistic,
            "Threshold": self.threshold,
            "ComparisonOperator": comparison,
            "TreatMissingData": "breaching" if self.below else "notBreaching",
            "Period": PERIOD_SECONDS,
            "EvaluationPeriods": 1,
        }


def wanted_alarms(stage: str, http_api: str = "") -> dict[str, Alarm]:
    """Return the alarms of a stage by their whole names. `http_api` is the id of its HTTP API, empty where it has a REST API."""
    found = [("gateway-errors", _gateway(stage, http_api)), *_of_workers(stage), *_of_the_tick(stage)]
    return {f"{APP}-{stage}-{name}": alarm for name, alarm in found}


def _of_workers(stage: str) -> Iterator[tuple[str, Alarm]]:
    """Yield a worker that fails with some messages, while others go through: the tick would not see it."""
    for function in (name for name, needs in FUNCTIONS.items() if "takes" in needs):
        dimensions = {"FunctionName": lambda_name(function, stage)}
        means = f"{AGAIN_AND_AGAIN} times in five minutes {function} failed or ran out of time or memory."
        yield f"{function}-errors", Alarm("AWS/Lambda", "Errors", dimensions, "Sum", AGAIN_AND_AGAIN, means)


def _of_the_tick(stage: str) -> Iterator[tuple[str, Alarm]]:
    """Yield what the tick finds out and logs as metrics; and the tick, which logs them at the end of each good run."""
    line = f"The newest line of /aws/lambda/{lambda_name('tick', stage)} with"
    minutes = MAX_LATE_SECONDS // 60

    def metric(name: str, least: float, means: str) -> Alarm:
        return Alarm(NAMESPACE, name, {"Stage": stage}, "Maximum", least, means)

    means = f"In five minutes the tick ended well fewer than {AGAIN_AND_AGAIN} times: it fails, or is not run."
    yield (
        "tick-stopped",
        Alarm(NAMESPACE, OVERDUE, {"Stage": stage}, "SampleCount", AGAIN_AND_AGAIN, means, below=True),
    )
    means = f"watch, record or repair has not ended a run well for too long: it fails, or is not run. {line} `late` says which."
    yield "runs-late", metric(LATE_RUNS, LATE_RUN_SECONDS, means)
    means = (
        f"For {minutes} minutes a queue has waited for its worker: its messages are not taken, or each run fails or has no "
        f"room. {line} `waiting` says which."
    )
    yield "queues-waiting", metric(WAITING, MAX_LATE_SECONDS, means)
    means = f"Messages were given up and wait as dead letters. {line} `dead` says in which queues."
    yield "dead-letters", metric(DEAD_LETTERS, 1, means)
    means = f"A notification waits for its target for more than {minutes} minutes."
    yield "notifications-late", metric(UNDELIVERED, MAX_LATE_SECONDS, means)
    yield "timers-late", metric(OVERDUE, MAX_LATE_SECONDS, f"A timer is overdue by more than {minutes} minutes.")


def _gateway(stage: str, http_api: str) -> Alarm:
    """Return the alarm of answers of 5xx, our own 503 and the gateway's. The name of a REST API distinguishes stages,
    `Stage` does not.

    https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-metrics.html
    """
    means = "A sender was answered 5xx: its webhook may be lost, if it does not send again."
    if http_api:
        return Alarm("AWS/ApiGateway", "5xx", {"ApiId": http_api}, "Sum", 1, means)
    return Alarm("AWS/ApiGateway", "5XXError", {"ApiName": api_name(stage), "Stage": API_STAGE}, "Sum", 1, means)


# ---------------------------------------------------------------------------------------------------------------------
# The deploy


def watched(clients: Clients, stage: str, email: str, *, http_api: str = "", with_actions: bool = True) -> list[str]:
    """Make the alarms of a stage and the topic that notifies `email` of them. Return what people should know.

    Without an address the topic that is there is kept, and so are the actions that the alarms have. `with_actions` False
    takes the actions away, until the next deploy.
    """
    sns, cloudwatch = clients("sns"), clients("cloudwatch")
    there, wanted = existing_alarms(cloudwatch, stage), wanted_alarms(stage, http_api)
    topic = alarm_topic(sns, stage) if email else found_topic(clients, stage)
    notes = asked(sns, topic, email) if topic else []
    put_alarms(cloudwatch, wanted, there, topic, tags(stage), with_actions=with_actions)
    drop_retired(cloudwatch, stage, there)
    if not with_actions:
        return [f"the alarms of {stage} notify nobody, as you asked: the next deploy gives them their actions back"]
    if not topic and not any(there[name]["AlarmActions"] for name in wanted if name in there):
        return [f"the alarms of {stage} notify nobody: {SET_ADDRESS}"]
    return notes


def existing_alarms(cloudwatch: Any, stage: str) -> dict[str, Mapping[str, Any]]:
    """Return the alarms whose names begin with the prefix of a stage, by name."""
    pages = cloudwatch.get_paginator("describe_alarms").paginate(AlarmNamePrefix=f"{APP}-{stage}-")
    return {each["AlarmName"]: each for page in pages for each in page["MetricAlarms"]}


def put_alarms(
    cloudwatch: Any,
    wanted: Mapping[str, Alarm],
    there: Mapping[str, Mapping[str, Any]],
    topic: str,
    named: Sequence[Mapping[str, str]],
    *,
    with_actions: bool = True,
) -> None:
    """Make every alarm, or bring it up to date. Its own actions stay beside the topic, unless all are taken away."""
    for name, alarm in wanted.items():
        known = there.get(name, {})
        kept = {state: _actions(known.get(state, []), topic) for state in ("AlarmActions", "OKActions")}
        kept["InsufficientDataActions"] = list(known.get("InsufficientDataActions", []))
        actions = kept if with_actions else {state: [] for state in kept}
        cloudwatch.put_metric_alarm(
            AlarmName=name,
            ActionsEnabled=any(actions.values()),
            **actions,
            **alarm.request(),
            Tags=named,
        )


def _actions(known: Sequence[str], topic: str) -> list[str]:
    return list(dict.fromkeys(filter(None, [topic, *known])))[:MAX_ACTIONS]


def drop_retired(cloudwatch: Any, stage: str, there: Mapping[str, object]) -> list[str]:
    """Delete the alarms that an earlier version made and this one does not. Return their names."""
    names = [name for name in (f"{APP}-{stage}-{each}" for each in RETIRED) if name in there]
    if names:
        cloudwatch.delete_alarms(AlarmNames=names)
    return names


# ---------------------------------------------------------------------------------------------------------------------
# The topic


def alarm_topic(sns: Any, stage: str) -> str:
    """Return the ARN of the topic of a stage's alarms, which is made if it is not there."""
    return topics.topic(sns, topics.ALARMS, stage)


def found_topic(clients: Clients, stage: str) -> str:
    """Return the ARN of the topic of a stage's alarms; empty when there is none. Makes nothing."""
    _, partition, _, _, account, _ = clients("sts").get_caller_identity()["Arn"].split(":", 5)
    sns = clients("sns")
    found = arn(
        "sns",
        topics.topic_name(topics.ALARMS, stage),
        region=sns.meta.region_name,
        account=account,
        partition=partition,
    )
    try:
        sns.get_topic_attributes(TopicArn=found)
    except sns.exceptions.NotFoundException:
        return ""
    return found


def subscriptions(sns: Any, topic: str) -> list[Mapping[str, str]]:
    """Return who is notified by a topic, or will be once it is confirmed."""
    pages = sns.get_paginator("list_subscriptions_by_topic").paginate(TopicArn=topic)
    return [each for page in pages for each in page["Subscriptions"] if each["SubscriptionArn"] != GONE]


def asked(sns: Any, topic: str, email: str) -> list[str]:
    """Subscribe an address, and ask those again that have not confirmed. Return what people should know.

    SNS asks an address once. To subscribe one whose subscription is pending asks it anew.
    """
    known = {each["Endpoint"] for each in _mails(sns, topic)}
    new = {email} if email and email.casefold() not in {each.casefold() for each in known} else set()
    for address in sorted(_unconfirmed(sns, topic) | new):
        sns.subscribe(TopicArn=topic, Protocol="email", Endpoint=address)
    why = "has not confirmed that it takes alarms, and gets none: AWS has just sent it a link to confirm"
    return [f"{address} {why}" for address in sorted(_unconfirmed(sns, topic))]


def _mails(sns: Any, topic: str) -> list[Mapping[str, str]]:
    return [each for each in subscriptions(sns, topic) if each["Protocol"] == "email"]


def _unconfirmed(sns: Any, topic: str) -> set[str]:
    return {each["Endpoint"] for each in _mails(sns, topic) if each["SubscriptionArn"] == PENDING}
