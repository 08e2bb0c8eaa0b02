"""What a stage has cost since the month began: what was counted, at list prices. AWS's bill counts; free allowances are not taken off."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from chalicelib.core.stage_counts import StageCounts

MINUTE_USD = 2.7e-5
"""A minute in which nothing comes: the schedules, the polling of the queues, their logs."""
WATCHING_USD = 2.50
"""Ten alarms and five metrics of CloudWatch, in MONTH."""
WEBHOOK_USD = 7.4e-6
"""A webhook that comes alone, from the request to the stored incident. In a storm it is less than half."""
DELIVERY_USD = 1.5e-5
"""A try to deliver a notification, with its share of the work on the incident."""
MONTH = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class MonthCost:
    """The parts of a month's cost in USD by what they are for, and since when they are counted."""

    parts: Mapping[str, float]
    since: datetime
    webhooks: int
    deliveries: int

    @property
    def usd(self) -> float:
        """Return all of it."""
        return sum(self.parts.values())


def month_cost(counts: StageCounts, *, probes_usd: float, began_at: datetime | None, now: datetime) -> MonthCost:
    """Return what the month of `now` (UTC) has cost so far.

    `probes_usd` is what the probes of the rules file cost in MONTH. `began_at` is when the stage began, where that is known.
    """
    begin = datetime(now.year, now.month, 1, tzinfo=UTC)
    since = max(begin, began_at) if began_at is not None else begin
    share = max(timedelta(0), now - since) / MONTH
    webhooks, deliveries = counts.in_month(now)
    parts = {
        "schedules and queues": share * (MONTH / timedelta(minutes=1)) * MINUTE_USD,
        "alarms": share * WATCHING_USD,
        "probes": share * probes_usd,
        "webhooks": webhooks * WEBHOOK_USD,
        "deliveries": deliveries * DELIVERY_USD,
    }
    return MonthCost(parts, since, round(webhooks), round(deliveries))
