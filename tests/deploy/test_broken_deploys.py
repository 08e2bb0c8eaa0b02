"""Deploys that end half-way, at any call: the next one ends well, with one HTTP API and nothing left over."""

import dataclasses
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest

from deploy.clients import Clients
from deploy.deployment import Deploy, Deployed
from deploy.errors import DeployError
from deploy.http_api import http_apis
from deploy.names import function_of
from deploy.policies import FUNCTIONS
from local.cloud import Cloud
from tests.deploy.flaky_aws import FlakyAws
from tests.project import ROOT, clients, environment

pytestmark = pytest.mark.acceptance

STAGE = "dev"
CHANGES = (
    "CreateTable",
    "UpdateTimeToLive",
    "UpdateContinuousBackups",
    "PutItem",
    "CreateQueue",
    "CreateTopic",
    "SetTopicAttributes",
    "SetQueueAttributes",
    "POST /v2/email/configuration-sets",
    "POST /v2/email/configuration-sets/*/event-destinations",
    "PutParameter",
    "PutRule",
    "Subscribe",
    "SetSubscriptionAttributes",
    "PutTargets",
    "CreateLogGroup",
    "PutRetentionPolicy",
    "CreateRole",
    "PutRolePolicy",
    "POST /2015-03-31/functions",
    "DELETE /2017-10-31/functions/*/concurrency",
    "POST /2015-03-31/event-source-mappings",
    "POST /2015-03-31/functions/*/policy",
    "POST /v2/apis",
    "POST /v2/apis/*/integrations",
    "POST /v2/apis/*/routes",
    "POST /v2/apis/*/stages",
    "PUT /2015-03-31/event-source-mappings/*",
    "PUT /2024-08-31/functions/*/recursion-config",
    "PUT /2019-09-25/functions/*/event-invoke-config",
)
"""What a deploy to the embedded AWS changes, in the order of the first call of each kind, but for the last ones."""
LAST = ("DeleteLogGroup", "TagResource")
"""After these nothing can break a deploy: a tag that is refused is a note."""


@dataclasses.dataclass
class Deployer:
    """Deploys of one project to one embedded AWS, each with nothing but the checkout and the account."""

    cloud: Cloud
    project: Path
    door: FlakyAws

    def deploy(self, *, file: str | None = None) -> Deployed:
        """Deploy as on a machine that has never deployed, or one where Chalice's file has this text."""
        left = self.project / ".chalice" / "deployed" / f"{STAGE}.json"
        left.unlink(missing_ok=True)
        if file is not None:
            left.parent.mkdir(exist_ok=True)
            left.write_text(file)
        arguments = self.cloud.client_arguments() | {"endpoint_url": None}
        aws = Clients(boto3.Session(**{name: each for name, each in arguments.items() if each}), self.door.url)
        job = Deploy(STAGE, aws, environment(self.cloud) | {"AWS_ENDPOINT_URL": self.door.url}, self.project)
        return dataclasses.replace(job, say=lambda text: None).run()

    def break_after(self, change: str) -> None:
        """Deploy, and break after the first such change of the account."""
        self.door.last = change
        with pytest.raises(DeployError):
            self.deploy()
        self.door.mend()

    def check(self, deployed: Deployed) -> None:
        """Assert that there is exactly what a deploy that never broke makes."""
        aws = self.account()
        assert [each["ApiId"] for each in aws("apigatewayv2").get_apis()["Items"]] == [deployed.api_id]
        for what in ("get_integrations", "get_routes", "get_stages"):
            assert len(getattr(aws("apigatewayv2"), what)(ApiId=deployed.api_id)["Items"]) == 1
        assert aws("apigateway").get_rest_apis()["items"] == []
        found = [each["FunctionName"] for each in aws("lambda").list_functions()["Functions"]]
        assert sorted(function_of(each, STAGE) for each in found) == sorted(FUNCTIONS)
        mappings = aws("lambda").list_event_source_mappings()["EventSourceMappings"]
        assert sorted(each["EventSourceArn"].rpartition("-")[2] for each in mappings) == [
            "counts",
            "notifications",
            "webhooks",
        ]
        assert all(each["ScalingConfig"] and each["FunctionResponseTypes"] for each in mappings)
        subscribed = {each["TopicArn"].rpartition("-")[2] for each in aws("sns").list_subscriptions()["Subscriptions"]}
        assert len(aws("sns").list_subscriptions()["Subscriptions"]) == 2 and subscribed == {"feedback", "events"}
        assert len(aws("events").list_targets_by_rule(Rule=f"tocsin-{STAGE}-events")["Targets"]) == 1
        assert len(aws("events").list_rules()["Rules"]) == 5
        assert not deployed.notes or not [note for note in deployed.notes if "REST API" in note]

    def account(self) -> Clients:
        """Clients of the embedded AWS that pass by the door."""
        return clients(self.cloud)


@pytest.fixture
def deployer(cloud: Cloud, project: Path) -> Iterator[Deployer]:
    """Deploys through a door that can be shut."""
    with FlakyAws(cloud.url).open() as door:
        yield Deployer(cloud, project, door)


def test_a_first_deploy_that_broke_is_finished_by_the_next(deployer: Deployer) -> None:
    """Given a first deploy that broke once the HTTP API was there, when it runs again → one API, and each mapping once."""
    deployer.break_after("POST /v2/apis")
    assert deployer.door.changes.count("POST /2015-03-31/event-source-mappings") == 3
    deployer.check(deployer.deploy())
    assert deployer.door.changes.count("POST /2015-03-31/event-source-mappings") == 3
    assert deployer.door.changes.count("POST /v2/apis") == 1
    made = len(deployer.door.changes)
    deployer.check(deployer.deploy())
    assert not [each for each in deployer.door.changes[made:] if "/apis" in each or each.endswith("/policy")]


@pytest.mark.parametrize("change", CHANGES)
def test_a_deploy_broken_at_any_call_is_finished_by_the_next(deployer: Deployer, change: str) -> None:
    """Given a deploy that broke after this call, when it runs again → all is as if it had not broken."""
    deployer.break_after(change)
    deployer.check(deployer.deploy())


def test_every_call_of_a_deploy_was_broken(deployer: Deployer) -> None:
    """The calls by which a deploy changes the account are those of the test above, and the last ones."""
    deployer.check(deployer.deploy())
    assert list(dict.fromkeys(deployer.door.changes)) == [*CHANGES, *LAST]


def test_the_file_of_another_account_is_not_used(deployer: Deployer) -> None:
    """Given Chalice's file from a deploy to another account and Region, when a stage is deployed → none of it is looked up."""
    place = "eu-west-1:999999999999:"
    left = [
        {"name": "rest_api", "resource_type": "rest_api", "rest_api_id": "other", "rest_api_url": "https://other"},
        {
            "name": "mail_feedback-sns-subscription",
            "resource_type": "sns_event",
            "topic": "tocsin-dev-feedback",
            "topic_arn": f"arn:aws:sns:{place}tocsin-dev-feedback",
            "subscription_arn": f"arn:aws:sns:{place}tocsin-dev-feedback:1",
            "lambda_arn": f"arn:aws:lambda:{place}function:tocsin-dev-mail_feedback",
        },
        {
            "name": "summary",
            "resource_type": "lambda_function",
            "lambda_arn": f"arn:aws:lambda:{place}function:summary",
        },
    ]
    file = json.dumps({"resources": left, "schema_version": "2.0", "backend": "api"})
    deployer.check(deployer.deploy(file=file))
    assert not [each for each in deployer.door.changes if each in ("Unsubscribe", "DELETE /2015-03-31/functions/*")]


def test_a_teardown_by_chalice_leaves_nothing_of_its_own(deployer: Deployer) -> None:
    """Given a stage, when `chalice delete` runs as docs/first-day.md says → nothing is left of what Chalice made.

    The HTTP API, and the topic and the rule of AWS's own events are not Chalice's: the page says how they are found and deleted.
    """
    api = deployer.deploy().api_id
    command = [sys.executable, "-m", "deploy.chalice_cli", "--project-dir", str(deployer.project)]
    made = {**environment(deployer.cloud), "PYTHONPATH": str(ROOT)}
    done = subprocess.run([*command, "delete", "--stage", STAGE], env=made, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    aws = deployer.account()
    assert aws("apigateway").get_rest_apis()["items"] == []
    assert http_apis(aws("apigatewayv2"), STAGE) == [api]
    assert aws("lambda").list_functions()["Functions"] == []
    assert aws("lambda").list_event_source_mappings()["EventSourceMappings"] == []
    left = [each["TopicArn"].rpartition(":")[2] for each in aws("sns").list_subscriptions()["Subscriptions"]]
    assert left == [f"tocsin-{STAGE}-events"]
    assert [each["Name"] for each in aws("events").list_rules()["Rules"]] == [f"tocsin-{STAGE}-events"]
    assert [each for each in aws("iam").list_roles()["Roles"] if each["RoleName"].startswith("tocsin-")] == []
