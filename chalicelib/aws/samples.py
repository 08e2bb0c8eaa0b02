"""Samples in the DynamoDB table: minute roll-ups for 2 days, hour roll-ups for 90 days.

    pk                      sk                  what                                     kept
    series#<fingerprint>    m#2026-11-24T08     the minutes of one hour of one series    2 days
    series#<fingerprint>    h#2026-11-20        the hours of five days of one series     90 days
    metric#<name>           <fingerprint>       labels of a series, newest hour seen     3 days

A sample is one consistent read and one conditional write of its hour's minutes, packed and compressed into less than
1 KB for a sample a minute. A doubled sample is a read and no write. When the first sample of another hour comes, the
hour before it is rolled up: hours are always computed anew from their minutes, so rolling twice changes nothing, and a
late sample rolls its hour again. That is what `rolled` is for: the version of the minutes that the hours contain. The
crash between two of these writes is healed by the next delivery of the same message, or by the next hour. Measured by
bench/samples.py: about one write unit and one read unit a sample, and a month of uptime reads a few kilobytes.

A sample that comes more than 2 days late finds its minutes cleaned up: it is dropped where its hour is rolled up.
Nothing here reads a clock: `expires_at` follows from the samples' own times and only cleans up.
"""

import json
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from chalicelib.aws.json_client import AwsError
from chalicelib.aws.table_errors import CONFLICT, table_errors
from chalicelib.core.errors import ConflictError
from chalicelib.core.event import labels_fingerprint
from chalicelib.core.metrics.rollup import (
    HOUR,
    MICROSECOND,
    MINUTE,
    Minute,
    bucket_of,
    hour_start,
    rolled_up,
    with_sample,
)
from chalicelib.core.metrics.sample import Bucket, Sample

VERSION = 1
MINUTES_KEPT = timedelta(days=2)
HOURS_KEPT = timedelta(days=90)
LABELS_KEPT = timedelta(days=3)
MEASURED_WITHIN = timedelta(days=1)
BLOCK = timedelta(days=5)
"""Hours of five days in one item: a month is seven items of some hundred bytes, and rolling one up stays cheap."""
PRECISE_SPAN = timedelta(hours=3)
"""Spans up to this are answered from minutes alone; longer ones from hours, with minutes at both edges."""
MAX_TRIES = 5
MAX_PARALLEL = 8
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Item = dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Hour:
    """The stored minutes of one hour. `closed` when a newer hour exists; `rolled` is the version that hours contain."""

    start: datetime
    minutes: Mapping[datetime, Minute]
    version: int = 0
    rolled: int = 0
    closed: bool = False

    @property
    def stale(self) -> bool:
        """Return whether the hour roll-up lacks what is in these minutes."""
        return self.closed and self.rolled != self.version

    def with_samples(self, samples: Iterable[Sample]) -> "_Hour":
        """Return the hour with the samples counted; itself when all were counted already."""
        minutes = dict(self.minutes)
        for sample in samples:
            start = sample.at.astimezone(UTC).replace(second=0, microsecond=0)
            minutes[start] = with_sample(minutes.get(start), sample)
        unchanged = all(self.minutes.get(start) is minute for start, minute in minutes.items())
        return self if unchanged else replace(self, minutes=minutes, version=self.version + 1)


class DynamoSamples:
    """The samples' part of a store; `client` makes the calls. Safe for several threads and workers."""

    def __init__(self, table: str, client: Any) -> None:
        self._client = client
        self._table = table

    def add_samples(self, samples: Sequence[Sample]) -> None:
        """Remember measured values; the same series and instant twice counts once.

        ConflictError when other workers were faster five times in a row: the message comes back, and what was added
        already counts once.
        """
        groups: dict[tuple[str, datetime], list[Sample]] = {}
        for sample in samples:
            key = labels_fingerprint(sample.metric, sample.labels), hour_start(sample.at)
            groups.setdefault(key, []).append(sample)
        ordered = sorted(groups.items(), key=lambda group: group[0][1])
        series: dict[str, list[tuple[datetime, list[Sample]]]] = {}
        for (name, hour), group in ordered:
            series.setdefault(name, []).append((hour, group))
        _in_parallel(lambda each: self._add_series(each[0], each[1]), list(series.items()))

    def label_sets(self, metric: str) -> Sequence[Mapping[str, str]]:
        """Return the label sets under which the metric was measured within a day of its newest sample."""
        rows = self._query(
            KeyConditionExpression="pk = :pk", ExpressionAttributeValues={":pk": {"S": f"metric#{metric}"}}
        )
        newest = max((int(row["hour"]["N"]) for row in rows), default=0)
        since = newest - MEASURED_WITHIN.total_seconds()
        found = [row for row in rows if int(row["hour"]["N"]) > since]
        return [json.loads(row["labels"]["S"]) for row in found]

    def buckets(self, metric: str, labels: Mapping[str, str], since: datetime, until: datetime) -> Sequence[Bucket]:
        """Return the series' buckets with since < last_at <= until, oldest first.

        Minutes where the span is at most PRECISE_SPAN, and at the edges of a longer one; whole hours within it. At an
        edge more than two days ago, where minutes are gone, the hour stands for them if its newest sample is inside.
        """
        pk = f"series#{labels_fingerprint(metric, labels)}"
        if until <= since:
            return []
        if until - since <= PRECISE_SPAN:
            minutes = self._minutes_between(pk, hour_start(since), hour_start(until))
            return _within(_minute_buckets(minutes), since, until)
        return self._long_span(pk, since, until)

    def _long_span(self, pk: str, since: datetime, until: datetime) -> list[Bucket]:
        hours = self._hours_between(pk, since, until)
        newest = max(hours, default=None)
        first_open = hour_start(since) if newest is None else newest + HOUR
        minutes = self._minutes_between(pk, min(first_open, hour_start(until)), hour_start(until))
        edge = hour_start(since)
        has_some = since + MICROSECOND < edge + HOUR
        if has_some and newest is not None and edge in hours and edge >= newest - MINUTES_KEPT:
            minutes += self._minutes_between(pk, edge, edge)
        for hour in minutes:
            hours.pop(hour.start, None)
        return _within([*hours.values(), *_minute_buckets(minutes)], since, until)

    def _add_series(self, name: str, groups: Sequence[tuple[datetime, list[Sample]]]) -> None:
        for hour, samples in groups:
            if not any(self._added(name, hour, samples, tries=number) for number in range(MAX_TRIES)):
                raise ConflictError(f"samples of {samples[0].metric}: others saved first {MAX_TRIES} times in a row")

    def _added(self, name: str, start: datetime, samples: Sequence[Sample], *, tries: int) -> bool:
        """Try once to add them. Return False when somebody else saved first."""
        pk = f"series#{name}"
        stored = self._load(pk, start)
        begins = stored is None
        if stored is None:
            closed = self._close_others(pk, start)
            if closed is None:
                return False
            if closed and start in self._hours_between(pk, start, start):
                return True  # Its minutes are gone, and their roll-up cannot recognise a doubled sample.
            stored = _Hour(start, {}, closed=closed)
            self._remember_labels(name, samples[0], start)
        changed = stored.with_samples(samples)
        if changed is not stored and not self._save(pk, changed, stored.version):
            return False
        if begins or tries:
            return self._settled(pk, changed)
        return not changed.stale or self._roll(pk, changed)

    def _settled(self, pk: str, hour: _Hour) -> bool:
        """Look again after an hour began, since a newer one may have begun at the same time and not seen this one."""
        newer = self._close_others(pk, hour.start)
        if newer is None:
            return False
        return not (hour.stale or (newer and not hour.closed)) or self._roll(pk, hour)

    def _close_others(self, pk: str, start: datetime) -> bool | None:
        """Roll up what is not the newest hour; whether one newer than `start` exists, None on conflict.

        Of each two hours the one that is saved second sees the other, so looking at the two newest, before and after
        an hour begins, forgets none.
        """
        rows = self._query(
            KeyConditionExpression="pk = :pk and sk between :low and :high",
            ExpressionAttributeValues={":pk": {"S": pk}, ":low": {"S": "m#"}, ":high": {"S": "m#~"}},
            ScanIndexForward=False,
            Limit=2,
        )
        hours = [_hour(row) for row in rows]
        newest = max([start, *(hour.start for hour in hours)])
        for hour in hours:
            if start != hour.start < newest and (hour.stale or not hour.closed) and not self._roll(pk, hour):
                return None
        return start < newest

    def _roll(self, pk: str, hour: _Hour) -> bool:
        """Write the hour's roll-up, then mark its minutes as contained; False when they changed meanwhile."""
        bucket = rolled_up([minute.bucket for _, minute in sorted(hour.minutes.items())])
        if bucket is not None and not self._save_hour(pk, hour.start, bucket, hour.version):
            return False
        # The mark keeps the version: it changes no minute, and a writer who read before it must try again.
        return self._put(
            _hour_item(pk, replace(hour, closed=True, rolled=hour.version)),
            "version = :version and rolled = :rolled and closed = :closed",
            {":version": _n(hour.version), ":rolled": _n(hour.rolled), ":closed": {"BOOL": hour.closed}},
        )

    def _save_hour(self, pk: str, start: datetime, bucket: Bucket, contained: int) -> bool:
        """Put the hour's roll-up into its block; one of newer minutes stays, since a slow worker may come last."""
        block = _block_start(start)
        row = self._get(pk, f"h#{block:%Y-%m-%d}")
        hours = _block_rows(row) if row else {}
        if start in hours and hours[start][1] >= contained:
            return True
        hours[start] = (bucket, contained)
        version = int(row["version"]["N"]) if row else 0
        item = {
            "pk": {"S": pk},
            "sk": {"S": f"h#{block:%Y-%m-%d}"},
            "version": _n(version + 1),
            "expires_at": _seconds(block + BLOCK + HOURS_KEPT),
            "body": {
                "B": _packed(
                    [[(at - block) // HOUR, _row(each, at), number] for at, (each, number) in sorted(hours.items())]
                )
            },
        }
        return self._put(item, *_version_condition(version))

    def _save(self, pk: str, hour: _Hour, version: int) -> bool:
        # A roll-up marks without a new version; `closed` shows whether one came in between.
        condition, values = _version_condition(version)
        if version:
            condition, values = f"{condition} and closed = :closed", {**values, ":closed": {"BOOL": hour.closed}}
        return self._put(_hour_item(pk, hour), condition, values)

    def _remember_labels(self, name: str, sample: Sample, hour: datetime) -> None:
        item = {
            "pk": {"S": f"metric#{sample.metric}"},
            "sk": {"S": name},
            "hour": _seconds(hour),
            "labels": {"S": json.dumps(dict(sample.labels), sort_keys=True)},
            "expires_at": _seconds(hour + LABELS_KEPT),
        }
        self._put(item, "attribute_not_exists(pk) or #hour < :hour", {":hour": _seconds(hour)}, {"#hour": "hour"})

    def _minutes_between(self, pk: str, first: datetime, last: datetime) -> list[_Hour]:
        rows = self._query(
            KeyConditionExpression="pk = :pk and sk between :low and :high",
            ExpressionAttributeValues={
                ":pk": {"S": pk},
                ":low": {"S": _minutes_key(first)},
                ":high": {"S": _minutes_key(last)},
            },
        )
        return [_hour(row) for row in rows]

    def _hours_between(self, pk: str, since: datetime, until: datetime) -> dict[datetime, Bucket]:
        rows = self._query(
            KeyConditionExpression="pk = :pk and sk between :low and :high",
            ExpressionAttributeValues={
                ":pk": {"S": pk},
                ":low": {"S": f"h#{_block_start(since):%Y-%m-%d}"},
                ":high": {"S": f"h#{_block_start(until):%Y-%m-%d}"},
            },
        )
        hours = {start: bucket for row in rows for start, bucket in _block_hours(row).items()}
        return {start: bucket for start, bucket in hours.items() if hour_start(since) <= start <= until}

    def _load(self, pk: str, start: datetime) -> _Hour | None:
        row = self._get(pk, _minutes_key(start))
        return _hour(row) if row else None

    def _get(self, pk: str, sk: str) -> Item | None:
        with table_errors("samples"):
            found: Item | None = self._client.get_item(
                TableName=self._table, Key={"pk": {"S": pk}, "sk": {"S": sk}}, ConsistentRead=True
            ).get("Item")
        return found

    def _query(self, **question: Any) -> list[Item]:
        rows: list[Item] = []
        while True:
            with table_errors("samples"):
                answer = self._client.query(TableName=self._table, ConsistentRead=True, **question)
            rows += answer["Items"]
            if "LastEvaluatedKey" not in answer or len(rows) >= question.get("Limit", len(rows) + 1):
                return rows
            question["ExclusiveStartKey"] = answer["LastEvaluatedKey"]

    def _put(self, item: Item, condition: str, values: Item, names: Mapping[str, str] | None = None) -> bool:
        more: dict[str, Any] = {"ExpressionAttributeValues": values} if values else {}
        if names:
            more["ExpressionAttributeNames"] = dict(names)
        with table_errors("samples"):
            try:
                self._client.put_item(TableName=self._table, Item=item, ConditionExpression=condition, **more)
            except AwsError as error:
                if error.code != CONFLICT:
                    raise
                return False
        return True


def _in_parallel(act: Callable[[Any], None], each: Sequence[Any]) -> None:
    """Run `act` for each, some at once; the first failure is raised after all have ended."""
    if len(each) < 2:
        for one in each:
            act(one)
        return
    with ThreadPoolExecutor(MAX_PARALLEL) as pool:
        for done in [pool.submit(act, one) for one in each]:
            done.result()


def _within(buckets: Iterable[Bucket], since: datetime, until: datetime) -> list[Bucket]:
    found = [bucket for bucket in buckets if since < bucket.last_at <= until]
    return sorted(found, key=lambda bucket: bucket.last_at)


def _minute_buckets(hours: Iterable[_Hour]) -> list[Bucket]:
    return [minute.bucket for hour in hours for minute in hour.minutes.values()]


def _block_start(at: datetime) -> datetime:
    return EPOCH + (at - EPOCH) // BLOCK * BLOCK


def _minutes_key(hour: datetime) -> str:
    return f"m#{hour.astimezone(UTC):%Y-%m-%dT%H}"


def _hour_item(pk: str, hour: _Hour) -> Item:
    rows = [
        [(start - hour.start) // MINUTE, _row(minute.bucket, start), _differences(sorted(minute.seen))]
        if len(minute.seen) > 1
        else [(start - hour.start) // MINUTE, _row(minute.bucket, start)]
        for start, minute in sorted(hour.minutes.items())
    ]
    return {
        "pk": {"S": pk},
        "sk": {"S": _minutes_key(hour.start)},
        "version": _n(hour.version),
        "rolled": _n(hour.rolled),
        "closed": {"BOOL": hour.closed},
        "expires_at": _seconds(hour.start + HOUR + MINUTES_KEPT),
        "body": {"B": _packed(rows)},
    }


def _hour(item: Item) -> _Hour:
    start = datetime.strptime(item["sk"]["S"], "m#%Y-%m-%dT%H").replace(tzinfo=UTC)
    minutes = {}
    for number, row, *seen in _unpacked(item["body"]["B"]):
        at = start + number * MINUTE
        bucket = _bucket(row, at)
        instants = _sums(seen[0]) if seen else [(bucket.first_at - at) // MICROSECOND]
        minutes[at] = Minute(at, bucket, frozenset(instants))
    return _Hour(start, minutes, int(item["version"]["N"]), int(item["rolled"]["N"]), bool(item["closed"]["BOOL"]))


def _block_hours(item: Item) -> dict[datetime, Bucket]:
    return {start: bucket for start, (bucket, _) in _block_rows(item).items()}


def _block_rows(item: Item) -> dict[datetime, tuple[Bucket, int]]:
    """Return the hours of a block, each with the version of the minutes that it contains."""
    block = datetime.strptime(item["sk"]["S"], "h#%Y-%m-%d").replace(tzinfo=UTC)
    starts = ((block + number * HOUR, row, version) for number, row, version in _unpacked(item["body"]["B"]))
    return {start: (_bucket(row, start), version) for start, row, version in starts}


def _row(bucket: Bucket, base: datetime) -> list[Any]:
    """Return a bucket as a short list: one sample is its time and value, and more are all fields with the sketch at the end."""
    first = (bucket.first_at - base) // MICROSECOND
    if bucket.count + bucket.nulls == 1:
        return [first, bucket.last]
    span = (bucket.last_at - bucket.first_at) // MICROSECOND
    numbers = sorted(bucket.sketch)
    counts = [bucket.sketch[number] for number in numbers]
    values = [bucket.count, bucket.nulls, bucket.total, bucket.low, bucket.high, bucket.last]
    # The versions before read the first ten and take no notice of more.
    rise = [] if bucket.rise is None else [bucket.opening, bucket.rise]
    return [first, span, *values, _differences(numbers), counts, *rise]


def _bucket(row: list[Any], base: datetime) -> Bucket:
    first_at = base + row[0] * MICROSECOND
    if len(row) == 2:
        return bucket_of(Sample("", row[1], first_at))
    count, nulls, total, low, high, last = row[2:8]
    return Bucket(
        first_at=first_at,
        last_at=first_at + row[1] * MICROSECOND,
        count=count,
        nulls=nulls,
        total=float(total),
        low=float(low),
        high=float(high),
        last=None if last is None else float(last),
        sketch=dict(zip(_sums(row[8]), row[9], strict=True)),
        opening=row[10] if len(row) > 10 else None,
        rise=row[11] if len(row) > 10 else None,
    )


def _differences(numbers: Sequence[int]) -> list[int]:
    return [number - before for number, before in zip(numbers, [0, *numbers], strict=False)]


def _sums(differences: Iterable[int]) -> list[int]:
    total, found = 0, []
    for difference in differences:
        total += difference
        found.append(total)
    return found


def _packed(rows: Sequence[Any]) -> bytes:
    text = json.dumps({"v": VERSION, "rows": rows}, separators=(",", ":"))
    return zlib.compress(text.encode("ascii"), 9)


def _unpacked(data: bytes) -> list[Any]:
    found: list[Any] = json.loads(zlib.decompress(bytes(data)))["rows"]
    return found


def _version_condition(version: int) -> tuple[str, Item]:
    if not version:
        return "attribute_not_exists(pk)", {}
    return "version = :version", {":version": _n(version)}


def _n(number: int) -> dict[str, str]:
    return {"N": str(number)}


def _seconds(at: datetime) -> dict[str, str]:
    return _n(int(at.timestamp()))
