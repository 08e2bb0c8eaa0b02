"""A stage of the version before is upgraded and rolled back with incidents open: one address, nothing twice, all listed."""

import dataclasses
import json
import urllib.request
from pathlib import Path

import pytest

from chalicelib.aws.dynamodb import DynamoStore
from chalicelib.core.incident import Incident
from chalicelib.ingest.heartbeats import token_of
from chalicelib.messages import codec
from deploy.chalice_record import rest_apis
from deploy.clients import Clients
from deploy.deployment import Deploy, Deployed
from deploy.http_api import BURST, RATE, http_apis
from deploy.names import API_STAGE
from deploy.policies import FUNCTIONS
from local.cloud import Cloud
from tests.deploy import old_stage
from tests.project import ROOT, clients, environment

STAGE = "dev"
STORED = json.loads((ROOT / "tests" / "stored" / "fourth_release.json").read_text())


def deploy(cloud: Cloud, project: Path, said: list[str]) -> Deployed:
    """Deploy the stage from a machine that has never deployed."""
    (project / ".chalice" / "deployed" / f"{STAGE}.json").unlink(missing_ok=True)
    return Deploy(STAGE, clients(cloud), environment(cloud), project, say=said.append).run()


def assert_heartbeats_are_received(aws: Clients, url: str) -> None:
    """Call the address of the shipped heartbeat by each method; the deploy has made its secret."""
    secret = aws("ssm").get_parameter(Name=f"/tocsin/{STAGE}/HEARTBEAT_SECRET", WithDecryption=True)["Parameter"]
    assert secret["Type"] == "SecureString"
    for method in ("GET", "HEAD", "POST"):
        address = f"{url}heartbeats/example/{token_of(secret['Value'], 'example')}/0"
        with urllib.request.urlopen(urllib.request.Request(address, method=method), timeout=30) as answer:
            assert answer.status == 200


def assert_limited(aws: Clients, api: str) -> None:
    """Look at the limit that the deploy gave the REST API."""
    settings = aws("apigateway").get_stage(restApiId=api, stageName=API_STAGE)["methodSettings"]["*/*"]
    assert (settings["throttlingRateLimit"], settings["throttlingBurstLimit"]) == (RATE, BURST)


def open_incidents(aws: Clients) -> list[str]:
    """Store the open incidents of the version before; their ids."""
    store = DynamoStore(aws("dynamodb"), f"tocsin-{STAGE}")
    for data in STORED["incidents"]:
        store.save(dataclasses.replace(codec.decode(Incident, data), version=1))
    return sorted(each.id for each in store.incidents())


@pytest.mark.acceptance
def test_an_upgrade_keeps_the_address_and_a_rollback_too(cloud: Cloud, project: Path) -> None:
    """Given a stage of the version before, when it is upgraded, then the version before is deployed again → one address."""
    aws = clients(cloud)
    api = old_stage.make(aws, STAGE)
    before = open_incidents(aws)
    uuids = mappings(aws)
    said: list[str] = []
    upgraded = deploy(cloud, project, said)
    assert upgraded.api_id == api
    assert_heartbeats_are_received(aws, upgraded.url)
    assert_limited(aws, api)
    assert (rest_apis(aws("apigateway"), STAGE), mappings(aws)) == ([api], uuids)
    assert {line.partition(":")[0] for line in said if line.startswith("mapping")} == {
        f"mapping of {name}" for name in old_stage.TAKES
    }
    found = DynamoStore(aws("dynamodb"), f"tocsin-{STAGE}")
    assert sorted(each.id for each in found.incidents()) == before
    roll_back(cloud, project)
    assert (rest_apis(aws("apigateway"), STAGE), mappings(aws)) == ([api], uuids)
    assert len(aws("lambda").list_functions()["Functions"]) == len(FUNCTIONS)
    assert http_apis(aws("apigatewayv2"), STAGE) == []
    assert sorted(each.id for each in found.incidents()) == before


def mappings(aws: Clients) -> dict[str, str]:
    """Each function with the id of its mapping."""
    found = aws("lambda").list_event_source_mappings()["EventSourceMappings"]
    return {each["FunctionArn"].rpartition(":")[2]: each["UUID"] for each in found}


def roll_back(cloud: Cloud, project: Path) -> None:
    """Do what the version before does with Chalice: give it the record that the Parameter Store keeps, and nothing else."""
    ssm = clients(cloud)("ssm")
    kept = json.loads(ssm.get_parameter(Name=f"/tocsin-deployed/{STAGE}")["Parameter"]["Value"])
    file = project / ".chalice" / "deployed" / f"{STAGE}.json"
    file.write_text(json.dumps(kept["chalice"]))
    job = Deploy(STAGE, clients(cloud), environment(cloud), project, say=lambda text: None)
    job.prepare()
    job._run_chalice("deploy", "--stage", STAGE, "--no-autogen-policy")
    (entry,) = (each for each in json.loads(file.read_text())["resources"] if each["resource_type"] == "rest_api")
    assert entry["rest_api_id"] == next(
        each["rest_api_id"] for each in kept["chalice"]["resources"] if each["resource_type"] == "rest_api"
    )


@pytest.mark.acceptance
def test_a_stage_with_an_http_api_keeps_it_after_a_version_without(cloud: Cloud, project: Path) -> None:
    """Given an HTTP API, when the version before is deployed and then this one → its address, and a note about the REST API.

    The version before knows REST APIs only and makes one.
    """
    aws = clients(cloud)
    url = deploy(cloud, project, []).url
    job = Deploy(STAGE, aws, environment(cloud), project, say=lambda text: None)
    job.prepare()
    job._run_chalice("deploy", "--stage", STAGE, "--no-autogen-policy")
    (made,) = rest_apis(aws("apigateway"), STAGE)
    aws("ssm").put_parameter(
        Name=f"/tocsin-deployed/{STAGE}",
        Value=json.dumps({"chalice": {"resources": [{"resource_type": "rest_api", "rest_api_id": made}]}}),
        Overwrite=True,
    )
    found = deploy(cloud, project, [])
    assert found.url == url
    assert [note for note in found.notes if f"REST API {made} calls this stage as well" in note]


@pytest.mark.acceptance
def test_an_api_that_a_broken_deploy_of_an_earlier_version_left_is_told(cloud: Cloud, project: Path) -> None:
    """Given two REST APIs of a stage, when it is deployed → the one that senders use is kept, the other is told."""
    aws = clients(cloud)
    spare = old_stage.make_api(aws, f"tocsin-{STAGE}")
    used = old_stage.make(aws, STAGE)
    found = deploy(cloud, project, [])
    assert found.api_id == used
    (note,) = (each for each in found.notes if spare in each)
    assert "delete it when no sender posts there" in note


@pytest.mark.acceptance
def test_a_function_of_a_newer_version_is_taken_away_by_a_rollback(cloud: Cloud, project: Path) -> None:
    """Given a stage with a function that this version does not have, when it is deployed → the function is gone."""
    aws = clients(cloud)
    old_stage.make(aws, STAGE)
    old_stage.make_function(aws, "summary", STAGE)
    deploy(cloud, project, [])
    assert "tocsin-dev-summary" not in {each["FunctionName"] for each in aws("lambda").list_functions()["Functions"]}


@pytest.mark.acceptance
def test_tags_that_somebody_put_on_functions_stay(cloud: Cloud, project: Path) -> None:
    """Given a function with a tag of the company, when the stage is deployed → Chalice takes it away no more."""
    aws = clients(cloud)
    old_stage.make(aws, STAGE)
    function = old_stage.arn("lambda", "function:tocsin-dev-tick")
    aws("lambda").tag_resource(Resource=function, Tags={"cost-center": "42"})
    deploy(cloud, project, [])
    found = aws("lambda").list_tags(Resource=function)["Tags"]
    assert (found["cost-center"], found["stage"]) == ("42", "dev")
