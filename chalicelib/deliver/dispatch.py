"""notifications queue → the stage that a message is for: a delivery, a person's request in Slack, a vendor to ask, a bounce.

How often SQS has handed a message out is judged before it is tried: one whose tries end the worker (a fault in the code,
memory, time) must not come back for days. It is dead-lettered with its reason, and the fallback is notified.
"""

from datetime import datetime, timedelta

from chalicelib import log
from chalicelib.core.delivery import internal_alerts
from chalicelib.core.delivery.notification import Notification
from chalicelib.core.errors import ConflictError, NotStoredError, ParseError
from chalicelib.core.event import Action
from chalicelib.core.ports import Clients, Store
from chalicelib.core.rule import Rules
from chalicelib.deliver import bounces
from chalicelib.deliver.attempt import give_up_notification
from chalicelib.deliver.worker import deliver
from chalicelib.messages.interaction import Interaction
from chalicelib.messages.queue import Feedback, Handled, Message, Queues, events_messages, read_message
from chalicelib.slack.handle import act, asked_back

MAX_FAILURES, FAILING_FOR = 8, timedelta(minutes=10)
"""A message whose try raises is tried so often and for so long: one whose try is answered is put anew and counts from one.

Both are asked, since SQS also counts the receives of a throttled function.
"""
MAX_RECEIVES, UNANSWERED_FOR = 50, timedelta(minutes=75)
"""So many receives in so long a time without an answer are no accident: each takes the queue's visibility time of 90 s."""


def dispatch(
    message: Message, *, rules: Rules, store: Store, queues: Queues, clients: Clients, now: datetime
) -> Handled:
    """Deal with one message of the notifications queue. An error of a try is raised until it has come too often.

    NotStoredError and ConflictError are raised for longer than a fault in the code: every message meets them while the
    table is away.
    """
    age = message.age(now)
    if message.received_count > MAX_RECEIVES and age >= UNANSWERED_FOR:
        return _given_up(message, f"no try of it ended in {MAX_RECEIVES} receives", rules, store, queues, now)
    try:
        return served(message.body, rules=rules, store=store, queues=queues, clients=clients, now=now)
    except ParseError as error:
        return Handled(dead_lettered=str(error))
    except (NotStoredError, ConflictError):
        raise
    except Exception as error:
        if message.received_count < MAX_FAILURES or age < FAILING_FOR:
            raise
        failed = log.failure(error)
        reason = failed.get("reason") or f"a fault in the code: {failed['error']} at {failed['at']}"
        return _given_up(message, reason, rules, store, queues, now)


def served(body: str, *, rules: Rules, store: Store, queues: Queues, clients: Clients, now: datetime) -> Handled:
    """Do what a message asks for: a person's request in Slack, a question to a vendor, a bounce, else a delivery."""
    content = read_message(body)
    if isinstance(content, Feedback):
        return Handled(note=bounces.noted(content.message, rules=rules, store=store, queues=queues, now=now))
    if isinstance(content, Interaction):
        return act(content, rules=rules, store=store, queues=queues, clients=clients, now=now)
    if isinstance(content, Action):
        return asked_back(content, queues=queues, clients=clients, now=now)
    return deliver(body, rules=rules, store=store, queues=queues, clients=clients, now=now)


def _given_up(message: Message, reason: str, rules: Rules, store: Store, queues: Queues, now: datetime) -> Handled:
    """Give up a message that is tried no more: of a notification the delivery, so that the fallback is notified.

    Where even that raises, the fallback is notified all the same, and the record of the delivery stays as it is.
    """
    content = read_message(message.body)
    if not isinstance(content, Notification):
        return Handled(dead_lettered=reason)
    try:
        return give_up_notification(content, reason, rules=rules, store=store, queues=queues, now=now)
    except Exception as error:  # the fallback is notified below
        log.line("deliver", failed=True, action="give up", **log.failure(error))
    if internal_alerts.announces(content):
        queues.webhooks.put(events_messages([internal_alerts.undelivered(content, reason, now)]))
    return Handled(dead_lettered=reason, notification=content)
