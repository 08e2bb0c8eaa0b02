"""What SES says later of mails that it took: bounces, complaints, rejections. Comes by SNS and the notifications queue.

SES accepts a mail long before the mailbox does, so a success of `deliver` is not yet a reader. A hard bounce or a
complaint marks the address: nothing more is sent there, which SES would count against the account and mostly suppress
in silence; the fallback is notified, and every later notification for it goes to the fallback too. A test mail
(`tocsin send-test`) takes the mark away. A mail that merely did not arrive is sent to the fallback as well.
Forms: https://docs.aws.amazon.com/ses/latest/dg/event-publishing-retrieving-sns-contents.html (`eventType`) and
…/notification-contents.html (`notificationType`).
"""

import contextlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from chalicelib.core.delivery import internal_alerts
from chalicelib.core.delivery import target_state as target_states
from chalicelib.core.delivery.target_state import SAVE_TRIES, TargetState
from chalicelib.core.errors import ParseError
from chalicelib.core.optimistic import updated
from chalicelib.core.ports import Store
from chalicelib.core.routing import all_targets
from chalicelib.core.rule import Rules
from chalicelib.messages.queue import Queues, events_messages

_SUBTYPES = {
    "NoEmail": "there is no such mailbox",
    "OnAccountSuppressionList": "it is on the account's suppression list: take it off in SES",
    "Suppressed": "it is on SES's own suppression list: it bounced for others lately",
    "UnsubscribedRecipient": "its owner unsubscribed",
    "MailboxFull": "the mailbox is full",
    "MessageTooLarge": "the mail is too large for it",
    "ContentRejected": "its server did not like the content",
    "AttachmentRejected": "its server did not like the content",
}


@dataclass(frozen=True, slots=True)
class Refusal:
    """One recipient that did not get a mail. `lasting` when it is not to be written to again. No address in `why`."""

    address: str
    why: str
    lasting: bool
    id: str


def refusals(message: str) -> tuple[Refusal, ...]:
    """Return what an SNS message says; nothing for what is no refusal. ParseError when it is not one of SES's."""
    try:
        report = json.loads(message)
        kind = str(report.get("eventType") or report.get("notificationType") or "")
        return tuple(_KINDS[kind](report)) if kind in _KINDS else ()
    except (ValueError, TypeError, AttributeError, KeyError, RecursionError):
        raise ParseError("a message about a mail cannot be read; expected is one of SES's events") from None


def _bounced(report: Mapping[str, Any]) -> Iterator[Refusal]:
    bounce = report["bounce"]
    lasting = bounce.get("bounceType") == "Permanent"
    said = _SUBTYPES.get(str(bounce.get("bounceSubType", "")), "")
    for each in bounce["bouncedRecipients"]:
        status = str(each.get("status") or "")
        code = f", status {status}" if re.fullmatch(r"\d\.\d{1,3}\.\d{1,3}", status) else ""
        what = "a mail bounced" if lasting else "a mail did not arrive"
        yield _refusal(each["emailAddress"], f"{what} ({said or 'no reason given'}{code})", lasting, bounce, report)


def _complained(report: Mapping[str, Any]) -> Iterator[Refusal]:
    complaint = report["complaint"]
    if complaint.get("complaintFeedbackType") == "not-spam":
        return
    for each in complaint["complainedRecipients"]:
        yield _refusal(each["emailAddress"], "a mail was reported as spam there", True, complaint, report)


def _rejected(report: Mapping[str, Any]) -> Iterator[Refusal]:
    for address in report["mail"]["destination"]:
        yield _refusal(address, "SES refused to send a mail for its content", False, report["mail"], report)


def _refusal(address: Any, why: str, lasting: bool, part: Mapping[str, Any], report: Mapping[str, Any]) -> Refusal:
    named = part.get("feedbackId") or (report.get("mail") or {}).get("messageId") or ""
    return Refusal(_plain(str(address)), why, lasting, str(named))


_KINDS = {"Bounce": _bounced, "Complaint": _complained, "Reject": _rejected}


def _plain(address: str) -> str:
    """Return `Ana <ana@example.com>` as `ana@example.com`, as addresses are compared: ours went out in ASCII."""
    found = re.search(r"<([^<>]*)>\s*$", address)
    return (found[1] if found else address).strip().casefold()


def take(message: str, *, rules: Rules, store: Store, queues: Queues, now: datetime) -> tuple[Refusal, ...]:
    """Mark and report what a message says. Twice changes nothing."""
    found = refusals(message)
    for refusal in found:
        for key in _keys(refusal.address, rules):
            _mark(key, refusal, store, queues, now)
    return found


def noted(message: str, *, rules: Rules, store: Store, queues: Queues, now: datetime) -> str:
    """Take a message and return one line about it for the log. What is not one of SES's events is only noted."""
    try:
        found = take(message, rules=rules, store=store, queues=queues, now=now)
    except ParseError as error:
        return f"feedback: {error}"
    return f"feedback: {len(found)} refused, {sum(each.lasting for each in found)} lasting"


def _keys(address: str, rules: Rules) -> list[str]:
    """Return the keys of the targets that are this address, however the rules write it."""
    targets = [target for target in all_targets(rules) if target.kind == "email"]
    return [each.key for each in targets if _sent(each.address) == address] or [f"email:{address}"]


def _sent(address: str) -> str:
    local, _, domain = address.strip().rpartition("@")
    with contextlib.suppress(UnicodeError):
        domain = domain.encode("idna").decode("ascii")
    return f"{local}@{domain}".casefold()


def _mark(key: str, refusal: Refusal, store: Store, queues: Queues, now: datetime) -> None:

    def save(target_state: TargetState) -> None:
        if refusal.lasting and target_state.health.refusal:
            return
        event = internal_alerts.address_refused(key, refusal.why, refusal.id, now, lasting=refusal.lasting)
        queues.webhooks.put(events_messages([event]))
        store.save_target_state(_marked(target_state, refusal))

    updated("the state of a target", lambda: store.target_state(key), save, tries=SAVE_TRIES)


def _marked(target_state: TargetState, refusal: Refusal) -> TargetState:
    trouble = internal_alerts.REFUSED if refusal.lasting else internal_alerts.LOST
    marked = target_states.with_reported(target_state, trouble)
    health = replace(marked.health, refusal=refusal.why) if refusal.lasting else marked.health
    return replace(marked, health=health, version=target_state.version + 1)
