"""Outside clients: built once, within limits, and secrets that do not print."""

import json
from concurrent.futures import ThreadPoolExecutor

import boto3
import httpx
import pytest

from chalicelib import telemetry
from chalicelib.aws import sdk
from chalicelib.clients import RealClients, http_client
from chalicelib.deadline import Deadline
from deploy.policies import WORKER_SECONDS
from tests.fakes import FixedSecrets


def clients(**environment):
    """Clients whose AWS is a counter."""
    built = []

    def build(service, region):
        """Remember what was built."""
        built.append((service, region))
        return object()

    secrets = FixedSecrets({"SLACK_BOT_TOKEN": "xoxb"})
    return RealClients(secrets, "eu-west-1", environment=environment, client=build), built


def test_each_client_is_built_once_whoever_asks():
    """Sixteen threads that ask at once get one HTTP client and one client for each service."""
    found, built = clients()
    with ThreadPoolExecutor(16) as pool:
        services = list(pool.map(lambda n: found.aws("sesv2" if n % 2 else "s3"), range(64)))
        https = list(pool.map(lambda n: found.http(), range(64)))
    assert len(set(map(id, services))) == 2
    assert len(set(map(id, https))) == 1
    assert sorted(built) == [("s3", "eu-west-1"), ("sesv2", "eu-west-1")]


def test_settings_and_secrets_are_different_things():
    """A setting is of the environment, else kept with the secrets, with a default; a secret is of the secrets, or None."""
    found, _ = clients(SLACK_API_URL="http://inbox", EMPTY="")
    assert found.setting("SLACK_API_URL") == "http://inbox"
    assert found.setting("EMPTY", "x") == found.setting("MISSING", "x") == "x"
    assert found.secret("SLACK_BOT_TOKEN") == found.setting("SLACK_BOT_TOKEN") == "xoxb"
    assert found.secret("SLACK_API_URL") is None


def test_mail_is_never_tried_twice_by_the_client(monkeypatch):
    """A mail whose answer was lost may have been sent; only the worker may decide to try again."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    assert sdk.client("sesv2", "eu-west-1").meta.config.retries["total_max_attempts"] == 1
    dynamodb = sdk.client("dynamodb", "eu-west-1").meta.config
    assert dynamodb.retries["total_max_attempts"] == 3
    assert 3 * (dynamodb.connect_timeout + dynamodb.read_timeout) < WORKER_SECONDS / 2


def test_the_version_of_boto3_is_logged(monkeypatch, capsys):
    """Given a worker that needs boto3 → it logs the version that runs, which is at least the one that mails need."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    sdk.client("sesv2", "eu-west-1")
    assert json.loads(capsys.readouterr().out) == {"stage": "start", "boto3": boto3.__version__, "service": "sesv2"}
    assert boto3.Session().client("sesv2", "eu-west-1").meta.service_model.shape_for("Message").members["Headers"]


def test_redirects_are_not_followed():
    """An answer that points elsewhere is the answer."""
    moved = httpx.MockTransport(lambda request: httpx.Response(302, headers={"Location": "http://169.254.169.254/"}))
    assert http_client(moved).get("http://example.test/").status_code == 302


def test_the_client_keeps_no_cookies():
    """An answer that sets cookies → the next request, to the same host or another, carries none."""
    seen = []

    def answer(request):
        seen.append(request.headers.get("cookie"))
        return httpx.Response(200, headers={"Set-Cookie": "session=s3cret; Path=/"})

    client = http_client(httpx.MockTransport(answer))
    for url in ("http://a.test/", "http://a.test/", "http://b.test/"):
        client.get(url)
    assert seen == [None, None, None]
    assert not client.cookies


class Trickle(httpx.SyncByteStream):
    """A body of a thousand pieces; each takes a second of the clock it is given."""

    def __init__(self, clock):
        self.clock = clock

    def __iter__(self):
        for _ in range(1_000):
            self.clock["seconds"] += 1
            yield b"x"


@pytest.mark.parametrize(("timeout", "seconds"), [(None, 11), (5, 6), (20, 21)])
def test_a_trickling_answer_is_given_up(timeout, seconds):
    """A body that trickles → it ends after the request's own time, else after ten seconds in all."""
    clock = {"seconds": 0.0}
    inner = httpx.MockTransport(lambda request: httpx.Response(200, stream=Trickle(clock)))
    client = httpx.Client(transport=Deadline(inner, lambda: clock["seconds"]))
    with pytest.raises(httpx.ReadTimeout):
        client.get("http://example.test/", timeout=timeout)
    assert clock["seconds"] == seconds


def test_no_text_of_an_error_leaves():
    """What goes to Sentry has kinds and places, no texts and no breadcrumbs."""
    event = {"exception": {"values": [{"type": "KeyError", "value": "ana@example.com"}]}, "breadcrumbs": {"values": []}}
    assert telemetry.without_texts(event, {}) == {"exception": {"values": [{"type": "KeyError", "value": ""}]}}
