"""The parts of a condition, and the functions of the rule language.

Every part knows its unit, how it is written (`str`) and said (`words`), and its value at a time. None is unknown: no
data is neither zero nor fine, and it goes through arithmetic, comparisons, `and`, `or` and `not` as its own value
(Kleene's logic). A window `[w]` at `now` holds what happened after now - w, up to and including now.

To add a function, add it to FUNCTIONS: how many further arguments it takes, its unit, and a pure function over the
buckets of its window.
"""

import math
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from fractions import Fraction
from typing import Any

from chalicelib.core.sample import Bucket, Series
from chalicelib.core.sketch import sketch_bin, sketch_quantile
from chalicelib.core.units import (
    DAYS,
    NUMBER,
    PLAIN_NUMBER,
    PLAIN_RATIO,
    RATIO,
    Unit,
    duration_text,
    duration_words,
    max_age,
    shown,
    unit_of,
)

EVENTS = "events"
SAME_WITHIN = 1e-9
"""Values closer than this share are equal: a sum must not depend on the order in which its samples came."""
MIN_SPAN_SHARE = 0.01
"""A line foretells only if its points span this share of their window: two of one minute foretell no week."""


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
        """The times of the events, oldest first."""
        if self.events is None:
            self.events = self.series.event_times()
        return self.events

    def buckets(self, metric: str, window: timedelta) -> Sequence[Bucket]:
        """What was measured in the window."""
        return self.series.buckets(metric, self.now - window, self.now)


@dataclass(frozen=True, slots=True)
class Answer:
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
        """Itself."""
        return self.value

    def words(self) -> str:
        """As a message shows it."""
        return shown(self.value, self.unit)

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class Metric:
    """The last value of a metric, if it is not too old."""

    name: str

    @property
    def unit(self) -> Unit:
        """That of its name."""
        return unit_of(self.name)

    @property
    def window(self) -> timedelta:
        """How old the value may be."""
        return max_age(self.name)

    def number(self, scope: Scope) -> float | None:
        """None when there is none, it is too old, or it had nothing to divide by."""
        found = scope.buckets(self.name, self.window)
        if not found:
            return None
        scope.changes(found[-1].last_at + self.window)
        return found[-1].last

    def words(self) -> str:
        """Its name in words."""
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
        """That of its name."""
        return unit_of(self.name)

    def number(self, scope: Scope) -> float | None:
        """None when nothing was measured."""
        found = scope.buckets(self.name, self.window)
        return _over(found, self.window, scope, mean)

    def words(self) -> str:
        """What and over which time."""
        return f"{metric_words(self.name)} over {duration_words(self.window)}"

    def __str__(self) -> str:
        return self.name if self.bare else f"{self.name}[{duration_text(self.window)}]"


@dataclass(frozen=True, slots=True)
class EventCount:
    """How many matched events happened in a window, by their own times. Always known; none is zero."""

    window: timedelta

    @property
    def unit(self) -> Unit:
        """A plain number."""
        return PLAIN_NUMBER

    def number(self, scope: Scope) -> float | None:
        """The count."""
        first, last = self.span(scope)
        times = scope.times()
        if first < last:
            scope.changes(times[first] + self.window)
        return float(last - first)

    def span(self, scope: Scope) -> tuple[int, int]:
        """The events of the window as a slice of `scope.times()`. An event of the future enters when its time comes."""
        times = scope.times()
        last = bisect_right(times, scope.now)
        if last < len(times):
            scope.changes(times[last])
        return bisect_right(times, scope.now - self.window, 0, last), last

    def words(self) -> str:
        """What and over which time."""
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
        """That of the function, else that of the metric."""
        own = FUNCTIONS[self.function].unit
        return own if own is not None else unit_of(self.metric)

    def number(self, scope: Scope) -> float | None:
        """None when the function has nothing to go by."""
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
        """The function's own words."""
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
        """That of the thing."""
        unit: Unit = self.of.unit
        return unit

    def number(self, scope: Scope) -> float | None:
        """Unknown stays unknown."""
        value = self.of.number(scope)
        return None if value is None else -value

    def words(self) -> str:
        """With its sign."""
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
        """Unknown stays unknown."""
        value = self.of.number(scope)
        return None if value is None else value * self.factor

    def words(self) -> str:
        """The thing itself."""
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
        """Both sides are asked, so that the time of the next change is right."""
        left, right = self.left.number(scope), self.right.number(scope)
        if left is None or right is None or (self.operator == "/" and right == 0):
            return None
        value = float(_ARITHMETIC[self.operator](left, right))
        return None if math.isnan(value) else value

    def words(self) -> str:
        """In the order written."""
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
    """How closely it binds: sums 1, products 2, signs 3, anything else 4."""
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

    def answer(self, scope: Scope) -> Answer:
        """Compares values that differ by less than SAME_WITHIN as equal."""
        if isinstance(self.left, EventCount) and isinstance(self.right, Literal):
            return self._counted(self.left, self.right.value, scope)
        left, right = self.left.number(scope), self.right.number(scope)
        if left is None or right is None:
            return Answer(None, self, left, right)
        return Answer(compared(self.operator, left, right), self, left, right)

    def _counted(self, count: EventCount, limit: float, scope: Scope) -> Answer:
        """As above, knowing when enough events will have left the window for the answer to change."""
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
        return Answer(truth, self, float(last - first), limit)

    def words(self) -> str:
        """`error rate is above 1 %`."""
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
    """The answer of `> >= < <= == !=`."""
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

    def answer(self, scope: Scope) -> Answer:
        """A sample without a value was measured all the same."""
        if self.metric == EVENTS:
            count = EventCount(self.window)
            first, last = count.span(scope)
            if first < last:
                scope.changes(scope.times()[last - 1] + self.window)
            return Answer(first >= last, self, float(first >= last))
        found = scope.buckets(self.metric, self.window)
        if found:
            scope.changes(max(bucket.last_at for bucket in found) + self.window)
        return Answer(not found, self, float(not found))

    def words(self) -> str:
        """`nothing is measured of requests per min for 10 minutes`."""
        if self.metric == EVENTS:
            return f"no event happens for {duration_words(self.window)}"
        return f"{metric_words(self.metric)} is not measured for {duration_words(self.window)}"

    def __str__(self) -> str:
        return f"absent({self.metric}[{duration_text(self.window)}])"


@dataclass(frozen=True, slots=True)
class Not:
    """True turned round; unknown stays unknown."""

    of: Any

    def answer(self, scope: Scope) -> Answer:
        """Decided by what it denies."""
        inner: Answer = self.of.answer(scope)
        if inner.truth is None:
            return inner
        return Answer(not inner.truth, inner.decided_by, inner.left, inner.right)

    def words(self) -> str:
        """With its denial in front."""
        return f"it is not so that {_part_words(self.of, Both | Either)}"

    def __str__(self) -> str:
        return f"not {_bracketed(self.of, 3)}"


@dataclass(frozen=True, slots=True)
class Both:
    """`and`: false if one side is, else unknown if one side is."""

    left: Any
    right: Any

    def answer(self, scope: Scope) -> Answer:
        """Decided by the side that is false, else unknown, else the first."""
        left: Answer = self.left.answer(scope)
        right: Answer = self.right.answer(scope)
        if left.truth is False or right.truth is True:
            return left
        if right.truth is False or left.truth is True:
            return right
        return left

    def words(self) -> str:
        """Joined by `and`."""
        return f"{_part_words(self.left, Either)} and {_part_words(self.right, Either)}"

    def __str__(self) -> str:
        return f"{_bracketed(self.left, 2)} and {_bracketed(self.right, 3)}"


@dataclass(frozen=True, slots=True)
class Either:
    """`or`: true if one side is, else unknown if one side is."""

    left: Any
    right: Any

    def answer(self, scope: Scope) -> Answer:
        """Decided by the side that is true, else unknown, else the first."""
        left: Answer = self.left.answer(scope)
        right: Answer = self.right.answer(scope)
        if left.truth is True or right.truth is False:
            return left
        if right.truth is True or left.truth is False:
            return right
        return left

    def words(self) -> str:
        """Joined by `or`."""
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
    """The node and everything inside it."""
    yield node
    for name in ("left", "right", "of"):
        inner = getattr(node, name, None)
        if inner is not None:
            yield from parts(inner)
    for inner in getattr(node, "arguments", ()):
        yield from parts(inner)


def metric_words(name: str) -> str:
    """`db_size_gb` as `db size`, `p95_latency_ms` as `p95 latency`."""
    unit = unit_of(name)
    words = name.split("_")
    if unit.kind not in (RATIO, NUMBER) and len(words) > 1 and unit.name and words[-1].lower() in _UNIT_WORDS:
        words = words[:-1]
    return " ".join(words)


_UNIT_WORDS = frozenset({"ms", "s", "seconds", "bytes", "kb", "mb", "gb", "tb", "milliseconds"})


# ---------------------------------------------------------------------------------------------------------------------
# Functions of the language


def mean(found: Sequence[Bucket]) -> float | None:
    """The mean of all samples that have a value."""
    count = sum(bucket.count for bucket in found)
    return math.fsum(bucket.total for bucket in found) / count if count else None


def least(found: Sequence[Bucket]) -> float | None:
    """The smallest value."""
    return min((bucket.low for bucket in found if bucket.count), default=None)


def greatest(found: Sequence[Bucket]) -> float | None:
    """The largest value."""
    return max((bucket.high for bucket in found if bucket.count), default=None)


def total(found: Sequence[Bucket]) -> float | None:
    """The sum of the values; of nothing it is unknown."""
    return math.fsum(bucket.total for bucket in found) if any(bucket.count for bucket in found) else None


def samples(found: Sequence[Bucket]) -> float | None:
    """How many samples have a value."""
    return float(sum(bucket.count for bucket in found))


def quantile(found: Sequence[Bucket], share: float) -> float | None:
    """By nearest rank: exact over single samples, within 2 % over roll-ups."""
    valued = [bucket for bucket in found if bucket.count]
    if not valued:
        return None
    if all(bucket.count == 1 for bucket in valued):
        values = sorted(bucket.total for bucket in valued)
        return values[max(1, math.ceil(share * len(values))) - 1]
    counts: dict[int, int] = {}
    for bucket in valued:
        sketch = bucket.sketch or {sketch_bin(bucket.total / bucket.count): bucket.count}
        for number, count in sketch.items():
            counts[number] = counts.get(number, 0) + count
    value = sketch_quantile(counts, share)
    low, high = min(bucket.low for bucket in valued), max(bucket.high for bucket in valued)
    return None if value is None else min(max(value, low), high)


def increase_per_second(found: Sequence[Bucket]) -> float | None:
    """How fast a counter grows: the sum of its steps up by the time between; after a restart it counts from zero."""
    valued = [bucket for bucket in found if bucket.last is not None]
    if len(valued) < 2:
        return None
    seconds = (valued[-1].last_at - valued[0].last_at).total_seconds()
    if seconds <= 0:
        return None
    steps, before = [], valued[0].last or 0.0
    for bucket in valued[1:]:
        after = bucket.last or 0.0
        steps.append(after - before if after >= before else after)
        before = after
    return math.fsum(steps) / seconds


@dataclass(frozen=True, slots=True)
class Line:
    """Least squares: value at `origin` plus `slope` a second. `first_at` to `last_at` is what was measured."""

    origin: datetime
    value: float
    slope: float
    first_at: datetime
    last_at: datetime

    def at(self, when: datetime) -> float:
        """The value of the line then."""
        return self.value + self.slope * (when - self.origin).total_seconds()


def line(found: Sequence[Bucket], span: timedelta = timedelta(0)) -> Line | None:
    """The line of least squares through the samples; None when they are fewer than two or within less than `span`.

    A roll-up counts as its samples at their mean, in the middle of its time.
    """
    valued = [bucket for bucket in found if bucket.count]
    if sum(bucket.count for bucket in valued) < 2:
        return None
    first_at, last_at = min(bucket.first_at for bucket in valued), max(bucket.last_at for bucket in valued)
    if last_at - first_at < span:
        return None
    points = [
        (((b.first_at - first_at) + (b.last_at - first_at)).total_seconds() / 2, b.total / b.count, b.count)
        for b in valued
    ]
    weight = math.fsum(count for _, _, count in points)
    mean_time = math.fsum(time * count for time, _, count in points) / weight
    mean_value = math.fsum(value * count for _, value, count in points) / weight
    spread = math.fsum(count * (time - mean_time) ** 2 for time, _, count in points)
    if spread <= 0:
        return None
    slope = math.fsum(count * (time - mean_time) * (value - mean_value) for time, value, count in points) / spread
    if abs(slope) * (last_at - first_at).total_seconds() <= SAME_WITHIN * abs(mean_value):
        slope = 0.0
    return Line(first_at + timedelta(seconds=mean_time), mean_value, slope, first_at, last_at)


def growth(found: Sequence[Bucket]) -> float | None:
    """How much the line grew between the first and the last sample, as a share of where it began."""
    fit = line(found)
    if fit is None:
        return None
    start = fit.at(fit.first_at)
    return (fit.at(fit.last_at) - start) / abs(start) if start else None


def forecast(found: Sequence[Bucket], now: datetime, window: timedelta, seconds: float) -> float | None:
    """Where the line is so many seconds from now."""
    fit = line(found, window * MIN_SPAN_SHARE)
    return None if fit is None else fit.at(now + timedelta(seconds=seconds))


def days_until(found: Sequence[Bucket], now: datetime, window: timedelta, limit: float) -> float | None:
    """Days until the line reaches the limit: 0 when it is reached, without end when it does not grow."""
    fit = line(found, window * MIN_SPAN_SHARE)
    if fit is None:
        return None
    last = max((bucket for bucket in found if bucket.last is not None), key=lambda each: each.last_at, default=None)
    if fit.at(now) >= limit or (last is not None and last.last is not None and last.last >= limit):
        return 0.0
    if fit.slope <= 0:
        return math.inf
    return (limit - fit.at(now)) / fit.slope / 86_400


Apply = Callable[[Sequence[Bucket], datetime, timedelta, list[Any]], float | None]


@dataclass(frozen=True, slots=True)
class Function:
    """`unit` None is that of the metric; `arguments` names what follows the window, `duration` or `value`.

    `of_events` are its words over `events`; empty where it does not take them.
    """

    words: str
    apply: Apply
    unit: Unit | None = None
    arguments: tuple[str, ...] = ()
    of_events: str = ""


def _quantile(share: float) -> Apply:
    return lambda found, now, window, numbers: quantile(found, share)


def _of(apply: Callable[[Sequence[Bucket]], float | None]) -> Apply:
    return lambda found, now, window, numbers: apply(found)


FUNCTIONS: dict[str, Function] = {
    "avg": Function("the average of {} over {}", _of(mean)),
    "min": Function("the lowest {} in {}", _of(least)),
    "max": Function("the highest {} in {}", _of(greatest)),
    "sum": Function("the sum of {} over {}", _of(total)),
    "count": Function(
        "the number of samples of {} in {}", _of(samples), PLAIN_NUMBER, of_events="the number of events in {}"
    ),
    "last": Function("the last {} of {}", _of(mean)),
    "p50": Function("the median of {} over {}", _quantile(0.5)),
    "p90": Function("the 90th percentile of {} over {}", _quantile(0.9)),
    "p95": Function("the 95th percentile of {} over {}", _quantile(0.95)),
    "p99": Function("the 99th percentile of {} over {}", _quantile(0.99)),
    "rate": Function(
        "the growth of {} a second over {}", _of(increase_per_second), of_events="the events a second over {}"
    ),
    "growth": Function("the growth of {} over {}", _of(growth), PLAIN_RATIO),
    "forecast": Function(
        "the {0} foretold from {1} for {2} ahead",
        lambda found, now, window, numbers: forecast(found, now, window, numbers[0]),
        arguments=("duration",),
    ),
    "days_until": Function(
        "the days until {0} reaches {2}, foretold from {1},",
        lambda found, now, window, numbers: days_until(found, now, window, numbers[0]),
        DAYS,
        arguments=("value",),
    ),
}
"""Every function over a window. `absent` is apart: it is a truth, not a number."""
