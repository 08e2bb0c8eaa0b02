"""The embedded AWS against web pages and strangers: what an attack would read, run or put, and what still works."""

import io
import json
import threading
import time
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from http.client import HTTPConnection

import pytest

from local.cloud import Cloud
from local.guard import key_headers
from local.inbox import Inbox
from tests.project import clients

PARAMETER = "/tocsin/local/SLACK_BOT_TOKEN"
SECRET = "xoxb-a-secret"
ROLE = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
READS = f"""
import boto3
def handler(event, context):
    return boto3.client("ssm").get_parameter(Name="{PARAMETER}", WithDecryption=True)["Parameter"]["Value"]
"""


@dataclass(frozen=True, slots=True)
class Call:
    """A request as a page or a program can send it, without a key."""

    path: str
    body: bytes = b""
    target: str = ""
    method: str = "POST"

    def headers(self) -> dict[str, str]:
        """The headers that name the operation; the content type is one that needs no preflight."""
        return {"Content-Type": "text/plain", **({"X-Amz-Target": self.target} if self.target else {})}


CALLS = {
    "read a parameter": Call(
        "/", json.dumps({"Name": PARAMETER, "WithDecryption": True}).encode(), "AmazonSSM.GetParameter"
    ),
    "invoke a function": Call("/2015-03-31/functions/reads/invocations", b"{}"),
    "put a message": Call("/", json.dumps({"QueueUrl": "kept", "MessageBody": "x"}).encode(), "AmazonSQS.SendMessage"),
    "make an address of a function": Call("/2021-10-31/functions/reads/url", b'{"AuthType": "NONE"}'),
    "read mails": Call("/_ministack/ses/messages", method="GET"),
    "forget everything": Call("/_ministack/reset"),
}


@pytest.fixture(scope="module", params=[False, True], ids=["open", "with IAM"])
def cloud(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Cloud]:
    """An embedded AWS with a secret, a queue and a function that reads the secret."""
    with Cloud(tmp_path_factory.mktemp("cloud"), persist=False, auth=request.param) as found:
        aws = clients(found)
        aws("ssm").put_parameter(Name=PARAMETER, Value=SECRET, Type="SecureString")
        aws("sqs").create_queue(QueueName="kept")
        role = aws("iam").create_role(RoleName="reads", AssumeRolePolicyDocument="{}")["Role"]["Arn"]
        aws("iam").put_role_policy(RoleName="reads", PolicyName="all", PolicyDocument=json.dumps(ROLE))
        package = io.BytesIO()
        with zipfile.ZipFile(package, "w") as content:
            content.writestr("index.py", READS)
        aws("lambda").create_function(
            FunctionName="reads",
            Runtime="python3.12",
            Handler="index.handler",
            Role=role,
            Code={"ZipFile": package.getvalue()},
        )
        yield found


def answer(cloud: Cloud, call: Call, headers: dict[str, str]) -> tuple[int, dict[str, str], str]:
    """Status, headers in lower case and text."""
    connection = HTTPConnection("127.0.0.1", cloud.port, timeout=20)
    try:
        connection.request(call.method, call.path, call.body, {**call.headers(), **headers})
        found = connection.getresponse()
        return found.status, {name.lower(): value for name, value in found.getheaders()}, found.read().decode()
    finally:
        connection.close()


def strangers(cloud: Cloud) -> dict[str, dict[str, str]]:
    """The headers of everybody who must get nothing: some know no key, some a wrong one, some sit in a browser."""
    mine = key_headers(cloud.key.id)
    return {
        "no credentials": {},
        "the usual key": key_headers("test"),
        "an account as key": key_headers("000000000000"),
        "a function's usual key": key_headers("ASIA0123456789ABCDEF"),
        "a foreign Host": {**mine, "Host": f"evil.example:{cloud.port}"},
        "another port": {**mine, "Host": "127.0.0.1:4566"},
        "a foreign Origin": {**mine, "Origin": "https://evil.example"},
        "a sandboxed Origin": {**mine, "Origin": "null"},
        "its own Origin": {**mine, "Origin": cloud.url},
        "an image of a page": {**mine, "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"},
    }


@pytest.mark.parametrize("name", [name for name in CALLS if name != "forget everything"])
def test_the_key_of_the_run_opens_it(cloud: Cloud, name: str) -> None:
    """Each call that strangers try, with the key of the run → is taken, so that only the guard refused it."""
    status, headers, text = answer(cloud, CALLS[name], key_headers(cloud.key.id))
    assert status in (200, 201), text
    assert not [each for each in headers if each.startswith("access-control-")]


@pytest.mark.parametrize("name", CALLS)
def test_strangers_get_nothing(cloud: Cloud, name: str) -> None:
    """A call from another site, under another name or without the key → 403 without CORS headers or content."""
    for who, headers in strangers(cloud).items():
        status, answered, text = answer(cloud, CALLS[name], headers)
        assert status == 403, (who, text)
        assert not [each for each in answered if each.startswith("access-control-")], who
        assert SECRET not in text, who


@pytest.mark.parametrize("path", ["/", "/restapis/c2fe9535/api/_user_request_/webhooks/sentry"])
def test_a_preflight_gets_no_permission(cloud: Cloud, path: str) -> None:
    """OPTIONS of a foreign page → 403 without CORS headers, so that the browser does not send the request."""
    preflight = {
        "Origin": "https://evil.example",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "x-amz-target",
        "Access-Control-Request-Private-Network": "true",
    }
    status, headers, _ = answer(cloud, Call(path, method="OPTIONS"), preflight)
    assert status == 403
    assert not [each for each in headers if each.startswith("access-control-")]


def test_a_path_of_webhooks_leads_to_no_service(cloud: Cloud) -> None:
    """An unsigned request to a REST API that names an AWS operation → is a webhook to an unknown API, no operation."""
    for name in ("read a parameter", "put a message"):
        call = Call("/restapis/c2fe9535/api/_user_request_/webhooks/sentry", CALLS[name].body, CALLS[name].target)
        for headers in ({}, {"Authorization": "Bearer secret"}):
            status, _, text = answer(cloud, call, headers)
            assert (status, SECRET in text) == (404, False), text


def test_functions_reach_aws(cloud: Cloud) -> None:
    """A function in the embedded AWS → has a key that is let in."""
    found = clients(cloud)("lambda").invoke(FunctionName="reads", Payload=b"{}")
    assert json.loads(found["Payload"].read()) == SECRET


def test_the_inbox_shows_mails_of_the_embedded_aws(cloud: Cloud) -> None:
    """An inbox that has the key → shows the mail; one without it gets none."""
    ses = clients(cloud)("sesv2")
    ses.create_email_identity(EmailIdentity="tocsin@example.com")
    content = {"Simple": {"Subject": {"Data": "shown"}, "Body": {"Text": {"Data": "x"}}}}
    ses.send_email(
        FromEmailAddress="tocsin@example.com", Destination={"ToAddresses": ["ops@example.com"]}, Content=content
    )
    with Inbox(emulator=cloud.url) as closed, Inbox(emulator=cloud.url, emulator_key=cloud.key.id) as inbox:
        until = time.monotonic() + 60
        while not inbox.mails:
            assert time.monotonic() < until
            threading.Event().wait(0.05)
        assert [each["subject"] for each in inbox.mails] == ["shown"]
        assert closed.mails == []


def test_each_run_has_a_key_of_its_own(cloud: Cloud, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Two embedded AWS → two keys, and none of them is shown."""
    other = Cloud(tmp_path_factory.mktemp("other"))
    assert len({cloud.key.id, cloud.key.secret, other.key.id, other.key.secret}) == 4
    assert min(len(other.key.id), len(other.key.secret)) >= 40
    assert other.key.id not in repr(other.key) and other.key.secret not in repr(other.key)
