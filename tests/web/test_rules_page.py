"""The page of rules: sentences, whether each can fire, what became of it, and who would be notified."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.schedule.last_seen import SourceActivity
from chalicelib.web import tally
from chalicelib.web.rules import Record
from tests.api_harness import START
from tests.web.harness import PageHarness
from tests.web.test_pages import HOSTILE, RULES, harness, id_of, line, text_of

INSTANTS = st.none() | st.integers(0, 9 * 10**9).map(lambda seconds: datetime.fromtimestamp(seconds, UTC))
ALL = """
services: {api: {owner: team-core, tier: 1}, web: {}}
windows: {nights: {from: "00:00", to: "24:00"}}
sources: [{name: builds, auth: {header: X-Token, token: BUILDS}, title: "$.title"}]
probes: {uptime: [{name: web, url: "https://example.com/", service: web}]}
alerts:
  - {name: Sentry Errors, match: {source: sentry}, severity: critical, notification: [{slack_channel: "#a"}]}
  - {name: Of Nobody, match: {source: nobody}}
  - {name: Never, match: {service: api, source: "sentry"}, condition: "p95_latency_ms > 500"}
  - {name: Probe Down, match: {source: probe}, severity: critical}
  - {name: Beat, match: {source: heartbeat}}
  - {name: Builds, match: {source: builds}}
  - {name: Traffic, condition: "requests_per_min > 100"}
routes:
  - {match: {severity: critical}, mute: [nights], notification: [{pagerduty: true}], escalate: [{after: 15m, notification: [{email: ops@example.com}]}]}
default: {notification: [{slack_channel: "#rest"}]}
"""


def row(page, name):
    """Return what the page says of a rule."""
    html = page.get("/rules")
    return text_of("<main" + next(each for each in html.split("<tr>") if f'class="sentence">{name}<' in each))


def seen(page, source, ago):
    """Let the repair function know when a source last sent something."""
    context = page.router.store.context()
    at = START - ago
    marks = {**context.marks, f"heard:{source}": str(SourceActivity(at, at))}
    page.router.store.save_context(replace(context, marks=marks, version=context.version + 1))


def test_each_rule_is_a_sentence_with_who_is_notified():
    """Given rules → each in the sentence of `tocsin check`, with its targets by name."""
    said = row(harness(rules=ALL), "Sentry Errors")
    assert "Critical, for each fault with source=sentry" in said and "Notifies Slack" not in said
    assert "Notifies #a." in said


@pytest.mark.parametrize(
    ("name", "verdict"),
    [
        ("Sentry Errors", "not known no webhook of sentry was accepted yet"),
        ("Of Nobody", "no no source fits source=nobody"),
        ("Never", "no nothing measured p95_latency_ms within a day of what has"),
        ("Probe Down", "yes built in: probe"),
        ("Beat", "no no source fits source=heartbeat"),
        ("Builds", "not known no webhook of builds was accepted yet"),
        ("Traffic", "no nothing measured requests_per_min within a day"),
    ],
)
def test_a_rule_that_cannot_fire_says_why(name, verdict):
    """Given a stage that has received nothing → which rules can fire, and what the others lack."""
    assert verdict in row(harness(rules=ALL), name)


def test_what_a_source_sent_last_lets_a_rule_fire():
    """Given a webhook of Sentry two hours ago → its rule can fire, and says since when nothing came."""
    page = harness(rules=ALL)
    seen(page, "sentry", timedelta(hours=2))
    assert "yes sentry, last 10:00" in row(page, "Sentry Errors")


def test_a_measured_metric_lets_a_rule_fire():
    """Given samples of a metric within a day → the rule can fire, unless its matchers want other labels."""
    page = harness({"at": START.isoformat(), "sample": {"metric": "requests_per_min", "value": 5}}, rules=ALL)
    assert "yes requests_per_min measured within a day" in row(page, "Traffic")


@pytest.mark.parametrize(("many", "is_kept"), [(3, True), (4, False)])
def test_what_many_incidents_came_to_is_kept(many, is_kept):
    """Given four incidents → kept where they are more than are counted for each view, else counted anew each time."""
    page = harness(*(line(n, "Boom", service=f"s{n}") for n in range(4)))
    store, rules = page.router.store, page.router.rules
    found, _ = tally.tally_and_open(store, rules, None, page.router.now, many=many)
    assert found.incidents == found.of("Boom").fired == 4
    assert (tally.MARK in store.marks([tally.MARK])) is is_kept


def test_what_was_kept_is_shown_with_its_time_for_five_minutes():
    """Given counts of two minutes ago → the page shows them with their time; three minutes later it counts anew."""
    page = harness(*(line(n, "Boom", service=f"s{n}") for n in range(4)))
    kept = tally.Tally(page.router.now - timedelta(minutes=2), 900, 900, 7, {"Boom": Record(893, 893)})
    page.router.store.put_mark(tally.MARK, tally.written(kept))
    said = text_of(page.get("/rules"))
    assert "900 incidents; counted" in said and "893" in row(page, "Boom") and "7 alerts of other names" in said
    page.wait(timedelta(minutes=3))
    said = text_of(page.get("/rules"))
    assert "4 incidents" in said and "counted" not in said


@given(
    records=st.dictionaries(
        st.text(max_size=9), st.builds(Record, *[st.integers(0, 9)] * 2, INSTANTS, *[st.integers(0, 9)] * 3)
    )
)
def test_what_was_counted_is_read_back(records):
    """Given any counts → the mark gives the same ones."""
    found = tally.Tally(START, 7, 5, 2, records)
    assert tally.read(tally.written(found)) == found


def test_a_week_of_incidents_is_counted():
    """Given one acknowledged, one that ended at once, one that fires → what became of them, of how many."""
    page = harness(
        line(0, "Disk", service="api"),
        line(1, "Disk", service="web"),
        line(2, "Disk", service="db"),
        line(60, "Disk", status="resolved", service="web"),
    )
    page.act(id_of(page), "ack")
    page.wait(timedelta(hours=1))
    said = row(page, "Boom")
    assert "3 09:00 1 of 3 1 of 3 2 of 3" in said
    assert "last 7 days, 3 incidents" in text_of(page.get("/rules"))


@pytest.mark.parametrize(("do", "fields"), [("resolve", {}), ("assign", {"to": "Bruno"}), ("ack", {})])
def test_what_a_person_does_is_acted_on(do, fields):
    """Given an act of a person → acted on, and what was resolved by hand did not end by itself; a note is no act."""
    page = harness(line(0, "Disk", service="api"))
    page.act(id_of(page), "note", note="looking")
    assert "0 of 1 0 of 1 1 of 1" in row(page, "Boom")
    page.act(id_of(page), do, **fields)
    page.wait(timedelta(minutes=10))
    assert f"1 of 1 0 of 1 {0 if do == 'ack' else 1} of 1" in row(page, "Boom")


def test_a_silence_is_acted_on():
    """Given a silence of a person on what fires → acted on."""
    page = harness(line(0, "Disk", service="api"))
    page.ask("make_silence", body={"matchers": {"service": "api"}, "for": "2h", "by": "Bruno"})
    assert "1 of 1 0 of 1 1 of 1" in row(page, "Boom")


def test_a_noisy_rule_is_pointed_out():
    """Given five incidents that ended within a minute → the page proposes to wait."""
    lines = [line(0, "Disk", service=f"s{n}") for n in range(5)]
    page = harness(*lines, *(line(60, "Disk", status="resolved", service=f"s{n}") for n in range(5)))
    page.wait(timedelta(hours=1))
    assert "5 of 5 ended by themselves within 5 min. With for: 5m they would not have fired." in row(page, "Boom")


def test_what_is_older_than_a_week_does_not_count():
    """Given an incident that ended eight days ago → it is not counted."""
    page = harness(line(0, "Disk", service="api"), line(60, "Disk", status="resolved", service="api"))
    page.wait(timedelta(days=8))
    page.sign_in()
    assert "0 not in 7 days – – –" in row(page, "Boom")


def asked(page, text):
    """Return the text of the box."""
    said = text_of(page.get(f"/rules?{urlencode({'who': text})}"))
    return said[said.index("Who would") : said.index("last 7 days")]


def test_the_box_says_who_would_be_notified():
    """Given labels → the targets by rule, the escalation, what mutes them now, and whose the service is."""
    page = harness(rules=ALL)
    said = asked(page, "service=api severity=critical source=probe")
    assert "api is owned by team-core, tier 1." in said
    assert "Probe Down critical PagerDuty" in said and "Sentry Errors" not in said
    assert "after 15 minutes ops@example.com" in said and "Muted now by nights" in said
    assert "#rest" in asked(page, "severity=warning source=event")
    assert "Probe Down" not in asked(page, "severity=warning source=probe")


@pytest.mark.parametrize("text", ["service", "service!=api", "a=b c", "service=~x", HOSTILE])
def test_what_is_no_label_is_a_mistake(text):
    """Given something else than labels → the box says what is expected, and the rest of the page stands."""
    page = harness(rules=ALL)
    html = page.get(f"/rules?{urlencode({'who': text})}")
    assert page.reply.status == 200 and "xpected" in asked(page, text) and "<script>alert" not in html
    assert "Sentry Errors" in text_of(html)


def test_hostile_rules_and_labels_are_text():
    """Given a rule with a hostile name → it is text."""
    rules = RULES.replace("name: Boom", "name: '<img src=x onerror=alert(1)>'")
    page = PageHarness(line(0, "<b>x</b>", service="<i>"), rules=rules)
    page.sign_in()
    html = page.get("/rules?who=service%3D%3Cscript%3E")
    assert "<img" not in html and "<script>" not in html and "&lt;img" in html


def test_the_page_reads_the_newest_hundred_incidents():
    """Given more incidents than are read whole → all are counted, and the page says of how many it knows more."""
    page = harness(*(line(0, "Disk", service=f"s{n}") for n in range(120)))
    read, store = [], page.router.store
    load_all = store.load_all
    store.load_all = lambda keys: read.extend(keys) or load_all(keys)
    html = page.get("/rules")
    assert "120 incidents; from “Last fired” on, of the newest 100" in text_of(html)
    assert "120 09:00 0 of 100" in row(page, "Boom")
    assert len(read) <= 2 * (100 + 5)
