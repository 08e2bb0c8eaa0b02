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

from chalicelib.core.delayed import current, with_missed_ends
from chalicelib.core.delivery import internal_alerts
from chalicelib.core.delivery import target_state as target_states
from chalicelib.core.delivery.commitment import Commitment, standing
from chalicelib.core.delivery.delivery_log import DeliveryLog, Result, delivered, delivery_log_key, given_up, left_out
from chalicelib.core.delivery.notification import Notification, Reason, Receipt
from chalicelib.core.delivery.target_state import (
    BUSY_DELAY,
    PROBE_INTERVAL,
    SAVE_TRIES,
    Claim,
    ClaimResult,
    Pace,
    Slot,
    TargetState,
    claimed,
)
from chalicelib.core.delivery.text import duration_words, one_line, plain_text
from chalicelib.core.errors import ConflictError, TargetRejectedError, TargetUnavailableError
from chalicelib.core.event import Event
from chalicelib.core.incident import Incident
from chalicelib.core.language.durations import duration_of
from chalicelib.core.optimistic import updated
from chalicelib.core.ports import Clients, Store
from chalicelib.core.rule import Rules
from chalicelib.deliver import runbooks, senders
from chalicelib.messages.queue import DeployChange, Handled, Queues, events_messages, read_message
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
"""Slots of others that one claim looks up: it adds one, so that they do not pile up."""

Send = Callable[[Notification, DeliveryLog], Receipt]


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

    def change_target_state(self, change: Callable[[TargetState], TargetState]) -> TargetState:
        """Save a change of the target's state, whoever else changes it; ConflictError when that does not end."""

        def save(target_state: TargetState) -> TargetState:
            changed = change(target_state)
            self.store.save_target_state(changed)
            return changed

        return updated("the state of a target", lambda: self.store.target_state(self.target), save, tries=SAVE_TRIES)

    def announce(self, *events: Event) -> None:
        """Tell the router's own trouble."""
        self.queues.webhooks.put(events_messages(events))

    def result(self, slot: Slot, *, error: str = "", note: str = "") -> Result:
        """What came of it, for the timeline; not delivered, unless that is changed."""
        wanted = self.notification
        return Result(wanted.seq, self.now, wanted.reason.value, False, slot.tries, error, note)

    def later(self, delay: timedelta, note: str) -> Handled:
        """Come back."""
        return Handled(retry_after=delay, note=note, notification=self.notification)


def deliver(
    body: str, *, rules: Rules, store: Store, queues: Queues, clients: Clients, now: datetime, send: Send | None = None
) -> Handled:
    """Deal with one message of the notifications queue. Twice sends once."""
    content = read_message(body)
    if isinstance(content, DeployChange):
        return _tell_change(content, store, clients, now)
    if not isinstance(content, Notification):
        return Handled(dead_lettered="the message on the notifications queue is not a notification")
    incident, found = _stored(content, store)
    if found is Commitment.UNSAVED and now < content.at + COMMIT_WAIT:
        delay = max(BUSY_DELAY, (now - content.at) / 4)
        return Handled(retry_after=delay, note="not saved yet", notification=content)
    if found is not Commitment.LIVE:
        return Handled(note=_WHY_NOT[found], notification=content)
    max_age, grace = _duration(clients, "DELIVERY_MAX_AGE", MAX_AGE), _duration(clients, "TARGET_GRACE", GRACE)
    return _taken(Delivery(content, store, queues, now, max_age, grace, rules, incident), send or sender(clients, now))


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
    """A setting as a duration; one that cannot be read is said by `tocsin doctor`, and the default holds."""
    try:
        return duration_of(clients.setting(name) or default.total_seconds())
    except ValueError:
        return default


def sender(clients: Clients, now: datetime) -> Send:
    """The real way to a target."""

    def send(notification: Notification, delivery_log: DeliveryLog) -> Receipt:
        watched = _Watched(clients)
        told = partial(
            module_for(notification.target.kind).send,
            address=notification.target.address,
            clients=watched,
            receipt=delivery_log.receipt,
            now=now,
        )
        try:
            return told(completed(notification, clients), in_doubt=delivery_log.in_doubt)
        except (TargetUnavailableError, TargetRejectedError):
            raise
        except Exception as error:  # a message that cannot be rendered still goes out, in its plain form
            note = f"This is the plain form: the message did not render ({type(error).__name__})."
        named = senders.named(notification)
        notes = (*named.background.notes, note)
        plain = _readable(replace(named, background=replace(named.background, notes=notes)))
        try:
            receipt = told(plain, in_doubt=delivery_log.in_doubt or watched.touched, plain=True)
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
        return replace(
            notification,
            alerts=(),
            evidence=(),
            background=replace(notification.background, deploys=(), runbook=None),
            incident=replace(notification.incident, group={}),
        )
    return notification


def completed(notification: Notification, clients: Clients) -> Notification:
    """Return it with its runbook page's title, first steps and address, the names of its senders, and its plain text."""
    notification = senders.named(notification)
    runbook = notification.background.runbook
    if runbook is not None and runbook.name:
        runbook = runbooks.find(runbook.name, base_url=clients.setting("RUNBOOK_BASE_URL"))
    background = replace(notification.background, runbook=runbook)
    text = plain_text(replace(notification, background=background))
    return replace(notification, background=replace(background, text=text))


# ---------------------------------------------------------------------------------------------------------------------
# The claim


def _taken(delivery: Delivery, send: Send) -> Handled:
    """Claim it and act on the answer."""
    delivery_log, claim = _claim(delivery)
    if claim.claim is Claim.DONE:
        return _done_before(delivery.notification, delivery_log)
    if claim.claim is Claim.BUSY:
        return _waiting(delivery, delivery_log, claim)
    assert claim.slot is not None
    wanted, slot = delivery.notification, claim.slot
    unseen = delivery_log.silent and not slot.in_doubt and wanted.reason is not Reason.TEST
    if claim.target_state.health.refusal and wanted.reason is not Reason.TEST:
        return _given_up(delivery, delivery_log, slot, claim.target_state.health.refusal)
    if unseen and (wanted.reason is Reason.RESOLVED or (delivery_log.untold and wanted.reason is Reason.SYNC)):
        return _left_out(delivery, delivery_log, slot)
    if why := _hopeless(delivery, slot):
        return _given_up(delivery, delivery_log, slot, why)
    as_it_is = _as_it_is(delivery, delivery_log, slot, unseen=unseen)
    if as_it_is is None:
        return _left_out(delivery, delivery_log, slot)
    whole = _with_missed_ends(delivery, delivery_log, as_it_is)
    return _attempt(replace(delivery, notification=whole), delivery_log, slot, claim.target_state, send)


def _hopeless(delivery: Delivery, slot: Slot) -> str:
    """Return why it is not tried any more, judged before the try, which may never come back; else an empty text."""
    if slot.deaths >= MAX_DEATHS:
        return f"no try of it ended: the worker died {slot.deaths} times"
    if slot.tries > 1 and delivery.now >= slot.since + delivery.max_age:
        return f"it was tried {slot.tries - 1} times (for {duration_words(delivery.now - slot.since)})"
    return ""


def _as_it_is(delivery: Delivery, delivery_log: DeliveryLog, slot: Slot, *, unseen: bool) -> Notification | None:
    """Return what is sent: what was decided when that is new or in doubt, else the incident as it is by now.

    A silent change that superseded news is sent as that news: the target has not received it. None when there is nothing
    left to send: nothing that this target may see fires any more.
    """
    wanted = delivery.notification
    if unseen and wanted.reason in CHANGES:
        wanted = replace(wanted, reason=Reason.OPENED)
    incident, now = delivery.incident, delivery.now
    known = incident.announced.get(delivery.target) if incident is not None else None
    if incident is None or known is None or not known.last.is_named or wanted.reason in (Reason.TEST, Reason.RESOLVED):
        return wanted
    has_news = wanted.reason is Reason.SYNC and delivery_log.done_seq < known.last.news_seq
    is_fresh = now < wanted.at + REFRESHED_AFTER
    if (is_fresh or slot.in_doubt) and not has_news:
        return wanted
    anew = partial(
        current,
        incident,
        unseen=unseen,
        received=delivery_log.firing,
        rules=delivery.rules,
        context=delivery.store.context(),
        now=now,
    )
    made = (anew(replace(wanted, reason=Reason.UPDATED)) if has_news else None) or anew(wanted)
    return wanted if made is None and (is_fresh or slot.in_doubt) else made


def _with_missed_ends(delivery: Delivery, delivery_log: DeliveryLog, wanted: Notification) -> Notification:
    incident = delivery.incident
    if incident is None or wanted.reason is Reason.TEST:
        return wanted
    return with_missed_ends(incident, wanted, received=delivery_log.firing, rules=delivery.rules, now=delivery.now)


def _done_before(notification: Notification, delivery_log: DeliveryLog) -> Handled:
    """Nothing to do; but one that was given up by a worker that died before it was dead-lettered is dead-lettered now."""
    if notification.seq == delivery_log.done_seq and delivery_log.dead_lettered is not None:
        return Handled(dead_lettered=delivery_log.results[-1].error or "given up before", notification=notification)
    note = "a later one of its thread was dealt with" if notification.hints.played_back else "done before"
    return Handled(note=note, notification=notification)


def _left_out(delivery: Delivery, delivery_log: DeliveryLog, slot: Slot) -> Handled:
    """The end, or an acknowledgement, of what was never told here. Who heard of that in its place hears of the end."""
    wanted, note = delivery.notification, "nothing was told here before, so there is nothing to change"
    if wanted.reason is Reason.RESOLVED and internal_alerts.announces(wanted):
        trouble = internal_alerts.failure_of(wanted.incident.id)
        delivery.announce(
            internal_alerts.over(trouble, delivery.target, delivery.now, f"Over: {one_line(wanted.title)}")
        )
    delivery.store.save_delivery_log(left_out(delivery_log, wanted, delivery.result(slot, note=note)))
    return Handled(note=note, notification=wanted)


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
        busy = ClaimResult(Claim.BUSY, store.target_state(delivery.target), wait=BUSY_DELAY * _spread(wanted.id, 1))
        return store.delivery_log(key), busy


def _without_done(target_state: TargetState, mine: str, store: Store) -> TargetState:
    """Without the slots of other incidents that were under way and are done now; the oldest ones are looked at."""
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
    return _given_up(delivery, delivery_log, slot, f"{state} (waited for {duration_words(delivery.now - slot.since)})")


# ---------------------------------------------------------------------------------------------------------------------
# The try


def _attempt(
    delivery: Delivery, delivery_log: DeliveryLog, slot: Slot, target_state: TargetState, send: Send
) -> Handled:
    notification = delivery.notification
    try:
        receipt = send(notification, replace(delivery_log, in_doubt=slot.in_doubt))
    except TargetUnavailableError as error:
        return _postponed(delivery, delivery_log, slot, target_state, error)
    except TargetRejectedError as error:
        return _given_up(delivery, delivery_log, slot, str(error))
    if notification.reason is Reason.RESOLVED and not receipt.sent:
        return _left_out(delivery, delivery_log, slot)
    result = replace(delivery.result(slot, note=receipt.note), delivered=True)
    delivery.store.save_delivery_log(delivered(delivery_log, notification, receipt, result, in_doubt=slot.in_doubt))
    if receipt.sent and target_states.needs_recovery(target_state):
        _recovered(delivery, target_state)
    return Handled(delivered=True, note=receipt.note, notification=notification)


def _recovered(delivery: Delivery, target_state: TargetState) -> None:
    """One success ends all that was told against the target."""
    ended = [internal_alerts.over(trouble, delivery.target, delivery.now) for trouble in target_state.health.told]
    if ended:
        delivery.announce(*ended)
    wanted = delivery.notification
    tested = wanted.reason is Reason.TEST
    delivery.change_target_state(
        lambda found: target_states.recovered(found, wanted.incident.id, wanted.seq, tested=tested)
    )


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
        return _given_up(delivery, delivery_log, slot, why, failure=error)
    delivery.change_target_state(lambda target_state: _failed(delivery, target_state, delay, error))
    return delivery.later(delay, str(error))


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
    return target_states.telling(target_state, internal_alerts.BROKEN)


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


def give_up(
    notification: Notification, why: str, *, rules: Rules, store: Store, queues: Queues, now: datetime
) -> Handled:
    """Give up a notification whose tries raised: it may have arrived all the same. What was delivered meanwhile is done."""
    delivery_log = store.delivery_log(delivery_log_key(notification.incident.id, notification.target.key))
    if delivery_log.has_done(notification):
        return _done_before(notification, delivery_log)
    found = store.target_state(notification.target.key).slots.get(notification.incident.id)
    slot = found or Slot(notification.seq, now, since=now, rank=notification.severity.rank)
    delivery = Delivery(notification, store, queues, now, MAX_AGE, GRACE, rules)
    return _given_up(delivery, delivery_log, replace(slot, in_doubt=slot.tries > 0), why)


def _in_its_place(delivery: Delivery, reason: str) -> Event:
    """What the fallback hears: that it could not be told; or, where it heard of the beginning, that it is over."""
    wanted, trouble = delivery.notification, internal_alerts.failure_of(delivery.notification.incident.id)
    if wanted.reason is Reason.RESOLVED and trouble in delivery.store.target_state(delivery.target).health.told:
        return internal_alerts.over(trouble, delivery.target, delivery.now, f"Over: {one_line(wanted.title)}")
    return internal_alerts.undelivered(_readable(wanted), reason, delivery.now)


def _after_giving_up(
    delivery: Delivery, target_state: TargetState, *, announced: bool, failure: TargetUnavailableError | None
) -> TargetState:
    """Return the target's state with what is known against the target. Its slots stay as they are."""
    if failure is not None:
        target_state = replace(_failed(delivery, target_state, timedelta(0), failure), slots=target_state.slots)
    else:
        target_state = replace(target_state, version=target_state.version + 1)
    return (
        target_states.telling(target_state, internal_alerts.failure_of(delivery.notification.incident.id))
        if announced
        else target_state
    )


def _tell_change(change: DeployChange, store: Store, clients: Clients, now: datetime) -> Handled:
    """A deploy, shown beside incidents. It pages nobody, so one that cannot be told within the grace is only logged."""
    delivery_log = store.delivery_log(delivery_log_key(f"deploy:{change.deploy.id}", change.target.key))
    if delivery_log.done_seq:
        return Handled(note="the deploy was told before")
    try:
        change_module_for(change.target.kind).send_change(change.deploy, change.target.address, clients, now=now)
    except TargetUnavailableError as error:
        if now < change.deploy.at + GRACE and not error.ambiguous:
            return Handled(retry_after=error.retry_after or backoff(change.deploy.id, 3), note=str(error))
        return Handled(note=f"the deploy was not told: {error}")
    except TargetRejectedError as error:
        return Handled(note=f"the deploy was not told: {error}")
    store.save_delivery_log(replace(delivery_log, done_seq=1, version=delivery_log.version + 1))
    return Handled(note="deploy told")
