"""What every target makes of every way to fail: a table of answers and fates, and nothing secret in any error."""

import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from email.utils import format_datetime
from typing import Any

import httpx
import pytest
from botocore import exceptions as aws

from chalicelib.clients import http_client
from chalicelib.core.delivery.notification import Notification, Receipt
from chalicelib.core.errors import TargetRejectedError, TargetUnavailableError, TocsinError
from chalicelib.targets import kinds, module_for
from tests.slow_server import Connection, slow_server
from tests.targets.samples import (
    DISCORD_WEBHOOK,
    MAILBOX,
    NOTIFICATION,
    NOW,
    OUT_WEBHOOK,
    ROUTING_KEY,
    SECRETS,
    SETTINGS,
    SLACK_WEBHOOK,
    TEAMS_FLOW,
    TOKEN,
    WEBHOOK_SECRET,
    FakeClients,
    answering,
)

HTTP_TARGETS = (
    ("slack_channel", "#incidents"),
    ("slack_channel", SLACK_WEBHOOK),
    ("pagerduty", "default"),
    ("webhook", OUT_WEBHOOK),
    ("discord", DISCORD_WEBHOOK),
    ("teams", TEAMS_FLOW),
)


BACKS_OFF = ("webhook",)
"""Kinds that leave a 429 without a time to the back-off of the delivery."""


def test_every_kind_over_http_meets_every_failure() -> None:
    """Given a file in targets/ → it is here, unless AWS's client sends for it."""
    missing = set(kinds()) - {kind for kind, _ in HTTP_TARGETS} - {"email"}
    assert not missing, f"add a target to HTTP_TARGETS in this file for {', '.join(sorted(missing))}"


ECHO = f"{DISCORD_WEBHOOK} {TEAMS_FLOW} {TOKEN} {ROUTING_KEY} {SLACK_WEBHOOK} {OUT_WEBHOOK} {MAILBOX} {WEBHOOK_SECRET} High Error Rate"
HIDDEN = (
    TOKEN,
    ROUTING_KEY,
    "secretpath",
    "secretquery",
    MAILBOX,
    "receiver.example",
    "hooks.slack",
    "discord.com",
    "logic.azure",
    "High Error",
)


def tell(
    kind: str, address: str, clients: FakeClients, notification: Notification = NOTIFICATION, **changes: Any
) -> Receipt:
    """Send by the real module."""
    options: dict[str, Any] = {"receipt": {}, "in_doubt": False, "now": NOW, **changes}
    return module_for(kind).send(notification, address, clients, **options)


def failure(kind: str, address: str, clients: FakeClients, **changes: Any) -> TocsinError:
    """The error of a try that must fail, after looking that neither it nor its trace tells anything."""
    with pytest.raises(TocsinError) as caught:
        tell(kind, address, clients, **changes)
    told = "".join(traceback.format_exception_only(caught.value)) + repr(caught.value)
    assert not [hidden for hidden in HIDDEN if hidden in told]
    assert caught.value.__cause__ is None
    return caught.value


@pytest.mark.parametrize(("kind", "address"), HTTP_TARGETS)
@pytest.mark.parametrize("status", [500, 502, 503, 504, 408])
def test_an_outage_comes_back_and_may_have_been_taken(kind: str, address: str, status: int) -> None:
    """5xx with an HTML body that repeats everything comes back, is ambiguous and tells nothing."""
    clients = FakeClients(answering(httpx.Response(status, html=f"<html>{ECHO}</html>")))
    error = failure(kind, address, clients)
    assert isinstance(error, TargetUnavailableError)
    assert error.ambiguous
    assert len(clients.requests) == 1


@pytest.mark.parametrize(("kind", "address"), HTTP_TARGETS)
@pytest.mark.parametrize(
    ("header", "wait"),
    [
        ("30", timedelta(seconds=30)),
        ("0", timedelta(0)),
        ("1.5", timedelta(seconds=1.5)),
        (format_datetime(NOW + timedelta(seconds=90), usegmt=True), timedelta(seconds=90)),
        (format_datetime(NOW - timedelta(seconds=90), usegmt=True), timedelta(0)),
    ],
)
def test_429_comes_back_when_the_receiver_said(kind: str, address: str, header: str, wait: timedelta) -> None:
    """Retry-After is kept exactly, as seconds and as a date; the message was not taken."""
    body = {"ok": False, "error": "ratelimited"}
    clients = FakeClients(answering(httpx.Response(429, headers={"Retry-After": header}, json=body)))
    error = failure(kind, address, clients)
    assert isinstance(error, TargetUnavailableError)
    assert (error.retry_after, error.ambiguous) == (wait, False)


UNBELIEVED = (
    "soon",
    "-5",
    "nan",
    "inf",
    "86401",
    "999999999999",
    "9" * 40,
    "Fri, 31 Dec 9999 23:59:59 GMT",
    "Fri, 31 Dec 9999 23:59:59 -2359",
)


@pytest.mark.parametrize(("kind", "address"), HTTP_TARGETS)
@pytest.mark.parametrize("headers", [{}, *({"Retry-After": each} for each in UNBELIEVED)])
def test_429_without_a_time_waits_by_itself(kind: str, address: str, headers: dict[str, str]) -> None:
    """Given a 429 without a time that can be believed, then a kind of BACKS_OFF names no wait, and every other kind 30 s."""
    error = failure(kind, address, FakeClients(answering(httpx.Response(429, headers=headers, text=ECHO))))
    assert isinstance(error, TargetUnavailableError)
    assert error.retry_after == (None if kind in BACKS_OFF else timedelta(seconds=30)), (
        f"{kind}: give raise_for_status a `wait` of 30 s, or add the kind to BACKS_OFF in this file. "
        "Name it in the row of 429 in docs/delivery.md"
    )


@pytest.mark.parametrize(("kind", "address"), HTTP_TARGETS)
@pytest.mark.parametrize("status", [301, 307, 400, 401, 403, 404, 405, 410, 413, 422])
def test_a_refusal_is_for_good(kind: str, address: str, status: int) -> None:
    """Other 4xx, and redirects, are permanent, name the status and tell nothing."""
    clients = FakeClients(answering(httpx.Response(status, headers={"Location": "https://x.example"}, text=ECHO)))
    error = failure(kind, address, clients)
    assert isinstance(error, TargetRejectedError)
    assert str(status) in str(error)


@pytest.mark.parametrize(("kind", "address"), HTTP_TARGETS)
@pytest.mark.parametrize(
    ("raised", "ambiguous"),
    [
        (httpx.ConnectTimeout(ECHO), False),
        (httpx.ConnectError(ECHO), False),
        (httpx.PoolTimeout(ECHO), False),
        (httpx.ReadTimeout(ECHO), True),
        (httpx.WriteTimeout(ECHO), True),
        (httpx.ReadError(ECHO), True),
        (httpx.RemoteProtocolError(ECHO), True),
    ],
)
def test_no_answer_comes_back(kind: str, address: str, raised: Exception, ambiguous: bool) -> None:
    """Before the request was sent nothing is in doubt; after it everything is."""
    error = failure(kind, address, FakeClients(answering(raised)))
    assert isinstance(error, TargetUnavailableError)
    assert error.ambiguous is ambiguous


class BrokenBody(httpx.SyncByteStream):
    """A body that breaks off after its first bytes."""

    def __iter__(self) -> Iterator[bytes]:
        yield b'{"ok"'
        raise httpx.ReadError(ECHO)


@pytest.mark.parametrize(("kind", "address", "status"), [("pagerduty", "default", 202), ("webhook", OUT_WEBHOOK, 200)])
def test_a_status_is_enough_where_the_body_says_nothing(kind: str, address: str, status: int) -> None:
    """An answer that breaks off after an accepting status was accepted."""
    tell(kind, address, FakeClients(answering(httpx.Response(status, stream=BrokenBody()))))


def test_half_an_answer_of_slack_is_in_doubt() -> None:
    """Slack says in the body whether it took the message."""
    error = failure("slack_channel", "#x", FakeClients(answering(httpx.Response(200, stream=BrokenBody()))))
    assert isinstance(error, TargetUnavailableError)
    assert error.ambiguous


@pytest.mark.parametrize(("kind", "address"), HTTP_TARGETS)
def test_the_time_limit_of_the_route_is_kept(kind: str, address: str) -> None:
    """A target's own timeout goes with the request."""
    clients = FakeClients(answering(httpx.Response(200, json={"ok": True, "channel": "C1", "ts": "1.1"})))
    target = replace(NOTIFICATION.target, timeout=timedelta(seconds=5))
    tell(kind, address, clients, replace(NOTIFICATION, target=target))
    assert clients.requests[0].extensions["timeout"]["read"] == 5.0


class RealHttp(FakeClients):
    """Clients whose HTTP is the real one, for receivers on loopback."""

    def __init__(self) -> None:
        super().__init__(settings={**SETTINGS, "ALLOW_LOOPBACK_TARGETS": "1"})
        self.client = http_client()

    def http(self) -> httpx.Client:
        """The real client."""
        return self.client


def trickling(connection: Connection) -> None:
    """An answer whose head comes byte by byte."""
    connection.request()
    connection.trickle(b"HTTP/1.1 200 OK\r\nX-Slow: " + b"x" * 10_000, every=0.02)


def trickling_body(connection: Connection) -> None:
    """An answer that refuses, and whose body comes byte by byte."""
    connection.request()
    connection.socket.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 10000\r\n\r\n")
    connection.trickle(b"x" * 10_000, every=0.02)


@pytest.mark.parametrize(
    ("talk", "scheme", "ambiguous"), [(trickling, "http", True), (Connection.stall, "https", False)]
)
@pytest.mark.parametrize("kind", ["webhook", "slack_channel"])
def test_the_time_limit_is_for_the_whole_call(
    kind: str, talk: Callable[[Connection], None], scheme: str, ambiguous: bool
) -> None:
    """A receiver that trickles its head may have taken the message; one that stalls in TLS has not; both come back."""
    target = replace(NOTIFICATION.target, timeout=timedelta(seconds=0.3))
    with slow_server(talk) as server:
        began = time.monotonic()
        error = failure(kind, server.url(scheme), RealHttp(), notification=replace(NOTIFICATION, target=target))
        assert time.monotonic() - began < 10
    assert isinstance(error, TargetUnavailableError)
    assert error.ambiguous is ambiguous


def test_a_status_whose_body_trickles_is_an_answer() -> None:
    """A refusal whose body does not end in time is the refusal that its status says."""
    target = replace(NOTIFICATION.target, timeout=timedelta(seconds=0.3))
    with slow_server(trickling_body) as server:
        error = failure("webhook", server.url(), RealHttp(), notification=replace(NOTIFICATION, target=target))
    assert isinstance(error, TargetRejectedError)
    assert "403" in str(error)


@pytest.mark.parametrize(("kind", "address"), [("slack_channel", "#x"), ("pagerduty", "on call"), ("webhook", "pager")])
def test_a_missing_secret_is_named(kind: str, address: str) -> None:
    """Nothing is sent; the error names the setting to set."""
    named = {
        "slack_channel": "SLACK_BOT_TOKEN",
        "pagerduty": "PAGERDUTY_ROUTING_KEY_ON_CALL",
        "webhook": "WEBHOOK_PAGER_URL",
    }
    clients = FakeClients(secrets={})
    error = failure(kind, address, clients)
    assert isinstance(error, TargetRejectedError)
    assert named[kind] in str(error)
    assert not clients.requests


def client_error(code: str, status: int, message: str = ECHO) -> aws.ClientError:
    """What boto3 raises for an error answer."""
    answer: Any = {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return aws.ClientError(answer, "SendEmail")


class FakeSes:
    """SES that answers as told and keeps the requests."""

    def __init__(self, raised: Exception | None = None) -> None:
        self.requests: list[Mapping[str, Any]] = []
        self._raised = raised

    def send_email(self, **request: Any) -> dict[str, str]:
        """Keep it."""
        self.requests.append(request)
        if self._raised:
            raise self._raised
        return {"MessageId": "m1"}


@pytest.mark.parametrize(
    ("raised", "fate", "wait", "ambiguous"),
    [
        (client_error("TooManyRequestsException", 429), TargetUnavailableError, 1, False),
        (client_error("ThrottlingException", 400, "Maximum sending rate exceeded."), TargetUnavailableError, 1, False),
        (client_error("ThrottlingException", 400, "Daily message quota exceeded."), TargetUnavailableError, 600, False),
        (client_error("InternalFailure", 500), TargetUnavailableError, None, True),
        (client_error("ServiceUnavailable", 503), TargetUnavailableError, None, True),
        (client_error("ExpiredTokenException", 403), TargetUnavailableError, None, False),
        (aws.ConnectTimeoutError(endpoint_url=OUT_WEBHOOK), TargetUnavailableError, None, False),
        (aws.EndpointConnectionError(endpoint_url=OUT_WEBHOOK), TargetUnavailableError, None, False),
        (aws.ReadTimeoutError(endpoint_url=OUT_WEBHOOK), TargetUnavailableError, None, True),
        (aws.ConnectionClosedError(endpoint_url=OUT_WEBHOOK), TargetUnavailableError, None, True),
        (client_error("LimitExceededException", 400), TargetRejectedError, None, False),
        (client_error("SendingPausedException", 400), TargetRejectedError, None, False),
        (client_error("AccountSuspendedException", 400), TargetRejectedError, None, False),
        (client_error("MailFromDomainNotVerifiedException", 400), TargetRejectedError, None, False),
        (client_error("MessageRejected", 400), TargetRejectedError, None, False),
        (client_error("BadRequestException", 400), TargetRejectedError, None, False),
        (client_error("NotFoundException", 404), TargetRejectedError, None, False),
        (client_error("AccessDeniedException", 403), TargetRejectedError, None, False),
        (client_error(ECHO, 400), TargetRejectedError, None, False),
        (aws.NoCredentialsError(), TargetRejectedError, None, False),
        (aws.ParamValidationError(report=ECHO), TargetRejectedError, None, False),
    ],
)
def test_every_ses_error_has_a_fate(
    raised: Exception, fate: type[TocsinError], wait: int | None, ambiguous: bool
) -> None:
    """SES's errors come back or do not, as its documentation says, and tell nothing."""
    error = failure("email", MAILBOX, FakeClients(services={"sesv2": FakeSes(raised)}))
    assert type(error) is fate
    if isinstance(error, TargetUnavailableError):
        assert error.retry_after == (None if wait is None else timedelta(seconds=wait))
        assert error.ambiguous is ambiguous


@pytest.mark.parametrize(("status", "code"), [(429, "TooManyRequestsException"), (503, "ServiceUnavailable")])
def test_a_time_in_an_answer_of_ses_is_kept(status: int, code: str) -> None:
    """SES documents no Retry-After; where one comes it holds, as with any other target."""
    raised = client_error(code, status)
    raised.response["ResponseMetadata"]["HTTPHeaders"] = {"retry-after": "7"}
    error = failure("email", MAILBOX, FakeClients(services={"sesv2": FakeSes(raised)}))
    assert isinstance(error, TargetUnavailableError)
    assert error.retry_after == timedelta(seconds=7)


@pytest.mark.parametrize("header", UNBELIEVED)
def test_a_time_of_ses_that_makes_no_sense_counts_as_none(header: str) -> None:
    """A Retry-After of centuries, or of no time at all → the wait that SES advises."""
    raised = client_error("TooManyRequestsException", 429)
    raised.response["ResponseMetadata"]["HTTPHeaders"] = {"retry-after": header}
    error = failure("email", MAILBOX, FakeClients(services={"sesv2": FakeSes(raised)}))
    assert isinstance(error, TargetUnavailableError)
    assert error.retry_after == timedelta(seconds=1)


def test_every_kind_has_its_file() -> None:
    """Every kind of the rules file is found by its file; another is refused with the choices."""
    for kind, declared in kinds().items():
        module: Any = module_for(kind)
        assert (module.__name__, module.DECLARED) == (f"chalicelib.targets.{kind}", declared)
    with pytest.raises(TargetRejectedError, match="allowed are slack_channel, email, pagerduty, webhook"):
        module_for("carrier_pigeon")


@pytest.mark.parametrize(
    "address",
    [
        "http://receiver.example.com/in",
        "https://169.254.169.254/latest/meta-data",
        "https://[fe80::1]/x",
        "https://[fd00:ec2::254]/x",
        "https://[::ffff:169.254.170.2]/x",
        "https://127.0.0.1/x",
        "https://[::1]/x",
        "https://0.0.0.0/x",
        "https://:80",
        "https://host:port/x",
        "ftp://receiver.example.com/x",
    ],
)
def test_addresses_inside_the_machine_are_refused(address: str) -> None:
    """Metadata, link-local, loopback and plain http addresses are refused before anything is sent."""
    clients = FakeClients(answering(httpx.Response(200)))
    assert isinstance(failure("webhook", address, clients), TargetRejectedError)
    assert not clients.requests


def test_loopback_is_allowed_where_the_setting_says_so() -> None:
    """On one machine, receivers on loopback are reached, also by http; metadata addresses stay refused."""
    local = {**SETTINGS, "ALLOW_LOOPBACK_TARGETS": "1"}
    clients = FakeClients(answering(httpx.Response(200, text="ok")), settings=local, secrets=SECRETS)
    tell("webhook", "http://127.0.0.1:9/in", clients)
    tell("slack_channel", "http://127.0.0.1:9/in", clients)
    assert len(clients.requests) == 2
    assert isinstance(failure("webhook", "http://169.254.169.254/", clients), TargetRejectedError)
