"""Rules for tests, from their YAML."""

from chalicelib.core.rule import Rules
from chalicelib.rules.file import load


def rules_of(text: str) -> Rules:
    """The rules of a file with this text."""
    return load(text, filename="rules.yaml")
