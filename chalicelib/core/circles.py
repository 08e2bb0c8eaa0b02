"""Circles of inhibition: alerts that mute each other, directly or through others.

All alerts of a circle would be muted for as long as they fire. So the alert that fired first mutes the others, whatever
the length of the circle, and the others mute nothing. Which inhibitions can form circles at all is computed once for
each set of rules; where none can, nothing else is computed.
"""

import re
from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import lru_cache
from typing import TypeVar

from chalicelib.core.context import Cause
from chalicelib.core.match import Matcher, matches_all, refusal
from chalicelib.core.relations import ActiveCauses
from chalicelib.core.rule import Inhibition

Node = TypeVar("Node", bound=Hashable)

_LITERALS = re.compile(r"[^\\.^$*+?{}\[\]()]*")
"""A regular expression that is nothing but alternatives of plain text: `web|api`."""


# ---------------------------------------------------------------------------------------------------------------------
# Which alerts are muted by which circle


def followers_of(causes: tuple[Cause, ...], inhibitions: tuple[Inhibition, ...]) -> Mapping[str, Cause]:
    """Return the cause that fired first, by the fingerprint of each alert that it mutes in a circle.

    The alert that fired first in its circle is not in the result, nor are alerts outside circles.
    """
    if len(inhibitions) < 2 or len(causes) < 2:
        return {}
    return _followers(ActiveCauses(causes, inhibitions))


@lru_cache(maxsize=2)
def _followers(active: ActiveCauses) -> Mapping[str, Cause]:
    inhibitions = circular(active.inhibitions)
    links = [cause for cause in active.causes if _is_link(cause, inhibitions)] if inhibitions else []
    if len(links) < 2:
        return {}
    oldest: dict[str, Cause] = {}
    for cause in sorted(links, key=_age):
        oldest.setdefault(cause.alert, cause)
    found: dict[str, Cause] = {}
    for circle in circles_in(_graph(oldest.values(), inhibitions)):
        first, *others = sorted((oldest[node] for node in circle if isinstance(node, str)), key=_age)
        found |= {other.alert: first for other in others}
    return found


def _age(cause: Cause) -> tuple[datetime, str, str]:
    return cause.since, cause.alert, cause.fingerprint


def _is_link(cause: Cause, inhibitions: Iterable[Inhibition]) -> bool:
    """Return True when the cause can be a symptom too: only such alerts can be part of a circle."""
    symptom = any(cause.matched_by(each.symptom) for each in inhibitions)
    return symptom and any(cause.matched_by(each.cause) for each in inhibitions)


def _graph(causes: Iterable[Cause], inhibitions: Sequence[Inhibition]) -> dict[Hashable, list[Hashable]]:
    """Return which alert mutes which, through a node for each inhibition and values of its `equal` labels.

    The nodes keep the graph small: a hundred causes of a hundred symptoms are two hundred edges. A cause that matches
    the symptom's side too mutes only symptoms that do not match the cause's side.
    """
    found: dict[Hashable, list[Hashable]] = defaultdict(list)
    for cause in causes:
        for number, inhibition in enumerate(inhibitions):
            key = (number, *(cause.labels.get(label, "") for label in inhibition.equal))
            mutes, muted = cause.matched_by(inhibition.cause), cause.matched_by(inhibition.symptom)
            if mutes:
                found[cause.alert].append(("one-sided", *key) if muted else ("all", *key))
            if muted:
                found["all", *key].append(cause.alert)
            if muted and not mutes:
                found["one-sided", *key].append(cause.alert)
    return found


# ---------------------------------------------------------------------------------------------------------------------
# Which inhibitions can form a circle


@lru_cache(maxsize=8)
def circular(inhibitions: tuple[Inhibition, ...]) -> tuple[Inhibition, ...]:
    """Return the inhibitions that may be part of a circle.

    An alert can have two names, its rule's and its sender's: clauses on `alertname` never exclude each other here.
    """
    graph = following([_nameless(each) for each in inhibitions])
    return tuple(inhibitions[number] for circle in circles_in(graph) for number in sorted(circle))


def _nameless(inhibition: Inhibition) -> Inhibition:
    cause, symptom = (
        tuple(each for each in clauses if each.label != "alertname")
        for clauses in (inhibition.cause, inhibition.symptom)
    )
    return replace(inhibition, cause=cause, symptom=symptom)


def following(inhibitions: Sequence[Inhibition]) -> dict[int, list[int]]:
    """Return, for the place of each inhibition, those whose cause one of its symptoms may be.

    An inhibition alone forms no circle: alerts that match both of its sides do not mute each other.
    """
    return {
        number: [place for place, other in enumerate(inhibitions) if place != number and can_follow(each, other)]
        for number, each in enumerate(inhibitions)
    }


def can_follow(inhibition: Inhibition, other: Inhibition) -> bool:
    """Return True when one alert may be a symptom of the inhibition and a cause of the other.

    What holds for the labels of `equal` on one side of an inhibition holds for its other side too.
    """
    from_cause = (each for each in inhibition.cause if each.label in inhibition.equal)
    from_symptom = (each for each in other.symptom if each.label in other.equal)
    return can_meet((*inhibition.symptom, *other.cause, *from_cause, *from_symptom))


def can_meet(clauses: Sequence[Matcher]) -> bool:
    """Return False when no labels satisfy all clauses, as far as plain values show it."""
    for label in {each.label for each in clauses}:
        about = [each for each in clauses if each.label == label]
        values = next((found for each in about if (found := _literals(each))), ())
        if values and not any(_may_match(about, label, value) for value in values):
            return False
    return True


def _literals(clause: Matcher) -> tuple[str, ...]:
    """Return all values that satisfy the clause, when it names them; empty when they cannot be listed."""
    if clause.operator == "=":
        return (clause.value,)
    if clause.operator == "=~" and _LITERALS.fullmatch(clause.value):
        return tuple(clause.value.split("|"))
    return ()


def _may_match(clauses: Sequence[Matcher], label: str, value: str) -> bool:
    """Return whether the value satisfies the clauses; True for a pattern that RE2 refuses, as `tocsin check` says."""
    return bool(refusal(clauses)) or matches_all(clauses, {label: value})


# ---------------------------------------------------------------------------------------------------------------------
# Graphs


def circles_in(graph: Mapping[Node, Sequence[Node]]) -> list[set[Node]]:
    """Return the largest sets of nodes that all reach each other, of two nodes at least (Kosaraju's algorithm)."""
    backwards: dict[Node, list[Node]] = defaultdict(list)
    for node, targets in graph.items():
        for target in targets:
            backwards[target].append(node)
    seen: set[Node] = set()
    groups = [set(_finished(backwards, node, seen)) for node in reversed(_all_finished(graph)) if node not in seen]
    return [group for group in groups if len(group) > 1]


def _all_finished(graph: Mapping[Node, Sequence[Node]]) -> list[Node]:
    seen: set[Node] = set()
    return [found for node in graph if node not in seen for found in _finished(graph, node, seen)]


def _finished(graph: Mapping[Node, Sequence[Node]], start: Node, seen: set[Node]) -> list[Node]:
    """Return the nodes that are reached from `start` and not seen yet, each after all that it leads to."""
    seen.add(start)
    found: list[Node] = []
    path = [(start, iter(graph.get(start, ())))]
    while path:
        node, targets = path[-1]
        target = next((each for each in targets if each not in seen), None)
        if target is None:
            found.append(node)
            path.pop()
        else:
            seen.add(target)
            path.append((target, iter(graph.get(target, ()))))
    return found


def shortest_path(graph: Mapping[Node, Sequence[Node]], start: Node, end: Node) -> tuple[Node, ...]:
    """Return the nodes of a shortest path from `start` to `end`, both included; empty when there is none."""
    paths: dict[Node, tuple[Node, ...]] = {start: (start,)}
    waiting = [start]
    for node in waiting:
        if node == end:
            return paths[node]
        for target in graph.get(node, ()):
            if target not in paths:
                paths[target] = (*paths[node], target)
                waiting.append(target)
    return ()
