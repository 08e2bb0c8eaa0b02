"""The way to one target: whose slot it is, how fast it may go, and whether the target works at all.

One stored item for each target carries the claims, the pace and the health of it, so that a delivery costs two writes:
its claim here, its record in the delivery log. The claim is also what the next one's pace is measured from, so a lone
notification pays nothing for pacing; one that must wait pays one write, which is its place in the queue.

The pace is a bucket (generic cell rate): `next_at` is when the bucket is full again. The gate is hard for everyone; a
place in the queue is only an appointment to come back. Whoever is worse queues behind its equals only, and goes first:
a critical passes waiting warnings, which come a little later.

A silent change (Reason.SYNC) only brings a message up to date. It goes last: when the bucket is full and nothing else
waits. So it delays whatever is new by one interval at most. One that cannot go pays one write for its place, like any
other. At most MAX_SILENT_SLOTS have a place, so that the item stays small; the others come back without a write.

A slot leaves the target's state when its delivery log has it done, which the next claim looks up: a success writes
nothing here.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from chalicelib.core.delivery.delivery_log import DeliveryLog
from chalicelib.core.delivery.notification import Notification, Reason
from chalicelib.core.stored import flat, stored_as

LEASE = timedelta(seconds=90)
"""Longer than any send (the worker's time limit is 60 s): a lease that ran out belongs to a dead worker."""
SAVE_TRIES = 10
"""Tries to save one target's state: in a storm every worker of a target wants its place at once."""
BUSY_DELAY = timedelta(seconds=2)
PROBE_INTERVAL = timedelta(minutes=1)
"""How often a broken target is tried, whatever waits for it."""
YIELDS = timedelta(minutes=1)
"""How long the others wait for a worse one whose time has come, and whose message may be late."""
MAX_SLOTS = 1_000
"""So many are in the queue of one target by name (some 20 KB stored); the others come back without a place."""
MAX_SILENT_SLOTS = 200
"""So many of them may be silent changes: a storm of those keeps the item small (some 4 KB stored)."""
SILENT_RANK = 100
"""The rank of a silent change: behind that of every severity."""
MAX_REPORTED = 200
"""So many troubles of one target are ended by a success; older ones end by themselves."""
FORGOTTEN = timedelta(days=1)
"""A slot nobody came back for: its message is in the dead-letter queue."""


class Claim(StrEnum):
    """The three answers to "may I send this?"."""

    MINE = "mine"
    BUSY = "busy"
    DONE = "done"


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast a target takes messages: `burst` at once, then one each `interval`.

    `together` incidents that were decided at the very same instant are sent at once, even without a burst; a larger
    crowd keeps to the interval from its first message, and so does what was decided at another instant.

    Silent changes come one each `silent`, where the target limits them more than messages, else one each `interval`.
    """

    interval: timedelta
    burst: int = 1
    together: int = 1
    silent: timedelta | None = None

    def headroom(self, *, joins: bool) -> timedelta:
        """Return how far ahead of the interval one may be that does or does not join the last one sent."""
        return (max(self.burst, self.together if joins else 1) - 1) * self.interval

    def between(self, rank: int) -> timedelta:
        """Return the time between two notifications of this rank that wait."""
        return self.silent or self.interval if rank == SILENT_RANK else self.interval


@dataclass(frozen=True, slots=True)
class Slot:
    """One delivery that is not known to be done: waiting (`at` is when to come back), or under way until `leased_until`.

    `since` is when the target's oldest undelivered one of the incident was first seen here; `rank` that of its severity,
    or SILENT_RANK.
    `in_doubt` is true when an earlier try may have reached the target (time-out, dead worker). `deaths` counts the tries
    in a row of which no outcome was recorded.
    """

    seq: int
    at: datetime
    since: datetime
    rank: int = 0
    tries: int = 0
    leased_until: datetime | None = None
    in_doubt: bool = False
    deaths: int = 0

    @property
    def queued(self) -> bool:
        """Return whether it only waits for its place; False for one that failed and backs off."""
        return self.tries == 0 and self.leased_until is None


@dataclass(frozen=True, slots=True)
class Gate:
    """How soon a target takes the next one. `next_at` is when the bucket of its pace is full again.

    `decided_at` is when the last one sent was decided. `silent_at` is when the next silent change may go. `closed_until`
    is the target's own Retry-After, `changes_until` the one that holds for changes of sent messages alone.
    """

    next_at: datetime | None = None
    decided_at: datetime | None = None
    silent_at: datetime | None = None
    closed_until: datetime | None = None
    changes_until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Health:
    """What is known against a target; at its defaults it works.

    `failing_since` is the first failure without a success after it. `broken_at` is set once that lasted for the grace
    time. `reported` names the troubles that were reported to the fallback and that a success must end. `refusal` is why nothing
    is sent there at all (an address that bounced).
    """

    failing_since: datetime | None = None
    broken_at: datetime | None = None
    reported: tuple[str, ...] = ()
    refusal: str = ""

    @property
    def is_broken(self) -> bool:
        """Return whether the target is marked as broken: then one delivery at a time is a probe."""
        return self.broken_at is not None


@dataclass(frozen=True, slots=True)
class TargetState:
    """The stored state of one target. `slots` are by incident."""

    key: str
    slots: Mapping[str, Slot] = stored_as("turns", default_factory=dict)
    gate: Gate = flat(Gate)
    health: Health = flat(Health, reported="told")
    version: int = 0


@dataclass(frozen=True, slots=True)
class ClaimResult:
    """An answer. `target_state` is as it must be saved before the answer holds (or as it was); BUSY comes back after `wait`."""

    claim: Claim
    target_state: TargetState
    slot: Slot | None = None
    wait: timedelta = timedelta(0)


def claimed(
    target_state: TargetState, delivery_log: DeliveryLog, wanted: Notification, *, pace: Pace | None, now: datetime
) -> ClaimResult:
    """Return whether `wanted` may be sent now. `delivery_log` must have been read after `target_state`.

    `wanted` takes over the slot of an earlier notification of its incident, unless that one is under way. It needs no
    sending when a later one has the slot: the worker that asks for it read the incident before that was decided.
    """
    if delivery_log.has_done(wanted):
        return ClaimResult(Claim.DONE, target_state)
    slot = target_state.slots.get(wanted.incident.id)
    if slot is not None and slot.seq <= delivery_log.done_seq and not delivery_log.is_played_back(wanted):
        slot = None
    if slot is not None and wanted.seq < slot.seq:
        return ClaimResult(Claim.DONE, target_state)
    if slot is not None and slot.leased_until is not None and now < slot.leased_until:
        return ClaimResult(Claim.BUSY, target_state, slot, BUSY_DELAY)
    if slot is not None and slot.seq != wanted.seq:
        slot = _taken_over(slot, wanted, now)
    rank = slot.rank if slot is not None else _rank(delivery_log, wanted)
    opens_at = max(
        _opens_at(target_state, slot, wanted, rank, pace, now), _closed_until(target_state, delivery_log, rank) or now
    )
    if now < opens_at:
        return _queued(target_state, slot, wanted, rank, opens_at, pace, now)
    return _granted(target_state, delivery_log, slot, wanted, rank, pace, now)


def _rank(delivery_log: DeliveryLog, wanted: Notification) -> int:
    """Return the rank of its severity; that of a silent change, unless it would be the first that arrives there."""
    return SILENT_RANK if wanted.reason is Reason.SYNC and not delivery_log.silent else wanted.severity.rank


def _taken_over(slot: Slot, wanted: Notification, now: datetime) -> Slot | None:
    """Return the slot of a superseded notification as that of the newest: its age and its doubts go on, its pause not.

    What is new takes only the doubts of a silent change: neither the place nor the age. A silent change that takes over
    what is new keeps the rank of that.
    """
    silent = wanted.reason is Reason.SYNC
    promoted = slot.rank == SILENT_RANK and not silent
    if promoted and slot.queued:
        return None
    died = slot.leased_until is not None
    return Slot(
        wanted.seq,
        at=slot.at if slot.queued else min(now, slot.at),
        since=now if promoted else slot.since,
        rank=slot.rank if silent else min(slot.rank, wanted.severity.rank),
        in_doubt=slot.in_doubt or died,
        deaths=slot.deaths + died,
    )


def _closed_until(target_state: TargetState, delivery_log: DeliveryLog, rank: int) -> datetime | None:
    """Return until when the target takes nothing of this kind, as it said itself."""
    times = [target_state.gate.closed_until]
    if not delivery_log.silent:
        times.append(target_state.gate.changes_until)
    if rank == SILENT_RANK:
        times.append(target_state.gate.silent_at)
    return max((at for at in times if at is not None), default=None)


def _opens_at(
    target_state: TargetState, slot: Slot | None, wanted: Notification, rank: int, pace: Pace | None, now: datetime
) -> datetime:
    """Return when it may go: its own time, room in the pace, and its equals before it."""
    times = [now, slot.at if slot else None]
    if pace is not None:
        joins = wanted.at == target_state.gate.decided_at and wanted.hints.crowd <= pace.together
        headroom = timedelta(0) if rank == SILENT_RANK else pace.headroom(joins=joins)
        times.append(target_state.gate.next_at - headroom if target_state.gate.next_at else None)
        times.append(_after_others(target_state, slot, rank, pace, now))
    return max(at for at in times if at is not None)


def _after_others(
    target_state: TargetState, slot: Slot | None, rank: int, pace: Pace, now: datetime
) -> datetime | None:
    """Return when it may go after its equals, a worse one whose time has come, and before silent changes."""
    queued = [each for each in target_state.slots.values() if each.queued]
    before = [each.at for each in queued if slot is None and each.rank <= rank]
    worse = [each.at for each in queued if each.rank < rank and now - YIELDS < each.at]
    if any(at <= now for at in worse):
        before.append(now)
    if rank == SILENT_RANK:
        before += worse
    return max(before) + pace.between(rank) if before else None


def _queued(
    target_state: TargetState,
    slot: Slot | None,
    wanted: Notification,
    rank: int,
    opens_at: datetime,
    pace: Pace | None,
    now: datetime,
) -> ClaimResult:
    """Return the claim with its place: kept when it comes for the first time. A delivery that was passed keeps its place."""
    wait = opens_at - now
    if slot is not None:
        return ClaimResult(Claim.BUSY, target_state, slot, wait + _passed_by(target_state, slot, opens_at, pace))
    if not _has_place(target_state, rank):
        return ClaimResult(Claim.BUSY, target_state, slot, wait)
    slot = Slot(wanted.seq, opens_at, since=now, rank=rank)
    return ClaimResult(Claim.BUSY, _with(target_state, wanted.incident.id, slot, now), slot, wait)


def _has_place(target_state: TargetState, rank: int) -> bool:
    """Return whether one more of this rank gets a place by name."""
    if rank != SILENT_RANK:
        return len(target_state.slots) < MAX_SLOTS
    return sum(each.queued and each.rank == SILENT_RANK for each in target_state.slots.values()) < MAX_SILENT_SLOTS


def _passed_by(target_state: TargetState, slot: Slot, opens_at: datetime, pace: Pace | None) -> timedelta:
    """Return how much later a silent change comes back whose time has passed: not all of those at once."""
    if pace is None or slot.rank != SILENT_RANK or opens_at <= slot.at:
        return timedelta(0)
    ahead = sum(each.queued and each.rank == SILENT_RANK and each.at < slot.at for each in target_state.slots.values())
    return ahead * pace.between(SILENT_RANK)


def _granted(
    target_state: TargetState,
    delivery_log: DeliveryLog,
    slot: Slot | None,
    wanted: Notification,
    rank: int,
    pace: Pace | None,
    now: datetime,
) -> ClaimResult:
    known = slot or Slot(wanted.seq, now, since=now, rank=rank, in_doubt=delivery_log.in_doubt)
    died = known.leased_until is not None
    known = replace(
        known,
        at=now,
        tries=known.tries + 1,
        leased_until=now + LEASE,
        in_doubt=known.in_doubt or died,
        deaths=known.deaths + died,
    )
    target_state = _with(target_state, wanted.incident.id, known, now)
    if pace is not None:
        target_state = _spent(target_state, rank, wanted, pace, now)
    if target_state.health.is_broken:
        target_state = replace(target_state, gate=replace(target_state.gate, closed_until=now + PROBE_INTERVAL))
    return ClaimResult(Claim.MINE, target_state, known)


def _spent(target_state: TargetState, rank: int, wanted: Notification, pace: Pace, now: datetime) -> TargetState:
    """Return the target's state with one less in its bucket."""
    gate = replace(target_state.gate, next_at=max(now, target_state.gate.next_at or now) + pace.interval)
    if rank == SILENT_RANK:
        gate = replace(gate, silent_at=now + pace.between(rank))
    else:
        gate = replace(gate, decided_at=wanted.at)
    return replace(target_state, gate=gate)


def _with(target_state: TargetState, incident: str, slot: Slot, now: datetime) -> TargetState:
    kept = {name: each for name, each in target_state.slots.items() if not _is_forgotten(each, now)}
    return replace(target_state, slots={**kept, incident: slot}, version=target_state.version + 1)


def _is_forgotten(slot: Slot, now: datetime) -> bool:
    return now >= max(slot.at, slot.since) + FORGOTTEN


def undelivered(target_state: TargetState, now: datetime) -> Mapping[str, Slot]:
    """Return the slots, by incident, of what the target should have by now, unless its delivery log has it done."""
    slots = target_state.slots.items()
    return {name: each for name, each in slots if each.rank != SILENT_RANK and not _is_forgotten(each, now)}


def without(target_state: TargetState, incidents: Collection[str]) -> TargetState:
    """Return the state without the slots of those incidents, which are done. It is saved with the next change."""
    if not incidents:
        return target_state
    return replace(
        target_state, slots={name: slot for name, slot in target_state.slots.items() if name not in incidents}
    )


def finished(target_state: TargetState, incident: str, seq: int) -> TargetState:
    """Return the target's state without the slot of a notification whose outcome is recorded. A later one keeps its slot."""
    slot = target_state.slots.get(incident)
    left = target_state if slot is None or slot.seq > seq else without(target_state, (incident,))
    return replace(left, version=target_state.version + 1)


def failed(
    target_state: TargetState,
    incident: str,
    *,
    now: datetime,
    delay: timedelta,
    asked: timedelta | None,
    ambiguous: bool,
    of_change: bool = False,
) -> TargetState:
    """Return the state after a try that did not arrive, to be made again after `delay`.

    `asked` is what the target itself asked for: then nobody comes before that. A target that only says "slower" works.
    What it asked of a silent change holds for those alone, and what it asked `of_change` for changes alone: a target may
    limit them more than messages.
    """
    slots, gate, health = dict(target_state.slots), target_state.gate, target_state.health
    slot = slots.get(incident)
    if asked is not None:
        silent = slot is not None and slot.rank == SILENT_RANK
        gate = _asked_to_wait(gate, now + asked, silent=silent, change=of_change)
    if slot is not None:
        in_doubt = slot.in_doubt or ambiguous
        slots[incident] = replace(slot, leased_until=None, at=now + delay, in_doubt=in_doubt, deaths=0)
    throttled = asked is not None and not ambiguous
    if not throttled:
        health = replace(health, failing_since=health.failing_since or now)
    return replace(target_state, slots=slots, gate=gate, health=health, version=target_state.version + 1)


def _asked_to_wait(gate: Gate, until: datetime, *, silent: bool, change: bool) -> Gate:
    """Return the gate of a target that wants nothing of that kind until then."""
    if change:
        return replace(gate, changes_until=max(until, gate.changes_until or until))
    if silent:
        return replace(gate, silent_at=max(until, gate.silent_at or until))
    return replace(gate, closed_until=max(until, gate.closed_until or until))


def breaks(target_state: TargetState, now: datetime, grace: timedelta) -> bool:
    """Return whether the target has failed for its grace time without one success and is not marked as broken yet."""
    health = target_state.health
    return not health.is_broken and health.failing_since is not None and now >= health.failing_since + grace


def broken(target_state: TargetState, now: datetime) -> TargetState:
    """Return the state marked as broken: from now on one delivery at a time is a probe."""
    closed_until = max(now + PROBE_INTERVAL, target_state.gate.closed_until or now)
    return replace(
        target_state,
        gate=replace(target_state.gate, closed_until=closed_until),
        health=replace(target_state.health, broken_at=now),
    )


def with_reported(target_state: TargetState, trouble: str) -> TargetState:
    """Return the state once this trouble was reported to the fallback."""
    health = target_state.health
    if trouble in health.reported:
        return target_state
    return replace(target_state, health=replace(health, reported=(*health.reported, trouble)[-MAX_REPORTED:]))


def needs_recovery(target_state: TargetState) -> bool:
    """Return whether a success changes what is known of the target."""
    return target_state.health != Health()


def recovered(target_state: TargetState, incident: str, seq: int, *, tested: bool) -> TargetState:
    """Return the state after a success: nothing is known against the target. Only a test takes a refusal away."""
    gate, health = target_state.gate, target_state.health
    return replace(
        finished(target_state, incident, seq),
        gate=replace(gate, closed_until=None) if health.is_broken else gate,
        health=Health(refusal="" if tested else health.refusal),
    )
