"""What samples cost in the table: read and write units a sample, and what a look-back reads.

Run with `python bench/samples.py`. Items are kept by moto in this process; units are counted from the sizes of the
items as DynamoDB bills them: a write unit for each started KB, a read unit for each started 4 KB of a consistent read.
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/read-write-operations.html
"""

import random
import sys
from collections import Counter
from datetime import UTC, datetime, timedelta
from math import ceil
from pathlib import Path
from typing import Any

import boto3
from moto import mock_aws

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from chalicelib.aws.samples import DynamoSamples
from chalicelib.core.metrics.sample import Sample

START = datetime(2026, 11, 1, tzinfo=UTC)
DAYS = 2
MONTH_DAYS = 30
TABLE = "bench"


def item_bytes(item: dict[str, Any]) -> int:
    """Return the size of an item as DynamoDB counts it, a little too high: names, texts, binaries, numbers by their digits."""
    return sum(len(name) + _value_bytes(value) for name, value in item.items())


def _value_bytes(value: dict[str, Any]) -> int:
    ((kind, content),) = value.items()
    return len(content) if kind in ("S", "B", "N") else 1


class Meter:
    """A client that counts units and bytes."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self.units: Counter[str] = Counter()

    def get_item(self, **call: Any) -> Any:
        """Count one consistent read."""
        answer = self._client.get_item(**call)
        self._read(item_bytes(answer.get("Item", {})))
        return answer

    def query(self, **call: Any) -> Any:
        """Count one consistent query."""
        answer = self._client.query(**call)
        self._read(sum(map(item_bytes, answer["Items"])))
        return answer

    def put_item(self, **call: Any) -> Any:
        """Count one conditional write; a refused one is billed too."""
        self.units["calls"] += 1
        self.units["write units"] += ceil(item_bytes(call["Item"]) / 1024)
        return self._client.put_item(**call)

    def _read(self, size: int) -> None:
        self.units["calls"] += 1
        self.units["read bytes"] += size
        self.units["read units"] += max(1, ceil(size / 4096))


def table() -> Any:
    """Return a client on an empty table."""
    client = boto3.client("dynamodb", region_name="eu-west-1", aws_access_key_id="x", aws_secret_access_key="x")
    client.create_table(
        TableName=TABLE,
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk")],
        BillingMode="PAY_PER_REQUEST",
    )
    return client


def values(metric: str, chance: random.Random) -> float:
    """Return a value as a probe measures it."""
    if metric == "uptime":
        return float(chance.random() > 0.002)
    return round(chance.lognormvariate(4.5, 0.5), 3)


def measure(metric: str, every: timedelta, days: float) -> tuple[Meter, DynamoSamples, int]:
    """Add samples one by one over some days, as the watch brings them."""
    meter, chance, count = Meter(table_client), random.Random(1), int(timedelta(days=days) / every)
    store = DynamoSamples(TABLE, meter)
    for number in range(count):
        store.add_samples([Sample(metric, values(metric, chance), START + number * every, {"probe": str(every)})])
    return meter, store, count


def report(metric: str) -> None:
    """Print the costs of one metric."""
    meter, store, count = measure(metric, timedelta(minutes=1), DAYS)
    per_sample = {name: round(total / count, 3) for name, total in meter.units.items()}
    print(f"{metric}, a sample a minute for {DAYS} days, per sample: {per_sample}")
    end = START + timedelta(days=DAYS)
    for words, span in {"5m": timedelta(minutes=5), "1h": timedelta(hours=1), "24h": timedelta(hours=24)}.items():
        meter.units.clear()
        store.buckets(metric, {"probe": str(timedelta(minutes=1))}, end - span, end)
        print(f"  {metric}[{words}] reads {dict(meter.units)}")


def report_month(metric: str) -> None:
    """Print what thirty days read once all minutes but those of two days are cleaned up; full hours, minute by minute."""
    meter, chance, labels = Meter(table_client), random.Random(2), {"probe": "month"}
    store = DynamoSamples(TABLE, meter)
    for hour in range(MONTH_DAYS * 24):
        at = START + timedelta(hours=hour)
        store.add_samples(
            [Sample(metric, values(metric, chance), at + timedelta(minutes=m), labels) for m in range(60)]
        )
    end = START + timedelta(days=MONTH_DAYS)
    pages = table_client.get_paginator("scan").paginate(TableName=TABLE)
    for row in [row for page in pages for row in page["Items"]]:
        if int(row["expires_at"]["N"]) < end.timestamp():
            table_client.delete_item(TableName=TABLE, Key={"pk": row["pk"], "sk": row["sk"]})
    meter.units.clear()
    found = store.buckets(metric, labels, end - timedelta(days=MONTH_DAYS), end)
    print(
        f"  {metric}[30d] reads {dict(meter.units)}: {sum(each.count for each in found)} samples in {len(found)} buckets"
    )


if __name__ == "__main__":
    with mock_aws():
        table_client = table()
        for each in ("uptime", "p95_latency_ms"):
            report(each)
            report_month(each)
