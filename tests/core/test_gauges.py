"""The newest values of what probes measured."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from chalicelib.core.gauges import MAX_VALUES, Gauge, gauges_of, merged, of_rows, read, rows
from chalicelib.core.metrics.sample import Sample

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
MAIN, SHOP = {"probe": "main"}, {"probe": "shop"}


def run(at: datetime, up: float | None, labels: dict[str, str] = MAIN, every: timedelta = MINUTE) -> list[Gauge]:
    """Return what one run of a probe measured."""
    return gauges_of([Sample("uptime", up, at, labels), Sample("latency_ms", 12, at, labels)], every)


def test_the_newest_values_of_each_labels_stay() -> None:
    """Given two runs of one probe and one of another → the newer of the first and that of the second."""
    first = merged([], [*run(NOW, 1), *run(NOW, 1, SHOP, timedelta(hours=1))], NOW)
    found = merged(of_rows(json.loads(json.dumps(rows(first)))), run(NOW + MINUTE, 0), NOW + MINUTE)
    assert [(each.labels, each.at, each.values["uptime"]) for each in found] == [
        (MAIN, NOW + MINUTE, 0.0),
        (SHOP, NOW, 1.0),
    ]


def test_a_value_that_is_not_measured_again_ends() -> None:
    """Given a probe that misses two of its runs and the slack → it has no value any more."""
    found = run(NOW, 1)
    assert merged(found, [], NOW + 6 * MINUTE) == found
    assert merged(found, [], NOW + 7 * MINUTE) == []


def test_what_has_no_number_has_no_value() -> None:
    """Given a sample without a value → the others of its run are kept."""
    assert run(NOW, None)[0].values == {"latency_ms": 12.0}


def test_the_text_is_bounded() -> None:
    """Given more values than are kept → whole gauges are left out."""
    many = [gauge for number in range(MAX_VALUES) for gauge in run(NOW, 1, {"probe": f"p{number}"})]
    assert sum(len(each.values) for each in merged([], many, NOW)) == MAX_VALUES


BEFORE = (
    "c$}+NDpRsD)KN-LEKN@>R<eqYu2w22%1=sFvQo-T%*<1&)iE@;G&Qp{F)=XE"
    "Gk|d{j6j@frP6|u%v_*aLm*EnC$S_oFS#;47if;5k)A<qY-}w6H%uG8"
)
"""The text that the version before wrote of `run(NOW, 1)`."""


def test_the_text_of_the_version_before_is_read() -> None:
    """Given the text of the version before → its values."""
    assert read(BEFORE) == run(NOW, 1)


@pytest.mark.parametrize("rows", [None, [1], [["a"]], [[{}, "x", 1, {}]], "ab"])
def test_rows_that_nobody_wrote_are_none(rows: Any) -> None:
    """Given rows that are none → nothing is known."""
    assert of_rows(rows) == []


@pytest.mark.parametrize("text", [None, "", "x", "ÿ", BEFORE[:-3], "0" * 10])
def test_a_text_that_nobody_wrote_is_none(text: str | None) -> None:
    """Given a text that cannot be read → nothing is known."""
    assert read(text) == []
