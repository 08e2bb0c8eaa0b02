"""Whose turn it is at one target: claims, order, pace and places in the queue, as decisions on values."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from chalicelib.core.delivery import target_state as lanes
from chalicelib.core.delivery.delivery_log import Result, Thread, delivered, given_up
from chalicelib.core.delivery.notification import Notification, Reason, Receipt
from chalicelib.core.delivery.target_state import LEASE, Claim, Grant, Lane, Pace, Turn, claimed
from chalicelib.core.event import Severity
from chalicelib.core.rule import Target

NOW = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)
HOUR = timedelta(hours=1)
PACE = Pace(SECOND)
RESULT = Result(1, NOW, "opened", True)


def wanted(incident: str = "i1", seq: int = 1, **changes: object) -> Notification:
    """A notification of an incident."""
    fields: dict[str, object] = {
        "id": f"{incident}/{seq}", "incident": incident, "key": "k", "seq": seq, "target": Target("slack_channel", "#x"),
        "reason": Reason.OPENED, "status": "firing", "severity": Severity.WARNING, "title": "t", "at": NOW,
        "started_at": NOW, "alerts": (), "events": 1,
    }  # fmt: skip
    return Notification(**{**fields, **changes})  # type: ignore[arg-type]


def ask(
    lane: Lane, one: Notification, now: datetime = NOW, *, thread: Thread | None = None, pace: Pace | None = PACE
) -> Grant:
    """Claim for it."""
    return claimed(lane, thread or Thread("t"), one, pace=pace, now=now)


def under_way(**changes: object) -> Turn:
    """A turn that a worker holds."""
    return replace(Turn(1, NOW, NOW, tries=1, leased_until=NOW + LEASE), **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("done", "seq", "turn", "after", "claim"),
    [
        (0, 1, None, 0, Claim.MINE),
        (1, 1, None, 0, Claim.DONE),
        (2, 1, None, 0, Claim.DONE),
        (0, 2, None, 0, Claim.MINE),
        (0, 1, under_way(), 1, Claim.BUSY),
        (0, 1, under_way(), 89, Claim.BUSY),
        (0, 1, under_way(), 90, Claim.MINE),
        (1, 2, under_way(), 1, Claim.MINE),
        (0, 2, under_way(), 1, Claim.BUSY),
        (0, 1, Turn(1, NOW + 30 * SECOND, NOW, tries=1), 29, Claim.BUSY),
        (0, 1, Turn(1, NOW + 30 * SECOND, NOW, tries=1), 30, Claim.MINE),
    ],
)
def test_three_answers(done: int, seq: int, turn: Turn | None, after: int, claim: Claim) -> None:
    """What is done is done; a try that is under way goes first; a dead worker's lease runs out."""
    lane = Lane("slack_channel:#x", turns={"i1": turn} if turn else {})
    grant = ask(lane, wanted(seq=seq), NOW + after * SECOND, thread=Thread("t", done_seq=done))
    assert grant.claim is claim
    assert (grant.lane is lane) == (claim is not Claim.MINE)


def test_a_dead_worker_leaves_doubt() -> None:
    """Whoever takes over a lease that ran out knows that the message may have arrived, and how long it has been."""
    grant = ask(Lane("x", turns={"i1": under_way()}), wanted(), NOW + LEASE)
    assert grant.turn is not None
    assert (grant.turn.in_doubt, grant.turn.tries, grant.turn.since) == (True, 2, NOW)


def test_a_lone_notification_costs_one_write_and_no_wait() -> None:
    """The claim carries the pace: nothing is written for pacing alone."""
    grant = ask(Lane("x"), wanted())
    assert (grant.claim, grant.lane.version, grant.lane.next_at) == (Claim.MINE, 1, NOW + SECOND)


def test_a_burst_gets_places_one_interval_apart() -> None:
    """Each newcomer is told when to come back, keeps its place by name, and is served at that time."""
    lane = ask(Lane("x"), wanted("i0")).lane
    waits = []
    for number in range(1, 6):
        grant = ask(lane, wanted(f"i{number}"))
        assert grant.claim is Claim.BUSY
        waits.append(grant.wait)
        lane = grant.lane
    assert waits == [n * SECOND for n in range(1, 6)]
    for number in range(1, 6):
        grant = ask(lane, wanted(f"i{number}"), NOW + number * SECOND)
        assert grant.claim is Claim.MINE
        lane = grant.lane


def test_a_late_one_keeps_its_seniority() -> None:
    """Whoever comes after its time waits for the next gap, not for the end of the queue, and writes nothing."""
    lane = Lane(
        "x", turns={f"i{n}": Turn(1, NOW + n * SECOND, NOW, rank=1) for n in range(1, 100)}, next_at=NOW + 5 * SECOND
    )
    grant = ask(lane, wanted("i2"), NOW + 4.25 * SECOND)
    assert (grant.claim, grant.wait, grant.lane is lane) == (Claim.BUSY, 0.75 * SECOND, True)


def test_a_critical_passes_the_warnings_that_wait() -> None:
    """It gets the next gap; the warning whose time that is yields once, the others do not move."""
    queue = {f"i{n}": Turn(1, NOW + n * SECOND, NOW, rank=1) for n in range(1, 100)}
    lane = Lane("x", turns=queue, next_at=NOW + SECOND)
    urgent = wanted("c", severity=Severity.CRITICAL)
    grant = ask(lane, urgent, NOW + SECOND / 2)
    assert grant.wait == SECOND / 2
    yielding = ask(grant.lane, wanted("i1"), NOW + SECOND)
    assert (yielding.claim, yielding.wait) == (Claim.BUSY, SECOND)
    served = ask(grant.lane, urgent, NOW + SECOND)
    assert served.claim is Claim.MINE
    assert ask(served.lane, wanted("i1"), NOW + 2 * SECOND).claim is Claim.MINE


def test_nobody_yields_for_ever() -> None:
    """A critical whose message is lost holds the others for a minute."""
    lane = Lane("x", turns={"c": Turn(1, NOW, NOW, rank=0)})
    assert ask(lane, wanted("i1"), NOW + SECOND).claim is Claim.BUSY
    assert ask(lane, wanted("i1"), NOW + 60 * SECOND).claim is Claim.MINE


@pytest.mark.parametrize(("pace", "served"), [(None, 200), (Pace(SECOND), 1), (Pace(SECOND, 5), 5)])
def test_a_bucket_lets_a_burst_through(pace: Pace | None, served: int) -> None:
    """As many as the bucket holds go at once; without a pace all do."""
    lane, mine = Lane("x"), 0
    for number in range(200):
        grant = ask(lane, wanted(f"i{number}"), pace=pace)
        lane, mine = grant.lane, mine + (grant.claim is Claim.MINE)
    assert mine == served


TOGETHER = Pace(SECOND, together=5)


@pytest.mark.parametrize(
    ("crowd", "decided", "served", "why"),
    [
        (3, [0, 0, 0], 3, "one flush tells a few incidents in the second they are due"),
        (5, [0, 0, 0, 0, 0], 5, "as many as may go together"),
        (6, [0, 0, 0, 0, 0, 0], 1, "a crowd keeps to the interval from its first message"),
        (1, [0, 0.1, 0.2], 1, "what was decided at other instants is no crowd that goes together"),
        (2, [0, 0, 0.1, 0.1], 2, "neither does the next pair, so soon after the first"),
    ],
)
def test_a_few_that_were_decided_together_go_together(crowd: int, decided: list[float], served: int, why: str) -> None:
    """They may come faster than the interval; no storm may, spread or not."""
    lane, mine = Lane("x"), 0
    for number, after in enumerate(decided):
        at = NOW + after * SECOND
        grant = ask(lane, wanted(f"i{number}", at=at, crowd=crowd), at, pace=TOGETHER)
        lane, mine = grant.lane, mine + (grant.claim is Claim.MINE)
    assert mine == served, why


def test_the_rate_holds_after_a_few_went_together() -> None:
    """What goes together is paid for: the next one waits until a second for each of them has passed."""
    lane = Lane("x")
    for number in range(3):
        lane = ask(lane, wanted(f"i{number}", crowd=3), pace=TOGETHER).lane
    assert ask(lane, wanted("i9", at=NOW + SECOND), NOW + SECOND, pace=TOGETHER).wait == 2 * SECOND


def test_any_minute_of_pagerduty_holds_at_most_120() -> None:
    """The burst and the minute's rate together stay within the limit of a routing key."""
    pace = Pace(timedelta(seconds=60) / 90, burst=30)
    lane, times = Lane("x"), []
    for number in range(600):
        grant = ask(lane, wanted(f"i{number}"), NOW + number * SECOND / 4, pace=pace)
        if grant.claim is Claim.MINE:
            times.append(NOW + number * SECOND / 4)
            lane = grant.lane
    assert len(times) > 200
    assert all(sum(at <= other < at + 60 * SECOND for other in times) <= 120 for at in times)


TOLD = Thread("t", done_seq=1)
"""The log of a message that was sent."""


def silent(incident: str = "i1", seq: int = 2, **changes: object) -> Notification:
    """A change that only brings a message up to date."""
    return wanted(incident, seq, reason=Reason.SYNC, **changes)


def waiting(count: int, now: datetime = NOW) -> Lane:
    """A lane in which a silent change was just sent and so many wait, two seconds apart."""
    lane = ask(Lane("x"), silent("i0"), now, thread=TOLD, pace=CHANGES).lane
    for number in range(1, count + 1):
        lane = ask(lane, silent(f"i{number}"), now, thread=TOLD, pace=CHANGES).lane
    return lane


CHANGES = Pace(SECOND, burst=3, together=5, silent=2 * SECOND)


def test_silent_changes_wait_for_one_another() -> None:
    """Given one that was sent, then the next ones get places at their own interval, each with one write."""
    lane = waiting(3)
    assert [turn.at - NOW for turn in lane.turns.values()] == [n * 2 * SECOND for n in range(4)]
    assert lane.version == 4
    assert ask(lane, silent("i1"), NOW + 2 * SECOND, thread=TOLD, pace=CHANGES).claim is Claim.MINE


def test_a_silent_change_uses_no_burst() -> None:
    """Given a bucket that is not full, when a silent change comes → it waits until it is, and a warning need not."""
    lane = ask(Lane("x"), wanted("i1"), pace=CHANGES).lane
    assert ask(lane, silent("i2"), thread=TOLD, pace=CHANGES).wait == SECOND
    assert ask(lane, wanted("i2"), pace=CHANGES).claim is Claim.MINE


@pytest.mark.parametrize("after", [0, 0.5, 1.9, 2, 30])
def test_silent_changes_hold_up_what_is_new_by_one_interval_at_most(after: float) -> None:
    """Given 100 silent changes that wait, when a warning comes → it goes within the interval, and they after it."""
    lane, now = waiting(100), NOW + after * SECOND
    grant = ask(lane, wanted("new"), now)
    assert grant.wait <= SECOND
    served = grant if grant.claim is Claim.MINE else ask(grant.lane, wanted("new"), now + grant.wait)
    assert served.claim is Claim.MINE
    assert ask(served.lane, silent("i1"), now + grant.wait, thread=TOLD, pace=CHANGES).claim is Claim.BUSY


def test_a_silent_change_does_not_part_what_goes_together() -> None:
    """Given one of three that were decided together, when a silent change goes between → the others still join it."""
    lane = ask(Lane("x"), wanted("i1", crowd=3), pace=TOGETHER).lane
    lane = ask(lane, silent("i9", at=NOW - HOUR), NOW + SECOND, thread=TOLD, pace=TOGETHER).lane
    assert ask(lane, wanted("i2", crowd=3), NOW + SECOND, pace=TOGETHER).claim is Claim.MINE


def test_a_silent_change_waits_behind_all_that_is_new() -> None:
    """Given warnings that have places, when a silent change comes → its place is behind the last of them."""
    lane = ask(Lane("x"), wanted("i0")).lane
    for number in range(1, 4):
        lane = ask(lane, wanted(f"i{number}")).lane
    assert ask(lane, silent("i9"), thread=TOLD).wait == 4 * SECOND
    known = replace(lane, turns={**lane.turns, "i9": Turn(2, NOW, NOW, rank=lanes.SILENT_RANK)}, next_at=NOW)
    assert ask(known, silent("i9"), NOW, thread=TOLD).wait == 4 * SECOND


def test_silent_changes_that_were_passed_by_come_back_one_after_the_other() -> None:
    """Given ten whose time went by while the target was closed, then each waits for those before it, without a write."""
    lane = replace(waiting(10), closed_until=NOW + 60 * SECOND)
    grants = [ask(lane, silent(f"i{n}"), NOW + 30 * SECOND, thread=TOLD, pace=CHANGES) for n in range(1, 11)]
    assert [grant.wait for grant in grants] == [(30 + 2 * n) * SECOND for n in range(10)]
    assert all(grant.lane is lane for grant in grants)
    late = ask(lane, silent("i10"), NOW + 60 * SECOND, thread=TOLD, pace=CHANGES)
    assert late.claim is Claim.MINE, "the places are appointments: a lost one holds up nobody"


def test_what_is_new_takes_neither_place_nor_age_of_a_silent_change() -> None:
    """Given a silent change that waited for hours, when its incident gets worse → that goes now, and is new."""
    lane = Lane("x", turns={"i1": Turn(2, NOW + HOUR, NOW - HOUR, rank=lanes.SILENT_RANK)})
    grant = ask(lane, wanted(seq=3, reason=Reason.UPDATED), thread=TOLD)
    assert grant.claim is Claim.MINE and grant.turn is not None
    assert (grant.turn.since, grant.turn.rank) == (NOW, Severity.WARNING.rank)
    tried = Lane("x", turns={"i1": replace(lane.turns["i1"], tries=2, in_doubt=True)})
    grant = ask(tried, wanted(seq=3, reason=Reason.UPDATED), thread=TOLD)
    assert grant.claim is Claim.MINE and grant.turn is not None
    assert (grant.turn.since, grant.turn.rank, grant.turn.in_doubt) == (NOW, Severity.WARNING.rank, True)


def test_a_silent_change_keeps_the_place_of_what_it_supersedes() -> None:
    """Given an opening that waits, when its incident is acknowledged → what goes then has the place of the opening."""
    lane = ask(Lane("x", next_at=NOW + SECOND), wanted("i1")).lane
    grant = ask(lane, silent("i1"), NOW + SECOND)
    assert grant.claim is Claim.MINE and grant.turn is not None
    assert grant.turn.rank == Severity.WARNING.rank


@pytest.mark.parametrize("thread", [Thread("t"), Thread("t", done_seq=1, untold=True)])
def test_a_silent_change_that_is_an_opening_is_paced_as_one(thread: Thread) -> None:
    """Given a target that received nothing, when the first to come is a silent change → it has the rank of its severity."""
    grant = ask(Lane("x"), silent("i1"), thread=thread)
    assert grant.turn is not None and grant.turn.rank == Severity.WARNING.rank


def test_few_silent_changes_have_places() -> None:
    """Given as many as may have places, when more come → they come back behind those, and cost no write."""
    lane = waiting(lanes.MAX_SILENT_TURNS)
    grant = ask(lane, silent("new"), thread=TOLD, pace=CHANGES)
    assert grant.lane is lane
    assert (grant.claim, grant.turn, grant.wait) == (Claim.BUSY, None, 2 * (lanes.MAX_SILENT_TURNS + 1) * SECOND)
    assert ask(lane, wanted("new"), NOW, pace=CHANGES).lane is not lane


def test_without_a_pace_a_silent_change_goes_at_once() -> None:
    """Given a target without a pace, when many come → all go."""
    grants = [ask(Lane("x"), silent(f"i{n}"), thread=TOLD, pace=None) for n in range(9)]
    assert {grant.claim for grant in grants} == {Claim.MINE}


@pytest.mark.parametrize(
    ("rank", "of_change", "opening", "update", "change"),
    [
        (1, False, 30, 30, 30),
        (1, True, 0, 30, 30),
        (lanes.SILENT_RANK, False, 0, 0, 30),
        (lanes.SILENT_RANK, True, 0, 30, 30),
    ],
)
def test_a_limit_holds_for_what_it_was_said_of(
    rank: int, of_change: bool, opening: int, update: int, change: int
) -> None:
    """Given a Retry-After to one of a kind → openings, updates and silent changes wait for what concerns them."""
    lane = Lane("x", turns={"i0": under_way(rank=rank)})
    asked = 30 * SECOND
    lane = lanes.failed(lane, "i0", now=NOW, delay=asked, asked=asked, ambiguous=False, of_change=of_change)
    assert lane.failing_since is None
    updated = wanted("i2", 2, reason=Reason.UPDATED)
    waits = [ask(lane, wanted("i1")), ask(lane, updated, thread=TOLD), ask(lane, silent("i3"), thread=TOLD)]
    assert [grant.wait.total_seconds() for grant in waits] == [opening, update, change]


def test_the_targets_own_delay_holds_for_everyone() -> None:
    """Retry-After closes the lane to the moment; whoever has no place yet gets one then."""
    lane = ask(Lane("x"), wanted("i1")).lane
    lane = lanes.failed(lane, "i1", now=NOW, delay=30 * SECOND, asked=30 * SECOND, ambiguous=False)
    assert lane.failing_since is None
    assert ask(lane, wanted("i2"), NOW + SECOND).wait == 29 * SECOND
    assert ask(lane, wanted("i1"), NOW + 29.9 * SECOND).claim is Claim.BUSY
    assert ask(lane, wanted("i1"), NOW + 30 * SECOND).claim is Claim.MINE


def test_the_newest_takes_over_the_turn_of_an_earlier_one() -> None:
    """Given an earlier one that backs off, when the newest claims, then it is tried at once and keeps age and doubt."""
    lane = Lane("x", turns={"i1": Turn(1, NOW + 300 * SECOND, NOW, tries=3, in_doubt=True)})
    grant = ask(lane, wanted(seq=2), NOW + 60 * SECOND)
    assert grant.claim is Claim.MINE
    assert grant.turn is not None
    assert (grant.turn.seq, grant.turn.since, grant.turn.tries, grant.turn.in_doubt) == (2, NOW, 1, True)


@pytest.mark.parametrize("changes", [{}, {"leased_until": None, "at": NOW + HOUR}], ids=["under way", "backs off"])
def test_an_earlier_one_does_not_take_the_turn_of_a_later_one(changes: dict[str, object]) -> None:
    """Given a later one that was tried, when a worker that read the incident before asks → it needs no sending."""
    lane = Lane("x", turns={"i1": under_way(seq=3, in_doubt=True, **changes)})
    grant = ask(lane, wanted(seq=2), NOW + 2 * HOUR)
    assert (grant.claim, grant.lane) == (Claim.DONE, lane)


def test_tries_without_an_outcome_are_counted() -> None:
    """Given leases that run out one after the other, then each grant counts one more death, for a successor too."""
    lane = Lane("x")
    for number in range(3):
        grant = ask(lane, wanted(), NOW + 2 * number * LEASE)
        assert grant.turn is not None
        assert grant.turn.deaths == number
        lane = grant.lane
    grant = ask(lane, wanted(seq=2), NOW + 6 * LEASE)
    assert grant.turn is not None
    assert (grant.turn.deaths, grant.turn.in_doubt) == (3, True)


def test_the_queue_is_bounded_and_forgets() -> None:
    """Over a thousand nobody gets a place by name; one that never came back is dropped after a day."""
    turns = {f"i{n}": Turn(1, NOW + n * SECOND, NOW) for n in range(lanes.MAX_TURNS)}
    grant = ask(Lane("x", turns=turns, next_at=NOW + SECOND), wanted("new"))
    assert (grant.claim, grant.wait, len(grant.lane.turns)) == (Claim.BUSY, 1_000 * SECOND, lanes.MAX_TURNS)
    later = ask(Lane("x", turns=turns), wanted("new"), NOW + timedelta(days=2))
    assert list(later.lane.turns) == ["new"]


def test_a_target_is_broken_after_its_grace_and_then_probed() -> None:
    """Failures without a success mark it once; then one delivery a minute is tried; one success ends it."""
    grace, lane = 15 * 60 * SECOND, ask(Lane("x"), wanted("i1")).lane
    lane = lanes.failed(lane, "i1", now=NOW, delay=5 * SECOND, asked=None, ambiguous=True)
    assert not lanes.breaks(lane, NOW + grace - SECOND, grace)
    assert lanes.breaks(lane, NOW + grace, grace)
    lane = lanes.telling(lanes.broken(lane, NOW + grace), "target.broken")
    assert not lanes.breaks(lane, NOW + 2 * grace, grace)
    at = NOW + grace + lanes.PROBE_INTERVAL
    probe = ask(lane, wanted("i2"), at)
    assert probe.claim is Claim.MINE
    assert ask(probe.lane, wanted("i3"), at + 59 * SECOND).claim is Claim.BUSY
    lane = lanes.recovered(probe.lane, "i2", 1, tested=False)
    assert not lanes.needs_recovery(lane)
    assert ask(lane, wanted("i3"), at + 2 * SECOND).claim is Claim.MINE


@pytest.mark.parametrize(("done", "later"), [(1, Claim.BUSY), (2, Claim.MINE)])
def test_an_outcome_ends_no_turn_of_a_later_notification(done: int, later: Claim) -> None:
    """Given a second notification under way, when the outcome of the first is recorded → no other worker sends it too."""
    lane = ask(Lane("x"), wanted(seq=2)).lane
    for ended in (lanes.finished(lane, "i1", done), lanes.recovered(lane, "i1", done, tested=False)):
        assert ended.version == lane.version + 1
        assert ask(ended, wanted(seq=2), NOW + SECOND).claim is later


@pytest.mark.parametrize(
    ("again", "seq", "claim"), [(0, 2, Claim.DONE), (1, 2, Claim.MINE), (1, 1, Claim.DONE), (1, 3, Claim.MINE)]
)
def test_only_the_newest_that_was_given_up_is_played_back(again: int, seq: int, claim: Claim) -> None:
    """Once for each time it is played back; an older one is history; what follows is not held up."""
    thread = given_up(Thread("t", done_seq=1), wanted(seq=2), RESULT, in_doubt=True)
    assert ask(Lane("x"), wanted(seq=seq, again=again), thread=thread).claim is claim
    after = delivered(thread, wanted(seq=2, again=1), Receipt(), RESULT, in_doubt=False)
    assert ask(Lane("x"), wanted(seq=2, again=1), thread=after).claim is Claim.DONE
    again_given_up = given_up(thread, wanted(seq=2, again=1), RESULT, in_doubt=False)
    assert ask(Lane("x"), wanted(seq=2, again=1), thread=again_given_up).claim is Claim.DONE
    assert ask(Lane("x"), wanted(seq=2, again=2), thread=again_given_up).claim is Claim.MINE


def test_doubt_outlives_a_silent_change_that_was_not_sent() -> None:
    """Given an opening in doubt, when a silent change finds nothing to change → the end still looks for the opening."""
    thread = given_up(Thread("t"), wanted(), RESULT, in_doubt=True)
    silent = wanted(seq=2, reason=Reason.SYNC)
    thread = delivered(thread, silent, Receipt(sent=False), RESULT, in_doubt=True)
    grant = ask(Lane("x"), wanted(seq=3, reason=Reason.RESOLVED), thread=thread)
    assert grant.turn is not None and grant.turn.in_doubt
    assert not thread.untold


@pytest.mark.parametrize(("in_doubt", "silent"), [(True, False), (False, True)])
def test_a_silent_change_shows_what_arrived(in_doubt: bool, silent: bool) -> None:
    """Given all before it given up, when a silent change is delivered → something arrived, where a try was in doubt."""
    untold = given_up(Thread("t"), wanted(), RESULT, in_doubt=False)
    thread = delivered(untold, wanted(seq=2, reason=Reason.SYNC), Receipt(), RESULT, in_doubt=in_doubt)
    assert (thread.in_doubt, thread.silent) == (False, silent)


def test_doubt_outlives_giving_up() -> None:
    """One that may have arrived is looked for when it is played back, and counts as told until then."""
    thread = given_up(Thread("t"), wanted(), RESULT, in_doubt=True)
    grant = ask(Lane("x"), wanted(again=1), thread=thread)
    assert grant.turn is not None and grant.turn.in_doubt
    assert not thread.untold
    assert given_up(Thread("t"), wanted(), RESULT, in_doubt=False).untold
    assert given_up(
        given_up(Thread("t"), wanted(), RESULT, in_doubt=False), wanted(seq=2), RESULT, in_doubt=False
    ).untold
    assert not given_up(
        delivered(Thread("t"), wanted(), Receipt(), RESULT, in_doubt=False), wanted(seq=2), RESULT, in_doubt=False
    ).untold
