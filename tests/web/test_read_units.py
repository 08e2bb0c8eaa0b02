"""What the pages of figures read of a table: units of 4 KB, consistent, with a month of samples a minute."""

import json
import math
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from chalicelib.aws.samples import DynamoSamples
from chalicelib.core.metrics.sample import Sample
from chalicelib.web.boards import BOARDS, BoardRequest
from chalicelib.web.exchange import PageRequest
from chalicelib.web.uptime import uptime_view
from simulation.memory_store import MemoryStore
from tests.aws.test_samples import TABLE, client
from tests.rule_files import rules_of

__all__ = ["client"]

pytestmark = pytest.mark.acceptance

NOW = datetime(2026, 11, 26, 12, 30, tzinfo=UTC)
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
MAX_UNITS = 20
RULES = rules_of("default: {notification: [{slack_channel: '#rest'}]}")
MEASURED = {
    "/performance": ("p95_latency_ms", "p99_latency_ms", "error_rate", "requests_per_min", "active_users"),
    "/infrastructure": ("db_size_gb", "connections_used", "cache_hit_rate", "query_time_ms", "latency_ms"),
    "/errors": ("counted_events_total",),
}


class Metered:
    """A client that counts the read units of what it answers."""

    def __init__(self, client: Any) -> None:
        self._client, self.units = client, 0

    def __getattr__(self, name: str) -> Any:
        def call(**arguments: Any) -> Any:
            answer = getattr(self._client, name)(**arguments)
            if name in ("query", "get_item"):
                items = answer.get("Items", [answer.get("Item") or {}])
                size = sum(len(json.dumps(each, default=lambda data: "x" * len(bytes(data)))) for each in items)
                self.units += max(1, math.ceil(size / 4096))
            return answer

        return call


class Store(MemoryStore):
    """A store in memory whose samples are in a table."""

    def __init__(self, client: Any) -> None:
        super().__init__()
        self.metered = Metered(client)
        self.table = DynamoSamples(TABLE, self.metered)
        self.add_samples = self.table.add_samples  # type: ignore[method-assign]
        self.label_sets = self.table.label_sets  # type: ignore[method-assign]
        self.buckets = self.table.buckets  # type: ignore[method-assign]


def measure(store: Store, metric: str, hours: int) -> None:
    """Store a sample a minute for so many hours, an hour at a time."""
    labels = {"probe": "main", "service": "api", "rule": "Spike", "incident_key": "k"}
    for hour in reversed(range(hours)):
        at = NOW - HOUR * hour
        values = [(at - MINUTE * n, 100.0 + (hour * 7 + n * 13) % 97) for n in range(60)]
        up = metric == "uptime"
        store.add_samples([Sample(metric, float(v > 101) if up else v, when, labels) for when, v in values])


def units_of(store: Store, path: str) -> int:
    """Return the read units of one view of a page."""
    store.metered.units = 0
    view = BOARDS[path](BoardRequest(PageRequest("GET", path), store, RULES, NOW, ZoneInfo("America/Sao_Paulo")))
    assert view
    return store.metered.units


@pytest.mark.parametrize("path", MEASURED)
def test_a_page_reads_few_units(client: Any, path: str) -> None:
    """Given a day of each metric of a page, a week of sizes → at most 20 read units, and never a sample a minute."""
    store = Store(client)
    for metric in MEASURED[path]:
        measure(store, metric, 24 * 7 if metric == "db_size_gb" else 26)
    assert 0 < units_of(store, path) <= MAX_UNITS


def test_a_month_of_a_probe_reads_few_units(client: Any) -> None:
    """Given a month of a run a minute → three units for the probe, and one for each list of series."""
    store = Store(client)
    measure(store, "uptime", 24 * 30)
    store.metered.units = 0
    view = uptime_view(store, RULES, NOW, ZoneInfo("America/Sao_Paulo"))
    assert view.probes[0].runs > 29 * 24 * 60
    assert store.metered.units <= 3 + 3 + 1
