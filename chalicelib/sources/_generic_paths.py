"""Paths into the body of a declared source, and the forms that a value can be written in.

A path is keys with dots, `[0]` or `[-1]`, "quoted keys", `'fixed texts'`, and `||` for "or else". It goes on through JSON that
is written as a text, and through pairs: `tags.env` finds `prod` in `[{"key": "env", "value": "prod"}]`, in `["env:prod"]` and
in `"env:prod,team:shop"`.

In place of a path a field may be a table:

    {path: alert.state, values: {red: critical}, else: warning}
    {path: message, match: "on (?P<value>[a-z0-9]+)"}
    {path: branch, equals: default_branch, values: {true: "", false: another branch}}
    {template: "Disk {disk.name} of {host || 'a host'}"}
    {value: payments}

and a list of paths or tables: the first that finds something.
"""

import json
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

from chalicelib.core.pattern import compiled
from chalicelib.core.payload import coerce

MAX_PATH_CHARACTERS = 300
MAX_INNER_CHARACTERS = 1_000_000
"""JSON inside a text is read up to this length."""
MAX_TEMPLATE_CHARACTERS = 1_000
SPEC_KEYS = ("path", "match", "equals", "values", "else", "template", "value")

Steps = tuple[str | int, ...] | str
"""The keys and indexes of a path, or a fixed text."""

_STEP = re.compile(
    r"""\.?(?:"([^"]{1,100})"|\[(?:(-?\d{1,6})|["']([^"'\]]{1,100})["'])\]|([A-Za-z_@$][\w@$:/-]{0,99}))"""
)
_TAG = re.compile(r"\s*([^\s:=,][^:=,]{0,99})[:=](.{0,500})", re.DOTALL)
HOLE = re.compile(r"\{([^{}]{1,300})\}")
_KEY_NAMES = ("key", "name", "tag", "label", "k")
_VALUE_NAMES = ("value", "val", "v", "text")


def value_of(item: Any, spec: Any, outer: Any = None) -> Any:
    """Return what a path, a table or a list of them leads to; None for nothing."""
    if isinstance(spec, str):
        return found(item, spec, outer)
    if isinstance(spec, list):
        return next((value for each in spec if (value := value_of(item, each, outer)) not in (None, "")), None)
    if not isinstance(spec, dict):
        return None
    if "value" in spec:
        return spec["value"]
    if "template" in spec:
        return filled(str(spec["template"]), item, outer)
    value = _captured(found(item, spec.get("path"), outer), spec.get("match"))
    return _chosen(_compared(value, found(item, spec["equals"], outer)) if "equals" in spec else value, spec)


def _compared(one: Any, other: Any) -> bool | None:
    """Return whether two fields say the same; None where one of them is not there."""
    return None if one is None or other is None else coerce.spelled(one) == coerce.spelled(other)


def _captured(value: Any, pattern: Any) -> Any:
    """Return the group `value` of the pattern, else its first named group; None where the pattern does not match."""
    if not isinstance(pattern, str) or value is None:
        return value
    groups = compiled(pattern, groups=True).groups(coerce.text(value, coerce.MAX_SUMMARY_CHARACTERS))
    return groups.get("value") or next(iter(groups.values()), None)


def _chosen(value: Any, spec: Mapping[str, Any]) -> Any:
    table = spec.get("values")
    if not isinstance(table, dict) or value is None:
        return value
    word = coerce.spelled(value, 200).lower()
    chosen = {coerce.spelled("null" if key is None else key).lower(): each for key, each in table.items()}
    return chosen.get(word, spec.get("else", value))


def filled(template: str, item: Any, outer: Any) -> str | None:
    """Return the template with what its `{paths}` lead to; None where none of them leads anywhere."""
    holes = [coerce.line(found(item, match[1], outer)) for match in HOLE.finditer(template)]
    if holes and not any(holes):
        return None
    values = iter(holes)
    return HOLE.sub(lambda match: next(values), template)


def groups_of(item: Any, extract: Any, outer: Any) -> dict[str, str]:
    """Return the named groups of `extract:`, a table of paths with the pattern of each."""
    held: dict[str, str] = {}
    for path, pattern in coerce.table(extract).items():
        text = coerce.text(found(item, path, outer), coerce.MAX_SUMMARY_CHARACTERS)
        if text:
            held = compiled(str(pattern), groups=True).groups(text) | held
    return held


# ---------------------------------------------------------------------------------------------------------------------
# Walking


def found(item: Any, path: Any, outer: Any = None) -> Any:
    """Return what the first of a path's alternatives leads to in the item, else in the whole body; None for nowhere."""
    return next(every(item, path, outer), None)


def every(item: Any, path: Any, outer: Any = None) -> Iterator[Any]:
    """Yield what each of a path's alternatives leads to."""
    if not isinstance(path, str) or not path:
        return
    for steps in alternatives(path[:MAX_PATH_CHARACTERS]):
        for start in (item, outer) if outer is not item else (item,):
            value = _walked(start, steps)
            if value is not None and value != "":
                yield value
                break


def is_empty(item: Any, spec: Any, outer: Any = None) -> bool:
    """Return whether a field to which a spec leads is there and says nothing: null, or an empty text."""
    if isinstance(spec, list):
        return any(is_empty(item, each, outer) for each in spec)
    path = spec.get("path") if isinstance(spec, dict) else spec
    if not isinstance(path, str) or found(item, path, outer) is not None:
        return False
    steps = [each for each in alternatives(path[:MAX_PATH_CHARACTERS]) if each and not isinstance(each, str)]
    return any(_has(_walked(start, each[:-1]), each[-1]) for each in steps for start in (item, outer))


def _has(value: Any, step: str | int) -> bool:
    value = opened(value)
    if isinstance(value, list) and isinstance(step, int):
        return -len(value) <= step < len(value)
    return isinstance(value, dict | list) and any(key == step for key, _ in pairs(value))


@lru_cache(maxsize=1_024)
def alternatives(path: str) -> tuple[Steps, ...]:
    """Return the alternatives of a path that can be read."""
    parts = (part.strip() for part in path.split("||"))
    return tuple(steps for part in parts if (steps := _fixed_or_steps(part)) is not None)


def _fixed_or_steps(part: str) -> Steps | None:
    if len(part) > 1 and part[0] == part[-1] == "'":
        return part[1:-1]
    return steps_of(part)


def steps_of(part: str) -> tuple[str | int, ...] | None:
    """Return the keys and indexes of one path; None when it is none."""
    part = part.removeprefix("$").removeprefix("@").removeprefix(".")
    steps: list[str | int] = []
    position = 0
    while position < len(part):
        match = _STEP.match(part, position)
        if not match or (position and part[position] not in '.["'):
            return None
        quoted, index, bracketed, plain = match.groups()
        steps.append(int(index) if index is not None else quoted or bracketed or plain)
        position = match.end()
    return tuple(steps)


def _walked(value: Any, steps: Steps) -> Any:
    if isinstance(steps, str):
        return steps
    for step in steps:
        value = _stepped(opened(value), step)
        if value is None:
            return None
    return value


def _stepped(value: Any, step: str | int) -> Any:
    if isinstance(value, list):
        if isinstance(step, int):
            return value[step] if -len(value) <= step < len(value) else None
        return next((each for key, each in pairs(value) if key == step), None)
    return value.get(step) if isinstance(value, dict) and isinstance(step, str) else None


def opened(value: Any) -> Any:
    """Return the value; of a text the JSON or the tags that are written in it."""
    if not isinstance(value, str):
        return value
    if value.lstrip()[:1] in ("{", "["):
        return inner_json(value)
    return [tag for tag in value.split(",") if tag.strip()] if _TAG.match(value) else value


def inner_json(text: str) -> Any:
    """Return the JSON in a text, or the text where it is none."""
    if len(text) > MAX_INNER_CHARACTERS:
        return text
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def pairs(value: Any) -> Iterator[tuple[str, Any]]:
    """Yield the names and values of an object, of a list of pairs, or of tags."""
    value = opened(value)
    if isinstance(value, dict):
        yield from ((str(key), each) for key, each in value.items())
    for each in value[:500] if isinstance(value, list) else ():
        if (pair := _pair(each)) is not None:
            yield pair


def _pair(each: Any) -> tuple[str, Any] | None:
    if isinstance(each, dict):
        key = next((coerce.line(each[name]) for name in _KEY_NAMES if each.get(name)), "")
        value = next((each[name] for name in _VALUE_NAMES if name in each), None)
        return (key, value) if key and value is not None else None
    if isinstance(each, list) and len(each) == 2:
        return coerce.line(each[0]), each[1]
    match = _TAG.match(each) if isinstance(each, str) else None
    return (match[1].strip(), match[2].strip()) if match else None
