"""The parts of a condition, and the functions of the rule language.

Every part knows its unit, how it is written (`str`) and said (`words`), and its value at a time. None is unknown: no
data is neither zero nor fine, and it goes through arithmetic, comparisons, `and`, `or` and `not` as its own value
(Kleene's logic). A window `[w]` at `now` holds what happened after now - w, up to and including now.

Functions over a window are in `functions.py`.
"""

import math
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from fractions import Fraction
from typing import Any

from chalicelib.core.language.functions import FUNCTIONS, SAME_WITHIN, mean
from chalicelib.core.language.units import (
    NUMBER,
    PLAIN_NUMBER,
    RATIO,
    Unit,
    duration_text,
    duration_words,
    max_age,
    shown,
    unit_of,
)
from chalicelib.core.metrics.sample import Bucket, Series

EVENTS = "events"


class Scope:
    """One evaluation: the series, the time, and the earliest time at which something of it changes by itself."""

    __slots__ = ("changes_at", "events", "now", "series")

    def __init__(self, series: Series, now: datetime) -> None:
        self.series = series
        self.now = now
        self.changes_at: datetime | None = None
        self.events: Sequence[datetime] | None = None

    def changes(self, at: datetime) -> None:
        """Note that something changes at `at`."""
        if at > self.now and (self.changes_at is None or at < self.changes_at):
            self.changes_at = at

    def times(self) -> Sequence[datetime]:
        """Return the times of the events, oldest first."""
        if self.events is None:
            self.events = self.series.event_times()
        return self.events

    def buckets(self, metric: str, window: timedelta) -> Sequence[Bucket]:
        """Return what was measured in the window."""
        return self.series.buckets(metric, self.now - window, self.now)


@dataclass(frozen=True, slots=True)
class Verdict:
    """True, false or None, and the comparison that decided it with the two numbers it saw."""

    truth: bool | None
    decided_by: "Comparison | Absent"
    left: float | None = None
    right: float | None = None


# ---------------------------------------------------------------------------------------------------------------------
# Numbers


@dataclass(frozen=True, slots=True)
class Literal:
    """A number as written; `value` is in `unit`, which may be that of the other side of its comparison.

    `exact` is the number itself, a share, seconds or bytes, so that 0.7s is 700 ms to the last digit.
    """

    value: float
    unit: Unit
    text: str
    exact: Fraction

    def number(self, scope: Scope) -> float | None:
        """Return the number itself."""
        return self.value

    def words(self) -> str:
        """Return it as a message shows it."""
        return shown(self.value, self.unit)

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class Metric:
    """The last value of a metric, if it is not too old."""

    name: str

    @property
    def unit(self) -> Unit:
        """Return the unit of its name."""
        return unit_of(self.name)

    @property
    def window(self) -> timedelta:
        """Return how old the value may be."""
        return max_age(self.name)

    def number(self, scope: Scope) -> float | None:
        """Return the number; None when there is none, it is too old, or it had nothing to divide by."""
        found = scope.buckets(self.name, self.window)
        if not found:
            return None
        scope.changes(found[-1].last_at + self.window)
        return found[-1].last

    def words(self) -> str:
        """Return its name in words."""
        return metric_words(self.name)

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class Windowed:
    """The mean of a metric over a window. Bare `uptime` is one too: it is written without its window."""

    name: str
    window: timedelta
    bare: bool = False

    @property
    def unit(self) -> Unit:
        """Return the unit of its name."""
        return unit_of(self.name)

    def number(self, scope: Scope) -> float | None:
        """Return the number; None when nothing was measured."""
        found = scope.buckets(self.name, self.window)
        return _over(found, self.window, scope, mean)

    def words(self) -> str:
        """Return what and over which time."""
        return f"{metric_words(self.name)} over {duration_words(self.window)}"

    def __str__(self) -> str:
        return self.name if self.bare else f"{self.name}[{duration_text(self.window)}]"


@dataclass(frozen=True, slots=True)
class EventCount:
    """How many matched events happened in a window, by their own times. Always known; none is zero."""

    window: timedelta

    @property
    def unit(self) -> Unit:
        """Return the unit of a plain number."""
        return PLAIN_NUMBER

    def number(self, scope: Scope) -> float | None:
        """Return the count."""
        first, last = self.span(scope)
        times = scope.times()
        if first < last:
            scope.changes(times[first] + self.window)
        return float(last - first)

    def span(self, scope: Scope) -> tuple[int, int]:
        """Return the events of the window as a slice of `scope.times()`. An event of the future enters when its time comes."""
        times = scope.times()
        last = bisect_right(times, scope.now)
        if last < len(times):
            scope.changes(times[last])
        return bisect_right(times, scope.now - self.window, 0, last), last

    def words(self) -> str:
        """Return what and over which time."""
        return f"the number of events in {duration_words(self.window)}"

    def __str__(self) -> str:
        return f"{EVENTS}[{duration_text(self.window)}]"


@dataclass(frozen=True, slots=True)
class Call:
    """A function over the window of a metric, or of the events."""

    function: str
    metric: str
    window: timedelta
    arguments: tuple[Any, ...] = ()

    @property
    def unit(self) -> Unit:
        """Return the unit of the function, else that of the metric."""
        own = FUNCTIONS[self.function].unit
        return own if own is not None else unit_of(self.metric)

    def number(self, scope: Scope) -> float | None:
        """Return the number; None when the function has nothing to go by."""
        function = FUNCTIONS[self.function]
        if self.metric == EVENTS:
            count = EventCount(self.window).number(scope)
            return count / self.window.total_seconds() if self.function == "rate" and count is not None else count
        numbers = [argument.number(scope) for argument in self.arguments]
        if None in numbers:
            return None
        found = scope.buckets(self.metric, self.window)
        if self.function == "last":
            return _last(found, self.window, scope)
        now, window = scope.now, self.window
        return _over(found, window, scope, lambda buckets: function.apply(buckets, now, window, numbers))

    def words(self) -> str:
        """Return the function's own words."""
        function, window = FUNCTIONS[self.function], duration_words(self.window)
        if self.metric == EVENTS:
            return function.of_events.format(window)
        return function.words.format(metric_words(self.metric), window, *map(_argument_words, self.arguments))

    def __str__(self) -> str:
        inner = ", ".join([f"{self.metric}[{duration_text(self.window)}]", *map(str, self.arguments)])
        return f"{self.function}({inner})"


def _argument_words(argument: Any) -> str:
    if isinstance(argument, Literal) and argument.unit.name == "s":
        return duration_words(timedelta(seconds=argument.value))
    found: str = argument.words()
    return found


def _last(found: Sequence[Bucket], window: timedelta, scope: Scope) -> float | None:
    if not found:
        return None
    scope.changes(found[-1].last_at + window)
    return found[-1].last


def _over(
    found: Sequence[Bucket], window: timedelta, scope: Scope, apply: Callable[[Sequence[Bucket]], float | None]
) -> float | None:
    if not found:
        return None
    scope.changes(min(bucket.last_at for bucket in found) + window)
    value = apply(found)
    return None if value is None or math.isnan(value) else value


@dataclass(frozen=True, slots=True)
class Negated:
    """Minus something."""

    of: Any

    @property
    def unit(self) -> Unit:
        """Return the unit of the operand."""
        unit: Unit = self.of.unit
        return unit

    def number(self, scope: Scope) -> float | None:
        """Return the number; unknown stays unknown."""
        value = self.of.number(scope)
        return None if value is None else -value

    def words(self) -> str:
        """Return the words with the sign."""
        return f"minus {_grouped_words(self.of, 3)}"

    def __str__(self) -> str:
        return f"-{_grouped(self.of, 3)}"


@dataclass(frozen=True, slots=True)
class Converted:
    """Something measured in another unit of the same kind."""

    of: Any
    unit: Unit
    factor: float

    def number(self, scope: Scope) -> float | None:
        """Return the number; unknown stays unknown."""
        value = self.of.number(scope)
        return None if value is None else value * self.factor

    def words(self) -> str:
        """Return the thing itself."""
        words: str = self.of.words()
        return words

    def __str__(self) -> str:
        return str(self.of)


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """Two numbers and one of `+ - * /`. Unknown stays unknown; so does anything divided by zero."""

    operator: str
    left: Any
    right: Any
    unit: Unit

    def number(self, scope: Scope) -> float | None:
        """Return the result. Both sides are asked, so that the time of the next change is right."""
        left, right = self.left.number(scope), self.right.number(scope)
        if left is None or right is None or (self.operator == "/" and right == 0):
            return None
        value = float(_ARITHMETIC[self.operator](left, right))
        return None if math.isnan(value) else value

    def words(self) -> str:
        """Return the words in the order written."""
        word = {"+": "plus", "-": "minus", "*": "times", "/": "divided by"}[self.operator]
        level = 1 if self.operator in "+-" else 2
        return f"{_grouped_words(self.left, level)} {word} {_grouped_words(self.right, level + 1)}"

    def __str__(self) -> str:
        level = 1 if self.operator in "+-" else 2
        return f"{_grouped(self.left, level)} {self.operator} {_grouped(self.right, level + 1)}"


_ARITHMETIC: dict[str, Callable[[float, float], float]] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": lambda a, b: a / b,
}


def _grouped(node: Any, level: int) -> str:
    return f"({node})" if _level(node) < level else str(node)


def _grouped_words(node: Any, level: int) -> str:
    words: str = node.words()
    return f"({words})" if _level(node) < level else words


def _level(node: Any) -> int:
    """Return how closely it binds: sums 1, products 2, signs 3, anything else 4."""
    inner = node.of if isinstance(node, Converted) else node
    if isinstance(inner, Arithmetic):
        return 1 if inner.operator in "+-" else 2
    return 3 if isinstance(inner, Negated) else 4


# ---------------------------------------------------------------------------------------------------------------------
# Truths


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two numbers of one unit compared; unknown when one of them is."""

    operator: str
    left: Any
    right: Any

    def answer(self, scope: Scope) -> Verdict:
        """Compare values that differ by less than SAME_WITHIN as equal."""
        if isinstance(self.left, EventCount) and isinstance(self.right, Literal):
            return self._counted(self.left, self.right.value, scope)
        left, right = self.left.number(scope), self.right.number(scope)
        if left is None or right is None:
            return Verdict(None, self, left, right)
        return Verdict(compared(self.operator, left, right), self, left, right)

    def _counted(self, count: EventCount, limit: float, scope: Scope) -> Verdict:
        """Return the answer, knowing when enough events will have left the window for it to change."""
        first, last = count.span(scope)
        truth = compared(self.operator, last - first, limit)
        leaving = range(first, last)
        if self.operator in ("==", "!="):
            found = next((i for i in leaving if compared(self.operator, last - i - 1, limit) != truth), None)
        else:
            low, high = first, last
            while low < high:
                middle = (low + high) // 2
                if compared(self.operator, last - middle - 1, limit) != truth:
                    high = middle
                else:
                    low = middle + 1
            found = low if low < last else None
        if found is not None:
            scope.changes(scope.times()[found] + count.window)
        return Verdict(truth, self, float(last - first), limit)

    def words(self) -> str:
        """Return `error rate is above 1 %`."""
        return f"{self.left.words()} is {_COMPARED[self.operator]} {self.right.words()}"

    def __str__(self) -> str:
        return f"{self.left} {self.operator} {self.right}"


_COMPARED = {
    ">": "above",
    ">=": "at least",
    "<": "below",
    "<=": "at most",
    "==": "exactly",
    "!=": "not",
}


def compared(operator: str, left: float, right: float) -> bool:
    """Return the answer of `> >= < <= == !=`."""
    same = left == right or math.isclose(left, right, rel_tol=SAME_WITHIN)
    match operator:
        case ">":
            return left > right and not same
        case ">=":
            return left > right or same
        case "<":
            return left < right and not same
        case "<=":
            return left < right or same
        case "==":
            return same
        case _:
            return not same


@dataclass(frozen=True, slots=True)
class Absent:
    """True when nothing was measured in the window (no event happened). Never unknown."""

    metric: str
    window: timedelta

    def answer(self, scope: Scope) -> Verdict:
        """Return the answer. A sample without a value was measured all the same."""
        if self.metric == EVENTS:
            count = EventCount(self.window)
            first, last = count.span(scope)
            if first < last:
                scope.changes(scope.times()[last - 1] + self.window)
            return Verdict(first >= last, self, float(first >= last))
        found = scope.buckets(self.metric, self.window)
        if found:
            scope.changes(max(bucket.last_at for bucket in found) + self.window)
        return Verdict(not found, self, float(not found))

    def words(self) -> str:
        """Return `nothing is measured of requests per min for 10 minutes`."""
        if self.metric == EVENTS:
            return f"no event happens for {duration_words(self.window)}"
        return f"{metric_words(self.metric)} is not measured for {duration_words(self.window)}"

    def __str__(self) -> str:
        return f"absent({self.metric}[{duration_text(self.window)}])"


@dataclass(frozen=True, slots=True)
class Not:
    """True turned round; unknown stays unknown."""

    of: Any

    def answer(self, scope: Scope) -> Verdict:
        """Return the opposite of the operand's answer."""
        inner: Verdict = self.of.answer(scope)
        if inner.truth is None:
            return inner
        return Verdict(not inner.truth, inner.decided_by, inner.left, inner.right)

    def words(self) -> str:
        """Return the words with the negation in front."""
        return f"it is not so that {_part_words(self.of, Both | Either)}"

    def __str__(self) -> str:
        return f"not {_bracketed(self.of, 3)}"


@dataclass(frozen=True, slots=True)
class Both:
    """`and`: false if one side is, else unknown if one side is."""

    left: Any
    right: Any

    def answer(self, scope: Scope) -> Verdict:
        """Return the operand that decided the result: a false one, else an unknown one, else the first."""
        left: Verdict = self.left.answer(scope)
        right: Verdict = self.right.answer(scope)
        if left.truth is False or right.truth is True:
            return left
        if right.truth is False or left.truth is True:
            return right
        return left

    def words(self) -> str:
        """Return the words joined by `and`."""
        return f"{_part_words(self.left, Either)} and {_part_words(self.right, Either)}"

    def __str__(self) -> str:
        return f"{_bracketed(self.left, 2)} and {_bracketed(self.right, 3)}"


@dataclass(frozen=True, slots=True)
class Either:
    """`or`: true if one side is, else unknown if one side is."""

    left: Any
    right: Any

    def answer(self, scope: Scope) -> Verdict:
        """Return the operand that decided the result: a true one, else an unknown one, else the first."""
        left: Verdict = self.left.answer(scope)
        right: Verdict = self.right.answer(scope)
        if left.truth is True or right.truth is False:
            return left
        if right.truth is True or left.truth is False:
            return right
        return left

    def words(self) -> str:
        """Return the words joined by `or`."""
        return f"{_part_words(self.left, Both)} or {_part_words(self.right, Both)}"

    def __str__(self) -> str:
        return f"{_bracketed(self.left, 1)} or {_bracketed(self.right, 2)}"


def _part_words(node: Any, ambiguous: Any) -> str:
    words: str = node.words()
    return f"({words})" if isinstance(node, ambiguous) else words


def _bracketed(node: Any, level: int) -> str:
    own = {Either: 1, Both: 2}.get(type(node), 3)
    return f"({node})" if own < level else str(node)


def parts(node: Any) -> Iterator[Any]:
    """Yield the node and everything inside it."""
    yield node
    for name in ("left", "right", "of"):
        inner = getattr(node, name, None)
        if inner is not None:
            yield from parts(inner)
    for inner in getattr(node, "arguments", ()):
        yield from parts(inner)


def metric_words(name: str) -> str:
    """Return `db_size_gb` as `db size`, `p95_latency_ms` as `p95 latency`."""
    unit = unit_of(name)
    words = name.split("_")
    if unit.kind not in (RATIO, NUMBER) and len(words) > 1 and unit.name and words[-1].lower() in _UNIT_WORDS:
        words = words[:-1]
    return " ".join(words)


_UNIT_WORDS = frozenset({"ms", "s", "seconds", "bytes", "kb", "mb", "gb", "tb", "milliseconds"})
