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

import difflib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from fractions import Fraction
from typing import Any

from chalicelib.core.errors import RulesError
from chalicelib.core.expression import (
    EVENTS,
    FUNCTIONS,
    Absent,
    Arithmetic,
    Both,
    Call,
    Comparison,
    Converted,
    Either,
    EventCount,
    Literal,
    Metric,
    Negated,
    Not,
    Windowed,
)
from chalicelib.core.units import (
    BARE,
    BYTES,
    DURATION_FORMS,
    DURATIONS,
    MILLISECONDS,
    NUMBER,
    OPEN,
    PLAIN_BARE,
    PLAIN_NUMBER,
    PLAIN_OPEN,
    PLAIN_RATIO,
    PLAIN_SCALAR,
    RATIO,
    SCALAR,
    SECONDS,
    SIZE,
    SIZES,
    TIME,
    Unit,
    examples,
    kind_words,
    parse_duration,
)

MAX_CHARACTERS = 2_000
MAX_DEPTH = 40
MAX_WINDOW = timedelta(days=90)
"""Hour roll-ups are kept this long."""
MIN_WINDOW = timedelta(seconds=1)
UPTIME_WINDOW = timedelta(minutes=5)
THRESHOLD = "threshold"
COMPARISONS = (">=", "<=", "==", "!=", ">", "<")
WORDS = ("and", "or", "not")
CALLABLE = (*FUNCTIONS, "absent")

_TRUTHS = (Comparison, Absent, Not, Both, Either)
_FOREIGN = {"&&": "and", "||": "or", "!": "not", "=": "==", "=>": ">=", "=<": "<=", "<>": "!=", "≥": ">=", "≤": "<="}
_TOKEN = re.compile(
    r"""(?P<space>\s+)
      | (?P<number>(?:\d{1,15}(?:\.\d{0,15})?|\.\d{1,15})(?![\d.]))
      | (?P<name>[A-Za-z_][A-Za-z0-9_:.]*)
      | (?P<operator>>=|<=|==|!=|&&|\|\||=>|=<|<>|[-+*/()\[\],<>%])
      | (?P<wrong>.)""",
    re.VERBOSE | re.DOTALL | re.ASCII,
)
_LITERAL_UNITS = re.compile(r"(?:(?:\d+(?:\.\d+)?)?(?:ms|[smhdw]))+|B|[KMGT]B", re.ASCII)


class ConditionError(RulesError):
    """A condition that cannot be understood: what is wrong, at which column (from 1), and what is allowed."""

    def __init__(self, message: str, column: int = 1, allowed: str = "", suggestion: str = "") -> None:
        self.message, self.column, self.allowed, self.suggestion = message, column, allowed, suggestion
        super().__init__(message, column, allowed, suggestion)

    def __str__(self) -> str:
        return f"column {self.column}: {self.advice}"

    @property
    def advice(self) -> str:
        """What is wrong, what is allowed and the nearest right word, without the column."""
        found = self.message
        if self.allowed:
            found += f"; allowed is {self.allowed}"
        if self.suggestion:
            found += f"; did you mean {self.suggestion}"
        return found


_OTHER_NAMES = {"mean": "avg", "average": "avg", "median": "p50", "minimum": "min", "maximum": "max", "total": "sum"}
_OTHER_NAMES |= {"missing": "absent", "predict_linear": "forecast", "increase": "growth", "avg_over_time": "avg"}
_OTHER_NAMES |= {"max_over_time": "max", "min_over_time": "min", "sum_over_time": "sum", "count_over_time": "count"}


def nearest(word: str, words: Iterable[str]) -> str:
    """The most similar of the words; empty when none is."""
    choices = list(words)
    lowered = {choice.lower(): choice for choice in reversed(choices)}
    found = difflib.get_close_matches(word.lower(), list(lowered), n=1, cutoff=0.6)
    return lowered[found[0]] if found else ""


@dataclass(frozen=True, slots=True)
class Token:
    """`kind` is number, name, operator or end; `column` counts from 1."""

    kind: str
    text: str
    column: int


@dataclass(frozen=True, slots=True)
class Part:
    """A parsed part and where it begins."""

    node: Any
    column: int

    @property
    def is_truth(self) -> bool:
        """True for what is true or false, false for a number."""
        return isinstance(self.node, _TRUTHS)


def tokens(text: str) -> list[Token]:
    """The words of a condition. A number takes a unit that follows it, with or without a space."""
    found: list[Token] = []
    position = 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        assert match is not None
        kind, word, column = str(match.lastgroup), match[0], position + 1
        position = match.end()
        if kind == "space":
            continue
        if kind == "wrong" or word in _FOREIGN:
            raise _wrong_sign(text, column)
        if kind == "number":
            if re.match(r",\d", text[position:], re.ASCII):
                raise ConditionError("a comma is not part of a number", position + 1, "digits and a point: 1000, 0.5")
            word, position = _with_unit(text, word, position)
        found.append(Token(kind, word, column))
    return [*found, Token("end", "", len(text) + 1)]


def _wrong_sign(text: str, column: int) -> ConditionError:
    start = text[column - 1 :]
    for sign in sorted(_FOREIGN, key=len, reverse=True):
        if start.startswith(sign):
            return ConditionError(
                f"{sign!r} is not a sign of the language",
                column,
                "> >= < <= == != + - * / ( ) [ ] and or not",
                _FOREIGN[sign],
            )
    if start[0].isdigit() or start[0] == ".":
        number = (re.match(r"[\d.]+", start) or re.match(".", start, re.DOTALL) or [start])[0]
        return ConditionError(
            f"{number[:40]!r} is not a number", column, "up to 15 digits, a point and up to 15 more, such as 0.5"
        )
    if start[0] in "{}":
        return ConditionError(f"{start[0]!r} is not a sign of the language", column, "labels in the rule's match")
    if start[0] in "\"'":
        return ConditionError("text cannot be compared", column, "numbers here, and labels in the rule's match")
    return ConditionError(
        f"{start[0]!r} is not a sign of the language", column, "letters, digits and > < = ! + - * / ( ) [ ] , %"
    )


def _with_unit(text: str, number: str, position: int) -> tuple[str, int]:
    after = position
    while after < len(text) and text[after] == " ":
        after += 1
    if after < len(text) and text[after] == "%":
        return f"{number}%", after + 1
    word = re.compile(r"[A-Za-z0-9_.:]+", re.ASCII).match(text, after)
    if word is None or word[0][0].isdigit() or word[0].lower() in WORDS:
        return number, position
    if _LITERAL_UNITS.fullmatch(word[0]):
        return f"{number}{word[0]}", word.end()
    allowed = "%, ms, s, m, h, d, w, B, KB, MB, GB, TB"
    known = {
        "kb": "KB",
        "mb": "MB",
        "gb": "GB",
        "tb": "TB",
        "b": "B",
        "gib": "GB",
        "mib": "MB",
        "kib": "KB",
        "tib": "TB",
    }
    other = {"sec": "s", "secs": "s", "second": "s", "seconds": "s", "min": "m", "mins": "m", "minute": "m"}
    other |= {"minutes": "m", "hour": "h", "hours": "h", "day": "d", "days": "d", "week": "w", "weeks": "w"}
    other |= {"percent": "%", "millis": "ms", "milliseconds": "ms", "msec": "ms", "k": "KB", "g": "GB", "t": "TB"}
    lowered = word[0].lower()
    unit = known.get(lowered) or other.get(lowered) or (lowered if lowered in DURATIONS else "")
    raise ConditionError(f"{word[0][:40]!r} is not a unit", after + 1, allowed, f"{number}{unit}" if unit else "")


def literal(text: str, column: int = 1) -> Literal:
    """A number with its unit, exactly: `500`, `1%`, `0.5s`, `1h30m`, `8GB`."""
    match = re.match(r"\d*\.?\d*", text)
    digits = match[0] if match else ""
    unit = text[len(digits) :]
    number = Fraction(digits.rstrip(".") or "0")
    if not unit:
        return Literal(float(number), PLAIN_BARE, text, number)
    if unit == "%":
        return Literal(float(number / 100), PLAIN_RATIO, text, number / 100)
    if unit in SIZES:
        return Literal(float(number), Unit(SIZE, SIZES[unit], unit), text, number * SIZES[unit])
    if unit in DURATIONS:
        return Literal(float(number), Unit(TIME, DURATIONS[unit], unit), text, number * DURATIONS[unit])
    try:
        duration = parse_duration(digits.rstrip(".") + unit)
    except ValueError:
        raise ConditionError(f"{text[:40]!r} is not a duration", column, DURATION_FORMS) from None
    exact = Fraction(duration // timedelta(microseconds=1), 1_000_000)
    return Literal(float(exact), SECONDS, text, exact)


def threshold_literal(value: float | str) -> Literal:
    """A rule's threshold as written: a number, a percentage, a duration or a size; else ConditionError."""
    text = repr(value) if isinstance(value, int | float) and not isinstance(value, bool) else str(value).strip()
    wrong = ConditionError(
        f"threshold {text[:40]!r} is not a value", 1, "a number, a percentage, a duration or a size: 8, 1%, 500ms, 8GB"
    )
    if isinstance(value, bool):
        raise wrong
    if isinstance(value, float | int):
        if not abs(value) < 1e15:
            raise wrong
        return Literal(float(value), PLAIN_BARE, THRESHOLD, Fraction(text))
    words = tokens(text.removeprefix("-"))
    if len(words) != 2 or words[0].kind != "number":
        raise wrong
    found = literal(words[0].text)
    sign = -1 if text.startswith("-") else 1
    return Literal(sign * found.value, found.unit, THRESHOLD, sign * found.exact)


class Parser:
    """One pass over the words of one condition."""

    def __init__(self, text: str, threshold: float | str | None) -> None:
        self.words = tokens(text)
        self.position = 0
        self.depth = 0
        self.threshold = threshold

    @property
    def word(self) -> Token:
        """The next word."""
        return self.words[self.position]

    def take(self) -> Token:
        """The next word, passing it."""
        found = self.word
        self.position += 1
        return found

    def takes(self, *texts: str) -> bool:
        """True, passing it, when the next word is one of these signs or keywords."""
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
        """The whole condition."""
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
        """What to say of a word that cannot stand here."""
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
        return ConditionError(
            f"{_named(word)} cannot stand here", word.column, "and, or, a comparison or + - * / before it"
        )

    def either(self) -> Part:
        """Sides joined by `or`."""
        found = self.both()
        while self.word.text == "or" and self.word.kind == "name":
            found = self.joined(Either, found, self.take(), self.both)
        return found

    def both(self) -> Part:
        """Sides joined by `and`."""
        found = self.denied()
        while self.word.text == "and" and self.word.kind == "name":
            found = self.joined(Both, found, self.take(), self.denied)
        return found

    def joined(self, kind: type, left: Part, operator: Token, right: Any) -> Part:
        """Two truths joined."""
        other: Part = right()
        for side in (left, other):
            self.must_be_truth(side, operator.text)
        return Part(kind(left.node, other.node), left.column)

    def must_be_truth(self, side: Part, word: str) -> None:
        """Complain of a number where a comparison belongs."""
        if not side.is_truth:
            raise ConditionError(
                f"{word!r} joins comparisons, and {side.node} is a number"
                if word != "not"
                else f"'not' denies a comparison, and {side.node} is a number",
                side.column,
                f"a comparison, such as {side.node} > {_example(side.node.unit)}",
            )

    def denied(self) -> Part:
        """A comparison, with any number of `not` before it."""
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
        """Two numbers compared, or what can stand alone."""
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
        """Products added and subtracted."""
        return self.chain(("+", "-"), self.product)

    def product(self) -> Part:
        """Numbers multiplied and divided."""
        return self.chain(("*", "/"), self.sign)

    def chain(self, operators: tuple[str, str], parse: Any) -> Part:
        """Numbers joined from left to right."""
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
        """A number with any number of minus signs before it."""
        if self.word.kind == "operator" and self.word.text == "-":
            column = self.take().column
            inner = self.deeper(self.sign)
            if inner.is_truth:
                raise ConditionError(f"'-' before {inner.node}, which is true or false", column, "a number after '-'")
            return Part(Negated(inner.node), column)
        return self.primary()

    def primary(self) -> Part:
        """A number, a metric, a call, or something in parentheses."""
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
        """What a name stands for."""
        name = word.text
        if name == THRESHOLD:
            if self.threshold is None:
                raise ConditionError(
                    "the condition names threshold, and the rule has none", word.column, "threshold: 8 beside condition"
                )
            return threshold_literal(self.threshold)
        if self.word.text == "(" and self.word.kind == "operator":
            return self.call(word)
        if name in CALLABLE and name not in ("count", "rate", "growth", "last"):
            raise ConditionError(f"{name} is a function without its '('", word.column, f"{name}(metric[5m])")
        if self.word.text == "[" and self.word.kind == "operator":
            window = self.window(name)
            return EventCount(window) if name == EVENTS else Windowed(name, window)
        if name == EVENTS:
            raise ConditionError("events needs a window", word.column, "a window right after it", "events[1m]")
        return Windowed(name, UPTIME_WINDOW, bare=True) if name == "uptime" else Metric(name)

    def window(self, name: str) -> timedelta:
        """`[5m]`."""
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
        """`function(metric[window], …)`."""
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
        """What follows the window, and the closing parenthesis."""
        wanted = FUNCTIONS[name].arguments if name != "absent" else ()
        found: list[Any] = []
        while self.takes(","):
            column = self.word.column
            if len(found) == len(wanted):
                raise ConditionError(f"{name} takes {_counted(1 + len(wanted))}", column, _usage(name))
            given = self.sum()
            found.append(argument(name, wanted[len(found)], given, Call(name, metric, window).unit, metric))
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


def argument(name: str, wanted: str, given: Part, unit: Unit, metric: str) -> Any:
    """A further argument in the unit that its function wants; it must be a constant."""
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


# ---------------------------------------------------------------------------------------------------------------------
# Units meet


def compared_units(left: Part, right: Part) -> tuple[Any, Any]:
    """Both sides in one unit, or a ConditionError at the right side."""
    first, second = left.node, right.node
    kinds = {first.unit.kind, second.unit.kind}
    if kinds == {RATIO, BARE}:
        raise _bare_ratio(left, right)
    if _clash(kinds):
        raise _mismatch(left, right)
    if first.unit.kind in (OPEN, SCALAR, BARE):
        return in_unit(first, second.unit), second
    if isinstance(first, Literal) and second.unit.kind == first.unit.kind:
        return in_unit(first, second.unit), second
    return first, in_unit(second, first.unit)


def _clash(kinds: set[str]) -> bool:
    if len(kinds) == 1 or OPEN in kinds:
        return False
    if BARE in kinds:
        return RATIO in kinds
    if SCALAR in kinds:
        return bool(kinds & {TIME, SIZE})
    return True


def _bare_ratio(left: Part, right: Part) -> ConditionError:
    ratio, bare = (left, right) if left.node.unit.kind == RATIO else (right, left)
    suggestion, words = "", f"{bare.node} is a bare number"
    if isinstance(bare.node, Literal):
        number = bare.node.exact if bare.node.exact >= 1 or bare.node.exact <= 0 else bare.node.exact * 100
        written = f"{float(number):.12g}%"
        suggestion = f"threshold: {written}" if bare.node.text == THRESHOLD else written
        if bare.node.text == THRESHOLD:
            words = f"threshold is the bare number {float(bare.node.exact):.12g}"
    return ConditionError(f"{ratio.node} is a ratio and {words}", bare.column, "a percentage, such as 1%", suggestion)


def _mismatch(left: Part, right: Part) -> ConditionError:
    return ConditionError(
        f"{left.node} is {kind_words(left.node.unit)} and {right.node} is {kind_words(right.node.unit)}",
        right.column,
        examples(left.node.unit),
    )


def in_unit(node: Any, unit: Unit) -> Any:
    """The node measured in `unit`; constants exactly."""
    if isinstance(node, Literal):
        if node.unit.kind == BARE:
            return replace(node, unit=unit) if unit.kind in (TIME, SIZE, NUMBER) else node
        return replace(node, value=float(node.exact / unit.size), unit=unit) if node.unit.kind == unit.kind else node
    if node.unit.kind == OPEN and unit.kind in (TIME, SIZE):
        own = MILLISECONDS if unit.kind == TIME else BYTES
        return node if own.size == unit.size else Converted(node, unit, float(own.size / unit.size))
    if node.unit.kind == unit.kind and node.unit.size != unit.size:
        return Converted(node, unit, float(node.unit.size / unit.size))
    return node


def calculated(operator: Token, left: Part, right: Part) -> Any:
    """Two numbers added, subtracted, multiplied or divided, in units that can be."""
    for side in (left, right):
        if side.is_truth:
            raise ConditionError(
                f"{side.node} is true or false and cannot be part of a calculation", side.column, "numbers"
            )
    if operator.text in "+-":
        return _added(operator, left, right)
    return _multiplied(operator, left, right)


def _added(operator: Token, left: Part, right: Part) -> Any:
    kinds = {left.node.unit.kind, right.node.unit.kind}
    if kinds == {RATIO, BARE}:
        bare = left if left.node.unit.kind == BARE else right
        if not (isinstance(bare.node, Literal) and bare.node.exact in (0, 1)):
            raise _bare_ratio(left, right)
        return Arithmetic(operator.text, left.node, right.node, PLAIN_RATIO)
    if kinds == {RATIO, SCALAR}:
        return Arithmetic(operator.text, left.node, right.node, PLAIN_RATIO)
    if _clash(kinds):
        raise _mismatch(left, right)
    first, second = compared_units(left, right)
    unit = first.unit if first.unit.kind not in (BARE, OPEN, SCALAR) else second.unit
    if isinstance(second, Literal) and second.unit.kind == BARE:
        unit = first.unit
    return Arithmetic(operator.text, first, second, unit)


def _multiplied(operator: Token, left: Part, right: Part) -> Any:
    first, second = left.node, right.node
    one, other = first.unit.kind, second.unit.kind
    if one == other and one in (TIME, SIZE):
        if operator.text == "*":
            raise ConditionError(
                f"{first} and {second} cannot be multiplied", right.column, "a plain number or a percentage"
            )
        if isinstance(first, Literal) and not isinstance(second, Literal):
            return Arithmetic("/", in_unit(first, second.unit), second, PLAIN_SCALAR)
        return Arithmetic("/", first, in_unit(second, first.unit), PLAIN_SCALAR)
    if {one, other} == {TIME, SIZE} and operator.text == "*":
        raise ConditionError(
            f"{first} and {second} cannot be multiplied", right.column, "a plain number or a percentage"
        )
    return Arithmetic(operator.text, first, second, _product_unit(operator.text, first.unit, second.unit))


def _product_unit(operator: str, left: Unit, right: Unit) -> Unit:
    one, other = left.kind, right.kind
    if operator == "/":
        if one == other:
            return PLAIN_BARE if one == BARE else PLAIN_SCALAR
        if other in (TIME, SIZE):
            return PLAIN_NUMBER
        if one == RATIO:
            return PLAIN_SCALAR
        return PLAIN_NUMBER if one == BARE else left
    if one in (TIME, SIZE):
        return left
    if other in (TIME, SIZE):
        return right
    if one == other:
        return left
    if OPEN in (one, other):
        return PLAIN_OPEN
    return PLAIN_NUMBER if NUMBER in (one, other) else PLAIN_SCALAR


def parsed(text: str, threshold: float | str | None) -> Any:
    """The parts of a condition."""
    if not isinstance(text, str):
        raise ConditionError("the condition is not text", 1, 'text in quotes, such as "error_rate > 1%"')
    if len(text) > MAX_CHARACTERS:
        raise ConditionError(f"the condition has {len(text)} characters", 1, f"{MAX_CHARACTERS} at most")
    return Parser(text, threshold).whole()


def all_names(parts: Sequence[Any]) -> frozenset[str]:
    """The sample metrics among the parts."""
    found = {part.name for part in parts if isinstance(part, Metric | Windowed)}
    found |= {part.metric for part in parts if isinstance(part, Call | Absent)}
    return frozenset(found - {EVENTS})
