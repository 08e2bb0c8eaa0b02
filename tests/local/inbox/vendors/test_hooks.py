"""The receiver of outgoing webhooks."""

import base64
import hashlib
import hmac

import pytest

from local.inbox import Inbox
from tests.local.inbox.support import (
    Clock,
    request,
)
from tests.targets.samples import WEBHOOK_SECRET


@pytest.mark.parametrize(
    ("change", "status", "verdict"),
    [
        ({}, 204, "verified"),
        ({"webhook_signature": "v1,AAAA v1,{good}"}, 204, "verified"),
        ({"webhook_signature": "v1,AAAA"}, 401, "the signature is wrong"),
        ({"webhook_signature": "v1,é"}, 401, "the signature is wrong"),
        ({"webhook_timestamp": "1"}, 401, "the timestamp is not within five minutes"),
        ({"webhook_id": ""}, 401, "not signed"),
    ],
)
def test_webhooks_are_checked(inbox: Inbox, clock: Clock, change: dict[str, str], status: int, verdict: str) -> None:
    """Standard Webhooks: id, timestamp and body are signed; any of several signatures may fit."""
    inbox.connections.webhook_secret = WEBHOOK_SECRET
    body, timestamp = b'{"type":"incident.opened"}', str(int(clock.now))
    key = base64.b64decode(WEBHOOK_SECRET.removeprefix("whsec_"))
    good = base64.b64encode(hmac.new(key, f"m1.{timestamp}.".encode() + body, hashlib.sha256).digest()).decode()
    headers = {"webhook_id": "m1", "webhook_timestamp": timestamp, "webhook_signature": f"v1,{good}", **change}
    sent = {
        name.replace("_", "-"): value.format(good=good).encode().decode("latin-1") for name, value in headers.items()
    }
    assert request(inbox, "POST", "/hook/ops", body, sent)[0] == status
    assert inbox.hooks[0]["verdict"] == verdict and inbox.hooks[0]["type"] == "incident.opened"
