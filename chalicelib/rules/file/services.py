"""What is wrong or doubtful about `services:`: aliases of two services, circles, services that nobody declared."""

from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from chalicelib.core.build import aliases_from
from chalicelib.core.circles import circles_in, shortest_path
from chalicelib.core.field import masked
from chalicelib.core.language.tokens import nearest
from chalicelib.core.match import parse_matcher
from chalicelib.core.services import LEVELS, SERVICE, SETS, Alias, Service, Services, has_wildcard
from chalicelib.rules.file.finding import Finding, Path, entries_in, items_in, mapping_in, strings_in, tellers
from chalicelib.rules.file.vocabulary import known_sources

MAX_DEPENDENTS = 50
"""A service on which more depend explains so much that it explains nothing."""
MAX_NAME_CHARACTERS = 200
MAX_LINKS = 8
ALIKE = 0.8
"""A label this similar to the name of a source is likely to be meant as one."""

Graph = Mapping[str, Sequence[str]]


def services(data: Mapping[str, Any]) -> Iterator[Finding]:
    """Yield what is wrong with the services of a file, and with what names them elsewhere."""
    declared = {name: mapping_in(each) for name, each in mapping_in(data.get("services")).items()}
    if not declared:
        return
    sources = known_sources(data)
    yield from _names(declared)
    yield from _aliases(declared, sources)
    yield from _dependencies(declared)
    yield from _uses(data, declared)


def _names(declared: Mapping[str, Any]) -> Iterator[Finding]:
    for name, entry in declared.items():
        if len(mapping_in(entry.get("links"))) > MAX_LINKS:
            yield Finding(
                ("services", name, "links"), f"links has more than {MAX_LINKS} entries", f"{MAX_LINKS} at most"
            )
        if isinstance(owner := entry.get("owner"), str) and len(owner) > MAX_NAME_CHARACTERS:
            allowed = f"{MAX_NAME_CHARACTERS} characters at most"
            yield Finding(("services", name, "owner"), f"owner has {len(owner)} characters", allowed)
        if not name.strip() or "*" in name or len(name) > MAX_NAME_CHARACTERS:
            allowed = f"a text of at most {MAX_NAME_CHARACTERS} characters without *"
            yield Finding(("services", name), f"{name[:40]!r} cannot be the name of a service", allowed, at_key=True)


# ---------------------------------------------------------------------------------------------------------------------
# Aliases


def _aliases(declared: Mapping[str, Mapping[str, Any]], sources: Sequence[str]) -> Iterator[Finding]:
    claimed: dict[Alias, str] = {}
    for name, entry in declared.items():
        given = mapping_in(entry.get("aliases"))
        for below, alias in aliases_from(given):
            path = ("services", name, "aliases", *below)
            owner = claimed.setdefault(_comparable(alias), name)
            if owner != name:
                what = f"{alias_words(alias)} is an alias of {owner} too"
                yield Finding(path, what, "each alias at one service")
            yield from _never_applies(path, alias, name, declared, sources)
        yield from _misspelt(name, given, sources)


def _comparable(alias: Alias) -> Alias:
    """Return the alias so that it equals another one that matches the same: a `*` makes capitals equal to small letters."""
    return tuple((label, value.lower()) for label, value in alias) if has_wildcard(alias) else alias


def alias_words(alias: Alias) -> str:
    """Return an alias as people read it: `sentry: api-backend`."""
    return ", ".join(f"{label}: {masked(value[:60])}" for label, value in alias)


def _never_applies(
    path: Path, alias: Alias, name: str, declared: Mapping[str, Any], sources: Sequence[str]
) -> Iterator[Finding]:
    """Yield the alias that is the name of another service: what comes under that name keeps it."""
    label, value = alias[0]
    if len(alias) == 1 and value != name and value in declared and (label == SERVICE or label in sources):
        what = f"{alias_words(alias)} is the name of the service {value}, which keeps what comes under it"
        yield Finding(path, what, "what a sender calls the service, where that is not the name of another one")


def _misspelt(name: str, aliases: Mapping[str, Any], sources: Sequence[str]) -> Iterator[Finding]:
    for key in aliases:
        known = (*sources, SETS, SERVICE)
        near = get_close_matches(key.lower(), known, n=1, cutoff=ALIKE)
        if near and key not in known:
            path = ("services", name, "aliases", key)
            what = f"no source is named {key[:40]!r}, so this is the value of a label"
            yield Finding(path, what, "a source, or a label", near[0], "warning", at_key=True)


# ---------------------------------------------------------------------------------------------------------------------
# Dependencies


def _dependencies(declared: Mapping[str, Mapping[str, Any]]) -> Iterator[Finding]:
    needs: dict[str, list[str]] = {name: [] for name in declared}
    for name, entry in declared.items():
        for path, other in strings_in(entry.get("depends_on"), ("services", name, "depends_on")):
            if other == name:
                yield _circle(path, [name, name])
            elif other in declared:
                needs[name].append(other)
            else:
                yield Finding(path, *_undeclared(other, declared))
    yield from _circles(needs)
    for name, count in _dependents(needs).items():
        if count > MAX_DEPENDENTS:
            what = f"{count} services depend on {name}: whatever happens there would explain all of them"
            allowed = f"{MAX_DEPENDENTS} at most, within {LEVELS} steps of depends_on"
            yield Finding(("services", name), what, allowed, kind="warning", at_key=True)


def _undeclared(name: str, declared: Mapping[str, Any]) -> tuple[str, str, str]:
    what = f"no service is named {masked(name[:60])!r}"
    return what, "a name under services: (an entry may be empty: {})", nearest(name, list(declared))


def _circles(needs: Graph) -> Iterator[Finding]:
    """Yield each circle once, by its first service in the file, with its path in words."""
    names = list(needs)
    numbers = {name: number for number, name in enumerate(names)}
    graph = {numbers[name]: [numbers[each] for each in others] for name, others in needs.items()}
    for group in circles_in(graph):
        first = min(group)
        inside = {number: [each for each in graph[number] if each in group] for number in group}
        path = min((shortest_path(inside, each, first) for each in inside[first]), key=len)
        yield _circle(("services", names[first], "depends_on"), [names[number] for number in (first, *path)])


def _circle(path: Path, names: Sequence[str]) -> Finding:
    what = f"depends_on goes in a circle: {' → '.join(names)}"
    return Finding(path, what, "what a service needs, and never what needs it")


def _dependents(needs: Graph) -> dict[str, int]:
    """Return how many services depend on each, within LEVELS steps."""
    direct: dict[str, set[str]] = {name: set() for name in needs}
    for name, others in needs.items():
        for other in others:
            direct[other].add(name)
    return {name: len(_reached(name, direct)) for name in needs}


def _reached(name: str, direct: Mapping[str, set[str]]) -> set[str]:
    found, last = set[str](), {name}
    for _ in range(LEVELS):
        last = {each for other in last for each in direct[other]} - found - {name}
        found |= last
    return found


# ---------------------------------------------------------------------------------------------------------------------
# Where the rest of the file names services


def _uses(data: Mapping[str, Any], declared: Mapping[str, Mapping[str, Any]]) -> Iterator[Finding]:
    """Yield each place that names a service which is not declared: events have the names that are."""
    known = _built(declared)
    for path, text in _matched(data):
        if text not in declared:
            yield _unknown(path, text, declared, known.called(text))
    for path, labels in _measured(data):
        if labels[SERVICE] not in declared and known.of(labels) is None:
            yield Finding(path, *_undeclared(labels[SERVICE], declared))


def _unknown(path: Path, text: str, declared: Mapping[str, Any], meant: Service | None) -> Finding:
    if meant is None:
        return Finding(path, *_undeclared(text, declared))
    what = f"{masked(text[:60])!r} is an alias of {meant.name}: before anything matches, the service is {meant.name}"
    return Finding(path, what, "the name of a service", meant.name)


def _built(declared: Mapping[str, Mapping[str, Any]]) -> Services:
    entries = {name: aliases_from(mapping_in(entry.get("aliases"))) for name, entry in declared.items()}
    return Services({name: Service(name, tuple(alias for _, alias in each)) for name, each in entries.items()})


def _matched(data: Mapping[str, Any]) -> Iterator[tuple[Path, str]]:
    """Yield every service that rules, routes and inhibitions name by its exact name."""
    for path, rule in entries_in(data, "alerts"):
        if isinstance(text := mapping_in(rule.get("labels")).get(SERVICE), str):
            yield (*path, "labels", SERVICE), text
    places = [((*path, "match"), teller.get("match")) for path, teller in tellers(data)]
    for path, inhibition in entries_in(data, "inhibit"):
        places += [((*path, key), inhibition.get(key)) for key in ("cause", "symptom")]
    for path, clauses in places:
        text = mapping_in(clauses).get(SERVICE)
        if isinstance(text, str) and (matcher := parse_matcher(SERVICE, text)).operator == "=" and matcher.value:
            yield (*path, SERVICE), matcher.value


def _measured(data: Mapping[str, Any]) -> Iterator[tuple[Path, dict[str, str]]]:
    """Yield the labels of every probe and heartbeat that names a service."""
    for kind, entries in mapping_in(data.get("probes")).items():
        for index, entry in items_in(entries):
            found = mapping_in(entry)
            if isinstance(text := found.get(SERVICE), str) and text:
                own = {label: str(each) for label, each in mapping_in(found.get("labels")).items()}
                name = "heartbeat" if kind == "heartbeat" else "probe"
                yield ("probes", kind, index, SERVICE), {SERVICE: text, **own, name: str(found.get("name"))}
