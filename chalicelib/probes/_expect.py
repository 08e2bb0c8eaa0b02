"""What is expected of an HTTP answer beside its status: a text, values of its JSON, texts of its headers."""

import json
import re
from collections.abc import Mapping
from typing import Any

from chalicelib.probes._errors import Down
from chalicelib.probes._http import Answer
from chalicelib.probes._json import MISSING, at_path

Ranges = tuple[tuple[int, int], ...]
_SPAN = re.compile(r"\s*(\d{3})\s*(?:-\s*(\d{3})\s*)?")


def status_ranges(expect: object, default: Ranges) -> Ranges:
    """Return the ranges of allowed statuses, both ends included. Raise ValueError for what is no status."""
    if expect is None:
        return default
    listed = expect if isinstance(expect, list | tuple) else str(expect).split(",")
    return tuple(_status_range(str(each)) for each in listed)


def _status_range(text: str) -> tuple[int, int]:
    found = _SPAN.fullmatch(text)
    low, high = (int(found[1]), int(found[2] or found[1])) if found else (0, 0)
    if not 100 <= low <= high <= 599:
        raise ValueError(
            f"expect {text[:40]!r} is not a status; allowed are 100 to 599, ranges such as 200-299, and lists"
        )
    return low, high


def is_within(status: int, ranges: Ranges) -> bool:
    """Return whether a status is an allowed one."""
    return any(low <= status <= high for low, high in ranges)


def range_words(ranges: Ranges) -> str:
    """Return ranges of statuses for people."""
    return ", ".join(str(low) if low == high else f"{low}-{high}" for low, high in ranges)


def expectation_mistakes(params: Mapping[str, Any]) -> list[str]:
    """Return what is wrong with what is expected, in words."""
    return [
        f"{name} must be a mapping of name to value"
        for name in ("expect_json", "expect_headers")
        if not isinstance(params.get(name) or {}, Mapping)
    ]


def expectations(params: Mapping[str, Any]) -> list[str]:
    """Return what is expected, in words for people."""
    found = [f"the text {str(params['text'])[:60]!r}"] if params.get("text") else []
    found += [f"{str(text)[:60]!r} in the header {name}" for name, text in (params.get("expect_headers") or {}).items()]
    return found + [f"{_words(value)} at {path}" for path, value in (params.get("expect_json") or {}).items()]


def judge(params: Mapping[str, Any], answer: Answer) -> None:
    """Raise Down when the answer does not have what is expected."""
    if params.get("text") and str(params["text"]) not in answer.text:
        where = f" in its first {len(answer.body):,} bytes" if answer.is_cut else ""
        raise Down(f"status {answer.status} without the expected text{where}")
    for name, text in (params.get("expect_headers") or {}).items():
        if str(text).lower() not in answer.headers.get(str(name), "").lower():
            raise Down(f"status {answer.status} without {str(text)[:60]!r} in the header {name}")
    wanted = params.get("expect_json") or {}
    value = answer.json if wanted else None
    for path, expects in wanted.items():
        found = at_path(value, str(path))
        if isinstance(found, bool) is not isinstance(expects, bool) or found != expects:
            came = "nothing" if found is MISSING else _words(found)
            raise Down(f"status {answer.status} with {came} at {path} of its JSON")


def _words(value: object) -> str:
    """Return a plain value, or what kind of value it is."""
    if value is None or isinstance(value, bool | int | float):
        return json.dumps(value)
    return repr(value[:40]) if isinstance(value, str) else ("a list" if isinstance(value, list) else "an object")
