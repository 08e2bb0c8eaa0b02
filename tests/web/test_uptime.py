"""The uptime page: days of runs as a brute-force count over the same samples finds them, certificates, heartbeats."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.core.metrics.rollup import bucket_of, hour_start, rolled_up
from chalicelib.core.metrics.sample import Sample
from chalicelib.web.uptime import days_until, percent_down, probe_days, uptime_view
from tests.api_harness import START
from tests.rule_files import rules_of
from tests.test_rows import dynamo, incident
from tests.web.test_pages import HOSTILE, harness, line, text_of

NOW = datetime(2026, 11, 26, 12, 30, tzinfo=UTC)
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
RULES = """
probes:
  uptime:
    - {name: web, url: "https://example.com/health?key=hidden", every: 5m, service: api}
  heartbeat: [{name: backup, every: 1d, grace: 1h}]
alerts:
  - {name: Ends, condition: "tls_days_left < 14d", severity: warning, notification: [{slack_channel: "#a"}]}
default: {notification: [{slack_channel: "#rest"}]}
"""


def runs(page, results, *, every=5 * MINUTE, until=None, metric="uptime", **labels):
    """Store the runs of a probe that ended at `until`, the newest last."""
    end = until or page.router.now
    at = [end - every * n for n in reversed(range(len(results)))]
    labels = {"probe": "web", "service": "api", **labels}
    page.router.store.add_samples(
        [Sample(metric, value, when, labels) for when, value in zip(at, results, strict=True) if value is not None]
    )


def days_in(html):
    """Return the list of days below the first probe."""
    return html.partition('id="days-1"')[2].partition("</details>")[0]


def hours_of(samples):
    """Return samples as the hour roll-ups of a table."""
    found = {}
    for sample in sorted(samples, key=lambda each: each.at):
        found.setdefault(hour_start(sample.at), []).append(bucket_of(sample))
    return [rolled_up(each) for _, each in sorted(found.items())]


RUNS = st.dictionaries(st.integers(0, 40 * 24 * 4), st.booleans(), max_size=300)


@pytest.mark.acceptance
@given(runs=RUNS, zone=st.sampled_from(["UTC", "America/Sao_Paulo", "Asia/Tokyo", "Europe/Berlin", "America/New_York"]))
def test_days_are_those_of_a_count_over_all_runs(runs, zone):
    """Given any runs → each day of the reader has as many runs, failures and missed ones as a count over all of them."""
    zone, every = ZoneInfo(zone), 15 * MINUTE
    samples = [Sample("uptime", float(ok), NOW - every * number, {}) for number, ok in runs.items()]
    found = probe_days(hours_of(samples), days_until(NOW, zone), every, NOW, zone)
    first = min((each.at for each in samples), default=None)
    newest = max((each.at for each in samples), default=NOW)
    due_at = [NOW - every * n for n in range(40 * 24 * 4 + 1)]
    due_at = [at for at in due_at if first is not None and first <= at <= max(newest, NOW - every)]
    for day in found:
        those = [each for each in samples if each.at.astimezone(zone).date() == day.on]
        assert (day.runs, day.failed) == (len(those), sum(not each.value for each in those))
        due = [at for at in due_at if at.astimezone(zone).date() == day.on]
        assert day.begun is (first is not None and first.astimezone(zone).date() <= day.on)
        assert day.missed == max(0, len(due) - day.runs)


@given(whole=st.integers(1, 10**6), data=st.data())
def test_a_percentage_is_rounded_down(whole, data):
    """Given fine runs of all runs → never more than the share, less than 0.01 below it, and 100 % only for all."""
    part = data.draw(st.integers(0, whole))
    shown = percent_down(part, whole)
    assert 0 <= part * 100 / whole - float(shown.removesuffix(" %")) < 0.01 + 1e-9
    assert (shown == "100 %") is (part == whole)


def test_a_probe_has_its_percentage_and_its_days():
    """Given runs of two hours with failures and a gap → percentage with the denominator, and words for the day."""
    page = harness(rules=RULES)
    runs(page, [1.0] * 10 + [0.0] * 2 + [None] * 3 + [1.0] * 9)
    said = text_of(page.get("/uptime"))
    assert "web uptime https://example.com/health every 5 min Up last run" in said
    assert "90.47 % 19 of 21 runs; 3 missed" in said
    assert "today: 2 of 21 runs failed, 3 missed, unknown" in said
    assert "hidden" not in said


def test_nothing_measured_is_said_and_not_fine():
    """Given no sample → which probe to write, and no percentage."""
    said = text_of(harness().get("/uptime"))
    assert "No data yet: no probe has run. Write one under probes: uptime:" in said
    assert "100 %" not in said and "No heartbeat is in the rules file" in said


def test_a_day_names_the_incident_that_was_open():
    """Given an open incident of the probe's service and failed runs → the day leads to it."""
    page = harness(
        {"at": START.isoformat(), "event": {"name": "x", "severity": "critical", "labels": {"service": "api"}}},
        rules=RULES,
    )
    runs(page, [1.0, 0.0])
    html = page.get("/uptime")
    assert f'href="./incident/{page.shown()["id"]}"' in html


def test_a_day_names_the_incident_that_ended_on_it():
    """Given two days with failed runs and an incident that ended on the second → that day alone leads to it."""
    page = harness(line(0, "Down", service="api"), line(3600, "Down", service="api", status="resolved"), rules=RULES)
    page.wait(timedelta(hours=3))
    for day in (0, 1):
        runs(page, [1.0, 0.0], until=START + HOUR - timedelta(days=day))
    found = days_in(page.get("/uptime")).split("<li>")
    assert [">Down</a>" in each for each in found] == [False, True, False]


def test_the_incidents_of_three_days_are_looked_for(emulator):
    """Given failed runs on ten days, open incidents in all shards of a table → the newest three days name the one of the probe."""
    store, _, _ = dynamo(emulator)
    begin = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(days=12)
    for number in range(30):
        store.save(incident(f"k{number}", services=(f"s{number}",), since=begin))
    for number in range(10):
        store.add_samples([Sample("uptime", 0.0, begin + timedelta(days=number), {"probe": "web", "service": "s7"})])
    view = uptime_view(store, rules_of(RULES), begin + timedelta(days=11), ZoneInfo("UTC"))
    named = [day for day in view.probes[0].days if day.incidents]
    assert len(named) == 3 and {each.id for day in named for each in day.incidents} == {"id-k7"}


@pytest.mark.parametrize(("left", "state"), [(61.9, "61 days"), (13.5, "13 days"), (-0.5, "-1 days")])
def test_certificates_have_their_days_left(left, state):
    """Given days until a certificate ends → rounded down, and marked where a rule fires."""
    page = harness(rules=RULES)
    runs(page, [left], metric="tls_days_left")
    html = page.get("/uptime")
    assert state in text_of(html) and ("sign warning" in html) is (left < 14)


def test_an_old_reading_is_no_data():
    """Given a certificate that was read three hours ago → no data, since nobody knows it now."""
    page = harness(rules=RULES)
    runs(page, [61.9], metric="tls_days_left", until=page.router.now - 3 * HOUR)
    said = text_of(page.get("/uptime"))
    assert "61 days" not in said and "no data" in said


def test_a_reading_of_a_rare_probe_is_one_of_now():
    """Given a domain that is asked for twice a day, ten hours ago → its days left."""
    rules = RULES.replace("  heartbeat:", "  domain: [{name: shop, domain: example.com, every: 12h}]\n  heartbeat:")
    page = harness(rules=rules)
    runs(page, [204.2], metric="domain_days_left", until=page.router.now - 10 * HOUR, probe="shop")
    assert "shop domain" in (said := text_of(page.get("/uptime"))) and "204 days" in said


def test_a_probe_that_has_not_run_is_unknown():
    """Given a probe in the rules file without a run → it is there, unknown, without a percentage."""
    said = text_of(harness(rules=RULES).get("/uptime"))
    assert "web uptime https://example.com/health every 5 min Unknown" in said and "no data 0 of 0 runs" in said


def test_heartbeats_are_listed_with_when_they_are_due():
    """Given a heartbeat that is in the rules file and was never received → its plan, and that it was not received."""
    page = harness(rules=RULES)
    page.wait(timedelta(minutes=2))
    said = text_of(page.get("/uptime"))
    assert "backup every 1 d, 1 h grace" in said and "Not received yet" in said


def beat(hours, **fields):
    """Return a line of a heartbeat of the job `backup`."""
    return {"at": (START + hours * HOUR).isoformat(), "beat": {"name": "backup", **fields}}


def test_the_past_of_a_heartbeat_is_shown():
    """Given beats in time, one after the grace, a failure and a success → each is counted as what it was."""
    page = harness(*map(beat, (0, 24, 48, 74)), beat(80, signal="fail"), beat(81), rules=RULES)
    said = text_of(page.get("/uptime"))
    assert "last 6: 4 in time, 1 late, 1 failed" in said
    assert "late, after its grace" in said and said.partition("last 6")[2].count(": failed") == 1


def test_thirty_beats_are_kept_with_the_alert():
    """Given 40 beats → the newest thirty are shown, in order, as they were received."""
    page = harness(*map(beat, range(40)), rules=RULES)
    (shown,) = uptime_view(page.router.store, page.router.rules, page.router.now, ZoneInfo("UTC")).beats
    assert [each.at for each in shown.past] == [START + n * HOUR for n in range(10, 40)]
    assert {each.state for each in shown.past} == {"ok"}


def test_hostile_names_are_only_text():
    """Given labels with markup → they are shown as they are, and no element is made of them."""
    page = harness(rules=RULES)
    runs(page, [1.0], probe=HOSTILE)
    html = page.get("/uptime")
    assert "<script>alert(1)" not in html and "&lt;script&gt;alert(1)" in html


def test_many_probes_are_in_pages():
    """Given more probes than a page reads → the rest is on further pages, and any number leads to a page."""
    page = harness(rules=RULES)
    for n in range(8):
        runs(page, [1.0], probe=f"p{n}")
    assert "p6" not in text_of(page.get("/uptime")) and "p6" in text_of(page.get("/uptime?page=2"))
    for wrong in ("0", "99", "x", "٣", "1e3"):
        assert page.get(f"/uptime?page={wrong}") and page.reply.status == 200
