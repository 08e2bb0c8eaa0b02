"""Which metrics a probe measured, so that one that is no longer measured is noticed."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

REMEMBERED = timedelta(days=2)
"""A metric that was not measured for so long is forgotten: somebody meant it so."""


@dataclass(frozen=True, slots=True)
class Measured:
    """When each metric of a probe was measured last. `entry` is the fingerprint of the probe's entry in the rules file."""

    entry: int
    metrics: Mapping[str, datetime] = field(default_factory=dict)

    @property
    def lost(self) -> dict[str, datetime]:
        """Return what was measured and was not when the probe measured last."""
        newest = max(self.metrics.values(), default=None)
        return {name: at for name, at in sorted(self.metrics.items()) if newest is not None and at < newest}


def after_reading(
    before: Measured | None, entry: int, names: Collection[str], at: datetime, every: timedelta
) -> Measured:
    """Return what is known after one more reading. A changed entry of the rules file begins anew."""
    known = before.metrics if before is not None and before.entry == entry else {}
    kept = {name: seen for name, seen in known.items() if at - seen <= max(REMEMBERED, 3 * every)}
    return Measured(entry, {**kept, **dict.fromkeys(names, at)})
