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


def test_what_tells_nobody_is_not_paced() -> None:
    """Bringing a message up to date neither waits in the queue nor takes a place in it."""
    lane = Lane("x", next_at=NOW + 100 * SECOND)
    grant = ask(lane, wanted(seq=2, reason=Reason.SYNC), thread=Thread("t", done_seq=1))
    assert (grant.claim, grant.lane.next_at) == (Claim.MINE, NOW + 100 * SECOND)


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
    lane = lanes.recovered(probe.lane, "i2", tested=False)
    assert not lanes.needs_recovery(lane)
    assert ask(lane, wanted("i3"), at + 2 * SECOND).claim is Claim.MINE


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
