"""Samples in DynamoDB: the roll-ups' precision, doubled, late and shuffled samples, races, and bounded cost."""

import itertools
import random
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from moto import mock_aws

from chalicelib.aws.samples import DynamoSamples, _bucket, _row
from chalicelib.core.errors import ConflictError
from chalicelib.core.metrics.rollup import bucket_of, merged_all, rolled_up
from chalicelib.core.metrics.sample import Bucket, Sample
from chalicelib.core.metrics.sketch import sketch_quantile
from tests.aws.tables import OverBoto

TABLE = "samples"
START = datetime(2026, 11, 20, 0, 0, tzinfo=UTC)
LABELS = {"service": "api", "probe": "api"}


@pytest.fixture
def client() -> Iterator[Any]:
    """A DynamoDB client on an empty table."""
    with mock_aws():
        found = boto3.client(
            "dynamodb", region_name="eu-west-1", aws_access_key_id="test", aws_secret_access_key="test"
        )
        found.create_table(
            TableName=TABLE,
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
            AttributeDefinitions=[
                {"AttributeName": "pk", "AttributeType": "S"},
                {"AttributeName": "sk", "AttributeType": "S"},
            ],
            BillingMode="PAY_PER_REQUEST",
        )
        yield OverBoto(found)


@pytest.fixture
def store(client: Any) -> DynamoSamples:
    """The samples of that table."""
    return DynamoSamples(TABLE, client)


def at(minutes: float) -> datetime:
    """An instant so many minutes after the start."""
    return START + timedelta(minutes=minutes)


def one(minutes: float, value: float | None = 1.0, metric: str = "uptime") -> Sample:
    """A sample of the usual series."""
    return Sample(metric, value, at(minutes), LABELS)


def summary(buckets: list[Bucket]) -> Bucket | None:
    """All buckets as one."""
    return merged_all(buckets)


class Watched:
    """A client that runs something before certain calls: another worker that is faster, or a death."""

    def __init__(self, client: Any, before: Callable[[str, dict[str, Any]], None]) -> None:
        self._client, self._before = client, before

    def __getattr__(self, name: str) -> Any:
        def call(**arguments: Any) -> Any:
            self._before(name, arguments)
            return getattr(self._client, name)(**arguments)

        return call


def test_short_spans_keep_exact_times(store: DynamoSamples) -> None:
    """A single sample of a minute comes back with its exact time and value, oldest first, the older end excluded."""
    store.add_samples([one(2.5, 3.25), one(0, 1.0), one(1.000001, None)])
    found = store.buckets("uptime", LABELS, at(0), at(2.5))
    assert [(each.first_at, each.last_at, each.last) for each in found] == [
        (at(1.000001), at(1.000001), None),
        (at(2.5), at(2.5), 3.25),
    ]
    assert [each.nulls for each in found] == [1, 0]
    assert store.buckets("uptime", LABELS, at(2.5), at(2.5)) == []


def test_a_minute_merges(store: DynamoSamples) -> None:
    """Several samples of one minute are one bucket with a mergeable sketch, also over several calls."""
    for value in range(1, 51):
        store.add_samples([one(value / 100, float(value))])
    (found,) = store.buckets("uptime", LABELS, at(-1), at(1))
    assert (found.count, found.total, found.low, found.high, found.last) == (50, 1275.0, 1.0, 50.0, 50.0)
    assert (found.first_at, found.last_at) == (at(0.01), at(0.5))
    assert sketch_quantile(found.sketch, 0.95) == pytest.approx(48, rel=0.03)


def test_series_are_apart(store: DynamoSamples) -> None:
    """Another metric or other labels are another series; the order of labels is not."""
    store.add_samples([one(0), Sample("uptime", 0.0, at(0), {"service": "web"}), one(0, 5.0, "latency_ms")])
    assert [each.last for each in store.buckets("uptime", {"probe": "api", "service": "api"}, at(-1), at(1))] == [1.0]
    assert [each.last for each in store.buckets("uptime", {"service": "web"}, at(-1), at(1))] == [0.0]
    assert [each.last for each in store.buckets("latency_ms", LABELS, at(-1), at(1))] == [5.0]


def test_label_sets_of_the_last_day(store: DynamoSamples) -> None:
    """Series that were measured within a day of the metric's newest sample are found by their metric."""
    day = 24 * 60
    store.add_samples([Sample("m", 1.0, at(0), {"a": "old"}), Sample("m", 1.0, at(day), {"a": "new"})])
    store.add_samples([Sample("m", 1.0, at(day - 100), {}), Sample("other", 1.0, at(day), {"b": "x"})])
    assert sorted(store.label_sets("m"), key=len) == [{}, {"a": "new"}]
    assert list(store.label_sets("nothing")) == []


def spread(hours: int) -> list[Sample]:
    """A sample a minute, with a gap of an hour and a half, down in every hundredth minute."""
    minutes = [number for number in range(hours * 60) if not 150 <= number < 240]
    return [one(number, 0.0 if number % 100 == 0 else 1.0) for number in minutes]


def by_hour(samples: list[Sample]) -> Iterator[list[Sample]]:
    """The samples in batches of an hour, as fast as a test may write them."""
    for hour in sorted({sample.at.replace(minute=0) for sample in samples}):
        yield [sample for sample in samples if sample.at.replace(minute=0) == hour]


@pytest.mark.acceptance
def test_every_span_counts_every_sample_once(store: DynamoSamples) -> None:
    """Whatever the span, minutes and hours together hold each sample of the last two days exactly once."""
    samples = spread(50)
    for batch in by_hour(samples):
        store.add_samples(batch)
    for hours, offset_minutes in itertools.product((1, 3, 4, 24, 40, 49), (0, 17)):
        until = at(50 * 60 - 30 - offset_minutes)
        since = until - timedelta(hours=hours)
        inside = [sample for sample in samples if since < sample.at <= until]
        found = store.buckets("uptime", LABELS, since, until)
        whole = summary(list(found))
        assert whole is not None
        assert (whole.count, whole.total) == (len(inside), sum(sample.value or 0.0 for sample in inside))
        assert (whole.first_at, whole.last_at) == (inside[0].at, inside[-1].at)
        assert list(found) == sorted(found, key=lambda each: each.last_at)


def test_shuffled_doubled_and_late_samples_change_nothing(store: DynamoSamples, client: Any) -> None:
    """Any order, any doubling and any batches give the same roll-ups."""
    samples = spread(6)
    for batch in by_hour(samples):
        store.add_samples(batch)
    straight = store.buckets("uptime", LABELS, at(-1), at(6 * 60))
    shuffled = [Sample("again", sample.value, sample.at, LABELS) for sample in samples for _ in range(2)]
    random.Random(7).shuffle(shuffled)
    for start in range(0, len(shuffled), 37):
        store.add_samples(shuffled[start : start + 37])
    store.add_samples([Sample("again", 1.0, at(6 * 60 + 120), LABELS)])
    store.add_samples([one(6 * 60 + 120)])
    for since, until in [(at(-1), at(6 * 60)), (at(31), at(5 * 60 + 7)), (at(200), at(300))]:
        assert store.buckets("again", LABELS, since, until) == store.buckets("uptime", LABELS, since, until)
    assert summary(list(straight)) == summary(list(store.buckets("uptime", LABELS, at(-1), at(6 * 60))))


@pytest.mark.acceptance
def test_long_spans_outlive_their_minutes(store: DynamoSamples, client: Any) -> None:
    """A week comes from hours, right to the sample, when the minutes of all but two days are cleaned up."""
    samples = [one(hour * 60 + minute, 0.0 if hour % 50 == 0 else 1.0) for hour in range(168) for minute in (0, 20, 40)]
    store.add_samples(samples)
    rows = client.scan(TableName=TABLE)["Items"]
    clean_up = int((at(168 * 60)).timestamp())
    for row in rows:
        if int(row["expires_at"]["N"]) < clean_up:
            client.delete_item(TableName=TABLE, Key={"pk": row["pk"], "sk": row["sk"]})
    found = summary(list(store.buckets("uptime", LABELS, at(-1), at(168 * 60))))
    assert found is not None
    assert (found.count, found.total) == (504, 504.0 - 12)
    kept = [row for row in client.scan(TableName=TABLE)["Items"] if row["sk"]["S"].startswith("m#")]
    assert len(kept) <= 50


def test_a_sample_two_days_late_leaves_its_hour_as_it_is(store: DynamoSamples, client: Any) -> None:
    """Where the minutes are gone, a straggler does not replace the hour that they made."""
    for batch in by_hour(spread(3)):
        store.add_samples(batch)
    store.add_samples([one(4 * 60)])
    client.delete_item(
        TableName=TABLE,
        Key={
            "pk": next(
                row["pk"] for row in client.scan(TableName=TABLE)["Items"] if row["sk"]["S"] == "m#2026-11-20T01"
            ),
            "sk": {"S": "m#2026-11-20T01"},
        },
    )
    before = store.buckets("uptime", LABELS, at(-1), at(300))
    store.add_samples([one(60.5)])
    assert store.buckets("uptime", LABELS, at(-1), at(300)) == before


class OneCallAtATime:
    """A client whose calls are atomic, as DynamoDB's are; moto checks a condition and writes in two steps."""

    def __init__(self, client: Any) -> None:
        self._client, self._lock = client, threading.Lock()

    def __getattr__(self, name: str) -> Any:
        def call(**arguments: Any) -> Any:
            with self._lock:
                return getattr(self._client, name)(**arguments)

        return call


def test_several_workers_at_once_lose_nothing(client: Any) -> None:
    """Workers that add to one series at the same time all count, and doubled deliveries count once."""
    client = OneCallAtATime(client)
    samples = [one(number * 7) for number in range(24)]

    def add(sample: Sample) -> None:
        for _ in range(20):
            try:
                return DynamoSamples(TABLE, client).add_samples([sample])
            except ConflictError:
                continue
        raise AssertionError("never stored")

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(add, samples * 2))
    DynamoSamples(TABLE, client).add_samples([one(300)])
    for since, until in [(at(-1), at(24 * 7)), (at(-1), at(299))]:
        found = summary(list(DynamoSamples(TABLE, client).buckets("uptime", LABELS, since, until)))
        assert found is not None and found.count == 24


def test_a_faster_worker_is_not_overwritten(client: Any) -> None:
    """A save that comes second loads again and keeps what the first one saved."""
    DynamoSamples(TABLE, client).add_samples([one(0)])
    raced = []

    def race(name: str, arguments: dict[str, Any]) -> None:
        if name == "put_item" and not raced:
            raced.append(arguments)
            DynamoSamples(TABLE, client).add_samples([one(1)])

    DynamoSamples(TABLE, Watched(client, race)).add_samples([one(2)])
    assert len(DynamoSamples(TABLE, client).buckets("uptime", LABELS, at(-1), at(5))) == 3


def test_gives_up_when_others_are_always_faster(client: Any) -> None:
    """After five tries the message goes back to the queue."""
    DynamoSamples(TABLE, client).add_samples([one(0)])
    raced = []

    def race(name: str, arguments: dict[str, Any]) -> None:
        if name == "put_item":
            raced.append(arguments)
            DynamoSamples(TABLE, client).add_samples([one(len(raced) / 10)])

    with pytest.raises(ConflictError):
        DynamoSamples(TABLE, Watched(client, race)).add_samples([one(2)])
    assert len(raced) == 5


class Death(Exception):
    """The worker ends here."""


@pytest.mark.acceptance
@pytest.mark.parametrize("dies_at", range(14))
def test_a_worker_may_die_at_any_call(client: Any, dies_at: int) -> None:
    """Whatever call a worker dies at, the next delivery of the same samples makes the whole right."""
    samples = [one(10), one(70), one(20), one(130)]
    calls = []

    def die(name: str, arguments: dict[str, Any]) -> None:
        calls.append(name)
        if len(calls) == dies_at + 1:
            raise Death

    dying = DynamoSamples(TABLE, Watched(client, die))
    try:
        for sample in samples:
            dying.add_samples([sample])
    except Death:
        pass
    again = DynamoSamples(TABLE, client)
    for sample in samples:
        again.add_samples([sample])
    again.add_samples([one(190), one(250), one(310)])
    found = summary(list(again.buckets("uptime", LABELS, at(-1), at(300))))
    assert found is not None and found.count == 6


def test_a_sample_costs_one_read_and_one_write(client: Any) -> None:
    """In a running hour a sample is one get and one put, and a doubled one is a get alone."""
    calls: list[str] = []
    counted = DynamoSamples(TABLE, Watched(client, lambda name, _: calls.append(name)))
    counted.add_samples([one(0)])
    calls.clear()
    counted.add_samples([one(1)])
    assert calls == ["get_item", "put_item"]
    calls.clear()
    counted.add_samples([one(1)])
    assert calls == ["get_item"]


def test_clean_up_dates(store: DynamoSamples, client: Any) -> None:
    """Minutes stay two days, hours ninety, labels a few."""
    store.add_samples([one(0), one(61)])
    days = {
        row["sk"]["S"][:2]: (int(row["expires_at"]["N"]) - START.timestamp()) / 86_400
        for row in client.scan(TableName=TABLE)["Items"]
        if row["sk"]["S"].startswith(("m#", "h#"))
    }
    assert 2 <= days["m#"] <= 2.2
    assert 90 <= days["h#"] <= 95


def test_an_hour_of_a_counter_remembers_its_rise(store: DynamoSamples) -> None:
    """Given a counter that starts again within an hour → the stored hour knows how much it rose."""
    values = [10.0, 20.0, 5.0, 8.0]
    store.add_samples([one(number, value, "hits") for number, value in enumerate(values)])
    store.add_samples([one(5 * 60, 9.0, "hits")])
    (hour, _) = store.buckets("hits", LABELS, at(-1), at(5 * 60))
    assert (hour.count, hour.opening, hour.rise, hour.last) == (4, 10.0, 18.0, 8.0)


def test_an_hour_of_the_version_before_is_read() -> None:
    """Given a stored hour without a rise → read without one; the version before reads the first ten fields alone."""
    bucket = rolled_up([bucket_of(one(number, float(number))) for number in range(3)])
    assert bucket is not None
    row = _row(bucket, at(0))
    assert _bucket(row, at(0)) == bucket
    old = _bucket(row[:10], at(0))
    assert old == replace(bucket, opening=None, rise=None)
