"""Our small calls against an AWS that checks them: queue, bodies and secrets on the emulator."""

import json
import os
import random
from datetime import timedelta

import pytest

from chalicelib.aws.bodies import BodyWriter
from chalicelib.aws.dynamodb import DynamoStore
from chalicelib.aws.json_client import AwsError, Lean
from chalicelib.aws.queue import SqsQueue
from chalicelib.aws.secrets import Secrets
from chalicelib.messages.webhook import compressed
from tests.aws.tables import KEY, client, new_table


@pytest.fixture
def lean(emulator):
    """A caller of the emulator, patient, since tests share the machine."""
    return Lean("us-east-1", environment={**KEY.environment(), "AWS_ENDPOINT_URL": emulator}, timeout_seconds=10)


@pytest.fixture
def sqs(emulator):
    """What AWS's own SDK sees."""
    return client("sqs", emulator)


@pytest.fixture
def queue(lean, sqs, request):
    """A new queue, with its address as the SDK knows it."""
    name = f"q-{os.getpid()}-{abs(hash(request.node.name)) % 10**8}"
    url = sqs.create_queue(QueueName=name)["QueueUrl"]
    return SqsQueue(lean, name), url


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
    ours.park("body", "unreadable: é")
    (message,) = received(sqs, url)
    assert message["Body"] == "body"
    assert message["MessageAttributes"]["reason"]["StringValue"] == "unreadable: é"


def test_a_missing_queue_is_named(lean):
    """The error says which queue and AWS's word for it."""
    with pytest.raises(AwsError, match="nowhere") as raised:
        SqsQueue(lean, "nowhere", account="000000000000").put(["x"])
    assert "NonExistent" in raised.value.code or "DoesNotExist" in raised.value.code


def test_a_large_body_comes_back_from_the_table(emulator, lean):
    """Chunks written by the ingest path are read by the worker's store; a missing chunk is no body."""
    dynamodb = client("dynamodb", emulator)
    table = new_table(dynamodb)
    store = DynamoStore(dynamodb, table)
    body = json.dumps({"noise": random.Random(2).randbytes(900_000).hex()}).encode()
    writer = BodyWriter(lean, table, clock=lambda: 4_000_000_000.0)
    for _ in range(2):
        writer.keep("sentry-abc", compressed(body))
    assert store.get_body("sentry-abc") == body
    dynamodb.delete_item(TableName=table, Key={"pk": {"S": "body#sentry-abc"}, "sk": {"S": "001"}})
    assert store.get_body("sentry-abc") is None


def test_secrets_come_from_the_parameter_store(emulator, lean):
    """A SecureString is decrypted; one that does not exist is None."""
    ssm = client("ssm", emulator)
    prefix = f"/tocsin/test-{os.getpid()}/"
    ssm.put_parameter(Name=f"{prefix}SENTRY", Value="new,old", Type="SecureString", Overwrite=True)
    secrets = Secrets(lean, prefix, environment={})
    assert secrets.values(["SENTRY", "NONE"]) == ["new", "old"]
    assert secrets.get("NONE") is None
