"""What a person may have meant by a label that nothing has: said where a list is empty because of it."""

import sys
from collections.abc import Sequence

from chalicelib.api.requests import parse_words
from chalicelib.api.warnings import COMMON
from chalicelib.core.language.tokens import nearest
from cli.remote import Remote, listed

LOOKED_AT = 1_000
"""So many alerts are looked through for their labels."""


def say_unknown_labels(api: Remote, words: Sequence[str]) -> None:
    """Print to standard error which labels of the matchers no alert has, with the nearest one that some alert has."""
    if not words:
        return
    asked = {each.label for each in parse_words(words)}
    known = COMMON | {label for row in listed(api, "alerts", [], most=LOOKED_AT) for label in row["labels"]}
    for label in sorted(asked - known):
        near = nearest(label, known)
        print(f"tocsin: no alert has a label {label}" + (f"; did you mean {near}?" if near else ""), file=sys.stderr)
