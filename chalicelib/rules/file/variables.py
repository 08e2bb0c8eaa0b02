"""`${NAME}` in the place of a target: each stage has its own channels and addresses, and one file has the rules of all.

    notification: [{slack_channel: "${SLACK_ALERTS}"}]

A variable is a whole target, of any kind that is found, and nothing else: the language stays one that can be checked. Its value is put
in before the file is checked, so that a wrong one is found as if it had been written there. What has no value is a mistake.
"""

import copy
import re
from collections.abc import Iterator, Mapping
from typing import Any

from chalicelib.rules.compiled import Values
from chalicelib.rules.file.finding import Finding, Path, entries_in, items_in, target_lists
from chalicelib.targets import kinds

VARIABLE = r"\$\{[A-Z][A-Z0-9_]{1,60}\}"
_WHOLE = re.compile(VARIABLE)
ALLOWED = "${NAME} in capital letters, digits and _, as the whole target"


def is_variable(value: Any) -> bool:
    """Return whether a target is a variable."""
    return isinstance(value, str) and _WHOLE.fullmatch(value) is not None


def is_with_variable(value: Any) -> bool:
    """Return whether a variable stands in a target, alone or beside other text."""
    return isinstance(value, str) and "${" in value


def variables_in(data: Mapping[str, Any]) -> dict[str, Path]:
    """Return the names of the variables of a file, each with the first place where it stands."""
    found: dict[str, Path] = {}
    for path, text in _written(data):
        if is_variable(text):
            found.setdefault(text[2:-1], path)
    return found


def with_values(data: Mapping[str, Any], values: Values | None) -> tuple[dict[str, Any], list[Finding]]:
    """Return the file with the values in the places of its variables, and what is wrong with them.

    Without `values` the variables stay: the file is checked for no stage.
    """
    written, filled = [*_written(data)], dict(data)
    if written and values is not None:
        filled = copy.deepcopy(filled)
    findings = []
    for path, text in written:
        if not is_variable(text):
            findings.append(Finding(path, f"is no variable: {text[:80]!r}", ALLOWED))
        elif values is not None:
            value = (values(text[2:-1]) or "").strip()
            if is_with_variable(value):
                findings.append(Finding(path, f"the value of {text[2:-1]} is a variable again", "a target"))
            elif value:
                _put(filled, path, value)
            else:
                findings.append(_missing(path, text[2:-1]))
    return filled, findings


def _missing(path: Path, name: str) -> Finding:
    allowed = f"a value: `tocsin secrets set {name} --stage NAME`, or an environment variable"
    return Finding(path, f"the variable {name} has no value", allowed)


def _written(data: Mapping[str, Any]) -> Iterator[tuple[Path, str]]:
    """Yield each target in which `${` stands, those that tests expect too, with its path."""
    for path, entries in target_lists(data):
        for index, entry in items_in(entries):
            yield from _of_entry(entry, (*path, index))
    for path, test in entries_in(data, "tests"):
        for index, expected in items_in(test.get("expect")):
            if isinstance(expected, Mapping):
                yield from _of_entry(expected.get("target"), (*path, "expect", index, "target"))


def _of_entry(entry: Any, path: Path) -> Iterator[tuple[Path, str]]:
    for key, value in entry.items() if isinstance(entry, Mapping) else ():
        if key in kinds() and is_with_variable(value):
            yield (*path, key), value


def _put(data: Any, path: Path, value: str) -> None:
    for key in path[:-1]:
        data = data[key]
    data[path[-1]] = value
