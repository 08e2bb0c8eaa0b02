"""Passwords in addresses, with signs that belong escaped: `redis://user:a/b@host`.

Read to the letter, the password would end at the sign, and the rest of it would be a host or a name that people are shown.
"""

import re
from urllib.parse import quote

_SIGNS = re.compile(r"[/@:?#\[\]]")


def escaped(address: str) -> str:
    """Return an address with the signs of its password escaped. What is escaped already stays as it is."""
    scheme, separator, rest = address.partition("://")
    given, at, place = rest.rpartition("@")
    user, colon, password = given.partition(":")
    if not at or not colon or _SIGNS.search(user):
        return address
    hidden = _SIGNS.sub(lambda sign: quote(sign[0], safe=""), password)
    return f"{scheme}{separator}{user}:{hidden}@{place}"
