"""What each worker makes of a table that refuses, leaves keys unread, is silent, or answers too late to be heard.

Every call of the table is met by each failure: the worker ends with NotStoredError, in few calls, with its messages back
within seconds, and Sentry hears of nothing. When the table is well again, the same messages come to the same end.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import boto3
import pytest
from botocore.exceptions import (
    ClientError,
    EndpointConnectionError,
    ParamValidationError,
    ReadTimeoutError,
)
from moto import mock_aws

import app
from chalicelib import wiring
from chalicelib.aws.dynamodb import MAX_PAUSED_SECONDS, DynamoStore
from chalicelib.aws.json_client import UNREACHABLE
from chalicelib.core.errors import NotStoredError
from chalicelib.core.event import Event, Severity, Status
from chalicelib.core.metrics.sample import Sample
from chalicelib.messages.queue import events_messages, samples_messages
from tests.aws.tables import OverBoto, refused
from tests.rule_files import rules_of
from tests.test_app import CONTEXT, FakePorts, batch, schedule

RULES = rules_of("""
defaults: {group_wait: 0s}
default: {notification: [{email: ops@example.com}]}
probes: {heartbeat: [{name: nightly, every: 1d}]}
alerts:
  - {name: Down, match: {alertname: Down}, notification: [{email: ops@example.com}]}
  - {name: Slow, condition: "avg(latency_ms[5m]) > 1ms", notification: [{email: ops@example.com}]}
""")
MAX_CALLS = 100
BACK = timedelta(seconds=5)


@dataclass
class Table:
    """A client of a table whose call number `at` fails as `failure` says; None: none fails.

    `names` are the calls, `failed` what those that failed were to write, or their names.
    """

    client: object
    failure: str = ""
    at: int | None = None
    names: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)

    def __getattr__(self, name):
        def call(**arguments):
            self.names.append(name)
            assert len(self.names) <= MAX_CALLS
            fails = self.at is not None and len(self.names) > self.at
            if fails:
                self.failed.append(arguments.get("Item", {}).get("pk", {}).get("S", name))
            return FAILURES[self.failure](self, name, arguments) if fails else self.made(name, arguments)

        return call

    def made(self, name, arguments):
        """Make the call."""
        return getattr(self.client, name)(**arguments)


def throttled(table, name, arguments):
    """Refuse it."""
    raise refused("ProvisionedThroughputExceededException")


def unprocessed(table, name, arguments):
    """Leave every key unread; refuse what reads no batch."""
    if name != "batch_get_item":
        raise refused("ThrottlingException")
    return {"Responses": {}, "UnprocessedKeys": arguments["RequestItems"]}


def silent(table, name, arguments):
    """Answer nothing."""
    raise refused(UNREACHABLE)


def late(table, name, arguments):
    """Do it, and answer nothing."""
    table.made(name, arguments)
    raise refused(UNREACHABLE)


FAILURES = {
    "throttled": throttled,
    "unprocessed": unprocessed,
    "silent": silent,
    "late": late,
}


def down(number):
    """The event of a fault."""
    return Event(
        id=f"e{number}", source="generic", kind="Down", status=Status.FIRING, severity=Severity.CRITICAL, title="Down",
        occurred_at=datetime.now(UTC), identity=f"fault {number}", service=f"s{number}", labels={"alertname": "Down"},
    )  # fmt: skip


@dataclass
class Stage:
    """Workers over a table in memory, and what Sentry was sent."""

    ports: FakePorts
    table: Table
    pauses: list[float] = field(default_factory=list)
    reported: list[BaseException] = field(default_factory=list)

    def with_failure(self, failure, at):
        """Let the table fail from its next call number `at` on."""
        self.table.failure, self.table.at, self.table.names, self.table.failed = failure, at, [], []


@pytest.fixture(scope="module")
def dynamodb():
    """DynamoDB in memory."""
    with mock_aws():
        keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test", "region_name": "eu-west-1"}
        yield OverBoto(boto3.client("dynamodb", **keys))


@pytest.fixture
def stage(dynamodb, monkeypatch):
    """A stage with an empty table."""
    dynamodb.create_table(
        TableName="t", BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": n, "AttributeType": "N" if n == "wake_at" else "S"} for n in ("pk", "sk", "wake_shard", "wake_at")],
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
        GlobalSecondaryIndexes=[{
            "IndexName": "wake", "Projection": {"ProjectionType": "KEYS_ONLY"},
            "KeySchema": [{"AttributeName": "wake_shard", "KeyType": "HASH"}, {"AttributeName": "wake_at", "KeyType": "RANGE"}],
        }],
    )  # fmt: skip
    table, ports = Table(dynamodb), FakePorts()
    found = Stage(ports, table)
    ports.store = DynamoStore(table, "t", pause=found.pauses.append)
    ports.clients = SimpleNamespace(
        secret=lambda name: None,
        setting=lambda name, default="": "tocsin@example.com" if name == "SES_FROM" else default,
        aws=lambda service: SimpleNamespace(send_email=lambda **mail: {"MessageId": "m"}),
    )
    monkeypatch.setattr(wiring, "ports", lambda account, needs=None: ports)
    monkeypatch.setattr(wiring, "queue", lambda account, name: getattr(ports, name))
    monkeypatch.setattr(wiring, "rules", lambda: RULES)
    monkeypatch.setattr(app, "_to_sentry", found.reported.append)
    yield found
    dynamodb.delete_table(TableName="t")


def opened(stage):
    """The message of a notification whose incident is stored."""
    app.process_webhooks(batch(*events_messages([down(7)])), CONTEXT)
    app.process_webhooks(batch(*stage.ports.webhooks.bodies), CONTEXT)  # its timer, which is due
    (body,) = stage.ports.notifications.bodies
    stage.ports.notifications.bodies.clear()
    return body


WORKERS = {
    "process_webhooks": lambda stage: batch(
        *(body for number in range(3) for body in events_messages([down(number)])),
        *samples_messages([Sample("latency_ms", 2.0, datetime.now(UTC), {"service": "api"})]),
    ),
    "process_counts": lambda stage: batch(*events_messages([down(1)])),
    "deliver_notification": lambda stage: batch(opened(stage)),
    "tick": lambda stage: schedule(),
    "record": lambda stage: (opened(stage), schedule())[1],
    "repair": lambda stage: schedule(),
    "watch": lambda stage: schedule(),
}
QUEUES = {"process_webhooks": "webhooks", "process_counts": "counts", "deliver_notification": "notifications"}


def run(name, event):
    """Let a worker run. Return the text of its failure, empty when it ended well."""
    try:
        getattr(app, name)(event, CONTEXT)
    except app.HandlerError as error:
        return str(error)
    return ""


BY_THEMSELVES = ("tick", "repair")
"""These report what failed by a line of the log, and look again at the next minute."""


def assert_back_soon(stage, name, event):
    """Assert that every message of the event that is not done is back within seconds."""
    if name not in QUEUES:
        return
    queue = getattr(stage.ports, QUEUES[name])
    receipts = {record["receiptHandle"] for record in event["Records"]}
    assert queue.hidden.keys() == receipts - set(queue.deleted)
    assert all(delay <= BACK for delay in queue.hidden.values())
    queue.hidden.clear()
    queue.deleted.clear()


@pytest.mark.parametrize(
    "failure", [pytest.param(name, marks=() if name == "throttled" else pytest.mark.acceptance) for name in FAILURES]
)
@pytest.mark.parametrize("name", WORKERS)
def test_whatever_the_table_does_the_messages_are_back_within_seconds(stage, name, failure):
    """Given a table that fails from any call on → the worker ends soon, its messages are back, and they work at last."""
    event = WORKERS[name](stage)
    for at in range(MAX_CALLS):
        stage.with_failure(failure, at)
        stage.ports.history.taken = 0
        said = run(name, event)
        assert stage.reported == [] and sum(stage.pauses) <= MAX_PAUSED_SECONDS + 1
        stage.pauses.clear()
        if all(each.startswith("mark#run:") for each in stage.table.failed):  # nothing failed that a run needs
            assert said == ""
            break
        assert "NotStoredError" in said or "the table" in said or (not said and name in BY_THEMSELVES)
        assert_back_soon(stage, name, event)
    assert at > 0


def test_the_workers_make_every_kind_of_call(stage):
    """What is met above is every kind of call that the store makes."""
    for name in ("deliver_notification", "process_webhooks"):
        run(name, WORKERS[name](stage))
    assert set(stage.table.names) == {"get_item", "query", "batch_get_item", "put_item", "update_item"}


def test_a_page_is_back_within_seconds_when_secrets_are_away(stage, monkeypatch):
    """Given that the ports of a worker cannot be made, then its message comes back all the same."""

    def away(account, needs=None):
        raise NotStoredError("ssm GetParameters: refused")

    event = WORKERS["deliver_notification"](stage)
    monkeypatch.setattr(wiring, "ports", away)
    assert "ssm" in run("deliver_notification", event)
    assert_back_soon(stage, "deliver_notification", event)


@pytest.mark.parametrize(("received", "least", "most"), [("1", 2, 5), ("4", 16, 30), ("40", 600, 900)])
def test_what_keeps_failing_comes_back_later_each_time(stage, received, least, most):
    """The delay is that of every worker: from seconds to minutes."""
    event = WORKERS["deliver_notification"](stage)
    event["Records"][0]["attributes"]["ApproximateReceiveCount"] = received
    stage.with_failure("throttled", 0)
    run("deliver_notification", event)
    assert timedelta(seconds=least) <= stage.ports.notifications.hidden["r0"] <= timedelta(seconds=most)


def test_a_queue_that_is_away_too_changes_nothing(stage):
    """What the worker raised is raised, and the message comes back after its visibility time."""
    event = WORKERS["process_counts"](stage)
    stage.ports.counts.fail_at = {1}
    stage.with_failure("throttled", 0)
    assert "NotStoredError" in run("process_counts", event)
    assert stage.ports.counts.hidden == {}


AWS = [
    (ClientError({"Error": {"Code": "ThrottlingException"}}, "SendEmail"), True),
    (ReadTimeoutError(endpoint_url="https://ses"), True),
    (EndpointConnectionError(endpoint_url="https://ses"), True),
    (ParamValidationError(report="a wrong argument"), False),
    (OverflowError("a fault of ours"), False),
]


@pytest.mark.parametrize(("error", "of_aws"), AWS, ids=[type(error).__name__ for error, _ in AWS])
def test_only_a_fault_in_the_code_goes_to_sentry(stage, monkeypatch, error, of_aws):
    """What AWS refuses or does not answer is in the log, and the message comes back."""

    def fails(account, needs=None):
        raise error

    monkeypatch.setattr(wiring, "ports", fails)
    assert type(error).__name__ in run("tick", schedule())
    assert stage.reported == ([] if of_aws else [error])
