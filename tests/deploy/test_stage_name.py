"""Stages of any name: what AWS takes, what is nobody else's name, and that one stage does not touch another."""

from pathlib import Path

import pytest

from cli import main
from deploy.clients import Clients
from deploy.deployment import Deploy
from deploy.errors import DeployError
from deploy.names import lambda_name, tags_by_name
from deploy.policies import FUNCTIONS, configure, retention_days
from deploy.queues import queue
from deploy.stage_name import MOST, PARTS, problem
from deploy.tagging import tag_what_others_made
from local.cloud import Cloud
from tests.project import clients, environment

LONGEST_ON_AWS = 64
"""Names of functions, roles and rules. https://docs.aws.amazon.com/lambda/latest/api/API_CreateFunction.html"""


@pytest.mark.parametrize(
    "stage", ["local", "dev", "prod", "qa", "eu1", "dev-2", "feature-1234", "dev-ticket", "a" * MOST]
)
def test_names_that_are_taken(stage: str) -> None:
    """Given a name that AWS takes and that is nothing else's → it has no problem, and all names of the stage fit."""
    assert problem(stage) == ""
    longest = {f"tocsin-{stage}-{name}" for name in FUNCTIONS} | {
        f"{lambda_name(name, stage)}-event" for name in FUNCTIONS
    }
    assert max(map(len, longest)) <= LONGEST_ON_AWS


@pytest.mark.parametrize(
    "stage",
    ["", "-a", "a-", "a--b", "Prod", "1st", "a_b", "a.b", "ä", "a" * (MOST + 1), "a b", "prod\n", "../x", "a/b"],
)
def test_names_that_aws_refuses(stage: str) -> None:
    """Given a name that some service of AWS refuses → what is allowed."""
    assert "allowed are lower-case letters" in problem(stage)


@pytest.mark.parametrize(
    ("stage", "taken"),
    [
        ("dev-tick", "tocsin-dev-tick"),
        ("dev-webhooks", "tocsin-dev-webhooks"),
        ("dev-events", "tocsin-dev-events"),
        ("prod-webhooks-dead", "tocsin-prod-webhooks-dead"),
        ("a-b-record", "tocsin-a-b-record"),
        ("dev-tick-event", "tocsin-dev-tick-event"),
        ("dev-queues-waiting", "tocsin-dev-queues-waiting"),
    ],
)
def test_names_of_something_else_are_refused(stage: str, taken: str) -> None:
    """Given the name of a part of another stage → it is refused, with the name that two things would have."""
    assert f"{taken} is the name of something of the stage" in problem(stage)


def test_no_two_stages_share_a_name() -> None:
    """Given stages of names that are allowed, one of them the beginning of the other → none of their names is the same."""
    stages = [
        each
        for each in ("a", "a-b", "a-dead", "a-event", "a-process", "a-b-c", *(f"a-{p}" for p in PARTS))
        if not problem(each)
    ]
    assert "a-dead" in stages
    owned = {stage: {f"tocsin-{stage}", *(f"tocsin-{stage}-{part}" for part in PARTS)} for stage in stages}
    for stage in stages:
        for other in stages:
            assert stage == other or not owned[stage] & owned[other], (stage, other)


def test_a_stage_of_any_name_has_its_own_configuration(tmp_path: Path) -> None:
    """Given a stage that .chalice/config.json does not list → Chalice's configuration of the run has it, with its own rights."""
    text = configure(tmp_path, "aws", {}, ["qa"]).read_text()
    assert '"TOCSIN_TABLE": "tocsin-qa"' in text and "tocsin-prod" not in text
    assert "table/tocsin-qa" in (tmp_path / "policy-tick-qa.json").read_text()
    assert (retention_days("qa"), retention_days("prod")) == (30, 90)


def test_a_name_that_nobody_knows_is_asked_about(
    cloud: Cloud, project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Given a name that is neither dev nor prod nor there → refused with the nearest one; --new-stage plans it."""
    for name, value in environment(cloud).items():
        monkeypatch.setenv(name, value)
    command = ["deploy", "--project-dir", str(project), "--plan", "--stage"]
    assert main.main([*command, "prdo"]) == 1
    assert "there is no stage 'prdo' in this account and Region; did you mean prod?" in capsys.readouterr().err
    assert main.main([*command, "qa", "--new-stage"]) == 0
    assert "+ function tocsin-qa-tick (512 MB, 60 s)" in capsys.readouterr().out
    assert main.main([*command, "dev-tick", "--new-stage"]) == 1
    assert "tocsin-dev-tick is the name of something" in capsys.readouterr().err


def test_a_stage_that_is_there_is_known(cloud: Cloud, project: Path) -> None:
    """Given the table of a stage of its own name → it is deployed without a question."""
    aws = clients(cloud)
    job = Deploy("qa", aws, environment(cloud), project)
    with pytest.raises(DeployError, match="--new-stage makes it"):
        job.check_known()
    keys = [{"AttributeName": "pk", "KeyType": "HASH"}]
    types = [{"AttributeName": "pk", "AttributeType": "S"}]
    aws("dynamodb").create_table(
        TableName="tocsin-qa", KeySchema=keys, AttributeDefinitions=types, BillingMode="PAY_PER_REQUEST"
    )
    job.check_known()


def test_tags_go_to_the_own_stage_alone(cloud: Cloud) -> None:
    """Given rules and log groups of the stage dev-2 → a deploy of the stage dev leaves their tags alone."""
    aws: Clients = clients(cloud)
    for stage in ("dev", "dev-2"):
        aws("events").put_rule(Name=f"tocsin-{stage}-tick-event", ScheduleExpression="rate(1 minute)")
        aws("logs").create_log_group(logGroupName=f"/aws/lambda/tocsin-{stage}-tick", tags=tags_by_name(stage))
        queue(aws("sqs"), f"tocsin-{stage}-counts", 5, stage)
    assert tag_what_others_made(aws, "dev", "", {}) == []
    rules = {each["Name"]: each["Arn"] for each in aws("events").list_rules()["Rules"]}
    found = {name: aws("events").list_tags_for_resource(ResourceARN=arn)["Tags"] for name, arn in rules.items()}
    assert {"Key": "stage", "Value": "dev"} in found["tocsin-dev-tick-event"]
    assert found["tocsin-dev-2-tick-event"] == []


@pytest.mark.acceptance
def test_a_stage_of_any_name_is_deployed_and_destroyed(
    cloud: Cloud, project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Given an empty account → a stage dev-2 is deployed, answers by its name, and is destroyed."""
    for name, value in environment(cloud).items():
        monkeypatch.setenv(name, value)
    assert main.main(["deploy", "--stage", "dev-2", "--new-stage", "--project-dir", str(project)]) == 0
    assert "stage dev-2 answers at" in capsys.readouterr().out
    assert main.main(["deploy", "--stage", "dev-2", "--project-dir", str(project), "--plan"]) == 0
    assert "nothing to do" in capsys.readouterr().out
    assert main.main(["destroy", "--stage", "dev-2", "--yes", "dev-2", "--all"]) == 0
    assert clients(cloud)("lambda").list_functions()["Functions"] == []
