"""What `tocsin doctor` looks at on AWS: the table, queues, functions, rules, alarms and logs of a stage."""

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any

import boto3

from chalicelib.aws.sdk import NEEDED
from chalicelib.settings import dead_letters
from cli.finding import DEPLOY, OK, WARNING, WRONG, Finding, log_lines
from cli.stage import Stage
from deploy.alarms import (
    PENDING,
    SCHEDULED_MINUTES,
    SET_ADDRESS,
    existing_alarms,
    found_topic,
    subscriptions,
    wanted_alarms,
)
from deploy.aws_events import queue_subscriptions
from deploy.concurrency import Concurrency, account_concurrency
from deploy.functions import queue_mappings
from deploy.logs import kept_days, log_groups
from deploy.names import lambda_name
from deploy.policies import FUNCTIONS
from deploy.queues import MAX_RECEIVES
from deploy.table import INDEX, INDEXES
from deploy.topics import ALARMS, EVENTS, topic_name

RUNTIME_ENDS = {"python3.12": date(2028, 10, 31), "python3.13": date(2029, 6, 30)}
"""When support of a runtime ends by Lambda's policy, as AWS forecasts it; only the end of a few is known.

https://docs.aws.amazon.com/bedrock-agentcore/latest/devguide/runtime-code-deploy-supported-runtimes.html
"""
RUNTIME_NOTICE = timedelta(days=180)


def table(stage: Stage) -> Iterator[Finding]:
    """Yield the one table with its indexes and its expiry."""
    dynamodb, name = stage.aws("dynamodb"), stage.settings.table
    try:
        found = dynamodb.describe_table(TableName=name)["Table"]
    except dynamodb.exceptions.ResourceNotFoundException:
        yield Finding(WRONG, f"there is no table {name}", DEPLOY.format(stage=stage.settings.stage))
        return
    there = [each["IndexName"] for each in found.get("GlobalSecondaryIndexes", [])]
    if missing := [each for each in INDEXES if each not in there and each != INDEX]:
        what = f"{name} has no index {', '.join(missing)}, which this version reads"
        yield Finding(WRONG, what, DEPLOY.format(stage=stage.settings.stage))
    if INDEX not in there:
        yield Finding(WRONG, f"{name} has no index {INDEX}: timers are not found", "it is another table: move it")
    expiry = dynamodb.describe_time_to_live(TableName=name)["TimeToLiveDescription"].get("TimeToLiveStatus")
    if expiry not in ("ENABLED", "ENABLING"):
        yield Finding(WARNING, f"items of {name} never expire", DEPLOY.format(stage=stage.settings.stage))
    yield Finding(OK, f"{name} is {found['TableStatus'].lower()}")


def queues(stage: Stage) -> Iterator[Finding]:
    """Yield queues, how long they hide messages, what waits in them, and the dead letters."""
    sqs = stage.aws("sqs")
    for name in MAX_RECEIVES:
        queue = f"{stage.settings.queue_prefix}-{name}"
        try:
            found = _attributes(sqs, stage.queue_url(queue))
            dead = _attributes(sqs, stage.queue_url(dead_letters(queue)))
        except sqs.exceptions.QueueDoesNotExist:
            yield Finding(WRONG, f"{queue} or its dead letters are missing", DEPLOY.format(stage=stage.settings.stage))
            continue
        yield from _queue_findings(queue, found, dead, stage)


def _queue_findings(queue: str, found: Mapping[str, str], dead: Mapping[str, str], stage: Stage) -> Iterator[Finding]:
    deploy = DEPLOY.format(stage=stage.settings.stage)
    hidden = int(found.get("VisibilityTimeout", 0))
    taken = [each for each in FUNCTIONS.values() if queue.endswith(f"-{each.get('takes') or each.get('drains')}")]
    longest = max((needs["timeout"] for needs in taken), default=0)
    if hidden < longest:
        yield Finding(WRONG, f"{queue} hides messages {hidden} s, its worker may run {longest} s", deploy)
    if "deadLetterTargetArn" not in found.get("RedrivePolicy", ""):
        yield Finding(WRONG, f"{queue} has no dead letters: what fails is lost after 14 days", deploy)
    waiting = int(dead.get("ApproximateNumberOfMessages", 0)) + int(
        dead.get("ApproximateNumberOfMessagesNotVisible", 0)
    )
    if waiting:
        redrive = f"see why: `tocsin redrive --stage {stage.settings.stage}`; play back: the same with --all"
        yield Finding(WARNING, f"{waiting} dead letters wait in {dead_letters(queue)}", redrive)
    backlog = int(found.get("ApproximateNumberOfMessages", 0))
    delayed = int(found.get("ApproximateNumberOfMessagesDelayed", 0))
    yield Finding(OK, f"{queue}: {backlog} waiting, {delayed} for later")


def _attributes(sqs: Any, url: str) -> dict[str, str]:
    found: dict[str, str] = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    return found


def functions(stage: Stage) -> Iterator[Finding]:
    """Yield every function is there, and every worker takes from its queue, one failed message at a time."""
    aws, deploy = stage.aws("lambda"), DEPLOY.format(stage=stage.settings.stage)
    share = account_concurrency(aws)
    yield _limit_finding(share)
    missing, runtimes = [], set()
    for name, needs in FUNCTIONS.items():
        function = lambda_name(name, stage.settings.stage)
        try:
            runtimes.add(str(aws.get_function_configuration(FunctionName=function).get("Runtime")))
        except aws.exceptions.ResourceNotFoundException:
            missing.append(function)
            continue
        if "takes" in needs:
            found = queue_mappings(aws, name, stage.settings.stage)
            yield from _mapping_findings(name, function, found, share, deploy)
    if missing:
        yield Finding(WRONG, f"not deployed: {', '.join(missing)}", deploy)
    else:
        yield Finding(OK, f"all {len(FUNCTIONS)} functions are deployed")
    yield from runtime_findings(runtimes, datetime.now(UTC).date())


def runtime_findings(runtimes: Iterable[str], today: date) -> Iterator[Finding]:
    """Yield runtimes that Lambda supports for half a year more at most."""
    for runtime in sorted(runtimes):
        end = RUNTIME_ENDS.get(runtime)
        if end is not None and today > end - RUNTIME_NOTICE:
            ended = "ended" if today > end else "ends"
            newer = "deploy with a newer Python: `make deploy PYTHON=…`"
            yield Finding(WARNING, f"Lambda's support of {runtime} {ended} on {end:%Y-%m-%d}", newer)


def _limit_finding(share: Concurrency) -> Finding:
    """Return what the account's limit of concurrent executions leaves for webhooks in a storm."""
    if share.limit is None:
        return Finding(WARNING, share.text, share.advice)
    text = f"{share.text}, the workers {sum(share.workers.values())} of them at most"
    return Finding(OK, text) if share.is_enough else Finding(WARNING, text, share.advice)


def _mapping_findings(
    name: str, function: str, found: Iterable[Mapping[str, Any]], share: Concurrency, deploy: str
) -> Iterator[Finding]:
    enabled = [each for each in found if each.get("State") not in ("Disabled", "Disabling")]
    if not enabled:
        yield Finding(WRONG, f"{function} reads no queue", f"enable its event source mapping, or {deploy}")
    elif any("ReportBatchItemFailures" not in (each.get("FunctionResponseTypes") or []) for each in enabled):
        yield Finding(WARNING, f"{function} does not report partial batches: a bad message repeats the others", deploy)
    for each in enabled:
        there = (each.get("ScalingConfig") or {}).get("MaximumConcurrency")
        if there != (maximum := share.maximum(name, there)):
            text = f"{function} runs {there or 'without a maximum'} at once, right for this account is {maximum}"
            yield Finding(WARNING, text, deploy)


def schedules(stage: Stage) -> Iterator[Finding]:
    """Yield the rules that run functions are there, and not switched off. Whether the functions end well is in their alarms."""
    events = stage.aws("events")
    for name in SCHEDULED_MINUTES:
        rule = f"{lambda_name(name, stage.settings.stage)}-event"
        found = [each for each in events.list_rules(NamePrefix=rule)["Rules"] if each["Name"] == rule]
        if not found:
            yield Finding(
                WRONG, f"there is no rule {rule}: {name} is not run", DEPLOY.format(stage=stage.settings.stage)
            )
        elif found[0].get("State") != "ENABLED":
            yield Finding(WRONG, f"the rule {rule} is switched off: {name} is not run", "enable it in EventBridge")
        else:
            yield Finding(
                OK, f"the rule {rule} is switched on, {found[0].get('ScheduleExpression', 'without a schedule')}"
            )


def events_of_aws(stage: Stage) -> Iterator[Finding]:
    """Yield the topic and the rule of AWS's own events feed the webhooks queue, whose policy lets them."""
    name, deploy = topic_name(EVENTS, stage.settings.stage), DEPLOY.format(stage=stage.settings.stage)
    queue = f"{stage.settings.queue_prefix}-webhooks"
    attributes = _attributes(stage.aws("sqs"), stage.queue_url(queue))
    arn, policy = attributes["QueueArn"], attributes.get("Policy", "")
    topic = f"{arn.replace(':sqs:', ':sns:').rpartition(':')[0]}:{name}"
    sns, events = stage.aws("sns"), stage.aws("events")
    try:
        subscribed = queue_subscriptions(sns, topic, arn)
    except sns.exceptions.NotFoundException:
        subscribed = []
    if not subscribed:
        yield Finding(WRONG, f"the topic {name} does not feed {queue}: alarms that point at it are lost", deploy)
    rules = [each for each in events.list_rules(NamePrefix=name)["Rules"] if each["Name"] == name]
    targets = [each["Arn"] for each in events.list_targets_by_rule(Rule=name)["Targets"]] if rules else []
    if arn not in targets:
        yield Finding(WRONG, f"the rule {name} does not feed {queue}: events of AWS do not come by the bus", deploy)
    elif rules[0].get("State") != "ENABLED":
        yield Finding(WARNING, f"the rule {name} is switched off: events of AWS come by the topic alone", "enable it")
    if topic not in policy or f":rule/{name}" not in policy:
        yield Finding(WRONG, f"the policy of {queue} refuses its topic or its rule", deploy)
    elif subscribed and arn in targets and rules[0].get("State") == "ENABLED":
        yield Finding(OK, f"the topic and the rule {name} feed {queue}")


def alarms(stage: Stage) -> Iterator[Finding]:
    """Yield CloudWatch's alarms are there, notify somebody, and are quiet. The embedded AWS has none."""
    name = stage.settings.stage
    if name == "local":
        return
    there = existing_alarms(stage.aws("cloudwatch"), name)
    found = {each: there[each] for each in wanted_alarms(name) if each in there}
    yield from _alarm_findings(found, [each for each in wanted_alarms(name) if each not in there], name)
    yield from _topic_findings(stage, has_actions=any(each["AlarmActions"] for each in found.values()))
    if fired := [each for each, alarm in found.items() if alarm.get("StateValue") == "ALARM"]:
        yield Finding(WARNING, f"in alarm now: {', '.join(fired)}", "see runbook/tocsin-itself.md")


def _alarm_findings(found: Mapping[str, Any], missing: list[str], stage: str) -> Iterator[Finding]:
    armed = [name for name, each in found.items() if each["ActionsEnabled"] and each["AlarmActions"]]
    if missing:
        yield Finding(WRONG, f"alarms are missing: {', '.join(missing)}", DEPLOY.format(stage=stage))
    if unarmed := len(found) - len(armed):
        again = f"{DEPLOY.format(stage=stage)}; where they have no topic, {SET_ADDRESS}"
        yield Finding(WRONG, f"{unarmed} of {len(found)} alarms notify nobody", again)
    elif not missing:
        yield Finding(OK, f"all {len(found)} alarms are there, with their actions")


def _topic_findings(stage: Stage, *, has_actions: bool) -> Iterator[Finding]:
    """Yield the topic of a deploy, and who confirmed. Without one, actions of another kind may notify somebody."""
    name = topic_name(ALARMS, stage.settings.stage)
    topic = found_topic(stage.aws, stage.settings.stage)
    if not topic:
        state = WARNING if has_actions else WRONG
        yield Finding(state, f"there is no topic {name}: alarms reach only what you made yourself", SET_ADDRESS)
        return
    known = subscriptions(stage.aws("sns"), topic)
    pending = [each["Endpoint"] for each in known if each["SubscriptionArn"] == PENDING]
    if len(pending) == len(known):
        waits = f": {', '.join(pending)} did not confirm" if pending else ""
        ask = "follow the link that AWS has mailed; a deploy has it mailed again" if pending else SET_ADDRESS
        yield Finding(WRONG, f"nobody is subscribed to {name}{waits}", ask)
    else:
        yield Finding(OK, f"{len(known) - len(pending)} confirmed subscriptions of {name}")


def logs(stage: Stage) -> Iterator[Finding]:
    """Yield what functions log expires."""
    kept = kept_days(stage.aws("logs"), stage.settings.stage)
    there = {group: kept[group] for group in log_groups(stage.settings.stage) if group in kept}
    if for_ever := [group for group, days in there.items() if days is None]:
        what = f"log groups keep everything for ever: {', '.join(for_ever)}"
        yield Finding(WARNING, what, DEPLOY.format(stage=stage.settings.stage))
    elif there:
        days = sorted({days for days in there.values() if days})
        yield Finding(OK, f"{len(there)} log groups keep what functions log for {' or '.join(map(str, days))} days")
    else:
        yield Finding(
            WARNING, "there is no log group of a function: none has run", DEPLOY.format(stage=stage.settings.stage)
        )


def sdk(stage: Stage) -> Iterator[Finding]:
    """Yield the boto3 of Lambda's runtime, which sends the mails, is new enough."""
    since = datetime.now(UTC) - timedelta(days=1)
    found = [str(line["boto3"]) for line in log_lines(stage, "deliver_notification", since, {"stage": "start"})]
    if not found:
        yield Finding(OK, "no worker has loaded boto3 in the last day")
        return
    there = f"boto3 {found[-1]} runs on Lambda, {boto3.__version__} is tested"
    if _numbers(found[-1]) < _numbers(NEEDED):
        what = f"{there}: mails need {NEEDED}"
        yield Finding(WRONG, what, f"add boto3=={boto3.__version__} to requirements.txt, and deploy")
    else:
        yield Finding(OK, there)


def _numbers(version: str) -> list[int]:
    """Return a version as numbers: 1.10 is newer than 1.9."""
    return [int(part) for part in re.findall(r"\d+", version)]
