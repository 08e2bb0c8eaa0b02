"""What a cause and its symptoms have in common: an inhibition, and the values of its `equal` labels.

Alerts with the same relation may mute each other, no others. A relation has a name that is the same for a cause and for its
symptoms, so that the symptoms of one cause are found without looking at all that fires.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

from chalicelib.core.context import Cause
from chalicelib.core.event import fingerprint
from chalicelib.core.match import Matcher
from chalicelib.core.rule import Inhibition

Relation = tuple[int, tuple[str, ...]]
"""The place of an inhibition, and the values of its `equal` labels."""


class Matched(Protocol):
    """What matchers match: an alert, or one in short."""

    def match_labels(self) -> Mapping[str, str]:
        """Return the labels that matchers see."""
        ...

    def matched_by(self, matchers: Sequence[Matcher]) -> bool:
        """Return whether the matchers hold for it."""
        ...


def relations_of_symptom(alert: Matched, inhibitions: Sequence[Inhibition]) -> list[Relation]:
    """Return the relations in which the alert may be muted."""
    labels = alert.match_labels()
    return [(at, _values(each, labels)) for at, each in enumerate(inhibitions) if alert.matched_by(each.symptom)]


def relations_of_cause(cause: Cause, inhibitions: Sequence[Inhibition]) -> list[Relation]:
    """Return the relations in which the cause mutes."""
    return [(at, _values(each, cause.labels)) for at, each in enumerate(inhibitions) if cause.matched_by(each.cause)]


def relation_name(relation: Relation, inhibitions: Sequence[Inhibition]) -> str:
    """Return the name under which a relation is stored: the same whatever the place of its inhibition in the file."""
    at, values = relation
    return fingerprint("relation", _written(inhibitions[at]), *values)


def inhibitions_digest(inhibitions: Iterable[Inhibition]) -> str:
    """Return what changes when relations of one set of inhibitions have other names than those of another."""
    return fingerprint("inhibitions", *sorted(map(_written, inhibitions)))


def _values(inhibition: Inhibition, labels: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(labels.get(label, "") for label in inhibition.equal)


@lru_cache(maxsize=256)
def _written(inhibition: Inhibition) -> str:
    sides = (" ".join(each.written() for each in clauses) for clauses in (inhibition.cause, inhibition.symptom))
    return "\n".join((*sides, *inhibition.equal))


@dataclass(frozen=True, slots=True, eq=False)
class ActiveCauses:
    """The causes under the inhibitions, equal only to the very same ones: to compare a thousand causes takes long."""

    causes: tuple[Cause, ...]
    inhibitions: tuple[Inhibition, ...]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ActiveCauses):
            return False
        return self.causes is other.causes and self.inhibitions is other.inhibitions

    def __hash__(self) -> int:
        return hash((id(self.causes), id(self.inhibitions)))


@lru_cache(maxsize=4)
def by_relation(active: ActiveCauses) -> Mapping[Relation, Sequence[Cause]]:
    """Return the causes by the relations in which they mute, in their order."""
    found: dict[Relation, list[Cause]] = defaultdict(list)
    for cause in active.causes:
        for relation in relations_of_cause(cause, active.inhibitions):
            found[relation].append(cause)
    return dict(found)
