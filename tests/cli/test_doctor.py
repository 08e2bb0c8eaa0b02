"""tocsin doctor: what it finds in a stage that is well, and in one that is not."""

import argparse
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import boto3
import httpx
import pytest
from botocore.exceptions import ClientError

from chalicelib.core.delivery.target_state import Health, TargetState
from chalicelib.core.errors import NotStoredError
from chalicelib.core.rule import Rules
from chalicelib.schedule.tick import tick
from chalicelib.settings import Settings
from cli import checkup, checkup_aws, checkup_mail, doctor
from cli.finding import OK, WARNING, WRONG, Check, Finding
from cli.stage import Stage
from deploy import alarms
from deploy.logs import log_groups, retain
from deploy.policies import FUNCTIONS
from deploy.provision import provision
from local.cloud import Cloud
from simulation.memory_store import MemoryStore
from tests.cli.staging import STAGE, stage_in
from tests.deploy.virtual import AccountSettings
from tests.fakes import MemoryQueue
from tests.rule_files import rules_of
from tests.targets.samples import FakeClients

NOW = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
RULES = """
alerts:
  - name: A
    match: {alertname: A}
    notification: [{slack_channel: "#a"}, {pagerduty: true}, {pagerduty: db}, {email: ana@example.com}, {webhook: out}]
fallback: {notification: [{email: ops@example.com}]}
"""
SECRETS = {
    "SLACK_BOT_TOKEN": "xoxb-1",
    "PAGERDUTY_ROUTING_KEY_DEFAULT": "0123456789abcdef0123456789abcdef",
    "PAGERDUTY_ROUTING_KEY_DB": "short",
    "WEBHOOK_OUT_URL": "https://192.0.2.7/in",
}


@dataclass
class Aws:
    """boto3 clients by service, as a test wants them."""

    services: dict[str, Any] = field(default_factory=dict)

    def __call__(self, service: str) -> Any:
        """The client of a service."""
        return self.services[service]


@dataclass
class FakeStage:
    """A stage in memory: as much of one as a check looks at."""

    rules: Rules = field(default_factory=lambda: rules_of(RULES))
    store: MemoryStore = field(default_factory=MemoryStore)
    clients: FakeClients = field(default_factory=lambda: FakeClients(secrets=SECRETS, settings={}))
    aws: Aws = field(default_factory=Aws)
    settings: Settings = field(
        default_factory=lambda: Settings.from_env({"TOCSIN_STAGE": "dev", "AWS_REGION": "eu-west-1"})
    )


def found(check: Check, stage: Any) -> list[tuple[str, str]]:
    """State and text of every finding."""
    return [(each.state, each.what) for each in check(stage)]


def states(check: Check, stage: Any, state: str) -> str:
    """The texts of one state, together."""
    return "\n".join(each.what for each in check(stage) if each.state == state)


# ---------------------------------------------------------------------------------------------------------------------
# In an embedded AWS


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """A stage whose table and queues were made and whose functions were not."""
    with Cloud(tmp_path_factory.mktemp("cloud"), persist=False) as cloud:
        made = stage_in(cloud)
        provision(made.aws, STAGE, mails=True)
        yield made


def test_what_was_provisioned_is_well(stage: Stage) -> None:
    """Table and queues as a deploy makes them need nothing."""
    assert found(checkup_aws.table, stage) == [(OK, "tocsin-dev is active")]
    assert {state for state, _ in found(checkup_aws.queues, stage)} == {OK}


def test_dead_letters_and_short_visibility_are_found(stage: Stage) -> None:
    """How many wait, where, and the command that plays them back."""
    sqs = stage.aws("sqs")
    url = stage.queue_url("tocsin-dev-webhooks")
    sqs.send_message(QueueUrl=stage.queue_url("tocsin-dev-webhooks-dead"), MessageBody="x")
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"VisibilityTimeout": "30"})
    try:
        assert "1 dead letters wait in tocsin-dev-webhooks-dead" in states(checkup_aws.queues, stage, WARNING)
        assert "hides messages 30 s, its worker may run 60 s" in states(checkup_aws.queues, stage, WRONG)
        (dead,) = [each for each in checkup_aws.queues(stage) if each.state == WARNING]
        assert "tocsin redrive --stage dev" in dead.do
    finally:
        sqs.set_queue_attributes(QueueUrl=url, Attributes={"VisibilityTimeout": "90"})


def test_what_is_not_there_is_named(stage: Stage) -> None:
    """Functions, schedules and another stage's table."""
    assert "tocsin-dev-deliver_notification" in states(checkup_aws.functions, stage, WRONG)
    assert "there is no rule tocsin-dev-tick-event: tick is not run" in states(checkup_aws.schedules, stage, WRONG)
    settings = Settings.from_env({**stage.environment, "TOCSIN_STAGE": "prod"})
    other = Stage(settings, stage.environment, stage.aws)
    assert found(checkup_aws.table, other) == [(WRONG, "there is no table tocsin-prod")]
    assert "tocsin-prod-webhooks or its dead letters are missing" in states(checkup_aws.queues, other, WRONG)


@pytest.mark.parametrize(
    ("limit", "there", "warnings"),
    [
        (1_000, {"process_webhooks": 20, "process_counts": 5, "deliver_notification": 10}, []),
        (10, {"process_webhooks": 2, "process_counts": 2, "deliver_notification": 3}, ["runs 10 functions at once"]),
        (
            None,
            {"process_webhooks": 20, "process_counts": 5, "deliver_notification": 10},
            ["keys may not read how many"],
        ),
        (
            1_000,
            {"process_webhooks": 20, "process_counts": 5},
            ["tocsin-dev-deliver_notification runs without a maximum at once, right for this account is 10"],
        ),
    ],
)
def test_workers_that_may_take_all_of_an_account_are_found(
    limit: int | None, there: Mapping[str, int], warnings: list[str]
) -> None:
    """Given an account's limit and the mappings' maxima → a low limit and a missing maximum are told, with what to do."""
    aws = Workers(limit, there)
    stage = Stage(Settings.from_env({"TOCSIN_STAGE": STAGE, "AWS_REGION": "us-east-1"}), {}, lambda service: aws)
    told = [each for each in checkup_aws.functions(stage) if each.state == WARNING]
    assert len(told) == len(warnings)
    assert all(text in each.what and each.do for each, text in zip(told, warnings, strict=True))


class Workers(AccountSettings):
    """Lambda with all functions, and mappings with these maxima."""

    exceptions = SimpleNamespace(ResourceNotFoundException=KeyError)

    def __init__(self, limit: int | None, maxima: Mapping[str, int]) -> None:
        super().__init__(limit)
        self._maxima = maxima

    def get_function_configuration(self, FunctionName: str) -> dict[str, Any]:
        """Every function is there."""
        return {"FunctionName": FunctionName}

    def list_event_source_mappings(self, FunctionName: str) -> dict[str, Any]:
        """The mapping of a worker."""
        name = FunctionName.removeprefix(f"tocsin-{STAGE}-")
        maximum = self._maxima.get(name)
        scaling = {"ScalingConfig": {"MaximumConcurrency": maximum}} if maximum else {}
        mapping = {"State": "Enabled", "FunctionResponseTypes": ["ReportBatchItemFailures"], **scaling}
        own = {**mapping, "EventSourceArn": f"arn:aws:sqs:us-east-1:1:tocsin-{STAGE}-{FUNCTIONS[name]['takes']}"}
        operators = {"State": "Enabled", "EventSourceArn": "arn:aws:kafka:us-east-1:1:cluster/mine"}
        return {"EventSourceMappings": [own, operators, {"State": "Enabled"}]}


def test_alarms_that_notify_nobody_are_found(stage: Stage) -> None:
    """Given no alarms, alarms without actions, armed ones, one of them in alarm → each finding says what to do."""
    count = len(alarms.wanted_alarms(STAGE))
    assert "alarms are missing: tocsin-dev-gateway-errors, " in states(checkup_aws.alarms, stage, WRONG)
    assert "there is no topic tocsin-dev-alarms" in states(checkup_aws.alarms, stage, WRONG)
    alarms.watched(stage.aws, STAGE, "")
    (unarmed,) = [each for each in checkup_aws.alarms(stage) if "notify nobody" in each.what]
    assert unarmed.what == f"{count} of {count} alarms notify nobody"
    assert "tocsin deploy --stage dev" in unarmed.do
    assert "TOCSIN_ALARM_EMAIL" in unarmed.do
    alarms.watched(stage.aws, STAGE, "ops@example.com")
    assert found(checkup_aws.alarms, stage) == [
        (OK, f"all {count} alarms are there, with their actions"),
        (OK, "1 confirmed subscriptions of tocsin-dev-alarms"),
    ]
    cloudwatch = stage.aws("cloudwatch")
    cloudwatch.set_alarm_state(AlarmName="tocsin-dev-tick-stopped", StateValue="ALARM", StateReason="test")
    assert states(checkup_aws.alarms, stage, WARNING) == "in alarm now: tocsin-dev-tick-stopped"
    cloudwatch.disable_alarm_actions(AlarmNames=["tocsin-dev-dead-letters"])
    cloudwatch.delete_alarms(AlarmNames=["tocsin-dev-tick-stopped"])
    wrong = states(checkup_aws.alarms, stage, WRONG)
    assert f"1 of {count - 1} alarms notify nobody" in wrong
    assert "alarms are missing: tocsin-dev-tick-stopped" in wrong


@pytest.mark.parametrize(
    ("listed", "armed", "state", "text", "do"),
    [
        ([("ops@example.com", alarms.PENDING)], True, WRONG, "ops@example.com did not confirm", "follow the link"),
        ([("ops@example.com", alarms.GONE)], True, WRONG, "nobody is subscribed", "TOCSIN_ALARM_EMAIL"),
        ([], True, WRONG, "nobody is subscribed", "TOCSIN_ALARM_EMAIL"),
        ([("a", alarms.PENDING), ("b", "arn:1")], True, OK, "1 confirmed subscriptions", ""),
        (None, True, WARNING, "there is no topic", "TOCSIN_ALARM_EMAIL"),
        (None, False, WRONG, "there is no topic", "TOCSIN_ALARM_EMAIL"),
    ],
)
def test_who_is_notified_of_alarms(
    listed: list[tuple[str, str]] | None, armed: bool, state: str, text: str, do: str
) -> None:
    """Given the subscriptions of the topic of the alarms → whether one is confirmed, and what to do about it."""

    def attributes(TopicArn: str) -> None:
        if listed is None:
            raise KeyError(TopicArn)

    pages = [{"Subscriptions": [{"Endpoint": name, "SubscriptionArn": arn} for name, arn in listed or []]}]
    alarm = {"AlarmName": "tocsin-dev-tick-stopped", "ActionsEnabled": armed, "AlarmActions": ["arn:x"] * armed}
    services = {
        "sts": SimpleNamespace(get_caller_identity=lambda: {"Arn": "arn:aws:iam::123456789012:user/ana"}),
        "sns": SimpleNamespace(
            get_topic_attributes=attributes,
            get_paginator=lambda name: SimpleNamespace(paginate=lambda TopicArn: pages),
            meta=SimpleNamespace(region_name="eu-west-1"),
            exceptions=SimpleNamespace(NotFoundException=KeyError),
        ),
        "cloudwatch": SimpleNamespace(
            get_paginator=lambda name: SimpleNamespace(paginate=lambda AlarmNamePrefix: [{"MetricAlarms": [alarm]}])
        ),
    }
    told = list(checkup_aws.alarms(FakeStage(aws=Aws(services))))[-1]  # type: ignore[arg-type]
    assert (told.state, text in told.what, do in told.do) == (state, True, True)


def test_a_log_group_that_never_expires_is_found(stage: Stage) -> None:
    """Given the group of the REST API without a retention, as Chalice leaves it → a warning, until a deploy sets it."""
    logs = stage.aws("logs")
    group = log_groups(STAGE)[0]
    logs.create_log_group(logGroupName=group)
    logs.create_log_group(logGroupName="/aws/lambda/tocsin-dev-of-somebody-else")
    (finding,) = checkup_aws.logs(stage)
    assert (finding.state, finding.what) == (WARNING, f"log groups keep everything for ever: {group}")
    assert "tocsin deploy --stage dev" in finding.do
    retain(logs, STAGE)
    assert found(checkup_aws.logs, stage) == [(OK, f"{len(FUNCTIONS)} log groups keep what functions log for 14 days")]


def test_only_log_groups_that_are_there_are_said_to_expire(stage: Stage) -> None:
    """Given a stage none of whose functions has a log group → a warning, and nothing is said to expire."""
    other: Any = replace(stage, settings=replace(stage.settings, stage="qa"))
    assert found(checkup_aws.logs, other) == [(WARNING, "there is no log group of a function: none has run")]


def test_a_rule_that_is_switched_off_or_of_another_stage_runs_nothing(stage: Stage) -> None:
    """Given one rule that is on, one that is off, and one of the stage dev-tick-2 → each is what was seen of it."""
    events = stage.aws("events")
    events.put_rule(Name="tocsin-dev-tick-event", ScheduleExpression="rate(1 minute)")
    events.put_rule(Name="tocsin-dev-watch-event", ScheduleExpression="rate(1 minute)", State="DISABLED")
    events.put_rule(Name="tocsin-dev-record-event-2", ScheduleExpression="rate(5 minutes)")
    assert found(checkup_aws.schedules, stage) == [
        (OK, "the rule tocsin-dev-tick-event is switched on, rate(1 minute)"),
        (WRONG, "the rule tocsin-dev-watch-event is switched off: watch is not run"),
        (WRONG, "there is no rule tocsin-dev-record-event: record is not run"),
        (WRONG, "there is no rule tocsin-dev-repair-event: repair is not run"),
    ]


def test_mail_is_looked_at_in_ses(stage: Stage) -> None:
    """The account's limits, an unverified sender, and the way back that a deploy makes."""
    stage.aws("ssm").put_parameter(Name="/tocsin/dev/SES_FROM", Value="T <t@example.com>", Type="SecureString")
    texts = dict.fromkeys(text for _, text in found(checkup_mail.mail, stage))
    assert "SES: 50000 mails a day, 14 a second" in texts
    assert "SES: neither SES_FROM nor its domain is verified" in texts
    assert "SES: tocsin-dev publishes bounces and complaints to tocsin-dev-feedback" in texts


def test_the_command_prints_every_finding_and_ends_with_one(stage: Stage, capsys: pytest.CaptureFixture[str]) -> None:
    """A line each with what to do, a count at the end, 1 because something is wrong; JSON for tools."""
    arguments = argparse.Namespace(only=["table", "functions"], quiet=True, json=False)
    assert doctor.examine(stage, arguments) == 1
    told = capsys.readouterr().out
    assert "WRONG    functions  not deployed: " in told
    assert "→ run `tocsin deploy --stage dev`" in told
    assert told.endswith("2 ok, 0 warnings, 1 wrong\n")
    assert doctor.examine(stage, argparse.Namespace(only=["table"], quiet=False, json=True)) == 0
    assert json.loads(capsys.readouterr().out)["state"] == "ok"


# ---------------------------------------------------------------------------------------------------------------------
# In memory


def test_secrets_of_targets_are_looked_at_and_never_shown() -> None:
    """A routing key of the wrong form, an unsigned webhook; the values stay where they are."""
    stage = FakeStage()
    assert "pagerduty:db: the routing key has not 32 letters and digits" in states(checkup.secrets, stage, WRONG)
    assert "webhook:out: requests go out unsigned" in states(checkup.secrets, stage, WARNING)
    assert "pagerduty:default: a routing key is set" in states(checkup.secrets, stage, OK)
    told = "".join(f"{each.what}{each.do}" for each in checkup.secrets(stage))
    assert not [value for value in SECRETS.values() if value in told]
    wrong = {"DELIVERY_MAX_AGE": "soon", "TARGET_GRACE": "99999999999999d", "REDACT_PATTERNS": "a\n(?=b)"}
    stage.clients = FakeClients(secrets={}, settings=wrong)
    assert "pagerduty:default: no routing key" in states(checkup.secrets, stage, WRONG)
    said = states(checkup.secrets, stage, WRONG)
    assert "DELIVERY_MAX_AGE: 'soon' is not a duration" in said
    assert "TARGET_GRACE: '99999999999999d' is too long" in said
    assert "REDACT_PATTERNS, line 2: not a regular expression of RE2: column 1: look-ahead" in said


def test_the_health_of_targets_is_told() -> None:
    """Broken, failing, marked, and those of which nothing is known."""
    stage = FakeStage()
    stage.store.save_target_state(
        TargetState("slack_channel:#a", health=Health(NOW, NOW + timedelta(minutes=15)), version=1)
    )
    stage.store.save_target_state(TargetState("pagerduty:default", health=Health(NOW), version=1))
    stage.store.save_target_state(
        TargetState("email:ana@example.com", health=Health(refusal="a mail bounced"), version=1)
    )
    wrong = states(checkup.targets, stage, WRONG)
    assert "slack_channel:#a: broken since 2026-11-24 09:00 UTC" in wrong
    assert "email:ana@example.com: nothing is sent there: a mail bounced" in wrong
    assert "pagerduty:default: failing since" in states(checkup.targets, stage, WARNING)
    assert "webhook:out: nothing is known against it" in states(checkup.targets, stage, OK)


def test_other_rules_at_work_are_told() -> None:
    """The rules of this checkout are those the last tick worked with, or not."""
    stage = FakeStage()
    assert found(checkup.deployed_rules, stage)[0] == (WARNING, "no tick has run yet")
    queues = SimpleNamespace(webhooks=MemoryQueue(), notifications=MemoryQueue(), counts=MemoryQueue())
    tick(rules=stage.rules, store=stage.store, queues=queues, now=NOW)
    assert found(checkup.deployed_rules, stage) == [(OK, "the rules of this checkout are at work: 1 of them")]
    stage.rules = rules_of("alerts: [{name: B, match: {a: b}, notification: [{email: ana@example.com}]}]")
    texts = states(checkup.deployed_rules, stage, WARNING)
    assert "other rules are at work" in texts
    assert "nobody is notified of what could not be delivered" in texts


def test_slack_is_asked_for_token_and_channels() -> None:
    """What the target itself says, line by line."""
    answer = httpx.Response(200, json={"ok": False, "error": "invalid_auth"})
    stage = FakeStage(clients=FakeClients(lambda request: answer, secrets=SECRETS))
    assert "SLACK_BOT_TOKEN" in states(checkup.slack, stage, WRONG)


class FakeSes:
    """SES in the sandbox, with one address verified and one suppressed."""

    class exceptions:
        """Its errors."""

        class NotFoundException(Exception):
            """Not there."""

    def get_account(self) -> dict[str, Any]:
        """Paused, too."""
        quota = {"Max24HourSend": 200.0, "SentLast24Hours": 190.0, "MaxSendRate": 1.0}
        return {
            "ProductionAccessEnabled": False,
            "SendingEnabled": False,
            "EnforcementStatus": "PROBATION",
            "SendQuota": quota,
        }

    def get_email_identity(self, EmailIdentity: str) -> dict[str, bool]:
        """One is."""
        if EmailIdentity != "ana@example.com":
            raise self.exceptions.NotFoundException
        return {"VerifiedForSendingStatus": True}

    def get_configuration_set_event_destinations(self, ConfigurationSetName: str) -> Any:
        """None is."""
        raise self.exceptions.NotFoundException

    def get_suppressed_destination(self, EmailAddress: str) -> dict[str, Any]:
        """One is."""
        if EmailAddress != "ops@example.com":
            raise self.exceptions.NotFoundException
        return {"SuppressedDestination": {"Reason": "BOUNCE"}}


def test_a_mail_account_in_trouble_is_told_in_full() -> None:
    """Sandbox, pause, probation, quota, sender, way back, suppression: a line for each."""
    clients = FakeClients(settings={"SES_FROM": "t@example.com", "SES_CONFIGURATION_SET": "gone"})
    stage = FakeStage(clients=clients, aws=Aws({"sesv2": FakeSes()}))
    wrong, warned = states(checkup_mail.mail, stage, WRONG), states(checkup_mail.mail, stage, WARNING)
    for text in (
        "sending is paused",
        "neither SES_FROM nor its domain",
        "there is no configuration set gone",
        "email:ops@example.com: not verified",
        "email:ops@example.com: on the account's suppression list (bounce)",
    ):
        assert text in wrong
    assert "email:ana@example.com" not in wrong
    for text in ("sandbox", "under probation", "190 of 200 mails"):
        assert text in warned
    assert "only verified addresses get mail, 200 mails a day, 1 a second" in warned
    assert "190 of 200 mails of a day are used, 10 are left" in warned
    assert "SES: 200 mails a day, 1 a second; 10 are left today" in states(checkup_mail.mail, stage, OK)


@pytest.mark.parametrize(("fallback", "warned"), [("{email: a@b.c}", True), ('{slack_channel: "#a"}', False)])
def test_a_fallback_by_mail_is_warned_of(fallback: str, warned: bool) -> None:
    """Given rules that mail, when the fallback is mail too → another kind is asked for, as SES may refuse both."""
    rules = f"alerts: [{{name: B, match: {{a: b}}, notification: [{{email: a@b.c}}]}}]\nfallback: {{notification: [{fallback}]}}"
    stage = FakeStage(rules=rules_of(rules), aws=Aws({"sesv2": FakeSes()}))
    assert (checkup_mail.FALLBACK_IS_MAIL in states(checkup_mail.mail, stage, WARNING)) is warned


def test_a_runtime_near_its_end_is_warned_of() -> None:
    """Given a runtime that Lambda supports for less than half a year → a warning with the date; a later one is fine."""
    both = ["python3.13", "python3.12", "python3.99"]
    assert list(checkup_aws.runtime_findings(both, date(2028, 5, 1))) == []
    (found,) = checkup_aws.runtime_findings(both, date(2028, 5, 6))
    assert (found.state, found.what) == (WARNING, "Lambda's support of python3.12 ends on 2028-10-31")
    first, second = checkup_aws.runtime_findings(both, date(2029, 7, 1))
    assert (first.what[-19:], second.what[-19:]) == ("ended on 2028-10-31", "ended on 2029-06-30")


class FakeLogs:
    """Log lines of the receiving function, found by what the filter asks for."""

    class exceptions:
        """Its errors."""

        class ResourceNotFoundException(Exception):
            """No such group."""

    def __init__(self, lines: list[dict[str, Any]]) -> None:
        self.lines = lines

    def get_paginator(self, name: str) -> Any:
        """Pages of one."""
        return SimpleNamespace(
            paginate=lambda **asked: [{"events": [{"message": json.dumps(each)} for each in self.lines]}]
        )


def test_senders_that_are_silent_or_refused_are_told() -> None:
    """A sender with a secret sends, is silent, or refused since its secret changed; without a secret it is not asked."""
    secrets = {"SENTRY_CLIENT_SECRET": "x", "VERCEL_WEBHOOK_SECRET": "y", "CLOUDFLARE_WEBHOOK_SECRET": "z"}
    lines = [
        {"stage": "receive", "source": "sentry", "status": 202},
        {"stage": "receive", "source": "vercel", "status": 202},
        {"stage": "receive", "source": "vercel", "status": 401},
    ]
    stage = FakeStage(clients=FakeClients(secrets=secrets), aws=Aws({"logs": FakeLogs(lines)}))
    told = found(checkup.sources, stage)
    assert (OK, "a webhook of sentry was accepted in the last 7 days; the smoke test of a deploy counts as one") in told
    assert (WARNING, "a webhook of vercel was refused in the last day") in told
    assert not [text for _, text in told if text.startswith("pagerduty")]


def test_the_log_of_a_stage_says_nothing_about_the_days_before_it() -> None:
    """Given the stage local, whose log goes back a day → silence is claimed for that day alone."""
    stage = FakeStage(clients=FakeClients(secrets={"VERCEL_WEBHOOK_SECRET": "y"}), aws=Aws({"logs": FakeLogs([])}))
    stage.settings = replace(stage.settings, stage="local")
    assert found(checkup.sources, stage) == [(WARNING, "no webhook of vercel was accepted in the last day")]


@pytest.mark.parametrize(
    ("versions", "state", "text"),
    [
        ([], OK, "no worker has loaded boto3 in the last day"),
        (["1.34.9", "1.40.2"], OK, f"boto3 1.40.2 runs on Lambda, {boto3.__version__} is tested"),
        (["1.34.56"], OK, f"boto3 1.34.56 runs on Lambda, {boto3.__version__} is tested"),
        (
            ["1.40.2", "1.34.9"],
            WRONG,
            f"boto3 1.34.9 runs on Lambda, {boto3.__version__} is tested: mails need 1.34.56",
        ),
    ],
)
def test_the_boto3_that_runs_is_compared(versions: list[str], state: str, text: str) -> None:
    """Given the versions that workers logged, the newest line last → it is shown beside the tested one, and wrong when too old."""
    lines = [{"stage": "start", "boto3": each} for each in versions]
    assert found(checkup_aws.sdk, FakeStage(aws=Aws({"logs": FakeLogs(lines)}))) == [(state, text)]


@pytest.mark.parametrize("error", [ClientError({"Error": {"Code": "AccessDenied"}}, "Look"), NotStoredError("away")])
def test_a_check_that_cannot_be_made_is_a_finding(error: Exception) -> None:
    """The others are made all the same."""

    def broken(stage: Stage) -> Iterator[Finding]:
        raise error
        yield

    def well(stage: Stage) -> Iterator[Finding]:
        yield Finding(OK, "well")

    made = list(checkup.findings(FakeStage(), {"one": broken, "two": well}))  # type: ignore[arg-type]
    assert [(name, each.state) for name, each in made] == [("one", WRONG), ("two", OK)]
    assert made[0][1].what.startswith("could not be checked: ")


@pytest.mark.parametrize(
    ("tokens", "state", "text"),
    [
        ("shared-token-of-length", WARNING, "API_TOKEN holds shared tokens only"),
        ("shared-token-of-length,another-one-of-length", WARNING, "API_TOKEN holds shared tokens only"),
        ("ana:token-of-ana-1234", OK, "API_TOKEN has named tokens of 1"),
        ("ana:token-of-ana-1234, ben:x,ben:y,z", OK, "API_TOKEN has named tokens of 2, beside 1 shared"),
    ],
)
def test_named_tokens_are_recommended(tokens: str, state: str, text: str) -> None:
    """Given shared tokens only → a warning that recommends one for each person; no value is shown."""
    stage = FakeStage(clients=FakeClients(secrets={"API_TOKEN": tokens}, settings={}))
    (finding,) = checkup.people(stage)  # type: ignore[arg-type]
    assert (finding.state, text in finding.what) == (state, True)
    assert ("ana:<token>" in finding.do) is (state == WARNING)
    assert not [each for each in tokens.split(",") if each.rpartition(":")[2].strip() in finding.what.split()]


DOCUMENT = {
    "issuer": "https://id.example",
    "authorization_endpoint": "https://id.example/a",
    "token_endpoint": "https://id.example/t",
    "jwks_uri": "https://id.example/k",
}
PROVIDER = {"OIDC_ISSUER": "https://id.example", "OIDC_CLIENT_ID": "c", "OIDC_CLIENT_SECRET": "s"}
PROVIDER |= {"PAGE_URL": "https://tocsin.example/api/", "OIDC_DOMAINS": "example.com"}


@pytest.mark.parametrize(
    ("changed", "findings"),
    [
        ({}, [(OK, "leads back to https://tocsin.example/api/oidc/callback")]),
        ({"OIDC_ISSUER": ""}, []),
        ({"OIDC_CLIENT_SECRET": ""}, [(WRONG, "OIDC_CLIENT_SECRET is not set")]),
        ({"OIDC_ISSUER": "https://id.example/"}, [(WRONG, "calls itself otherwise")]),
        ({"OIDC_ISSUER": "http://id.example"}, [(WRONG, "no https address")]),
        ({"OIDC_DOMAINS": ""}, [(WARNING, "signs nobody in"), (OK, "the provider answers")]),
    ],
)
def test_a_provider_is_asked(changed: dict[str, str], findings: list[tuple[str, str]]) -> None:
    """Given the parameters of a provider → whether it answers and where it leads back to, or what is missing."""
    clients = FakeClients(
        lambda request: httpx.Response(200, json=DOCUMENT), secrets={}, settings={**PROVIDER, **changed}
    )
    made = found(checkup.provider, FakeStage(clients=clients))
    assert [state for state, _ in made] == [state for state, _ in findings]
    assert all(text in line for (_, line), (_, text) in zip(made, findings, strict=True))


def test_without_a_token_nobody_acts_by_the_api() -> None:
    """Given no API_TOKEN → nothing to recommend."""
    assert found(checkup.people, FakeStage()) == []


@pytest.mark.parametrize(
    ("settings", "findings"),
    [
        ({}, [(OK, "only; SLACK_TEAMS names others")]),
        ({"SLACK_TEAMS": "T0123,E0456", "SLACK_GUESTS": "yes"}, [(OK, "and of E0456, T0123 (SLACK_TEAMS)")]),
        ({"SLACK_TEAMS": "acme"}, [(WRONG, "SLACK_TEAMS: 'acme' is no id"), (OK, "only; SLACK_TEAMS")]),
        ({"SLACK_GUESTS": "maybe"}, [(WRONG, "SLACK_GUESTS is 'maybe': guests are refused"), (OK, "only")]),
    ],
)
def test_whose_people_may_act_in_slack_is_said(settings: dict[str, str], findings: list[tuple[str, str]]) -> None:
    """Given the settings for people of other workspaces → what holds, and what cannot be read."""
    refused = httpx.Response(200, json={"ok": False, "error": "invalid_auth"})
    stage = FakeStage(clients=FakeClients(lambda request: refused, secrets=SECRETS, settings=settings))
    told = found(checkup.slack, stage)[1:]
    assert [state for state, _ in told] == [state for state, _ in findings]
    assert all(words in text for (_, text), (_, words) in zip(told, findings, strict=True))
