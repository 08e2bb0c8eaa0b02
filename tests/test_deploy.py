"""`chalice deploy` into the embedded AWS with IAM enforced: what runs there is the real thing, with only its own rights."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest

from local.cloud import Cloud
from local.deploy import Deploy, Deployed, DeployError, request
from local.inbox import Inbox
from local.policies import FUNCTIONS, lambda_name
from local.provision import Clients, mappings, parameters, put_parameters
from local.run import parameters as run_parameters
from local.sample import INCIDENT, webhooks
from tests.project import ROOT, clients, copied, environment

WAIT_SECONDS = 30.0


@dataclass
class Stage:
    """The deployed stage and everything around it."""

    cloud: Cloud
    inbox: Inbox
    clients: Clients
    job: Deploy
    deployed: Deployed
    values: dict[str, str]


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """The stage `local`, deployed once for this file, with the inbox as the vendors."""
    project = copied(tmp_path_factory.mktemp("project"))
    with Cloud(tmp_path_factory.mktemp("cloud"), auth=True) as cloud, Inbox(emulator=cloud.url) as inbox:
        made = clients(cloud)
        values = run_parameters({}, {}, inbox=inbox.url)
        put_parameters(made("ssm"), "local", values, there={})
        job = Deploy("local", made, environment(cloud), project, say=lambda text: None)
        yield Stage(cloud, inbox, made, job, job.run(), values)


def eventually(true: Callable[[], object], otherwise: Callable[[], str]) -> None:
    """Wait until it is true; fails with what `otherwise` says."""
    until = time.monotonic() + WAIT_SECONDS
    while not true():
        if time.monotonic() > until:
            pytest.fail(otherwise())
        threading.Event().wait(0.1)


def said(stage: Stage) -> str:
    """All that functions logged."""
    logs = stage.clients("logs")
    groups = [each["logGroupName"] for each in logs.describe_log_groups()["logGroups"]]
    events = [each for group in groups for each in logs.filter_log_events(logGroupName=group)["events"]]
    return "\n".join(each["message"] for each in events)


def test_one_webhook_becomes_a_slack_message_and_a_page(stage: Stage) -> None:
    """A signed webhook at the API Gateway address ends as a request to Slack and one to PagerDuty, by own rights only."""
    (webhook,) = webhooks(INCIDENT[1], secrets=stage.values, now=datetime.now(UTC))
    status, _ = request(f"{stage.deployed.url}webhooks/{webhook.source}", webhook.body, webhook.headers)
    assert status == 202

    def told():
        return stage.inbox.messages and stage.inbox.incidents

    eventually(told, lambda: f"the message and the page did not come; {said(stage)[-3000:]}")
    assert "Sign-ups fail" in json.dumps(stage.inbox.messages[0])
    assert "Sign-ups fail" in stage.inbox.incidents[0]["title"]
    assert "AccessDenied" not in said(stage)


def test_an_unsigned_webhook_is_refused(stage: Stage) -> None:
    """The address is public; without a signature it answers 401."""
    assert request(f"{stage.deployed.url}webhooks/sentry", b"{}")[0] == 401


@pytest.mark.parametrize("function", ["tick", "watch"])
def test_what_runs_by_schedule_has_its_rights(stage: Stage, function: str) -> None:
    """A scheduled function runs without an error under its own policy."""
    event = dict.fromkeys(("id", "account", "time", "region", "source", "detail-type"), "")
    payload = json.dumps({**event, "version": "0", "resources": [], "detail": {}})
    answer = stage.clients("lambda").invoke(FunctionName=lambda_name(function, "local"), Payload=payload)
    assert "FunctionError" not in answer, answer["Payload"].read()


def test_each_function_has_its_own_role_and_limits(stage: Stage) -> None:
    """Memory, time limit and role of each function are those of the configuration."""
    found = {each["FunctionName"]: each for each in stage.clients("lambda").list_functions()["Functions"]}
    assert set(found) == {lambda_name(name, "local") for name in FUNCTIONS}
    for name, needs in FUNCTIONS.items():
        function = found[lambda_name(name, "local")]
        assert (function["MemorySize"], function["Timeout"]) == (needs["memory"], needs["timeout"])
        assert function["Role"].endswith(f":role/tocsin-local-{name}")


def test_workers_report_partial_failures(stage: Stage) -> None:
    """Both mappings have ReportBatchItemFailures on after a deploy, so there is nothing left to change."""
    assert mappings(stage.clients("lambda"), "local") == []


def test_deploying_again_keeps_the_address(stage: Stage) -> None:
    """A second deploy updates what is there; one without changes does not even ask Chalice."""
    began = time.monotonic()
    assert stage.job.run(skip_unchanged=True).url == stage.deployed.url
    skipped = time.monotonic() - began
    (stage.job.root / ".chalice" / "deployed" / "local.json").unlink()
    began = time.monotonic()
    assert stage.job.run().url == stage.deployed.url
    assert skipped < time.monotonic() - began


def test_a_mistake_in_the_rules_stops_the_deploy(stage: Stage) -> None:
    """Nothing is changed on AWS when the rules are wrong; file, line and the right word are told."""
    rules = stage.job.root / "alert-rules.yaml"
    text = rules.read_text()
    rules.write_text(text.replace("severity:", "severty:", 1))
    try:
        with pytest.raises(DeployError, match=r"alert-rules.yaml:\d+:\d+: .*severity"):
            stage.job.run()
    finally:
        rules.write_text(text)


def test_the_command_deploys_another_stage(stage: Stage, tmp_path: object) -> None:
    """`tocsin deploy --stage dev` writes the parameters of a file, deploys, and says where it answers."""
    file = stage.job.root / "dev.env"
    file.write_text("SENTRY_CLIENT_SECRET=one,two\n# a comment\nSES_FROM='Tocsin <t@example.com>'\n")
    command = [sys.executable, "-m", "cli.main", "deploy", "--stage", "dev", "--project-dir", str(stage.job.root)]
    done = subprocess.run(
        [*command, "--parameters", str(file)], cwd=ROOT, env=environment(stage.cloud), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "stage dev answers at http://127.0.0.1" in done.stdout
    assert "/tocsin/dev/SLACK_BOT_TOKEN is not set" in done.stdout
    assert "one" not in done.stdout
    assert parameters(stage.clients("ssm"), "dev")["SES_FROM"] == "Tocsin <t@example.com>"


def test_a_right_taken_away_is_missed(stage: Stage) -> None:
    """IAM is really enforced here: without its policy the receiving function answers 503, and says no more than that."""
    role = "tocsin-local-api_handler"
    iam = stage.clients("iam")
    policy = iam.get_role_policy(RoleName=role, PolicyName=role)["PolicyDocument"]
    iam.delete_role_policy(RoleName=role, PolicyName=role)
    try:
        (webhook,) = webhooks(INCIDENT[2], secrets=stage.values, now=datetime.now(UTC))
        status, body = request(f"{stage.deployed.url}webhooks/cloudflare", webhook.body, webhook.headers)
    finally:
        iam.put_role_policy(RoleName=role, PolicyName=role, PolicyDocument=json.dumps(policy))
    assert (status, "AccessDenied" in body) == (503, False)


def test_python_must_be_new_enough_for_aws(stage: Stage) -> None:
    """A deploy to AWS by an old Python is refused before anything is asked of AWS."""
    job = Deploy("prod", stage.clients, {"PATH": os.environ["PATH"]}, stage.job.root, python=(3, 11))
    with pytest.raises(DeployError, match=r"AWS gets 3\.12 or 3\.13, not 3\.11"):
        job.check()
