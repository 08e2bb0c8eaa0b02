"""Labelled days under the shipped rules meet the goals of `bench/signals.py`, and its figures notice what they are for."""

from dataclasses import replace
from datetime import timedelta

import pytest

from bench.signals import ACKED_AFTER, IS_MET, Figures, Played, Player, compared, later_words, measured, rules_for
from simulation.labelled_days import KINDS, Day, Signal, day_of

SEEDS = 2
PAIR = Day("pair", (Signal("a", "api", "page", 0, 60), Signal("b", "api", "page", 20, 60, "other")), {})


def played(day: Day, *, correlated: bool = True, after_ack: timedelta | None = None) -> Played:
    """Play a day by the shipped rules; without the sound of `after_ack` where None."""
    rules = rules_for(day, correlated=correlated)
    if rules.correlate is not None:
        rules = replace(rules, correlate=replace(rules.correlate, after_ack=after_ack, max_age=timedelta(hours=2)))
    return Player(rules).play(day)


@pytest.mark.acceptance
@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_of_day_meets_its_goal(kind: str) -> None:
    """Given small days of a kind → its goal is met, no critical fault that begins after an acknowledgement is lost."""
    without, within = compared(kind, SEEDS, 2)
    assert IS_MET.get(kind, lambda found, days: True)(within, SEEDS)
    assert within.lost_after_ack == 0
    assert within.lost <= without.lost
    assert within.late == []
    assert within.sounds <= without.sounds


@pytest.mark.acceptance
def test_a_region_pages_once_more_for_what_fails_after_an_acknowledgement() -> None:
    """Given a region of 100 services → five incidents and a storm page, that storm once more, and the other fault."""
    day = day_of("region", 0, 4)
    found = measured(played(day, after_ack=timedelta(minutes=2)))
    assert (found.paged, found.pages, found.lost) == (5 + 1 + 1, 5 + 2 + 1, 0)
    assert not IS_MET["region"](Figures(paged=8), 1)


def test_the_same_seed_is_the_same_day() -> None:
    """Given a seed → the day is the same each time, and another seed is another day."""
    assert day_of("night", 1, 2) == day_of("night", 1, 2) != day_of("night", 2, 2)


def test_a_fault_that_joins_is_counted_as_merged_and_its_page_as_a_sound() -> None:
    """Given a second fault within fifteen minutes of an acknowledged one → one incident, two pages, and none is lost."""
    day = replace(PAIR, signals=(PAIR.signals[0], replace(PAIR.signals[1], begins=10.0)))
    found = measured(played(day, after_ack=timedelta(minutes=2)))
    assert (found.pairs, found.openings, found.pages, found.merged, found.lost) == (4, 2, 2, 1, 0)


def test_a_fault_that_joins_an_acknowledged_one_without_a_page_is_lost() -> None:
    """Given a second fault that makes no sound after an acknowledgement and ends soon → it is counted as lost."""
    signals = (PAIR.signals[0], replace(PAIR.signals[1], begins=10.0, ends=14.0))
    found = measured(played(replace(PAIR, signals=signals), after_ack=None))
    assert (found.lost, found.lost_after_ack, found.paging) == (1, 1, 2)


def test_the_first_page_is_acknowledged_once() -> None:
    """Given two faults of one incident → it is acknowledged four minutes after its first page, and never again."""
    day = replace(PAIR, signals=(PAIR.signals[0], replace(PAIR.signals[1], begins=10.0)))
    found = played(day, after_ack=timedelta(minutes=2))
    first = next(each for each in found.sent if each.notification.target.kind == "pagerduty")
    assert list(found.acked_at.values()) == [first.at + ACKED_AFTER]


def test_a_first_word_that_is_missing_or_late_is_found() -> None:
    """Given a run in which a target was notified later, or of less → each such fault and target is named."""
    found = played(PAIR, after_ack=timedelta(minutes=2))
    assert later_words(found, found) == []
    late = replace(found, sent=[replace(each, at=each.at + timedelta(seconds=1)) for each in found.sent])
    assert len(later_words(found, late)) == 4
    assert later_words(late, found) == []
    assert len(later_words(found, replace(found, sent=()))) == 4
