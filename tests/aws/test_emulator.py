"""Our small calls against an AWS that checks them: queue, bodies and secrets on the emulator."""

import json
import os
import random
from datetime import timedelta

import pytest

from chalicelib.aws.body_store import KEPT_SECONDS, BodyWriter
from chalicelib.aws.dynamodb import DynamoStore
from chalicelib.aws.json_client import UNREACHABLE, AwsError, AwsJsonClient
from chalicelib.aws.queue import SqsQueue
from chalicelib.aws.secrets import Secrets
from chalicelib.core.errors import NotStoredError, ProcessedError
from chalicelib.messages.webhook import compressed
from deploy.queues import RETENTION_SECONDS
from tests.aws.tables import KEY, client, new_table, refused, table_client


@pytest.fixture
def json_client(emulator):
    """A caller of the emulator, patient, since tests share the machine."""
    return AwsJsonClient(
        "us-east-1", environment={**KEY.environment(), "AWS_ENDPOINT_URL": emulator}, timeout_seconds=10
    )


@pytest.fixture
def sqs(emulator):
    """What AWS's own SDK sees."""
    return client("sqs", emulator)


@pytest.fixture
def queue(json_client, sqs, request):
    """A new queue, with its address as the SDK knows it."""
    name = f"q-{os.getpid()}-{abs(hash(request.node.name)) % 10**8}"
    url = sqs.create_queue(QueueName=name)["QueueUrl"]
    return SqsQueue(json_client, name), url


def received(sqs, url, count=10):
    """The messages that are there now."""
    answer = sqs.receive_message(
        QueueUrl=url, MaxNumberOfMessages=count, MessageAttributeNames=["All"], VisibilityTimeout=60
    )
    return answer.get("Messages", [])


def test_what_is_put_can_be_received(queue, sqs):
    """Text beyond ASCII arrives as it was, in one call or in a batch."""
    ours, url = queue
    ours.put(["één"])
    ours.put([f"ü{n}" for n in range(12)])
    bodies = {message["Body"] for _ in range(4) for message in received(sqs, url)}
    assert bodies == {"één", *(f"ü{n}" for n in range(12))}


def test_a_message_of_one_mebibyte_passes(queue, sqs):
    """The largest message we make is one that SQS takes."""
    ours, url = queue
    ours.put(["x" * (1_048_576 - 4_096)])
    assert len(received(sqs, url)[0]["Body"]) == 1_048_576 - 4_096


def test_a_delayed_message_is_not_there_yet(queue, sqs):
    """A delay hides the message from its first moment."""
    ours, url = queue
    ours.put(["later"], delay=timedelta(minutes=5))
    assert received(sqs, url) == []


def test_deleted_is_gone(queue, sqs):
    """A receipt given to us by Lambda deletes its message."""
    ours, url = queue
    ours.put(["done"])
    (message,) = received(sqs, url)
    ours.delete([message["ReceiptHandle"]])
    assert received(sqs, url) == []


def test_a_parked_message_says_why(queue, sqs):
    """The reason is an attribute that AWS's tools show."""
    ours, url = queue
    ours.dead_letter("body", "unreadable: é")
    (message,) = received(sqs, url)
    assert message["Body"] == "body"
    assert message["MessageAttributes"]["reason"]["StringValue"] == "unreadable: é"


def test_a_missing_queue_is_named(json_client):
    """The error says which queue and AWS's word for it."""
    with pytest.raises(AwsError, match="nowhere") as raised:
        SqsQueue(json_client, "nowhere", account="000000000000").put(["x"])
    assert "NonExistent" in raised.value.code or "DoesNotExist" in raised.value.code


def test_a_large_body_comes_back_from_the_table(emulator, json_client):
    """Chunks written by the ingest path are read by the worker's store; a missing chunk is no body."""
    dynamodb = client("dynamodb", emulator)
    table = new_table(dynamodb)
    store = DynamoStore(table_client(dynamodb.meta.endpoint_url), table)
    body = json.dumps({"noise": random.Random(2).randbytes(900_000).hex()}).encode()
    writer = BodyWriter(json_client, table, clock=lambda: 4_000_000_000.0)
    for _ in range(2):
        writer.keep("sentry-abc", compressed(body))
    assert store.get_body("sentry-abc") == body
    dynamodb.delete_item(TableName=table, Key={"pk": {"S": "body#sentry-abc"}, "sk": {"S": "001"}})
    assert store.get_body("sentry-abc") is None


@pytest.fixture
def kept(emulator, json_client):
    """A store with a body of four chunks that was kept at second 1,000,000; the store's own clock is at 2,000,000."""
    dynamodb = client("dynamodb", emulator)
    table = new_table(dynamodb)
    body = json.dumps({"noise": random.Random(2).randbytes(1_000_000).hex()}).encode()
    BodyWriter(json_client, table, clock=lambda: 1_000_000.0).keep("sentry-abc", compressed(body))

    def items():
        """Everything that is in the table."""
        return [item for page in dynamodb.get_paginator("scan").paginate(TableName=table) for item in page["Items"]]

    return DynamoStore(table_client(dynamodb.meta.endpoint_url), table, clock=lambda: 2_000_000.0), items


def test_nothing_of_a_dropped_body_is_left_in_the_table(kept):
    """Marks without content stay in place of the chunks and expire 15 days later."""
    store, items = kept
    assert sum("body" in item for item in items()) == 4
    store.drop_body("sentry-abc")
    assert len(items()) == 4
    assert all("body" not in item for item in items())
    assert {item["expires_at"]["N"] for item in items()} == {str(2_000_000 + KEPT_SECONDS)}


class Breaking:
    """A client whose writes fail from the second on, as long as `broken`."""

    def __init__(self, inner):
        self.inner, self.broken, self.writes = inner, True, 0

    def __getattr__(self, name):
        return getattr(self.inner, name)

    def put_item(self, **call):
        """Write, or refuse."""
        self.writes += 1
        if self.broken and self.writes > 1:
            raise refused(UNREACHABLE)
        return self.inner.put_item(**call)


def test_a_drop_that_broke_off_is_finished_by_the_next(kept):
    """After the first chunk the webhook counts as processed; the next drop takes the chunks that were left."""
    store, items = kept
    store._client = Breaking(store._client)
    with pytest.raises(NotStoredError, match="did not answer"):
        store.drop_body("sentry-abc")
    assert sum("body" in item for item in items()) == 3
    with pytest.raises(ProcessedError):
        store.get_body("sentry-abc")
    store._client.broken = False
    store.drop_body("sentry-abc")
    assert not any("body" in item for item in items())


def test_a_body_of_a_dead_letter_expires_later(kept):
    """Every chunk is kept as long as a new body, so that it outlives the dead letter."""
    store, items = kept
    store.extend_body("sentry-abc")
    assert {item["expires_at"]["N"] for item in items()} == {str(2_000_000 + KEPT_SECONDS)}
    assert KEPT_SECONDS > RETENTION_SECONDS
    assert store.get_body("sentry-abc") is not None


def test_secrets_come_from_the_parameter_store(emulator, json_client):
    """A SecureString is decrypted; one that does not exist is None."""
    ssm = client("ssm", emulator)
    prefix = f"/tocsin/test-{os.getpid()}/"
    ssm.put_parameter(Name=f"{prefix}SENTRY", Value="new,old", Type="SecureString", Overwrite=True)
    secrets = Secrets(json_client, prefix, environment={})
    assert secrets.values(["SENTRY", "NONE"]) == ["new", "old"]
    assert secrets.get("NONE") is None
