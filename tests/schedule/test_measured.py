"""What a probe measured before and no longer does, growth over spans, and what is gone although its server works."""

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from chalicelib.core.event import Event, Status
from chalicelib.core.growth import Growth
from chalicelib.core.metrics.sample import Sample
from chalicelib.core.observed import RESULT
from chalicelib.probes import ABSENT, labels_of, probe_failed
from tests.schedule.test_watch import Probe, Watcher, values

DAY = 24 * 60
IDENTITY = "probe:a:a:measured before"


def metrics_of(found: dict[str, float | None], *, down: list[bool] | None = None) -> Watcher:
    """A watcher of a probe that measures what is in a dictionary."""

    def check(params: Mapping[str, Any], now: datetime) -> list[Sample | Event]:
        if down and down[-1]:
            return [Sample("uptime", 0.0, now, labels_of(params), {RESULT: "no connection"})]
        return [Sample(metric, value, now, labels_of(params)) for metric, value in {"uptime": 1.0, **found}.items()]

    return Watcher(a=Probe(check))


def lost(watcher: Watcher, minute: int) -> list[tuple[Status, str]]:
    """The events about what was measured before."""
    return [(each.status, each.summary) for each in watcher.run(minute).events if each.identity == IDENTITY]


def test_what_is_no_longer_measured_is_reported() -> None:
    """Given a metric that was measured and is not → an event that names it and says when, until it is measured again."""
    found: dict[str, float | None] = {"db_size_gb": 5.0, "connections": 3.0, "cache_hit_rate": None}
    watcher = metrics_of(found)
    assert lost(watcher, 0) == []
    del found["db_size_gb"]
    words = "db_size_gb is no longer measured: last at 2026-11-24 08:00 UTC"
    assert lost(watcher, 1) == [(Status.FIRING, words)]
    assert lost(watcher, 2) == [(Status.FIRING, words)]
    found["db_size_gb"] = 5.0
    assert lost(watcher, 3) == [(Status.RESOLVED, "")]
    assert lost(watcher, 4) == []
    del found["cache_hit_rate"], found["connections"]
    assert lost(watcher, 5)[0][1].startswith("cache_hit_rate, connections are no longer measured")


def test_a_target_that_is_down_has_lost_nothing() -> None:
    """Given a target that is down → no event; given one that was lost before → it stays reported until that is known."""
    found: dict[str, float | None] = {"db_size_gb": 5.0, "connections": 3.0}
    down = [False]
    watcher = metrics_of(found, down=down)
    watcher.run(0)
    down.append(True)
    assert lost(watcher, 1) == []
    down.append(False)
    del found["db_size_gb"]
    assert len(lost(watcher, 2)) == 1
    down.append(True)
    assert [status for status, _ in lost(watcher, 3)] == [Status.FIRING]


def test_a_changed_entry_begins_anew() -> None:
    """Given an entry of the rules file that changed → what it measured before is not missed."""
    found: dict[str, float | None] = {"db_size_gb": 5.0}
    watcher = metrics_of(found)
    watcher.run(0)
    del found["db_size_gb"]
    watcher.params["a"] = ({"name": "a", "scope": "all"},)
    assert lost(watcher, 1) == []


def test_what_is_missing_for_long_is_forgotten() -> None:
    """Given a metric that is missing for more than two days → somebody meant it so, and the event ends."""
    found: dict[str, float | None] = {"db_size_gb": 5.0}
    watcher = metrics_of(found)
    watcher.run(0)
    del found["db_size_gb"]
    found["connections"] = 3.0
    assert [status for status, _ in lost(watcher, 2 * DAY)] == [Status.FIRING]
    assert [status for status, _ in lost(watcher, 2 * DAY + 1)] == [Status.RESOLVED]


@pytest.mark.parametrize(
    ("span", "minutes"), [(timedelta(hours=1), 60), (timedelta(days=1), DAY), (timedelta(days=7), 7 * DAY)]
)
@pytest.mark.parametrize("late", [-1, 0, 2])
def test_growth_in_a_span(span: timedelta, minutes: int, late: int) -> None:
    """Given a size a span ago, or about so → the growth in a whole span."""
    size = {"gb": 5.0}

    def check(params: Mapping[str, Any], now: datetime) -> list[Sample | Event]:
        return [Sample("db_size_gb", size["gb"], now, labels_of(params))]

    probe = Probe(check)
    probe.GROWTHS = {"grown": Growth("db_size_gb", span)}  # type: ignore[dict-item]
    watcher = Watcher(a=probe)
    assert values(watcher.run(0), "grown") == []
    size["gb"] = 5.5
    (grown,) = values(watcher.run(minutes + late), "grown")
    assert grown == pytest.approx(0.5 * minutes / (minutes + late))


def test_what_was_there_before_is_gone() -> None:
    """Given a server that knows no such database → not measured at first, down once it was measured, with why."""
    there = {"is": False}

    def check(params: Mapping[str, Any], now: datetime) -> list[Sample | Event]:
        labels = {**labels_of(params), "database": "app"}
        if there["is"]:
            return [Sample("uptime", 1.0, now, labels)]
        event = probe_failed("a", params, "the server knows no such database", now=now)
        return [replace(event, annotations={ABSENT: json.dumps(labels)})]

    watcher = Watcher(a=Probe(check))
    first = watcher.run(0)
    assert (values(first, "uptime"), [each.status for each in first.events]) == ([], [Status.FIRING])
    there["is"] = True
    assert values(watcher.run(1), "uptime") == [1.0]
    there["is"] = False
    for minute in (2, 61, 180):
        gone = watcher.run(minute)
        assert (values(gone, "uptime"), gone.down) == ([0.0], ("a",))
    (sample,) = [each for each in gone.samples if each.metric == "uptime"]
    assert sample.observed[RESULT] == "the server knows no such database; it was there before"
