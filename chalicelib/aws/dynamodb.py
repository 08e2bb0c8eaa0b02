"""The Store in one DynamoDB table.

    pk                 sk          what                                        more
    incident#<key>     incident    the newest incident of a group key          version, wake_shard, wake_at
    ended#<id>         incident    one that another replaced under its key     version, wake_shard, wake_at
    timeline#<id>      <number>    older lines of an incident's timeline
    thread#<key>       thread      deliveries of one incident to one target    version
    lane#<target>      lane        claims, pace and health of one target       version
    context            context     silences, causes, deploys                   version
    history#<day>      <name>      what happened, for trying changed rules     body alone
    stage-counts       counts      what the stage counted of its own work      version
    minute#<name>      minute      the minute that a schedule ran last         at, by
    related#<name>     <key>       an incident that a cause may mute           nothing
    fault#, id#                    where faults and incidents are              identity.py
    body#<name>        <number>    a webhook body too large for a message      chunks, processed

Each value is one binary attribute `body` (`codec.pack`), so a save is one conditional write whatever it holds; an item
has at most 400 KB. Index `wake` (wake_shard, wake_at, keys only) serves two questions: which timers are due
(`open#<0-3>`, four shards so that a storm does not meet on one key; an open incident without a timer sleeps at
NEVER), and what ended lately (`ended#<day>`). The index follows the table within a second or so, never at once: it
gives keys only, the values are then read consistently, and the decision judges by those. Index `open` (wake_shard, pk,
shows `summary`) lists the same incidents in short, in the order of their keys: `listing.py`. Index `worst` (worst_shard,
worst_place, shows `glance`) lists the rows of open incidents, the worst first, and of ended ones by their day: `glances.py`.

Costs, for a body of up to 1 KB a write unit each, plus the indexes: save 1 write (2 with an archive), 1 or 2 small index
writes when the timer changed, 1 when the summary did, and 1 when the row did (2 when its place did); save_delivery_log,
save_target_state, save_tokens and save_context 1 write;
load, delivery_log, target_state, tokens and context one consistent read unit per 4 KB; waking 4 queries; incidents 4 queries, one for
each day asked, and one read for each incident; a page of summaries 1 query, a read unit for some 40 incidents.

Ended incidents, those that never began and pages of timelines stay 90 days after their last change, delivery logs
and states of targets 400 days; `expires_at` only
cleans up and never decides, which is why the worker's clock is good enough for it.
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/ServiceQuotas.html
"""

import os
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from random import uniform
from typing import Any
from zlib import crc32

from chalicelib.aws import body_store
from chalicelib.aws.glances import DynamoGlances, glance_attributes, glance_in
from chalicelib.aws.identity import DynamoIdentity
from chalicelib.aws.json_client import AwsError
from chalicelib.aws.listing import DynamoListing, summary_attribute
from chalicelib.aws.remembered import Remembered
from chalicelib.aws.samples import DynamoSamples
from chalicelib.aws.table_client import TableClient, stored_item
from chalicelib.aws.table_errors import CONFLICT, table_errors
from chalicelib.core.context import Context
from chalicelib.core.delivery.delivery_log import DeliveryLog
from chalicelib.core.delivery.target_state import TargetState
from chalicelib.core.errors import ConflictError, NotStoredError, ProcessedError
from chalicelib.core.glance import Glance
from chalicelib.core.identity import End, Fault, Holder
from chalicelib.core.incident import Entry, Incident, IncidentStatus, is_listed
from chalicelib.core.metrics.sample import Bucket, Sample
from chalicelib.core.stage_counts import StageCounts
from chalicelib.core.summary import PAGE, Summary, SummaryPage
from chalicelib.core.tokens import Tokens
from chalicelib.messages import codec
from chalicelib.messages.webhook import uncompressed

INDEX = "wake"
READABLE = {"thread": "delivery log", "lane": "target state"}
"""What errors call items whose stored names are those of earlier versions."""
MARK = "mark#"
COUNTS = "stage-counts"
SHARDS = 4
OPEN_SHARDS = [f"open#{shard}" for shard in range(SHARDS)]
NEVER = 99_999_999_999
MAX_ITEM_BYTES = 390_000
ENDED_KEPT = timedelta(days=90)
HISTORY_KEPT = timedelta(days=35)
THREAD_KEPT = timedelta(days=400)
MAX_BATCH_KEYS = 100
FIRST_PAUSE_SECONDS, MAX_PAUSE_SECONDS = 0.05, 1.0
"""Before keys that the table left are asked for again: doubled after each read in vain, and half as long at least."""
MAX_PAUSED_SECONDS = 10.0
"""After so many seconds of pauses a read is given up: its message comes back, and the worker is free for another."""
GIVEN_UP_SECONDS, SHORT_PAUSED_SECONDS = 30.0, 0.5
"""So long after a read that was given up, others are after this: a worker that makes several of them lives for a minute."""


def _half_to_whole() -> float:
    return uniform(0.5, 1.0)


def _at_once(seconds: float) -> None:
    """Wait for nothing."""


class DynamoStore:
    """`client` makes the calls. `clock` gives seconds since the epoch, for clean-up dates only.

    `pause` waits so many seconds before what the table left unread is asked for again; wiring gives the real one.
    """

    def __init__(
        self,
        client: TableClient,
        table: str,
        *,
        clock: Callable[[], float] = time.time,
        pause: Callable[[float], None] = _at_once,
        jitter: Callable[[], float] = _half_to_whole,
    ) -> None:
        self._client = client
        self._table = table
        self._clock = clock
        self._pause = pause
        self._jitter = jitter
        self._given_up_until = float("-inf")
        self._values = Remembered()
        self._samples = DynamoSamples(table=table, client=client)
        self._listing = DynamoListing(client, table, read=lambda names: self._read_items(names, "incident"))
        self._glances = DynamoGlances(client, table)
        self._identity = DynamoIdentity(client, table, clock=clock, read=self._read_items)

    def load(self, key: str) -> Incident | None:
        """Return the newest incident of a group key, ended or not."""
        return self._incident(self._get(f"incident#{key}", "incident"))

    def save(self, incident: Incident, *, archive: Incident | None = None) -> None:
        """Store the incident under a version condition, the archived one first under its own id.

        A worker that dies between the two leaves the ended one stored twice, with one id: `incidents` shows it once.
        """
        if archive is not None:
            self._archive(archive)
        item = {**_keys(f"incident#{incident.key}", "incident"), **self._incident_item(incident)}
        self._put(item, incident.version, f"incident {incident.id}")

    def load_all(self, keys: Collection[str]) -> Mapping[str, Incident]:
        """Return the newest incidents of these group keys, those that are stored."""
        items = self._read_items([f"incident#{key}" for key in keys], "incident")
        return {found.key: found for item in items if (found := self._incident(item)) is not None}

    def faults(self, names: Collection[str]) -> Mapping[str, Fault]:
        """Return what is stored of these faults; nothing for one that is not stored."""
        return self._identity.faults(names)

    def claim(self, name: str, slot: str, holder: Holder, *, over: Holder | None) -> Fault:
        """Store a holder in a slot of a fault if the slot is empty or still has `over`. Return the fault as it is then."""
        return self._identity.claim(name, slot, holder, over=over)

    def end_fault(self, name: str, end: End) -> Fault:
        """Remember an end that no incident knows the fault of. Return the fault as it is then."""
        return self._identity.end_fault(name, end)

    def located(self, name: str) -> str | None:
        """Return the group key of the incident with this id or alias; None for an unknown one."""
        return self._identity.located(name)

    def locate(self, names: Collection[str], key: str) -> None:
        """Remember the group key of an incident's id and aliases, for 90 days."""
        self._identity.locate(names, key)

    def related(self, names: Collection[str]) -> Collection[str]:
        """Return the keys of the incidents that were related to one of these names."""
        found: set[str] = set()
        for name in names:
            pages = self._pages(
                "relations",
                ConsistentRead=True,
                KeyConditionExpression="pk = :pk",
                ExpressionAttributeValues={":pk": {"S": f"related#{name}"}},
                ProjectionExpression="sk",
            )
            found.update(item["sk"]["S"] for page in pages for item in page["Items"])
        return found

    def relate(self, names: Collection[str], key: str) -> None:
        """Remember for 90 days that an incident has to do with these names."""
        for name in names:
            with table_errors("a relation"):
                item = {**_keys(f"related#{name}", key), **self._expiry(ENDED_KEPT)}
                self._client.put_item(TableName=self._table, Item=item)

    def archived(self, id: str) -> Incident | None:
        """Return the ended incident of that id, once another one has replaced it under its key."""
        return self._incident(self._get(f"ended#{id}", "incident"))

    def archives(self, ids: Collection[str]) -> Mapping[str, Incident]:
        """Return the archived incidents of these ids, by id, those that are stored."""
        return {found.id: found for found in self._read_all([f"ended#{id}" for id in ids])}

    def amend(self, incident: Incident) -> None:
        """Store an archived incident anew, under a version condition."""
        item = {**_keys(f"ended#{incident.id}", "incident"), **self._ended_item(incident)}
        self._put(item, incident.version, f"the archived incident {incident.id}")

    def keep_timeline(self, id: str, number: int, entries: Sequence[Entry]) -> None:
        """Keep a page of an incident's older lines for 90 days; the same page twice is one."""
        body = {"body": {"B": codec.pack(_Page(tuple(entries)))}}
        item = {**_keys(f"timeline#{id}", f"{number:06d}"), **body, **self._expiry(ENDED_KEPT)}
        with table_errors("a page of a timeline"):
            self._client.put_item(TableName=self._table, Item=item)

    def timeline(self, id: str) -> Sequence[Entry]:
        """Return the lines of an incident's pages, oldest page first."""
        pages = self._pages(
            "a timeline",
            ConsistentRead=True,
            KeyConditionExpression="pk = :pk",
            ExpressionAttributeValues={":pk": {"S": f"timeline#{id}"}},
        )
        packed = [item["body"]["B"] for page in pages for item in page["Items"]]
        return [entry for body in packed for entry in codec.unpack(_Page, body).entries]

    def waking(self, now: datetime, limit: int) -> Sequence[tuple[datetime, str]]:
        """Return `wake_at` and key of the incidents whose timer is not after `now`, the most overdue first."""
        due = [entry for shard in OPEN_SHARDS for entry in self._indexed(shard, until=now, limit=limit)]
        due.sort()
        return [(datetime.fromtimestamp(at, UTC), pk.partition("#")[2]) for at, pk in due[:limit]]

    def incidents(self, *, ended_since: datetime | None = None, quiet: bool = False) -> Iterable[Incident]:
        """Return the open incidents, those that ended after `ended_since` (90 days at most), and with `quiet` those that wait."""
        shards = [*OPEN_SHARDS]
        if ended_since is not None:
            shards += _days(ended_since, datetime.fromtimestamp(self._clock(), UTC))
        names = dict.fromkeys(pk for shard in shards for _, pk in self._indexed(shard))
        found = {each.id or each.key: each for each in self._read_all(list(names))}
        return [each for each in found.values() if is_listed(each, ended_since, quiet=quiet)]

    def summaries(self, after: str = "", *, ended_since: datetime | None = None, limit: int = PAGE) -> SummaryPage:
        """Return a page of the incidents that are open or wait, in short; then of those that ended since that day."""
        now = datetime.fromtimestamp(self._clock(), UTC)
        shards = OPEN_SHARDS + (_days(ended_since, now) if ended_since is not None else [])
        return self._listing.page(after, shards, limit)

    def worst(self, limit: int | None = None, *, ended_since: datetime | None = None) -> Sequence[Glance] | None:
        """Return the rows of open incidents, the worst first, `limit` at most; then of all that ended since that day."""
        now = datetime.fromtimestamp(self._clock(), UTC)
        days = _days(ended_since, now) if ended_since is not None else []
        return self._glances.worst(limit, OPEN_SHARDS, days)

    def ended_on(self, days: Collection[date], limit: int) -> Sequence[Summary]:
        """Return incidents that ended on these days (UTC) in short, `limit` at most of each day."""
        shards = [_day(each) for each in sorted(days)]
        return [each for shard in shards for each in self._listing.page("", [shard], limit).summaries]

    def context(self) -> Context:
        """Return what every decision looks at; an empty one when nothing is stored."""
        item = self._get("context", "context")
        return Context() if item is None else self._values.unpack(Context, item["body"]["B"])

    def save_context(self, context: Context) -> None:
        """Store it under a version condition."""
        self._put({**_keys("context", "context"), **_value(context)}, context.version, "the context")

    def tokens(self) -> Tokens:
        """Return the named tokens of the API; none when nothing is stored."""
        item = self._get("tokens", "tokens")
        return Tokens() if item is None else self._values.unpack(Tokens, item["body"]["B"])

    def save_tokens(self, tokens: Tokens) -> None:
        """Store them under a version condition."""
        self._put({**_keys("tokens", "tokens"), **_value(tokens)}, tokens.version, "the tokens")

    def delivery_log(self, key: str) -> DeliveryLog:
        """Return the delivery log of that key; a fresh one when nothing is stored."""
        item = self._get(f"thread#{key}", "thread")
        return DeliveryLog(key) if item is None else self._values.unpack(DeliveryLog, item["body"]["B"])

    def delivery_logs(self, keys: Collection[str]) -> Mapping[str, DeliveryLog]:
        """Return the delivery logs of these keys, by key, those that are stored."""
        items = self._read_items([f"thread#{key}" for key in keys], "thread")
        logs = (self._values.unpack(DeliveryLog, item["body"]["B"]) for item in items)
        return {each.key: each for each in logs}

    def save_delivery_log(self, delivery_log: DeliveryLog) -> None:
        """Store it under a version condition."""
        item = {**_keys(f"thread#{delivery_log.key}", "thread"), **_value(delivery_log), **self._expiry(THREAD_KEPT)}
        self._put(item, delivery_log.version, "a delivery log")

    def target_state(self, key: str) -> TargetState:
        """Return the state of a target, by its key; a fresh one when nothing is stored."""
        item = self._get(f"lane#{key}", "lane")
        return TargetState(key) if item is None else self._values.unpack(TargetState, item["body"]["B"])

    def target_states(self, keys: Collection[str]) -> Mapping[str, TargetState]:
        """Return the states of these targets, by key, those that are stored."""
        items = self._read_items([f"lane#{key}" for key in keys], "lane")
        states = (self._values.unpack(TargetState, item["body"]["B"]) for item in items)
        return {each.key: each for each in states}

    def save_target_state(self, target_state: TargetState) -> None:
        """Store it under a version condition."""
        item = {**_keys(f"lane#{target_state.key}", "lane"), **_value(target_state), **self._expiry(THREAD_KEPT)}
        self._put(item, target_state.version, "the state of a target")

    def add_samples(self, samples: Sequence[Sample]) -> None:
        """Remember measured values; the same sample twice counts once."""
        self._samples.add_samples(samples)

    def label_sets(self, metric: str) -> Sequence[Mapping[str, str]]:
        """Return the label sets under which the metric was measured in the last day."""
        found: Sequence[Mapping[str, str]] = self._samples.label_sets(metric)
        return found

    def buckets(self, metric: str, labels: Mapping[str, str], since: datetime, until: datetime) -> Sequence[Bucket]:
        """Return the series' buckets with since < last_at <= until, oldest first."""
        found: Sequence[Bucket] = self._samples.buckets(metric, labels, since, until)
        return found

    def claim_minute(self, name: str, at: datetime) -> bool:
        """Claim a minute of a schedule for one run. Return False when another run has it, or a later minute.

        The client may have tried twice after a lost answer: by the mark `by` a run knows the minute that it has claimed itself.
        """
        minute, mark = {"N": str(int(at.timestamp()))}, {"S": os.urandom(12).hex()}
        with table_errors("the minute of a schedule"):
            try:
                self._client.put_item(
                    TableName=self._table,
                    Item={**_keys(f"minute#{name}", "minute"), "at": minute, "by": mark},
                    ConditionExpression="attribute_not_exists(pk) OR #at < :at",
                    ExpressionAttributeNames={"#at": "at"},
                    ExpressionAttributeValues={":at": minute},
                    ReturnValuesOnConditionCheckFailure="ALL_OLD",
                )
            except AwsError as error:
                if error.code != CONFLICT:
                    raise
                return error.in_doubt and stored_item(error).get("by") == mark
        return True

    def put_mark(self, name: str, text: str) -> None:
        """Keep a short text under a name. The last one stays, whoever wrote it."""
        with table_errors("a mark"):
            self._client.put_item(TableName=self._table, Item={**_keys(f"{MARK}{name}", "mark"), "text": {"S": text}})

    def marks(self, names: Collection[str]) -> Mapping[str, str]:
        """Return the texts that are kept under these names, by name."""
        items = self._read_items([f"{MARK}{name}" for name in names], "mark")
        return {item["pk"]["S"].removeprefix(MARK): item["text"]["S"] for item in items}

    def stage_counts(self) -> StageCounts:
        """Return what the stage has counted of its own work; nothing where nothing is stored."""
        item = self._get(COUNTS, "counts")
        return StageCounts() if item is None else codec.unpack(StageCounts, item["body"]["B"])

    def save_stage_counts(self, counts: StageCounts) -> None:
        """Store them under a version condition."""
        self._put({**_keys(COUNTS, "counts"), **_value(counts)}, counts.version, "the counts of the stage")

    def keep_history(self, day: str, name: str, data: bytes) -> None:
        """Keep an item of a day's history for 35 days; the same item twice is one."""
        item = {**_keys(f"history#{day}", name), "body": {"B": data}, **self._expiry(HISTORY_KEPT)}
        with table_errors("history"):
            self._client.put_item(TableName=self._table, Item=item)

    def history(self, day: str, after: str) -> tuple[str, bytes] | None:
        """Return the first item of a day whose name comes after."""
        values = {":pk": {"S": f"history#{day}"}, ":after": {"S": after or " "}}
        condition = "pk = :pk AND sk > :after"
        with table_errors("history"):
            answer = self._client.query(
                TableName=self._table,
                KeyConditionExpression=condition,
                ExpressionAttributeValues=values,
                Limit=1,
                ConsistentRead=True,
            )
        items = answer["Items"]
        return (items[0]["sk"]["S"], bytes(items[0]["body"]["B"])) if items else None

    def get_body(self, name: str) -> bytes | None:
        """Return the body of a webhook that was too large for a message; None unless all of it is there."""
        pages = self._pages(
            "a stored body",
            ConsistentRead=True,
            KeyConditionExpression="pk = :pk",
            ExpressionAttributeValues={":pk": {"S": body_store.key(name)}},
        )
        items = [item for page in pages for item in page["Items"]]
        if any("processed" in item for item in items):
            raise ProcessedError(f"the webhook of the stored body {name} was processed")
        if not items or len(items) != int(items[0]["chunks"]["N"]):
            return None
        return uncompressed(b"".join(bytes(item["body"]["B"]) for item in items))

    def drop_body(self, name: str) -> None:
        """Overwrite every chunk by a mark without content, the first one first; NotStoredError when some may be left.

        A second call overwrites the marks, and the chunks that a first one may have left.
        """
        chunks = self._body_chunks(name)
        mark = {
            "chunks": {"N": str(chunks)},
            "processed": {"BOOL": True},
            "expires_at": body_store.expiry(self._clock()),
        }
        with table_errors("a processed body"):
            for number in range(chunks):
                self._client.put_item(TableName=self._table, Item={**body_store.keys(name, number), **mark})

    def extend_body(self, name: str) -> None:
        """Let every chunk expire as long from now as a new one does. NotStoredError when the table refuses."""
        with table_errors("a dead-lettered body"):
            for number in range(self._body_chunks(name)):
                self._client.update_item(
                    TableName=self._table,
                    Key=body_store.keys(name, number),
                    UpdateExpression="SET expires_at = :at",
                    ConditionExpression="attribute_exists(pk)",
                    ExpressionAttributeValues={":at": body_store.expiry(self._clock())},
                )

    def _body_chunks(self, name: str) -> int:
        """Return how many chunks a body has, or had before it was dropped; 0 when there is none."""
        with table_errors("a stored body"):
            item = self._client.get_item(
                TableName=self._table, Key=body_store.keys(name, 0), ProjectionExpression="chunks", ConsistentRead=True
            ).get("Item")
        return int(item["chunks"]["N"]) if item else 0

    def _archive(self, incident: Incident) -> None:
        """Store an ended incident under its own id; what is stored is left alone unless it is older."""
        item = {**_keys(f"ended#{incident.id}", "incident"), **self._ended_item(incident)}
        with table_errors("the archive"):
            try:
                self._client.put_item(
                    TableName=self._table,
                    Item=item,
                    ConditionExpression="attribute_not_exists(pk) OR version < :version",
                    ExpressionAttributeValues={":version": {"N": str(incident.version)}},
                )
            except AwsError as error:
                if error.code != CONFLICT:
                    raise

    def _incident(self, item: Mapping[str, Any] | None) -> Incident | None:
        if item is None:
            return None
        found = self._values.unpack(Incident, item["body"]["B"])
        row = glance_in(item, found.key)
        return found if row is None else replace(found, glance=row)

    def _incident_item(self, incident: Incident) -> dict[str, Any]:
        if incident.wake_at is None and incident.status is IncidentStatus.ENDED:
            return self._ended_item(incident)
        item = _value(replace(incident, glance=None))
        if incident.wake_at is not None or incident.status is IncidentStatus.OPEN:
            at = NEVER if incident.wake_at is None else incident.wake_at.timestamp()
            shard = crc32(incident.key.encode("utf-8", "surrogatepass")) % SHARDS
            item |= _index(f"open#{shard}", at) | summary_attribute(incident)
        if incident.status is IncidentStatus.OPEN:
            item |= glance_attributes(incident, item["wake_shard"]["S"])
        return item if incident.status is IncidentStatus.OPEN else {**item, **self._expiry(ENDED_KEPT)}

    def _ended_item(self, incident: Incident) -> dict[str, Any]:
        ended_at = incident.episode.ended_at or datetime.fromtimestamp(self._clock(), UTC)
        day = f"ended#{ended_at.astimezone(UTC):%Y-%m-%d}"
        shown = {**_index(day, ended_at.timestamp()), **summary_attribute(incident), **glance_attributes(incident, day)}
        return {**_value(replace(incident, glance=None)), **shown, **self._expiry(ENDED_KEPT)}

    def _expiry(self, kept: timedelta) -> dict[str, Any]:
        return {"expires_at": {"N": str(int(self._clock() + kept.total_seconds()))}}

    def _get(self, pk: str, sk: str) -> dict[str, Any] | None:
        with table_errors(f"the {READABLE.get(sk, sk)}"):
            answer = self._client.get_item(TableName=self._table, Key=_keys(pk, sk), ConsistentRead=True)
        item: dict[str, Any] | None = answer.get("Item")
        return item

    def _put(self, item: Mapping[str, Any], version: int, what: str) -> None:
        """Write the item if the stored version is the one before; nothing stored counts as version 0.

        The client may have tried twice after a lost answer: a refused write that is found to be ours has succeeded.
        """
        condition: dict[str, Any] = {"ConditionExpression": "attribute_not_exists(pk)"}
        if version > 1:
            condition = {
                "ConditionExpression": "version = :before",
                "ExpressionAttributeValues": {":before": {"N": str(version - 1)}},
            }
        with table_errors(what):
            try:
                self._client.put_item(
                    TableName=self._table, Item=item, ReturnValuesOnConditionCheckFailure="ALL_OLD", **condition
                )
            except AwsError as error:
                if error.code != CONFLICT:
                    raise
                if error.in_doubt and _same(stored_item(error), item):
                    return
                raise ConflictError(f"{what}: version {version - 1} is not what is stored") from None

    def _indexed(
        self, shard: str, *, until: datetime | None = None, limit: int | None = None
    ) -> Iterator[tuple[float, str]]:
        values: dict[str, Any] = {":shard": {"S": shard}}
        condition = "wake_shard = :shard"
        if until is not None:
            values[":until"] = {"N": _number(until.timestamp())}
            condition += " AND wake_at <= :until"
        asked: dict[str, Any] = {"IndexName": INDEX} if limit is None else {"IndexName": INDEX, "Limit": limit}
        given = 0
        for page in self._pages("timers", KeyConditionExpression=condition, ExpressionAttributeValues=values, **asked):
            for item in page["Items"]:
                yield float(item["wake_at"]["N"]), item["pk"]["S"]
                given += 1
            if limit is not None and given >= limit:
                return

    def _pages(self, what: str, **query: Any) -> Iterator[Any]:
        start: dict[str, Any] = {}
        while True:
            with table_errors(what):
                page = self._client.query(TableName=self._table, **query, **start)
            yield page
            if "LastEvaluatedKey" not in page:
                return
            start = {"ExclusiveStartKey": page["LastEvaluatedKey"]}

    def _read_all(self, names: Sequence[str]) -> Iterator[Incident]:
        for item in self._read_items(names, "incident"):
            incident = self._incident(item)
            if incident is not None:
                yield incident

    def _read_items(self, names: Collection[str], sk: str) -> Iterator[dict[str, Any]]:
        """Yield the items of these partition keys that are there, read consistently, in no order."""
        listed = list(dict.fromkeys(names))
        for start in range(0, len(listed), MAX_BATCH_KEYS):
            yield from self._read_batch(
                [_keys(pk, sk) for pk in listed[start : start + MAX_BATCH_KEYS]], f"{READABLE.get(sk, sk)}s"
            )

    def _read_batch(self, keys: Sequence[Mapping[str, Any]], what: str) -> Iterator[dict[str, Any]]:
        """Read the keys and, after a pause each time, those that the table left: it is throttled, or they are large.

        NotStoredError after MAX_PAUSED_SECONDS of pauses, and sooner right after another read was given up.
        """
        in_vain, paused = 0, 0.0
        longest = SHORT_PAUSED_SECONDS if self._clock() < self._given_up_until else MAX_PAUSED_SECONDS
        while True:
            with table_errors(what):
                answer = self._client.batch_get_item(RequestItems={self._table: {"Keys": keys, "ConsistentRead": True}})
            found = answer["Responses"].get(self._table, [])
            yield from found
            keys = (answer.get("UnprocessedKeys") or {}).get(self._table, {}).get("Keys", [])
            if not keys:
                return
            in_vain = 0 if found else in_vain + 1
            pause = self._jitter() * min(FIRST_PAUSE_SECONDS * 2**in_vain, MAX_PAUSE_SECONDS)
            paused += pause
            if paused > longest:
                self._given_up_until = self._clock() + GIVEN_UP_SECONDS
                raise NotStoredError(f"{what}: the table left {len(keys)} unread for {longest:g} s")
            self._pause(pause)


@dataclass(frozen=True, slots=True)
class _Page:
    """Older lines of a timeline, as they are stored."""

    entries: tuple[Entry, ...]


def _keys(pk: str, sk: str) -> dict[str, Any]:
    return {"pk": {"S": pk}, "sk": {"S": sk}}


def _value(value: Incident | DeliveryLog | TargetState | Context | StageCounts | Tokens) -> dict[str, Any]:
    data = codec.pack(value)
    if len(data) > MAX_ITEM_BYTES:
        raise NotStoredError(f"a {type(value).__name__} of {len(data)} bytes is over the {MAX_ITEM_BYTES} of an item")
    return {"body": {"B": data}, "version": {"N": str(value.version)}}


def _index(shard: str, at: float) -> dict[str, Any]:
    return {"wake_shard": {"S": shard}, "wake_at": {"N": _number(at)}}


def _number(seconds: float) -> str:
    """Return a number with six decimals: an instant keeps its microseconds, and DynamoDB its 38 digits."""
    return f"{seconds:.6f}"


def _same(stored: Any, item: Mapping[str, Any]) -> bool:
    return isinstance(stored, Mapping) and all(stored.get(name) == item[name] for name in ("version", "body"))


def _days(since: datetime, now: datetime) -> list[str]:
    """Return the index's day of `since` and all later ones, to tomorrow, since senders' clocks differ; 90 days at most."""
    last = now.date() + timedelta(days=1)
    first = max(since.astimezone(UTC).date(), last - ENDED_KEPT)
    return [_day(first + timedelta(days=day)) for day in range((last - first).days + 1)]


def _day(day: date) -> str:
    """Return the shard of the incidents that ended on a day."""
    return f"ended#{day:%Y-%m-%d}"
