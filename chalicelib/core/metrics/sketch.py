"""A mergeable sketch of values for quantiles within 2 %: counts of logarithmic bins.

Bin i holds the values over gamma**(i-1), up to and including gamma**i; its middle is at most 2 % off any of them. The
bins of values below zero mirror these around SKETCH_ZERO_BIN, so that bins are in the order of their values. Zero has a
bin of its own, which also holds what is below zero in sketches of the versions before. Sketches merge by adding counts.
After DDSketch: https://arxiv.org/abs/1908.10693
"""

import math
from collections.abc import Mapping

SKETCH_ACCURACY = 0.02
SKETCH_GAMMA = (1 + SKETCH_ACCURACY) / (1 - SKETCH_ACCURACY)
SKETCH_ZERO_BIN = -(10**6)

_LOG_GAMMA = math.log(SKETCH_GAMMA)


def sketch_bin(value: float) -> int:
    """Return the bin of a value."""
    if value < 0:
        return 2 * SKETCH_ZERO_BIN - sketch_bin(-value)
    if value == 0:
        return SKETCH_ZERO_BIN
    return math.ceil(math.log(value) / _LOG_GAMMA)


def sketch_value(number: int) -> float:
    """Return the middle of a bin."""
    if number == SKETCH_ZERO_BIN:
        return 0.0
    if number < SKETCH_ZERO_BIN:
        return -sketch_value(2 * SKETCH_ZERO_BIN - number)
    return 2 * SKETCH_GAMMA**number / (SKETCH_GAMMA + 1)


def sketch_quantile(sketch: Mapping[int, int], q: float) -> float | None:
    """Return the value below which the share `q` (0 to 1) of the values lies, by nearest rank; None of an empty sketch."""
    total = sum(sketch.values())
    rank, seen = max(1, math.ceil(q * total)), 0
    for number in sorted(sketch):
        seen += sketch[number]
        if seen >= rank:
            return sketch_value(number)
    return None
