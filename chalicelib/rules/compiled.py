"""The compiled form of the rules file: its file names, its hash, and the rules that it holds."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from chalicelib.core.build import kinds_from, rules_from
from chalicelib.core.errors import RulesError
from chalicelib.core.rule import Rules

COMPILED_VERSION = 2
"""Version 1 had no `kinds`: such a file counts as none, and the rules are read from their text."""
RULES_NAME = "alert-rules.yaml"
COMPILED_NAME = "compiled-rules.json"
Values = Callable[[str], str | None]
"""Returns the value of a variable of the rules file; None or an empty text where it has none."""


def source_hash(text: str) -> str:
    """Return the mark by which a compiled file belongs to a text."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def built(content: Mapping[str, Any]) -> Rules:
    """Return the rules of a compiled file that was read as JSON."""
    rules = rules_from(content["rules"], kinds_from(content["kinds"]))
    return replace(rules, parameters=tuple(content["parameters"])) if "parameters" in content else rules


def from_compiled(json_text: str) -> Rules:
    """Return the rules from what `compile_rules` of `rules/file/` made; RulesError when it is not that."""
    try:
        content = json.loads(json_text)
        if content["v"] != COMPILED_VERSION:
            raise RulesError(
                f"compiled rules of version {content['v']!r}; allowed is {COMPILED_VERSION}: compile again"
            )
        return built(content)
    except (ValueError, KeyError, TypeError):
        raise RulesError(
            "compiled rules that cannot be read; allowed is what compile_rules makes: compile again"
        ) from None
