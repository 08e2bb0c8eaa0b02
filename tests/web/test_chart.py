"""Curves of measured alerts: what the rule saw at each time, and where the chart puts it."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.core.language.condition import parse
from chalicelib.core.language.units import PLAIN_NUMBER, PLAIN_RATIO
from chalicelib.web.chart import BOTTOM, TALL, TOP, chart_of
from chalicelib.web.curve import Band, Curve, Mark
from tests.api_harness import START
from tests.web.test_pages import harness, text_of

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
RULES = """
alerts:
  - name: Slow
    condition: avg(latency_ms[3m]) > 500
    severity: critical
    group_wait: 0s
    notification: [{slack_channel: "#incidents"}]
default: {notification: [{slack_channel: "#rest"}]}
"""


def clock(at):
    """Write a time as the page does."""
    return f"{at:%H:%M}"


def samples(values):
    """Return a line for each minute with a value."""
    found = []
    for n, value in enumerate(values):
        if value is not None:
            at = (START + n * MINUTE).isoformat()
            found.append({"at": at, "sample": {"metric": "latency_ms", "value": value, "labels": {"service": "api"}}})
    return found


def curve_on(page):
    """Return the points of the chart of the one open incident, as they are read under the pointer."""
    id = page.ask("list_incidents")["incidents"][0]["id"]
    html = page.get(f"/incident/{id}")
    found = re.search(r'data-read="([^"]+)"', html)
    return html, [] if found is None else [each.split(" · ") for each in found[1].split("|")]


def test_a_chart_shows_what_the_rule_saw():
    """Given samples each minute → each point is the condition's own value then, and the newest is the incident's."""
    values = [100] * 40 + [100 + 60 * n for n in range(20)]
    page = harness(*samples(values), rules=RULES)
    html, points = curve_on(page)
    end = (page.router.now - START) // MINUTE
    for at, shown in points:
        hour, minute = map(int, at.split(":"))
        n = (hour - 12) * 60 + minute
        window = [values[each] for each in range(max(0, n - 2), n + 1) if each <= min(end, len(values) - 1)]
        if len(window) == 3:
            assert abs(float(shown.removesuffix(" ms").replace(",", "")) - sum(window) / 3) < 1, at
    assert points[-1][1] in text_of(html)
    assert "limit 500 ms" in html and 'class="breach"' in html


def test_a_gap_is_a_gap():
    """Given ten minutes without samples → no line over them, hatched, and `no data` among the numbers."""
    values = [100] * 15 + [None] * 10 + [900] * 10
    html, points = curve_on(harness(*samples(values), rules=RULES))
    assert sum(shown == "no data" for _, shown in points) >= 7
    assert '<rect class="gap"' in html and html.count('<path class="line"') >= 2


def test_what_measures_nothing_has_no_chart():
    """Given an alert of an event → no chart."""
    page = harness({"at": START.isoformat(), "event": {"name": "x", "labels": {"service": "api"}}}, rules=RULES)
    assert curve_on(page)[1] == []


VALUES = st.lists(st.one_of(st.none(), st.floats(0, 1e9)), min_size=1, max_size=80).filter(
    lambda each: any(v is not None for v in each)
)


@given(values=VALUES, limit=st.one_of(st.none(), st.floats(0, 1e9)))
def test_every_point_is_within_the_plot(values, limit):
    """Given any values and limit → lines, words and stretches stay inside, and each value is in the line or in a gap."""
    found = chart_of(Curve("x", NOW, MINUTE, PLAIN_NUMBER, tuple(values), limit), clock)
    points = [tuple(map(int, each)) for path in found.lines for each in re.findall(r"(\d+) (\d+)", path)]
    assert all(0 <= x <= found.wide and 0 <= y <= TALL for x, y in points)
    assert {x for x, _ in points} == {n for n, value in enumerate(values) if value is not None}
    assert all(TOP <= each.y <= BOTTOM for each in (*found.grid, *([found.limit] if found.limit else [])))
    assert all(0 <= each.x <= 100 and 0 <= each.width <= 100 for each in found.gaps)
    assert len(found.rows) == len(values)
    assert bool(found.gaps) is any(value is None for value in values)


def test_what_is_over_the_limit_is_filled():
    """Given values on both sides → an area for each stretch over it; below it for a rule that asks for `<`."""
    values = (1.0, 3.0, 1.0, 4.0, 5.0)
    above = chart_of(Curve("x", NOW, MINUTE, PLAIN_NUMBER, values, 2.0), clock)
    below = chart_of(Curve("x", NOW, MINUTE, PLAIN_NUMBER, values, 2.0, above=False), clock)
    assert [len(above.over), len(below.over)] == [2, 2]


def test_deploys_and_silences_are_marked():
    """Given a deploy and a silence → where they are in time, with their words; and the label says what one would see."""
    curve = Curve(
        "High Error Rate", NOW, MINUTE, PLAIN_RATIO, (0.0, 0.01, 0.02, 0.04, 0.04), 0.01,
        marks=(Mark(NOW + 2 * MINUTE, "deploy 4f2c9a1"),), bands=(Band(NOW, NOW + MINUTE, "silence of ana"),),
    )  # fmt: skip
    found = chart_of(curve, clock)
    assert [(each.x, each.text) for each in found.marks] == [(50.0, "deploy 4f2c9a1")]
    assert [(each.x, each.width, each.words) for each in found.bands] == [(0.0, 25.0, "silence of ana")]
    assert found.label == "High Error Rate from 12:00 to 12:04: between 0 % and 4 %, now 4 %; the limit is 1 %."


@pytest.mark.parametrize(("points", "steps"), [(24, [0, 6, 12, 17, 23]), (5, [0, 1, 2, 3, 4]), (2, [0, 1]), (1, [0])])
def test_times_are_those_of_points(points, steps):
    """Given so many points → each time below the chart is that of a point, at its place, the first and the last among them."""
    found = chart_of(Curve("x", NOW, 60 * MINUTE, PLAIN_NUMBER, (1.0,) * points), clock).times
    assert [each.text for each in found] == [clock(NOW + 60 * MINUTE * n) for n in steps]
    assert [each.x for each in found] == [round(100 * n / max(1, points - 1), 2) for n in steps]
    assert found[0].anchor == "start" and (points == 1 or found[-1].anchor == "end")


@pytest.mark.parametrize("text", ["500 < avg(latency_ms[3m])", "avg(latency_ms[3m]) > 500"])
def test_the_limit_is_the_side_that_is_a_number(text):
    """Given a comparison in either order → what is measured is the curve, the number its limit."""
    from chalicelib.core.language.condition import sides

    class Nothing:
        def buckets(self, metric, since, until):
            return []

        def event_times(self):
            return []

    found = sides(parse(text), Nothing(), NOW)
    assert (found.left, found.right) == (None, 500.0)
