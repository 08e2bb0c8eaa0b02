"""The store's own client of DynamoDB: bytes, tries, what stood in the way, and several threads at once."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from chalicelib.aws.json_client import UNREACHABLE, AwsError, AwsJsonClient
from chalicelib.aws.table_client import FIRST_PAUSE_SECONDS, TRIES, TableClient, stored_item
from tests.loopback import Aws, served

KEYS = {"AWS_ACCESS_KEY_ID": "AKID", "AWS_SECRET_ACCESS_KEY": "hidden-key"}
ITEM = {"pk": {"S": "a"}, "body": {"B": b"\x00\xff"}, "version": {"N": "1"}}
SENT = {"pk": {"S": "a"}, "body": {"B": "AP8="}, "version": {"N": "1"}}
BUSY = {"__type": "com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException"}
FAILED = {"__type": "com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException", "Item": SENT}


@pytest.fixture
def aws() -> Iterator[Aws]:
    """A server that plays DynamoDB."""
    with served() as server:
        yield server


def client(aws: Aws, pauses: list[float] | None = None) -> TableClient:
    """A client of that server that notes its pauses."""
    small = AwsJsonClient("eu-west-1", environment={**KEYS, "AWS_ENDPOINT_URL": aws.url})
    return TableClient(small, pause=[].append if pauses is None else pauses.append, jitter=lambda: 1.0)


def test_bytes_are_base64_on_the_way_alone(aws: Aws) -> None:
    """Given items with bytes, when they are written and read → the store sees bytes, DynamoDB sees base64."""
    table = client(aws)
    table.put_item(TableName="t", Item=ITEM, ExpressionAttributeValues={":old": {"B": b"\x00\xff"}})
    assert aws.calls[-1][1] == {"TableName": "t", "Item": SENT, "ExpressionAttributeValues": {":old": {"B": "AP8="}}}
    aws.replies |= {
        "GetItem": (200, {"Item": SENT}),
        "Query": (200, {"Items": [SENT], "LastEvaluatedKey": {"pk": {"S": "a"}}}),
        "BatchGetItem": (200, {"Responses": {"t": [SENT]}, "UnprocessedKeys": {}}),
        "UpdateItem": (200, {"Attributes": SENT}),
    }
    assert table.get_item(TableName="t", Key={})["Item"] == ITEM
    assert table.query(TableName="t") == {"Items": [ITEM], "LastEvaluatedKey": {"pk": {"S": "a"}}}
    assert table.batch_get_item(RequestItems={})["Responses"] == {"t": [ITEM]}
    assert table.update_item(TableName="t", Key={})["Attributes"] == ITEM


def test_nothing_is_nothing(aws: Aws) -> None:
    """Given a table without the item → no item, no items, no attributes."""
    table = client(aws)
    assert "Item" not in table.get_item(TableName="t", Key={})
    assert table.query(TableName="t")["Items"] == []
    assert "Attributes" not in table.update_item(TableName="t", Key={})


@pytest.mark.parametrize(
    ("reply", "calls", "code"),
    [
        ((400, BUSY), TRIES, "ProvisionedThroughputExceededException"),
        ((400, {"__type": "x#ThrottlingException"}), TRIES, "ThrottlingException"),
        ((500, {"__type": "x#InternalServerError"}), TRIES, "InternalServerError"),
        ((503, {}), TRIES, "503"),
        ((500, {"__type": "com.amazon.coral.service#InternalFailure"}), TRIES, "InternalFailure"),
        ((400, {"__type": "x#TransactionConflictException"}), TRIES, "TransactionConflictException"),
        (None, TRIES, UNREACHABLE),
        ((400, FAILED), 1, "ConditionalCheckFailedException"),
        ((400, {"__type": "x#ValidationException"}), 1, "ValidationException"),
        ((400, {"__type": "x#AccessDeniedException"}), 1, "AccessDeniedException"),
    ],
)
def test_what_is_busy_is_tried_three_times(aws: Aws, reply: Any, calls: int, code: str) -> None:
    """Given a table that is busy or silent → three tries with growing pauses; what it refuses for good is tried once."""
    aws.replies["PutItem"] = reply
    pauses: list[float] = []
    with pytest.raises(AwsError) as found:
        client(aws, pauses).put_item(TableName="t", Item=ITEM)
    assert (found.value.code, len(aws.calls)) == (code, calls)
    assert pauses == [FIRST_PAUSE_SECONDS * 2**number for number in range(calls - 1)]


@pytest.mark.parametrize(("status", "in_doubt"), [(400, False), (500, True)])
def test_a_table_that_is_well_again_takes_the_call(aws: Aws, status: int, in_doubt: bool) -> None:
    """Given a table that fails once, when a write is tried again → a refusal then says whether the first try may be done."""
    replies = [(status, BUSY), (400, FAILED)]

    def next_reply(action: str) -> None:
        aws.replies[action] = replies.pop(0)

    aws.before = next_reply
    with pytest.raises(AwsError) as found:
        client(aws).put_item(TableName="t", Item=ITEM)
    assert (found.value.in_doubt, stored_item(found.value)) == (in_doubt, ITEM)
    assert len(aws.calls) == 2


def test_threads_that_call_at_once_have_connections_of_their_own(aws: Aws) -> None:
    """Given four threads in the middle of a call each → each gets its own answer, and the connections are kept for later."""
    barrier = threading.Barrier(4, timeout=10)
    aws.before = lambda action: barrier.wait() and None
    table = client(aws)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda name: table.get_item(TableName=name, Key={}), "abcd"))
    assert len({call[3] for call in aws.calls}) == 4
    aws.before = lambda action: None
    known = {call[3] for call in aws.calls}
    for name in "efgh":
        table.get_item(TableName=name, Key={})
    assert {call[3] for call in aws.calls} == known
