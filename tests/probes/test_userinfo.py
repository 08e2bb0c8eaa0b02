"""Passwords with signs that belong escaped, as tables."""

import pytest

from chalicelib.probes._userinfo import escaped

ESCAPED = [
    ("redis://h:6379/0", "redis://h:6379/0"),
    ("redis://:right@h", "redis://:right@h"),
    ("redis://user:12/abc@host", "redis://user:12%2Fabc@host"),
    ("redis://user:a@b#c?d:e%2F@host:1/0", "redis://user:a%40b%23c%3Fd%3Ae%2F@host:1/0"),
    ("redis://user@host", "redis://user@host"),
    ("redis://host/0@1", "redis://host/0@1"),
    ("nothing", "nothing"),
]


@pytest.mark.parametrize(("text", "expected"), ESCAPED)
def test_signs_of_a_password(text: str, expected: str) -> None:
    """Given an address → the signs of its password as they belong; nothing else is changed."""
    assert escaped(text) == expected
