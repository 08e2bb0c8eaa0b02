"""Addresses of senders: what is encoded, what is kept, and what is no link."""

import pytest

from chalicelib.core.payload.coerce import address

ADDRESSES = [
    ('https://g.example/explore?left={"a":1}', "https://g.example/explore?left=%7B%22a%22:1%7D"),
    ("https://g.example/graph?g0.expr=a|b^c`d\\e", "https://g.example/graph?g0.expr=a%7Cb%5Ec%60d%5Ce"),
    ("https://g.example/caf\u00e9/\u4e16", "https://g.example/caf%C3%A9/%E4%B8%96"),
    ("https://g.example/a%20b?x=%7B%7D", "https://g.example/a%20b?x=%7B%7D"),
    ("https://g.example/" + "a" * 2_982, "https://g.example/" + "a" * 2_982),
    ("https://g.example/" + "a" * 2_983, None),
    ("https://g.example/" + "{" * 1_500, None),
    ('https://g".example/x', None),
    ("https://{host}/x", None),
    ("https://g.example/a b", None),
    ("https://g.example/a\u3000b", None),
    ("javascript:{alert(1)}", None),
]


@pytest.mark.parametrize(("written", "expected"), ADDRESSES)
def test_an_address_is_encoded_behind_its_host(written: str, expected: str | None) -> None:
    """Given an address as a sender writes it → a link that every receiver takes, or none."""
    assert address(written) == expected
