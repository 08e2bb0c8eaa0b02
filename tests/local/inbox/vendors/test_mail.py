"""SES: what is kept, what is refused."""

from typing import Any

import pytest
from botocore.exceptions import ClientError

from local.inbox import Inbox
from tests.local.inbox.support import mail, ses


def test_a_mail_of_boto3_is_kept_with_its_headers(inbox: Inbox) -> None:
    """Simple and Raw content; the answer is a MessageId."""
    assert ses(inbox).send_email(**mail({"References": "<inc-1@example.com>"}))["MessageId"] == inbox.mails[0]["id"]
    raw = b"From: alerts@example.com\r\nTo: ops@example.com\r\nSubject: =?utf-8?b?w6k=?=\r\n\r\nbody\r\n"
    ses(inbox).send_email(Content={"Raw": {"Data": raw}})
    first, second = inbox.mails
    assert (first["to"], first["headers"]) == (["ops@example.com"], [["References", "<inc-1@example.com>"]])
    assert (second["subject"], second["text"].strip(), second["to"]) == ("é", "body", ["ops@example.com"])


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (mail({"Message-ID": "<a@b>"}), "BadRequestException"),
        (mail({"To": "a@b.example"}), "BadRequestException"),
        (mail({"X-A": "two\nlines"}), "BadRequestException"),
        (mail({f"X-{n}": "v" for n in range(16)}), "BadRequestException"),
        (mail(Destination={"ToAddresses": ["nonsense"]}), "BadRequestException"),
        (mail(Destination={"ToAddresses": [f"a{n}@b.example" for n in range(51)]}), "BadRequestException"),
        (mail(FromEmailAddress="x@unverified.example"), "MessageRejected"),
    ],
)
def test_mails_are_refused_as_ses_does(inbox: Inbox, sent: dict[str, Any], code: str) -> None:
    """Headers that SES sets itself, too many of them, addresses that are none or not verified."""
    with pytest.raises(ClientError) as caught:
        ses(inbox).send_email(**sent)
    assert caught.value.response["Error"]["Code"] == code and inbox.mails == []


@pytest.mark.parametrize("code", ["MessageRejected", "TooManyRequestsException", "SendingPausedException"])
def test_ses_errors_come_on_cue(inbox: Inbox, code: str) -> None:
    """As boto3 reads them; the next mail is taken again."""
    inbox.answer("ses", "SendEmail", [{"error": code}])
    with pytest.raises(ClientError) as caught:
        ses(inbox).send_email(**mail())
    assert caught.value.response["Error"]["Code"] == code
    assert ses(inbox).send_email(**mail())["MessageId"]


def test_the_emulators_mails_are_taken_once(inbox: Inbox) -> None:
    """However its list is grouped."""
    record = {"MessageId": "m1", "Source": "a@b.example", "To": ["c@d.example"], "Subject": "s", "Timestamp": 1.0}
    assert inbox.mail.take_from_emulator({"messages": {"000000000000": [record]}}) == 1
    assert inbox.mails[0]["subject"] == "s"
    inbox.reset()
    assert inbox.mail.take_from_emulator({"messages": [record]}) == 0
