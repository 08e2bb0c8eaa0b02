"""promtool's rule tests, as far as they apply: input_series with their expanding notation, and alert_rule_test.

    1+2x3        1 3 5 7            _            no sample
    1-2x3        1 -1 -3 -5         _x3          three times no sample
    1x3          1 1 1 1            stale        measured, without a value

What Tocsin does not have is left out and named: PromQL (promql_expr_test), what only its templates see
(external_labels, external_url). The format: https://prometheus.io/docs/prometheus/latest/configuration/unit_testing_rules/
"""

import math
import re
from collections.abc import Iterator, Mapping
from datetime import timedelta
from decimal import Decimal
from typing import Any

from chalicelib.core.errors import TocsinError
from chalicelib.core.language.units import DURATION_FORMS, parse_duration
from chalicelib.core.metrics.sample import MAX_VALUE

MAX_SAMPLES = 100_000
DEFAULT_INTERVAL = timedelta(minutes=1)
NOT_CHECKED = "promql_expr_test"
"""Expectations that Tocsin cannot check, as it has no PromQL."""
LEFT_OUT = {
    "external_labels": "only Prometheus's templates see them",
    "external_url": "only Prometheus's templates see it",
    "start_timestamp": "times count from 0",
    "group_eval_order": "rules have no groups",
    "fuzzy_compare": "no sample is compared",
}
"""Fields that do not apply, and why."""

_NUMBER = r"(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_VALUE = re.compile(rf"(?P<first>[-+]?{_NUMBER})(?:(?P<step>[-+]{_NUMBER})?x(?P<more>\d+))?")
_NOT_A_NUMBER = re.compile(r"[-+]?nan", re.IGNORECASE)
_INFINITE = re.compile(r"[-+]?inf(?:inity)?", re.IGNORECASE)
_BLANK = re.compile(r"_(?:x(?P<count>\d+))?")
_NAME = re.compile(r"\s*([A-Za-z_:][\w:]*)?\s*", re.ASCII)
_LABEL = re.compile(r"""\s*([A-Za-z_]\w*)\s*=\s*("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|`[^`]*`)\s*(,|$)""", re.ASCII)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)


class PromtoolError(TocsinError):
    """Part of a test that cannot be understood."""


def series_of(text: Any) -> tuple[str, dict[str, str]]:
    """Return the metric and labels of `name{label="value"}`; a label without a value is none."""
    wrong = PromtoolError(f'series {str(text)[:60]!r} is not understood; allowed is name{{label="value"}}')
    match = _NAME.match(text) if isinstance(text, str) else None
    if match is None:
        raise wrong
    name, rest, labels = match[1] or "", str(text)[match.end() :].strip(), {}
    if rest:
        if not (rest.startswith("{") and rest.endswith("}")):
            raise wrong
        inner = rest[1:-1].strip()
        while inner:
            label = _LABEL.match(inner)
            if label is None:
                raise wrong
            value = label[2][1:-1]
            value = value if label[2][0] == "`" else _ESCAPED.sub(r"\1", value)
            if value:  # an empty label is none
                labels[label[1]] = value
            inner = inner[label.end() :].strip()
    name = labels.pop("__name__", name)
    if not name:
        raise wrong
    return name, labels


def values_of(text: Any) -> list[float | None]:
    """Return the samples of the expanding notation, one an interval; NaN for one without a value, None where none came."""
    found: list[float | None] = []
    for word in str(text).split():
        if "{{" in word:
            raise PromtoolError("values are native histograms, which Tocsin does not have; allowed are numbers")
        found += _expanded(word)
        if len(found) > MAX_SAMPLES:
            raise PromtoolError(f"values are more than {MAX_SAMPLES} samples; allowed are fewer")
    return found


def _expanded(word: str) -> list[float | None]:
    if word == "stale" or _NOT_A_NUMBER.fullmatch(word):
        return [math.nan]
    if _INFINITE.fullmatch(word):
        return [-MAX_VALUE if word.startswith("-") else MAX_VALUE]  # beyond any threshold, as infinity is
    blank = _BLANK.fullmatch(word)
    if blank is not None:
        return [None] * _bounded(blank["count"] or "1")
    value = _VALUE.fullmatch(word)
    if value is None:
        raise PromtoolError(f"value {word[:40]!r} is not understood; allowed are 1, 1+2x3, 1-2x3, 1x3, _, _x3, stale")
    try:
        first, step = Decimal(value["first"]), Decimal(value["step"] or 0)
        found = [float(first + step * count) for count in range(_bounded(value["more"] or "0") + 1)]
    except ArithmeticError:
        found = [math.inf]
    if not all(map(math.isfinite, found)):
        raise PromtoolError(f"value {word[:40]!r} is too large; allowed are numbers up to 1e308")
    return [*found]


def _bounded(count: str) -> int:
    if len(count) > 9 or int(count) > MAX_SAMPLES:
        raise PromtoolError(f"x{count[:20]} is too many; allowed are {MAX_SAMPLES} samples")
    return int(count)


def seconds_of(value: Any, what: str) -> float:
    """Return a duration of a test (`10m`, `1h30m`, 0) in seconds."""
    if value in (0, "0"):
        return 0.0
    try:
        return parse_duration(value).total_seconds()
    except ValueError:
        raise PromtoolError(f"{what} {str(value)[:40]!r} is not a duration; allowed is {DURATION_FORMS}") from None


def sample_lines(series: Mapping[str, Any], interval: timedelta) -> Iterator[dict[str, Any]]:
    """Yield the samples of one entry of input_series, as lines of a timeline."""
    for key in series.keys() - {"series", "values"}:
        raise PromtoolError(f"{key!r} is not a key of input_series; allowed are series, values")
    metric, labels = series_of(series.get("series"))
    for number, value in enumerate(values_of(series.get("values", ""))):
        if value is not None:
            measured = None if math.isnan(value) else value
            sample = {"metric": metric, "value": measured, "labels": labels}
            yield {"at": interval.total_seconds() * number, "sample": sample}
