"""The page of the router, as values: what waits, what comes in, what goes out, and which functions run.

All of it is in the table: the tick and the workers leave marks there, so the page asks no queue. A part that could not
be read is None, and the page says so in its place.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

from chalicelib import plugins
from chalicelib.core.context import Context
from chalicelib.core.delivery.target_state import TargetState
from chalicelib.core.errors import TocsinError
from chalicelib.core.month_cost import MonthCost, month_cost
from chalicelib.core.ports import Store
from chalicelib.core.routing import all_targets
from chalicelib.core.rule import Rules
from chalicelib.process.displaced import RULES
from chalicelib.process.look import CHANGED_AT
from chalicelib.process.rules_digest import rules_digest
from chalicelib.rules.probe_cost import probes_usd
from chalicelib.schedule import health
from chalicelib.schedule.last_seen import is_quiet
from chalicelib.schedule.reconciliation import instant_or_none
from chalicelib.schedule.runs import PERIODS, WORKERS, last_runs
from chalicelib.web.rules import activities

LATE = timedelta(minutes=1)
"""A run that is later than that is late: EventBridge needs some seconds."""


T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class QueueRow:
    """A queue, since when it holds anything, for how long it waits for its worker, and its dead letters.

    `dead` is None where no tick has counted them yet.
    """

    name: str
    since: datetime | None = None
    waits: timedelta = timedelta(0)
    dead: int | None = None


@dataclass(frozen=True, slots=True)
class RunRow:
    """A function and when it last ended a run well. `period` is None for a worker, which runs when there is something."""

    name: str
    last_at: datetime | None = None
    period: timedelta | None = None
    late: bool = False


@dataclass(frozen=True, slots=True)
class SourceRow:
    """A source. `quiet` says that it has been silent for longer than it ever is."""

    name: str
    last_at: datetime | None = None
    times: int = 0
    quiet: bool = False
    declared: bool = False


@dataclass(frozen=True, slots=True)
class TargetRow:
    """A target by its key, and what is known of it: `ok`, `unknown`, `failing`, `broken` or `refused`, since when or why."""

    key: str
    state: str
    since: datetime | None = None
    why: str = ""
    waiting: int = 0
    closed_until: datetime | None = None


@dataclass(frozen=True, slots=True)
class RouterView:
    """The state of the stage. `is_current` says that the workers know the rules that this function has."""

    queues: tuple[QueueRow, ...] | None
    runs: tuple[RunRow, ...] | None
    targets: tuple[TargetRow, ...] | None
    sources: tuple[SourceRow, ...]
    rules: str
    is_current: bool
    rules_changed_at: datetime | None
    began_at: datetime | None
    cost: MonthCost | None

    @property
    def dead(self) -> int | None:
        """Return how many dead letters there are; None where that is not known."""
        known = [each.dead for each in self.queues or () if each.dead is not None]
        return sum(known) if known else None


def router_view(store: Store, rules: Rules, context: Context, now: datetime) -> RouterView:
    """Return what is known of the stage."""
    runs = _part(lambda: last_runs(store, [*PERIODS, *WORKERS.values()]))
    backlog = _part(lambda: health.read(store.marks([health.BACKLOG]).get(health.BACKLOG), now))
    digest = rules_digest(rules)
    return RouterView(
        queues=_queues(backlog, runs or {}) if backlog is not None else None,
        runs=_runs(runs, now) if runs is not None else None,
        targets=_part(lambda: _targets(store, rules, now)),
        sources=tuple(_sources(rules, context, now)),
        rules=digest[:8],
        is_current=context.marks.get(RULES) in (None, digest),
        rules_changed_at=instant_or_none(context.marks.get(CHANGED_AT)),
        began_at=(began_at := instant_or_none(context.marks.get("began_at"))),
        cost=_part(lambda: month_cost(store.stage_counts(), probes_usd=probes_usd(rules), began_at=began_at, now=now)),
    )


def _part(read: Callable[[], T]) -> T | None:
    """Return what is read; None where the table does not answer."""
    try:
        return read()
    except TocsinError:
        return None


def _queues(backlog: health.Backlog, runs: Mapping[str, datetime]) -> tuple[QueueRow, ...]:
    waits = health.waits(backlog, runs)
    names = [*WORKERS, *sorted(backlog.dead.keys() - WORKERS.keys())]
    return tuple(
        QueueRow(name, backlog.held.get(name), timedelta(seconds=waits.get(name, 0.0)), backlog.dead.get(name))
        for name in names
    )


def _runs(runs: Mapping[str, datetime], now: datetime) -> tuple[RunRow, ...]:
    scheduled = [_scheduled(name, runs.get(name), period, now) for name, period in PERIODS.items()]
    return (*scheduled, *(RunRow(name, runs.get(name)) for name in WORKERS.values()))


def _scheduled(name: str, last: datetime | None, period: timedelta, now: datetime) -> RunRow:
    return RunRow(name, last, period, late=last is not None and now > last + period + LATE)


def _sources(rules: Rules, context: Context, now: datetime) -> list[SourceRow]:
    """Return the sources that ever sent something, and those that the rules file declares; the last one first."""
    known, declared = activities(context), {str(each.get("name")) for each in rules.sources}
    rows = [
        SourceRow(name, found.last_at, found.times, is_quiet(found, now), name in declared)
        for name, found in known.items()
    ]
    rows.sort(key=lambda each: each.last_at or now, reverse=True)
    return [*rows, *(SourceRow(name, declared=True) for name in sorted(declared - known.keys()))]


def silent_plugins(view: RouterView) -> list[str]:
    """Return the sources that are built in and never sent anything."""
    known = {each.name for each in view.sources}
    return [name for name in plugins.names("sources") if name not in known and name != plugins.GENERIC]


def _targets(store: Store, rules: Rules, now: datetime) -> tuple[TargetRow, ...]:
    keys = [each.key for each in all_targets(rules)]
    states = store.target_states(keys) if keys else {}
    return tuple(_target(key, states.get(key), now) for key in keys)


def _target(key: str, state: TargetState | None, now: datetime) -> TargetRow:
    if state is None:
        return TargetRow(key, "unknown")
    word, since, why = _health(state)
    closed = state.gate.closed_until
    return TargetRow(key, word, since, why, _waiting(state), closed if closed is not None and closed > now else None)


def _waiting(state: TargetState) -> int:
    """Return how many deliveries wait. One that is under way, or was delivered last, has a lease."""
    return sum(slot.leased_until is None for slot in state.slots.values())


def _health(state: TargetState) -> tuple[str, datetime | None, str]:
    known = state.health
    if known.refusal:
        return "refused", None, known.refusal
    if known.is_broken:
        return "broken", known.broken_at, ""
    return ("failing", known.failing_since, "") if known.failing_since else ("ok", None, "")
