"""Webhook out: Standard Webhooks signatures, rotation, named addresses."""

import base64
import hashlib
import hmac
import json
from dataclasses import replace
from typing import Any

import httpx
import pytest

from chalicelib.core.delivery.notification import Reason, Receipt, Why
from chalicelib.core.errors import TargetRejectedError
from chalicelib.targets import webhook
from tests.targets.samples import NOTIFICATION, NOW, OUT_WEBHOOK, OWNED, SPIKE, WEBHOOK_SECRET, FakeClients, answering

OTHER = "whsec_" + base64.b64encode(b"the next secret of it").decode()
TAKEN = httpx.Response(204)


def tell(clients: FakeClients, address: str = OUT_WEBHOOK, **options: Any) -> Receipt:
    """Send by the real module."""
    given: dict[str, Any] = {"receipt": {}, "in_doubt": False, "now": NOW, **options}
    return webhook.send(NOTIFICATION, address, clients, **given)


def is_signed(request: httpx.Request, secret: str) -> bool:
    """What a receiver checks."""
    headers = request.headers
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + request.content
    key = base64.b64decode(secret.removeprefix("whsec_"))
    expected = "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    return expected in headers["webhook-signature"].split(" ")


def test_a_vector_of_the_standard() -> None:
    """The signature of the example that the standard's own libraries test with."""
    headers = webhook.signature_headers(
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        b'{"test": 2432232314}',
        webhook.secrets_of("default", FakeClients(secrets={"WEBHOOK_DEFAULT_SECRET": WEBHOOK_SECRET})),
        now=NOW.fromtimestamp(1614265330, tz=NOW.tzinfo),
    )
    assert headers["webhook-timestamp"] == "1614265330"
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_a_named_webhook_is_signed_by_its_own_secrets() -> None:
    """During rotation both secrets sign, and the receiver may know either."""
    secrets = {"WEBHOOK_STATUS_PAGE_URL": OUT_WEBHOOK, "WEBHOOK_STATUS_PAGE_SECRET": f"{WEBHOOK_SECRET} {OTHER}"}
    clients = FakeClients(answering(TAKEN), secrets=secrets)
    assert tell(clients, "status-page").note == ""
    request = clients.requests[0]
    assert str(request.url) == OUT_WEBHOOK
    assert request.headers["webhook-id"] == NOTIFICATION.id
    assert is_signed(request, WEBHOOK_SECRET)
    assert is_signed(request, OTHER)


def test_a_later_try_has_the_same_id() -> None:
    """The receiver drops what it has seen by `webhook-id`; only the timestamp is new."""
    clients = FakeClients(answering(TAKEN))
    tell(clients)
    tell(clients, in_doubt=True, now=NOW.replace(minute=20))
    first, second = clients.requests
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert first.headers["webhook-timestamp"] != second.headers["webhook-timestamp"]
    assert first.content == second.content


def test_without_a_secret_it_is_sent_unsigned_and_said_so() -> None:
    """Nobody is left untold; the receipt names the setting."""
    clients = FakeClients(answering(TAKEN), secrets={})
    assert "WEBHOOK_DEFAULT_SECRET" in tell(clients).note
    assert "webhook-signature" not in clients.requests[0].headers


@pytest.mark.parametrize("secret", ["whsec_not base64!", "whsec_", "whsec_***"])
def test_a_secret_that_cannot_be_read_is_named_not_shown(secret: str) -> None:
    """The error names the setting and the form."""
    clients = FakeClients(answering(TAKEN), secrets={"WEBHOOK_DEFAULT_SECRET": secret})
    with pytest.raises(TargetRejectedError, match="WEBHOOK_DEFAULT_SECRET must be whsec_") as caught:
        tell(clients)
    assert "base64!" not in str(caught.value)


def test_the_body_describes_the_incident() -> None:
    """What is documented is there."""
    clients = FakeClients(answering(TAKEN))
    tell(clients)
    body = json.loads(clients.requests[0].content)
    assert body["type"] == "incident.opened"
    assert body["timestamp"] == "2026-11-24T09:14:30+00:00"
    data = body["data"]
    assert (data["incident"], data["sequence"], data["state"]) == (NOTIFICATION.incident.id, 1, "firing")
    assert (data["sound"], data["why"]) == (True, None)
    silent = webhook.render(replace(NOTIFICATION, reason=Reason.UPDATED), {})["data"]
    assert (silent["sound"], silent["why"]) == (False, None)
    worse = webhook.render(replace(NOTIFICATION, reason=Reason.UPDATED, why=Why.WORSE), {})["data"]
    assert (worse["sound"], worse["why"]) == (True, "worse")
    assert data["alerts"][0]["value"] == "3.2 %"
    assert data["deploys"][0]["url"] == "https://v.example.com/d/1"
    assert data["runbook"]["steps"][0] == "Look at the newest deploy."


def test_the_services_of_the_rules_file_are_described() -> None:
    """Given alerts of a service that the rules file has, when the body is made → it has the service; else no such key."""
    assert webhook.render(OWNED, {})["data"]["services"] == [
        {
            "name": "checkout",
            "owner": "team-core",
            "tier": 1,
            "links": {"dashboard": "https://d.example.com/api", "runbook": "https://w.example.com/api"},
        }
    ]
    assert "services" not in webhook.render(NOTIFICATION, {})["data"]


def test_an_explained_alert_names_the_service_that_explains_it():
    """Given an alert that another service explains → it has `impact_of`, which no other alert has."""
    (told, *others) = NOTIFICATION.alerts
    explained = replace(NOTIFICATION, alerts=(replace(told, impact_of="database"), *others))
    assert webhook.render(explained, {})["data"]["alerts"][0]["impact_of"] == "database"
    assert "impact_of" not in webhook.render(NOTIFICATION, {})["data"]["alerts"][0]


def test_the_plain_form_has_only_text() -> None:
    """For messages that would not render in full."""
    assert "alerts" not in webhook.render(NOTIFICATION, {}, plain=True)["data"]


def test_gone_is_for_good() -> None:
    """410 means that the receiver wants no more."""
    with pytest.raises(TargetRejectedError, match="410"):
        tell(FakeClients(answering(httpx.Response(410))))


def test_an_id_is_safe_in_a_header() -> None:
    """Whatever the id, the header has one line and no full stop, which the signature uses."""
    odd = replace(NOTIFICATION, id="a.b\r\nc")
    headers = webhook.signature_headers(odd.id, b"", (), now=NOW)
    assert headers["webhook-id"] == "a_b__c"


def test_the_body_holds_the_top_errors() -> None:
    """Given a count of errors → each with its count, release, first time and deploy; null for other alerts."""
    (alert,) = webhook.render(SPIKE, {})["data"]["alerts"]
    assert alert["top_errors"]["events"] == 412
    assert alert["top_errors"]["errors"][0] == {
        "title": "OperationalError: too many clients already",
        "count": 318,
        "url": "https://sentry.example.com/issues/91",
        "release": "web@4f2c9a1",
        "first_at": "2026-11-24T09:02:30+00:00",
        "new": True,
        "deploy": "4f2c9a1",
    }
    assert alert["top_errors"]["errors"][2]["url"] is None
    assert webhook.render(NOTIFICATION, {})["data"]["alerts"][0]["top_errors"] is None
