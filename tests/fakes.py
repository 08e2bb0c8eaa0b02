"""Stand-ins that keep the promises of the ports, in memory."""

from collections.abc import Sequence
from datetime import timedelta

from chalicelib.core.errors import NotStoredError


class FixedSecrets:
    """Secrets by name; `stored` is what reading again finds, `broken` makes both fail."""

    def __init__(self, values: dict[str, str]) -> None:
        self.in_hand = dict(values)
        self.stored = dict(values)
        self.broken = False

    def values(self, names: Sequence[str]) -> list[str]:
        """All live values in hand."""
        if self.broken:
            raise NotStoredError("secrets are away")
        return [value for name in names for value in self.in_hand.get(name, "").split(",") if value]

    def renewed(self, names: Sequence[str]) -> list[str]:
        """All live values, read again."""
        self.in_hand = dict(self.stored)
        return self.values(names)

    def get(self, name: str) -> str | None:
        """One value."""
        return self.in_hand.get(name)


class MemoryQueue:
    """A queue that keeps what is put, deleted, hidden and parked; `fail_at` names calls that fail, by number from 1."""

    def __init__(self) -> None:
        self.bodies: list[str] = []
        self.delays: list[timedelta] = []
        self.deleted: list[str] = []
        self.hidden: dict[str, timedelta] = {}
        self.parked: list[tuple[str, str]] = []
        self.calls = 0
        self.fail_at: set[int] = set()

    def put(self, bodies: Sequence[str], *, delay: timedelta = timedelta(0)) -> None:
        """Keep the bodies."""
        self._called()
        self.bodies += bodies
        self.delays += [delay] * len(bodies)

    def delete(self, receipts: Sequence[str]) -> None:
        """Remember what is done."""
        self._called()
        self.deleted += receipts

    def hide(self, receipt: str, delay: timedelta) -> None:
        """Remember what comes back when."""
        self._called()
        self.hidden[receipt] = delay

    def park(self, body: str, reason: str) -> None:
        """Remember what was parked and why."""
        self._called()
        self.parked.append((body, reason))

    def _called(self) -> None:
        self.calls += 1
        if self.calls in self.fail_at:
            raise NotStoredError("the queue is away")
