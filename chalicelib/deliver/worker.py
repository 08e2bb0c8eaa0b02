"""notification → target: claim, send, record.

A notification is sent only if it is the newest that a saved incident decided for its target, and only by the worker that
holds the claim, which the target's state gives when its pace has room. One that could not be sent at once is made anew
from the incident as it is then. Nothing sleeps here: what must wait is answered with `retry_after`, which becomes the
message's visibility. What cannot be delivered is given up with a reason, dead-lettered, and reported to the fallback; a
target that only fails is marked broken, reported once, and probed once a minute.

Settings: DELIVERY_MAX_AGE (6h), how long a target may fail before a notification is given up; TARGET_GRACE (15m), how
long it may fail without one success before it is marked broken.
"""

from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial

from chalicelib.core.delayed import current, with_missed_ends, with_missed_sound
from chalicelib.core.delivery import target_state as target_states
from chalicelib.core.delivery.commitment import Commitment, standing
from chalicelib.core.delivery.delivery_log import DeliveryLog, delivery_log_key
from chalicelib.core.delivery.notification import Notification, Reason
from chalicelib.core.delivery.target_state import (
    BUSY_DELAY,
    SAVE_TRIES,
    Claim,
    ClaimResult,
    Pace,
    Slot,
    TargetState,
    claimed,
)
from chalicelib.core.delivery.writing import duration_words
from chalicelib.core.errors import ConflictError, TargetRejectedError, TargetUnavailableError
from chalicelib.core.incident import Incident
from chalicelib.core.language.durations import duration_of
from chalicelib.core.optimistic import updated
from chalicelib.core.ports import Clients, Store
from chalicelib.core.rule import Rules
from chalicelib.deliver.attempt import attempt, backoff, done_before, give_up, leave_out, spread
from chalicelib.deliver.delivery import GRACE, MAX_AGE, Delivery
from chalicelib.deliver.send import Send, sender
from chalicelib.messages.queue import DeployChange, Handled, Queues, read_message
from chalicelib.targets import change_module_for, module_for

COMMIT_LOOKS = 12
"""A notification is queued a moment before its incident is saved: looking again takes milliseconds, coming back seconds."""
COMMIT_WAIT = timedelta(minutes=3)
"""How long a notification may be ahead of the save that commits to it; after that the save has failed.

A worker may live for a minute after it decided, and clocks differ.
"""
MAX_DEATHS = 5
"""So many tries in a row without an outcome (each a lease of 90 s) mean that the try itself ends its worker."""
REFRESHED_AFTER = timedelta(seconds=30)
"""What could not be sent for so long is sent as the incident is by then, and not as it was."""
CHANGES = (Reason.UPDATED, Reason.REMINDER, Reason.SYNC)
"""Reasons that follow an opening: the first of them that a target receives is its opening, also after an end."""
MAX_LOOKED_UP = 10
"""Slots of others that one claim looks up: it adds one, so that they do not pile up."""


def deliver(
    body: str, *, rules: Rules, store: Store, queues: Queues, clients: Clients, now: datetime, send: Send | None = None
) -> Handled:
    """Deal with one message of the notifications queue. Twice sends once."""
    content = read_message(body)
    if isinstance(content, DeployChange):
        return _deliver_change(content, store, clients, now)
    if not isinstance(content, Notification):
        return Handled(dead_lettered="the message on the notifications queue is not a notification")
    incident, found = _stored(content, store)
    if found is Commitment.UNSAVED and now < content.at + COMMIT_WAIT:
        delay = max(BUSY_DELAY, (now - content.at) / 4)
        return Handled(retry_after=delay, note="not saved yet", notification=content)
    if found is not Commitment.LIVE:
        return Handled(note=_WHY_NOT[found], notification=content)
    max_age, grace = _duration(clients, "DELIVERY_MAX_AGE", MAX_AGE), _duration(clients, "TARGET_GRACE", GRACE)
    return _taken(
        Delivery(content, store, queues, now, max_age, grace, rules, incident), send or sender(clients, now, rules)
    )


_WHY_NOT = {
    Commitment.UNSAVED: "superseded: no saved incident has committed to it",
    Commitment.SUPERSEDED: "superseded by a later one of its incident",
}


def _stored(notification: Notification, store: Store) -> tuple[Incident | None, Commitment]:
    """Return the stored incident of the notification and how it stands there, after some looks while it is not saved."""
    incident, found = None, Commitment.UNSAVED
    for _ in range(COMMIT_LOOKS):
        incident = store.load(notification.incident.key)
        if incident is not None and incident.id != notification.incident.id:
            incident = store.archived(notification.incident.id)
        found = standing(notification, incident)
        if found is not Commitment.UNSAVED:
            break
    return incident, found


def _duration(clients: Clients, name: str, default: timedelta) -> timedelta:
    """Return a setting as a duration; one that cannot be read is said by `tocsin doctor`, and the default holds."""
    try:
        return duration_of(clients.setting(name) or default.total_seconds())
    except ValueError:
        return default


# ---------------------------------------------------------------------------------------------------------------------
# The claim


def _taken(delivery: Delivery, send: Send) -> Handled:
    """Claim it and act on the answer."""
    delivery_log, claim = _claim(delivery)
    if claim.claim is Claim.DONE:
        return done_before(delivery.notification, delivery_log)
    if claim.claim is Claim.BUSY:
        return _waiting(delivery, delivery_log, claim)
    assert claim.slot is not None
    wanted, slot = delivery.notification, claim.slot
    unseen = delivery_log.has_nothing_open and not slot.in_doubt and wanted.reason is not Reason.TEST
    if claim.target_state.health.refusal and wanted.reason is not Reason.TEST:
        return give_up(delivery, delivery_log, slot, claim.target_state.health.refusal)
    if unseen and (wanted.reason is Reason.RESOLVED or _follows_given_up(delivery, delivery_log)):
        return leave_out(delivery, delivery_log, slot)
    if why := _hopeless(delivery, slot):
        return give_up(delivery, delivery_log, slot, why)
    as_it_is = _as_it_is(delivery, delivery_log, slot, unseen=unseen)
    if as_it_is is None:
        return leave_out(delivery, delivery_log, slot)
    whole = _with_missed_ends(delivery, delivery_log, as_it_is)
    return attempt(replace(delivery, notification=whole), delivery_log, slot, claim.target_state, send)


def _follows_given_up(delivery: Delivery, delivery_log: DeliveryLog) -> bool:
    """Return whether it is a silent change of what was given up, with no news since: the fallback knows of that."""
    incident = delivery.incident
    known = incident.announced.get(delivery.target) if incident is not None else None
    has_news = known is not None and delivery_log.done_seq < known.last.news_seq
    was_told = delivery_log.untold or delivery_log.has_ended
    return was_told and not has_news and delivery.notification.reason is Reason.SYNC


def _hopeless(delivery: Delivery, slot: Slot) -> str:
    """Return why it is not tried any more, judged before the try, which may never come back; else an empty text."""
    if slot.deaths >= MAX_DEATHS:
        return f"no try of it ended: the worker died {slot.deaths} times"
    if slot.tries > 1 and delivery.now >= slot.since + delivery.max_age:
        return f"it was tried {slot.tries - 1} times (for {duration_words(delivery.now - slot.since)})"
    return ""


def _as_it_is(delivery: Delivery, delivery_log: DeliveryLog, slot: Slot, *, unseen: bool) -> Notification | None:
    """Return what is sent: what was decided when that is new or in doubt, else the incident as it is by now.

    A silent change that superseded news or a reminder is sent as an update, and an update makes the sound of what it
    superseded: the target has not received them. A change that superseded an opening is sent as that, also where a try
    of it may have arrived after an end: a sound too many is better than none. None when there is nothing left to send:
    nothing that this target may see fires any more.
    """
    wanted, begins = delivery.notification, unseen or delivery_log.has_ended
    if begins and wanted.reason in CHANGES:
        wanted = replace(wanted, reason=Reason.OPENED)
    incident, now = delivery.incident, delivery.now
    known = incident.announced.get(delivery.target) if incident is not None else None
    if incident is None or known is None or not known.last.is_named or wanted.reason in (Reason.TEST, Reason.RESOLVED):
        return wanted
    wanted = with_missed_sound(wanted, known, done_seq=delivery_log.done_seq)
    is_silent = delivery.notification.reason is Reason.SYNC
    news = with_missed_sound(replace(wanted, reason=Reason.UPDATED), known, done_seq=delivery_log.done_seq)
    has_news = is_silent and (news.sounds or delivery_log.done_seq < known.last.news_seq)
    is_certain = slot.in_doubt or now < wanted.at + REFRESHED_AFTER
    if is_certain and not has_news:
        return wanted
    anew = partial(
        current,
        incident,
        unseen=begins,
        received=delivery_log.firing,
        rules=delivery.rules,
        context=delivery.store.context(),
        now=now,
    )
    if has_news and begins:
        return anew(wanted) or (delivery.notification if slot.in_doubt else None)
    made = (anew(news) if has_news else None) or anew(wanted)
    if made is None and has_news and wanted.closing is not None:
        return replace(news, closing=wanted.closing)
    return wanted if made is None and is_certain else made


def _with_missed_ends(delivery: Delivery, delivery_log: DeliveryLog, wanted: Notification) -> Notification:
    incident = delivery.incident
    if incident is None or wanted.reason is Reason.TEST:
        return wanted
    return with_missed_ends(incident, wanted, received=delivery_log.firing, rules=delivery.rules, now=delivery.now)


def _claim(delivery: Delivery) -> tuple[DeliveryLog, ClaimResult]:
    """Return the delivery log and the result of the claim, saved.

    The target's state is read first: what was done by then shows in the delivery log.
    """
    wanted, store, now = delivery.notification, delivery.store, delivery.now
    key = delivery_log_key(wanted.incident.id, delivery.target)
    pace = _pace(wanted)

    def save(target_state: TargetState) -> tuple[DeliveryLog, ClaimResult]:
        target_state = _without_done(target_state, wanted.incident.id, store)
        delivery_log = store.delivery_log(key)
        claim = claimed(target_state, delivery_log, wanted, pace=pace, now=now)
        if claim.target_state is not target_state:
            store.save_target_state(claim.target_state)
        return delivery_log, claim

    try:
        return updated("the state of a target", lambda: store.target_state(delivery.target), save, tries=SAVE_TRIES)
    except ConflictError:
        busy = ClaimResult(Claim.BUSY, store.target_state(delivery.target), wait=BUSY_DELAY * spread(wanted.id, 1))
        return store.delivery_log(key), busy


def _without_done(target_state: TargetState, mine: str, store: Store) -> TargetState:
    """Remove the slots of other incidents that were under way and are done now; the oldest ones are looked at."""
    under_way = sorted(
        (slot.at, incident) for incident, slot in target_state.slots.items() if slot.leased_until and incident != mine
    )
    done = {
        incident
        for _, incident in under_way[:MAX_LOOKED_UP]
        if store.delivery_log(delivery_log_key(incident, target_state.key)).done_seq >= target_state.slots[incident].seq
    }
    return target_states.without(target_state, done)


def _pace(notification: Notification) -> Pace | None:
    try:
        return module_for(notification.target.kind).PACE
    except TargetRejectedError:
        return None


def _waiting(delivery: Delivery, delivery_log: DeliveryLog, claim: ClaimResult) -> Handled:
    """Come back when it may go; what only waited for longer than anything may take is given up."""
    slot, target_state = claim.slot, claim.target_state
    if slot is None or slot.leased_until is not None or delivery.now < slot.since + delivery.max_age:
        return delivery.later(claim.wait, "waits for its turn")
    state = "the target is broken" if target_state.health.is_broken else "its turn did not come"
    return give_up(delivery, delivery_log, slot, f"{state} (waited for {duration_words(delivery.now - slot.since)})")


def _deliver_change(change: DeployChange, store: Store, clients: Clients, now: datetime) -> Handled:
    """Show a deploy beside incidents. It pages nobody, so a deploy that cannot be sent within the grace is only logged."""
    delivery_log = store.delivery_log(delivery_log_key(f"deploy:{change.deploy.id}", change.target.key))
    if delivery_log.done_seq:
        return Handled(note="the deploy was sent before")
    try:
        change_module_for(change.target.kind).send_change(change.deploy, change.target.address, clients, now=now)
    except TargetUnavailableError as error:
        if now < change.deploy.at + GRACE and not error.ambiguous:
            return Handled(retry_after=error.retry_after or backoff(change.deploy.id, 3), note=str(error))
        return Handled(note=f"the deploy was not sent: {error}")
    except TargetRejectedError as error:
        return Handled(note=f"the deploy was not sent: {error}")
    store.save_delivery_log(replace(delivery_log, done_seq=1, version=delivery_log.version + 1))
    return Handled(note="deploy sent")
