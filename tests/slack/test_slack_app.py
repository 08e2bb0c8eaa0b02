"""Slack's routes as API Gateway calls them: in a fresh process, against a server in the place of AWS and of Slack."""

import json
import os
import subprocess
import sys
from datetime import UTC, datetime

import pytest
from chalice.test import Client

import app
from chalicelib.messages.queue import read_message
from chalicelib.slack import wiring
from tests.loopback import served
from tests.slack.test_receive import SECRET, command, pressed, signed
from tests.test_app import COLD, HEAVY, ROOT

TOKEN = "xoxb-secret-token"


@pytest.fixture
def aws(monkeypatch):
    """A server that plays AWS and Slack, with secrets in its Parameter Store."""
    with served() as server:
        values = {
            "SLACK_SIGNING_SECRET": SECRET,
            "SLACK_BOT_TOKEN": TOKEN,
            "SLACK_API_URL": f"{server.url}/slack/api",
        }
        stored = [{"Name": f"/tocsin/dev/{name}", "Value": value} for name, value in values.items()]
        server.replies["GetParameters"] = (200, {"Parameters": stored})
        server.replies["GetQueueUrl"] = (200, {"QueueUrl": f"{server.url}/1/tocsin-dev-notifications"})
        for name, value in environment(server.url).items():
            monkeypatch.setenv(name, value)
        wiring.ports.cache_clear()
        yield server
        wiring.ports.cache_clear()


def environment(url):
    """What Lambda sets."""
    keys = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": "eu-west-1"}
    return {**keys, "AWS_ENDPOINT_URL": url, "TOCSIN_STAGE": "dev"}


def posted(path, body, headers=None):
    """The answer to a POST through Chalice."""
    with Client(app.app, stage_name="of-a-test") as client:
        return client.http.post(path, headers=headers or signed(body, at=datetime.now(UTC)), body=body)


def test_a_press_is_on_the_notifications_queue_and_answered_with_nothing(aws):
    """An empty 200 is what Slack takes as heard; the message holds who pressed what."""
    answer = posted("/slack/actions", pressed())
    assert (answer.status_code, answer.body) == (200, b"")
    action, sent, *_ = aws.calls[-1]
    assert (action, sent["QueueUrl"].rpartition("/")[2]) == ("SendMessage", "tocsin-dev-notifications")
    assert read_message(sent["MessageBody"]).kind == "ack"
    assert SECRET not in sent["MessageBody"] and TOKEN not in sent["MessageBody"]


def test_a_command_is_taken_and_help_is_shown(aws):
    """`/tocsin list` is stored; `/tocsin` alone is answered at once, for the person only."""
    assert posted("/slack/commands", command("list")).body == b""
    answer = posted("/slack/commands", command(""))
    assert answer.json_body["response_type"] == "ephemeral"
    assert aws.actions.count("SendMessage") == 1


@pytest.mark.parametrize("path", ["/slack/actions", "/slack/commands"])
def test_what_is_not_signed_is_a_401_and_calls_nothing_but_the_secrets(aws, path):
    """Nothing is stored."""
    answer = posted(path, pressed(), signed(pressed(), at=datetime.now(UTC), secret="guess"))
    assert answer.status_code == 401
    assert set(aws.actions) == {"GetParameters"}


def test_the_form_is_opened_at_slack_before_anything_is_stored(aws):
    """By the bot's token, at the path of the method, and then the message that fills it."""
    aws.replies[""] = (200, {"ok": True, "view": {"id": "V1", "hash": "h1"}})
    assert posted("/slack/actions", pressed("tocsin_silence", option="custom:inc-1")).status_code == 200
    assert [action for action in aws.actions if action in ("", "SendMessage")] == ["", "SendMessage"]
    _, opened, headers, _ = next(call for call in aws.calls if call[0] == "")
    assert opened["trigger_id"] and opened["view"]["type"] == "modal"
    assert headers["Authorization"] == f"Bearer {TOKEN}"
    assert read_message(aws.calls[-1][1]["MessageBody"]).view == "V1"


@pytest.mark.parametrize("reply", [(200, {"ok": False, "error": "trigger_expired"}), (500, {}), None])
def test_a_form_that_does_not_open_is_a_503_that_says_why_in_the_log(aws, reply, capsys):
    """Slack shows the person a warning; the log has Slack's code, never the token."""
    aws.replies[""] = reply
    assert posted("/slack/actions", pressed("tocsin_silence", option="custom:inc-1")).status_code == 503
    said = capsys.readouterr().out
    assert "views.open" in said and TOKEN not in said
    assert "SendMessage" not in aws.actions


def test_a_cold_press_loads_nothing_heavy(aws):
    """A fresh process reads its secrets in one call, stores the press, and has loaded no package but Chalice."""
    body = pressed()
    event = {
        "httpMethod": "POST",
        "resource": "/slack/actions",
        "path": "/slack/actions",
        "requestContext": {"httpMethod": "POST", "resourcePath": "/slack/actions"},
        "multiValueQueryStringParameters": None,
        "pathParameters": {},
        "stageVariables": None,
        "headers": signed(body, at=datetime.now(UTC)),
        "body": body.decode(),
        "isBase64Encoded": False,
    }
    done = subprocess.run(
        [sys.executable, "-c", COLD, json.dumps(event)],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], **environment(aws.url)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stderr.splitlines()[-1])
    assert told["status"] == 200
    assert aws.actions == ["GetParameters", "SendMessage"]
    loaded = {module.partition(".")[0] for module in told["modules"]}
    assert loaded.isdisjoint(HEAVY)
    assert "chalicelib.process.worker" not in told["modules"]
