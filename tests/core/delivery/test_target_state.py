"""Whose turn it is at one target: claims, order, pace and places in the queue, as decisions on values."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from chalicelib.core.delivery import target_state as target_states
from chalicelib.core.delivery.delivery_log import DeliveryLog, Result, delivered, given_up
from chalicelib.core.delivery.notification import DeliveryHints, IncidentSnapshot, Notification, Reason, Receipt
from chalicelib.core.delivery.target_state import LEASE, Claim, ClaimResult, Gate, Pace, Slot, TargetState, claimed
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
        "id": f"{incident}/{seq}", "incident": IncidentSnapshot(incident, "k", NOW, 1), "seq": seq,
        "target": Target("slack_channel", "#x"), "reason": Reason.OPENED, "status": "firing",
        "severity": Severity.WARNING, "title": "t", "at": NOW, "alerts": (),
    }  # fmt: skip
    return Notification(**{**fields, **changes})  # type: ignore[arg-type]


def ask(
    target_state: TargetState,
    one: Notification,
    now: datetime = NOW,
    *,
    delivery_log: DeliveryLog | None = None,
    pace: Pace | None = PACE,
) -> ClaimResult:
    """Claim for it."""
    return claimed(target_state, delivery_log or DeliveryLog("t"), one, pace=pace, now=now)


def under_way(**changes: object) -> Slot:
    """A turn that a worker holds."""
    return replace(Slot(1, NOW, NOW, tries=1, leased_until=NOW + LEASE), **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("done", "seq", "slot", "after", "claim"),
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
        (0, 1, Slot(1, NOW + 30 * SECOND, NOW, tries=1), 29, Claim.BUSY),
        (0, 1, Slot(1, NOW + 30 * SECOND, NOW, tries=1), 30, Claim.MINE),
    ],
)
def test_three_answers(done: int, seq: int, slot: Slot | None, after: int, claim: Claim) -> None:
    """What is done is done; a try that is under way goes first; a dead worker's lease runs out."""
    target_state = TargetState("slack_channel:#x", slots={"i1": slot} if slot else {})
    claim_result = ask(
        target_state, wanted(seq=seq), NOW + after * SECOND, delivery_log=DeliveryLog("t", done_seq=done)
    )
    assert claim_result.claim is claim
    assert (claim_result.target_state is target_state) == (claim is not Claim.MINE)


def test_a_dead_worker_leaves_doubt() -> None:
    """Whoever takes over a lease that ran out knows that the message may have arrived, and how long it has been."""
    claim_result = ask(TargetState("x", slots={"i1": under_way()}), wanted(), NOW + LEASE)
    assert claim_result.slot is not None
    assert (claim_result.slot.in_doubt, claim_result.slot.tries, claim_result.slot.since) == (True, 2, NOW)


def test_a_lone_notification_costs_one_write_and_no_wait() -> None:
    """The claim carries the pace: nothing is written for pacing alone."""
    claim_result = ask(TargetState("x"), wanted())
    assert (claim_result.claim, claim_result.target_state.version, claim_result.target_state.gate.next_at) == (
        Claim.MINE,
        1,
        NOW + SECOND,
    )


def test_a_burst_gets_places_one_interval_apart() -> None:
    """Each newcomer is told when to come back, keeps its place by name, and is served at that time."""
    target_state = ask(TargetState("x"), wanted("i0")).target_state
    waits = []
    for number in range(1, 6):
        claim_result = ask(target_state, wanted(f"i{number}"))
        assert claim_result.claim is Claim.BUSY
        waits.append(claim_result.wait)
        target_state = claim_result.target_state
    assert waits == [n * SECOND for n in range(1, 6)]
    for number in range(1, 6):
        claim_result = ask(target_state, wanted(f"i{number}"), NOW + number * SECOND)
        assert claim_result.claim is Claim.MINE
        target_state = claim_result.target_state


def test_a_late_one_keeps_its_seniority() -> None:
    """Whoever comes after its time waits for the next gap, not for the end of the queue, and writes nothing."""
    target_state = TargetState(
        "x", slots={f"i{n}": Slot(1, NOW + n * SECOND, NOW, rank=1) for n in range(1, 100)}, gate=Gate(NOW + 5 * SECOND)
    )
    claim_result = ask(target_state, wanted("i2"), NOW + 4.25 * SECOND)
    assert (claim_result.claim, claim_result.wait, claim_result.target_state is target_state) == (
        Claim.BUSY,
        0.75 * SECOND,
        True,
    )


def test_a_critical_passes_the_warnings_that_wait() -> None:
    """It gets the next gap; the warning whose time that is yields once, the others do not move."""
    queue = {f"i{n}": Slot(1, NOW + n * SECOND, NOW, rank=1) for n in range(1, 100)}
    target_state = TargetState("x", slots=queue, gate=Gate(NOW + SECOND))
    urgent = wanted("c", severity=Severity.CRITICAL)
    claim_result = ask(target_state, urgent, NOW + SECOND / 2)
    assert claim_result.wait == SECOND / 2
    yielding = ask(claim_result.target_state, wanted("i1"), NOW + SECOND)
    assert (yielding.claim, yielding.wait) == (Claim.BUSY, SECOND)
    served = ask(claim_result.target_state, urgent, NOW + SECOND)
    assert served.claim is Claim.MINE
    assert ask(served.target_state, wanted("i1"), NOW + 2 * SECOND).claim is Claim.MINE


def test_nobody_yields_for_ever() -> None:
    """A critical whose message is lost holds the others for a minute."""
    target_state = TargetState("x", slots={"c": Slot(1, NOW, NOW, rank=0)})
    assert ask(target_state, wanted("i1"), NOW + SECOND).claim is Claim.BUSY
    assert ask(target_state, wanted("i1"), NOW + 60 * SECOND).claim is Claim.MINE


@pytest.mark.parametrize(("pace", "served"), [(None, 200), (Pace(SECOND), 1), (Pace(SECOND, 5), 5)])
def test_a_bucket_lets_a_burst_through(pace: Pace | None, served: int) -> None:
    """As many as the bucket holds go at once; without a pace all do."""
    target_state, mine = TargetState("x"), 0
    for number in range(200):
        claim_result = ask(target_state, wanted(f"i{number}"), pace=pace)
        target_state, mine = claim_result.target_state, mine + (claim_result.claim is Claim.MINE)
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
    target_state, mine = TargetState("x"), 0
    for number, after in enumerate(decided):
        at = NOW + after * SECOND
        claim_result = ask(
            target_state, wanted(f"i{number}", at=at, hints=DeliveryHints(crowd=crowd)), at, pace=TOGETHER
        )
        target_state, mine = claim_result.target_state, mine + (claim_result.claim is Claim.MINE)
    assert mine == served, why


def test_the_rate_holds_after_a_few_went_together() -> None:
    """What goes together is paid for: the next one waits until a second for each of them has passed."""
    target_state = TargetState("x")
    for number in range(3):
        target_state = ask(target_state, wanted(f"i{number}", hints=DeliveryHints(crowd=3)), pace=TOGETHER).target_state
    assert ask(target_state, wanted("i9", at=NOW + SECOND), NOW + SECOND, pace=TOGETHER).wait == 2 * SECOND


def test_any_minute_of_pagerduty_holds_at_most_120() -> None:
    """The burst and the minute's rate together stay within the limit of a routing key."""
    pace = Pace(timedelta(seconds=60) / 90, burst=30)
    target_state, times = TargetState("x"), []
    for number in range(600):
        claim_result = ask(target_state, wanted(f"i{number}"), NOW + number * SECOND / 4, pace=pace)
        if claim_result.claim is Claim.MINE:
            times.append(NOW + number * SECOND / 4)
            target_state = claim_result.target_state
    assert len(times) > 200
    assert all(sum(at <= other < at + 60 * SECOND for other in times) <= 120 for at in times)


TOLD = DeliveryLog("t", done_seq=1)
"""The log of a message that was sent."""


def silent(incident: str = "i1", seq: int = 2, **changes: object) -> Notification:
    """A change that only brings a message up to date."""
    return wanted(incident, seq, reason=Reason.SYNC, **changes)


def waiting(count: int, now: datetime = NOW) -> TargetState:
    """A lane in which a silent change was just sent and so many wait, two seconds apart."""
    target_state = ask(TargetState("x"), silent("i0"), now, delivery_log=TOLD, pace=CHANGES).target_state
    for number in range(1, count + 1):
        target_state = ask(target_state, silent(f"i{number}"), now, delivery_log=TOLD, pace=CHANGES).target_state
    return target_state


CHANGES = Pace(SECOND, burst=3, together=5, silent=2 * SECOND)


def test_silent_changes_wait_for_one_another() -> None:
    """Given one that was sent, then the next ones get places at their own interval, each with one write."""
    target_state = waiting(3)
    assert [slot.at - NOW for slot in target_state.slots.values()] == [n * 2 * SECOND for n in range(4)]
    assert target_state.version == 4
    assert ask(target_state, silent("i1"), NOW + 2 * SECOND, delivery_log=TOLD, pace=CHANGES).claim is Claim.MINE


def test_a_silent_change_uses_no_burst() -> None:
    """Given a bucket that is not full, when a silent change comes → it waits until it is, and a warning need not."""
    target_state = ask(TargetState("x"), wanted("i1"), pace=CHANGES).target_state
    assert ask(target_state, silent("i2"), delivery_log=TOLD, pace=CHANGES).wait == SECOND
    assert ask(target_state, wanted("i2"), pace=CHANGES).claim is Claim.MINE


@pytest.mark.parametrize("after", [0, 0.5, 1.9, 2, 30])
def test_silent_changes_hold_up_what_is_new_by_one_interval_at_most(after: float) -> None:
    """Given 100 silent changes that wait, when a warning comes → it goes within the interval, and they after it."""
    target_state, now = waiting(100), NOW + after * SECOND
    claim_result = ask(target_state, wanted("new"), now)
    assert claim_result.wait <= SECOND
    served = (
        claim_result
        if claim_result.claim is Claim.MINE
        else ask(claim_result.target_state, wanted("new"), now + claim_result.wait)
    )
    assert served.claim is Claim.MINE
    assert (
        ask(served.target_state, silent("i1"), now + claim_result.wait, delivery_log=TOLD, pace=CHANGES).claim
        is Claim.BUSY
    )


def test_a_silent_change_does_not_part_what_goes_together() -> None:
    """Given one of three that were decided together, when a silent change goes between → the others still join it."""
    target_state = ask(TargetState("x"), wanted("i1", hints=DeliveryHints(crowd=3)), pace=TOGETHER).target_state
    target_state = ask(
        target_state, silent("i9", at=NOW - HOUR), NOW + SECOND, delivery_log=TOLD, pace=TOGETHER
    ).target_state
    assert (
        ask(target_state, wanted("i2", hints=DeliveryHints(crowd=3)), NOW + SECOND, pace=TOGETHER).claim is Claim.MINE
    )


def test_a_silent_change_waits_behind_all_that_is_new() -> None:
    """Given warnings that have places, when a silent change comes → its place is behind the last of them."""
    target_state = ask(TargetState("x"), wanted("i0")).target_state
    for number in range(1, 4):
        target_state = ask(target_state, wanted(f"i{number}")).target_state
    assert ask(target_state, silent("i9"), delivery_log=TOLD).wait == 4 * SECOND
    known = replace(
        target_state,
        slots={**target_state.slots, "i9": Slot(2, NOW, NOW, rank=target_states.SILENT_RANK)},
        gate=replace(target_state.gate, next_at=NOW),
    )
    assert ask(known, silent("i9"), NOW, delivery_log=TOLD).wait == 4 * SECOND


def test_silent_changes_that_were_passed_by_come_back_one_after_the_other() -> None:
    """Given ten whose time went by while the target was closed, then each waits for those before it, without a write."""
    target_state = waiting(10)
    target_state = replace(target_state, gate=replace(target_state.gate, closed_until=NOW + 60 * SECOND))
    grants = [
        ask(target_state, silent(f"i{n}"), NOW + 30 * SECOND, delivery_log=TOLD, pace=CHANGES) for n in range(1, 11)
    ]
    assert [claim_result.wait for claim_result in grants] == [(30 + 2 * n) * SECOND for n in range(10)]
    assert all(claim_result.target_state is target_state for claim_result in grants)
    late = ask(target_state, silent("i10"), NOW + 60 * SECOND, delivery_log=TOLD, pace=CHANGES)
    assert late.claim is Claim.MINE, "the places are appointments: a lost one holds up nobody"


def test_what_is_new_takes_neither_place_nor_age_of_a_silent_change() -> None:
    """Given a silent change that waited for hours, when its incident gets worse → that goes now, and is new."""
    target_state = TargetState("x", slots={"i1": Slot(2, NOW + HOUR, NOW - HOUR, rank=target_states.SILENT_RANK)})
    claim_result = ask(target_state, wanted(seq=3, reason=Reason.UPDATED), delivery_log=TOLD)
    assert claim_result.claim is Claim.MINE and claim_result.slot is not None
    assert (claim_result.slot.since, claim_result.slot.rank) == (NOW, Severity.WARNING.rank)
    tried = TargetState("x", slots={"i1": replace(target_state.slots["i1"], tries=2, in_doubt=True)})
    claim_result = ask(tried, wanted(seq=3, reason=Reason.UPDATED), delivery_log=TOLD)
    assert claim_result.claim is Claim.MINE and claim_result.slot is not None
    assert (claim_result.slot.since, claim_result.slot.rank, claim_result.slot.in_doubt) == (
        NOW,
        Severity.WARNING.rank,
        True,
    )


def test_a_silent_change_keeps_the_place_of_what_it_supersedes() -> None:
    """Given an opening that waits, when its incident is acknowledged → what goes then has the place of the opening."""
    target_state = ask(TargetState("x", gate=Gate(NOW + SECOND)), wanted("i1")).target_state
    claim_result = ask(target_state, silent("i1"), NOW + SECOND)
    assert claim_result.claim is Claim.MINE and claim_result.slot is not None
    assert claim_result.slot.rank == Severity.WARNING.rank


@pytest.mark.parametrize("delivery_log", [DeliveryLog("t"), DeliveryLog("t", done_seq=1, untold=True)])
def test_a_silent_change_that_is_an_opening_is_paced_as_one(delivery_log: DeliveryLog) -> None:
    """Given a target that received nothing, when the first to come is a silent change → it has the rank of its severity."""
    claim_result = ask(TargetState("x"), silent("i1"), delivery_log=delivery_log)
    assert claim_result.slot is not None and claim_result.slot.rank == Severity.WARNING.rank


def test_few_silent_changes_have_places() -> None:
    """Given as many as may have places, when more come → they come back behind those, and cost no write."""
    target_state = waiting(target_states.MAX_SILENT_SLOTS)
    claim_result = ask(target_state, silent("new"), delivery_log=TOLD, pace=CHANGES)
    assert claim_result.target_state is target_state
    assert (claim_result.claim, claim_result.slot, claim_result.wait) == (
        Claim.BUSY,
        None,
        2 * (target_states.MAX_SILENT_SLOTS + 1) * SECOND,
    )
    assert ask(target_state, wanted("new"), NOW, pace=CHANGES).target_state is not target_state


def test_without_a_pace_a_silent_change_goes_at_once() -> None:
    """Given a target without a pace, when many come → all go."""
    grants = [ask(TargetState("x"), silent(f"i{n}"), delivery_log=TOLD, pace=None) for n in range(9)]
    assert {claim_result.claim for claim_result in grants} == {Claim.MINE}


@pytest.mark.parametrize(
    ("rank", "of_change", "opening", "update", "change"),
    [
        (1, False, 30, 30, 30),
        (1, True, 0, 30, 30),
        (target_states.SILENT_RANK, False, 0, 0, 30),
        (target_states.SILENT_RANK, True, 0, 30, 30),
    ],
)
def test_a_limit_holds_for_what_it_was_said_of(
    rank: int, of_change: bool, opening: int, update: int, change: int
) -> None:
    """Given a Retry-After to one of a kind → openings, updates and silent changes wait for what concerns them."""
    target_state = TargetState("x", slots={"i0": under_way(rank=rank)})
    asked = 30 * SECOND
    target_state = target_states.failed(
        target_state, "i0", now=NOW, delay=asked, asked=asked, ambiguous=False, of_change=of_change
    )
    assert target_state.health.failing_since is None
    updated = wanted("i2", 2, reason=Reason.UPDATED)
    waits = [
        ask(target_state, wanted("i1")),
        ask(target_state, updated, delivery_log=TOLD),
        ask(target_state, silent("i3"), delivery_log=TOLD),
    ]
    assert [claim_result.wait.total_seconds() for claim_result in waits] == [opening, update, change]


def test_the_targets_own_delay_holds_for_everyone() -> None:
    """Retry-After closes the lane to the moment; whoever has no place yet gets one then."""
    target_state = ask(TargetState("x"), wanted("i1")).target_state
    target_state = target_states.failed(
        target_state, "i1", now=NOW, delay=30 * SECOND, asked=30 * SECOND, ambiguous=False
    )
    assert target_state.health.failing_since is None
    assert ask(target_state, wanted("i2"), NOW + SECOND).wait == 29 * SECOND
    assert ask(target_state, wanted("i1"), NOW + 29.9 * SECOND).claim is Claim.BUSY
    assert ask(target_state, wanted("i1"), NOW + 30 * SECOND).claim is Claim.MINE


def test_the_newest_takes_over_the_turn_of_an_earlier_one() -> None:
    """Given an earlier one that backs off, when the newest claims, then it is tried at once and keeps age and doubt."""
    target_state = TargetState("x", slots={"i1": Slot(1, NOW + 300 * SECOND, NOW, tries=3, in_doubt=True)})
    claim_result = ask(target_state, wanted(seq=2), NOW + 60 * SECOND)
    assert claim_result.claim is Claim.MINE
    assert claim_result.slot is not None
    assert (claim_result.slot.seq, claim_result.slot.since, claim_result.slot.tries, claim_result.slot.in_doubt) == (
        2,
        NOW,
        1,
        True,
    )


@pytest.mark.parametrize("changes", [{}, {"leased_until": None, "at": NOW + HOUR}], ids=["under way", "backs off"])
def test_an_earlier_one_does_not_take_the_turn_of_a_later_one(changes: dict[str, object]) -> None:
    """Given a later one that was tried, when a worker that read the incident before asks → it needs no sending."""
    target_state = TargetState("x", slots={"i1": under_way(seq=3, in_doubt=True, **changes)})
    claim_result = ask(target_state, wanted(seq=2), NOW + 2 * HOUR)
    assert (claim_result.claim, claim_result.target_state) == (Claim.DONE, target_state)


def test_tries_without_an_outcome_are_counted() -> None:
    """Given leases that run out one after the other, then each grant counts one more death, for a successor too."""
    target_state = TargetState("x")
    for number in range(3):
        claim_result = ask(target_state, wanted(), NOW + 2 * number * LEASE)
        assert claim_result.slot is not None
        assert claim_result.slot.deaths == number
        target_state = claim_result.target_state
    claim_result = ask(target_state, wanted(seq=2), NOW + 6 * LEASE)
    assert claim_result.slot is not None
    assert (claim_result.slot.deaths, claim_result.slot.in_doubt) == (3, True)


def test_the_queue_is_bounded_and_forgets() -> None:
    """Over a thousand nobody gets a place by name; one that never came back is dropped after a day."""
    slots = {f"i{n}": Slot(1, NOW + n * SECOND, NOW) for n in range(target_states.MAX_SLOTS)}
    claim_result = ask(TargetState("x", slots=slots, gate=Gate(NOW + SECOND)), wanted("new"))
    assert (claim_result.claim, claim_result.wait, len(claim_result.target_state.slots)) == (
        Claim.BUSY,
        1_000 * SECOND,
        target_states.MAX_SLOTS,
    )
    later = ask(TargetState("x", slots=slots), wanted("new"), NOW + timedelta(days=2))
    assert list(later.target_state.slots) == ["new"]


def test_a_target_is_broken_after_its_grace_and_then_probed() -> None:
    """Failures without a success mark it once; then one delivery a minute is tried; one success ends it."""
    grace, target_state = 15 * 60 * SECOND, ask(TargetState("x"), wanted("i1")).target_state
    target_state = target_states.failed(target_state, "i1", now=NOW, delay=5 * SECOND, asked=None, ambiguous=True)
    assert not target_states.breaks(target_state, NOW + grace - SECOND, grace)
    assert target_states.breaks(target_state, NOW + grace, grace)
    target_state = target_states.with_reported(target_states.broken(target_state, NOW + grace), "target.broken")
    assert not target_states.breaks(target_state, NOW + 2 * grace, grace)
    at = NOW + grace + target_states.PROBE_INTERVAL
    probe = ask(target_state, wanted("i2"), at)
    assert probe.claim is Claim.MINE
    assert ask(probe.target_state, wanted("i3"), at + 59 * SECOND).claim is Claim.BUSY
    target_state = target_states.recovered(probe.target_state, "i2", 1, tested=False)
    assert not target_states.needs_recovery(target_state)
    assert ask(target_state, wanted("i3"), at + 2 * SECOND).claim is Claim.MINE


@pytest.mark.parametrize(("done", "later"), [(1, Claim.BUSY), (2, Claim.MINE)])
def test_an_outcome_ends_no_turn_of_a_later_notification(done: int, later: Claim) -> None:
    """Given a second notification under way, when the outcome of the first is recorded → no other worker sends it too."""
    target_state = ask(TargetState("x"), wanted(seq=2)).target_state
    for ended in (
        target_states.finished(target_state, "i1", done),
        target_states.recovered(target_state, "i1", done, tested=False),
    ):
        assert ended.version == target_state.version + 1
        assert ask(ended, wanted(seq=2), NOW + SECOND).claim is later


@pytest.mark.parametrize(
    ("again", "seq", "claim"), [(0, 2, Claim.DONE), (1, 2, Claim.MINE), (1, 1, Claim.DONE), (1, 3, Claim.MINE)]
)
def test_only_the_newest_that_was_given_up_is_played_back(again: int, seq: int, claim: Claim) -> None:
    """Once for each time it is played back; an older one is history; what follows is not held up."""
    delivery_log = given_up(DeliveryLog("t", done_seq=1), wanted(seq=2), RESULT, in_doubt=True)
    assert (
        ask(TargetState("x"), wanted(seq=seq, hints=DeliveryHints(played_back=again)), delivery_log=delivery_log).claim
        is claim
    )
    after = delivered(
        delivery_log, wanted(seq=2, hints=DeliveryHints(played_back=1)), Receipt(), RESULT, in_doubt=False
    )
    assert (
        ask(TargetState("x"), wanted(seq=2, hints=DeliveryHints(played_back=1)), delivery_log=after).claim is Claim.DONE
    )
    again_given_up = given_up(delivery_log, wanted(seq=2, hints=DeliveryHints(played_back=1)), RESULT, in_doubt=False)
    assert (
        ask(TargetState("x"), wanted(seq=2, hints=DeliveryHints(played_back=1)), delivery_log=again_given_up).claim
        is Claim.DONE
    )
    assert (
        ask(TargetState("x"), wanted(seq=2, hints=DeliveryHints(played_back=2)), delivery_log=again_given_up).claim
        is Claim.MINE
    )


def test_doubt_outlives_a_silent_change_that_was_not_sent() -> None:
    """Given an opening in doubt, when a silent change finds nothing to change → the end still looks for the opening."""
    delivery_log = given_up(DeliveryLog("t"), wanted(), RESULT, in_doubt=True)
    silent = wanted(seq=2, reason=Reason.SYNC)
    delivery_log = delivered(delivery_log, silent, Receipt(sent=False), RESULT, in_doubt=True)
    claim_result = ask(TargetState("x"), wanted(seq=3, reason=Reason.RESOLVED), delivery_log=delivery_log)
    assert claim_result.slot is not None and claim_result.slot.in_doubt
    assert not delivery_log.untold


@pytest.mark.parametrize(("in_doubt", "silent"), [(True, False), (False, True)])
def test_a_silent_change_shows_what_arrived(in_doubt: bool, silent: bool) -> None:
    """Given all before it given up, when a silent change is delivered → something arrived, where a try was in doubt."""
    untold = given_up(DeliveryLog("t"), wanted(), RESULT, in_doubt=False)
    delivery_log = delivered(untold, wanted(seq=2, reason=Reason.SYNC), Receipt(), RESULT, in_doubt=in_doubt)
    assert (delivery_log.in_doubt, delivery_log.silent) == (False, silent)


def test_doubt_outlives_giving_up() -> None:
    """One that may have arrived is looked for when it is played back, and counts as told until then."""
    delivery_log = given_up(DeliveryLog("t"), wanted(), RESULT, in_doubt=True)
    claim_result = ask(TargetState("x"), wanted(hints=DeliveryHints(played_back=1)), delivery_log=delivery_log)
    assert claim_result.slot is not None and claim_result.slot.in_doubt
    assert not delivery_log.untold
    assert given_up(DeliveryLog("t"), wanted(), RESULT, in_doubt=False).untold
    assert given_up(
        given_up(DeliveryLog("t"), wanted(), RESULT, in_doubt=False), wanted(seq=2), RESULT, in_doubt=False
    ).untold
    assert not given_up(
        delivered(DeliveryLog("t"), wanted(), Receipt(), RESULT, in_doubt=False), wanted(seq=2), RESULT, in_doubt=False
    ).untold
