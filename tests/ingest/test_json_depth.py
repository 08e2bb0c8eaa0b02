"""How deep a body is nested, by its bytes, against a walk through its values."""

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from chalicelib.core.errors import UnreadableError
from chalicelib.ingest.json_depth import is_deeper
from chalicelib.ingest.receive import MAX_DEPTH, checked_json

AWKWARD = st.text('"\\{}[]()né\u5b22\u7b22\n', max_size=8)
"""Texts of what decides: quotes, backslashes, brackets, and characters whose halves in UTF-16 are those."""
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | AWKWARD,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(AWKWARD, inner, max_size=3),
    max_leaves=20,
)


def depth(value: Any) -> int:
    """The naive reference."""
    if isinstance(value, dict):
        return 1 + max(map(depth, value.values()), default=0)
    return 1 + max(map(depth, value), default=0) if isinstance(value, list) else 0


def padded(body: bytes) -> bytes:
    """The body with blanks behind it, as long as those of which every byte is looked at."""
    return body + b" " * 20_000


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32-be"])
@given(value=VALUES, ascii=st.booleans(), limit=st.integers(0, 6))
@example(value={'a"[': ["\\", '\\"[', "]"]}, ascii=True, limit=2)
@example(value=["\u5b22\u7b22", [[]]], ascii=False, limit=2)
def test_it_says_what_a_walk_through_the_values_says(value: Any, ascii: bool, limit: int, encoding: str) -> None:
    """Given any JSON in any encoding that JSON has, small or large → the depth of its values decides."""
    body = json.dumps(value, ensure_ascii=ascii).encode(encoding)
    assert depth(json.loads(body)) == depth(value)
    assert is_deeper(body, limit) is (depth(value) > limit)
    if encoding == "utf-8":
        assert is_deeper(padded(body), limit) is (depth(value) > limit)


@given(value=VALUES, limit=st.integers(0, 6))
def test_many_escapes_are_told_apart_as_well(value: Any, limit: int) -> None:
    """Given a text with thousands of escapes beside the value → the depth of the value decides."""
    body = json.dumps([value, '\\"[' * 5_000]).encode()
    assert is_deeper(body, limit) is (1 + depth(value) > limit)


@given(st.binary(max_size=60) | st.text('"\\{}[]:,a', max_size=60).map(str.encode))
def test_what_is_no_json_is_refused_as_such(body: bytes) -> None:
    """Given any bytes as a body → an object that is not too deep, or a refusal that is an answer to the sender."""
    for given_body in (body, padded(body)):
        try:
            assert depth(checked_json(given_body)) <= MAX_DEPTH
        except UnreadableError as error:
            assert error.status == 400


@pytest.mark.parametrize("inner", [b"[]", b"{}", b'"]"', b'"\\\\"', b'"\\""', b"1"])
def test_one_level_decides(inner: bytes) -> None:
    """Given lists nested up to the limit, and by one more → allowed, and refused."""
    levels = 100 - (inner in (b"[]", b"{}"))
    body = b"[" * levels + inner + b"]" * levels
    assert not is_deeper(body, 100)
    assert is_deeper(b"[" + body + b"]", 100)
