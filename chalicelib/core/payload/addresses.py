"""IP addresses that nothing here may connect to: link-local ones and the metadata services of clouds.

An IPv4 address is looked for inside IPv6 ones too: mapped (::ffff:0:0/96), compatible (::/96), translated
(::ffff:0:0:0/96), NAT64 (64:ff9b::/96 and 64:ff9b:1::/48), 6to4 (2002::/16): https://www.rfc-editor.org/rfc/rfc6890.
"""

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

METADATA_ADDRESSES = frozenset(
    {
        "100.100.100.200",
        "168.63.129.16",
        "192.0.0.192",
        "fd00:ec2::123",
        "fd00:ec2::23",
        "fd00:ec2::253",
        "fd00:ec2::254",
        "fd20:ce::254",
    }
)
"""Services of the machine itself that are not link-local: instance data, DNS, time and container credentials.

Alibaba, Azure, Oracle, EC2 over IPv6 and Google over IPv6.
https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-retrieval.html
"""
_LAST_FOUR_BYTES = tuple(map(ip_network, ("::/96", "::ffff:0:0:0/96", "64:ff9b::/96", "64:ff9b:1::/48")))


def plain(text: str) -> IPv4Address | IPv6Address:
    """Return the address that is meant, without its zone: the IPv4 address inside an IPv6 one. ValueError when it is none."""
    found = ip_address(text.partition("%")[0])
    if isinstance(found, IPv4Address):
        return found
    inside = found.ipv4_mapped or found.sixtofour
    if inside is None and found > IPv6Address("::1") and any(found in network for network in _LAST_FOUR_BYTES):
        inside = IPv4Address(found.packed[-4:])
    return inside or found


def refusal(text: str) -> str:
    """Return `link-local` or `metadata` when nothing may connect there; else empty."""
    found = plain(text)
    if found.is_link_local:
        return "link-local"
    return "metadata" if str(found) in METADATA_ADDRESSES else ""
