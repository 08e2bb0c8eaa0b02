"""What `tocsin doctor` looks at: each check is a function of a stage that yields findings.

A check never changes anything, and one that cannot be made is a finding of its own.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from email.utils import parseaddr
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from chalicelib import plugins, redact
from chalicelib.aws.sdk import NEEDED
from chalicelib.core import openid
from chalicelib.core.delivery.request_template import secrets_in
from chalicelib.core.delivery.target_state import TargetState
from chalicelib.core.delivery.writing import duration_words, one_line
from chalicelib.core.errors import RequestError, RulesError, TocsinError
from chalicelib.core.language.durations import duration_of
from chalicelib.core.routing import all_targets
from chalicelib.core.rule import Target
from chalicelib.core.sign_in import PAGE_URL
from chalicelib.process.rules_digest import rules_digest
from chalicelib.settings import dead_letters
from chalicelib.slack.membership import GUESTS, TEAMS, teams_of, unreadable
from chalicelib.slack.vendors import slack as slack_target
from chalicelib.sources import generic
from chalicelib.targets import checked_module_for
from chalicelib.web.openid_pages import BACK
from chalicelib.web.provider import Providers
from cli.stage import Stage
from deploy.alarms import PENDING, SET_ADDRESS, existing_alarms, found_topic, subscriptions, wanted_alarms
from deploy.aws_events import queue_subscriptions
from deploy.concurrency import Concurrency, account_concurrency
from deploy.functions import queue_mappings
from deploy.logs import kept_days, log_groups
from deploy.mail import MAIL_EVENTS
from deploy.names import lambda_name
from deploy.policies import FUNCTIONS
from deploy.queues import MAX_RECEIVES
from deploy.table import INDEX
from deploy.topics import ALARMS, EVENTS, topic_name

OK, WARNING, WRONG = "ok", "warning", "wrong"
SILENCE = timedelta(days=7)
"""A sender that is set up and has sent nothing for so long has perhaps been switched off."""
FALLBACK_IS_MAIL = "the fallback is mail too: when SES refuses mails, nobody is notified of it"
DURATIONS = ("DELIVERY_MAX_AGE", "TARGET_GRACE")
RUNTIME_ENDS = {"python3.12": date(2028, 10, 31), "python3.13": date(2029, 6, 30)}
"""When support of a runtime ends by Lambda's policy, as AWS forecasts it; only the end of a few is known.

https://docs.aws.amazon.com/bedrock-agentcore/latest/devguide/runtime-code-deploy-supported-runtimes.html
"""
RUNTIME_NOTICE = timedelta(days=180)
DEPLOY = "run `tocsin deploy --stage {stage}`"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line: `ok`, `warning` or `wrong`, what was found, and what to do about it."""

    state: str
    what: str
    do: str = ""


Check = Callable[[Stage], Iterator[Finding]]


def findings(stage: Stage, checks: Mapping[str, Check] | None = None) -> Iterator[tuple[str, Finding]]:
    """Every finding with the name of its check."""
    for name, check in (CHECKS if checks is None else checks).items():
        try:
            yield from ((name, found) for found in check(stage))
        except (ClientError, BotoCoreError, TocsinError) as error:
            yield (
                name,
                Finding(
                    WRONG,
                    f"could not be checked: {one_line(str(error))}",
                    "your keys may lack the right (deploy/operator-policy.json), or nothing is deployed yet",
                ),
            )


# ---------------------------------------------------------------------------------------------------------------------
# The stage on AWS


def table(stage: Stage) -> Iterator[Finding]:
    """The one table with its index and its expiry."""
    dynamodb, name = stage.aws("dynamodb"), stage.settings.table
    try:
        found = dynamodb.describe_table(TableName=name)["Table"]
    except dynamodb.exceptions.ResourceNotFoundException:
        yield Finding(WRONG, f"there is no table {name}", DEPLOY.format(stage=stage.settings.stage))
        return
    if INDEX not in [each["IndexName"] for each in found.get("GlobalSecondaryIndexes", [])]:
        yield Finding(WRONG, f"{name} has no index {INDEX}: timers are not found", "it is another table: move it")
    expiry = dynamodb.describe_time_to_live(TableName=name)["TimeToLiveDescription"].get("TimeToLiveStatus")
    if expiry not in ("ENABLED", "ENABLING"):
        yield Finding(WARNING, f"items of {name} never expire", DEPLOY.format(stage=stage.settings.stage))
    yield Finding(OK, f"{name} is {found['TableStatus'].lower()}")


def queues(stage: Stage) -> Iterator[Finding]:
    """Queues, how long they hide messages, what waits in them, and the dead letters."""
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
    """Every function is there, and every worker takes from its queue, one failed message at a time."""
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
    """Runtimes that Lambda supports for half a year more at most."""
    for runtime in sorted(runtimes):
        end = RUNTIME_ENDS.get(runtime)
        if end is not None and today > end - RUNTIME_NOTICE:
            ended = "ended" if today > end else "ends"
            newer = "deploy with a newer Python: `make deploy PYTHON=…`"
            yield Finding(WARNING, f"Lambda's support of {runtime} {ended} on {end:%Y-%m-%d}", newer)


def _limit_finding(share: Concurrency) -> Finding:
    """What the account's limit of concurrent executions leaves for webhooks in a storm."""
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
    """The minute tick and the probes are not switched off."""
    events = stage.aws("events")
    for name in ("tick", "watch"):
        prefix = lambda_name(name, stage.settings.stage)
        rules = [each for each in events.list_rules(NamePrefix=prefix)["Rules"] if each["Name"] == f"{prefix}-event"]
        if not any(each.get("State") == "ENABLED" for each in rules):
            yield Finding(WRONG, f"{prefix} is not run each minute", "enable its rule in EventBridge, or deploy again")
        else:
            yield Finding(OK, f"{prefix} is run each minute")


def events_of_aws(stage: Stage) -> Iterator[Finding]:
    """The topic and the rule of AWS's own events feed the webhooks queue, whose policy lets them."""
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
    elif subscribed and arn in targets:
        yield Finding(OK, f"the topic and the rule {name} feed {queue}")


def alarms(stage: Stage) -> Iterator[Finding]:
    """CloudWatch's alarms are there, notify somebody, and are quiet. The embedded AWS has none."""
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
    """The topic of a deploy, and who confirmed. Without one, actions of another kind may notify somebody."""
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
    """What functions log expires."""
    there = kept_days(stage.aws("logs"), stage.settings.stage)
    for_ever = [group for group in log_groups(stage.settings.stage) if group in there and there[group] is None]
    if for_ever:
        what = f"log groups keep everything for ever: {', '.join(for_ever)}"
        yield Finding(WARNING, what, DEPLOY.format(stage=stage.settings.stage))
    else:
        yield Finding(OK, "what functions log expires")


def sdk(stage: Stage) -> Iterator[Finding]:
    """The boto3 of Lambda's runtime, which sends the mails, is new enough."""
    since = datetime.now(UTC) - timedelta(days=1)
    found = [str(line["boto3"]) for line in _lines(stage, "deliver_notification", since, {"stage": "start"})]
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


def deployed_rules(stage: Stage) -> Iterator[Finding]:
    """The rules at work are those of this checkout, and nobody is left out of them."""
    digest = stage.store.context().marks.get("rules")
    if digest is None:
        yield Finding(WARNING, "no tick has run yet", "it runs each minute once the stage is deployed")
    elif digest != rules_digest(stage.rules):
        yield Finding(
            WARNING, "other rules are at work than those of this checkout", DEPLOY.format(stage=stage.settings.stage)
        )
    else:
        yield Finding(OK, f"the rules of this checkout are at work: {len(stage.rules.rules)} of them")
    fallback = {target.key for target in stage.rules.fallback.targets}
    if not fallback:
        yield Finding(
            WARNING, "nobody is notified of what could not be delivered", "name a `fallback:` in alert-rules.yaml"
        )
    elif fallback >= {target.key for target in all_targets(stage.rules)}:
        yield Finding(WARNING, "the fallback is the only target", "name another kind of target as the fallback")


# ---------------------------------------------------------------------------------------------------------------------
# Secrets and senders


def secrets(stage: Stage) -> Iterator[Finding]:
    """What the targets of the rules need; and whether settings can be read."""
    for target in all_targets(stage.rules):
        yield from _target_secret(stage, target)
    for name in DURATIONS:
        text = stage.clients.setting(name)
        try:
            duration_of(text or 0)
        except ValueError as error:
            yield Finding(WRONG, f"{name}: {error}; the default holds", f"write it anew to {_path(stage, name)}")
    try:
        redact.compiled(stage.clients.setting(redact.ENVIRONMENT) or "")
    except RulesError as error:
        yield Finding(WRONG, f"{error}; every worker stops at it", f"write {_path(stage, redact.ENVIRONMENT)} anew")
    if not stage.clients.setting("RUNBOOK_BASE_URL"):
        yield Finding(WARNING, "messages cannot link runbook pages", f"set {_path(stage, 'RUNBOOK_BASE_URL')}")


def people(stage: Stage) -> Iterator[Finding]:
    """Whether what people do by the API is done in their own names."""
    live = [each.strip() for each in (stage.clients.secret("API_TOKEN") or "").split(",") if each.strip()]
    named = sorted({each.rpartition(":")[0].strip() for each in live} - {""})
    if live and not named:
        advice = f"give each person one of their own: ana:<token>,ben:<token> in {_path(stage, 'API_TOKEN')}"
        yield Finding(WARNING, "API_TOKEN holds shared tokens only: who has one acts by any name", advice)
    elif live:
        shared = sum(":" not in each for each in live)
        beside = f", beside {shared} shared" if shared else ""
        yield Finding(OK, f"API_TOKEN has named tokens of {len(named)}{beside}")


def provider(stage: Stage) -> Iterator[Finding]:
    """Whether people can sign in at the page by the provider, where one is set up."""
    names = (openid.ISSUER, openid.CLIENT_ID, openid.CLIENT_SECRET, PAGE_URL)
    values = {name: stage.clients.setting(name) for name in names}
    if not values[openid.ISSUER]:
        return
    if missing := [name for name, value in values.items() if not value]:
        yield Finding(
            WRONG, f"nobody can sign in by the provider: {missing[0]} is not set", f"set {_path(stage, missing[0])}"
        )
        return
    try:
        Providers().of(values[openid.ISSUER], stage.clients.http, datetime.now(UTC))
    except RequestError as error:
        yield Finding(
            WRONG, f"{openid.ISSUER}: {error}", f"compare {_path(stage, openid.ISSUER)} with its discovery document"
        )
        return
    if not (stage.clients.setting(openid.DOMAINS) or stage.rules.access.declared):
        advice = f"set {_path(stage, openid.DOMAINS)}, or name people in `access:` of the rules file"
        yield Finding(
            WARNING, f"{openid.DOMAINS} is not set, and no entry names anybody: the provider signs nobody in", advice
        )
    yield Finding(OK, f"the provider answers; it leads back to {values[PAGE_URL].rstrip('/')}/{BACK}")


def _written_request(stage: Stage, target: Target, entry: Mapping[str, Any]) -> Iterator[Finding]:
    """Yield whether every secret is set that a request of the rules file needs."""
    for name in secrets_in(entry):
        if not (stage.clients.secret(name) or stage.clients.setting(name)):
            yield Finding(WRONG, f"{target.shown}: {name} is not set", f"set {_path(stage, name)}")
            return
    yield Finding(OK, f"{target.shown}: its request is in the rules file, and its secrets are set")


def _target_secret(stage: Stage, target: Target) -> Iterator[Finding]:
    if target.kind == "webhook" and target.address in stage.rules.webhooks:
        yield from _written_request(stage, target, stage.rules.webhooks[target.address])
        return
    module = checked_module_for(target.kind)
    if module is not None:
        found = module.check_target(target, stage.clients)
        advice = f"set {_path(stage, found.parameter)}" if found.parameter else found.advice
        yield Finding(found.state, found.text, advice)


def _path(stage: Stage, name: str) -> str:
    return f"{stage.settings.parameters}{name} in the Parameter Store"


def sources(stage: Stage) -> Iterator[Finding]:
    """Senders whose secret is set: whether they send, and whether they are refused."""
    since = datetime.now(UTC) - SILENCE
    for name in plugins.names("sources"):
        wanted = plugins.load_source(name).SECRETS
        if not wanted or not any(stage.clients.secret(each) for each in wanted):
            continue
        if not any(_receive_lines(stage, since, source=name, status=202)):
            yield Finding(
                WARNING,
                f"{name} has sent nothing for {duration_words(SILENCE)}",
                "send a test from there, or see whether it is on",
            )
        elif any(_receive_lines(stage, datetime.now(UTC) - timedelta(days=1), source=name, status=401)):
            yield Finding(
                WARNING, f"{name} was refused in the last day", "its secret is another one now: set both, with a comma"
            )
        else:
            yield Finding(OK, f"{name} sends webhooks")


def declared_sources(stage: Stage) -> Iterator[Finding]:
    """Declared sources without their secret: whatever their sender posts is refused."""
    for entry in stage.rules.sources:
        for name in generic.secrets(entry):
            if not stage.clients.secret(name):
                what = f"{entry['name']}: {name} is not set, so its sender is refused"
                yield Finding(WRONG, what, f"tocsin secrets set {name} --stage {stage.settings.stage}")


def _receive_lines(stage: Stage, since: datetime, **wanted: Any) -> Iterator[Mapping[str, Any]]:
    """Yield such lines of the receiving function."""
    return _lines(stage, "api_handler", since, {"stage": "receive", **wanted})


def _lines(stage: Stage, function: str, since: datetime, wanted: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the lines that a function logged with these fields, the oldest first; none where it has no log yet."""
    logs = stage.aws("logs")
    fields = [f"$.{name} = {json.dumps(value)}" for name, value in wanted.items()]
    try:
        pages = logs.get_paginator("filter_log_events").paginate(
            logGroupName=f"/aws/lambda/{lambda_name(function, stage.settings.stage)}",
            startTime=int(since.timestamp() * 1_000),
            filterPattern=f"{{ {' && '.join(fields)} }}",
            PaginationConfig={"MaxItems": 1_000},
        )
        for page in pages:
            yield from (line for event in page["events"] if (line := _line(event["message"], wanted)))
    except logs.exceptions.ResourceNotFoundException:
        return


def _line(text: str, wanted: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a line of the log with these fields; an empty one for any other."""
    try:
        line = json.loads(text)
    except ValueError:
        return {}
    return line if isinstance(line, dict) and all(line.get(name) == value for name, value in wanted.items()) else {}


# ---------------------------------------------------------------------------------------------------------------------
# Targets


def targets(stage: Stage) -> Iterator[Finding]:
    """What is known against a target: broken, failing, marked."""
    for target in all_targets(stage.rules):
        yield _target_finding(target.shown, stage.store.target_state(target.key))


def _target_finding(shown: str, target_state: TargetState) -> Finding:
    again = f"repair the target, then `tocsin send-test {shown}`"
    health = target_state.health
    if health.refusal:
        return Finding(WRONG, f"{shown}: nothing is sent there: {health.refusal}", again)
    if health.is_broken and health.failing_since:
        return Finding(WRONG, f"{shown}: broken since {health.failing_since:%Y-%m-%d %H:%M} UTC; it is probed", again)
    waiting = f", {len(target_state.slots)} deliveries pending" if target_state.slots else ""
    if health.failing_since:
        return Finding(WARNING, f"{shown}: failing since {health.failing_since:%Y-%m-%d %H:%M} UTC{waiting}", again)
    return Finding(OK, f"{shown}: nothing is known against it")


def slack(stage: Stage) -> Iterator[Finding]:
    """Token, scopes and channels, and whose people may act."""
    channels = [target.address for target in all_targets(stage.rules) if target.kind == "slack_channel"]
    if channels:
        for state, text in slack_target().check(stage.clients, channels):
            yield Finding(state, text)
        yield from _slack_people(stage)


def _slack_people(stage: Stage) -> Iterator[Finding]:
    """Whose people may press buttons: only the app's own workspace, unless settings name others."""
    said, guests = stage.clients.setting(TEAMS), stage.clients.setting(GUESTS).strip().lower()
    if wrong := unreadable(said):
        yield Finding(
            WRONG, f"{TEAMS}: {wrong[0][:40]!r} is no id of a workspace", f"write {_path(stage, TEAMS)} as T0123,E0456"
        )
    if guests not in ("", "yes", "no"):
        yield Finding(
            WRONG, f"{GUESTS} is {guests[:40]!r}: guests are refused", f"write {_path(stage, GUESTS)} as yes or no"
        )
    named = ", ".join(sorted(teams_of(said)))
    others = f"and of {named} ({TEAMS})" if named else f"only; {TEAMS} names others of shared channels"
    yield Finding(OK, f"Slack: people of the app's workspace act {others}")


def mail(stage: Stage) -> Iterator[Finding]:
    """The account, the sender, the way back, and each address."""
    addresses = [target.address for target in all_targets(stage.rules) if target.kind == "email"]
    if not addresses:
        return
    ses = stage.aws("sesv2")
    account = ses.get_account()
    yield from _account_findings(account)
    if {target.kind for target in stage.rules.fallback.targets} == {"email"}:
        yield Finding(WARNING, FALLBACK_IS_MAIL, "name a fallback of another kind in alert-rules.yaml")
    yield _sender_finding(ses, stage)
    yield _feedback_finding(ses, stage)
    for address in addresses:
        yield from _address_findings(ses, address, sandbox=not account.get("ProductionAccessEnabled"))


def _account_findings(account: Mapping[str, Any]) -> Iterator[Finding]:
    quota = account.get("SendQuota", {})
    sent, most = quota.get("SentLast24Hours", 0), quota.get("Max24HourSend", 0)
    if not account.get("SendingEnabled", True):
        yield Finding(WRONG, "SES: sending is paused for the account", "resume it in the SES console")
    if account.get("EnforcementStatus", "HEALTHY") != "HEALTHY":
        yield Finding(
            WARNING, f"SES: the account is under {account['EnforcementStatus'].lower()}", "see the SES console"
        )
    rate = f"{most:.0f} mails a day, {quota.get('MaxSendRate', 0):.0f} a second"
    if not account.get("ProductionAccessEnabled"):
        what = f"SES: the account is in the sandbox: only verified addresses get mail, {rate}"
        yield Finding(WARNING, what, "ask for production access")
    if most > 0 and sent > 0.8 * most:
        what = f"SES: {sent:.0f} of {most:.0f} mails of a day are used, {max(0, most - sent):.0f} are left"
        yield Finding(WARNING, what, "ask for a higher quota")
    left = f"; {max(0, most - sent):.0f} are left today" if sent > 0 and most > 0 else ""
    yield Finding(OK, f"SES: {rate}{left}")


def _sender_finding(ses: Any, stage: Stage) -> Finding:
    sender = parseaddr(stage.clients.setting("SES_FROM"))[1]
    if not sender:
        return Finding(WRONG, "SES_FROM is not set: no mail can be sent", f"set {_path(stage, 'SES_FROM')}")
    if any(_is_verified(ses, each) for each in (sender, sender.rpartition("@")[2])):
        return Finding(OK, "SES: the sender is verified")
    return Finding(WRONG, "SES: neither SES_FROM nor its domain is verified", "verify one of them in SES")


def _is_verified(ses: Any, identity: str) -> bool:
    try:
        return bool(ses.get_email_identity(EmailIdentity=identity).get("VerifiedForSendingStatus"))
    except ses.exceptions.NotFoundException:
        return False


def _feedback_finding(ses: Any, stage: Stage) -> Finding:
    name, deploy = stage.clients.setting("SES_CONFIGURATION_SET"), DEPLOY.format(stage=stage.settings.stage)
    if not name:
        return Finding(WARNING, "SES: bounces are not reported: SES_CONFIGURATION_SET is not set", deploy)
    try:
        found = ses.get_configuration_set_event_destinations(ConfigurationSetName=name)["EventDestinations"]
    except ses.exceptions.NotFoundException:
        return Finding(WRONG, f"SES: there is no configuration set {name}: mails are refused", deploy)
    reported = {
        kind
        for each in found
        if each.get("Enabled") and "SnsDestination" in each
        for kind in each["MatchingEventTypes"]
    }
    if not reported.issuperset(MAIL_EVENTS):
        return Finding(WARNING, f"SES: {name} does not report bounces and complaints", deploy)
    return Finding(OK, "SES: bounces and complaints come back")


def _address_findings(ses: Any, address: str, *, sandbox: bool) -> Iterator[Finding]:
    if sandbox and not any(_is_verified(ses, each) for each in (address, address.rpartition("@")[2])):
        yield Finding(WRONG, f"email:{address}: not verified, and the account is in the sandbox", "verify it in SES")
    try:
        found = ses.get_suppressed_destination(EmailAddress=address)["SuppressedDestination"]
    except ses.exceptions.NotFoundException:
        return
    reason = str(found.get("Reason", "")).lower()
    yield Finding(WRONG, f"email:{address}: on the account's suppression list ({reason})", "take it off in SES")


CHECKS: Mapping[str, Check] = {
    "table": table,
    "queues": queues,
    "functions": functions,
    "schedules": schedules,
    "events": events_of_aws,
    "alarms": alarms,
    "logs": logs,
    "sdk": sdk,
    "rules": deployed_rules,
    "secrets": secrets,
    "people": people,
    "provider": provider,
    "sources": sources,
    "declared sources": declared_sources,
    "targets": targets,
    "slack": slack,
    "mail": mail,
}
