"""A table in this process for other programs here: it keeps items as DynamoDB does, and counts what is billed.

Keys, queries of an index in pages of 1 MB and batches of 16 MB are DynamoDB's; conditions are not checked. A read unit is
4 KB of a consistent read and 8 KB of one of an index.
"""

import sys
from bisect import bisect_left, bisect_right, insort
from collections import Counter
from collections.abc import Mapping
from math import ceil
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from deploy.table import INDEXES

PAGE_BYTES = 1_000_000
Item = Mapping[str, Any]


def item_bytes(item: Item) -> int:
    """Return the size of an item as DynamoDB counts it."""
    return sum(len(name) + _bytes(*next(iter(value.items()))) for name, value in item.items())


def _bytes(kind: str, value: Any) -> int:
    if kind in ("BOOL", "NULL"):
        return 1
    if kind == "M":
        return 3 + len(value) + item_bytes(value)
    if kind == "L":
        return 3 + sum(1 + _bytes(*next(iter(each.items()))) for each in value)
    return len(value)


class CountedTable:
    """Counts calls, read units, items and bytes that are read, and write units, those of indexes too."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._items: dict[tuple[str, str], Item] = {}
        self._indexes: dict[tuple[str, str], list[tuple[Any, str, str]]] = {}

    def copy(self) -> "CountedTable":
        """Return a table with the same items, which has counted nothing yet."""
        other = CountedTable()
        other._items = dict(self._items)
        other._indexes = {name: list(entries) for name, entries in self._indexes.items()}
        return other

    def get_item(self, **call: Any) -> Any:
        """Count one consistent read."""
        item = self._items.get(_key(call["Key"]))
        self._read([item] if item else [], 4096)
        return {"Item": item} if item else {}

    def put_item(self, **call: Any) -> Any:
        """Store an item, and its entries of the indexes where they change."""
        item, key = call["Item"], _key(call["Item"])
        before = self._items.get(key)
        self._items[key] = item
        self.counts["calls"] += 1
        self.counts["write units"] += ceil(item_bytes(item) / 1024)
        for name, shown in INDEXES.items():
            self._write_index(name, shown, before, item)

    def update_item(self, **call: Any) -> Any:
        """Count a write; nothing here reads what is updated."""
        self.counts["calls"] += 1
        self.counts["write units"] += 1
        return {"Attributes": {}}

    def batch_get_item(self, RequestItems: Any) -> Any:
        """Read each key consistently."""
        ((table, asked),) = RequestItems.items()
        found = [self._items[key] for each in asked["Keys"] if (key := _key(each)) in self._items]
        self._read(found, 4096, each=True)
        return {"Responses": {table: found}}

    def query(self, **call: Any) -> Any:
        """Return a page of a partition, or of an index."""
        values = {name: next(iter(value.values())) for name, value in call["ExpressionAttributeValues"].items()}
        if "IndexName" not in call:
            self._read([], 4096)
            return {"Items": []}
        return self._query_index(call, values)

    def _query_index(self, call: Mapping[str, Any], values: Mapping[str, str]) -> Any:
        name = call["IndexName"]
        entries = self._indexes.get((name, values[":shard"]), [])
        start, end = 0, len(entries)
        if ":until" in values:
            end = bisect_right(entries, (float(values[":until"]), "\U0010ffff", ""))
        if after := call.get("ExclusiveStartKey"):
            start = bisect_right(entries, (_sorted_by(name, after), *_key(after)))
        found, size = [], 0
        for _, *key in entries[start : min(end, start + call.get("Limit", len(entries)))]:
            found.append(_projected(name, self._items[key[0], key[1]]))
            size += item_bytes(found[-1])
            if size > PAGE_BYTES:
                break
        self._read(found, 8192)
        more = {"LastEvaluatedKey": found[-1]} if found and start + len(found) < end else {}
        return {"Items": found, **more}

    def _write_index(self, name: str, shown: Any, before: Item | None, item: Item) -> None:
        old, new = (_projected(name, each) if each and _is_in(name, each) else None for each in (before, item))
        if old == new:
            return
        moved = not (old and new) or _entry(name, old) != _entry(name, new)
        if old and moved:
            entries = self._indexes[name, _shard(name, old)]
            del entries[bisect_left(entries, _entry(name, old))]
            self.counts["write units"] += 1
        if new:
            self.counts["write units"] += ceil(item_bytes(new) / 1024)
            if moved:
                insort(self._indexes.setdefault((name, _shard(name, new)), []), _entry(name, new))

    def _read(self, items: list[Any], unit: int, *, each: bool = False) -> None:
        sizes = [item_bytes(item) for item in items]
        self.counts["calls"] += 1
        self.counts["items"] += len(items)
        self.counts["bytes"] += sum(sizes)
        self.counts["read units"] += (
            sum(ceil(size / unit) for size in sizes) if each else max(1, ceil(sum(sizes) / unit))
        )


def _key(item: Item) -> tuple[str, str]:
    return item["pk"]["S"], item["sk"]["S"]


def _keys_of(name: str) -> tuple[str, str]:
    found = INDEXES[name]
    return found[0], found[1]


def _is_in(name: str, item: Item) -> bool:
    return all(key in item for key in _keys_of(name))


def _shard(name: str, item: Item) -> str:
    return str(item[_keys_of(name)[0]]["S"])


def _sorted_by(name: str, item: Item) -> Any:
    ((kind, value),) = item[_keys_of(name)[1]].items()
    return float(value) if kind == "N" else value


def _entry(name: str, item: Item) -> tuple[Any, str, str]:
    return (_sorted_by(name, item), *_key(item))


def _projected(name: str, item: Item) -> Item:
    shown = ("pk", "sk", *_keys_of(name), *INDEXES[name][2:])
    return {key: item[key] for key in shown if key in item}
