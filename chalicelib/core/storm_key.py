"""The keys of storms: each names its target, by a hash, since an address may be a secret."""

from datetime import datetime

from chalicelib.core.event import fingerprint
from chalicelib.core.incident import STORM
from chalicelib.core.rule import Target


def storm_key(target: str, at: datetime) -> str:
    """Return the key of the storm of a target (by its key) that began then."""
    return f"{STORM}{fingerprint(target)}|{int(at.timestamp())}"


def is_of(key: str, target: Target) -> bool:
    """Return whether a key is that of a storm of this target."""
    return key.startswith(f"{STORM}{fingerprint(target.key)}|")
