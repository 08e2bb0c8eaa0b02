"""The compiled form of the rules file: its file names, its hash, and the rules that it holds."""

import hashlib
import json

from chalicelib.core.build import rules_from
from chalicelib.core.errors import RulesError
from chalicelib.core.rule import Rules

COMPILED_VERSION = 1
RULES_NAME = "alert-rules.yaml"
COMPILED_NAME = "compiled-rules.json"


def source_hash(text: str) -> str:
    """What tells that a compiled file belongs to a text."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def from_compiled(json_text: str) -> Rules:
    """The rules from what `rules_file.compile_rules` made; RulesError when it is not that."""
    try:
        content = json.loads(json_text)
        if content["v"] != COMPILED_VERSION:
            raise RulesError(
                f"compiled rules of version {content['v']!r}; allowed is {COMPILED_VERSION}: compile again"
            )
        return rules_from(content["rules"])
    except (ValueError, KeyError, TypeError):
        raise RulesError(
            "compiled rules that cannot be read; allowed is what compile_rules makes: compile again"
        ) from None
