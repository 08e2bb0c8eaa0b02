"""The grammar of conditions: text in, parts of `expression.py` out, or one ConditionError that says where and what.

    condition  = and { "or" and }
    and        = not { "and" not }
    not        = "not" not | comparison
    comparison = sum [ ( ">" | ">=" | "<" | "<=" | "==" | "!=" ) sum ]
    sum        = product { ( "+" | "-" ) product }
    product    = sign { ( "*" | "/" ) sign }
    sign       = "-" sign | primary
    primary    = number [ unit ] | "threshold" | metric [ window ] | "events" window | call | "(" condition ")"
    call       = function "(" ( metric | "events" ) window { "," sum } ")"
    window     = "[" duration "]"
    unit       = "%" | "ms" | "s" | "m" | "h" | "d" | "w" | "B" | "KB" | "MB" | "GB" | "TB"

Recursive descent, since the language is small and its errors should speak of it, not of a parser.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from fractions import Fraction
from typing import Any

from chalicelib.core.language.arithmetic import Part, calculated, compared_units
from chalicelib.core.language.expression import (
    EVENTS,
    Absent,
    Both,
    Call,
    Comparison,
    Either,
    EventCount,
    Literal,
    Metric,
    Negated,
    Not,
    Windowed,
)
from chalicelib.core.language.functions import FUNCTIONS
from chalicelib.core.language.tokens import (
    THRESHOLD,
    WORDS,
    ConditionError,
    Token,
    literal,
    nearest,
    threshold_literal,
    tokens,
)
from chalicelib.core.language.units import BARE, DURATION_FORMS, RATIO, SECONDS, SIZE, TIME, Unit

MAX_CHARACTERS = 2_000
MAX_DEPTH = 40
MAX_WINDOW = timedelta(days=90)
"""Hour roll-ups are kept this long."""
MIN_WINDOW = timedelta(seconds=1)
UPTIME_WINDOW = timedelta(minutes=5)
COMPARISONS = (">=", "<=", "==", "!=", ">", "<")
CALLABLE = (*FUNCTIONS, "absent")
_OTHER_NAMES = {"mean": "avg", "average": "avg", "median": "p50", "minimum": "min", "maximum": "max", "total": "sum"}
_OTHER_NAMES |= {"missing": "absent", "predict_linear": "forecast", "increase": "growth", "avg_over_time": "avg"}
_OTHER_NAMES |= {"max_over_time": "max", "min_over_time": "min", "sum_over_time": "sum", "count_over_time": "count"}


_INSTEAD = {
    "for": "for: 5m beside condition",
    "by": "group_by beside condition; each series of a metric has an alert of its own",
    "without": "group_by beside condition; each series of a metric has an alert of its own",
    "on": "metrics whose labels agree, which are compared without it",
    "ignoring": "metrics whose labels agree, which are compared without it",
    "offset": "growth(metric[7d]), or a longer window",
    "unless": "and not",
}
"""Words of PromQL, and what says the same here."""


class Parser:
    """One pass over the words of one condition."""

    def __init__(self, text: str, threshold: float | str | None) -> None:
        self.words = tokens(text)
        self.position = 0
        self.depth = 0
        self.threshold = threshold

    @property
    def word(self) -> Token:
        """Return the next word."""
        return self.words[self.position]

    def take(self) -> Token:
        """Return the next word, passing it."""
        found = self.word
        self.position += 1
        return found

    def takes(self, *texts: str) -> bool:
        """Return True, passing it, when the next word is one of these signs or keywords."""
        if self.word.kind in ("operator", "name") and self.word.text in texts:
            self.position += 1
            return True
        return False

    def expect(self, text: str, after: str) -> None:
        """Pass this sign or complain."""
        if not self.takes(text):
            raise ConditionError(
                f"{text!r} is missing after {after}, before {_named(self.word)}", self.word.column, text
            )

    def whole(self) -> Any:
        """Return the whole condition."""
        if self.word.kind == "end":
            raise ConditionError("the condition is empty", 1, "a comparison, such as error_rate > 1%")
        found = self.either()
        if self.word.kind != "end":
            raise self.unexpected()
        if not found.is_truth:
            raise ConditionError(
                "the condition is a number, neither true nor false",
                found.column,
                f"a comparison, such as {found.node} > {_example(found.node.unit)}",
            )
        return found.node

    def unexpected(self) -> ConditionError:
        """Return what to say of a word that cannot stand here."""
        word = self.word
        lowered = word.text.lower()
        if lowered in WORDS and lowered != word.text:
            return ConditionError(f"{word.text!r} is not a word of the language", word.column, "and, or, not", lowered)
        if word.text in COMPARISONS:
            return ConditionError(
                f"a second {word.text!r}: comparisons do not chain", word.column, "two comparisons joined by and"
            )
        if word.text == ")":
            return ConditionError("')' closes nothing", word.column, "one ')' for each '('")
        if word.text == "[":
            return ConditionError(
                "a window cannot stand here", word.column, "a window right after a metric, such as events[1m]"
            )
        if lowered in ("for", "by", "without", "on", "ignoring", "offset", "unless"):
            return ConditionError(f"{word.text!r} is a word of PromQL", word.column, _INSTEAD[lowered])
        return ConditionError(
            f"{_named(word)} cannot stand here", word.column, "and, or, a comparison or + - * / before it"
        )

    def either(self) -> Part:
        """Read sides joined by `or`."""
        found = self.both()
        while self.word.text == "or" and self.word.kind == "name":
            found = self.joined(Either, found, self.take(), self.both)
        return found

    def both(self) -> Part:
        """Read sides joined by `and`."""
        found = self.denied()
        while self.word.text == "and" and self.word.kind == "name":
            found = self.joined(Both, found, self.take(), self.denied)
        return found

    def joined(self, kind: type, left: Part, operator: Token, right: Any) -> Part:
        """Join two truths."""
        other: Part = right()
        for side in (left, other):
            self.must_be_truth(side, operator.text)
        return Part(kind(left.node, other.node), left.column)

    def must_be_truth(self, side: Part, word: str) -> None:
        """Raise ConditionError for a number where a comparison belongs."""
        if not side.is_truth:
            raise ConditionError(
                f"{word!r} joins comparisons, and {side.node} is a number"
                if word != "not"
                else f"'not' denies a comparison, and {side.node} is a number",
                side.column,
                f"a comparison, such as {side.node} > {_example(side.node.unit)}",
            )

    def denied(self) -> Part:
        """Return a comparison, with any number of `not` before it."""
        if self.word.kind == "name" and self.word.text == "not":
            column = self.take().column
            inner = self.deeper(self.denied)
            self.must_be_truth(inner, "not")
            return Part(Not(inner.node), column)
        return self.comparison()

    def deeper(self, parse: Any) -> Part:
        """Parse what is inside, not too deep."""
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise ConditionError(
                f"nested deeper than {MAX_DEPTH}", self.word.column, "a simpler condition, or two rules"
            )
        found: Part = parse()
        self.depth -= 1
        return found

    def comparison(self) -> Part:
        """Read two numbers compared, or what can stand alone."""
        left = self.sum()
        if self.word.kind != "operator" or self.word.text not in COMPARISONS:
            return left
        operator = self.take()
        right = self.sum()
        for side in (left, right):
            if side.is_truth:
                raise ConditionError(
                    f"{side.node} is true or false and cannot be compared", side.column, "numbers on both sides"
                )
        first, second = compared_units(left, right)
        return Part(Comparison(operator.text, first, second), left.column)

    def sum(self) -> Part:
        """Read products added and subtracted."""
        return self.chain(("+", "-"), self.product)

    def product(self) -> Part:
        """Read numbers multiplied and divided."""
        return self.chain(("*", "/"), self.sign)

    def chain(self, operators: tuple[str, str], parse: Any) -> Part:
        """Read numbers joined from left to right."""
        found: Part = parse()
        length = 0
        while self.word.kind == "operator" and self.word.text in operators:
            operator = self.take()
            other: Part = parse()
            length += 1
            if length > MAX_DEPTH:
                raise ConditionError(f"more than {MAX_DEPTH} numbers in a row", operator.column, "a simpler condition")
            found = Part(calculated(operator, found, other), found.column)
        return found

    def sign(self) -> Part:
        """Return a number with any number of minus signs before it."""
        if self.word.kind == "operator" and self.word.text == "-":
            column = self.take().column
            inner = self.deeper(self.sign)
            if inner.is_truth:
                raise ConditionError(f"'-' before {inner.node}, which is true or false", column, "a number after '-'")
            return Part(Negated(inner.node), column)
        return self.primary()

    def primary(self) -> Part:
        """Return a number, a metric, a call, or something in parentheses."""
        word = self.word
        if word.kind == "number":
            return Part(literal(self.take().text, word.column), word.column)
        if word.kind == "name" and word.text not in WORDS:
            return Part(self.named(self.take()), word.column)
        if self.takes("("):
            inner = self.deeper(self.either)
            self.expect(")", f"'(' of column {word.column}")
            return Part(inner.node, word.column)
        if word.kind == "end":
            raise ConditionError("the condition breaks off", word.column, "a number or a metric at its end")
        raise ConditionError(f"{_named(word)} stands where a value belongs", word.column, "a number, a metric or '('")

    def named(self, word: Token) -> Any:
        """Return what a name stands for."""
        name = word.text
        if name == THRESHOLD:
            if self.threshold is None:
                raise ConditionError(
                    "the condition names threshold, and the rule has none",
                    word.column,
                    "threshold: 8 beside condition, or in defaults: thresholds:",
                )
            return threshold_literal(self.threshold)
        if self.word.text == "(" and self.word.kind == "operator":
            return self.call(word)
        if name in CALLABLE and self.word.text in ("by", "without"):
            raise ConditionError(f"{self.word.text!r} is a word of PromQL", self.word.column, _INSTEAD[self.word.text])
        if name in CALLABLE and name not in ("count", "rate", "growth", "last"):
            raise ConditionError(f"{name} is a function without its '('", word.column, f"{name}(metric[5m])")
        if self.word.text == "[" and self.word.kind == "operator":
            window = self.window(name)
            return EventCount(window) if name == EVENTS else Windowed(name, window)
        if name == EVENTS:
            raise ConditionError("events needs a window", word.column, "a window right after it", "events[1m]")
        return Windowed(name, UPTIME_WINDOW, bare=True) if name == "uptime" else Metric(name)

    def window(self, name: str) -> timedelta:
        """Read `[5m]`."""
        self.expect("[", name)
        word = self.take()
        if word.kind != "number":
            raise ConditionError(f"the window of {name} is not a duration", word.column, DURATION_FORMS, f"{name}[5m]")
        found = literal(word.text, word.column)
        if found.unit.kind != TIME:
            unit = f"{word.text}m" if found.unit.kind == BARE else ""
            raise ConditionError(
                f"the window {word.text!r} of {name} has no unit of time"
                if unit
                else f"the window {word.text!r} of {name} is not a duration",
                word.column,
                DURATION_FORMS,
                f"{name}[{unit}]" if unit else "",
            )
        exact = found.exact * 1000
        duration = timedelta(milliseconds=int(min(exact, Fraction(10**14))))
        if not MIN_WINDOW <= duration <= MAX_WINDOW or exact.denominator != 1:
            raise ConditionError(
                f"the window {word.text!r} of {name} is out of range", word.column, "1s to 90d, in whole milliseconds"
            )
        self.expect("]", f"the window of {name}")
        return duration

    def call(self, word: Token) -> Any:
        """Read `function(metric[window], …)`."""
        name = word.text
        if name not in CALLABLE:
            raise ConditionError(
                f"{name[:40]!r} is not a function", word.column, ", ".join(sorted(CALLABLE)), _nearest_function(name)
            )
        self.expect("(", name)
        inner = self.take()
        if inner.kind != "name" or inner.text in (*WORDS, THRESHOLD):
            raise ConditionError(
                f"{name} takes a metric with a window, not {_named(inner)}", inner.column, f"{name}(metric[5m])"
            )
        if self.word.text != "[":
            raise ConditionError(
                f"{name} needs a window after {inner.text}",
                self.word.column,
                DURATION_FORMS,
                f"{name}({inner.text}[5m])",
            )
        window = self.window(inner.text)
        if name != "absent" and inner.text == EVENTS and not FUNCTIONS[name].of_events:
            raise ConditionError(
                f"{name} does not take events", inner.column, "events[1m], rate(events[5m]) or absent(events[1h])"
            )
        arguments = self.arguments(name, inner.text, window)
        return Absent(inner.text, window) if name == "absent" else Call(name, inner.text, window, arguments)

    def arguments(self, name: str, metric: str, window: timedelta) -> tuple[Any, ...]:
        """Return what follows the window, and the closing parenthesis."""
        wanted = FUNCTIONS[name].arguments if name != "absent" else ()
        found: list[Any] = []
        while self.takes(","):
            column = self.word.column
            if len(found) == len(wanted):
                raise ConditionError(f"{name} takes {_counted(1 + len(wanted))}", column, _usage(name))
            given = self.sum()
            found.append(_argument(name, wanted[len(found)], given, metric))
        if len(found) < len(wanted):
            raise ConditionError(f"{name} needs {_counted(1 + len(wanted))}", self.word.column, _usage(name))
        self.expect(")", f"the arguments of {name}")
        return tuple(found)


def _nearest_function(name: str) -> str:
    return _OTHER_NAMES.get(name.lower()) or nearest(name, CALLABLE)


def _counted(number: int) -> str:
    return "one argument" if number == 1 else f"{number} arguments"


def _usage(name: str) -> str:
    usages = {"forecast": "forecast(db_size_gb[7d], 14d)", "days_until": "days_until(db_size_gb[7d], 8GB)"}
    return usages.get(name, f"{name}(metric[5m])")


def _argument(name: str, wanted: str, given: Part, metric: str) -> Any:
    """Return a further argument in the unit that its function wants; it must be a constant."""
    node = given.node
    if not isinstance(node, Literal):
        raise ConditionError(f"the second argument of {name} is not a constant", given.column, _usage(name))
    if wanted == "duration":
        if node.unit.kind != TIME or node.exact <= 0 or node.exact > 86_400 * 3_660:
            raise ConditionError(f"{node} is not a time ahead", given.column, "a duration up to 3660d", _usage(name))
        return replace(node, value=float(node.exact), unit=SECONDS)
    from_metric = Part(Metric(metric), given.column)
    return compared_units(from_metric, given)[1]


def _named(word: Token) -> str:
    return "the end" if word.kind == "end" else repr(word.text[:40])


def _example(unit: Unit) -> str:
    return {RATIO: "1%", TIME: "500", SIZE: "8"}.get(unit.kind, "10")


def parsed(text: str, threshold: float | str | None) -> Any:
    """Return the parts of a condition."""
    if not isinstance(text, str):
        raise ConditionError("the condition is not text", 1, 'text in quotes, such as "error_rate > 1%"')
    if len(text) > MAX_CHARACTERS:
        raise ConditionError(f"the condition has {len(text)} characters", 1, f"{MAX_CHARACTERS} at most")
    return Parser(text, threshold).whole()


def all_names(parts: Sequence[Any]) -> frozenset[str]:
    """Return the sample metrics among the parts."""
    found = {part.name for part in parts if isinstance(part, Metric | Windowed)}
    found |= {part.metric for part in parts if isinstance(part, Call | Absent)}
    return frozenset(found - {EVENTS})
