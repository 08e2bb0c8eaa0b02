"""The words of a condition: numbers with their units, names, signs; and the values that a rule's threshold may have."""

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from fractions import Fraction

from chalicelib.core.errors import ColumnError
from chalicelib.core.language.expression import Literal
from chalicelib.core.language.units import (
    DURATION_FORMS,
    DURATIONS,
    PLAIN_BARE,
    PLAIN_RATIO,
    SECONDS,
    SIZE,
    SIZES,
    TIME,
    Unit,
    parse_duration,
)

THRESHOLD = "threshold"
WORDS = ("and", "or", "not")

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


class ConditionError(ColumnError):
    """A condition that cannot be understood."""


def nearest(word: str, words: Iterable[str]) -> str:
    """Return the most similar of the words; empty when none is."""
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


def tokens(text: str) -> list[Token]:
    """Return the words of a condition. A number takes a unit that follows it, with or without a space."""
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
    """Return a number with its unit, exactly: `500`, `1%`, `0.5s`, `1h30m`, `8GB`."""
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
    """Return a rule's threshold as written: a number, a percentage, a duration or a size; else ConditionError."""
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
