"""Incidents in short, from the index `open` (wake_shard, pk) that shows the attribute `summary`.

Its entries are those of the index `wake`, but in the order of the keys: a changed timer moves none of them and writes
nothing. So a page begins after a key, whatever has changed since the page before. Items that the version before saved
are in it without a summary, and are read. A table to which the index is still being added is listed by `wake`, and
every item is read: that is what the version before does.
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/GSI.OnlineOps.html
"""

import json
import zlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from chalicelib.aws.json_client import AwsError
from chalicelib.aws.table_client import TableClient
from chalicelib.aws.table_errors import table_errors
from chalicelib.core.alert import AlertState, Origin
from chalicelib.core.event import Severity
from chalicelib.core.incident import Incident, IncidentStatus
from chalicelib.core.summary import AlertSummary, Summary, SummaryPage, summary_of, without_alerts
from chalicelib.messages import codec

Item = Mapping[str, Any]
INDEX, WAKE = "open", "wake"
SHOWN = "summary"
NOT_READY = frozenset({"AccessDeniedException", "ResourceNotFoundException", "ValidationException"})
"""How the table refuses an index that is not there, is being filled, or that the function may not read yet."""
FORM = 1
"""Of a stored summary. Another form has another number."""
MAX_SUMMARY_BYTES = 700
"""An entry of the index then fits into one write unit of 1 KB, with its keys."""
ARCHIVED = "ended#"
"""How the keys of archived incidents begin."""


def summary_attribute(incident: Incident) -> dict[str, Any]:
    """Return the attribute of an item that the index shows."""
    summary = summary_of(incident)
    data = packed(summary)
    if len(data) > MAX_SUMMARY_BYTES:
        data = packed(without_alerts(summary))
    return {SHOWN: {"B": data}}


def packed(summary: Summary) -> bytes:
    """Return a summary as it is stored: a list of its values, which is read in a third of the time of named ones."""
    alerts = [
        (each.fingerprint, each.state, each.severity, each.labels, each.event_name, each.shown, each.origin)
        for each in summary.alerts
    ]
    at = None if summary.at is None else summary.at.timestamp()
    values = (FORM, summary.key, summary.id, summary.status, summary.severity, at, summary.cut, summary.waits, alerts)
    text = json.dumps(values, separators=(",", ":"), ensure_ascii=False)
    return zlib.compress(text.encode("utf-8", "surrogatepass"), 1)


def unpacked(data: bytes) -> Summary | None:
    """Return the summary that was stored; None for one of a later version, whose incident is read."""
    form, *values = json.loads(zlib.decompress(data).decode("utf-8", "surrogatepass"))
    if form != FORM:
        return None
    key, id, status, severity, at, cut, waits, alerts = values
    return Summary(
        key=key,
        id=id,
        status=IncidentStatus(status),
        severity=Severity(severity),
        at=None if at is None else datetime.fromtimestamp(at, UTC),
        alerts=tuple(map(_alert, alerts)),
        cut=cut,
        waits=waits,
    )


def _alert(values: Sequence[Any]) -> AlertSummary:
    fingerprint, state, severity, labels, event_name, shown, origin = values
    return AlertSummary(fingerprint, AlertState(state), Severity(severity), labels, event_name, shown, Origin(origin))


class DynamoListing:
    """Reads pages of summaries. `read` reads items by their partition keys, consistently."""

    def __init__(self, client: TableClient, table: str, *, read: Callable[[Collection[str]], Iterable[Item]]) -> None:
        self._client = client
        self._table = table
        self._read = read

    def page(self, after: str, shards: Sequence[str], limit: int) -> SummaryPage:
        """Return the page of these shards that begins after a place, `""` for the first."""
        place = _Place.read(after) if after else _Place(INDEX, shards[0])
        with table_errors("the list of incidents"):
            try:
                items, end = self._queried(place, limit)
            except AwsError as error:
                if place.index != INDEX or error.code not in NOT_READY:
                    raise
                place = _Place(WAKE, place.shard)
                items, end = self._queried(place, limit)
        return SummaryPage(tuple(self._summaries(items)), _next(place, end, shards))

    def _queried(self, place: "_Place", limit: int) -> tuple[Sequence[Item], Item]:
        start = {"ExclusiveStartKey": place.key()} if place.pk else {}
        answer = self._client.query(
            TableName=self._table,
            IndexName=place.index,
            KeyConditionExpression="wake_shard = :shard",
            ExpressionAttributeValues={":shard": {"S": place.shard}},
            Limit=limit,
            **start,
        )
        return answer["Items"], answer.get("LastEvaluatedKey") or {}

    def _summaries(self, items: Sequence[Item]) -> Iterator[Summary]:
        shown = {item["pk"]["S"]: unpacked(item[SHOWN]["B"]) if SHOWN in item else None for item in items}
        unknown = [pk for pk, summary in shown.items() if summary is None]
        for item in self._read(unknown):
            shown[item["pk"]["S"]] = summary_of(codec.unpack(Incident, item["body"]["B"]))
        for pk, summary in shown.items():
            if summary is not None:
                yield replace(summary, archived=True) if pk.startswith(ARCHIVED) else summary


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a page begins: in a shard of an index, after a key; `wake_at` is that of the key in the index `wake`."""

    index: str
    shard: str
    wake_at: str = "-"
    pk: str = ""

    @classmethod
    def read(cls, text: str) -> "_Place":
        return cls(*text.split(" ", 3))

    def written(self) -> str:
        return " ".join((self.index, self.shard, self.wake_at, self.pk))

    def key(self) -> dict[str, Any]:
        """Return the key of the index's entry after which the page begins."""
        timer = {"wake_at": {"N": self.wake_at}} if self.index == WAKE else {}
        return {"wake_shard": {"S": self.shard}, "pk": {"S": self.pk}, "sk": {"S": "incident"}, **timer}


def _next(place: _Place, end: Item, shards: Sequence[str]) -> str:
    """Return where the next page begins: after the end of this one, else with the next shard."""
    if end:
        wake_at = end["wake_at"]["N"] if place.index == WAKE else "-"
        return _Place(place.index, place.shard, wake_at, end["pk"]["S"]).written()
    following = shards[shards.index(place.shard) + 1 :] if place.shard in shards else ()
    return _Place(INDEX, following[0]).written() if following else ""
