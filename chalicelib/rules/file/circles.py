"""Warnings for inhibitions that can form a circle: alerts that fire together and mute each other.

Of such alerts only the one that fired first is notified (`core/circles.py`), which is seldom what was meant.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from chalicelib.core.circles import circles_in, following, shortest_path
from chalicelib.core.field import masked
from chalicelib.core.rule import Inhibition
from chalicelib.rules.file.finding import Finding, Path, Sense, entries_in, strings_in
from chalicelib.rules.file.reach import clauses_of, known_of

MAX_CIRCLES = 50
"""Further circles of one file are not reported: each link of the inhibitions is on one of these in any sensible file."""

Graph = Mapping[int, list[int]]


def circles(data: Mapping[str, Any], sense: Sense) -> Iterator[Finding]:
    """Yield a warning for each circle, with the line and the clauses of every inhibition on it."""
    entries = [(path, each) for path, each in entries_in(data, "inhibit") if each.get("cause") and each.get("symptom")]
    rules = {str(rule.get("name")): rule for _, rule in entries_in(data, "alerts")}
    for circle in _shortest(following([_inhibition(each, rules) for _, each in entries])):
        steps = ", ".join(_step(*entries[number], sense) for number in circle)
        what = (
            f"inhibitions can form a circle: {steps}; of alerts that mute each other only the first to fire is notified"
        )
        allowed = "clauses by which no symptom is a cause of its own cause"
        yield Finding(entries[circle[0]][0], what, allowed, kind="warning")


def _inhibition(entry: Mapping[str, Any], rules: Mapping[str, Mapping[str, Any]]) -> Inhibition:
    """Return the entry with what its rules say about the alerts that it names."""
    cause, symptom = (clauses_of(entry.get(side)) for side in ("cause", "symptom"))
    equal = tuple(label for _, label in strings_in(entry.get("equal"), ()))
    return Inhibition((*cause, *known_of(cause, rules)), (*symptom, *known_of(symptom, rules)), equal)


def _shortest(graph: Graph) -> list[tuple[int, ...]]:
    """Return, for each link that is on a circle, a shortest circle, each once and from its first inhibition on."""
    found: dict[tuple[int, ...], None] = {}
    for number, other in _links(graph):
        if len(found) >= MAX_CIRCLES:
            break
        circle = (number, *shortest_path(graph, other, number)[:-1])
        start = circle.index(min(circle))
        found[*circle[start:], *circle[:start]] = None
    return sorted(found)


def _links(graph: Graph) -> Iterator[tuple[int, int]]:
    for group in circles_in(graph):
        for number in sorted(group):
            yield from ((number, other) for other in graph[number] if other in group)


def _step(path: Path, entry: Mapping[str, Any], sense: Sense) -> str:
    cause, symptom = (
        " ".join(masked(str(each)) for each in clauses_of(entry.get(side))) for side in ("cause", "symptom")
    )
    return f"{cause} mutes {symptom} (line {sense.line_of(path)})"
