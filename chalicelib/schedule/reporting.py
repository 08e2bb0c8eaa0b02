"""The report that the tick leaves for whoever scrapes the stage (`core/stage_report.py`)."""

from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from itertools import islice

from chalicelib import log
from chalicelib.core.context import Context
from chalicelib.core.delivery.target_state import TargetState
from chalicelib.core.errors import ConflictError, NotStoredError
from chalicelib.core.event import Severity
from chalicelib.core.incident import IncidentStatus
from chalicelib.core.listing import pages
from chalicelib.core.ports import Store
from chalicelib.core.routing import all_targets
from chalicelib.core.rule import Rules, shown
from chalicelib.core.stage_report import REPORT, SCRAPED, StageReport, TargetReport, is_scraped
from chalicelib.messages import codec
from chalicelib.process.rules_digest import rules_digest
from chalicelib.schedule.health import Health
from chalicelib.schedule.lateness import OVERDUE, UNDELIVERED

MAX_PAGES = 10
"""So many pages of open incidents are counted: some thousands."""


def leave_report(*, rules: Rules, store: Store, health: Health, seconds: Mapping[str, float], now: datetime) -> bool:
    """Leave a report if the stage is scraped. Return whether one was left: a table that refuses costs a minute of figures."""
    try:
        if not is_scraped(store.marks([SCRAPED]).get(SCRAPED), now):
            return False
        store.put_mark(
            REPORT, codec.dumps(report_of(rules=rules, store=store, health=health, seconds=seconds, now=now))
        )
    except (ConflictError, NotStoredError) as error:
        log.line("tick", report=False, reason=str(error))
        return False
    return True


def report_of(
    *, rules: Rules, store: Store, health: Health, seconds: Mapping[str, float], now: datetime
) -> StageReport:
    """Return what is known of the stage."""
    return StageReport(
        at=now,
        undelivered=seconds.get(UNDELIVERED, 0.0),
        overdue=seconds.get(OVERDUE, 0.0),
        late=health.late,
        waiting=health.waiting,
        dead=health.dead,
        incidents=_open_incidents(store),
        targets=_targets(rules, store),
        silences=_silences(store.context(), now),
        rules=rules_digest(rules)[:8],
    )


def _open_incidents(store: Store) -> dict[str, int]:
    """Return how many incidents are open of each severity."""
    found = Counter({each.value: 0 for each in Severity})
    names: set[str] = set()
    for page in islice(pages(store), MAX_PAGES):
        for each in page.summaries:
            if each.status is IncidentStatus.OPEN and each.name not in names:
                names.add(each.name)
                found[each.severity.value] += 1
    return dict(found)


def _targets(rules: Rules, store: Store) -> dict[str, TargetReport]:
    keys = [each.key for each in all_targets(rules)]
    states = store.target_states(keys) if keys else {}
    return {shown(key): _target(states.get(key) or TargetState(key)) for key in keys}


def _target(state: TargetState) -> TargetReport:
    health = state.health
    works = health.failing_since is None and not health.is_broken and not health.refusal
    return TargetReport(works, sum(slot.leased_until is None for slot in state.slots.values()))


def _silences(context: Context, now: datetime) -> int:
    return sum(each.starts_at <= now < each.ends_at for each in context.all_silences)
