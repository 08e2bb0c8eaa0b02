"""Values that were read lately, by their bytes: what comes back unchanged is not taken apart again.

In a storm most reads of an incident find it as it was a moment before. Values never change, so that one object may stand for
all equal bytes.
"""

from collections import OrderedDict
from typing import Any, TypeVar

from chalicelib.messages import codec

MAX_BYTES = 4_000_000
"""Of packed values; unpacked they take some ten times as much. A worker has 512 MB at least."""

Value = TypeVar("Value")


class Remembered:
    """Unpacked values of several kinds, those used last. `max_bytes` is of the packed ones together."""

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self._found: OrderedDict[tuple[type, bytes], Any] = OrderedDict()
        self._max_bytes = max_bytes
        self._bytes = 0

    def unpack(self, kind: type[Value], data: bytes) -> Value:
        """Return the value of a kind that these bytes are."""
        key = (kind, data)
        known: Value | None = self._found.get(key)
        if known is not None:
            self._found.move_to_end(key)
            return known
        found = codec.unpack(kind, data)
        self._found[key] = found
        self._bytes += len(data)
        while self._bytes > self._max_bytes:
            (_, oldest), _ = self._found.popitem(last=False)
            self._bytes -= len(oldest)
        return found
