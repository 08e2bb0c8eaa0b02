"""The rule language: a condition as a value, and its answer over samples and events at a time.

    condition = parse("error_rate > 1% and requests_per_min >= 200")
    evaluate(condition, series, now).truth        # True, False or None: unknown

The words are in `tokens.py`, the grammar in `grammar.py`, what the parts mean in `expression.py`, the functions in
`functions.py`, units in `units.py` and how they meet in `arithmetic.py`.
"""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from chalicelib.core.language.expression import (
    EVENTS,
    Absent,
    Call,
    Comparison,
    EventCount,
    Literal,
    Metric,
    Scope,
    Verdict,
    Windowed,
    parts,
)
from chalicelib.core.language.grammar import all_names, parsed
from chalicelib.core.language.tokens import ConditionError
from chalicelib.core.language.units import BARE, OPEN, SCALAR, Unit, duration_words, shown
from chalicelib.core.metrics.sample import Series

__all__ = [
    "Condition",
    "ConditionError",
    "Evaluation",
    "Reading",
    "describe",
    "evaluate",
    "mistakes",
    "parse",
    "readings",
]

MAX_MISTAKES = 20
_JOINT = re.compile(r"(?<![\w.:])(?:and|or)(?![\w.:])")
_OF_ITS_BEGINNING = ("')' closes nothing", "the condition is a number", "the condition is empty")
"""What is said of the rest of a condition only because its beginning is missing."""


@dataclass(frozen=True, slots=True)
class Condition:
    """A parsed condition. It can be pickled, hashed and compared; `str` writes it again, and that parses to the same.

    `metrics` are the sample metrics it looks at; `event_window` the longest time over which it counts events and
    `window` the longest over which it looks at samples. `threshold` is the rule's, as its number.
    """

    text: str
    root: Any
    metrics: frozenset[str]
    counts_events: bool
    event_window: timedelta
    window: timedelta
    threshold: float | None = None

    def __str__(self) -> str:
        return str(self.root)


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The answer at a time: None is unknown.

    `value` and `shown` are the left side of the comparison that decided, `threshold_shown` its right side.
    `changes_at` is the earliest time at which the answer can change with nothing new; None when it cannot.
    """

    truth: bool | None
    value: float | None
    shown: str
    threshold_shown: str
    changes_at: datetime | None


def parse(text: str, *, threshold: float | str | None = None) -> Condition:
    """Return the condition; `threshold` is what the bare word means. ConditionError says what is wrong and where."""
    root = parsed(text, threshold)
    found = list(parts(root))
    metrics = all_names(found)
    counted = [each.window for each in found if _is_count(each)]
    measured = [
        each.window for each in found if isinstance(each, Metric | Windowed | Call | Absent) and not _is_count(each)
    ]
    if not metrics and not counted:
        raise ConditionError("the condition measures nothing", 1, "a metric or events, such as events[1m] > 10")
    from_rule = [each for each in found if isinstance(each, Literal) and each.text == "threshold"]
    return Condition(
        text=text,
        root=root,
        metrics=metrics,
        counts_events=bool(counted),
        event_window=max(counted, default=timedelta(0)),
        window=max(measured, default=timedelta(0)),
        threshold=from_rule[0].value if from_rule else None,
    )


def mistakes(text: str, *, threshold: float | str | None = None) -> list[ConditionError]:
    """Return all that is wrong with a condition: after a mistake, what follows the next `and` or `or` is read on its own."""
    found: list[ConditionError] = []
    start = 0
    while len(found) < MAX_MISTAKES:
        try:
            parsed(text[start:], threshold)
            break
        except ConditionError as error:
            column = start + error.column
            if not found or not error.message.startswith(_OF_ITS_BEGINNING):
                found.append(ConditionError(error.message, column, error.allowed, error.suggestion))
        joint = _JOINT.search(text, column - 1)
        if joint is None:
            break
        start = joint.end()
    return found


def _is_count(part: Any) -> bool:
    return isinstance(part, EventCount) or getattr(part, "metric", "") == EVENTS


def evaluate(condition: Condition, series: Series, now: datetime) -> Evaluation:
    """Return the answer over what was measured and what happened up to `now`."""
    scope = Scope(series, now)
    answer: Verdict = condition.root.answer(scope)
    value, left, right = _reading(answer)
    return Evaluation(answer.truth, value, left, right, scope.changes_at)


def _reading(answer: Verdict) -> tuple[float | None, str, str]:
    decided = answer.decided_by
    if isinstance(decided, Absent):
        return None, f"nothing for {duration_words(decided.window)}" if answer.left else "measured", ""
    unit = _shown_unit(decided.left.unit, decided.right.unit)
    left, right = answer.left, answer.right
    if isinstance(decided.left, Literal) and not isinstance(decided.right, Literal):
        left, right = right, left
    return left, shown(left, unit, right), "" if right is None else shown(right, unit, left)


def _shown_unit(left: Unit, right: Unit) -> Unit:
    return right if left.kind in (OPEN, SCALAR, BARE) and right.kind != BARE else left


@dataclass(frozen=True, slots=True)
class Reading:
    """One comparison (or `absent`) of a condition at a time, as it is written, with what it saw on both sides."""

    text: str
    truth: bool | None
    shown: str
    threshold_shown: str


def readings(condition: Condition, series: Series, now: datetime) -> list[Reading]:
    """Return every comparison of the condition with its answer, in the order written."""
    found = []
    for part in parts(condition.root):
        if isinstance(part, Comparison | Absent):
            answer = part.answer(Scope(series, now))
            _, left, right = _reading(answer)
            found.append(Reading(str(part), answer.truth, left, right))
    return found


@dataclass(frozen=True, slots=True)
class Sides:
    """Both sides of a comparison at a time, in one unit; None where nothing was measured."""

    left: float | None
    right: float | None
    unit: Unit


def sides(condition: Condition, series: Series, now: datetime) -> Sides | None:
    """Return what the first comparison of the condition sees at a time: what it measures and its limit. None without one."""
    first = next((part for part in parts(condition.root) if isinstance(part, Comparison)), None)
    if first is None:
        return None
    answer: Verdict = first.answer(Scope(series, now))
    unit = _shown_unit(first.left.unit, first.right.unit)
    swapped = isinstance(first.left, Literal) and not isinstance(first.right, Literal)
    left, right = (answer.right, answer.left) if swapped else (answer.left, answer.right)
    return Sides(left, right, unit)


def describe(condition: Condition) -> str:
    """Return the condition as a phrase of English: `error rate is above 1 %`."""
    words: str = condition.root.words()
    return words
