"""Rules for tests, from their YAML."""

from collections.abc import Iterable

from chalicelib.core.rule import Rules
from chalicelib.rules.file import Mistake, load
from chalicelib.targets import capabilities

KINDS = capabilities()
"""What every kind of target can do, for rules that a test makes by hand."""


def rules_of(text: str) -> Rules:
    """The rules of a file with this text."""
    return load(text, filename="rules.yaml")


def but_unmeasured(warnings: Iterable[Mistake]) -> list[Mistake]:
    """The warnings without those for metrics that no probe of the file measures: an example has no probes."""
    return [each for each in warnings if "no probe of the file measures" not in each.what]
