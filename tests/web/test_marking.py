"""What is marked on the charts of pages of figures: deploys of what is shown, silences about it."""

from dataclasses import replace
from datetime import timedelta

import pytest

from chalicelib.core.context import Context, Silence
from chalicelib.core.delivery.notification import Deploy
from chalicelib.core.match import Matcher
from chalicelib.web.marking import marked
from chalicelib.web.performance import performance_view
from tests.rule_files import rules_of
from tests.web.test_figures import HOUR, NOW, RULES, SHOP
from tests.web.test_pages import harness
from tests.web.test_uptime import runs


def page():
    """A page with a day of latency and of visitors of a shop."""
    found = harness(rules=RULES)
    for metric in ("p95_latency_ms", "active_users"):
        runs(found, [210.0] * 24, every=HOUR, metric=metric, **SHOP)
    return found


def silence(name, hours, *matchers):
    """A silence that began so many hours ago and lasts for one."""
    begins = NOW - hours * HOUR
    return Silence(id=name, matchers=matchers, starts_at=begins, ends_at=begins + HOUR, by=name)


def shown(context):
    """The view of the page with its marks."""
    found = page()
    view = performance_view(found.router.store, rules_of(RULES), found.router.now)
    return marked(view, context, rules_of(RULES)).curves


def test_every_chart_has_the_deploys_of_its_service():
    """Given deploys of this service, of another, and of before the day → each chart marks the first at its time."""
    deploys = (
        Deploy(id="d1", kind="vercel", at=NOW - 40 * HOUR, commit="aaaaaaaa", service="shop"),
        Deploy(id="d2", kind="vercel", at=NOW - 3 * HOUR, commit="bbbbbbbbbb", service="shop"),
        Deploy(id="d3", kind="vercel", at=NOW - 2 * HOUR, commit="cccccccccc", service="other"),
    )
    curves = shown(Context(deploys=deploys))
    assert len(curves) == 2
    for each in curves:
        assert [(mark.at, mark.words) for mark in each.marks] == [(NOW - 3 * HOUR, "deploy bbbbbbb")]


@pytest.mark.parametrize(
    ("matchers", "is_about"),
    [
        ((Matcher("service", "=", "shop"),), True),
        ((Matcher("service", "=", "shop"), Matcher("alertname", "=", "Slow")), True),
        ((Matcher("service", "=", "other"),), False),
        ((Matcher("alertname", "=", "Slow"),), False),
    ],
)
def test_a_silence_is_marked_where_it_is_about_what_is_shown(matchers, is_about):
    """Given a silence of two hours ago → its hour is marked if it asks for a label of what is shown, and for no other value."""
    (curve, _) = shown(Context(silences=(silence("ana", 2, *matchers),)))
    wanted = [(NOW - 2 * HOUR, NOW - HOUR, "silence of ana")] if is_about else []
    assert [(each.begins, each.ends, each.words) for each in curve.bands] == wanted


def test_a_silence_that_lasts_ends_with_the_chart():
    """Given a silence from before the day until tomorrow → it is marked from the first point to the newest."""
    long = replace(silence("bo", 48, Matcher("service", "=", "shop")), ends_at=NOW + timedelta(days=1))
    (curve, _) = shown(Context(silences=(long,)))
    (band,) = curve.bands
    assert (band.begins, band.ends) == (curve.start, curve.end)


def test_the_page_draws_what_happened():
    """Given a silence made by the API → the page of performance draws it and says whose it is."""
    found = page()
    wanted = {"matchers": {"service": "shop"}, "for": "2h", "by": "Bruno"}
    found.ask("make_silence", body=wanted)
    found.wait(timedelta(hours=1, minutes=30))
    html = found.get("/performance")
    assert 'class="mutedband"' in html and "silence of Bruno" in html
