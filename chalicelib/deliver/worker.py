"""notification → target: claim, send, record.

A notification is sent only if it is the newest that a saved incident decided for its target, and only by the worker that
holds the claim, which the target's state gives when its pace has room. One that could not be sent at once is made anew
from the incident as it is then. Nothing sleeps here: what must wait is answered with `retry_after`, which becomes the
message's visibility. What cannot be delivered is given up with a reason, dead-lettered, and reported to the fallback; a
target that only fails is marked broken, reported once, and probed once a minute.

Settings: DELIVERY_MAX_AGE (6h), how long a target may fail before a notification is given up; TARGET_GRACE (15m), how
long it may fail without one success before it is marked broken.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from hashlib import blake2b
from typing import Any

from chalicelib.core.delivery import internal_alerts
from chalicelib.core.delivery import target_state as lanes
from chalicelib.core.delivery.commitment import Standing, standing
from chalicelib.core.delivery.delivery_log import Result, Thread, delivered, given_up, left_out, thread_key
from chalicelib.core.delivery.notification import Notification, Reason, Receipt
from chalicelib.core.delivery.target_state import (
    BUSY_DELAY,
    PROBE_INTERVAL,
    SAVE_TRIES,
    Claim,
    Grant,
    Lane,
    Pace,
    Turn,
    claimed,
)
from chalicelib.core.delivery.text import duration_words, one_line, plain_text
from chalicelib.core.due import current, with_missed_ends
from chalicelib.core.errors import ConflictError, TargetRejectedError, TargetUnavailableError
from chalicelib.core.event import Event
from chalicelib.core.incident import Incident
from chalicelib.core.language.durations import duration_of
from chalicelib.core.optimistic import updated
from chalicelib.core.ports import Clients, Store
from chalicelib.core.rule import Rules
from chalicelib.deliver import runbooks
from chalicelib.messages.queue import Change, Handled, Queues, events_messages, read_message
from chalicelib.targets import change_module_for, module_for

MAX_AGE = timedelta(hours=6)
GRACE = timedelta(minutes=15)
COMMIT_LOOKS = 12
"""A notification is queued a moment before its incident is saved: looking again takes milliseconds, coming back seconds."""
COMMIT_WAIT = timedelta(minutes=3)
"""How long a notification may be ahead of the save that commits to it; after that the save has failed.

A worker may live for a minute after it decided, and clocks differ.
"""
FIRST_BACKOFF = timedelta(seconds=5)
MAX_BACKOFF = timedelta(minutes=10)
SHORTEST_AGAIN = timedelta(seconds=1)
"""A target that asks for less is believed once: one that always says "at once" would be asked without end."""
MAX_DEATHS = 5
"""So many tries in a row without an outcome (each a lease of 90 s) mean that the try itself ends its worker."""
REFRESHED_AFTER = timedelta(seconds=30)
"""What could not be sent for so long is sent as the incident is by then, and not as it was."""
CHANGES = (Reason.UPDATED, Reason.REMINDER, Reason.SYNC)
"""Reasons that follow an opening: the first of them that a target receives is its opening."""
MAX_REASON_CHARACTERS = 500
MAX_LOOKED_UP = 10
"""Turns of others that one claim looks up: it adds one, so that they do not pile up."""

Send = Callable[[Notification, Thread], Receipt]


@dataclass(frozen=True, slots=True)
class Delivery:
    """One call: what is to be told, and what it works with."""

    notification: Notification
    store: Store
    queues: Queues
    now: datetime
    max_age: timedelta
    grace: timedelta
    rules: Rules
    incident: Incident | None = None

    @property
    def target(self) -> str:
        """The key of its target."""
        return self.notification.target.key

    def change_lane(self, change: Callable[[Lane], Lane]) -> Lane:
        """Save a change of the target's lane, whoever else changes it; ConflictError when that does not end."""

        def save(lane: Lane) -> Lane:
            changed = change(lane)
            self.store.save_lane(changed)
            return changed

        return updated("a lane", lambda: self.store.lane(self.target), save, tries=SAVE_TRIES)

    def announce(self, *events: Event) -> None:
        """Tell the router's own trouble."""
        self.queues.webhooks.put(events_messages(events))

    def result(self, turn: Turn, *, error: str = "", note: str = "") -> Result:
        """What came of it, for the timeline; not delivered, unless that is changed."""
        wanted = self.notification
        return Result(wanted.seq, self.now, wanted.reason.value, False, turn.tries, error, note)

    def later(self, delay: timedelta, note: str) -> Handled:
        """Come back."""
        return Handled(retry_after=delay, note=note, notification=self.notification)


def deliver(
    body: str, *, rules: Rules, store: Store, queues: Queues, clients: Clients, now: datetime, send: Send | None = None
) -> Handled:
    """Deal with one message of the notifications queue. Twice sends once."""
    content = read_message(body)
    if isinstance(content, Change):
        return _tell_change(content, store, clients, now)
    if not isinstance(content, Notification):
        return Handled(parked="the message on the notifications queue is not a notification")
    incident, found = _stored(content, store)
    if found is Standing.UNSAVED and now < content.at + COMMIT_WAIT:
        delay = max(BUSY_DELAY, (now - content.at) / 4)
        return Handled(retry_after=delay, note="not saved yet", notification=content)
    if found is not Standing.LIVE:
        return Handled(note=_WHY_NOT[found], notification=content)
    max_age, grace = _duration(clients, "DELIVERY_MAX_AGE", MAX_AGE), _duration(clients, "TARGET_GRACE", GRACE)
    return _taken(Delivery(content, store, queues, now, max_age, grace, rules, incident), send or sender(clients, now))


_WHY_NOT = {
    Standing.UNSAVED: "superseded: no saved incident has committed to it",
    Standing.SUPERSEDED: "superseded by a later one of its incident",
}


def _stored(notification: Notification, store: Store) -> tuple[Incident | None, Standing]:
    """Return the stored incident of the notification and how it stands there, after some looks while it is not saved."""
    incident, found = None, Standing.UNSAVED
    for _ in range(COMMIT_LOOKS):
        incident = store.load(notification.key)
        if incident is not None and incident.id != notification.incident:
            incident = store.archived(notification.incident)
        found = standing(notification, incident)
        if found is not Standing.UNSAVED:
            break
    return incident, found


def _duration(clients: Clients, name: str, default: timedelta) -> timedelta:
    """A setting as a duration; one that cannot be read is said by `tocsin doctor`, and the default holds."""
    try:
        return duration_of(clients.setting(name) or default.total_seconds())
    except ValueError:
        return default


def sender(clients: Clients, now: datetime) -> Send:
    """The real way to a target."""

    def send(notification: Notification, thread: Thread) -> Receipt:
        watched = _Watched(clients)
        told = partial(
            module_for(notification.target.kind).send,
            address=notification.target.address,
            clients=watched,
            receipt=thread.receipt,
            now=now,
        )
        try:
            return told(completed(notification, clients), in_doubt=thread.in_doubt)
        except (TargetUnavailableError, TargetRejectedError):
            raise
        except Exception as error:  # a message that cannot be rendered still goes out, in its plain form
            note = f"This is the plain form: the message did not render ({type(error).__name__})."
        plain = _readable(replace(notification, notes=(*notification.notes, note)))
        try:
            receipt = told(plain, in_doubt=thread.in_doubt or watched.touched, plain=True)
        except (TargetUnavailableError, TargetRejectedError):
            raise
        except Exception as error:  # a fault of ours: told to somebody, instead of coming back for ever
            fault = f"{notification.target.kind}: the message cannot be made ({type(error).__name__})"
            raise (
                TargetUnavailableError(fault, ambiguous=True) if watched.touched else TargetRejectedError(fault)
            ) from None
        return replace(receipt, note=f"{note} {receipt.note}".strip())

    return send


class _Watched:
    """Clients that know whether anything may have been sent."""

    def __init__(self, clients: Clients) -> None:
        self._clients = clients
        self.touched = False
        self.secret = clients.secret
        self.setting = clients.setting

    def http(self) -> Any:
        """The client; from now on something may have been sent."""
        self.touched = True
        return self._clients.http()

    def aws(self, service: str) -> Any:
        """The client; from now on something may have been sent."""
        self.touched = True
        return self._clients.aws(service)


def _readable(notification: Notification) -> Notification:
    """The notification, without its parts when they are what cannot be put into words."""
    try:
        plain_text(notification)
    except Exception:  # the plain form is the last word: it must not fail for a field
        return replace(notification, alerts=(), evidence=(), deploys=(), runbook=None, group={})
    return notification


def completed(notification: Notification, clients: Clients) -> Notification:
    """With the title, first steps and address of its runbook page, and its plain text."""
    runbook = notification.runbook
    if runbook is not None and runbook.name:
        runbook = runbooks.find(runbook.name, base_url=clients.setting("RUNBOOK_BASE_URL"))
    notification = replace(notification, runbook=runbook)
    return replace(notification, text=plain_text(notification))


# ---------------------------------------------------------------------------------------------------------------------
# The claim


def _taken(delivery: Delivery, send: Send) -> Handled:
    """Claim it and act on the answer."""
    thread, grant = _claim(delivery)
    if grant.claim is Claim.DONE:
        return _done_before(delivery.notification, thread)
    if grant.claim is Claim.BUSY:
        return _waiting(delivery, thread, grant)
    assert grant.turn is not None
    wanted, turn = delivery.notification, grant.turn
    unseen = thread.silent and not turn.in_doubt and wanted.reason is not Reason.TEST
    if grant.lane.refusal and wanted.reason is not Reason.TEST:
        return _given_up(delivery, thread, turn, grant.lane.refusal)
    if unseen and (wanted.reason is Reason.RESOLVED or (thread.untold and wanted.reason is Reason.SYNC)):
        return _left_out(delivery, thread, turn)
    if why := _hopeless(delivery, turn):
        return _given_up(delivery, thread, turn, why)
    as_it_is = _as_it_is(delivery, thread, turn, unseen=unseen)
    if as_it_is is None:
        return _left_out(delivery, thread, turn)
    whole = _with_missed_ends(delivery, thread, as_it_is)
    return _attempt(replace(delivery, notification=whole), thread, turn, grant.lane, send)


def _hopeless(delivery: Delivery, turn: Turn) -> str:
    """Return why it is not tried any more, judged before the try, which may never come back; else an empty text."""
    if turn.deaths >= MAX_DEATHS:
        return f"no try of it ended: the worker died {turn.deaths} times"
    if turn.tries > 1 and delivery.now >= turn.since + delivery.max_age:
        return f"it was tried {turn.tries - 1} times (for {duration_words(delivery.now - turn.since)})"
    return ""


def _as_it_is(delivery: Delivery, thread: Thread, turn: Turn, *, unseen: bool) -> Notification | None:
    """Return what is sent: what was decided when that is new or in doubt, else the incident as it is by now.

    A silent change that superseded news is sent as that news: the target has not received it. None when there is nothing
    left to send: nothing that this target may see fires any more.
    """
    wanted = delivery.notification
    if unseen and wanted.reason in CHANGES:
        wanted = replace(wanted, reason=Reason.OPENED)
    incident, now = delivery.incident, delivery.now
    known = incident.announced.get(delivery.target) if incident is not None else None
    if incident is None or known is None or not known.id or wanted.reason in (Reason.TEST, Reason.RESOLVED):
        return wanted
    has_news = wanted.reason is Reason.SYNC and thread.done_seq < known.news_seq
    is_fresh = now < wanted.at + REFRESHED_AFTER
    if (is_fresh or turn.in_doubt) and not has_news:
        return wanted
    anew = partial(
        current,
        incident,
        unseen=unseen,
        received=thread.firing,
        rules=delivery.rules,
        context=delivery.store.context(),
        now=now,
    )
    made = (anew(replace(wanted, reason=Reason.UPDATED)) if has_news else None) or anew(wanted)
    return wanted if made is None and (is_fresh or turn.in_doubt) else made


def _with_missed_ends(delivery: Delivery, thread: Thread, wanted: Notification) -> Notification:
    incident = delivery.incident
    if incident is None or wanted.reason is Reason.TEST:
        return wanted
    return with_missed_ends(incident, wanted, received=thread.firing, rules=delivery.rules, now=delivery.now)


def _done_before(notification: Notification, thread: Thread) -> Handled:
    """Nothing to do; but one that was given up by a worker that died before it was parked is parked now."""
    if notification.seq == thread.done_seq and thread.parked is not None:
        return Handled(parked=thread.results[-1].error or "given up before", notification=notification)
    note = "a later one of its thread was dealt with" if notification.again else "done before"
    return Handled(note=note, notification=notification)


def _left_out(delivery: Delivery, thread: Thread, turn: Turn) -> Handled:
    """The end, or an acknowledgement, of what was never told here. Who heard of that in its place hears of the end."""
    wanted, note = delivery.notification, "nothing was told here before, so there is nothing to change"
    if wanted.reason is Reason.RESOLVED and internal_alerts.announces(wanted):
        trouble = internal_alerts.failure_of(wanted.incident)
        delivery.announce(
            internal_alerts.over(trouble, delivery.target, delivery.now, f"Over: {one_line(wanted.title)}")
        )
    delivery.store.save_thread(left_out(thread, wanted, delivery.result(turn, note=note)))
    return Handled(note=note, notification=wanted)


def _claim(delivery: Delivery) -> tuple[Thread, Grant]:
    """The thread and the lane's answer, saved. The lane is read first: what was done by then shows in the thread."""
    wanted, store, now = delivery.notification, delivery.store, delivery.now
    key = thread_key(wanted.incident, delivery.target)
    pace = _pace(wanted)

    def save(lane: Lane) -> tuple[Thread, Grant]:
        lane = _without_done(lane, wanted.incident, store)
        thread = store.thread(key)
        grant = claimed(lane, thread, wanted, pace=pace, now=now)
        if grant.lane is not lane:
            store.save_lane(grant.lane)
        return thread, grant

    try:
        return updated("a lane", lambda: store.lane(delivery.target), save, tries=SAVE_TRIES)
    except ConflictError:
        busy = Grant(Claim.BUSY, store.lane(delivery.target), wait=BUSY_DELAY * _spread(wanted.id, 1))
        return store.thread(key), busy


def _without_done(lane: Lane, mine: str, store: Store) -> Lane:
    """Without the turns of other incidents that were under way and are done now; the oldest ones are looked at."""
    under_way = sorted(
        (turn.at, incident) for incident, turn in lane.turns.items() if turn.leased_until and incident != mine
    )
    done = {
        incident
        for _, incident in under_way[:MAX_LOOKED_UP]
        if store.thread(thread_key(incident, lane.key)).done_seq >= lane.turns[incident].seq
    }
    return lanes.without(lane, done)


def _pace(notification: Notification) -> Pace | None:
    try:
        return module_for(notification.target.kind).PACE
    except TargetRejectedError:
        return None


def _waiting(delivery: Delivery, thread: Thread, grant: Grant) -> Handled:
    """Come back when it may go; what only waited for longer than anything may take is given up."""
    turn, lane = grant.turn, grant.lane
    if turn is None or turn.leased_until is not None or delivery.now < turn.since + delivery.max_age:
        return delivery.later(grant.wait, "waits for its turn")
    state = "the target is broken" if lane.broken_at else "its turn did not come"
    return _given_up(delivery, thread, turn, f"{state} (waited for {duration_words(delivery.now - turn.since)})")


# ---------------------------------------------------------------------------------------------------------------------
# The try


def _attempt(delivery: Delivery, thread: Thread, turn: Turn, lane: Lane, send: Send) -> Handled:
    notification = delivery.notification
    try:
        receipt = send(notification, replace(thread, in_doubt=turn.in_doubt))
    except TargetUnavailableError as error:
        return _postponed(delivery, thread, turn, lane, error)
    except TargetRejectedError as error:
        return _given_up(delivery, thread, turn, str(error))
    if notification.reason is Reason.RESOLVED and not receipt.sent:
        return _left_out(delivery, thread, turn)
    result = replace(delivery.result(turn, note=receipt.note), delivered=True)
    delivery.store.save_thread(delivered(thread, notification, receipt, result, in_doubt=turn.in_doubt))
    if receipt.sent and lanes.needs_recovery(lane):
        _recovered(delivery, lane)
    return Handled(delivered=True, note=receipt.note, notification=notification)


def _recovered(delivery: Delivery, lane: Lane) -> None:
    """One success ends all that was told against the target."""
    ended = [internal_alerts.over(trouble, delivery.target, delivery.now) for trouble in lane.told]
    if ended:
        delivery.announce(*ended)
    wanted = delivery.notification
    tested = wanted.reason is Reason.TEST
    delivery.change_lane(lambda found: lanes.recovered(found, wanted.incident, wanted.seq, tested=tested))


def _pause(delivery: Delivery, turn: Turn, lane: Lane, error: TargetUnavailableError) -> timedelta:
    """Return when to try again: what the target asked for, else longer each time; a minute while it is broken."""
    if error.retry_after is not None and (error.retry_after >= SHORTEST_AGAIN or turn.tries == 1):
        return max(error.retry_after, timedelta(0))
    delay = backoff(delivery.notification.id, turn.tries)
    broken = lane.broken_at is not None or lanes.breaks(lane, delivery.now, delivery.grace)
    return min(delay, PROBE_INTERVAL) if broken else delay


def _postponed(delivery: Delivery, thread: Thread, turn: Turn, lane: Lane, error: TargetUnavailableError) -> Handled:
    now = delivery.now
    delay = _pause(delivery, turn, lane, error)
    if delay > turn.since + delivery.max_age - now:  # a target may ask for more than any date can hold
        why = f"{error} (tried for {duration_words(now - turn.since)})"
        turn = replace(turn, in_doubt=turn.in_doubt or error.ambiguous)
        return _given_up(delivery, thread, turn, why, failure=error)
    delivery.change_lane(lambda lane: _failed(delivery, lane, delay, error))
    return delivery.later(delay, str(error))


def _failed(delivery: Delivery, lane: Lane, delay: timedelta, error: TargetUnavailableError) -> Lane:
    """Return the lane after a failure, which is reported first when the target is now broken, under a stable id."""
    lane = lanes.failed(
        lane,
        delivery.notification.incident,
        now=delivery.now,
        delay=delay,
        asked=_asked(delivery, error),
        ambiguous=error.ambiguous,
        of_change=error.of_change,
    )
    if not lanes.breaks(lane, delivery.now, delivery.grace):
        return lane
    lane = lanes.broken(lane, delivery.now)
    if internal_alerts.about_router(delivery.notification) or lane.failing_since is None:
        return lane
    delivery.announce(internal_alerts.target_broken(delivery.target, lane.failing_since, str(error), delivery.now))
    return lanes.telling(lane, internal_alerts.BROKEN)


def _asked(delivery: Delivery, error: TargetUnavailableError) -> timedelta | None:
    """Return for how long the target wants nothing from anybody.

    A wait that no delivery outlasts closes it for MAX_BACKOFF at most: the next notification is tried, and given up with
    a word to the fallback, instead of waiting for its own end in silence.
    """
    asked = error.retry_after
    if asked is None:
        return None
    return max(asked, timedelta(0)) if asked <= delivery.max_age else min(asked, MAX_BACKOFF)


def backoff(notification: str, attempts: int) -> timedelta:
    """The delay after so many tries: doubling from 5 s to 10 min, spread by ±20 %, the same for the same try."""
    doublings = max(0, min(attempts - 1, 12))
    plain: timedelta = min(FIRST_BACKOFF * (1 << doublings), MAX_BACKOFF)
    return plain * _spread(notification, attempts)


def _spread(notification: str, attempts: int) -> float:
    """0.8 to 1.2, the same for the same try."""
    digest = blake2b(f"{notification}/{attempts}".encode(), digest_size=2).digest()
    return 0.8 + 0.4 * int.from_bytes(digest, "big") / 65_535


def _given_up(
    delivery: Delivery, thread: Thread, turn: Turn, why: str, *, failure: TargetUnavailableError | None = None
) -> Handled:
    """Notify the fallback first, then record it: a worker that dies between notifies twice under one id.

    The turn goes last. Without it another worker that has the message too would send it anew, and free of doubt.
    """
    reason = one_line(why)[:MAX_REASON_CHARACTERS]
    notification = delivery.notification
    announced = internal_alerts.announces(notification)
    if announced:
        delivery.announce(_in_its_place(delivery, reason))
    delivery.change_lane(lambda lane: _after_giving_up(delivery, lane, announced=announced, failure=failure))
    result = delivery.result(turn, error=reason)
    delivery.store.save_thread(given_up(thread, notification, result, in_doubt=turn.in_doubt))
    delivery.change_lane(lambda lane: lanes.finished(lane, notification.incident, notification.seq))
    return Handled(parked=reason, notification=notification)


def give_up(
    notification: Notification, why: str, *, rules: Rules, store: Store, queues: Queues, now: datetime
) -> Handled:
    """Give up a notification whose tries raised: it may have arrived all the same. What was delivered meanwhile is done."""
    thread = store.thread(thread_key(notification.incident, notification.target.key))
    if thread.has_done(notification):
        return _done_before(notification, thread)
    found = store.lane(notification.target.key).turns.get(notification.incident)
    turn = found or Turn(notification.seq, now, since=now, rank=notification.severity.rank)
    delivery = Delivery(notification, store, queues, now, MAX_AGE, GRACE, rules)
    return _given_up(delivery, thread, replace(turn, in_doubt=turn.tries > 0), why)


def _in_its_place(delivery: Delivery, reason: str) -> Event:
    """What the fallback hears: that it could not be told; or, where it heard of the beginning, that it is over."""
    wanted, trouble = delivery.notification, internal_alerts.failure_of(delivery.notification.incident)
    if wanted.reason is Reason.RESOLVED and trouble in delivery.store.lane(delivery.target).told:
        return internal_alerts.over(trouble, delivery.target, delivery.now, f"Over: {one_line(wanted.title)}")
    return internal_alerts.undelivered(_readable(wanted), reason, delivery.now)


def _after_giving_up(
    delivery: Delivery, lane: Lane, *, announced: bool, failure: TargetUnavailableError | None
) -> Lane:
    """Return the lane with what is known against the target. Its turns stay as they are."""
    if failure is not None:
        lane = replace(_failed(delivery, lane, timedelta(0), failure), turns=lane.turns)
    else:
        lane = replace(lane, version=lane.version + 1)
    return lanes.telling(lane, internal_alerts.failure_of(delivery.notification.incident)) if announced else lane


def _tell_change(change: Change, store: Store, clients: Clients, now: datetime) -> Handled:
    """A deploy, shown beside incidents. It pages nobody, so one that cannot be told within the grace is only logged."""
    thread = store.thread(thread_key(f"deploy:{change.deploy.id}", change.target.key))
    if thread.done_seq:
        return Handled(note="the deploy was told before")
    try:
        change_module_for(change.target.kind).send_change(change.deploy, change.target.address, clients, now=now)
    except TargetUnavailableError as error:
        if now < change.deploy.at + GRACE and not error.ambiguous:
            return Handled(retry_after=error.retry_after or backoff(change.deploy.id, 3), note=str(error))
        return Handled(note=f"the deploy was not told: {error}")
    except TargetRejectedError as error:
        return Handled(note=f"the deploy was not told: {error}")
    store.save_thread(replace(thread, done_seq=1, version=thread.version + 1))
    return Handled(note="deploy told")
