"""The three dashboards of Grafana, made by grafana-foundation-sdk and checked in.

    python -m monitoring.dashboards          write them
    python -m monitoring.dashboards --check  1 when they are not what this file says

Counters rise every five minutes, so each range over one is 15 minutes or longer. A line in a chart is the limit of a rule of the
shipped rules file.
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from grafana_foundation_sdk.builders import bargauge, common, dashboard, prometheus, stat, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import common as common_models
from grafana_foundation_sdk.models import dashboard as models

FOLDER = Path(__file__).resolve().parent / "grafana" / "dashboards"
SOURCE = models.DataSourceRef(type_val="prometheus", uid="tocsin-prometheus")
"""The data source of grafana/provisioning/datasources/prometheus.yml."""
COUNTED = "15m"
FIRING = '{status="firing", source!="router"}'
DAYS = "86400"
GREEN, RED = "green", "red"


@dataclass(frozen=True, slots=True)
class Query:
    """An expression of Prometheus, and how its series are called."""

    expr: str
    legend: str = "__auto"


@dataclass(frozen=True, slots=True)
class Chart:
    """Lines over time. `limit` is where a shipped rule fires, or where something is wrong; `below`: under it."""

    title: str
    about: str
    queries: Sequence[Query]
    unit: str = "short"
    limit: float | None = None
    below: bool = False
    width: int = 12


@dataclass(frozen=True, slots=True)
class Numbers:
    """The newest values as large numbers; red from `limit` on."""

    title: str
    about: str
    queries: Sequence[Query]
    unit: str = "short"
    limit: float | None = None
    below: bool = False
    width: int = 6


@dataclass(frozen=True, slots=True)
class Bars:
    """The newest values as bars."""

    title: str
    about: str
    queries: Sequence[Query]
    unit: str = "short"
    width: int = 12


Panel = Chart | Numbers | Bars

ERRORS: Sequence[Panel] = (
    Numbers(
        "Events that fired, 15 minutes",
        "Events of senders that say that something is wrong. Counted every five minutes.",
        [Query(f"sum(increase(tocsin_events_total{FIRING}[{COUNTED}]))", "events")],
    ),
    Numbers(
        "Open incidents",
        "By severity, as of the last tick.",
        [Query("tocsin_incidents_open", "{{severity}}")],
        width=12,
    ),
    Numbers(
        "Dead letters",
        "Messages that could not be dealt with: `tocsin redrive` plays them back.",
        [Query("sum(tocsin_dead_letters)", "dead letters")],
        limit=1,
    ),
    Chart(
        "Events that fired a minute",
        "By source. The line is that of the shipped rule Error Spike: more than ten a minute.",
        [Query(f"sum by (source) (rate(tocsin_events_total{FIRING}[{COUNTED}])) * 60", "{{source}}")],
        limit=10,
    ),
    Bars(
        "Most frequent, 24 hours",
        "Events that fired, by source. The page of the stage lists the faults themselves.",
        [Query(f"topk(10, sum by (source) (increase(tocsin_events_total{FIRING}[24h])))", "{{source}}")],
    ),
    Chart(
        "Error rate",
        "The share of requests that failed. The line is that of the shipped rule High Error Rate.",
        [Query("tocsin_sample_error_rate")],
        unit="percentunit",
        limit=0.01,
    ),
    Chart(
        "Probes that fail",
        "1 while the last run of a probe failed, or could not measure.",
        [Query("1 - probe_success", "{{probe}}"), Query("tocsin_probe_broken", "{{probe}} cannot measure")],
        limit=1,
    ),
    Chart(
        "Requests of senders that were refused, 15 minutes",
        "401: the secret is not the sender's. 400: the body cannot be read.",
        [
            Query(
                f"sum by (source, status) (increase(tocsin_webhooks_refused_total[{COUNTED}]))", "{{source}} {{status}}"
            )
        ],
    ),
    Chart(
        "Deliveries that did not arrive, 15 minutes",
        "`failed` is tried again, `given_up` never.",
        [
            Query(
                f'sum by (target, answer) (increase(tocsin_deliveries_total{{answer!="delivered"}}[{COUNTED}]))',
                "{{target}} {{answer}}",
            )
        ],
    ),
)

PERFORMANCE: Sequence[Panel] = (
    Chart(
        "Latency of requests",
        "As Cloudflare measures it. The line is that of the shipped rule High Latency Warning.",
        [
            Query("tocsin_sample_p95_latency_seconds", "p95 {{zone}}"),
            Query("tocsin_sample_p99_latency_seconds", "p99 {{zone}}"),
        ],
        unit="s",
        limit=0.5,
    ),
    Chart("Requests a minute", "As Cloudflare counts them.", [Query("tocsin_sample_requests_per_min")]),
    Chart("Active users", "As Cloudflare counts visitors.", [Query("tocsin_sample_active_users")]),
    Chart(
        "Error rate",
        "The share of requests that failed.",
        [Query("tocsin_sample_error_rate")],
        unit="percentunit",
        limit=0.01,
    ),
    Chart(
        "Response time of probes",
        "The last run of each probe.",
        [Query("probe_duration_seconds", "{{probe}}")],
        unit="s",
    ),
    Chart(
        "Response time of probes, p95 of 24 hours",
        "95 % of the runs of 24 hours took at most so long.",
        [Query("quantile_over_time(0.95, probe_duration_seconds[24h])", "{{probe}}")],
        unit="s",
    ),
    Chart(
        "Parts of a probe's request",
        "Connection, TLS, and the time until the answer began; and the look-up of the name.",
        [
            Query("probe_http_duration_seconds", "{{probe}} {{phase}}"),
            Query("probe_dns_lookup_time_seconds", "{{probe}} resolve"),
        ],
        unit="s",
    ),
    Chart(
        "Time in Tocsin, p95 of an hour",
        "From when a webhook was received until it was processed, and from when a notification was decided until its target took it.",
        [
            Query(
                "histogram_quantile(0.95, sum by (le) (increase(tocsin_processing_seconds_bucket[1h])))", "processing"
            ),
            Query(
                "histogram_quantile(0.95, sum by (le, kind) (increase(tocsin_delivery_seconds_bucket[1h])))",
                "delivery by {{kind}}",
            ),
        ],
        unit="s",
    ),
)

INFRASTRUCTURE: Sequence[Panel] = (
    Chart(
        "Size of databases",
        "The line is that of the shipped rule Database Growth: 8 GB.",
        [Query("tocsin_sample_db_size_bytes", "{{database}}")],
        unit="bytes",
        limit=8 * 2**30,
    ),
    Chart(
        "Size of databases in seven days",
        "If they grow as in the last day.",
        [Query(f"predict_linear(tocsin_sample_db_size_bytes[24h], 7 * {DAYS})", "{{database}}")],
        unit="bytes",
        limit=8 * 2**30,
    ),
    Chart(
        "Time of a database query", "The mean.", [Query("tocsin_sample_query_time_seconds", "{{database}}")], unit="s"
    ),
    Chart(
        "Connections in use",
        "The share of the allowed connections.",
        [Query("tocsin_sample_connections_used", "{{database}}")],
        unit="percentunit",
        limit=0.8,
    ),
    Chart(
        "Reads that the cache answered",
        "A share of all reads.",
        [Query("tocsin_sample_cache_hit_rate")],
        unit="percentunit",
    ),
    Numbers(
        "Uptime, 24 hours",
        "The share of runs of a probe that succeeded. The shipped rule Service Downtime fires below 99 %.",
        [Query("avg_over_time(probe_success[24h])", "{{probe}}")],
        unit="percentunit",
        limit=0.99,
        below=True,
        width=12,
    ),
    Numbers(
        "Certificates: days left",
        "Until the first of the certificates of a probe's address ends.",
        [Query(f"(probe_ssl_earliest_cert_expiry - time()) / {DAYS}", "{{probe}}")],
        limit=14,
        below=True,
        width=12,
    ),
    Numbers(
        "Tocsin: since the last tick",
        "The tick runs every minute.",
        [Query("time() - tocsin_tick_timestamp_seconds", "tick")],
        unit="s",
        limit=180,
    ),
    Numbers(
        "Tocsin: oldest notification",
        "That its target should have.",
        [Query("tocsin_oldest_undelivered_seconds", "undelivered")],
        unit="s",
        limit=300,
    ),
    Chart(
        "Tocsin: queues and functions",
        "For how long a queue has waited for its worker, and how late a function is.",
        [
            Query("tocsin_queue_waiting_seconds", "{{queue}} waits"),
            Query("tocsin_function_late_seconds", "{{function}} is late"),
        ],
        unit="s",
        limit=300,
    ),
    Bars(
        "Tocsin: targets",
        "1 for a target that takes notifications; and how many wait for it.",
        [
            Query("tocsin_target_works", "{{target}} works"),
            Query("tocsin_target_waiting_notifications", "{{target}} waiting"),
        ],
    ),
    Chart(
        "Tocsin: webhooks and deliveries, 15 minutes",
        "What came in, and what targets took.",
        [
            Query(f"sum by (source) (increase(tocsin_webhooks_processed_total[{COUNTED}]))", "{{source}}"),
            Query(
                f'sum by (target) (increase(tocsin_deliveries_total{{answer="delivered"}}[{COUNTED}]))', "to {{target}}"
            ),
        ],
    ),
)

DASHBOARDS: Mapping[str, tuple[str, str, Sequence[Panel]]] = {
    "errors": ("Errors", "What senders report, what probes find, and what did not arrive.", ERRORS),
    "performance": ("Performance", "Requests, response times, and the time that Tocsin takes.", PERFORMANCE),
    "infrastructure": (
        "Infrastructure",
        "Databases, certificates, uptime, and the state of Tocsin itself.",
        INFRASTRUCTURE,
    ),
}
"""Title, description and panels of each dashboard, by its file."""


def queries() -> list[tuple[str, str]]:
    """Return every query with the dashboard and the panel that it is in."""
    return [
        (f"{title}: {panel.title}", query.expr)
        for title, _, panels in DASHBOARDS.values()
        for panel in panels
        for query in panel.queries
    ]


def files() -> dict[str, str]:
    """Return all files by name, as they should be."""
    return {f"{name}.json": _text(name, *made) for name, made in DASHBOARDS.items()}


def stale(folder: Path = FOLDER) -> list[str]:
    """Return the files that are missing or not as they should be."""
    return [name for name, text in files().items() if not _is(folder / name, text)]


def _is(path: Path, text: str) -> bool:
    return path.is_file() and path.read_text(encoding="utf-8") == text


def _text(name: str, title: str, about: str, panels: Sequence[Panel]) -> str:
    made = (
        dashboard.Dashboard(f"Tocsin: {title}")
        .uid(f"tocsin-{name}")
        .description(about)
        .tags(["tocsin"])
        .timezone("browser")
        .time("now-24h", "now")
        .refresh("1m")
        .readonly()
        .link(
            dashboard.DashboardLink("Tocsin").type(models.DashboardLinkType.DASHBOARDS).tags(["tocsin"]).keep_time(True)
        )
    )
    for panel in panels:
        made = made.with_panel(_panel(panel))
    return json.dumps(json.loads(JSONEncoder(sort_keys=True).encode(made.build())), indent=2, sort_keys=True) + "\n"


def _panel(panel: Panel) -> timeseries.Panel | stat.Panel | bargauge.Panel:
    made = _bare(panel).title(panel.title).description(panel.about).datasource(SOURCE).unit(panel.unit)
    made = made.span(panel.width).height(8 if isinstance(panel, Chart | Bars) else 5)
    for number, query in enumerate(panel.queries):
        target = prometheus.Dataquery().expr(query.expr).legend_format(query.legend).ref_id(chr(ord("A") + number))
        target = target.datasource(SOURCE)
        made = made.with_target(target.range() if isinstance(panel, Chart) else target.instant())
    return made


def _bare(panel: Panel) -> timeseries.Panel | stat.Panel | bargauge.Panel:
    """Return a panel of its kind, with its limit."""
    if isinstance(panel, Bars):
        return bargauge.Panel().orientation(common_models.VizOrientation.HORIZONTAL).min(0).reduce_options(_newest())
    if isinstance(panel, Numbers):
        return stat.Panel().thresholds(_limit(panel.limit, below=panel.below)).reduce_options(_newest())
    made = timeseries.Panel().line_width(1).fill_opacity(8).min(0)
    if panel.limit is None:
        return made
    style = common.GraphThresholdsStyleConfig().mode(common_models.GraphTresholdsStyleMode.LINE)
    return made.thresholds(_limit(panel.limit, below=panel.below)).thresholds_style(style)


def _newest() -> common.ReduceDataOptions:
    return common.ReduceDataOptions().calcs(["lastNotNull"])


def _limit(limit: float | None, *, below: bool) -> dashboard.ThresholdsConfig:
    """Return the colours of values: green, and red on the wrong side of a limit."""
    first, second = (RED, GREEN) if below else (GREEN, RED)
    steps = [models.Threshold(value=None, color=GREEN if limit is None else first)]
    steps += [] if limit is None else [models.Threshold(value=limit, color=second)]
    return dashboard.ThresholdsConfig().mode(models.ThresholdsMode.ABSOLUTE).steps(steps)


def main() -> int:
    """Write the files, or compare them."""
    parser = argparse.ArgumentParser(prog="python -m monitoring.dashboards", description="Write Grafana's dashboards.")
    parser.add_argument("--check", action="store_true", help="only say which files are out of date")
    if parser.parse_args().check:
        for name in stale():
            print(
                f"monitoring/grafana/dashboards/{name} is out of date: run python -m monitoring.dashboards",
                file=sys.stderr,
            )
        return 1 if stale() else 0
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, text in files().items():
        (FOLDER / name).write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
