"""How deep a JSON body is nested, by its bytes: quicker than a walk through its values.

What stands in strings is left out first. The brackets that remain are taken away from the inside, a level each time.
"""

from json import detect_encoding

_AS_ONE_KIND = bytes.maketrans(b"{}[]", b"()()")
_OTHERS = bytes(set(range(256)) - set(b'"{}[]'))
_SMALL = 16 * 1024
_FEW_ESCAPES = 4_096
"""Up to so many are cut out one by one; of more each would cost more than a search through the body."""


def is_deeper(body: bytes, limit: int) -> bool:
    """Return whether objects and lists are in one another more than `limit` times. The body must be JSON."""
    if len(body) <= _SMALL and body.count(b"{") + body.count(b"[") <= limit:
        return False
    left = _brackets(body)
    for _ in range(limit):
        if not left:
            return False
        left = left.replace(b"()", b"")
    return bool(left)


def _brackets(body: bytes) -> bytes:
    """Return the brackets that stand outside of strings; round ones, since JSON closes each by its own kind."""
    encoding = detect_encoding(body)
    if not encoding.startswith("utf-8"):  # JSON may be UTF-16, where the byte of a quote is half of another character
        body = body.decode(encoding, "surrogatepass").encode("utf-8", "surrogatepass")
    if b"\\" in body:
        body = _without_escapes(body)
    found = body.translate(_AS_ONE_KIND, _OTHERS).replace(b'""', b"")
    return b"".join(found.split(b'"')[::2])


def _without_escapes(body: bytes) -> bytes:
    """Return the body without escaped quotes and backslashes, so that each quote begins or ends a string."""
    if body.count(b"\\") > _FEW_ESCAPES:
        return body.replace(b"\\\\", b"").replace(b'\\"', b"")
    first, *others = body.split(b"\\")
    kept, parts = [first], iter(others)
    for part in parts:
        kept.append(part[1:] if part else next(parts, b""))  # nothing in between: one backslash escapes the next
    return b"".join(kept)
