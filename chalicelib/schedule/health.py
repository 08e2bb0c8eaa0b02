"""What the tick finds out about the rest of its stage, so that few alarms are enough for all of it.

- How late a scheduled function is: it runs, but fails or is given up, or nobody calls it.
- How long a queue has waited for its worker: messages that nobody takes, or that are taken while no run of the worker ends
  well, since it fails each time or Lambda has no room for it.
- How many dead letters there are.

Each is one metric of the stage in the log line of the tick, and the line names the functions and queues. The tick itself is
known by that line. What it must remember of the queues is a mark in the table, which is written only while a queue holds
something.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Protocol

from chalicelib.core.ports import Store
from chalicelib.schedule.reconciliation import instant_or_none
from chalicelib.schedule.runs import PERIODS, WORKERS, last_runs, name_of

LATE_RUNS, WAITING, DEAD_LETTERS = "LateRunSeconds", "WaitingSeconds", "DeadLetters"
"""The metrics, beside those of `lateness.py`."""
BACKLOG = "backlog"
FORGOTTEN = timedelta(minutes=3)
"""After so long without a tick nothing is known of how long a queue has waited."""
NAMED_SECONDS = 60.0
"""What is late or waits for less is on its way, and the log line does not name it."""
COUNTED_MINUTES = 5
"""How often the dead letters are counted: each queue is a request to SQS."""


class Queue(Protocol):
    """A queue that says how much is in it."""

    def held(self) -> tuple[int, int]:
        """Return how many messages can be seen, and how many are hidden since somebody has taken them."""
        ...


@dataclass(frozen=True, slots=True)
class Backlog:
    """What one tick leaves for the next: since when each queue has had messages to take, or any at all; how many are dead."""

    at: datetime
    visible: Mapping[str, datetime] = field(default_factory=dict)
    held: Mapping[str, datetime] = field(default_factory=dict)
    dead: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Health:
    """Seconds and counts by metric, and what they are about, by name.

    `late` has all scheduled functions, `waiting` all queues that Lambda empties, `dead` all queues with dead letters.
    """

    seconds: Mapping[str, float]
    counts: Mapping[str, float]
    named: Mapping[str, Mapping[str, float]]
    late: Mapping[str, float] = field(default_factory=dict)
    waiting: Mapping[str, float] = field(default_factory=dict)
    dead: Mapping[str, int] = field(default_factory=dict)


def look(*, store: Store, queues: Mapping[str, Queue], dead: Mapping[str, Queue], now: datetime) -> Health:
    """Look at the functions, the queues and their dead letters. NotStoredError when the table or SQS does not answer."""
    marks = store.marks([BACKLOG, *map(name_of, PERIODS)])
    before = read(marks.get(BACKLOG), now)
    counted = {name: sum(queue.held()) for name, queue in dead.items()} if _counts(before, now) else before.dead
    found = seen(before, {name: queue.held() for name, queue in queues.items()}, counted, now)
    if written(found) != written(before) or found.held:
        store.put_mark(BACKLOG, written(found))
    late = late_runs(store, marks, now)
    waiting = waits(found, last_runs(store, [WORKERS[name] for name in found.held]))
    letters = {name: float(count) for name, count in found.dead.items() if count}
    return Health(
        {LATE_RUNS: max(late.values(), default=0.0), WAITING: max(waiting.values(), default=0.0)},
        {DEAD_LETTERS: sum(letters.values())},
        {name: each for name, each in (("late", _long(late)), ("waiting", _long(waiting)), ("dead", letters)) if each},
        late=dict.fromkeys(PERIODS, 0.0) | late,
        waiting=dict.fromkeys(queues, 0.0) | waiting,
        dead=found.dead,
    )


def _long(seconds: Mapping[str, float]) -> dict[str, float]:
    return {name: each for name, each in seconds.items() if each >= NAMED_SECONDS}


def _counts(before: Backlog, now: datetime) -> bool:
    """Return whether dead letters are counted by this tick: each five minutes, and more often while there are any."""
    return now.minute % COUNTED_MINUTES == 0 or not before.dead or any(before.dead.values())


def late_runs(store: Store, marks: Mapping[str, str], now: datetime) -> dict[str, float]:
    """Return by how many seconds each scheduled function is later than its next run should be.

    One that never ran is late from now on.
    """
    late = {}
    for function, period in PERIODS.items():
        last = instant_or_none(marks.get(name_of(function)))
        if last is None:
            store.put_mark(name_of(function), now.isoformat())
        elif now > last + period:
            late[function] = (now - last - period).total_seconds()
    return late


def seen(before: Backlog, held: Mapping[str, tuple[int, int]], dead: Mapping[str, int], now: datetime) -> Backlog:
    """Return what is known after another look at the queues: `held` by queue, what can be seen and what is hidden."""
    is_known = now - before.at < FORGOTTEN
    visible, some = (before.visible, before.held) if is_known else ({}, {})
    return Backlog(
        now,
        {name: visible.get(name, now) for name, (waiting, _) in held.items() if waiting},
        {name: some.get(name, now) for name, both in held.items() if sum(both)},
        dead,
    )


def waits(backlog: Backlog, runs: Mapping[str, datetime]) -> dict[str, float]:
    """Return for how many seconds each queue has waited for its worker.

    What is hidden waits as well, as long as no run of the worker ends well. A queue whose messages are all taken between two
    looks does not wait.
    """
    found = {}
    for name, since in backlog.held.items():
        well = max(since, runs.get(WORKERS[name], since))
        waited = backlog.at - min(well, backlog.visible.get(name, well))
        found[name] = max(waited, timedelta(0)).total_seconds()
    return {name: seconds for name, seconds in found.items() if seconds}


def written(backlog: Backlog) -> str:
    """Return the text of the mark. Of a stage where nothing waits it is always the same: then it is not written again."""
    form: dict[str, Any] = {"dead": dict(backlog.dead)}
    if backlog.held:
        form |= {"at": backlog.at.isoformat()}
        form |= {
            name: {queue: at.isoformat() for queue, at in getattr(backlog, name).items()}
            for name in ("visible", "held")
        }
    return json.dumps(form, sort_keys=True)


def read(text: str | None, now: datetime) -> Backlog:
    """Return what a mark says; nothing where there is none, or it is not what a tick writes."""
    try:
        form = json.loads(text or "{}")
        visible, held = (
            {queue: datetime.fromisoformat(at) for queue, at in form.get(name, {}).items()}
            for name in ("visible", "held")
        )
        dead = {str(name): int(count) for name, count in form.get("dead", {}).items()}
        return Backlog(datetime.fromisoformat(form.get("at") or now.isoformat()), visible, held, dead)
    except (ValueError, TypeError, AttributeError):
        return Backlog(now)
