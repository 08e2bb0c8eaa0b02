"""The page of errors: how many events were counted, of which errors, as a count over the same events finds them."""

from collections import Counter
from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.core.metrics.sample import Sample
from chalicelib.web.errors import increments, limits_a_minute, remembered_of
from tests.api_harness import START
from tests.rule_files import rules_of
from tests.web.test_pages import HOSTILE, harness, text_of
from tests.web.test_uptime import hours_of

RULES = """
alerts:
  - name: Error Spike
    match: {kind: error.created}
    condition: "events[1m] > 10"
    severity: critical
    group_by: [service]
    group_wait: 0s
    notification: [{slack_channel: "#incidents"}]
  - name: Many
    match: {kind: never}
    condition: "events[5m] > 100"
    notification: [{slack_channel: "#incidents"}]
default: {notification: [{slack_channel: "#rest"}]}
"""


def error(seconds, number, title="TypeError", **labels):
    """Return a line of one error."""
    at = (START + timedelta(seconds=seconds)).isoformat()
    labels = {"kind": "error.created", "service": "api", **labels}
    return {"at": at, "event": {"id": f"e{number}", "name": title, "title": title, "labels": labels}}


def page_of(errors):
    """Return a page after these errors were counted, two minutes after the last one."""
    page = harness(*sorted(errors, key=lambda each: each["at"]), rules=RULES)
    page.wait(timedelta(minutes=2))
    return page


def test_errors_are_counted_whether_they_opened_something_or_not():
    """Given errors below and above the limit of a rule → all of them in the last minutes, over time and among the top."""
    errors = [error(n * 9, n) for n in range(7)] + [error(70 + n, 7 + n, "KeyError") for n in range(3)]
    html = page_of(errors).get("/errors")
    said = text_of(html)
    assert "Last 5 minutes 10 events" in said and "Last 24 hours 10 events counted" in said
    assert "TypeError api 7 70 %" in said and "KeyError api 3 30 %" in said
    assert "critical over 10 in 1 minute" in said and "By service api 10, 100 %" in said
    assert "Users affected unknown" in said


def test_no_count_is_no_data_and_not_zero():
    """Given rules that have counted nothing → what would count, and no zero."""
    said = text_of(harness(rules=RULES).get("/errors"))
    assert "No data yet The rules Error Spike, Many count events" in said and " 0 " not in said
    assert "No rule counts events" in text_of(harness().get("/errors"))


@settings(max_examples=25, deadline=None)
@given(seconds=st.lists(st.integers(0, 600), min_size=1, max_size=40), twice=st.booleans())
def test_figures_are_those_of_a_count_over_all_events(seconds, twice):
    """Given any errors, also delivered twice → the day, the last five minutes and each title as a count finds them."""
    titles = ["TypeError", "KeyError", "OSError"]
    errors = [error(at, n, titles[n % 3]) for n, at in enumerate(sorted(seconds))]
    page = page_of(errors + (errors[::2] if twice else []))
    now, store = page.router.now, page.router.store
    said = text_of(page.get("/errors"))
    assert f"Last 24 hours {len(errors)} events counted" in said
    lately = sum(START + timedelta(seconds=at) > now - timedelta(minutes=5) for at in seconds)
    assert f"Last 5 minutes {lately} events" in said
    (labels,) = store.label_sets("counted_events_total")
    incident = store.load(labels["incident_key"])
    found = remembered_of(incident.alerts.values(), now)
    assert {each.title: each.count for each in found.top} == Counter(each["event"]["title"] for each in errors)
    assert found.total == len(errors)


@given(steps=st.lists(st.tuples(st.integers(0, 59), st.integers(1, 50)), min_size=2, max_size=40))
def test_hours_hold_what_was_counted_in_them(steps):
    """Given a counter that is read now and then → the roll-ups of hours add up to all that it rose by."""
    at, value, samples = START, 0, [Sample("x_total", 0.0, START - timedelta(minutes=1), {})]
    for minutes, more in steps:
        at, value = at + timedelta(minutes=minutes + 1), value + more
        samples.append(Sample("x_total", float(value), at, {}))
    found = increments(hours_of(samples))
    assert sum(count for _, count in found) == value
    assert [when for when, _ in found] == sorted(when for when, _ in found)


def test_before_counting_began_there_is_no_data():
    """Given the first errors ever, then none for an hour → no data before them, and zero after them."""
    page = page_of([error(n, n) for n in range(3)])
    page.wait(timedelta(hours=1))
    html = page.get("/errors")
    points = html[html.index('data-read="') :].split('"')[1].split("|")
    shown = [each.rpartition(" · ")[2] for each in points]
    assert (
        shown[0] == "no data"
        and "3" in shown
        and shown[-1] == "0"
        and shown.index("3") < shown.index("0", shown.index("3"))
    )


def test_errors_after_long_silence_are_all_counted():
    """Given errors two days after the last ones → the day has all of those of the day, the first one too."""
    page = page_of([error(n, n) for n in range(3)] + [error(2 * 86_400 + n, 10 + n) for n in range(4)])
    assert "Last 24 hours 4 events" in text_of(page.get("/errors"))


def test_limits_are_those_of_counting_rules_a_minute():
    """Given counts over a minute and over five → each as events a minute, with its own words."""
    found = limits_a_minute(rules_of(RULES).rules)
    assert [(each.value, each.words) for each in found] == [
        (10, "critical over 10 in 1 minute"),
        (20, "warning over 100 in 5 minutes"),
    ]


def test_counts_are_chosen_by_name():
    """Given two services → both together, and each alone by its name; an unknown name shows all."""
    page = page_of([error(n, n) for n in range(3)] + [error(n, 10 + n, service="web") for n in range(2)])
    assert "Last 24 hours 5 events" in text_of(page.get("/errors"))
    assert "Last 24 hours 2 events" in text_of(page.get("/errors?of=Error+Spike%2C+web"))
    assert "Last 24 hours 5 events" in text_of(page.get("/errors?of=nothing"))


def test_hostile_errors_are_only_text():
    """Given a title, a service and a release with markup → they are shown as they are."""
    html = page_of([error(0, 1, HOSTILE, service=HOSTILE, release=HOSTILE)]).get("/errors")
    assert "<script>alert(1)" not in html and "&lt;script&gt;alert(1)" in html
