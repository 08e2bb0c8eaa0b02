"""The way to a target: a notification is completed, rendered and sent, in its plain form where it does not render."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Any

from chalicelib.core.delivery.delivery_log import DeliveryLog
from chalicelib.core.delivery.notification import Notification, Reason, Receipt
from chalicelib.core.delivery.text import plain_text
from chalicelib.core.errors import TargetRejectedError, TargetUnavailableError
from chalicelib.core.ports import Clients
from chalicelib.core.rule import Rules
from chalicelib.core.sign_in import PAGE_URL
from chalicelib.deliver import runbooks, senders
from chalicelib.targets import module_for

Send = Callable[[Notification, DeliveryLog], Receipt]


def sender(clients: Clients, now: datetime, rules: Rules | None = None) -> Send:
    """Return the real way to a target. `rules` write requests of their own."""
    webhooks = rules.webhooks if rules is not None else {}

    def send(notification: Notification, delivery_log: DeliveryLog) -> Receipt:
        watched = _Watched(clients)
        send_form = partial(
            module_for(notification.target.kind).send,
            address=notification.target.address,
            clients=watched,
            receipt=delivery_log.receipt,
            now=now,
        )
        try:
            return send_form(completed(_with_request(notification, webhooks), clients), in_doubt=delivery_log.in_doubt)
        except (TargetUnavailableError, TargetRejectedError):
            raise
        except Exception as error:  # a message that cannot be rendered still goes out, in its plain form
            note = f"This is the plain form: the message did not render ({type(error).__name__})."
        named = senders.named(_with_request(notification, webhooks))
        notes = (*named.background.notes, note)
        plain = readable(replace(named, background=replace(named.background, notes=notes)))
        try:
            receipt = send_form(plain, in_doubt=delivery_log.in_doubt or watched.touched, plain=True)
        except (TargetUnavailableError, TargetRejectedError):
            raise
        except Exception as error:  # a fault of ours: reported, instead of retried without end
            fault = f"{notification.target.kind}: the message cannot be made ({type(error).__name__})"
            raise (
                TargetUnavailableError(fault, ambiguous=True) if watched.touched else TargetRejectedError(fault)
            ) from None
        return replace(receipt, note=f"{note} {receipt.note}".strip())

    return send


def _with_request(notification: Notification, webhooks: Mapping[str, Mapping[str, Any]]) -> Notification:
    """Return it with the request that the rules file writes for its target, where there is one."""
    found = webhooks.get(notification.target.address) if notification.target.kind == "webhook" else None
    if not found:
        return notification
    return replace(notification, background=replace(notification.background, request=found))


class _Watched:
    """Clients that know whether anything may have been sent."""

    def __init__(self, clients: Clients) -> None:
        self._clients = clients
        self.touched = False
        self.secret = clients.secret
        self.setting = clients.setting

    def http(self) -> Any:
        """Return the client; from now on something may have been sent."""
        self.touched = True
        return self._clients.http()

    def aws(self, service: str) -> Any:
        """Return the client; from now on something may have been sent."""
        self.touched = True
        return self._clients.aws(service)


def readable(notification: Notification) -> Notification:
    """Return the notification, without its parts when they are what cannot be put into words."""
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
    page = clients.setting(PAGE_URL) if notification.reason is not Reason.TEST else ""
    background = replace(notification.background, runbook=runbook, page=page)
    text = plain_text(replace(notification, background=background))
    return replace(notification, background=replace(background, text=text))
