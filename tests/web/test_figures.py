"""Performance and infrastructure: figures equal a brute-force computation over the same samples, limits are the rules'."""

import math
import re
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.core.metrics.sample import Sample
from chalicelib.core.probe_state import STATE, ProbeState, written
from chalicelib.schedule.slowest import slowest_after
from chalicelib.web.infrastructure import EDGES, forecast_of, responses_of
from chalicelib.web.measures import HIGHEST, HOUR, Limit, day_start, hourly, limits_of, subjects
from tests.rule_files import rules_of
from tests.web.test_pages import HOSTILE, harness, text_of
from tests.web.test_uptime import hours_of, runs

NOW = datetime(2026, 11, 26, 12, 30, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
RULES = """
probes:
  cloudflare: [{name: shop, zone: 023e105f4ecef8ad9ca31a8372d0c353, every: 1m}]
  database: [{name: main, dsn: DATABASE_URL}]
alerts:
  - {name: Slow, condition: "p95_latency_ms > 0.5s and requests_per_min > 20", severity: warning}
  - {name: Very slow, condition: "2000 < avg(p95_latency_ms[5m])", severity: critical}
  - {name: Elsewhere, condition: "p95_latency_ms > 100", match: {zone: other.example}}
  - {name: Full, condition: "db_size_gb > 8GB", severity: critical}
  - {name: Cold, condition: "cache_hit_rate < 90%"}
  - {name: Grows, condition: "growth(db_size_gb[7d]) > 50%"}
default: {notification: [{slack_channel: "#rest"}]}
"""
SHOP = {"probe": "shop", "service": "shop", "zone": "example.com"}
MAIN = {"probe": "main", "service": "main"}


@given(values=st.dictionaries(st.integers(0, 60 * 26), st.floats(0, 1e6), max_size=200))
def test_each_hour_has_its_highest_value(values):
    """Given any samples → each hour's point is the highest of its samples; without one there is no point."""
    samples = [Sample("p95_latency_ms", value, NOW - MINUTE * n, {}) for n, value in values.items()]
    start = day_start(NOW)
    found = hourly(hours_of(samples), start, HIGHEST)
    for n, value in enumerate(found):
        begin = start + HOUR * n
        assert value == max((each.value for each in samples if begin <= each.at < begin + HOUR), default=None)
    assert len(found) == 24 and start + 24 * HOUR > NOW


@given(values=st.lists(st.floats(0.1, 20_000), min_size=1, max_size=300))
def test_response_times_are_those_of_all_samples(values):
    """Given any latencies → percentiles and bars of the roll-ups are those of the samples, within 2 %."""
    samples = [Sample("latency_ms", value, NOW - MINUTE * n, {}) for n, value in enumerate(values)]
    found = responses_of(hours_of(samples))
    ordered = sorted(values)
    for share, value in ((0.5, found.p50), (0.95, found.p95), (0.99, found.p99)):
        exact = ordered[max(1, math.ceil(share * len(ordered))) - 1]
        assert abs(value - exact) <= 0.0201 * exact
    assert found.count == len(values) == sum(each.count for each in found.bars)
    for edge in EDGES:
        within = sum(each.count for each in found.bars if each.edge is not None and each.edge <= edge)
        assert sum(value <= edge / 1.04 for value in values) <= within <= sum(value <= edge * 1.04 for value in values)


SIZES = st.lists(st.floats(0.5, 9.0), min_size=30, max_size=160)


@given(sizes=SIZES, limit=st.floats(1.0, 50.0))
def test_a_forecast_is_the_line_of_least_squares(sizes, limit):
    """Given a sample an hour → growth, its range and the days until the limit are those of the textbook's formulas."""
    samples = [Sample("db_size_gb", value, NOW - HOUR * n, {}) for n, value in enumerate(reversed(sizes))]
    above = Limit("Full", "critical", limit, True, "")
    found = forecast_of(hours_of(samples), [above], NOW)
    x = [-n / 24 for n in reversed(range(len(sizes)))]
    mean_x, mean_y = math.fsum(x) / len(x), math.fsum(sizes) / len(sizes)
    spread = math.fsum((each - mean_x) ** 2 for each in x)
    slope = math.fsum((each - mean_x) * (y - mean_y) for each, y in zip(x, sizes, strict=True)) / spread
    rest = math.fsum((y - mean_y - slope * (each - mean_x)) ** 2 for each, y in zip(x, sizes, strict=True))
    assert found.per_day == pytest.approx(slope, rel=1e-6, abs=1e-7)
    assert found.margin == pytest.approx(2 * math.sqrt(rest / (len(x) - 2) / spread), rel=1e-6, abs=1e-7)
    now = mean_y + slope * -mean_x
    if now >= limit or sizes[-1] >= limit:
        assert found.days == 0
    elif slope > 1e-6:
        assert found.days == pytest.approx(math.floor((limit - now) / slope), rel=1e-5, abs=1)
        assert found.soonest <= found.days and (found.latest is None or found.days <= found.latest)
    elif slope < -1e-6:
        assert found.days is None


def test_too_few_samples_foretell_nothing():
    """Given samples of some hours → no forecast."""
    samples = [Sample("db_size_gb", 1.0 + n, NOW - HOUR * n, {}) for n in range(8)]
    assert forecast_of(hours_of(samples), [], NOW) is None


def test_limits_are_those_of_the_rules_about_the_series():
    """Given rules in other units, either order, for others, and of a growth → only what limits this metric, the worst first."""
    rules = rules_of(RULES)
    found = limits_of(rules, "p95_latency_ms", SHOP, NOW)
    assert [(each.rule, each.value, each.above) for each in found] == [("Very slow", 2000, True), ("Slow", 500, True)]
    assert found[1].words == "warning over 500 ms"
    assert [each.rule for each in limits_of(rules, "db_size_gb", MAIN, NOW)] == ["Full"]
    assert [(each.value, each.above) for each in limits_of(rules, "cache_hit_rate", MAIN, NOW)] == [(0.9, False)]


def measured():
    """Return a page with a day of a zone and a week of a database."""
    page = harness(rules=RULES)
    day = 24 * 60
    runs(page, [210.0] * (day - 1) + [612.0], every=MINUTE, metric="p95_latency_ms", **SHOP)
    runs(page, [400.0] * day, every=MINUTE, metric="p99_latency_ms", **SHOP)
    runs(page, [90.0] * day, every=MINUTE, metric="requests_per_min", **SHOP)
    runs(page, [0.001] * day, every=MINUTE, metric="error_rate", **SHOP)
    runs(page, [42.0] * day, every=MINUTE, metric="active_users", **SHOP)
    runs(page, [7.0 + n * 0.6 / 168 for n in range(169)], every=HOUR, metric="db_size_gb", **MAIN)
    runs(page, [0.97] * 20 + [0.85] + [0.96] * 10, every=HOUR, metric="cache_hit_rate", **MAIN)
    runs(page, [0.5] * 24, every=HOUR, metric="connections_used", **MAIN)
    runs(page, [12.0, 30.0, 700.0] * 40, every=MINUTE, metric="latency_ms", **MAIN)
    return page


def test_performance_has_its_figures_with_time_and_limits():
    """Given a day of samples → each figure with unit and time, what is beyond its limit marked, and the requests counted."""
    page = measured()
    html = page.get("/performance")
    said = text_of(html).replace(" ;", ";").replace(" .", ".").replace(" )", ")")
    assert "p95 latency 612 ms at 12:00; critical over 2,000 ms; warning over 500 ms" in said
    assert "beyond the limit of Slow" in said and "p99 latency 400 ms" in said and "Error rate 0.1 % at" in said
    assert "Active users 42" in said and "Requests a minute 90" in said
    start = day_start(page.router.now)
    samples = int((page.router.now - start) / MINUTE) + 1
    assert f"{samples * 90:,} requests in the last 24 hours, from {samples:,} of {samples:,} readings." in said
    assert html.count('<path class="line two"') >= 3 and "Not measured: no probe reads latency by path yet." in said
    assert 'class="breach"' in html


def test_infrastructure_foretells_when_a_database_is_full():
    """Given a week of growth → size, growth and days until the limit rounded down, drawn until it is reached."""
    html = measured().get("/infrastructure?of=main")
    said = text_of(html).replace(" ;", ";").replace(" .", ".").replace(" )", ")")
    assert "Database size 7.6 GB at 12:00; critical over 8 GB" in said
    assert re.search(r"\+0\.0857 GB a day \(\+0\.0857 to \+0\.0857\); 8 GB are reached in 4 days[.]", said)
    assert '<path class="forecast"' in html and "Cache hit rate 96 %" in said and "warning under 90 %" in said
    assert "Half within 30 ms" in said and "95 % within 700 ms" in said and "Connections in use 50 %" in said


@pytest.mark.parametrize(
    ("address", "probe"), [("/performance", "probes: cloudflare:"), ("/infrastructure", "probes: database:")]
)
def test_nothing_measured_says_which_probe_to_write(address, probe):
    """Given no samples → no zero and no empty axis, and which probe brings the figures."""
    html = harness().get(address)
    assert "No data yet" in text_of(html) and probe in text_of(html) and "<figure" not in html


def test_what_is_old_is_no_data():
    """Given a last sample of three hours ago → no value of now, its time, and a gap until now."""
    page = harness(rules=RULES)
    runs(page, [210.0] * 60, until=page.router.now - 3 * HOUR, metric="p95_latency_ms", **SHOP)
    html = page.get("/performance")
    assert "p95 latency no data last at 09:00" in text_of(html) and '<rect class="gap"' in html


@pytest.mark.parametrize("address", ["/performance", "/infrastructure"])
def test_hostile_labels_are_only_text(address):
    """Given labels with markup, and a hostile choice → they are shown as they are."""
    page = harness(rules=RULES)
    for metric in ("p95_latency_ms", "db_size_gb", "latency_ms"):
        runs(page, [1.0], metric=metric, probe=HOSTILE, zone=HOSTILE, service=HOSTILE)
        runs(page, [1.0], metric=metric, probe="other")
    for wanted in ("", "?of=<script>alert(1)</script>", "?of=other"):
        html = page.get(f"{address}{wanted}")
        assert page.reply.status == 200
        assert "<script>alert(1)" not in html and "&lt;script&gt;alert(1)" in html


def test_series_of_one_name_are_told_apart():
    """Given two label sets of one probe → two subjects with names of their own."""
    page = harness(rules=RULES)
    for region in ("eu", "us"):
        runs(page, [1.0], metric="latency_ms", region=region)
    found = subjects(page.router.store, ["latency_ms"])
    assert [each.name for each in found] == ["probe=web, region=us, service=api", "web"]


def test_slowest_statements_are_shown_with_when_they_were_read():
    """Given what the probe of a database saw → its statements as text, read at that time; else why there are none."""
    page = harness(rules=RULES)
    runs(page, [12.0] * 24, every=HOUR, metric="query_time_ms", **MAIN)
    assert "the extension pg_stat_statements is not there" in text_of(page.get("/infrastructure"))
    seen = {"slowest": f"1,240 ms × 37: select {HOSTILE}; 9 ms × 2: select $1"}
    rows = slowest_after({}, [Sample("query_time_ms", 1.0, NOW, MAIN, seen)])
    page.router.store.put_mark(STATE, written(ProbeState(slowest=rows), NOW))
    html = page.get("/infrastructure")
    assert "<script>alert" not in html and "9 ms × 2: select $1" in html
    assert "Slowest statements mean time × calls since the statistics began, read 12:30" in text_of(html)
