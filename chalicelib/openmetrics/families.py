"""The families of metrics of a stage, with their help, made of what is stored. prometheus_client writes them down."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)

from chalicelib import VERSION
from chalicelib.api.alertmanager_status import API_VERSION
from chalicelib.core import stage_counts
from chalicelib.core.gauges import Gauge
from chalicelib.core.stage_counts import (
    ANSWERS,
    BEYOND,
    BOUNDS,
    DEAD_LETTERED,
    DEAD_LETTERING,
    DELIVERIES,
    LABELS,
    SUM,
    Series,
    Sums,
)
from chalicelib.core.stage_report import StageReport
from chalicelib.openmetrics.names import labels_of, named

COUNTERS = {
    stage_counts.RECEIVED: ("tocsin_webhooks_received", "Webhooks that a worker had for the first time."),
    stage_counts.PROCESSED: ("tocsin_webhooks_processed", "Webhooks that a worker was done with."),
    stage_counts.REFUSED: ("tocsin_webhooks_refused", "Requests of senders that were refused, by HTTP status."),
    stage_counts.EVENTS: ("tocsin_events", "Events that messages brought."),
    stage_counts.DELIVERIES: ("tocsin_deliveries", "Tries to deliver a notification, by what came of them."),
    stage_counts.DEAD_LETTERED: ("tocsin_dead_lettered_messages", "Messages that a worker dead-lettered."),
}
TIMES = {
    stage_counts.PROCESSING: ("tocsin_processing_seconds", "From when a webhook was received until it was processed."),
    stage_counts.DELIVERY: (
        "tocsin_delivery_seconds",
        "From when a notification was decided until its target took it.",
    ),
}
HELP = {
    "probe_success": "Whether the last run of the probe succeeded.",
    "probe_duration_seconds": "How long the last run of the probe took.",
    "probe_dns_lookup_time_seconds": "Time to look up the name of the probe's address.",
    "probe_http_duration_seconds": "Time of the parts of the probe's request.",
    "probe_ssl_earliest_cert_expiry": "When the first of the probe's certificates ends, in seconds since 1970.",
    "tocsin_domain_expiry_timestamp_seconds": "When the registration of the domain ends, in seconds since 1970.",
    "tocsin_probe_broken": "Whether the probe cannot measure.",
}
TOTAL = "_total"
Samples = Iterable[tuple[Mapping[str, str], float]]


def families(
    *, stage: str, counts: Sums, report: StageReport | None, gauges: Sequence[Gauge], now: datetime
) -> Iterator[Metric]:
    """Yield all families. What is not known has no sample: zero is a number."""
    yield InfoMetricFamily(
        "tocsin_stage",
        "The stage, and the rules that its tick worked with.",
        value={"stage": stage, "rules": report.rules if report is not None else ""},
    )
    yield InfoMetricFamily(
        "alertmanager_build",
        "The Alertmanager whose API v2 the stage answers. Karma reads the version here.",
        value={"version": API_VERSION, "revision": f"tocsin-{VERSION}"},
    )
    yield from _counters(_zeros(report) | dict(counts))
    yield from _times(counts)
    if report is not None:
        yield from _of_report(report)
    yield from _measured([each for each in gauges if each.until > now])


def _zeros(report: StageReport | None) -> dict[Series, float]:
    """Return the counts that are zero until something is counted: Prometheus sees no rise of a series that begins with it."""
    if report is None:
        return {}
    found: dict[Series, float] = {(DEAD_LETTERED, queue): 0 for queue in DEAD_LETTERING}
    return found | {(DELIVERIES, target, answer): 0 for target in report.targets for answer in ANSWERS}


def _counters(counts: Sums) -> Iterator[Metric]:
    for count, (name, text) in COUNTERS.items():
        family = CounterMetricFamily(name, text, labels=LABELS[count])
        for series, value in sorted(counts.items()):
            if series[0] == count:
                family.add_metric(series[1:], value)
        yield family


def _times(counts: Sums) -> Iterator[Metric]:
    for count, (name, text) in TIMES.items():
        family, size = HistogramMetricFamily(name, text, labels=LABELS[count]), len(LABELS[count])
        for labels in sorted({series[1 : 1 + size] for series in counts if series[0] == count}):
            family.add_metric(labels, *_histogram((count, *labels), counts))
        yield family


def _histogram(series: Series, counts: Sums) -> tuple[list[tuple[str, float]], float]:
    """Return the buckets of a series, each with all below it, and its sum."""
    found, total = [], 0.0
    for bound in (*(f"{each:g}" for each in BOUNDS), BEYOND):
        total += counts.get((*series, bound), 0.0)
        found.append((bound if bound == BEYOND else str(float(bound)), total))
    return found, counts.get((*series, SUM), 0.0)


def _of_report(report: StageReport) -> Iterator[Metric]:
    yield _gauge("tocsin_tick_timestamp_seconds", "When the tick last ran.", [({}, report.at.timestamp())])
    yield _gauge(
        "tocsin_oldest_undelivered_seconds",
        "Age of the oldest notification that its target should have.",
        [({}, report.undelivered)],
    )
    yield _gauge("tocsin_oldest_overdue_timer_seconds", "Age of the oldest timer that was due.", [({}, report.overdue)])
    yield _gauge(
        "tocsin_function_late_seconds",
        "How much later than its next run a scheduled function is.",
        _by("function", report.late),
    )
    yield _gauge(
        "tocsin_queue_waiting_seconds", "For how long a queue has waited for its worker.", _by("queue", report.waiting)
    )
    yield _gauge("tocsin_dead_letters", "Messages in the dead-letter queue of a queue.", _by("queue", report.dead))
    yield _gauge("tocsin_incidents_open", "Open incidents.", _by("severity", report.incidents))
    yield _gauge("tocsin_silences_active", "Silences and maintenance that hold now.", [({}, report.silences)])
    works = {name: float(each.works) for name, each in report.targets.items()}
    yield _gauge(
        "tocsin_target_works", "Whether the target takes notifications, as far as is known.", _by("target", works)
    )
    waiting = {name: each.waiting for name, each in report.targets.items()}
    yield _gauge(
        "tocsin_target_waiting_notifications", "Notifications that wait for the target.", _by("target", waiting)
    )


def _by(label: str, values: Mapping[str, float]) -> Samples:
    return [({label: name}, value) for name, value in sorted(values.items())]


def _gauge(name: str, text: str, samples: Samples) -> Metric:
    family = GaugeMetricFamily(name, text)
    for labels, value in samples:
        family.add_sample(name, dict(labels), value)
    return family


def _measured(gauges: Sequence[Gauge]) -> Iterator[Metric]:
    """Yield what probes measured. Of two series that have one name and the same labels the newer is kept."""
    found: dict[str, dict[tuple[tuple[str, str], ...], float]] = {}
    for gauge in sorted(gauges, key=lambda each: each.at):
        for metric, value in gauge.values.items():
            name = named(metric)
            labels = labels_of(metric, gauge.labels)
            found.setdefault(name.name, {})[tuple(sorted(labels.items()))] = name.value(value, gauge.at)
    for each, series in sorted(found.items()):
        samples = [(dict(labels), value) for labels, value in sorted(series.items())]
        yield _family(each, samples, is_counter=each.endswith(TOTAL) and not _of_counter(each) & found.keys())


def _of_counter(name: str) -> set[str]:
    """Return the names that a counter takes beside its own: OpenMetrics has them for its family and when it began."""
    family = name.removesuffix(TOTAL)
    return {family, f"{family}_created"}


def _family(name: str, samples: Samples, *, is_counter: bool) -> Metric:
    """Return a counter for what ends in `_total`, as its server counts it; else a gauge."""
    text = HELP.get(name, "What a probe measured last.")
    if not is_counter:
        return _gauge(name, text, samples)
    family = CounterMetricFamily(name.removesuffix(TOTAL), text)
    for labels, value in samples:
        family.add_sample(name, dict(labels), value)
    return family
