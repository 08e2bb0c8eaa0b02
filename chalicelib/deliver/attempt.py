"""One try of a delivery, and what follows from it: delivered, tried again later, left out or given up.

The outcome is recorded in the delivery log and in the target's state. What is given up is reported to the fallback first.
"""

from dataclasses import replace
from datetime import datetime, timedelta
from hashlib import blake2b

from chalicelib.core.delivery import internal_alerts
from chalicelib.core.delivery import target_state as target_states
from chalicelib.core.delivery.delivery_log import DeliveryLog, delivered, delivery_log_key, given_up, left_out
from chalicelib.core.delivery.notification import Notification, Reason
from chalicelib.core.delivery.target_state import PROBE_INTERVAL, Slot, TargetState
from chalicelib.core.delivery.writing import duration_words, one_line
from chalicelib.core.errors import TargetRejectedError, TargetUnavailableError
from chalicelib.core.event import Event
from chalicelib.core.ports import Store
from chalicelib.core.rule import Rules
from chalicelib.deliver.delivery import GRACE, MAX_AGE, Delivery
from chalicelib.deliver.send import Send, readable
from chalicelib.messages.queue import Handled, Queues

FIRST_BACKOFF = timedelta(seconds=5)
MAX_BACKOFF = timedelta(minutes=10)
SHORTEST_AGAIN = timedelta(seconds=1)
"""A target that asks for less is believed once: one that always says "at once" would be asked without end."""
MAX_REASON_CHARACTERS = 500


def attempt(
    delivery: Delivery, delivery_log: DeliveryLog, slot: Slot, target_state: TargetState, send: Send
) -> Handled:
    """Send it once, and record what came of that."""
    notification = delivery.notification
    try:
        receipt = send(notification, replace(delivery_log, in_doubt=slot.in_doubt))
    except TargetUnavailableError as error:
        return _postponed(delivery, delivery_log, slot, target_state, error)
    except TargetRejectedError as error:
        return give_up(delivery, delivery_log, slot, str(error))
    if notification.reason is Reason.RESOLVED and not receipt.sent:
        return leave_out(delivery, delivery_log, slot)
    result = replace(delivery.result(slot, note=receipt.note), delivered=True)
    delivery.store.save_delivery_log(delivered(delivery_log, notification, receipt, result, in_doubt=slot.in_doubt))
    if receipt.sent and target_states.needs_recovery(target_state):
        _recovered(delivery, target_state)
    return Handled(delivered=True, note=receipt.note, notification=notification)


def _recovered(delivery: Delivery, target_state: TargetState) -> None:
    """Clear all that is known against the target after one success."""
    ended = [internal_alerts.over(trouble, delivery.target, delivery.now) for trouble in target_state.health.reported]
    if ended:
        delivery.announce(*ended)
    wanted = delivery.notification
    tested = wanted.reason is Reason.TEST
    delivery.change_target_state(
        lambda found: target_states.recovered(found, wanted.incident.id, wanted.seq, tested=tested)
    )


def done_before(notification: Notification, delivery_log: DeliveryLog) -> Handled:
    """Dead-letter what a worker gave up and died before it dead-lettered; else do nothing."""
    if notification.seq == delivery_log.done_seq and delivery_log.dead_lettered is not None:
        return Handled(dead_lettered=delivery_log.results[-1].error or "given up before", notification=notification)
    note = "a later one of its thread was dealt with" if notification.hints.played_back else "done before"
    return Handled(note=note, notification=notification)


def leave_out(delivery: Delivery, delivery_log: DeliveryLog, slot: Slot) -> Handled:
    """Leave out the end, or an acknowledgement, of what this target was never notified of. The target notified in its
    place gets the end.
    """
    wanted, note = delivery.notification, "nothing was sent here before, so there is nothing to change"
    if wanted.reason is Reason.RESOLVED and internal_alerts.announces(wanted):
        delivery.announce(_failure_over(delivery))
    delivery.store.save_delivery_log(left_out(delivery_log, wanted, delivery.result(slot, note=note)))
    return Handled(note=note, notification=wanted)


def _pause(delivery: Delivery, slot: Slot, target_state: TargetState, error: TargetUnavailableError) -> timedelta:
    """Return when to try again: what the target asked for, else longer each time; a minute while it is broken."""
    if error.retry_after is not None and (error.retry_after >= SHORTEST_AGAIN or slot.tries == 1):
        return max(error.retry_after, timedelta(0))
    delay = backoff(delivery.notification.id, slot.tries)
    broken = target_state.health.is_broken or target_states.breaks(target_state, delivery.now, delivery.grace)
    return min(delay, PROBE_INTERVAL) if broken else delay


def _postponed(
    delivery: Delivery, delivery_log: DeliveryLog, slot: Slot, target_state: TargetState, error: TargetUnavailableError
) -> Handled:
    now = delivery.now
    delay = _pause(delivery, slot, target_state, error)
    if delay > slot.since + delivery.max_age - now:  # a target may ask for more than any date can hold
        why = f"{error} (tried for {duration_words(now - slot.since)})"
        slot = replace(slot, in_doubt=slot.in_doubt or error.ambiguous)
        return give_up(delivery, delivery_log, slot, why, failure=error)
    delivery.change_target_state(lambda target_state: _failed(delivery, target_state, delay, error))
    return replace(delivery.later(delay, str(error)), failed=True)


def _failed(
    delivery: Delivery, target_state: TargetState, delay: timedelta, error: TargetUnavailableError
) -> TargetState:
    """Return the target's state after a failure, which is reported first when the target is now broken, under a stable id."""
    target_state = target_states.failed(
        target_state,
        delivery.notification.incident.id,
        now=delivery.now,
        delay=delay,
        asked=_asked(delivery, error),
        ambiguous=error.ambiguous,
        of_change=error.of_change,
    )
    if not target_states.breaks(target_state, delivery.now, delivery.grace):
        return target_state
    target_state = target_states.broken(target_state, delivery.now)
    if internal_alerts.about_router(delivery.notification) or target_state.health.failing_since is None:
        return target_state
    delivery.announce(
        internal_alerts.target_broken(delivery.target, target_state.health.failing_since, str(error), delivery.now)
    )
    return target_states.with_reported(target_state, internal_alerts.BROKEN)


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
    """Return the delay after so many tries: doubling from 5 s to 10 min, spread by ±20 %, the same for the same try."""
    doublings = max(0, min(attempts - 1, 12))
    plain: timedelta = min(FIRST_BACKOFF * (1 << doublings), MAX_BACKOFF)
    return plain * spread(notification, attempts)


def spread(notification: str, attempts: int) -> float:
    """Return 0.8 to 1.2, the same for the same try."""
    digest = blake2b(f"{notification}/{attempts}".encode(), digest_size=2).digest()
    return 0.8 + 0.4 * int.from_bytes(digest, "big") / 65_535


def give_up(
    delivery: Delivery,
    delivery_log: DeliveryLog,
    slot: Slot,
    why: str,
    *,
    failure: TargetUnavailableError | None = None,
) -> Handled:
    """Notify the fallback first, then record it: a worker that dies between notifies twice under one id.

    The slot goes last. Without it another worker that has the message too would send it anew, and free of doubt.
    """
    reason = one_line(why)[:MAX_REASON_CHARACTERS]
    notification = delivery.notification
    announced = internal_alerts.announces(notification)
    if announced:
        delivery.announce(_in_its_place(delivery, reason))
    delivery.change_target_state(
        lambda target_state: _after_giving_up(delivery, target_state, announced=announced, failure=failure)
    )
    result = delivery.result(slot, error=reason)
    delivery.store.save_delivery_log(given_up(delivery_log, notification, result, in_doubt=slot.in_doubt))
    delivery.change_target_state(
        lambda target_state: target_states.finished(target_state, notification.incident.id, notification.seq)
    )
    return Handled(dead_lettered=reason, notification=notification)


def give_up_notification(
    notification: Notification, why: str, *, rules: Rules, store: Store, queues: Queues, now: datetime
) -> Handled:
    """Give up a notification whose tries raised: it may have arrived all the same. What was delivered meanwhile is done."""
    delivery_log = store.delivery_log(delivery_log_key(notification.incident.id, notification.target.key))
    if delivery_log.has_done(notification):
        return done_before(notification, delivery_log)
    found = store.target_state(notification.target.key).slots.get(notification.incident.id)
    slot = found or Slot(notification.seq, now, since=now, rank=notification.severity.rank)
    delivery = Delivery(notification, store, queues, now, MAX_AGE, GRACE, rules)
    return give_up(delivery, delivery_log, replace(slot, in_doubt=slot.tries > 0), why)


def _in_its_place(delivery: Delivery, reason: str) -> Event:
    """Return what the fallback is sent: that it could not be delivered; or, where it was sent the beginning, the end."""
    wanted, failure = delivery.notification, internal_alerts.failure_of(delivery.notification.incident.id)
    if wanted.reason is Reason.RESOLVED and failure in delivery.store.target_state(delivery.target).health.reported:
        return _failure_over(delivery)
    return internal_alerts.undelivered(readable(wanted), reason, delivery.now)


def _failure_over(delivery: Delivery) -> Event:
    """Return the end of the internal alert about an incident that could not be delivered: the incident itself is over."""
    wanted = delivery.notification
    failure = internal_alerts.failure_of(wanted.incident.id)
    return internal_alerts.over(failure, delivery.target, delivery.now, f"Over: {one_line(wanted.title)}")


def _after_giving_up(
    delivery: Delivery, target_state: TargetState, *, announced: bool, failure: TargetUnavailableError | None
) -> TargetState:
    """Return the target's state with what is known against the target. Its slots stay as they are."""
    if failure is not None:
        target_state = replace(_failed(delivery, target_state, timedelta(0), failure), slots=target_state.slots)
    else:
        target_state = replace(target_state, version=target_state.version + 1)
    if not announced:
        return target_state
    return target_states.with_reported(target_state, internal_alerts.failure_of(delivery.notification.incident.id))
