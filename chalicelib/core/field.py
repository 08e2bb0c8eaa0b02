"""Reads one value of the rules file: what is wrong with it is said in the words of the file.

A file of targets/ reads its own field with these, `rules/file/values.py` all others.
"""

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from chalicelib.core.errors import FieldError


def kind_of(value: Any) -> str:
    """Return what a value is, for a message."""
    if isinstance(value, bool):
        return f"the boolean {str(value).lower()}"
    if isinstance(value, int | float):
        return f"the number {value}"
    if isinstance(value, str):
        return "text"
    if isinstance(value, list | tuple):
        return "a list"
    return "a mapping" if isinstance(value, Mapping) else "empty"


def text_value(value: Any) -> str:
    """Return a text that is not blank. Raise FieldError for anything else."""
    if isinstance(value, str):
        if not value.strip():
            raise FieldError("is empty", "text")
        return value
    quoted = json.dumps(str(value)) if isinstance(value, int | float) and not isinstance(value, bool) else ""
    raise FieldError(f"is {kind_of(value)}", "text", quoted)


def masked(text: str) -> str:
    """Return a text without what could be a secret: of an address only its host, nothing longer than a name."""
    if "://" in text:
        try:
            parts = urlsplit(text)
            host = f"{parts.scheme}://{(parts.hostname or '')[:60]}"
            return f"{host}/…" if parts.path.strip("/") or parts.query else host
        except ValueError:
            return "…"
    return text[:40]
