"""What senders call a service, and what it is called here: `services:` of the rules file.

An alias is one label with its value (`probe: api-health`), or several that must all be there. What a source calls its
service is a label under the name of the source (`sentry: api-backend`). A `*` at the beginning or at the end of a value
stands for any text of at least one character.

The name of a service is found by the text of the aliases, not by comparing with each of them: an event costs the same
for ten services and for a thousand. The mapping changes labels only, and never what an alert is found by.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from chalicelib.core.event import RAW, Event
from chalicelib.core.match import Matcher
from chalicelib.core.rule_index import RuleIndex, indexed

SERVICE = "service"
SERVICE_RAW = f"{SERVICE}{RAW}"
ANY_TEXT = "*"
LEVELS = 3
"""So many steps of `depends_on` count, from the service of an alert."""
MAX_NEEDED = 8
"""So many services may explain an alert: the nearest ones, then the first of the file."""
MAX_NEEDING = 100
"""So many services that need one are looked at when something critical begins there."""
SETS = "labels"
"""The key of `aliases` whose entries are several labels, all of which an alert must have."""

Alias = tuple[tuple[str, str], ...]
"""Labels with their values, in the order of their names."""


@dataclass(frozen=True, slots=True)
class Service:
    """An entry of `services:`. `tier` is 1 for what matters most; None where the file names none."""

    name: str
    aliases: tuple[Alias, ...] = ()
    owner: str = ""
    tier: int | None = None
    links: Mapping[str, str] = field(default_factory=dict)
    depends_on: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Wildcards:
    """The aliases of one label that hold a `*`: by their fixed text, in small letters, the longest first.

    `ends` are the lengths of fixed ends (`*.example.com`), `starts` those of fixed beginnings (`prod-*`).
    """

    ends: Mapping[str, str]
    starts: Mapping[str, str]
    lengths: Sequence[int]

    def of(self, value: str) -> str | None:
        """Return the service of the longest alias that the value fits; None without one."""
        text = value.lower()
        for length in self.lengths:
            if length < len(text):
                found = self.ends.get(text[-length:]) or self.starts.get(text[:length])
                if found is not None:
                    return found
        return None


@dataclass(frozen=True)
class Services:
    """The services of a rules file, by their names."""

    declared: Mapping[str, Service] = field(default_factory=dict)

    @cached_property
    def _exact(self) -> RuleIndex[str]:
        """Return the index of the aliases without a `*`: those of most labels first, then as the file has them."""
        found = [(alias, name) for alias, name in self._aliases if not has_wildcard(alias)]
        found.sort(key=lambda each: -len(each[0]))
        return indexed(([Matcher(label, "=", value) for label, value in alias], name) for alias, name in found)

    @cached_property
    def _wildcards(self) -> Mapping[str, Wildcards]:
        """Return the aliases with a `*` by their label."""
        found: dict[str, list[tuple[str, str]]] = {}
        for alias, name in self._aliases:
            if has_wildcard(alias):
                found.setdefault(alias[0][0], []).append((alias[0][1].lower(), name))
        return {label: _wildcards(each) for label, each in found.items()}

    @property
    def _aliases(self) -> Iterable[tuple[Alias, str]]:
        return ((alias, each.name) for each in self.declared.values() for alias in each.aliases)

    def of(self, labels: Mapping[str, str]) -> str | None:
        """Return the service that an alias gives to labels; None where none does."""
        exact = self._exact.matching(labels)
        if exact:
            return exact[0]
        for label, wildcards in self._wildcards.items():
            found = wildcards.of(labels.get(label, ""))
            if found is not None:
                return found
        return None

    def called(self, text: str) -> Service | None:
        """Return the service of this name, or the only one that some sender calls so; None without one."""
        if text in self.declared:
            return self.declared[text]
        found = {name for alias, name in self._aliases if len(alias) == 1 and alias[0][1] == text}
        return self.declared[found.pop()] if len(found) == 1 else None

    def owner_of(self, name: str) -> str:
        """Return who owns a service; empty where the file does not say."""
        found = self.declared.get(name)
        return found.owner if found is not None else ""

    @property
    def has_dependencies(self) -> bool:
        """Return whether a service depends on another one."""
        return bool(self._needing)

    @cached_property
    def _needing(self) -> Mapping[str, Sequence[str]]:
        found: dict[str, list[str]] = {}
        for each in self.declared.values():
            for name in dict.fromkeys(each.depends_on):
                found.setdefault(name, []).append(each.name)
        return found

    def needing(self, name: str) -> list[str]:
        """Return the services that depend on one, in the order of the file."""
        return list(self._needing.get(name, ()))

    def needed_by(self, name: str) -> list[str]:
        """Return what a service depends on within LEVELS steps: the nearest first, then in the order of the file."""
        return _reached(name, self._needs)[:MAX_NEEDED]

    def affected_by(self, name: str) -> list[str]:
        """Return what depends on a service within LEVELS steps: the nearest first, then in the order of the file."""
        return _reached(name, self.needing)[:MAX_NEEDING]

    def _needs(self, name: str) -> Sequence[str]:
        found = self.declared.get(name)
        return found.depends_on if found is not None else ()

    def named(self, event: Event) -> Event:
        """Return the event with the name of its service. The sender's word stays as the label `service_raw`."""
        if not self.declared or event.service in self.declared:
            return event
        name = self.of(seen_by_aliases(event))
        if name is None:
            return event
        labels = {**event.labels, SERVICE_RAW: event.service} if event.service else event.labels
        return replace(event, service=name, labels=labels)

    def labelled(self, labels: Mapping[str, str], beside: Mapping[str, str] = {}) -> Mapping[str, str]:
        """Return the labels of what is measured or awaited with the name of their service, as `named` does.

        Aliases see the labels `beside` them too.
        """
        if not self.declared:
            return labels
        said = labels.get(SERVICE, "")
        name = None if said in self.declared else self.of({**labels, **beside} if beside else labels)
        if name is None:
            return labels
        return {**labels, **({SERVICE_RAW: said} if said else {}), SERVICE: name}

    def unnamed(self, labels: Mapping[str, str]) -> Mapping[str, str]:
        """Return labels as they were before `labelled` gave them the name of a service: those of the stored series."""
        if SERVICE_RAW in labels:
            rest = {name: text for name, text in labels.items() if name != SERVICE_RAW}
            return {**rest, SERVICE: labels[SERVICE_RAW]}
        without = {name: text for name, text in labels.items() if name != SERVICE}
        return without if self.declared and self.labelled(without) == labels else labels

    def may_name(self, labels: Mapping[str, str]) -> bool:
        """Return whether an alias could give some of what has these labels the name of another service."""
        return bool(self.declared) and labels.get(SERVICE, "") not in self.declared


def seen_by_aliases(event: Event) -> dict[str, str]:
    """Return what an alias is compared with: the event's labels and words, and its service under its source's name."""
    words = {"source": event.source, "kind": event.kind, "alertname": event.name or event.kind}
    if event.environment:
        words["environment"] = event.environment
    if event.service:
        words |= {SERVICE: event.service, event.source: event.service}
    return {**event.labels, **words}


def fits(alias: Alias, labels: Mapping[str, str]) -> bool:
    """Return whether labels have all values of an alias."""
    return all(_fits(value, labels.get(label, "")) for label, value in alias)


def _fits(value: str, text: str) -> bool:
    fixed, text_small = value.lower().replace(ANY_TEXT, ""), text.lower()
    if ANY_TEXT not in value:
        return text == value
    ends = text_small.endswith(fixed) if value.startswith(ANY_TEXT) else text_small.startswith(fixed)
    return ends and len(text_small) > len(fixed)


def has_wildcard(alias: Alias) -> bool:
    """Return whether a value of the alias holds a `*`."""
    return any(ANY_TEXT in value for _, value in alias)


def _reached(name: str, following: Callable[[str], Sequence[str]]) -> list[str]:
    """Return the services that are at most LEVELS steps from one, without it: those of fewer steps first."""
    found: dict[str, None] = {}
    last = [name]
    for _ in range(LEVELS):
        steps = dict.fromkeys(other for each in last for other in following(each))
        last = [each for each in steps if each != name and each not in found]
        found |= dict.fromkeys(last)
    return list(found)


def _wildcards(aliases: Sequence[tuple[str, str]]) -> Wildcards:
    ends = {text[1:]: name for text, name in reversed(aliases) if text.startswith(ANY_TEXT)}
    starts = {text[:-1]: name for text, name in reversed(aliases) if not text.startswith(ANY_TEXT)}
    return Wildcards(ends, starts, sorted({len(text) for text in (*ends, *starts)}, reverse=True))


NO_SERVICES = Services()
