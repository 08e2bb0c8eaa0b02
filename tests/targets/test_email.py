"""E-mail: one thread per incident, headers that outside text cannot touch, and what the mail says."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from chalicelib.core.delivery.notification import Notification, Reason, Receipt
from chalicelib.core.errors import FieldError, TargetRejectedError
from chalicelib.targets import email as ses
from tests.targets.samples import (
    ACKED,
    HOSTILE,
    MAILBOX,
    NOTIFICATION,
    NOW,
    OWNED,
    RESOLVED,
    SETTINGS,
    SPIKE,
    FakeClients,
    of_incident,
)


class FakeSes:
    """SES that accepts everything and keeps the requests."""

    def __init__(self) -> None:
        self.requests: list[Mapping[str, Any]] = []

    def send_email(self, **request: Any) -> dict[str, str]:
        """Keep it."""
        self.requests.append(request)
        return {"MessageId": f"m{len(self.requests)}"}


def tell(
    notification: Notification, server: Any, address: str = MAILBOX, more: Mapping[str, str] = {}, **options: Any
) -> Receipt:
    """Send by the real module."""
    given: dict[str, Any] = {"receipt": {}, "in_doubt": False, "now": NOW, **options}
    clients = FakeClients(services={"sesv2": server}, settings={**SETTINGS, **more})
    return ses.send(notification, address, clients, **given)


def headers_of(request: Mapping[str, Any]) -> dict[str, str]:
    """The custom headers by name."""
    return {header["Name"]: header["Value"] for header in request["Content"]["Simple"]["Headers"]}


def subject_of(request: Mapping[str, Any]) -> str:
    """The subject as sent."""
    found: str = request["Content"]["Simple"]["Subject"]["Data"]
    return found


def test_an_incident_is_one_thread() -> None:
    """The subject stays, whatever the title and the severity become; References are the same on every mail."""
    server = FakeSes()
    told = tell(NOTIFICATION, server)
    later = replace(RESOLVED, title="3 alerts: others", severity=type(RESOLVED.severity).WARNING)
    again = tell(later, server, receipt=told.values)
    first, second = server.requests
    assert subject_of(first) == "[critical] High Error Rate (prod checkout)"
    assert subject_of(second) == f"Re: {subject_of(first)}"
    assert again.values["subject"] == told.values["subject"]
    assert headers_of(first)["References"] == headers_of(second)["References"] == "<inc-7f3c9a52@example.com>"
    assert told.values["message_id"] == "m1"


def test_the_headers_are_those_of_a_machine() -> None:
    """No out-of-office answers, a way to unsubscribe, high importance for a critical fire only."""
    server = FakeSes()
    tell(NOTIFICATION, server)
    tell(RESOLVED, server, more={"SES_UNSUBSCRIBE_URL": "https://x.example/u", "SES_CONFIGURATION_SET": "tocsin"})
    first, second = map(headers_of, server.requests)
    assert first["Auto-Submitted"] == "auto-generated"
    assert first["List-Unsubscribe"] == "<mailto:alerts@example.com?subject=unsubscribe>"
    assert second["List-Unsubscribe"] == "<https://x.example/u>"
    assert ("Importance" in first, "Importance" in second) == (True, False)
    assert server.requests[1]["ConfigurationSetName"] == "tocsin"


def test_the_request_is_one_that_ses_takes() -> None:
    """botocore's own model of SendEmail accepts every field."""
    client = boto3.client("sesv2", region_name="eu-central-1", aws_access_key_id="x", aws_secret_access_key="x")
    with Stubber(client) as stub:
        stub.add_response("send_email", {"MessageId": "m1"})
        assert tell(NOTIFICATION, client).values["message_id"] == "m1"


def test_outside_text_cannot_make_a_header() -> None:
    """Line breaks and control characters never reach subject or headers; ids are reduced to safe characters."""
    server = FakeSes()
    tell(replace(of_incident(NOTIFICATION, id="x>\r\nBcc: all@example.com"), title=HOSTILE, id="ä\nn"), server)
    request = server.requests[0]
    for value in (subject_of(request), *headers_of(request).values(), request["EmailTags"][0]["Value"]):
        assert not set(value) & set("\r\n\x00\u202e")
    assert all(value.isascii() and len(value) < 995 for value in headers_of(request).values())
    assert request["Destination"] == {"ToAddresses": [MAILBOX]}


@pytest.mark.parametrize(
    "address",
    [
        "a@example.com, b@example.com",
        "a@example.com\nBcc: b@example.com",
        "ops",
        "ö@example.com",
        "<a@b.c>",
        "a@",
        "a@-",
    ],
)
def test_an_address_is_one_recipient(address: str) -> None:
    """What is not exactly one address is refused before SES is asked, and not repeated in the error."""
    server = FakeSes()
    with pytest.raises(TargetRejectedError) as caught:
        tell(NOTIFICATION, server, address)
    assert address not in str(caught.value)
    assert not server.requests


def test_a_domain_is_sent_in_punycode() -> None:
    """SES wants ASCII domains."""
    server = FakeSes()
    tell(NOTIFICATION, server, "ops@bücher.example")
    assert server.requests[0]["Destination"]["ToAddresses"] == ["ops@xn--bcher-kva.example"]


@pytest.mark.parametrize("sender", ["", "nobody", "a@example.com\r\nBcc: b@example.com"])
def test_a_missing_sender_names_the_setting(sender: str) -> None:
    """SES_FROM must be one address on one line."""
    with pytest.raises(TargetRejectedError, match="SES_FROM"):
        tell(NOTIFICATION, FakeSes(), more={"SES_FROM": sender})


def test_a_sync_is_not_mailed_and_a_doubt_is_named() -> None:
    """A mail cannot be changed; a second try after doubt may double, and says so."""
    server = FakeSes()
    tell(ACKED, server)
    assert not server.requests
    assert "twice" in tell(NOTIFICATION, server, in_doubt=True).note


@pytest.mark.parametrize("part", ["text", "html"])
@pytest.mark.parametrize(
    "fact",
    [
        "3.2 % of requests to checkout fail",
        "3.2 % (threshold 1 %)",
        "24 Nov 2026, 06:02 America/Sao_Paulo",
        "Look at the newest deploy.",
        "Read the top issue.",
        "deploy: Cart: new totals",
        "Back after the silence of ana.",
        "Why you: rule High Error Rate",
        "https://runbooks.example.com/high-error-rate.md",
    ],
)
def test_both_parts_say_what_broke(part: str, fact: str) -> None:
    """The same facts in HTML and in text, in the route's own time."""
    assert fact in ses.render(NOTIFICATION, {})[part]


@pytest.mark.parametrize("part", ["text", "html"])
@pytest.mark.parametrize("fact", ["Owner", "team-core", "checkout dashboard", "https://w.example.com/api"])
def test_both_parts_show_the_service(part: str, fact: str) -> None:
    """Given an alert of a service that the rules file has, when it is mailed → both parts have its owner and its pages."""
    assert fact in ses.render(OWNED, {})[part]


def test_the_html_is_dead_to_injection() -> None:
    """Tags and quotes from outside are text."""
    title = '<script>alert(1)</script>"><img src=x onerror=y>'
    html = ses.render(replace(NOTIFICATION, title=title), {})["html"]
    assert "<script" not in html
    assert "<img" not in html
    assert "&lt;script&gt;" in html


def test_the_plain_form_is_text_alone() -> None:
    """Without HTML, for messages that would not render."""
    server = FakeSes()
    tell(replace(NOTIFICATION, reason=Reason.TEST), server, plain=True)
    assert set(server.requests[0]["Content"]["Simple"]["Body"]) == {"Text"}
    assert subject_of(server.requests[0]).startswith("[test] ")


def test_an_acknowledged_and_silenced_incident_says_both() -> None:
    """Given an acknowledged incident that is silenced → both parts name who has it and by what it is silenced."""
    muted = (replace(NOTIFICATION.alerts[0], muted_by=("silence 9c1d of ben",)),)
    found = ses.render(replace(ACKED, alerts=muted), {})
    assert "Silenced: by silence 9c1d of ben" in found["text"] and "Acknowledged: by ana" in found["text"]
    assert "ACKNOWLEDGED, SILENCED critical" in found["text"]
    assert "Acknowledged, silenced &middot; critical" in found["html"] and "by silence 9c1d of ben" in found["html"]


def test_top_errors_are_links_in_a_mail() -> None:
    """Given a count of errors → a line for each in both parts, linked where its address is that of a page."""
    found = ses.render(SPIKE, {})
    assert '<a class="link" href="https://sentry.example.com/issues/91"' in found["html"]
    assert "javascript:" not in found["html"]
    for part in ("html", "text"):
        assert "AuthApiError: 500 from /token" in found[part]
        assert "new since deploy 4f2c9a1" in found[part]


@pytest.mark.parametrize("address", ["ops@bücher.example", "ops@例え.example", "ops@example.com"])
def test_the_rules_file_takes_a_domain_of_any_script(address):
    """Given a domain that is written in letters of its own script → taken as it is."""
    assert ses.read(address) == address


@pytest.mark.parametrize("address", ["ops@bü cher.example", "ops@a_b.example", "ops@b@c.example", "ops@", "ops@a,b"])
def test_the_rules_file_refuses_what_is_no_address(address):
    """Given a domain with signs that none has → a mistake."""
    with pytest.raises(FieldError):
        ses.read(address)
