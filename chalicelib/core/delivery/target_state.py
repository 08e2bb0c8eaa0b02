"""The way to one target: whose turn it is, how fast it may go, and whether the target works at all.

One stored item for each target carries the claims, the pace and the health of it, so that a delivery costs two writes:
its claim here, its record in the thread. The claim is also what the next one's pace is measured from, so a lone
notification pays nothing for pacing; one that must wait pays one write, which is its place in the queue.

The pace is a bucket (generic cell rate): `next_at` is when the bucket is full again. The gate is hard for everyone; a
place in the queue is only an appointment to come back. Whoever is worse queues behind its equals only, and goes first:
a critical passes waiting warnings, which come a little later.

A silent change (Reason.SYNC) only brings a message up to date. It goes last: when the bucket is full and nothing else
waits. So it delays whatever is new by one interval at most. One that cannot go pays one write for its place, like any
other. At most MAX_SILENT_TURNS have a place, so that the item stays small; the others come back without a write.

A turn leaves the lane when its thread has it done, which the next claim looks up: a success writes nothing here.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum

from chalicelib.core.delivery.delivery_log import Thread
from chalicelib.core.delivery.notification import Notification, Reason

LEASE = timedelta(seconds=90)
"""Longer than any send (the worker's time limit is 60 s): a lease that ran out belongs to a dead worker."""
SAVE_TRIES = 10
"""Tries to save one lane: in a storm every worker of a target wants its place at once."""
BUSY_DELAY = timedelta(seconds=2)
PROBE_INTERVAL = timedelta(minutes=1)
"""How often a broken target is tried, whatever waits for it."""
YIELDS = timedelta(minutes=1)
"""How long the others wait for a worse one whose time has come, and whose message may be late."""
MAX_TURNS = 1_000
"""So many are in the queue of one target by name (some 20 KB stored); the others come back without a place."""
MAX_SILENT_TURNS = 200
"""So many of them may be silent changes: a storm of those keeps the item small (some 4 KB stored)."""
SILENT_RANK = 100
"""The rank of a silent change: behind that of every severity."""
MAX_TOLD = 200
"""So many troubles of one target are ended by a success; older ones end by themselves."""
FORGOTTEN = timedelta(days=1)
"""A turn nobody came back for: its message is in the dead-letter queue."""


class Claim(StrEnum):
    """The three answers to "may I send this?"."""

    MINE = "mine"
    BUSY = "busy"
    DONE = "done"


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast a target takes messages: `burst` at once, then one each `interval`.

    `together` incidents that were decided at the very same instant are told at once, even without a burst; a larger
    crowd keeps to the interval from its first message, and so does what was decided at another instant.

    Silent changes come one each `silent`, where the target limits them more than messages, else one each `interval`.
    """

    interval: timedelta
    burst: int = 1
    together: int = 1
    silent: timedelta | None = None

    def headroom(self, *, joins: bool) -> timedelta:
        """How far ahead of the interval one may be that does or does not join the last one sent."""
        return (max(self.burst, self.together if joins else 1) - 1) * self.interval

    def between(self, rank: int) -> timedelta:
        """Return the time between two notifications of this rank that wait."""
        return self.silent or self.interval if rank == SILENT_RANK else self.interval


@dataclass(frozen=True, slots=True)
class Turn:
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
        """True for one that only waits for its place; not for one that failed and backs off."""
        return self.tries == 0 and self.leased_until is None


@dataclass(frozen=True, slots=True)
class Lane:
    """`turns` are by incident. `decided_at` is when the last one sent was decided. `closed_until` is the target's own
    Retry-After, `changes_until` the one that holds for changes of sent messages alone. `silent_at` is when the next
    silent change may go. `failing_since` is the first failure
    without a success after it; `broken_at` is set once that lasted for the grace time. `told` names the troubles that
    the fallback was told of and that a success must end. `refusal` is why nothing is sent there at all (an address
    that bounced).
    """

    key: str
    turns: Mapping[str, Turn] = field(default_factory=dict)
    next_at: datetime | None = None
    decided_at: datetime | None = None
    closed_until: datetime | None = None
    failing_since: datetime | None = None
    broken_at: datetime | None = None
    told: tuple[str, ...] = ()
    refusal: str = ""
    silent_at: datetime | None = None
    changes_until: datetime | None = None
    version: int = 0


@dataclass(frozen=True, slots=True)
class Grant:
    """An answer. `lane` is as it must be saved before the answer holds (or as it was); BUSY comes back after `wait`."""

    claim: Claim
    lane: Lane
    turn: Turn | None = None
    wait: timedelta = timedelta(0)


def claimed(lane: Lane, thread: Thread, wanted: Notification, *, pace: Pace | None, now: datetime) -> Grant:
    """Return whether `wanted` may be sent now. `thread` must have been read after `lane`.

    `wanted` takes over the turn of an earlier notification of its incident, unless that one is under way. It needs no
    sending when a later one has the turn: the worker that asks for it read the incident before that was decided.
    """
    if thread.has_done(wanted):
        return Grant(Claim.DONE, lane)
    turn = lane.turns.get(wanted.incident)
    if turn is not None and turn.seq <= thread.done_seq and not thread.is_played_back(wanted):
        turn = None
    if turn is not None and wanted.seq < turn.seq:
        return Grant(Claim.DONE, lane)
    if turn is not None and turn.leased_until is not None and now < turn.leased_until:
        return Grant(Claim.BUSY, lane, turn, BUSY_DELAY)
    if turn is not None and turn.seq != wanted.seq:
        turn = _taken_over(turn, wanted, now)
    rank = turn.rank if turn is not None else _rank(thread, wanted)
    opens_at = max(_opens_at(lane, turn, wanted, rank, pace, now), _closed_until(lane, thread, rank) or now)
    if now < opens_at:
        return _queued(lane, turn, wanted, rank, opens_at, pace, now)
    return _granted(lane, thread, turn, wanted, rank, pace, now)


def _rank(thread: Thread, wanted: Notification) -> int:
    """Return the rank of its severity; that of a silent change, unless it would be the first that arrives there."""
    return SILENT_RANK if wanted.reason is Reason.SYNC and not thread.silent else wanted.severity.rank


def _taken_over(turn: Turn, wanted: Notification, now: datetime) -> Turn | None:
    """Return the turn of a superseded notification as that of the newest: its age and its doubts go on, its pause not.

    What is new takes only the doubts of a silent change: neither the place nor the age. A silent change that takes over
    what is new keeps the rank of that.
    """
    silent = wanted.reason is Reason.SYNC
    promoted = turn.rank == SILENT_RANK and not silent
    if promoted and turn.queued:
        return None
    died = turn.leased_until is not None
    return Turn(
        wanted.seq,
        at=turn.at if turn.queued else min(now, turn.at),
        since=now if promoted else turn.since,
        rank=turn.rank if silent else min(turn.rank, wanted.severity.rank),
        in_doubt=turn.in_doubt or died,
        deaths=turn.deaths + died,
    )


def _closed_until(lane: Lane, thread: Thread, rank: int) -> datetime | None:
    """Return until when the target takes nothing of this kind, as it said itself."""
    times = [lane.closed_until]
    if not thread.silent:
        times.append(lane.changes_until)
    if rank == SILENT_RANK:
        times.append(lane.silent_at)
    return max((at for at in times if at is not None), default=None)


def _opens_at(
    lane: Lane, turn: Turn | None, wanted: Notification, rank: int, pace: Pace | None, now: datetime
) -> datetime:
    """When it may go: its own time, room in the pace, and its equals before it."""
    times = [now, turn.at if turn else None]
    if pace is not None:
        joins = wanted.at == lane.decided_at and wanted.crowd <= pace.together
        headroom = timedelta(0) if rank == SILENT_RANK else pace.headroom(joins=joins)
        times.append(lane.next_at - headroom if lane.next_at else None)
        times.append(_after_others(lane, turn, rank, pace, now))
    return max(at for at in times if at is not None)


def _after_others(lane: Lane, turn: Turn | None, rank: int, pace: Pace, now: datetime) -> datetime | None:
    """Behind its equals when it is new; always behind a worse one whose time has come; a silent change behind all."""
    queued = [each for each in lane.turns.values() if each.queued]
    before = [each.at for each in queued if turn is None and each.rank <= rank]
    worse = [each.at for each in queued if each.rank < rank and now - YIELDS < each.at]
    if any(at <= now for at in worse):
        before.append(now)
    if rank == SILENT_RANK:
        before += worse
    return max(before) + pace.between(rank) if before else None


def _queued(
    lane: Lane, turn: Turn | None, wanted: Notification, rank: int, opens_at: datetime, pace: Pace | None, now: datetime
) -> Grant:
    """Its place is kept when it comes for the first time; whoever was passed by keeps the place it had."""
    wait = opens_at - now
    if turn is not None:
        return Grant(Claim.BUSY, lane, turn, wait + _passed_by(lane, turn, opens_at, pace))
    if not _has_place(lane, rank):
        return Grant(Claim.BUSY, lane, turn, wait)
    turn = Turn(wanted.seq, opens_at, since=now, rank=rank)
    return Grant(Claim.BUSY, _with(lane, wanted.incident, turn, now), turn, wait)


def _has_place(lane: Lane, rank: int) -> bool:
    """Return whether one more of this rank gets a place by name."""
    if rank != SILENT_RANK:
        return len(lane.turns) < MAX_TURNS
    return sum(each.queued and each.rank == SILENT_RANK for each in lane.turns.values()) < MAX_SILENT_TURNS


def _passed_by(lane: Lane, turn: Turn, opens_at: datetime, pace: Pace | None) -> timedelta:
    """Return how much later a silent change comes back whose time has passed: not all of those at once."""
    if pace is None or turn.rank != SILENT_RANK or opens_at <= turn.at:
        return timedelta(0)
    ahead = sum(each.queued and each.rank == SILENT_RANK and each.at < turn.at for each in lane.turns.values())
    return ahead * pace.between(SILENT_RANK)


def _granted(
    lane: Lane,
    thread: Thread,
    turn: Turn | None,
    wanted: Notification,
    rank: int,
    pace: Pace | None,
    now: datetime,
) -> Grant:
    known = turn or Turn(wanted.seq, now, since=now, rank=rank, in_doubt=thread.in_doubt)
    died = known.leased_until is not None
    known = replace(
        known,
        at=now,
        tries=known.tries + 1,
        leased_until=now + LEASE,
        in_doubt=known.in_doubt or died,
        deaths=known.deaths + died,
    )
    lane = _with(lane, wanted.incident, known, now)
    if pace is not None:
        lane = _spent(lane, rank, wanted, pace, now)
    if lane.broken_at is not None:
        lane = replace(lane, closed_until=now + PROBE_INTERVAL)
    return Grant(Claim.MINE, lane, known)


def _spent(lane: Lane, rank: int, wanted: Notification, pace: Pace, now: datetime) -> Lane:
    """Return the lane with one less in its bucket."""
    lane = replace(lane, next_at=max(now, lane.next_at or now) + pace.interval)
    if rank == SILENT_RANK:
        return replace(lane, silent_at=now + pace.between(rank))
    return replace(lane, decided_at=wanted.at)


def _with(lane: Lane, incident: str, turn: Turn, now: datetime) -> Lane:
    kept = {name: each for name, each in lane.turns.items() if now < max(each.at, each.since) + FORGOTTEN}
    return replace(lane, turns={**kept, incident: turn}, version=lane.version + 1)


def without(lane: Lane, incidents: Collection[str]) -> Lane:
    """Without the turns of those incidents, which are done. Not yet a new version: it is saved with the next change."""
    if not incidents:
        return lane
    return replace(lane, turns={name: turn for name, turn in lane.turns.items() if name not in incidents})


def finished(lane: Lane, incident: str, seq: int) -> Lane:
    """Return the lane without the turn of a notification whose outcome is recorded. A later one keeps its turn."""
    turn = lane.turns.get(incident)
    left = lane if turn is None or turn.seq > seq else without(lane, (incident,))
    return replace(left, version=lane.version + 1)


def failed(
    lane: Lane,
    incident: str,
    *,
    now: datetime,
    delay: timedelta,
    asked: timedelta | None,
    ambiguous: bool,
    of_change: bool = False,
) -> Lane:
    """After a try that did not arrive, to be made again after `delay`.

    `asked` is what the target itself asked for: then nobody comes before that. A target that only says "slower" works.
    What it asked of a silent change holds for those alone, and what it asked `of_change` for changes alone: a target may
    limit them more than messages.
    """
    turns = dict(lane.turns)
    turn = turns.get(incident)
    if asked is not None:
        lane = _asked_to_wait(lane, now + asked, silent=turn is not None and turn.rank == SILENT_RANK, change=of_change)
    if turn is not None:
        in_doubt = turn.in_doubt or ambiguous
        turns[incident] = replace(turn, leased_until=None, at=now + delay, in_doubt=in_doubt, deaths=0)
    throttled = asked is not None and not ambiguous
    return replace(
        lane,
        turns=turns,
        failing_since=lane.failing_since if throttled else lane.failing_since or now,
        version=lane.version + 1,
    )


def _asked_to_wait(lane: Lane, until: datetime, *, silent: bool, change: bool) -> Lane:
    """Return the lane of a target that wants nothing of that kind until then."""
    if change:
        return replace(lane, changes_until=max(until, lane.changes_until or until))
    if silent:
        return replace(lane, silent_at=max(until, lane.silent_at or until))
    return replace(lane, closed_until=max(until, lane.closed_until or until))


def breaks(lane: Lane, now: datetime, grace: timedelta) -> bool:
    """True when the target has failed for its grace time without one success and is not marked as broken yet."""
    return lane.broken_at is None and lane.failing_since is not None and now >= lane.failing_since + grace


def broken(lane: Lane, now: datetime) -> Lane:
    """Marked: from now on one delivery at a time is a probe."""
    return replace(lane, broken_at=now, closed_until=max(now + PROBE_INTERVAL, lane.closed_until or now))


def telling(lane: Lane, trouble: str) -> Lane:
    """The fallback was told of this trouble."""
    return lane if trouble in lane.told else replace(lane, told=(*lane.told, trouble)[-MAX_TOLD:])


def needs_recovery(lane: Lane) -> bool:
    """True when a success changes what is known of the target."""
    return bool(lane.failing_since or lane.broken_at or lane.told or lane.refusal)


def recovered(lane: Lane, incident: str, seq: int, *, tested: bool) -> Lane:
    """After a success: nothing is known against the target any more. Only a test takes a refusal away."""
    return replace(
        finished(lane, incident, seq),
        failing_since=None,
        broken_at=None,
        closed_until=None if lane.broken_at else lane.closed_until,
        told=(),
        refusal="" if tested else lane.refusal,
    )
