"""What people may do: the policies allow what a deploy and the commands of an operator call, and nothing else."""

import argparse
import json
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest

from cli import doctor, redrive, remote, send_test
from cli.stage import Stage, stage_of
from deploy import people, policies
from deploy.alarms import watched
from deploy.clients import Clients
from deploy.deployment import Deploy, Deployed
from deploy.destroy import Destroy
from deploy.parameters import parameters, put_parameters
from deploy.plan import UNKNOWN
from deploy.planned import planned
from local.cloud import Cloud
from local.inbox import UNLIMITED, Inbox
from local.run import wanted_parameters
from tests.project import clients, copied, environment

pytestmark = pytest.mark.acceptance

STAGE = "dev"
MANAGED_POLICY_CHARACTERS = 6_144
"""https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html"""
TAKE_NO_NAME = {
    "cloudwatch:DescribeAlarms",
    "events:ListRuleNamesByTarget",
    "events:ListRules",
    "lambda:CreateEventSourceMapping",
    "lambda:GetAccountSettings",
    "lambda:ListEventSourceMappings",
    "lambda:ListFunctions",
    "logs:DescribeLogGroups",
    "ses:GetAccount",
    "ses:GetSuppressedDestination",
    "sns:GetSubscriptionAttributes",
    "sns:ListSubscriptions",
    "sns:SetSubscriptionAttributes",
    "sns:Unsubscribe",
}
"""Actions without a type of resource in AWS's Service Authorization Reference; and DescribeAlarms, whose whole list needs `*`."""
MAPPINGS = {f"lambda:{verb}EventSourceMapping" for verb in ("Get", "Update", "Delete")}
"""Their resource has an id that nobody knows before; the function is a condition."""

TO_DELETE = "Chalice deletes what app.py has no more: an upgrade, or the way back to the version before"
IMPLIED = "AWS asks for it beside the call that makes the thing, the embedded AWS does not"
OF_REST_APIS = "a stage of a version before has a REST API, and keeps it"
ON_AWS = "what a deploy does on AWS alone, or where something is left to mend"
DEPLOYER_BESIDE = {
    "events:DeleteRule": TO_DELETE,
    "events:RemoveTargets": TO_DELETE,
    "iam:DeleteRole": TO_DELETE,
    "iam:DeleteRolePolicy": TO_DELETE,
    "iam:ListRolePolicies": TO_DELETE,
    "lambda:DeleteEventSourceMapping": TO_DELETE,
    "lambda:DeleteFunction": TO_DELETE,
    "lambda:RemovePermission": TO_DELETE,
    "logs:DeleteRetentionPolicy": TO_DELETE,
    "sns:Unsubscribe": TO_DELETE,
    "apigateway:PATCH": OF_REST_APIS + "; and an HTTP API whose limit somebody has changed",
    "apigateway:PUT": OF_REST_APIS,
    "iam:PassRole": IMPLIED,
    "lambda:TagResource": IMPLIED,
    "dynamodb:UpdateTable": "an upgrade to a version whose table has one more index",
    "cloudwatch:DeleteAlarms": ON_AWS + ": alarms of the version before",
    "lambda:PutFunctionConcurrency": ON_AWS + ": reserved concurrency in the configuration",
    "logs:DeleteLogGroup": ON_AWS + ": the group that Chalice makes for the REST API and nobody writes to",
    "logs:DescribeLogStreams": ON_AWS + ": whether that group is empty",
    "sns:GetTopicAttributes": ON_AWS + ": whether there is a topic for alarms",
}
OF_ALARMS = "whether the alarms are there, armed and heard"
OPERATOR_BESIDE = {
    "cloudwatch:DescribeAlarms": OF_ALARMS,
    "sns:GetTopicAttributes": OF_ALARMS,
    "sns:ListSubscriptionsByTopic": OF_ALARMS,
    "logs:DescribeLogGroups": "whether what functions log expires",
    "lambda:GetAccountSettings": "the account's limit of concurrent executions",
}


DESTROYER_BESIDE = {"lambda:ListTags": "whether Chalice made a function that this version does not know"}


def allowed(policy: Mapping[str, Any]) -> set[str]:
    """Every action that a policy allows."""
    return {action for statement in policy["Statement"] for action in statement["Action"]}


def test_the_files_are_up_to_date() -> None:
    """Given the checkout → deploy/deployer-policy.json and operator-policy.json are what deploy/people.py says."""
    assert policies.stale_for_people() == []


@pytest.mark.parametrize("made", people.FILES.values(), ids=[*people.FILES])
def test_a_policy_names_what_it_allows(made: Any) -> None:
    """Given a policy → no action is a wildcard, and `*` stands only where AWS takes no name; the rest is `tocsin`'s."""
    for statement in made()["Statement"]:
        assert not [action for action in statement["Action"] if "*" in action]
        for resource in statement["Resource"]:
            own = "tocsin" in resource or ":apigateway:" in resource or resource.endswith((":identity/*", "-set/*"))
            assert own or (resource == "*" and set(statement["Action"]) <= TAKE_NO_NAME | MAPPINGS)


def test_mappings_and_roles_are_bound_to_own_functions() -> None:
    """Given the deployer's policy → mappings are of own functions, and own roles are passed to Lambda alone."""
    found = {each["Sid"]: each for each in people.deployer()["Statement"]}
    assert found["Mappings"]["Condition"] == {"ArnLike": {"lambda:FunctionArn": found["Functions"]["Resource"][0]}}
    assert [*found["Pass"]["Condition"]["StringEquals"]] == ["iam:PassedToService"]
    assert found["Pass"]["Resource"] == found["Roles"]["Resource"]


def test_who_deploys_writes_nothing_into_the_table_but_the_lock() -> None:
    """Given the deployer's policy → of the items of a table only the lock can be written."""
    (writes,) = [each for each in people.deployer()["Statement"] if "dynamodb:PutItem" in each["Action"]]
    assert writes["Condition"] == {"ForAllValues:StringEquals": {"dynamodb:LeadingKeys": "deploy-lock"}}


@pytest.mark.parametrize("made", people.FILES.values(), ids=[*people.FILES])
def test_a_policy_fits_into_a_managed_policy(made: Any) -> None:
    """Given a policy → it is no longer than AWS takes, and no action is there twice for one resource."""
    policy = made()
    assert len(json.dumps(policy, separators=(",", ":"))) <= MANAGED_POLICY_CHARACTERS
    for statement in policy["Statement"]:
        assert len(statement["Action"]) == len(set(statement["Action"]))


def test_who_operates_changes_nothing() -> None:
    """Given the operator's policy → beside messages in queues nothing can be made, changed or taken away."""
    reads = ("Describe", "Get", "List", "Filter", "Receive")
    changes = {action for action in allowed(people.operator()) if not action.split(":")[1].startswith(reads)}
    assert changes == {"sqs:SendMessage", "sqs:DeleteMessage", "sqs:ChangeMessageVisibility"}


# ---------------------------------------------------------------------------------------------------------------------
# In an embedded AWS that enforces them


@dataclass(frozen=True)
class Person:
    """A user of IAM with one policy, and where what it asks for is written down."""

    id: str
    secret: str
    cloud: Cloud
    log: Path

    def environment(self) -> dict[str, str]:
        """The environment of the person's shell."""
        return {**environment(self.cloud), "AWS_ACCESS_KEY_ID": self.id, "AWS_SECRET_ACCESS_KEY": self.secret}

    def clients(self) -> Clients:
        """boto3 clients with the person's keys."""
        found = self.environment()
        session = boto3.Session(self.id, self.secret, region_name=found["AWS_REGION"])
        return Clients(session, found["AWS_ENDPOINT_URL"])

    def asked(self, *, granted: bool) -> set[str]:
        """The actions that were asked for and granted, or refused. What everybody may do is left out."""
        lines = [json.loads(line) for line in self.log.read_text().splitlines()]
        mine = {each["action"] for each in lines if each["key"] == self.id and each["allowed"] is granted}
        return mine - {"sts:GetCallerIdentity"}


@dataclass(frozen=True)
class World:
    """An embedded AWS, a stage that the deployer made, and both people."""

    cloud: Cloud
    inbox: Inbox
    deployer: Person
    operator: Person
    destroyer: Person
    root: Path
    deployed: Deployed


def person(cloud: Cloud, name: str, policy: Mapping[str, Any], log: Path) -> Person:
    """Make a user with that policy alone."""
    iam = clients(cloud)("iam")
    iam.create_user(UserName=name)
    iam.put_user_policy(UserName=name, PolicyName=name, PolicyDocument=json.dumps(policy))
    key = iam.create_access_key(UserName=name)["AccessKey"]
    return Person(key["AccessKeyId"], key["SecretAccessKey"], cloud, log)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """The stage `dev`, deployed by somebody who has the deployer's policy alone."""
    log = tmp_path_factory.mktemp("log") / "rights.jsonl"
    root = copied(tmp_path_factory.mktemp("project"))
    with (
        Cloud(tmp_path_factory.mktemp("cloud"), auth=True, environment={"IAM_LOG": str(log)}) as cloud,
        Inbox(emulator=cloud.url, emulator_key=cloud.key.id, limits=UNLIMITED) as inbox,
    ):
        put_parameters(clients(cloud)("ssm"), STAGE, wanted_parameters({}, {}, inbox=inbox.url), there={})
        deployer = person(cloud, "deployer", people.deployer(), log)
        operator = person(cloud, "operator", people.operator(), log)
        destroyer = person(cloud, "destroyer", people.destroyer(), log)
        job = Deploy(STAGE, deployer.clients(), deployer.environment(), root, say=lambda text: None)
        yield World(cloud, inbox, deployer, operator, destroyer, root, job.run())


def test_who_deploys_needs_no_other_right_and_has_none(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given the deployer's policy alone, when a stage is deployed first, with alarms, and again with tags → all of it is used.

    What is allowed beyond that is listed above with a reason.
    """
    aws = world.deployer.clients()
    watched(aws, STAGE, "ops@example.com")
    put_parameters(aws("ssm"), STAGE, {"RUNBOOK_BASE_URL": "https://example.com"}, there=parameters(aws("ssm"), STAGE))
    by_hand = clients(world.cloud)
    function = aws("lambda").get_function(FunctionName="tocsin-dev")["Configuration"]["FunctionArn"]
    by_hand("lambda").tag_resource(Resource=function, Tags={"owner": "ana"})
    monkeypatch.setenv("TOCSIN_TAGS", "team=ops, cost-center=42")
    given = {**world.deployer.environment(), "TOCSIN_TAGS": "team=ops, cost-center=42"}
    again = Deploy(STAGE, aws, given, world.root, say=lambda text: None).run()
    assert again.url == world.deployed.url
    assert not [note for note in again.notes if "tags of" in note]
    assert not [each.what for each in planned(Deploy(STAGE, aws, given, world.root)).changes if each.mark == UNKNOWN]

    assert world.deployer.asked(granted=False) == set()
    used = world.deployer.asked(granted=True)
    assert used <= allowed(people.deployer())
    assert allowed(people.deployer()) - used - DEPLOYER_BESIDE.keys() == set()

    wanted = {"app": "tocsin", "stage": "dev", "team": "ops", "cost-center": "42"}
    tags = by_hand("lambda").list_tags(Resource=function)["Tags"]
    assert tags.items() >= {**wanted, "owner": "ana"}.items()
    for name, there in tagged(by_hand, world.deployed.api_id, function).items():
        assert there.items() >= wanted.items(), name


def tagged(aws: Clients, api_id: str, function: str) -> dict[str, dict[str, str]]:
    """The tags of one thing of each kind that a stage owns."""
    account = function.split(":")[4]

    def listed(tags: list[dict[str, str]]) -> dict[str, str]:
        return {each["Key"]: each["Value"] for each in tags}

    alarm = aws("cloudwatch").describe_alarms(AlarmNamePrefix="tocsin-dev-")["MetricAlarms"][0]["AlarmArn"]
    rule = aws("events").list_rules(NamePrefix="tocsin-dev-tick")["Rules"][0]["Arn"]
    table = aws("dynamodb").describe_table(TableName="tocsin-dev")["Table"]["TableArn"]
    queue = aws("sqs").get_queue_url(QueueName="tocsin-dev-counts-dead")["QueueUrl"]
    topic = f"arn:aws:sns:us-east-1:{account}:tocsin-dev-feedback"
    group = f"arn:aws:logs:us-east-1:{account}:log-group:/aws/lambda/tocsin-dev-tick"
    own = f"arn:aws:ses:us-east-1:{account}:configuration-set/tocsin-dev"
    return {
        "alarm": listed(aws("cloudwatch").list_tags_for_resource(ResourceARN=alarm)["Tags"]),
        "rule": listed(aws("events").list_tags_for_resource(ResourceARN=rule)["Tags"]),
        "table": listed(aws("dynamodb").list_tags_of_resource(ResourceArn=table)["Tags"]),
        "queue": aws("sqs").list_queue_tags(QueueUrl=queue)["Tags"],
        "topic": listed(aws("sns").list_tags_for_resource(ResourceArn=topic)["Tags"]),
        "log group": aws("logs").list_tags_for_resource(resourceArn=group)["tags"],
        "configuration set": listed(aws("sesv2").list_tags_for_resource(ResourceArn=own)["Tags"]),
        "HTTP API": aws("apigatewayv2").get_tags(ResourceArn=f"arn:aws:apigateway:us-east-1::/apis/{api_id}")["Tags"],
    }


def test_who_operates_needs_no_other_right_and_has_none(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Given the operator's policy alone, when a stage is looked at, tested and dead letters are played back → all of it is used."""
    stage = stage_of(STAGE, world.operator.environment())
    everything = argparse.Namespace(only=None, quiet=False, json=False)
    doctor.examine(stage, everything)
    assert "could not be checked" not in capsys.readouterr().out
    assert send(stage, "#incidents") == 0
    letter = stage.queue_url("tocsin-dev-notifications-dead")
    clients(world.cloud)("sqs").send_message(QueueUrl=letter, MessageBody="{}")
    for chosen in ({"all": False}, {"all": True}):
        redrive.redrive(stage, argparse.Namespace(queue="notifications", id=None, reason=None, **chosen))
    for name, value in world.operator.environment().items():
        monkeypatch.setenv(name, value)
    found = remote.remote(argparse.Namespace(url=None, stage=STAGE), world.operator.environment())
    assert world.deployed.api_id in found.url

    assert world.operator.asked(granted=False) == set()
    used = world.operator.asked(granted=True)
    assert used <= allowed(people.operator())
    assert allowed(people.operator()) - used - OPERATOR_BESIDE.keys() == set()


def send(stage: Stage, target: str) -> int:
    """Send a marked test and wait for it."""
    wanted = argparse.Namespace(target=target, severity="info", resolve=False, wait=60)
    return send_test.send_test(stage, wanted, pause=threading.Event().wait)


def test_who_operates_may_not_deploy(world: World) -> None:
    """Given the operator's policy alone, when a function is changed → AWS refuses."""
    aws = world.operator.clients()("lambda")
    with pytest.raises(aws.exceptions.ClientError, match="AccessDenied"):
        aws.update_function_configuration(FunctionName="tocsin-dev", MemorySize=128)


def test_who_deploys_may_not_write_alerts(world: World) -> None:
    """Given the deployer's policy alone, when an item that is not the lock is written → AWS refuses."""
    aws = world.deployer.clients()("dynamodb")
    with pytest.raises(aws.exceptions.ClientError, match="AccessDenied"):
        aws.put_item(TableName="tocsin-dev", Item={"pk": {"S": "context"}, "sk": {"S": "context"}})


def test_who_destroys_needs_no_other_right_and_has_none(world: World) -> None:
    """Given the destroyer's policy alone, when the stage is destroyed with its table → all of it is used. It is the last test."""
    aws = world.destroyer.clients()
    Destroy(STAGE, aws, world.root, say=lambda text: None).run(everything=True)
    assert clients(world.cloud)("dynamodb").list_tables()["TableNames"] == []
    assert world.destroyer.asked(granted=False) == set()
    used = world.destroyer.asked(granted=True)
    assert used <= allowed(people.destroyer())
    assert allowed(people.destroyer()) - used - DESTROYER_BESIDE.keys() == set()


def test_who_destroys_makes_nothing_but_the_lock() -> None:
    """Given the destroyer's policy → beside reads and the lock it only deletes, and takes away what keeps from deleting."""
    reads = ("Describe", "Get", "List", "GET")
    changes = {each for each in allowed(people.destroyer()) if not each.split(":")[1].startswith(reads)}
    deletes = {each for each in changes if each.split(":")[1].startswith(("Delete", "DELETE"))}
    assert changes - deletes == {"dynamodb:PutItem", "events:RemoveTargets", "sns:Unsubscribe"}
