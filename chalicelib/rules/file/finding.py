"""What is found in a rules file, and how to read a file that may have any form."""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

Path = tuple[str | int, ...]
Named = tuple[Path, str]
WARNINGS = ("warning", "doubt")
"""The kinds of findings that are warnings."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something wrong (or, as a warning, doubtful) at a path; `column` counts within the text that stands there.

    `kind` is mistake, template or test (the router runs on), warning, or doubt: a warning that a deploy lets pass.
    """

    path: Path
    what: str
    allowed: str = ""
    suggestion: str = ""
    kind: str = "mistake"
    column: int = 0
    at_key: bool = False


@dataclass(slots=True)
class Sense:
    """What is known beside the file: further metrics, and the runbook's pages by name, with or without their text.

    `any_metric`: a metric that resembles no known one may come from outside. `line_of` is the line of a path.
    """

    metrics: frozenset[str] = frozenset()
    any_metric: bool = False
    runbooks: Mapping[str, str] | Collection[str] | None = None
    line_of: Callable[[Path], int] = lambda path: 1


def mapping_in(value: Any) -> Mapping[str, Any]:
    """Return the value if it is a mapping, else an empty one."""
    return value if isinstance(value, Mapping) else {}


def items_in(value: Any) -> list[tuple[int, Any]]:
    """Return the entries of a list with their places; of anything else none."""
    return list(enumerate(value)) if isinstance(value, list) else []


def entries_in(data: Mapping[str, Any], section: str) -> list[tuple[Path, Mapping[str, Any]]]:
    """Return the mappings of a list, with their paths."""
    return [((section, index), each) for index, each in items_in(data.get(section)) if isinstance(each, Mapping)]


def strings_in(value: Any, path: Path) -> list[Named]:
    """Return the texts of a list, with their paths."""
    return [((*path, index), each) for index, each in items_in(value) if isinstance(each, str)]


def route_tree(data: Mapping[str, Any]) -> Iterator[tuple[Path, Mapping[str, Any]]]:
    """Yield every route, parents first."""
    waiting = entries_in(data, "routes")
    while waiting:
        path, route = waiting.pop(0)
        yield path, route
        waiting = [((*path, *below), each) for below, each in entries_in(route, "routes")] + waiting


def tellers(data: Mapping[str, Any]) -> Iterator[tuple[Path, Mapping[str, Any]]]:
    """Yield each rule, route, default and fallback: all that can name targets."""
    yield from entries_in(data, "alerts")
    yield from route_tree(data)
    for name in ("default", "fallback"):
        if isinstance(data.get(name), Mapping):
            yield (name,), data[name]


def target_lists(data: Mapping[str, Any]) -> Iterator[tuple[Path, Any]]:
    """Yield every list of targets, with its path."""
    for path, teller in tellers(data):
        if "notification" in teller:
            yield (*path, "notification"), teller["notification"]
        for index, each in items_in(teller.get("escalate")):
            if isinstance(each, Mapping) and "notification" in each:
                yield (*path, "escalate", index, "notification"), each["notification"]
    for name, entries in mapping_in(data.get("receivers")).items():
        yield ("receivers", name), entries


@lru_cache(maxsize=64)
def zone_exists(name: str) -> bool:
    """Return whether there is a time zone of that name."""
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return False
    return True
