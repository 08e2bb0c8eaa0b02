"""What the tick finds out about functions and queues: each trouble is seen as soon as it is one, and health is quiet."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from chalicelib.core.errors import NotStoredError
from chalicelib.schedule.health import BACKLOG, Backlog, late_runs, look, read, seen, waits, written
from chalicelib.schedule.runs import PERIODS, RunMarks, last_runs, name_of
from deploy.alarms import LATE_RUN_SECONDS, MAX_LATE_SECONDS
from simulation.memory_store import MemoryStore

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)


# ---------------------------------------------------------------------------------------------------------------------
# Functions that run by schedule


def latest(function: str, failing: int, *, tick_at: int, took: int) -> float:
    """Return the most seconds that ticks see a function late by, of which so many runs in a row fail.

    Runs begin at whole periods and take so long; ticks look at that second of each minute.
    """
    period, store = PERIODS[function], MemoryStore()
    for each in PERIODS:
        store.put_mark(name_of(each), (NOW + timedelta(days=1)).isoformat())
    good = [NOW + n * period + took * SECOND for n in range(12) if not 3 <= n < 3 + failing]
    found = [0.0]
    for minute in range(1, 12 * int(period / MINUTE)):
        now = NOW + minute * MINUTE + tick_at * SECOND
        store.put_mark(name_of(function), max(at for at in good if at <= now).isoformat())
        late = late_runs(store, store.marks([name_of(each) for each in PERIODS]), now)
        found.append(late.get(function, 0.0))
    return max(found)


OFFSETS = [(tick_at, took) for tick_at in (0, 1, 15, 30, 45, 59) for took in (0, 5, 30, 59)]


@pytest.mark.parametrize(("tick_at", "took"), OFFSETS)
@pytest.mark.parametrize(("function", "failing"), [("watch", 3), ("record", 1), ("repair", 1)])
def test_a_function_that_fails_is_late(function: str, failing: int, tick_at: int, took: int) -> None:
    """Given runs that fail, three in a row of what runs each minute or one of another → late enough for the alarm."""
    assert latest(function, failing, tick_at=tick_at, took=took) >= LATE_RUN_SECONDS


@pytest.mark.parametrize(("tick_at", "took"), OFFSETS)
@pytest.mark.parametrize(("function", "failing"), [("watch", 0), ("watch", 1), ("record", 0), ("repair", 0)])
def test_a_function_that_runs_is_not_late(function: str, failing: int, tick_at: int, took: int) -> None:
    """Given good runs, or one of each minute that failed in passing → not late enough for the alarm."""
    assert latest(function, failing, tick_at=tick_at, took=took) < LATE_RUN_SECONDS


def test_a_function_that_never_ran_is_late_from_the_first_look_on() -> None:
    """Given a function that nobody ever called → it is late as long as the tick has looked for it."""
    store = MemoryStore()
    assert late_runs(store, {}, NOW) == {}
    marks = store.marks([name_of(each) for each in PERIODS])
    assert late_runs(store, marks, NOW + 4 * MINUTE) == {"watch": 180.0}


# ---------------------------------------------------------------------------------------------------------------------
# Queues


def waited(looks: list[tuple[int, int]], runs: list[int] = ()) -> list[float]:  # type: ignore[assignment]
    """Return for how long a queue has waited at each look, a minute apart; good runs of its worker at these minutes."""
    backlog, found = Backlog(NOW), []
    for minute, held in enumerate(looks):
        now = NOW + minute * MINUTE
        backlog = seen(backlog, {"webhooks": held}, {}, now)
        last = [NOW + run * MINUTE for run in runs if run <= minute]
        known = {"process_webhooks": max(last)} if last else {}
        backlog = read(written(backlog), now) if backlog.held else Backlog(now)
        found.append(waits(backlog, known).get("webhooks", 0.0))
    return found


TROUBLES = {
    "nobody takes a message": ([(1, 0)] * 6, []),
    "too few are taken": ([(9, 2), (20, 2), (3, 2), (1, 2), (7, 2), (2, 2)], [0, 1, 2, 3, 4, 5]),
    "a lone message finds no room": ([(1, 0), (0, 1), (0, 1), (1, 0), (0, 1), (0, 1)], []),
    "a lone message ends its worker each time": ([(0, 1)] * 6, []),
    "since then no run ended well": ([(0, 1)] * 8, [2]),
}
HEALTH = {
    "nothing": ([(0, 0)] * 9, []),
    "busy": ([(9, 1), (0, 2), (20, 2), (3, 1), (0, 1), (7, 2), (1, 1), (0, 3)], list(range(9))),
    "a run ended well in between": ([(0, 1)] * 8, [4]),
    "empty in between": ([(1, 1), (1, 1), (1, 1), (0, 0), (1, 0), (1, 0), (1, 0)], []),
}


@pytest.mark.parametrize(("looks", "runs"), TROUBLES.values(), ids=[*TROUBLES])
def test_a_queue_that_waits_for_five_minutes_is_seen(looks: list[tuple[int, int]], runs: list[int]) -> None:
    """Given five minutes in which a queue is not worked off → the last look is the first that is enough for the alarm."""
    found = waited(looks, runs)
    assert [each >= MAX_LATE_SECONDS for each in found] == [False] * (len(looks) - 1) + [True]


@pytest.mark.parametrize(("looks", "runs"), HEALTH.values(), ids=[*HEALTH])
def test_a_queue_that_is_worked_off_does_not_wait(looks: list[tuple[int, int]], runs: list[int]) -> None:
    """Given a queue that holds messages while its worker gets on → never enough for the alarm."""
    assert max(waited(looks, runs)) < MAX_LATE_SECONDS


def test_what_a_tick_did_not_see_is_not_known() -> None:
    """Given an hour without a tick between two looks at a queue → it has waited since the second, as far as is known."""
    first = seen(Backlog(NOW), {"webhooks": (1, 0)}, {}, NOW)
    later = seen(first, {"webhooks": (1, 0)}, {}, NOW + 60 * MINUTE)
    assert waits(later, {}) == {}


@pytest.mark.parametrize(
    "text", [None, "", "{", "[]", '{"dead": 1}', '{"held": {"webhooks": "soon"}}', '{"dead": {"a": "x"}}']
)
def test_a_mark_that_is_no_mark_is_none(text: str | None) -> None:
    """Given a text that no tick has written → nothing is known."""
    assert read(text, NOW) == Backlog(NOW)


# ---------------------------------------------------------------------------------------------------------------------
# One look


class Counted:
    """A queue with so many messages, that counts how often it is asked."""

    def __init__(self, *held: tuple[int, int]) -> None:
        self._held = iter([*held, *[held[-1]] * 1_000])
        self.asked = 0

    def held(self) -> tuple[int, int]:
        """The next of them."""
        self.asked += 1
        return next(self._held)


class Stage:
    """A stage that is looked at each minute, and whose scheduled functions run."""

    def __init__(self, **queues: Counted) -> None:
        names = ("webhooks", "counts", "notifications")
        self.store = MemoryStore()
        self.queues = {name: queues.get(name, Counted((0, 0))) for name in names}
        self.dead = {name: queues.get(f"{name}_dead", Counted((0, 0))) for name in (*names, "history")}
        self.now = NOW

    def minutes(self, count: int) -> Iterator[dict[str, float]]:
        """Yield the metrics of so many minutes."""
        for _ in range(count):
            for function in PERIODS:
                self.store.put_mark(name_of(function), self.now.isoformat())
            found = look(store=self.store, queues=self.queues, dead=self.dead, now=self.now)
            self.now += MINUTE
            yield {**found.seconds, **found.counts}


def test_a_quiet_stage_costs_no_writes_and_few_requests() -> None:
    """Given a quiet hour → nothing is written but the first mark, each queue is counted each minute, dead letters each five."""
    stage = Stage()
    assert all(not any(each.values()) for each in stage.minutes(60))
    assert stage.store.writes == 60 * len(PERIODS) + 1
    assert {each.asked for each in stage.queues.values()} == {60}
    assert {each.asked for each in stage.dead.values()} == {12}


def test_dead_letters_are_seen_within_five_minutes_and_until_they_are_gone() -> None:
    """Given a dead letter that comes and is played back → it is reported from the next count on, and not for longer."""
    stage = Stage(counts_dead=Counted((0, 0), (2, 1), (2, 1), (0, 0)))
    assert [each["DeadLetters"] for each in stage.minutes(9)] == [0, 0, 0, 0, 0, 3, 3, 0, 0]


def test_the_worker_of_a_queue_that_waits_is_asked_for() -> None:
    """Given messages that are taken all the time → the queue waits only until a run of its worker has ended well."""
    stage = Stage(notifications=Counted((0, 1)))
    assert [each["WaitingSeconds"] for each in stage.minutes(4)] == [0, 60, 120, 180]
    marks = RunMarks()
    for _ in range(2):
        marks.mark(stage.store, "deliver_notification", stage.now)
    assert [each["WaitingSeconds"] for each in stage.minutes(3)] == [0, 60, 120]
    assert BACKLOG in stage.store.marks([BACKLOG])


# ---------------------------------------------------------------------------------------------------------------------
# Marks


def test_a_busy_worker_marks_one_run_a_minute() -> None:
    """Given a run each second → a mark each minute; a scheduled function marks each run."""
    marks, store = RunMarks(), MemoryStore()
    for second in range(150):
        marks.mark(store, "process_webhooks", NOW + second * SECOND)
    assert store.writes == 3
    assert last_runs(store, ["process_webhooks", "watch"]) == {"process_webhooks": NOW + 2 * MINUTE + SECOND}
    for _ in range(2):
        marks.mark(store, "watch", NOW)
    assert store.writes == 5


def test_a_lone_message_costs_no_mark() -> None:
    """Given a run each ten minutes → none is marked; one that follows another within five minutes is."""
    marks, store = RunMarks(), MemoryStore()
    for minute in (0, 10, 20):
        marks.mark(store, "deliver_notification", NOW + minute * MINUTE)
    assert store.writes == 0
    marks.mark(store, "deliver_notification", NOW + 24 * MINUTE)
    assert last_runs(store, ["deliver_notification"]) == {"deliver_notification": NOW + 24 * MINUTE}


def test_a_mark_that_cannot_be_stored_harms_no_run() -> None:
    """Given a table that is away → the run is done all the same, and the next one marks."""

    class Away(MemoryStore):
        away = True

        def put_mark(self, name: str, text: str) -> None:
            if self.away:
                raise NotStoredError("the table does not answer")
            super().put_mark(name, text)

    marks, store = RunMarks(), Away()
    marks.mark(store, "process_counts", NOW - SECOND)
    marks.mark(store, "process_counts", NOW)
    store.away = False
    marks.mark(store, "process_counts", NOW + SECOND)
    assert last_runs(store, ["process_counts"]) == {"process_counts": NOW + SECOND}
