"""What a stage has cost since the month began."""

from datetime import UTC, datetime

import pytest

from chalicelib.core.month_cost import DELIVERY_USD, WEBHOOK_USD, month_cost
from chalicelib.core.stage_counts import DELIVERIES, EVENTS, PROCESSED, StageCounts

NOVEMBER, DECEMBER = datetime(2026, 11, 20, 12, tzinfo=UTC), datetime(2026, 12, 4, 12, tzinfo=UTC)
NEW = {
    (PROCESSED, "sentry"): 5.0,
    (PROCESSED, "vercel"): 1.0,
    (DELIVERIES, "email:a@b.c", "delivered"): 2.0,
    (EVENTS, "sentry", "firing"): 9.0,
}


def test_a_month_counts_what_came_in_it() -> None:
    """Given counts of November and of December → each month has its own, and a month without any has none."""
    november = StageCounts().plus(NEW, now=NOVEMBER)
    december = november.plus(NEW, now=DECEMBER).plus(NEW, now=DECEMBER)
    assert november.in_month(NOVEMBER) == (6, 2)
    assert november.in_month(DECEMBER) == (0, 0)
    assert december.in_month(DECEMBER) == (12, 4)


def test_counts_of_the_version_before_are_those_of_earlier_months() -> None:
    """Given counts without a month, as the version before stored them, when more is counted → only what is new is of the month."""
    stored = StageCounts({'["webhooks_processed","sentry"]': 100.0}, 3)
    assert stored.plus(NEW, now=DECEMBER).in_month(DECEMBER) == (6, 2)


def test_a_month_costs_by_time_and_by_what_was_counted() -> None:
    """Given three and a half days of December → the share of the month for what runs by itself, and each webhook and delivery."""
    counts = StageCounts().plus(NEW, now=DECEMBER)
    found = month_cost(counts, probes_usd=3.0, began_at=None, now=DECEMBER)
    assert found.parts["probes"] == pytest.approx(3.0 * 3.5 / 30)
    assert found.parts["webhooks"] == pytest.approx(6 * WEBHOOK_USD)
    assert found.parts["deliveries"] == pytest.approx(2 * DELIVERY_USD)
    assert found.usd == pytest.approx(sum(found.parts.values()))
    assert (found.webhooks, found.deliveries) == (6, 2)


def test_a_stage_that_began_in_the_month_is_counted_from_then() -> None:
    """Given a stage that began an hour ago → an hour of what runs by itself, since then."""
    began = DECEMBER.replace(hour=11)
    found = month_cost(StageCounts(), probes_usd=0.0, began_at=began, now=DECEMBER)
    assert found.since == began
    assert found.usd == pytest.approx(2.7e-5 * 60 + 2.5 / 720)
