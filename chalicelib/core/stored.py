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

    `keys` gives the stored key of each of these fields that is not stored under its own name. The default is one value,
    which all owners share.
    """
    return field(default=kind(), metadata=flat_keys(**keys))


def flat_or_none(**keys: str) -> Any:
    """Return a field like `flat` that is None unless all its fields without a default are stored."""
    return field(default=None, metadata=flat_keys(**keys))


def flat_keys(**keys: str) -> Mapping[str, Mapping[str, str]]:
    """Return the metadata of a field like `flat` that has no default: `field(metadata=flat_keys(id="incident"))`."""
    return {FLAT: keys}


def stored_as(key: str, **default: Any) -> Any:
    """Return a field that is stored under another key. `default` is as for `dataclasses.field`."""
    return field(metadata={KEY: key}, **default)


def missing_from(of_stored: Callable[[Mapping[str, Any]], Any], **default: Any) -> Any:
    """Return a field that items of the version before do not have: `of_stored` gives it from the keys that they have."""
    return field(metadata={MISSING_FROM: of_stored}, **default)
