"""DynamoDB by the small client: the calls of the store, with boto3's names and values, for a quarter of the CPU time.

A call is tried three times when the table is busy or does not answer, with a pause in between that grows and varies. A write
whose answer was lost may have been done, one that was throttled was not: `AwsError.in_doubt` is true for the first, whatever came between.
https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/CommonErrors.html
"""

from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from random import uniform
from typing import Any

from chalicelib.aws.json_client import UNREACHABLE, AwsError, AwsJsonClient

TRIES = 3
FIRST_PAUSE_SECONDS = 0.05
BUSY = frozenset(
    {
        UNREACHABLE,
        "InternalServerError",
        "LimitExceededException",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "ServiceUnavailable",
        "ThrottlingException",
        "TransactionConflictException",
        "TransactionInProgressException",
    }
)
"""The table may take the same call a moment later; and after every answer with a status of 500 and more, whatever it is called."""

Item = Mapping[str, Mapping[str, Any]]


def _at_once(seconds: float) -> None:
    """Wait for nothing."""


def _half_to_whole() -> float:
    return uniform(0.5, 1.0)


class TableClient:
    """Safe for several threads. `pause` waits so many seconds, wiring gives the real one; `jitter` is the share that is waited."""

    def __init__(
        self,
        client: AwsJsonClient,
        *,
        pause: Callable[[float], None] = _at_once,
        jitter: Callable[[], float] = _half_to_whole,
    ) -> None:
        self._client = client
        self._pause = pause
        self._jitter = jitter

    def get_item(self, **call: Any) -> dict[str, Any]:
        """Return the item under `Item`; nothing where there is none."""
        answer = self._call("GetItem", call)
        return {**answer, "Item": _read(answer["Item"])} if "Item" in answer else answer

    def put_item(self, **call: Any) -> dict[str, Any]:
        """Store an item, under a condition if there is one."""
        return self._call("PutItem", {**call, "Item": _written(call["Item"])})

    def update_item(self, **call: Any) -> dict[str, Any]:
        """Change an item. Return its `Attributes`, if they were asked for."""
        answer = self._call("UpdateItem", call)
        return {**answer, "Attributes": _read(answer["Attributes"])} if "Attributes" in answer else answer

    def query(self, **call: Any) -> dict[str, Any]:
        """Return a page of items under `Items`."""
        answer = self._call("Query", call)
        return {**answer, "Items": [_read(item) for item in answer.get("Items", ())]}

    def batch_get_item(self, **call: Any) -> dict[str, Any]:
        """Return the items of several keys by table under `Responses`, and the keys that were left."""
        answer = self._call("BatchGetItem", call)
        responses = {table: [_read(item) for item in items] for table, items in answer.get("Responses", {}).items()}
        return {**answer, "Responses": responses}

    def _call(self, action: str, call: Mapping[str, Any]) -> dict[str, Any]:
        if "ExpressionAttributeValues" in call:
            call = {**call, "ExpressionAttributeValues": _written(call["ExpressionAttributeValues"])}
        in_doubt = False
        for tries in range(1, TRIES + 1):
            try:
                return self._client.call("dynamodb", action, call)
            except AwsError as error:
                error.in_doubt = in_doubt = in_doubt or error.in_doubt
                if tries == TRIES or not _is_busy(error):
                    raise
            self._pause(self._jitter() * FIRST_PAUSE_SECONDS * 2 ** (tries - 1))
        raise AssertionError("the last try returns or raises")


def stored_item(error: AwsError) -> dict[str, Any]:
    """Return the item that stood in the way of a conditional write, as ReturnValuesOnConditionCheckFailure gives it."""
    return _read(error.answer.get("Item") or {})


def _is_busy(error: AwsError) -> bool:
    return error.code in BUSY or error.status >= 500


def _written(item: Item) -> dict[str, Any]:
    """Return an item as JSON holds it: bytes as base64."""
    return {name: {"B": _text(value["B"])} if "B" in value else value for name, value in item.items()}


def _text(data: bytes) -> str:
    return b64encode(data).decode("ascii")


def _read(item: Item) -> dict[str, Any]:
    return {name: {"B": b64decode(value["B"])} if "B" in value else value for name, value in item.items()}
