"""Bounces, complaints and rejections of mails: who is marked, what the fallback hears, and how it ends."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from chalicelib.core.errors import ParseError
from chalicelib.core.event import Event, Severity
from chalicelib.core.incident import Incident
from chalicelib.core.rule import Target
from chalicelib.deliver.bounces import Refusal, refusals, take
from chalicelib.deliver.worker import deliver
from chalicelib.messages.queue import Events, Feedback, Queues, feedback_message, notification_message, read_message
from cli import redrive
from cli.send_test import test_of as marked_test
from simulation.memory_store import MemoryStore
from tests.fakes import MemoryQueue
from tests.rule_files import rules_of
from tests.targets import samples

NOW = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
RULES = rules_of("alerts: [{name: A, match: {alertname: A}, notification: [{email: Ops@Example.com}]}]")
KEY = "email:Ops@Example.com"
MAIL = {"messageId": "m1", "destination": ["ops@example.com"], "tags": {"notification": ["n1"]}}


def bounce(kind: str = "Permanent", subtype: str = "General", *, form: str = "eventType", **recipient: str) -> str:
    """A bounce, as SES publishes it."""
    told = {
        "bounceType": kind,
        "bounceSubType": subtype,
        "bouncedRecipients": [
            {
                "emailAddress": "ops@example.com",
                "action": "failed",
                "status": "5.1.1",
                "diagnosticCode": "smtp; 550 5.1.1 <ops@example.com>... User unknown",
                **recipient,
            }
        ],
        "timestamp": "2026-11-24T09:00:00.000Z",
        "feedbackId": "f1",
    }
    return json.dumps({form: "Bounce", "bounce": told, "mail": MAIL})


def complaint(**more: str) -> str:
    """A complaint, as SES publishes it."""
    told = {"complainedRecipients": [{"emailAddress": "Ops <OPS@example.com>"}], "feedbackId": "c1", **more}
    return json.dumps({"eventType": "Complaint", "complaint": told, "mail": MAIL})


class Router:
    """What feedback works with, in memory."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.webhooks, self.notifications = MemoryQueue(), MemoryQueue()
        self.queues = Queues(self.webhooks, self.notifications, MemoryQueue())

    def take(self, message: str) -> tuple[Refusal, ...]:
        """One message of SES."""
        return take(message, rules=RULES, store=self.store, queues=self.queues, now=NOW)

    def events(self) -> list[Event]:
        """What was told to the router itself."""
        found = [read_message(body) for body in self.webhooks.bodies]
        return [event for each in found if isinstance(each, Events) for event in each.events]

    def deliver(self, notification: Any, ses: Any) -> Any:
        """What the worker does with a notification."""
        return deliver(
            notification_message(notification),
            rules=RULES,
            store=self.store,
            queues=self.queues,
            clients=samples.FakeClients(services={"sesv2": ses}),
            now=NOW,
        )


@pytest.mark.parametrize(
    ("message", "lasting", "said"),
    [
        (bounce(), True, "a mail bounced (no reason given, status 5.1.1)"),
        (bounce(form="notificationType"), True, "a mail bounced (no reason given, status 5.1.1)"),
        (bounce(subtype="NoEmail"), True, "there is no such mailbox"),
        (bounce(subtype="OnAccountSuppressionList", status=""), True, "suppression list: take it off in SES)"),
        (bounce("Transient", "MailboxFull"), False, "a mail did not arrive (the mailbox is full"),
        (bounce("Undetermined", "Undetermined", status="<ops@example.com>"), False, "(no reason given)"),
        (complaint(), True, "reported as spam"),
        (json.dumps({"eventType": "Reject", "reject": {"reason": "Bad content"}, "mail": MAIL}), False, "its content"),
    ],
)
def test_what_ses_says_is_read(message: str, lasting: bool, said: str) -> None:
    """Both forms of SES; whom it is about, whether it lasts, and why, without the address or the server's words."""
    (found,) = refusals(message)
    assert (found.address, found.lasting) == ("ops@example.com", lasting)
    assert said in found.why
    assert "example.com" not in found.why and "550" not in found.why


@pytest.mark.parametrize(
    "message",
    [
        json.dumps({"eventType": "Delivery", "mail": MAIL}),
        json.dumps({"eventType": "Send", "mail": MAIL}),
        json.dumps({"eventType": "Something new"}),
        complaint(complaintFeedbackType="not-spam"),
    ],
)
def test_what_is_no_refusal_says_nothing(message: str) -> None:
    """Successes, unknown kinds, and what is not spam after all."""
    assert refusals(message) == ()


@pytest.mark.parametrize("message", ["", "[]", "Successfully validated SNS topic", '{"eventType":"Bounce"}', "null"])
def test_what_cannot_be_read_is_said(message: str) -> None:
    """SES's own first message to a topic, and whatever else is published there."""
    with pytest.raises(ParseError, match="expected is one of SES's events"):
        refusals(message)


def test_a_bounce_without_its_mail_still_marks() -> None:
    """What the mail was is no part of why it bounced."""
    told = {**json.loads(bounce()), "mail": None}
    del told["bounce"]["feedbackId"]
    assert [(each.address, each.lasting, each.id) for each in refusals(json.dumps(told))] == [
        ("ops@example.com", True, "")
    ]


def test_a_bounce_marks_the_address_and_tells_the_fallback_once() -> None:
    """Twice the same changes nothing; the target is the one of the rules, however it is written there."""
    router = Router()
    for message in (bounce(subtype="NoEmail"), bounce(subtype="NoEmail"), complaint()):
        router.take(message)
    assert "there is no such mailbox" in router.store.target_state(KEY).health.refusal
    (event,) = router.events()
    assert (event.source, event.kind, event.labels["target"]) == ("router", "address.refused", KEY)
    assert "tocsin send-test" in event.summary


def test_a_mail_that_did_not_arrive_is_told_and_marks_nothing() -> None:
    """The next mail is sent."""
    router = Router()
    router.take(bounce("Transient", "MailboxFull"))
    assert router.store.target_state(KEY).health.refusal == ""
    assert [event.kind for event in router.events()] == ["mail.lost"]


def test_nothing_is_sent_to_a_marked_address_until_a_test_is() -> None:
    """What is for it goes to the fallback with the reason; a test mail takes the mark away, and ends the trouble."""
    router, sent = Router(), []
    ses = SimpleNamespace(send_email=lambda **request: sent.append(request) or {"MessageId": "m"})
    router.take(bounce())
    target = Target("email", "Ops@Example.com")
    first = replace(samples.NOTIFICATION, id="n1", target=target, at=NOW)
    second = replace(first, id="n2", seq=2)
    router.store.save(Incident(first.incident.key, id=first.incident.id, committed=("n1", "n2"), version=1))
    outcome = router.deliver(first, ses)
    assert "a mail bounced" in (outcome.dead_lettered or "")
    assert [event.kind for event in router.events()] == ["address.refused", "delivery.failed"]
    assert sent == []
    assert router.deliver(marked_test(target, Severity.INFO, NOW), ses).delivered
    assert router.store.target_state(KEY).health.refusal == ""
    assert [event.status.value for event in router.events()] == ["firing", "firing", "resolved", "resolved"]
    assert router.deliver(second, ses).delivered
    assert len(sent) == 2


LAMBDA_RECORD = {
    "version": "1.0",
    "requestContext": {"condition": "RetriesExhausted", "approximateInvokeCount": 3},
    "requestPayload": {"Records": [{"EventSource": "aws:sns", "Sns": {"Type": "Notification", "Message": "told"}}]},
    "responsePayload": {"errorMessage": "feedback: NotStoredError"},
}
SNS_MESSAGE = {"Type": "Notification", "MessageId": "m", "TopicArn": "arn:aws:sns:x", "Message": "told"}


@pytest.mark.parametrize("form", [LAMBDA_RECORD, SNS_MESSAGE], ids=["of the function", "of the topic"])
def test_what_aws_dead_lettered_is_read_as_what_ses_published(form):
    """Given a dead letter in a form of AWS's own, when it is looked at and played back → it is what SES published."""
    body = json.dumps(form)
    assert read_message(body) == Feedback("told")
    letter = redrive.letter_of("notifications", {"MessageId": "m", "Body": body, "ReceiptHandle": "r"})
    assert (letter.what, letter.reason) == ("feedback", redrive.BY_TOPIC)
    assert redrive.played_back(body) == feedback_message("told")


@pytest.mark.parametrize(
    "form",
    [
        {"Type": "SubscriptionConfirmation", "Message": "told"},
        {"requestPayload": {"Records": []}},
        {"requestPayload": "x"},
        {"requestPayload": {"Records": [{"eventSource": "aws:sqs", "body": "x"}]}},
    ],
)
def test_other_forms_of_aws_are_no_messages_of_ours(form):
    """Given anything else without our version, when it is read → it is refused as before."""
    with pytest.raises(ParseError, match="version"):
        read_message(json.dumps(form))


def test_a_feedback_message_that_was_parked_keeps_its_reason():
    """Given a bounce that was received too often, when it is listed → the reason is that of SQS."""
    message = {"MessageId": "m", "Body": feedback_message("told"), "ReceiptHandle": "r"}
    assert redrive.letter_of("notifications", message).reason == redrive.BY_SQS
