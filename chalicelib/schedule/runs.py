"""When each function last ended a run well, as marks in the table: what the tick knows them by.

A scheduled function marks each run. A worker of a queue marks one run a minute at most in each of its environments, and none
that comes long after the one before: marks cost next to nothing in a storm, and nothing at all for a lone message.
"""

from contextlib import suppress
from datetime import datetime, timedelta
from functools import lru_cache

from chalicelib.core.errors import NotStoredError
from chalicelib.core.ports import Store
from chalicelib.schedule.reconciliation import instant_or_none

APART = timedelta(minutes=1)
TRICKLE = timedelta(minutes=5)
"""An environment that was idle for so long marks from its second run on: a queue that waits has many."""
PERIODS = {"watch": timedelta(minutes=1), "record": timedelta(minutes=5), "repair": timedelta(minutes=5)}
"""How often EventBridge runs what the tick looks after, as app.py says."""
WORKERS = {"webhooks": "process_webhooks", "counts": "process_counts", "notifications": "deliver_notification"}
"""The worker of each queue that Lambda empties."""


class RunMarks:
    """The marks of the functions that run in this environment."""

    def __init__(self) -> None:
        self._marked: dict[str, datetime] = {}
        self._ran: dict[str, datetime] = {}

    def mark(self, store: Store, function: str, now: datetime) -> None:
        """Mark that a run ended well. What cannot be stored is left out: the run is done all the same."""
        if function in WORKERS.values() and not self._is_due(function, now):
            return
        with suppress(NotStoredError):
            store.put_mark(name_of(function), now.isoformat())
            self._marked[function] = now

    def _is_due(self, function: str, now: datetime) -> bool:
        """Return whether a worker marks this run: not twice in a minute, and not a lone one."""
        ran, self._ran[function] = self._ran.get(function), now
        if ran is None or now > ran + TRICKLE:
            return False
        marked = self._marked.get(function)
        return marked is None or now >= marked + APART


@lru_cache(maxsize=1)
def run_marks() -> RunMarks:
    """Return those of this environment."""
    return RunMarks()


def name_of(function: str) -> str:
    """Return the name of a function's mark."""
    return f"run:{function}"


def last_runs(store: Store, functions: list[str]) -> dict[str, datetime]:
    """Return when each of these functions last ended a run well; none for one that never did."""
    marks = store.marks([name_of(each) for each in functions]) if functions else {}
    found = {each: instant_or_none(marks.get(name_of(each))) for each in functions}
    return {each: at for each, at in found.items() if at is not None}
