"""The checks of random lives: what they let pass, and what they do not."""

import pytest

from simulation.invariants import has_two_ends


@pytest.mark.parametrize(
    ("reasons", "broken"),
    [
        (["opened", "updated", "resolved"], False),
        (["opened", "resolved", "resolved"], True),
        (["opened", "resolved", "updated", "resolved"], True),
        (["escalated", "resolved", "escalated", "updated", "resolved"], False),
        (["escalated", "resolved", "escalated", "resolved", "resolved"], True),
    ],
)
def test_two_ends_of_one_beginning_are_found(reasons: list[str], broken: bool) -> None:
    """Given what a target received, when it is checked → two ends in a row are broken, unless an escalation lies between."""
    assert has_two_ends(reasons) is broken
