"""Rules for tests, from their YAML."""

from chalicelib.core.rule import Rules
from chalicelib.rules.file import load
from chalicelib.targets import capabilities

KINDS = capabilities()
"""What every kind of target can do, for rules that a test makes by hand."""


def rules_of(text: str) -> Rules:
    """The rules of a file with this text."""
    return load(text, filename="rules.yaml")
