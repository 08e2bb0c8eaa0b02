"""What is wrong with an entry of `sources:`, in words for whoever wrote it, each with what is allowed."""

import re
from collections.abc import Iterator, Mapping, Sequence
from ipaddress import ip_network
from pathlib import Path
from typing import Any

from chalicelib.core.pattern import PatternError, compiled
from chalicelib.sources._generic_paths import (
    HOLE,
    MAX_PATH_CHARACTERS,
    MAX_TEMPLATE_CHARACTERS,
    SPEC_KEYS,
    steps_of,
)

FIELDS = (
    "id", "title", "status", "severity", "summary", "url", "service", "environment", "kind", "occurred_at", "event_id",
    "name",
)  # fmt: skip
TABLES = ("labels", "annotations")
WORDS = ("statuses", "severities")
KEYS = frozenset(
    {"name", "auth", "header", "prefix", "encoding", "secret", "allow", "events", "each", "fields", "delivery_id"}
    | {"ends_when", "extract", "constant_labels", *FIELDS, *TABLES, *WORDS}
)
MAX_NETWORKS = 100
_A_PATH = "a path such as data.items[0].name, two with || between, or a text in single quotes"
_A_SPEC = f"{_A_PATH}; or a table with path (and match, equals, values, else), template or value"
_NUMBERS = re.compile(r"(?:^|\.)(?:heartbeat\.status|alertType|\w*(?:_code|Code)|code|nseverity|event_value)$")
"""Paths that lead to bare numbers at the senders that are known: what a number means only `statuses:` can say."""


def mistakes(mapping: Mapping[str, Any], fields: Mapping[str, Any], kind: str, kinds: Sequence[str]) -> list[str]:
    """Return what is wrong. `fields` are the paths at one level, `kind` is how the entry proves itself."""
    found = [
        f"{key} is not a field of a source; allowed is one of {', '.join(sorted(KEYS))}"
        for key in mapping
        if key not in KEYS and key not in ("mapping", "map", "paths")
    ]
    if Path(__file__).with_name(f"{mapping.get('name')}.py").is_file():
        found.append(f"{mapping['name']} is built in; allowed is a name of its own")
    if mapping.get("auth") is None:
        found.append(f"auth is missing; allowed is one of {', '.join(kinds)}")
    elif kind not in kinds:
        found.append(f"auth does not know {kind}; allowed is one of {', '.join(kinds)}")
    for key in ("each", *FIELDS):
        if key != "name" and fields.get(key) is not None:
            found += _spec_mistakes(key, fields[key])
    for key in TABLES:
        found += _table_mistakes(key, fields.get(key))
    for path in _listed(fields.get("ends_when")):
        found += _spec_mistakes("ends_when", path)
    return [*found, *_extract_mistakes(fields.get("extract")), *_others(mapping, fields)]


def _others(mapping: Mapping[str, Any], fields: Mapping[str, Any]) -> Iterator[str]:
    yield from _word_mistakes(fields)
    yield from _number_mistakes(mapping, fields)
    yield from _constant_mistakes(mapping.get("constant_labels"))
    yield from _network_mistakes(mapping.get("allow"))


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _table_mistakes(key: str, wanted: Any) -> list[str]:
    found = wanted.items() if isinstance(wanted, dict) else [("", each) for each in _listed(wanted)]
    return [
        mistake
        for name, spec in found
        if spec is not None
        for mistake in _spec_mistakes(f"{key}.{name}".rstrip("."), spec)
    ]


def _spec_mistakes(field: str, spec: Any) -> list[str]:
    """Return what is wrong with a path, a table in its place, or a list of them."""
    if isinstance(spec, list):
        return [mistake for each in spec for mistake in _spec_mistakes(field, each)]
    if not isinstance(spec, dict):
        return _path_mistakes(field, spec)
    unknown = [key for key in spec if key not in SPEC_KEYS]
    if unknown:
        return [f"{field}.{unknown[0]} is not known; allowed is one of {', '.join(SPEC_KEYS)}"]
    if "template" in spec:
        return _template_mistakes(field, spec["template"])
    if "value" in spec:
        return []
    found = _path_mistakes(f"{field}.path", spec.get("path"))
    if "match" in spec:
        found += _pattern_mistakes(f"{field}.match", spec["match"])
    if "equals" in spec:
        found += _path_mistakes(f"{field}.equals", spec["equals"])
    if "values" in spec and not isinstance(spec["values"], dict):
        found.append(f"{field}.values is no table; allowed is the sender's word: what it means")
    return found


def _path_mistakes(field: str, path: Any) -> list[str]:
    if not isinstance(path, str) or not path.strip() or len(path) > MAX_PATH_CHARACTERS:
        return [f"{field} is no path; allowed is {_A_SPEC if '.' not in field else _A_PATH}"]
    parts = [part.strip() for part in path.split("||")]
    broken = [part for part in parts if not (part[:1] == part[-1:] == "'" and len(part) > 1) and not steps_of(part)]
    return [f"{field} has a path that cannot be read: {part}; allowed is {_A_PATH}" for part in broken]


def _template_mistakes(field: str, template: Any) -> list[str]:
    if not isinstance(template, str) or not template or len(template) > MAX_TEMPLATE_CHARACTERS:
        allowed = f"a text of up to {MAX_TEMPLATE_CHARACTERS} characters with {{paths}} in it"
        return [f"{field}.template is no text; allowed is {allowed}"]
    return [mistake for hole in HOLE.finditer(template) for mistake in _path_mistakes(f"{field}.template", hole[1])]


def _pattern_mistakes(field: str, pattern: Any) -> list[str]:
    if not isinstance(pattern, str):
        return [f"{field} is no pattern; allowed is a text such as on (?P<value>[a-z]+)"]
    try:
        compiled(pattern, groups=True)
    except PatternError as error:
        return [f"{field} is no regular expression of RE2: {error.message}; allowed is {error.allowed}"]
    if "(?P<" not in pattern:
        return [f"{field} has no named group; allowed is at least one, such as (?P<value>[a-z]+)"]
    return []


def _extract_mistakes(extract: Any) -> Iterator[str]:
    if extract is None:
        return
    if not isinstance(extract, dict):
        yield "extract is no table; allowed is a path: a pattern with named groups"
        return
    for path, pattern in extract.items():
        yield from _path_mistakes("extract", path)
        yield from _pattern_mistakes(f"extract.{path}", pattern)


def _word_mistakes(fields: Mapping[str, Any]) -> Iterator[str]:
    for key, allowed in (("statuses", ("firing", "resolved", "info")), ("severities", ("critical", "warning", "info"))):
        words = fields.get(key)
        if words is None:
            continue
        if not isinstance(words, dict):
            yield f"{key} is no table of words; allowed is the sender's word: {' or '.join(allowed)}"
            continue
        for word, meaning in words.items():
            if str(meaning).lower() not in allowed:
                yield f"{key}.{word} is {meaning}; allowed is {', '.join(allowed)}"


def _number_mistakes(mapping: Mapping[str, Any], fields: Mapping[str, Any]) -> Iterator[str]:
    status = fields.get("status")
    path = status.get("path") if isinstance(status, dict) and "values" not in status else status
    if not isinstance(path, str) or fields.get("statuses"):
        return
    parts = [part.strip() for part in path.split("||")]
    numbers = [part for part in parts if _NUMBERS.search(part) or part.strip("'").replace(".", "", 1).isdigit()]
    if numbers:
        yield f"status leads to bare numbers at {numbers[0]}; allowed is statuses beside it, such as {{0: firing, 1: resolved}}"


def _constant_mistakes(constants: Any) -> Iterator[str]:
    if constants is None:
        return
    scalars = isinstance(constants, dict) and all(isinstance(each, str | int | float) for each in constants.values())
    if not scalars:
        yield "constant_labels is no table of texts; allowed is a label: its text"


def _network_mistakes(allow: Any) -> Iterator[str]:
    allowed = "addresses and networks such as [192.0.2.7, 198.51.100.0/24]"
    networks = _listed(allow)
    if (allow is not None and not networks) or len(networks) > MAX_NETWORKS:
        yield f"allow has {len(networks)} entries; allowed is a list of 1 to {MAX_NETWORKS} {allowed}"
    for each in networks[:MAX_NETWORKS]:
        try:
            ip_network(str(each))
        except ValueError:
            yield f"allow has {str(each)[:50]}, which is no network; allowed is {allowed}"


def doubts(mapping: Mapping[str, Any], own: Mapping[str, Any]) -> list[str]:
    """Return what an entry without mistakes may mean otherwise. `own` are its fields without the usual names."""
    if own.get("id"):
        return []
    return [
        f"{mapping.get('name')} has no id, so a fault and its end are one by the whole body less its state, times and counters"
        "; allowed is id: a path to what is equal for both"
    ]
