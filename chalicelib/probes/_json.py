"""Values of a JSON answer by their paths: `session.access_token`, `items.0.id`."""

from typing import Any, Final

MISSING: Final = object()
"""What is at a path that leads nowhere: null is a value."""


def at_path(value: Any, path: str) -> Any:
    """Return the value at a path of names and numbers; MISSING when there is none. An empty path is the value itself."""
    for part in path.split(".") if path else ():
        if isinstance(value, dict) and part in value:
            value = value[part]
        elif isinstance(value, list) and part.isdecimal() and int(part) < len(value):
            value = value[int(part)]
        else:
            return MISSING
    return value
