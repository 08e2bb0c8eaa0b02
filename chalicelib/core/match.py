"""Matchers over labels: `=`, `!=`, `=~`, `!~`, with Alertmanager's meaning.

A missing label is the empty text. Regular expressions are anchored at both ends.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

OPERATORS = ("=~", "!~", "!=", "=")
MAX_PATTERN_CHARACTERS = 1_000


@dataclass(frozen=True, slots=True)
class Matcher:
    """One clause: a label, an operator of OPERATORS and a value."""

    label: str
    operator: str
    value: str

    def matches(self, labels: Mapping[str, str]) -> bool:
        """True when the label's value satisfies the clause."""
        found = labels.get(self.label, "")
        match self.operator:
            case "=":
                return found == self.value
            case "!=":
                return found != self.value
            case "=~":
                return _compiled(self.value).fullmatch(found) is not None
            case _:
                return _compiled(self.value).fullmatch(found) is None

    def __str__(self) -> str:
        return f"{self.label}{self.operator}{self.value}"


@lru_cache(maxsize=1024)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)


def parse_matcher(label: str, text: str) -> Matcher:
    """The clause a rules file writes as `label: text`: an operator at the start of the text, else equality."""
    for operator in OPERATORS:
        if text.startswith(operator):
            return Matcher(label, operator, text[len(operator) :].strip() if operator == "=" else text[len(operator) :])
    return Matcher(label, "=", text)


def parse_matchers(clauses: Mapping[str, str]) -> tuple[Matcher, ...]:
    """All clauses of a `match:` mapping, in a stable order."""
    return tuple(parse_matcher(label, str(text)) for label, text in sorted(clauses.items()))


def matches_all(matchers: Iterable[Matcher], labels: Mapping[str, str]) -> bool:
    """True when every clause holds; no clauses match everything."""
    for matcher in matchers:  # noqa: SIM110 — a loop costs a third of all(): it runs for every rule and event
        if not matcher.matches(labels):
            return False
    return True
