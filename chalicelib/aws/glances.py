"""Rows of lists, from the index `worst` (worst_shard, worst_place) that shows the attribute `glance`.

Open incidents are in four shards, in each the worst first. Ended ones are in a shard of their day. An incident that the
version before saved has none of these attributes and is in no shard: the tick finds it, and has it saved once more.
A row has at most 300 bytes, so an entry of the index fits into one write unit, and a read unit holds some twenty.
"""

import heapq
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from chalicelib.aws.json_client import AwsError
from chalicelib.aws.listing import NOT_READY
from chalicelib.aws.table_client import TableClient
from chalicelib.aws.table_errors import table_errors
from chalicelib.core.glance import Glance, urgency
from chalicelib.core.incident import Incident, IncidentStatus
from chalicelib.messages.glances import packed, unpacked

INDEX = "worst"
SHARD, PLACE, SHOWN = "worst_shard", "worst_place", "glance"
FIRST_ROWS = 8
"""So many rows more than its share are asked of each shard first: rarely has one of them more of the worst."""
Item = Mapping[str, Any]


def glance_attributes(incident: Incident, shard: str) -> dict[str, Any]:
    """Return the attributes of an item that the index shows; none of an incident without a row."""
    found = incident.glance
    if found is None or incident.status is IncidentStatus.QUIET:
        return {}
    return {SHARD: {"S": shard}, PLACE: {"S": _place(found)}, SHOWN: {"B": packed(found)}}


def glance_in(item: Item, key: str) -> Glance | None:
    """Return the row of an item."""
    return unpacked(item[SHOWN]["B"], key) if SHOWN in item else None


def _place(each: Glance) -> str:
    if each.ended_at is not None:
        return f"{int(each.ended_at.timestamp()):010d}"
    unowned, held_back, rank, *_ = urgency(each)
    return f"{unowned:d}{held_back:d}{rank}{max(0, int(each.since.timestamp())):010d}"


class DynamoGlances:
    """Reads rows of the index."""

    def __init__(self, client: TableClient, table: str) -> None:
        self._client = client
        self._table = table

    def worst(self, limit: int | None, shards: Sequence[str], days: Sequence[str]) -> tuple[Glance, ...] | None:
        """Return the worst rows of the shards, `limit` at most, and all rows of the days; None without the index."""
        share = None if limit is None else limit // len(shards) + min(limit, FIRST_ROWS)
        with table_errors("the list of incidents"):
            try:
                merged = heapq.merge(*(self._rows(shard, share) for shard in shards), key=lambda each: each[0])
                found = [row for _, row in (merged if limit is None else _first(merged, limit))]
                found += [row for day in days for _, row in self._rows(day, None)]
            except AwsError as error:
                if error.code not in NOT_READY:
                    raise
                return None
        return tuple(found)

    def _rows(self, shard: str, size: int | None) -> Iterator[tuple[str, Glance]]:
        """Yield the rows of a shard with their places. A page of it is read when its first row is asked for."""
        start: dict[str, Any] = {} if size is None else {"Limit": size}
        while True:
            answer = self._client.query(
                TableName=self._table,
                IndexName=INDEX,
                KeyConditionExpression=f"{SHARD} = :shard",
                ExpressionAttributeValues={":shard": {"S": shard}},
                **start,
            )
            for item in answer["Items"]:
                key = item["pk"]["S"].partition("#")[2]
                if (row := glance_in(item, key)) is not None:
                    yield item[PLACE]["S"], row
            if not (end := answer.get("LastEvaluatedKey")):
                return
            start["ExclusiveStartKey"] = end


def _first(rows: Iterator[tuple[str, Glance]], limit: int) -> Iterator[tuple[str, Glance]]:
    for _, row in zip(range(limit), rows, strict=False):
        yield row
