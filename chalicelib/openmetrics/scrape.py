"""GET /metrics: what is stored of the stage, written as OpenMetrics or in the older text format of Prometheus.

A scrape reads four marks and the counts, five items however much there is to show. A mark of its own says that the stage is
scraped: from the next minute on the tick and the probes leave what it reads.
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any

from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.exposition import generate_latest as plain_text
from prometheus_client.openmetrics.exposition import CONTENT_TYPE_LATEST
from prometheus_client.openmetrics.exposition import generate_latest as openmetrics_text
from prometheus_client.registry import Collector

from chalicelib.core import gauges
from chalicelib.core.errors import NotStoredError, TooNewError
from chalicelib.core.ports import Store
from chalicelib.core.probe_state import STATE
from chalicelib.core.probe_state import read as read_state
from chalicelib.core.stage_report import REPORT, SCRAPED, SCRAPED_AGAIN, StageReport, is_scraped, scraped_at
from chalicelib.messages import codec
from chalicelib.openmetrics.families import families

OPENMETRICS = "application/openmetrics-text"
WRITERS: dict[str, Callable[[Collector], bytes]] = {
    CONTENT_TYPE_LATEST: openmetrics_text,
    CONTENT_TYPE_PLAIN_0_0_4: plain_text,
}
"""What writes each content type."""


class _Families(Collector):
    """The families of one scrape, as prometheus_client takes them."""

    def __init__(self, found: list[Any]) -> None:
        self._found = found

    def collect(self) -> list[Any]:
        """Return them. Half of a character pair, which no encoding has, becomes a question mark."""
        for family in self._found:
            family.samples = [each._replace(labels=_encodable(each.labels)) for each in family.samples]
        return self._found


def _encodable(labels: dict[str, str]) -> dict[str, str]:
    return {name: text.encode("utf-8", "replace").decode() for name, text in labels.items()}


def scrape(store: Store, *, stage: str, accept: str, now: datetime) -> tuple[str, str]:
    """Return the content type that the scraper takes, and the metrics in it. NotStoredError when the table does not answer.

    A report is left out where nobody scraped lately: it is of the time before.
    """
    marks = store.marks([REPORT, SCRAPED, STATE, gauges.MARK])
    counts = store.stage_counts().by_series()
    _leave_mark(store, marks.get(SCRAPED), now)
    found = families(
        stage=stage,
        counts=counts,
        report=_report(marks.get(REPORT)) if is_scraped(marks.get(SCRAPED), now) else None,
        gauges=_newest_values(marks, now),
        now=now,
    )
    kind = CONTENT_TYPE_LATEST if takes_openmetrics(accept) else CONTENT_TYPE_PLAIN_0_0_4
    return kind, WRITERS[kind](_Families(list(found))).decode()


def takes_openmetrics(accept: str) -> bool:
    """Return whether a scraper says that it reads OpenMetrics."""
    return any(each.partition(";")[0].strip().lower() == OPENMETRICS for each in accept.split(","))


def _leave_mark(store: Store, text: str | None, now: datetime) -> None:
    """Say that the stage is scraped, now and then. A table that refuses costs some figures of the next scrapes."""
    last = scraped_at(text)
    if last is None or now - last >= SCRAPED_AGAIN:
        with suppress(NotStoredError):
            store.put_mark(SCRAPED, now.isoformat())


def _newest_values(marks: Mapping[str, str], now: datetime) -> list[gauges.Gauge]:
    """Return what probes measured last; what the version before left stays until it is measured again."""
    state = read_state(marks.get(STATE))
    return gauges.merged(gauges.read(marks.get(gauges.MARK)), gauges.of_rows(state.gauges), now)


def _report(text: str | None) -> StageReport | None:
    """Return what the last tick left; None for nothing, and for what a later version left."""
    if text is None:
        return None
    try:
        return codec.loads(StageReport, text)
    except (TooNewError, ValueError, KeyError, TypeError, AttributeError):
        return None
