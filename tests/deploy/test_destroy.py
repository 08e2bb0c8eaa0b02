"""`tocsin destroy`: nothing is left of a stage but its table and secrets, and what is not the stage's is left alone."""

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from cli import main
from deploy.alarms import watched
from deploy.clients import Clients
from deploy.deployment import Deploy, Deployed
from deploy.destroy import Destroy
from deploy.errors import DeployError
from deploy.lock import Holder, Lock
from deploy.parameters import parameters, put_parameters
from deploy.provision import provision
from local.cloud import Cloud
from tests.deploy import old_stage
from tests.deploy.flaky_aws import FlakyAws
from tests.project import clients, environment

STAGE = "dev"
CHANGES = (
    "PutItem",
    "DELETE /v2/apis/*",
    "RemoveTargets",
    "DeleteRule",
    "DELETE /2015-03-31/event-source-mappings/*",
    "DeleteRolePolicy",
    "DeleteRole",
    "DeleteLogGroup",
    "DELETE /2015-03-31/functions/*",
    "DeleteAlarms",
    "Unsubscribe",
    "DeleteTopic",
    "DeleteQueue",
    "DELETE /v2/email/configuration-sets/*",
    "DeleteParameter",
)
"""What a destroy changes, in the order of the first call of each kind."""
LAST = ("DeleteTable",)
"""After it there is nothing left that could break."""


@dataclasses.dataclass
class Account:
    """An embedded AWS, a project that is deployed to it, and a door to it that can be shut."""

    cloud: Cloud
    project: Path
    door: FlakyAws

    @property
    def aws(self) -> Clients:
        """Clients that pass by the door."""
        return clients(self.cloud)

    def deploy(self) -> Deployed:
        """Deploy the stage, with a secret and with its alarms, which the embedded AWS gets from no deploy."""
        put_parameters(self.aws("ssm"), STAGE, {"SENTRY_CLIENT_SECRET": "s3cret"}, there={})
        found = Deploy(STAGE, self.aws, environment(self.cloud), self.project, say=lambda text: None).run()
        watched(self.aws, STAGE, "ops@example.com", http_api=found.api_id)
        return found

    def destroy(self, *, everything: bool = False) -> list[str]:
        """Destroy the stage through the door. Return what was removed, a line each."""
        arguments: dict[str, Any] = {**self.cloud.client_arguments()}
        arguments.pop("endpoint_url")
        lines: list[str] = []
        aws = Clients(boto3.Session(**arguments), self.door.url)
        assert Destroy(STAGE, aws, self.project, say=lines.append).run(everything=everything) == len(lines)
        return lines


@pytest.fixture
def account(cloud: Cloud, project: Path) -> Iterator[Account]:
    """An account in which nothing was deployed."""
    with FlakyAws(cloud.url).open() as door:
        yield Account(cloud, project, door)


def there(aws: Clients) -> set[str]:
    """The names of all that is in an account."""
    found = [each["ApiId"] for each in aws("apigatewayv2").get_apis()["Items"]]
    found += [each["id"] for each in aws("apigateway").get_rest_apis()["items"]]
    found += [each["FunctionName"] for each in aws("lambda").list_functions()["Functions"]]
    found += [each["UUID"] for each in aws("lambda").list_event_source_mappings()["EventSourceMappings"]]
    found += [f"role {each['RoleName']}" for each in aws("iam").list_roles()["Roles"] if "tocsin" in each["RoleName"]]
    found += [f"rule {each['Name']}" for each in aws("events").list_rules()["Rules"]]
    found += [each["TopicArn"] for each in aws("sns").list_topics()["Topics"]]
    found += [each["SubscriptionArn"] for each in aws("sns").list_subscriptions()["Subscriptions"]]
    found += aws("sqs").list_queues().get("QueueUrls", [])
    found += aws("sesv2").list_configuration_sets()["ConfigurationSets"]
    found += [f"alarm {each['AlarmName']}" for each in aws("cloudwatch").describe_alarms()["MetricAlarms"]]
    found += [each["logGroupName"] for each in aws("logs").describe_log_groups()["logGroups"]]
    pages = aws("ssm").get_paginator("describe_parameters").paginate()
    found += [each["Name"] for page in pages for each in page["Parameters"]]
    return {*found, *(f"table {each}" for each in aws("dynamodb").list_tables()["TableNames"])}


def neighbours(aws: Clients) -> None:
    """Make what begins with the name of the stage and is not the stage's."""
    provision(aws, "prod", mails=True)
    put_parameters(aws("ssm"), "prod", {"SENTRY_CLIENT_SECRET": "other"}, there={})
    name = f"tocsin-{STAGE}"
    aws("sqs").create_queue(QueueName=f"{name}-2-webhooks")
    aws("sns").create_topic(Name=f"{name}-team")
    aws("logs").create_log_group(logGroupName=f"/aws/lambda/{name}ices")
    aws("events").put_rule(Name=f"{name}-team", ScheduleExpression="rate(1 day)")
    aws("ssm").put_parameter(Name=f"/tocsin/{STAGE}-2/KEY", Value="v", Type="String")
    aws("apigatewayv2").create_api(Name=name, ProtocolType="HTTP", Tags={"app": "tocsin", "stage": f"{STAGE}-2"})
    alarm = {"Namespace": "Team", "MetricName": "m", "Statistic": "Sum", "Period": 60, "EvaluationPeriods": 1}
    greater = {"Threshold": 1, "ComparisonOperator": "GreaterThanThreshold"}
    aws("cloudwatch").put_metric_alarm(AlarmName=f"{name}-team", **alarm, **greater)
    trusted = {"Version": "2012-10-17", "Statement": []}
    aws("iam").create_role(RoleName=f"{name}-team", AssumeRolePolicyDocument=json.dumps(trusted))


@pytest.mark.acceptance
def test_nothing_is_left_but_the_table_and_the_secrets(account: Account) -> None:
    """Given a stage beside others → its table and secrets alone are left of it, then nothing; the others are untouched."""
    neighbours(account.aws)
    others = there(account.aws)
    account.deploy()
    incident = {"pk": {"S": "a"}, "sk": {"S": "b"}}
    account.aws("dynamodb").put_item(TableName=f"tocsin-{STAGE}", Item=incident)
    account.aws("sqs").send_message(
        QueueUrl=account.aws("sqs").get_queue_url(QueueName=f"tocsin-{STAGE}-counts-dead")["QueueUrl"], MessageBody="m"
    )
    lines = account.destroy()
    assert "removed function tocsin-dev-tick" in lines
    assert "removed queue tocsin-dev-counts-dead with 1 message" in lines
    assert len(lines) == len(set(lines))
    secrets = {f"/tocsin/{STAGE}/{each}" for each in parameters(account.aws("ssm"), STAGE)}
    assert {"/tocsin/dev/SENTRY_CLIENT_SECRET"} < secrets and "/tocsin/dev/PAGE_URL" not in secrets
    assert there(account.aws) == {*others, *secrets, f"table tocsin-{STAGE}"}
    assert account.aws("dynamodb").scan(TableName=f"tocsin-{STAGE}")["Items"] == [incident]
    assert not (account.project / ".chalice" / "deployed" / f"{STAGE}.json").exists()
    assert account.destroy() == []
    assert f"removed table tocsin-{STAGE}" in account.destroy(everything=True)
    assert there(account.aws) == others
    assert account.destroy(everything=True) == []


@pytest.mark.acceptance
@pytest.mark.parametrize("renamed", [False, True])
def test_a_stage_with_a_rest_api_is_taken_down(account: Account, renamed: bool) -> None:
    """Given a stage of the version before, upgraded, with its REST API under its name or another → that goes too; others stay."""
    neighbours(account.aws)
    old_stage.make_function(account.aws, "api_handler", "prod")
    other = old_stage.make_api(account.aws, "tocsin-prod")
    others = there(account.aws)
    api = old_stage.make(account.aws, STAGE)
    assert account.deploy().api_id == api
    if renamed:
        change = [{"op": "replace", "path": "/name", "value": "the team's"}]
        account.aws("apigateway").update_rest_api(restApiId=api, patchOperations=change)
    lines = account.destroy(everything=True)
    assert f"removed REST API {api}" in lines and f"removed REST API {other}" not in lines
    assert there(account.aws) == others


@pytest.mark.acceptance
def test_a_run_broken_at_any_call_is_finished_by_the_next(account: Account) -> None:
    """Given runs that break after the first call of each kind, in turn → the last one leaves nothing."""
    before = there(account.aws)
    account.deploy()
    for change in CHANGES:
        account.door.last = change
        with pytest.raises(DeployError, match="it goes on from there"):
            account.destroy(everything=True)
        account.door.mend()
    account.destroy(everything=True)
    assert there(account.aws) == before
    assert {*account.door.changes} == {*CHANGES, *LAST}


def test_a_stage_that_somebody_deploys_is_not_destroyed(cloud: Cloud, tmp_path: Path) -> None:
    """Given a stage whose lock a deploy holds → DeployError with who holds it, and nothing is removed."""
    aws = clients(cloud)
    provision(aws, STAGE, mails=False)
    before = there(aws)
    lines: list[str] = []
    with (
        Lock(aws("dynamodb"), f"tocsin-{STAGE}", Holder("ana@elsewhere", 1)).held(),
        pytest.raises(DeployError, match="ana@elsewhere is deploying"),
    ):
        Destroy(STAGE, aws, tmp_path, say=lines.append).run(everything=True)
    assert (lines, there(aws)) == ([], before)


@pytest.mark.acceptance
@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["--stage", "local", "--yes", "local"], "on this machine"),
        (["--stage", "dev-tick", "--yes", "dev-tick"], "tocsin-dev-tick is the name of something of the stage 'dev'"),
        (["--stage", "dev", "--yes", "prod"], "not the name of the stage, dev: nothing is removed"),
        (["--stage", "dev"], "nobody can be asked here"),
    ],
)
def test_the_stage_must_be_named(
    cloud: Cloud,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    given: list[str],
    expected: str,
) -> None:
    """Given local, an unknown stage, another name, or nobody who types → 1, the reason, and nothing is removed."""
    aws = clients(cloud)
    provision(aws, STAGE, mails=False)
    before = there(aws)
    for name, value in environment(cloud).items():
        monkeypatch.setenv(name, value)
    assert main.main(["destroy", *given]) == 1
    assert expected in capsys.readouterr().err
    assert there(aws) == before


@pytest.mark.acceptance
def test_the_command_says_what_is_kept(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Given queues and a table, when they are destroyed twice, then with all → lines for each, and nothing is left."""
    aws = clients(cloud)
    before = there(aws)
    provision(aws, STAGE, mails=True)
    for name, value in environment(cloud).items():
        monkeypatch.setenv(name, value)
    command = ["destroy", "--stage", STAGE, "--yes", STAGE]
    assert main.main(command) == 0
    assert "removed queue tocsin-dev-webhooks\n" in (said := capsys.readouterr().out)
    assert "the stage dev is gone\nthe table tocsin-dev stays" in said
    assert main.main(command) == 0
    assert "there was nothing of the stage dev to remove\nthe table tocsin-dev stays" in capsys.readouterr().out
    assert main.main([*command, "--all"]) == 0
    assert capsys.readouterr().out.endswith("removed table tocsin-dev\nthe stage dev is gone\n")
    assert there(aws) == before
