"""Which probes a run takes: new ones at once, each at minutes of its own, lost turns after all, and not too many."""

from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest

from chalicelib.core.probe_state import MAX_PROBES_A_RUN
from chalicelib.schedule.due import due, ran_after

START = datetime(2026, 11, 24, 8, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
Ran = dict[str, datetime]


def probes(count: int, every: object) -> list[tuple[str, Mapping[str, Any]]]:
    """So many probes of an interval."""
    return [("uptime", {"name": f"p{number}", "every": every}) for number in range(count)]


def schedule(
    entries: list[tuple[str, Mapping[str, Any]]], minutes: int, lost: frozenset[int] = frozenset()
) -> list[list[str]]:
    """The names that run in each minute, where the runs of the lost minutes do not come about."""
    ran: Ran = {}
    found = []
    for minute in range(minutes):
        at = START + minute * MINUTE
        taken = [] if minute in lost else due(entries, ran, at)
        ran = ran_after(entries, ran, taken, at)
        found.append([str(params["name"]) for _, params in taken])
    return found


A_DAY = pytest.param("1d", 1440, marks=pytest.mark.acceptance)


@pytest.mark.parametrize(("every", "minutes"), [("2m", 2), ("5m", 5), ("30m", 30), ("1h", 60), A_DAY])
def test_probes_have_minutes_of_their_own(every: str, minutes: int) -> None:
    """Given 200 new probes of an interval → all at once first, then each once an interval, spread over its minutes."""
    found = schedule(probes(200, every), 3 * minutes + 1)
    assert len(found[0]) == 200
    later = found[minutes + 1 : 2 * minutes + 1]
    assert Counter(name for names in later for name in names) == Counter(f"p{number}" for number in range(200))
    assert max(map(len, later)) <= 200 / minutes * 2 + 5
    assert later == found[2 * minutes + 1 :]


def test_a_lost_turn_is_taken_by_the_next_run() -> None:
    """Given a probe of a day whose minute is lost, with the two after it → it runs in the next minute, and once."""
    entries = probes(1, "1d")
    (turn,) = [minute for minute, names in enumerate(schedule(entries, 1440)) if names and minute]
    found = schedule(entries, 1440, frozenset({turn, turn + 1, turn + 2}))
    assert [minute for minute, names in enumerate(found) if names] == [0, turn + 3]


def test_a_new_interval_holds_from_now_on() -> None:
    """Given a probe that ran this minute and is of every minute then → it runs in the next one."""
    ran = ran_after(probes(1, "1d"), {}, probes(1, "1d"), START)
    assert due(probes(1, "1d"), ran, START + MINUTE) == []
    assert due(probes(1, 1), ran, START + MINUTE) == probes(1, 1)


def test_more_probes_than_fit_take_turns() -> None:
    """Given more probes of every minute than one run takes → no run has more, and none of them waits long."""
    found = schedule(probes(MAX_PROBES_A_RUN + 200, 1), 4)
    assert list(map(len, found)) == [MAX_PROBES_A_RUN] * 4
    for earlier, later in pairwise(found):
        assert len({*earlier, *later}) == MAX_PROBES_A_RUN + 200


def test_what_must_be_remembered() -> None:
    """Given probes that fit into a run → those of every minute are not remembered, nor those that left the file."""
    entries = [*probes(3, 1), *probes(2, "5m")]
    assert len(ran_after(entries, {"gone": START}, entries, START)) == 2
