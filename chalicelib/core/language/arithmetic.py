"""Units meet: what may be compared, added and multiplied, in which unit, and what is said where it may not."""

from dataclasses import dataclass, replace
from typing import Any

from chalicelib.core.language.expression import Absent, Arithmetic, Both, Comparison, Converted, Either, Literal, Not
from chalicelib.core.language.tokens import THRESHOLD, ConditionError, Token
from chalicelib.core.language.units import (
    BARE,
    BYTES,
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
    SIZE,
    TIME,
    Unit,
    examples,
    kind_words,
)

_TRUTHS = (Comparison, Absent, Not, Both, Either)


@dataclass(frozen=True, slots=True)
class Part:
    """A parsed part and where it begins."""

    node: Any
    column: int

    @property
    def is_truth(self) -> bool:
        """Return True for what is true or false, false for a number."""
        return isinstance(self.node, _TRUTHS)


def compared_units(left: Part, right: Part) -> tuple[Any, Any]:
    """Return both sides in one unit, or a ConditionError at the right side."""
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
    """Return the node measured in `unit`; constants exactly."""
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
    """Return two numbers added, subtracted, multiplied or divided, in units that can be."""
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
