"""How late a stage is: the ages of the oldest undelivered notification and of the oldest overdue timer, for CloudWatch.

The tick meets the timers. A queue does not show the age of a notification: one that waits or fails is a new message at
each try, and SQS leaves what was received three times out of its age. The states of the targets show it, in one read for
all of them. A slot of a state may be done though it is still there (`target_state.py`), so the delivery logs of the
oldest ones are read as well.

A notification that no worker has taken from its queue yet has no slot. `health.py` is about those.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta

from chalicelib.core.delivery.delivery_log import delivery_log_key
from chalicelib.core.delivery.target_state import undelivered
from chalicelib.core.ports import Store
from chalicelib.core.routing import all_targets
from chalicelib.core.rule import Rules

NAMESPACE = "Tocsin"
UNDELIVERED, OVERDUE = "OldestUndeliveredSeconds", "OldestOverdueTimerSeconds"
"""The metrics of a stage that the log line of the tick carries, under NAMESPACE with the dimension `Stage`."""
UNNOTICED = timedelta(minutes=1)
"""A younger one is on its way: nothing is read for it, and it counts as no age."""
READ_AT_ONCE = 100


class Lateness:
    """What one tick finds out."""

    def __init__(self) -> None:
        self._overdue = timedelta(0)

    def overdue(self, age: timedelta) -> None:
        """Take note of the age of the oldest timer that was due."""
        self._overdue = age

    def seconds(self, *, rules: Rules, store: Store, now: datetime) -> dict[str, float]:
        """Return the metrics by name."""
        undelivered = oldest_undelivered(rules=rules, store=store, now=now)
        return {UNDELIVERED: undelivered.total_seconds(), OVERDUE: self._overdue.total_seconds()}


Waiting = tuple[datetime, str, int]
"""Since when, the key of the delivery log, the number of the notification in it."""


def oldest_undelivered(*, rules: Rules, store: Store, now: datetime) -> timedelta:
    """Return the age of the oldest notification that a target of the rules should have; zero when each has its own.

    Silent changes do not count: they notify nobody.
    """
    waiting = sorted(_waiting(rules, store, now))
    for start in range(0, len(waiting), READ_AT_ONCE):
        some = waiting[start : start + READ_AT_ONCE]
        logs = store.delivery_logs([key for _, key, _ in some])
        for since, key, seq in some:
            if key not in logs or logs[key].done_seq < seq:
                return now - since
    return timedelta(0)


def _waiting(rules: Rules, store: Store, now: datetime) -> Iterator[Waiting]:
    for state in store.target_states([target.key for target in all_targets(rules)]).values():
        for incident, slot in undelivered(state, now).items():
            if slot.since <= now - UNNOTICED:
                yield slot.since, delivery_log_key(incident, state.key), slot.seq
