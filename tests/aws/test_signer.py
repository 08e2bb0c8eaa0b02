"""Our signature is botocore's, byte for byte."""

from datetime import UTC, datetime

import pytest
from botocore.auth import SIGV4_TIMESTAMP, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as BotocoreCredentials

from chalicelib.aws.signer import Credentials, host, signed

AT = datetime(2026, 8, 30, 12, 36, 7, tzinfo=UTC)
JSON = {"Content-Type": "application/x-amz-json-1.0", "X-Amz-Target": "AmazonSQS.SendMessage"}
REQUESTS = [
    ("POST", "https://sqs.eu-west-1.amazonaws.com/", JSON, b'{"MessageBody":"x"}', "sqs"),
    ("POST", "https://sqs.eu-west-1.amazonaws.com", JSON, b"", "sqs"),
    ("POST", "http://127.0.0.1:4566/000000000000/tocsin-local-webhooks", JSON, b"{}", "sqs"),
    ("POST", "http://localhost:80/", JSON, b"{}", "sqs"),
    ("POST", "https://localhost:443/", JSON, b"{}", "sqs"),
    ("POST", "https://localhost:8443/", JSON, b"{}", "sqs"),
    ("GET", "https://ssm.us-east-1.amazonaws.com/?b=2&a=1", {}, b"", "ssm"),
    ("GET", "https://ssm.us-east-1.amazonaws.com/?b=2&a=1&a=0&c", {}, b"", "ssm"),
    ("GET", "https://x.amazonaws.com/?q=%C3%A9%20x&p=a%2Fb", {}, b"", "ssm"),
    ("GET", "https://x.amazonaws.com/a%20b/%C3%A9", {}, b"", "dynamodb"),
    ("GET", "https://x.amazonaws.com/a b/é", {}, b"", "dynamodb"),
    ("GET", "https://x.amazonaws.com/a/./b/../c//d/", {}, b"", "dynamodb"),
    ("GET", "https://x.amazonaws.com/../~user", {}, b"", "dynamodb"),
    (
        "post",
        "https://x.amazonaws.com/",
        {**JSON, "User-Agent": "a", "x-extra": "  two   spaces  "},
        "é\u2028".encode(),
        "sqs",
    ),
    ("POST", "https://x.amazonaws.com/", {**JSON, "Host": "other.example"}, b"\x00\xff" * 1000, "dynamodb"),
    ("POST", "http://[::1]:4566/", JSON, b"{}", "dynamodb"),
]


def _by_botocore(monkeypatch, request, credentials):
    """What botocore sends for the same request at the same time."""
    method, url, headers, body, service = request
    monkeypatch.setattr("botocore.auth.get_current_datetime", lambda: AT.replace(tzinfo=None))
    sent = AWSRequest(method=method, url=url, headers=headers, data=body)
    SigV4Auth(BotocoreCredentials(*credentials), service, "eu-west-1").add_auth(sent)
    return dict(sent.headers)


@pytest.mark.parametrize("token", [None, "session/token+with=signs"])
@pytest.mark.parametrize("request_", REQUESTS, ids=lambda request: f"{request[0]} {request[1]}")
def test_signs_as_botocore_does(monkeypatch, request_, token):
    """Every header we send is equal to botocore's, with and without a session token."""
    credentials = Credentials("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", token)
    method, url, headers, body, service = request_
    ours = signed(method, url, headers, body, service=service, region="eu-west-1", credentials=credentials, at=AT)
    assert ours == _by_botocore(monkeypatch, request_, credentials)
    assert ours["X-Amz-Date"] == AT.strftime(SIGV4_TIMESTAMP)


def test_credentials_do_not_print():
    """The text of credentials holds nothing of them."""
    assert repr(Credentials("AKID", "secret", "token")) == "Credentials(<secret>)"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://a.b/", "a.b"),
        ("https://a.b:443/", "a.b"),
        ("http://a.b:443/", "a.b:443"),
        ("http://[::1]:1/", "[::1]:1"),
    ],
)
def test_host_names_the_port_only_where_it_matters(url, expected):
    """The Host header leaves out a scheme's own port."""
    assert host(url) == expected
