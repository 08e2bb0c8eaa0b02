"""How the fields of a stored value are written where this differs from their names.

What is stored keeps its keys. A value whose fields were put together into smaller values, or renamed, is written and
read under the keys of the version before, so that two versions read each other while a deploy runs.
"""

from collections.abc import Callable, Mapping
from dataclasses import field
from typing import Any

FLAT, KEY, MISSING_FROM = "flat", "key", "missing_from"
"""Names in the metadata of a field. `messages/codec.py` reads them."""


def flat(kind: Callable[[], Any], **keys: str) -> Any:
    """Return a field of a small value whose own fields are stored beside those of its owner.

    `keys` gives the stored key of each of these fields that is not stored under its own name.
    """
    return field(default_factory=kind, metadata={FLAT: keys})


def stored_as(key: str, **default: Any) -> Any:
    """Return a field that is stored under another key. `default` is as for `dataclasses.field`."""
    return field(metadata={KEY: key}, **default)


def missing_from(of_stored: Callable[[Mapping[str, Any]], Any], **default: Any) -> Any:
    """Return a field that items of the version before do not have: `of_stored` gives it from the keys that they have."""
    return field(metadata={MISSING_FROM: of_stored}, **default)
