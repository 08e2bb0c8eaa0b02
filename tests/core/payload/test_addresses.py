"""Which addresses nothing may connect to, in every form that an address has."""

import pytest

from chalicelib.core.payload.addresses import refusal

LINK_LOCAL, METADATA = "link-local", "metadata"


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("169.254.169.254", LINK_LOCAL),
        ("fe80::1%eth0", LINK_LOCAL),
        ("::ffff:169.254.169.254", LINK_LOCAL),
        ("::169.254.169.254", LINK_LOCAL),
        ("::ffff:0:169.254.169.254", LINK_LOCAL),
        ("64:ff9b::a9fe:a9fe", LINK_LOCAL),
        ("64:ff9b:1::a9fe:a9fe", LINK_LOCAL),
        ("2002:a9fe:a9fe::", LINK_LOCAL),
        ("100.100.100.200", METADATA),
        ("168.63.129.16", METADATA),
        ("64:ff9b::100.100.100.200", METADATA),
        ("fd00:ec2::254", METADATA),
        ("fd20:ce:0::254", METADATA),
        ("127.0.0.1", ""),
        ("::1", ""),
        ("::", ""),
        ("10.0.0.1", ""),
        ("64:ff9b::10.0.0.1", ""),
        ("2606:4700::1111", ""),
    ],
)
def test_an_address_of_the_machine_itself_is_known_in_every_form(address: str, expected: str) -> None:
    """Also where it hides as IPv4 inside IPv6."""
    assert refusal(address) == expected
