"""What a scrape says of a stage: families, names, both formats, and what it reads."""

import base64
import json
import math
import shutil
import subprocess
import zlib
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics_families
from prometheus_client.parser import text_string_to_metric_families as plain_families

from chalicelib.api.alertmanager_status import status
from chalicelib.aws.dynamodb import DynamoStore
from chalicelib.core import gauges, stage_counts
from chalicelib.core.context import Context
from chalicelib.core.language.units import KNOWN_METRICS
from chalicelib.core.metrics.sample import Sample
from chalicelib.core.ports import Store
from chalicelib.core.probe_state import STATE, Past, ProbeState, written
from chalicelib.core.stage_counts import StageCounts, Tally
from chalicelib.core.stage_report import REPORT, SCRAPED, StageReport, TargetReport
from chalicelib.messages import codec
from chalicelib.openmetrics.names import label, named
from chalicelib.openmetrics.scrape import scrape, takes_openmetrics
from simulation.memory_store import MemoryStore
from tests.aws.test_samples import TABLE, client
from tests.rule_files import rules_of

__all__ = ["client"]

NOW = datetime(2026, 11, 26, 12, 30, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
OPENMETRICS = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
MAX_UNITS = 20
UP = {"probe": "main", "service": 'the "shop"\n'}
Found = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def report(**more: Any) -> StageReport:
    """Return what a tick left a minute ago."""
    targets = {"slack_channel:#ops": TargetReport(True), "email:a@b.c": TargetReport(False, 3)}
    incidents = {"critical": 2, "warning": 0, "info": 1}
    late, waiting = {"watch": 0.0, "repair": 130.0}, {"webhooks": 12.0}
    known = {"dead": {"webhooks": 4}, "late": late, "waiting": waiting, "incidents": incidents, "targets": targets}
    return StageReport(NOW - MINUTE, 61.0, 5.0, silences=2, rules="abcd1234", **{**known, **more})


def stage(samples: list[Sample] | None = None) -> MemoryStore:
    """Return the store of a stage that counted, reported and measured."""
    store = MemoryStore()
    tally = Tally()
    tally.add(stage_counts.RECEIVED, "sentry", times=3)
    tally.add(stage_counts.DELIVERIES, "slack_channel:#ops", "delivered", times=2)
    for seconds in (0.4, 3, 7, 5_000):
        tally.add_time(stage_counts.PROCESSING, took=timedelta(seconds=seconds))
    store.save_stage_counts(StageCounts().plus(tally.sums))
    store.put_mark(REPORT, codec.dumps(report()))
    store.put_mark(SCRAPED, (NOW - MINUTE).isoformat())
    known = samples if samples is not None else [Sample("uptime", 1.0, NOW, UP), Sample("latency_ms", 250.0, NOW, UP)]
    store.put_mark(STATE, written(ProbeState(gauges=gauges.rows(gauges.gauges_of(known, MINUTE))), NOW))
    return store


def test_what_the_version_before_measured_stays_until_it_is_measured_again() -> None:
    """Given the text of the version before, of `main` and of `shop`, and a run that measured `main` → the newer of each."""
    store = stage([Sample("uptime", 1.0, NOW, {"probe": "main"})])
    rows = gauges.rows(
        gauges.gauges_of([Sample("uptime", 0.0, NOW, {"probe": each}) for each in ("main", "shop")], MINUTE)
    )
    text = json.dumps({"v": 1, "gauges": rows}, separators=(",", ":"))
    store.put_mark(gauges.MARK, base64.b85encode(zlib.compress(text.encode())).decode())
    found = scraped(store)
    assert [found["probe_success", (("probe", each),)] for each in ("main", "shop")] == [1.0, 0.0]


def scraped(store: Store, accept: str = OPENMETRICS, now: datetime = NOW) -> Found:
    """Return all samples of a scrape as a parser reads them."""
    _, text = scrape(store, stage="dev", accept=accept, now=now)
    read = openmetrics_families if text.endswith("# EOF\n") else plain_families
    return {
        (each.name, tuple(sorted(each.labels.items()))): each.value for family in read(text) for each in family.samples
    }


@pytest.mark.parametrize("accept", [OPENMETRICS, "text/plain"])
def test_a_scrape_says_what_is_stored(accept: str) -> None:
    """Given a stage that counted, reported and measured → each value under its name, in both formats."""
    found = scraped(stage(), accept)
    assert found["tocsin_webhooks_received_total", (("source", "sentry"),)] == 3
    assert found["tocsin_deliveries_total", (("answer", "delivered"), ("target", "slack_channel:#ops"))] == 2
    assert found["tocsin_incidents_open", (("severity", "critical"),)] == 2
    assert found["tocsin_incidents_open", (("severity", "warning"),)] == 0
    assert found["tocsin_tick_timestamp_seconds", ()] == (NOW - MINUTE).timestamp()
    assert found["tocsin_oldest_undelivered_seconds", ()] == 61
    assert found["tocsin_function_late_seconds", (("function", "repair"),)] == 130
    assert found["tocsin_queue_waiting_seconds", (("queue", "webhooks"),)] == 12
    assert found["tocsin_dead_letters", (("queue", "webhooks"),)] == 4
    assert found["tocsin_target_works", (("target", "email:a@b.c"),)] == 0
    assert found["tocsin_target_waiting_notifications", (("target", "email:a@b.c"),)] == 3
    assert found["tocsin_stage_info", (("rules", "abcd1234"), ("stage", "dev"))] == 1
    assert found["probe_success", tuple(sorted(UP.items()))] == 1
    assert found["probe_duration_seconds", tuple(sorted(UP.items()))] == 0.25


@pytest.mark.parametrize("accept", [OPENMETRICS, "text/plain", ""])
def test_the_version_of_the_api_is_that_of_its_status(accept: str) -> None:
    """Given a stage that nobody has scraped → `alertmanager_build_info` with the version of `/api/v2/status`, as Karma reads it."""
    (labels,) = (dict(labels) for name, labels in scraped(MemoryStore(), accept) if name == "alertmanager_build_info")
    shown = status(rules_of("alerts: []"), Context(), NOW)["versionInfo"]
    assert labels == {"version": shown["version"], "revision": shown["revision"]}
    assert tuple(map(int, labels["version"].split("."))) >= (0, 22, 0)


def test_a_target_is_counted_from_zero() -> None:
    """Given a target of the rules that nothing was sent to → its counts are zero, so that their first rise is seen."""
    found = scraped(stage())
    counts = {
        dict(labels)["answer"]: value
        for (name, labels), value in found.items()
        if name == "tocsin_deliveries_total" and dict(labels)["target"] == "email:a@b.c"
    }
    assert counts == {"delivered": 0, "failed": 0, "given_up": 0}
    assert found["tocsin_dead_lettered_messages_total", (("queue", "webhooks"),)] == 0


def test_buckets_hold_all_below_them() -> None:
    """Given times of 0.4, 3, 7 and 5000 seconds → each bucket counts all up to its bound, and the sum is theirs."""
    found = scraped(stage())
    bounds = [(dict(labels)["le"], value) for (name, labels), value in found.items() if name.endswith("_bucket")]
    assert bounds == [
        ("1.0", 1), ("2.5", 1), ("5.0", 2), ("10.0", 3), ("30.0", 3),
        ("60.0", 3), ("300.0", 3), ("1800.0", 3), ("+Inf", 4),
    ]  # fmt: skip
    assert found["tocsin_processing_seconds_count", ()] == 4
    assert found["tocsin_processing_seconds_sum", ()] == pytest.approx(5_010.4)


def test_what_is_not_known_is_not_zero() -> None:
    """Given a stage that nobody has scraped yet → no age, no incident and no probe, and the mark of the scrape."""
    store = MemoryStore()
    assert {name for name, _ in scraped(store)} == {"tocsin_stage_info", "alertmanager_build_info"}
    assert store.marks([SCRAPED]) == {SCRAPED: NOW.isoformat()}


def test_a_mark_is_renewed_now_and_then() -> None:
    """Given a scrape each half minute → a write each quarter of an hour."""
    store = MemoryStore()
    for number in range(61):
        scrape(store, stage="dev", accept="", now=NOW + number * MINUTE / 2)
    assert store.writes == 3


def test_a_probe_that_no_longer_runs_has_no_value() -> None:
    """Given a probe that ran half an hour ago → its series have ended; those of the router go on."""
    names = {name for name, _ in scraped(stage(), now=NOW + timedelta(minutes=30))}
    assert "probe_success" not in names and "tocsin_tick_timestamp_seconds" in names


def test_a_report_of_an_earlier_time_is_not_that_of_now() -> None:
    """Given a stage that nobody scraped for an hour → its last report is left out, and its counts go on."""
    names = {name for name, _ in scraped(stage(), now=NOW + timedelta(hours=1))}
    assert "tocsin_tick_timestamp_seconds" not in names and "tocsin_webhooks_received_total" in names


@pytest.mark.parametrize("accept", [OPENMETRICS, "text/plain"])
def test_a_label_that_no_encoding_has_is_shown_all_the_same(accept: str) -> None:
    """Given a label with half of a character pair, quotes and lines → the scrape is answered."""
    found = scraped(stage([Sample("uptime", 1.0, NOW, {"probe": 'a\ud800"\\\nb'})]), accept)
    assert found["probe_success", (("probe", 'a?"\\\nb'),)] == 1


@pytest.mark.parametrize("text", ["", "no JSON", "{}", '{"v": 99, "at": 1}', "[]"])
def test_a_report_that_cannot_be_read_is_none(text: str) -> None:
    """Given a report of a later version, or none → the counts are scraped all the same."""
    store = stage()
    store.put_mark(REPORT, text)
    names = {name for name, _ in scraped(store)}
    assert "tocsin_webhooks_received_total" in names and "tocsin_tick_timestamp_seconds" not in names


NAMES = {
    "tls_days_left": ("probe_ssl_earliest_cert_expiry", 10.0, NOW.timestamp() + 864_000),
    "dns_ms": ("probe_dns_lookup_time_seconds", 5.0, 0.005),
    "db_size_gb": ("tocsin_sample_db_size_bytes", 2.0, 2 * 2.0**30),
    "db_growth_gb_per_day": ("tocsin_sample_db_growth_bytes_per_day", 1.0, 2.0**30),
    "replication_lag_seconds": ("tocsin_sample_replication_lag_seconds", 3.0, 3.0),
    "p95_latency_ms": ("tocsin_sample_p95_latency_seconds", 120.0, 0.12),
    "error_rate": ("tocsin_sample_error_rate", 0.01, 0.01),
    "disk_percent": ("tocsin_sample_disk_ratio", 0.5, 0.5),
    "db_query_ms_total": ("tocsin_sample_db_query_seconds_total", 1_500.0, 1.5),
    "keyspace_hits_total": ("tocsin_sample_keyspace_hits_total", 7.0, 7.0),
    "queue.depth-count": ("tocsin_sample_queue_depth", 7.0, 7.0),
}


@pytest.mark.parametrize("metric", NAMES)
def test_a_measured_value_is_in_base_units(metric: str) -> None:
    """Given a metric of a probe → the name that Prometheus expects, and the value in seconds or bytes."""
    name, measured, value = NAMES[metric]
    found = scraped(stage([Sample(metric, measured, NOW, {"probe": "p"})]))
    assert found[name, (("probe", "p"),)] == pytest.approx(value)


def test_a_probe_that_is_broken_says_so() -> None:
    """Given the mark of a probe that cannot measure → a gauge without the labels that are for the router."""
    labels = {"probe": "db", "probe_kind": "database", "identity": "x", "status": "firing"}
    found = scraped(stage([Sample("probe_broken", 1.0, NOW, labels)]))
    assert found["tocsin_probe_broken", (("probe", "db"), ("probe_kind", "database"))] == 1


def test_labels_are_those_that_prometheus_allows() -> None:
    """Given names of labels that Prometheus refuses → names that it takes."""
    assert [label(name) for name in ("service", "a.b-c", "9lives", "__name__", "é")] == [
        "service", "a_b_c", "label9lives", "label__name__", "_",
    ]  # fmt: skip


def test_both_metrics_that_have_one_name_are_one_family() -> None:
    """Given the milliseconds of one database and the seconds of another → one counter with both, and of one series the newer."""
    samples = [
        Sample("db_query_ms_total", 1_000.0, NOW, {"database": "a"}),
        Sample("db_query_seconds_total", 2.0, NOW, {"database": "b"}),
    ]
    found = scraped(stage(samples))
    values = {
        labels: value for (name, labels), value in found.items() if name == "tocsin_sample_db_query_seconds_total"
    }
    assert values == {(("database", "a"),): 1.0, (("database", "b"),): 2.0}


def test_a_counter_and_a_gauge_of_its_family_are_read_by_a_strict_parser() -> None:
    """Given metrics `foo`, `foo_total` and `bar_total`, `bar_created` → OpenMetrics without a name that is taken twice."""
    metrics = ("jobs", "jobs_total", "runs_total", "runs_created", "hits_total")
    store = stage([Sample(metric, 3.0, NOW, {"probe": "p"}) for metric in metrics])
    found = {(name, labels) for name, labels in scraped(store, OPENMETRICS) if name.startswith("tocsin_sample_")}
    names = {"jobs", "jobs_total", "runs_total", "runs", "hits_total"}
    assert found == {(f"tocsin_sample_{each}", (("probe", "p"),)) for each in names}


def test_labels_that_come_to_one_name_keep_their_values() -> None:
    """Given labels `a.b` and `a-b` of one series → two labels, each with its value."""
    found = scraped(stage([Sample("latency_ms", 1_000.0, NOW, {"a.b": "1", "a-b": "2"})]))
    assert found["probe_duration_seconds", (("a_b", "2"), ("a_b_2", "1"))] == 1.0


@pytest.mark.parametrize(
    ("accept", "takes"),
    [
        (OPENMETRICS, True),
        ("Application/OpenMetrics-Text", True),
        ("text/plain;version=0.0.4", False),
        ("", False),
        ("application/openmetrics-text; version=1.0.0\r\nX-Own: 1", True),
    ],
)
def test_the_format_follows_what_the_scraper_takes(accept: str, takes: bool) -> None:
    """Given what a scraper accepts → the one format or the other, whose type holds no word of the request."""
    kind, text = scrape(stage(), stage="dev", accept=accept, now=NOW)
    assert takes_openmetrics(accept) is takes
    assert text.endswith("# EOF\n") is takes
    assert kind in (
        "application/openmetrics-text; version=1.0.0; charset=utf-8",
        "text/plain; version=0.0.4; charset=utf-8",
    )


def test_promtool_finds_nothing_to_complain_about() -> None:
    """Given every metric that probes bring → promtool accepts names, units, help and types."""
    labels = {"probe": "p"}
    samples = [Sample(metric, 3.0, NOW, labels) for metric in (*KNOWN_METRICS, *NAMES, "probe_broken")]
    _, text = scrape(stage(samples), stage="dev", accept="", now=NOW)
    assert promtool("check", "metrics", given=text) == ""


def promtool(*words: str, given: str) -> str:
    """Return what promtool complains about."""
    program = shutil.which("promtool")
    assert program, "promtool is missing: run `make setup-tests`"
    done = subprocess.run([program, *words], input=given, capture_output=True, text=True, timeout=60, check=False)
    return done.stdout + done.stderr + ("" if done.returncode == 0 else f"exit {done.returncode}")


def test_every_metric_of_probes_has_a_name_of_its_own() -> None:
    """Given the metrics that are known → no two have one name and the same labels, unless they count the same."""
    names: dict[tuple[str, str], list[str]] = {}
    for metric in KNOWN_METRICS:
        known = named(metric)
        names.setdefault((known.name, str(known.labels)), []).append(metric)
    assert [each for each in names.values() if len(each) > 1] == [["db_query_ms_total", "db_query_seconds_total"]]


class Metered:
    """A client that counts the read units of what it answers, consistent."""

    def __init__(self, client: Any) -> None:
        self._client, self.units, self.calls = client, 0, 0

    def __getattr__(self, name: str) -> Any:
        def call(**arguments: Any) -> Any:
            answer = getattr(self._client, name)(**arguments)
            if name in ("get_item", "batch_get_item"):
                items = [each for some in answer.get("Responses", {}).values() for each in some]
                for item in items or [answer.get("Item") or {}]:
                    size = len(json.dumps(item, default=lambda data: "x" * len(bytes(data))))
                    self.units += max(1, math.ceil(size / 4096))
                self.calls += 1
            return answer

        return call


def test_a_large_stage_costs_few_read_units(client: Any) -> None:
    """Given 150 probes with their parts, 200 targets and 500 counts → at most 20 read units a scrape, in two calls."""
    metered = Metered(client)
    store = DynamoStore(metered, TABLE)  # type: ignore[arg-type]
    tally = Tally()
    for number in range(170):
        for answer in ("delivered", "failed", "given_up"):
            tally.add(stage_counts.DELIVERIES, f"slack_channel:#team-{number}", answer, times=number * 37 + 1)
    store.save_stage_counts(StageCounts().plus(tally.sums))
    targets = {f"webhook:https://hooks{number}.example.com/…{number:06x}": TargetReport(True) for number in range(200)}
    store.put_mark(REPORT, codec.dumps(report(targets=targets)))
    store.put_mark(SCRAPED, NOW.isoformat())
    parts = ("uptime", "latency_ms", "dns_ms", "connect_ms", "tls_ms", "first_byte_ms")
    samples = [
        Sample(
            part, 1 + (number * 7919 + place) % 997 / 7, NOW, {"probe": f"probe-{number}", "service": f"s{number % 9}"}
        )
        for number in range(150)
        for place, part in enumerate(parts)
    ]
    pasts = {f"{number * 7919:016x}": Past(NOW, 0, number, NOW, number) for number in range(150)}
    rows = gauges.rows(gauges.merged([], gauges.gauges_of(samples, MINUTE), NOW))
    store.put_mark(STATE, written(ProbeState(pasts, gauges=rows), NOW))
    metered.units = metered.calls = 0
    found = scraped(store)
    assert sum(name == "probe_success" for name, _ in found) == 150
    assert (metered.units <= MAX_UNITS, metered.calls) == (True, 2), metered.units
