"""`tocsin deploy --plan`: a plan changes nothing, and says what the deploy after it does."""

import dataclasses
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import boto3
import pytest

from cli import main
from deploy.alarms import wanted_alarms, watched
from deploy.clients import Clients
from deploy.deployment import Deploy
from deploy.errors import DeployError
from deploy.looks import answer, take_the_place_of_aws
from deploy.names import lambda_name
from deploy.parameters import own_secrets
from deploy.plan import Change, Place, Plan, has
from deploy.planned import Planned, planned
from deploy.policies import FUNCTIONS
from deploy.provision import provision
from deploy.waiting import AT_ONCE
from local.cloud import Cloud
from tests.deploy import old_stage
from tests.deploy.flaky_aws import FlakyAws
from tests.deploy.test_destroy import there
from tests.deploy.virtual import refused
from tests.project import clients, environment

STAGE = "dev"
PLACE = Place("aws", "us-east-1", "000000000000")


@dataclasses.dataclass
class Account:
    """An embedded AWS, a project, and a door that counts changing calls."""

    cloud: Cloud
    project: Path
    door: FlakyAws

    @property
    def aws(self) -> Clients:
        """Clients that do not pass by the door."""
        return clients(self.cloud)

    @property
    def job(self) -> Deploy:
        """A deploy by the door."""
        arguments: dict[str, Any] = {**self.cloud.client_arguments(), "endpoint_url": None}
        aws = Clients(boto3.Session(**{name: each for name, each in arguments.items() if each}), self.door.url)
        given = environment(self.cloud) | {"AWS_ENDPOINT_URL": self.door.url}
        return Deploy(STAGE, aws, given, self.project, say=lambda text: None)

    def plan(self, **values: str) -> Planned:
        """Plan, and see that nothing was changed."""
        before, made = there(self.aws), len(self.door.changes)
        found = planned(dataclasses.replace(self.job, given=values))
        assert (self.door.changes[made:], there(self.aws)) == ([], before)
        assert not [each for each in found.changes if each.what.endswith("is called")]
        return found


@pytest.fixture
def account(cloud: Cloud, project: Path) -> Iterator[Account]:
    """An account in which nothing was deployed."""
    with FlakyAws(cloud.url).open() as door:
        yield Account(cloud, project, door)


def made(found: Planned) -> set[str]:
    """The names of what would be made."""
    return {word.strip(",") for each in found.changes if each.mark == "+" for word in each.what.split()}


def test_the_plan_of_a_new_stage_names_all_of_it(account: Account) -> None:
    """Given an empty account, when a deploy is planned → every function, queue and role would be made, and nothing is."""
    found = account.plan(RUNBOOK_BASE_URL="https://example.com/hidden")
    named = made(found)
    for name in FUNCTIONS:
        assert {lambda_name(name, STAGE), f"tocsin-{STAGE}-{name}"} <= named
    assert f"/tocsin/{STAGE}/RUNBOOK_BASE_URL" in named
    assert "hidden" not in str(found)
    assert not [note for note in found.notes if "RUNBOOK_BASE_URL" in note]
    assert [note for note in found.notes if "SLACK_BOT_TOKEN is not set" in note]
    assert {each.mark for each in found.changes} == {"+"}
    assert found.summary == f"{len(found.changes)} to make, 0 to change, 0 to remove"


@pytest.mark.acceptance
def test_a_deploy_makes_what_was_planned(account: Account) -> None:
    """Given a plan, when the stage is deployed → what is there was in the plan, and then there is nothing to do."""
    before = there(account.aws)
    named = made(account.plan())
    account.job.run()
    for each in there(account.aws) - before:
        name = each.rpartition(" ")[2]
        short = name.rpartition("/" if name.startswith("http") else ":")[2]
        assert short in named or "tocsin" not in short, each
    assert account.plan().summary == "nothing to do: the stage is what this checkout deploys"


@pytest.mark.acceptance
def test_what_somebody_has_changed_is_in_the_plan(account: Account) -> None:
    """Given a stage in which settings and a right were changed by hand → each is a line with what it is and will be."""
    account.job.run()
    aws, name = account.aws, f"tocsin-{STAGE}"
    aws("lambda").update_function_configuration(FunctionName=f"{name}-tick", MemorySize=256)
    url = aws("sqs").get_queue_url(QueueName=f"{name}-counts")["QueueUrl"]
    aws("sqs").set_queue_attributes(QueueUrl=url, Attributes={"VisibilityTimeout": "30"})
    aws("iam").put_role_policy(
        RoleName=f"{name}-watch",
        PolicyName=f"{name}-watch",
        PolicyDocument='{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:GetObject","Resource":"*"}]}',
    )
    aws("logs").put_retention_policy(logGroupName=f"/aws/lambda/{name}-tick", retentionInDays=3)
    lines = [each.text for each in account.plan().changes]
    assert f"~ function {name}-tick: MemorySize is 256, will be 512" in lines
    assert f"~ queue {name}-counts: VisibilityTimeout is 30, will be 90" in lines
    assert f"~ log group {name}-tick: retentionInDays is 3, will be 14" in lines
    (role,) = (each for each in lines if each.startswith(f"~ role {name}-watch: "))
    assert "- s3:GetObject on *" in role and f"+ dynamodb:GetItem on table/{name}" in role
    assert len(lines) == 4


@pytest.mark.acceptance
def test_an_upgrade_of_an_older_stage_is_planned(account: Account) -> None:
    """Given a stage of the version before with its REST API → what is added and changed; after the deploy nothing."""
    api = old_stage.make(account.aws, STAGE)
    found = [each.text for each in account.plan().changes]
    assert f"+ index open of table tocsin-{STAGE}" in found
    assert f"~ REST API {api}: its routes are written anew" in found
    assert f"~ function tocsin-{STAGE}-tick: new code" in found
    assert not [each for each in found if "HTTP API" in each or each.startswith("-")]
    account.job.run()
    assert account.plan().changes == ()


def test_the_command_prints_a_plan(
    cloud: Cloud, project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Given an empty account → 0, a line for each thing and how many; a mistake of the rules file → 1."""
    for name, value in environment(cloud).items():
        monkeypatch.setenv(name, value)
    command = ["deploy", "--stage", STAGE, "--plan", "--project-dir", str(project)]
    assert main.main(command) == 0
    said = capsys.readouterr().out.splitlines()
    assert "plan of the stage dev of account 000000000000 in us-east-1; nothing is changed" in said
    assert "+ table tocsin-dev with its indexes wake, open, worst" in said
    assert said[-1].endswith(" to make, 0 to change, 0 to remove")
    assert clients(cloud)("dynamodb").list_tables()["TableNames"] == []
    assert main.main([*command, "--parameters", str(project / "none.env")]) == 1
    assert "no such file" in capsys.readouterr().err


def test_alarms_are_planned(cloud: Cloud) -> None:
    """Given a stage whose alarms are not there, or changed by hand → a line for each of them, then for the one alone."""
    aws, first = clients(cloud), Plan(PLACE)
    watched(aws.watched_by(partial(take_the_place_of_aws, first)), STAGE, "ops@example.com")
    names = {f"alarm {name}" for name in wanted_alarms(STAGE)}
    assert names < {each.what for each in first.changes}
    assert Change("+", f"topic tocsin-{STAGE}-alarms") in first.changes
    watched(aws, STAGE, "ops@example.com")
    changed = aws("cloudwatch").describe_alarms(AlarmNames=[f"tocsin-{STAGE}-tick-stopped"])["MetricAlarms"][0]
    kept = ("AlarmName", "MetricName", "Namespace", "Statistic", "Period", "EvaluationPeriods", "ComparisonOperator")
    wanted = {name: changed[name] for name in (*kept, "Dimensions", "AlarmActions", "OKActions", "AlarmDescription")}
    aws("cloudwatch").put_metric_alarm(**wanted, Threshold=1, TreatMissingData="breaching")
    second = Plan(PLACE)
    watched(aws.watched_by(partial(take_the_place_of_aws, second)), STAGE, "ops@example.com")
    assert [each.text for each in second.changes] == [
        f"~ alarm tocsin-{STAGE}-tick-stopped: Threshold is 1.0, will be 3"
    ]


def test_a_second_look_at_what_was_provided_finds_nothing(cloud: Cloud) -> None:
    """Given table, queues, topics and secrets of a stage → the plan of the same steps has no line."""
    aws, plan = clients(cloud), Plan(PLACE)
    provision(aws, STAGE, mails=True)
    assert len([*own_secrets(aws("ssm"), STAGE)]) > 0
    looking = aws.watched_by(partial(take_the_place_of_aws, plan))
    provision(looking, STAGE, mails=True, wait=AT_ONCE)
    assert [*own_secrets(looking("ssm"), STAGE)] == []
    assert plan.changes == []


def test_what_the_keys_may_not_read_is_a_line() -> None:
    """Given keys without the right to read a role's policy → a line that names the right, and none about the role."""

    def call(operation: str, given: object) -> dict[str, Any]:
        raise refused("AccessDenied", operation)

    plan = Plan(PLACE)
    given = {"RoleName": "tocsin-dev-tick", "PolicyName": "tocsin-dev-tick", "PolicyDocument": "{}"}
    assert answer(plan, "iam", call, "PutRolePolicy", given) == {}
    assert [each.text for each in plan.changes] == ["? your keys may not look: iam:GetRolePolicy"]


def test_a_call_that_is_not_known_is_a_line() -> None:
    """Given a changing call that deploy/looks.py does not know → it is not made, and is a line of its own."""

    def call(operation: str, given: object) -> dict[str, Any]:
        raise AssertionError(operation)

    plan = Plan(PLACE)
    assert answer(plan, "s3", call, "PutObject", {}) == {}
    assert plan.changes == [Change("~", "s3:PutObject is called")]


@pytest.mark.parametrize(
    ("there", "wanted", "same"),
    [
        ({"a": 1, "b": 2}, {"a": "1"}, True),
        ('{"a": [1, 2]}', '{"a":[2,1]}', True),
        ([1, 2, 3], [1, 2], False),
        (None, "", True),
        (None, [], True),
        (None, {}, True),
        (None, {"a": 1}, False),
        (3.0, 3, True),
        (None, "x", False),
        ("{no json", "{no json", True),
    ],
)
def test_values_are_compared_by_what_they_say(there: object, wanted: object, same: bool) -> None:
    """Given a value of AWS and one of a call → JSON by content, numbers as text, and nothing is as good as empty."""
    assert has(there, wanted) is same


def test_what_a_deploy_refuses_a_plan_refuses(account: Account) -> None:
    """Given a table of that name that is another one → DeployError, as the deploy itself."""
    account.aws("dynamodb").create_table(
        TableName=f"tocsin-{STAGE}",
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
    )
    with pytest.raises(DeployError, match="is another one"):
        planned(account.job)
