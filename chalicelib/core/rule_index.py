"""Rules found by what their matchers require: an event is compared with the few rules that it can match, not with all.

A rule that requires a value of a label (`source: sentry`, or a pattern that is a list of plain words, `=~a|b`) is found
under it. Of several such clauses the one counts that the fewest other rules require. A rule that requires no value is
compared with every event.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from chalicelib.core.match import Matcher, matches_all

_WORDS = re.compile(r"[A-Za-z0-9_ /:@-]+(\|[A-Za-z0-9_ /:@-]+)*")
"""A pattern that means only a list of words: no character of it has another meaning for RE2."""

Item = TypeVar("Item")
Entry = tuple[int, Sequence[Matcher], Item]
"""An item with its place and its matchers."""
Required = tuple[str, tuple[str, ...]]
"""A label and the values of which it must have one."""


@dataclass(frozen=True, slots=True)
class RuleIndex(Generic[Item]):
    """Items (rules, inhibitions) in their order, found by labels. Build it with `indexed`."""

    anywhere: Sequence[Entry[Item]]
    under: Mapping[str, Mapping[str, Sequence[Entry[Item]]]] = field(default_factory=dict)

    def matching(self, labels: Mapping[str, str]) -> list[Item]:
        """Return the items whose matchers hold for the labels, in their order."""
        found = [(at, item) for at, matchers, item in self._candidates(labels) if matches_all(matchers, labels)]
        found.sort(key=lambda each: each[0])
        return [item for _, item in found]

    def _candidates(self, labels: Mapping[str, str]) -> Iterator[Entry[Item]]:
        yield from self.anywhere
        for label, values in self.under.items():
            yield from values.get(labels.get(label, ""), ())


def indexed(items: Iterable[tuple[Sequence[Matcher], Item]]) -> RuleIndex[Item]:
    """Return the index of items, each given with its matchers."""
    listed = [(at, matchers, item) for at, (matchers, item) in enumerate(items)]
    required = [[found for each in matchers if (found := _required(each))] for _, matchers, _ in listed]
    common = Counter((label, value) for each in required for label, values in each for value in values)
    anywhere: list[Entry[Item]] = []
    under: dict[str, dict[str, list[Entry[Item]]]] = {}
    for entry, choices in zip(listed, required, strict=True):
        if not choices:
            anywhere.append(entry)
            continue
        label, values = min(choices, key=lambda each: sum(common[each[0], value] for value in each[1]))
        for value in dict.fromkeys(values):
            under.setdefault(label, {}).setdefault(value, []).append(entry)
    return RuleIndex(anywhere, under)


def _required(matcher: Matcher) -> Required | None:
    """Return the values of which a label must have one for the clause to hold; None where it holds without any."""
    if matcher.operator == "=" and matcher.value:
        return matcher.label, (matcher.value,)
    if matcher.operator == "=~" and _WORDS.fullmatch(matcher.value):
        return matcher.label, tuple(matcher.value.split("|"))
    return None
