"""Matchers over labels: `=`, `!=`, `=~`, `!~`, with Alertmanager's meaning.

A missing label is the empty text. Regular expressions are those of RE2, anchored at both ends. A clause whose pattern
RE2 refuses holds for no labels, whether it asks for a match or for none: a silence that cannot be read mutes nothing.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from chalicelib.core.pattern import PatternError, compiled, whole_match

OPERATORS = ("=~", "!~", "!=", "=")
PATTERN_OPERATORS = ("=~", "!~")
MAX_SHOWN_CHARACTERS = 200
LABEL_PATTERN = "[A-Za-z_][A-Za-z0-9_.-]*"
_PLAIN_LABEL = re.compile(LABEL_PATTERN)
_NEEDS_QUOTES = re.compile(r"""^[=~"'“”„‟«»‘’‚‛‹›]|[\s,{}\x00-\x1f]""")
"""A value in which reading would see a quote, a longer operator, or an end."""
_ESCAPES = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"})


@dataclass(frozen=True, slots=True)
class Matcher:
    """One clause: a label, an operator of OPERATORS and a value."""

    label: str
    operator: str
    value: str

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Return whether the label's value satisfies the clause."""
        found = labels.get(self.label, "")
        match self.operator:
            case "=":
                return found == self.value
            case "!=":
                return found != self.value
            case "=~":
                return whole_match(self.value, found) is True
            case _:
                return whole_match(self.value, found) is False

    def check(self) -> None:
        """Raise PatternError when the value is a pattern that RE2 refuses."""
        if self.operator in PATTERN_OPERATORS:
            compiled(self.value)

    def __str__(self) -> str:
        return f"{self.label}{self.operator}{self.value}"

    def written(self) -> str:
        """Return the clause as text that reads back to it, quoted where that is needed.

        Identifiers of routes hold `str()` of their clauses, which therefore stays as it is.
        """
        label = self.label if _PLAIN_LABEL.fullmatch(self.label) else _in_quotes(self.label)
        value = _in_quotes(self.value) if _NEEDS_QUOTES.search(self.value) else self.value
        return f"{label}{self.operator}{value}"


def _in_quotes(text: str) -> str:
    return f'"{text.translate(_ESCAPES)}"'


def parse_matcher(label: str, text: str) -> Matcher:
    """Return the clause a rules file writes as `label: text`: an operator at the start of the text, else equality."""
    for operator in OPERATORS:
        if text.startswith(operator):
            return Matcher(label, operator, text[len(operator) :].strip() if operator == "=" else text[len(operator) :])
    return Matcher(label, "=", text)


def parse_matchers(clauses: Mapping[str, str]) -> tuple[Matcher, ...]:
    """Return all clauses of a `match:` mapping, in a stable order."""
    return tuple(parse_matcher(label, str(text)) for label, text in sorted(clauses.items()))


def refusal(matchers: Iterable[Matcher]) -> str:
    """Return the first clause whose pattern RE2 refuses, with the reason; empty when RE2 takes all of them."""
    for matcher in matchers:
        try:
            matcher.check()
        except PatternError as error:
            return f"{str(matcher)[:MAX_SHOWN_CHARACTERS]}: {error}"
    return ""


def matches_all(matchers: Iterable[Matcher], labels: Mapping[str, str]) -> bool:
    """Return whether every clause holds; no clauses match everything."""
    for matcher in matchers:  # noqa: SIM110 — a loop costs a third of all(): it runs for every rule and event
        if not matcher.matches(labels):
            return False
    return True
