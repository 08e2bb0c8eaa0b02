"""`chalice deploy` into the embedded AWS with IAM enforced: what runs there is the real thing, with only its own rights."""

import argparse
import json
import os
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.exceptions import ClientError

from chalicelib.aws.dynamodb import DynamoStore
from chalicelib.settings import Settings
from cli import checkup, send_test
from cli.finding import WRONG
from cli.heartbeat import list_heartbeats
from cli.remote import Remote, RemoteError
from cli.stage import Stage as CliStage
from deploy.concurrency import account_concurrency
from deploy.deployment import Deploy
from deploy.errors import DeployError
from deploy.functions import mappings
from deploy.logs import kept_days, log_groups
from deploy.names import api_name, lambda_name
from deploy.parameters import parameters
from deploy.policies import FUNCTIONS
from deploy.smoke import request
from local.sample import INCIDENT, webhooks
from tests.deployed import Stage, deployed_stage
from tests.project import ROOT, environment

pytestmark = pytest.mark.acceptance


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """The stage `local`, deployed once for this file."""
    with deployed_stage(tmp_path_factory.mktemp("project"), tmp_path_factory.mktemp("cloud")) as found:
        yield found


def invoke(stage: Stage, function: str) -> None:
    """Run a scheduled function now; it must not fail."""
    event = dict.fromkeys(("id", "account", "time", "region", "source", "detail-type"), "")
    payload = json.dumps({**event, "version": "0", "resources": [], "detail": {}})
    answer = stage.clients("lambda").invoke(FunctionName=lambda_name(function, "local"), Payload=payload)
    assert "FunctionError" not in answer, answer["Payload"].read()


def test_one_webhook_becomes_a_slack_message_and_a_page(stage: Stage) -> None:
    """A signed webhook at the API Gateway address ends as a request to Slack and one to PagerDuty, by own rights only."""
    (webhook,) = webhooks(INCIDENT[1], secrets=stage.values, now=datetime.now(UTC))
    assert stage.post(webhook.source, webhook.body, webhook.headers) == 202
    stage.eventually(lambda: stage.inbox.messages and stage.inbox.incidents, "the message and the page did not come")
    assert "Sign-ups fail" in json.dumps(stage.inbox.messages[0])
    assert "Sign-ups fail" in stage.inbox.incidents[0]["title"]
    assert "AccessDenied" not in stage.said()


def test_a_person_sees_and_acts_by_own_rights(stage: Stage) -> None:
    """The API at the API Gateway address lists the incident, takes an acknowledgement and shows it in the timeline."""
    api = Remote(stage.deployed.url, stage.values["API_TOKEN"])
    stage.eventually(lambda: api.get("incidents")["incidents"], "no incident is open")
    id = api.get("incidents")["incidents"][0]["id"]
    api.do("POST", f"incidents/{id}/ack", {"by": "ana", "note": "mine"})

    def acts() -> list[str]:
        timeline = api.get(f"incidents/{id}")["incident"]["timeline"]
        return [f"{each['by']}: {each['text']}" for each in timeline if each["by"]]

    stage.eventually(lambda: "ana: acknowledged: mine" in acts(), "the acknowledgement did not come")
    made = api.do("POST", "silences", {"by": "ana", "incident": id, "for": "1h"})
    stage.eventually(lambda: api.get("silences")["silences"], "the silence did not come")
    api.do("DELETE", f"silences/{made['id']}", {"by": "ana"})
    with pytest.raises(RemoteError, match="wrong"):
        Remote(stage.deployed.url, "another-token-of-length").get("incidents")


def test_what_happened_is_recorded_by_own_rights(stage: Stage) -> None:
    """The scheduled function moves what waits in its queue into the table, and the API gives it back."""
    invoke(stage, "record")
    api = Remote(stage.deployed.url, stage.values["API_TOKEN"])
    lines = api.get("history", [("day", f"{datetime.now(UTC):%Y-%m-%d}")])["lines"]
    assert "sentry" in {line["event"]["source"] for line in lines if "event" in line}
    assert any("ack" in line for line in lines)
    assert "AccessDenied" not in stage.said()


def test_a_listed_heartbeat_is_received(stage: Stage, capsys: pytest.CaptureFixture[str]) -> None:
    """Given the address that `tocsin heartbeat list` prints → GET, HEAD and POST are answered OK, and the worker has the beat."""
    found = environment(stage.cloud) | {"TOCSIN_STAGE": "local"}
    listed = CliStage(Settings.from_env(found), found, stage.clients)
    assert list_heartbeats(listed, as_json=True, url=stage.deployed.url) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert row["address"].startswith(f"{stage.deployed.url}heartbeats/example/")
    for method, body in (("GET", None), ("HEAD", None), ("POST", b"42 files")):
        asked = urllib.request.Request(row["address"], data=body, method=method)
        with urllib.request.urlopen(asked, timeout=30) as answer:
            assert (answer.status, answer.read()) == (200, b"" if method == "HEAD" else b"OK")
    assert request(f"{row['address'][:-1]}x", b"", {})[0] == 404
    store = DynamoStore(stage.clients("dynamodb"), "tocsin-local")

    def outputs() -> list[str]:
        alerts = [alert for each in store.incidents(quiet=True) for alert in each.alerts.values()]
        return [alert.observed.get("output", "") for alert in alerts if alert.name == "example"]

    stage.eventually(lambda: outputs() == ["42 files"], "the beat did not come")


def test_alertmanagers_api_is_answered(stage: Stage) -> None:
    """Given an alert in the form of Alertmanager's API v2 → exactly 200 with an empty body; without the secret 401."""
    body = json.dumps([{"labels": {"alertname": "Disk", "severity": "info"}}]).encode()
    bearer = {"Authorization": f"Bearer {stage.values['ALERTMANAGER_SECRET']}", "Content-Type": "application/json"}
    assert request(f"{stage.deployed.url}api/v2/alerts", body, bearer) == (200, "")
    assert request(f"{stage.deployed.url}api/v2/alerts", body, {"Content-Type": "application/json"})[0] == 401


def test_an_unsigned_webhook_is_refused(stage: Stage) -> None:
    """The address is public; without a signature it answers 401."""
    assert stage.post("sentry", b"{}", {}) == 401


@pytest.mark.parametrize("function", ["tick", "watch", "repair"])
def test_what_runs_by_schedule_has_its_rights(stage: Stage, function: str) -> None:
    """A scheduled function runs without an error under its own policy."""
    invoke(stage, function)


def test_a_bounce_marks_the_address(stage: Stage) -> None:
    """What SES publishes to the topic reaches its function, which may write it down."""
    recipient = {"emailAddress": "ops@example.com", "status": "5.1.1"}
    bounce = {
        "bounceType": "Permanent",
        "bounceSubType": "NoEmail",
        "bouncedRecipients": [recipient],
        "feedbackId": "f",
    }
    told = {"eventType": "Bounce", "bounce": bounce, "mail": {"messageId": "m"}}
    arn = stage.clients("sns").create_topic(Name="tocsin-local-feedback")["TopicArn"]
    # The embedded AWS leaves out what AWS always sends, and Chalice reads: subject and attributes.
    attributes = {"kind": {"DataType": "String", "StringValue": "bounce"}}
    stage.clients("sns").publish(
        TopicArn=arn, Subject="Amazon SES Email Event", Message=json.dumps(told), MessageAttributes=attributes
    )
    store = DynamoStore(stage.clients("dynamodb"), "tocsin-local")
    stage.eventually(lambda: store.target_state("email:ops@example.com").health.refusal, "the address was not marked")
    assert "AccessDenied" not in stage.said()


def test_a_bounce_that_cannot_be_queued_is_dead_lettered(stage: Stage) -> None:
    """Lambda hands on what `mail_feedback` fails at, and the topic what it cannot deliver."""
    config = stage.clients("lambda").get_function_event_invoke_config(
        FunctionName=lambda_name("mail_feedback", "local")
    )
    dead = config["DestinationConfig"]["OnFailure"]["Destination"]
    assert dead.rpartition(":")[2] == "tocsin-local-notifications-dead"
    sns = stage.clients("sns")
    topic = sns.create_topic(Name="tocsin-local-feedback")["TopicArn"]
    (found,) = sns.list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"]
    attributes = sns.get_subscription_attributes(SubscriptionArn=found["SubscriptionArn"])["Attributes"]
    assert json.loads(attributes["RedrivePolicy"]) == {"deadLetterTargetArn": dead}


def test_a_marked_test_arrives_and_the_doctor_finds_nothing_wrong(
    stage: Stage, capsys: pytest.CaptureFixture[str]
) -> None:
    """`tocsin send-test` goes through the deployed worker; `tocsin doctor` finds what a deploy made as it should be."""
    found = {**environment(stage.cloud), "TOCSIN_STAGE": "local"}
    there = CliStage(Settings.from_env(found), found, stage.clients)
    wanted = argparse.Namespace(target="#incidents", severity="info", resolve=False, wait=60)
    assert send_test.send_test(there, wanted, pause=threading.Event().wait) == 0
    assert "This is a test of Tocsin" in json.dumps(stage.inbox.messages[-1])
    checks = {
        name: checkup.CHECKS[name]
        for name in ("table", "queues", "functions", "schedules", "alarms", "logs", "secrets")
    }
    wrong = [each.what for _, each in checkup.findings(there, checks) if each.state == WRONG]
    assert wrong == []
    assert capsys.readouterr().out.startswith("slack_channel:#incidents: delivered")


def test_each_function_has_its_own_role_and_limits(stage: Stage) -> None:
    """Memory, time limit and role of each function are those of the configuration."""
    found = {each["FunctionName"]: each for each in stage.clients("lambda").list_functions()["Functions"]}
    assert set(found) == {lambda_name(name, "local") for name in FUNCTIONS}
    for name, needs in FUNCTIONS.items():
        function = found[lambda_name(name, "local")]
        assert (function["MemorySize"], function["Timeout"]) == (needs["memory"], needs["timeout"])
        assert function["Role"].endswith(f":role/tocsin-local-{name}")


def test_processes_of_functions_share_their_files(stage: Stage) -> None:
    """The one package is unpacked once, however many functions run it."""
    temporary = stage.cloud.folder / "temporary"
    links = [link.resolve() for link in temporary.glob("ministack-lambda-*/code")]
    assert len(links) > 2
    assert set(links) == set(temporary.glob("code-*"))
    assert len(set(links)) == 1


def test_workers_report_partial_failures(stage: Stage) -> None:
    """All mappings have ReportBatchItemFailures and their maximum after a deploy, so there is nothing left to change."""
    functions = stage.clients("lambda")
    assert mappings(functions, "local", account_concurrency(functions)) == []


def test_messages_go_through_a_worker_as_often_as_they_must(stage: Stage) -> None:
    """Lambda's loop detection would end the retries of a delivery at the 16th: it is off for what takes from a queue."""
    for name in ("process_webhooks", "process_counts", "deliver_notification"):
        found = stage.clients("lambda").get_function_recursion_config(FunctionName=lambda_name(name, "local"))
        assert found["RecursiveLoop"] == "Allow"


@pytest.mark.parametrize(("function", "drops"), [("deliver_notification", False), ("tick", True)])
def test_the_fortieth_retry_is_delivered_though_its_chain_is_known(stage: Stage, function: str, drops: bool) -> None:
    """Given a request whose header says that it went through 40 functions → a worker runs, what was not set up is dropped.

    The embedded AWS has a header of its own in place of X-Amzn-Trace-Id, and the same limit of 16.
    """
    client = stage.clients("lambda")
    event = "before-call.lambda.Invoke"

    def add_header(params: dict[str, Any], **rest: object) -> None:
        params["headers"]["X-Ministack-Invoke-Depth"] = "40"

    client.meta.events.register(event, add_header)
    try:
        answer = client.invoke(FunctionName=lambda_name(function, "local"), Payload=b'{"Records": []}')
        dropped = False
        assert answer["StatusCode"] == 200
    except ClientError as error:
        dropped = error.response["Error"]["Code"] == "RecursiveInvocationException"
    finally:
        client.meta.events.unregister(event, add_header)
    assert dropped == drops


def test_what_functions_log_expires(stage: Stage) -> None:
    """The group of the REST API expires like the others, and the empty one that Chalice makes for it is gone."""
    there = kept_days(stage.clients("logs"), "local")
    assert there == dict.fromkeys(log_groups("local"), 1)
    assert "/aws/lambda/tocsin-local" in there


def test_late_calls_are_given_up(stage: Stage) -> None:
    """Lambda gives up a call of the tick that has no room for a minute, and does not repeat one that failed."""
    config = stage.clients("lambda").get_function_event_invoke_config(FunctionName=lambda_name("tick", "local"))
    assert (config["MaximumEventAgeInSeconds"], config["MaximumRetryAttempts"]) == (60, 0)


def test_deploying_again_keeps_the_address(stage: Stage) -> None:
    """A second deploy updates what is there; one without changes does not even ask Chalice.

    The HTTP API is known by its tags: a name that somebody gives it stays.
    """
    gateway, api = stage.clients("apigatewayv2"), stage.deployed.api_id
    assert stage.deployed.url.endswith(f"/{api}/$default/")
    assert gateway.get_api(ApiId=api)["Name"] == api_name("local")
    gateway.update_api(ApiId=api, Name="alerts of the company")
    began = time.monotonic()
    assert stage.job.run(skip_unchanged=True).url == stage.deployed.url
    skipped = time.monotonic() - began
    (stage.job.root / ".chalice" / "deployed" / "local.json").unlink()
    began = time.monotonic()
    assert stage.job.run().url == stage.deployed.url
    assert skipped < time.monotonic() - began
    assert [each["Name"] for each in gateway.get_apis()["Items"]] == ["alerts of the company"]
    assert stage.clients("apigateway").get_rest_apis()["items"] == []


def test_whoever_knows_the_address_has_a_limit(stage: Stage) -> None:
    """The HTTP API takes no more than a fifth of the requests that AWS allows the account, for one function alone."""
    gateway, api = stage.clients("apigatewayv2"), stage.deployed.api_id
    (found,) = gateway.get_stages(ApiId=api)["Items"]
    limits = {"ThrottlingRateLimit": 2_000.0, "ThrottlingBurstLimit": 1_000}
    assert (found["StageName"], found["AutoDeploy"]) == ("$default", True)
    assert found["DefaultRouteSettings"].items() >= limits.items()
    (statement,) = [
        each
        for each in json.loads(stage.clients("lambda").get_policy(FunctionName="tocsin-local")["Policy"])["Statement"]
        if "apigateway" in json.dumps(each["Principal"])
    ]
    assert f":{api}/*" in json.dumps(statement["Condition"])


def test_unknown_paths_and_methods_are_refused_as_such(stage: Stage) -> None:
    """Given the address → 404 for a path that is none, 405 for another method, as docs/first-day.md says."""
    answers = {path: request(f"{stage.deployed.url}{path}")[0] for path in ("health", "nothing", "webhooks/sentry")}
    assert answers == {"health": 200, "nothing": 404, "webhooks/sentry": 405}


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
