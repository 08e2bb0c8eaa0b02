"""notification → target: claim, send, record.

A notification is sent only if a saved incident has committed to it, only when the one before it in its thread is done,
and only by the worker that holds the claim. Nothing sleeps here: what must wait is answered with `retry_after`, which
becomes the message's visibility. What cannot be delivered is given up with a reason, parked, and told to the fallback.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from hashlib import blake2b

from chalicelib import runbooks
from chalicelib.core.errors import ConflictError, TargetRejectedError, TargetUnavailableError
from chalicelib.core.event import Event, Severity, Status
from chalicelib.core.notification import Notification, Reason, Receipt
from chalicelib.core.ports import Clients, Store
from chalicelib.core.rule import Rules
from chalicelib.core.thread import Claim, Result, Thread, claimed, finished, released, thread_key
from chalicelib.core.wording import one_line, plain_text
from chalicelib.messages import events_messages, read_message
from chalicelib.process import Queues
from chalicelib.targets import module_for

MAX_AGE = timedelta(hours=6)
"""How long a target may fail before a notification is given up."""
COMMIT_WAIT = timedelta(minutes=1)
"""How long a notification may be ahead of the save that commits to it; after that the save has failed."""
BUSY_DELAY = timedelta(seconds=2)
FIRST_BACKOFF = timedelta(seconds=5)
MAX_BACKOFF = timedelta(minutes=10)
MAX_REASON_CHARACTERS = 500

Send = Callable[[Notification, Thread], Receipt]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a message. `retry_after` None: done with it. `parked` says why it was given up.

    `delivered` is true when the target took the notification in this call.
    """

    retry_after: timedelta | None = None
    parked: str | None = None
    delivered: bool = False
    note: str = ""
    notification: Notification | None = None


def deliver(
    body: str, *, rules: Rules, store: Store, queues: Queues, clients: Clients, now: datetime, send: Send | None = None
) -> Outcome:
    """Deal with one message of the notifications queue. Twice sends once."""
    content = read_message(body)
    if not isinstance(content, Notification):
        return Outcome(parked="the message on the notifications queue is not a notification")
    incident = store.load(content.key)
    if incident is None or content.id not in incident.committed:
        if now < content.at + COMMIT_WAIT:
            return Outcome(retry_after=BUSY_DELAY, note="not saved yet", notification=content)
        return Outcome(note="superseded: no saved incident has committed to it", notification=content)
    thread = store.thread(thread_key(content.incident, content.target.key))
    claim, taken = claimed(thread, content.seq, now)
    if claim is Claim.DONE:
        return Outcome(note="done before", notification=content)
    if claim is Claim.BUSY or not _saved(store, taken):
        return Outcome(retry_after=BUSY_DELAY, note="another one of its thread is under way", notification=content)
    return _attempt(content, taken, send or sender(clients, now), store=store, queues=queues, now=now)


def sender(clients: Clients, now: datetime) -> Send:
    """The real way to a target."""

    def send(notification: Notification, thread: Thread) -> Receipt:
        module = module_for(notification.target.kind)
        complete = completed(notification, clients)
        try:
            return module.send(
                complete,
                notification.target.address,
                clients,
                receipt=thread.receipt,
                in_doubt=thread.in_doubt,
                now=now,
            )
        except (TargetUnavailableError, TargetRejectedError):
            raise
        except Exception as error:  # a message that cannot be rendered still goes out, in its plain form
            note = f"This is the plain form: the message did not render ({type(error).__name__})."
            return module.send(
                replace(complete, notes=(*complete.notes, note)),
                notification.target.address,
                clients,
                receipt=thread.receipt,
                in_doubt=thread.in_doubt,
                now=now,
                plain=True,
            )

    return send


def completed(notification: Notification, clients: Clients) -> Notification:
    """With the title, first steps and address of its runbook page, and its plain text."""
    runbook = notification.runbook
    if runbook is not None and runbook.name:
        runbook = runbooks.find(runbook.name, base_url=clients.setting("RUNBOOK_BASE_URL"))
    notification = replace(notification, runbook=runbook)
    return replace(notification, text=plain_text(notification))


def _saved(store: Store, thread: Thread) -> bool:
    try:
        store.save_thread(thread)
    except ConflictError:
        return False
    return True


def _attempt(
    notification: Notification, thread: Thread, send: Send, *, store: Store, queues: Queues, now: datetime
) -> Outcome:
    try:
        receipt = send(notification, thread)
    except TargetUnavailableError as error:
        return _postponed(notification, thread, error, store=store, queues=queues, now=now)
    except TargetRejectedError as error:
        return _given_up(notification, thread, str(error), store=store, queues=queues, now=now)
    store.save_thread(finished(thread, notification.seq, receipt.values, _result(notification, thread, now)))
    return Outcome(delivered=True, note=receipt.note, notification=notification)


def _postponed(
    notification: Notification,
    thread: Thread,
    error: TargetUnavailableError,
    *,
    store: Store,
    queues: Queues,
    now: datetime,
) -> Outcome:
    delay = error.retry_after if error.retry_after is not None else backoff(notification.id, thread.attempts)
    first = thread.first_tried_at or now
    if now + delay > first + MAX_AGE:
        return _given_up(
            notification, thread, f"{error} (tried for {now - first})", store=store, queues=queues, now=now
        )
    store.save_thread(released(thread, in_doubt=error.ambiguous))
    return Outcome(retry_after=delay, note=str(error), notification=notification)


def backoff(notification: str, attempts: int) -> timedelta:
    """The delay after so many tries: doubling from 5 s to 10 min, spread by ±20 %, the same for the same try."""
    doublings = max(0, min(attempts - 1, 12))
    plain: timedelta = min(FIRST_BACKOFF * (1 << doublings), MAX_BACKOFF)
    digest = blake2b(f"{notification}/{attempts}".encode(), digest_size=2).digest()
    spread: float = 0.8 + 0.4 * int.from_bytes(digest, "big") / 65_535
    return plain * spread


def _given_up(
    notification: Notification, thread: Thread, why: str, *, store: Store, queues: Queues, now: datetime
) -> Outcome:
    """Tell the fallback first, then let the thread go on: a worker that dies between says it twice under one id."""
    reason = one_line(why)[:MAX_REASON_CHARACTERS]
    if notification.reason is not Reason.SYNC and not about_router(notification):
        queues.webhooks.put(events_messages([undelivered(notification, reason, now)]))
    store.save_thread(finished(thread, notification.seq, {}, _result(notification, thread, now, error=reason)))
    return Outcome(parked=reason, notification=notification)


def _result(notification: Notification, thread: Thread, now: datetime, *, error: str = "") -> Result:
    """What came of it, for the timeline."""
    return Result(
        seq=notification.seq,
        at=now,
        reason=notification.reason.value,
        delivered=not error,
        attempts=thread.attempts,
        error=error,
    )


def about_router(notification: Notification) -> bool:
    """True for notifications about Tocsin itself: their failure announces nothing, so that nothing loops."""
    return bool(notification.alerts) and all(told.source == "router" for told in notification.alerts)


def undelivered(notification: Notification, reason: str, now: datetime) -> Event:
    """The event that tells the fallback what could not be told, and where."""
    where = notification.target.key
    return Event(
        id=f"undelivered:{notification.id}",
        source="router",
        kind="delivery.failed",
        status=Status.FIRING,
        severity=notification.severity if notification.severity is not Severity.INFO else Severity.WARNING,
        title=f"Could not tell {where}: {one_line(notification.title)}",
        summary=f"{reason}\nWhat was to be told:\n{notification.text or plain_text(notification)}",
        occurred_at=now,
        identity=f"delivery.failed:{where}",
        name="Delivery failed",
        labels={"target": where, "reason": notification.reason.value},
    )
